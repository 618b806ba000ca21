//! The table of alerts: fixed places with heads, members and edges.

use super::alert::{AlertStatus, Edge, Member, Subject};
use super::evidence::Proof;
use super::index::{self, Index};
use super::watch::Watch;
use crate::event::{EventType, Id, IdKind, Timestamp};
use crate::memory::Buffer;
use crate::memory::image::{Table as Kept, Used, Words, front};
use crate::typology::Typology;

/// Words of an alert's head; a head whose first word is 0 is empty.
pub(super) mod head {
    pub const NUMBER: usize = 0;
    pub const VERSION: usize = 1;
    /// Status as published, typology, whether cut, whether held.
    pub const STATUS: usize = 2;
    pub const TYPOLOGY: usize = 3;
    pub const TYPOLOGIES: usize = 4;
    pub const SCORE: usize = 5;
    pub const CUT: usize = 6;
    pub const HELD: usize = 7;
    /// Two words of id, or of a policy's name.
    pub const SUBJECT: usize = 8;
    /// The kind of entity; of a cause [`super::CAUSE`] plus cause and event type.
    pub const SUBJECT_KIND: usize = 10;
    pub const OPENED: usize = 11;
    pub const FIRST: usize = 12;
    pub const LAST: usize = 13;
    /// Stream time when something came to it last.
    pub const GROWN: usize = 14;
    pub const EVENTS: usize = 15;
    pub const MONEY: usize = 16;
    pub const MEMBERS: usize = 17;
    /// Edges that were ever put in; those for which there is no room wrote over others.
    pub const EDGES: usize = 18;
    /// As of the last version.
    pub const TOLD_EVENTS: usize = 19;
    pub const TOLD_MEMBERS: usize = 20;
    pub const TOLD_SCORE: usize = 21;
    pub const TOLD_TYPOLOGIES: usize = 22;
    /// Its subject is suppressed while stream time lies before this.
    pub const SUPPRESSED: usize = 23;
    /// The event counted last, two words.
    pub const COUNTED: usize = 24;
    /// Whether the subject stands in the index.
    pub const INDEXED: usize = 26;
    pub const WORDS: usize = 27;
}

/// In [`head::SUBJECT_KIND`]: the subject is no entity.
const CAUSE: u64 = 1 << 32;
/// Words of a member: its id, then its kind and [`INDEXED`], [`GROWS`].
const MEMBER: usize = 3;
/// The id leads to this alert.
const INDEXED: u64 = 1 << 8;
/// Whatever happens with this id belongs to the alert.
const GROWS: u64 = 1 << 9;
/// Words of an edge: from, to, event, two each, amount, time.
const EDGE: usize = 8;

/// How many alerts of a kind there may be, and how much of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlertLimits {
    pub alerts_max: u32,
    /// Of one alert.
    pub members_max: u32,
    /// Of one alert.
    pub edges_max: u32,
    /// Newest rows of money whose ids are kept for evidence.
    pub evidence_rows_max: u32,
}

impl Default for AlertLimits {
    fn default() -> AlertLimits {
        AlertLimits { alerts_max: 1024, members_max: 64, edges_max: 64, evidence_rows_max: 1 << 18 }
    }
}

impl AlertLimits {
    /// Bytes of an alert of each kind with their shares of the index and of the watch.
    pub fn alert_bytes(&self) -> usize {
        2 * self.place_bytes() + Watch::bytes_an_alert()
    }

    /// Bytes of a place with its share of the index.
    pub(super) fn place_bytes(&self) -> usize {
        8 * (head::WORDS
            + self.members_max as usize * MEMBER
            + self.edges_max as usize * EDGE
            + 2 * index::KEY * (self.members_max as usize + 1))
    }

    fn keys(&self) -> usize {
        match self.alerts_max {
            0 => 0,
            alerts_max => 2 * alerts_max as usize * (self.members_max as usize + 1),
        }
    }
}

/// The places.
pub(super) struct Table {
    pub limits: AlertLimits,
    heads: Buffer<u64>,
    members: Buffer<u64>,
    edges: Buffer<u64>,
    pub index: Index,
    /// Alerts in use.
    pub len: usize,
    /// No slot from here on was ever used.
    pub high: usize,
}

impl Table {
    pub(super) fn new(limits: AlertLimits, progress: &mut dyn FnMut(usize)) -> Table {
        let alerts = limits.alerts_max as usize;
        Table {
            heads: Buffer::new(alerts * head::WORDS, progress),
            members: Buffer::new(alerts * limits.members_max as usize * MEMBER, progress),
            edges: Buffer::new(alerts * limits.edges_max as usize * EDGE, progress),
            index: Index::new(limits.keys(), progress),
            limits,
            len: 0,
            high: 0,
        }
    }

