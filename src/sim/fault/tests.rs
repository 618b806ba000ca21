//! The files that forget, and the journal and its followers on them.

use super::*;
use crate::event::{Content as RecordContent, Effort, IdKey, Origin, Record, Sequence, Timestamp};
use crate::journal::{Blobs, Durability, Journal, JournalError, LogKind, LogOptions, Records, Retention};
use proptest::prelude::*;

const DIR: &str = "journal";

fn record(sequence: u64) -> Record {
    // The content names the sequence, so that a record in another's place would be seen.
    let content = RecordContent::Tick(Timestamp(sequence as i64 * 1000));
    Record { sequence: Sequence(sequence), received: Timestamp(sequence as i64), origin: Origin::engine(), effort: Effort::Full, content }
}

fn options(durability: Durability) -> LogOptions {
    // So small that a run rotates every dozen records.
    LogOptions { durability, segment_bytes: 600 }
}

fn open(files: &ForgetfulFiles, durability: Durability) -> Result<Journal, JournalError> {
    Journal::open(Arc::new(files.clone()), Path::new(DIR), IdKey([3; 16]), options(durability)).map(|(journal, _)| journal)
}

fn read(files: &ForgetfulFiles) -> Vec<Record> {
    let mut records = Records::open(Arc::new(files.clone()), Path::new(DIR), Sequence(0)).unwrap();
    let mut all = Vec::new();
    while let Some(record) = records.next_record().unwrap() {
        all.push(record);
    }
    all
}

/// What a run may count on when it ends.
#[derive(Default)]
struct Promised {
    /// Records whose commit (or sync) said that they survive a power cut.
    synced: u64,
    /// Records whose commit returned, as far as no power cut came since.
    written: u64,
    /// Records handed to the journal.
    appended: u64,
}

/// Appends groups until the machine is down or `groups` are done.
fn run(files: &ForgetfulFiles, durability: Durability, groups: &[(u8, bool)]) -> Promised {
    let mut promised = Promised::default();
    let Ok(mut journal) = open(files, durability) else { return promised };
    // What was shown at opening is kept.
    promised.synced = journal.next().0;
    promised.written = promised.synced;
    promised.appended = promised.synced;
    for (length, sync) in groups {
        for _ in 0..*length {
            promised.appended = journal.next().0 + 1;
            if journal.append(&record(journal.next().0)).is_err() {
                return promised;
            }
        }
        if journal.commit().is_err() {
            return promised;
        }
        promised.written = journal.next().0;
        if *sync && journal.sync().is_err() {
            return promised;
        }
        if *sync || durability == Durability::Synced {
            promised.synced = journal.next().0;
        }
    }
    promised
}

fn check(files: &ForgetfulFiles, promised: &Promised) {
    // Readable before it is opened for writing too: `verify` and `export` change nothing.
    let before = read(files);
    let journal = open(files, Durability::Written).unwrap();
    let found = read(files);
    assert_eq!(before, found);
    assert_eq!(journal.next().0, found.len() as u64);
    assert!(found.iter().enumerate().all(|(place, found)| *found == record(place as u64)), "not a prefix");
    let (count, least) = (found.len() as u64, promised.written);
    assert!(count >= least, "{count} records, promised {least}");
    assert!(count <= promised.appended, "records that nobody appended");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    // Every place at which a run can be cut off is tried: in writes, before and after syncs, in each step of a rotation, in recovery.
    // Caught when planted: commit without the sync under `synced`; no sync of the old segment in rotation; no sync of the directory
    // after a new segment; a torn end left in place; recovery that does not sync what it has shown; a torn header taken for damage.
    #[test]
    fn a_reopened_journal_is_a_prefix_with_all_that_was_promised(
        seed in any::<u64>(),
        groups in prop::collection::vec((0u8..9, any::<bool>()), 1..12),
        synced in any::<bool>(),
        power in any::<[bool; 3]>(),
    ) {
        let durability = if synced { Durability::Synced } else { Durability::Written };
        let crashes = power.map(|power| if power { Crash::Power } else { Crash::Process });
        let whole = ForgetfulFiles::new(seed);
        run(&whole, durability, &groups);
        for place in 0..=whole.calls() {
            let files = ForgetfulFiles::new(seed ^ place);
            let mut promised = Promised::default();
            // It goes down at this place, then while it recovers, then while it goes on.
            for (calls, crash) in [place, seed % 4, 4 + seed % 4].into_iter().zip(crashes) {
                files.crash_after(calls);
                let this = run(&files, durability, &groups);
                promised.synced = promised.synced.max(this.synced);
                promised.written = promised.written.max(this.written);
                promised.appended = promised.appended.max(this.appended);
                files.restart(crash);
                if crash == Crash::Power {
                    promised.written = promised.synced;
                }
            }
            check(&files, &promised);
        }
    }

    // Caught when planted: a temporary name renamed before its content was synced; the directory not synced.
    #[test]
    fn a_blob_that_was_put_is_there_after_a_power_cut(seed in any::<u64>(), content in prop::collection::vec(any::<u8>(), 0..200)) {
        let whole = ForgetfulFiles::new(seed);
        Blobs::open(Arc::new(whole.clone()), Path::new("blobs")).unwrap().put(&content).unwrap();
        for place in 0..=whole.calls() {
            let files = ForgetfulFiles::new(seed ^ place);
            files.crash_after(place);
            let blobs = Blobs::open(Arc::new(files.clone()), Path::new("blobs")).unwrap();
            let put = blobs.put(&content);
            files.restart(Crash::Power);
            if let Ok(hash) = put {
                prop_assert_eq!(blobs.get(&hash).unwrap(), content.clone());
            }
            let hash = blobs.put(&content).unwrap();
            files.restart(Crash::Power);
            prop_assert_eq!(blobs.get(&hash).unwrap(), content.clone());
        }
    }
}

