//! A hook that keeps the contract and breaks it where told: on hyper, so that the generator is judged by somebody else's HTTP.

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

/// What the hook does beside its duty. Counts are of authorizations, from 1.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// At this authorization everything stands still for so long.
    pub stall: Option<(u64, Duration)>,
    /// Every answer takes so long.
    pub slow: Option<Duration>,
    /// Each so-manieth: the connection is closed without an answer, before the event is known.
    pub hang_up_each: Option<u64>,
    /// Each so-manieth: no answer, ever.
    pub hang_each: Option<u64>,
    /// Every answer ends its connection.
    pub shut_after_each_answer: bool,
    /// A repeated id gets other bytes.
    pub change_repeats: bool,
    /// A repeated id is judged again.
    pub judge_repeats: bool,
    /// A known id with another amount is taken.
    pub accept_conflicts: bool,
    /// By the count's remainder by ten: 0 fallback, 1 degraded, 2 the 503 that is not recorded, 3 another 503, 4 a 429.
    pub mixed: bool,
    /// Without it: 401.
    pub key: Option<&'static str>,
}

/// What the hook knows.
#[derive(Default)]
pub struct Memory {
    pub decisions: HashMap<String, Decision>,
    pub authorizations: u64,
    /// From when to when it stood still.
    pub stalled: Option<(SystemTime, SystemTime)>,
    resumes: Option<Instant>,
    sequence: u64,
    faults: Faults,
}

#[derive(Clone)]
pub struct Decision {
    amount: i64,
    pub body: String,
}

/// A running hook; ends with its owner.
pub struct Hook {
    pub address: SocketAddr,
    pub memory: Arc<Mutex<Memory>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Hook {
    pub fn start(faults: Faults) -> Hook {
        Hook::start_with(faults, None)
    }

    pub fn start_with(faults: Faults, tls: Option<TlsAcceptor>) -> Hook {
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Hook::start_from(Arc::new(Mutex::new(Memory { faults, ..Memory::default() })), anywhere, tls)
    }

    /// One that knows what an earlier one knew, at its address.
    pub fn start_from(memory: Arc<Mutex<Memory>>, address: SocketAddr, tls: Option<TlsAcceptor>) -> Hook {
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let shared = Arc::clone(&memory);
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::bind(address).await.expect("a port");
                tell.send(listener.local_addr().expect("an address")).expect("somebody waits");
                tokio::select! {
                    () = accept(listener, shared, tls) => {}
                    _ = stopped => {}
                }
            });
        });
        let address = told.recv().expect("it started");
        Hook { address, memory, stop: Some(stop), thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, memory: Arc<Mutex<Memory>>, tls: Option<TlsAcceptor>) {
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        socket.set_nodelay(true).expect("a socket");
        let (memory, tls) = (Arc::clone(&memory), tls.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&memory)));
            let http = hyper::server::conn::http1::Builder::new();
            // How a connection ends is the generator's business.
            match tls {
                None => drop(http.serve_connection(TokioIo::new(socket), service).await),
                Some(tls) => {
                    if let Ok(socket) = tls.accept(socket).await {
                        drop(http.serve_connection(TokioIo::new(socket), service).await);
                    }
                }
            }
        });
    }
}

/// An error closes the connection without an answer.
#[derive(Debug)]
struct HungUp;

impl std::fmt::Display for HungUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("hung up")
    }
}

impl std::error::Error for HungUp {}

impl From<Infallible> for HungUp {
    fn from(never: Infallible) -> HungUp {
        match never {}
    }
}

type Answer = Response<Full<Bytes>>;