    pub(super) fn get(&self, slot: usize, word: usize) -> u64 {
        self.heads[slot * head::WORDS + word]
    }

    pub(super) fn set(&mut self, slot: usize, word: usize, value: u64) {
        self.heads.set(slot * head::WORDS + word, value);
    }

    pub(super) fn time(&self, slot: usize, word: usize) -> Timestamp {
        Timestamp(self.get(slot, word) as i64)
    }

    pub(super) fn is_used(&self, slot: usize) -> bool {
        self.get(slot, head::NUMBER) != 0
    }

    /// The slots in use, in order.
    pub(super) fn used(&self) -> impl Iterator<Item = usize> {
        (0..self.high).filter(|slot| self.is_used(*slot))
    }

    pub(super) fn typology(&self, slot: usize) -> Typology {
        Typology::ALL[self.get(slot, head::TYPOLOGY) as usize % Typology::ALL.len()]
    }

    pub(super) fn status(&self, slot: usize) -> AlertStatus {
        AlertStatus::ALL[self.get(slot, head::STATUS) as usize % AlertStatus::ALL.len()]
    }

    /// An empty slot, the first of them; `None` where all are used.
    pub(super) fn free(&mut self) -> Option<usize> {
        let slot = (0..self.high).find(|slot| !self.is_used(*slot)).unwrap_or(self.high);
        if slot == self.limits.alerts_max as usize {
            return None;
        }
        self.high = self.high.max(slot + 1);
        Some(slot)
    }

    /// Empties a slot and lets go of its ids.
    pub(super) fn clear(&mut self, slot: usize) {
        if let Some(subject) = self.subject_id(slot)
            && self.get(slot, head::INDEXED) != 0
        {
            self.index.unlead(subject);
        }
        for place in 0..self.get(slot, head::MEMBERS) as usize {
            let at = self.member_at(slot, place);
            if self.members[at + 2] & INDEXED != 0 {
                self.index.unlead(id(&self.members[at..]));
            }
        }
        self.heads.range_mut(slot * head::WORDS..(slot + 1) * head::WORDS).fill(0);
        self.len -= 1;
    }

    pub(super) fn subject(&self, slot: usize) -> Subject {
        let kind = self.get(slot, head::SUBJECT_KIND);
        if kind & CAUSE == 0 {
            let kind = IdKind::from_number(kind as u8).expect("a head's kind was written from one");
            return Subject::Entity(kind, self.subject_id(slot).expect("it is an entity"));
        }
        let mut policy = [0; 16];
        policy[..8].copy_from_slice(&self.get(slot, head::SUBJECT).to_le_bytes());
        policy[8..].copy_from_slice(&self.get(slot, head::SUBJECT + 1).to_le_bytes());
        let cause = (kind as u16).checked_sub(1);
        Subject::Cause { policy, cause, of: if kind >> 16 & 1 == 0 { EventType::Payment } else { EventType::Transfer } }
    }

    pub(super) fn set_subject(&mut self, slot: usize, subject: Subject) {
        let (words, kind) = match subject {
            Subject::Entity(kind, id) => ([id.low(), id.high()], kind as u64),
            Subject::Cause { policy, cause, of } => {
                let half = |half: &[u8]| u64::from_le_bytes(half.try_into().expect("half of sixteen bytes"));
                let cause = cause.map_or(0, |cause| u64::from(cause) + 1);
                ([half(&policy[..8]), half(&policy[8..])], CAUSE | u64::from(of == EventType::Transfer) << 16 | cause)
            }
        };
        self.set(slot, head::SUBJECT, words[0]);
        self.set(slot, head::SUBJECT + 1, words[1]);
        self.set(slot, head::SUBJECT_KIND, kind);
    }

    /// The subject, where it is an entity.
    pub(super) fn subject_id(&self, slot: usize) -> Option<Id> {
        (self.get(slot, head::SUBJECT_KIND) & CAUSE == 0).then(|| id(&self.heads[slot * head::WORDS + head::SUBJECT..]))
    }

    fn member_at(&self, slot: usize, place: usize) -> usize {
        (slot * self.limits.members_max as usize + place) * MEMBER
    }

    pub(super) fn member(&self, slot: usize, place: usize) -> Member {
        let at = self.member_at(slot, place);
        let kind = IdKind::from_number(self.members[at + 2] as u8).expect("a member's kind was written from one");
        Member { kind, id: id(&self.members[at..]) }
    }

    pub(super) fn members(&self, slot: usize) -> impl ExactSizeIterator<Item = Member> {
        (0..self.get(slot, head::MEMBERS) as usize).map(move |place| self.member(slot, place))
    }

