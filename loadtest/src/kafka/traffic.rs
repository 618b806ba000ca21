//! The events of a run over topics: the mix of the simulated company, each event to be had again by its slot alone.

use super::options::TrafficArguments;
use crate::chance::Chance;
use crate::schedule::Schedule;
use crate::source::{Population, Source};
use jiff::Timestamp;
use serde::Deserialize;
use std::borrow::Cow;
use std::io::Write;

/// What a slot sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A payment or a transfer: it gets a decision.
    Money,
    Session,
    Interaction,
}

/// Shares of all events; what is left are interactions.
#[derive(Clone, Copy, Debug)]
struct Shares {
    money: f64,
    sessions: f64,
}

/// Where the events come from.
pub struct Traffic {
    source: Source,
    seed: u64,
    prefix: String,
    population: Population,
    shares: Shares,
}

/// Keeps the draws here apart from those for payments and transfers.
const TRAFFIC: u64 = 0x7472_6166;

/// Items of a merchant.
const ITEMS_EACH: u64 = 10;

impl Traffic {
    /// The events that `arguments` describe; ids are `prefix-SLOT`.
    ///
    /// # Errors
    /// Where shares leave nothing over.
    pub fn new(arguments: &TrafficArguments, prefix: &str, schedule: &Schedule) -> Result<Traffic, String> {
        let money = arguments.payment_share + arguments.transfer_share;
        // 0.4 + 0.05 + 0.55 is not 1 to the last bit.
        if money + arguments.session_share > 1.0 + 1e-9 {
            return Err("--payment-share, --transfer-share and --session-share are together above 1".to_owned());
        }
        let transfer_share = if money > 0.0 { arguments.transfer_share / money } else { 0.0 };
        let population = Population { users: arguments.users, merchants: arguments.merchants, transfer_share };
        let source = Source::made(population, arguments.seed, prefix, schedule);
        let shares = Shares { money, sessions: arguments.session_share };
        Ok(Traffic { source, seed: arguments.seed, prefix: prefix.to_owned(), population, shares })
    }

    /// From now on events bear the times of `schedule`, which begins at `started`.
    pub fn start(&mut self, schedule: &Schedule, started: Timestamp) {
        self.source.start(schedule, started);
    }

    /// When the event of `slot` is due, by the wall: its own time and its record's.
    pub fn due(&self, slot: u64) -> Timestamp {
        self.source.time(slot)
    }

    /// What `slot` sends.
    pub fn kind(&self, slot: u64) -> Kind {
        self.drawn(slot).0
    }

    /// The id of the event of `slot`.
    pub fn id(&self, slot: u64) -> String {
        self.source.id(slot)
    }

    /// The slot whose event has this id; none where it is not of this run.
    pub fn slot(&self, id: &str) -> Option<u64> {
        id.strip_prefix(&self.prefix)?.strip_prefix('-')?.parse().ok()
    }

    /// Appends the event of `slot`.
    pub fn body(&self, slot: u64, out: &mut Vec<u8>) {
        let (kind, mut chance) = self.drawn(slot);
        if kind == Kind::Money {
            return self.source.body(slot, false, out);
        }
        let (id, time) = (self.id(slot), self.due(slot));
        let user = chance.rank(self.population.users, 0.6);
        let own = 1 + u64::from(chance.share() < 0.15);
        let written = if kind == Kind::Session {
            let action = ["login", "login", "login", "login", "login", "login", "login", "signup", "password_reset", "logout"];
            let ip = user / 2;
            write!(
                out,
                r#"{{"type":"session","id":"{id}","time":"{time}","user":"u{user}","device":"d{user}.{own}","ip":"10.{}.{}.{}","action":"{}","session":"s{slot}"}}"#,
                (ip >> 16) & 255,
                (ip >> 8) & 255,
                ip & 255,
                action[chance.below(10) as usize],
            )
        } else {
            let item = chance.rank(self.population.merchants * ITEMS_EACH, 0.85);
            let action = ["view", "view", "view", "view", "view", "view", "click", "click", "save", "cart"];
            write!(
                out,
                r#"{{"type":"interaction","id":"{id}","time":"{time}","user":"u{user}","item":"i{item}","action":"{}","merchant":"m{}","dwell_ms":{},"surface":"{}","device":"d{user}.{own}"}}"#,
                action[chance.below(10) as usize],
                item / ITEMS_EACH,
                chance.below(30_000),
                ["home", "search", "item"][chance.below(3) as usize],
            )
        };
        written.expect("a vector takes every byte");
    }

    fn drawn(&self, slot: u64) -> (Kind, Chance) {
        let mut chance = Chance::of(self.seed ^ TRAFFIC, slot);
        let draw = chance.share();
        let kind = match draw {
            _ if draw < self.shares.money => Kind::Money,
            _ if draw < self.shares.money + self.shares.sessions => Kind::Session,
            _ => Kind::Interaction,
        };
        (kind, chance)
    }
}

