//! The nine types of events and what they say.

use super::{Id, IdKind, Money, Sequence, Timestamp};

/// Something that happened at a source: immutable, with an id and an event time.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub id: Id,
    pub time: Timestamp,
    pub body: Body,
}

/// The event types of the contract.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    Payment(Payment),
    PaymentResult(PaymentResult),
    Transfer(Transfer),
    Session(Session),
    Interaction(Interaction),
    Item(Item),
    Label(Label),
    Profile(Profile),
    Erase(Erase),
}

/// The type of an event, without its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum EventType {
    Payment = 0,
    PaymentResult = 1,
    Transfer = 2,
    Session = 3,
    Interaction = 4,
    Item = 5,
    Label = 6,
    Profile = 7,
    Erase = 8,
}

impl EventType {
    /// All types, by number.
    pub const ALL: [EventType; 9] = [
        EventType::Payment,
        EventType::PaymentResult,
        EventType::Transfer,
        EventType::Session,
        EventType::Interaction,
        EventType::Item,
        EventType::Label,
        EventType::Profile,
        EventType::Erase,
    ];

    /// The word in `type`.
    pub fn name(self) -> &'static str {
        const NAMES: [&str; 9] = ["payment", "payment_result", "transfer", "session", "interaction", "item", "label", "profile", "erase"];
        NAMES[self as usize]
    }

    /// The type with this name.
    pub fn parse(name: &str) -> Option<EventType> {
        EventType::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The type with this number.
    pub fn from_number(number: u8) -> Option<EventType> {
        EventType::ALL.get(usize::from(number)).copied()
    }
}

impl Body {
    /// The type of this event.
    pub fn kind(&self) -> EventType {
        match self {
            Body::Payment(_) => EventType::Payment,
            Body::PaymentResult(_) => EventType::PaymentResult,
            Body::Transfer(_) => EventType::Transfer,
            Body::Session(_) => EventType::Session,
            Body::Interaction(_) => EventType::Interaction,
            Body::Item(_) => EventType::Item,
            Body::Label(_) => EventType::Label,
            Body::Profile(_) => EventType::Profile,
            Body::Erase(_) => EventType::Erase,
        }
    }
}

/// The most items a payment may name.
pub const ITEMS_MAX: usize = 32;

#[derive(Clone, Debug, PartialEq)]
pub struct Payment {
    pub user: Id,
    pub merchant: Id,
    pub device: Option<Id>,
    pub card: Option<Id>,
    pub ip: Option<Id>,
    pub amount: Money,
    /// ISO 18245 merchant category code.
    pub mcc: Option<u16>,
    pub country: Option<Country>,
    pub channel: Option<Id>,
    pub session: Option<Id>,
    /// At most [`ITEMS_MAX`].
    pub items: Box<[Id]>,
}

/// ISO 3166-1 alpha-2, upper case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Country(pub [u8; 2]);

#[derive(Clone, Debug, PartialEq)]
pub struct PaymentResult {
    pub target: Id,
    pub status: PaymentStatus,
    /// Minor units of the target's currency.
    pub amount_minor: Option<i64>,
    pub reason: Option<Id>,
    /// Key on Kafka; decides nothing.
    pub user: Option<Id>,
    /// Filled in by the runtime before journalling; `None` where nobody knows the target.
    pub resolved: Option<Target>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum PaymentStatus {
    ChallengePassed = 1,
    ChallengeFailed = 2,
    Abandoned = 3,
    Authorized = 4,
    DeclinedByIssuer = 5,
    Captured = 6,
    Cancelled = 7,
    Refunded = 8,
}

impl PaymentStatus {
    /// All states, by number from 1.
    pub const ALL: [PaymentStatus; 8] = [
        PaymentStatus::ChallengePassed,
        PaymentStatus::ChallengeFailed,
        PaymentStatus::Abandoned,
        PaymentStatus::Authorized,
        PaymentStatus::DeclinedByIssuer,
        PaymentStatus::Captured,
        PaymentStatus::Cancelled,
        PaymentStatus::Refunded,
    ];

    /// The word in `status`.
    pub fn name(self) -> &'static str {
        const NAMES: [&str; 8] =
            ["challenge_passed", "challenge_failed", "abandoned", "authorized", "declined_by_issuer", "captured", "cancelled", "refunded"];
        NAMES[self as usize - 1]
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Transfer {
    /// A side that is absent is the world outside, never one node.
    pub from: Option<Id>,
    pub to: Option<Id>,
    pub amount: Money,
    pub from_bank: Option<Id>,
    pub to_bank: Option<Id>,
    pub format: Option<Id>,
    pub user: Option<Id>,
    pub device: Option<Id>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    pub user: Id,
    pub device: Option<Id>,
    pub ip: Option<Id>,
    /// `login`, `signup`, `password_reset`, …: an open vocabulary.
    pub action: Option<Id>,
    pub session: Option<Id>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Interaction {
    pub user: Id,
    pub item: Id,
    pub action: Action,
    pub merchant: Option<Id>,
    pub dwell_ms: Option<u32>,
    pub surface: Option<Id>,
    pub session: Option<Id>,
    pub device: Option<Id>,
    pub experiment: Option<Id>,
    /// In `(0, 1]`.
    pub propensity: Option<f32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Action {
    View = 1,
    Click = 2,
    Save = 3,
    Cart = 4,
    Purchase = 5,
    Dismiss = 6,
}

impl Action {
    /// All actions, by number from 1.
    pub const ALL: [Action; 6] = [Action::View, Action::Click, Action::Save, Action::Cart, Action::Purchase, Action::Dismiss];

    /// The word in `action`.
    pub fn name(self) -> &'static str {
        const NAMES: [&str; 6] = ["view", "click", "save", "cart", "purchase", "dismiss"];
        NAMES[self as usize - 1]
    }
}

/// An entry of the catalogue.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub item: Id,
    pub merchant: Option<Id>,
    pub category: Option<Id>,
    pub brand: Option<Id>,
    pub price: Option<Money>,
    /// The text stands in the identity store.
    pub title: Option<Id>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    pub target: Id,
    pub verdict: Verdict,
    pub source: LabelSource,
    pub scenario: Option<Id>,
    /// Key on Kafka; decides nothing.
    pub user: Option<Id>,
    /// Key on Kafka; decides nothing.
    pub from: Option<Id>,
    /// Filled in by the runtime before journalling; `None` where nobody knows the target.
    pub resolved: Option<Target>,
}

/// What a label says of its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Verdict {
    Fraud = 1,
    Laundering = 2,
    Legitimate = 3,
}

impl Verdict {
    /// All verdicts, by number from 1.
    pub const ALL: [Verdict; 3] = [Verdict::Fraud, Verdict::Laundering, Verdict::Legitimate];

