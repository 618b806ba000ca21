//! One input file as a sequence of events and refusals, whatever its format.

use super::contract::{Fault, Fields, Reading, Texts};
use super::csv::CsvTable;
use super::file::{self, FileKind, InputError, LineRead, Lines, Progress};
use super::options::InputLimits;
use super::parquet::ParquetTable;
use super::table::{self, BadRow, CellPlans, Cells, Found, Plan, Row};
use super::wire;
use crate::event::{Event, EventType, Field, Id, IdKind, Item, Refusal, Refused, Timestamp, Verdict};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One line or row.
#[derive(Debug)]
pub(super) struct Input {
    /// The line or row in its file, from 0.
    pub(super) offset: u64,
    pub(super) found: Result<(Event, Option<RowLabel>), Box<Bad>>,
}

impl Input {
    /// The event's time, if it became one.
    pub(super) fn time(&self) -> Option<Timestamp> {
        self.found.as_ref().ok().map(|(event, _)| event.time)
    }
}

/// The label event that a mapping makes of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RowLabel {
    pub(super) id: Id,
    pub(super) time: Timestamp,
    pub(super) verdict: Verdict,
    pub(super) scenario: Option<Id>,
}

/// What became no event.
#[derive(Debug, PartialEq)]
pub(super) struct Bad {
    pub(super) refused: Refused,
    pub(super) detail: String,
    pub(super) raw: Vec<u8>,
}

impl Bad {
    fn new(fault: Fault, raw: Vec<u8>) -> Box<Bad> {
        Box::new(Bad { refused: fault.refused, detail: fault.detail, raw })
    }
}

/// A table of either format.
pub(super) enum Table {
    Csv(CsvTable),
    Parquet(ParquetTable),
}

impl Table {
    pub(super) fn open(path: &Path, plan: &Plan, limits: &InputLimits, progress: &Progress) -> Result<Table, InputError> {
        match FileKind::of(path) {
            Some(FileKind::Csv) => Ok(Table::Csv(CsvTable::open(path, &plan.columns, limits.line_bytes_max, progress)?)),
            Some(FileKind::Parquet) => Ok(Table::Parquet(ParquetTable::open(path, &plan.columns, progress)?)),
            _ => Err(InputError::of(path, "found no table, expected .csv or .parquet for a source with a mapping")),
        }
    }

    /// Moves to the next row; false at the end.
    #[inline]
    fn advance(&mut self) -> Result<Result<bool, BadRow>, InputError> {
        match self {
            Table::Csv(table) => table.advance(),
            Table::Parquet(table) => table.advance().map(Ok),
        }
    }

    fn number(&self) -> u64 {
        match self {
            Table::Csv(table) => table.number(),
            Table::Parquet(table) => table.number(),
        }
    }

    /// How many rows it has; for CSV they must be read.
    pub(super) fn count(mut self) -> Result<u64, InputError> {
        if let Table::Parquet(table) = &self {
            return Ok(table.rows());
        }
        let mut rows = 0;
        while self.advance()?.unwrap_or(true) {
            rows += 1;
        }
        Ok(rows)
    }
}

impl Cells for Table {
    #[inline]
    fn cell(&self, column: usize) -> Found<'_> {
        match self {
            Table::Csv(table) => table.cell(column),
            Table::Parquet(table) => table.cell(column),
        }
    }
}

/// A file being read.
pub(super) struct InputFile {
    path: PathBuf,
    form: Form,
    /// Room for a line, or for a label's scenario.
    line: Vec<u8>,
    scenario: String,
}

enum Form {
    Lines(Lines),
    /// Rows, with the number of rows in the source's files before this one.
    Rows(Box<Table>, Arc<Plan>, u64),
}

impl InputFile {
    /// Opens a file of the wire format.
    pub(super) fn lines(path: &Path, progress: &Progress) -> Result<InputFile, InputError> {
        if FileKind::of(path) != Some(FileKind::Lines) {
            return Err(InputError::of(path, "found a table, expected .jsonl, .jsonl.gz or .jsonl.zst for a source without a mapping"));
        }
        let form = Form::Lines(Lines::new(file::open(path, progress)?));
        Ok(InputFile { path: path.to_owned(), form, line: Vec::new(), scenario: String::new() })
    }

    /// Opens a table; `rows_before` rows stand in the source's files before it.
    pub(super) fn rows(
        path: &Path,
        plan: &Arc<Plan>,
        rows_before: u64,
        limits: &InputLimits,
        progress: &Progress,
    ) -> Result<InputFile, InputError> {
        let form = Form::Rows(Box::new(Table::open(path, plan, limits, progress)?), plan.clone(), rows_before);
        Ok(InputFile { path: path.to_owned(), form, line: Vec::new(), scenario: String::new() })
    }