#[test]
fn a_failed_write_stops_the_journal() {
    let files = ForgetfulFiles::new(1);
    let mut journal = open(&files, Durability::Synced).unwrap();
    journal.append(&record(0)).unwrap();
    journal.commit().unwrap();
    journal.append(&record(1)).unwrap();
    files.crash_after(1); // the write succeeds, the sync does not
    assert!(matches!(journal.commit(), Err(JournalError::Io { doing: "syncing", .. })));
    // Caught when planted: a second commit that claims success, as a second fdatasync would.
    assert!(matches!(journal.commit(), Err(JournalError::Stopped { .. })));
    assert!(matches!(journal.append(&record(2)), Err(JournalError::Stopped { .. })));
}

#[test]
fn damage_in_the_middle_is_named_never_cut() {
    for (place, name) in [(70, "00000000000000000000.log"), (10, "00000000000000000000.log")] {
        let files = ForgetfulFiles::new(5);
        run(&files, Durability::Synced, &[(4, true)]);
        let path = Path::new(DIR).join(name);
        let length = files.length(&path).unwrap();
        files.flip(&path, place);
        let found = open(&files, Durability::Synced);
        let at = if place < 64 { 0 } else { 64 };
        assert!(matches!(&found, Err(JournalError::Damaged { segment, offset, .. }) if *segment == path && *offset == at), "{found:?}");
        assert_eq!(files.length(&path).unwrap(), length);
    }
}

#[test]
fn damage_in_an_older_segment_is_named_by_readers() {
    let files = ForgetfulFiles::new(5);
    run(&files, Durability::Synced, &[(40, true)]);
    let path = Path::new(DIR).join("00000000000000000000.log");
    let last = files.length(&path).unwrap() - 1;
    // The last byte of a closed segment: behind it nothing stands in this file, and yet it is no torn end.
    files.flip(&path, last);
    let mut records = Records::open(Arc::new(files.clone()), Path::new(DIR), Sequence(0)).unwrap();
    let error = loop {
        match records.next_record() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the damage was passed over"),
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, JournalError::Damaged { segment, .. } if *segment == path), "{error}");
}

