//! Nodes: 32 bytes each in three columns, and the list of those that may give up their place.
//!
//! What is asked of a neighbour – where its newest event in the ring of money is – stands in a column of its own, four bytes a node: a
//! judged event has up to 48 neighbours, and sixteen nodes share a cache line there.
//!
//! Nearly all nodes are cold: at most four visible events in a family, found by following links from the newest. From the fifth on a node
//! has a warm record in that family ([`super::warm`]). A node is *dormant* when it has no visible row in any family and nothing protects
//! it (no profile, no known bad, no catalogue entry). Dormant nodes form a list in the order in which they became so; it runs through their
//! heads of access and interest, which are empty then.

use super::index::{Index, tag};
use super::limits::Family;
use super::row::{Link, NodeId};
use crate::event::{Duration, Id, IdKind, KycRisk, Timestamp};
use crate::memory::{Buffer, Zeroed};

mod image;

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
    /// `0..16` events, `16..33` first day, `33..50` last day (days since 1900), `50..54` kind, `54..` marks.
    life: u64,
}

// SAFETY: plain integers; 16 bytes without padding.
unsafe impl Zeroed for Header {}

/// What is seldom asked of a node.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Aside {
    /// Heads of access and interest. Of a dormant node: its neighbours in the list.
    heads: [u32; 2],
    /// Targets it took part in whose verdict in force is fraud or laundering.
    bads: u32,
}

// SAFETY: plain integers; 12 bytes without padding.
unsafe impl Zeroed for Aside {}

const WARM: u32 = 1 << 31;
const NOBODY: u32 = u32::MAX;
const PROFILE: u64 = 1 << 54;
const LISTED: u64 = 1 << 55;
const DORMANT: u64 = 1 << 56;
const CONSENT_KNOWN: u64 = 1 << 57;
const CONSENT: u64 = 1 << 58;
const KYC_SHIFT: u32 = 59;
/// [`Aside::bads`] is not 0.
const BAD: u64 = 1 << 61;

/// Days since 1900 of a moment.
pub fn day(time: Timestamp) -> i64 {
    (time - Timestamp::MIN).0.div_euclid(Duration::DAY.0)
}

impl Header {
    /// Rows it was ever joined to; saturates at 65,535.
    #[inline(always)]
    pub fn events(&self) -> u16 {
        self.life as u16
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
        self.life & (BAD | PROFILE | LISTED) != 0
    }
}

/// All nodes, and the way from ids to them.
pub struct Nodes {
    headers: Buffer<Header>,
    /// Heads of money: bit 31 set and a warm record's number, else a link.
    heads: Buffer<u32>,
    asides: Buffer<Aside>,
    index: Index,
    count: u32,
    /// First and last of the dormant list.
    dormant: (u32, u32),
}

impl Nodes {
    /// Bytes of a node, the index apart.
    pub const NODE_BYTES: usize = size_of::<Header>() + size_of::<u32>() + size_of::<Aside>();

