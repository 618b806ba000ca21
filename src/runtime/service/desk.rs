//! What the doors ask for, done.

use super::Shared;
use super::answers::Answered as Known;
use super::recorder::answered;
use super::standby::Feed;
use super::stream::{Arrival, Before};
use super::ticket::{Reply, Ticket, Winner};
use super::{Service, Submission};
use crate::api::{Answer, ChallengeResult, Change, Chunks, Desk, Page, Readiness, Stream, Submitted};
use crate::decision::{Decision, Outcome, Status};
use crate::engine::Output;
use crate::event::{Answered, Body, Event, EventType, Field, Id, IdKind, Money, Origin, Refusal, Refused, Sequence, StandInWhy};
use crate::ingress::wire::{Line, parse_event};
use crate::ingress::{Fault, Reading};
use crate::journal::{Outputs, RawInputs};
use crate::render::View;
use crate::runtime::naming::Told;
use crate::topology::WaitFor;
use crate::typology::Kind;
use crossbeam::channel::{Sender, TrySendError};
use dashmap::Entry;
use futures_util::stream::unfold;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration as Wall;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::error;

/// How long the journal may take to write a stand-in's answer before the caller hears that nothing is recorded.
const RECORD_PATIENCE: Wall = Wall::from_secs(2);
/// Between two attempts at a full lane.
const LANE_PATIENCE: Wall = Wall::from_millis(1);

impl Service {
    fn parse(&self, json: &[u8], texts: &mut Told) -> Result<Event, Fault> {
        parse_event(json, &mut Reading::new(self.shared.key, self.shared.options.id_bytes_max), texts)
    }

    fn event_id(&self, text: &str) -> Id {
        self.shared.key.id(IdKind::Event, text.as_bytes())
    }

    fn json(&self, answer: &Decision, view: View, id_text: Option<&str>) -> Arc<[u8]> {
        self.shared.decision_json(answer, view, id_text).into()
    }

    /// A decision as an answer. Where answers wait for the topics it is held until its transaction is committed, or until its time has come.
    async fn decided(&self, answer: &Decision, id_text: &str, until: Instant) -> Answer {
        let json = self.json(answer, View::Public, Some(id_text));
        let committed = match self.shared.options.wait_for {
            WaitFor::Journal => None,
            WaitFor::Kafka => Some(self.shared.topics.committed(answer.sequence, until).await),
        };
        if committed == Some(false) {
            self.shared.metrics.hook_uncommitted_total.inc();
        }
        Answer::Decided { json, status: answer.status, committed }
    }

    /// What a caller hears whose event belongs to another shard: its graph knows the user, this one does not.
    fn elsewhere(&self, event: &Event, texts: &Told) -> Option<Answer> {
        let key = texts.text(event.body.stream_key()?)?;
        let (shard, shards) = self.shared.topics.elsewhere(key.as_bytes())?;
        let detail = format!("{key:?} belongs to shard {shard} of {shards}, expected one of this shard: send it there");
        Some(Answer::Misdirected { detail })
    }

    /// What a caller hears while the shard is cold, of an event that was answered before the disk was lost: what was published for it. Until
    /// that is read nobody knows.
    fn published(&self, event: Id) -> Option<Answer> {
        if !self.shared.topics.is_cold() {
            return None;
        }
        match self.shared.topics.published_before(event) {
            Before::Unread => Some(Answer::Closing),
            Before::Nothing => None,
            Before::Answer(json) => {
                let word = serde_json::from_slice::<Value>(&json).ok()?["status"].as_str()?.to_owned();
                let status = Status::ALL.into_iter().find(|status| status.name() == word)?;
                Some(Answer::Decided { json: json.into(), status, committed: None })
            }
        }
    }

    /// What was answered for `id` before; `None` where it cannot be read.
    async fn known(&self, id: Id, known: Known, fingerprint: u64, id_text: &str, until: Instant) -> Option<Answer> {
        if known.fingerprint != fingerprint {
            return Some(conflict(id_text));
        }
        match self.shared.answers.read(id, known) {
            Ok(answer) => Some(self.decided(&answer, id_text, until).await),
            Err(cause) => {
                error!(%cause, "an answer that was given cannot be read back");
                None
            }
        }
    }

