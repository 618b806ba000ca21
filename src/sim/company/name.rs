//! Names of things: a letter and eight signs that tell nothing, not even who came first.

use crate::sim::chance::{keyed, mix};

/// What a name names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum NameKind {
    User = b'u',
    Device = b'd',
    Card = b'c',
    Account = b'a',
    Merchant = b'm',
    Item = b'i',
    Session = b's',
}

/// The name of a person, device, card, account, shop, item or session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    pub kind: NameKind,
    code: u64,
}

/// How many bits of a number a name can tell apart: eight signs of five bits.
const BITS: u32 = 40;
const MASK: u64 = (1 << BITS) - 1;
/// Crockford's alphabet: no sign is taken for another.
const SIGNS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Gives names in one world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namer {
    key: u64,
}

impl Namer {
    /// The names of the world of `seed`.
    pub fn new(seed: u64) -> Namer {
        Namer { key: keyed(seed, 0x6e61_6d65, 0) }
    }

    /// The name of number `number` of its kind. No two numbers have one name: each step can be undone.
    pub fn name(&self, kind: NameKind, number: u64) -> Name {
        assert!(number <= MASK, "no name for number {number}");
        let key = mix(self.key ^ kind as u64);
        let mut code = (number ^ key) & MASK;
        for round in [0x9e37_79b9_7f4a_7c15u64, 0xbf58_476d_1ce4_e5b9] {
            code = code.wrapping_mul(round) & MASK;
            code ^= code >> (BITS / 2);
        }
        Name { kind, code: code.wrapping_add(key >> 24) & MASK }
    }
}

impl Name {
    /// Appends the name.
    pub fn write(self, out: &mut Vec<u8>) {
        let mut text = [self.kind as u8; 9];
        for (place, sign) in text[1..].iter_mut().enumerate() {
            *sign = SIGNS[(self.code >> (35 - 5 * place)) as usize & 31];
        }
        out.extend_from_slice(&text);
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = Vec::new();
        self.write(&mut text);
        f.write_str(std::str::from_utf8(&text).expect("signs are ASCII"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_numbers_have_one_name() {
        let namer = Namer::new(3);
        let ends = (0..20_000u64).chain((MASK - 20_000)..=MASK);
        let names: BTreeSet<String> = ends.map(|number| namer.name(NameKind::Device, number).to_string()).collect();
        assert_eq!(names.len(), 40_001);
        assert!(names.iter().all(|name| name.len() == 9 && name.starts_with('d')));
        assert_ne!(namer.name(NameKind::Card, 1), Namer::new(4).name(NameKind::Card, 1));
    }
}
