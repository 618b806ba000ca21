//! Exact sliding windows by tails over the rings: counts, sums, distinct counterparts, delayed-label rates.
//!
//! What exactly they hold is said in ARCHITECTURE.md, section 1. Invariant: at every moment the counters of a warm node are what
//! [`Velocity::rebuild`] would compute from the visible rows, their flags and stream time alone.

mod aggregate;
mod ahead;
mod counters;
mod image;
mod late;
mod pair;
mod plan;
mod read;
mod tail;

pub use aggregate::*;
pub use late::{LATE_ROW_BYTES, LateRow};
pub use pair::{Pair, Pairs};
pub use plan::{Plan, family, row_type};
pub use read::{Reading, columns};

use crate::decision::{Part, Skip, Skips, Why};
use crate::event::{Duration, LabelSource, Timestamp, Verdict};
use crate::graph::{Cursor, Family, FamilyLimits, Graph, NodeId, Promotion, Row};
use counters::{Sign, add_labels, add_new_row, add_row};
use late::Late;
use tail::{Tail, Task};

/// One family's windows.
pub struct Velocity {
    family: Family,
    plan: Plan,
    maturities: Vec<Duration>,
    tails: Vec<Tail>,
    late: Late,
    pairs: Pairs,
    /// Stream time up to which the tails have advanced.
    now: Timestamp,
    gaps: Gaps,
}

/// Up to when something had to be left out of the windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gaps {
    /// Greatest time of a row that the ring dropped.
    pub dropped: Timestamp,
    /// Greatest time of a late row that found no room.
    pub late_full: Timestamp,
    /// Distinct figures and pairs are incomplete while stream time lies before this.
    pub pairs_full_until: Timestamp,
}

impl Gaps {
    /// Nothing was left out.
    pub const NONE: Gaps = Gaps { dropped: Timestamp(i64::MIN), late_full: Timestamp(i64::MIN), pairs_full_until: Timestamp(i64::MIN) };
}

/// Before any event: early enough that no window of the first event reaches back to it, late enough that subtracting one is safe.
pub const BEGINNING: Timestamp = Timestamp(i64::MIN / 2);

impl Velocity {
    /// The windows of `family`. `maturities` are by class.
    pub fn new(family: Family, plan: Plan, maturities: &[Duration], limits: &FamilyLimits, progress: &mut dyn FnMut(usize)) -> Velocity {
        read::check(&plan);
        let tails = tail::tails(&plan, maturities);
        Velocity {
            family,
            maturities: maturities.to_vec(),
            late: Late::new(limits.late_rows_max, tails.len(), progress),
            pairs: Pairs::new(limits.pairs_max, progress),
            tails,
            plan,
            now: BEGINNING,
            gaps: Gaps::NONE,
        }
    }

    /// The compiled aggregates.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Stream time up to which the windows have moved.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// What had to be left out.
    pub fn gaps(&self) -> Gaps {
        self.gaps
    }

    /// The table of pairs.
    pub fn pairs(&self) -> &Pairs {
        &self.pairs
    }

    /// The late rows that have not left every window.
    pub fn late_rows(&self) -> &[LateRow] {
        self.late.rows()
    }

    /// Advances all tails to stream time `now`; rows beyond the horizon leave the ring.
    pub fn advance(&mut self, graph: &mut Graph, now: Timestamp) {
        if now <= self.now {
            return;
        }
        self.now = now;
        let family = self.family as usize;
        if graph.rings[family].is_empty() {
            // Then no row is late either; the tails stand at the head already.
            return;
        }
        for number in 0..self.tails.len() {
            while self.tails[number].next <= now {
                let (place, task) = (self.tails[number].cursor, self.tails[number].task);
                let row = *graph.rings[family].row(place.position);
                if !row.flags.late() {
                    self.look_ahead(graph, task, place);
                    if task.concerns(row.flags) {
                        self.perform(graph, task, &row);
                    }
                }
                let ring = &graph.rings[family];
                self.tails[number].stand_at(ring, ring.after(place));
            }
            while let Some((time, position)) = self.late.next(number) {
                if !self.tails[number].passes(time, now) {
                    break;
                }
                let task = self.tails[number].task;
                let row = *graph.rings[family].row(position);
                if task.concerns(row.flags) {
                    self.perform(graph, task, &row);
                }
                self.late.pass(number);
            }
        }
        let gone = now - self.plan.horizon;
        while !graph.rings[family].is_empty() && graph.rings[family].row(graph.rings[family].tail().position).time <= gone {
            graph.release(self.family);
        }
        self.late.forget(gone);
    }

