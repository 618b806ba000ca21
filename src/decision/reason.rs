//! Why: the closed list of reason codes, each with its number, sentence and audience.

/// Who may be told. Telling anyone outside AML of a suspicion of laundering is an offence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Audience {
    Customer,
    Merchant,
    Internal,
    Aml,
}

impl Audience {
    /// The word in outputs.
    pub fn name(self) -> &'static str {
        ["customer", "merchant", "internal", "aml"][self as usize]
    }
}

/// A reason's number and word; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum ReasonCode {
    /// Unusually many events in a window.
    VelocityCount = 101,
    /// Unusually much money in a window.
    VelocitySum = 102,
    /// Unusually many counterparts in a window.
    VelocityDistinct = 103,
    /// An unusually large amount.
    AmountHigh = 201,
    /// An amount far above the payer's own.
    AmountUnusual = 202,
    /// The merchant has known frauds.
    MerchantBadRate = 301,
    /// The user has known frauds.
    UserBadRate = 302,
    /// The device is shared by many users, or has known frauds.
    DeviceShared = 303,
    /// The pair of user and merchant is new.
    NewCounterpart = 401,
    /// An entity is under sanctions.
    ListSanction = 501,
    /// An entity is reported stolen, and confirmed.
    ListStolen = 502,
    /// An entity is blocked.
    ListBlock = 503,
    /// An entity stands on a list of those at whom a person looks.
    ListReview = 504,
    /// An entity stands on a list of those for whom rules and scores have no say.
    ListAllow = 505,
    /// The model finds fraud likely.
    ModelFraud = 601,
    /// The model finds laundering likely.
    ModelLaundering = 602,
    /// A typology of laundering was found around the transfer.
    TypologyLaundering = 603,
    /// A rule of the policy that names no other reason.
    Rule = 901,
}

impl ReasonCode {
    /// All codes, by number.
    pub const ALL: [ReasonCode; 18] = [
        ReasonCode::VelocityCount,
        ReasonCode::VelocitySum,
        ReasonCode::VelocityDistinct,
        ReasonCode::AmountHigh,
        ReasonCode::AmountUnusual,
        ReasonCode::MerchantBadRate,
        ReasonCode::UserBadRate,
        ReasonCode::DeviceShared,
        ReasonCode::NewCounterpart,
        ReasonCode::ListSanction,
        ReasonCode::ListStolen,
        ReasonCode::ListBlock,
        ReasonCode::ListReview,
        ReasonCode::ListAllow,
        ReasonCode::ModelFraud,
        ReasonCode::ModelLaundering,
        ReasonCode::TypologyLaundering,
        ReasonCode::Rule,
    ];

