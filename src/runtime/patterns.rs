//! Files that say which events are one pattern: what `weir simulate --truth` writes, or tables with an event a row.

use crate::decision::Decision;
use crate::evaluate::Pattern;
use crate::event::{EventType, Field, Id, IdKey, IdKind};
use crate::ingress::{CellValue, Format, SourceOptions};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field as Cell;
use parquet::schema::types::Type;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

/// Patterns, and how much of each has gone by.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    /// Which pattern an event belongs to; of several the last that was named.
    of: HashMap<Id, usize>,
    patterns: Vec<Pattern>,
    /// Events of each that have gone by.
    gone_by: Vec<u64>,
}

/// A line of a truth.
#[derive(Deserialize)]
struct Attack {
    attack: String,
    form: Option<String>,
    crimes: Vec<String>,
}

/// The columns of a table.
const EVENT_ID: &str = "event_id";
const PATTERN_ID: &str = "pattern_id";
const TYPOLOGY: &str = "typology";

impl Patterns {
    /// Reads `path`: `.jsonl` as a truth; `.csv` and `.parquet` by their columns `event_id`, `pattern_id` and `typology`. A table without
    /// `event_id` is read by what one of `sources` maps to the id of a transfer.
    ///
    /// # Errors
    /// In words, without the file's name.
    pub(super) fn read(path: &Path, sources: &[SourceOptions]) -> Result<Patterns, String> {
        let mut patterns = Patterns::default();
        match path.extension().and_then(OsStr::to_str) {
            Some("jsonl") => patterns.read_truth(path)?,
            Some("csv") => patterns.read_csv(path, sources)?,
            Some("parquet") => patterns.read_parquet(path, sources)?,
            _ => return Err("found an unknown ending, expected .jsonl, .csv or .parquet".to_owned()),
        }
        if patterns.of.is_empty() {
            return Err("found no event of a pattern, expected some".to_owned());
        }
        patterns.gone_by = vec![0; patterns.patterns.len()];
        Ok(patterns)
    }

    fn read_truth(&mut self, path: &Path) -> Result<(), String> {
        let file = File::open(path).map_err(words)?;
        for (number, line) in BufReader::new(file).lines().enumerate() {
            let line = line.map_err(words)?;
            let attack: Attack = serde_json::from_str(&line).map_err(|error| {
                format!("line {}: {error}: expected what weir simulate --truth writes: attack, form and crimes", number + 1)
            })?;
            let pattern = self.pattern(attack.form.unwrap_or(attack.attack));
            attack.crimes.iter().for_each(|event| self.belongs(event, pattern));
        }
        Ok(())
    }

    fn read_csv(&mut self, path: &Path, sources: &[SourceOptions]) -> Result<(), String> {
        let mut file = csv::Reader::from_path(path).map_err(words)?;
        let head: Vec<String> = file.headers().map_err(words)?.iter().map(str::to_owned).collect();
        let columns = Columns::of(&head, sources)?;
        let mut rows = Rows::default();
        for row in file.records() {
            let row = row.map_err(words)?;
            rows.take(self, columns.places.map(|place| row.get(place).unwrap_or_default()), &columns.prefix);
        }
        Ok(())
    }

    fn read_parquet(&mut self, path: &Path, sources: &[SourceOptions]) -> Result<(), String> {
        let file = SerializedFileReader::new(File::open(path).map_err(words)?).map_err(words)?;
        let schema = file.metadata().file_metadata().schema();
        let head: Vec<String> = schema.get_fields().iter().map(|field| field.name().to_owned()).collect();
        let columns = Columns::of(&head, sources)?;
        // Only these three are decoded, in the file's order.
        let fields = schema.get_fields().iter().enumerate().filter(|(place, _)| columns.places.contains(place));
        let fields: Vec<Arc<Type>> = fields.map(|(_, field)| field.clone()).collect();
        let projection = Type::group_type_builder(schema.name()).with_fields(fields).build().map_err(words)?;
        let mut rows = Rows::default();
        for row in file.get_row_iter(Some(projection)).map_err(words)? {
            let row = row.map_err(words)?;
            let cells: HashMap<&str, String> = row.get_column_iter().map(|(name, cell)| (name.as_str(), cell_text(cell))).collect();
            let texts = columns.places.map(|place| cells.get(head[place].as_str()).map_or("", String::as_str));
            rows.take(self, texts, &columns.prefix);
        }
        Ok(())
    }

    fn pattern(&mut self, typology: String) -> usize {
        self.patterns.push(Pattern { typology, judged: Vec::new() });
        self.patterns.len() - 1
    }

    fn belongs(&mut self, event: &str, pattern: usize) {
        self.of.insert(IdKey::FILES.id(IdKind::Event, event.as_bytes()), pattern);
    }

    /// A decision goes by; `probability` where it is one of those reported on and a model judged it.
    pub(super) fn take(&mut self, decision: &Decision, probability: Option<f32>) {
        let Some(pattern) = self.of.get(&decision.event) else { return };
        self.gone_by[*pattern] += 1;
        let judged = probability.map(|probability| (self.gone_by[*pattern], f64::from(probability)));
        self.patterns[*pattern].judged.extend(judged);
    }

    /// The patterns with what was judged of them; none where no event of any went by.
    pub(super) fn finish(self) -> Option<Vec<Pattern>> {
        self.gone_by.iter().any(|events| *events > 0).then_some(self.patterns)
    }

