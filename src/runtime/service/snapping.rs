//! When the judge takes snapshots, and what follows from one.

use super::Shared;
use super::keeper::{Floors, Task};
use crate::engine::Engine;
use crate::event::Sequence;
use crate::journal::Syncing;
use crate::snapshot::{Snapshots, Taker, Taking};
use crate::topology::SnapshotOptions;
use crossbeam::channel::Sender;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration as Wall, Instant};
use tracing::{error, info, warn};

/// Bytes saved between two steps: some ten microseconds.
const PUMP_BYTES: usize = 64 << 10;
/// And while nobody waits for an answer yet.
const PUMP_BYTES_BEFORE_SERVING: usize = 4 << 20;
/// Between two looks then at whether the writer is done.
const WRITER_PATIENCE: Wall = Wall::from_millis(1);
/// A slow disk holds up a start no longer: the snapshot then goes on while the service serves.
const START_PATIENCE: Wall = Wall::from_secs(10);
/// A service that begins this part of the records behind its newest snapshot begins with one, not after all of them: whoever is killed again and
/// again would step more each time.
const PART_AT_START: u64 = 8;

/// Takes the judge's snapshots.
pub(super) struct Snapping {
    shared: Arc<Shared>,
    taker: Taker,
    snapshots: Snapshots,
    options: SnapshotOptions,
    keeper: Sender<Task>,
    outputs: Arc<Syncing>,
    /// Where the last one was begun, and when.
    last: (Sequence, Instant),
    /// The next one is begun at once.
    due: bool,
    /// Outputs before this sequence are not derived again from the snapshot being taken: they must be on disk before it has its name.
    outputs_until: Sequence,
}

/// Whether a service whose next record is `next` begins with a snapshot, where the newest was taken at `last`.
pub(super) fn is_due_at_start(options: &SnapshotOptions, last: Sequence, next: Sequence) -> bool {
    next.0 - last.0 >= options.records.div_ceil(PART_AT_START)
}

impl Snapping {
    /// For a service whose next record is `next`; the newest snapshot was taken at `last`.
    pub(super) fn new(
        shared: Arc<Shared>,
        taker: Taker,
        snapshots: Snapshots,
        options: SnapshotOptions,
        keeper: Sender<Task>,
        outputs: Arc<Syncing>,
        (last, next): (Sequence, Sequence),
    ) -> Snapping {
        let (due, last, outputs_until) = (is_due_at_start(&options, last, next), (last, Instant::now()), Sequence(0));
        Snapping { shared, taker, snapshots, options, keeper, outputs, last, due, outputs_until }
    }

    /// Takes one before the service serves: what it waits for – journal, outputs, texts – is on disk.
    pub(super) fn take_before_serving(&mut self, engine: &mut Engine, next: Sequence) {
        self.begin(engine, next);
        while self.pump(engine, PUMP_BYTES_BEFORE_SERVING) && self.last.1.elapsed() < START_PATIENCE {
            std::thread::sleep(WRITER_PATIENCE);
        }
    }

    /// Whether one is being taken.
    pub(super) fn is_busy(&self) -> bool {
        self.taker.is_busy()
    }

    /// Between two steps, when `next` is the sequence of the next record: begins a snapshot when it is time, and goes on with the one that
    /// is being taken.
    pub(super) fn tend(&mut self, engine: &mut Engine, next: Sequence) {
        if !self.taker.is_busy() {
            let records = next.0 - self.last.0.0;
            if !self.due && records < self.options.records && (records == 0 || self.last.1.elapsed() < self.options.every) {
                return;
            }
            self.begin(engine, next);
        }
        self.pump(engine, PUMP_BYTES);
    }

    /// Goes on with the one that is being taken; `false` where it has come to its end.
    fn pump(&mut self, engine: &mut Engine, budget_bytes: usize) -> bool {
        // A restart from this snapshot asks of no record before it what it does to texts.
        let texts = self.shared.named_durable.load(Ordering::Acquire) >= self.last.0.0;
        let durable = if texts && self.outputs.durable() >= self.outputs_until { self.shared.journal.durable() } else { Sequence(0) };
        match self.taker.pump(engine, budget_bytes, durable) {
            Taking::Idle | Taking::Going { .. } => {}
            Taking::Settling => self.shared.named_awaited.store(self.last.0.0, Ordering::Release),
            Taking::Taken(taken) => {
                let seconds = self.last.1.elapsed().as_secs_f64();
                let metrics = &self.shared.metrics;
                metrics.snapshots_total.with_label_values(&["taken"]).inc();
                metrics.snapshot_sequence.set(taken.sequence.0 as i64);
                metrics.snapshot_bytes.set(taken.bytes as i64);
                metrics.snapshot_seconds.observe(seconds);
                info!(sequence = taken.sequence.0, bytes = taken.bytes, seconds, "a snapshot was taken");
                self.retain(engine);
            }
            Taking::Abandoned(failure) => {
                self.shared.metrics.snapshots_total.with_label_values(&["abandoned"]).inc();
                warn!(?failure, "a snapshot was given up; the next one comes in its time");
            }
            Taking::Failed(cause) => {
                self.shared.metrics.snapshots_total.with_label_values(&["failed"]).inc();
                error!(%cause, "a snapshot could not be written; a restart steps the journal from the one before");
            }
        }
        self.taker.is_busy()
    }

    fn begin(&mut self, engine: &mut Engine, next: Sequence) {
        (self.last, self.due) = ((next, Instant::now()), false);
        self.outputs_until = self.outputs.written();
        if let Err(cause) = self.taker.begin(engine, next, self.shared.now()) {
            error!(%cause, "a snapshot could not be begun");
        }
    }

    /// Asks the keeper to let go of what is old, now that the journal's start is needed less.
    fn retain(&self, engine: &Engine) {
        let oldest = match self.snapshots.list() {
            Ok(kept) => kept.last().map_or(Sequence(0), |kept| kept.sequence),
            Err(cause) => return warn!(%cause, "snapshots cannot be listed: nothing is let go of"),
        };
        let recovery = oldest.min(self.shared.noted());
        let answers = engine.oldest_judged().unwrap_or(recovery);
        // Where the keeper is behind, the next snapshot asks again.
        let _ = self.keeper.try_send(Task::Retain(Floors { now: self.shared.now(), recovery, answers }));
    }

    /// Gives up the one that is being taken: the service ends, and the next start sweeps it away.
    pub(super) fn end(&mut self, engine: &mut Engine) {
        if self.taker.is_busy() {
            info!("a snapshot in the making is given up");
            self.taker.abandon(engine);
        }
    }
}
