//! Events as a company sends them, dated now.

use super::broker::{Seen, Topics};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

/// Event number `n` of one run: its key and its line. Of twenty nine are judged.
pub fn event(run: &str, n: usize) -> (String, String) {
    let (user, time) = (format!("u-{}", n % 97), super::service::now());
    let id = format!("{run}-{n}");
    let line = match n % 20 {
        0..8 => {
            json!({"id": id, "type": "payment", "time": time, "user": user, "merchant": format!("m-{}", n % 13), "amount": 1_000 + n % 700,
                       "currency": "EUR", "device": format!("d-{}", n % 89), "card": format!("c-{}", n % 101)})
        }
        8 => json!({"id": id, "type": "transfer", "time": time, "from": format!("a-{}", n % 31), "to": format!("a-{}", n % 29 + 40),
                    "amount": 5_000, "currency": "SEK", "user": user}),
        9..13 => json!({"id": id, "type": "session", "time": time, "user": user, "device": format!("d-{}", n % 89), "action": "login"}),
        _ => json!({"id": id, "type": "interaction", "time": time, "user": user, "item": format!("i-{}", n % 53), "action": "view"}),
    };
    let key = if n % 20 == 8 { format!("a-{}", n % 31) } else { user };
    (key, line.to_string())
}

/// The payment number `n` of those that a run asks for by the hook: its id and its line.
pub fn payment(run: &str, n: usize) -> (String, String) {
    let id = format!("{run}-{n}");
    let line = json!({"id": id, "type": "payment", "time": super::service::now(), "user": format!("u-{}", n % 97), "merchant": "m-1",
                      "amount": 1_000 + n % 700, "currency": "EUR"});
    (id, line.to_string())
}

pub fn is_judged(n: usize) -> bool {
    n % 20 < 9
}

/// Sends events `from..until`.
pub fn send(topics: &Topics, run: &str, from: usize, until: usize) {
    let events: Vec<_> = (from..until).map(|n| event(run, n)).collect();
    topics.send(events.iter().map(|(key, line)| (&**key, line.as_bytes())));
}

/// The ids of what is judged among events `0..until`.
pub fn judged(run: &str, until: usize) -> BTreeSet<String> {
    (0..until).filter(|n| is_judged(*n)).map(|n| format!("{run}-{n}")).collect()
}

/// Decisions by their event. Each must be there once, and within a partition in the order of their records.
pub fn decisions(seen: &[Seen]) -> BTreeMap<String, Value> {
    let (mut found, mut last) = (BTreeMap::new(), BTreeMap::new());
    for seen in seen {
        let decision = seen.json();
        let sequence = decision["sequence"].as_u64().unwrap();
        assert_eq!(seen.headers["weir-sequence"], sequence.to_string());
        let before = last.insert(seen.partition, sequence);
        assert!(before < Some(sequence), "partition {} at {}: {sequence} behind {before:?}", seen.partition, seen.offset);
        let id = decision["event_id"].as_str().unwrap().to_owned();
        assert!(found.insert(id.clone(), decision).is_none(), "{id} was decided twice");
    }
    found
}

pub fn ids(decisions: &BTreeMap<String, Value>) -> BTreeSet<String> {
    decisions.keys().cloned().collect()
}

/// Tells those who send to stop, however a test ends.
pub struct Stopping<'t>(pub &'t AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
