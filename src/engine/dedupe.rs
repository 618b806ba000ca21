//! An id is judged once: what came within the horizon of idempotency, and with which content.

use crate::event::{Duration, Id, Sequence, Timestamp};
use crate::memory::image::{Table, Used, Words, round};
use crate::memory::{Buffer, Slots};

/// Words of an entry: id (two), fingerprint, sequence, event time.
const ENTRY: usize = 5;

/// How far ahead of the oldest entry slots are fetched.
const AHEAD: usize = 4;

/// What is known of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It was not seen within the horizon.
    New,
    /// It was judged with equal content, as this record.
    Duplicate(Sequence),
    /// A stand-in answered for it, with equal content; it was not judged yet.
    Awaited,
    /// It was judged with other content.
    Conflict,
}

/// Marks beside an entry's sequence, which stays below 2^48: a stand-in answered; the event itself is yet to be judged.
const ANSWERED: u64 = 1 << 63;
const AWAITED: u64 = 1 << 62;

/// The ids judged, in order of arrival, and a table from id to entry.
///
/// An entry leaves when its event time lies before the horizon (an event that old is refused before it is looked up), or earlier when the
/// table is full; then [`Judged::forgotten`] tells up to which event time an id could be unknown though it was judged.
pub struct Judged {
    entries: Buffer<u64>,
    /// `hash | entry's number + 1`. The hash is the part of the id that says where it is at home, so that neither a search nor a deletion
    /// looks at entries of others.
    slots: Slots<1>,
    head: u64,
    tail: u64,
    /// Where the entries with these numbers stand: a division an event would cost more than the look-up.
    head_at: usize,
    tail_at: usize,
    ids_max: u64,
    forgotten: Timestamp,
}

impl Judged {
    /// Bytes an id takes: its entry, and five quarters of a slot.
    pub const BYTES_EACH: u64 = (ENTRY * 8 + 10) as u64;

    /// An empty table of `ids_max` ids.
    pub fn new(ids_max: u32, progress: &mut dyn FnMut(usize)) -> Judged {
        assert!(ids_max > 0, "ids_max is at least 1, the topology has seen to it");
        Judged {
            entries: Buffer::new(ids_max as usize * ENTRY, progress),
            slots: Slots::new(ids_max, progress),
            head: 0,
            tail: 0,
            head_at: 0,
            tail_at: 0,
            ids_max: u64::from(ids_max),
            forgotten: Timestamp(i64::MIN),
        }
    }

    /// The greatest event time of an id that had to go before the horizon.
    pub fn forgotten(&self) -> Timestamp {
        self.forgotten
    }

    /// The record of the id held longest: outputs before it are asked for by nobody.
    pub fn oldest(&self) -> Option<Sequence> {
        (!self.is_empty()).then(|| Sequence(self.entry(self.tail_at)[3] & !(ANSWERED | AWAITED)))
    }

    /// Whether the record of `sequence` is the one by which `id` became known.
    pub fn is_first(&self, id: Id, sequence: Sequence) -> bool {
        self.place(id).is_some_and(|place| self.entry(place)[3] & !(ANSWERED | AWAITED) == sequence.0)
    }

    /// Under which content `id` is known.
    pub fn fingerprint(&self, id: Id) -> Option<u64> {
        self.place(id).map(|place| self.entry(place)[2])
    }

    /// Ids held.
    pub fn len(&self) -> u64 {
        self.head - self.tail
    }

    /// Whether no id is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The place behind that of an entry.
    #[inline(always)]
    fn after(&self, place: usize) -> usize {
        if place + 1 == self.ids_max as usize { 0 } else { place + 1 }
    }

    #[inline(always)]
    fn entry(&self, number: usize) -> &[u64] {
        &self.entries[number * ENTRY..][..ENTRY]
    }

    /// Hints that `id` will be asked for.
    #[inline(always)]
    pub fn prefetch(&self, id: Id) {
        self.slots.prefetch(hash(id.low()));
    }

    /// What is known of `id`.
    #[inline]
    pub fn find(&self, id: Id, fingerprint: u64) -> Known {
        let Some(place) = self.place(id) else { return Known::New };
        let entry = self.entry(place);
        match entry[3] & AWAITED != 0 {
            _ if entry[2] != fingerprint => Known::Conflict,
            true => Known::Awaited,
            false => Known::Duplicate(Sequence(entry[3] & !ANSWERED)),
        }
    }

