//! What a data directory notes of the topics, in files of one JSON object each: where its journal ended before it met the brokers, what it has lost
//! until that is restored, and up to where its outputs are sent.

use crate::event::Timestamp;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// The name of the file that says that a directory is being restored.
const RESTORING: &str = "restoring.json";
/// The name of the file that says where a journal ended before it met the brokers.
const UNMET: &str = "unmet.json";
/// The name of the file that says up to where outputs were sent.
const SENT: &str = "sent.json";

/// The records of a journal that are lost: from where it ends to where its outputs end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) from: u64,
    pub(super) until: u64,
    /// When the newest record before them was received, in milliseconds since 1970.
    pub(super) since: i64,
}

/// Where a journal ended when the brokers were last known to have all of it, or at the first start since: what it has taken after that
/// without meeting them does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) next: u64,
    since: i64,
}

impl End {
    /// That of `dir`, which is noted there where it is not yet; the journal ends before `next` now.
    pub(super) fn of(dir: &Path, next: u64, since: Timestamp) -> io::Result<End> {
        if let Some(noted) = read_note(dir, UNMET) {
            return Ok(End { next: noted["next"].as_u64().unwrap_or(next), since: noted["since"].as_i64().unwrap_or_default() });
        }
        let end = End { next, since: since.0 / 1_000 };
        write_note(dir, UNMET, &json!({ "next": end.next, "since": end.since }))?;
        Ok(end)
    }

    /// The brokers were met: all of the journal is what they know.
    pub(super) fn met(dir: &Path) -> io::Result<()> {
        std::fs::remove_file(dir.join(UNMET)).or_else(|cause| if cause.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(cause) })
    }

    /// What of the records before `until` is lost.
    pub(super) fn lost(self, until: u64) -> Lost {
        Lost { from: self.next, until, since: self.since }
    }
}

impl Lost {
    /// What a restoration in `dir` that was begun and not finished has lost.
    pub(super) fn begun(dir: &Path) -> Option<Lost> {
        let noted = read_note(dir, RESTORING)?;
        Some(Lost { from: noted["from"].as_u64()?, until: noted["until"].as_u64()?, since: noted["since"].as_i64()? })
    }

    /// Notes that it is begun, so that a start after a crash goes on with it.
    pub(super) fn begin(self, dir: &Path) -> io::Result<()> {
        write_note(dir, RESTORING, &json!({ "from": self.from, "until": self.until, "since": self.since }))
    }

    /// It is done.
    pub(super) fn end(dir: &Path) -> io::Result<()> {
        std::fs::remove_file(dir.join(RESTORING))
    }
}

/// Up to where the outputs of a journal were sent, for brokers that forget it some days after the last commit.
pub(super) struct Remembered {
    /// Of the next record.
    pub(super) next: u64,
    /// What tells the one before it from any other.
    pub(super) last: String,
}

impl Remembered {
    /// What `dir` remembers of this journal.
    pub(super) fn of(dir: &Path, journal: &str) -> Option<Remembered> {
        let noted = read_note(dir, SENT).filter(|noted| noted["journal"] == *journal)?;
        Some(Remembered { next: noted["next"].as_u64().unwrap_or_default(), last: noted["last"].as_str().unwrap_or_default().to_owned() })
    }

    pub(super) fn write(&self, dir: &Path, journal: &str) -> io::Result<()> {
        write_note(dir, SENT, &json!({ "journal": journal, "next": self.next, "last": self.last }))
    }
}

fn read_note(dir: &Path, name: &str) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(dir.join(name)).ok()?).ok()
}

/// Writes a note in the place of the one before: after a crash or a power cut there is either of them, whole.
fn write_note(dir: &Path, name: &str, note: &Value) -> io::Result<()> {
    let unfinished = dir.join(format!("{name}.partial"));
    let mut file = File::create(&unfinished)?;
    file.write_all(note.to_string().as_bytes())?;
    file.sync_all()?;
    std::fs::rename(unfinished, dir.join(name))?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_journal_is_that_of_the_first_start_that_met_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let first = End::of(dir.path(), 10, Timestamp(5_000_000)).unwrap();
        assert_eq!(first, End { next: 10, since: 5_000 });
        assert_eq!(End::of(dir.path(), 17, Timestamp(9_000_000)).unwrap(), first, "what was taken meanwhile does not count");
        let lost = first.lost(30);
        lost.begin(dir.path()).unwrap();
        assert_eq!(Lost::begun(dir.path()), Some(Lost { from: 10, until: 30, since: 5_000 }));
        Lost::end(dir.path()).unwrap();
        End::met(dir.path()).unwrap();
        End::met(dir.path()).unwrap();
        assert_eq!((Lost::begun(dir.path()), End::of(dir.path(), 17, Timestamp(9_000_000)).unwrap().next), (None, 17));
    }

    #[test]
    fn what_was_sent_is_remembered_of_the_own_journal() {
        let dir = tempfile::tempdir().unwrap();
        for next in [7, 8] {
            Remembered { next, last: "ab".to_owned() }.write(dir.path(), "one").unwrap();
        }
        let of = |journal| Remembered::of(dir.path(), journal).map(|remembered| (remembered.next, remembered.last));
        assert_eq!((of("one"), of("another")), (Some((8, "ab".to_owned())), None));
    }
}
