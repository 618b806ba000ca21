//! Rows of foreign tables through a mapping: which column fills which field, and how.
//!
//! [`Plan`] is a mapping made ready for one source; [`Row`] is one row seen through it. The cells come from [`super::csv`] or
//! [`super::parquet`] as [`Found`] values, so that one set of rules reads both.

use super::contract::{Fault, Fields, quoted};
use super::decimal;
use super::moment::Zone;
use super::options::{Cell, CellValue, LabelMapping, Mapping, TimeFormat};
use crate::event::{Duration, EventType, Field, Refusal, Timestamp, Verdict};
use std::fmt::{self, Write};

/// What a table holds in one cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Found<'a> {
    Null,
    Integer(i64),
    Number(f64),
    Boolean(bool),
    /// Text; bytes that are not UTF-8 are refused when they are read.
    Text(&'a [u8]),
    /// `unscaled` / 10^`scale`.
    Decimal {
        unscaled: i128,
        scale: u32,
    },
    /// A table's own timestamp, in microseconds; a moment if `adjusted`, else the reading of a clock in the mapping's zone.
    Time {
        micros: i64,
        adjusted: bool,
    },
    /// A value that the column's own type allows and Weir does not hold.
    TooLarge,
}

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Found::Null => f.write_str("null"),
            Found::Integer(value) => write!(f, "{value}"),
            Found::Number(value) => write!(f, "{value}"),
            Found::Boolean(value) => write!(f, "{value}"),
            Found::Text(text) => f.write_str(&quoted(&String::from_utf8_lossy(text))),
            Found::Decimal { unscaled, scale } => decimal::write(f, *unscaled, *scale),
            Found::Time { micros, .. } => write!(f, "{}", Timestamp(*micros)),
            Found::TooLarge => f.write_str("a number of more than 64 bits"),
        }
    }
}

/// A mapping made ready: columns by number, zones looked up, nulls and label values parsed.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) event: EventType,
    /// Names of the columns that are read, each once.
    pub(super) columns: Vec<String>,
    pub(super) fields: CellPlans,
    pub(super) label: Option<LabelPlan>,
    pub(super) catalogue: Option<CellPlans>,
    /// Whether a field holds the row's number, so that rows must be counted over all files.
    pub(super) numbers_rows: bool,
}

/// The cells of one event, found by field.
#[derive(Clone, Debug)]
pub(super) struct CellPlans {
    cells: Vec<CellPlan>,
    /// By field; `NO_CELL` where it has none.
    places: [u8; Field::ALL.len()],
}

const NO_CELL: u8 = u8::MAX;

#[derive(Clone, Debug)]
struct CellPlan {
    value: Place,
    prefix: String,
    null: Option<Word>,
    scale: Option<i64>,
    time: TimePlan,
}

#[derive(Clone, Debug)]
enum Place {
    Column(usize),
    Constant(String),
    Row,
}

#[derive(Clone, Debug)]
enum TimePlan {
    Since { unit: Duration, since: Timestamp },
    Pattern { format: String, zone: Zone },
    Zoned(Zone),
}

/// A value that a mapping writes as text, ready to be compared with any cell.
#[derive(Clone, Debug)]
struct Word {
    text: String,
    integer: Option<i64>,
    number: Option<f64>,
}

impl Word {
    fn new(text: &str) -> Word {
        Word { text: text.to_owned(), integer: text.parse().ok(), number: text.parse().ok() }
    }

    fn is(&self, found: &Found<'_>) -> bool {
        match found {
            Found::Null | Found::Time { .. } | Found::TooLarge => false,
            Found::Integer(value) => self.integer == Some(*value),
            Found::Number(value) => self.number == Some(*value),
            Found::Boolean(value) => self.text == if *value { "true" } else { "false" },
            Found::Text(text) => self.text.as_bytes() == *text,
            Found::Decimal { unscaled, scale } => {
                decimal::parse(&self.text).is_some_and(|(own, own_scale)| decimal::equal((own, own_scale), (*unscaled, *scale)))
            }
        }
    }
}

/// A label mapping made ready.
#[derive(Clone, Debug)]
pub(super) struct LabelPlan {
    column: usize,
    kinds: Vec<(Word, Verdict)>,
    pub(super) delay: Duration,
    scenario: Option<usize>,
}

