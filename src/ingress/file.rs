//! Files on disk: opened by their ending, decompressed on the way, read in bounded lines.

use flate2::read::MultiGzDecoder;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a file cannot be read for: where, what was found, what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputError {
    /// The file concerned, if it is one.
    pub path: Option<PathBuf>,
    /// The line or row, from 0, if it is one.
    pub offset: Option<u64>,
    pub message: String,
}

impl InputError {
    /// An error that is about the input as a whole.
    pub fn new(message: impl Into<String>) -> InputError {
        InputError { path: None, offset: None, message: message.into() }
    }

    /// An error of one file.
    pub fn of(path: &Path, message: impl fmt::Display) -> InputError {
        InputError { path: Some(path.to_owned()), offset: None, message: message.to_string() }
    }

    /// An error at one line or row of a file.
    pub fn at(path: &Path, offset: u64, message: impl fmt::Display) -> InputError {
        InputError { path: Some(path.to_owned()), offset: Some(offset), message: message.to_string() }
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}: ", path.display())?;
        }
        if let Some(offset) = self.offset {
            write!(f, "row {offset}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for InputError {}

/// How a file is written, by its ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// `.jsonl`: the wire format.
    Lines,
    Csv,
    Parquet,
}

/// How a file is compressed, by its ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    None,
    Gzip,
    Zstd,
}

/// The endings that are understood, for messages.
pub(super) const ENDINGS: &str = ".jsonl, .jsonl.gz, .jsonl.zst, .csv, .csv.gz, .csv.zst or .parquet";

fn kind_and_compression(path: &Path) -> Option<(FileKind, Compression)> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let (stem, compression) = if let Some(stem) = name.strip_suffix(".gz") {
        (stem, Compression::Gzip)
    } else if let Some(stem) = name.strip_suffix(".zst") {
        (stem, Compression::Zstd)
    } else {
        (name.as_str(), Compression::None)
    };
    if stem.ends_with(".jsonl") {
        Some((FileKind::Lines, compression))
    } else if stem.ends_with(".csv") {
        Some((FileKind::Csv, compression))
    } else if name.ends_with(".parquet") {
        Some((FileKind::Parquet, Compression::None))
    } else {
        None
    }
}

impl FileKind {
    /// The kind of `path`, if its ending is one of ours.
    pub fn of(path: &Path) -> Option<FileKind> {
        kind_and_compression(path).map(|(kind, _)| kind)
    }

    /// Whether a file of this kind is a table, to be read through a mapping.
    pub fn is_table(self) -> bool {
        self != FileKind::Lines
    }
}

/// Bytes read so far of all files together; for a progress bar on another thread.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Bytes read, as they stand on disk (compressed).
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Counts what is read from a file before it is decompressed.
struct Counted {
    file: File,
    progress: Progress,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.progress.add(count as u64);
        Ok(count)
    }
}

/// A file's bytes, decompressed.
pub(super) fn open(path: &Path, progress: &Progress) -> Result<Box<dyn Read + Send>, InputError> {
    let file = File::open(path).map_err(|error| InputError::of(path, format!("cannot be opened: {error}")))?;
    let (_, compression) = kind_and_compression(path).ok_or_else(|| unknown_ending(path))?;
    let counted = Counted { file, progress: progress.clone() };
    Ok(match compression {
        Compression::None => Box::new(counted),
        Compression::Gzip => Box::new(MultiGzDecoder::new(BufReader::new(counted))),
        Compression::Zstd => {
            let decoder = zstd::stream::read::Decoder::new(counted);
            Box::new(decoder.map_err(|error| InputError::of(path, format!("cannot be decompressed: {error}")))?)
        }
    })
}

pub(super) fn unknown_ending(path: &Path) -> InputError {
    InputError::of(path, format!("found an unknown ending, expected {ENDINGS}"))
}

/// What [`Lines::next`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineRead {
    /// A whole line, without its end.
    Line,
    /// A line longer than the limit: its beginning stands in the buffer, the rest was passed over.
    Oversized,
    End,
}

/// The lines of a file, each bounded.
pub(super) struct Lines {
    reader: BufReader<Box<dyn Read + Send>>,
    /// Number of the next line, from 0.
    next: u64,
}

impl Lines {
    pub(super) fn new(reader: Box<dyn Read + Send>) -> Lines {
        Lines { reader: BufReader::with_capacity(1 << 16, reader), next: 0 }
    }

    /// Number of the line read last, from 0.
    pub(super) fn number(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// Reads the next line into `line`, at most `bytes_max` bytes of it.
    pub(super) fn next(&mut self, line: &mut Vec<u8>, bytes_max: usize) -> io::Result<LineRead> {
        line.clear();
        // One byte more than the line may have: its line feed, or the proof that it is too long.
        let read = (&mut self.reader).take(bytes_max as u64 + 1).read_until(b'\n', line)?;
        if read == 0 {
            return Ok(LineRead::End);
        }
        self.next += 1;
        let whole = if line.last() == Some(&b'\n') {
            line.pop();
            true
        } else {
            line.len() <= bytes_max
        };
        if !whole {
            line.truncate(bytes_max);
            self.reader.skip_until(b'\n')?;
            return Ok(LineRead::Oversized);
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        // Some editors put a byte order mark before the first line; it is no part of the object.
        if self.next == 1 && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
        }
        Ok(LineRead::Line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(text: &str, bytes_max: usize) -> Vec<(LineRead, String)> {
        let mut lines = Lines::new(Box::new(io::Cursor::new(text.as_bytes().to_vec())));
        let mut line = Vec::new();
        let mut all = Vec::new();
        loop {
            match lines.next(&mut line, bytes_max).unwrap() {
                LineRead::End => return all,
                read => all.push((read, String::from_utf8(line.clone()).unwrap())),
            }
        }
    }

    // Caught a limit that counted the line feed: the line of five was refused.
    #[test]
    fn lines_are_bounded_and_the_rest_is_passed_over() {
        let found = lines_of("abcde\nabcdef\r\n\nab\r\nabcdefghij", 5);
        let expected = [
            (LineRead::Line, "abcde"),
            (LineRead::Oversized, "abcde"),
            (LineRead::Line, ""),
            (LineRead::Line, "ab"),
            (LineRead::Oversized, "abcde"),
        ];
        assert_eq!(found, expected.map(|(read, text)| (read, text.to_owned())));
        assert_eq!(lines_of("\u{feff}{}", 9), [(LineRead::Line, "{}".to_owned())]);
        assert_eq!(lines_of("", 5), []);
    }

    #[test]
    fn endings_name_kinds() {
        let kind = |name: &str| FileKind::of(Path::new(name));
        assert_eq!(kind("a/b.jsonl"), Some(FileKind::Lines));
        assert_eq!(kind("b.JSONL.GZ"), Some(FileKind::Lines));
        assert_eq!(kind("b.csv.zst"), Some(FileKind::Csv));
        assert_eq!(kind("b.parquet"), Some(FileKind::Parquet));
        assert_eq!(kind("b.parquet.gz"), None);
        assert_eq!(kind("b.json"), None);
        assert_eq!(kind(".gz"), None);
    }
}
