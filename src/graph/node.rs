//! Nodes: a 32-byte header each, and the list of those that may give up their place.
//!
//! Nearly all nodes are cold: at most four visible events in a family, found by following links from the newest. From the fifth on a node
//! has a warm record in that family ([`super::warm`]). A node is *dormant* when it has no visible row in any family and nothing protects
//! it (no profile, no known bad, no catalogue entry). Dormant nodes form a list in the order in which they became so; it runs through the
//! heads of their headers, which are empty then.

use super::index::{Index, tag};
use super::limits::Family;
use super::row::{Link, NodeId};
use crate::event::{Duration, Id, IdKind, KycRisk, Timestamp};
use crate::memory::{Buffer, Zeroed};

/// Where a node's newest event in a family is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// No visible event.
    Empty,
    /// Few events: follow the links from here.
    Cold(Link),
    /// The warm record with this number.
    Warm(u32),
}

/// What is kept of a node for good.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Header {
    /// Low half of the id's hash.
    fingerprint: u64,
    /// By family: bit 31 set and a warm record's number, else a link. Of a dormant node: its neighbours in the list.
    heads: [u32; 3],
    /// Targets it took part in whose verdict in force is fraud or laundering.
    bads: u32,
    /// `0..16` events, `16..33` first day, `33..50` last day (days since 1900), `50..54` kind, `54..` marks.
    life: u64,
}

// SAFETY: plain integers; 32 bytes without padding.
unsafe impl Zeroed for Header {}

const WARM: u32 = 1 << 31;
const NOBODY: u32 = u32::MAX;
const PROFILE: u64 = 1 << 54;
const LISTED: u64 = 1 << 55;
const DORMANT: u64 = 1 << 56;
const CONSENT_KNOWN: u64 = 1 << 57;
const CONSENT: u64 = 1 << 58;
const KYC_SHIFT: u32 = 59;

/// Days since 1900 of a moment.
pub fn day(time: Timestamp) -> i64 {
    (time - Timestamp::MIN).0.div_euclid(Duration::DAY.0)
}

impl Header {
    /// Where the newest event of `family` is found.
    #[inline(always)]
    pub fn head(&self, family: Family) -> Head {
        let word = self.heads[family as usize];
        if self.life & DORMANT != 0 || word == Link::NONE.0 {
            Head::Empty
        } else if word & WARM != 0 {
            Head::Warm(word & !WARM)
        } else {
            Head::Cold(Link(word))
        }
    }

    /// Rows it was ever joined to; saturates at 65,535.
    #[inline(always)]
    pub fn events(&self) -> u16 {
        self.life as u16
    }

    /// Targets with a bad verdict in force that it took part in.
    #[inline(always)]
    pub fn bads(&self) -> u32 {
        self.bads
    }

    /// Day of its first event, in days since 1900.
    #[inline(always)]
    pub fn first_day(&self) -> i64 {
        (self.life >> 16 & 0x1ffff) as i64
    }

    /// Day of its latest event, in days since 1900.
    pub fn last_day(&self) -> i64 {
        (self.life >> 33 & 0x1ffff) as i64
    }

    /// The entity's kind.
    pub fn kind(&self) -> IdKind {
        IdKind::from_number((self.life >> 50 & 0xf) as u8).expect("set from a kind")
    }

    /// Consent to personalization, where a profile told.
    pub fn consent(&self) -> Option<bool> {
        (self.life & CONSENT_KNOWN != 0).then_some(self.life & CONSENT != 0)
    }

    fn protected(&self) -> bool {
        self.bads > 0 || self.life & (PROFILE | LISTED) != 0
    }

    /// The header as 32 bytes, little-endian.
    pub fn to_bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.fingerprint.to_le_bytes());
        for (n, head) in self.heads.iter().enumerate() {
            bytes[8 + n * 4..][..4].copy_from_slice(&head.to_le_bytes());
        }
        bytes[20..24].copy_from_slice(&self.bads.to_le_bytes());
        bytes[24..].copy_from_slice(&self.life.to_le_bytes());
        bytes
    }

    /// The header that [`Header::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8; 32]) -> Header {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let wide = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        Header { fingerprint: wide(0), heads: [word(8), word(12), word(16)], bads: word(20), life: wide(24) }
    }
}

/// All nodes, and the way from ids to them.
pub struct Nodes {
    headers: Buffer<Header>,
    index: Index,
    count: u32,
    /// First and last of the dormant list.
    dormant: (u32, u32),
}

impl Nodes {
    /// Bytes of a header.
    pub const HEADER_BYTES: usize = size_of::<Header>();

    /// An empty table of `nodes_max` nodes.
    pub fn new(nodes_max: u32, progress: &mut dyn FnMut(usize)) -> Nodes {
        assert!((1..1 << 31).contains(&nodes_max), "nodes_max lies in 1..2^31, the topology has seen to it");
        Nodes {
            headers: Buffer::new(nodes_max as usize, progress),
            index: Index::new(nodes_max, progress),
            count: 0,
            dormant: (NOBODY, NOBODY),
        }
    }

