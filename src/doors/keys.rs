//! The list of keys: who may come in, what for and how long.

use super::secret::{KeyHash, Secret, is_id};
use crate::api::Scope;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The most keys of one file.
const KEYS_MAX: usize = 10_000;

/// The longest name.
const NAME_BYTES_MAX: usize = 64;

/// The form of the file.
const VERSION: u32 = 1;

/// One key; the secret itself is nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The public part of the key.
    pub id: String,
    /// Whose it is.
    pub name: String,
    /// In the order of [`Scope::ALL`], at least one.
    pub scopes: Vec<Scope>,
    pub hash: KeyHash,
    pub created: Timestamp,
    /// From then on it opens nothing.
    pub expires: Option<Timestamp>,
    /// Since then it opens nothing.
    pub revoked: Option<Timestamp>,
}

/// What a key is good for at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// In force.
    Valid,
    /// Its time was over at this moment.
    Expired(Timestamp),
    /// It was taken back at this moment.
    Revoked(Timestamp),
}

impl Key {
    /// What the key is good for at `now`.
    pub fn state(&self, now: Timestamp) -> State {
        match (self.revoked, self.expires) {
            (Some(since), _) => State::Revoked(since),
            (None, Some(at)) if at <= now => State::Expired(at),
            _ => State::Valid,
        }
    }
}

/// All keys, in the order in which they were added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys(Vec<Key>);

impl Keys {
    /// The keys.
    pub fn as_slice(&self) -> &[Key] {
        &self.0
    }

    /// Whether a key is in force at `now`.
    pub fn any_valid(&self, now: Timestamp) -> bool {
        self.0.iter().any(|key| key.state(now) == State::Valid)
    }

    /// Adds a key of a newly drawn secret, in force for `lifetime` from `now` on, or until it is revoked. The secret is given back here and
    /// never again.
    ///
    /// # Errors
    /// A name that is empty, longer than 64 bytes or not printable, no scope, more than 10,000 keys, or no chance to be had.
    pub fn add(&mut self, name: &str, scopes: &[Scope], lifetime: Option<SignedDuration>, now: Timestamp) -> Result<Secret, String> {
        check_name(name)?;
        let scopes = in_order(scopes)?;
        if self.0.len() >= KEYS_MAX {
            return Err(format!("found {KEYS_MAX} keys, expected fewer: a file of keys holds no more"));
        }
        let created = whole_second(now);
        let expires = match lifetime {
            Some(lifetime) => Some(created.checked_add(lifetime).map_err(|_| "found a lifetime that ends after the year 9999".to_owned())?),
            None => None,
        };
        let mut secret = Secret::draw()?;
        while self.0.iter().any(|key| key.id == secret.id()) {
            secret = Secret::draw()?;
        }
        let (id, name) = (secret.id().to_owned(), name.to_owned());
        self.0.push(Key { id, name, scopes, hash: secret.hash(), created, expires, revoked: None });
        Ok(secret)
    }

