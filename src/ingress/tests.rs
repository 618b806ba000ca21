//! Whole files through the merge: order, labels, limits, equal events from every format, and the shared data sets.

use super::*;
use crate::event::*;
use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

mod data;
mod lines;
mod order;
mod tables;

fn cell(value: CellValue) -> Cell {
    Cell { value, prefix: String::new(), null: None, scale: None, time: None }
}

fn column(name: &str) -> Cell {
    cell(CellValue::Column(name.to_owned()))
}

fn prefixed(name: &str, prefix: &str) -> Cell {
    Cell { prefix: prefix.to_owned(), ..column(name) }
}

fn constant(text: &str) -> Cell {
    cell(CellValue::Constant(text.to_owned()))
}

fn source(name: &str, files: &[PathBuf], format: Format) -> SourceOptions {
    SourceOptions {
        name: name.to_owned(),
        files: files.to_vec(),
        format,
        jump_max: Duration::DAY.times(3650),
        maturity: None,
        topic: None,
        fresh_max: None,
    }
}

/// Everything that sinks are told.
#[derive(Default)]
struct Heard {
    texts: HashMap<Id, (IdKind, String)>,
    rejected: Vec<(Sequence, String, String)>,
    noted: HashMap<Id, Target>,
}

struct TextsOf<'a>(&'a mut HashMap<Id, (IdKind, String)>);

impl Texts for TextsOf<'_> {
    fn keep(&mut self, id: Id, kind: IdKind, text: &[u8]) {
        assert_eq!(id, IdKey::FILES.id(kind, text));
        self.0.insert(id, (kind, String::from_utf8(text.to_vec()).unwrap()));
    }
}

struct RejectedOf<'a>(&'a mut Vec<(Sequence, String, String)>);

impl Rejections for RejectedOf<'_> {
    fn keep(&mut self, sequence: Sequence, raw: &[u8], detail: String) {
        self.0.push((sequence, String::from_utf8_lossy(raw).into_owned(), detail));
    }
}

struct NotedBy<'a>(&'a mut HashMap<Id, Target>);

impl Targets for NotedBy<'_> {
    fn resolve(&mut self, id: Id) -> Option<Target> {
        self.0.get(&id).copied()
    }

    fn note(&mut self, record: &Record) {
        let Content::Event(event) = &record.content else { panic!("noted what is no event") };
        let kind = event.body.kind();
        let (sequence, time, source, ends) = (record.sequence, event.time, record.origin.source, ends(&event.body));
        self.0.insert(event.id, Target { sequence, time, kind, source, ends, standing: None });
    }
}

fn open(files: &[PathBuf], sources: &[SourceOptions]) -> Result<Merge, InputError> {
    Merge::open(files, sources, InputLimits::default(), IdKey::FILES, Sequence(0))
}

/// Reads everything, `batch` records at a time.
fn read_all(mut merge: Merge, batch: usize) -> (Vec<Record>, Heard) {
    let mut heard = Heard::default();
    let (mut all, mut out) = (Vec::new(), Vec::new());
    loop {
        let sinks = Sinks {
            texts: &mut TextsOf(&mut heard.texts),
            targets: &mut NotedBy(&mut heard.noted),
            rejected: &mut RejectedOf(&mut heard.rejected),
        };
        if !merge.next_batch(batch, &mut out, sinks).unwrap() {
            break;
        }
        all.append(&mut out);
    }
    for (place, record) in all.iter().enumerate() {
        assert_eq!(record.sequence, Sequence(place as u64));
    }
    (all, heard)
}

fn read_files(files: &[PathBuf], sources: &[SourceOptions]) -> (Vec<Record>, Heard) {
    read_all(open(files, sources).unwrap(), 7)
}

fn event(record: &Record) -> &Event {
    match &record.content {
        Content::Event(event) => event,
        other => panic!("found {other:?}"),
    }
}

fn write_file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}
