//! Images of tables: what stood in them at one moment, taken while they go on being written.
//!
//! A table's bytes are divided into pages. When an image begins, the pages of the parts in use are marked. A marked page is saved once: by
//! [`Table::pump`], a few at a time between steps, or by the first write to it, just before that write. So the image is what stood there
//! when it began, whatever is written meanwhile, and only the thread that owns the tables ever reads them.
//!
//! Pages are of 1 KiB, not larger: writes fall here and there, each into a page of its own at first, and it is the copying of a page that
//! such a write waits for and that needs room until the disk has it. A payment touches some twenty pages: with pages of 4 KiB five thousand
//! payments a second make 400 MB/s of copies at first, which no disk keeps up with. What the pump saves goes in longer runs.
//!
//! Saved pages lie as pieces in blocks, back to back; full blocks go to whoever writes them. There is a fixed number of blocks. When they
//! are all on their way, the pump waits its turn, and a write gives the image up: it may be tried again, a request may not wait.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

/// Bytes of a page.
pub const PAGE: usize = 1024;
/// A piece is never longer.
pub const PIECE_BYTES_MAX: usize = RUN * PAGE;
/// Pages that a pump saves as one piece at most.
const RUN: usize = 8;
/// Bytes ahead of a piece: its table (u32), its length (u32), where it stands in the table (u64), little-endian.
pub const PIECE_HEADER: usize = 16;
/// Bytes at the beginning of a block that are left to whoever writes it.
pub const BLOCK_HEADER: usize = 32;

/// Where blocks come from and go to. No call waits.
pub trait Blocks: Send {
    /// Bytes that fit into a block, its header included.
    fn block_bytes(&self) -> usize;
    /// Blocks that [`Blocks::take`] would give.
    fn free(&self) -> usize;
    /// An empty block with a capacity of at least [`Blocks::block_bytes`]; `None` when all are on their way.
    fn take(&mut self) -> Option<Vec<u8>>;
    /// Takes a full block; `false` when nobody writes it.
    fn give(&mut self, block: Vec<u8>) -> bool;
    /// Takes back a block whose content nobody wants.
    fn discard(&mut self, block: Vec<u8>);
}

/// Why an image was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A page had to be copied and every block was on its way: what writes them is slower than what changes.
    Exhausted,
    /// Nobody writes the blocks any more.
    Closed,
}

/// What an image holds, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Of pieces, without their headers.
    pub pieces: u64,
    /// Of pages all zero, which are left out.
    pub zeros: u64,
    /// Of pieces saved because a write was about to change them.
    pub copied: u64,
}

/// What pieces are laid on: one for all tables of an image.
pub struct Tray {
    blocks: Box<dyn Blocks>,
    block: Vec<u8>,
    failure: Option<Failure>,
    totals: Totals,
}

impl Tray {
    /// A tray over these blocks.
    pub fn new(blocks: Box<dyn Blocks>) -> Tray {
        Tray { blocks, block: Vec::new(), failure: None, totals: Totals::default() }
    }

    /// Why the image was given up, if it was.
    pub fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// What was saved so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Whether a page would find a place and leave `reserve` blocks for what must be copied.
    fn has_room(&self, reserve: usize) -> bool {
        self.fits(PIECE_BYTES_MAX) || self.blocks.free() > reserve
    }

    fn fits(&self, bytes: usize) -> bool {
        !self.block.is_empty() && self.block.len() + PIECE_HEADER + bytes <= self.blocks.block_bytes()
    }

    /// Lays a piece down. `false` when the image is given up.
    pub fn put(&mut self, table: u32, at: usize, bytes: &[u8]) -> bool {
        if self.failure.is_some() {
            return false;
        }
        let placed = self.fits(bytes.len()) || (self.send() && self.begin_block(bytes.len()));
        if !placed {
            return false;
        }
        self.block.extend_from_slice(&table.to_le_bytes());
        self.block.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        self.block.extend_from_slice(&(at as u64).to_le_bytes());
        self.block.extend_from_slice(bytes);
        self.totals.pieces += bytes.len() as u64;
        true
    }

    fn begin_block(&mut self, bytes: usize) -> bool {
        assert!(BLOCK_HEADER + PIECE_HEADER + bytes <= self.blocks.block_bytes(), "a piece fits into a block");
        let Some(block) = self.blocks.take() else {
            self.failure = Some(Failure::Exhausted);
            return false;
        };
        self.block = block;
        self.block.clear();
        self.block.resize(BLOCK_HEADER, 0);
        true
    }

    /// Sends the block that is being filled; `false` when nobody takes it.
    pub fn send(&mut self) -> bool {
        if !self.block.is_empty() && !self.blocks.give(std::mem::take(&mut self.block)) {
            self.failure = Some(Failure::Closed);
        }
        self.failure.is_none()
    }
}

