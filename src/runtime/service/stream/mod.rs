//! Topics of Kafka, as ends of the service: events come from them by the lane of the stream, outputs go to them behind the output log.
//!
//! ```text
//! topics ──▶ source thread: parse, pass over our own ──▶ lane ──▶ recorder … journal, judge, output log
//!                                                                                    │ settled, on disk, named
//! topics ◀── sink thread: transactions of outputs and offsets ◀──────────────────────┘
//! ```
//!
//! Neither is in anybody's way: where the brokers are away the source reads nothing, the sink falls behind, and answers leave as ever.

#[cfg(feature = "kafka")]
mod ages;
mod arrivals;
#[cfg(feature = "kafka")]
mod behind;
#[cfg(feature = "kafka")]
mod lost;
#[cfg(feature = "kafka")]
mod notes;
#[cfg(feature = "kafka")]
mod published;
#[cfg(feature = "kafka")]
mod scratch;
#[cfg(feature = "kafka")]
mod sending;
#[cfg(feature = "kafka")]
mod sink;
#[cfg(feature = "kafka")]
mod source;

use super::Shared;
use super::Submission;
use super::error::ServiceError;
use crate::event::{Id, Origin, Sequence};
use crate::kafka::partition_of;
use crate::topology::Topology;
pub(super) use arrivals::Arrival;
use arrivals::Arrivals;
use crossbeam::channel::Sender;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// Runs of records of topics that were passed over and whose offsets are not committed.
const PASSED_MAX: usize = 4_096;

/// What recorder, doors and topics tell each other.
pub(super) struct TopicState {
    arrivals: Arrivals,
    passed: Mutex<Vec<Passed>>,
    /// One above the last record of an event that came by a door.
    last_by_door: AtomicU64,
    /// Outputs of the records before it are committed in the topics.
    sent: watch::Sender<u64>,
    /// Whether the graph is being restored from the topics.
    cold: AtomicBool,
    /// Partitions of the topic of events; 0 while that is not known.
    partitions: AtomicU32,
    /// Which shard this is, of how many.
    shard: OnceLock<(u32, u32)>,
    /// What was published of the records that the journal lost.
    #[cfg(feature = "kafka")]
    published: OnceLock<published::Published>,
    /// Why nobody should come here yet.
    unready: Mutex<Option<String>>,
    /// Why nothing is sent any more until somebody acts.
    failed: OnceLock<String>,
}

/// What is known to have been published for an event before the disk was lost.
#[cfg_attr(not(feature = "kafka"), expect(dead_code, reason = "topics alone know of any"))]
pub(super) enum Before {
    /// It was not read yet.
    Unread,
    Nothing,
    /// This decision, as JSON.
    Answer(Vec<u8>),
}

/// Records of a partition that gave none in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Passed {
    source: u16,
    partition: u32,
    /// The offset behind them.
    next: u64,
    /// What came before them in the topic stands in the journal before this.
    behind: Sequence,
}

impl Default for TopicState {
    fn default() -> TopicState {
        TopicState {
            arrivals: Arrivals::default(),
            passed: Mutex::default(),
            last_by_door: AtomicU64::new(0),
            sent: watch::Sender::new(0),
            cold: AtomicBool::new(false),
            partitions: AtomicU32::new(0),
            shard: OnceLock::new(),
            #[cfg(feature = "kafka")]
            published: OnceLock::new(),
            unready: Mutex::new(None),
            failed: OnceLock::new(),
        }
    }
}

impl TopicState {
    /// Keeps how the event of this record came, or how that came for which a stand-in answers by it: for the headers of its outputs.
    pub(super) fn came(&self, sequence: Sequence, arrival: Arrival) {
        // Without topics nobody asks.
        if self.shard.get().is_some() {
            self.arrivals.note(sequence, arrival);
        }
    }

    /// The decisions of these records stand, in order.
    pub(super) fn decided(&self, sequences: impl IntoIterator<Item = Sequence>) {
        if self.shard.get().is_some() {
            self.arrivals.decided(sequences);
        }
    }

