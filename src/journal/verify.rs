//! `weir journal verify`: reads everything that is kept, changes nothing.

use super::blobs::{Blobs, hex};
use super::codec::Malformed;
use super::codec::{Digest, decode_output, decode_record};
use super::dir::DataDir;
use super::error::JournalError;
use super::files::Files;
use super::frame::LogKind;
use super::reader::{Frame, Reader};
use super::{rejected, texts};
use crate::event::{Content, Sequence};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// What one log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogReport {
    pub segments: u64,
    pub records: u64,
    pub first: Option<Sequence>,
    pub last: Option<Sequence>,
    /// Bytes behind the last whole record: being written just now, or torn in a crash; opening for writing cuts the latter.
    pub torn_bytes: u64,
}

/// What a data directory holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub journal: LogReport,
    pub outputs: LogReport,
    pub rejected: LogReport,
    pub texts: LogReport,
    /// Blobs that control records name and that are what their names say.
    pub blobs: u64,
    /// The digest over the outputs, in hexadecimal: as in the summary of the run that wrote them.
    pub digest: String,
    /// What is wrong, a line each: where, what was found, what was expected. Behind damage a log is not read on.
    pub problems: Vec<String>,
}

/// Checks frames, order and contents of journal, outputs, rejected input and texts, and every blob that a control record names.
pub fn verify(files: &Arc<dyn Files>, dir: &DataDir) -> Report {
    let mut report = Report::default();
    let mut named = BTreeSet::new();
    report.journal = walk(files, &dir.journal(), LogKind::Journal, &mut report.problems, |frame| {
        if let Content::Control(control) = decode_record(frame.sequence, frame.body)?.content {
            named.extend(control.names_blob().then_some(control.blob));
        }
        Ok(())
    });
    let mut digest = Digest::new();
    report.outputs = walk(files, &dir.outputs(), LogKind::Outputs, &mut report.problems, |frame| {
        digest.update_body(frame.body);
        decode_output(frame.sequence, frame.body).map(drop)
    });
    report.digest = hex(&digest.finish());
    report.rejected = walk(files, &dir.rejected(), LogKind::Rejected, &mut report.problems, |frame| {
        rejected::decode(frame.sequence, frame.body).map(drop)
    });
    report.texts = walk(files, &dir.texts(), LogKind::Texts, &mut report.problems, |frame| texts::decode(frame.body, &mut |_| {}));
    if let (Some(output), Some(record)) = (report.outputs.last, report.journal.last)
        && output > record
    {
        let place = dir.outputs();
        report.problems.push(format!("{}: an output of record {}, the journal ends at {}", place.display(), output.0, record.0));
    }
    let blobs = Blobs::read(files.clone(), &dir.blobs());
    for hash in named {
        match blobs.get(&hash) {
            Ok(_) => report.blobs += 1,
            Err(error) => report.problems.push(error.to_string()),
        }
    }
    report
}

/// Reads a log to its end, or to the first thing that is wrong with it.
fn walk(
    files: &Arc<dyn Files>,
    dir: &Path,
    kind: LogKind,
    problems: &mut Vec<String>,
    mut check: impl FnMut(Frame<'_>) -> Result<(), Malformed>,
) -> LogReport {
    let mut report = LogReport::default();
    let mut walked = || -> Result<(), JournalError> {
        let mut reader = Reader::open(files.clone(), dir, kind, Sequence(0))?;
        loop {
            let next = reader.next_frame()?.map(|frame| (frame.sequence, check(frame)));
            report.segments = reader.segments();
            report.torn_bytes = reader.torn_bytes();
            let Some((sequence, checked)) = next else { return Ok(()) };
            checked.map_err(|source| reader.unreadable(sequence, source))?;
            report.records += 1;
            report.first.get_or_insert(sequence);
            report.last = Some(sequence);
        }
    };
    if let Err(error) = walked() {
        problems.push(error.to_string());
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Output, Rejected};
    use crate::event::{Control, ControlKind, Effort, IdKey, Origin, Record, Refusal, Refused, Timestamp};
    use crate::journal::{Disk, Journal, LogOptions, OutputLog};

    fn record(sequence: u64, content: Content) -> Record {
        Record { sequence: Sequence(sequence), received: Timestamp(0), origin: Origin::engine(), effort: Effort::Full, content }
    }

    #[test]
    fn it_counts_what_is_there_and_names_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let dir = DataDir::write(folder.path()).unwrap();
        let files: Arc<dyn Files> = Arc::new(Disk);
        let blob = Blobs::open(files.clone(), &dir.blobs()).unwrap().put(b"policy").unwrap();
        let options = LogOptions { segment_bytes: 400, ..LogOptions::default() };
        let (mut journal, _) = Journal::open(files.clone(), &dir.journal(), IdKey([1; 16]), options).unwrap();
        let (mut outputs, _) = OutputLog::open(files.clone(), &dir.outputs(), options).unwrap();
        let mut digest = Digest::new();
        journal.append(&record(0, Content::Control(Control { kind: ControlKind::Policy, blob }))).unwrap();
        for sequence in 1..40 {
            journal.append(&record(sequence, Content::Tick(Timestamp(sequence as i64)))).unwrap();
            let refused = Refused { reason: Refusal::Malformed, field: None };
            let output = Output::Rejected(Rejected { sequence: Sequence(sequence), origin: Origin::engine(), refused, event: None });
            outputs.append(&output).unwrap();
            digest.update(&output);
        }
        journal.commit().unwrap();
        outputs.commit().unwrap();
        let report = verify(&files, &dir);
        assert_eq!(report.problems, Vec::<String>::new());
        assert_eq!((report.journal.records, report.journal.first, report.journal.last), (40, Some(Sequence(0)), Some(Sequence(39))));
        assert_eq!((report.outputs.records, report.blobs, report.journal.torn_bytes), (39, 1, 0));
        assert!(report.journal.segments > 3);
        assert_eq!(report.digest, hex(&digest.finish()));

        // A torn end is reported, not a problem; a lost blob and a flipped bit are.
        let names = files.list(&dir.journal()).unwrap();
        let last = dir.journal().join(names.last().unwrap());
        let whole = std::fs::read(&last).unwrap();
        std::fs::write(&last, &whole[..whole.len() - 1]).unwrap();
        std::fs::remove_file(dir.blobs().join(hex(&blob))).unwrap();
        let report = verify(&files, &dir);
        assert!(report.journal.torn_bytes > 0);
        // The torn record's output is ahead of the journal now.
        assert_eq!(report.problems.len(), 2, "{:?}", report.problems);
        assert!(report.problems[1].contains("a control record names this blob"), "{:?}", report.problems);
        let second = dir.journal().join(&names[1]);
        let mut bytes = std::fs::read(&second).unwrap();
        bytes[100] ^= 1;
        std::fs::write(&second, &bytes).unwrap();
        let report = verify(&files, &dir);
        assert!(report.problems[0].contains(&names[1]) && report.problems[0].contains("damaged at byte 64"), "{:?}", report.problems);
    }
}
