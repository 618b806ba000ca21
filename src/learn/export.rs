//! Rows as a Parquet file, so that anyone can fit a model of theirs to them.

use super::rows::{Row, RowSink, pooled, pooled_names};
use parquet::basic::Compression;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, FloatType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Rows that are written together.
const GROUP: usize = 16_384;

/// Why rows cannot be exported.
#[derive(Debug)]
pub enum ExportError {
    File(PathBuf, io::Error),
    Parquet(PathBuf, ParquetError),
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExportError::File(path, error) => write!(f, "{}: {error}", path.display()),
            ExportError::Parquet(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for ExportError {}

/// A Parquet file in the making: `event_id`, `time` (microseconds since 1970), `type`, `bad`, then a column an input and one a pooled
/// figure of the neighbourhoods.
pub struct Export {
    path: PathBuf,
    file: SerializedFileWriter<File>,
    /// Columns of figures.
    width: usize,
    /// By row: (rows, width).
    figures: Vec<f32>,
    ids: Vec<ByteArray>,
    times: Vec<i64>,
    kinds: Vec<ByteArray>,
    bads: Vec<bool>,
}

impl Export {
    /// Begins the file; `inputs` names what rows bear.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn create(path: &Path, inputs: &[String]) -> Result<Export, ExportError> {
        let names: Vec<String> = inputs.iter().cloned().chain(pooled_names()).collect();
        let figures: String = names.iter().map(|name| format!("required float {name};")).collect();
        let schema = format!(
            "message row {{ required binary event_id (UTF8); required int64 time (TIMESTAMP(MICROS,true)); required binary type (UTF8); \
             required boolean bad; {figures} }}"
        );
        let parquet = |error| ExportError::Parquet(path.to_owned(), error);
        let schema = Arc::new(parse_message_type(&schema).map_err(parquet)?);
        let file = File::create(path).map_err(|error| ExportError::File(path.to_owned(), error))?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let file = SerializedFileWriter::new(file, schema, Arc::new(properties)).map_err(parquet)?;
        Ok(Export {
            path: path.to_owned(),
            file,
            width: names.len(),
            figures: Vec::new(),
            ids: Vec::new(),
            times: Vec::new(),
            kinds: Vec::new(),
            bads: Vec::new(),
        })
    }

    /// Writes what waits, and the end of the file.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn finish(mut self) -> Result<(), ExportError> {
        let written = self.flush().and_then(|()| self.file.close().map(drop));
        written.map_err(|error| ExportError::Parquet(self.path, error))
    }

    fn flush(&mut self) -> Result<(), ParquetError> {
        if self.ids.is_empty() {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        let mut place = 0;
        let mut values = vec![0.0; self.ids.len()];
        while let Some(mut column) = group.next_column()? {
            match place {
                0 => column.typed::<ByteArrayType>().write_batch(&self.ids, None, None)?,
                1 => column.typed::<Int64Type>().write_batch(&self.times, None, None)?,
                2 => column.typed::<ByteArrayType>().write_batch(&self.kinds, None, None)?,
                3 => column.typed::<BoolType>().write_batch(&self.bads, None, None)?,
                figure => {
                    for (value, row) in values.iter_mut().zip(self.figures.chunks_exact(self.width)) {
                        *value = row[figure - FIGURES_AT];
                    }
                    column.typed::<FloatType>().write_batch(&values, None, None)?
                }
            };
            column.close()?;
            place += 1;
        }
        group.close()?;
        self.figures.clear();
        self.ids.clear();
        self.times.clear();
        self.kinds.clear();
        self.bads.clear();
        Ok(())
    }
}

/// Columns ahead of the figures.
const FIGURES_AT: usize = 4;

impl RowSink for Export {
    type Error = ExportError;

    fn row(&mut self, row: &Row<'_>) -> Result<(), ExportError> {
        self.figures.extend_from_slice(row.inputs);
        pooled(&row.around, &mut self.figures);
        self.ids.push(ByteArray::from(row.name));
        self.times.push(row.time.0);
        self.kinds.push(ByteArray::from(row.kind.name()));
        self.bads.push(row.bad);
        if self.ids.len() < GROUP {
            return Ok(());
        }
        self.flush().map_err(|error| ExportError::Parquet(self.path.clone(), error))
    }
}