    /// What a caller hears that nothing could be recorded or read for.
    fn unread(&self, event: &Event, fingerprint: u64, id_text: &str) -> Arc<[u8]> {
        let answered = self.shared.stand_in(event, fingerprint);
        let stand_in = Decision::stand_in(Sequence(u64::MAX >> 1), &answered, self.shared.provenance());
        self.json(&stand_in, View::Public, Some(id_text))
    }

    /// Waits for the ticket's answer; where that does not come in time, for the stand-in's.
    async fn wait(&self, event: &Event, ticket: &Arc<Ticket>, id_text: &str, until: Instant) -> Answer {
        let reply = match timeout_at(until, ticket.settled()).await {
            Ok(reply) => reply,
            Err(_) => {
                if ticket.claim(Winner::Timer) {
                    // A task of its own: it goes on where the caller hangs up.
                    tokio::spawn(stand_in(self.shared.clone(), self.hook.clone(), event.clone(), ticket.clone()));
                }
                timeout(RECORD_PATIENCE, ticket.settled()).await.unwrap_or(Reply::Unrecorded)
            }
        };
        match reply {
            Reply::Decision(answer) => self.decided(&answer, id_text, until).await,
            Reply::Conflict => conflict(id_text),
            Reply::Refused(refused) => Answer::Refused { refused, detail: refusal_words(refused) },
            Reply::Unrecorded | Reply::Taken => {
                self.forget_unrecorded(event.id, ticket);
                Answer::Unrecorded { json: self.unread(event, ticket.fingerprint, id_text) }
            }
        }
    }

    /// Lets the next caller try anew where nothing was recorded. A ticket that may still be settled stays: there is one for an event.
    fn forget_unrecorded(&self, id: Id, ticket: &Arc<Ticket>) {
        let unrecorded = || matches!(ticket.reply(), Some(Reply::Unrecorded));
        self.shared.tickets.remove_if(&id, |_, other| Arc::ptr_eq(other, ticket) && unrecorded());
    }

    /// Gives an event to the recorder, with its ticket. Where the lane is full a task waits for room until `until`, and answers in the judge's
    /// place where none comes: it goes on where the caller hangs up.
    fn give(&self, event: &Event, texts: Told, ticket: &Arc<Ticket>, until: Instant) {
        let submission = Submission::hook(event.clone(), texts, ticket.clone());
        let back = match self.hook.try_send(submission) {
            Ok(()) => return,
            Err(TrySendError::Full(back) | TrySendError::Disconnected(back)) => back,
        };
        let (shared, hook, event, ticket) = (self.shared.clone(), self.hook.clone(), event.clone(), ticket.clone());
        tokio::spawn(async move {
            if send(&hook, back, until).await.is_err() && ticket.claim(Winner::Timer) {
                stand_in(shared, hook, event, ticket).await;
            }
        });
    }

    /// Reads at most `limit` entries of a stream behind the record `after`, of what followers may see.
    fn read(&self, stream: Stream, after: u64, limit: usize) -> Result<Page, String> {
        let published = Sequence(self.shared.named.load(Ordering::Acquire));
        let behind = Sequence(after.saturating_add(1));
        let mut parked = self.shared.parked.lock().expect("nobody panics with it");
        let found = parked.iter().position(|(place, _)| *place == after).and_then(|number| parked.remove(number));
        drop(parked);
        let opened = match found {
            Some((_, reader)) => Ok(reader),
            None => Outputs::open(self.shared.files.clone(), &self.shared.dir.join("outputs"), behind),
        };
        let mut reader = opened.map_err(|error| error.to_string())?;
        let mut raw = match stream {
            Stream::Rejected => {
                let log = RawInputs::open(self.shared.files.clone(), &self.shared.dir.join("rejected"), behind);
                Some(log.map_err(|error| error.to_string())?)
            }
            _ => None,
        };
        let mut entries: Vec<(String, Arc<[u8]>)> = Vec::new();
        let mut at = after;
        loop {
            // What one record led to stays on one page: the next page begins behind the record.
            let before = if entries.len() < limit { published } else { Sequence(at + 1) };
            let Some(output) = reader.next_before(before).map_err(|error| error.to_string())? else { break };
            at = output.sequence().0;
            let json = match (stream, &output) {
                (Stream::Decisions, Output::Decision(answer)) => self.shared.decision_json(answer, View::Public, None),
                (Stream::DecisionsInternal, Output::Decision(answer)) => self.shared.decision_json(answer, View::Internal, None),
                (Stream::Rejected, Output::Rejected(rejected)) => {
                    let input = raw.as_mut().expect("opened for this stream").of(rejected.sequence).map_err(|error| error.to_string())?;
                    self.shared.rejected_json(rejected, input.as_ref())
                }
                (Stream::AlertsInternal, Output::Alert(alert)) => self.shared.alert_json(alert),
                (Stream::Alerts, Output::Alert(alert)) if alert.kind == Kind::Fraud => self.shared.alert_json(alert),
                _ => continue,
            };
            // Where a record led to several, whoever stops between them comes again before the first: better twice than never.
            if let Some((place, _)) = entries.last_mut().filter(|(place, _)| *place == at.to_string()) {
                *place = (at - 1).to_string();
            }
            entries.push((at.to_string(), json.into()));
        }
        let mut parked = self.shared.parked.lock().expect("nobody panics with it");
        // Who does not come back is forgotten first.
        if parked.len() == PARKED_MAX {
            parked.pop_front();
        }
        parked.push_back((at, reader));
        drop(parked);
        Ok(Page { entries, next: at.to_string() })
    }

