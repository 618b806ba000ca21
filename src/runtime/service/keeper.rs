//! The keeper: one thread for what may take its time. It writes the index of judged events, and lets go of what is kept long enough.

use super::Shared;
use crate::event::{Duration, Sequence, Timestamp};
use crate::journal::{DataDir, Files, JournalError, LogKind, Retention, SegmentEnding};
use crate::targets::Leaving;
use crate::topology::JournalOptions;
use crossbeam::channel::{Receiver, RecvTimeoutError};
use std::sync::Arc;
use std::time::{Duration as Wall, Instant};
use tracing::{error, info};

/// Refused input is looked after by the clock: it may hold what nobody is to keep, and a service may go for long without a snapshot.
const REJECTED_EVERY: Wall = Wall::from_secs(10 * 60);
/// Refused input of more time does not share a segment: they go together.
const REJECTED_SPAN: Duration = Duration::DAY;

/// What the keeper is asked for.
pub(super) enum Task {
    /// Write this part of the index.
    Targets(Arc<Leaving>),
    /// Let go of what is old.
    Retain(Floors),
}

/// What must stay.
#[derive(Clone, Copy, Debug)]
pub(super) struct Floors {
    /// The runtime's clock.
    pub now: Timestamp,
    /// Where recovery begins.
    pub recovery: Sequence,
    /// The oldest answer that may be asked for again.
    pub answers: Sequence,
}

/// The keeper's own things.
pub(super) struct Keeper {
    pub(super) shared: Arc<Shared>,
    pub(super) journal: Retention,
    pub(super) outputs: Retention,
    pub(super) rejected: Retention,
    pub(super) rejected_ending: Arc<SegmentEnding>,
    pub(super) keep: Duration,
    pub(super) rejected_keep: Duration,
}

impl Keeper {
    /// For the logs of `dir`, which `kept` has the days for; `rejected_ending` is of the log of refused input.
    pub(super) fn new(
        shared: Arc<Shared>,
        files: &Arc<dyn Files>,
        dir: &DataDir,
        rejected_ending: Arc<SegmentEnding>,
        kept: &JournalOptions,
    ) -> Keeper {
        let of = |dir: &std::path::Path, kind| Retention::of(files.clone(), dir, kind);
        let journal = of(&dir.journal(), LogKind::Journal);
        let (outputs, rejected) = (of(&dir.outputs(), LogKind::Outputs), of(&dir.rejected(), LogKind::Rejected));
        Keeper { shared, journal, outputs, rejected, rejected_ending, keep: kept.keep, rejected_keep: kept.rejected_keep }
    }

    /// Does what it is asked until nobody asks any more.
    pub(super) fn run(self, tasks: &Receiver<Task>) {
        let mut due = Instant::now();
        loop {
            if Instant::now() >= due {
                due = Instant::now() + REJECTED_EVERY;
                retained(self.retain_rejected(self.shared.now()));
            }
            match tasks.recv_deadline(due) {
                Ok(Task::Targets(leaving)) => self.write(&leaving),
                Ok(Task::Retain(floors)) => retained(self.retain(floors)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    }

    fn write(&self, leaving: &Leaving) {
        // The index knows of no record that a power cut can take away.
        let done = self.shared.journal.sync().map_err(|cause| cause.to_string());
        let done = done.and_then(|_| leaving.write().map_err(|cause| cause.to_string()));
        if let Err(cause) = done {
            self.shared.stop(format!("the index of judged events cannot be written: {cause}"));
            error!(%cause, "the index of judged events cannot be written");
        }
    }

    fn retain(&self, floors: Floors) -> Result<(), JournalError> {
        let before = self.journal.first()?;
        // What is still to be sent stays.
        let kept = self.journal.apply(floors.recovery.min(self.shared.topics.floor()), floors.now - self.keep)?;
        self.outputs.apply(kept.min(floors.answers), floors.now)?;
        self.retain_rejected(floors.now)?;
        self.shared.metrics.journal_first_sequence.set(kept.0 as i64);
        if kept > before {
            info!(first = kept.0, "old segments of the journal were removed");
        }
        Ok(())
    }
    fn retain_rejected(&self, now: Timestamp) -> Result<(), JournalError> {
        // The recorder ends it with its next group; it goes when its time has come.
        self.rejected_ending.before(now - REJECTED_SPAN);
        self.rejected.apply(Sequence(u64::MAX), now - self.rejected_keep).map(drop)
    }
}

fn retained(done: Result<(), JournalError>) {
    if let Err(cause) = done {
        // Nothing is lost by it but room: the next time tries again.
        error!(%cause, "old segments could not be removed");
    }
}
