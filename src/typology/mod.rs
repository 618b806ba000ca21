//! Typologies: named patterns of fraud around known or suspected events, one a file.
//!
//! A typology looks at the newest visible rows of one entity, at most [`RECENT`] of them, as of the event at which it is asked; it keeps
//! nothing and writes nothing. So a hub costs no more than anybody, and a finding that had to stop there says so (`cut`). What it finds is
//! a [`Finding`]: the subject, a score, and the rows that prove it. `None` means "not seen".
//!
//! A row is *suspicious* where its verdict in force is bad, or where it failed: its latest payment result is `declined_by_issuer` or
//! `challenge_failed`.

mod account_takeover;
mod card_testing;
pub mod laundering;
mod merchant_bads;
mod shared_device;
mod stolen_card;

pub use account_takeover::account_takeover;
pub use card_testing::card_testing;
pub use merchant_bads::merchant_bads;
pub use shared_device::{Payer, shared_device};
pub use stolen_card::stolen_card;

use crate::event::{Duration, EventType, PaymentStatus, Timestamp};
use crate::graph::{Family, Graph, NodeId, RECENT, Recent, Row};

/// Slots of a payment's row.
pub mod slot {
    pub const USER: usize = 0;
    pub const MERCHANT: usize = 1;
    pub const DEVICE: usize = 2;
    pub const CARD: usize = 3;
    pub const IP: usize = 4;
}

/// What an alert speaks of; never renumbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Typology {
    /// Many users on one device, several of them suspicious.
    SharedDevice = 0,
    /// One machine or one shop at which many cards are tried.
    CardTesting = 1,
    /// A shop where much turned out to be fraud.
    MerchantBads = 2,
    /// A user who suddenly pays otherwise, from a device never seen with them.
    AccountTakeover = 3,
    /// A card in other hands.
    StolenCard = 4,
    /// A cause of the policy declines so much of a sudden that it yields.
    GuardTripped = 5,
    /// It is trusted again.
    GuardReset = 6,
    /// A concentrated wave that a cause declines.
    GuardAttacked = 7,
    /// Users who share devices, and of whose payments the policy itself held or declined several.
    HeldRing = 8,
    /// From here on laundering ([`laundering`]): many strangers pay one account.
    FanIn = 9,
    /// One account pays many strangers.
    FanOut = 10,
    /// One account takes from many and pays many.
    GatherScatter = 11,
    /// One account's money comes to another over several.
    ScatterGather = 12,
    /// Several accounts pay several of the same.
    Bipartite = 13,
    /// Money goes from account to account, each passing it on.
    Stack = 14,
    /// Money comes back to where it began.
    Cycle = 15,
    /// Money that comes goes on at once.
    PassThrough = 16,
    /// Sums just below the limit.
    Structuring = 17,
    /// A young account takes and passes on, again and again.
    Mule = 18,
    /// Each passes most on, and peels little off.
    PeelingChain = 19,
    /// Many young accounts pay one.
    Funnel = 20,
    /// An account at rest awakes to pass on.
    Dormant = 21,
}

/// What laws an alert is under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Fraud,
    Aml,
}

impl Kind {
    /// Both.
    pub const ALL: [Kind; 2] = [Kind::Fraud, Kind::Aml];

    /// The word in alerts.
    pub fn name(self) -> &'static str {
        ["fraud", "aml"][self as usize]
    }
}

impl Typology {
    /// All, by number.
    pub const ALL: [Typology; 22] = [
        Typology::SharedDevice,
        Typology::CardTesting,
        Typology::MerchantBads,
        Typology::AccountTakeover,
        Typology::StolenCard,
        Typology::GuardTripped,
        Typology::GuardReset,
        Typology::GuardAttacked,
        Typology::HeldRing,
        Typology::FanIn,
        Typology::FanOut,
        Typology::GatherScatter,
        Typology::ScatterGather,
        Typology::Bipartite,
        Typology::Stack,
        Typology::Cycle,
        Typology::PassThrough,
        Typology::Structuring,
        Typology::Mule,
        Typology::PeelingChain,
        Typology::Funnel,
        Typology::Dormant,
    ];

