//! `weir keys add|list|revoke`.

use super::{say, words};
use crate::api::Scope;
use crate::doors::{KEYS_NAME, Key, Keys, State, change_keys, load_keys};
use crate::topology::parse_duration;
use clap::Subcommand;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::{SignedDuration, Timestamp};
use std::fs;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

/// Make, show and take back the keys of those who may come in
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  weir keys add --name 'payments platform' --scope hook --expires 90d --data kept
  weir keys list --data kept
  weir keys revoke 4fQ9zK2b --data kept

A service that runs takes changes over within a second. A key is sent as: Authorization: Bearer weir_...")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a key and print it, this one time: only its hash is kept
    #[command(after_help = "\
Scopes:
  hook         ask for authorizations, report how their step-ups ended
  ingest       send events that nobody waits for
  subscriber   read the streams, without what is internal
  analyst      read decisions and streams with what is internal
  supervisor   as analyst, and settle what analysts propose
  admin        everything that concerns the running of the service

Examples:
  weir keys add --name 'payments platform' --scope hook --scope ingest --expires 90d --data kept
  KEY=$(weir keys add --name loadtest --scope hook --expires 1d --file keys.json)

To change a key's secret: add a second one, hand it over, revoke the first.")]
    Add {
        /// Whose key it is; it stands in lists and logs
        #[arg(long)]
        name: String,
        /// What it is good for; may be repeated
        #[arg(long = "scope", value_name = "SCOPE", required = true, value_delimiter = ',', value_parser = scopes())]
        scopes: Vec<Scope>,
        /// How long it is in force, such as 90d or 12h [default: until it is revoked]
        #[arg(long, value_name = "TIME", value_parser = lifetime)]
        expires: Option<SignedDuration>,
        #[command(flatten)]
        place: Place,
    },
    /// Show all keys and how they stand
    #[command(
        after_help = "Examples:\n  weir keys list --data kept\n  weir keys list --data kept --json | jq '.[] | select(.state != \"valid\")'"
    )]
    List {
        /// Print one JSON array
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Take a key back; it stays in the list
    #[command(after_help = "Example:\n  weir keys revoke 4fQ9zK2b --data kept")]
    Revoke {
        /// The key's id, as `weir keys list` shows it
        id: String,
        #[command(flatten)]
        place: Place,
    },
}

/// Where the keys stand.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Place {
    /// The data directory of the service: its keys.json
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The file of keys, where the topology names one: [security] keys
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Place {
    fn path(&self) -> PathBuf {
        match (&self.file, &self.data) {
            (Some(file), _) => file.clone(),
            (None, data) => data.clone().unwrap_or_default().join(KEYS_NAME),
        }
    }
}

fn scopes() -> impl TypedValueParser<Value = Scope> {
    PossibleValuesParser::new(Scope::ALL.map(Scope::name)).map(|name| Scope::parse(&name).expect("one of the names"))
}

fn lifetime(text: &str) -> Result<SignedDuration, String> {
    let length = parse_duration(text).map(|length| SignedDuration::from_micros(length.0));
    length.filter(|length| length.as_secs() > 0).ok_or_else(|| "expected a length of time such as \"90d\" or \"12h\"".to_owned())
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    // What was changed is told as the service tells it, so that both can be kept together. A second one to listen is no harm.
    let _ = tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).with_target(false).try_init();
    done(arguments, Timestamp::now())
}