    /// Takes the key with this id back. `false` where that was done before.
    ///
    /// # Errors
    /// Where there is no such key.
    pub fn revoke(&mut self, id: &str, now: Timestamp) -> Result<bool, String> {
        let count = self.0.len();
        let Some(key) = self.0.iter_mut().find(|key| key.id == id) else {
            // The text is not repeated: it may be a whole key, given by mistake.
            return Err(format!("found no key of this id among {count}, expected an id that `weir keys list` shows"));
        };
        let first = key.revoked.is_none();
        key.revoked.get_or_insert(whole_second(now));
        Ok(first)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// Where it is anything else than what [`Keys::to_json`] writes. No part of the text is repeated but ids and line numbers.
    pub fn parse(text: &str) -> Result<Keys, String> {
        // What serde says would quote values, and somebody may have put a secret there.
        let file: File = serde_json::from_str(text)
            .map_err(|error| format!("found no list of keys from line {} on, expected a file as `weir keys` writes it", error.line()))?;
        if file.version != VERSION {
            return Err(format!("found a list of keys of version {}, expected version {VERSION}", file.version));
        }
        if file.keys.len() > KEYS_MAX {
            return Err(format!("found {} keys, expected at most {KEYS_MAX}", file.keys.len()));
        }
        let mut keys: Vec<Key> = Vec::with_capacity(file.keys.len());
        let mut ids = std::collections::HashSet::new();
        for (index, entry) in file.keys.into_iter().enumerate() {
            let key = entry.read().map_err(|what| format!("key {}: {what}", index + 1))?;
            if !ids.insert(key.id.clone()) {
                return Err(format!("key {}: found the id {} twice, expected an id of its own", index + 1, key.id));
            }
            keys.push(key);
        }
        Ok(Keys(keys))
    }

    /// The text of a file.
    pub fn to_json(&self) -> String {
        let file = File { version: VERSION, keys: self.0.iter().map(Entry::of).collect() };
        let mut text = serde_json::to_string_pretty(&file).expect("texts and numbers can be written");
        text.push('\n');
        text
    }
}

fn check_name(name: &str) -> Result<(), String> {
    if name.trim().is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(format!("found a name of {} bytes, expected 1 to {NAME_BYTES_MAX} bytes of printable text", name.len()));
    }
    Ok(())
}

fn in_order(scopes: &[Scope]) -> Result<Vec<Scope>, String> {
    let ordered: Vec<Scope> = Scope::ALL.into_iter().filter(|scope| scopes.contains(scope)).collect();
    if ordered.is_empty() { Err("found no scope, expected at least one".to_owned()) } else { Ok(ordered) }
}

fn whole_second(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).expect("a timestamp's second is one")
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    keys: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    name: String,
    scopes: Vec<String>,
    hash: String,
    created: String,
    #[serde(default)]
    expires: Option<String>,
    #[serde(default)]
    revoked: Option<String>,
}

impl Entry {
    fn of(key: &Key) -> Entry {
        Entry {
            id: key.id.clone(),
            name: key.name.clone(),
            scopes: key.scopes.iter().map(|scope| scope.name().to_owned()).collect(),
            hash: key.hash.to_string(),
            created: key.created.to_string(),
            expires: key.expires.map(|at| at.to_string()),
            revoked: key.revoked.map(|at| at.to_string()),
        }
    }

