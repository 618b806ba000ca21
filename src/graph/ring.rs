//! A ring of rows in arrival order.
//!
//! Every row has an *ordinal*, its number since the ring was empty, and a *position*, where it stands. Rows in `tail..head` are visible.
//! A link holds a position; a chain of links is followed only while ordinals fall, so a link whose row was written over ends the chain:
//! the new row at that position has a greater ordinal than the row that bears the link.

use super::row::{Link, NodeId, Row};
use crate::event::{SLOTS, Sequence};
use crate::memory::Buffer;
use crate::memory::image::{Table, Used, Words, round};

/// A place in a ring that only moves forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Number of the row since the ring was empty.
    pub ordinal: u64,
    /// Where that row stands.
    pub position: u32,
}

/// One family's events.
pub struct Ring {
    rows: Buffer<Row>,
    capacity: u32,
    /// Where the next row will stand.
    head: Cursor,
    /// The oldest visible row.
    tail: Cursor,
}

impl Ring {
    /// An empty ring of `rows_max` rows.
    pub fn new(rows_max: u32, progress: &mut dyn FnMut(usize)) -> Ring {
        assert!((1..Link::POSITIONS_MAX).contains(&rows_max), "rows_max lies in 1..2^28, the topology has seen to it");
        Ring { rows: Buffer::new(rows_max as usize, progress), capacity: rows_max, head: Cursor::default(), tail: Cursor::default() }
    }

    /// Where the next row will stand.
    #[inline(always)]
    pub fn head(&self) -> Cursor {
        self.head
    }

    /// The oldest visible row, or [`Ring::head`] where none is.
    #[inline(always)]
    pub fn tail(&self) -> Cursor {
        self.tail
    }

    /// Whether a row must leave before one can come.
    pub fn is_full(&self) -> bool {
        self.head.ordinal - self.tail.ordinal == u64::from(self.capacity)
    }

    /// Visible rows.
    pub fn len(&self) -> u64 {
        self.head.ordinal - self.tail.ordinal
    }

    /// Whether no row is visible.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The place behind `cursor`.
    #[inline(always)]
    pub fn after(&self, cursor: Cursor) -> Cursor {
        let position = cursor.position + 1;
        Cursor { ordinal: cursor.ordinal + 1, position: if position == self.capacity { 0 } else { position } }
    }

    /// The row at `position`.
    #[inline(always)]
    pub fn row(&self, position: u32) -> &Row {
        &self.rows[position as usize]
    }

    /// The row at `position`, to be changed.
    #[inline(always)]
    pub fn row_mut(&mut self, position: u32) -> &mut Row {
        self.rows.get_mut(position as usize)
    }

    /// Hints that the row at `position` will be read.
    #[inline(always)]
    pub fn prefetch(&self, position: u32) {
        self.rows.prefetch(position as usize);
    }

    /// The position `ahead` places behind `cursor`.
    #[inline(always)]
    pub fn ahead(&self, cursor: Cursor, ahead: u32) -> u32 {
        let position = cursor.position + ahead;
        if position >= self.capacity { position % self.capacity } else { position }
    }

    /// The ordinal of what stands at `position` now.
    #[inline(always)]
    pub fn ordinal(&self, position: u32) -> u64 {
        let behind =
            if position < self.head.position { self.head.position - position } else { self.head.position + self.capacity - position };
        // In the first round positions at or behind the head hold nothing: they come out beyond the head, which nobody takes for visible.
        self.head.ordinal.wrapping_sub(u64::from(behind))
    }

    /// The position of the visible row with this ordinal.
    #[inline(always)]
    fn position(&self, ordinal: u64) -> u32 {
        let position = u64::from(self.tail.position) + (ordinal - self.tail.ordinal);
        (if position >= u64::from(self.capacity) { position - u64::from(self.capacity) } else { position }) as u32
    }

    /// Appends a row; one must have left before when the ring was full. Returns where it stands.
    pub fn push(&mut self, row: Row) -> Cursor {
        assert!(!self.is_full(), "a row leaves before another comes");
        let place = self.head;
        self.rows.set(place.position as usize, row);
        self.head = self.after(place);
        place
    }

    /// Lets the oldest visible row go and returns it with its position.
    pub fn release(&mut self) -> (u32, Row) {
        assert!(!self.is_empty(), "only a visible row can leave");
        let place = self.tail;
        self.tail = self.after(place);
        (place.position, self.rows[place.position as usize])
    }

    /// Follows `link` where it leads to a visible row of `node` with an ordinal below `before`.
    #[inline(always)]
    pub fn follow(&self, link: Link, node: NodeId, before: u64) -> Option<(u64, &Row)> {
        if link == Link::NONE {
            return None;
        }
        let ordinal = self.ordinal(link.position());
        if ordinal >= before || ordinal < self.tail.ordinal {
            return None;
        }
        let row = self.row(link.position());
        (row.nodes[link.slot()] == node).then_some((ordinal, row))
    }

    /// The position of the visible row that `sequence` brought. Labels come roughly in the order of their targets, so the search gallops
    /// from where the last one ended (`hint`, an ordinal).
    pub fn find(&self, sequence: Sequence, hint: &mut u64) -> Option<u32> {
        let (first, end) = (self.tail.ordinal, self.head.ordinal);
        if first == end {
            return None;
        }
        let at = |ordinal: u64| self.row(self.position(ordinal)).sequence();
        // The greatest ordinal in low..high whose row's sequence is not behind the one sought, if any.
        let start = (*hint).clamp(first, end - 1);
        let (mut low, mut high) = (start, start);
        let mut stride = 1;
        if at(start) <= sequence {
            while high < end && at(high) <= sequence {
                low = high;
                high = (high + stride).min(end);
                stride *= 2;
            }
        } else {
            while low > first && at(low) > sequence {
                high = low;
                low = low.saturating_sub(stride).max(first);
                stride *= 2;
            }
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if at(middle) <= sequence { low = middle } else { high = middle }
        }
        *hint = low;
        // A payment's items share its sequence only in another ring, so the row is the only one.
        (at(low) == sequence).then(|| self.position(low))
    }

