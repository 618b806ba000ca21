//! The watch: payments that the policy itself held, gathered by the devices and customers that they share.
//!
//! Whoever a policy stops early leaves no refusal and no label behind, and no typology would ever speak of them. So held payments are put
//! into *groups*, and what becomes of the payments of a group is weighed as in a sequential test (Page, "Continuous inspection schemes",
//! Biometrika 1954): each that was held says for an attack as many bits as holding is rare just now, each that was not says one bit against
//! it, and a group whose sum is spent is forgotten. A policy that holds everything by mistake therefore proves nothing of anybody, and a
//! kiosk at which a payment a week is held never adds up.
//!
//! There is room for so many groups; the one opened first makes room for a new one.

use super::alert::{AlertStatus, Edge, Member};
use super::evidence::Proof;
use super::table::{AlertLimits, Table, head};
use super::{Found, Moment, Subject};
use crate::event::{Duration, Id, IdKind, SLOTS, Timestamp};
use crate::memory::image::{Table as Kept, Used, Words};
use crate::typology::{Typology, slot};

/// Groups an alert of the limits,
const GROUPS: u32 = 8;
/// and how much is kept of each.
const MEMBERS: u32 = 12;
const EDGES: u32 = 8;

/// The weight at which a group is told of, and the greatest.
const TOLD: u64 = 12;
const WEIGHT_MAX: u64 = 32;
/// Bits that one held payment says at most: holding is never taken to be rarer than one in 64.
const BITS_MAX: u32 = 6;
/// Payments after which their count and that of the held ones are halved.
const JUDGED_MAX: u64 = 2048;

/// Another device that a payment's customer used lately, and another customer of its device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct Acquaintances {
    pub device: Option<Id>,
    pub user: Option<Id>,
}

/// A payment that was judged, as the watch sees it.
pub(in crate::engine) struct Sighting<'a> {
    pub proof: &'a Proof,
    pub acquaintances: Acquaintances,
    /// Whether it was not approved.
    pub held: bool,
    /// Nobody wants to hear of its device until then.
    pub suppressed: Timestamp,
}

/// The groups, and how rare holding is. A group stands in its table as an alert nobody hears of, its weight as the score.
pub(super) struct Watch {
    table: Table,
    opened: u64,
    /// Payments judged lately, and those of them that were held.
    judged: u64,
    held: u64,
}

fn limits(alerts: AlertLimits) -> AlertLimits {
    AlertLimits { alerts_max: alerts.alerts_max * GROUPS, members_max: MEMBERS, edges_max: EDGES, evidence_rows_max: 0 }
}

impl Watch {
    pub(super) fn new(alerts: AlertLimits, progress: &mut dyn FnMut(usize)) -> Watch {
        Watch { table: Table::new(limits(alerts), progress), opened: 0, judged: 0, held: 0 }
    }

    /// Bytes of the groups of one alert.
    pub(super) fn bytes_an_alert() -> usize {
        GROUPS as usize * limits(AlertLimits::default()).place_bytes()
    }

    #[inline]
    pub(super) fn prefetch(&self, ends: &[Option<Id>; SLOTS]) {
        if self.table.len > 0 {
            [ends[slot::DEVICE], ends[slot::USER]].into_iter().flatten().for_each(|id| self.table.index.prefetch(id));
        }
    }

    /// A payment was judged. Gives what is found where enough was held.
    #[inline]
    pub(super) fn judged(&mut self, at: &Moment, seen: &Sighting<'_>, window: Duration, users_min: u32) -> Option<Found> {
        if self.table.limits.alerts_max == 0 {
            return None;
        }
        self.judged += 1;
        self.held += u64::from(seen.held);
        if self.judged == JUDGED_MAX {
            (self.judged, self.held) = (self.judged / 2, self.held / 2);
        }
        match seen.held {
            true => self.hold(at, seen, window, users_min),
            false => {
                self.pass(seen.proof);
                None
            }
        }
    }

    fn home(&self, id: Option<Id>) -> Option<usize> {
        self.table.index.lead(id?).map(|lead| lead.slot)
    }

