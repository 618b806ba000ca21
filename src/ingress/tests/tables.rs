//! Tables: equal events from every format, what cells may hold, catalogues, and what cannot be read.

use super::*;
use ::parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;
use proptest::prelude::*;
use std::sync::Arc;

/// A column's values for a written file; `None` is null.
enum Values {
    Int32(Vec<Option<i32>>),
    Int64(Vec<Option<i64>>),
    Double(Vec<Option<f64>>),
    Text(Vec<Option<&'static str>>),
}

/// Writes columns with the schema's optional fields, in row groups of `group` rows.
fn write_parquet(folder: &Path, name: &str, schema: &str, columns: &[Values], group: usize) -> PathBuf {
    let path = folder.join(name);
    let schema = Arc::new(parse_message_type(&format!("message table {{ {schema} }}")).unwrap());
    let properties = Arc::new(WriterProperties::builder().set_data_page_row_count_limit(3).set_write_batch_size(2).build());
    let mut writer = SerializedFileWriter::new(fs::File::create(&path).unwrap(), schema, properties).unwrap();
    let rows = match &columns[0] {
        Values::Int32(values) => values.len(),
        Values::Int64(values) => values.len(),
        Values::Double(values) => values.len(),
        Values::Text(values) => values.len(),
    };
    for start in (0..rows).step_by(group) {
        let range = start..(start + group).min(rows);
        let mut written = writer.next_row_group().unwrap();
        for column in columns {
            let mut column_writer = written.next_column().unwrap().unwrap();
            match column {
                Values::Int32(values) => put::<Int32Type>(&mut column_writer, values[range.clone()].iter().copied()),
                Values::Int64(values) => put::<Int64Type>(&mut column_writer, values[range.clone()].iter().copied()),
                Values::Double(values) => put::<DoubleType>(&mut column_writer, values[range.clone()].iter().copied()),
                Values::Text(values) => {
                    put::<ByteArrayType>(&mut column_writer, values[range.clone()].iter().map(|text| text.map(ByteArray::from)))
                }
            }
            column_writer.close().unwrap();
        }
        written.close().unwrap();
    }
    writer.close().unwrap();
    path
}

fn put<T: DataType>(writer: &mut ::parquet::file::writer::SerializedColumnWriter<'_>, values: impl Iterator<Item = Option<T::T>>) {
    let values: Vec<Option<T::T>> = values.collect();
    let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
    let there: Vec<T::T> = values.into_iter().flatten().collect();
    writer.typed::<T>().write_batch(&there, Some(&levels), None).unwrap();
}

fn payments(fields: Vec<(Field, Cell)>) -> Mapping {
    Mapping { event: EventType::Payment, fields, label: None, catalogue: None }
}

fn berlin(name: &str) -> Cell {
    Cell { time: Some(TimeFormat::Zoned { zone: "Europe/Berlin".to_owned() }), ..column(name) }
}

/// The mapping of the three files that must say the same.
fn mapping() -> Mapping {
    payments(vec![
        (Field::Id, prefixed("id", "p-")),
        (Field::Time, berlin("time")),
        (Field::User, prefixed("user", "c")),
        (Field::Merchant, column("shop")),
        (Field::Device, Cell { null: Some("-1".to_owned()), ..column("device") }),
        (Field::Amount, Cell { scale: Some(100), ..column("amount") }),
        (Field::Currency, constant("EUR")),
        (Field::Mcc, column("mcc")),
        (Field::Channel, constant("web")),
    ])
}

const COLUMNS: &str =
    "optional int32 id; optional int64 time (TIMESTAMP(MILLIS,false)); optional int32 user; optional binary shop (STRING);
    optional int32 device (INTEGER(8,true)); optional double amount; optional int32 mcc; optional double unused;";

fn parquet_columns() -> Vec<Values> {
    // 2024-07-01T12:00:00 on the clocks of Berlin, a minute apart.
    let noon = 1_719_835_200_000;
    vec![
        Values::Int32((0..5).map(Some).collect()),
        Values::Int64((0..5).map(|n| Some(noon + n * 60_000 + 250)).collect()),
        Values::Int32(vec![Some(7), Some(-7), Some(0), Some(i32::MAX), Some(1)]),
        Values::Text(vec![Some("corner"), Some("müller"), Some("a,\"b\""), None, Some("x")]),
        Values::Int32(vec![Some(-1), Some(4), None, Some(1), Some(-2)]),
        Values::Double(vec![Some(57.16), Some(0.29), Some(1_071.15), Some(1.0), Some(-1.0)]),
        Values::Int32(vec![Some(5411), None, Some(742), Some(1), Some(2)]),
        Values::Double(vec![None; 5]),
    ]
}

const CSV: &str = "mcc,id,time,user,shop,device,amount\n\
    5411,0,2024-07-01T12:00:00.250,7,corner,-1,57.16\n\
    ,1,2024-07-01 12:01:00.25,-7,müller,4,.29\n\
    742,2,2024-07-01T10:02:00.25Z,0,\"a,\"\"b\"\"\",,1071.15\n\
    1,3,2024-07-01T12:03:00.25,2147483647,,1,1\n\
    2,4,2024-07-01T12:04:00.25,1,x,-2,-1.00\n";

const LINES: &str = r#"{"type":"payment","id":"p-0","time":"2024-07-01T10:00:00.25Z","user":"c7","merchant":"corner","amount":5716,"currency":"EUR","mcc":5411,"channel":"web"}
{"type":"payment","id":"p-1","time":"2024-07-01T10:01:00.25Z","user":"c-7","merchant":"müller","device":"4","amount":29,"currency":"EUR","channel":"web"}
{"type":"payment","id":"p-2","time":"2024-07-01T10:02:00.25Z","user":"c0","merchant":"a,\"b\"","amount":107115,"currency":"EUR","mcc":742,"channel":"web"}
{"type":"payment","id":"p-3","time":"2024-07-01T10:03:00.25Z","user":"c2147483647","device":"1","amount":100,"currency":"EUR","mcc":1,"channel":"web"}
{"type":"payment","id":"p-4","time":"2024-07-01T10:04:00.25Z","user":"c1","merchant":"x","device":"-2","amount":-100,"currency":"EUR","mcc":2,"channel":"web"}
"#;

// Caught nulls that shifted a column's values by a row, and clocks of a zone taken for UTC.
#[test]
fn rows_say_the_same_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let lines = write_file(folder.path(), "a.jsonl", LINES);
    let (expected, heard) = read_files(&[lines], &[source("s", &[], Format::Wire)]);
    let refused: Vec<Refused> =
        expected.iter().filter_map(|r| if let Content::Refused(refused) = r.content { Some(refused) } else { None }).collect();
    let of = |reason, field| Refused { reason, field: Some(field) };
    assert_eq!(refused, [of(Refusal::Missing, Field::Merchant), of(Refusal::Invalid, Field::Amount)]);

