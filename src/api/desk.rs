//! What the doors ask for, whoever does it: the service in earnest, a stand-in of a few lines in the tests of the doors.

use crate::decision::Status;
use crate::event::{Id, Refused, Sequence};
use futures_util::Stream as Chunked;
use serde_json::{Value, json};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// What becomes of one event that somebody waits for.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The decision as it is given for this event now and whenever it is asked for again: one JSON object.
    /// Another shard answers for this event's user.
    Misdirected { detail: String },
    /// `committed`: where answers wait for that, whether the decision's transaction is committed in the topics.
    Decided { json: Arc<[u8]>, status: Status, committed: Option<bool> },
    /// The id was used before with other content.
    Conflict { detail: String },
    /// Not an event that can be judged: why, and the words for the caller.
    Refused { refused: Refused, detail: String },
    /// The journal cannot take the record: what the stand-in says, as a decision that nobody will find again.
    Unrecorded { json: Arc<[u8]> },
    /// The service is ending and takes nothing more.
    Closing,
}

/// What becomes of one line of `POST /v1/events`.
#[derive(Clone, Debug, PartialEq)]
pub enum Submitted {
    /// It stands in the journal at this sequence. (Whether it is a duplicate is decided by the engine, later.)
    Recorded { sequence: Sequence },
    /// It is no event; what was refused stands in the journal and the topic of rejected input, at this sequence.
    Refused { sequence: Sequence, refused: Refused, detail: String },
    /// The journal cannot take it: send it again.
    Unrecorded { detail: String },
    /// The service is ending and takes nothing more.
    Closing,
}

/// What becomes of a change to what decides.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It is recorded; an object that tells where.
    Done(Value),
    /// What is to be changed does not exist.
    Unknown { detail: String },
    /// It is not sensible, in words for the caller; nothing is recorded.
    Refused { detail: String },
    /// The journal cannot take it: send it again.
    Unrecorded { detail: String },
    /// The service is ending and takes nothing more.
    Closing,
}

/// How a step-up ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeResult {
    Passed,
    Failed,
    Abandoned,
}

/// A topic as a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Decisions,
    /// With what only those with own access may see.
    DecisionsInternal,
    Rejected,
    /// Without those of laundering.
    Alerts,
    /// With them.
    AlertsInternal,
}

/// Some entries of a stream, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The place behind each entry, by which the stream is resumed, and its JSON.
    pub entries: Vec<(String, Arc<[u8]>)>,
    /// The place to go on from.
    pub next: String,
}

/// A page or file of the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub media_type: &'static str,
    pub body: Vec<u8>,
}

/// A stream of bytes without an end, in pieces.
pub type Chunks = Pin<Box<dyn Chunked<Item = Vec<u8>> + Send>>;

/// Whether traffic should come here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    pub ready: bool,
    /// Why not, or how it stands: `recovering`, `draining`, `too many stand-ins (12 % in the last minute)`.
    pub detail: String,
}