    /// A record of a topic was passed over; the next of the journal is `behind`.
    pub(super) fn pass(&self, origin: Origin, behind: Sequence) {
        let passed = Passed { source: origin.source, partition: origin.partition, next: origin.offset + 1, behind };
        let mut all = self.passed.lock().expect("nobody panics with it");
        let full = all.len() >= PASSED_MAX;
        let same =
            |known: &&mut Passed| (known.source, known.partition) == (passed.source, passed.partition) && (known.behind == behind || full);
        match all.iter_mut().rev().find(same) {
            Some(known) => *known = passed,
            None => all.push(passed),
        }
    }

    /// By source and partition up to where records were passed over behind which all before `at` stands.
    #[cfg(any(feature = "kafka", test))]
    fn passed_before(&self, at: u64) -> BTreeMap<(u16, u32), u64> {
        let mut offsets = BTreeMap::new();
        for passed in self.passed.lock().expect("nobody panics with it").iter().filter(|passed| passed.behind.0 <= at) {
            let next: &mut u64 = offsets.entry((passed.source, passed.partition)).or_default();
            *next = passed.next.max(*next);
        }
        offsets
    }

    /// These offsets are committed: what was passed over before them is settled.
    #[cfg(any(feature = "kafka", test))]
    fn forget_passed(&self, committed: &BTreeMap<(u16, u32), u64>) {
        let is_settled = |passed: &Passed| committed.get(&(passed.source, passed.partition)).is_some_and(|next| passed.next <= *next);
        self.passed.lock().expect("nobody panics with it").retain(|passed| !is_settled(passed));
    }

    /// The event of this record came by a door.
    pub(super) fn came_by_door(&self, sequence: Sequence) {
        self.last_by_door.store(sequence.0 + 1, Ordering::Relaxed);
    }

    /// Waits until the outputs of the record `sequence` are committed in the topics; `false` where they are not when the time has come.
    pub(super) async fn committed(&self, sequence: Sequence, until: Instant) -> bool {
        let mut sent = self.sent.subscribe();
        timeout_at(until, sent.wait_for(|sent| *sent > sequence.0)).await.is_ok()
    }

    /// Outputs of records from this one on are still to be sent; where there are no topics, of none.
    pub(super) fn floor(&self) -> Sequence {
        Sequence(if self.shard.get().is_some() { *self.sent.borrow() } else { u64::MAX })
    }

    /// What was published for an event before the disk was lost, while the graph is restored.
    #[cfg(feature = "kafka")]
    pub(super) fn published_before(&self, event: Id) -> Before {
        let Some(published) = self.published.get() else { return Before::Unread };
        published.answer(event).map_or(Before::Nothing, Before::Answer)
    }

    /// Nothing: this build has no Kafka, and restores nothing from topics.
    #[cfg(not(feature = "kafka"))]
    pub(super) fn published_before(&self, _: Id) -> Before {
        Before::Nothing
    }

    /// Whether the graph is being restored: until then nothing is judged by it.
    pub(super) fn is_cold(&self) -> bool {
        self.cold.load(Ordering::Acquire)
    }

    /// The graph is restored; `next` is the first record behind that.
    pub(super) fn warm(&self, next: Sequence) {
        #[cfg(feature = "kafka")]
        if let Some(published) = self.published.get() {
            published.end_before(next.0);
        }
        #[cfg(not(feature = "kafka"))]
        let _ = next;
        self.cold.store(false, Ordering::Release);
    }

    /// The shard that `key` belongs to and how many there are, where that is not this one.
    pub(super) fn elsewhere(&self, key: &[u8]) -> Option<(u32, u32)> {
        let (shard, shards) = *self.shard.get()?;
        let partitions = self.partitions.load(Ordering::Relaxed);
        if shards == 1 || partitions == 0 {
            return None;
        }
        let other = partition_of(key, partitions) % shards;
        (other != shard).then_some((other, shards))
    }

    /// Why nobody should come here.
    pub(super) fn unready(&self) -> Option<String> {
        self.failed.get().cloned().or_else(|| self.unready.lock().expect("nobody panics with it").clone())
    }
}

/// Nothing more is sent, read or recorded here, which would be a history of its own: another process leads, or the topics are not this journal's.
#[cfg(feature = "kafka")]
fn leave(shared: &Shared, why: &str) {
    tracing::error!(why, "nothing more is sent to the topics, read from them or recorded");
    // What could not be synced is told by whoever syncs.
    let _ = shared.fence(why);
}

