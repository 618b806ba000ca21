//! The gate in earnest: keys from a file, their scopes, their rates.
//!
//! A request costs a look into a map, one SHA-256 of 43 bytes and one compare-and-swap: 1.06 µs, and 0.18 µs where no key is needed
//! (`cargo bench --bench gate`, 2026-11-22, Xeon at 2.5 GHz without SHA instructions, other work beside it).
//!
//! Strangers who fail are not heard more often than `failures` allows, but a valid key is let in whoever else knocks from the same address:
//! nobody can lock out their neighbours, and 256 bits need no protection against guessing.

use super::file::{Watched, load_keys};
use super::keys::{Key, Keys, State};
use super::options::Rates;
use super::rate::{Bucket, Peers};
use super::rule::{Mode, is_loopback};
use super::secret::{KeyHash, split};
use crate::api::{Caller, Denied, Gate, Scope};
use jiff::Timestamp;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Checks callers by the keys in a file.
#[derive(Debug)]
pub struct KeyGate {
    file: PathBuf,
    mode: Mode,
    rates: Rates,
    ring: RwLock<Arc<Ring>>,
    reading: Mutex<Reading>,
    peers: Peers,
    start: Instant,
}

/// What becomes of a look at files that may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reread {
    /// They are as they were.
    Same,
    /// They were read, and what they say is in force; in words for the log.
    Taken(String),
    /// They cannot be used, and what was in force stays so; in words for the log. Said once for each different trouble.
    Kept(String),
}

#[derive(Debug)]
struct Reading {
    watched: Watched,
    trouble: Option<String>,
}

/// The keys in force, by id.
#[derive(Debug)]
struct Ring {
    keys: Keys,
    held: HashMap<String, Held>,
}

#[derive(Debug)]
struct Held {
    key: Key,
    buckets: Arc<Buckets>,
}

/// They outlive a reading of the file.
#[derive(Debug, Default)]
struct Buckets {
    scopes: [Bucket; Scope::ALL.len()],
    refused: Bucket,
}

impl Ring {
    fn of(keys: Keys, before: Option<&Ring>) -> Ring {
        let buckets = |key: &Key| before.and_then(|ring| Some(ring.held.get(&key.id)?.buckets.clone())).unwrap_or_default();
        let held = keys.as_slice().iter().map(|key| (key.id.clone(), Held { key: key.clone(), buckets: buckets(key) })).collect();
        Ring { keys, held }
    }

    /// What changed since `before`, for the log.
    fn news(&self, before: &Ring) -> String {
        let mut news = Vec::new();
        for key in self.keys.as_slice() {
            match before.held.get(&key.id) {
                None => news.push(format!("{} ({}) added", key.id, key.name)),
                Some(held) if held.key == *key => {}
                Some(held) if held.key.revoked.is_none() && key.revoked.is_some() => {
                    news.push(format!("{} ({}) revoked", key.id, key.name))
                }
                Some(_) => news.push(format!("{} ({}) changed", key.id, key.name)),
            }
        }
        let gone = before.keys.as_slice().iter().filter(|key| !self.held.contains_key(&key.id));
        news.extend(gone.map(|key| format!("{} ({}) removed", key.id, key.name)));
        news.join(", ")
    }
}

impl KeyGate {
    /// A gate over the keys in `file`. Where there is no file there is no key, until there is one.
    ///
    /// # Errors
    /// A file that cannot be used.
    pub fn open(file: &Path, mode: Mode, rates: Rates) -> Result<KeyGate, String> {
        let watched = Watched::new(vec![file.to_owned()]);
        let keys = load_keys(file)?.unwrap_or_default();
        Ok(KeyGate {
            file: file.to_owned(),
            mode,
            rates,
            ring: RwLock::new(Arc::new(Ring::of(keys, None))),
            reading: Mutex::new(Reading { watched, trouble: None }),
            peers: Peers::default(),
            start: Instant::now(),
        })
    }

