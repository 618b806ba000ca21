//! The doors over real sockets: a small desk behind them, a raw client before them.

mod browser;
mod compatibility;
mod connections;
mod desk;
mod documents;
mod hook;
mod lines;
mod schemas;
mod streams;

use super::{Caller, Denied, Gate, Open, Options, Scope, serve};
use crate::metrics::Metrics;
use desk::Small;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longer than anything here takes; what is late by so much does not come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Doors on a port of their own.
struct House {
    runtime: Runtime,
    address: SocketAddr,
    desk: Arc<Small>,
    metrics: Metrics,
    stop: Option<oneshot::Sender<()>>,
    served: Option<JoinHandle<()>>,
}

impl House {
    fn open(options: Options) -> House {
        House::with_gate(options, Open)
    }

    fn with_gate(options: Options, gate: impl Gate) -> House {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("bound");
        let (desk, metrics) = (Arc::new(Small::default()), Metrics::new("0.0.0"));
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            let _ = stopped.await;
        };
        let served = runtime.spawn(serve(listener, desk.clone(), Arc::new(gate), options, metrics.clone(), shutdown));
        House { runtime, address, desk, metrics, stop: Some(stop), served: Some(served) }
    }

    fn client(&self) -> Client {
        Client::over(TcpStream::connect(self.address).expect("the doors are open"))
    }

    /// One whose socket holds next to nothing, so that what it does not read stands still at once.
    fn narrow_client(&self) -> Client {
        let stream = self.runtime.block_on(async {
            let socket = TcpSocket::new_v4().expect("a socket");
            socket.set_recv_buffer_size(4096).expect("a size");
            socket.set_send_buffer_size(4096).expect("a size");
            socket.connect(self.address).await.expect("the doors are open").into_std().expect("a socket")
        });
        stream.set_nonblocking(false).expect("blocking");
        Client::over(stream)
    }

    /// Begins the end.
    fn stop(&mut self) {
        self.stop.take().expect("stopped once").send(()).expect("the doors wait for it");
    }

    /// Waits until `serve` has returned.
    fn ended(&mut self) {
        let served = self.served.take().expect("waited for once");
        self.runtime.block_on(async { timeout(PATIENCE, served).await }).expect("serve returns").expect("without a panic");
    }

    /// A line of `/metrics`, as it stands.
    fn metric(&self, name: &str) -> Option<String> {
        let text = String::from_utf8(self.metrics.render(true)).expect("text");
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned))
    }
}

/// Speaks HTTP/1.1 as it stands in the tests, so that nothing is mended on the way.
struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// An answer, read to its end.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    /// The problem document of an answer that should be one.
    fn problem(&self, status: u16) -> Value {
        assert_eq!((self.status, self.header("content-type")), (status, Some("application/problem+json")), "{self:?}");
        let problem: Value = serde_json::from_slice(&self.body).expect("JSON");
        assert_eq!(problem["status"], status);
        assert!(problem["type"].as_str().is_some_and(|kind| kind.starts_with("urn:weir:problem:")), "{problem}");
        for member in ["title", "detail", "instance"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member} of {problem}");
        }
        problem
    }
}

impl Client {
    fn over(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Client { stream, unread: Vec::new() }
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the doors read");
    }

    /// Sends a request with a body of known length, or none.
    fn request(&mut self, head: &str, body: &str) {
        let length = match body.is_empty() {
            true => String::new(),
            false => format!("content-length: {}\r\n", body.len()),
        };
        let (line, headers) = head.split_once('\n').unwrap_or((head, ""));
        let headers: String = headers.lines().map(|header| format!("{}\r\n", header.trim())).collect();
        self.send(format!("{line} HTTP/1.1\r\nhost: localhost\r\n{headers}{length}\r\n{body}"));
    }

    /// Asks and reads the answer.
    fn ask(&mut self, head: &str, body: &str) -> Reply {
        self.request(head, body);
        self.reply()
    }

    fn get(&mut self, path: &str) -> Reply {
        self.ask(&format!("GET {path}"), "")
    }

    /// Sends one piece of a chunked body.
    fn chunk(&mut self, piece: &str) {
        self.send(format!("{:x}\r\n{piece}\r\n", piece.len()));
    }

    /// More bytes, or `false` at the end of the connection.
    fn more(&mut self) -> bool {
        let mut room = [0; 65_536];
        match self.stream.read(&mut room) {
            Ok(0) => false,
            Ok(read) => {
                self.unread.extend_from_slice(&room[..read]);
                true
            }
            Err(error) if matches!(error.kind(), std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe) => false,
            Err(error) => panic!("nothing came: {error}; so far {:?}", String::from_utf8_lossy(&self.unread)),
        }
    }

    /// Takes everything up to and with `end`.
    fn up_to(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.unread.windows(end.len()).position(|window| window == end.as_bytes()) {
                let taken: Vec<u8> = self.unread.drain(..at + end.len()).collect();
                return String::from_utf8(taken).expect("text");
            }
            assert!(self.more(), "closed before {end:?}; so far {:?}", String::from_utf8_lossy(&self.unread));
        }
    }

    fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.unread.len() < length {
            assert!(self.more(), "closed within a body");
        }
        self.unread.drain(..length).collect()
    }

    /// Status and headers.
    fn head(&mut self) -> Reply {
        let head = self.up_to("\r\n\r\n");
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).expect("a status line");
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").expect("a header");
            (name.to_ascii_lowercase(), value.to_owned())
        };
        Reply { status: status[..3].parse().expect("a number"), headers: lines.map(header).collect(), body: Vec::new() }
    }

    /// A piece of a chunked answer; empty at its end.
    fn piece(&mut self) -> String {
        let length = self.up_to("\r\n");
        let length = usize::from_str_radix(length.trim_end(), 16).expect("a length");
        let piece = self.exactly(length + 2);
        String::from_utf8(piece[..length].to_vec()).expect("text")
    }

    /// A whole answer.
    fn reply(&mut self) -> Reply {
        let mut reply = self.head();
        if reply.header("transfer-encoding") == Some("chunked") {
            loop {
                let piece = self.piece();
                if piece.is_empty() {
                    return reply;
                }
                reply.body.extend_from_slice(piece.as_bytes());
            }
        }
        let length = reply.header("content-length").map_or(0, |length| length.parse().expect("a number"));
        reply.body = self.exactly(length);
        reply
    }

    /// Waits until the connection is closed and returns what still came.
    fn closed(&mut self) -> String {
        while self.more() {}
        String::from_utf8(std::mem::take(&mut self.unread)).expect("text")
    }
}

/// A gate whose keys are names of scopes, joined by commas.
struct Named;

impl Gate for Named {
    fn admit(&self, authorization: Option<&str>, _peer: SocketAddr, needed: &[Scope]) -> Result<Caller, Denied> {
        let Some(key) = authorization.and_then(|value| value.strip_prefix("Bearer ")) else {
            return Err(Denied::Unauthenticated { detail: "no key was sent".to_owned() });
        };
        if key == "flood" {
            return Err(Denied::TooMany { retry_after: Duration::from_millis(1500) });
        }
        let scopes: Vec<Scope> = key.split(',').filter_map(Scope::parse).collect();
        match scopes.iter().any(|scope| needed.contains(scope)) {
            true => Ok(Caller { name: key.to_owned(), scopes, by_address: false }),
            false => Err(Denied::Forbidden { detail: format!("the key has the scopes {key}") }),
        }
    }
}
