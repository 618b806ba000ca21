//! A key's secret: drawn, shown once, and from then on known by its hash only.
//!
//! Secrets are kept as plain SHA-256. Slow hashes (argon2, bcrypt) exist because people choose passwords that can be guessed; here there are
//! 256 bits of the operating system's chance, which nobody guesses however fast the hash, and a slow one would cost every request
//! milliseconds.

use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;

/// What every key begins with, so that people and scanners recognise one where it does not belong.
const PREFIX: &str = "weir_";

/// 62^43 > 2^256.
const SECRET_LENGTH: usize = 43;

const ID_LENGTH: usize = 8;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A whole key, `weir_<id>_<secret>`. It is never stored and has no readable debug form.
pub struct Secret {
    token: String,
}

impl Secret {
    /// A new key from the operating system's chance.
    ///
    /// # Errors
    /// Where the system has none to give.
    pub fn draw() -> Result<Secret, String> {
        Ok(Secret { token: format!("{PREFIX}{}_{}", digits(ID_LENGTH)?, digits(SECRET_LENGTH)?) })
    }

    /// The public part.
    pub fn id(&self) -> &str {
        &self.token[PREFIX.len()..PREFIX.len() + ID_LENGTH]
    }

    /// The whole key, for the one time that it is shown.
    pub fn reveal(&self) -> &str {
        &self.token
    }

    /// What is kept of it.
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(&self.token[PREFIX.len() + ID_LENGTH + 1..])
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({PREFIX}{}_…)", self.id())
    }
}

/// The id and the secret of a key as it was sent; `None` where it has another form.
pub(super) fn split(token: &str) -> Option<(&str, &str)> {
    let (id, secret) = token.strip_prefix(PREFIX)?.split_once('_')?;
    (is_id(id) && secret.len() == SECRET_LENGTH && secret.bytes().all(|b| b.is_ascii_alphanumeric())).then_some((id, secret))
}

/// Whether this can be the id of a key.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == ID_LENGTH && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Signs of base 62, each as likely as the others.
fn digits(count: usize) -> Result<String, String> {
    // The greatest multiple of 62 in a byte: what lies above would make the first digits likelier.
    const FAIR: u8 = 248;
    let (mut text, mut chance) = (String::with_capacity(count), [0; 64]);
    while text.len() < count {
        getrandom::fill(&mut chance).map_err(|error| format!("the operating system gave no random bytes: {error}"))?;
        let fair = chance.iter().filter(|byte| **byte < FAIR);
        text.extend(fair.take(count - text.len()).map(|byte| char::from(DIGITS[usize::from(byte % 62)])));
    }
    Ok(text)
}

/// SHA-256 of a secret. Comparing takes the same time wherever the first difference is.
#[derive(Clone, Copy)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// The hash of no secret: what an unknown id is compared with, so that it costs what a known one does.
    pub(super) const NOBODY: KeyHash = KeyHash([0; 32]);

    pub(super) fn of(secret: &str) -> KeyHash {
        KeyHash(Sha256::digest(secret.as_bytes()).into())
    }

    /// Reads what [`fmt::Display`] writes.
    pub(super) fn parse(text: &str) -> Option<KeyHash> {
        let hex = text.strip_prefix("sha256:").filter(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()))?;
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).ok()?;
        }
        Some(KeyHash(bytes))
    }
}

impl PartialEq for KeyHash {
    fn eq(&self, other: &KeyHash) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for KeyHash {}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_drawn_key_comes_apart_again() {
        let drawn: Vec<Secret> = (0..200).map(|_| Secret::draw().expect("chance")).collect();
        for secret in &drawn {
            let (id, rest) = split(secret.reveal()).expect("its own form");
            assert_eq!((id, rest.len()), (secret.id(), SECRET_LENGTH));
            assert_eq!(KeyHash::of(rest), secret.hash());
        }
        let different: BTreeSet<&str> = drawn.iter().map(Secret::reveal).collect();
        assert_eq!(different.len(), drawn.len());
        // Every sign of the alphabet comes up among 10,200 fair draws (a sign missing has a chance below 1e-70).
        let signs: BTreeSet<char> = drawn.iter().flat_map(|secret| secret.reveal()[PREFIX.len()..].chars()).collect();
        assert_eq!(signs.len(), 63);
    }

    #[test]
    fn other_forms_are_no_keys() {
        let good = Secret::draw().expect("chance");
        let good = good.reveal();
        for wrong in [
            "",
            "weir_",
            "weir__",
            &good[1..],
            &good[..good.len() - 1],
            &format!("{good}a"),
            &good.replace("weir", "Weir"),
            &good.replacen('_', "-", 1),
            &format!("weir_12345678_{}é", "a".repeat(41)),
            &format!("weir_1234567_{}", "a".repeat(43)),
        ] {
            assert!(split(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn no_debug_form_shows_a_secret() {
        let secret = Secret::draw().expect("chance");
        let shown = format!("{secret:?} {:?}", secret.hash());
        let (_, rest) = split(secret.reveal()).expect("its own form");
        assert!(!shown.contains(rest) && shown.contains(secret.id()), "{shown}");
        assert!(!shown.contains(&secret.hash().to_string()[7..]), "{shown}");
    }

    #[test]
    fn hashes_are_those_of_sha_256() {
        let known = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(KeyHash::of("abc").to_string(), known);
        assert_eq!(KeyHash::parse(known), Some(KeyHash::of("abc")));
        assert_ne!(KeyHash::of("abc"), KeyHash::of("abd"));
        for wrong in ["", "sha256:", &known[7..], &known[..70], &known.replace('b', "g"), &known.replace("256", "512")] {
            assert_eq!(KeyHash::parse(wrong), None, "{wrong}");
        }
    }
}
