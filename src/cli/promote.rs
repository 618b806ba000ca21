//! `weir promote`.

use super::{FOUND, say};
use crate::runtime::Peer;
use serde_json::Value;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// A standby waits for what its old leader recorded as long as records come, and a standby that was far behind may have many to take.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// Make the leader of a standby
#[derive(clap::Args)]
#[command(after_help = "\
The standby tells its old leader that it leads no more, takes what that one recorded until then, and answers from the same address at once. \
An old leader that is gone is told when it comes back. One that runs and cannot be reached goes on answering: there is no quorum, so see to \
it that nothing reaches it before you promote.

It is refused where the standby is more than 5,000 records behind, and where the old leader neither answers nor refuses connections; --force \
promotes all the same. The exit code is 0 where the old leader is fenced and nothing is missing, 1 where this standby leads and one of both \
does not hold, 2 where it does not lead.

Under WEIR_KEY stands a key with the scope admin, where keys are needed.

Examples:
  weir promote --url http://127.0.0.1:8081
  WEIR_KEY=… weir promote --url https://standby.internal:8443 --ca ca.pem")]
pub struct Arguments {
    /// Where the standby listens
    #[arg(long, value_name = "URL")]
    url: String,
    /// Certificates that an https address is checked against
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Promote also where what was answered may be missing, or the old leader may live without answering
    #[arg(long)]
    force: bool,
    /// Print what came of it as one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let peer = Peer::new(&arguments.url, std::env::var("WEIR_KEY").ok().as_deref(), arguments.ca.as_deref())?;
    let path = if arguments.force { "/v1/promote?force=true" } else { "/v1/promote" };
    let (status, text) = peer.answer("POST", path, "", PATIENCE).map_err(|error| format!("{peer}: {error}"))?;
    let told: Value = serde_json::from_str(&text).map_err(|error| format!("{peer}: status {status}, and no JSON: {error}"))?;
    if status != 200 {
        return Err(format!("{peer}: {}", told["detail"].as_str().unwrap_or(&text)));
    }
    let fenced = told["old_leader_fenced"] == true;
    if arguments.json {
        say(&format!("{told}\n"))?;
    } else {
        let (epoch, records, seconds) = (&told["epoch"], &told["records"], told["seconds"].as_f64().unwrap_or_default());
        say(&format!("{peer} leads epoch {epoch} from record {records} on, after {seconds:.3} s\n"))?;
    }
    if !fenced {
        eprintln!("the old leader was not reached and is not fenced: see to it that nothing reaches it; it is told when it comes back");
    }
    let missing = told["missing"].as_u64().unwrap_or_default();
    if missing > 0 {
        eprintln!(
            "MISSING: {missing} records of the old leader did not come. What it answered for them is known only in its data directory: keep it, \
             and settle them by hand (weir journal export)"
        );
    }
    Ok(if fenced && missing == 0 { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}
