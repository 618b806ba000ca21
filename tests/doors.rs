//! The doors as operators and strangers meet them: the program itself, its keys, its certificates, and what it says of both.

mod house;

use house::service::{PATIENCE, Room, SMALL, address, now};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A folder whose files nobody else reads.
struct Place(Room);

impl Place {
    fn new(more: &str) -> Place {
        Place(Room::new(more))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    fn write(&self, name: &str, text: &str) {
        self.0.write(name, text);
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Runs a command to its end. One that goes on, such as a service that should not have started, is ended.
    fn weir(&self, arguments: &[&str]) -> Output {
        let mut child = self.0.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let start = Instant::now();
        while child.try_wait().unwrap().is_none() && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(5));
        }
        let _ = child.kill();
        child.wait_with_output().unwrap()
    }

    /// What the command prints; it must end well.
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.weir(arguments);
        assert!(output.status.success(), "weir {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What the command says of a mistake; it must end with 2 and print nothing.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.weir(arguments);
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]), "weir {}", arguments.join(" "));
        String::from_utf8(output.stderr).unwrap()
    }

    /// A new key.
    fn key(&self, more: &[&str]) -> Key {
        let line = self.done(&[&["keys", "add", "--data", "data"], more].concat());
        Key(line.strip_suffix('\n').expect("one line").to_owned())
    }

    /// Starts the service and waits until it listens. What it logs is kept, however much it is.
    fn run(&self, level: &str, arguments: &[&str]) -> Running {
        let mut command = self.0.command(&[&["run", "--data", "data", "-t", "small.toml"], arguments].concat());
        let mut child = command.env("WEIR_LOG", level).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (log, stderr) = (Arc::new(Mutex::new(String::new())), child.stderr.take().unwrap());
        let kept = log.clone();
        let reader = thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                let mut kept = kept.lock().unwrap();
                kept.push_str(&line.unwrap());
                kept.push('\n');
            }
        });
        let address = address(&mut child);
        let address = address.unwrap_or_else(|line| panic!("found {line:?}, expected where it listens; {}", log.lock().unwrap()));
        let port = address.rsplit_once(':').expect("a port").1.parse().unwrap();
        Running { child, log, reader: Some(reader), port }
    }
}

/// A key as it was printed.
struct Key(String);

impl Key {
    fn id(&self) -> &str {
        self.0.split('_').nth(1).expect("an id")
    }

    /// What nobody must find anywhere.
    fn secret(&self) -> &str {
        self.0.split('_').nth(2).expect("a secret")
    }

    fn header(&self) -> String {
        format!("authorization: Bearer {}", self.0)
    }
}

/// A service.
struct Running {
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    port: u16,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Asks over a plain connection of its own.
    fn ask(&self, line: &str, headers: &[&str], body: &str) -> Reply {
        Caller::new(self.connect()).ask(line, headers, body)
    }

