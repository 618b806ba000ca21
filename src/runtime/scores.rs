//! Probabilities as a file, so that whoever doubts our figures can judge them with tools of their own.

use crate::event::Timestamp;
use parquet::basic::Compression;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::{NamedTempFile, TempPath};

/// Rows of a Parquet file that are written together.
const GROUP: usize = 65_536;

/// A judged event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Score<'a> {
    pub(super) event: &'a str,
    pub(super) time: Timestamp,
    /// Payments': who paid. Transfers': whose account it left, or came to from the world outside.
    pub(super) user: &'a str,
    pub(super) fraud_probability: Option<f32>,
    pub(super) aml_probability: Option<f32>,
}

/// Why scores cannot be written.
#[derive(Debug)]
pub enum ScoresError {
    Ending(PathBuf),
    File(PathBuf, io::Error),
    Csv(PathBuf, csv::Error),
    Parquet(PathBuf, ParquetError),
}

impl fmt::Display for ScoresError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScoresError::Ending(path) => write!(f, "{}: found an unknown ending, expected .csv or .parquet", path.display()),
            ScoresError::File(path, error) => write!(f, "{}: {error}", path.display()),
            ScoresError::Csv(path, error) => write!(f, "{}: {error}", path.display()),
            ScoresError::Parquet(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for ScoresError {}

/// A file of scores in the making: under another name until it is whole, so that nobody takes a part for all.
pub(super) struct Scores {
    path: PathBuf,
    unfinished: TempPath,
    form: Form,
    /// With it each row says that its model may have learned from it.
    hindsight: bool,
}

enum Form {
    Csv(Box<csv::Writer<File>>),
    Parquet(Box<Columns>),
}

/// What waits to be written.
struct Columns {
    file: SerializedFileWriter<File>,
    hindsight: bool,
    events: Vec<ByteArray>,
    times: Vec<i64>,
    users: Vec<ByteArray>,
    /// Fraud's and laundering's: those that are there, and which are.
    probabilities: [(Vec<f64>, Vec<i16>); 2],
}

impl Scores {
    /// Begins a file in the form that its ending says.
    ///
    /// # Errors
    /// Where the ending says none, or it cannot be made.
    pub(super) fn create(path: &Path, hindsight: bool) -> Result<Scores, ScoresError> {
        let ending = path.extension().and_then(OsStr::to_str);
        let ending = ending.filter(|ending| ["csv", "parquet"].contains(ending)).ok_or_else(|| ScoresError::Ending(path.to_owned()))?;
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let readable = Permissions::from_mode(0o644);
        let file = tempfile::Builder::new().permissions(readable).tempfile_in(dir);
        let (file, unfinished) = file.map(NamedTempFile::into_parts).map_err(|error| ScoresError::File(path.to_owned(), error))?;
        let form = match ending {
            "csv" => begin_csv(file, hindsight).map(Form::Csv).map_err(|error| ScoresError::Csv(path.to_owned(), error)),
            _ => Columns::begin(file, hindsight).map(Form::Parquet).map_err(|error| ScoresError::Parquet(path.to_owned(), error)),
        };
        Ok(Scores { path: path.to_owned(), unfinished, form: form?, hindsight })
    }

    /// Writes a row.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn row(&mut self, score: &Score<'_>) -> Result<(), ScoresError> {
        match &mut self.form {
            Form::Csv(file) => row_of_csv(file, score, self.hindsight).map_err(|error| ScoresError::Csv(self.path.clone(), error)),
            Form::Parquet(columns) => columns.row(score).map_err(|error| ScoresError::Parquet(self.path.clone(), error)),
        }
    }

    /// Writes the end, and gives the file its name.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn finish(self) -> Result<(), ScoresError> {
        let Scores { path, unfinished, form, .. } = self;
        match form {
            Form::Csv(mut file) => file.flush().map_err(|error| ScoresError::File(path.clone(), error))?,
            Form::Parquet(mut columns) => {
                let written = columns.flush().and_then(|()| columns.file.close().map(drop));
                written.map_err(|error| ScoresError::Parquet(path.clone(), error))?;
            }
        }
        unfinished.persist(&path).map_err(|error| ScoresError::File(path, error.error))
    }
}

/// The columns of a row, the last one only with hindsight.
const NAMES: [&str; 6] = ["event_id", "time", "user", "fraud_probability", "aml_probability", "hindsight"];

fn begin_csv(file: File, hindsight: bool) -> Result<Box<csv::Writer<File>>, csv::Error> {
    let mut file = csv::Writer::from_writer(file);
    file.write_record(&NAMES[..NAMES.len() - usize::from(!hindsight)])?;
    Ok(Box::new(file))
}

fn row_of_csv(file: &mut csv::Writer<File>, score: &Score<'_>, hindsight: bool) -> Result<(), csv::Error> {
    let said = |probability: Option<f32>| probability.map_or(String::new(), |probability| f64::from(probability).to_string());
    let time = score.time.to_string();
    let row = [score.event, &time, score.user, &said(score.fraud_probability), &said(score.aml_probability), "true"];
    file.write_record(&row[..row.len() - usize::from(!hindsight)])
}