    /// Those of laundering, by number.
    pub const LAUNDERING: &'static [Typology] = Typology::ALL.split_at(Typology::FanIn as usize).1;

    /// The word in alerts.
    pub fn name(self) -> &'static str {
        const NAMES: [&str; 22] = [
            "shared_device",
            "card_testing",
            "merchant_bads",
            "account_takeover",
            "stolen_card",
            "guard_tripped",
            "guard_reset",
            "guard_attacked",
            "held_ring",
            "fan_in",
            "fan_out",
            "gather_scatter",
            "scatter_gather",
            "bipartite",
            "stack",
            "cycle",
            "pass_through",
            "structuring",
            "mule",
            "peeling_chain",
            "funnel",
            "dormant",
        ];
        NAMES[self as usize]
    }

    /// What it says, in a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Typology::SharedDevice => "several users share this device, and more than one of them is known or suspected for fraud",
            Typology::CardTesting => "many different cards were refused here in a short time",
            Typology::MerchantBads => "a large share of the payments at this merchant was reported as fraud",
            Typology::AccountTakeover => "from a device never seen with this user, at a new merchant, far above what the user pays",
            Typology::StolenCard => "this card was used in ways that were refused or reported as fraud, more than once",
            Typology::GuardTripped => "this cause suddenly declines so much that it is a mistake more likely than an attack: it yields",
            Typology::HeldRing => {
                "these customers share devices, several of their payments were held or declined, and few between them were not"
            }
            Typology::GuardReset => "this cause is trusted again",
            Typology::GuardAttacked => "this cause declines a concentrated wave: an attack, whose declines stand",
            Typology::FanIn => "many accounts that never dealt with it before pay this account within a short time",
            Typology::FanOut => "this account pays many that it never dealt with before within a short time",
            Typology::GatherScatter => "this account takes money from many and pays as much on to many others",
            Typology::ScatterGather => "the money of one account comes to this one by the hands of several",
            Typology::Bipartite => "several accounts pay several of the same others, so that no single flow is large",
            Typology::Stack => "money goes from account to account, each of which passes on nearly all that it gets",
            Typology::Cycle => "money comes back to the account where it began, by accounts that pass it on",
            Typology::PassThrough => "what comes to this account from a stranger goes on to another within two days",
            Typology::Structuring => "sums just below the reporting limit, several within a short time",
            Typology::Mule => "this young account takes money and passes it on at once, again and again",
            Typology::PeelingChain => "each account of a chain passes most of what it gets on and sends little elsewhere",
            Typology::Funnel => "many young accounts pay this one, which never dealt with them before",
            Typology::Dormant => "this account was at rest for long, then takes money and passes it on",
        }
    }

    /// Whether it is fraud or laundering.
    pub fn kind(self) -> Kind {
        if self < Typology::FanIn { Kind::Fraud } else { Kind::Aml }
    }

    /// Those of many who belong together, a bit each.
    pub const RINGS: u32 = 1 << Typology::SharedDevice as u32 | 1 << Typology::HeldRing as u32;

    /// Whether it is of many who belong together: whose members are met belongs to the alert.
    pub fn is_ring(self) -> bool {
        Typology::RINGS >> self as u32 & 1 != 0
    }

    /// The two slots between which its edges run, from and to.
    pub fn edge(self) -> (usize, usize) {
        match self {
            Typology::SharedDevice | Typology::AccountTakeover | Typology::HeldRing => (slot::USER, slot::DEVICE),
            Typology::CardTesting | Typology::StolenCard => (slot::CARD, slot::MERCHANT),
            _ => (slot::USER, slot::MERCHANT),
        }
    }

    /// The slots whose entities belong to it, besides the subject.
    pub fn members(self) -> &'static [usize] {
        match self {
            Typology::SharedDevice | Typology::StolenCard => &[slot::USER],
            Typology::HeldRing => &[slot::USER, slot::DEVICE],
            Typology::CardTesting => &[slot::CARD, slot::DEVICE],
            Typology::AccountTakeover => &[slot::DEVICE],
            _ => &[slot::CARD],
        }
    }
}