    /// Puts a submission that nobody's ticket waits for into its lane, and waits for what becomes of it.
    pub(super) async fn record(&self, submission: Submission, told: tokio::sync::oneshot::Receiver<Submitted>) -> Submitted {
        if self.shared.is_closing() {
            return Submitted::Closing;
        }
        if send(&self.stream, submission, Instant::now() + STREAM_PATIENCE).await.is_err() {
            return Submitted::Unrecorded { detail: "the lane of events is full; send it again".to_owned() };
        }
        told.await.unwrap_or(Submitted::Closing)
    }
}

/// Readers that wait for somebody to go on with them: several may stand at one place. 256 KiB each.
const PARKED_MAX: usize = 64;

impl Desk for Service {
    async fn authorize_traced(&self, json: &[u8], deadline: Wall, trace: Option<&str>) -> Answer {
        if self.shared.is_closing() {
            return Answer::Closing;
        }
        let (began, arrival) = (Instant::now(), Arrival::now(trace));
        let mut texts = Told::default();
        let event = match self.parse(json, &mut texts) {
            Ok(event) => event,
            Err(fault) => return Answer::Refused { refused: fault.refused, detail: fault.detail },
        };
        if !matches!(event.body.kind(), EventType::Payment | EventType::Transfer) {
            let refused = Refused { reason: Refusal::Invalid, field: Some(Field::Type) };
            let detail = format!("found {}, expected payment or transfer", event.body.kind().name());
            return Answer::Refused { refused, detail };
        }
        if let Some(elsewhere) = self.elsewhere(&event, &texts) {
            return elsewhere;
        }
        if let Some(published) = self.published(event.id) {
            return published;
        }
        let id_text = texts.text(event.id).expect("an event's id was told");
        let fingerprint = event.fingerprint();
        let until = began + deadline;
        let (ticket, mine) = match self.shared.tickets.entry(event.id) {
            Entry::Occupied(other) => (other.get().clone(), false),
            Entry::Vacant(place) => {
                // Asked with the place held: the judge notes an answer before it takes the ticket away, so who finds neither is the first.
                if let Some(known) = self.shared.answers.get(event.id) {
                    drop(place);
                    if let Some(answer) = self.known(event.id, known, fingerprint, &id_text, until).await {
                        return answer;
                    }
                    return Answer::Unrecorded { json: self.unread(&event, fingerprint, &id_text) };
                }
                let ticket = Arc::new(Ticket::new(fingerprint, arrival));
                place.insert(ticket.clone());
                (ticket, true)
            }
        };
        if ticket.fingerprint != fingerprint {
            return conflict(&id_text);
        }
        if mine && self.shared.tickets.len() > self.shared.options.waiting_max {
            // More would only wait: the stand-in answers at once.
            return self.wait(&event, &ticket, &id_text, began).await;
        }
        if mine {
            self.give(&event, texts, &ticket, until);
        }
        if self.shared.topics.is_cold() {
            // The graph comes later than any deadline.
            return self.wait(&event, &ticket, &id_text, began).await;
        }
        self.wait(&event, &ticket, &id_text, until).await
    }