    /// Reads the file again where it may have changed, or where `doubtful`. Whoever is being served stays so. A file that cannot be used,
    /// or is gone, leaves the keys in force that were: a slip of an editor must not lock everybody out.
    pub fn refresh(&self, doubtful: bool) -> Reread {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        if doubtful {
            reading.watched.doubt();
        }
        if !reading.watched.changed() {
            return Reread::Same;
        }
        let before = self.ring();
        let loaded = match load_keys(&self.file) {
            Ok(None) if before.keys.as_slice().is_empty() => Ok(Keys::default()),
            Ok(None) => {
                Err(format!("{}: found no file, expected the keys that were there; to take a key back, revoke it", self.file.display()))
            }
            Ok(Some(keys)) => Ok(keys),
            Err(trouble) => Err(trouble),
        };
        let trouble = loaded.as_ref().err().cloned();
        let again = trouble == reading.trouble;
        reading.trouble = trouble;
        match loaded {
            Err(_) if again => Reread::Same,
            Err(trouble) => Reread::Kept(trouble),
            Ok(keys) if keys == before.keys => Reread::Same,
            Ok(keys) => {
                let ring = Ring::of(keys, Some(&before));
                let news = ring.news(&before);
                *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
                Reread::Taken(news)
            }
        }
    }

    fn ring(&self) -> Arc<Ring> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn admit_at(
        &self,
        authorization: Option<&str>,
        peer: SocketAddr,
        needed: &[Scope],
        now: Timestamp,
        steady: u64,
    ) -> Result<Caller, Denied> {
        let ring = self.ring();
        let stranger = |detail: String| Err(self.stranger(peer, detail, steady));
        let Some(authorization) = authorization else {
            return match self.nameless(&ring, peer) {
                // At other addresses there is no name that only this machine has.
                Some(name) => Ok(Caller { name: name.to_owned(), scopes: Scope::ALL.to_vec(), by_address: self.mode == Mode::Loopback }),
                None => stranger("no key was sent, expected a header of the form Authorization: Bearer weir_...".to_owned()),
            };
        };
        let Some(held) = ring.find(authorization) else {
            return stranger("the key that was sent is none of this service".to_owned());
        };
        match held.key.state(now) {
            State::Expired(at) => return stranger(format!("the key {} expired at {at}", held.key.id)),
            State::Revoked(_) => return stranger(format!("the key {} was revoked", held.key.id)),
            State::Valid => {}
        }
        let too_many = |retry_after: Duration| Denied::TooMany { retry_after };
        let Some(scope) = needed.iter().find(|scope| held.key.scopes.contains(scope)) else {
            held.buckets.refused.take(self.rates.failures, steady).map_err(too_many)?;
            let names = |scopes: &[Scope]| scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(", ");
            let detail =
                format!("the key {} is for {}, this needs {}", held.key.id, names(&held.key.scopes), names(needed).replace(", ", " or "));
            tracing::info!(peer = %peer, key = held.key.id, "not let in: {detail}");
            return Err(Denied::Forbidden { detail });
        };
        held.buckets.scopes[*scope as usize].take(self.rates.of(*scope), steady).map_err(too_many)?;
        Ok(Caller { name: held.key.name.clone(), scopes: held.key.scopes.clone(), by_address: false })
    }

    /// The name of callers without a key, where nobody needs one.
    fn nameless(&self, ring: &Ring, peer: SocketAddr) -> Option<&'static str> {
        match self.mode {
            Mode::Loopback if is_loopback(peer.ip()) => Some("loopback"),
            // The first key that is added closes the door.
            Mode::Insecure { keys: true, .. } if ring.held.is_empty() => Some("anyone"),
            _ => None,
        }
    }

    fn stranger(&self, peer: SocketAddr, detail: String, steady: u64) -> Denied {
        match self.peers.fail(peer.ip(), self.rates.failures, steady) {
            Err(retry_after) => Denied::TooMany { retry_after },
            Ok(()) => {
                // As often as failures are heard, so that nobody fills the log.
                tracing::info!(peer = %peer, "not let in: {detail}");
                Denied::Unauthenticated { detail }
            }
        }
    }
}

impl Ring {
    /// The key whose secret the header bears, in force or not.
    fn find(&self, authorization: &str) -> Option<&Held> {
        let (scheme, token) = authorization.split_once(' ')?;
        let (id, secret) = split(token.trim()).filter(|_| scheme.eq_ignore_ascii_case("bearer"))?;
        let held = self.held.get(id);
        // Nobody's hash costs the same: the time of an answer does not tell which ids there are.
        let expected = held.map_or(KeyHash::NOBODY, |held| held.key.hash);
        let matches = KeyHash::of(secret) == expected;
        held.filter(|_| matches)
    }
}

impl Gate for KeyGate {
    fn admit(&self, authorization: Option<&str>, peer: SocketAddr, needed: &[Scope]) -> Result<Caller, Denied> {
        // Starting at 1, so that no bucket looks as if it had been used.
        let steady = self.start.elapsed().as_nanos() as u64 + 1;
        self.admit_at(authorization, peer, needed, Timestamp::now(), steady)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::file::change_keys;
    use crate::doors::options::Rate;
    use crate::doors::secret::Secret;
    use crate::doors::tests::{captured, security};
    use jiff::SignedDuration;
    use std::fs;
    use tempfile::TempDir;

    const PUBLIC: &str = "192.0.2.1:4711";
    const SECOND: u64 = 1_000_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("a moment")
    }

