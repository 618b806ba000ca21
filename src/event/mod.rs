//! What happened: events, and the records in which the journal orders them.
//!
//! The ground floor: everybody speaks of events, so this module imports nothing else of ours. Texts do not come this far: an id is a
//! keyed hash ([`Id`]), a word of a small vocabulary is the hash of a symbol.

mod fingerprint;
mod id;
mod money;
mod time;

pub use id::{Id, IdKey, IdKind};
pub use money::{AMOUNT_MINOR_MAX, Currency, CurrencyRates, Money, RATE_ONE, Rates};
pub use time::{Duration, Timestamp};

/// Position in the journal: the only order that decides what an event may see. The first record has sequence 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

/// Where a record came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Index of the source in the topology's list (sorted by name), or [`Origin::ENGINE`].
    pub source: u16,
    /// The file among a source's files, or the Kafka partition.
    pub partition: u32,
    /// The row or line in the file, from 0, or the Kafka offset.
    pub offset: u64,
}

impl Origin {
    /// The source of records that no source sent: control records and ticks.
    pub const ENGINE: u16 = u16::MAX;

    /// The origin of control records and ticks.
    pub fn engine() -> Origin {
        Origin { source: Origin::ENGINE, partition: 0, offset: 0 }
    }
}

/// How much of the engine judges an event; chosen by the runtime before the record is written, obeyed by the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Effort {
    #[default]
    Full = 0,
    NoExplanation = 1,
    NoTypologies = 2,
    NoGnn = 3,
    RulesOnly = 4,
}

/// One entry of the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub sequence: Sequence,
    /// The runtime's clock when the record was written; for files the greatest event time read before it.
    pub received: Timestamp,
    pub origin: Origin,
    pub effort: Effort,
    pub content: Content,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all records are events, and a box would be an allocation per event")]
pub enum Content {
    Event(Event),
    /// Input that a source could not turn into an event. It passes through the journal so that its place among the outputs is fixed.
    Refused(Refused),
    Control(Control),
    /// Moves stream time through silence.
    Tick(Timestamp),
}

/// Why input was refused. The raw text stands in the store of rejected input, never in the journal: it may hold what must be erasable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    pub reason: Refusal,
    /// The field concerned.
    pub field: Option<Field>,
}

/// The closed list of reasons for refusal; numbers are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum Refusal {
    /// Not JSON, not a table's row, not UTF-8.
    Malformed = 1,
    /// A line, an id or a list longer than its limit.
    Oversized = 2,
    /// `type` is none of the event types.
    UnknownType = 3,
    /// A required field is absent.
    Missing = 4,
    /// A field holds something of another type or outside its values.
    Invalid = 5,
    /// Fields contradict each other: a transfer without either side, an account paying itself nothing.
    Contradictory = 6,
    /// Event time outside 1900..2200.
    TimeOutOfRange = 7,
    /// Further ahead of the record's `received` than the source allows.
    FutureDated = 8,
    /// The id was judged before with other content.
    IdConflict = 9,
    /// Older than the horizon of idempotency: it could have been judged before.
    TooOldToDeduplicate = 10,
    /// A label or payment result whose target nobody knows.
    UnknownTarget = 11,
}

impl Refusal {
    /// All reasons, by number.
    pub const ALL: [Refusal; 11] = [
        Refusal::Malformed,
        Refusal::Oversized,
        Refusal::UnknownType,
        Refusal::Missing,
        Refusal::Invalid,
        Refusal::Contradictory,
        Refusal::TimeOutOfRange,
        Refusal::FutureDated,
        Refusal::IdConflict,
        Refusal::TooOldToDeduplicate,
        Refusal::UnknownTarget,
    ];

    /// The reason with this number.
    pub fn from_number(number: u16) -> Option<Refusal> {
        Refusal::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// The word in `rejected` records.
    pub fn code(self) -> &'static str {
        match self {
            Refusal::Malformed => "malformed",
            Refusal::Oversized => "oversized",
            Refusal::UnknownType => "unknown_type",
            Refusal::Missing => "missing",
            Refusal::Invalid => "invalid",
            Refusal::Contradictory => "contradictory",
            Refusal::TimeOutOfRange => "time_out_of_range",
            Refusal::FutureDated => "future_dated",
            Refusal::IdConflict => "id_conflict",
            Refusal::TooOldToDeduplicate => "too_old_to_deduplicate",
            Refusal::UnknownTarget => "unknown_target",
        }
    }
}