/// What decides about an event's key, and who it is.
#[derive(Deserialize)]
pub struct Head<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(borrow, default)]
    user: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    from: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    to: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    item: Option<Cow<'a, str>>,
}

impl Head<'_> {
    /// Whether it gets a decision.
    pub fn is_money(&self) -> bool {
        matches!(&*self.kind, "payment" | "transfer")
    }

    /// The key of its record: whose order matters.
    pub fn key(&self) -> Option<&str> {
        match &*self.kind {
            "transfer" => self.from.as_deref().or(self.to.as_deref()),
            "item" => self.item.as_deref(),
            _ => self.user.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Arguments, Command};
    use crate::schedule::{Arrivals, Step};
    use clap::Parser;
    use serde_json::Value;
    use std::collections::HashMap;
    use std::time::Duration;

    fn traffic(arguments: &str) -> Result<Traffic, String> {
        let line = format!("weir-loadtest kafka produce {arguments}");
        let arguments = Arguments::try_parse_from(line.split_whitespace()).expect("parsed");
        let Some(Command::Kafka(super::super::KafkaCommand::Produce(produce))) = arguments.command else { panic!("another command") };
        let step = Step { rate: 1000.0, duration: Duration::from_secs(10) };
        let schedule = Schedule::new(Duration::ZERO, &[step], Arrivals::Even, 1);
        let mut traffic = Traffic::new(&produce.traffic, "k", &schedule)?;
        traffic.start(&schedule, "2026-01-02T03:04:05Z".parse().expect("a time"));
        Ok(traffic)
    }

    // Caught when planted: the share of transfers taken of payments and transfers instead of all events.
    #[test]
    fn the_mix_is_as_asked_and_every_event_has_what_the_contract_demands() {
        let traffic = traffic("").expect("shares that fit");
        let mut counts: HashMap<String, u32> = HashMap::new();
        let mut body = Vec::new();
        for slot in 0..10_000 {
            body.clear();
            traffic.body(slot, &mut body);
            let event: Value = serde_json::from_slice(&body).expect("JSON");
            let kind = event["type"].as_str().expect("a text").to_owned();
            let wanted: &[&str] = match &kind[..] {
                "payment" => &["user", "merchant", "currency"],
                "transfer" => &["from", "to", "currency"],
                "session" => &["user", "device", "ip", "action"],
                "interaction" => &["user", "item", "action"],
                other => panic!("type is {other}"),
            };
            assert!(wanted.iter().all(|field| event[*field].is_string()), "{event}");
            assert_eq!(traffic.kind(slot) == Kind::Money, ["payment", "transfer"].contains(&&kind[..]), "{event}");
            assert_eq!((event["id"].as_str(), traffic.slot(&format!("k-{slot}"))), (Some(&traffic.id(slot)[..]), Some(slot)));
            *counts.entry(kind).or_default() += 1;
        }
        for (kind, share) in [("payment", 4000), ("transfer", 500), ("session", 2000), ("interaction", 3500)] {
            assert!(counts[kind].abs_diff(share) < 200, "{counts:?}");
        }
        assert_eq!(traffic.due(9999).to_string(), "2026-01-02T03:04:14.999Z");
        let body = String::from_utf8(body).expect("text");
        assert!(body.contains(r#""time":"2026-01-02T03:04:14.999Z""#), "{body}");
    }

    #[test]
    fn slots_are_told_from_ids_of_other_runs() {
        let traffic = traffic("").expect("shares that fit");
        assert_eq!(["k-7", "kk-7", "k7", "k-", "k-x"].map(|id| traffic.slot(id)), [Some(7), None, None, None, None]);
    }

    #[test]
    fn shares_have_to_fit() {
        assert!(traffic("--payment-share 0.6 --transfer-share 0.3 --session-share 0.2").is_err());
        let only = traffic("--payment-share 0 --transfer-share 0 --session-share 0.5").expect("shares that fit");
        assert!((0..1000).all(|slot| only.kind(slot) != Kind::Money));
    }

    // Caught when planted: a transfer's user as its key.
    #[test]
    fn keys_are_those_of_the_contract() {
        let key = |text: &str| serde_json::from_str::<Head<'_>>(text).expect("a head").key().map(str::to_owned);
        let keys = [
            key(r#"{"id":"1","type":"payment","user":"u\n1","merchant":"m"}"#),
            key(r#"{"id":"1","type":"transfer","from":"a1","to":"a2","user":"u1"}"#),
            key(r#"{"id":"1","type":"transfer","from":null,"to":"a2","user":"u1"}"#),
            key(r#"{"id":"1","type":"item","item":"i1"}"#),
            key(r#"{"id":"1","type":"interaction","item":"i1","user":"u1"}"#),
            key(r#"{"id":"1","type":"label","target":"t"}"#),
        ];
        assert_eq!(keys, [Some("u\n1"), Some("a1"), Some("a2"), Some("i1"), Some("u1"), None].map(|key| key.map(str::to_owned)));
    }
}