/// What a typology asks for before it says anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypologyOptions {
    /// Older rows prove nothing.
    pub window: Duration,
    /// [`shared_device`]: users on the device.
    pub users_min: u32,
    /// [`card_testing`]: different cards refused,
    pub cards_min: u32,
    /// within this time.
    pub testing_window: Duration,
    /// [`merchant_bads`]: targets known to be fraud,
    pub bads_min: u32,
    /// and of a hundred payments so many.
    pub bads_percent: u32,
}

impl Default for TypologyOptions {
    fn default() -> TypologyOptions {
        TypologyOptions {
            window: Duration::DAY.times(30),
            users_min: 3,
            cards_min: 5,
            testing_window: Duration::HOUR,
            bads_min: 5,
            bads_percent: 5,
        }
    }
}

/// A match of a typology.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    pub typology: Typology,
    /// The slot of the subject in the row of whoever asked.
    pub subject: usize,
    /// 1..=1000.
    pub score: u16,
    positions: [u32; RECENT],
    count: u8,
    /// There are, or may be, more rows than were looked at.
    pub cut: bool,
}

impl Finding {
    /// Positions of the rows that prove it, newest first.
    pub fn positions(&self) -> &[u32] {
        &self.positions[..usize::from(self.count)]
    }
}

/// Whether a payment's latest result says that it failed.
pub fn failed(row: &Row) -> bool {
    let status = row.flags.status();
    status == PaymentStatus::DeclinedByIssuer as u8 || status == PaymentStatus::ChallengeFailed as u8
}

/// Whether a row is suspicious.
pub fn suspicious(row: &Row) -> bool {
    row.flags.bad() || failed(row)
}

/// The newest rows of an entity that a typology looks at.
#[derive(Clone, Copy)]
pub struct Rows<'g> {
    graph: &'g Graph,
    recent: Recent,
    since: Timestamp,
}

impl std::fmt::Debug for Rows<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("recent", &self.recent).field("since", &self.since).finish_non_exhaustive()
    }
}

impl<'g> Rows<'g> {
    /// Those of `recent`, rows of the money ring, that are payments and lie less than `window` before `now`.
    pub fn new(graph: &'g Graph, recent: Recent, now: Timestamp, window: Duration) -> Rows<'g> {
        Rows { graph, recent, since: now - window }
    }

    /// Positions and rows, newest first.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &'g Row)> {
        let ring = &self.graph.rings[Family::Money as usize];
        let rows = self.recent.positions().iter().map(move |position| (*position, ring.row(*position)));
        rows.filter(|(_, row)| row.time > self.since && row.flags.kind() == EventType::Payment)
    }

    /// Likewise those of another entity.
    fn of(&self, node: NodeId) -> Rows<'g> {
        Rows { recent: self.graph.recent(Family::Money, node), ..*self }
    }

    /// Whether older rows may have been left out.
    pub fn cut(&self) -> bool {
        self.recent.truncated || self.recent.positions().len() == RECENT
    }

    fn finding(&self, typology: Typology, subject: usize, score: u32, proves: impl Fn(&Row) -> bool) -> Finding {
        let (mut positions, mut count) = ([0; RECENT], 0);
        for (position, _) in self.iter().filter(|(_, row)| proves(row)) {
            positions[count] = position;
            count += 1;
        }
        Finding { typology, subject, score: score.clamp(1, 1000) as u16, positions, count: count as u8, cut: self.cut() }
    }
}

/// Different nodes, at most one more than there are rows.
struct Different {
    nodes: [NodeId; RECENT + 1],
    count: usize,
}

impl Different {
    fn new() -> Different {
        Different { nodes: [NodeId::NONE; RECENT + 1], count: 0 }
    }

    fn add(&mut self, node: NodeId) {
        if node.is_some() && !self.nodes[..self.count].contains(&node) {
            self.nodes[self.count] = node;
            self.count += 1;
        }
    }

    fn len(&self) -> u32 {
        self.count as u32
    }

    fn iter(&self) -> impl Iterator<Item = NodeId> {
        self.nodes[..self.count].iter().copied()
    }
}
