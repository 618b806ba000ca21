//! What is asked of another process that leads or led, and told to it: who leads, how far it is, that it leads no more.

use super::client::Peer;
use super::leadership::Fenced;
use super::link::Link;
use serde_json::{Value, json};
use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration as Wall, Instant};
use tracing::warn;

/// How long the old leader may take for an answer. It does not count as gone then: it may be busy, and go on answering others.
const ASK_PATIENCE: Wall = Wall::from_secs(5);
/// Between two attempts at a leader whose connections break.
const ASK_EVERY: Wall = Wall::from_millis(100);
/// A standby that lacks more records is still catching up, and is promoted by force only: what was answered for them would be missing.
pub(super) const BEHIND_MAX: u64 = 5_000;

/// Whether `peer` leads in a later epoch than `epoch`. One that does not answer says nothing.
pub(super) fn ask(peer: &Peer, epoch: u64) -> Result<Option<Fenced>, String> {
    let answer = match peer.answer("GET", "/v1/leader", "", ASK_PATIENCE) {
        Ok((200, text)) => serde_json::from_str::<Value>(&text).map_err(|error| format!("{peer}: {error}"))?,
        Ok((status, _)) => {
            warn!(%peer, status, "the peer does not say who leads; starting all the same");
            return Ok(None);
        }
        Err(error) => {
            warn!(%peer, %error, "the peer cannot be asked who leads; starting all the same");
            return Ok(None);
        }
    };
    let later = answer["epoch"].as_u64().filter(|later| *later > epoch && answer["role"] == "leader");
    Ok(later.map(|epoch| Fenced { epoch, leader: peer.to_string() }))
}

/// What the old leader says to its fence.
pub(super) enum Told {
    /// It records nothing more, and has so many records.
    Fenced(u64),
    /// It knows better.
    Refused(String),
    /// Nobody listens there: the process has ended.
    Gone(String),
    /// It may live.
    Silent(String),
}

/// Asks `peer`, and again where the connection breaks: a process that is ending refuses a moment later.
fn asked(peer: &Peer, method: &str, path: &str, json: &str) -> io::Result<(u16, String)> {
    let until = Instant::now() + ASK_PATIENCE;
    loop {
        match peer.answer(method, path, json, ASK_PATIENCE) {
            Err(error) if breaks(&error) && Instant::now() < until => std::thread::sleep(ASK_EVERY),
            answered => return answered,
        }
    }
}

fn breaks(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof)
}

pub(super) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused
}

pub(super) fn tell(peer: &Peer, epoch: u64, url: &str) -> Told {
    let body = json!({ "epoch": epoch, "leader": url }).to_string();
    match asked(peer, "POST", "/v1/fence", &body) {
        Ok((200, text)) => match serde_json::from_str::<Value>(&text).ok().and_then(|answer| answer["records"].as_u64()) {
            Some(records) => Told::Fenced(records),
            None => Told::Silent(format!("it answers {text:?}")),
        },
        Ok((409, text)) => Told::Refused(text),
        Ok((status, _)) => Told::Silent(format!("it answers with status {status}")),
        Err(error) if is_gone(&error) => Told::Gone(error.to_string()),
        Err(error) => Told::Silent(error.to_string()),
    }
}

/// Whether a standby may take the place of `peer` without force: not where that one lives and has much that is not here, nor where it may
/// live and cannot be asked. Nothing is changed by asking.
pub(super) fn ready(peer: &Peer, link: &Link) -> Result<(), String> {
    let with_force = "or promote by force (weir promote --force)";
    let mut behind = link.lag();
    match asked(peer, "GET", "/v1/leader", "") {
        Ok((200, text)) => {
            let told: Value = serde_json::from_str(&text).map_err(|error| format!("{peer}: {error}"))?;
            if let Some(records) = told["records"].as_u64() {
                behind = records.saturating_sub(link.next.load(Ordering::Acquire));
            }
        }
        Ok((status, _)) => {
            return Err(format!(
                "{peer} does not say who leads, it answers with status {status}: see to it that nothing reaches it, {with_force}"
            ));
        }
        Err(error) if is_gone(&error) => {}
        Err(error) => return Err(silent(peer, &error.to_string())),
    }
    if behind > BEHIND_MAX {
        return Err(format!(
            "this standby is {behind} records behind {peer}, at most {BEHIND_MAX} are expected: what was answered for them would be missing \
             here. Wait until it has caught up (GET /readyz says how far it is), {with_force} and go without them"
        ));
    }
    Ok(())
}

pub(super) fn silent(peer: &Peer, why: &str) -> String {
    format!(
        "{peer} does not refuse connections and does not answer either ({why}): it may live, and go on answering. Try again; or see to it that \
         nothing reaches it, and promote by force (weir promote --force)"
    )
}
