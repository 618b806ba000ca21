//! The command line.

use crate::schedule::{Arrivals, Step, parse_duration, parse_rate};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Parser)]
#[command(
    name = "weir-loadtest",
    version,
    about = "Open-loop load against the authorization hook of Weir",
    long_about = "Sends payments and transfers to POST /v1/authorizations at times that are fixed before the run, measures how long each caller \
waits counted from its own time (so that a stalled server cannot slow the load down and hide), and checks that one id has one answer.",
    after_help = "\
Exit codes: 0 every limit holds; 1 a limit does not hold, or answers differ; 2 not done.

Examples:
  weir-loadtest --rate 5000 --duration 60s --warmup 5s --fail-p99-ms 5 --fail-lost 0 --html report.html
  weir-loadtest --steps 3000:10s,15000:10s,3000:20s --retry-share 0.01 --reconcile --fail-settle-s 5
  weir-loadtest --rate 2000 --duration 9m --arrivals poisson --json > soak.json
  weir-loadtest --rate 2000 --duration 30s --answers answers.jsonl       # kill -9 the server meanwhile, start it again, then:
  weir-loadtest verify --answers answers.jsonl --wait-ready 30s
  weir simulate --out s.jsonl && weir-loadtest --events s.jsonl --restamp --rate 1000
  WEIR_KEY=… weir-loadtest --url https://10.0.0.5:8443 --ca ca.pem --i-own-this-host --rate 500 --duration 10s

`weir-loadtest kafka` does the same over topics; it is there when built with --features kafka.",
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true
)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub run: RunArguments,
}

#[derive(Subcommand)]
pub enum Command {
    Verify(VerifyArguments),
    #[cfg(feature = "kafka")]
    #[command(subcommand)]
    Kafka(crate::kafka::KafkaCommand),
}

/// Whom to speak to, and how.
#[derive(Args)]
pub struct ServerArguments {
    /// The server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", help_heading = "Server")]
    pub url: String,
    /// The API key; better in the environment, where no list of processes shows it
    #[arg(long, value_name = "KEY", env = "WEIR_KEY", hide_env_values = true, help_heading = "Server")]
    pub key: Option<String>,
    /// For https: the certificate that signed the server's, in PEM
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    pub ca: Option<PathBuf>,
    /// Keep-alive connections, at most
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096), help_heading = "Server")]
    pub connections: u16,
    /// For connecting, for an answer, and for waiting for a connection
    #[arg(long, value_name = "MS", default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..=600_000), help_heading = "Server")]
    pub timeout_ms: u64,
    /// Allow an address that is not this machine's loopback
    #[arg(long, help_heading = "Server")]
    pub i_own_this_host: bool,
}

#[derive(Args)]
pub struct RunArguments {
    #[command(flatten)]
    pub server: ServerArguments,

