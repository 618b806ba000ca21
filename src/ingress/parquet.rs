//! Parquet through its column readers: only the mapped columns, some thousand rows at a time.

use super::csv::find_columns;
use super::file::{InputError, Progress};
use super::table::{Cells, Found};
use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType, FixedLenByteArray, Int96};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Rows decoded at a time: enough to make a call per column cheap, few enough to stay in the second cache.
const BATCH_ROWS: usize = 2048;

/// The rows of one Parquet file.
pub(super) struct ParquetTable {
    file: SerializedFileReader<File>,
    path: PathBuf,
    columns: Vec<Column>,
    /// The next row group.
    group: usize,
    /// Rows of the group at hand that are not decoded yet.
    group_rows: usize,
    /// Rows in the columns' buffers, and the one at hand.
    batch_rows: usize,
    row: usize,
    /// Number of the next row, from 0.
    next: u64,
    bytes: u64,
    rows: u64,
    progress: Progress,
}

/// One mapped column: where it stands, what its values mean, and those of the batch at hand.
struct Column {
    place: usize,
    meaning: Meaning,
    defined: i16,
    reader: Option<ColumnReader>,
    levels: Vec<i16>,
    /// Row to value; [`NO_VALUE`] for null. Empty while no row of the batch is null.
    index: Vec<u32>,
    values: Values,
}

const NO_VALUE: u32 = u32::MAX;

/// What a column's physical values stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Plain,
    Unsigned,
    Decimal(u32),
    /// Days since 1970.
    Date,
    Time {
        unit: Unit,
        adjusted: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

enum Values {
    Booleans(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Int96(Vec<Int96>),
    Floats(Vec<f32>),
    Doubles(Vec<f64>),
    Bytes(Vec<ByteArray>),
    Fixed(Vec<FixedLenByteArray>),
}

impl ParquetTable {
    /// Opens `path` and finds `columns` in it.
    pub(super) fn open(path: &Path, columns: &[String], progress: &Progress) -> Result<ParquetTable, InputError> {
        guarded(|| ParquetTable::open_unguarded(path, columns, progress)).map_err(|found| InputError::of(path, found))?
    }

    fn open_unguarded(path: &Path, columns: &[String], progress: &Progress) -> Result<ParquetTable, InputError> {
        let opened = File::open(path).map_err(|error| InputError::of(path, format!("cannot be opened: {error}")))?;
        let bytes = opened.metadata().map_err(|error| InputError::of(path, error))?.len();
        let file = SerializedFileReader::new(opened).map_err(|error| InputError::of(path, format!("is no Parquet file: {error}")))?;
        let schema = file.metadata().file_metadata().schema_descr_ptr();
        let names: Vec<String> = schema.columns().iter().map(|column| column.path().string()).collect();
        let places = find_columns(path, columns, &names)?;
        let columns = places.into_iter().map(|place| {
            Column::new(place, &schema.column(place)).map_err(|found| {
                InputError::of(path, format!("column {}: found {found}, expected numbers, texts, times or booleans", names[place]))
            })
        });
        let columns = columns.collect::<Result<Vec<Column>, InputError>>()?;
        let rows = u64::try_from(file.metadata().file_metadata().num_rows()).unwrap_or(0);
        Ok(ParquetTable {
            file,
            path: path.to_owned(),
            columns,
            group: 0,
            group_rows: 0,
            batch_rows: 0,
            row: 0,
            next: 0,
            bytes,
            rows,
            progress: progress.clone(),
        })
    }

    /// Rows of the file, as it says itself.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Number of the row at hand, from 0.
    pub(super) fn number(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// Moves to the next row; false at the end.
    pub(super) fn advance(&mut self) -> Result<bool, InputError> {
        self.row += 1;
        if self.row >= self.batch_rows {
            let decoded = guarded(|| self.decode().map_err(|error| error.to_string())).and_then(|decoded| decoded);
            if !decoded.map_err(|found| InputError::at(&self.path, self.next, found))? {
                return Ok(false);
            }
        }
        self.next += 1;
        Ok(true)
    }

    /// Decodes the next rows of every column; false at the end of the file.
    fn decode(&mut self) -> Result<bool, ParquetError> {
        while self.group_rows == 0 {
            if self.group == self.file.num_row_groups() {
                return Ok(false);
            }
            let group = self.file.get_row_group(self.group)?;
            self.group_rows = usize::try_from(group.metadata().num_rows())?;
            for column in &mut self.columns {
                column.reader = Some(group.get_column_reader(column.place)?);
            }
            self.group += 1;
        }
        let want = self.group_rows.min(BATCH_ROWS);
        for column in &mut self.columns {
            column.decode(want)?;
        }
        self.group_rows -= want;
        self.batch_rows = want;
        self.row = 0;
        self.progress.add((self.bytes as u128 * want as u128 / u128::from(self.rows.max(1))) as u64);
        Ok(true)
    }
}

/// Calls into the Parquet crate, which asserts some of what a corrupt file may break; that is an error of the file, not of this program.
fn guarded<T>(read: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(read)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        format!("found corrupt Parquet: {}", text.unwrap_or("the reader gave up"))
    })
}

impl Cells for ParquetTable {
    #[inline]
    fn cell(&self, column: usize) -> Found<'_> {
        self.columns[column].found(self.row)
    }
}

