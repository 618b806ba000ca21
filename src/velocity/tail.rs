//! Tails: where windows end.
//!
//! Each tail walks the ring in arrival order and stops at the first on-time row that is still inside; late rows it skips, they have tails
//! of their own ([`super::late`]). What a tail does to a row is a pure function of the row, so it does not matter how often or how far
//! tails are advanced at a time.

use super::plan::Plan;
use crate::event::{Duration, Timestamp};
use crate::graph::{Cursor, Flags, Ring};

/// What happens to a row that a tail passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// It leaves a window.
    Window(usize),
    /// Its source's maturity is over: without a verdict it counts as genuine.
    Mature { class: usize },
    /// It leaves a label window.
    LabelExit { class: usize, window: usize },
}

impl Task {
    /// Whether a row with these flags is concerned: maturities are those of sources.
    #[inline(always)]
    pub fn concerns(self, flags: Flags) -> bool {
        match self {
            Task::Window(_) => true,
            Task::Mature { class } => flags.maturity_class() == class && flags.verdict().is_none(),
            Task::LabelExit { class, .. } => flags.maturity_class() == class,
        }
    }
}

const AT_ONCE: Timestamp = Timestamp(i64::MIN);
const NEVER: Timestamp = Timestamp(i64::MAX);

/// One tail over the on-time rows.
#[derive(Clone, Copy, Debug)]
pub struct Tail {
    pub task: Task,
    lag: Duration,
    /// The next row to pass.
    pub cursor: Cursor,
    /// From which stream time on there is something to do: [`Tail::due`] of the next row, at once where that is late and only to be
    /// skipped, never where there is none. So waiting tails need not look at their rows.
    pub next: Timestamp,
}

impl Tail {
    /// The stream time from which on a row of this time is behind the tail. Windows are half open: `(T - w, T]`; a maturity is over only
    /// behind its last moment.
    #[inline(always)]
    pub fn due(&self, time: Timestamp) -> Timestamp {
        Timestamp(time.0 + self.lag.0 + i64::from(matches!(self.task, Task::Mature { .. })))
    }

    /// Whether a row of this time is behind the tail when stream time is `now`.
    #[inline(always)]
    pub fn passes(&self, time: Timestamp, now: Timestamp) -> bool {
        self.due(time) <= now
    }

    /// Puts the tail at a place of `ring`.
    #[inline(always)]
    pub fn stand_at(&mut self, ring: &Ring, cursor: Cursor) {
        self.cursor = cursor;
        self.next = if cursor.ordinal == ring.head().ordinal {
            NEVER
        } else {
            let row = ring.row(cursor.position);
            if row.flags.late() { AT_ONCE } else { self.due(row.time) }
        };
    }
}

/// The tails of a family, each maturity before the label windows that begin with it.
pub fn tails(plan: &Plan, maturities: &[Duration]) -> Vec<Tail> {
    let mut tails: Vec<Tail> = Vec::new();
    let mut push = |task, lag| tails.push(Tail { task, lag, cursor: Cursor::default(), next: NEVER });
    for (window, length) in plan.windows.iter().enumerate() {
        push(Task::Window(window), *length);
    }
    if !plan.label_windows.is_empty() {
        for (class, maturity) in maturities.iter().enumerate() {
            push(Task::Mature { class }, *maturity);
            for (window, length) in plan.label_windows.iter().enumerate() {
                push(Task::LabelExit { class, window }, Duration(maturity.0 + length.0));
            }
        }
    }
    tails
}
