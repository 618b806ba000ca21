//! What surrounds a transfer: the accounts that a search has come to, and their transfers, as far as a budget of visits allows.
//!
//! Rows are chased once and kept as *legs* in columns of the search's own; everything a typology asks is asked of these.

use crate::event::{Duration, Timestamp};
use crate::graph::state::{self, COUNT};
use crate::graph::{Chain, Family, Graph, Head, NodeId};
use std::ops::Range;

/// Who is on one side of a transfer: an account that is known, one of this very transfer that no row knows yet, or the world outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Party(u32);

impl Party {
    /// Whoever is no account.
    pub const OUTSIDE: Party = Party(NodeId::NONE.0);
    /// Accounts that the transfer looked at is the first of: who sends, who receives.
    pub const NEW: [Party; 2] = [Party(u32::MAX - 1), Party(u32::MAX - 2)];

    /// The party that stands in a row's slot.
    #[inline(always)]
    pub fn of(node: NodeId) -> Party {
        Party(node.0)
    }

    /// Whether it is an account.
    #[inline(always)]
    pub fn is_account(self) -> bool {
        self != Party::OUTSIDE
    }

    /// Its node, where a row knows it.
    #[inline(always)]
    pub fn node(self) -> Option<NodeId> {
        (self.0 < Party::NEW[1].0).then_some(NodeId(self.0))
    }
}

/// One transfer, as an edge of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leg {
    /// Number of its row since the ring of money was empty; of the transfer looked at that of the row to come.
    pub ordinal: u64,
    pub time: Timestamp,
    /// Reporting minor units.
    pub amount_minor: i64,
    pub from: Party,
    pub to: Party,
    /// Whether a user or a device ordered it: else it is of a firm's file, or nobody says.
    pub ordered: bool,
}

impl Leg {
    /// Whether it happened before another: by time, among equals by arrival.
    #[inline(always)]
    pub fn is_before(&self, other: &Leg) -> bool {
        (self.time, self.ordinal) < (other.time, other.ordinal)
    }
}

/// Slots of who ordered a transfer.
pub const USER: usize = 2;
pub const DEVICE: usize = 3;

/// How far a search goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Older transfers are not seen.
    pub window: Duration,
    /// Transfers of one account that are looked at; money is not followed through an account with more.
    pub rows_max: u32,
    /// Rows looked at around one transfer, over all.
    pub visits_max: u32,
    /// A counterpart with so many transfers in its last fortnights is a business: no pattern is made of who pays it.
    pub busy_min: u32,
}

/// An account that a search has come to.
#[derive(Clone, Copy, Debug)]
struct Account {
    party: Party,
    /// Its legs inside the window, newest first.
    legs: (u32, u32),
    /// It has more transfers in the window than are looked at.
    hub: bool,
    /// Whom it dealt with before the window, once somebody has asked.
    met: Option<(u32, u32)>,
    /// Of these, those who paid it and those whom it paid.
    met_sides: [u32; 2],
}

/// What a search writes, kept from one to the next so that nothing is allocated.
#[derive(Debug, Default)]
pub struct Scratch {
    legs: Vec<Leg>,
    accounts: Vec<Account>,
    /// With whether they paid, and were paid.
    met: Vec<(Party, [bool; 2])>,
}

/// Accounts that one search comes to at most; each takes a visit at least, so a small budget ends before.
const ACCOUNTS_MAX: usize = 256;

impl Scratch {
    /// Room for searches of this reach.
    pub fn with_room(reach: &Reach) -> Scratch {
        let rows = reach.visits_max as usize + ACCOUNTS_MAX;
        Scratch { legs: Vec::with_capacity(rows), accounts: Vec::with_capacity(ACCOUNTS_MAX), met: Vec::with_capacity(rows) }
    }
}

/// The surroundings of one transfer, found as they are asked for.
pub struct Surroundings<'a> {
    graph: &'a Graph,
    scratch: &'a mut Scratch,
    reach: Reach,
    /// The transfer looked at.
    pub this: Leg,
    since: Timestamp,
    visits: u32,
    /// Something was left out, for want of visits.
    pub cut: bool,
}