impl Drop for Tray {
    fn drop(&mut self) {
        if self.block.capacity() > 0 {
            self.blocks.discard(std::mem::take(&mut self.block));
        }
    }
}

/// The pages of one table, and which of them an image still lacks.
pub struct Watch {
    /// A bit a page. Taken at the start, so that beginning an image takes no memory.
    marked: Box<[u64]>,
    /// The parts of the table that the image is of, in bytes, ascending.
    used: [Range<usize>; 2],
    table: u32,
    /// No word of `marked` before this one has a bit.
    next: usize,
    /// Pages marked.
    left: usize,
    tray: Option<Arc<Mutex<Tray>>>,
}

impl Watch {
    /// Nothing is watched yet of a table of so many bytes.
    pub(super) fn new(bytes: usize) -> Watch {
        let words = bytes.div_ceil(PAGE).div_ceil(64);
        Watch { marked: vec![0; words].into_boxed_slice(), used: [0..0, 0..0], table: 0, next: 0, left: 0, tray: None }
    }

    fn begin(&mut self, table: u32, used: [Range<usize>; 2], tray: &Arc<Mutex<Tray>>) {
        self.marked.fill(0);
        (self.table, self.used, self.next, self.left) = (table, used, 0, 0);
        for range in self.used.iter().filter(|range| !range.is_empty()) {
            let pages = range.start / PAGE..range.end.div_ceil(PAGE);
            let (first, last) = (pages.start / 64, (pages.end - 1) / 64);
            for (word, marked) in (first..).zip(&mut self.marked[first..=last]) {
                // A word at a time: there are millions of pages.
                let low = if word == first { u64::MAX << (pages.start % 64) } else { u64::MAX };
                let high = if word == last { u64::MAX >> (63 - (pages.end - 1) % 64) } else { u64::MAX };
                self.left += (low & high & !*marked).count_ones() as usize;
                *marked |= low & high;
            }
        }
        self.tray = Some(tray.clone());
    }

    /// Copies the marked pages that `range` touches; whether there is anything left to watch for.
    pub(super) fn keep(&mut self, bytes: &[u8], range: Range<usize>) -> bool {
        let last = range.end.min(bytes.len()).saturating_sub(1) / PAGE;
        for page in range.start / PAGE..=last {
            if self.marked.get(page / 64).is_some_and(|word| word >> (page % 64) & 1 != 0) {
                let Some(tray) = self.tray.clone() else { return false };
                let mut tray = lock(&tray);
                let before = tray.totals.pieces;
                if !self.save(&mut tray, bytes, page, 1) {
                    self.tray = None;
                    return false;
                }
                tray.totals.copied += tray.totals.pieces - before;
            }
        }
        self.left > 0
    }

    /// Saves a run of marked pages, all of one word: what of them is in use.
    fn save(&mut self, tray: &mut Tray, bytes: &[u8], page: usize, run: usize) -> bool {
        self.marked[page / 64] &= !(u64::MAX >> (64 - run) << (page % 64));
        self.left -= run;
        for used in &self.used {
            let (start, end) = (used.start.max(page * PAGE), used.end.min((page + run) * PAGE));
            if start >= end {
                continue;
            }
            if is_zero(&bytes[start..end]) {
                tray.totals.zeros += (end - start) as u64;
            } else if !tray.put(self.table, start, &bytes[start..end]) {
                return false;
            }
        }
        true
    }

    fn pump(&mut self, tray: &mut Tray, bytes: &[u8], reserve: usize, budget: &mut usize) -> Pumped {
        while self.left > 0 {
            let word = self.marked[self.next];
            if word == 0 {
                self.next += 1;
                continue;
            }
            if *budget == 0 {
                return Pumped::Tired;
            }
            if !tray.has_room(reserve) {
                return Pumped::Waiting;
            }
            let first = word.trailing_zeros();
            let run = ((!(word >> first)).trailing_zeros() as usize).min(RUN);
            if !self.save(tray, bytes, self.next * 64 + first as usize, run) {
                return Pumped::Failed;
            }
            *budget = budget.saturating_sub(run * PAGE);
        }
        Pumped::Done
    }
}

/// How far a pump came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pumped {
    /// Everything is saved.
    Done,
    /// The budget is spent.
    Tired,
    /// The blocks left are those kept for what must be copied.
    Waiting,
    /// The image is given up.
    Failed,
}

/// A table, whatever its elements are.
pub trait Table {
    /// Bytes of an element.
    fn element_bytes(&self) -> usize;

    /// The whole table.
    fn bytes(&self) -> &[u8];