    fn peer(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    struct Place {
        dir: TempDir,
    }

    impl Place {
        fn new() -> Place {
            Place { dir: tempfile::tempdir().expect("a directory") }
        }

        fn file(&self) -> PathBuf {
            self.dir.path().join("keys.json")
        }

        fn add(&self, scopes: &[Scope], lifetime: Option<i64>) -> Secret {
            let lifetime = lifetime.map(SignedDuration::from_secs);
            change_keys(&self.file(), |keys| keys.add("platform", scopes, lifetime, at(0))).expect("added")
        }

        fn revoke(&self, secret: &Secret) {
            change_keys(&self.file(), |keys| keys.revoke(secret.id(), at(0))).expect("revoked");
        }

        fn gate(&self, mode: Mode) -> KeyGate {
            KeyGate::open(&self.file(), mode, security().rates).expect("opened")
        }
    }

    fn bearer(secret: &Secret) -> String {
        format!("Bearer {}", secret.reveal())
    }

    fn unauthenticated(denied: Result<Caller, Denied>) -> String {
        match denied {
            Err(Denied::Unauthenticated { detail }) => detail,
            other => panic!("{other:?} instead of 401"),
        }
    }

    #[test]
    fn a_valid_key_is_let_in_by_any_of_its_scopes() {
        let place = Place::new();
        let key = place.add(&[Scope::Analyst, Scope::Hook], None);
        let gate = place.gate(Mode::Keys);
        let expected = Caller { name: "platform".to_owned(), scopes: vec![Scope::Hook, Scope::Analyst], by_address: false };
        for header in [bearer(&key), bearer(&key).replace("Bearer", "bEARER"), bearer(&key).replace(' ', "   ")] {
            for needed in [&[Scope::Hook][..], &[Scope::Supervisor, Scope::Analyst]] {
                assert_eq!(gate.admit(Some(&header), peer(PUBLIC), needed), Ok(expected.clone()), "{header} {needed:?}");
            }
        }
    }

    #[test]
    fn missing_scopes_are_named() {
        let place = Place::new();
        let key = place.add(&[Scope::Ingest], None);
        let gate = place.gate(Mode::Keys);
        let denied = |needed: &[Scope]| match gate.admit(Some(&bearer(&key)), peer(PUBLIC), needed) {
            Err(Denied::Forbidden { detail }) => detail,
            other => panic!("{other:?} instead of 403"),
        };
        assert_eq!(denied(&[Scope::Hook]), format!("the key {} is for ingest, this needs hook", key.id()));
        assert!(denied(&[Scope::Analyst, Scope::Supervisor]).ends_with("this needs analyst or supervisor"));
        // A route that names no scope is a mistake, and a mistake opens nothing.
        denied(&[]);
    }

    #[test]
    fn wrong_keys_of_every_kind_get_one_answer() {
        let place = Place::new();
        let (key, other) = (place.add(&[Scope::Hook], None), place.add(&[Scope::Hook], None));
        let gate = place.gate(Mode::Keys);
        let token = key.reveal();
        let last = if token.ends_with('a') { "b" } else { "a" };
        let secret_of_another = format!("weir_{}_{}", key.id(), split(other.reveal()).expect("a key").1);
        let wrong = [
            format!("Bearer {}{last}", &token[..token.len() - 1]),
            format!("Bearer {secret_of_another}"),
            format!("Bearer {}", Secret::draw().expect("chance").reveal()),
            format!("Basic {token}"),
            format!("Bearer {token} {token}"),
            "Bearer".to_owned(),
            "Bearer ".to_owned(),
            String::new(),
            token.to_owned(),
        ];
        for (number, header) in wrong.iter().enumerate() {
            let from = peer(&format!("192.0.2.{number}:1"));
            assert_eq!(unauthenticated(gate.admit(Some(header), from, &[Scope::Hook])), "the key that was sent is none of this service");
        }
        assert!(unauthenticated(gate.admit(None, peer(PUBLIC), &[Scope::Hook])).starts_with("no key was sent"));
    }

    #[test]
    fn expired_and_revoked_keys_are_told_so() {
        let place = Place::new();
        let (brief, revoked) = (place.add(&[Scope::Hook], Some(60)), place.add(&[Scope::Hook], None));
        place.revoke(&revoked);
        let gate = place.gate(Mode::Keys);
        let admit = |key: &Secret, second: i64| gate.admit_at(Some(&bearer(key)), peer(PUBLIC), &[Scope::Hook], at(second), 1);
        assert!(admit(&brief, 59).is_ok());
        let expired = unauthenticated(admit(&brief, 60));
        assert_eq!(expired, format!("the key {} expired at {}", brief.id(), at(60)));
        assert_eq!(unauthenticated(admit(&revoked, 0)), format!("the key {} was revoked", revoked.id()));
        // Whoever only knows the id does not learn how it stands with the key.
        let guess = format!("Bearer weir_{}_{}", revoked.id(), "a".repeat(43));
        assert!(unauthenticated(gate.admit(Some(&guess), peer(PUBLIC), &[Scope::Hook])).contains("none of this service"));
    }

    #[test]
    fn who_needs_a_key_depends_on_the_address_and_on_what_was_missing() {
        let place = Place::new();
        let local = peer("[::ffff:127.0.0.1]:5");
        let anonymous = |gate: &KeyGate, from: SocketAddr| gate.admit(None, from, &[Scope::Admin]).map(|caller| caller.name).ok();
        let open = place.gate(Mode::Loopback);
        assert_eq!(anonymous(&open, local).as_deref(), Some("loopback"));
        assert!(open.admit(None, local, &[Scope::Hook]).is_ok_and(|caller| caller.by_address), "its requests may be a web page's");
        assert_eq!(anonymous(&open, peer(PUBLIC)), None);
        unauthenticated(open.admit(Some("Bearer nonsense"), local, &[Scope::Hook]));
        let bare = place.gate(Mode::Insecure { keys: true, tls: true });
        assert_eq!(anonymous(&bare, peer(PUBLIC)).as_deref(), Some("anyone"));
        assert_eq!(anonymous(&place.gate(Mode::Insecure { keys: false, tls: true }), local), None);
        assert_eq!(anonymous(&place.gate(Mode::Keys), local), None, "a proxy on this machine is no reason");

        let key = place.add(&[Scope::Hook], None);
        assert!(matches!(bare.refresh(false), Reread::Taken(_)));
        assert_eq!(anonymous(&bare, peer(PUBLIC)), None, "the first key closes the door");
        // With a key, even at home, it is the key that counts.
        open.refresh(false);
        let caller = open.admit(Some(&bearer(&key)), local, &[Scope::Hook]).expect("known");
        assert_eq!((caller.name.as_str(), caller.scopes, caller.by_address), ("platform", vec![Scope::Hook], false));
        assert!(matches!(open.admit(Some(&bearer(&key)), local, &[Scope::Admin]), Err(Denied::Forbidden { .. })));
    }

    #[test]
    fn a_key_has_a_rate_for_each_of_its_scopes() {
        let place = Place::new();
        let (key, other) = (place.add(&[Scope::Hook, Scope::Ingest], None), place.add(&[Scope::Hook], None));
        let mut rates = security().rates;
        rates.scopes[Scope::Hook as usize] = Rate { per_second: 2, burst: 3 };
        let gate = KeyGate::open(&place.file(), Mode::Keys, rates).expect("opened");
        let admit = |key: &Secret, scope: Scope, now: u64| gate.admit_at(Some(&bearer(key)), peer(PUBLIC), &[scope], at(1), now);
        for _ in 0..3 {
            assert!(admit(&key, Scope::Hook, SECOND).is_ok());
        }
        assert_eq!(admit(&key, Scope::Hook, SECOND), Err(Denied::TooMany { retry_after: Duration::from_millis(500) }));
        assert!(admit(&key, Scope::Ingest, SECOND).is_ok(), "another scope");
        assert!(admit(&other, Scope::Hook, SECOND).is_ok(), "another key");
        // Reading the file again fills no bucket.
        place.add(&[Scope::Hook], None);
        assert!(matches!(gate.refresh(false), Reread::Taken(_)));
        assert!(matches!(admit(&key, Scope::Hook, SECOND), Err(Denied::TooMany { .. })));
        assert!(admit(&key, Scope::Hook, SECOND + SECOND / 2).is_ok());
    }

    #[test]
    fn failures_are_heard_only_so_often_and_lock_nobody_out() {
        let place = Place::new();
        let key = place.add(&[Scope::Hook], None);
        let gate = place.gate(Mode::Keys);
        let burst = security().rates.failures.burst;
        let fail = |from: &str| gate.admit_at(Some("Bearer nonsense"), peer(from), &[Scope::Hook], at(1), SECOND);
        for _ in 0..burst {
            unauthenticated(fail(PUBLIC));
        }
        assert!(matches!(fail(PUBLIC), Err(Denied::TooMany { retry_after }) if !retry_after.is_zero()));
        unauthenticated(fail("192.0.2.2:1"));
        let good = gate.admit_at(Some(&bearer(&key)), peer(PUBLIC), &[Scope::Hook], at(1), SECOND);
        assert!(good.is_ok(), "a valid key from the same address");
        let forbidden = || gate.admit_at(Some(&bearer(&key)), peer(PUBLIC), &[Scope::Admin], at(1), SECOND);
        for _ in 0..burst {
            assert!(matches!(forbidden(), Err(Denied::Forbidden { .. })));
        }
        assert!(matches!(forbidden(), Err(Denied::TooMany { .. })));
    }

    #[test]
    fn the_file_is_read_again_when_it_changes() {
        let place = Place::new();
        let gate = place.gate(Mode::Keys);
        let first = place.add(&[Scope::Hook], None);
        let admitted = |key: &Secret| gate.admit(Some(&bearer(key)), peer(PUBLIC), &[Scope::Hook]).is_ok();
        assert!(!admitted(&first));
        assert_eq!(gate.refresh(false), Reread::Taken(format!("{} (platform) added", first.id())));
        assert!(admitted(&first));
        assert_eq!(gate.refresh(true), Reread::Same);
        let second = place.add(&[Scope::Hook], None);
        place.revoke(&first);
        let news = format!("{} (platform) revoked, {} (platform) added", first.id(), second.id());
        assert_eq!(gate.refresh(false), Reread::Taken(news));
        assert!(!admitted(&first) && admitted(&second));
    }

    #[test]
    fn a_file_that_cannot_be_used_leaves_the_keys_as_they_were() {
        let place = Place::new();
        let key = place.add(&[Scope::Hook], None);
        let gate = place.gate(Mode::Keys);
        let good = fs::read_to_string(place.file()).expect("read");
        let admitted = || gate.admit(Some(&bearer(&key)), peer(PUBLIC), &[Scope::Hook]).is_ok();
        let kept = |expected: &str| {
            let Reread::Kept(trouble) = gate.refresh(false) else { panic!("expected {expected}") };
            assert!(trouble.contains(expected), "{trouble}");
            assert_eq!(gate.refresh(true), Reread::Same, "said once");
            assert!(admitted());
        };
        fs::write(place.file(), &good[..good.len() / 2]).expect("written");
        kept("found no list of keys from line");
        fs::remove_file(place.file()).expect("removed");
        kept("to take a key back, revoke it");
        fs::write(place.file(), &good).expect("written");
        kept("chmod 600");
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(place.file(), private).expect("set");
        assert_eq!(gate.refresh(false), Reread::Same, "what it says is in force already");
        place.revoke(&key);
        assert!(matches!(gate.refresh(false), Reread::Taken(_)));
        assert!(!admitted());
    }

    /// Planted mistake it caught: `authorization` among the fields of the log line.
    #[test]
    fn no_secret_is_in_a_log_an_error_or_a_debug_form() {
        let place = Place::new();
        let (key, brief) = (place.add(&[Scope::Hook], None), place.add(&[Scope::Hook], Some(1)));
        let gate = place.gate(Mode::Keys);
        let wrong = format!("weir_{}_{}", key.id(), "S3cret7".repeat(7).get(..43).expect("43 signs"));
        let log = captured(|| {
            let mut said = Vec::new();
            for header in [bearer(&key), bearer(&brief), format!("Bearer {wrong}"), format!("Basic {wrong}"), wrong.clone()] {
                for scope in [Scope::Hook, Scope::Admin] {
                    said.push(format!("{:?}", gate.admit_at(Some(&header), peer(PUBLIC), &[scope], at(5), SECOND)));
                }
            }
            place.add(&[Scope::Hook], None);
            said.push(format!("{:?}", gate.refresh(false)));
            said.push(format!("{gate:?} {key:?}"));
            tracing::info!("{}", said.join("\n"));
        });
        assert!(log.contains("not let in") && log.contains("Unauthenticated") && log.contains("Forbidden"), "{log}");
        for secret in [key.reveal(), brief.reveal(), &wrong] {
            let rest = secret.rsplit('_').next().expect("a secret");
            assert!(!log.contains(rest), "{rest} in {log}");
        }
    }
}