    /// Events that belong to some pattern.
    pub(super) fn events(&self) -> usize {
        self.of.len()
    }
}

/// Where a table has what.
struct Columns {
    /// Of the event's id, the pattern's and the typology.
    places: [usize; 3],
    /// Before each event's id.
    prefix: String,
}

impl Columns {
    fn of(head: &[String], sources: &[SourceOptions]) -> Result<Columns, String> {
        let place = |name: &str| head.iter().position(|column| column == name);
        let own = place(EVENT_ID).map(|place| (place, String::new()));
        let event =
            own.or_else(|| sources.iter().filter_map(id_column).find_map(|(column, prefix)| Some((place(column)?, prefix.to_owned()))));
        match (event, place(PATTERN_ID), place(TYPOLOGY)) {
            (Some((event, prefix)), Some(pattern), Some(typology)) => Ok(Columns { places: [event, pattern, typology], prefix }),
            (event, ..) => {
                let missing = match event {
                    None => "event_id, or the column that a source of the topology maps to the id of transfers",
                    Some(_) => "pattern_id and typology",
                };
                Err(format!("found the columns {}, expected {missing}", head.join(", ")))
            }
        }
    }
}

/// The column and the prefix of the ids of a table of transfers.
fn id_column(source: &SourceOptions) -> Option<(&str, &str)> {
    let Format::Table(mapping) = &source.format else { return None };
    let (_, cell) = mapping.fields.iter().find(|(field, _)| mapping.event == EventType::Transfer && *field == Field::Id)?;
    match &cell.value {
        CellValue::Column(column) => Some((column, &cell.prefix)),
        _ => None,
    }
}

/// Rows of a table on their way.
#[derive(Default)]
struct Rows {
    /// By typology and pattern id: tables number the patterns of each typology apart.
    known: BTreeMap<(String, String), usize>,
}

impl Rows {
    /// Takes a row; one that names no pattern, or no typology, is of none.
    fn take(&mut self, patterns: &mut Patterns, [event, pattern, typology]: [&str; 3], prefix: &str) {
        let is_none = |text: &str| text.is_empty() || text == "-1";
        if is_none(pattern) || is_none(typology) {
            return;
        }
        let key = (typology.to_owned(), pattern.to_owned());
        let place = *self.known.entry(key).or_insert_with(|| patterns.pattern(typology.to_owned()));
        patterns.belongs(&format!("{prefix}{event}"), place);
    }
}

/// A cell as text; nothing where it holds nothing.
fn cell_text(cell: &Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Str(text) => text.clone(),
        Cell::Bytes(bytes) => String::from_utf8_lossy(bytes.data()).into_owned(),
        number => number.to_string(),
    }
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Duration;
    use crate::ingress::{Cell as Mapped, Mapping};
    use parquet::data_type::{ByteArray, ByteArrayType, Int32Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    fn table_of_transfers() -> SourceOptions {
        let value = CellValue::Column("tx".to_owned());
        let id = Mapped { value, prefix: "a-".to_owned(), null: None, scale: None, time: None };
        SourceOptions {
            name: "bank".to_owned(),
            topic: None,
            fresh_max: None,
            files: Vec::new(),
            format: Format::Table(Mapping { event: EventType::Transfer, fields: vec![(Field::Id, id)], label: None, catalogue: None }),
            jump_max: Duration::DAY,
            maturity: None,
        }
    }

    /// Columns in another order than that of the report, with one that nobody asks for; the third row is of no pattern.
    fn write(path: &Path) {
        let schema =
            "message rows { required int32 pattern_id; optional binary typology (UTF8); required int32 amount; required int32 tx; }";
        let schema = Arc::new(parse_message_type(schema).expect("it is one"));
        let file = File::create(path).expect("it can be made");
        let mut file = SerializedFileWriter::new(file, schema, Arc::new(WriterProperties::default())).expect("a writer");
        let mut group = file.next_row_group().expect("a group");
        for column in [[7, 7, 7, 7], [1, 1, 1, 1], [5, 6, 7, 8], [1, 2, 3, 4]].iter().enumerate() {
            let mut writer = group.next_column().expect("a column").expect("four");
            match column {
                (1, _) => {
                    let texts = ["cycle", "fan_in", "cycle"].map(ByteArray::from);
                    writer.typed::<ByteArrayType>().write_batch(&texts, Some(&[1, 1, 0, 1]), None).expect("written");
                }
                (_, numbers) => drop(writer.typed::<Int32Type>().write_batch(numbers, None, None).expect("written")),
            }
            writer.close().expect("closed");
        }
        group.close().expect("closed");
        file.close().expect("closed");
    }

    #[test]
    fn a_table_is_read_by_the_mapping_of_its_source() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("all.parquet");
        write(&path);
        let patterns = Patterns::read(&path, &[table_of_transfers()]).expect("it is sound");
        let of = |event: &str| {
            let place = patterns.of.get(&IdKey::FILES.id(IdKind::Event, event.as_bytes()))?;
            Some((*place, patterns.patterns[*place].typology.as_str()))
        };
        assert_eq!(
            [of("a-1"), of("a-2"), of("a-3"), of("a-4"), of("1")],
            [Some((0, "cycle")), Some((1, "fan_in")), None, Some((0, "cycle")), None]
        );
        let told = Patterns::read(&path, &[]).expect_err("nobody says which column names events");
        assert!(told.starts_with("found the columns pattern_id, typology, amount, tx, expected event_id"), "{told}");
    }
}
