//! `[source.NAME]`: files in the wire format, and foreign tables with their mappings.

use super::quantity::{DURATION_MAX, parse_unit};
use super::section::{Item, Section, one_of};
use crate::engine::SourceTime;
use crate::event::{Duration, EventType, Field, Timestamp, Verdict};
use crate::ingress::{Cell, CellValue, Format, LabelMapping, Mapping, SourceOptions, TimeFormat};
use std::path::{Path, PathBuf};

/// The most files of one source.
const FILES_MAX: usize = 65_536;

/// A source's lag is told once a second.
pub(super) const FRESH_MIN: Duration = Duration::SECOND;
/// What a topic may be behind where its source says nothing.
const FRESH_DEFAULT: Duration = Duration::MINUTE;

/// The longest name of a column, constant or prefix.
const TEXT_BYTES_MAX: usize = 256;

/// Endings of files in the wire format, and of tables.
const WIRE_ENDINGS: [&str; 3] = [".jsonl", ".jsonl.gz", ".jsonl.zst"];
const TABLE_ENDINGS: [&str; 2] = [".csv", ".parquet"];

/// Reads all `[source.NAME]`, sorted by name. `folders` are those of the layers, against which their relative files are resolved.
pub(super) fn read(section: &Section, folders: &[&Path], jump_max: Duration) -> Vec<SourceOptions> {
    let sources: Vec<SourceOptions> =
        section.named().into_iter().map(|(name, section)| read_one(name, &section, folders, jump_max)).collect();
    if sources.len() >= usize::from(u16::MAX) {
        section.log.error(&section.path, format!("{} sources", sources.len()), "fewer than 65535");
    }
    sources
}

fn read_one(name: &str, section: &Section, folders: &[&Path], jump_max: Duration) -> SourceOptions {
    let topic = read_topic(section);
    let format = if topic.is_some() {
        Format::Wire
    } else if section.has("format") {
        section.word("format", &[("jsonl", ())]);
        if section.has("event") {
            section.find("event");
            section.error("event", "an event type beside format", "one of them: events in the wire format name their own type");
        }
        Format::Wire
    } else if section.has("event") {
        Format::Table(read_mapping(section))
    } else {
        section.error("format", "neither format nor event", "format = \"jsonl\", or the event that a table's row is");
        section.find("format");
        section.find("event");
        Format::Wire
    };
    let endings: &[&str] = match format {
        Format::Wire => &WIRE_ENDINGS,
        Format::Table(_) => &TABLE_ENDINGS,
    };
    let label_delay = match &format {
        Format::Table(Mapping { label: Some(label), .. }) => Some(label.delay),
        _ => None,
    };
    let files = if topic.is_some() { Vec::new() } else { read_files(section, endings, folders) };
    let fresh_max = topic.as_ref().map(|_| section.find_duration("fresh_max", FRESH_MIN..=DURATION_MAX).unwrap_or(FRESH_DEFAULT));
    let source = SourceOptions {
        name: name.to_string(),
        topic,
        fresh_max,
        files,
        format,
        jump_max: section.find_duration("jump_max", Duration(1)..=DURATION_MAX).unwrap_or(jump_max),
        maturity: section.find_duration("maturity", Duration(0)..=DURATION_MAX).or(label_delay),
    };
    section.finish();
    source
}

/// The topic that a source is. Whose topology it is that names none of `[kafka]` is asked where all of it is known.
fn read_topic(section: &Section) -> Option<String> {
    let topic = section.find("topic")?;
    for key in ["files", "format", "event", "jump_max"] {
        if section.find(key).is_some() {
            let why = "one of them: a topic's records are events in the wire format, one JSON object each, in time by their clock";
            section.error(key, format!("{key} beside topic"), why);
        }
    }
    Some(topic_name(&topic).unwrap_or_default().to_string())
}

/// The name of a topic, as Kafka allows it.
pub(super) fn topic_name<'d>(item: &Item<'d>) -> Option<&'d str> {
    let expected = "a topic's name: letters, digits, dots, _ and -";
    let name = item.text(expected, 249)?;
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
        item.error(expected);
        return None;
    }
    Some(name)
}

fn read_files(section: &Section, endings: &[&str], folders: &[&Path]) -> Vec<PathBuf> {
    let items = section.list("files");
    if items.len() > FILES_MAX {
        section.error("files", format!("{} files", items.len()), format!("at most {FILES_MAX}"));
    }
    let mut files = Vec::new();
    for item in items {
        let Some(text) = item.text("a file's path", 4096) else { continue };
        if !endings.iter().any(|ending| text.ends_with(ending)) {
            item.error(format!("a path that ends in {}", one_of(endings.iter().copied())));
        }
        let folder = folders.get(item.layer).copied().unwrap_or(Path::new(""));
        files.push(folder.join(text));
    }
    files
}

