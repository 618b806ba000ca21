//! Windows in an image: tables, numbers, and whether what was read leads only to what there is.

use super::Velocity;
use super::late::LateRow;
use crate::event::Timestamp;
use crate::graph::{Cursor, Graph};
use crate::memory::image::{Table, Used, Words};

impl Velocity {
    /// Its tables and what of them is in use.
    pub fn tables(&mut self) -> [(&'static str, Used, &mut dyn Table); 2] {
        let ((late, rows), (pairs, slots)) = (self.late.table(), self.pairs.table());
        [("late rows", late, rows), ("pairs", pairs, slots)]
    }

    /// Writes where the tails stand, what was left out, and the counts of its tables.
    pub fn words(&self, out: &mut Vec<u64>) {
        out.extend([self.now, self.gaps.dropped, self.gaps.late_full, self.gaps.pairs_full_until].map(|time| time.0 as u64));
        out.push(self.tails.len() as u64);
        for tail in &self.tails {
            out.extend([tail.cursor.ordinal, u64::from(tail.cursor.position)]);
        }
        self.late.words(out);
        self.pairs.words(out);
    }

    /// Puts back what [`Velocity::words`] wrote; the ring's cursors are restored already, its rows need not be.
    ///
    /// # Errors
    /// Where these are no windows of this plan over this ring.
    pub fn restore_words(&mut self, graph: &Graph, words: &mut Words<'_>) -> Result<(), String> {
        let mut time = || words.word().map(|word| Timestamp(word as i64));
        (self.now, self.gaps.dropped, self.gaps.late_full, self.gaps.pairs_full_until) = (time()?, time()?, time()?, time()?);
        let tails = words.word()?;
        if tails != self.tails.len() as u64 {
            return Err(format!("found {tails} tails in {}, expected {}", self.family.name(), self.tails.len()));
        }
        let ring = &graph.rings[self.family as usize];
        for tail in &mut self.tails {
            tail.cursor = Cursor { ordinal: words.word()?, position: words.word()? as u32 };
            if !ring.can_stand_at(tail.cursor) {
                return Err(format!("a tail of {} stands outside the ring, at {:?}", self.family.name(), tail.cursor));
            }
        }
        self.late.restore_words(words)?;
        self.pairs.restore_words(words)
    }

    /// Lets the tails look at their rows again, when the ring has been read, and checks the tables.
    ///
    /// # Errors
    /// What leads to something that is not there.
    pub fn wake(&mut self, graph: &Graph) -> Result<(), String> {
        let ring = &graph.rings[self.family as usize];
        for tail in &mut self.tails {
            tail.stand_at(ring, tail.cursor);
        }
        self.late.check(ring.capacity())?;
        self.pairs.check(ring.capacity())
    }

    /// Computes again what is derived, in the place of what there is.
    ///
    /// # Errors
    /// As [`Velocity::rebuild`].
    pub fn rebuild_in_place(&mut self, graph: &mut Graph) -> Result<(), String> {
        let late: Vec<LateRow> = self.late_rows().to_vec();
        graph.warm[self.family as usize].clear_derived();
        self.pairs.clear();
        self.rebuild(graph, self.now, self.gaps, &late)
    }
}
