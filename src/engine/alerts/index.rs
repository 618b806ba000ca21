//! The index of alerts: from the ids by which an alert grows, or by which it is found, to its place.

use crate::event::Id;
use crate::memory::Buffer;

/// Words of a place in the index: the id, then the alert's slot plus 1, and [`GROWS`] far up.
pub(super) const KEY: usize = 3;
const GROWS: u64 = 1 << 63;

/// Where an id leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lead {
    pub slot: usize,
    pub grows: bool,
}

/// Open addressing, each id as near behind its home as was free; never full.
pub(super) struct Index {
    keys: Buffer<u64>,
    /// Ids in it.
    len: usize,
}

impl Index {
    pub(super) fn new(places: usize, progress: &mut dyn FnMut(usize)) -> Index {
        Index { keys: Buffer::new(places * KEY, progress), len: 0 }
    }

    pub(super) fn clear(&mut self) {
        self.keys.range_mut(0..self.keys.len()).fill(0);
        self.len = 0;
    }

    fn places(&self) -> usize {
        self.keys.len() / KEY
    }

    fn home(&self, low: u64) -> usize {
        ((u128::from(low) * self.places() as u128) >> 64) as usize
    }

    fn next(&self, key: usize) -> usize {
        if key + 1 == self.places() { 0 } else { key + 1 }
    }

    /// The place of `id`, or the empty one at which the search ended.
    #[inline]
    fn key(&self, id: Id) -> Result<usize, usize> {
        let mut key = self.home(id.low());
        loop {
            let words = &self.keys[key * KEY..][..KEY];
            if words[2] == 0 {
                return Err(key);
            }
            if words[0] == id.low() && words[1] == id.high() {
                return Ok(key);
            }
            key = self.next(key);
        }
    }

    /// Hints that `id` will be looked up.
    #[inline]
    pub(super) fn prefetch(&self, id: Id) {
        self.keys.prefetch(self.home(id.low()) * KEY);
    }

    /// Where `id` leads.
    #[inline]
    pub(super) fn lead(&self, id: Id) -> Option<Lead> {
        if self.len == 0 {
            return None;
        }
        let word = self.keys[self.key(id).ok()? * KEY + 2];
        Some(Lead { slot: (word & !GROWS) as usize - 1, grows: word & GROWS != 0 })
    }

    /// Has `id` lead to an alert, unless it leads somewhere already.
    pub(super) fn lead_to(&mut self, id: Id, slot: usize, grows: bool) -> bool {
        match self.key(id) {
            Ok(_) => false,
            Err(key) => {
                let word = (slot as u64 + 1) | if grows { GROWS } else { 0 };
                self.keys.range_mut(key * KEY..(key + 1) * KEY).copy_from_slice(&[id.low(), id.high(), word]);
                self.len += 1;
                true
            }
        }
    }

    /// Takes an id out; those behind it in its chain move up.
    pub(super) fn unlead(&mut self, id: Id) {
        let Ok(mut gap) = self.key(id) else { return };
        let mut key = self.next(gap);
        while self.keys[key * KEY + 2] != 0 {
            let home = self.home(self.keys[key * KEY]);
            let stays = if gap <= key { gap < home && home <= key } else { gap < home || home <= key };
            if !stays {
                let moved: [u64; KEY] = self.keys[key * KEY..][..KEY].try_into().expect("a key's words");
                self.keys.range_mut(gap * KEY..(gap + 1) * KEY).copy_from_slice(&moved);
                gap = key;
            }
            key = self.next(key);
        }
        self.keys.range_mut(gap * KEY..(gap + 1) * KEY).fill(0);
        self.len -= 1;
    }
}