fn done(arguments: &Arguments, now: Timestamp) -> Result<ExitCode, String> {
    match &arguments.command {
        Command::Add { name, scopes, expires, place } => {
            if let Some(data) = &place.data {
                fs::create_dir_all(data).map_err(|error| format!("{}: cannot be made: {error}", data.display()))?;
            }
            let path = place.path();
            let added = change_keys(&path, |keys| {
                let secret = keys.add(name, scopes, *expires, now)?;
                Ok((secret, keys.as_slice().last().cloned()))
            });
            let (secret, key) = added.map_err(words)?;
            let until = key.and_then(|key| key.expires).map_or_else(|| "never".to_owned(), |at| at.to_string());
            let names = scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(",");
            tracing::info!(key = secret.id(), name, scopes = names, expires = until, file = %path.display(), "key added");
            say(&format!("{}\n", secret.reveal()))?;
            if io::stdout().is_terminal() {
                eprintln!("This is the only time that the key is shown.");
            }
        }
        Command::List { json, place } => {
            let path = place.path();
            let keys = load_keys(&path)?.unwrap_or_default();
            match json {
                true => say(&format!("{:#}\n", array(&keys, now)))?,
                false if keys.as_slice().is_empty() => say(&format!("no keys in {}\n", path.display()))?,
                false => say(&table(&keys, now))?,
            }
        }
        Command::Revoke { id, place } => {
            let path = place.path();
            let revoked = change_keys(&path, |keys| Ok((keys.revoke(id, now)?, keys.as_slice().iter().find(|key| key.id == *id).cloned())));
            let (first, key) = revoked.map_err(|what| format!("{}: {what}", path.display()))?;
            let name = key.map(|key| key.name).unwrap_or_default();
            match first {
                true => tracing::info!(key = id, name, file = %path.display(), "key revoked"),
                false => eprintln!("{id} ({name}) was revoked before"),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The keys in columns as wide as what they hold.
fn table(keys: &Keys, now: Timestamp) -> String {
    let mut rows = vec![["id", "name", "scopes", "created", "state"].map(str::to_owned)];
    for key in keys.as_slice() {
        let scopes = key.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(",");
        rows.push([key.id.clone(), key.name.clone(), scopes, day(key.created), stands(key, now)]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths = [0, 1, 2, 3].map(width);
    let line = |row: &[String; 5]| {
        let [id, name, scopes, created, state] = row;
        format!("{id:<0$}  {name:<1$}  {scopes:<2$}  {created:<3$}  {state}\n", widths[0], widths[1], widths[2], widths[3])
    };
    rows.iter().map(line).collect()
}

fn array(keys: &Keys, now: Timestamp) -> serde_json::Value {
    let object = |key: &Key| {
        serde_json::json!({
            "id": key.id,
            "name": key.name,
            "scopes": key.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>(),
            "created": key.created.to_string(),
            "expires": key.expires.map(|at| at.to_string()),
            "revoked": key.revoked.map(|at| at.to_string()),
            "state": match key.state(now) {
                State::Valid => "valid",
                State::Expired(_) => "expired",
                State::Revoked(_) => "revoked",
            },
        })
    };
    keys.as_slice().iter().map(object).collect()
}

fn stands(key: &Key, now: Timestamp) -> String {
    match (key.state(now), key.expires) {
        (State::Revoked(at), _) => format!("revoked {}", day(at)),
        (State::Expired(at), _) => format!("expired {} ago", span(now.duration_since(at))),
        (State::Valid, Some(at)) => format!("valid, expires in {}", span(at.duration_since(now))),
        (State::Valid, None) => "valid".to_owned(),
    }
}

fn day(moment: Timestamp) -> String {
    moment.to_string().chars().take(10).collect()
}

/// A length of time as somebody would say it; rounded down.
fn span(length: SignedDuration) -> String {
    match (length.as_hours(), length.as_mins()) {
        (hours @ 48.., _) => format!("{} days", hours / 24),
        (hours @ 2.., _) => format!("{hours} hours"),
        (_, minutes) => format!("{minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn parsed(words: &[&str]) -> Result<Arguments, String> {
        Line::try_parse_from([&["keys"], words].concat()).map(|line| line.arguments).map_err(|error| error.to_string())
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("a moment")
    }

    #[test]
    fn the_table_tells_how_each_key_stands() {
        let mut keys = Keys::default();
        let mut add = |name: &str, lifetime: Option<i64>| {
            keys.add(name, &[Scope::Hook, Scope::Ingest], lifetime.map(SignedDuration::from_hours), at(0)).expect("added").id().to_owned()
        };
        let ids = [add("platform", None), add("Åsa", Some(24 * 90)), add("brief", Some(5)), add("gone", Some(24))];
        keys.revoke(&ids[3], at(60)).expect("known");
        let day = 86_400;
        let expected = format!(
            "id        name      scopes       created     state\n\
             {}  platform  hook,ingest  2027-01-15  valid\n\
             {}  Åsa       hook,ingest  2027-01-15  valid, expires in 88 days\n\
             {}  brief     hook,ingest  2027-01-15  expired 19 hours ago\n\
             {}  gone      hook,ingest  2027-01-15  revoked 2027-01-15\n",
            ids[0], ids[1], ids[2], ids[3]
        );
        assert_eq!(table(&keys, at(day + 60)), expected);
        let states: Vec<String> =
            array(&keys, at(day + 60)).as_array().expect("an array").iter().map(|key| key["state"].to_string()).collect();
        assert_eq!(states, ["\"valid\"", "\"valid\"", "\"expired\"", "\"revoked\""]);
        assert_eq!(span(SignedDuration::from_mins(119)), "119 min");
    }

    #[test]
    fn arguments_are_checked_before_anything_is_done() {
        for (words, expected) in [
            (&["add", "--name", "a", "--data", "d"][..], "--scope"),
            (&["add", "--name", "a", "--scope", "root", "--data", "d"], "[possible values: hook, ingest"),
            (&["add", "--name", "a", "--scope", "hook", "--data", "d", "--expires", "soon"], "expected a length of time such as \"90d\""),
            (&["add", "--name", "a", "--scope", "hook", "--data", "d", "--expires", "0d"], "expected a length of time such as \"90d\""),
            (&["add", "--name", "a", "--scope", "hook"], "<--data <DIR>|--file <FILE>>"),
            (&["list", "--data", "d", "--file", "f"], "cannot be used with"),
            (&["revoke", "--data", "d"], "<ID>"),
        ] {
            let error = parsed(words).err().unwrap_or_else(|| panic!("{words:?} were taken"));
            assert!(error.contains(expected), "{words:?}: {error}");
        }
    }

    #[test]
    fn keys_are_added_and_revoked_where_the_arguments_say() {
        let dir = tempfile::tempdir().expect("a directory");
        let data = dir.path().join("new");
        let data = data.to_str().expect("text");
        let file = format!("{data}/keys.json");
        done(&parsed(&["add", "--name", "a", "--scope", "hook,ingest", "--expires", "2h", "--data", data]).expect("sound"), at(0))
            .expect("added");
        done(&parsed(&["add", "--name", "b", "--scope", "admin", "--file", &file]).expect("sound"), at(0)).expect("added");
        let keys = || load_keys(file.as_ref()).expect("readable").expect("there");
        let before = keys();
        let [a, b] = before.as_slice() else { panic!("{before:?}") };
        assert_eq!((a.scopes.as_slice(), b.scopes.as_slice()), (&[Scope::Hook, Scope::Ingest][..], &[Scope::Admin][..]));
        assert_eq!(a.expires.map(|at| at.duration_since(a.created)), Some(SignedDuration::from_hours(2)));
        for _ in 0..2 {
            done(&parsed(&["revoke", &a.id, "--data", data]).expect("sound"), at(0)).expect("revoked");
        }
        assert!(keys().as_slice()[0].revoked.is_some() && keys().as_slice()[1].revoked.is_none());
        let error = done(&parsed(&["revoke", "nobody", "--data", data]).expect("sound"), at(0)).expect_err("unknown");
        assert!(error.contains("found no key of this id among 2"), "{error}");
    }
}
