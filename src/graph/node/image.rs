//! Nodes in an image: their tables, their numbers, and whether what was read leads only to what there is.

use super::{DORMANT, NOBODY, Nodes, WARM};
use crate::event::IdKind;
use crate::graph::{Link, Ring};
use crate::memory::image::{Table, Used, Words, front};

impl Nodes {
    /// Their tables and what of them is in use.
    pub fn tables(&mut self) -> [(&'static str, Used, &mut dyn Table); 4] {
        let used = || front(self.count as usize);
        let (headers, heads, asides) = (used(), used(), used());
        let (index, slots) = self.index.table();
        [
            ("headers", headers, &mut self.headers),
            ("heads", heads, &mut self.heads),
            ("asides", asides, &mut self.asides),
            ("index", index, slots),
        ]
    }

    /// Writes how many there are, and the ends of the dormant list.
    pub fn words(&self, out: &mut Vec<u64>) {
        out.extend([u64::from(self.count), u64::from(self.dormant.0), u64::from(self.dormant.1)]);
    }

    /// Puts back what [`Nodes::words`] wrote.
    ///
    /// # Errors
    /// Where the table is smaller.
    pub fn restore_words(&mut self, words: &mut Words<'_>) -> Result<(), String> {
        self.count = words.at_most(self.headers.len(), "nodes")? as u32;
        let mut end = || words.at_most(NOBODY as usize, "as an end of the dormant list");
        self.dormant = (end()? as u32, end()? as u32);
        Ok(())
    }

    /// Whether every node leads only to what there is: rows of `rings`, warm records below `fresh` (both by family), other nodes; and
    /// whether the index finds each.
    ///
    /// # Errors
    /// What was found.
    pub fn check(&self, rings: &[Ring; 3], fresh: [u32; 3]) -> Result<(), String> {
        let leads = |family: usize, word: u32| match word {
            word if word == Link::NONE.0 => true,
            word if word & WARM != 0 => word & !WARM < fresh[family],
            word => rings[family].holds(Link(word)),
        };
        let exists = |node: u32| node == NOBODY || node < self.count;
        if !exists(self.dormant.0) || !exists(self.dormant.1) {
            return Err(format!("the dormant list runs from {} to {}, there are {} nodes", self.dormant.0, self.dormant.1, self.count));
        }
        for node in 0..self.len() {
            let (header, heads) = (&self.headers[node], self.asides[node].heads);
            let others = match header.life & DORMANT != 0 {
                true => heads.iter().all(|node| exists(*node)),
                false => leads(1, heads[0]) && leads(2, heads[1]),
            };
            if !others || !leads(0, self.heads[node]) || IdKind::from_number((header.life >> 50 & 0xf) as u8).is_none() {
                return Err(format!("node {node} leads to what is not there: {header:?}, {:?}, {:?}", self.heads[node], self.asides[node]));
            }
        }
        self.index.check(self.len(), |node| self.headers[node.0 as usize].fingerprint)
    }
}
