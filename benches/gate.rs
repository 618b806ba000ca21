//! What the gate costs a request: a header split, a look into a map, one SHA-256 of 43 bytes, a comparison, a bucket.
//!
//! `cargo bench --bench gate`

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::net::SocketAddr;
use weir::api::{Gate, Scope};
use weir::doors::{KeyGate, Mode, Rate, Rates, change_keys};

/// As many keys as a large house has.
const KEYS: usize = 200;

fn gate(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("keys.json");
    let headers = change_keys(&file, |keys| {
        let now = jiff::Timestamp::now();
        (0..KEYS).map(|number| Ok(format!("Bearer {}", keys.add(&format!("key {number}"), &[Scope::Hook], None, now)?.reveal()))).collect()
    });
    let headers: Vec<String> = headers.expect("keys can be added");
    // More than the loop asks for, so that nobody is refused for haste.
    let rate = Rate { per_second: 1_000_000, burst: 1_000_000 };
    let rates = Rates { scopes: [rate; Scope::ALL.len()], failures: rate };
    let open = |mode| KeyGate::open(&file, mode, rates).expect("the file was written above");
    let (keyed, local) = (open(Mode::Keys), open(Mode::Loopback));
    let peer: SocketAddr = "127.0.0.1:4711".parse().expect("an address");
    let mut at = 0;
    // One key after the other: each finds its own bucket, as in traffic.
    criterion.bench_function("admit by a key in force, one of 200", |bencher| {
        bencher.iter(|| {
            at = (at + 1) % KEYS;
            keyed.admit(Some(black_box(&headers[at])), peer, &[Scope::Hook]).expect("in force")
        })
    });
    criterion.bench_function("admit by the address alone", |bencher| {
        bencher.iter(|| local.admit(None, black_box(peer), &[Scope::Hook]).expect("loopback"))
    });
}

criterion_group!(benches, gate);
criterion_main!(benches);
