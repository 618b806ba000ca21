//! A desk that fits into a test: it remembers what it answered, and does as it is told.

use crate::api::{Answer, ChallengeResult, Desk, Page, Readiness, Stream, Submitted};
use crate::decision::Status;
use crate::event::{Field, Refusal, Refused, Sequence};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// What was asked, and what was answered.
type Given = (Value, Arc<[u8]>);

#[derive(Default)]
pub struct Small {
    /// By id.
    given: Mutex<HashMap<String, Given>>,
    entries: Mutex<Vec<String>>,
    more: Notify,
    /// Lines taken.
    pub taken: AtomicU64,
    /// The journal takes nothing.
    pub full: AtomicBool,
    pub closing: AtomicBool,
    pub unready: AtomicBool,
}

impl Small {
    /// Adds an entry to every stream.
    pub fn publish(&self, entry: &str) {
        self.entries.lock().expect("unbroken").push(entry.to_owned());
        self.more.notify_waiters();
    }

    fn state(&self) -> Option<Answer> {
        if self.closing.load(SeqCst) {
            return Some(Answer::Closing);
        }
        self.full.load(SeqCst).then(|| Answer::Unrecorded { json: Arc::from(*br#"{"outcome":  "review"}"#) })
    }
}

/// The event, or why it is none.
fn event(json: &[u8]) -> Result<(String, Value), (Refused, String)> {
    let refused = |reason, field, detail: &str| Err((Refused { reason, field }, detail.to_owned()));
    if json.len() > 1000 {
        return refused(Refusal::Oversized, None, "longer than 1000 bytes");
    }
    let Ok(value) = serde_json::from_slice::<Value>(json) else {
        return refused(Refusal::Malformed, None, "not JSON");
    };
    match value["id"].as_str() {
        Some(id) => Ok((id.to_owned(), value.clone())),
        None => refused(Refusal::Missing, Some(Field::Id), "id: found nothing"),
    }
}

impl Desk for Small {
    /// Answers after `sleep_ms`; the odd blanks show whether anybody writes the JSON again.
    async fn authorize_traced(&self, json: &[u8], deadline: Duration, _: Option<&str>) -> Answer {
        let (id, value) = match event(json) {
            Ok(event) => event,
            Err((refused, detail)) => return Answer::Refused { refused, detail },
        };
        if let Some(answer) = self.state() {
            return answer;
        }
        sleep(Duration::from_millis(value["sleep_ms"].as_u64().unwrap_or(0))).await;
        let mut given = self.given.lock().expect("unbroken");
        let text = format!("{{\"event_id\": \"{id}\",  \"deadline_ms\":{}}}", deadline.as_millis());
        let (known, answer) = given.entry(id).or_insert_with(|| (value.clone(), Arc::from(text.as_bytes())));
        match *known == value {
            true => Answer::Decided { json: answer.clone(), status: Status::Evaluated, committed: None },
            false => Answer::Conflict { detail: "amount differs".to_owned() },
        }
    }

    async fn challenge(&self, event_id: &str, result: ChallengeResult, deadline: Duration) -> Option<Answer> {
        let given = self.given.lock().expect("unbroken");
        given.get(event_id)?;
        let text = format!("{{\"event_id\":\"{event_id}\",\"result\":\"{result:?}\",\"deadline_ms\":{}}}", deadline.as_millis());
        Some(Answer::Decided { json: Arc::from(text.as_bytes()), status: Status::Degraded, committed: Some(false) })
    }

    /// Later lines are often done before earlier ones.
    async fn submit(&self, json: &[u8]) -> Submitted {
        let sequence = Sequence(self.taken.fetch_add(1, SeqCst));
        if sequence.0.is_multiple_of(7) {
            tokio::task::yield_now().await;
        }
        match self.state() {
            Some(Answer::Closing) => return Submitted::Closing,
            Some(_) => return Submitted::Unrecorded { detail: "the disk is full".to_owned() },
            None => {}
        }
        match event(json) {
            Ok(_) => Submitted::Recorded { sequence },
            Err((refused, detail)) => Submitted::Refused { sequence, refused, detail },
        }
    }

    async fn decision(&self, event_id: &str, internal: bool) -> Option<Arc<[u8]>> {
        let given = self.given.lock().expect("unbroken");
        let (_, answer) = given.get(event_id)?;
        match internal {
            true => Some(Arc::from(*br#"{"internal":true}"#)),
            false => Some(answer.clone()),
        }
    }

    /// Places are `p` and the number of entries before them.
    async fn page(&self, stream: Stream, after: Option<&str>, limit: usize, wait: Duration) -> Result<Page, String> {
        let count = || self.entries.lock().expect("unbroken").len();
        let start = match after {
            None => count(),
            Some(place) => place.strip_prefix('p').and_then(|number| number.parse().ok()).ok_or_else(|| format!("{place} is no place"))?,
        };
        let more = self.more.notified();
        if start >= count() {
            let _ = timeout(wait, more).await;
        }
        let entries = self.entries.lock().expect("unbroken");
        let text = |entry: &String| match stream {
            Stream::Decisions => format!("{{\"public\":\"{entry}\"}}"),
            Stream::DecisionsInternal => format!("{{\"internal\":\"{entry}\"}}"),
            Stream::Rejected => format!("{{\"rejected\":\"{entry}\"}}"),
            Stream::Alerts => format!("{{\"alert\":\"{entry}\"}}"),
            Stream::AlertsInternal => format!("{{\"internal_alert\":\"{entry}\"}}"),
        };
        let found: Vec<(String, Arc<[u8]>)> = entries
            .iter()
            .enumerate()
            .skip(start)
            .take(limit)
            .map(|(at, entry)| (format!("p{}", at + 1), Arc::from(text(entry).as_bytes())))
            .collect();
        Ok(Page { next: format!("p{}", start + found.len()), entries: found })
    }

    fn readiness(&self) -> Readiness {
        match self.unready.load(SeqCst) {
            true => Readiness { ready: false, detail: "recovering".to_owned() },
            false => Readiness { ready: true, detail: "all is well".to_owned() },
        }
    }
}