impl Column {
    /// The column at `place`, or what was found where something readable was expected.
    fn new(place: usize, found: &ColumnDescriptor) -> Result<Column, String> {
        if found.max_rep_level() > 0 {
            return Err("a list".to_owned());
        }
        let physical = found.physical_type();
        let meaning = meaning(found).ok_or_else(|| format!("{physical} of type {:?}", found.converted_type()))?;
        let values = match physical {
            Type::BOOLEAN => Values::Booleans(Vec::new()),
            Type::INT32 => Values::Int32(Vec::new()),
            Type::INT64 => Values::Int64(Vec::new()),
            Type::INT96 => Values::Int96(Vec::new()),
            Type::FLOAT => Values::Floats(Vec::new()),
            Type::DOUBLE => Values::Doubles(Vec::new()),
            Type::BYTE_ARRAY => Values::Bytes(Vec::new()),
            Type::FIXED_LEN_BYTE_ARRAY if matches!(meaning, Meaning::Decimal(_)) => Values::Fixed(Vec::new()),
            Type::FIXED_LEN_BYTE_ARRAY => return Err("bytes of a fixed length".to_owned()),
        };
        Ok(Column { place, meaning, defined: found.max_def_level(), reader: None, levels: Vec::new(), index: Vec::new(), values })
    }

    /// Reads exactly `want` rows.
    fn decode(&mut self, want: usize) -> Result<(), ParquetError> {
        let Column { reader, levels, values, .. } = self;
        let reader = reader.as_mut().expect("set when its row group was opened");
        levels.clear();
        let rows = match (reader, values) {
            (ColumnReader::BoolColumnReader(reader), Values::Booleans(values)) => read(reader, want, levels, values),
            (ColumnReader::Int32ColumnReader(reader), Values::Int32(values)) => read(reader, want, levels, values),
            (ColumnReader::Int64ColumnReader(reader), Values::Int64(values)) => read(reader, want, levels, values),
            (ColumnReader::Int96ColumnReader(reader), Values::Int96(values)) => read(reader, want, levels, values),
            (ColumnReader::FloatColumnReader(reader), Values::Floats(values)) => read(reader, want, levels, values),
            (ColumnReader::DoubleColumnReader(reader), Values::Doubles(values)) => read(reader, want, levels, values),
            (ColumnReader::ByteArrayColumnReader(reader), Values::Bytes(values)) => read(reader, want, levels, values),
            (ColumnReader::FixedLenByteArrayColumnReader(reader), Values::Fixed(values)) => read(reader, want, levels, values),
            _ => Err(ParquetError::General("a column's type differs between schema and row group".to_owned())),
        }?;
        if rows != want {
            return Err(ParquetError::General(format!("found {rows} rows in a column, expected {want}")));
        }
        self.index.clear();
        if self.values.len() < want {
            let mut value = 0;
            for level in &self.levels {
                let there = *level == self.defined;
                self.index.push(if there { value } else { NO_VALUE });
                value += u32::from(there);
            }
        }
        Ok(())
    }

