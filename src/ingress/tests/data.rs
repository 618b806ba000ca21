//! The shared data sets, where they are there.

use super::*;
use std::time::Instant;

fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}

/// As handbook.toml says.
fn handbook(path: PathBuf) -> SourceOptions {
    let fields = vec![
        (Field::Id, prefixed("TRANSACTION_ID", "hb-")),
        (Field::Time, Cell { time: Some(TimeFormat::Zoned { zone: "UTC".to_owned() }), ..column("TX_DATETIME") }),
        (Field::User, prefixed("CUSTOMER_ID", "c")),
        (Field::Merchant, prefixed("TERMINAL_ID", "t")),
        (Field::Amount, Cell { scale: Some(100), ..column("TX_AMOUNT") }),
        (Field::Currency, constant("EUR")),
    ];
    let kinds = vec![("1".to_owned(), Verdict::Fraud), ("0".to_owned(), Verdict::Legitimate)];
    let label = LabelMapping {
        column: "TX_FRAUD".to_owned(),
        kinds,
        delay: Duration::DAY.times(7),
        scenario: Some("TX_FRAUD_SCENARIO".to_owned()),
    };
    source("handbook", &[path], Format::Table(Mapping { event: EventType::Payment, fields, label: Some(label), catalogue: None }))
}

fn since_2025(name: &str, unit: Duration) -> Cell {
    let since = parse_rfc_3339("2025-01-01T00:00:00Z").unwrap();
    Cell { time: Some(TimeFormat::Since { unit, since }), ..column(name) }
}

/// Counts by type, refusals, and the number of bad labels; checks order, `received` and what labels say on the way.
#[derive(Debug, Default, PartialEq)]
struct Counts {
    by_type: [usize; 9],
    refused: usize,
    bad: usize,
    scenarios: usize,
}

fn count(source: SourceOptions) -> Counts {
    let mut merge = open(&[], &[source]).unwrap();
    let mut counts = Counts::default();
    let mut out = Vec::new();
    let mut last: Option<(Timestamp, Timestamp)> = None;
    while merge.next_batch(500, &mut out, Sinks { texts: &mut (), targets: &mut (), rejected: &mut () }).unwrap() {
        for record in &out {
            let Content::Event(event) = &record.content else {
                counts.refused += 1;
                continue;
            };
            counts.by_type[event.body.kind() as usize] += 1;
            let (greatest, received) = last.unwrap_or((event.time, event.time));
            assert_eq!(record.received, greatest);
            assert!(record.received >= received && event.time >= greatest, "the shared files are in order");
            last = Some((greatest.max(event.time), record.received));
            if let Body::Label(label) = &event.body {
                counts.bad += usize::from(label.verdict != Verdict::Legitimate);
                counts.scenarios += usize::from(label.scenario.is_some());
                let target = label.resolved.unwrap();
                assert!(target.sequence < record.sequence && target.time < event.time);
            }
        }
    }
    let (read, total) = (merge.progress().bytes(), merge.bytes_total());
    assert!(read <= total && read * 100 >= total * 99, "a bar would end at {read} of {total} bytes");
    counts
}

#[test]
fn handbook_is_read_to_its_end() {
    let Some(path) = shared("handbook/transactions.parquet") else { return };
    let counts = count(handbook(path));
    assert_eq!(counts, Counts { by_type: [1_466_282, 0, 0, 0, 0, 0, 1_466_282, 0, 0], refused: 0, bad: 12_134, scenarios: 12_134 });
}

#[test]
fn aml_is_read_to_its_end() {
    let Some(path) = shared("aml/all.parquet") else { return };
    let absent = |name: &str, prefix: &str| Cell { null: Some("-1".to_owned()), ..prefixed(name, prefix) };
    let fields = vec![
        (Field::Id, prefixed("tx_id", "a-")),
        (Field::Time, since_2025("step", Duration::DAY)),
        (Field::From, absent("src", "n")),
        (Field::To, absent("dst", "n")),
        (Field::Amount, Cell { scale: Some(100), ..column("amount") }),
        (Field::Currency, constant("SEK")),
        (Field::FromBank, absent("src_bank", "b")),
        (Field::ToBank, absent("dst_bank", "b")),
    ];
    let label = LabelMapping {
        column: "is_laundering".to_owned(),
        kinds: vec![("1".to_owned(), Verdict::Laundering), ("0".to_owned(), Verdict::Legitimate)],
        delay: Duration::DAY.times(30),
        scenario: Some("typology".to_owned()),
    };
    let mapping = Mapping { event: EventType::Transfer, fields, label: Some(label), catalogue: None };
    let counts = count(source("aml", &[path], Format::Table(mapping)));
    assert_eq!(counts.by_type[EventType::Transfer as usize] + counts.refused, 344_208);
    assert_eq!(counts.by_type[EventType::Label as usize], counts.by_type[EventType::Transfer as usize]);
    println!("{counts:?}");
}

#[test]
fn wiki_is_read_to_its_end() {
    let Some(path) = shared("wiki/edits.parquet") else { return };
    let fields = vec![
        (Field::Id, Cell { prefix: "w-".to_owned(), ..cell(CellValue::Row) }),
        (Field::Time, since_2025("t_s", Duration::SECOND)),
        (Field::User, prefixed("user", "u")),
        (Field::Action, constant("view")),
        (Field::Item, prefixed("page", "p")),
    ];
    let catalogue = Some(vec![(Field::Item, prefixed("page", "p"))]);
    let mapping = Mapping { event: EventType::Interaction, fields, label: None, catalogue };
    let counts = count(source("wiki", &[path], Format::Table(mapping)));
    assert_eq!(counts, Counts { by_type: [0, 0, 0, 0, 157_474, 1000, 0, 0, 0], ..Counts::default() });
}

/// The price of reading: `cargo test --release handbook_rows_a_second -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement, for release builds"]
fn handbook_rows_a_second() {
    let Some(path) = shared("handbook/transactions.parquet") else { return };
    let mut merge = open(&[], &[handbook(path)]).unwrap();
    let mut out = Vec::with_capacity(500);
    let start = Instant::now();
    let (mut rows, mut records) = (0u64, 0u64);
    while merge.next_batch(500, &mut out, Sinks { texts: &mut (), targets: &mut (), rejected: &mut () }).unwrap() {
        records += out.len() as u64;
        rows +=
            out.iter().filter(|record| matches!(&record.content, Content::Event(e) if e.body.kind() == EventType::Payment)).count() as u64;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{rows} rows, {records} records in {seconds:.3} s: {:.0} rows/s", rows as f64 / seconds);
}
