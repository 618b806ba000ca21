//! The command line of `weir-loadtest kafka`.

use crate::options::parse_share;
use crate::schedule::{parse_duration, parse_rate};
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// Send events over a topic, measure until decisions are visible, find out whether every event has its one decision
#[derive(Subcommand)]
pub enum KafkaCommand {
    Produce(ProduceArguments),
    Measure(MeasureArguments),
    Reconcile(ReconcileArguments),
}

/// Whom to speak to, and how.
#[derive(Args)]
pub struct BrokerArguments {
    /// The brokers to begin with, as HOST:PORT
    #[arg(long, value_name = "LIST", env = "KAFKA_BOOTSTRAP", default_value = "127.0.0.1:29092", help_heading = "Broker")]
    pub brokers: String,
    /// An option of librdkafka, such as linger.ms=1; may be given several times
    #[arg(short = 'X', value_name = "KEY=VALUE", value_parser = parse_option, help_heading = "Broker")]
    pub options: Vec<(String, String)>,
    /// Allow brokers that are not at this machine's loopback
    #[arg(long, help_heading = "Broker")]
    pub i_own_this_host: bool,
}

/// What is sent, and when.
#[derive(Args)]
pub struct TrafficArguments {
    #[command(flatten)]
    pub broker: BrokerArguments,
    /// The topic of events
    #[arg(long, value_name = "TOPIC", default_value = "weir.events", help_heading = "Broker")]
    pub topic: String,
    /// After so long without acknowledgement a record is given up; longer than any outage that is to be lived through
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_duration, help_heading = "Broker")]
    pub delivery_timeout: Duration,

    /// Events a second
    #[arg(long, value_name = "RATE", default_value = "1000", value_parser = parse_rate, help_heading = "Load")]
    pub rate: f64,
    /// How many events, those of the warm-up not counted
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000), help_heading = "Load")]
    pub events: u64,
    /// Before them, at the same rate; not measured
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_duration, help_heading = "Load")]
    pub warmup: Duration,

    /// Other events
    #[arg(long, value_name = "S", default_value_t = 1, help_heading = "Events")]
    pub seed: u64,
    /// Begins the id of every event, so that two runs do not collide [default: made from the time]
    #[arg(long, value_name = "TEXT", help_heading = "Events")]
    pub prefix: Option<String>,
    /// Users
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000), help_heading = "Events")]
    pub users: u64,
    /// Merchants; each has ten items
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000), help_heading = "Events")]
    pub merchants: u64,
    /// Share of payments
    #[arg(long, value_name = "SHARE", default_value_t = 0.4, value_parser = parse_share, help_heading = "Events")]
    pub payment_share: f64,
    /// Share of transfers
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, value_parser = parse_share, help_heading = "Events")]
    pub transfer_share: f64,
    /// Share of sessions; what is left are interactions
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, value_parser = parse_share, help_heading = "Events")]
    pub session_share: f64,

    /// Write one JSON line for each payment and transfer that was acknowledged: id, key, partition, offset
    #[arg(long, value_name = "FILE", help_heading = "Afterwards")]
    pub ids: Option<PathBuf>,
    /// Print the report as one JSON object
    #[arg(long, help_heading = "Afterwards")]
    pub json: bool,
}

/// Send events to a topic at times that are fixed before the run
#[derive(Args)]
#[command(after_help = "\
A record's timestamp is when it was due, whatever held it up since; its key is the user, or the paying account of a transfer.

Exit codes: 0 every event was acknowledged; 1 some were not; 2 not done.

Examples:
  weir-loadtest kafka produce --rate 5000 --events 300000
  weir-loadtest kafka produce --rate 30000 --events 2000000 --ids ids.jsonl --json
  weir-loadtest kafka produce --rate 1000000 --events 500000              # as fast as it goes")]
pub struct ProduceArguments {
    #[command(flatten)]
    pub traffic: TrafficArguments,
}

/// Send events and measure how long after it was due each decision is visible
#[derive(Args)]
#[command(after_help = "\
From when the event was due (its record's timestamp) to when a consumer with isolation.level=read_committed has the decision in hand.

Exit codes: 0 every event was acknowledged and decided and every limit holds; 1 not so; 2 not done.

Examples:
  weir-loadtest kafka measure --rate 5000 --events 300000 --warmup 10s --fail-p99-ms 250
  weir-loadtest kafka measure --rate 30000 --events 900000 --warmup 5s --json > through.json")]
pub struct MeasureArguments {
    #[command(flatten)]
    pub traffic: TrafficArguments,
    /// The topic of decisions
    #[arg(long, value_name = "TOPIC", default_value = "weir.decisions", help_heading = "Broker")]
    pub decisions: String,
    /// How long to wait for the last decisions after the last event
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration, help_heading = "Load")]
    pub drain: Duration,
    /// 99th percentile from due to visible; events without a decision count as endless
    #[arg(long, value_name = "MS", help_heading = "Limits (exit code 1)")]
    pub fail_p99_ms: Option<f64>,
    /// Events a second that went through, from the first that is measured to the last decision
    #[arg(long, value_name = "RATE", help_heading = "Limits (exit code 1)")]
    pub fail_rate_below: Option<f64>,
}

/// Read the topics from their beginning and find out whether each payment and transfer has its one decision
#[derive(Args)]
#[command(after_help = "\
Meant for topics at rest: what is still being decided is missing, unless it comes within --wait. Read are committed records only.

Exit codes: 0 nothing is wrong; 1 something is; 2 not done.

Examples:
  weir-loadtest kafka reconcile --wait 30s
  weir replay --help                                     # the outputs of the journal that a run leaves behind
  weir tail decisions --data weir-data > replayed.jsonl && weir-loadtest kafka reconcile --replay replayed.jsonl --json")]
pub struct ReconcileArguments {
    #[command(flatten)]
    pub broker: BrokerArguments,
    /// The topic of events
    #[arg(long, value_name = "TOPIC", default_value = "weir.events", help_heading = "Broker")]
    pub events: String,
    /// The topic of decisions
    #[arg(long, value_name = "TOPIC", default_value = "weir.decisions", help_heading = "Broker")]
    pub decisions: String,
    /// The topic of input that was refused, which needs no decision; may be absent
    #[arg(long, value_name = "TOPIC", default_value = "weir.rejected", help_heading = "Broker")]
    pub rejected: String,
    /// Decisions as JSON lines, as `weir tail decisions` prints them: the topic must hold the same bytes
    #[arg(long, value_name = "FILE")]
    pub replay: Option<PathBuf>,
    /// How long to wait for decisions that are missing at the end
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_duration)]
    pub wait: Duration,
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
}

fn parse_option(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("found {text:?}, expected KEY=VALUE")),
    }
}

#[cfg(test)]
mod tests {
    use crate::options::{Arguments, Command};
    use clap::Parser;

    #[test]
    fn the_commands_stand_beside_the_run() {
        let parsed = |text: &str| Arguments::try_parse_from(text.split(' '));
        for name in ["produce", "measure", "reconcile"] {
            let arguments = parsed(&format!("weir-loadtest kafka {name} --brokers localhost:1 -X a.b=c=d"));
            assert!(arguments.is_ok_and(|arguments| matches!(arguments.command, Some(Command::Kafka(_)))), "{name}");
        }
        assert!(parsed("weir-loadtest kafka produce -X nothing").is_err());
        assert!(parsed("weir-loadtest --rate 5").is_ok_and(|arguments| arguments.command.is_none()));
    }
}
