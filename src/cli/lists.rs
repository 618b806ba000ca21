//! `weir lists NAME`.

use super::at::At;
use super::say;
use std::process::ExitCode;

/// Entries that are asked for at once.
const AT_ONCE: usize = 1_000;

/// Show who stands on a list of a running service
#[derive(clap::Args)]
#[command(after_help = "\
One line an entry: kind and id – where their text is not known, or erased, the hash – since when and until when, separated by tabs. Lists are \
changed by POST /v1/lists/NAME.

Under WEIR_KEY stands a key with the scope supervisor or admin, where keys are needed.

Examples:
  weir lists stolen
  WEIR_KEY=… weir lists blocked --json --url https://weir.internal:8443 --ca ca.pem")]
pub struct Arguments {
    /// The list's name in the topology
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    at: At,
    /// Print every entry as one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let Arguments { name, at, json } = arguments;
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(format!("found {name:?}, expected the name of a list: letters, digits and _"));
    }
    let mut path = format!("/v1/lists/{name}?limit={AT_ONCE}");
    loop {
        let page = at.ask("GET", &path, "")?;
        let mut lines = String::new();
        for entry in page["entries"].as_array().into_iter().flatten() {
            let text = |key: &str, otherwise: &str| entry[key].as_str().unwrap_or(otherwise).to_owned();
            lines += &match json {
                true => format!("{entry}\n"),
                false => {
                    let id = text("id", entry["hash"].as_str().unwrap_or_default());
                    format!("{}\t{id}\t{}\t{}\n", text("kind", "unknown"), text("since", ""), text("until", "for good"))
                }
            };
        }
        say(&lines)?;
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/lists/{name}?limit={AT_ONCE}&after={next}"),
            None => return Ok(ExitCode::SUCCESS),
        }
    }
}
