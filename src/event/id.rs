//! Ids as keyed hashes: what journal, graph, snapshots and output log hold in place of texts.
//!
//! An id's text stands only in the identity store. Equality of the 128-bit hash is identity: among 10^9 ids the chance that any two
//! meet is below 10^-20, and because the hash is keyed nobody who chooses ids can aim at a collision (SipHash-1-3, Aumasson and
//! Bernstein 2012, 128-bit output).

use siphasher::sip128::{Hasher128, SipHasher13};
use std::fmt;
use std::hash::Hasher;
use std::num::NonZeroU128;

/// What a text names. The kind is part of the hash: user `7` and merchant `7` are two ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum IdKind {
    /// The idempotency key of an event.
    Event = 0,
    User = 1,
    Device = 2,
    Merchant = 3,
    Account = 4,
    Card = 5,
    Ip = 6,
    Item = 7,
    Bank = 8,
    Session = 9,
    Experiment = 10,
    /// A word from a small vocabulary: a channel, an action, a category, a scenario.
    Symbol = 11,
    /// The label that a table's own row gives; its text is the text of the event that it judges.
    RowLabel = 12,
    /// A name or title of a person or thing; never hashed into the graph, only kept as text.
    Name = 13,
}

impl IdKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [IdKind; 14] = [
        IdKind::Event,
        IdKind::User,
        IdKind::Device,
        IdKind::Merchant,
        IdKind::Account,
        IdKind::Card,
        IdKind::Ip,
        IdKind::Item,
        IdKind::Bank,
        IdKind::Session,
        IdKind::Experiment,
        IdKind::Symbol,
        IdKind::RowLabel,
        IdKind::Name,
    ];

    /// The word for this kind, as topology and outputs spell it.
    pub fn name(self) -> &'static str {
        match self {
            IdKind::Event => "event",
            IdKind::User => "user",
            IdKind::Device => "device",
            IdKind::Merchant => "merchant",
            IdKind::Account => "account",
            IdKind::Card => "card",
            IdKind::Ip => "ip",
            IdKind::Item => "item",
            IdKind::Bank => "bank",
            IdKind::Session => "session",
            IdKind::Experiment => "experiment",
            IdKind::Symbol => "symbol",
            IdKind::RowLabel => "row_label",
            IdKind::Name => "name",
        }
    }

    /// The kind with number `number`, if there is one.
    pub fn from_number(number: u8) -> Option<IdKind> {
        IdKind::ALL.get(usize::from(number)).copied()
    }
}

/// A keyed 128-bit hash of an id's kind and text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(NonZeroU128);

impl Id {
    /// The id with these bits; zero, which no hash may be, becomes one.
    pub fn from_bits(bits: u128) -> Id {
        Id(NonZeroU128::new(bits).unwrap_or(NonZeroU128::MIN))
    }

    /// The hash itself.
    pub fn bits(self) -> u128 {
        self.0.get()
    }

    /// The low half: the form in which a symbol stands in a feature column and a node's header.
    pub fn low(self) -> u64 {
        self.0.get() as u64
    }

    /// The high half: what the tables' buckets and tags are made of.
    pub fn high(self) -> u64 {
        (self.0.get() >> 64) as u64
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The secret under which ids are hashed: made once by chance and kept in the journal's header, or [`IdKey::FILES`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct IdKey(pub [u8; 16]);

impl IdKey {
    /// The fixed key of a replay of files, so that digests and state hashes compare between runs and machines.
    pub const FILES: IdKey = IdKey(*b"weir/files/key/1");

    /// The id of `text` as a name of `kind`.
    pub fn id(&self, kind: IdKind, text: &[u8]) -> Id {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        hasher.write(&[kind as u8]);
        hasher.write(text);
        Id::from_bits(hasher.finish128().as_u128())
    }
}

impl fmt::Debug for IdKey {
    // The key is a secret: a log line must not carry it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_and_key_are_part_of_the_hash() {
        let user = IdKey::FILES.id(IdKind::User, b"7");
        assert_ne!(user, IdKey::FILES.id(IdKind::Merchant, b"7"));
        assert_ne!(user, IdKey([1; 16]).id(IdKind::User, b"7"));
        assert_eq!(user, IdKey::FILES.id(IdKind::User, b"7"));
    }

    #[test]
    fn numbers_name_their_kind() {
        for kind in IdKind::ALL {
            assert_eq!(IdKind::from_number(kind as u8), Some(kind));
        }
        assert_eq!(IdKind::from_number(14), None);
    }
}
