//! The rule of addresses: what may be missing on loopback, and nowhere else.

use super::file::load_keys;
use super::options::Security;
use jiff::Timestamp;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// Who needs a key at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nobody: only this machine reaches the address. A key that is sent counts all the same.
    Loopback,
    /// Everybody.
    Keys,
    /// What was missing, and `insecure = true` started the service without. With no keys there nobody needs one, until the first is added.
    Insecure { keys: bool, tls: bool },
}

/// Whether only this machine reaches an address.
pub(super) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Who needs a key at `listen`, with the keys that are in force now. `data` is the data directory.
///
/// # Errors
/// Where the service must not start: keys or TLS are missing at an address that others reach (the message says what to do), or the file of
/// keys cannot be used. TLS counts as there when it is named; whether its files can be used shows when they are opened.
pub fn check(listen: SocketAddr, security: &Security, data: &Path) -> Result<Mode, String> {
    let file = security.keys_file(data);
    let has_keys = load_keys(&file)?.is_some_and(|keys| keys.any_valid(Timestamp::now()));
    let (local, has_tls) = (is_loopback(listen.ip()), security.tls.is_some());
    if local && security.loopback_open {
        return Ok(Mode::Loopback);
    }
    if has_keys && (has_tls || local) {
        return Ok(Mode::Keys);
    }
    if security.insecure {
        return Ok(Mode::Insecure { keys: !has_keys, tls: !has_tls && !local });
    }
    Err(refusal(listen, &file, has_keys, has_tls))
}

fn refusal(listen: SocketAddr, file: &Path, has_keys: bool, has_tls: bool) -> String {
    let local = is_loopback(listen.ip());
    let missing = match (has_keys, has_tls || local) {
        (false, false) => "neither an API key in force nor TLS",
        (false, true) => "no API key in force",
        _ => "no TLS",
    };
    let why = if local { "expected a key where loopback_open is false" } else { "expected keys and TLS where others reach the address" };
    let mut text = format!("{listen}: found {missing}, {why}");
    let mut line = |words: std::fmt::Arguments| write!(text, "\n  {words}").expect("a string takes every text");
    if !has_keys {
        line(format_args!("add a key:    weir keys add --name NAME --scope hook --file {}", file.display()));
    }
    if !has_tls && !local {
        line(format_args!("name the TLS files in the topology:    [security] tls_certificate = \"chain.pem\", tls_key = \"key.pem\""));
    }
    match local {
        true => line(format_args!("or let every program on this machine ask:    [security] loopback_open = true")),
        false => line(format_args!("or listen where only this machine asks:    listen = \"127.0.0.1:{}\"", listen.port())),
    }
    line(format_args!("or do without, at your own risk and logged every hour:    [security] insecure = true"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Scope;
    use crate::doors::file::change_keys;
    use crate::doors::tests::security;
    use crate::doors::{KEYS_NAME, TlsFiles};
    use jiff::SignedDuration;

    fn add(data: &Path, created: Timestamp) {
        let lifetime = Some(SignedDuration::from_hours(1));
        change_keys(&data.join(KEYS_NAME), |keys| keys.add("one", &[Scope::Hook], lifetime, created)).expect("added");
    }

    fn tls() -> Option<TlsFiles> {
        Some(TlsFiles { certificate: "chain.pem".into(), key: "key.pem".into() })
    }

    /// Every kind of address, with everything and with nothing. Planted mistake it caught: `is_loopback` without `to_canonical`.
    #[test]
    fn only_loopback_may_lack_something() {
        let (bare, keyed) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        add(keyed.path(), Timestamp::now());
        for (listen, local) in [
            ("127.0.0.1:8080", true),
            ("127.8.9.10:8080", true),
            ("[::1]:8080", true),
            ("[::ffff:127.0.0.1]:8080", true),
            ("0.0.0.0:8080", false),
            ("[::]:8080", false),
            ("[::ffff:0.0.0.0]:8080", false),
            ("10.0.0.1:8080", false),
            ("169.254.1.1:8080", false),
            ("192.0.2.7:8080", false),
            ("[::ffff:192.0.2.7]:8080", false),
            ("[fe80::1]:8080", false),
            ("[2001:db8::1]:8080", false),
            ("128.0.0.1:8080", false),
        ] {
            let listen: SocketAddr = listen.parse().expect("an address");
            for (data, has_keys) in [(bare.path(), false), (keyed.path(), true)] {
                for has_tls in [false, true] {
                    let mut options = Security { tls: tls().filter(|_| has_tls), ..security() };
                    let found = check(listen, &options, data);
                    let complete = has_keys && has_tls;
                    let expected = if local { Some(Mode::Loopback) } else { complete.then_some(Mode::Keys) };
                    assert_eq!(found.clone().ok(), expected, "{listen} keys {has_keys} tls {has_tls}");
                    if let Err(text) = found {
                        assert_eq!(text.contains("weir keys add --name NAME --scope hook --file"), !has_keys, "{text}");
                        assert_eq!(text.contains("tls_certificate = "), !has_tls, "{text}");
                        assert!(text.contains("insecure = true") && text.contains("listen = \"127.0.0.1:8080\""), "{text}");
                    }
                    options.insecure = true;
                    let expected = match (local, complete) {
                        (true, _) => Mode::Loopback,
                        (false, true) => Mode::Keys,
                        (false, false) => Mode::Insecure { keys: !has_keys, tls: !has_tls },
                    };
                    assert_eq!(check(listen, &options, data), Ok(expected), "{listen} keys {has_keys} tls {has_tls}, insecure");
                }
            }
        }
    }

    #[test]
    fn behind_a_proxy_on_this_machine_a_key_is_needed_and_tls_is_not() {
        let data = tempfile::tempdir().expect("a directory");
        let options = Security { loopback_open: false, ..security() };
        let listen: SocketAddr = "127.0.0.1:1".parse().expect("an address");
        let refused = check(listen, &options, data.path()).expect_err("no key");
        assert!(refused.contains("found no API key in force") && !refused.contains("tls_certificate"), "{refused}");
        add(data.path(), Timestamp::now());
        assert_eq!(check(listen, &options, data.path()), Ok(Mode::Keys));
    }

    #[test]
    fn keys_that_open_nothing_do_not_count() {
        let data = tempfile::tempdir().expect("a directory");
        add(data.path(), Timestamp::from_second(1_000_000).expect("a moment"));
        let options = Security { tls: tls(), ..security() };
        let refused = check("0.0.0.0:1".parse().expect("an address"), &options, data.path()).expect_err("expired");
        assert!(refused.contains("found no API key in force"), "{refused}");
    }

    #[test]
    fn a_broken_file_stops_the_start_everywhere() {
        let data = tempfile::tempdir().expect("a directory");
        add(data.path(), Timestamp::now());
        std::fs::write(data.path().join(KEYS_NAME), "{").expect("written");
        for listen in ["127.0.0.1:1", "0.0.0.0:1"] {
            let options = Security { insecure: true, ..security() };
            let refused = check(listen.parse().expect("an address"), &options, data.path()).expect_err("broken");
            assert!(refused.contains("keys.json: found no list of keys"), "{refused}");
        }
    }
}