    let csv = write_file(folder.path(), "a.csv", CSV);
    let packed = folder.path().join("b.csv.zst");
    fs::write(&packed, zstd::stream::encode_all(CSV.as_bytes(), 3).unwrap()).unwrap();
    let mut files = vec![csv, packed];
    for group in [1, 2, 5] {
        files.push(write_parquet(folder.path(), &format!("{group}.parquet"), COLUMNS, &parquet_columns(), group));
    }
    for file in files {
        let (found, told) = read_files(std::slice::from_ref(&file), &[source("s", &[], Format::Table(mapping()))]);
        assert_eq!(found, expected, "{}", file.display());
        assert_eq!(told.texts, heard.texts, "{}", file.display());
    }
}

/// One payment from one CSV cell behind `field`.
fn one_cell(field: Field, cell: Cell, text: &str) -> Result<Event, (Refusal, String)> {
    let folder = tempfile::tempdir().unwrap();
    let file = write_file(folder.path(), "a.csv", &format!("x,y\n\"{text}\",1\n"));
    let mut fields = vec![
        (Field::Id, constant("e")),
        (Field::Time, constant("2025-01-01T00:00:00Z")),
        (Field::User, constant("u")),
        (Field::Merchant, constant("m")),
        (Field::Amount, constant("1")),
        (Field::Currency, constant("EUR")),
    ];
    fields.retain(|(other, _)| *other != field);
    fields.push((field, cell));
    let (records, heard) = read_files(&[file], &[source("s", &[], Format::Table(payments(fields)))]);
    match &records[0].content {
        Content::Event(event) => Ok(event.clone()),
        Content::Refused(refused) => Err((refused.reason, heard.rejected[0].2.clone())),
        other => panic!("found {other:?}"),
    }
}

fn minor(event: Event) -> i64 {
    let Body::Payment(payment) = event.body else { panic!("found {:?}", event.body) };
    payment.amount.minor
}

