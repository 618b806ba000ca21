//! How a service is started, as a process or in this one, and how it is asked: small, in a folder of its own.

use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use weir::metrics::Metrics;
use weir::runtime::Service;
use weir::topology::{Layer, Topology};

/// What takes little memory and is started in no time.
pub const SMALL: &str = "\
[limits]
nodes_max = 20_000
ids_max = 200_000
[limits.money]
rows_max = 200_000
warm_nodes_max = 2_000
pairs_max = 20_000
late_rows_max = 50_000
events_per_day = 1_000
[limits.access]
rows_max = 1_000
warm_nodes_max = 100
late_rows_max = 100
events_per_day = 10
[limits.interest]
rows_max = 1_000
warm_nodes_max = 100
late_rows_max = 100
events_per_day = 10
";

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with a topology, `small.toml`, and what services keep.
pub struct Room(TempDir);

impl Room {
    /// `more` is laid over the small topology.
    pub fn new(more: &str) -> Room {
        let room = Room(tempfile::tempdir().unwrap());
        room.write("small.toml", &format!("{SMALL}{more}"));
        room
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// The program, in this folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.args(arguments).current_dir(self.0.path()).env_remove("WEIR_LOG");
        command
    }

    pub fn weir(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What the command prints; it must end well.
    pub fn done(&self, arguments: &[&str]) -> String {
        let output = self.weir(arguments);
        assert!(output.status.success(), "weir {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What the command prints as JSON; it must end well.
    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.done(arguments)).unwrap()
    }

    /// A service whose data are in `data`, at an address of its choice; its log is [`Room::log`].
    pub fn service(&self, data: &str, more: &[&str]) -> Command {
        let listen = if more.contains(&"--listen") { &[][..] } else { &["--listen", "127.0.0.1:0"] };
        let mut command = self.command(&["run", "-t", "small.toml", "--data", data]);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.path(&format!("{data}.log"))).unwrap();
        command.args(listen).args(more).stdout(Stdio::piped()).stderr(log);
        command
    }

    /// Starts a service and waits until it listens.
    pub fn start(&self, data: &str, more: &[&str]) -> Running {
        let mut child = self.service(data, more).spawn().unwrap();
        let address = address(&mut child).unwrap_or_else(|line| panic!("found {line:?}, expected where it listens\n{}", self.log(data)));
        Running { child, address }
    }

    /// What services with this data directory said.
    pub fn log(&self, data: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{data}.log"))).unwrap_or_default()
    }
}

/// Where a service that was spawned listens: the first line that it prints says so. `Err` is a line that does not.
pub fn address(child: &mut Child) -> Result<String, String> {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.strip_prefix("listening on ").and_then(|rest| rest.split_once("://")?.1.split(',').next());
    address.map(str::to_owned).ok_or(line)
}

/// A service, which ends with it.
pub struct Running {
    pub child: Child,
    pub address: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Gone already in most tests.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn caller(&self) -> Caller {
        Caller::new(&self.address).expect("it listens")
    }

    /// Status and what the body says, asked over a connection of its own.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let (status, body) = self.caller().ask(method, path, body).expect("an answer");
        (status, serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&body))))
    }

    /// The figure of this name, with its labels; `None` where there is none.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let (_, text) = self.caller().ask("GET", "/metrics", "").expect("an answer");
        let text = String::from_utf8(text).unwrap();
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    /// Waits until `what` holds.
    pub fn until(&self, what: impl Fn(&Running) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !what(self) {
            assert!(Instant::now() < until, "it does not come");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the standby follows and lacks nothing.
    pub fn caught_up(&self) {
        self.until(|running| {
            let detail = running.ask("GET", "/readyz", "").1["detail"].as_str().unwrap_or_default().to_owned();
            detail.starts_with("following") && detail.ends_with(", 0 records behind")
        });
    }

    /// Asks it to end as a supervisor does.
    pub fn terminate(&self) {
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success());
    }

    /// Ends it in order.
    pub fn end(mut self) {
        self.terminate();
        assert!(self.child.wait().unwrap().success());
    }

    /// Ends it by SIGKILL: nothing in the process gets to run.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// What was said to a request.
pub struct Answer {
    pub status: u16,
    /// By their names in small letters.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// One connection, kept alive.
pub struct Caller(BufReader<TcpStream>);

impl Caller {
    /// `None` where nobody listens.
    pub fn new(address: &str) -> Option<Caller> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Some(Caller(BufReader::new(stream)))
    }

    /// Status and body; `None` where the connection broke.
    pub fn ask(&mut self, method: &str, path: &str, body: &str) -> Option<(u16, Vec<u8>)> {
        let answer = self.ask_within(5_000, method, path, body)?;
        Some((answer.status, answer.body))
    }

    /// As [`Caller::ask`], with another deadline.
    pub fn ask_within(&mut self, deadline_ms: u32, method: &str, path: &str, body: &str) -> Option<Answer> {
        self.ask_with(&format!("Weir-Deadline-Ms: {deadline_ms}"), method, path, body)
    }

    /// As [`Caller::ask`], with a header of one's own in place of the deadline.
    pub fn ask_with(&mut self, header: &str, method: &str, path: &str, body: &str) -> Option<Answer> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{header}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.get_mut().write_all(head.as_bytes()).ok()?;
        let mut line = String::new();
        self.0.read_line(&mut line).ok()?;
        let status = line.split(' ').nth(1)?.parse().ok()?;
        let mut headers = BTreeMap::new();
        loop {
            line.clear();
            self.0.read_line(&mut line).ok()?;
            if line == "\r\n" {
                break;
            }
            let (name, value) = line.split_once(':')?;
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let mut body = vec![0; headers.get("content-length").map_or(Some(0), |length| length.parse().ok())?];
        self.0.read_exact(&mut body).ok()?;
        Some(Answer { status, headers, body })
    }
}

/// The small topology with `more` laid over it.
pub fn topology(more: &str) -> Topology {
    let text = format!("{SMALL}{more}");
    Topology::parse(&[Layer { name: "small", text: &text, folder: Path::new("") }]).unwrap()
}

/// A service of the small topology in this process.
pub fn start(dir: &Path) -> Arc<Service> {
    Arc::new(Service::start(&topology(""), dir, &Metrics::new("test"), false).unwrap())
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// This moment as events say it.
pub fn now() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    weir::event::Timestamp(since.as_micros() as i64).to_string()
}