fn read_mapping(section: &Section) -> Mapping {
    let event = section.word("event", &EventType::ALL.map(|event| (event.name(), event)));
    let fields = section.section("fields");
    let label = section.find_section("label");
    let catalogue = section.find_section("catalogue");
    if !section.log.sound(&[&section.path_of("event")]) {
        // Which fields there are depends on the type.
        return Mapping { event, fields: Vec::new(), label: None, catalogue: None };
    }
    let (needed, others) = fields_of(event);
    let needed: Vec<Field> = [Field::Id, Field::Time].into_iter().chain(needed.iter().copied()).collect();
    let cells = read_cells(&fields, &needed, others, &format!("every {} has it", event.name()));
    if event == EventType::Transfer && fields.is_sound() && !fields.has("from") && !fields.has("to") {
        fields.error("from", "neither from nor to", "at least one side");
    }
    if label.is_some() && !matches!(event, EventType::Payment | EventType::Transfer) {
        section.error("label", format!("a label of {} events", event.name()), "one of payments or transfers: nothing else is judged");
    }
    Mapping {
        event,
        fields: cells,
        label: label.map(|section| read_label(&section)),
        catalogue: catalogue.map(|section| read_catalogue(&section)),
    }
}

fn read_catalogue(section: &Section) -> Vec<(Field, Cell)> {
    let (needed, others) = fields_of(EventType::Item);
    read_cells(section, needed, others, "every catalogue entry has it")
}

fn read_label(section: &Section) -> LabelMapping {
    let column = "a column's name";
    let kind = section.section("kind");
    let words = Verdict::ALL.map(|verdict| (verdict.name(), verdict));
    let kinds: Vec<(String, Verdict)> =
        kind.items().into_iter().filter_map(|(value, item)| Some((value.to_string(), item.word(&words)?))).collect();
    if kinds.is_empty() && kind.is_sound() {
        section.error("kind", "no value", "at least one, such as 1 = \"fraud\"");
    }
    let label = LabelMapping {
        column: section.text("column", column, TEXT_BYTES_MAX),
        kinds,
        delay: section.duration("delay", Duration(0)..=DURATION_MAX),
        scenario: section.find("scenario").and_then(|item| item.text(column, TEXT_BYTES_MAX)).map(str::to_string),
    };
    section.finish();
    label
}

fn read_cells(section: &Section, needed: &[Field], others: &[Field], why: &str) -> Vec<(Field, Cell)> {
    let mut cells = Vec::new();
    for field in needed {
        let item = section.need(field.name(), format!("a mapping such as {{ column = \"...\" }}: {why}"));
        cells.extend(item.map(|item| (*field, read_cell(*field, &item))));
    }
    for field in others {
        cells.extend(section.find(field.name()).map(|item| (*field, read_cell(*field, &item))));
    }
    section.finish();
    cells.sort_by_key(|(field, _)| *field);
    cells
}

fn read_cell(field: Field, item: &Item) -> Cell {
    let Some(section) = item.table() else {
        item.error("a table such as { column = \"...\" }");
        return Cell { value: CellValue::Row, prefix: String::new(), null: None, scale: None, time: None };
    };
    let cell = Cell {
        value: read_value(&section),
        prefix: section.find("prefix").and_then(|item| item.text("a prefix", TEXT_BYTES_MAX)).unwrap_or_default().to_string(),
        null: section.find("null").and_then(|item| read_scalar(&item)),
        scale: section.find("scale").and_then(|item| item.integer(&(1..=1_000_000_000))),
        time: (field == Field::Time).then(|| read_time(&section)),
    };
    if section.has("scale") && !matches!(field, Field::Amount | Field::Price | Field::DwellMs) {
        section.error("scale", format!("a scale of {}", field.name()), "one of amount, price or dwell_ms");
    }
    let number =
        matches!(field, Field::Amount | Field::Price | Field::DwellMs | Field::Propensity | Field::Time | Field::ConsentPersonalization);
    if section.has("prefix") && number {
        section.error("prefix", format!("a prefix of {}", field.name()), "prefixes of texts only");
    }
    section.finish();
    cell
}

fn read_value(section: &Section) -> CellValue {
    let (column, constant, row) = (section.find("column"), section.find("constant"), section.find("row"));
    let given = [&column, &constant, &row].into_iter().filter(|item| item.is_some()).count();
    if given != 1 {
        let found = ["nothing that gives a value", "one", "two values", "three values"][given];
        section.log.error(&section.path, found, "one of column, constant or row = true");
    }
    if let Some(row) = row {
        if row.boolean() == Some(false) {
            row.error("row = true, or none");
        }
        return CellValue::Row;
    }
    if let Some(constant) = constant {
        return CellValue::Constant(read_scalar(&constant).unwrap_or_default());
    }
    CellValue::Column(column.and_then(|item| item.text("a column's name", TEXT_BYTES_MAX)).unwrap_or_default().to_string())
}