#[test]
fn amounts_are_scaled_exactly_or_refused() {
    let cents = Cell { scale: Some(100), ..column("x") };
    for (text, expected) in [("57.16", 5716), ("0.125", 12), ("0.135", 14), ("-0", 0), ("10000000000", 1_000_000_000_000)] {
        assert_eq!(one_cell(Field::Amount, cents.clone(), text).map(minor), Ok(expected), "{text}");
    }
    for text in ["NaN", "inf", "1e3", "12,50", "-0.01", "10000000000.01", "9999999999999999999999999999999999999"] {
        assert_eq!(one_cell(Field::Amount, cents.clone(), text).map_err(|(reason, _)| reason).map(minor), Err(Refusal::Invalid), "{text}");
    }
    assert_eq!(one_cell(Field::Amount, column("x"), "12").map(minor), Ok(12));
    let (_, detail) = one_cell(Field::Amount, column("x"), "12.5").unwrap_err();
    assert_eq!(detail, "amount: found \"12.5\", expected an integer of minor units");
    assert_eq!(one_cell(Field::Amount, column("x"), "").map(minor).map_err(|(reason, _)| reason), Err(Refusal::Missing));
}

#[test]
fn times_are_read_as_the_mapping_says() {
    let at = |text: &str| parse_rfc_3339(text).unwrap();
    let cell = |time| Cell { time: Some(time), ..column("x") };
    let since = |unit| cell(TimeFormat::Since { unit, since: at("2025-01-01T00:00:00Z") });
    let pattern = |format: &str| cell(TimeFormat::Pattern { format: format.to_owned(), zone: "Europe/Berlin".to_owned() });
    for (cell, text, expected) in [
        (since(Duration::DAY), "31", "2025-02-01T00:00:00Z"),
        (since(Duration::HOUR), "-0.5", "2024-12-31T23:30:00Z"),
        (since(Duration(1000)), "0.0015", "2025-01-01T00:00:00.000002Z"),
        (pattern("%d.%m.%Y %H:%M:%S"), "01.07.2025 12:00:00", "2025-07-01T10:00:00Z"),
        (pattern("%Y-%m-%dT%H:%M:%S%z"), "2025-07-01T12:00:00+0000", "2025-07-01T12:00:00Z"),
        (berlin("x"), "2025-07-01T12:00:00", "2025-07-01T10:00:00Z"),
        (column("x"), "2025-07-01T12:00:00", "2025-07-01T12:00:00Z"),
    ] {
        assert_eq!(one_cell(Field::Time, cell, text).map(|event| event.time), Ok(at(expected)), "{text}");
    }
    for (cell, text) in [
        (since(Duration::DAY), "tomorrow"),
        (since(Duration::DAY), "9223372036854775807"),
        (pattern("%d.%m.%Y"), "2025-07-01"),
        (column("x"), "1735689600"),
    ] {
        assert_eq!(one_cell(Field::Time, cell, text).map_err(|(reason, _)| reason), Err(Refusal::Invalid), "{text}");
    }
    assert_eq!(one_cell(Field::Time, since(Duration::DAY), "99999").unwrap_err().0, Refusal::TimeOutOfRange);
    let broken = Cell { time: Some(TimeFormat::Zoned { zone: "Mars/Base".to_owned() }), ..column("x") };
    let folder = tempfile::tempdir().unwrap();
    let file = write_file(folder.path(), "a.csv", "x\n");
    let error = open(&[file], &[source("s", &[], Format::Table(payments(vec![(Field::Time, broken)])))]).err().unwrap();
    assert_eq!(error.to_string(), "source s: found the time zone \"Mars/Base\", expected an IANA name");
}