/// What stands behind the doors.
pub trait Desk: Send + Sync + 'static {
    /// Judges a payment or transfer that somebody waits for, at most `deadline`; then a stand-in answers. `trace` is the W3C trace context of
    /// who asks, if there is one: it goes with the decision into the topics.
    fn authorize_traced(&self, json: &[u8], deadline: Duration, trace: Option<&str>) -> impl Future<Output = Answer> + Send;

    /// As [`Desk::authorize_traced`], for whoever has no trace.
    fn authorize(&self, json: &[u8], deadline: Duration) -> impl Future<Output = Answer> + Send {
        self.authorize_traced(json, deadline, None)
    }

    /// Takes the result of a step-up in: the final decision for the payment with this id. `None` where no such payment is known.
    fn challenge(&self, event_id: &str, result: ChallengeResult, deadline: Duration) -> impl Future<Output = Option<Answer>> + Send;

    /// Records one event that nobody waits for.
    fn submit(&self, json: &[u8]) -> impl Future<Output = Submitted> + Send;

    /// The policy in force, or the one before it: an object with `policy`, its hash, and `text`.
    ///
    /// # Errors
    /// Where it cannot be read, in words for the caller.
    fn policy(&self, _before: bool) -> Result<Value, String> {
        Err("there is no policy here".to_owned())
    }

    /// Puts the policy that `text` states in force.
    fn publish(&self, _text: &str) -> impl Future<Output = Change> + Send {
        async { Change::Unknown { detail: "there is no policy here".to_owned() } }
    }

    /// Puts the policy that was in force before in force again.
    fn rollback(&self) -> impl Future<Output = Change> + Send {
        async { Change::Unknown { detail: "there is no policy here".to_owned() } }
    }

    /// The model in force and the one before it: an object with `model` and `before`, their hashes or null.
    ///
    /// # Errors
    /// Where there is nothing to be told, in words for the caller.
    fn model(&self) -> Result<Value, String> {
        Err("there is no model here".to_owned())
    }

    /// Puts the model in `bytes` in force.
    fn publish_model(&self, _bytes: &[u8]) -> impl Future<Output = Change> + Send {
        async { Change::Unknown { detail: "there is no model here".to_owned() } }
    }

    /// Puts the model that was in force before in force again; where none was, none.
    fn rollback_model(&self) -> impl Future<Output = Change> + Send {
        async { Change::Unknown { detail: "there is no model here".to_owned() } }
    }

    /// Puts somebody on the list `name`, or takes them off: one change in JSON, or a list of them.
    fn list(&self, _name: &str, _json: &[u8]) -> impl Future<Output = Change> + Send {
        async { Change::Unknown { detail: "there are no lists here".to_owned() } }
    }

    /// Who stands on the list `name`: at most `limit` entries behind the id `after`, an object with `entries` and `next`.
    ///
    /// # Errors
    /// Where there is no such list, in words for the caller.
    fn listed(&self, _name: &str, _after: Option<Id>, _limit: usize) -> impl Future<Output = Result<Value, String>> + Send {
        async { Err("there are no lists here".to_owned()) }
    }

    /// The alerts that are open, those of laundering only where `aml`, each in its newest version: an object with `alerts`, the weightiest first, and `held`, how many the hour's
    /// budget did not reach. As JSON text, in which each is what the stream of alerts says of it, byte for byte.
    fn alerts(&self, _aml: bool) -> impl Future<Output = Vec<u8>> + Send {
        async { br#"{"alerts":[],"held":0}"#.to_vec() }
    }

    /// The answer given for an event, or `None` where there is none.
    fn decision(&self, event_id: &str, internal: bool) -> impl Future<Output = Option<Arc<[u8]>>> + Send;

    /// At most `limit` entries of a stream behind the place `after` (a place from [`Page`], `None`: from now on); waits until there is one,
    /// or `wait` is over.
    ///
    /// # Errors
    /// Where `after` is no place, in words for the caller.
    fn page(&self, stream: Stream, after: Option<&str>, limit: usize, wait: Duration) -> impl Future<Output = Result<Page, String>> + Send;

    /// Whether traffic should come here.
    fn readiness(&self) -> Readiness;

    /// Why this process takes no requests, where another one does: because it is a standby, or leads no more. `reading`: requests that only
    /// read what was answered.
    fn elsewhere(&self, _reading: bool) -> Option<String> {
        None
    }

    /// The page of what happens now, with alerts of laundering only where `aml`; `None` where there is none to be shown.
    fn console(&self, _aml: bool) -> Option<Shown> {
        None
    }

    /// What the pages of the console load: `None` where none of its files has this name.
    fn console_file(&self, _name: &str) -> Option<Shown> {
        None
    }

    /// Begins an attack of this name in the demonstration's company. `None` where this is no demonstration.
    ///
    /// # Errors
    /// Where no attack has this name, or none can begin now, in words for the caller.
    fn attack(&self, _name: &str) -> Option<Result<Value, String>> {
        None
    }

    /// The journal from the record `from` on, for a standby.
    ///
    /// # Errors
    /// Where there is none to be given, in words for the caller.
    fn journal(&self, _from: Sequence) -> Result<Chunks, String> {
        Err("there is no journal here".to_owned())
    }

    /// Who leads: an object with `role`, `epoch` and `leader`.
    fn leader(&self) -> Value {
        json!({ "role": "leader", "epoch": 1, "leader": null })
    }

    /// Every request that was begun has its answer and no other comes: nothing more is to be recorded, and the chunks of
    /// [`Desk::journal`] end when everything was sent.
    fn close(&self) {}

    /// Makes the leader of a standby; `forced`: also where that one lacks much that its leader has, or that leader may live and does not
    /// answer.
    ///
    /// # Errors
    /// Where this is none, or nothing came of it, in words for the caller.
    fn promote(&self, _forced: bool) -> impl Future<Output = Result<Value, String>> + Send {
        async { Err("this process is no standby".to_owned()) }
    }

    /// Takes no requests any more, because `leader` leads in `epoch`; tells how many records there are, for good.
    ///
    /// # Errors
    /// Where that epoch is none to give way to, in words for the caller.
    fn fence(&self, _epoch: u64, _leader: &str) -> impl Future<Output = Result<Value, String>> + Send {
        async { Err("this process knows of no epochs".to_owned()) }
    }
}