    /// Puts a member in who is none yet. Where `leads`, the id leads here from now on, unless it leads elsewhere.
    pub(super) fn add_member(&mut self, slot: usize, member: Member, leads: bool, grows: bool) {
        let place = self.get(slot, head::MEMBERS) as usize;
        if self.subject_id(slot) == Some(member.id) || self.members(slot).any(|known| known.id == member.id) {
            return;
        }
        if place == self.limits.members_max as usize {
            self.set(slot, head::CUT, 1);
            return;
        }
        let leads = leads && self.index.lead_to(member.id, slot, grows);
        let marks = if leads { INDEXED } else { 0 } | if grows { GROWS } else { 0 };
        let at = self.member_at(slot, place);
        self.members.range_mut(at..at + MEMBER).copy_from_slice(&[member.id.low(), member.id.high(), member.kind as u64 | marks]);
        self.set(slot, head::MEMBERS, place as u64 + 1);
    }

    /// Whether what happens with the member at this place belongs to the alert, and whether its id leads there.
    pub(super) fn marks(&self, slot: usize, place: usize) -> (bool, bool) {
        let word = self.members[self.member_at(slot, place) + 2];
        (word & INDEXED != 0, word & GROWS != 0)
    }

    fn edge_at(&self, slot: usize, place: usize) -> usize {
        (slot * self.limits.edges_max as usize + place) * EDGE
    }

    /// Edges that are there.
    pub(super) fn edges_len(&self, slot: usize) -> usize {
        (self.get(slot, head::EDGES) as usize).min(self.limits.edges_max as usize)
    }

    pub(super) fn edges(&self, slot: usize) -> impl ExactSizeIterator<Item = Edge> {
        (0..self.edges_len(slot)).map(move |place| self.edge(slot, place))
    }

    pub(super) fn edge(&self, slot: usize, place: usize) -> Edge {
        let words = &self.edges[self.edge_at(slot, place)..][..EDGE];
        let (amount_minor, time) = (words[6] as i64, Timestamp(words[7] as i64));
        Edge { from: id(words), to: id(&words[2..]), amount_minor, time, event: id(&words[4..]) }
    }

    /// Whether this event is counted already, as far as is known.
    pub(super) fn knows_event(&self, slot: usize, event: Id) -> bool {
        self.heads[slot * head::WORDS + head::COUNTED..][..2] == [event.low(), event.high()]
            || self.edges(slot).any(|edge| edge.event == event)
    }

    /// Puts an edge in: where no room is left over the oldest of the newer half.
    pub(super) fn add_edge(&mut self, slot: usize, edge: &Edge) {
        let (put, room) = (self.get(slot, head::EDGES) as usize, self.limits.edges_max as usize);
        self.set(slot, head::EDGES, put as u64 + 1);
        if room == 0 {
            return;
        }
        let half = room / 2;
        let place = if put < room { put } else { half + (put - room) % (room - half) };
        let at = self.edge_at(slot, place);
        let Edge { from, to, amount_minor, time, event } = *edge;
        let words = [from.low(), from.high(), to.low(), to.high(), event.low(), event.high(), amount_minor as u64, time.0 as u64];
        self.edges.range_mut(at..at + EDGE).copy_from_slice(&words);
        if put >= room {
            self.set(slot, head::CUT, 1);
        }
    }

    /// Counts an event that is not counted yet, with its edge between two of its entities; a subject stands in where one is missing.
    pub(super) fn count(&mut self, slot: usize, proof: &Proof, edge: (usize, usize)) -> bool {
        if self.knows_event(slot, proof.event) {
            return false;
        }
        let subject = self.subject_id(slot);
        if let (Some(from), Some(to)) = (proof.ends[edge.0].or(subject), proof.ends[edge.1].or(subject)) {
            self.add_edge(slot, &Edge { from, to, amount_minor: proof.amount_minor, time: proof.time, event: proof.event });
        }
        let first = self.get(slot, head::EVENTS) == 0;
        self.set(slot, head::EVENTS, self.get(slot, head::EVENTS) + 1);
        self.set(slot, head::MONEY, self.get(slot, head::MONEY).saturating_add(proof.amount_minor as u64));
        let earliest = if first { proof.time } else { self.time(slot, head::FIRST).min(proof.time) };
        let latest = if first { proof.time } else { self.time(slot, head::LAST).max(proof.time) };
        self.set(slot, head::FIRST, earliest.0 as u64);
        self.set(slot, head::LAST, latest.0 as u64);
        self.set(slot, head::COUNTED, proof.event.low());
        self.set(slot, head::COUNTED + 1, proof.event.high());
        true
    }

