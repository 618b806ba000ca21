//! The events that are sent: made from a seed or read from a file, and in either case to be had again by their slot alone.
//!
//! That is why they are not drawn from the engine's own simulated world: a repetition, a conflicting repetition and the check after a crash
//! need the bytes of any one request again, minutes later, and a world can only be walked in order. The shape of the traffic follows it:
//! a few users, merchants and addresses are busy, nearly all are quiet.

use crate::chance::Chance;
use crate::schedule::Schedule;
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

/// What a slot sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An event of its own.
    First { slot: u64 },
    /// The event of an earlier slot once more: the answer must have the same bytes.
    Retry { of: u64 },
    /// The id of an earlier slot with another amount: must be refused.
    Conflict { of: u64 },
}

impl Kind {
    /// The slot whose event it is.
    pub fn target(self) -> u64 {
        match self {
            Kind::First { slot } => slot,
            Kind::Retry { of } | Kind::Conflict { of } => of,
        }
    }

    pub fn is_conflict(self) -> bool {
        matches!(self, Kind::Conflict { .. })
    }

    pub fn name(self) -> &'static str {
        match self {
            Kind::First { .. } => "first",
            Kind::Retry { .. } => "retry",
            Kind::Conflict { .. } => "conflict",
        }
    }
}

/// Which slots repeat, and what.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    /// Shares of all slots, in `[0, 1)`, together below 1.
    pub retry_share: f64,
    pub conflict_share: f64,
    /// How many slots back a repetition reaches at most.
    pub reach: u64,
}

/// Keeps the draws for the plan apart from those for bodies.
const PLAN: u64 = 0x706c_616e;

impl Plan {
    /// What `slot` sends.
    pub fn kind(&self, slot: u64) -> Kind {
        let mut chance = Chance::of(self.seed ^ PLAN, slot);
        let draw = chance.share();
        if draw >= self.retry_share + self.conflict_share || slot == 0 {
            return Kind::First { slot };
        }
        // A few tries suffice unless nearly everything repeats; where they fail the slot sends its own event. It is never a target all the
        // same, so that what a target is depends on its own draw alone.
        for _ in 0..8 {
            let of = slot - 1 - chance.below(self.reach.clamp(1, slot));
            if Chance::of(self.seed ^ PLAN, of).share() >= self.retry_share + self.conflict_share {
                return match draw < self.retry_share {
                    true => Kind::Retry { of },
                    false => Kind::Conflict { of },
                };
            }
        }
        Kind::First { slot }
    }
}

/// How many of whom there are.
#[derive(Clone, Copy, Debug)]
pub struct Population {
    pub users: u64,
    pub merchants: u64,
    /// Share of transfers among the events; the rest are payments.
    pub transfer_share: f64,
}

/// Where the bodies come from.
pub struct Source {
    seed: u64,
    prefix: String,
    events: Events,
    /// Even times of the slots: what events bear as their own time.
    schedule: Schedule,
    /// When the schedule begins by the wall clock, in microseconds since 1970.
    started_us: i64,
}

enum Events {
    Made(Population),
    /// As they stand in the file.
    Read(Vec<Line>),
    /// As in the file, with id and time of this run.
    Restamped(Vec<Map<String, Value>>),
}

struct Line {
    id: String,
    text: String,
}

/// The longest id of the contract.
const ID_BYTES_MAX: usize = 64;

/// The longest prefix: behind it stands the slot, and a hyphen between them.
pub const PREFIX_BYTES_MAX: usize = 40;

impl Source {
    /// Events made from `seed`; ids are `prefix-SLOT`.
    pub fn made(population: Population, seed: u64, prefix: &str, schedule: &Schedule) -> Source {
        Source { seed, prefix: prefix.to_owned(), events: Events::Made(population), schedule: schedule.clone(), started_us: 0 }
    }