    /// The word in `label`.
    pub fn name(self) -> &'static str {
        const NAMES: [&str; 3] = ["fraud", "laundering", "legitimate"];
        NAMES[self as usize - 1]
    }
}

/// Who gave a label. A higher one overrules a lower one; among equals the latest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum LabelSource {
    Rule = 1,
    Chargeback = 2,
    Analyst = 3,
}

impl LabelSource {
    /// All sources, weakest first, by number from 1.
    pub const ALL: [LabelSource; 3] = [LabelSource::Rule, LabelSource::Chargeback, LabelSource::Analyst];

    /// The word in a label's `source`.
    pub fn name(self) -> &'static str {
        const NAMES: [&str; 3] = ["rule", "chargeback", "analyst"];
        NAMES[self as usize - 1]
    }
}

/// The event that a label or payment result speaks of, as the runtime knew it before journalling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    pub sequence: Sequence,
    pub time: Timestamp,
    pub kind: EventType,
    /// The target's source: it gives the maturity.
    pub source: u16,
    /// The target's entities in the order of its row's slots ([`ends`]): they take the verdict when the row has left the ring.
    pub ends: [Option<Id>; SLOTS],
    /// The verdict in force before this label as the index on disk knows it; asked only when the row has left the ring.
    pub standing: Option<(Verdict, LabelSource)>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    pub user: Id,
    /// The text stands in the identity store.
    pub name: Option<Id>,
    pub country: Option<Country>,
    pub consent_personalization: Option<bool>,
    pub kyc_risk: Option<KycRisk>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum KycRisk {
    Low = 1,
    Medium = 2,
    High = 3,
}

impl KycRisk {
    /// All ratings, by number from 1.
    pub const ALL: [KycRisk; 3] = [KycRisk::Low, KycRisk::Medium, KycRisk::High];

    /// The word in `kyc_risk`.
    pub fn name(self) -> &'static str {
        const NAMES: [&str; 3] = ["low", "medium", "high"];
        NAMES[self as usize - 1]
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Erase {
    pub user: Id,
}

impl Body {
    /// The key under which an event stands in a topic: who it is about, so that all of theirs stay in order.
    pub fn stream_key(&self) -> Option<Id> {
        match self {
            Body::Payment(payment) => Some(payment.user),
            Body::Transfer(transfer) => transfer.from.or(transfer.to),
            Body::Session(session) => Some(session.user),
            Body::Interaction(interaction) => Some(interaction.user),
            Body::Item(item) => Some(item.item),
            Body::Profile(profile) => Some(profile.user),
            Body::Erase(erase) => Some(erase.user),
            Body::PaymentResult(result) => result.user,
            Body::Label(label) => label.user.or(label.from),
        }
    }
}

/// The most entities of one event.
pub const SLOTS: usize = 5;

/// The entities that a row of this event joins, by slot. Which kind stands where is fixed by [`slot_kinds`].
pub fn ends(body: &Body) -> [Option<Id>; SLOTS] {
    match body {
        Body::Payment(p) => [Some(p.user), Some(p.merchant), p.device, p.card, p.ip],
        // A transfer to oneself is linked once.
        Body::Transfer(t) => [t.from, t.to.filter(|to| Some(*to) != t.from), t.user, t.device, None],
        Body::Session(s) => [Some(s.user), s.device, s.ip, None, None],
        Body::Interaction(i) => [Some(i.user), Some(i.item), i.merchant, i.device, None],
        Body::PaymentResult(_) | Body::Item(_) | Body::Label(_) | Body::Profile(_) | Body::Erase(_) => [None; SLOTS],
    }
}

/// The kinds of the slots of a row of this type.
pub fn slot_kinds(kind: EventType) -> [Option<IdKind>; SLOTS] {
    use IdKind::*;
    match kind {
        EventType::Payment => [Some(User), Some(Merchant), Some(Device), Some(Card), Some(Ip)],
        EventType::Transfer => [Some(Account), Some(Account), Some(User), Some(Device), None],
        EventType::Session => [Some(User), Some(Device), Some(Ip), None, None],
        EventType::Interaction => [Some(User), Some(Item), Some(Merchant), Some(Device), None],
        _ => [None; SLOTS],
    }
}