#[test]
fn a_missing_segment_is_named() {
    let files = ForgetfulFiles::new(5);
    run(&files, Durability::Synced, &[(60, true)]);
    let names = files.list(Path::new(DIR)).unwrap();
    assert!(names.len() > 3);
    files.remove(&Path::new(DIR).join(&names[1])).unwrap();
    let mut records = Records::open(Arc::new(files.clone()), Path::new(DIR), Sequence(0)).unwrap();
    let error = loop {
        match records.next_record() {
            Ok(record) => assert!(record.is_some(), "the gap was passed over"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, JournalError::Gap { .. }), "{error}");
}

#[test]
fn a_torn_end_is_cut_and_reported() {
    let files = ForgetfulFiles::new(5);
    run(&files, Durability::Synced, &[(4, true)]);
    let path = Path::new(DIR).join("00000000000000000000.log");
    let whole = files.length(&path).unwrap();
    let frame = (whole - 64) / 4;
    files.append(&path).unwrap().truncate(whole as u64 - 3).unwrap();
    let (journal, recovered) = Journal::open(Arc::new(files.clone()), Path::new(DIR), IdKey([3; 16]), options(Durability::Synced)).unwrap();
    assert_eq!(journal.next(), Sequence(3));
    assert_eq!((recovered.records, recovered.cut_bytes), (3, frame as u64 - 3));
    assert_eq!(recovered.at, Some((path, (64 + 3 * frame) as u64)));
}

#[test]
fn retention_keeps_what_recovery_needs() {
    let files = ForgetfulFiles::new(5);
    run(&files, Durability::Synced, &[(60, true)]);
    let mut journal = open(&files, Durability::Synced).unwrap();
    let firsts = |files: &ForgetfulFiles| read(files).first().map(|record| record.sequence.0);
    let retention = Retention::of(Arc::new(files.clone()), Path::new(DIR), LogKind::Journal);
    // Without a snapshot nothing goes, however old.
    assert_eq!(retention.apply(Sequence(0), Timestamp(i64::MAX)).unwrap(), Sequence(0));
    // Old enough up to the end, but a snapshot stands at 30. Caught when planted: a segment that ends behind the floor deleted.
    let kept = retention.apply(Sequence(30), Timestamp(i64::MAX)).unwrap();
    assert!(kept.0 > 0 && kept.0 <= 30, "{kept:?}");
    assert_eq!(firsts(&files), Some(kept.0));
    // A snapshot at the end, but only what was received until 40 is old enough. Here `received` is the sequence.
    let kept = retention.apply(Sequence(60), Timestamp(40)).unwrap();
    assert!(kept.0 > 30 && kept.0 <= 40, "{kept:?}");
    assert_eq!(firsts(&files), Some(kept.0));
    // The segment being written stays, and the log goes on and is opened again.
    retention.apply(Sequence(60), Timestamp(i64::MAX)).unwrap();
    journal.append(&record(60)).unwrap();
    journal.commit().unwrap();
    drop(journal);
    assert_eq!(open(&files, Durability::Synced).unwrap().next(), Sequence(61));
    assert_eq!(read(&files).last(), Some(&record(60)));
}

#[test]
fn a_reader_keeps_up_with_a_log_being_written() {
    let files = ForgetfulFiles::new(5);
    let mut journal = open(&files, Durability::Written).unwrap();
    let mut records = Records::open(Arc::new(files.clone()), Path::new(DIR), Sequence(5)).unwrap();
    let mut chance = Chance::new(7);
    let mut expected = 5;
    for _ in 0..100 {
        for _ in 0..chance.up_to(30) {
            journal.append(&record(journal.next().0)).unwrap();
        }
        // What is appended and not committed is not seen, unless a rotation wrote it.
        while let Some(found) = records.next_record().unwrap() {
            assert_eq!(found, record(expected));
            expected += 1;
        }
        journal.commit().unwrap();
        while let Some(found) = records.next_record().unwrap() {
            assert_eq!(found, record(expected));
            expected += 1;
        }
        assert_eq!(expected, journal.next().0.max(5));
    }
    assert!(journal.next().0 > 500);
    // From any sequence on.
    for from in [0, 1, 17, 400, journal.next().0 - 1] {
        let mut records = Records::open(Arc::new(files.clone()), Path::new(DIR), Sequence(from)).unwrap();
        assert_eq!(records.next_record().unwrap(), Some(record(from)));
    }
    let mut records = Records::open(Arc::new(files.clone()), Path::new(DIR), journal.next()).unwrap();
    assert_eq!(records.next_record().unwrap(), None);
}

#[test]
fn outputs_of_one_record_stay_in_one_segment() {
    use crate::engine::{Output, Rejected};
    use crate::event::{Refusal, Refused};
    use crate::journal::{OutputLog, Outputs};
    let files = ForgetfulFiles::new(5);
    let (mut log, _) = OutputLog::open(Arc::new(files.clone()), Path::new("outputs"), options(Durability::Written)).unwrap();
    let mut written = Vec::new();
    for (sequence, copies) in [(3, 2), (4, 1), (9, 30), (10, 1), (200, 20), (201, 40)] {
        for copy in 0..copies {
            let origin = Origin { source: 0, partition: 0, offset: copy };
            let refused = Refused { reason: Refusal::Malformed, field: None };
            let output = Output::Rejected(Rejected { sequence: Sequence(sequence), origin, refused, event: None });
            log.append(&output).unwrap();
            written.push(output);
        }
    }
    log.commit().unwrap();
    drop(log);
    let (log, recovered) = OutputLog::open(Arc::new(files.clone()), Path::new("outputs"), options(Durability::Written)).unwrap();
    assert_eq!((log.next(), recovered.cut_bytes), (Sequence(202), 0));
    assert!(recovered.segments > 2);
    for from in [0, 4, 9, 10, 11, 201] {
        let mut outputs = Outputs::open(Arc::new(files.clone()), Path::new("outputs"), Sequence(from)).unwrap();
        let mut found = Vec::new();
        while let Some(output) = outputs.next_output().unwrap() {
            found.push(output);
        }
        let expected: Vec<Output> = written.iter().filter(|output| output.sequence().0 >= from).cloned().collect();
        // Caught when planted: a rotation between two outputs of one record (two segments of one name).
        assert_eq!(found, expected, "from {from}");
    }
}