    /// Remembers an id that is new.
    pub fn insert(&mut self, id: Id, fingerprint: u64, sequence: Sequence, time: Timestamp) {
        if self.len() == self.ids_max {
            let time = self.forget_oldest();
            self.forgotten = self.forgotten.max(time);
        }
        self.put([id.low(), id.high(), fingerprint, sequence.0, time.0 as u64]);
    }

    /// Remembers that a stand-in answered for an id that is new, in the record with this sequence.
    pub fn insert_answered(&mut self, id: Id, fingerprint: u64, sequence: Sequence, time: Timestamp) {
        self.insert(id, fingerprint, Sequence(sequence.0 | ANSWERED | AWAITED), time);
    }

    /// The awaited event has come. Its entry keeps the sequence of the stand-in: entries stand in the order of their sequences.
    pub fn judge_awaited(&mut self, id: Id) {
        let place = self.place(id).expect("an awaited id is there");
        let word = self.entries[place * ENTRY + 3];
        self.entries.set(place * ENTRY + 3, word & !AWAITED);
    }

    /// Notes that a stand-in answered for a judged id; `false` where one did before.
    pub fn mark_answered(&mut self, id: Id) -> bool {
        let place = self.place(id).expect("a judged id is there");
        let word = self.entries[place * ENTRY + 3];
        self.entries.set(place * ENTRY + 3, word | ANSWERED);
        word & ANSWERED == 0
    }

    /// The number of the entry of `id`.
    #[inline(always)]
    fn place(&self, id: Id) -> Option<usize> {
        let own = hash(id.low());
        let is = |word| hash(word) == own && self.entry(number(word))[..2] == [id.low(), id.high()];
        let word = self.slots.word(self.slots.seek(own, is), 0);
        (word != 0).then(|| number(word))
    }

    fn put(&mut self, entry: [u64; ENTRY]) {
        let number = self.head_at;
        self.entries.range_mut(number * ENTRY..(number + 1) * ENTRY).copy_from_slice(&entry);
        self.head += 1;
        self.head_at = self.after(number);
        let slot = self.slots.seek(hash(entry[0]), |_| false);
        self.slots.set(slot, 0, hash(entry[0]) | (number as u64 + 1));
    }

