//! `weir demo`.

use super::{is_watched, log_to_stderr, say, words};
use crate::api;
use crate::doors::Doors;
use crate::metrics::Metrics;
use crate::priority::come_promptly;
use crate::runtime::{Demo, DemoOptions, Peer, Stage, service_bill};
use crate::sim::company::PEOPLE_MIN;
use crate::sim::company::people::PEOPLE_MAX;
use crate::topology::{Bill, Sizes, Topology, grouped, parse_duration};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Look at Weir at work: engine, simulated company in real time, API and a page
#[derive(clap::Args)]
#[command(after_help = "\
Everything runs in this process: a company whose people browse, pay and send money, with some fraud among them, and the service that judges \
it as `weir run` would. Open the page that it names: what happens now, what needs attention and why, buttons that start attacks. The API is \
that of `weir run`. Ctrl-C ends it; its data stay, and the next demo goes on with them.

A directory that is begun gets a past first: up to an hour of the company, at most 400,000 events, is recorded and judged before the page \
opens, so that windows, graph and alerts are those of a company at work.

The tables are those of a day at the default 300 events/s: a faster demo remembers less than a day. They take some GiB; a layer (-t) makes \
them smaller. With --speed the company's hours and habits pass so many times as fast, and so many times as many events come; their times \
follow your clock.

With --attack, a demo that runs at --listen already is asked to begin it; else one starts and begins with it.

Examples:
  weir demo
  weir demo --attack device-farm
  weir demo --speed 10 --people 5000000
  weir demo --rate 2000 --for 60s --listen 127.0.0.1:9000 --data /tmp/weir-demo")]
pub struct Arguments {
    /// Begin this attack: card-testing, device-farm, stolen-card, account-takeover, compromised-shop, synthetic-identities, laundering
    #[arg(long, value_name = "NAME", value_parser = Demo::offers)]
    attack: Option<String>,
    /// Events a second on the mean of a day: nights are quieter, evenings busier
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=20_000))]
    rate: u64,
    /// Seconds of the company in a second
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    speed: u32,
    /// Customers of the company
    #[arg(long, value_name = "N", default_value_t = 1_000_000,
          value_parser = clap::value_parser!(u32).range(i64::from(PEOPLE_MIN)..=i64::from(PEOPLE_MAX)))]
    people: u32,
    /// Where to listen [default: authorize.listen]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where journal, outputs and texts are kept; another demo's are gone on with
    #[arg(long, value_name = "DIR", default_value = "weir-demo")]
    data: PathBuf,
    /// A topology file laid over the demo's own; may be given several times
    #[arg(short = 't', long = "topology", value_name = "FILE")]
    topology: Vec<PathBuf>,
    /// End after so long, such as 60s
    #[arg(long = "for", value_name = "TIME", value_parser = length)]
    length: Option<Duration>,
}

/// How long another demo may take to say that an attack begins.
const ASK_PATIENCE: Duration = Duration::from_secs(5);