    /// Nodes that exist.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The header of a node.
    #[inline(always)]
    pub fn header(&self, node: NodeId) -> &Header {
        &self.headers[node.0 as usize]
    }

    /// Hints that `id` will be looked up.
    #[inline(always)]
    pub fn prefetch_index(&self, id: Id) {
        self.index.prefetch(id);
    }

    /// Hints that `node`'s header will be read.
    #[inline(always)]
    pub fn prefetch_header(&self, node: NodeId) {
        self.headers.prefetch(node.0 as usize);
    }

    /// A node that `id` may have, by the tag alone: good enough to prefetch, never to decide.
    #[inline(always)]
    pub fn guess(&self, id: Id) -> Option<NodeId> {
        self.index.find(id, |_| true)
    }

    /// The node of `id`.
    #[inline(always)]
    pub fn find(&self, id: Id) -> Option<NodeId> {
        let fingerprint = id.low();
        self.index.find(id, |node| self.headers[node.0 as usize].fingerprint == fingerprint)
    }

    /// Takes a node that is about to get a head out of the dormant list, so that an entity of the same event cannot take its place.
    #[inline(always)]
    pub fn hold(&mut self, node: NodeId) {
        if self.headers[node.0 as usize].life & DORMANT != 0 {
            self.wake(node);
        }
    }

    /// The node of `id`, made if need be; `None` when the table is full and nobody is dormant. The node is in no list until it gets a head
    /// or a protection, so that an entity of the same event cannot take its place; every caller gives it one.
    pub fn intern(&mut self, id: Id, kind: IdKind) -> Option<NodeId> {
        if let Some(node) = self.find(id) {
            self.hold(node);
            return Some(node);
        }
        let node = if (self.count as usize) < self.headers.len() {
            self.count += 1;
            NodeId(self.count - 1)
        } else {
            self.evict()?
        };
        self.headers[node.0 as usize] = Header { fingerprint: id.low(), heads: [Link::NONE.0; 3], bads: 0, life: (kind as u64) << 50 };
        self.index.insert(tag(id), id.low(), node);
        Some(node)
    }

    /// Frees the place of the node that has been dormant longest.
    fn evict(&mut self) -> Option<NodeId> {
        let node = NodeId(self.dormant.0);
        if node.0 == NOBODY {
            return None;
        }
        self.wake(node);
        let headers = &self.headers;
        self.index.remove(node, |node| headers[node.0 as usize].fingerprint);
        Some(node)
    }

    /// Counts an event at `time` for `node`.
    #[inline(always)]
    pub fn count_event(&mut self, node: NodeId, time: Timestamp) {
        let header = &mut self.headers[node.0 as usize];
        let today = day(time) as u64 & 0x1ffff;
        let life = header.life;
        let events = (life & 0xffff) as u16;
        let (first, last) = if events == 0 { (today, today) } else { (life >> 16 & 0x1ffff, (life >> 33 & 0x1ffff).max(today)) };
        let kept = life & !((1 << 50) - 1);
        header.life = kept | u64::from(events.saturating_add(1)) | first << 16 | last << 33;
    }

    /// Points a node's family at its newest event; it is dormant no longer.
    #[inline(always)]
    pub fn set_head(&mut self, node: NodeId, family: Family, head: Head) {
        self.hold(node);
        self.headers[node.0 as usize].heads[family as usize] = match head {
            Head::Empty => Link::NONE.0,
            Head::Cold(link) => link.0,
            Head::Warm(record) => WARM | record,
        };
        if head == Head::Empty {
            self.settle(node);
        }
    }

    /// Changes the number of bad verdicts in force.
    pub fn add_bad(&mut self, node: NodeId, by: i32) {
        self.change(node, |header| header.bads = header.bads.saturating_add_signed(by));
    }

    /// Notes what a profile says.
    pub fn set_profile(&mut self, node: NodeId, consent: Option<bool>, kyc_risk: Option<KycRisk>) {
        self.change(node, |header| {
            header.life |= PROFILE;
            if let Some(consent) = consent {
                header.life = header.life & !CONSENT | CONSENT_KNOWN | if consent { CONSENT } else { 0 };
            }
            if let Some(risk) = kyc_risk {
                header.life = header.life & !(3 << KYC_SHIFT) | (risk as u64) << KYC_SHIFT;
            }
        });
    }

    /// Withdraws consent: what remains of an erased person.
    pub fn erase_profile(&mut self, node: NodeId) {
        self.change(node, |header| header.life = header.life & !(CONSENT | 3 << KYC_SHIFT) | CONSENT_KNOWN);
    }

    /// Marks a catalogue entry.
    pub fn set_listed(&mut self, node: NodeId) {
        self.change(node, |header| header.life |= LISTED);
    }

