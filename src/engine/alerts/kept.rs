//! Alerts beyond the process: as ground state, and in images.

use super::table::head;
use super::{AlertCounts, Alerts};
use crate::memory::image::{Table as Kept, Used, Words};

impl Alerts {
    /// Everything that is not in the tables.
    fn numbers(&self) -> [u64; 12] {
        let AlertCounts { opened, versions, held, dropped } = self.counts;
        let [hour, spent, least, line] = self.budget.words();
        let [groups, judged, stopped] = self.watch.numbers();
        [opened, versions, held, dropped, self.look as u64, hour, spent, least, line, groups, judged, stopped]
    }

    fn restore_numbers(&mut self, words: &mut Words<'_>) -> Result<(), String> {
        let (opened, versions) = (words.word()?, words.word()?);
        self.counts = AlertCounts { opened, versions, held: words.word()?, dropped: words.word()? };
        self.look = words.at_most(self.options.limits.alerts_max as usize, "places of alerts")?;
        self.budget.restore_words(words)?;
        self.watch.restore_numbers(words)
    }

    /// Writes the ground state.
    pub(in crate::engine) fn ground(&self, mut word: impl FnMut(u64) -> std::io::Result<()>) -> std::io::Result<()> {
        self.numbers().into_iter().try_for_each(&mut word)?;
        self.table.ground(&mut word)?;
        self.watch.ground(word)
    }

    /// Restores what [`Alerts::ground`] wrote.
    pub(in crate::engine) fn restore<E: From<String>>(&mut self, mut word: impl FnMut() -> Result<u64, E>) -> Result<(), E> {
        let mut numbers = [0; 12];
        for number in &mut numbers {
            *number = word()?;
        }
        self.restore_numbers(&mut Words(&numbers))?;
        self.table.restore(&mut word)?;
        self.watch.restore(word)?;
        Ok(self.check()?)
    }

    /// Makes what is derived again, after an image was read.
    pub(in crate::engine) fn wake(&mut self) -> Result<(), String> {
        self.table.wake()?;
        self.watch.wake()?;
        self.check()
    }

    fn check(&self) -> Result<(), String> {
        let held = self.table.used().map(|slot| self.table.get(slot, head::HELD)).sum::<u64>();
        let newest = self.table.used().map(|slot| self.table.get(slot, head::NUMBER)).max();
        if held != self.counts.held || newest > Some(self.counts.opened) {
            return Err(format!("found {held} alerts held and {newest:?} opened, expected {:?}", self.counts));
        }
        self.watch.check()
    }

    pub(in crate::engine) fn tables(&mut self) -> [(&'static str, Used, &mut dyn Kept); 6] {
        let ([heads, members, edges], [watched, linked, payments]) = (self.table.tables(), self.watch.tables());
        [heads, members, edges, watched, linked, payments]
    }

    pub(in crate::engine) fn words(&self, out: &mut Vec<u64>) {
        out.extend(self.numbers());
        self.table.words(out);
        self.watch.words(out);
    }

    pub(in crate::engine) fn restore_words(&mut self, words: &mut Words<'_>) -> Result<(), String> {
        self.restore_numbers(words)?;
        self.table.restore_words(words)?;
        self.watch.restore_words(words)
    }
}