async fn answer(request: Request<Incoming>, memory: Arc<Mutex<Memory>>) -> Result<Answer, HungUp> {
    let begun = Instant::now();
    let (head, body) = request.into_parts();
    let faults = memory.lock().expect("no panic").faults.clone();
    let key = head.headers.get("authorization").and_then(|value| value.to_str().ok());
    if faults.key.is_some_and(|wanted| key != Some(&format!("Bearer {wanted}"))) {
        return Ok(plain(401, "{}"));
    }
    if head.uri.path() == "/readyz" {
        return Ok(plain(200, "ready"));
    }
    if let Some(id) = head.uri.path().strip_prefix("/v1/decisions/") {
        let memory = memory.lock().expect("no panic");
        return Ok(memory.decisions.get(id).map_or_else(|| plain(404, "{}"), |decision| plain(200, &decision.body)));
    }
    assert_eq!((head.method.as_str(), head.uri.path()), ("POST", "/v1/authorizations"));
    assert!(head.headers.get("weir-deadline-ms").is_some_and(|value| value.to_str().is_ok_and(|text| text.parse::<u64>().is_ok())));
    let bytes = body.collect().await.map_err(|_| HungUp)?.to_bytes();
    let event: Value = serde_json::from_slice(&bytes).expect("an event");
    let number = {
        let mut memory = memory.lock().expect("no panic");
        memory.authorizations += 1;
        if let Some((at, pause)) = faults.stall
            && memory.authorizations == at
        {
            memory.stalled = Some((SystemTime::now(), SystemTime::now() + pause));
            memory.resumes = Some(Instant::now() + pause);
        }
        memory.authorizations
    };
    let resumes = memory.lock().expect("no panic").resumes;
    if let Some(end) = resumes {
        tokio::time::sleep_until(end.into()).await;
    }
    if let Some(pause) = faults.slow {
        tokio::time::sleep(pause).await;
    }
    let is_each = |each: Option<u64>| each.is_some_and(|each| number.is_multiple_of(each));
    if is_each(faults.hang_up_each) {
        return Err(HungUp);
    }
    if is_each(faults.hang_each) {
        std::future::pending::<()>().await;
    }
    let mut answer = judge(&event, number, &faults, &mut memory.lock().expect("no panic"));
    let total = format!("queue;dur=0.01, total;dur={:.3}", begun.elapsed().as_secs_f64() * 1000.0);
    answer.headers_mut().insert("server-timing", total.parse().expect("ascii"));
    if faults.shut_after_each_answer {
        answer.headers_mut().insert("connection", "close".parse().expect("ascii"));
    }
    Ok(answer)
}

fn judge(event: &Value, number: u64, faults: &Faults, memory: &mut Memory) -> Answer {
    let id = event["id"].as_str().expect("an id").to_owned();
    let amount = event["amount"].as_i64().expect("an amount");
    if let Some(known) = memory.decisions.get_mut(&id) {
        if known.amount != amount && !faults.accept_conflicts {
            return plain(409, r#"{"type":"about:blank","title":"id known with another content","status":409}"#);
        }
        if faults.change_repeats {
            return plain(200, &known.body.replace("approve", "decline"));
        }
        if !faults.judge_repeats {
            return plain(200, &known.body.clone());
        }
    }
    let status = match number % 10 {
        0 if faults.mixed => "fallback",
        1 if faults.mixed => "degraded",
        2 if faults.mixed => return plain(503, r#"{"status":"fallback","outcome":"review","recorded":false}"#),
        3 if faults.mixed => return plain(503, r#"{"status":503}"#),
        4 if faults.mixed => return plain(429, r#"{"status":429}"#),
        _ => "evaluated",
    };
    memory.sequence += 1;
    let body = format!(
        r#"{{"event_id":"{id}","revision":1,"sequence":{},"outcome":"approve","risk_score":12,"status":"{status}"}}"#,
        memory.sequence
    );
    memory.decisions.insert(id, Decision { amount, body: body.clone() });
    plain(200, &body)
}

fn plain(status: u16, body: &str) -> Answer {
    let kind = if status < 300 { "application/json" } else { "application/problem+json" };
    Response::builder().status(status).header("content-type", kind).body(Full::from(body.to_owned())).expect("an answer")
}