    async fn challenge(&self, event_id: &str, result: ChallengeResult, deadline: Wall) -> Option<Answer> {
        let id = self.event_id(event_id);
        let known = self.shared.answers.get(id)?;
        let answer = self.shared.answers.read(id, known).ok()?;
        if self.shared.is_closing() {
            return Some(Answer::Closing);
        }
        let (word, outcome) = match result {
            ChallengeResult::Passed => ("challenge_passed", Outcome::Approve),
            ChallengeResult::Failed => ("challenge_failed", Outcome::Decline),
            ChallengeResult::Abandoned => ("abandoned", Outcome::Decline),
        };
        // One result a payment: its id follows from the payment's, so a second one with another result is a conflict.
        let line = Line::new(EventType::PaymentResult, format!("challenge-{:032x}", id.bits()), answer.time)
            .text(Field::Target, event_id)
            .text(Field::Status, word);
        let (mut json, mut texts) = (Vec::new(), Told::default());
        line.write(&mut json);
        let event = match self.parse(&json, &mut texts) {
            Ok(event) => event,
            Err(fault) => return Some(Answer::Refused { refused: fault.refused, detail: fault.detail }),
        };
        let fresh = || Arc::new(Ticket::new(event.fingerprint(), Arrival::now(None)));
        let ticket = self.shared.tickets.entry(event.id).or_insert_with(fresh).clone();
        let conflict =
            || Answer::Conflict { detail: format!("another result of the step-up for {event_id:?} was given before; it stands") };
        if ticket.fingerprint != event.fingerprint() {
            return Some(conflict());
        }
        // Given again where somebody else waits for the same: the engine takes the first and passes over the second.
        let submission = Submission::hook(event.clone(), texts, ticket.clone());
        let patience = deadline.max(RECORD_PATIENCE);
        let reply = match send(&self.hook, submission, Instant::now() + patience).await {
            Ok(()) => timeout(patience, ticket.settled()).await.unwrap_or(Reply::Unrecorded),
            Err(_) => {
                ticket.settle(Reply::Unrecorded);
                Reply::Unrecorded
            }
        };
        self.forget_unrecorded(event.id, &ticket);
        Some(match reply {
            Reply::Taken => {
                let decided = Decision { outcome: if answer.outcome == Outcome::Challenge { outcome } else { answer.outcome }, ..answer };
                self.decided(&decided, event_id, Instant::now() + deadline).await
            }
            Reply::Conflict => conflict(),
            Reply::Refused(refused) => Answer::Refused { refused, detail: refusal_words(refused) },
            Reply::Decision(_) | Reply::Unrecorded => Answer::Unrecorded { json: self.json(&answer, View::Public, Some(event_id)) },
        })
    }

    async fn submit(&self, json: &[u8]) -> Submitted {
        if self.shared.is_closing() {
            return Submitted::Closing;
        }
        let mut texts = Told::default();
        let (line, told) = tokio::sync::oneshot::channel();
        let submission = match self.parse(json, &mut texts) {
            Ok(event) => {
                if let Some(Answer::Misdirected { detail }) = self.elsewhere(&event, &texts) {
                    return Submitted::Unrecorded { detail };
                }
                Submission::door(event, texts, line)
            }
            Err(fault) => {
                let raw = json[..json.len().min(self.shared.options.rejected_bytes_max)].to_vec();
                Submission::Refused { origin: Submission::at(Origin::DOOR), fault, raw, line: Some(line) }
            }
        };
        self.record(submission, told).await
    }

    fn policy(&self, before: bool) -> Result<Value, String> {
        self.policy_in_force(before)
    }

    async fn publish(&self, text: &str) -> Change {
        Service::publish(self, text).await
    }

    async fn rollback(&self) -> Change {
        Service::rollback(self).await
    }

    fn model(&self) -> Result<Value, String> {
        Ok(self.model_in_force())
    }

    async fn publish_model(&self, bytes: &[u8]) -> Change {
        Service::publish_model(self, bytes).await
    }

    async fn rollback_model(&self) -> Change {
        Service::rollback_model(self).await
    }

    async fn list(&self, name: &str, json: &[u8]) -> Change {
        self.change_list(name, json).await
    }

    async fn listed(&self, name: &str, after: Option<Id>, limit: usize) -> Result<Value, String> {
        // Texts are looked up in the database.
        tokio::task::block_in_place(|| self.who_is_listed(name, after, limit))
    }

    async fn alerts(&self, aml: bool) -> Vec<u8> {
        // Texts are looked up in the database.
        tokio::task::block_in_place(|| self.open_alerts(aml))
    }

