//! What a source is: files in the wire format, foreign tables read through a mapping, or a topic.

use crate::event::{Duration, EventType, Field, Timestamp, Verdict};
use std::path::PathBuf;

/// `[source.NAME]`.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceOptions {
    pub name: String,
    /// The topic of Kafka that it is; then it has no files.
    pub topic: Option<String>,
    /// Of a topic: decisions say so where it is further behind.
    pub fresh_max: Option<Duration>,
    /// Resolved against the folder of the topology file that names them.
    pub files: Vec<PathBuf>,
    pub format: Format,
    /// How far an event's time may jump ahead of the greatest time read before it.
    pub jump_max: Duration,
    /// Without a label an event of this source counts as genuine after this time; `None`: the default of `[labels]`.
    pub maturity: Option<Duration>,
}

/// How a source's records are written.
#[derive(Clone, Debug, PartialEq)]
pub enum Format {
    /// One JSON object of the event contract a line (`.jsonl`, `.jsonl.gz`, `.jsonl.zst`).
    Wire,
    /// Rows of a foreign table (`.csv`, `.parquet`) through a mapping.
    Table(Mapping),
}

/// How a table's row becomes an event, a label and a catalogue entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapping {
    pub event: EventType,
    /// One entry a field, sorted by field.
    pub fields: Vec<(Field, Cell)>,
    pub label: Option<LabelMapping>,
    /// `[source.NAME.catalogue]`: items announced before the stream starts, each once, at the time of the table's first event.
    pub catalogue: Option<Vec<(Field, Cell)>>,
}

/// Where a field's value comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    pub value: CellValue,
    /// Put before the text of an id.
    pub prefix: String,
    /// The value, written as text, that means "absent" (besides the table's own null).
    pub null: Option<String>,
    /// Multiplies a number, then rounds half to even: units of a currency to minor units.
    pub scale: Option<i64>,
    /// How a time column is read.
    pub time: Option<TimeFormat>,
}

/// The raw value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum CellValue {
    Column(String),
    Constant(String),
    /// The row's number in file order, from 0, over all files of the source.
    Row,
}

/// How a time is written in a table.
#[derive(Clone, Debug, PartialEq)]
pub enum TimeFormat {
    /// A number of `unit` since `since`.
    Since { unit: Duration, since: Timestamp },
    /// Text by a strftime pattern, in `zone` (IANA name) where the text has no offset.
    Pattern { format: String, zone: String },
    /// RFC 3339 text, or a table's own timestamp type; without an offset it is in `zone`.
    Zoned { zone: String },
}

/// `[source.NAME.label]`.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelMapping {
    pub column: String,
    /// Value, written as text, to verdict; other values give no label.
    pub kinds: Vec<(String, Verdict)>,
    /// The label event's time is the event's time plus this.
    pub delay: Duration,
    /// Column of the scenario; empty text, 0 and null mean none.
    pub scenario: Option<String>,
}

/// The limits of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputLimits {
    /// Bytes of a line.
    pub line_bytes_max: usize,
    /// Bytes of an id.
    pub id_bytes_max: usize,
    /// Bytes of a rejected record's raw text that are kept.
    pub rejected_bytes_max: usize,
}

impl Default for InputLimits {
    fn default() -> InputLimits {
        InputLimits { line_bytes_max: 65_536, id_bytes_max: 64, rejected_bytes_max: 4096 }
    }
}