    /// The whole table, to be filled from an image.
    ///
    /// # Panics
    /// While it is watched.
    fn bytes_mut(&mut self) -> &mut [u8];

    #[doc(hidden)]
    fn watch_and_bytes(&mut self) -> (&mut Watch, &[u8]);

    #[doc(hidden)]
    fn set_watched(&mut self, watched: bool);

    /// Begins an image of the elements in `used`, ascending ranges.
    fn begin(&mut self, table: u32, used: &Used, tray: &Arc<Mutex<Tray>>) {
        let size = self.element_bytes();
        let (watch, bytes) = self.watch_and_bytes();
        let used = [0, 1].map(|part| used[part].start * size..used[part].end * size);
        assert!(used.iter().all(|part| part.end <= bytes.len()), "the parts in use lie inside the table");
        watch.begin(table, used, tray);
        let watched = watch.left > 0;
        self.set_watched(watched);
    }

    /// Saves pages not yet saved, as many as `budget` bytes allow, while more than `reserve` blocks are free.
    fn pump(&mut self, tray: &mut Tray, reserve: usize, budget: &mut usize) -> Pumped {
        let (watch, bytes) = self.watch_and_bytes();
        let pumped = watch.pump(tray, bytes, reserve, budget);
        if pumped == Pumped::Done {
            self.end();
        }
        pumped
    }

    /// Bytes of pages not yet saved.
    fn left(&mut self) -> usize {
        self.watch_and_bytes().0.left * PAGE
    }

    /// Watches no longer.
    fn end(&mut self) {
        let (watch, _) = self.watch_and_bytes();
        (watch.tray, watch.left) = (None, 0);
        self.set_watched(false);
    }
}

/// The parts of a table in use: ascending ranges of elements.
pub type Used = [Range<usize>; 2];

/// One part in use, from the front.
pub fn front(elements: usize) -> Used {
    [0..elements, 0..0]
}

/// The part in use of a table that is filled round and round, from `tail` on.
pub fn round(tail: usize, length: usize, capacity: usize) -> Used {
    match tail + length {
        end if end <= capacity => [tail..end, 0..0],
        end => [0..end - capacity, tail..capacity],
    }
}

/// What an image holds besides tables: numbers, as their owners wrote them.
#[derive(Debug)]
pub struct Words<'a>(pub &'a [u64]);

impl Words<'_> {
    /// The next number.
    ///
    /// # Errors
    /// Where there is none.
    pub fn word(&mut self) -> Result<u64, String> {
        let (first, rest) = self.0.split_first().ok_or("its numbers end early")?;
        self.0 = rest;
        Ok(*first)
    }

    /// The next number, which is at most `most`; `what` names it.
    ///
    /// # Errors
    /// Where there is none, or it is greater.
    pub fn at_most(&mut self, most: usize, what: &str) -> Result<usize, String> {
        let word = self.word()?;
        usize::try_from(word).ok().filter(|word| *word <= most).ok_or_else(|| format!("found {word} {what}, expected at most {most}"))
    }
}

/// The tray, which only the thread that owns the tables ever locks.
pub fn lock(tray: &Mutex<Tray>) -> MutexGuard<'_, Tray> {
    tray.lock().expect("nobody panics while laying a piece down")
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(64).all(|chunk| chunk.iter().fold(0, |any, byte| any | byte) == 0)
}

/// A piece of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    pub table: u32,
    /// Where its bytes stand in the table.
    pub at: u64,
    pub bytes: &'a [u8],
}

/// The pieces of a block whose header is `BLOCK_HEADER` bytes long and not given; `None` in the place of the first that is cut off.
pub fn pieces(mut block: &[u8]) -> impl Iterator<Item = Option<Piece<'_>>> {
    std::iter::from_fn(move || {
        if block.is_empty() {
            return None;
        }
        let piece = split(block);
        block = piece.map_or(&[], |(_, rest)| rest);
        Some(piece.map(|(piece, _)| piece))
    })
}

fn split(block: &[u8]) -> Option<(Piece<'_>, &[u8])> {
    let (header, rest) = block.split_first_chunk::<PIECE_HEADER>()?;
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (bytes, rest) = rest.split_at_checked(word(4) as usize)?;
    Some((Piece { table: word(0), at: u64::from(word(8)) | u64::from(word(12)) << 32, bytes }, rest))
}

#[cfg(test)]
mod tests {
    use super::super::Buffer;
    use super::*;
    use proptest::prelude::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    struct Few {
        free: usize,
        out: Sender<Vec<u8>>,
    }

