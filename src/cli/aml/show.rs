//! `weir aml show`.

use super::{table, text};
use crate::cli::{say, texts, words};
use crate::engine::{Alert, AlertStatus};
use crate::event::{Currency, Id};
use crate::journal::DataDir;
use crate::render::{Evidence, PolicyTexts, View, alert, alert_id, grouped_money};
use crate::runtime::{Laundering, Listed};
use crate::typology::Kind;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// List the alerts of laundering, or show one with what proves it
#[derive(clap::Args)]
#[command(after_help = "\
Without ALERT_ID each alert of kind aml stands in a line, in its newest version; those that another one has taken in are left out. With it: what its transfers show, in a sentence for a report; \
who plays which part; and the transfers in their order. A source only or mostly pays, an intermediary takes and pays on, a sink only takes. \
Nothing is said but what the alert holds: where there are more transfers than it has room for, it says so.

Amounts are in the reporting currency, times in UTC.

Examples:
  weir replay transfers.jsonl --out kept && weir aml show --data kept
  weir aml show --data kept aml-7
  weir aml show --data kept aml-7 --svg aml-7.svg
  weir aml show --data kept --json | jq .typology")]
pub struct Arguments {
    /// The alert, as weir.alerts and the list have it
    #[arg(value_name = "ALERT_ID")]
    alert: Option<String>,
    /// The data directory
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// List those, too, that another alert has taken in
    #[arg(long, conflicts_with = "alert")]
    all: bool,
    /// Draw the alert into this file
    #[arg(long, value_name = "FILE.svg", requires = "alert")]
    svg: Option<PathBuf>,
    /// Print one JSON object an alert: of the list in short, of one alert as weir.alerts has it
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let number = arguments.alert.as_deref().map(|id| number(id).ok_or_else(|| unknown_id(id))).transpose()?;
    let laundering = Laundering::open(&arguments.data).map_err(words)?;
    let reporting = laundering.deciding.rates.reporting;
    let Some(number) = number else {
        let mut listed = laundering.list().map_err(words)?;
        listed.retain(|one| arguments.all || one.status != AlertStatus::Merged);
        return say(&if arguments.json { lines(&listed, reporting) } else { list(&listed, reporting, arguments) })
            .map(|()| ExitCode::SUCCESS);
    };
    let identity = texts(&DataDir::read(&arguments.data).map_err(words)?)?;
    let found = laundering.alert(number).map_err(words)?.ok_or_else(|| {
        let (dir, id) = (arguments.data.display(), alert_id(Kind::Aml, number, None));
        format!("{dir}: found no alert of laundering {id}, expected one of those that weir aml show --data {dir} lists")
    })?;
    let id_text = |id: Id| text(identity.as_ref(), id);
    let name = |id: Id| id_text(id).unwrap_or_else(|| id.to_string());
    let evidence = Evidence::of(&found, reporting);
    if let Some(path) = &arguments.svg {
        let picture = evidence.svg(&title(&found), &name);
        std::fs::write(path, picture).map_err(|error| format!("{}: cannot be written: {error}", path.display()))?;
    }
    say(&match arguments.json {
        true => {
            let deciding = &laundering.deciding;
            let policy = PolicyTexts::new(&deciding.policy, &deciding.aggregates, &deciding.lists, reporting);
            let cause = |_: &[u8; 16], cause| policy.cause(i64::from(cause), View::Internal);
            let mut line = Vec::new();
            alert(&found, None, reporting, &cause, &id_text, &mut line);
            String::from_utf8(line).expect("JSON is UTF-8") + "\n"
        }
        false => one(&found, &evidence, reporting, &name),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The number in an alert's id: what stands behind its last hyphen, or all.
fn number(id: &str) -> Option<u64> {
    id.rsplit('-').next()?.parse().ok()
}

fn unknown_id(id: &str) -> String {
    format!("ALERT_ID: found {id:?}, expected an id such as {}", alert_id(Kind::Aml, 7, None))
}

fn title(alert: &Alert) -> String {
    format!("{}: {}, score {}, {}", alert_id(Kind::Aml, alert.number, None), alert.typology.name(), alert.score, alert.status.name())
}

fn lines(listed: &[Listed], reporting: Currency) -> String {
    let line = |one: &Listed| -> Value {
        json!({
            "alert_id": alert_id(Kind::Aml, one.number, None),
            "version": one.version,
            "status": one.status.name(),
            "typology": one.typology.name(),
            "score": one.score,
            "accounts": one.accounts,
            "events": one.events,
            "money": {"amount": one.money_minor, "currency": reporting.code()},
            "first_event": one.first.to_string(),
            "last_event": one.last.to_string(),
        })
    };
    listed.iter().map(|one| format!("{}\n", line(one))).collect()
}

fn list(listed: &[Listed], reporting: Currency, arguments: &Arguments) -> String {
    if listed.is_empty() {
        return format!("{}: no alert of laundering\n", arguments.data.display());
    }
    let row = |one: &Listed| {
        vec![
            alert_id(Kind::Aml, one.number, None),
            one.typology.name().to_owned(),
            one.score.to_string(),
            one.accounts.to_string(),
            one.events.to_string(),
            grouped_money(one.money_minor.into(), reporting),
            minute(&one.first.to_string()),
            minute(&one.last.to_string()),
            one.status.name().to_owned(),
        ]
    };
    let head = ["alert", "typology", "score", "accounts", "transfers", reporting.code(), "first (UTC)", "last (UTC)", "status"];
    let to_the_right = [false, false, true, true, true, true, false, false, false];
    table(&head, &to_the_right, &listed.iter().map(row).collect::<Vec<_>>())
}

/// `2025-03-03 09:12`.
fn minute(time: &str) -> String {
    time.get(..16).unwrap_or(time).replace('T', " ")
}

fn one(alert: &Alert, evidence: &Evidence, reporting: Currency, name: &dyn Fn(Id) -> String) -> String {
    let mut out = format!("{}, version {}\n\n{}\n\n", title(alert), alert.version, wrapped(&evidence.sentence(name)));
    let money = |minor: i128| format!("{} {}", reporting.code(), grouped_money(minor, reporting));
    out += &format!("  {} transfers over {} in all", alert.events, money(alert.money_minor.into()));
    if let Some(percent) = evidence.conserved_percent() {
        out += &format!("; sources sent {}, of which {percent} % arrived or came back", money(evidence.sent_minor()));
    }
    out.push('\n');
    for typology in crate::typology::Typology::LAUNDERING.iter().filter(|typology| alert.typologies >> **typology as u32 & 1 != 0) {
        out += &format!("  {:<15} {}\n", typology.name(), typology.sentence());
    }
    out + "\n" + &evidence.text(name)
}

/// Lines of at most so many letters.
const LINE: usize = 110;

fn wrapped(text: &str) -> String {
    let mut out = String::new();
    let mut length = 0;
    for word in text.split(' ') {
        let letters = word.chars().count();
        if length > 0 && length + 1 + letters > LINE {
            out.push('\n');
            length = 0;
        } else if length > 0 {
            out.push(' ');
            length += 1;
        }
        out += word;
        length += letters;
    }
    out
}
