//! The mapping behind which both kinds of table are read.

use weir::event::{Duration, EventType, Field, Timestamp, Verdict};
use weir::ingress::{Cell, CellValue, Format, LabelMapping, Mapping, SourceOptions, TimeFormat};

fn column(name: &str) -> Cell {
    Cell { value: CellValue::Column(name.to_owned()), prefix: String::new(), null: None, scale: None, time: None }
}

/// A source of payments with a label of columns id, t, user, shop, amount, bad and why.
pub fn source() -> SourceOptions {
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
    SourceOptions { name: "table".to_owned(), files: Vec::new(), format: Format::Table(mapping), jump_max: Duration::DAY, maturity: None }
}