    /// The next line or row; `None` at the end.
    pub(super) fn next<T: Texts + ?Sized>(
        &mut self,
        reading: &mut Reading,
        limits: &InputLimits,
        texts: &mut T,
    ) -> Result<Option<Input>, InputError> {
        let InputFile { path, form, line, scenario } = self;
        match form {
            Form::Lines(lines) => loop {
                let read = lines.next(line, limits.line_bytes_max);
                let found = match read.map_err(|error| InputError::at(path, lines.number(), error))? {
                    LineRead::End => return Ok(None),
                    LineRead::Line if line.trim_ascii().is_empty() => continue,
                    LineRead::Line => wire::parse_event(line, reading, texts).map(|event| (event, None)),
                    LineRead::Oversized => {
                        let detail = format!("found a longer line, expected at most {} bytes", limits.line_bytes_max);
                        Err(Fault::whole(Refusal::Oversized, detail))
                    }
                };
                let found = found.map_err(|fault| Bad::new(fault, line.clone()));
                return Ok(Some(Input { offset: lines.number(), found }));
            },
            Form::Rows(table, plan, rows_before) => {
                let found = match table.advance()? {
                    Ok(false) => return Ok(None),
                    Err(bad) => Err(Bad::new(bad.fault, bad.raw)),
                    Ok(true) => {
                        let row = Row { plans: &plan.fields, cells: table.as_ref(), number: *rows_before + table.number() };
                        let read = event_of_row(plan, &row, reading, scenario, texts);
                        read.map_err(|fault| Bad::new(fault, table::raw_row(&plan.columns, table.as_ref())))
                    }
                };
                Ok(Some(Input { offset: table.number(), found }))
            }
        }
    }
}

fn event_of_row<T: Texts + ?Sized>(
    plan: &Plan,
    row: &Row<'_, Table>,
    reading: &mut Reading,
    scenario: &mut String,
    texts: &mut T,
) -> Result<(Event, Option<RowLabel>), Fault> {
    let told = texts.told();
    let event = reading.event(plan.event, row, texts)?;
    let label = label_of_row(plan, row, &event, reading, scenario, texts);
    Ok((event, label.inspect_err(|_| texts.take_back(told))?))
}

fn label_of_row<T: Texts + ?Sized>(
    plan: &Plan,
    row: &Row<'_, Table>,
    event: &Event,
    reading: &mut Reading,
    scenario: &mut String,
    texts: &mut T,
) -> Result<Option<RowLabel>, Fault> {
    let Some(label) = &plan.label else { return Ok(None) };
    let Some(verdict) = table::label_of(label, row.cells, scenario)? else { return Ok(None) };
    let time = Timestamp(event.time.0.saturating_add(label.delay.0));
    if !time.is_valid() {
        let detail = format_args!("found a label {} after it, at {time}, expected 1900 to 2200", label.delay);
        return Err(Fault::of(Refusal::TimeOutOfRange, Field::Time, detail));
    }
    let scenario = match scenario.as_bytes() {
        b"" => None,
        text => {
            let id = reading.key().id(IdKind::Symbol, text);
            texts.keep(id, IdKind::Symbol, text);
            Some(id)
        }
    };
    let id = reading.id_of(plan.event, Field::Id, IdKind::RowLabel, row)?.expect("the event has an id");
    Ok(Some(RowLabel { id, time, verdict, scenario }))
}

/// A catalogue entry of the row at hand, unless `known` holds its item; `None` for those and for rows without an item.
fn entry_of_row<T: Texts + ?Sized>(
    row: &Row<'_, Table>,
    reading: &mut Reading,
    known: impl FnOnce(Id) -> bool,
    texts: &mut T,
) -> Result<Option<(Id, Item)>, Fault> {
    let Some(item) = reading.id_of(EventType::Item, Field::Item, IdKind::Item, row)? else { return Ok(None) };
    if known(item) {
        return Ok(None);
    }
    let entry = reading.item(row, texts)?;
    let mut room = String::from("catalogue/");
    let mut text = String::new();
    room.push_str(row.text(Field::Item, &mut text)?.unwrap_or_default());
    let id = reading.key().id(IdKind::Event, room.as_bytes());
    texts.keep(id, IdKind::Event, room.as_bytes());
    Ok(Some((id, entry)))
}

/// Reads the catalogue's entries of one table.
pub(super) struct Entries {
    table: Table,
    plan: Arc<Plan>,
    rows_before: u64,
}

impl Entries {
    /// Opens `path` for the catalogue of `plan`.
    pub(super) fn open(path: &Path, plan: &Arc<Plan>, rows_before: u64, limits: &InputLimits) -> Result<Entries, InputError> {
        // Its bytes are read again for the events and counted there.
        Ok(Entries { table: Table::open(path, plan, limits, &Progress::default())?, plan: plan.clone(), rows_before })
    }

    /// The next entry whose item `known` does not hold, or a row that cannot be one; `None` at the end.
    #[expect(clippy::type_complexity, reason = "read at one place, where each layer is taken off in its line")]
    pub(super) fn next<T: Texts + ?Sized>(
        &mut self,
        reading: &mut Reading,
        mut known: impl FnMut(Id) -> bool,
        texts: &mut T,
    ) -> Result<Option<(u64, Result<(Id, Item), Box<Bad>>)>, InputError> {
        let cells: &CellPlans = self.plan.catalogue.as_ref().expect("opened only for a mapping with a catalogue");
        loop {
            match self.table.advance()? {
                Ok(false) => return Ok(None),
                // The events' own pass refuses it.
                Err(_) => continue,
                Ok(true) => {}
            }
            let row = Row { plans: cells, cells: &self.table, number: self.rows_before + self.table.number() };
            let entry = entry_of_row(&row, reading, &mut known, texts);
            let found = match entry.map_err(|fault| Bad::new(fault, table::raw_row(&self.plan.columns, &self.table))) {
                Ok(None) => continue,
                Ok(Some(entry)) => Ok(entry),
                Err(bad) => Err(bad),
            };
            return Ok(Some((self.table.number(), found)));
        }
    }
}
