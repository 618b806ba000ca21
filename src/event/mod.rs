//! What happened: events, and the records in which the journal orders them.
//!
//! The ground floor: everybody speaks of events, so this module imports nothing else of ours. Texts do not come this far: an id is a
//! keyed hash ([`Id`]), a word of a small vocabulary is the hash of a symbol.

mod body;
mod fingerprint;
mod id;
mod money;
mod record;
mod refusal;
mod time;

pub use body::{
    Action, Body, Country, Erase, Event, EventType, ITEMS_MAX, Interaction, Item, KycRisk, Label, LabelSource, Payment, PaymentResult,
    PaymentStatus, Profile, SLOTS, Session, Target, Transfer, Verdict, ends, slot_kinds,
};
pub use id::{Id, IdKey, IdKind};
pub use money::{AMOUNT_MINOR_MAX, Currency, CurrencyRates, Money, RATE_ONE, Rates};
pub use record::{Answered, Content, Control, ControlKind, Effort, ListChange, Origin, Record, Sequence, SourceLag, StandInWhy};
pub use refusal::{Field, Refusal, Refused};
pub use time::{Duration, Timestamp};

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
