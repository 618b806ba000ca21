//! Who may come in: the seam between the doors' routes and whoever checks keys and rates.

use std::net::SocketAddr;
use std::time::Duration;

/// What a caller may do. A route names the scopes of which any one suffices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Ask for authorizations and report how their step-ups ended.
    Hook,
    /// Send events that nobody waits for.
    Ingest,
    /// Read the streams, without what is internal.
    Subscriber,
    /// Read decisions, alerts and streams with what is internal: of laundering nobody else is told.
    Analyst,
    /// Settle what analysts propose; who also looks into laundering is an analyst, too.
    Supervisor,
    /// Everything that concerns the running of the service.
    Admin,
}

impl Scope {
    /// Every scope, in the order of their declaration.
    pub const ALL: [Scope; 6] = [Scope::Hook, Scope::Ingest, Scope::Subscriber, Scope::Analyst, Scope::Supervisor, Scope::Admin];

    /// As it stands in lists of keys and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Scope::Hook => "hook",
            Scope::Ingest => "ingest",
            Scope::Subscriber => "subscriber",
            Scope::Analyst => "analyst",
            Scope::Supervisor => "supervisor",
            Scope::Admin => "admin",
        }
    }

    /// The scope of that name, `None` where there is none.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

/// Somebody who was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The name of the key, never the key.
    pub name: String,
    /// Everything this caller may do, not only what was needed.
    pub scopes: Vec<Scope>,
    /// Let in without a key, because of the address alone: a browser on this machine has it too, so web pages must be told apart.
    pub by_address: bool,
}

/// Why somebody was not let in. The details are for the caller and contain no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// No key, or none that is known and in force (401).
    Unauthenticated { detail: String },
    /// A key that does not bear the scope (403).
    Forbidden { detail: String },
    /// More requests than the key may send (429).
    TooMany { retry_after: Duration },
}

/// Whoever checks callers. It is asked once a request, before the body is read.
pub trait Gate: Send + Sync + 'static {
    /// Lets a caller in who bears any one of the `needed` scopes. `authorization` is the header of that name, as sent.
    ///
    /// # Errors
    /// Why the caller is not let in.
    fn admit(&self, authorization: Option<&str>, peer: SocketAddr, needed: &[Scope]) -> Result<Caller, Denied>;
}

/// Lets everybody on this machine in, with every scope, and nobody else.
#[derive(Clone, Copy, Debug, Default)]
pub struct Open;

impl Gate for Open {
    fn admit(&self, _authorization: Option<&str>, peer: SocketAddr, _needed: &[Scope]) -> Result<Caller, Denied> {
        match peer.ip().to_canonical().is_loopback() {
            true => Ok(Caller { name: "loopback".to_owned(), scopes: Scope::ALL.to_vec(), by_address: true }),
            false => Err(Denied::Unauthenticated { detail: "no keys are set up, so only callers on this machine are let in".to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Denied, Gate, Open, Scope};

    #[test]
    fn every_scope_is_found_by_its_name() {
        for scope in Scope::ALL {
            assert_eq!(Scope::parse(scope.name()), Some(scope));
        }
        assert_eq!(Scope::parse("root"), None);
        assert_eq!(Scope::parse("Hook"), None);
    }

    #[test]
    fn the_open_gate_lets_only_this_machine_in() {
        for (peer, open) in
            [("127.0.0.1:9", true), ("[::1]:9", true), ("[::ffff:127.0.0.1]:9", true), ("192.0.2.1:9", false), ("[2001:db8::1]:9", false)]
        {
            let admitted = Open.admit(None, peer.parse().expect("an address"), &[Scope::Admin]);
            match admitted {
                Ok(caller) => assert!(open && caller.scopes == Scope::ALL && caller.by_address, "{peer}"),
                Err(denied) => assert!(!open && matches!(denied, Denied::Unauthenticated { .. }), "{peer}"),
            }
        }
    }
}