pub fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    log_to_stderr(false, "warn");
    let topology = Topology::load_over(&[Demo::layer()], &arguments.topology).map_err(words)?;
    let listen = arguments.listen.unwrap_or(topology.authorize.listen);
    if let Some(name) = &arguments.attack
        && let Some(told) = begin_elsewhere(listen, name)?
    {
        say(&format!("{told}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let bytes = Bill::of(&topology.deciding.limits, topology.batch_events_max, &Sizes::of(&topology.deciding)).bytes();
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    if let Some(available) = memory_available().filter(|available| *available < bytes) {
        return Err(format!(
            "found {:.1} GiB of memory available, expected the {:.1} GiB of the demo's tables: lay smaller [limits] over them (-t FILE)",
            gib(available),
            gib(bytes)
        ));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("door")
        .on_thread_start(come_promptly)
        .build()
        .map_err(words)?;
    let listener = runtime
        .block_on(TcpListener::bind(listen))
        .map_err(|error| format!("listening on {listen}: {error}; another address is given with --listen"))?;
    let url = format!("http://{}", listener.local_addr().map_err(words)?);
    let (data, at_most) = (arguments.data.display(), service_bill(&topology).bytes());
    say(&format!(
        "Weir, a demonstration: a company of {} people, about {} events a second\n  memory  {:.1} GiB of tables, touched now; at most {:.1} \
         GiB beside them\n  data    {data}\n",
        arguments.people,
        arguments.rate * u64::from(arguments.speed),
        gib(bytes),
        gib(at_most)
    ))?;
    let metrics = Metrics::new(crate::ENGINE_VERSION);
    let doors = Arc::new(Doors::open(listen, &topology.security, &arguments.data)?);
    let options = DemoOptions {
        people: arguments.people,
        rate: arguments.rate,
        speed: arguments.speed,
        deadline: topology.http.deadline_default,
        attack: arguments.attack.clone(),
    };
    let http = topology.http.clone();
    let stage = Stage::set(topology, &arguments.data, &options, &metrics, is_watched());
    let stage = stage.map_err(|why| format!("{why}\nremove {data} to begin anew, or give another directory with --data"))?;
    if let Some(past) = stage.past {
        let (minutes, took) = (past.length.as_secs_f64() / 60.0, past.took.as_secs_f64());
        say(&format!("  past    the company's last {minutes:.0} minutes: {} events, judged in {took:.1} s\n", grouped(past.events)))?;
    }
    let node = stage.node.clone();
    node.reached_at(&url);
    let demo = Demo::start(stage, &options, runtime.handle().clone())?;
    say(&format!("  page    {url}/\nCtrl-C ends it.\n"))?;
    let played = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(words)?;
        let mut playing = Some(demo);
        let mut played = None;
        let watching = tokio::spawn({
            let node = node.clone();
            async move { node.watch().await }
        });
        let shutdown = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
                () = ended(arguments.length) => {}
            }
            // The company stops before the doors close, so that nothing of it is refused.
            played = playing.take().map(|demo| tokio::task::block_in_place(|| demo.end()));
        };
        api::serve_over(listener, doors.clone(), node.clone(), doors.gate(), http, metrics, shutdown).await;
        watching.abort();
        Ok::<_, String>(played)
    })?;
    let ended = node.end();
    if let (Some(ended), Some(played)) = (ended, played) {
        say(&format!(
            "\nended: {} events sent, {} not taken; {} records in {data}\n  weir journal verify {data}\n  weir tail decisions --data {data} | \
             head\n",
            played.sent, played.lost, ended.records
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn ended(length: Option<Duration>) {
    match length {
        Some(length) => tokio::time::sleep(length).await,
        None => std::future::pending().await,
    }
}

/// Asks a demo that runs at `listen` to begin an attack: what it says, or `None` where nobody listens there.
fn begin_elsewhere(listen: SocketAddr, name: &str) -> Result<Option<String>, String> {
    let peer = Peer::new(&format!("http://{listen}"), std::env::var("WEIR_KEY").ok().as_deref(), None)?;
    match peer.answer("POST", &format!("/v1/demo/attacks/{name}"), "", ASK_PATIENCE) {
        Ok((202, _)) => Ok(Some(format!("{name} begins at {peer}: see {peer}/"))),
        Ok((status, text)) => {
            let told: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            Err(format!("{peer}: status {status}: {}", told["detail"].as_str().unwrap_or(&text)))
        }
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => Ok(None),
        Err(error) => Err(format!("{peer}: {error}")),
    }
}

fn length(text: &str) -> Result<Duration, String> {
    let length = parse_duration(text).filter(|length| length.0 > 0);
    length.map(|length| Duration::from_micros(length.0 as u64)).ok_or_else(|| "expected a length of time such as 60s or 5m".to_owned())
}

/// Bytes that the system can give without taking them from others, where it says so.
fn memory_available() -> Option<u64> {
    available(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::{available, length};
    use crate::runtime::{Demo, check_rules};
    use crate::topology::Topology;
    use std::time::Duration;

    #[test]
    fn lengths_have_units() {
        assert_eq!(length("90s"), Ok(Duration::from_secs(90)));
        assert!(length("0s").is_err() && length("90").is_err());
    }

    #[test]
    fn available_memory_is_read() {
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:   2048 kB\n"), Some(2 << 20));
        assert_eq!(available("MemTotal: 9 kB\n"), None);
    }

    #[test]
    fn the_demos_own_layer_is_sound() {
        let topology = Topology::load_over(&[Demo::layer()], &[]).expect("sound");
        assert_eq!(check_rules(&topology), [""; 0]);
        // A day at the default rate: 42 in 100 events are payments and transfers.
        assert!(u64::from(topology.deciding.limits.families[0].rows_max) >= 300 * 86_400 * 42 / 100);
    }
}