    /// The word in outputs and topology.
    pub fn name(self) -> &'static str {
        match self {
            ReasonCode::VelocityCount => "velocity_count",
            ReasonCode::VelocitySum => "velocity_sum",
            ReasonCode::VelocityDistinct => "velocity_distinct",
            ReasonCode::AmountHigh => "amount_high",
            ReasonCode::AmountUnusual => "amount_unusual",
            ReasonCode::MerchantBadRate => "merchant_bad_rate",
            ReasonCode::UserBadRate => "user_bad_rate",
            ReasonCode::DeviceShared => "device_shared",
            ReasonCode::NewCounterpart => "new_counterpart",
            ReasonCode::ListSanction => "list_sanction",
            ReasonCode::ListStolen => "list_stolen",
            ReasonCode::ListBlock => "list_block",
            ReasonCode::ListReview => "list_review",
            ReasonCode::ListAllow => "list_allow",
            ReasonCode::ModelFraud => "model_fraud",
            ReasonCode::ModelLaundering => "model_laundering",
            ReasonCode::TypologyLaundering => "typology_laundering",
            ReasonCode::Rule => "rule",
        }
    }

    /// Whether it speaks of a list.
    pub fn is_list(self) -> bool {
        (501..600).contains(&(self as u16))
    }

    /// The code called `name`.
    pub fn parse(name: &str) -> Option<ReasonCode> {
        ReasonCode::ALL.into_iter().find(|code| code.name() == name)
    }

    /// What it says where the policy has no words of its own for it.
    pub fn sentence(self) -> &'static str {
        match self {
            ReasonCode::VelocityCount => "unusually many events in a short time",
            ReasonCode::VelocitySum => "unusually much money in a short time",
            ReasonCode::VelocityDistinct => "unusually many different counterparts in a short time",
            ReasonCode::AmountHigh => "an unusually large amount",
            ReasonCode::AmountUnusual => "an amount far above the payer's own",
            ReasonCode::MerchantBadRate => "the merchant has known frauds",
            ReasonCode::UserBadRate => "the user has known frauds",
            ReasonCode::DeviceShared => "the device is shared by many users or has known frauds",
            ReasonCode::NewCounterpart => "the user has not paid this merchant before",
            ReasonCode::ListSanction => "an entity of this event is under sanctions",
            ReasonCode::ListStolen => "an entity of this event is reported stolen",
            ReasonCode::ListBlock => "an entity of this event is blocked",
            ReasonCode::ListReview => "an entity of this event is to be looked at by a person",
            ReasonCode::ListAllow => "an entity of this event is allowed whatever rules say",
            ReasonCode::ModelFraud => "the model finds fraud likely",
            ReasonCode::ModelLaundering => "the model finds laundering likely",
            ReasonCode::TypologyLaundering => "the transfer belongs to a pattern of laundering",
            ReasonCode::Rule => "a rule of the policy holds",
        }
    }

    /// The widest circle that may be told. Known frauds of others and the policy's own rules stay inside: they would teach the fraudster.
    pub fn audience(self) -> Audience {
        match self {
            ReasonCode::VelocityCount
            | ReasonCode::VelocitySum
            | ReasonCode::AmountHigh
            | ReasonCode::AmountUnusual
            | ReasonCode::NewCounterpart => Audience::Customer,
            ReasonCode::VelocityDistinct
            | ReasonCode::MerchantBadRate
            | ReasonCode::UserBadRate
            | ReasonCode::DeviceShared
            | ReasonCode::ListSanction
            | ReasonCode::ListStolen
            | ReasonCode::ListBlock
            | ReasonCode::ListReview
            | ReasonCode::ListAllow
            | ReasonCode::ModelFraud
            | ReasonCode::Rule => Audience::Internal,
            ReasonCode::ModelLaundering | ReasonCode::TypologyLaundering => Audience::Aml,
        }
    }
}

/// One reason of a decision. Its sentence is made when it is shown, from the policy whose hash the decision bears.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reason {
    pub code: ReasonCode,
    /// Index of the rule, or behind the rules of the velocity limit, in the policy in force; for lists the list's number.
    pub cause: u16,
    /// What the cause adds to the risk score, 0..=1000.
    pub weight: u16,
    /// The value that crossed a velocity limit; for lists the slot of the entity that stands on it; 0 for rules.
    pub value: i64,
}

/// The most reasons of one decision.
pub const REASONS_MAX: usize = 4;

/// Up to [`REASONS_MAX`] reasons, strongest first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reasons {
    entries: [Reason; REASONS_MAX],
    count: u8,
}

impl Default for Reasons {
    fn default() -> Reasons {
        let none = Reason { code: ReasonCode::Rule, cause: 0, weight: 0, value: 0 };
        Reasons { entries: [none; REASONS_MAX], count: 0 }
    }
}

impl Reasons {
    /// Inserts `reason` by weight, behind those of equal weight; the weakest falls out when there is no place.
    pub fn insert(&mut self, reason: Reason) {
        let count = usize::from(self.count);
        let place = self.entries[..count].iter().position(|kept| kept.weight < reason.weight).unwrap_or(count);
        if place == REASONS_MAX {
            return;
        }
        let kept = count.min(REASONS_MAX - 1);
        self.entries.copy_within(place..kept, place + 1);
        self.entries[place] = reason;
        self.count = (kept + 1) as u8;
    }

    /// Has no reason weigh more than this; their order stays.
    pub fn weigh_at_most(&mut self, most: u16) {
        self.entries.iter_mut().for_each(|reason| reason.weight = reason.weight.min(most));
    }

    /// The reasons, strongest first.
    pub fn as_slice(&self) -> &[Reason] {
        &self.entries[..usize::from(self.count)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ascend_and_names_lead_back() {
        assert!(ReasonCode::ALL.is_sorted());
        for code in ReasonCode::ALL {
            assert_eq!(ReasonCode::parse(code.name()), Some(code));
        }
        assert_eq!(ReasonCode::parse("velocity"), None);
    }

    #[test]
    fn the_strongest_four_stay_in_order() {
        let mut reasons = Reasons::default();
        for weight in [10, 500, 20, 500, 30, 5] {
            reasons.insert(Reason { code: ReasonCode::Rule, cause: weight, weight, value: 0 });
        }
        let weights: Vec<u16> = reasons.as_slice().iter().map(|r| r.weight).collect();
        assert_eq!(weights, [500, 500, 30, 20]);
    }
}