impl LabelPlan {
    fn new(mapping: &LabelMapping, columns: &mut Vec<String>) -> LabelPlan {
        LabelPlan {
            column: column(columns, &mapping.column),
            kinds: mapping.kinds.iter().map(|(text, verdict)| (Word::new(text), *verdict)).collect(),
            delay: mapping.delay,
            scenario: mapping.scenario.as_ref().map(|name| column(columns, name)),
        }
    }
}

/// The number of the column `name` among those that are read.
fn column(columns: &mut Vec<String>, name: &str) -> usize {
    columns.iter().position(|known| known == name).unwrap_or_else(|| {
        columns.push(name.to_owned());
        columns.len() - 1
    })
}

impl Plan {
    /// Makes `mapping` ready.
    ///
    /// # Errors
    /// A time zone that does not exist, in words.
    pub(super) fn new(mapping: &Mapping) -> Result<Plan, String> {
        let mut columns = Vec::new();
        let fields = CellPlans::new(&mapping.fields, &mut columns)?;
        let label = mapping.label.as_ref().map(|label| LabelPlan::new(label, &mut columns));
        let catalogue = match &mapping.catalogue {
            Some(cells) => Some(CellPlans::new(cells, &mut columns)?),
            None => None,
        };
        let of_row = |cells: &[(Field, Cell)]| cells.iter().any(|(_, cell)| cell.value == CellValue::Row);
        let numbers_rows = of_row(&mapping.fields) || mapping.catalogue.as_deref().is_some_and(of_row);
        Ok(Plan { event: mapping.event, columns, fields, label, catalogue, numbers_rows })
    }
}

impl CellPlans {
    fn new(cells: &[(Field, Cell)], columns: &mut Vec<String>) -> Result<CellPlans, String> {
        let mut plans = CellPlans { cells: Vec::with_capacity(cells.len()), places: [NO_CELL; Field::ALL.len()] };
        for (field, cell) in cells {
            plans.places[*field as usize] = plans.cells.len() as u8;
            plans.cells.push(CellPlan::new(cell, columns)?);
        }
        Ok(plans)
    }

    #[inline]
    fn cell(&self, field: Field) -> Option<&CellPlan> {
        self.cells.get(usize::from(self.places[field as usize]))
    }
}

impl CellPlan {
    fn new(cell: &Cell, columns: &mut Vec<String>) -> Result<CellPlan, String> {
        let zone = |name: &str| Zone::named(name).ok_or_else(|| format!("found the time zone {name:?}, expected an IANA name"));
        Ok(CellPlan {
            value: match &cell.value {
                CellValue::Column(name) => Place::Column(column(columns, name)),
                CellValue::Constant(text) => Place::Constant(text.clone()),
                CellValue::Row => Place::Row,
            },
            prefix: cell.prefix.clone(),
            null: cell.null.as_deref().map(Word::new),
            scale: cell.scale,
            time: match &cell.time {
                Some(TimeFormat::Since { unit, since }) => TimePlan::Since { unit: *unit, since: *since },
                Some(TimeFormat::Pattern { format, zone: name }) => TimePlan::Pattern { format: format.clone(), zone: zone(name)? },
                Some(TimeFormat::Zoned { zone: name }) => TimePlan::Zoned(zone(name)?),
                None => TimePlan::Zoned(zone("UTC")?),
            },
        })
    }
}

/// Gives the cells of the row at hand, by the numbers of [`Plan::columns`].
pub(super) trait Cells {
    fn cell(&self, column: usize) -> Found<'_>;
}

/// One row of a table as the fields of an event.
pub(super) struct Row<'a, C: Cells> {
    pub(super) plans: &'a CellPlans,
    pub(super) cells: &'a C,
    /// The row's number in file order, from 0, over all files of the source.
    pub(super) number: u64,
}

impl<C: Cells> Row<'_, C> {
    /// The cell behind `field`, where the mapping names one and it is not null.
    #[inline]
    fn found(&self, field: Field) -> Option<(&CellPlan, Found<'_>)> {
        let plan = self.plans.cell(field)?;
        let found = match &plan.value {
            Place::Column(column) => self.cells.cell(*column),
            Place::Constant(text) => Found::Text(text.as_bytes()),
            Place::Row => Found::Integer(self.number as i64),
        };
        let absent = found == Found::Null || plan.null.as_ref().is_some_and(|null| null.is(&found));
        (!absent).then_some((plan, found))
    }
}

