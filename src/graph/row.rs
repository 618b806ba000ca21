//! One event as a row of its ring: 64 bytes, one cache line.

use crate::event::{EventType, LabelSource, SLOTS, Sequence, Timestamp, Verdict};
use crate::memory::Zeroed;

/// A node: its place in the node table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl NodeId {
    /// No node: an empty slot.
    pub const NONE: NodeId = NodeId(u32::MAX);

    /// Whether there is a node.
    #[inline(always)]
    pub fn is_some(self) -> bool {
        self != NodeId::NONE
    }
}

/// A slot of a row: `position << 3 | slot`, so that a link tells the direction without touching the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Link(pub u32);

impl Link {
    /// Positions lie below this, so that a link leaves the highest bit free.
    pub const POSITIONS_MAX: u32 = 1 << 28;
    /// No link.
    pub const NONE: Link = Link(u32::MAX >> 1);

    /// The link to `slot` of the row at `position`.
    #[inline(always)]
    pub fn new(position: u32, slot: usize) -> Link {
        Link(position << 3 | slot as u32)
    }

    /// Where the row stands in its ring.
    #[inline(always)]
    pub fn position(self) -> u32 {
        self.0 >> 3
    }

    /// The slot.
    #[inline(always)]
    pub fn slot(self) -> usize {
        (self.0 & 7) as usize
    }
}

/// An event in its ring. An edge is a pair of slots and is never stored.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Row {
    /// The entities, by slot.
    pub nodes: [NodeId; SLOTS],
    /// For each slot the previous event of its node in this ring.
    pub previous: [Link; SLOTS],
    /// Event time.
    pub time: Timestamp,
    /// Amount in reporting minor units (low 48 bits); the high 16 bits of the sequence above.
    amount_and_sequence: u64,
    sequence_low: u32,
    /// See [`Flags`].
    pub flags: Flags,
}

// SAFETY: plain integers; 64 bytes without padding.
unsafe impl Zeroed for Row {}

const AMOUNT_BITS: u32 = 48;

impl Row {
    /// A row; `amount_minor` lies in `0..2^48`, `sequence` below 2^48.
    pub fn new(
        nodes: [NodeId; SLOTS],
        previous: [Link; SLOTS],
        time: Timestamp,
        amount_minor: i64,
        sequence: Sequence,
        flags: Flags,
    ) -> Row {
        debug_assert!((0..1 << AMOUNT_BITS).contains(&amount_minor) && sequence.0 < 1 << 48);
        let amount_and_sequence = amount_minor as u64 | (sequence.0 >> 32) << AMOUNT_BITS;
        Row { nodes, previous, time, amount_and_sequence, sequence_low: sequence.0 as u32, flags }
    }

    /// Amount in reporting minor units.
    #[inline(always)]
    pub fn amount_minor(&self) -> i64 {
        (self.amount_and_sequence & ((1 << AMOUNT_BITS) - 1)) as i64
    }

    /// The record that brought the event.
    #[inline(always)]
    pub fn sequence(&self) -> Sequence {
        Sequence(self.amount_and_sequence >> AMOUNT_BITS << 32 | u64::from(self.sequence_low))
    }

    /// The row as 64 bytes, little-endian: its form in snapshots and state hashes.
    pub fn to_bytes(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        for slot in 0..SLOTS {
            bytes[slot * 4..][..4].copy_from_slice(&self.nodes[slot].0.to_le_bytes());
            bytes[20 + slot * 4..][..4].copy_from_slice(&self.previous[slot].0.to_le_bytes());
        }
        bytes[40..48].copy_from_slice(&self.time.0.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.amount_and_sequence.to_le_bytes());
        bytes[56..60].copy_from_slice(&self.sequence_low.to_le_bytes());
        bytes[60..64].copy_from_slice(&self.flags.0.to_le_bytes());
        bytes
    }

    /// The row that [`Row::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8; 64]) -> Row {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let wide = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        Row {
            nodes: std::array::from_fn(|slot| NodeId(word(slot * 4))),
            previous: std::array::from_fn(|slot| Link(word(20 + slot * 4))),
            time: Timestamp(wide(40) as i64),
            amount_and_sequence: wide(48),
            sequence_low: word(56),
            flags: Flags(word(60)),
        }
    }
}

/// What else a row knows, in 32 bits:
/// `0` late, `1..3` verdict, `3..5` its source, `5..7` type, `7..10` maturity class, `10..14` superseded by pair kind,
/// `14..18` paired by pair kind, `18..28` aggregates it belongs to, `28..32` status of the payment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u32);

impl Flags {
    /// Flags of a new row of a type that has rows.
    pub fn new(kind: EventType, maturity_class: u8, late: bool) -> Flags {
        let kind = match kind {
            EventType::Payment => 0,
            EventType::Transfer => 1,
            EventType::Session => 2,
            _ => 3,
        };
        Flags(u32::from(late) | kind << 5 | u32::from(maturity_class & 7) << 7)
    }