    /// A payment was not held: that speaks for the group of its device.
    #[inline]
    fn pass(&mut self, proof: &Proof) {
        let Some(group) = self.home(proof.ends[slot::DEVICE]) else { return };
        match self.table.get(group, head::SCORE) {
            0 | 1 => self.table.clear(group),
            weight => {
                self.table.set(group, head::SCORE, weight - 1);
                self.join(group, IdKind::User, proof.ends[slot::USER]);
            }
        }
    }

    /// Bits that a held payment says: the logarithm of one in so many, less the one bit that it is held under attack.
    fn bits(&self) -> u64 {
        let one_in = self.judged.max(1 << BITS_MAX) / self.held.max(1);
        u64::from(one_in.max(1).ilog2().min(BITS_MAX).saturating_sub(1))
    }

    fn hold(&mut self, at: &Moment, seen: &Sighting<'_>, window: Duration, users_min: u32) -> Option<Found> {
        let bits = self.bits();
        if bits == 0 {
            return None;
        }
        let (proof, met) = (seen.proof, seen.acquaintances);
        let (device, user) = (proof.ends[slot::DEVICE], proof.ends[slot::USER]);
        let mut group = None;
        for id in [device, user, met.device, met.user] {
            let Some(other) = self.home(id) else { continue };
            if at.now - self.table.time(other, head::GROWN) >= window {
                // What was held so long ago says nothing any more.
                self.table.clear(other);
                continue;
            }
            group = Some(match group {
                Some(group) if group != other => self.merge(group, other),
                _ => other,
            });
        }
        let group = match group {
            Some(group) => group,
            None => self.open(device?, at.now, seen.suppressed),
        };
        let table = &mut self.table;
        table.set(group, head::SCORE, (table.get(group, head::SCORE) + bits).min(WEIGHT_MAX));
        table.set(group, head::EVENTS, table.get(group, head::EVENTS) + 1);
        table.set(group, head::GROWN, at.now.0 as u64);
        let from = user.or(device)?;
        let to = device.or(user)?;
        table.add_edge(group, &Edge { from, to, amount_minor: proof.amount_minor, time: proof.time, event: proof.event });
        for (kind, id) in [(IdKind::Device, device), (IdKind::User, user), (IdKind::Device, met.device), (IdKind::User, met.user)] {
            self.join(group, kind, id);
        }
        let users = self.table.members(group).filter(|member| member.kind == IdKind::User).count();
        (self.table.get(group, head::SCORE) >= TOLD && users >= users_min as usize).then(|| self.found(group, users))
    }

    fn open(&mut self, device: Id, now: Timestamp, suppressed: Timestamp) -> usize {
        let group = (self.opened % u64::from(self.table.limits.alerts_max)) as usize;
        if self.table.is_used(group) {
            self.table.clear(group);
        }
        self.opened += 1;
        let table = &mut self.table;
        table.len += 1;
        table.high = table.high.max(group + 1);
        table.set(group, head::NUMBER, self.opened);
        table.set_subject(group, Subject::Entity(IdKind::Device, device));
        table.set(group, head::GROWN, now.0 as u64);
        table.set(group, head::SUPPRESSED, suppressed.0 as u64);
        table.set(group, head::STATUS, AlertStatus::Open as u64);
        table.set(group, head::TYPOLOGY, Typology::HeldRing as u64);
        let leads = table.index.lead_to(device, group, true);
        table.set(group, head::INDEXED, u64::from(leads));
        group
    }

    /// Nobody wants to hear of a group by this device until then.
    pub(super) fn suppress(&mut self, subject: Id, until: Timestamp) {
        if let Some(group) = self.home(Some(subject)).filter(|group| self.table.subject_id(*group) == Some(subject)) {
            self.table.set(group, head::SUPPRESSED, until.0 as u64);
        }
    }

    fn join(&mut self, group: usize, kind: IdKind, id: Option<Id>) {
        if let Some(id) = id {
            self.table.add_member(group, Member { kind, id }, true, true);
        }
    }

