//! What keeping costs: encoding, the journal with group commit, the identity store and the index of judged events.
//!
//! `cargo bench --bench keep` prints one line a figure. `WEIR_BENCH_DIR` names the folder to write in (default: the system's temporary one).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use weir::decision::{Decision, Outcome, Part, Parts, Provenance, Reason, ReasonCode, Reasons, Skip, Skips, Status, Suspicion, Why};
use weir::engine::Output;
use weir::event::{
    Body, Content, Currency, Effort, Event, EventType, Id, IdKey, IdKind, Label, LabelSource, Money, Origin, Payment, Record, Sequence,
    Timestamp, Verdict,
};
use weir::identity::Identity;
use weir::journal::{
    Digest, Disk, Durability, Journal, LogOptions, OutputLog, Outputs, Records, decode_record, encode_output, encode_record,
};
use weir::store::Store;
use weir::targets::Targets;

fn id(kind: IdKind, number: u64) -> Id {
    IdKey::FILES.id(kind, &number.to_le_bytes())
}

fn payment(sequence: u64) -> Record {
    let amount = Money { minor: 12_345, currency: Currency::parse("EUR").expect("listed") };
    let body = Body::Payment(Payment {
        user: id(IdKind::User, sequence % 5000),
        merchant: id(IdKind::Merchant, sequence % 10_000),
        device: None,
        card: Some(id(IdKind::Card, sequence % 5000)),
        ip: None,
        amount,
        mcc: Some(5411),
        country: None,
        channel: None,
        session: None,
        items: Box::new([]),
    });
    let time = Timestamp(1_522_540_800_000_000 + sequence as i64 * 1_000_000);
    Record {
        sequence: Sequence(sequence),
        received: time,
        origin: Origin { source: 0, partition: 0, offset: sequence },
        effort: Effort::Full,
        content: Content::Event(Event { id: id(IdKind::Event, sequence), time, body }),
    }
}

/// A label of the payment in `record`.
fn label(record: &Record, targets: &Targets) -> Record {
    let Content::Event(event) = &record.content else { unreachable!("payments only") };
    let body = Body::Label(Label {
        target: event.id,
        verdict: Verdict::Legitimate,
        source: LabelSource::Rule,
        scenario: None,
        user: None,
        from: None,
        resolved: targets.resolve(event.id).expect("readable"),
    });
    let id = id(IdKind::RowLabel, record.sequence.0);
    Record { content: Content::Event(Event { id, time: event.time, body }), ..record.clone() }
}

fn decision(sequence: u64) -> Output {
    let mut reasons = Reasons::default();
    reasons.insert(Reason { code: ReasonCode::VelocityCount, cause: 3, weight: 500, value: 12 });
    reasons.insert(Reason { code: ReasonCode::Rule, cause: 1, weight: 400, value: 0 });
    let mut skipped = Skips::default();
    skipped.push(Skip { part: Part::Gnn, why: Why::NoModel, value: 0, window: 0 });
    skipped.push(Skip { part: Part::Typology, why: Why::NoTypologies, value: 0, window: 0 });
    Output::Decision(Decision {
        event: id(IdKind::Event, sequence),
        kind: EventType::Payment,
        key: id(IdKind::User, sequence % 5000),
        revision: 1,
        sequence: Sequence(sequence),
        time: Timestamp(1_522_540_800_000_000 + sequence as i64),
        outcome: Outcome::Challenge,
        risk_score: 500,
        probability: None,
        reasons,
        control_group: None,
        status: Status::Evaluated,
        used: Parts::default().with(Part::Rules).with(Part::Velocity),
        skipped,
        provenance: Provenance { model: None, policy: [1; 16], topology: [2; 16] },
        suspicion: Suspicion::default(),
    })
}

/// A stretch of work being timed.
struct Stretch {
    wall: Instant,
    cpu_ns: u64,
}

/// Nanoseconds that this thread has run, where the system tells: on a busy machine they say more than the clock.
fn thread_cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
}

fn start() -> Stretch {
    Stretch { cpu_ns: thread_cpu_ns(), wall: Instant::now() }
}

/// Prints how long one of `count` took, how much of it this thread ran, and how many a second that makes by the clock.
fn report(what: &str, count: usize, started: Stretch) {
    let seconds = started.wall.elapsed().as_secs_f64();
    let cpu = (thread_cpu_ns() - started.cpu_ns) as f64 / count as f64;
    println!("{what:<58} {:>9.1} ns {cpu:>9.1} ns CPU {:>12.0}/s", seconds * 1e9 / count as f64, count as f64 / seconds);
}

