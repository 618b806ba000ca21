//! Any bytes as a Parquet table behind a mapping: it does not open, or records, refusals and one error come of it. The reader's own panics
//! on damaged files are caught; one that gets out is a finding.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io::Write;
use weir::event::{Duration, EventType, Field, IdKey, Sequence, Timestamp, Verdict};
use weir::ingress::{Cell, CellValue, Format, InputLimits, LabelMapping, Mapping, Merge, Sinks, SourceOptions, TimeFormat};

fn column(name: &str) -> Cell {
    Cell { value: CellValue::Column(name.to_owned()), prefix: String::new(), null: None, scale: None, time: None }
}

fn source() -> SourceOptions {
    let since = TimeFormat::Since { unit: Duration::SECOND, since: Timestamp(0) };
    let fields = vec![
        (Field::Id, Cell { prefix: "p".to_owned(), ..column("id") }),
        (Field::Time, Cell { time: Some(since), ..column("t") }),
        (Field::User, Cell { null: Some("-1".to_owned()), ..column("user") }),
        (Field::Merchant, column("shop")),
        (Field::Amount, Cell { scale: Some(100), ..column("amount") }),
        (Field::Currency, Cell { value: CellValue::Constant("EUR".to_owned()), ..column("") }),
    ];
    let label = LabelMapping {
        column: "bad".to_owned(),
        kinds: vec![("1".to_owned(), Verdict::Fraud), ("0".to_owned(), Verdict::Legitimate)],
        delay: Duration::DAY,
        scenario: Some("why".to_owned()),
    };
    let mapping = Mapping { event: EventType::Payment, fields, label: Some(label), catalogue: None };
    SourceOptions {
        name: "table".to_owned(),
        files: Vec::new(),
        format: Format::Table(mapping),
        jump_max: Duration::DAY,
        maturity: None,
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::Builder::new().suffix(".parquet").tempfile().expect("a folder for temporary files");
    file.write_all(bytes).expect("room for a small file");
    let files = [file.path().to_owned()];
    let Ok(mut merge) = Merge::open(&files, &[source()], InputLimits::default(), IdKey::FILES, Sequence(0)) else { return };
    let mut out = Vec::new();
    while let Ok(true) = merge.next_batch(16, &mut out, Sinks { texts: &mut (), targets: &mut (), rejected: &mut () }) {}
});