    /// The payments and transfers in the JSON lines at `path`, at most `max` of them, and how many other lines were passed over.
    /// `restamp`: each with the time at which it is sent, and `prefix-` before its id.
    ///
    /// # Errors
    /// Where the file cannot be read, or a line is no event.
    pub fn read(path: &Path, max: u64, restamp: bool, prefix: &str) -> Result<(Source, u64), String> {
        let file = File::open(path).map_err(|error| format!("{}: cannot be read: {error}", path.display()))?;
        let mut lines = Vec::new();
        let mut maps = Vec::new();
        let mut others = 0;
        for (number, text) in BufReader::with_capacity(1 << 20, file).lines().enumerate() {
            let at = |what: &dyn std::fmt::Display| format!("{}:{}: {what}", path.display(), number + 1);
            if (lines.len() + maps.len()) as u64 == max {
                break;
            }
            let text = text.map_err(|error| at(&format!("cannot be read: {error}")))?;
            if text.trim().is_empty() {
                continue;
            }
            let event: Map<String, Value> =
                serde_json::from_str(&text).map_err(|error| at(&format!("expected an event as a JSON object: {error}")))?;
            if !matches!(event.get("type").and_then(Value::as_str), Some("payment" | "transfer")) {
                others += 1;
                continue;
            }
            let id = event.get("id").and_then(Value::as_str).ok_or_else(|| at(&"found no id, expected a text"))?;
            if !restamp {
                lines.push(Line { id: id.to_owned(), text });
                continue;
            }
            if prefix.len() + 1 + id.len() > ID_BYTES_MAX {
                return Err(at(&format!(
                    "id has {} bytes, expected at most {} behind the prefix",
                    id.len(),
                    ID_BYTES_MAX - 1 - prefix.len()
                )));
            }
            maps.push(event);
        }
        let events = if restamp { Events::Restamped(maps) } else { Events::Read(lines) };
        let schedule = Schedule::new(std::time::Duration::ZERO, &[], crate::schedule::Arrivals::Even, 0);
        Ok((Source { seed: 0, prefix: prefix.to_owned(), events, schedule, started_us: 0 }, others))
    }

    /// How many events there are; none where they never end.
    pub fn len(&self) -> Option<u64> {
        match &self.events {
            Events::Made(_) => None,
            Events::Read(lines) => Some(lines.len() as u64),
            Events::Restamped(maps) => Some(maps.len() as u64),
        }
    }

    /// From now on events bear the even times of `schedule`, which begins at `started`.
    pub fn start(&mut self, schedule: &Schedule, started: Timestamp) {
        self.schedule = schedule.clone();
        self.started_us = started.as_microsecond();
    }

    /// The id of the event of `slot`.
    pub fn id(&self, slot: u64) -> String {
        match &self.events {
            Events::Made(_) => format!("{}-{slot}", self.prefix),
            Events::Read(lines) => lines[slot as usize].id.clone(),
            Events::Restamped(maps) => self.restamped_id(&maps[slot as usize]),
        }
    }

    /// Appends the event of `slot`; `changed`: with another amount under the same id.
    pub fn body(&self, slot: u64, changed: bool, out: &mut Vec<u8>) {
        match &self.events {
            Events::Made(population) => self.make(population, slot, changed, out),
            Events::Read(lines) if !changed => out.extend_from_slice(lines[slot as usize].text.as_bytes()),
            Events::Read(lines) => {
                let mut event: Map<String, Value> =
                    serde_json::from_str(&lines[slot as usize].text).expect("it was parsed when it was read");
                change(&mut event);
                write_map(&event, out);
            }
            Events::Restamped(maps) => {
                let mut event = maps[slot as usize].clone();
                event.insert("id".to_owned(), Value::String(self.restamped_id(&event)));
                event.insert("time".to_owned(), Value::String(self.time(slot).to_string()));
                if changed {
                    change(&mut event);
                }
                write_map(&event, out);
            }
        }
    }

    fn restamped_id(&self, event: &Map<String, Value>) -> String {
        format!("{}-{}", self.prefix, event.get("id").and_then(Value::as_str).unwrap_or_default())
    }