impl<'a> Surroundings<'a> {
    /// Of `this`, whose row is yet to come.
    pub fn new(graph: &'a Graph, scratch: &'a mut Scratch, reach: Reach, this: Leg) -> Surroundings<'a> {
        scratch.legs.clear();
        scratch.accounts.clear();
        scratch.met.clear();
        let since = this.time - reach.window;
        Surroundings { graph, scratch, reach, this, since, visits: 0, cut: false }
    }

    /// Rows looked at so far.
    pub fn visits(&self) -> u32 {
        self.visits
    }

    /// The graph around.
    pub fn graph(&self) -> &'a Graph {
        self.graph
    }

    /// Whether one more row may be looked at; if not, what is found is cut.
    #[inline]
    fn visit(&mut self) -> bool {
        let may = self.visits < self.reach.visits_max;
        self.visits += u32::from(may);
        self.cut |= !may;
        may
    }

    fn place(&self, party: Party) -> Option<usize> {
        self.scratch.accounts.iter().position(|account| account.party == party)
    }

    /// The place of an account among those come to. `None` for the world outside, and where there is no room for one more.
    fn come_to(&mut self, party: Party) -> Option<usize> {
        if !party.is_account() {
            return None;
        }
        if let Some(place) = self.place(party) {
            return Some(place);
        }
        if self.scratch.accounts.len() == ACCOUNTS_MAX {
            self.cut = true;
            return None;
        }
        let start = self.scratch.legs.len();
        if party == self.this.from || party == self.this.to {
            self.scratch.legs.push(self.this);
        }
        let mut hub = false;
        if let Some(node) = party.node() {
            for linked in self.graph.chain(Family::Money, node) {
                if !self.visit() {
                    break;
                }
                let row = linked.row;
                if row.time <= self.since {
                    // What came before a row that was not late is older than it.
                    if row.flags.late() {
                        continue;
                    }
                    break;
                }
                // The transfer looked at came late, and this happened after it.
                if row.time > self.this.time {
                    continue;
                }
                if self.scratch.legs.len() - start >= self.reach.rows_max as usize {
                    hub = true;
                    break;
                }
                let [from, to] = [row.nodes[0], row.nodes[1]].map(Party::of);
                let ordered = row.nodes[USER].is_some() || row.nodes[DEVICE].is_some();
                let (ordinal, time, amount_minor) = (linked.ordinal, row.time, row.amount_minor());
                self.scratch.legs.push(Leg { ordinal, time, amount_minor, from, to, ordered });
            }
        }
        let legs = &mut self.scratch.legs[start..];
        // Late ones stand in between; else it is in order already.
        if !legs.is_sorted_by(|newer, older| older.is_before(newer)) {
            legs.sort_unstable_by_key(|leg| std::cmp::Reverse((leg.time, leg.ordinal)));
        }
        let legs = (start as u32, self.scratch.legs.len() as u32);
        self.scratch.accounts.push(Account { party, legs, hub, met: None, met_sides: [0; 2] });
        Some(self.scratch.accounts.len() - 1)
    }

    fn range(&mut self, party: Party) -> Range<usize> {
        self.come_to(party).map_or(0..0, |place| {
            let (start, end) = self.scratch.accounts[place].legs;
            start as usize..end as usize
        })
    }

    /// The legs of an account inside the window, newest first; the transfer looked at is among those of its own two.
    pub fn legs(&mut self, party: Party) -> &[Leg] {
        let range = self.range(party);
        &self.scratch.legs[range]
    }

    /// As [`Surroundings::legs`], by places for [`Surroundings::leg`]: where a search goes on to others between two of them.
    pub fn places(&mut self, party: Party) -> Range<usize> {
        self.range(party)
    }

    /// The leg at a place.
    #[inline(always)]
    pub fn leg(&self, place: usize) -> Leg {
        self.scratch.legs[place]
    }

    /// Whether an account has more transfers in the window than are looked at.
    pub fn is_hub(&mut self, party: Party) -> bool {
        self.come_to(party).is_some_and(|place| self.scratch.accounts[place].hub)
    }

    /// Whether an account deals as a business does: by the faded number of its transfers, known without a walk.
    pub fn is_busy(&self, party: Party) -> bool {
        let Some(node) = party.node() else { return false };
        match self.graph.nodes.head(node, Family::Money) {
            Head::Warm(record) => {
                let sums = state::sums(self.graph.warm[Family::Money as usize].record(record));
                sums[COUNT + 2] >= self.reach.busy_min as f32
            }
            _ => false,
        }
    }

    /// Whether two accounts, of which one was come to, never dealt with each other before the window, as far as is visible.
    pub fn are_strangers(&mut self, one: Party, other: Party) -> bool {
        if !one.is_account() || !other.is_account() {
            return false;
        }
        // Whoever is new has met nobody; a walk is spared where one is known already.
        let asked = match (one.node(), other.node()) {
            (None, _) | (_, None) => return true,
            _ if self.place(one).is_some() => one,
            _ => other,
        };
        let whom = if asked == one { other } else { one };
        let (start, end) = self.met(asked);
        !self.scratch.met[start..end].iter().any(|(met, _)| *met == whom)
    }

    /// Whom an account dealt with before the window.
    fn met(&mut self, party: Party) -> (usize, usize) {
        let Some(place) = self.come_to(party) else { return (0, 0) };
        if let Some((start, end)) = self.scratch.accounts[place].met {
            return (start as usize, end as usize);
        }
        let start = self.scratch.met.len();
        let mut sides = [0; 2];
        if let Some(node) = party.node() {
            for (rows, linked) in self.graph.chain(Family::Money, node).enumerate() {
                if rows == 3 * self.reach.rows_max as usize || !self.visit() {
                    self.cut = true;
                    break;
                }
                if linked.row.time > self.since {
                    continue;
                }
                let [from, to] = [linked.row.nodes[0], linked.row.nodes[1]].map(Party::of);
                let (other, side) = if from == party { (to, 1) } else { (from, 0) };
                if !other.is_account() {
                    continue;
                }
                let known = self.scratch.met[start..].iter().position(|(met, _)| *met == other);
                let at = known.map_or(self.scratch.met.len(), |at| start + at);
                if known.is_none() {
                    self.scratch.met.push((other, [false; 2]));
                }
                sides[side] += u32::from(!self.scratch.met[at].1[side]);
                self.scratch.met[at].1[side] = true;
            }
        }
        let end = self.scratch.met.len();
        self.scratch.accounts[place].met = Some((start as u32, end as u32));
        self.scratch.accounts[place].met_sides = sides;
        (start, end)
    }

    /// How many paid an account (`false`: were paid by it) before the window, as far as is visible.
    pub fn met_before(&mut self, party: Party, incoming: bool) -> u32 {
        self.met(party);
        self.come_to(party).map_or(0, |place| self.scratch.accounts[place].met_sides[usize::from(!incoming)])
    }

    /// Where the window begins.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// Days since an account was first seen; 0 where no row knows it.
    pub fn age_days(&self, party: Party) -> i64 {
        party.node().map_or(0, |node| crate::graph::day(self.this.time) - self.graph.nodes.header(node).first_day())
    }

    /// All visible transfers of an account, newest first.
    pub fn chain(&self, party: Party) -> Chain<'a> {
        self.graph.chain(Family::Money, party.node().unwrap_or(NodeId::NONE))
    }

    /// Counts a row that was looked at outside of [`Surroundings::legs`]; `false` where there is no budget for it.
    pub fn look_at_row(&mut self) -> bool {
        self.visit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::typology::laundering::bank::{Bank, time};

    fn around(bank: &Bank, scratch: &mut Scratch, party: Party, hours: i64, reach: Reach) -> (Vec<u64>, bool, u32) {
        let this = Leg { ordinal: 9999, time: time(hours), amount_minor: 1, from: Party::OUTSIDE, to: Party::OUTSIDE, ordered: true };
        let mut around = Surroundings::new(&bank.graph, scratch, reach, this);
        let legs = around.legs(party).iter().map(|leg| leg.ordinal).collect();
        assert!(!around.cut || around.visits() == reach.visits_max);
        (legs, around.is_hub(party), around.visits())
    }

    fn party(bank: &Bank, name: &str) -> Party {
        let id = crate::event::IdKey::FILES.id(crate::event::IdKind::Account, name.as_bytes());
        Party::of(bank.graph.nodes.find(id).expect("it is known"))
    }

    /// Caught when planted: a walk that ends at the first late row outside of the window.
    #[test]
    fn legs_stand_in_order_of_time_inside_the_window() {
        let mut bank = Bank::new();
        let mut scratch = Scratch::default();
        let sent = [-400, -300, -336, -335, -2, -337, -4, 5].map(|hours| bank.send(hours, "a>b", 10));
        let b = party(&bank, "b");
        let reach = bank.options.reach;
        let (legs, hub, visits) = around(&bank, &mut scratch, b, 0, reach);
        assert_eq!(legs, [sent[4], sent[6], sent[1], sent[3]], "newest first, what happens later and what is too old left out");
        assert_eq!((hub, visits), (false, 8), "up to the first that is outside and was not late");
        let few = Reach { rows_max: 4, ..reach };
        assert!(!around(&bank, &mut scratch, b, 0, few).1);
        let fewer = Reach { rows_max: 3, ..reach };
        let (legs, hub, _) = around(&bank, &mut scratch, b, 0, fewer);
        assert_eq!((legs, hub), (vec![sent[4], sent[6], sent[3]], true), "the newest that came");
        for visits_max in 0..8 {
            assert_eq!(around(&bank, &mut scratch, b, 0, Reach { visits_max, ..reach }).2, visits_max);
        }
        assert_eq!(around(&bank, &mut scratch, Party::OUTSIDE, 0, reach), (vec![], false, 0));
        assert_eq!(around(&bank, &mut scratch, Party::NEW[0], 0, reach), (vec![], false, 0));
    }

    #[test]
    fn strangers_never_dealt_with_each_other_before_the_window() {
        let mut bank = Bank::new();
        bank.send(-336, "a>b", 10);
        bank.send(-335, "a>c", 10);
        bank.send(-400, "d>a", 10);
        let mut scratch = Scratch::default();
        let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| party(&bank, name));
        let this = Leg { ordinal: 9999, time: time(0), amount_minor: 1, from: a, to: b, ordered: true };
        let mut around = Surroundings::new(&bank.graph, &mut scratch, bank.options.reach, this);
        let mut strangers = |one, other| around.are_strangers(one, other) && around.are_strangers(other, one);
        assert_eq!([strangers(a, b), strangers(a, c), strangers(a, d), strangers(c, d)], [false, true, false, true]);
        assert!(strangers(a, Party::NEW[1]), "whoever is new has met nobody");
        assert!(!strangers(a, Party::OUTSIDE), "the world outside is no stranger");
        assert_eq!([around.met_before(a, true), around.met_before(a, false)], [1, 1]);
    }
}