    /// An empty table of `nodes_max` nodes.
    pub fn new(nodes_max: u32, progress: &mut dyn FnMut(usize)) -> Nodes {
        assert!((1..1 << 31).contains(&nodes_max), "nodes_max lies in 1..2^31, the topology has seen to it");
        Nodes {
            headers: Buffer::new(nodes_max as usize, progress),
            heads: Buffer::new(nodes_max as usize, progress),
            asides: Buffer::new(nodes_max as usize, progress),
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

    /// Where the newest event of a node in `family` is found.
    #[inline(always)]
    pub fn head(&self, node: NodeId, family: Family) -> Head {
        let word = self.head_word(node, family);
        if word == Link::NONE.0 || (family != Family::Money && self.header(node).life & DORMANT != 0) {
            Head::Empty
        } else if word & WARM != 0 {
            Head::Warm(word & !WARM)
        } else {
            Head::Cold(Link(word))
        }
    }

    #[inline(always)]
    fn head_word(&self, node: NodeId, family: Family) -> u32 {
        match family {
            Family::Money => self.heads[node.0 as usize],
            Family::Access => self.asides[node.0 as usize].heads[0],
            Family::Interest => self.asides[node.0 as usize].heads[1],
        }
    }

    /// Targets with a bad verdict in force that a node took part in.
    #[inline(always)]
    pub fn bads(&self, node: NodeId) -> u32 {
        // The mark spares nearly everybody the look beside.
        if self.header(node).life & BAD == 0 { 0 } else { self.asides[node.0 as usize].bads }
    }

    /// Hints that `id` will be looked up.
    #[inline(always)]
    pub fn prefetch_index(&self, id: Id) {
        self.index.prefetch(id);
    }

    /// Hints that `node`'s header and its head of `family` will be read.
    #[inline(always)]
    pub fn prefetch(&self, node: NodeId, family: Family) {
        self.headers.prefetch(node.0 as usize);
        self.prefetch_head(node, family);
    }

    /// Hints that all of `node` will be read, its head of money apart.
    #[inline(always)]
    pub fn prefetch_all(&self, node: NodeId) {
        self.headers.prefetch(node.0 as usize);
        self.asides.prefetch(node.0 as usize);
    }

    /// Hints that `node` will be taken out of the dormant list, if it is in it.
    #[inline(always)]
    pub fn prefetch_waking(&self, node: NodeId) {
        if self.header(node).life & DORMANT != 0 {
            self.asides.prefetch(node.0 as usize);
        }
    }

    /// Hints that `node`'s neighbours in the dormant list will change, if it is in it.
    #[inline(always)]
    pub fn prefetch_listed(&self, node: NodeId) {
        if self.header(node).life & DORMANT != 0 {
            self.asides[node.0 as usize].heads.iter().for_each(|other| self.asides.prefetch(*other as usize));
        }
    }

    /// Hints that `node`'s head of `family` will be read.
    #[inline(always)]
    pub fn prefetch_head(&self, node: NodeId, family: Family) {
        match family {
            Family::Money => self.heads.prefetch(node.0 as usize),
            _ => self.asides.prefetch(node.0 as usize),
        }
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
        self.headers.set(node.0 as usize, Header { fingerprint: id.low(), life: (kind as u64) << 50 });
        self.heads.set(node.0 as usize, Link::NONE.0);
        self.asides.set(node.0 as usize, Aside { heads: [Link::NONE.0; 2], bads: 0 });
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
        let header = self.headers.get_mut(node.0 as usize);
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
        let word = match head {
            Head::Empty => Link::NONE.0,
            Head::Cold(link) => link.0,
            Head::Warm(record) => WARM | record,
        };
        match family {
            Family::Money => self.heads.set(node.0 as usize, word),
            Family::Access => self.asides.get_mut(node.0 as usize).heads[0] = word,
            Family::Interest => self.asides.get_mut(node.0 as usize).heads[1] = word,
        }
        if head == Head::Empty {
            self.settle(node);
        }
    }

    /// Changes the number of bad verdicts in force.
    pub fn add_bad(&mut self, node: NodeId, by: i32) {
        let bads = &mut self.asides.get_mut(node.0 as usize).bads;
        *bads = bads.saturating_add_signed(by);
        let any = *bads > 0;
        self.change(node, |header| header.life = header.life & !BAD | if any { BAD } else { 0 });
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
        let header = self.headers.get_mut(node.0 as usize);
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
        let (header, heads) = (&self.headers[node.0 as usize], self.asides[node.0 as usize].heads);
        if self.heads[node.0 as usize] != Link::NONE.0 || heads != [Link::NONE.0; 2] || header.protected() {
            return;
        }
        let last = self.dormant.1;
        self.headers.get_mut(node.0 as usize).life |= DORMANT;
        self.asides.get_mut(node.0 as usize).heads = [last, NOBODY];
        match last {
            NOBODY => self.dormant.0 = node.0,
            last => self.asides.get_mut(last as usize).heads[1] = node.0,
        }
        self.dormant.1 = node.0;
    }

    /// Takes a node out of the dormant list.
    fn wake(&mut self, node: NodeId) {
        let [before, behind] = std::mem::replace(&mut self.asides.get_mut(node.0 as usize).heads, [Link::NONE.0; 2]);
        self.headers.get_mut(node.0 as usize).life &= !DORMANT;
        match before {
            NOBODY => self.dormant.0 = behind,
            before => self.asides.get_mut(before as usize).heads[1] = behind,
        }
        match behind {
            NOBODY => self.dormant.1 = before,
            behind => self.asides.get_mut(behind as usize).heads[0] = before,
        }
    }

    /// Every node's tag: what a snapshot must keep of the index.
    pub fn tags(&self) -> Vec<u32> {
        self.index.tags(self.len())
    }

    /// Both ends of the dormant list.
    pub fn dormant(&self) -> (u32, u32) {
        self.dormant
    }

    /// A node as bytes, little-endian: its form in snapshots and state hashes.
    pub fn to_bytes(&self, node: NodeId) -> [u8; Nodes::NODE_BYTES] {
        let (header, aside) = (&self.headers[node.0 as usize], &self.asides[node.0 as usize]);
        let mut bytes = [0; Nodes::NODE_BYTES];
        bytes[..8].copy_from_slice(&header.fingerprint.to_le_bytes());
        bytes[8..16].copy_from_slice(&header.life.to_le_bytes());
        for (n, word) in [self.heads[node.0 as usize], aside.heads[0], aside.heads[1], aside.bads].into_iter().enumerate() {
            bytes[16 + n * 4..][..4].copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Appends a node of a snapshot: its tag, and what [`Nodes::to_bytes`] wrote.
    pub fn restore(&mut self, tag: u32, bytes: &[u8; Nodes::NODE_BYTES]) -> Result<(), String> {
        if self.count as usize == self.headers.len() {
            return Err(format!("the snapshot has more than nodes_max = {} nodes", self.headers.len()));
        }
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let wide = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        let node = self.count as usize;
        self.headers.set(node, Header { fingerprint: wide(0), life: wide(8) });
        self.heads.set(node, word(16));
        self.asides.set(node, Aside { heads: [word(20), word(24)], bads: word(28) });
        self.index.insert(tag, wide(0), NodeId(self.count));
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
    fn a_node_is_half_a_cache_line() {
        assert_eq!(Nodes::NODE_BYTES, 32);
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
        let mut again = Nodes::new(1, &mut |_| {});
        nodes.add_bad(node, 2);
        again.restore(7, &nodes.to_bytes(node)).unwrap();
        assert_eq!(again.to_bytes(node), nodes.to_bytes(node));
        assert_eq!((again.header(node).events(), again.header(node).kind(), again.bads(node)), (3, IdKind::Merchant, 2));
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