    /// Forgets ids, oldest first, whose event time lies before the horizon.
    #[inline]
    pub fn advance(&mut self, now: Timestamp, horizon: Duration) {
        while !self.is_empty() {
            if self.entry(self.tail_at)[4] as i64 >= (now - horizon).0 {
                break;
            }
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) -> Timestamp {
        let oldest = self.tail_at;
        // Ids leave in the order in which they stand here, so it is known ahead which slot is next.
        let next = oldest + AHEAD;
        let next = if next >= self.ids_max as usize { 0 } else { next };
        self.slots.prefetch(hash(self.entry(next)[0]));
        let time = Timestamp(self.entry(oldest)[4] as i64);
        let slot = self.slots.seek(hash(self.entry(oldest)[0]), |word| number(word) == oldest);
        self.slots.remove(slot, |[word]| hash(*word));
        self.tail += 1;
        self.tail_at = self.after(oldest);
        time
    }

    /// The entries, oldest first: the ground state.
    pub fn ground(&self) -> impl Iterator<Item = &[u64]> {
        (self.tail..self.head).map(|number| self.entry((number % self.ids_max) as usize))
    }

    /// Restores an empty table: the number of its first entry, what was forgotten, and the entries, oldest first.
    pub fn restore(&mut self, tail: u64, forgotten: Timestamp, entries: impl ExactSizeIterator<Item = [u64; ENTRY]>) -> Result<(), String> {
        if entries.len() as u64 > self.ids_max {
            return Err(format!("the snapshot has {} ids, ids_max is {}", entries.len(), self.ids_max));
        }
        (self.tail, self.head, self.forgotten) = (tail, tail, forgotten);
        (self.tail_at, self.head_at) = ((tail % self.ids_max) as usize, (tail % self.ids_max) as usize);
        entries.for_each(|entry| self.put(entry));
        Ok(())
    }

    /// Its tables and what of them is in use.
    pub fn tables(&mut self) -> [(&'static str, Used, &mut dyn Table); 2] {
        let entries = round(self.tail_at, self.len() as usize, self.ids_max as usize);
        let entries = entries.map(|part| part.start * ENTRY..part.end * ENTRY);
        let (slots, index) = self.slots.table();
        [("ids", entries, &mut self.entries), ("index of ids", slots, index)]
    }

    /// Writes its numbers.
    pub fn words(&self, out: &mut Vec<u64>) {
        out.extend([self.tail, self.head, self.forgotten.0 as u64]);
    }

    /// Puts back what [`Judged::words`] wrote.
    ///
    /// # Errors
    /// Where the table is smaller.
    pub fn restore_words(&mut self, words: &mut Words<'_>) -> Result<(), String> {
        (self.tail, self.head, self.forgotten) = (words.word()?, words.word()?, Timestamp(words.word()? as i64));
        if self.head.checked_sub(self.tail).is_none_or(|length| length > self.ids_max) {
            return Err(format!("found ids {} to {}, expected at most {}", self.tail, self.head, self.ids_max));
        }
        (self.tail_at, self.head_at) = ((self.tail % self.ids_max) as usize, (self.head % self.ids_max) as usize);
        Ok(())
    }

    /// Whether each id stands in the index once, where a search finds it.
    ///
    /// # Errors
    /// What was found.
    pub fn check(&self) -> Result<(), String> {
        let mut seen = vec![0u64; (self.ids_max as usize).div_ceil(64)];
        let checked = self.slots.check(self.len() as usize, |[word]| {
            let entry = u64::from((*word as u32).wrapping_sub(1));
            // How far behind the oldest entry it stands, round and round.
            let behind =
                if entry >= self.tail_at as u64 { entry - self.tail_at as u64 } else { entry + self.ids_max - self.tail_at as u64 };
            if entry >= self.ids_max || behind >= self.len() || seen[entry as usize / 64] >> (entry % 64) & 1 != 0 {
                return Err(format!("found entry {entry}, which is none or was found before"));
            }
            seen[entry as usize / 64] |= 1 << (entry % 64);
            match hash(*word) == hash(self.entry(entry as usize)[0]) {
                true => Ok(hash(*word)),
                false => Err(format!("found entry {entry} under the hash of another")),
            }
        });
        checked.map_err(|what| format!("its index of ids: {what}"))
    }

    /// Number of the oldest entry since the beginning.
    pub fn tail(&self) -> u64 {
        self.tail
    }
}

/// The part of an id, or of its slot's word, that says where it is at home.
#[inline(always)]
fn hash(word: u64) -> u64 {
    word >> 32 << 32
}

/// The entry that a slot leads to.
#[inline(always)]
fn number(slot: u64) -> usize {
    (slot as u32 - 1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_a_list(steps in prop::collection::vec((0u128..40, 0u64..3, 0i64..20), 1..400)) {
            let mut judged = Judged::new(8, &mut |_| {});
            let mut list: Vec<(u128, u64, u64, i64)> = Vec::new();
            let mut now = 0;
            for (n, (key, fingerprint, ahead)) in steps.into_iter().enumerate() {
                // Homes crowd at the table's end, so that chains wrap.
                let id = Id::from_bits(u128::from(u64::MAX - (key as u64 % 5) * (1 << 60)) | key << 64);
                let found = list.iter().find(|(other, ..)| *other == key);
                let expected = match found {
                    None => Known::New,
                    Some((_, f, sequence, _)) if *f == fingerprint => Known::Duplicate(Sequence(*sequence)),
                    Some(_) => Known::Conflict,
                };
                prop_assert_eq!(judged.find(id, fingerprint), expected);
                if expected == Known::New {
                    now = now.max(ahead + n as i64 / 4);
                    judged.advance(Timestamp(now), Duration(10));
                    let keep = list.iter().position(|(.., time)| *time >= now - 10).unwrap_or(list.len());
                    list.drain(..keep);
                    if list.len() == 8 {
                        list.remove(0);
                    }
                    judged.insert(id, fingerprint, Sequence(n as u64), Timestamp(ahead));
                    list.push((key, fingerprint, n as u64, ahead));
                }
            }
        }
    }
}