    /// The time that the event of `slot` bears, where it is made or restamped.
    pub fn time(&self, slot: u64) -> Timestamp {
        let at_us = self.started_us + (self.schedule.even_ns(slot) / 1000) as i64;
        Timestamp::from_microsecond(at_us).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn make(&self, population: &Population, slot: u64, changed: bool, out: &mut Vec<u8>) {
        let mut chance = Chance::of(self.seed, slot);
        let user = chance.rank(population.users, 0.6);
        // About 30 units of money, a few hundreds or thousands now and then, the same sums often.
        let amount = (3000.0 * 2f64.powf(chance.bell() * 1.6)) as u64 + 100 + u64::from(changed);
        let (id, time) = (format_args!("{}-{slot}", self.prefix), self.time(slot));
        let written = if chance.share() < population.transfer_share {
            let to = chance.rank(population.users, 0.7);
            write!(
                out,
                r#"{{"type":"transfer","id":"{id}","time":"{time}","from":"a{user}","to":"a{to}","amount":{},"currency":"EUR","format":"{}","user":"u{user}"}}"#,
                amount * 4,
                ["sepa", "instant", "wire"][chance.below(3) as usize],
            )
        } else {
            let merchant = chance.rank(population.merchants, 0.85);
            // What belongs to a user or a shop is always the same one or two.
            let own = 1 + u64::from(chance.share() < 0.15);
            let ip = if chance.share() < 0.7 { user / 2 } else { chance.rank(population.users / 8 + 1, 0.9) + population.users };
            let (country, currency) = [("DE", "EUR"), ("SE", "SEK"), ("GB", "GBP"), ("NL", "EUR"), ("US", "USD")][(merchant % 5) as usize];
            let mcc = [5411, 5651, 5732, 5812, 4111, 5945, 7995][(merchant % 7) as usize];
            write!(
                out,
                r#"{{"type":"payment","id":"{id}","time":"{time}","user":"u{user}","merchant":"m{merchant}","amount":{amount},"currency":"{currency}","device":"d{user}.{own}","card":"c{user}.{own}","ip":"10.{}.{}.{}","mcc":{mcc},"country":"{country}","channel":"{}"}}"#,
                (ip >> 16) & 255,
                (ip >> 8) & 255,
                ip & 255,
                ["web", "app", "store"][chance.below(3) as usize],
            )
        };
        written.expect("a vector takes every byte");
    }
}

/// Raises the amount: the least change that makes another event of it.
fn change(event: &mut Map<String, Value>) {
    let amount = event.get("amount").and_then(Value::as_i64).unwrap_or(0);
    event.insert("amount".to_owned(), Value::from(amount.saturating_add(1)));
}

fn write_map(event: &Map<String, Value>, out: &mut Vec<u8>) {
    serde_json::to_writer(out, event).expect("a vector takes every byte and a map has no key but texts");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Arrivals;
    use std::collections::HashMap;
    use std::time::Duration;

    fn schedule() -> Schedule {
        Schedule::new(Duration::ZERO, &["5000:10s".parse().expect("a step")], Arrivals::Even, 1)
    }

    fn source(seed: u64) -> Source {
        let population = Population { users: 1_000_000, merchants: 10_000, transfer_share: 0.1 };
        let mut source = Source::made(population, seed, "t1", &schedule());
        source.start(&schedule(), "2026-01-02T03:04:05Z".parse().expect("a time"));
        source
    }

    fn body(source: &Source, slot: u64, changed: bool) -> Map<String, Value> {
        let mut out = Vec::new();
        source.body(slot, changed, &mut out);
        serde_json::from_slice(&out).expect("a JSON object")
    }

    #[test]
    fn a_slot_has_the_same_event_again_and_another_amount_in_a_conflict() {
        let source = source(5);
        for slot in [0, 1, 777, 49_999] {
            let event = body(&source, slot, false);
            assert_eq!(event["id"], format!("t1-{slot}"));
            assert_eq!(event["id"], source.id(slot));
            assert_eq!(event, body(&source, slot, false));
            let mut changed = body(&source, slot, true);
            assert_ne!(changed["amount"], event["amount"]);
            changed["amount"] = event["amount"].clone();
            assert_eq!(changed, event, "nothing but the amount differs");
        }
        assert_eq!(body(&source, 5000, false)["time"], "2026-01-02T03:04:06Z");
    }

    #[test]
    fn made_events_have_what_the_contract_demands_and_a_skew() {
        let source = source(5);
        let mut merchants: HashMap<String, u32> = HashMap::new();
        let mut transfers = 0;
        for slot in 0..20_000 {
            let event = body(&source, slot, false);
            assert!(event["amount"].as_u64().is_some_and(|amount| (100..100_000_000).contains(&amount)), "{event:?}");
            let wanted: &[&str] = match event["type"].as_str() {
                Some("payment") => &["user", "merchant", "currency", "device", "card", "ip", "country", "channel"],
                Some("transfer") => &["from", "to", "currency"],
                other => panic!("type is {other:?}"),
            };
            assert!(wanted.iter().all(|field| event[*field].is_string()), "{event:?}");
            match event.get("merchant").and_then(Value::as_str) {
                Some(merchant) => *merchants.entry(merchant.to_owned()).or_default() += 1,
                None => transfers += 1,
            }
        }
        assert!((1700..2300).contains(&transfers), "{transfers} transfers of 20000");
        let busiest = merchants.values().max().copied().unwrap_or(0);
        assert!(busiest > 100 && merchants.len() > 3000, "{} merchants, the busiest with {busiest}", merchants.len());
    }

    #[test]
    fn repetitions_reach_back_to_events_of_their_own() {
        let plan = Plan { seed: 9, retry_share: 0.1, conflict_share: 0.02, reach: 500 };
        let (mut retries, mut conflicts) = (0, 0);
        for slot in 0..50_000 {
            match plan.kind(slot) {
                Kind::First { slot: own } => assert_eq!(own, slot),
                kind => {
                    let of = kind.target();
                    assert!(of < slot && slot - of <= 500, "{slot} repeats {of}");
                    assert_eq!(plan.kind(of), Kind::First { slot: of }, "a target sends its own event");
                    if kind.is_conflict() { conflicts += 1 } else { retries += 1 }
                }
            }
        }
        assert!((4700..5300).contains(&retries), "{retries} of 50000");
        assert!((850..1150).contains(&conflicts), "{conflicts} of 50000");
        let none = Plan { retry_share: 0.0, conflict_share: 0.0, ..plan };
        assert!((0..1000).all(|slot| none.kind(slot) == Kind::First { slot }));
    }

    #[test]
    fn a_file_gives_its_payments_and_transfers() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(
            br#"{"type":"session","id":"s","time":"2025-01-01T00:00:00Z","user":"u"}
{"type":"payment","id":"p","time":"2025-01-01T00:00:00Z","user":"u","merchant":"m","amount":5,"currency":"EUR"}

{"type":"transfer","id":"t","time":"2025-01-01T00:00:00Z","from":"a","amount":7,"currency":"EUR"}
"#,
        )
        .expect("room");
        let (source, others) = Source::read(file.path(), 10, false, "r").expect("readable");
        assert_eq!((source.len(), others), (Some(2), 1));
        assert_eq!((source.id(0), source.id(1)), ("p".to_owned(), "t".to_owned()));
        assert_eq!(body(&source, 1, true)["amount"], 8);
        let (mut source, _) = Source::read(file.path(), 10, true, "r").expect("readable");
        source.start(&schedule(), "2026-01-02T03:04:05Z".parse().expect("a time"));
        let event = body(&source, 1, false);
        assert_eq!((&event["id"], &event["time"]), (&Value::from("r-t"), &Value::from("2026-01-02T03:04:05.0002Z")));
        assert_eq!(source.id(1), "r-t");
        assert_eq!(Source::read(file.path(), 1, false, "r").map(|(source, _)| source.len()), Ok(Some(1)));
        file.write_all(b"{oops\n").expect("room");
        let error = Source::read(file.path(), 10, false, "r").err().unwrap_or_default();
        assert!(error.contains(":5: expected an event"), "{error}");
    }
}