    /// A row that a tail's task concerns passes it.
    #[inline]
    fn perform(&mut self, graph: &mut Graph, task: Task, row: &Row) {
        match task {
            Task::Window(window) => self.leave_window(graph, window, row),
            Task::Mature { .. } => {
                for window in 0..self.plan.label_windows.len() {
                    add_labels(&self.plan, graph, self.family, row, window, false, Sign::Plus);
                }
            }
            // Its maturity is over, so it is known.
            Task::LabelExit { window, .. } => add_labels(&self.plan, graph, self.family, row, window, row.flags.bad(), Sign::Minus),
        }
    }

    /// A row leaves a window, in its time or dropped by the ring.
    fn leave_window(&mut self, graph: &mut Graph, window: usize, row: &Row) {
        add_row(&self.plan, graph, self.family, row, window, Sign::Minus);
        if window + 1 < self.plan.windows.len() {
            return;
        }
        for (number, kind) in self.plan.pair_kinds.iter().enumerate() {
            if kind.of == row.flags.kind() && row.flags.paired(number) {
                // The pair must not lead to a row that has left, whatever made it go before the others.
                let newest = !row.flags.superseded(number);
                self.pairs.take_off(pair::key(number, row.nodes[kind.a], row.nodes[kind.b]), newest);
            }
        }
    }

    /// Makes room in a full ring: the oldest row leaves everything at once, whatever its age.
    pub fn drop_oldest(&mut self, graph: &mut Graph) {
        let place = graph.rings[self.family as usize].tail();
        let row = *graph.rings[self.family as usize].row(place.position);
        let behind = graph.rings[self.family as usize].after(place);
        let mut passed = [false; TAILS_MAX];
        if row.flags.late() && !self.late.remove(row.time, place.position, |tail, had| passed[tail] = had) {
            // It never entered, or it has left everything already.
            passed = [true; TAILS_MAX];
        }
        for (number, tail) in self.tails.iter_mut().enumerate() {
            if !row.flags.late() {
                passed[number] = tail.cursor.ordinal > place.ordinal;
            }
            if tail.cursor.ordinal == place.ordinal {
                tail.stand_at(&graph.rings[self.family as usize], behind);
            }
        }
        for (number, _) in passed.into_iter().enumerate().take(self.tails.len()).filter(|(_, passed)| !passed) {
            match self.tails[number].task {
                Task::Window(window) => self.leave_window(graph, window, &row),
                Task::Mature { .. } => {}
                Task::LabelExit { class, window } => {
                    if row.flags.maturity_class() == class
                        && let Some(bad) = self.known(row.flags.verdict(), row.time, class)
                    {
                        add_labels(&self.plan, graph, self.family, &row, window, bad, Sign::Minus);
                    }
                }
            }
        }
        if row.time > self.now - self.plan.horizon {
            self.gaps.dropped = self.gaps.dropped.max(row.time);
        }
        graph.release(self.family);
    }

    /// By class of source: after what time a row without a verdict counts as genuine.
    pub fn maturities(&self) -> &[Duration] {
        &self.maturities
    }

    /// What is known of a target: bad, good, or nothing yet.
    fn known(&self, verdict: Option<Verdict>, time: Timestamp, class: usize) -> Option<bool> {
        match verdict {
            Some(Verdict::Fraud | Verdict::Laundering) => Some(true),
            Some(Verdict::Legitimate) => Some(false),
            None => (time < self.now - self.maturities[class]).then_some(false),
        }
    }

    /// Fills the counters of a node that is about to turn warm from its rows, given by position. Called before its new row enters.
    pub fn fill(&mut self, graph: &mut Graph, node: NodeId, promotion: Promotion, positions: &[u32]) {
        for position in positions {
            self.count_for(graph, node, promotion.record, *position);
        }
    }