    /// A connection by TLS that trusts one certificate; `Err` where it is another.
    fn tls(&self, trusted: &Certificate) -> Result<Caller<StreamOwned<ClientConnection, TcpStream>>, std::io::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(trusted.chain.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let mut session = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
        let mut stream = self.connect();
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Ok(Caller::new(StreamOwned::new(session, stream)))
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until `what` holds.
    fn until(&self, name: &str, what: impl Fn() -> bool) {
        let start = Instant::now();
        while !what() {
            assert!(start.elapsed() < PATIENCE, "{name} did not come; {}", self.log.lock().unwrap());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until `text` was logged.
    fn logged(&self, text: &str) {
        self.until(text, || self.log.lock().unwrap().contains(text));
    }

    /// Ends it as a supervisor does; how it ended, and all that it logged.
    fn end(mut self) -> (ExitStatus, String) {
        self.signal("TERM");
        let status = self.child.wait().unwrap();
        self.reader.take().unwrap().join().unwrap();
        let log = self.log.lock().unwrap().clone();
        (status, log)
    }
}

/// An answer.
#[derive(Debug)]
struct Reply {
    status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    body: String,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The detail of the problem document that this must be.
    fn problem(&self, status: u16, kind: &str) -> String {
        assert_eq!((self.status, self.header("content-type")), (status, Some("application/problem+json")), "{self:?}");
        let document: Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!((&document["type"], &document["status"]), (&format!("urn:weir:problem:{kind}").into(), &status.into()), "{document}");
        assert_eq!(self.header("www-authenticate"), (status == 401).then_some("Bearer"), "{self:?}");
        document["detail"].as_str().expect("a text").to_owned()
    }
}

/// A connection that is kept.
struct Caller<S: Read + Write>(BufReader<S>);

impl<S: Read + Write> Caller<S> {
    fn new(stream: S) -> Caller<S> {
        Caller(BufReader::new(stream))
    }

    /// Sends a request and reads its answer. Where no header names a host, it is this machine.
    fn ask(&mut self, line: &str, headers: &[&str], body: &str) -> Reply {
        let host = if headers.iter().any(|header| header.starts_with("host:")) { "" } else { "host: localhost\r\n" };
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let length = body.len();
        let kind = if body.is_empty() { "" } else { "content-type: application/json\r\nweir-deadline-ms: 10000\r\n" };
        let request = format!("{line} HTTP/1.1\r\n{host}{headers}{kind}content-length: {length}\r\n\r\n{body}");
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        self.0.get_mut().flush().unwrap();
        let mut text = String::new();
        self.0.read_line(&mut text).unwrap();
        let status = text.split(' ').nth(1).unwrap_or_else(|| panic!("found {text:?}, expected a status line")).parse().unwrap();
        let mut reply = Reply { status, headers: Vec::new(), body: String::new() };
        loop {
            text.clear();
            self.0.read_line(&mut text).unwrap();
            let Some((name, value)) = text.trim_end().split_once(": ") else { break };
            reply.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut body = vec![0; reply.header("content-length").map_or(0, |length| length.parse().unwrap())];
        self.0.read_exact(&mut body).unwrap();
        reply.body = String::from_utf8(body).unwrap();
        reply
    }
}

/// A certificate for localhost that is its own authority.
struct Certificate {
    chain: String,
    key: String,
}

impl Certificate {
    fn new() -> Certificate {
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        Certificate { chain: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
    }

    fn put(&self, place: &Place) {
        place.write("chain.pem", &self.chain);
        place.write("key.pem", &self.key);
    }
}

const TLS: &str = "[security]\ntls_certificate = \"chain.pem\"\ntls_key = \"key.pem\"\n";

const HOOK: &str = "POST /v1/authorizations";

/// A payment of now.
fn payment(id: &str) -> String {
    let time = now();
    format!(r#"{{"id":"{id}","type":"payment","time":"{time}","user":"u-1","merchant":"m-1","amount":5,"currency":"EUR"}}"#)
}

/// Every byte of every file below `folder`.
fn bytes_below(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(bytes_below(&path)),
            false => all.extend(fs::read(&path).unwrap()),
        }
    }
    all
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Planted: the whole key among the fields of the line that tells of it; told.
#[test]
fn a_secret_is_printed_once_and_kept_as_a_hash() {
    let place = Place::new("");
    let added = place.weir(&["keys", "add", "--name", "till 7", "--scope", "hook,ingest", "--expires", "90d", "--data", "data"]);
    assert!(added.status.success());
    let key = Key(String::from_utf8(added.stdout).unwrap().trim_end().to_owned());
    assert_eq!((key.0.len(), key.id().len(), key.secret().len()), (5 + 8 + 1 + 43, 8, 43), "{}", key.0);
    let said = String::from_utf8(added.stderr).unwrap();
    assert!(said.contains("key added") && said.contains(key.id()) && !said.contains(key.secret()), "{said}");

    let file = fs::read_to_string(place.path("data/keys.json")).unwrap();
    let hash: String = <sha2::Sha256 as sha2::Digest>::digest(key.secret()).iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(file.contains(&format!("\"sha256:{hash}\"")) && !file.contains(key.secret()), "{file}");
    assert_eq!(fs::metadata(place.path("data/keys.json")).unwrap().permissions().mode() & 0o777, 0o600);

    let list = |more: &[&str]| place.done(&[&["keys", "list", "--data", "data"], more].concat());
    let table = list(&[]);
    assert!(table.contains(key.id()) && table.contains("till 7") && table.contains("hook,ingest") && table.contains("89 days"), "{table}");
    let state = || serde_json::from_str::<Value>(&list(&["--json"])).unwrap()[0]["state"].clone();
    assert_eq!(state(), "valid");
    let unknown = place.refused(&["keys", "revoke", &key.0, "--data", "data"]);
    assert!(unknown.contains("found no key of this id among 1") && !unknown.contains(key.secret()), "{unknown}");
    place.done(&["keys", "revoke", key.id(), "--data", "data"]);
    assert_eq!(state(), "revoked");
    assert!(list(&[]).contains("revoked 20"));
    assert!(!has(&bytes_below(&place.path("")), key.secret()) && !list(&["--json"]).contains(key.secret()));
}

/// Planted: the moment of expiry not looked at; what is needed compared with a key's first scope only. Both were told.
#[test]
fn keys_open_what_they_are_for_while_they_are_in_force() {
    let place = Place::new("[security]\nloopback_open = false\n");
    let (hook, brief) =
        (place.key(&["--name", "till", "--scope", "hook"]), place.key(&["--name", "brief", "--scope", "hook", "--expires", "1s"]));
    let reader = place.key(&["--name", "reader", "--scope", "subscriber,hook", "--expires", "1d"]);
    let ingest = place.key(&["--name", "feed", "--scope", "ingest"]);
    let service = place.run("info", &["--listen", "127.0.0.1:0"]);
    let ask = |id: &str, header: &str| service.ask(HOOK, &[header], &payment(id));
    assert_eq!(ask("p-1", &hook.header()).status, 200);
    assert_eq!(ask("p-2", &reader.header()).status, 200);
    assert_eq!(service.ask("GET /metrics", &[&reader.header()], "").status, 200, "any one of its scopes");
    let none = service.ask(HOOK, &[], &payment("p-3")).problem(401, "unauthenticated");
    assert!(none.starts_with("no key was sent, expected a header of the form Authorization: Bearer"), "{none}");
    let wrong = format!("{}{}", &hook.header()[..hook.header().len() - 1], if hook.0.ends_with('a') { 'b' } else { 'a' });
    assert_eq!(ask("p-4", &wrong).problem(401, "unauthenticated"), "the key that was sent is none of this service");
    service.until("expiry", || ask("p-5", &brief.header()).status == 401);
    let expired = ask("p-6", &brief.header()).problem(401, "unauthenticated");
    assert!(expired.starts_with(&format!("the key {} expired at 20", brief.id())), "{expired}");
    let detail = ask("p-7", &ingest.header()).problem(403, "forbidden");
    assert_eq!(detail, format!("the key {} is for ingest, this needs hook", ingest.id()));
    for id in ["p-3", "p-4", "p-6", "p-7"] {
        let look = service.ask(&format!("GET /v1/decisions/{id}"), &[&hook.header()], "");
        assert!(look.problem(404, "not-found").len() > 5, "whoever was not let in left nothing behind");
    }
}

/// Planted: the header in a line that is logged for strangers; told.
#[test]
fn no_secret_is_in_the_log_or_in_an_answer() {
    let place = Place::new("");
    let (hook, brief) =
        (place.key(&["--name", "till", "--scope", "hook"]), place.key(&["--name", "brief", "--scope", "hook", "--expires", "1s"]));
    let service = place.run("trace", &["--listen", "127.0.0.1:0"]);
    let wrong = format!("weir_{}_{}", hook.id(), "S3cretS".repeat(7).get(..43).unwrap());
    let mut answers = String::new();
    service.until("expiry", || service.ask(HOOK, &[&brief.header()], &payment("p-0")).status == 401);
    for header in [&hook.header(), &brief.header(), &format!("authorization: Bearer {wrong}"), &format!("authorization: Basic {}", hook.0)]
    {
        for line in [HOOK, "GET /metrics", "GET /v1/streams/rejected", "GET /v1/nothing"] {
            let body = if line == HOOK { payment("p-1") } else { String::new() };
            answers += &format!("{:?}", service.ask(line, &[header], &body));
        }
    }
    // Where a key does not belong.
    answers += &format!("{:?}", service.ask(&format!("GET /v1/nothing?key={}", hook.0), &[], ""));
    answers +=
        &format!("{:?}", service.ask(HOOK, &[&format!("x-api-key: {}", hook.0)], &format!("{{\"id\":7,\"key\":\"{}\"", hook.secret())));
    place.done(&["keys", "revoke", hook.id(), "--data", "data"]);
    service.signal("HUP");
    service.logged(&format!("{} (till) revoked", hook.id()));
    answers += &format!("{:?}", service.ask(HOOK, &[&hook.header()], &payment("p-2")));
    let (status, log) = service.end();
    assert!(status.success() && log.contains("not let in: the key that was sent is none of this service"), "{log}");
    for secret in [hook.secret(), brief.secret(), &wrong[14..]] {
        assert!(!log.contains(secret), "{secret} in {log}");
        assert!(!answers.contains(secret), "{secret} in {answers}");
    }
}

/// Planted: every address taken for a loopback one; the service started, which was told.
#[test]
fn no_door_is_open_to_others_unless_somebody_says_so() {
    let place = Place::new("");
    let run = |listen: &'static str| ["run", "--data", "data", "-t", "small.toml", "--listen", listen];
    let bare = place.refused(&run("0.0.0.0:0"));
    for words in [
        "error: 0.0.0.0:0: found neither an API key in force nor TLS, expected keys and TLS where others reach the address",
        "weir keys add --name NAME --scope hook --file data/keys.json",
        "[security] tls_certificate = \"chain.pem\", tls_key = \"key.pem\"",
        "listen = \"127.0.0.1:0\"",
        "[security] insecure = true",
    ] {
        assert!(bare.contains(words), "{words} in {bare}");
    }
    let key = place.key(&["--name", "till", "--scope", "hook"]);
    assert!(place.refused(&run("[::]:0")).contains("error: [::]:0: found no TLS, expected"));
    place.done(&["keys", "revoke", key.id(), "--data", "data"]);
    Certificate::new().put(&place);
    place.write("small.toml", &format!("{SMALL}{TLS}"));
    assert!(place.refused(&run("0.0.0.0:0")).contains("found no API key in force, expected"), "a key that was revoked is none");
    assert!(!place.path("data/journal").exists(), "nothing was begun");

    let place = Place::new("[security]\ninsecure = true\n");
    let service = place.run("info", &["--listen", "0.0.0.0:0"]);
    assert_eq!(service.ask(HOOK, &["host: weir.example"], &payment("p-1")).status, 200);
    service.logged("WARN");
    let (status, log) = service.end();
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains("WARN")).collect();
    assert!(status.success() && warnings.len() == 1, "{log}");
    assert!(warnings[0].contains("insecure = true: at 0.0.0.0:0 nobody needs a key and nothing is encrypted"), "{log}");
}

/// Planted: the first byte not looked at, so that rustls' alert was the answer; the version in the answer. Both were told.
#[test]
fn plain_http_at_a_tls_port_learns_nothing() {
    let place = Place::new(&format!("{TLS}loopback_open = false\n"));
    let (certificate, key) = (Certificate::new(), place.key(&["--name", "till", "--scope", "hook"]));
    certificate.put(&place);
    let service = place.run("debug", &["--listen", "127.0.0.1:0"]);
    let reply = service.ask(HOOK, &[&key.header()], &payment("p-1"));
    let names: Vec<&str> = reply.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((reply.status, names), (400, vec!["content-type", "content-length", "connection"]));
    let document: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(document["detail"], "found plain HTTP, expected HTTPS: this port speaks TLS");
    assert_eq!(document.as_object().unwrap().len(), 4, "{document}");
    let mut caller = service.tls(&certificate).expect("trusted");
    caller.ask("GET /v1/decisions/p-1", &[&key.header()], "").problem(404, "not-found");
    assert_eq!(caller.ask(HOOK, &[&key.header()], &payment("p-1")).status, 200);
    let (_, log) = service.end();
    assert!(!log.contains(key.secret()), "{log}");
}

/// Planted: SIGHUP not listened to (it ended the service); keys read again, but not put in force; the old certificate kept. All were told.
#[test]
fn sighup_brings_new_keys_and_a_new_certificate_in_force() {
    let place = Place::new(TLS);
    let (first, second) = (place.key(&["--name", "one", "--scope", "hook"]), place.key(&["--name", "two", "--scope", "hook"]));
    let (old, new) = (Certificate::new(), Certificate::new());
    old.put(&place);
    let service = place.run("info", &["--listen", "0.0.0.0:0"]);
    let mut standing = service.tls(&old).expect("trusted");
    assert_eq!(standing.ask(HOOK, &[&first.header()], &payment("p-1")).status, 200);
    assert!(service.tls(&new).is_err(), "not yet");

    place.done(&["keys", "revoke", first.id(), "--data", "data"]);
    let third = place.key(&["--name", "three", "--scope", "hook"]);
    new.put(&place);
    service.signal("HUP");
    service.logged("asked to read keys and certificates again");
    service.logged(&format!("{} (one) revoked", first.id()));
    service.logged("certificate: ");

    let revoked = standing.ask(HOOK, &[&first.header()], &payment("p-2")).problem(401, "unauthenticated");
    assert_eq!(revoked, format!("the key {} was revoked", first.id()));
    assert_eq!(standing.ask(HOOK, &[&second.header()], &payment("p-3")).status, 200, "who was connected stays so");
    assert_eq!(standing.ask(HOOK, &[&third.header()], &payment("p-4")).status, 200);
    assert!(service.tls(&old).is_err(), "another certificate now");
    let mut fresh = service.tls(&new).expect("trusted");
    assert_eq!(fresh.ask(HOOK, &[&third.header()], &payment("p-5")).status, 200);
    drop((standing, fresh));
    let (status, log) = service.end();
    assert!(status.success() && log.contains("reload: "), "{log}");
}

/// Planted: no span around the start; a line of text before the first line of JSON; both were told. Caught, not planted: SIGHUP listened to
/// only after the service listened, so that one in between ended it.
#[test]
fn the_log_as_json_is_json_line_by_line_and_tells_the_phases() {
    let place = Place::new("[security]\ninsecure = true\n");
    let service = place.run("info", &["--listen", "0.0.0.0:0", "--json"]);
    service.signal("HUP");
    service.logged("asked to read keys and certificates again");
    assert_eq!(service.ask(HOOK, &[], &payment("p-1")).status, 200);
    let (status, log) = service.end();
    assert!(status.success());
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    for line in &lines {
        for member in ["timestamp", "level", "target"] {
            assert!(line[member].is_string(), "{member} of {line}");
        }
        assert!(line["fields"]["message"].is_string(), "{line}");
    }
    let warned = lines.iter().filter(|line| line["level"] == "WARN").count();
    assert_eq!(warned, 1, "{log}");
    let closed: Vec<&str> = lines
        .iter()
        .filter(|line| line["fields"]["message"] == "close" && line["fields"]["time.busy"].is_string())
        .filter_map(|line| line["span"]["name"].as_str())
        .collect();
    let phases: Vec<&str> = closed.into_iter().filter(|name| ["start", "reload", "drain", "end"].contains(name)).collect();
    assert_eq!(phases, ["start", "reload", "drain", "end"], "{log}");
}

/// Planted: `by_address` not looked at; the first request was served, which was told.
#[test]
fn a_web_page_is_not_served_where_no_key_is_needed() {
    let place = Place::new("");
    let key = place.key(&["--name", "console", "--scope", "hook"]);
    let service = place.run("info", &["--listen", "127.0.0.1:0"]);
    let rebound = format!("host: evil.example:{}", service.port);
    let host = format!("host: 127.0.0.1:{}", service.port);
    let detail = service.ask(HOOK, &[&rebound], &payment("p-1")).problem(403, "foreign");
    assert!(detail.contains("evil.example") && detail.contains("localhost") && detail.contains("weir keys add"), "{detail}");
    service.ask(HOOK, &[&host, "origin: https://evil.example"], &payment("p-2")).problem(403, "foreign");
    service.ask("GET /v1/streams/decisions", &[&host, "sec-fetch-site: cross-site"], "").problem(403, "foreign");
    assert_eq!(service.ask(HOOK, &[&host], &payment("p-3")).status, 200);
    assert_eq!(service.ask(HOOK, &[&rebound, "origin: https://evil.example", &key.header()], &payment("p-4")).status, 200);
    for id in ["p-1", "p-2"] {
        service.ask(&format!("GET /v1/decisions/{id}"), &[], "").problem(404, "not-found");
    }
}