/// Starts the threads of the topics, where there are any.
#[cfg(feature = "kafka")]
pub(super) fn launch(
    topology: &Topology,
    shared: &Arc<Shared>,
    lane: &Sender<Submission>,
    positions: &BTreeMap<(u16, u32), u64>,
) -> Result<Vec<JoinHandle<()>>, ServiceError> {
    use super::launch::thread;
    use crate::priority::give_way;
    use crate::topology::WaitFor;
    let Some(kafka) = &topology.kafka else { return Ok(Vec::new()) };
    let _ = shared.topics.shard.set((kafka.shard, kafka.shards));
    let topics = topology.sources.iter().zip(0u16..).filter_map(|(source, number)| Some((number, source.topic.clone()?)));
    let topics: Vec<(u16, String)> = topics.collect();
    let (met, known) = crossbeam::channel::bounded(1);
    let mut owner = [0; 8];
    getrandom::fill(&mut owner).map_err(|cause| ServiceError::System(std::io::Error::other(cause.to_string())))?;
    let owner = crate::journal::hex(&owner);
    let end = notes::End::of(&shared.dir, shared.recorded.load(Ordering::Acquire), shared.now()).map_err(ServiceError::System)?;
    let sink = sink::Sink::new(shared.clone(), kafka.clone(), topology.topics.clone(), topics.clone(), &owner, end, met);
    let behind = behind::Behind::new(shared.clone(), topology.topics.events.clone(), kafka.publish_lag_max);
    // The hook's callers go before the topics, but where they wait for them; the library's threads run as those that start them.
    let wait_for = topology.authorize.wait_for;
    let yielding = move || {
        if wait_for == WaitFor::Journal {
            give_way();
        }
    };
    let sending = move || {
        yielding();
        sink.run();
    };
    let mut threads = vec![thread("sink", shared, sending)?, thread("behind", shared, move || behind.run())?];
    let cold = kafka.recover || notes::Lost::begun(&shared.dir).is_some();
    shared.topics.cold.store(cold, Ordering::Release);
    if cold || !topics.is_empty() {
        let why = if cold { "cold shard: its graph is being restored from the topics" } else { "the topics were not reached yet" };
        *shared.topics.unready.lock().expect("nobody panics with it") = Some(why.to_owned());
        let feed = source::Feed { lane: lane.clone(), topics, outputs: topology.topics.clone(), positions: positions.clone() };
        let source = source::Source::new(shared.clone(), kafka.clone(), feed, topology.input.line_bytes_max);
        let reading = move || {
            yielding();
            source.run(&known);
        };
        threads.push(thread("source", shared, reading)?);
    }
    Ok(threads)
}

/// Starts nothing: this build has no Kafka, and who asks for it was told so.
#[cfg(not(feature = "kafka"))]
pub(super) fn launch(
    _: &Topology,
    _: &Arc<Shared>,
    _: &Sender<Submission>,
    _: &BTreeMap<(u16, u32), u64>,
) -> Result<Vec<JoinHandle<()>>, ServiceError> {
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Caught when planted: all of a partition forgotten with what was committed.
    #[test]
    fn what_was_passed_over_stays_until_its_offset_is_committed() {
        let topics = TopicState::default();
        let pass = |partition, offset, behind| topics.pass(Origin { source: 1, partition, offset }, Sequence(behind));
        pass(0, 4, 10);
        pass(0, 5, 10);
        pass(1, 8, 12);
        assert_eq!(topics.passed_before(9), BTreeMap::new());
        let committed = topics.passed_before(10);
        assert_eq!(committed, BTreeMap::from([((1, 0), 6)]));
        // The transaction is lost, and comes again with what was passed over meanwhile.
        pass(0, 7, 10);
        assert_eq!(topics.passed_before(12), BTreeMap::from([((1, 0), 8), ((1, 1), 9)]));
        topics.forget_passed(&committed);
        assert_eq!(topics.passed_before(12), BTreeMap::from([((1, 0), 8), ((1, 1), 9)]), "it was not committed");
        topics.forget_passed(&topics.passed_before(12));
        assert_eq!(topics.passed_before(12), BTreeMap::new());
    }
}