    /// Writes each alert's slot, head, members and edges: the ground state.
    pub(super) fn ground(&self, mut word: impl FnMut(u64) -> std::io::Result<()>) -> std::io::Result<()> {
        word(self.high as u64)?;
        word(self.len as u64)?;
        for slot in self.used() {
            word(slot as u64)?;
            let (members, edges) = (self.get(slot, head::MEMBERS) as usize, self.edges_len(slot));
            let heads = &self.heads[slot * head::WORDS..][..head::WORDS];
            let members = &self.members[self.member_at(slot, 0)..][..members * MEMBER];
            let edges = &self.edges[self.edge_at(slot, 0)..][..edges * EDGE];
            heads.iter().chain(members).chain(edges).try_for_each(|value| word(*value))?;
        }
        Ok(())
    }

    /// Restores an empty table from what [`Table::ground`] wrote.
    pub(super) fn restore<E: From<String>>(&mut self, mut word: impl FnMut() -> Result<u64, E>) -> Result<(), E> {
        let (high, len) = (word()? as usize, word()? as usize);
        if high > self.limits.alerts_max as usize || len > high {
            return Err(format!("found {len} alerts in {high} places, expected at most {}", self.limits.alerts_max).into());
        }
        self.high = high;
        for _ in 0..len {
            let slot = word()? as usize;
            if slot >= high || self.is_used(slot) {
                return Err(format!("two alerts stand in place {slot}, or one outside of the table").into());
            }
            for at in 0..head::WORDS {
                let value = word()?;
                self.set(slot, at, value);
            }
            if !self.is_used(slot) || self.get(slot, head::MEMBERS) > u64::from(self.limits.members_max) {
                return Err(format!("the alert in place {slot} has more members than there is room for, or no number").into());
            }
            for at in 0..self.get(slot, head::MEMBERS) as usize * MEMBER {
                let (value, at) = (word()?, self.member_at(slot, 0) + at);
                self.members.set(at, value);
            }
            for at in 0..self.edges_len(slot) * EDGE {
                let (value, at) = (word()?, self.edge_at(slot, 0) + at);
                self.edges.set(at, value);
            }
        }
        Ok(self.wake()?)
    }

    /// Makes the index again from what stands in heads and members, and checks that it can be read.
    pub(super) fn wake(&mut self) -> Result<(), String> {
        self.index.clear();
        self.len = 0;
        for slot in 0..self.high {
            if !self.is_used(slot) {
                continue;
            }
            self.len += 1;
            let kind = self.get(slot, head::SUBJECT_KIND);
            let members = self.get(slot, head::MEMBERS);
            let members_sound = members <= u64::from(self.limits.members_max)
                && (0..members as usize).all(|place| IdKind::from_number(self.members[self.member_at(slot, place) + 2] as u8).is_some());
            let numbers_sound = self.get(slot, head::TYPOLOGY) < Typology::ALL.len() as u64
                && self.get(slot, head::STATUS) < AlertStatus::ALL.len() as u64
                && self.get(slot, head::SCORE) <= 1000;
            if !members_sound || !numbers_sound || kind & CAUSE == 0 && IdKind::from_number(kind as u8).is_none() {
                return Err(format!("the alert in place {slot} holds numbers that nothing has"));
            }
            let mut leads = true;
            if let Some(subject) = self.subject_id(slot)
                && self.get(slot, head::INDEXED) != 0
            {
                let of = IdKind::from_number(kind as u8).expect("looked at above");
                leads &= self.index.lead_to(subject, slot, grows(of));
            }
            for place in 0..members as usize {
                let (indexed, grows) = self.marks(slot, place);
                if indexed {
                    let id = self.member(slot, place).id;
                    leads &= self.index.lead_to(id, slot, grows);
                }
            }
            if !leads {
                return Err(format!("an id of the alert in place {slot} leads to another one, too"));
            }
        }
        Ok(())
    }

    /// Its tables and what of them is in use.
    pub(super) fn tables(&mut self) -> [(&'static str, Used, &mut dyn Kept); 3] {
        let (high, limits) = (self.high, self.limits);
        [
            ("heads", front(high * head::WORDS), &mut self.heads),
            ("members", front(high * limits.members_max as usize * MEMBER), &mut self.members),
            ("edges", front(high * limits.edges_max as usize * EDGE), &mut self.edges),
        ]
    }

    pub(super) fn words(&self, out: &mut Vec<u64>) {
        out.push(self.high as u64);
    }

    pub(super) fn restore_words(&mut self, words: &mut Words<'_>) -> Result<(), String> {
        self.high = words.at_most(self.limits.alerts_max as usize, "places of alerts")?;
        Ok(())
    }
}

/// Whether whatever happens with a subject of this kind belongs to its alert. A merchant or an address is a hub: there only a finding counts.
pub(super) fn grows(kind: IdKind) -> bool {
    matches!(kind, IdKind::User | IdKind::Device | IdKind::Card)
}

fn id(words: &[u64]) -> Id {
    Id::from_bits(u128::from(words[1]) << 64 | u128::from(words[0]))
}
