//! Which file belongs to which source.

use super::file::{ENDINGS, FileKind, InputError, unknown_ending};
use super::options::{Format, SourceOptions};
use std::path::{Path, PathBuf};

/// Spreads `files` over `sources`: pairs of a source's index and a file, sorted by source, in the order given.
///
/// `.jsonl` files go to the only source of the wire format, tables to the only mapped source; `NAME=path` chooses. Sources that get no
/// file are silent. Without any file every source reads its own `files`.
///
/// # Errors
/// A file that no source can read, or several, and input without any file.
pub fn assign(files: &[PathBuf], sources: &[SourceOptions]) -> Result<Vec<(usize, PathBuf)>, InputError> {
    let mut assigned = Vec::new();
    for (index, source) in sources.iter().enumerate().filter(|_| files.is_empty()) {
        for path in &source.files {
            assigned.push((fitting(index, source, path)?, path.clone()));
        }
    }
    for file in files {
        assigned.push(match named(file, sources) {
            Some((index, path)) => (fitting(index, &sources[index], &path)?, path),
            None => (only_source(file, sources)?, file.clone()),
        });
    }
    if assigned.is_empty() {
        return Err(InputError::new("found no file, expected some on the command line or in the files of a source"));
    }
    // Stable: the files of a source keep the order in which they were given.
    assigned.sort_by_key(|(index, _)| *index);
    Ok(assigned)
}

/// The source and path of `NAME=path`, where NAME is a source.
fn named(file: &Path, sources: &[SourceOptions]) -> Option<(usize, PathBuf)> {
    let (name, path) = file.to_str()?.split_once('=')?;
    let index = sources.iter().position(|source| source.name == name)?;
    Some((index, PathBuf::from(path)))
}

/// `index`, if the source can read `path`.
fn fitting(index: usize, source: &SourceOptions, path: &Path) -> Result<usize, InputError> {
    let kind = FileKind::of(path).ok_or_else(|| unknown_ending(path))?;
    if kind.is_table() == is_mapped(source) {
        return Ok(index);
    }
    let expected = if is_mapped(source) { ".csv or .parquet, which its mapping reads" } else { ".jsonl, as it has no mapping" };
    Err(InputError::of(path, format!("found another format than source {} reads, expected {expected}", source.name)))
}

fn is_mapped(source: &SourceOptions) -> bool {
    matches!(source.format, Format::Table(_))
}

/// The one source that reads files of this kind.
fn only_source(file: &Path, sources: &[SourceOptions]) -> Result<usize, InputError> {
    // A source that does not exist is the likelier mistake than a file with a sign of equality.
    if let Some((name, _)) = file.to_str().and_then(|text| text.split_once('='))
        && !file.exists()
    {
        return Err(unknown_source(file, name, sources));
    }
    let kind = FileKind::of(file).ok_or_else(|| unknown_ending(file))?;
    let readers: Vec<usize> = (0..sources.len()).filter(|index| is_mapped(&sources[*index]) == kind.is_table()).collect();
    match readers.as_slice() {
        [index] => Ok(*index),
        [] if kind.is_table() => Err(InputError::of(
            file,
            "found no source with a mapping, expected one that names its columns ([source.NAME.fields] in a topology given with -t)",
        )),
        [] => Err(InputError::of(file, "found no source without a mapping, expected one that reads .jsonl files")),
        several => {
            let names: Vec<&str> = several.iter().map(|index| sources[*index].name.as_str()).collect();
            Err(InputError::of(file, format!("found several sources that could read it ({}), expected NAME=path", names.join(", "))))
        }
    }
}

fn unknown_source(file: &Path, name: &str, sources: &[SourceOptions]) -> InputError {
    let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    InputError::of(file, format!("found the source {name:?}, expected one of {} before a file ending in {ENDINGS}", names.join(", ")))
}
