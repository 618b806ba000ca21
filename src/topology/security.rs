//! `[security]`: who may come in.

use super::section::Section;
use crate::api::Scope;
use crate::doors::{Rate, Rates, Security, TlsFiles};
use crate::event::Duration;
use std::path::{Path, PathBuf};

/// The longest handshake that may be allowed for.
const HANDSHAKE_MAX: Duration = Duration::MINUTE;

/// Reads `[security]`. `folders` are those of the layers, against which their relative files are resolved.
pub(super) fn read(section: &Section, folders: &[&Path]) -> Security {
    let file = |key: &str| -> Option<PathBuf> {
        let item = section.find(key)?;
        let text = item.text("a file's path", 4096)?;
        Some(folders.get(item.layer).copied().unwrap_or(Path::new("")).join(text))
    };
    let keys = file("keys");
    let tls = match (file("tls_certificate"), file("tls_key")) {
        (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
        _ => None,
    };
    for (there, absent) in [("tls_certificate", "tls_key"), ("tls_key", "tls_certificate")] {
        if section.has(there) && !section.has(absent) {
            section.error(there, format!("{there} without {absent}"), "both or neither");
        }
    }
    let handshake_max = section.duration("handshake_max", Duration(1000)..=HANDSHAKE_MAX);
    let security = Security {
        keys,
        tls,
        handshake_max: std::time::Duration::from_micros(handshake_max.0.unsigned_abs()),
        loopback_open: flag(section, "loopback_open"),
        insecure: flag(section, "insecure"),
        rates: read_rates(&section.section("rates")),
    };
    section.finish();
    security
}

fn flag(section: &Section, key: &str) -> bool {
    section.need(key, "true or false").and_then(|item| item.boolean()).unwrap_or_default()
}

fn read_rates(section: &Section) -> Rates {
    let rates = Rates {
        scopes: Scope::ALL.map(|scope| read_rate(&section.section(scope.name()))),
        failures: read_rate(&section.section("failures")),
    };
    section.finish();
    rates
}

fn read_rate(section: &Section) -> Rate {
    let number = |key: &str| section.integer(key, 1..=1_000_000) as u32;
    let rate = Rate { per_second: number("per_second"), burst: number("burst") };
    section.finish();
    rate
}