    /// Changes what may protect a node, and keeps the dormant list true.
    fn change(&mut self, node: NodeId, change: impl FnOnce(&mut Header)) {
        let header = &mut self.headers[node.0 as usize];
        change(header);
        if header.life & DORMANT != 0 {
            if header.protected() {
                self.wake(node);
            }
        } else {
            self.settle(node);
        }
    }

    /// Puts a node without visible rows and without protection at the end of the dormant list.
    fn settle(&mut self, node: NodeId) {
        let header = &self.headers[node.0 as usize];
        if header.heads != [Link::NONE.0; 3] || header.protected() {
            return;
        }
        let last = self.dormant.1;
        let header = &mut self.headers[node.0 as usize];
        header.life |= DORMANT;
        header.heads = [last, NOBODY, Link::NONE.0];
        match last {
            NOBODY => self.dormant.0 = node.0,
            last => self.headers[last as usize].heads[1] = node.0,
        }
        self.dormant.1 = node.0;
    }

    /// Takes a node out of the dormant list.
    fn wake(&mut self, node: NodeId) {
        let header = &mut self.headers[node.0 as usize];
        let [before, behind, _] = header.heads;
        header.life &= !DORMANT;
        header.heads = [Link::NONE.0; 3];
        match before {
            NOBODY => self.dormant.0 = behind,
            before => self.headers[before as usize].heads[1] = behind,
        }
        match behind {
            NOBODY => self.dormant.1 = before,
            behind => self.headers[behind as usize].heads[0] = before,
        }
    }

    /// Every node's tag and header, and the dormant list's ends: the ground state.
    pub fn ground(&self) -> (Vec<u32>, &[Header], (u32, u32)) {
        (self.index.tags(self.len()), &self.headers[..self.len()], self.dormant)
    }

    /// Appends a node of a snapshot.
    pub fn restore(&mut self, tag: u32, header: Header) -> Result<(), String> {
        if self.count as usize == self.headers.len() {
            return Err(format!("the snapshot has more than nodes_max = {} nodes", self.headers.len()));
        }
        self.headers[self.count as usize] = header;
        self.index.insert(tag, header.fingerprint, NodeId(self.count));
        self.count += 1;
        Ok(())
    }

    /// Sets the ends of the dormant list that a snapshot had.
    pub fn restore_dormant(&mut self, dormant: (u32, u32)) {
        self.dormant = dormant;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> Id {
        Id::from_bits(n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834) ^ (n << 90))
    }

    #[test]
    fn a_header_is_half_a_cache_line() {
        assert_eq!(size_of::<Header>(), 32);
    }

    #[test]
    fn a_full_table_gives_the_place_of_the_longest_dormant() {
        let mut nodes = Nodes::new(3, &mut |_| {});
        let a = nodes.intern(id(1), IdKind::User).unwrap();
        let b = nodes.intern(id(2), IdKind::User).unwrap();
        let c = nodes.intern(id(3), IdKind::Device).unwrap();
        for node in [a, b, c] {
            nodes.set_head(node, Family::Money, Head::Cold(Link::new(0, 0)));
        }
        assert_eq!(nodes.intern(id(4), IdKind::User), None, "nobody is dormant");
        nodes.set_head(b, Family::Money, Head::Empty);
        nodes.set_head(a, Family::Money, Head::Empty);
        nodes.add_bad(b, 1);
        assert_eq!(nodes.intern(id(5), IdKind::User), Some(a), "b is protected by its known bad");
        assert_eq!(nodes.find(id(1)), None);
        nodes.set_head(a, Family::Money, Head::Cold(Link::new(0, 0)));
        nodes.add_bad(b, -1);
        assert_eq!(nodes.intern(id(1), IdKind::User), Some(b));
        assert_eq!(nodes.find(id(3)), Some(c));
    }

    #[test]
    fn life_is_counted() {
        let mut nodes = Nodes::new(1, &mut |_| {});
        let node = nodes.intern(id(1), IdKind::Merchant).unwrap();
        let at = |days: i64| Timestamp(Duration::DAY.times(days).0 + 7);
        for days in [10, 12, 11] {
            nodes.count_event(node, at(days));
        }
        let header = nodes.header(node);
        assert_eq!((header.events(), header.first_day(), header.last_day()), (3, day(at(10)), day(at(12))));
        assert_eq!(header.kind(), IdKind::Merchant);
        let header = Header::from_bytes(&header.to_bytes());
        assert_eq!((header.events(), header.kind(), header.bads()), (3, IdKind::Merchant, 0));
        for _ in 0..70_000 {
            nodes.count_event(node, at(13));
        }
        assert_eq!(nodes.header(node).events(), u16::MAX);
        nodes.set_profile(node, Some(true), Some(KycRisk::High));
        assert_eq!(nodes.header(node).consent(), Some(true));
        nodes.erase_profile(node);
        assert_eq!(nodes.header(node).consent(), Some(false));
    }
}