    impl Blocks for Few {
        fn block_bytes(&self) -> usize {
            3 * PIECE_BYTES_MAX
        }
        fn free(&self) -> usize {
            self.free
        }
        fn take(&mut self) -> Option<Vec<u8>> {
            self.free = self.free.checked_sub(1)?;
            Some(Vec::with_capacity(self.block_bytes()))
        }
        fn give(&mut self, block: Vec<u8>) -> bool {
            self.out.send(block).is_ok()
        }
        fn discard(&mut self, _: Vec<u8>) {
            self.free += 1;
        }
    }

    fn tray(free: usize) -> (Arc<Mutex<Tray>>, Receiver<Vec<u8>>) {
        let (out, blocks) = channel();
        (Arc::new(Mutex::new(Tray::new(Box::new(Few { free, out })))), blocks)
    }

    fn collect(blocks: &Receiver<Vec<u8>>, into: &mut [u8]) {
        for block in blocks.try_iter() {
            assert!(block.len() <= 3 * PIECE_BYTES_MAX);
            for piece in pieces(&block[BLOCK_HEADER..]) {
                let piece = piece.expect("blocks are whole");
                assert_eq!(piece.table, 9);
                into[piece.at as usize..][..piece.bytes.len()].copy_from_slice(piece.bytes);
            }
        }
    }

    const LEN: usize = 7 * PAGE / 8 + 5;

    proptest! {
        // Caught when planted: a write that forgets to copy, a page that is unmarked before the second part in use is saved, `keep` that
        // looks at the first page of a range only, a pump that saves a page that was saved before a write.
        #[test]
        fn an_image_is_what_stood_there_when_it_began(
            seed in prop::collection::vec((0..LEN, 1u64..9), 0..60),
            cuts in prop::collection::vec(0..=LEN, 4),
            work in prop::collection::vec((0..LEN, 0usize..1200, 0usize..4 * PAGE), 0..40),
        ) {
            let mut table: Buffer<u64> = Buffer::new(LEN, &mut |_| {});
            for (at, value) in seed {
                table.set(at, value);
            }
            let mut cuts = cuts;
            cuts.sort_unstable();
            let used = [cuts[0]..cuts[1], cuts[2]..cuts[3]];
            let mut expected = vec![0; LEN * 8];
            for part in &used {
                expected[part.start * 8..part.end * 8].copy_from_slice(&table.bytes()[part.start * 8..part.end * 8]);
            }
            let (tray, blocks) = tray(100);
            table.begin(9, &used, &tray);
            let mut value = 100;
            for (at, length, budget) in work {
                value += 1;
                let end = (at + length).min(LEN);
                table.range_mut(at..end).fill(value);
                let mut budget = budget;
                table.pump(&mut lock(&tray), 0, &mut budget);
            }
            prop_assert_eq!(table.pump(&mut lock(&tray), 0, &mut usize::MAX.clone()), Pumped::Done);
            prop_assert!(!table.watched);
            prop_assert!(lock(&tray).send());
            let mut found = vec![0; LEN * 8];
            collect(&blocks, &mut found);
            prop_assert!(found == expected);
            let totals = lock(&tray).totals();
            prop_assert_eq!(totals.pieces + totals.zeros, used.iter().map(|part| part.len() as u64 * 8).sum::<u64>());
        }
    }

    #[test]
    fn the_pump_leaves_blocks_for_what_must_be_copied_and_a_copy_without_one_gives_up() {
        const PIECE: usize = PIECE_BYTES_MAX / 8;
        let mut table: Buffer<u64> = Buffer::new(20 * PIECE, &mut |_| {});
        table.range_mut(0..20 * PIECE).fill(1);
        let (tray, _blocks) = tray(3);
        table.begin(9, &[0..20 * PIECE, 0..0], &tray);
        assert_eq!(table.pump(&mut lock(&tray), 1, &mut (1 << 30)), Pumped::Waiting);
        assert_eq!(table.left(), 16 * PIECE_BYTES_MAX, "two blocks of two pieces each");
        table.range_mut(18 * PIECE..20 * PIECE).fill(2);
        assert!(table.watched && lock(&tray).failure().is_none(), "the third block took them");
        table.range_mut(10 * PIECE..12 * PIECE).fill(2);
        assert_eq!((table.watched, lock(&tray).failure()), (false, Some(Failure::Exhausted)));
        table.end();
    }

    #[test]
    fn a_cut_block_is_told() {
        let block = [9, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 7, 8];
        let all: Vec<_> = pieces(&block).collect();
        assert_eq!(all, [Some(Piece { table: 9, at: 5, bytes: &[7, 8] })]);
        for length in 1..block.len() {
            assert_eq!(pieces(&block[..length]).collect::<Vec<_>>(), [None], "{length}");
        }
    }
}