fn main() {
    let records: Vec<Record> = (0..1_000_000).map(payment).collect();
    let outputs: Vec<Output> = (0..100_000).map(decision).collect();
    encoding(&records, &outputs);

    let root = std::env::var_os("WEIR_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let scratch = tempfile::Builder::new().prefix("weir-bench-").tempdir_in(root).expect("a folder to write in");
    logs(&scratch.path().join("logs"), &records, &outputs);
    stores(&scratch.path().join("stores"), &records);
}

fn encoding(records: &[Record], outputs: &[Output]) {
    let mut body = Vec::new();
    let mut bytes = 0;
    let started = start();
    for record in records {
        body.clear();
        encode_record(record, &mut body);
        bytes += std::hint::black_box(&body).len();
    }
    report("encode a payment record", records.len(), started);
    println!("{:<58} {:>9}", "  bytes", bytes / records.len());
    let started = start();
    for _ in records {
        std::hint::black_box(decode_record(Sequence(1), std::hint::black_box(&body)).expect("readable"));
    }
    report("decode a payment record", records.len(), started);
    let (mut bytes, rounds) = (0, 10);
    let started = start();
    for output in outputs.iter().cycle().take(rounds * outputs.len()) {
        body.clear();
        encode_output(output, &mut body);
        bytes += std::hint::black_box(&body).len();
    }
    report("encode a decision", rounds * outputs.len(), started);
    println!("{:<58} {:>9}", "  bytes", bytes / (rounds * outputs.len()));
    let mut digest = Digest::new();
    let started = start();
    outputs.iter().for_each(|output| digest.update(output));
    std::hint::black_box(digest.finish());
    report("digest of a decision", outputs.len(), started);
}

fn logs(dir: &std::path::Path, records: &[Record], outputs: &[Output]) {
    for durability in [Durability::Written, Durability::Synced] {
        let options = LogOptions { durability, ..LogOptions::default() };
        let path = dir.join(format!("{durability:?}"));
        let (mut journal, _) = Journal::open(Arc::new(Disk), &path, IdKey::FILES, options).expect("a journal");
        let started = start();
        for group in records.chunks(256) {
            for record in group {
                journal.append(record).expect("appended");
            }
            journal.commit().expect("committed");
        }
        report(&format!("journal: append and commit in groups of 256, {durability:?}"), records.len(), started);
    }
    let started = start();
    let mut reader = Records::open(Arc::new(Disk), &dir.join("Written"), Sequence(0)).expect("readable");
    let mut count = 0;
    while reader.next_record().expect("whole").is_some() {
        count += 1;
    }
    report("journal: read and decode", count, started);
    let (mut log, _) = OutputLog::open(Arc::new(Disk), &dir.join("outputs"), LogOptions::default()).expect("a log");
    let started = start();
    for group in outputs.chunks(256) {
        for output in group {
            log.append(output).expect("appended");
        }
        log.commit().expect("committed");
    }
    report("output log: append and commit in groups of 256, Written", outputs.len(), started);
    let mut reader = Outputs::open(Arc::new(Disk), &dir.join("outputs"), Sequence(0)).expect("readable");
    while reader.next_output().expect("whole").is_some() {}
}

fn stores(dir: &std::path::Path, records: &[Record]) {
    for group in [256, 4096] {
        let store = Store::open(&dir.join(group.to_string())).expect("a store");
        let mut identity = Identity::open(&store).expect("a store of texts");
        let started = start();
        for (number, record) in records.iter().enumerate() {
            if let Content::Event(Event { id, body: Body::Payment(payment), .. }) = &record.content {
                identity.put(*id, IdKind::Event, "handbook-1234567");
                identity.put(payment.user, IdKind::User, "c-1234");
                identity.put(payment.merchant, IdKind::Merchant, "t-1234");
            }
            if number % group == group - 1 {
                identity.flush().expect("flushed");
            }
        }
        identity.flush().expect("flushed");
        report(&format!("identity: texts of a payment, groups of {group}"), records.len(), started);

        let mut targets = Targets::open(&store).expect("an index");
        let started = start();
        for record in records {
            targets.note(record);
            if targets.waiting() >= 4096 {
                targets.flush().expect("flushed");
            }
        }
        targets.flush().expect("flushed");
        report("targets: note a payment, groups of 4096", records.len(), started);
        let started = start();
        for record in records.iter().step_by(10) {
            let Content::Event(event) = &record.content else { continue };
            assert!(targets.resolve(event.id).expect("readable").is_some());
        }
        report("targets: resolve", records.len() / 10, started);
        let labels: Vec<Record> = records.iter().step_by(4).map(|record| label(record, &targets)).collect();
        let started = start();
        for label in &labels {
            targets.note(label);
            if targets.waiting() >= 4096 {
                targets.flush().expect("flushed");
            }
        }
        targets.flush().expect("flushed");
        report("targets: note a label", labels.len(), started);
    }
}