/// The fields of the event contract, by their names in JSON; numbers are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Field {
    Id = 0,
    Type = 1,
    Time = 2,
    User = 3,
    Merchant = 4,
    Device = 5,
    Card = 6,
    Ip = 7,
    Amount = 8,
    Currency = 9,
    Mcc = 10,
    Country = 11,
    Channel = 12,
    Session = 13,
    Items = 14,
    Target = 15,
    Status = 16,
    Reason = 17,
    From = 18,
    To = 19,
    FromBank = 20,
    ToBank = 21,
    Format = 22,
    Action = 23,
    Item = 24,
    DwellMs = 25,
    Surface = 26,
    Experiment = 27,
    Propensity = 28,
    Category = 29,
    Brand = 30,
    Price = 31,
    Title = 32,
    Label = 33,
    Source = 34,
    Scenario = 35,
    Name = 36,
    ConsentPersonalization = 37,
    KycRisk = 38,
}

impl Field {
    /// All fields, by number.
    pub const ALL: [Field; 39] = [
        Field::Id,
        Field::Type,
        Field::Time,
        Field::User,
        Field::Merchant,
        Field::Device,
        Field::Card,
        Field::Ip,
        Field::Amount,
        Field::Currency,
        Field::Mcc,
        Field::Country,
        Field::Channel,
        Field::Session,
        Field::Items,
        Field::Target,
        Field::Status,
        Field::Reason,
        Field::From,
        Field::To,
        Field::FromBank,
        Field::ToBank,
        Field::Format,
        Field::Action,
        Field::Item,
        Field::DwellMs,
        Field::Surface,
        Field::Experiment,
        Field::Propensity,
        Field::Category,
        Field::Brand,
        Field::Price,
        Field::Title,
        Field::Label,
        Field::Source,
        Field::Scenario,
        Field::Name,
        Field::ConsentPersonalization,
        Field::KycRisk,
    ];

    /// The field's name in JSON and in mappings.
    pub fn name(self) -> &'static str {
        const NAMES: [&str; 39] = [
            "id",
            "type",
            "time",
            "user",
            "merchant",
            "device",
            "card",
            "ip",
            "amount",
            "currency",
            "mcc",
            "country",
            "channel",
            "session",
            "items",
            "target",
            "status",
            "reason",
            "from",
            "to",
            "from_bank",
            "to_bank",
            "format",
            "action",
            "item",
            "dwell_ms",
            "surface",
            "experiment",
            "propensity",
            "category",
            "brand",
            "price",
            "title",
            "label",
            "source",
            "scenario",
            "name",
            "consent_personalization",
            "kyc_risk",
        ];
        NAMES[self as usize]
    }

    /// The field with this name.
    pub fn parse(name: &str) -> Option<Field> {
        Field::ALL.into_iter().find(|field| field.name() == name)
    }

    /// The field with this number.
    pub fn from_number(number: u8) -> Option<Field> {
        Field::ALL.get(usize::from(number)).copied()
    }
}

/// A change to what decides, in the journal's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    pub kind: ControlKind,
    /// SHA-256 of the blob that holds the new content, kept as long as the journal.
    pub blob: [u8; 32],
}

/// What a control record changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ControlKind {
    /// What of the topology decides: limits, aggregates, sources' maturities, money.
    Topology = 1,
    /// Rules, velocity limits, thresholds.
    Policy = 2,
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_agree() {
        for reason in Refusal::ALL {
            assert_eq!(Refusal::from_number(reason as u16), Some(reason));
        }
        for field in Field::ALL {
            assert_eq!(Field::from_number(field as u8), Some(field));
            assert_eq!(Field::parse(field.name()), Some(field));
        }
        for kind in EventType::ALL {
            assert_eq!(EventType::from_number(kind as u8), Some(kind));
            assert_eq!(EventType::parse(kind.name()), Some(kind));
        }
    }

    #[test]
    fn a_record_stays_within_a_few_cache_lines() {
        assert!(std::mem::size_of::<Record>() <= 320, "{}", std::mem::size_of::<Record>());
    }
}
