//! Snapshots of a standby, taken between two groups, and what is let go of behind them.

use super::follower::{Ending, Follower, fatal};
use crate::event::Sequence;
use crate::journal::{LogKind, Retention};
use crate::metrics::Metrics;
use crate::runtime::service::error::ServiceError;
use crate::runtime::service::standing::Standing;
use crate::snapshot::{Snapshots, Taker, TakerOptions, Taking};
use crate::topology::Topology;
use std::time::{Duration as Wall, Instant};
use tracing::{error, info, warn};

/// Bytes of a snapshot that are saved between two groups.
const PUMP_BYTES: usize = 1 << 20;
/// How long it may save where nothing comes: beats come once a second then.
const PUMP_WHEN_QUIET: Wall = Wall::from_millis(200);

/// The snapshots of a standby.
pub(super) struct Snapping {
    taker: Taker,
    snapshots: Snapshots,
    last: (u64, Instant),
}

impl Snapping {
    pub(super) fn start(standing: &Standing, topology: &Topology) -> Result<Snapping, ServiceError> {
        let options = TakerOptions { copy_bytes_max: topology.snapshot.copy_bytes_max, keep: topology.snapshot.keep };
        let dir = standing.dir.snapshots();
        let snapshots = Snapshots::at(standing.files.clone(), &dir);
        let last = snapshots.list()?.first().map_or(0, |kept| kept.sequence.0);
        Ok(Snapping { taker: Taker::start(standing.files.clone(), &dir, options)?, snapshots, last: (last, Instant::now()) })
    }

    /// Takes no more: the leader that this becomes takes its own.
    pub(super) fn end(mut self, standing: &mut Standing) {
        self.taker.abandon(&mut standing.engine);
    }
}

impl Follower {
    /// Takes snapshots as often as a leader would, and lets go of what is old. `quiet`: nothing came, so there is time for it.
    pub(super) fn snap(&mut self, quiet: bool) -> Result<(), Ending> {
        let Some(snapping) = &mut self.snapping else { return Ok(()) };
        let (standing, options) = (&mut self.standing, &self.topology.snapshot);
        let next = standing.journal.next();
        if !snapping.taker.is_busy() {
            let records = next.0.saturating_sub(snapping.last.0);
            if records < options.records && (records == 0 || snapping.last.1.elapsed() < options.every) {
                return Ok(());
            }
            snapping.last = (next.0, Instant::now());
            // Outputs before it are not derived again from this snapshot: they are on disk before it can have its name.
            standing.outputs.sync().map_err(fatal)?;
            standing.texts.sync().map_err(fatal)?;
            standing.journal.sync().map_err(fatal)?;
            // Nor is what these records did to texts.
            standing.namer.advance(next).map_err(fatal)?;
            standing.namer.sync().map_err(fatal)?;
            self.outputs_synced = snapping.last.1;
            if let Err(cause) = snapping.taker.begin(&mut standing.engine, next, standing.latest) {
                error!(%cause, "a snapshot could not be begun");
            }
        }
        // What is written and synced now is durable up to its end.
        let durable = if standing.journal.is_unsynced() { Sequence(0) } else { next };
        let until = Instant::now() + if quiet { PUMP_WHEN_QUIET } else { Wall::ZERO };
        let mut taking = snapping.taker.pump(&mut standing.engine, PUMP_BYTES, durable);
        while matches!(taking, Taking::Going { .. }) && Instant::now() < until {
            taking = snapping.taker.pump(&mut standing.engine, PUMP_BYTES, durable);
        }
        match taking {
            Taking::Idle | Taking::Going { .. } | Taking::Settling => {}
            Taking::Taken(taken) => {
                self.metrics.snapshots_total.with_label_values(&["taken"]).inc();
                self.metrics.snapshot_sequence.set(taken.sequence.0 as i64);
                self.metrics.snapshot_bytes.set(taken.bytes as i64);
                info!(sequence = taken.sequence.0, bytes = taken.bytes, "a snapshot was taken");
                let oldest = snapping.snapshots.list().map_err(fatal)?.last().map_or(Sequence(0), |kept| kept.sequence);
                retain(standing, &self.topology, oldest, &self.metrics);
            }
            Taking::Abandoned(failure) => {
                self.metrics.snapshots_total.with_label_values(&["abandoned"]).inc();
                warn!(?failure, "a snapshot was given up; the next one comes in its time");
            }
            Taking::Failed(cause) => {
                self.metrics.snapshots_total.with_label_values(&["failed"]).inc();
                error!(%cause, "a snapshot could not be written");
            }
        }
        Ok(())
    }
}

/// Lets go of what is old, now that the journal's start is needed less.
fn retain(standing: &Standing, topology: &Topology, snapshot: Sequence, metrics: &Metrics) {
    let of = |dir, kind| Retention::of(standing.files.clone(), dir, kind);
    let (journal, outputs) = (standing.dir.journal(), standing.dir.outputs());
    let done = || {
        let recovery = snapshot.min(standing.targets.noted());
        let kept = of(&journal, LogKind::Journal).apply(recovery, standing.latest - topology.journal.keep)?;
        let answers = standing.engine.oldest_judged().unwrap_or(recovery);
        of(&outputs, LogKind::Outputs).apply(kept.min(answers), standing.latest)?;
        metrics.journal_first_sequence.set(kept.0 as i64);
        Ok::<_, crate::journal::JournalError>(())
    };
    if let Err(cause) = done() {
        // Nothing is lost by it but room: the next snapshot tries again.
        error!(%cause, "old segments could not be removed");
    }
}
