//! What `[security]` of the topology says.

use crate::api::Scope;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often somebody may ask: a bucket of `burst` requests that is filled again by `per_second`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// 1 to 1,000,000.
    pub per_second: u32,
    /// 1 to 1,000,000.
    pub burst: u32,
}

/// All rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// What one key may do with each scope, by [`Scope`]'s number.
    pub scopes: [Rate; Scope::ALL.len()],
    /// Requests without a valid key from one address, and requests of one key for what it has no scope for. Past it the answer is 429.
    pub failures: Rate,
}

impl Rates {
    /// The rate of a key's requests that are let in by `scope`.
    pub fn of(&self, scope: Scope) -> Rate {
        self.scopes[scope as usize]
    }
}

/// Where the certificate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM: the server's certificate, then those that lead to a root.
    pub certificate: PathBuf,
    /// PEM: its private key, without a password.
    pub key: PathBuf,
}

/// `[security]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Security {
    /// The file of keys; see [`Security::keys_file`].
    pub keys: Option<PathBuf>,
    /// Without it connections are plain.
    pub tls: Option<TlsFiles>,
    /// A connection whose handshake takes longer is closed.
    pub handshake_max: Duration,
    /// On a loopback address nobody needs a key. To be false where a proxy on this machine brings others in.
    pub loopback_open: bool,
    /// Start on any address, whatever is missing.
    pub insecure: bool,
    pub rates: Rates,
}

impl Security {
    /// The file of keys: the one that is named, else `keys.json` in the data directory.
    pub fn keys_file(&self, data: &Path) -> PathBuf {
        self.keys.clone().unwrap_or_else(|| data.join(super::KEYS_NAME))
    }
}