    #[inline]
    fn found(&self, row: usize) -> Found<'_> {
        let at = if self.index.is_empty() {
            row
        } else {
            match self.index[row] {
                NO_VALUE => return Found::Null,
                value => value as usize,
            }
        };
        match &self.values {
            Values::Int32(values) => self.meant(i64::from(values[at]), u64::from(values[at] as u32)),
            Values::Int64(values) => self.meant(values[at], values[at] as u64),
            Values::Doubles(values) => Found::Number(values[at]),
            Values::Floats(values) => Found::Number(f64::from(values[at])),
            Values::Booleans(values) => Found::Boolean(values[at]),
            Values::Bytes(values) => self.meant_bytes(values[at].data()),
            Values::Fixed(values) => self.meant_bytes(values[at].data()),
            // The old type of Impala and Spark: no zone, and nanoseconds of a Julian day.
            Values::Int96(values) => Found::Time { micros: values[at].to_micros(), adjusted: false },
        }
    }

    #[inline]
    fn meant(&self, signed: i64, unsigned: u64) -> Found<'static> {
        let time = |micros: Option<i64>, adjusted| micros.map_or(Found::TooLarge, |micros| Found::Time { micros, adjusted });
        match self.meaning {
            Meaning::Plain => Found::Integer(signed),
            Meaning::Unsigned => i64::try_from(unsigned).map_or(Found::TooLarge, Found::Integer),
            Meaning::Decimal(scale) => Found::Decimal { unscaled: i128::from(signed), scale },
            Meaning::Date => time(signed.checked_mul(86_400_000_000), false),
            Meaning::Time { unit: Unit::Milliseconds, adjusted } => time(signed.checked_mul(1000), adjusted),
            Meaning::Time { unit: Unit::Microseconds, adjusted } => time(Some(signed), adjusted),
            Meaning::Time { unit: Unit::Nanoseconds, adjusted } => time(Some(signed.div_euclid(1000)), adjusted),
        }
    }

    fn meant_bytes<'a>(&self, bytes: &'a [u8]) -> Found<'a> {
        let Meaning::Decimal(scale) = self.meaning else { return Found::Text(bytes) };
        if bytes.is_empty() || bytes.len() > 16 {
            return Found::TooLarge;
        }
        // Two's complement, the highest byte first.
        let mut wide = [if bytes[0] & 0x80 == 0 { 0 } else { 0xff }; 16];
        wide[16 - bytes.len()..].copy_from_slice(bytes);
        Found::Decimal { unscaled: i128::from_be_bytes(wide), scale }
    }
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Values::Booleans(values) => values.len(),
            Values::Int32(values) => values.len(),
            Values::Int64(values) => values.len(),
            Values::Int96(values) => values.len(),
            Values::Floats(values) => values.len(),
            Values::Doubles(values) => values.len(),
            Values::Bytes(values) => values.len(),
            Values::Fixed(values) => values.len(),
        }
    }
}

/// Reads up to `want` rows; how many there were.
fn read<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    want: usize,
    levels: &mut Vec<i16>,
    values: &mut Vec<T::T>,
) -> Result<usize, ParquetError> {
    values.clear();
    let (rows, _, _) = reader.read_records(want, Some(levels), None, values)?;
    Ok(rows)
}

/// What the values of a column stand for; `None` where Weir has no use for them.
fn meaning(column: &ColumnDescriptor) -> Option<Meaning> {
    let physical = column.physical_type();
    if let Some(logical) = column.logical_type_ref() {
        return Some(match logical {
            LogicalType::String | LogicalType::Enum | LogicalType::Json => Meaning::Plain,
            LogicalType::Integer(integer) if integer.is_signed => Meaning::Plain,
            LogicalType::Integer(_) => Meaning::Unsigned,
            LogicalType::Decimal(decimal) => Meaning::Decimal(u32::try_from(decimal.scale).ok()?),
            LogicalType::Date => Meaning::Date,
            LogicalType::Timestamp(time) => Meaning::Time {
                unit: match time.unit {
                    TimeUnit::MILLIS => Unit::Milliseconds,
                    TimeUnit::MICROS => Unit::Microseconds,
                    TimeUnit::NANOS => Unit::Nanoseconds,
                },
                adjusted: time.is_adjusted_to_u_t_c,
            },
            _ => return None,
        });
    }
    Some(match column.converted_type() {
        ConvertedType::DECIMAL => Meaning::Decimal(u32::try_from(column.type_scale()).ok()?),
        ConvertedType::DATE => Meaning::Date,
        // The older annotation always means a moment.
        ConvertedType::TIMESTAMP_MILLIS => Meaning::Time { unit: Unit::Milliseconds, adjusted: true },
        ConvertedType::TIMESTAMP_MICROS => Meaning::Time { unit: Unit::Microseconds, adjusted: true },
        ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64 => Meaning::Unsigned,
        ConvertedType::NONE
        | ConvertedType::UTF8
        | ConvertedType::ENUM
        | ConvertedType::JSON
        | ConvertedType::INT_8
        | ConvertedType::INT_16
        | ConvertedType::INT_32
        | ConvertedType::INT_64
            if physical != Type::FIXED_LEN_BYTE_ARRAY =>
        {
            Meaning::Plain
        }
        _ => return None,
    })
}