    fn read(self) -> Result<Key, String> {
        if !is_id(&self.id) {
            return Err("found an id of another form, expected 8 letters and digits".to_owned());
        }
        let at = |what: &str| format!("{what} of {}", self.id);
        check_name(&self.name).map_err(|why| format!("{}: {why}", at("name")))?;
        let scopes: Option<Vec<Scope>> = self.scopes.iter().map(|name| Scope::parse(name)).collect();
        let known = || Scope::ALL.map(Scope::name).join(", ");
        let scopes = scopes.ok_or_else(|| format!("{}: found an unknown word, expected some of {}", at("scopes"), known()))?;
        let moment = |what: &str, text: &str| -> Result<Timestamp, String> {
            text.parse().map_err(|_| format!("{}: found no moment, expected one such as 2027-01-31T00:00:00Z", at(what)))
        };
        Ok(Key {
            scopes: in_order(&scopes).map_err(|why| format!("{}: {why}", at("scopes")))?,
            hash: KeyHash::parse(&self.hash)
                .ok_or_else(|| format!("{}: found no hash, expected sha256: and 64 hexadecimal digits", at("hash")))?,
            created: moment("created", &self.created)?,
            expires: self.expires.as_deref().map(|text| moment("expires", text)).transpose()?,
            revoked: self.revoked.as_deref().map(|text| moment("revoked", text)).transpose()?,
            id: self.id.clone(),
            name: self.name.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::secret::split;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("within time")
    }

    fn some() -> (Keys, Vec<Secret>) {
        let mut keys = Keys::default();
        let first = keys.add("platform", &[Scope::Ingest, Scope::Hook], None, at(1_000_000)).expect("added");
        let second = keys.add("Jörg's \"desk\"", &[Scope::Analyst], Some(SignedDuration::from_hours(24)), at(1_000_000)).expect("added");
        (keys, vec![first, second])
    }

    #[test]
    fn a_file_comes_back_and_holds_no_secret() {
        let (mut keys, secrets) = some();
        keys.revoke(secrets[0].id(), at(1_000_500)).expect("known");
        let text = keys.to_json();
        assert_eq!(Keys::parse(&text), Ok(keys.clone()));
        assert_eq!(keys.as_slice()[0].scopes, [Scope::Hook, Scope::Ingest], "in one order, however they were named");
        for secret in &secrets {
            let (_, rest) = split(secret.reveal()).expect("a key");
            assert!(!text.contains(rest) && !format!("{keys:?}").contains(rest));
        }
    }

    #[test]
    fn a_key_is_valid_until_it_expires_or_is_revoked() {
        let (mut keys, secrets) = some();
        let end = at(1_000_000 + 86_400);
        assert_eq!(keys.as_slice()[1].state(at(1_000_000 + 86_399)), State::Valid);
        assert_eq!(keys.as_slice()[1].state(end), State::Expired(end));
        assert!(keys.any_valid(end), "the first one never expires");
        assert_eq!(keys.revoke(secrets[0].id(), at(1_000_500)), Ok(true));
        assert_eq!(keys.revoke(secrets[0].id(), at(1_000_900)), Ok(false));
        assert_eq!(keys.as_slice()[0].state(at(2_000_000)), State::Revoked(at(1_000_500)));
        assert!(!keys.any_valid(end));
        let error = keys.revoke(secrets[1].reveal(), end).expect_err("a whole key is no id");
        assert!(!error.contains(secrets[1].reveal()), "{error}");
    }

    #[test]
    fn what_is_no_list_of_keys_is_refused_without_being_repeated() {
        let (keys, _) = some();
        let good = keys.to_json();
        let id = &keys.as_slice()[0].id;
        let other = &keys.as_slice()[1].id;
        for (from, to, expected) in [
            ("\"version\": 1", "\"version\": 2", "version 2, expected version 1"),
            ("\"version\": 1", "\"version\": \"s3cret\"", "found no list of keys from line 2 on"),
            ("\"name\": \"platform\"", "\"nmae\": \"s3cret\"", "found no list of keys from line 6 on"),
            ("\"platform\"", "\"\"", "found a name of 0 bytes"),
            ("\"hook\"", "\"s3cret\"", "found an unknown word, expected some of hook, ingest"),
            ("\"analyst\"", "", "found no scope"),
            ("sha256:", "s3cret", "found no hash"),
            ("1970-01-12", "s3cret", "found no moment"),
            (id, "s3cret", "key 1: found an id of another form"),
            (id, other, "key 2: found the id"),
            ("}", "", "found no list of keys"),
        ] {
            let text = good.replacen(from, to, 1);
            assert_ne!(text, good, "{from} is not there");
            let error = Keys::parse(&text).expect_err(&text);
            assert!(error.contains(expected), "{from} -> {to}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
        assert!(Keys::parse("").is_err() && Keys::parse("[]").is_err());
    }

    #[test]
    fn names_and_scopes_are_needed() {
        let mut keys = Keys::default();
        for (name, scopes) in
            [("", &[Scope::Hook][..]), ("  ", &[Scope::Hook]), ("a\nb", &[Scope::Hook]), (&"n".repeat(65), &[Scope::Hook]), ("fine", &[])]
        {
            keys.add(name, scopes, None, at(0)).expect_err(name);
        }
        assert!(keys.as_slice().is_empty());
    }
}
