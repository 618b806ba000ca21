//! Why input became no event, and the fields that it may be about.

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