fn read_scalar(item: &Item) -> Option<String> {
    let text = item.value.scalar().filter(|text| text.len() <= TEXT_BYTES_MAX);
    if text.is_none() {
        item.error(format!("a text, number, date or boolean of at most {TEXT_BYTES_MAX} bytes"));
    }
    text
}

fn read_time(section: &Section) -> TimeFormat {
    let zone = section.find("zone").and_then(|item| read_zone(&item)).unwrap_or_else(|| "UTC".to_string());
    let counted = section.has("unit") || section.has("since");
    if counted {
        for key in ["format", "zone"] {
            if section.find(key).is_some() {
                section.error(
                    key,
                    format!("{key} beside unit and since"),
                    "either unit and since for a number, or format and zone for a text",
                );
            }
        }
        let unit = section.text("unit", "d, h, m, s, ms or us", 8);
        if parse_unit(&unit).is_none() && !unit.is_empty() {
            section.error("unit", format!("{unit:?}"), "d, h, m, s, ms or us");
        }
        let expected = "a moment such as \"2025-01-01T00:00:00Z\"";
        let since = section.need("since", expected).and_then(|item| read_moment(&item, expected));
        return TimeFormat::Since { unit: parse_unit(&unit).unwrap_or_default(), since: since.unwrap_or_default() };
    }
    match section.find("format") {
        Some(item) => {
            let format = item.text("a strftime pattern", TEXT_BYTES_MAX).unwrap_or_default().to_string();
            // A pattern is right when some time can be written by it.
            if !format.is_empty()
                && jiff::fmt::strtime::format(&format, &jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC)).is_err()
            {
                item.error("a strftime pattern such as \"%Y-%m-%d %H:%M:%S\"");
            }
            TimeFormat::Pattern { format, zone }
        }
        None => TimeFormat::Zoned { zone },
    }
}

fn read_zone(item: &Item) -> Option<String> {
    let expected = "an IANA time zone such as \"UTC\" or \"Europe/Stockholm\"";
    let zone = item.text(expected, 64)?;
    if jiff::tz::TimeZone::get(zone).is_err() {
        item.error(expected);
        return None;
    }
    Some(zone.to_string())
}

fn read_moment(item: &Item, expected: &str) -> Option<Timestamp> {
    let moment = item.value.scalar().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let time = moment.map(|moment| Timestamp(moment.as_microsecond())).filter(|time| time.is_valid());
    if time.is_none() {
        item.error(expected);
    }
    time
}

/// The fields of an event type besides id, type and time: those every event of it has, and the others.
fn fields_of(event: EventType) -> (&'static [Field], &'static [Field]) {
    use Field::{
        Action, Amount, Brand, Card, Category, Channel, ConsentPersonalization, Country, Currency, Device, DwellMs, Experiment, Format,
        From, FromBank, Ip, Item, Items, KycRisk, Label, Mcc, Merchant, Name, Price, Propensity, Reason, Scenario, Session, Source, Status,
        Surface, Target, Title, To, ToBank, User,
    };
    match event {
        EventType::Payment => (&[User, Merchant, Amount, Currency], &[Device, Card, Ip, Mcc, Country, Channel, Session, Items]),
        EventType::PaymentResult => (&[Target, Status], &[Amount, Reason, User]),
        EventType::Transfer => (&[Amount, Currency], &[From, To, FromBank, ToBank, Format, User, Device]),
        EventType::Session => (&[User], &[Device, Ip, Action, Session]),
        EventType::Interaction => (&[User, Item, Action], &[Merchant, DwellMs, Surface, Session, Device, Experiment, Propensity]),
        EventType::Item => (&[Item], &[Merchant, Category, Brand, Price, Currency, Title]),
        EventType::Label => (&[Target, Label], &[Source, Scenario, User, From]),
        EventType::Profile => (&[User], &[Name, Country, ConsentPersonalization, KycRisk]),
        EventType::Erase => (&[User], &[]),
    }
}

/// What of a source decides. Only files know no clock, so that they have a `jump_max`.
pub(super) fn source_time(source: &SourceOptions, default_maturity: Duration) -> SourceTime {
    SourceTime {
        jump_max: source.topic.is_none().then_some(source.jump_max),
        maturity: source.maturity.filter(|maturity| *maturity != default_maturity),
        fresh_max: source.fresh_max,
    }
}