    async fn decision(&self, event_id: &str, internal: bool) -> Option<Arc<[u8]>> {
        let id = self.event_id(event_id);
        let view = if internal { View::Internal } else { View::Public };
        // A stand-in's answer may have left before its output is there; and while nobody has answered, nobody sees what the answer may be.
        if let Some(ticket) = self.shared.tickets.get(&id).map(|ticket| ticket.clone()) {
            let Some(Reply::Decision(answer)) = ticket.reply() else { return None };
            return Some(self.json(&answer, view, Some(event_id)));
        }
        let answer = self.shared.answers.read(id, self.shared.answers.get(id)?).ok()?;
        Some(self.json(&answer, view, Some(event_id)))
    }

    async fn page(&self, stream: Stream, after: Option<&str>, limit: usize, wait: Wall) -> Result<Page, String> {
        let mut published = self.shared.published.subscribe();
        let mut after = match after {
            Some(text) => text.parse::<u64>().map_err(|_| format!("found {text:?}, expected the id of an entry, a number"))?,
            None => published.borrow().saturating_sub(1),
        };
        let until = Instant::now() + wait;
        loop {
            published.borrow_and_update();
            // A short read of files that are in memory; who reads far back is slowed by the page's limit.
            let page = tokio::task::block_in_place(|| self.read(stream, after, limit))?;
            if !page.entries.is_empty() || self.shared.is_closing() || Instant::now() >= until {
                return Ok(page);
            }
            // What was read was of other streams.
            after = page.next.parse().expect("a place is a number");
            let _ = timeout(until - Instant::now(), published.changed()).await;
        }
    }

    fn readiness(&self) -> Readiness {
        Service::readiness(self)
    }

    fn journal(&self, from: Sequence) -> Result<Chunks, String> {
        let feed = Feed::open(self.shared.clone(), from)?;
        Ok(Box::pin(unfold(feed, Feed::chunk)))
    }
}

/// Has the stand-in answer for an event whose ticket the timer has claimed: once that is recorded, the ticket is settled with it.
async fn stand_in(shared: Arc<Shared>, hook: Sender<Submission>, event: Event, ticket: Arc<Ticket>) {
    let submission = Submission::Answered { answered: shared.stand_in(&event, ticket.fingerprint), ticket: Some(ticket.clone()) };
    if send(&hook, submission, Instant::now() + RECORD_PATIENCE).await.is_err() {
        ticket.settle(Reply::Unrecorded);
    }
}

impl Shared {
    /// What the record of a stand-in for this event says.
    fn stand_in(&self, event: &Event, fingerprint: u64) -> Answered {
        let amount = money(&event.body).and_then(|money| self.options.rates.reporting_minor(money, event.time));
        let outcome = self.options.stand_in.outcome(self.listed.listed(event), amount);
        let why = if self.topics.is_cold() { StandInWhy::ColdShard } else { StandInWhy::Deadline };
        answered(event, key_of(event), fingerprint, outcome, why)
    }
}

/// How long an event without a caller waits for room.
const STREAM_PATIENCE: Wall = Wall::from_secs(10);

/// Puts a submission into a lane, waiting for room until `until`.
async fn send(lane: &Sender<Submission>, mut submission: Submission, until: Instant) -> Result<(), Submission> {
    loop {
        match lane.try_send(submission) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Disconnected(back)) => return Err(back),
            Err(TrySendError::Full(back)) if Instant::now() >= until => return Err(back),
            Err(TrySendError::Full(back)) => submission = back,
        }
        sleep(LANE_PATIENCE).await;
    }
}

fn conflict(id_text: &str) -> Answer {
    Answer::Conflict { detail: format!("the id {id_text:?} was used before with other content; an id names one event for good") }
}

fn refusal_words(refused: Refused) -> String {
    match refused.reason {
        Refusal::FutureDated => "the event's time lies further ahead of the clock than time.future_skew_max allows".to_owned(),
        Refusal::TooOldToDeduplicate => "the event is older than the horizon within which ids are known (dedupe.days)".to_owned(),
        reason => reason.code().replace('_', " "),
    }
}

fn money(body: &Body) -> Option<Money> {
    match body {
        Body::Payment(payment) => Some(payment.amount),
        Body::Transfer(transfer) => Some(transfer.amount),
        _ => None,
    }
}

/// The key under which a judged event's outputs are published.
fn key_of(event: &Event) -> Id {
    match &event.body {
        Body::Payment(payment) => payment.user,
        Body::Transfer(transfer) => transfer.from.or(transfer.to).unwrap_or(event.id),
        _ => event.id,
    }
}