#[test]
fn parquet_types_mean_what_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let schema = "optional int64 t (TIMESTAMP(NANOS,true)); optional int64 d (DECIMAL(12,2)); optional int64 u (INTEGER(64,false)); optional int32 day (DATE);";
    let columns = [
        Values::Int64(vec![Some(1_735_689_600_000_001_999), Some(1_735_689_601_000_000_000)]),
        Values::Int64(vec![Some(1250), Some(7)]),
        Values::Int64(vec![Some(5), Some(-1)]),
        Values::Int32(vec![Some(20_089), Some(20_089)]),
    ];
    let file = write_parquet(folder.path(), "a.parquet", schema, &columns, 9);
    let fields = |time: Cell, amount: &str| {
        payments(vec![
            (Field::Id, cell(CellValue::Row)),
            (Field::Time, time),
            (Field::User, column("u")),
            (Field::Merchant, column("d")),
            (Field::Amount, Cell { scale: Some(1000), ..column(amount) }),
            (Field::Currency, constant("BHD")),
        ])
    };
    let (records, heard) = read_files(std::slice::from_ref(&file), &[source("s", &[], Format::Table(fields(berlin("t"), "d")))]);
    let first = event(&records[0]);
    assert_eq!(first.time, Timestamp(1_735_689_600_000_001), "a moment needs no zone");
    let Body::Payment(payment) = &first.body else { panic!() };
    assert_eq!(payment.amount.minor, 12_500);
    assert_eq!(heard.texts[&payment.merchant].1, "12.5");
    assert_eq!(heard.texts[&payment.user].1, "5");
    assert!(heard.rejected[0].2.contains("more than 64 bits"), "{:?}", heard.rejected);
    let (records, _) = read_files(&[file], &[source("s", &[], Format::Table(fields(berlin("day"), "u")))]);
    assert_eq!(minor(event(&records[0]).clone()), 5000, "integers are scaled too");
    assert_eq!(Some(event(&records[0]).time), parse_rfc_3339("2024-12-31T23:00:00Z"), "midnight on the clocks of Berlin");
}

#[test]
fn a_missing_column_names_those_that_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let mapped = source("s", &[], Format::Table(payments(vec![(Field::Id, column("ID")), (Field::User, column("user"))])));
    let csv = write_file(folder.path(), "a.csv", "id,user\n1,2\n");
    let parquet = write_parquet(
        folder.path(),
        "a.parquet",
        "optional int32 id; optional int32 user;",
        &[Values::Int32(vec![Some(1)]), Values::Int32(vec![Some(1)])],
        1,
    );
    for file in [csv, parquet] {
        let error = open(std::slice::from_ref(&file), std::slice::from_ref(&mapped)).err().unwrap().to_string();
        assert_eq!(error, format!("{}: column ID is missing, found id, user", file.display()));
    }
}

#[test]
fn bad_rows_are_refused_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    let long = "y".repeat(InputLimits::default().line_bytes_max + 1);
    let mut text = b"x,id\na,1\nb\nc,2,3\n\xff,4\n".to_vec();
    text.extend(format!("{long},5\nd,6\n").bytes());
    fs::write(&path, text).unwrap();
    let fields = vec![
        (Field::Id, column("id")),
        (Field::Time, constant("2025-01-01T00:00:00Z")),
        (Field::User, column("x")),
        (Field::Merchant, constant("m")),
        (Field::Amount, constant("1")),
        (Field::Currency, constant("EUR")),
    ];
    let mapped = source("s", &[], Format::Table(payments(fields)));
    let (records, heard) = read_files(std::slice::from_ref(&path), std::slice::from_ref(&mapped));
    let refused: Vec<Option<Refusal>> =
        records.iter().map(|record| if let Content::Refused(refused) = record.content { Some(refused.reason) } else { None }).collect();
    let expected = [None, Some(Refusal::Malformed), Some(Refusal::Malformed), Some(Refusal::Invalid), Some(Refusal::Oversized), None];
    assert_eq!(refused, expected);
    assert_eq!(heard.rejected[0].1, "b");
    assert_eq!(heard.rejected[1].2, "found 3 cells, expected 2 as in the header");

    // A quote that never closes ends the file, and does not take it into memory.
    fs::write(&path, format!("x,id\na,1\n\"{}", "z,\n".repeat(200_000))).unwrap();
    let mut merge = open(std::slice::from_ref(&path), &[mapped]).unwrap();
    let mut out = Vec::new();
    let mut read = || merge.next_batch(9, &mut out, Sinks { texts: &mut (), targets: &mut (), rejected: &mut () });
    let error = read().unwrap_err();
    assert_eq!((error.path.as_deref(), error.offset), (Some(path.as_path()), Some(1)));
    assert!(error.message.contains("expected closed quotes"), "{error}");
    assert_eq!(read(), Ok(false));
}

/// Interactions over two files, numbered by row, with a catalogue.
fn edits(files: &[PathBuf]) -> SourceOptions {
    let fields = vec![
        (Field::Id, Cell { prefix: "w-".to_owned(), ..cell(CellValue::Row) }),
        (Field::Time, column("time")),
        (Field::User, column("user")),
        (Field::Action, constant("view")),
        (Field::Item, prefixed("page", "p")),
    ];
    let catalogue = vec![(Field::Item, prefixed("page", "p")), (Field::Price, column("price")), (Field::Currency, constant("EUR"))];
    source("edits", files, Format::Table(Mapping { event: EventType::Interaction, fields, label: None, catalogue: Some(catalogue) }))
}