    /// The older of two groups takes the other in.
    fn merge(&mut self, one: usize, other: usize) -> usize {
        let table = &mut self.table;
        let (into, from) = if table.get(one, head::NUMBER) < table.get(other, head::NUMBER) { (one, other) } else { (other, one) };
        let weight = table.get(into, head::SCORE) + table.get(from, head::SCORE);
        table.set(into, head::SCORE, weight.min(WEIGHT_MAX));
        table.set(into, head::EVENTS, table.get(into, head::EVENTS) + table.get(from, head::EVENTS));
        for place in 0..table.edges_len(from) {
            let edge = table.edge(from, place);
            table.add_edge(into, &edge);
        }
        let (subject, members) = (table.subject_id(from), table.get(from, head::MEMBERS) as usize);
        // Its ids must lead nowhere before they lead to the other.
        table.clear(from);
        self.join(into, IdKind::Device, subject);
        for place in 0..members {
            // The members' words stand where they stood: only the head was emptied.
            let Member { kind, id } = self.table.member(from, place);
            self.join(into, kind, Some(id));
        }
        into
    }

    fn found(&self, group: usize, users: usize) -> Found {
        let Subject::Entity(kind, device) = self.table.subject(group) else { unreachable!("a group is opened by a device") };
        let mut edges = [None; EDGES as usize];
        for (place, edge) in edges.iter_mut().zip(self.table.edges(group)) {
            *place = Some(edge);
        }
        let key = |edge: &Option<Edge>| edge.map_or((true, Timestamp(0), 0), |edge| (false, edge.time, edge.event.low()));
        edges.sort_unstable_by_key(key);
        let cut = self.table.get(group, head::EVENTS) > u64::from(EDGES) || self.table.get(group, head::CUT) != 0;
        let score = (350 + 50 * users).min(1000) as u16;
        let mut found = Found::new(Typology::HeldRing, score, cut, (device, kind), self.table.time(group, head::SUPPRESSED));
        for Edge { from, to, amount_minor, time, event } in edges.into_iter().flatten() {
            let mut ends = [None; SLOTS];
            ends[slot::USER] = Some(from);
            ends[slot::DEVICE] = Some(to).filter(|to| *to != from);
            found.prove(Proof { event, ends, amount_minor, time });
        }
        found
    }

    /// Writes the groups: ground state.
    pub(super) fn ground(&self, word: impl FnMut(u64) -> std::io::Result<()>) -> std::io::Result<()> {
        self.table.ground(word)
    }

    /// Restores what [`Watch::ground`] wrote.
    pub(super) fn restore<E: From<String>>(&mut self, word: impl FnMut() -> Result<u64, E>) -> Result<(), E> {
        self.table.restore(word)
    }

    /// Makes what is derived again, after an image was read.
    pub(super) fn wake(&mut self) -> Result<(), String> {
        self.table.wake()
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if self.judged >= JUDGED_MAX || self.held > self.judged {
            return Err(format!("found {} of {} payments held, expected fewer than {JUDGED_MAX}", self.held, self.judged));
        }
        let newest = self.table.used().map(|group| self.table.get(group, head::NUMBER)).max();
        if newest > Some(self.opened) {
            return Err(format!("found group {newest:?}, expected at most {}", self.opened));
        }
        Ok(())
    }

    /// Everything that is not in the table.
    pub(super) fn numbers(&self) -> [u64; 3] {
        [self.opened, self.judged, self.held]
    }

    pub(super) fn restore_numbers(&mut self, words: &mut Words<'_>) -> Result<(), String> {
        (self.opened, self.judged, self.held) = (words.word()?, words.word()?, words.word()?);
        Ok(())
    }

    pub(super) fn tables(&mut self) -> [(&'static str, Used, &mut dyn Kept); 3] {
        let [(_, heads_used, heads), (_, members_used, members), (_, edges_used, edges)] = self.table.tables();
        [("watched heads", heads_used, heads), ("watched members", members_used, members), ("watched edges", edges_used, edges)]
    }

    pub(super) fn words(&self, out: &mut Vec<u64>) {
        self.table.words(out);
    }

    pub(super) fn restore_words(&mut self, words: &mut Words<'_>) -> Result<(), String> {
        self.table.restore_words(words)
    }
}