    /// Adds one visible row to one node's counters as if it had been there when the row came.
    fn count_for(&mut self, graph: &mut Graph, node: NodeId, record: u32, position: u32) {
        let row = *graph.rings[self.family as usize].row(position);
        let words = &mut graph.warm[self.family as usize].record_mut(record)[crate::graph::COUNTERS_AT..];
        for window in 0..self.plan.windows.len() {
            if row.time > self.now - self.plan.windows[window] {
                counters::add_row_for(&self.plan, &row, window, node, words, Sign::Plus);
            }
        }
        let class = row.flags.maturity_class();
        let Some(bad) = self.known(row.flags.verdict(), row.time, class) else { return };
        for window in 0..self.plan.label_windows.len() {
            if self.in_label_window(row.time, class, window) {
                counters::add_labels_for(&self.plan, &row, window, node, words, bad, Sign::Plus);
            }
        }
    }

    fn in_label_window(&self, time: Timestamp, class: usize, window: usize) -> bool {
        time > self.now - self.maturities[class] - self.plan.label_windows[window]
    }

    /// Enters the row that was just appended into its windows. The tails stand at stream time, this row included.
    pub fn enter(&mut self, graph: &mut Graph, place: Cursor) {
        let family = self.family as usize;
        let row = *graph.rings[family].row(place.position);
        let late = row.flags.late();
        for tail in self.tails.iter_mut().filter(|tail| tail.cursor.ordinal == place.ordinal) {
            tail.stand_at(&graph.rings[family], place);
        }
        // A late row that would have left already is in no window and needs no place.
        if late && row.time > self.now - self.plan.horizon {
            if self.late.is_full() {
                graph.rings[family].row_mut(place.position).flags.set_aggregates(0);
                self.gaps.late_full = self.gaps.late_full.max(row.time);
                return;
            }
            let (tails, now) = (&self.tails, self.now);
            self.late.insert(row.time, place.position, |tail| tails[tail].passes(row.time, now));
        }
        for number in 0..self.plan.pair_kinds.len() {
            if self.plan.pair_kinds[number].of == row.flags.kind() {
                self.enter_pair(graph, place, number);
            }
        }
        // The flags have changed: a row that is born superseded counts for no distinct figure.
        let row = *graph.rings[family].row(place.position);
        add_new_row(&self.plan, graph, self.family, &row, |window| !late || row.time > self.now - self.plan.windows[window]);
        let class = row.flags.maturity_class();
        if late && self.known(None, row.time, class) == Some(false) {
            for window in 0..self.plan.label_windows.len() {
                if self.in_label_window(row.time, class, window) {
                    add_labels(&self.plan, graph, self.family, &row, window, false, Sign::Plus);
                }
            }
        }
    }

    /// Makes the new row the newest of its pair, or marks it as superseded where it is not. The row that it takes the place of stops
    /// counting in the windows that both are inside of.
    fn enter_pair(&mut self, graph: &mut Graph, place: Cursor, number: usize) {
        let family = self.family as usize;
        let kind = self.plan.pair_kinds[number];
        let row = *graph.rings[family].row(place.position);
        let (a, b) = (row.nodes[kind.a], row.nodes[kind.b]);
        let longest = self.plan.longest();
        if !a.is_some() || !b.is_some() || row.time <= self.now - longest {
            graph.rings[family].row_mut(place.position).flags.set_superseded(number);
            return;
        }
        let key = pair::key(number, a, b);
        let known = self.pairs.get(key);
        let count = known.map_or(0, |pair| pair.count) + 1;
        let newest = known.map(|pair| pair.newest).filter(|newest| *newest != Pair::GONE);
        if let Some(newest) = newest {
            let older = graph.rings[family].row(newest);
            if older.time > row.time {
                self.pairs.set(key, Pair { newest, count });
                let flags = &mut graph.rings[family].row_mut(place.position).flags;
                flags.set_superseded(number);
                flags.set_paired(number);
                return;
            }
        }
        if !self.pairs.set(key, Pair { newest: place.position, count }) {
            graph.rings[family].row_mut(place.position).flags.set_superseded(number);
            self.gaps.pairs_full_until = self.gaps.pairs_full_until.max(self.now + longest);
            return;
        }
        graph.rings[family].row_mut(place.position).flags.set_paired(number);
        if let Some(newest) = newest {
            let older = *graph.rings[family].row(newest);
            for window in 0..self.plan.windows.len() {
                if older.time > self.now - self.plan.windows[window] {
                    counters::add_distinct(&self.plan, graph, self.family, &older, window, number, Sign::Minus);
                }
            }
            graph.rings[family].row_mut(newest).flags.set_superseded(number);
        }
    }