impl<C: Cells> Fields for Row<'_, C> {
    #[inline]
    fn text<'a>(&'a self, field: Field, room: &'a mut String) -> Result<Option<&'a str>, Fault> {
        let Some((plan, found)) = self.found(field) else { return Ok(None) };
        text_of(&found, &plan.prefix, room).map(Some).map_err(|expected| Fault::invalid(field, found, expected))
    }

    fn integer(&self, field: Field) -> Result<Option<i64>, Fault> {
        let Some((plan, found)) = self.found(field) else { return Ok(None) };
        let scale = plan.scale.unwrap_or(1);
        let value = match found {
            Found::Integer(value) => value.checked_mul(scale),
            Found::Number(value) if plan.scale.is_some() => whole((value * scale as f64).round_ties_even()),
            Found::Number(value) => whole(value),
            Found::Decimal { unscaled, scale: digits } => scaled(unscaled, digits, plan.scale),
            Found::Text(text) => {
                std::str::from_utf8(text).ok().and_then(decimal::parse).and_then(|(value, digits)| scaled(value, digits, plan.scale))
            }
            _ => None,
        };
        match (value, plan.scale) {
            (Some(value), _) => Ok(Some(value)),
            (None, Some(scale)) => Err(Fault::invalid(field, found, format_args!("a finite number, to be multiplied by {scale}"))),
            (None, None) if matches!(field, Field::Amount | Field::Price) => Err(Fault::invalid(field, found, "an integer of minor units")),
            (None, None) => Err(Fault::invalid(field, found, "an integer")),
        }
    }

    fn number(&self, field: Field) -> Result<Option<f64>, Fault> {
        let Some((plan, found)) = self.found(field) else { return Ok(None) };
        let value = match found {
            Found::Integer(value) => Some(value as f64),
            Found::Number(value) => Some(value),
            Found::Decimal { unscaled, scale } => Some(unscaled as f64 / 10f64.powi(scale as i32)),
            Found::Text(text) => std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()),
            _ => None,
        };
        let value = value.ok_or_else(|| Fault::invalid(field, found, "a number"))?;
        Ok(Some(value * plan.scale.unwrap_or(1) as f64))
    }

    fn boolean(&self, field: Field) -> Result<Option<bool>, Fault> {
        match self.found(field) {
            None => Ok(None),
            Some((_, Found::Boolean(value))) => Ok(Some(value)),
            Some((_, Found::Integer(1) | Found::Text(b"true" | b"1"))) => Ok(Some(true)),
            Some((_, Found::Integer(0) | Found::Text(b"false" | b"0"))) => Ok(Some(false)),
            Some((_, found)) => Err(Fault::invalid(field, found, "true, false, 1 or 0")),
        }
    }

    fn time(&self) -> Result<Option<Timestamp>, Fault> {
        let Some((plan, found)) = self.found(Field::Time) else { return Ok(None) };
        plan.time.moment(&found).map(Some).map_err(|expected| Fault::invalid(Field::Time, found, expected))
    }

    fn items(&self) -> Result<usize, Fault> {
        Ok(usize::from(self.found(Field::Items).is_some()))
    }

    fn item<'a>(&'a self, _: usize, room: &'a mut String) -> Result<&'a str, Fault> {
        self.text(Field::Items, room).map(|text| text.expect("asked only for an item that was counted"))
    }
}

impl TimePlan {
    /// The moment of `found`, or what was expected.
    fn moment(&self, found: &Found<'_>) -> Result<Timestamp, String> {
        match self {
            TimePlan::Since { unit, since } => {
                let micros = match *found {
                    Found::Integer(value) => value.checked_mul(unit.0),
                    Found::Number(value) => whole((value * unit.0 as f64).round_ties_even()),
                    Found::Decimal { unscaled, scale } => scaled(unscaled, scale, Some(unit.0)),
                    Found::Text(text) => {
                        let parsed = std::str::from_utf8(text).ok().and_then(decimal::parse);
                        parsed.and_then(|(value, digits)| scaled(value, digits, Some(unit.0)))
                    }
                    _ => None,
                };
                let moment = micros.and_then(|micros| since.0.checked_add(micros)).map(Timestamp);
                moment.ok_or_else(|| format!("a number of {unit} since {since}"))
            }
            TimePlan::Pattern { format, zone } => {
                let moment = text_in(found).and_then(|text| zone.parse_pattern(format, text));
                moment.ok_or_else(|| format!("a time written as {format:?}"))
            }
            TimePlan::Zoned(zone) => {
                let moment = match found {
                    Found::Time { micros, adjusted: true } => Some(Timestamp(*micros)),
                    Found::Time { micros, adjusted: false } => zone.moment(*micros),
                    _ => text_in(found).and_then(|text| zone.parse(text)),
                };
                moment.ok_or_else(|| "a timestamp, or a text in RFC 3339 (for numbers the mapping needs unit and since)".to_owned())
            }
        }
    }
}

