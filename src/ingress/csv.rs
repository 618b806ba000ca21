//! CSV with a header line: every cell is text, an empty one is null.

use super::file::{self, InputError, Progress};
use super::table::{BadRow, Cells, Found};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The rows of one CSV file.
pub(super) struct CsvTable {
    reader: csv::Reader<Bounded>,
    record: csv::ByteRecord,
    /// Where each column of the plan stands in the file.
    places: Vec<usize>,
    columns: usize,
    allowance: Arc<AtomicU64>,
    row_bytes_max: usize,
    path: PathBuf,
    /// Number of the next row, from 0, the header not counted.
    next: u64,
}

/// How far the reader may read ahead of the row that it is asked for: its own buffer.
const READ_AHEAD: usize = 1 << 16;

/// Ends a file whose row does not end: a quote that is never closed would else take the rest of the file into memory.
struct Bounded {
    reader: Box<dyn Read + Send>,
    allowance: Arc<AtomicU64>,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.allowance.load(Ordering::Relaxed) as usize;
        if left == 0 {
            return Err(io::Error::other("found a row that does not end within the limit of a line, expected closed quotes"));
        }
        let length = buffer.len().min(left);
        let count = self.reader.read(&mut buffer[..length])?;
        self.allowance.store((left - count) as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl CsvTable {
    /// Opens `path` and finds `columns` in its header.
    pub(super) fn open(path: &Path, columns: &[String], row_bytes_max: usize, progress: &Progress) -> Result<CsvTable, InputError> {
        CsvTable::new(file::open(path, progress)?, path, columns, row_bytes_max)
    }

    /// Reads a table from any bytes; `path` stands in messages.
    pub(super) fn new(bytes: Box<dyn Read + Send>, path: &Path, columns: &[String], row_bytes_max: usize) -> Result<CsvTable, InputError> {
        let allowance = Arc::new(AtomicU64::new((row_bytes_max + READ_AHEAD) as u64));
        let bounded = Bounded { reader: bytes, allowance: allowance.clone() };
        let mut reader = csv::ReaderBuilder::new().flexible(true).buffer_capacity(READ_AHEAD).from_reader(bounded);
        let header = reader.byte_headers().map_err(|error| InputError::of(path, format!("the header cannot be read: {error}")))?;
        let names: Vec<String> = header.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        let places = find_columns(path, columns, &names)?;
        let count = names.len();
        let path = path.to_owned();
        Ok(CsvTable { reader, record: csv::ByteRecord::new(), places, columns: count, allowance, row_bytes_max, path, next: 0 })
    }

    /// Number of the row read last, from 0.
    pub(super) fn number(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// Moves to the next row; false at the end. A row that is no row is a [`BadRow`].
    pub(super) fn advance(&mut self) -> Result<Result<bool, BadRow>, InputError> {
        self.allowance.store((self.row_bytes_max + READ_AHEAD) as u64, Ordering::Relaxed);
        let found = self.reader.read_byte_record(&mut self.record);
        if !found.map_err(|error| InputError::at(&self.path, self.next, error))? {
            return Ok(Ok(false));
        }
        self.next += 1;
        if self.record.as_slice().len() > self.row_bytes_max {
            let detail = format!("found {} bytes, expected at most {}", self.record.as_slice().len(), self.row_bytes_max);
            let fault = super::contract::Fault::whole(crate::event::Refusal::Oversized, detail);
            return Ok(Err(BadRow { fault, raw: self.raw() }));
        }
        if self.record.len() != self.columns {
            let detail = format!("found {} cells, expected {} as in the header", self.record.len(), self.columns);
            return Ok(Err(BadRow::malformed(detail, self.raw())));
        }
        Ok(Ok(true))
    }

    fn raw(&self) -> Vec<u8> {
        let cells: Vec<&[u8]> = self.record.iter().collect();
        cells.join(&b',')
    }
}

impl Cells for CsvTable {
    fn cell(&self, column: usize) -> Found<'_> {
        match self.record.get(self.places[column]) {
            None | Some(b"") => Found::Null,
            Some(text) => Found::Text(text),
        }
    }
}

/// Where each of `wanted` stands among the columns `present`.
pub(super) fn find_columns(path: &Path, wanted: &[String], present: &[String]) -> Result<Vec<usize>, InputError> {
    let missing: Vec<&str> = wanted.iter().filter(|name| !present.contains(name)).map(String::as_str).collect();
    if !missing.is_empty() {
        let message = format!("column {} is missing, found {}", missing.join(", "), present.join(", "));
        return Err(InputError::of(path, message));
    }
    Ok(wanted.iter().map(|name| present.iter().position(|found| found == name).expect("looked for above")).collect())
}