    /// Adds what the figures read now lack to `skips`.
    #[inline]
    pub fn missing(&self, skips: &mut Skips) {
        if self.now < self.gaps.pairs_full_until {
            skips.push(Skip { part: Part::Distinct, why: Why::PairsFull, value: 0, window: 0 });
        }
        let oldest = self.now - self.plan.horizon;
        if self.gaps.dropped <= oldest && self.gaps.late_full <= oldest {
            return;
        }
        let longest = self.maturities.iter().copied().max().unwrap_or_default();
        let label_windows = self.plan.label_windows.iter().map(|w| Duration(longest.0 + w.0));
        for window in self.plan.windows.iter().copied().chain(label_windows) {
            if self.gaps.dropped > self.now - window {
                skips.push(Skip { part: Part::Window, why: Why::HistorySince, value: self.gaps.dropped.0, window: window.0 });
            }
            if self.gaps.late_full > self.now - window {
                skips.push(Skip { part: Part::Window, why: Why::LateFull, value: 0, window: window.0 });
            }
        }
    }

    /// Puts a verdict on a visible row in force, unless one from a stronger source is; returns how the lifetime count of bads of the
    /// row's nodes changes.
    pub fn label(&mut self, graph: &mut Graph, position: u32, verdict: Verdict, source: LabelSource) -> i32 {
        let family = self.family as usize;
        let row = *graph.rings[family].row(position);
        if row.flags.verdict_source().is_some_and(|standing| standing > source) {
            return 0;
        }
        let class = row.flags.maturity_class();
        let before = self.known(row.flags.verdict(), row.time, class);
        let after = self.known(Some(verdict), row.time, class);
        if before != after {
            for window in 0..self.plan.label_windows.len() {
                if self.in_label_window(row.time, class, window) {
                    for (known, sign) in [(before, Sign::Minus), (after, Sign::Plus)] {
                        if let Some(bad) = known {
                            add_labels(&self.plan, graph, self.family, &row, window, bad, sign);
                        }
                    }
                }
            }
        }
        graph.rings[family].row_mut(position).flags.set_verdict(verdict, source);
        i32::from(after == Some(true)) - i32::from(before == Some(true))
    }

    /// Recomputes everything derived from the visible rows: tails, counters, recent positions, pairs. `late` are the late rows that had
    /// found room.
    pub fn rebuild(&mut self, graph: &mut Graph, now: Timestamp, gaps: Gaps, late: &[LateRow]) -> Result<(), String> {
        let family = self.family as usize;
        (self.now, self.gaps) = (now, gaps);
        let tails = &self.tails;
        self.late.restore(late, |tail, time| tails[tail].passes(time, now))?;
        for number in 0..self.tails.len() {
            let mut cursor = graph.rings[family].tail();
            while cursor.ordinal < graph.rings[family].head().ordinal {
                let row = graph.rings[family].row(cursor.position);
                if !row.flags.late() && !self.tails[number].passes(row.time, now) {
                    break;
                }
                cursor = graph.rings[family].after(cursor);
            }
            self.tails[number].stand_at(&graph.rings[family], cursor);
        }
        let mut cursor = graph.rings[family].tail();
        while cursor.ordinal < graph.rings[family].head().ordinal {
            let row = *graph.rings[family].row(cursor.position);
            graph.relink(self.family, &row, cursor.position, |graph, node, record| self.count_for(graph, node, record, cursor.position));
            if row.time > now - self.plan.longest() {
                for (number, kind) in self.plan.pair_kinds.iter().enumerate() {
                    if kind.of == row.flags.kind() && row.flags.paired(number) {
                        let key = pair::key(number, row.nodes[kind.a], row.nodes[kind.b]);
                        let known = self.pairs.get(key).unwrap_or(Pair { newest: Pair::GONE, count: 0 });
                        let newest = if row.flags.superseded(number) { known.newest } else { cursor.position };
                        if !self.pairs.set(key, Pair { newest, count: known.count + 1 }) {
                            return Err("the snapshot has more pairs than pairs_max".to_owned());
                        }
                    }
                }
            }
            cursor = graph.rings[family].after(cursor);
        }
        Ok(())
    }
}

/// The most tails a family can have.
const TAILS_MAX: usize = WINDOWS_MAX + MATURITIES_MAX * (1 + LABEL_WINDOWS_MAX);