    /// Requests a second
    #[arg(long, value_name = "RATE", default_value = "1000", value_parser = parse_rate, help_heading = "Load")]
    pub rate: f64,
    /// How long; without it 10s, or as long as the events of --events last
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Load")]
    pub duration: Option<Duration>,
    /// Rates one after the other, instead of --rate and --duration
    #[arg(long, value_name = "RATE:TIME,…", value_delimiter = ',', conflicts_with_all = ["rate", "duration"], help_heading = "Load")]
    pub steps: Vec<Step>,
    /// Before the run, at its first rate; not measured
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_duration, help_heading = "Load")]
    pub warmup: Duration,
    /// How requests lie in a step
    #[arg(long, value_enum, default_value_t = Arrivals::Even, help_heading = "Load")]
    pub arrivals: Arrivals,
    /// Requests that may wait for a connection; more are counted as not sent
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000), help_heading = "Load")]
    pub queue: u32,
    /// The pacing thread sleeps until so long before a request is due, then spins
    #[arg(long, value_name = "US", default_value_t = 20, value_parser = clap::value_parser!(u64).range(0..=10_000), help_heading = "Load")]
    pub spin_us: u64,
    /// The longest run that is begun
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_duration, help_heading = "Load")]
    pub duration_max: Duration,
    /// The most requests with which a run is begun; each takes about a hundred bytes here
    #[arg(long, value_name = "N", default_value_t = 5_000_000, help_heading = "Load")]
    pub requests_max: u64,

    /// The header Weir-Deadline-Ms
    #[arg(long, value_name = "MS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=60_000), help_heading = "Requests")]
    pub deadline_ms: u64,
    /// Other events, other times of arrival, other repetitions
    #[arg(long, value_name = "S", default_value_t = 1, help_heading = "Requests")]
    pub seed: u64,
    /// Begins the id of every event, so that two runs do not collide [default: made from the time]
    #[arg(long, value_name = "TEXT", help_heading = "Requests")]
    pub prefix: Option<String>,
    /// Share of requests that send an earlier event again; its answer must have the same bytes
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = parse_share, help_heading = "Requests")]
    pub retry_share: f64,
    /// Share of requests that send an earlier id with another amount; they must be refused with 409
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = parse_share, help_heading = "Requests")]
    pub conflict_share: f64,
    /// Users of made events
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000), help_heading = "Requests")]
    pub users: u64,
    /// Merchants of made events
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000), help_heading = "Requests")]
    pub merchants: u64,
    /// Share of transfers among made events
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = parse_share, help_heading = "Requests")]
    pub transfer_share: f64,
    /// Send the payments and transfers in these JSON lines, one a request, instead of made ones
    #[arg(long, value_name = "FILE", help_heading = "Requests")]
    pub events: Option<PathBuf>,
    /// Give the events of --events the prefix before their id and the time of sending, so that they are neither old nor known
    #[arg(long, requires = "events", help_heading = "Requests")]
    pub restamp: bool,

    /// After the run ask for every acknowledged decision and compare its bytes
    #[arg(long, help_heading = "Afterwards")]
    pub reconcile: bool,
    /// Share of the ids that --reconcile asks for
    #[arg(long, value_name = "SHARE", default_value_t = 1.0, value_parser = parse_whole_share, requires = "reconcile", help_heading = "Afterwards")]
    pub reconcile_share: f64,
    /// Write one JSON line a request: what verify reads
    #[arg(long, value_name = "FILE", help_heading = "Afterwards")]
    pub answers: Option<PathBuf>,
    /// Keep the requests' bodies in --answers, so that verify can send them again
    #[arg(long, requires = "answers", help_heading = "Afterwards")]
    pub keep_requests: bool,
    /// Write a report that needs nothing but a browser
    #[arg(long, value_name = "FILE", help_heading = "Afterwards")]
    pub html: Option<PathBuf>,
    /// Print the report as one JSON object
    #[arg(long, help_heading = "Afterwards")]
    pub json: bool,
    /// A line for the report: what the server was, its durability, its disk
    #[arg(long, value_name = "TEXT", help_heading = "Afterwards")]
    pub note: Option<String>,

    /// 99th percentile of latency; requests without a decision count as endless
    #[arg(long, value_name = "MS", help_heading = "Limits (exit code 1)")]
    pub fail_p99_ms: Option<f64>,
    /// 99.9th percentile, likewise
    #[arg(long, value_name = "MS", help_heading = "Limits (exit code 1)")]
    pub fail_p999_ms: Option<f64>,
    /// 99th percentile of what the server says it took
    #[arg(long, value_name = "MS", help_heading = "Limits (exit code 1)")]
    pub fail_server_p99_ms: Option<f64>,
    /// Requests sent and never answered
    #[arg(long, value_name = "N", help_heading = "Limits (exit code 1)")]
    pub fail_lost: Option<u64>,
    /// Requests never sent
    #[arg(long, value_name = "N", help_heading = "Limits (exit code 1)")]
    pub fail_not_sent: Option<u64>,
    /// Answers that are stand-ins
    #[arg(long, value_name = "N", help_heading = "Limits (exit code 1)")]
    pub fail_fallback: Option<u64>,
    /// Answers with 4xx or 5xx, but 409 to conflicts
    #[arg(long, value_name = "N", help_heading = "Limits (exit code 1)")]
    pub fail_errors: Option<u64>,
    /// Seconds until a step that is slower than the one before it is normal again
    #[arg(long, value_name = "S", help_heading = "Limits (exit code 1)")]
    pub fail_settle_s: Option<u64>,
    /// A second is normal up to this 99th percentile, without stand-ins, 5xx, lost and unsent requests
    #[arg(long, value_name = "MS", default_value_t = 5.0, help_heading = "Limits (exit code 1)")]
    pub normal_p99_ms: f64,
}

/// Ask for every decision that an earlier run was given and compare
#[derive(Args)]
#[command(after_help = "\
Every acknowledged answer must be found with the same bytes; ids that were sent and never answered are asked for too, but may be there or not.

Exit codes: 0 all the same; 1 something lost, doubled, different or not to be learnt; 2 not done.

Examples:
  weir-loadtest verify --answers answers.jsonl --wait-ready 30s
  weir-loadtest verify --answers answers.jsonl --resend --json")]
pub struct VerifyArguments {
    #[command(flatten)]
    pub server: ServerArguments,
    /// What the earlier run wrote
    #[arg(long, value_name = "FILE")]
    pub answers: PathBuf,
    /// Send the request itself again, where the file keeps it, instead of asking for the decision
    #[arg(long)]
    pub resend: bool,
    /// The header Weir-Deadline-Ms of what is sent again
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    pub deadline_ms: u64,
    /// Wait so long for GET /readyz to say 200
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_duration)]
    pub wait_ready: Duration,
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
}

pub(crate) fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err(format!("share is {text:?}, expected 0 up to but not including 1")),
    }
}

fn parse_whole_share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err(format!("share is {text:?}, expected above 0, at most 1")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn verify_stands_beside_the_run() {
        let arguments = Arguments::try_parse_from(["weir-loadtest", "verify", "--answers", "a.jsonl"]).expect("parsed");
        assert!(matches!(arguments.command, Some(Command::Verify(verify)) if verify.wait_ready.is_zero()));
        let arguments = Arguments::try_parse_from(["weir-loadtest", "--steps", "1000:10s,3000:10s"]).expect("parsed");
        assert!(arguments.command.is_none() && arguments.run.steps.len() == 2);
        assert!(Arguments::try_parse_from(["weir-loadtest", "--steps", "1:1s", "--rate", "5"]).is_err());
        assert!(Arguments::try_parse_from(["weir-loadtest", "--retry-share", "1"]).is_err());
    }
}