impl Columns {
    fn begin(file: File, hindsight: bool) -> Result<Box<Columns>, ParquetError> {
        let allowed = if hindsight { "required boolean hindsight;" } else { "" };
        let schema = format!(
            "message score {{ required binary event_id (UTF8); required int64 time (TIMESTAMP(MICROS,true)); required binary user (UTF8); \
             optional double fraud_probability; optional double aml_probability; {allowed} }}"
        );
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let file = SerializedFileWriter::new(file, Arc::new(parse_message_type(&schema)?), Arc::new(properties))?;
        let probabilities = Default::default();
        Ok(Box::new(Columns { file, hindsight, events: Vec::new(), times: Vec::new(), users: Vec::new(), probabilities }))
    }

    fn row(&mut self, score: &Score<'_>) -> Result<(), ParquetError> {
        self.events.push(ByteArray::from(score.event));
        self.times.push(score.time.0);
        self.users.push(ByteArray::from(score.user));
        for ((values, there), probability) in self.probabilities.iter_mut().zip([score.fraud_probability, score.aml_probability]) {
            values.extend(probability.map(f64::from));
            there.push(i16::from(probability.is_some()));
        }
        if self.events.len() < GROUP { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<(), ParquetError> {
        if self.events.is_empty() {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        let mut names = NAMES.iter();
        while let Some(mut column) = group.next_column()? {
            match *names.next().expect("the schema has these columns") {
                "event_id" => column.typed::<ByteArrayType>().write_batch(&self.events, None, None)?,
                "time" => column.typed::<Int64Type>().write_batch(&self.times, None, None)?,
                "user" => column.typed::<ByteArrayType>().write_batch(&self.users, None, None)?,
                "hindsight" => column.typed::<BoolType>().write_batch(&vec![self.hindsight; self.events.len()], None, None)?,
                probability => {
                    let (values, there) = &self.probabilities[usize::from(probability == "aml_probability")];
                    column.typed::<DoubleType>().write_batch(values, Some(there), None)?
                }
            };
            column.close()?;
        }
        group.close()?;
        self.events.clear();
        self.times.clear();
        self.users.clear();
        self.probabilities.iter_mut().for_each(|(values, there)| {
            values.clear();
            there.clear();
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    const ROWS: [Score<'_>; 3] = [
        Score { event: "p1", time: Timestamp(0), user: "anna, junior", fraud_probability: Some(0.25), aml_probability: None },
        Score { event: "t1", time: Timestamp(1), user: "n7", fraud_probability: None, aml_probability: Some(0.1) },
        Score { event: "p2", time: Timestamp(2), user: "bob", fraud_probability: None, aml_probability: None },
    ];

    fn write(path: &Path, hindsight: bool) {
        let mut scores = Scores::create(path, hindsight).expect("it can be made");
        ROWS.iter().for_each(|row| scores.row(row).expect("it can be written"));
        assert!(!path.exists(), "it is not whole yet");
        scores.finish().expect("it can be written");
    }

    #[test]
    fn csv_holds_what_was_judged() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("scores.csv");
        write(&path, false);
        let expected = "\
event_id,time,user,fraud_probability,aml_probability
p1,1970-01-01T00:00:00Z,\"anna, junior\",0.25,
t1,1970-01-01T00:00:00.000001Z,n7,,0.10000000149011612
p2,1970-01-01T00:00:00.000002Z,bob,,
";
        assert_eq!(std::fs::read_to_string(&path).expect("it is there"), expected);
        write(&dir.path().join("again.csv"), true);
        let text = std::fs::read_to_string(dir.path().join("again.csv")).expect("it is there");
        assert!(text.lines().next().is_some_and(|line| line.ends_with(",hindsight")) && text.matches(",true\n").count() == 3, "{text}");
    }

    /// Caught when planted: values of those that are not there (the second column had the values of the first's rows).
    #[test]
    fn parquet_holds_the_same() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("scores.parquet");
        write(&path, true);
        let reader = SerializedFileReader::new(File::open(&path).expect("it is there")).expect("it is Parquet");
        let rows: Vec<_> = reader.get_row_iter(None).expect("rows").map(|row| row.expect("a row")).collect();
        assert_eq!(rows.len(), 3);
        for (row, score) in rows.iter().zip(&ROWS) {
            assert_eq!(
                (row.get_string(0).expect("an id"), row.get_string(2).expect("a user")),
                (&score.event.to_owned(), &score.user.to_owned())
            );
            let expected = [score.fraud_probability, score.aml_probability].map(|probability| probability.map(f64::from));
            assert_eq!([3, 4].map(|column| row.get_double(column).ok()), expected);
            assert!(row.get_bool(5).expect("it is said"));
        }
    }

    #[test]
    fn an_unknown_ending_is_told_before_work_is_done() {
        let error = Scores::create(Path::new("scores.txt"), false).err().expect("it is refused");
        assert_eq!(error.to_string(), "scores.txt: found an unknown ending, expected .csv or .parquet");
    }
}