// Caught row numbers that began anew in the second file.
#[test]
fn a_catalogue_is_announced_once_before_the_stream() {
    let folder = tempfile::tempdir().unwrap();
    let a = write_file(
        folder.path(),
        "a.csv",
        "time,user,page,price\n2025-01-01T00:00:05Z,u,1,10\n2025-01-01T00:00:06Z,u,1,99\n2025-01-01T00:00:07Z,u,,5\n",
    );
    let b = write_file(
        folder.path(),
        "b.csv",
        "time,user,page,price\n2025-01-01T00:00:03Z,u,3,abc\n2025-01-01T00:00:05Z,u,2,20\n2025-01-01T00:00:09Z,u,1,10\n",
    );
    let (records, heard) = read_files(&[], &[edits(&[a.clone(), b.clone()])]);
    let shown: Vec<String> = records
        .iter()
        .map(|record| match &record.content {
            Content::Event(event) => heard.texts[&event.id].1.clone(),
            Content::Refused(refused) => refused.reason.code().to_owned(),
            other => panic!("found {other:?}"),
        })
        .collect();
    assert_eq!(shown, ["catalogue/p1", "invalid", "catalogue/p2", "w-3", "w-0", "w-4", "w-1", "missing", "w-5"]);
    let first = parse_rfc_3339("2025-01-01T00:00:03Z").unwrap();
    let Body::Item(item) = &event(&records[0]).body else { panic!() };
    assert_eq!(item.price.map(|price| price.minor), Some(10), "what came first stays");
    assert_eq!((event(&records[0]).time, event(&records[2]).time), (first, first));
    assert_eq!(records[2].origin, Origin { source: 0, partition: 1, offset: 1 });

    let parquet = write_parquet(
        folder.path(),
        "a.parquet",
        "optional binary time (STRING); optional int32 user; optional int32 page; optional int32 price;",
        &[
            Values::Text(vec![Some("2025-01-01T00:00:01Z"); 4]),
            Values::Int32(vec![Some(1); 4]),
            Values::Int32(vec![Some(1); 4]),
            Values::Int32(vec![Some(1); 4]),
        ],
        3,
    );
    let (records, heard) = read_files(&[], &[edits(&[parquet, a])]);
    let ids: Vec<&str> = records
        .iter()
        .filter_map(|record| if let Content::Event(event) = &record.content { Some(heard.texts[&event.id].1.as_str()) } else { None })
        .collect();
    assert_eq!(ids, ["catalogue/p1", "w-0", "w-1", "w-2", "w-3", "w-4", "w-5"]);
}

/// A corrupt file must end with an error or read on, never panic.
#[test]
fn corrupt_parquet_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let good = write_parquet(folder.path(), "good.parquet", COLUMNS, &parquet_columns(), 2);
    let bytes = fs::read(good).unwrap();
    let path = folder.path().join("bad.parquet");
    let (mut errors, mut tried) = (0, 0);
    let broken = |place: usize| {
        let mut broken = bytes.clone();
        broken[place] ^= 0x55;
        broken
    };
    let cut = (0..bytes.len()).step_by(97).map(|length| bytes[..length].to_vec());
    for bytes in (0..bytes.len()).step_by(3).map(broken).chain(cut) {
        fs::write(&path, bytes).unwrap();
        tried += 1;
        let read = || -> Result<(), InputError> {
            let mut merge = open(std::slice::from_ref(&path), &[source("s", &[], Format::Table(mapping()))])?;
            let mut out = Vec::new();
            while merge.next_batch(100, &mut out, Sinks { texts: &mut (), targets: &mut (), rejected: &mut () })? {}
            Ok(())
        };
        if let Err(error) = read() {
            assert_eq!(error.path.as_ref(), Some(&path), "{error}");
            errors += 1;
        }
    }
    assert!(errors * 4 > tried, "only {errors} of {tried} corrupt files were noticed");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_csv_panics(bytes in prop::collection::vec(prop_oneof![Just(b','), Just(b'"'), Just(b'\n'), Just(b'1'), any::<u8>()], 0..300)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let mut text = b"mcc,id,time,user,shop,device,amount\n".to_vec();
        text.extend(bytes);
        fs::write(&path, text).unwrap();
        let (records, heard) = read_files(&[path], &[source("s", &[], Format::Table(mapping()))]);
        let refused = records.iter().filter(|record| matches!(record.content, Content::Refused(_))).count();
        prop_assert_eq!(refused, heard.rejected.len());
    }
}