    /// Whether the event came behind stream time.
    #[inline(always)]
    pub fn late(self) -> bool {
        self.0 & 1 != 0
    }

    /// The event's type.
    #[inline(always)]
    pub fn kind(self) -> EventType {
        [EventType::Payment, EventType::Transfer, EventType::Session, EventType::Interaction][(self.0 >> 5 & 3) as usize]
    }

    /// The class of its source's maturity.
    #[inline(always)]
    pub fn maturity_class(self) -> usize {
        (self.0 >> 7 & 7) as usize
    }

    /// The verdict in force.
    #[inline(always)]
    pub fn verdict(self) -> Option<Verdict> {
        let number = self.0 >> 1 & 3;
        (number != 0).then(|| Verdict::ALL[number as usize - 1])
    }

    /// Who gave the verdict in force.
    pub fn verdict_source(self) -> Option<LabelSource> {
        let number = self.0 >> 3 & 3;
        (number != 0).then(|| LabelSource::ALL[number as usize - 1])
    }

    /// Puts a verdict in force.
    pub fn set_verdict(&mut self, verdict: Verdict, source: LabelSource) {
        self.0 = self.0 & !0b11110 | (verdict as u32) << 1 | (source as u32) << 3;
    }

    /// Whether fraud or laundering is in force.
    #[inline(always)]
    pub fn bad(self) -> bool {
        matches!(self.0 >> 1 & 3, 1 | 2)
    }

    /// Whether a newer row of the same pair stands for this one, so that it counts for no distinct figure.
    #[inline(always)]
    pub fn superseded(self, pair_kind: usize) -> bool {
        self.0 >> (10 + pair_kind) & 1 != 0
    }

    /// Marks the row as superseded.
    #[inline(always)]
    pub fn set_superseded(&mut self, pair_kind: usize) {
        self.0 |= 1 << (10 + pair_kind);
    }

    /// Whether the row is counted in the table of pairs.
    #[inline(always)]
    pub fn paired(self, pair_kind: usize) -> bool {
        self.0 >> (14 + pair_kind) & 1 != 0
    }

    /// Marks the row as counted in the table of pairs.
    #[inline(always)]
    pub fn set_paired(&mut self, pair_kind: usize) {
        self.0 |= 1 << (14 + pair_kind);
    }

    /// The aggregates that count the row: one bit each, by their order in the family.
    #[inline(always)]
    pub fn aggregates(self) -> u32 {
        self.0 >> 18 & 0x3ff
    }

    /// Sets the aggregates that count the row.
    #[inline(always)]
    pub fn set_aggregates(&mut self, bits: u32) {
        self.0 = self.0 & !(0x3ff << 18) | (bits & 0x3ff) << 18;
    }

    /// Number of the latest payment status; 0 where none came.
    pub fn status(self) -> u8 {
        (self.0 >> 28) as u8
    }

    /// Sets the latest payment status by its number.
    pub fn set_status(&mut self, number: u8) {
        self.0 = self.0 & !(0xf << 28) | u32::from(number & 0xf) << 28;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_one_cache_line_and_survives_its_bytes() {
        assert_eq!(size_of::<Row>(), 64);
        let mut flags = Flags::new(EventType::Transfer, 5, true);
        flags.set_aggregates(0b10_0000_0001);
        flags.set_verdict(Verdict::Laundering, LabelSource::Analyst);
        flags.set_superseded(3);
        flags.set_paired(0);
        flags.set_status(8);
        let nodes = [NodeId(1), NodeId::NONE, NodeId(3), NodeId(4), NodeId(5)];
        let previous = [Link::new(7, 1), Link::NONE, Link::NONE, Link::new((1 << 28) - 1, 4), Link::NONE];
        let row = Row::new(nodes, previous, Timestamp(-5), (1 << 48) - 1, Sequence((1 << 47) + 3), flags);
        let again = Row::from_bytes(&row.to_bytes());
        assert_eq!(again.to_bytes(), row.to_bytes());
        assert_eq!((again.amount_minor(), again.sequence(), again.time), ((1 << 48) - 1, Sequence((1 << 47) + 3), Timestamp(-5)));
        let f = again.flags;
        assert_eq!((f.late(), f.kind(), f.maturity_class(), f.status()), (true, EventType::Transfer, 5, 8));
        assert_eq!((f.verdict(), f.verdict_source(), f.bad()), (Some(Verdict::Laundering), Some(LabelSource::Analyst), true));
        assert_eq!((f.superseded(3), f.superseded(2), f.paired(0), f.paired(1)), (true, false, true, false));
        assert_eq!(f.aggregates(), 0b10_0000_0001);
        assert_eq!((previous[3].position(), previous[3].slot()), ((1 << 28) - 1, 4));
    }
}