    /// Puts the ring's cursors where a snapshot had them; the rows follow by [`Ring::restore_row`].
    pub fn restore(&mut self, tail: Cursor, head: Cursor) -> Result<(), String> {
        let length = head.ordinal.checked_sub(tail.ordinal).filter(|length| *length <= u64::from(self.capacity));
        let fits =
            |cursor: Cursor| cursor.position < self.capacity && cursor.ordinal % u64::from(self.capacity) == u64::from(cursor.position);
        if length.is_none() || !fits(tail) || !fits(head) {
            return Err(format!("a ring of {} rows cannot stand at {tail:?}..{head:?}", self.capacity));
        }
        (self.tail, self.head) = (tail, head);
        Ok(())
    }

    /// Its table and what of it is in use: the visible rows.
    pub fn table(&mut self) -> (Used, &mut dyn Table) {
        (round(self.tail.position as usize, self.len() as usize, self.capacity as usize), &mut self.rows)
    }

    /// Writes its cursors.
    pub fn words(&self, out: &mut Vec<u64>) {
        for cursor in [self.tail, self.head] {
            out.extend([cursor.ordinal, u64::from(cursor.position)]);
        }
    }

    /// Puts back what [`Ring::words`] wrote.
    ///
    /// # Errors
    /// Where a ring of this capacity cannot stand so.
    pub fn restore_words(&mut self, words: &mut Words<'_>) -> Result<(), String> {
        let capacity = self.capacity as usize;
        let mut cursor = || Ok::<_, String>(Cursor { ordinal: words.word()?, position: words.at_most(capacity, "as a position")? as u32 });
        let (tail, head) = (cursor()?, cursor()?);
        self.restore(tail, head)
    }

    /// Whether every visible row leads only to what there is: to one of `nodes` nodes, to a row of this ring, to one of `classes` maturities.
    ///
    /// # Errors
    /// What was found.
    pub fn check(&self, nodes: usize, classes: usize) -> Result<(), String> {
        let mut place = self.tail;
        while place.ordinal < self.head.ordinal {
            let row = self.row(place.position);
            let known = row.nodes.iter().all(|node| !node.is_some() || (node.0 as usize) < nodes);
            if !known || !row.previous.iter().all(|link| self.holds(*link)) || row.flags.maturity_class() >= classes || !row.time.is_valid()
            {
                return Err(format!("the row at position {} leads to what is not there: {row:?}", place.position));
            }
            place = self.after(place);
        }
        Ok(())
    }

    /// Rows that fit.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Whether a cursor may stand there: at a visible row or behind the last.
    pub fn can_stand_at(&self, cursor: Cursor) -> bool {
        let position = cursor.ordinal % u64::from(self.capacity);
        (self.tail.ordinal..=self.head.ordinal).contains(&cursor.ordinal) && position == u64::from(cursor.position)
    }

    /// Whether a link is none, or leads to a slot of a row that this ring can hold.
    pub fn holds(&self, link: Link) -> bool {
        link == Link::NONE || (link.position() < self.capacity && link.slot() < SLOTS)
    }

    /// Puts a row of a snapshot in its place.
    pub fn restore_row(&mut self, place: Cursor, row: Row) {
        self.rows.set(place.position as usize, row);
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::Flags;
    use super::*;
    use crate::event::{EventType, Timestamp};

    fn row(sequence: u64) -> Row {
        Row::new([NodeId(1); 5], [Link::NONE; 5], Timestamp(0), 0, Sequence(sequence), Flags::new(EventType::Payment, 0, false))
    }

    #[test]
    fn rows_are_found_by_sequence_from_any_hint_after_wrapping() {
        let mut ring = Ring::new(7, &mut |_| {});
        for n in 0..40u64 {
            if ring.is_full() {
                ring.release();
            }
            ring.push(row(n * 3));
            for sought in 0..130 {
                for mut hint in [0, n / 2, n, 1000] {
                    let found = ring.find(Sequence(sought), &mut hint).map(|position| ring.row(position).sequence().0);
                    let visible = sought % 3 == 0 && sought / 3 <= n && sought / 3 + 7 > n;
                    assert_eq!(found, visible.then_some(sought), "n {n} sought {sought}");
                }
            }
        }
    }

    #[test]
    fn ordinals_follow_positions() {
        let mut ring = Ring::new(5, &mut |_| {});
        for n in 0..23u64 {
            if ring.is_full() {
                ring.release();
            }
            let place = ring.push(row(n));
            assert_eq!(place.ordinal, n);
            for ordinal in ring.tail().ordinal..ring.head().ordinal {
                assert_eq!(ring.ordinal((ordinal % 5) as u32), ordinal);
            }
        }
    }

    #[test]
    fn a_link_to_a_row_written_over_is_not_followed() {
        let mut ring = Ring::new(3, &mut |_| {});
        let first = ring.push(row(0));
        let second = ring.push(row(1));
        assert!(ring.follow(Link::new(first.position, 0), NodeId(1), second.ordinal).is_some());
        ring.push(row(2));
        ring.release();
        ring.push(row(3));
        // Same node, same slot, same position: only the ordinal tells.
        assert!(ring.follow(Link::new(first.position, 0), NodeId(1), second.ordinal).is_none());
    }
}