fn text_in<'a>(found: &Found<'a>) -> Option<&'a str> {
    match found {
        Found::Text(text) => std::str::from_utf8(text).ok(),
        _ => None,
    }
}

/// The text of a cell behind `prefix`, or what was expected. A whole double is written without its point: tables widen integers to
/// doubles when a column has nulls.
fn text_of<'a>(found: &Found<'a>, prefix: &str, room: &'a mut String) -> Result<&'a str, &'static str> {
    if let Found::Text(text) = found
        && prefix.is_empty()
    {
        return std::str::from_utf8(text).map_err(|_| "text in UTF-8");
    }
    room.clear();
    room.push_str(prefix);
    match *found {
        Found::Text(text) => room.push_str(std::str::from_utf8(text).map_err(|_| "text in UTF-8")?),
        Found::Integer(value) => push_integer(room, value),
        Found::Number(value) => match whole(value) {
            Some(value) => push_integer(room, value),
            None if value.is_finite() => write!(room, "{value}").expect("a string takes every text"),
            None => return Err("a text or a finite number"),
        },
        Found::Boolean(value) => room.push_str(if value { "true" } else { "false" }),
        Found::Decimal { .. } => write!(room, "{found}").expect("a string takes every text"),
        Found::Null | Found::Time { .. } | Found::TooLarge => return Err("a text or a number of at most 64 bits"),
    }
    Ok(room)
}

/// Appends `value` in decimal; the formatter of the standard library takes three times as long, and every id of a table comes here.
fn push_integer(text: &mut String, value: i64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        digits[at] = b'-';
    }
    text.push_str(std::str::from_utf8(&digits[at..]).expect("digits are ASCII"));
}

/// A double that holds an integer to the last bit.
fn whole(value: f64) -> Option<i64> {
    const EXACT: f64 = (1i64 << 53) as f64;
    (value.abs() <= EXACT && value.fract() == 0.0).then_some(value as i64)
}

/// A decimal times `scale`, to the nearest integer, ties to even; without a scale only an integer will do.
fn scaled(unscaled: i128, digits: u32, scale: Option<i64>) -> Option<i64> {
    match scale {
        Some(scale) => decimal::times(unscaled, digits, scale),
        None => decimal::whole(unscaled, digits),
    }
}

/// What a row says of its own event: a verdict, and the scenario's text in `room` (empty: none).
pub(super) fn label_of<C: Cells>(plan: &LabelPlan, cells: &C, room: &mut String) -> Result<Option<Verdict>, Fault> {
    let found = cells.cell(plan.column);
    let verdict = plan.kinds.iter().find(|(word, _)| word.is(&found)).map(|(_, verdict)| *verdict);
    room.clear();
    if let (Some(_), Some(scenario)) = (verdict, plan.scenario) {
        let found = cells.cell(scenario);
        if found != Found::Null {
            match found {
                // Copied although it could be borrowed: the label is made later than the row is read.
                Found::Text(text) => {
                    room.push_str(std::str::from_utf8(text).map_err(|_| Fault::invalid(Field::Scenario, found, "text in UTF-8"))?);
                }
                _ => {
                    text_of(&found, "", room).map_err(|expected| Fault::invalid(Field::Scenario, found, expected))?;
                }
            }
            if room == "0" {
                room.clear();
            }
        }
    }
    Ok(verdict)
}

/// A row's mapped columns as one JSON object: what is kept of a refused row.
pub(super) fn raw_row<C: Cells>(columns: &[String], cells: &C) -> Vec<u8> {
    let mut raw = String::from("{");
    for (place, name) in columns.iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        let text = match cells.cell(place) {
            Found::Null => "null".to_owned(),
            Found::Text(text) => format!("{:?}", String::from_utf8_lossy(text)),
            found => found.to_string(),
        };
        write!(raw, "{comma}{name:?}:{text}").expect("a string takes every text");
    }
    raw.push('}');
    raw.into_bytes()
}

/// A row that cannot be read at all, such as one with too few cells.
#[derive(Clone, Debug)]
pub(super) struct BadRow {
    pub(super) fault: Fault,
    pub(super) raw: Vec<u8>,
}

impl BadRow {
    pub(super) fn malformed(detail: String, raw: Vec<u8>) -> BadRow {
        BadRow { fault: Fault::whole(Refusal::Malformed, detail), raw }
    }
}
