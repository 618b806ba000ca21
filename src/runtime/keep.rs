//! What a replay keeps: journal, outputs, rejected input, texts of ids, summary.

use super::error::ReplayError;
use super::models::ModelFile;
use super::naming::Naming;
use super::summary::Summary;
use crate::engine::Output;
use crate::event::{Content, ControlKind, IdKey, Record, Sequence, Timestamp};
use crate::identity::Identity;
use crate::ingress::Rejections;
use crate::journal::{Blobs, DataDir, Disk, Files, Journal, LogOptions, OutputLog, RawInput, RejectedLog};
use crate::store::Store;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// Control records ahead of the first event.
pub(super) const FOUNDATIONS: usize = 2;

/// What a journal begins with: under which key ids are hashed, how it is written, and the texts of what decides.
pub(super) struct Foundations {
    pub(super) key: IdKey,
    pub(super) log: LogOptions,
    pub(super) texts: [(ControlKind, String); FOUNDATIONS],
    /// The model that judges from the beginning on.
    pub(super) model: Option<ModelFile>,
}

/// Everything that a replay writes, before it is given to the threads that do.
pub(super) struct Keeper {
    reading: Reading,
    writing: Writing,
    naming: Naming,
}

/// What the reader keeps: the journal and what stands beside it.
pub(super) struct Reading {
    journal: Journal,
    rejected: Rejected,
    blobs: Blobs,
}

/// What the writer keeps.
pub(super) struct Writing {
    outputs: OutputLog,
}

impl Keeper {
    /// Begins a data directory in `root` on these foundations.
    ///
    /// # Errors
    /// Where the directory holds a journal already, or cannot be written.
    pub(super) fn begin(root: &Path, foundations: &Foundations) -> Result<Keeper, ReplayError> {
        let dir = DataDir::write(root)?;
        let files: Arc<dyn Files> = Arc::new(Disk);
        let options = foundations.log;
        let (journal, _) = Journal::open(files.clone(), &dir.journal(), foundations.key, options)?;
        if journal.next() != Sequence(0) {
            let what = "found a journal, expected an empty or new directory: a replay begins its own";
            return Err(ReplayError::Output(root.to_owned(), what.to_owned()));
        }
        let blobs = Blobs::open(files.clone(), &dir.blobs())?;
        for (_, text) in &foundations.texts {
            blobs.put(text.as_bytes())?;
        }
        if let Some(model) = &foundations.model {
            blobs.put(model.bytes())?;
        }
        let (outputs, _) = OutputLog::open(files.clone(), &dir.outputs(), options)?;
        let (log, _) = RejectedLog::open(files, &dir.rejected(), options)?;
        let store = Store::open(&dir.identity())?;
        let naming = Naming::new(Identity::open(&store)?, dir);
        let rejected = Rejected { log, received: Timestamp::MIN, waiting: Vec::new() };
        Ok(Keeper { reading: Reading { journal, rejected, blobs }, writing: Writing { outputs }, naming })
    }

    /// One part for each thread.
    pub(super) fn split(self) -> (Reading, Writing, Naming) {
        (self.reading, self.writing, self.naming)
    }
}

impl Reading {
    /// Where rejected input goes.
    pub(super) fn rejected(&mut self) -> &mut Rejected {
        &mut self.rejected
    }

    /// Keeps what control records name that stand in another journal, whose blobs are `from`.
    pub(super) fn blobs(&self, records: &[Record], from: &Blobs) -> Result<(), ReplayError> {
        for record in records {
            // That no model is in force names none.
            if let Content::Control(control) = &record.content
                && control.names_blob()
            {
                self.blobs.put(&from.get(&control.blob)?)?;
            }
        }
        Ok(())
    }

    /// Writes the records to the journal, as one group; what was rejected among them before.
    pub(super) fn journal(&mut self, records: &[Record]) -> Result<(), ReplayError> {
        self.rejected.write(records)?;
        for record in records {
            self.journal.append(record)?;
        }
        self.journal.commit()?;
        Ok(())
    }

    /// Syncs everything.
    pub(super) fn finish(mut self) -> Result<(), ReplayError> {
        self.rejected.log.sync()?;
        self.journal.sync()?;
        Ok(())
    }
}

impl Writing {
    /// Writes outputs, as one group.
    pub(super) fn outputs(&mut self, outputs: &[Output]) -> Result<(), ReplayError> {
        for output in outputs {
            self.outputs.append(output)?;
        }
        self.outputs.commit()?;
        Ok(())
    }

    /// Syncs the outputs.
    pub(super) fn finish(mut self) -> Result<(), ReplayError> {
        self.outputs.sync()?;
        Ok(())
    }
}

/// Raw rejected input on its way to its log.
pub(super) struct Rejected {
    log: RejectedLog,
    received: Timestamp,
    waiting: Vec<RawInput>,
}

impl Rejections for Rejected {
    fn keep(&mut self, sequence: Sequence, raw: &[u8], detail: String) {
        self.waiting.push(RawInput { sequence, received: self.received, detail, raw: raw.to_vec() });
    }
}

impl Rejected {
    fn write(&mut self, records: &[Record]) -> Result<(), ReplayError> {
        for input in self.waiting.drain(..) {
            self.log.append(&input)?;
        }
        self.log.commit()?;
        // A rejected record is met before it has its `received`; that of the chunk before is close enough to count days by.
        self.received = records.last().map_or(self.received, |record| record.received);
        Ok(())
    }
}

/// Writes the summary into the data directory.
pub(super) fn write_summary(root: &Path, summary: &Summary) -> Result<(), ReplayError> {
    let path = DataDir::read(root)?.summary();
    let text = serde_json::to_string_pretty(summary).expect("a summary has no map with other than text keys");
    fs::write(&path, text + "\n").map_err(|error| ReplayError::Output(path, format!("cannot be written: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Control, Effort, Origin};
    use crate::journal::JournalError;

    /// A model that was taken back, where none was before, leaves a record without a blob. Caught when planted: it was looked for, as it was.
    #[test]
    fn a_record_that_no_model_is_in_force_names_no_blob() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let texts = [(ControlKind::Topology, "topology".to_owned()), (ControlKind::Policy, "policy".to_owned())];
        let foundations = Foundations { key: IdKey::FILES, log: LogOptions::default(), texts, model: None };
        let (reading, ..) = Keeper::begin(here.path(), &foundations).unwrap().split();
        let from = Blobs::open(Arc::new(Disk), there.path()).unwrap();
        let record = |control| Record {
            sequence: Sequence(0),
            received: Timestamp(0),
            origin: Origin::engine(),
            effort: Effort::Full,
            content: Content::Control(control),
        };
        let blob = from.put(b"a model").unwrap();
        let model = |blob| record(Control { kind: ControlKind::Model, blob });
        reading.blobs(&[model(blob), record(Control::NO_MODEL)], &from).unwrap();
        assert_eq!(reading.blobs.get(&blob).unwrap(), b"a model");
        assert!(matches!(reading.blobs(&[model([7; 32])], &from), Err(ReplayError::Journal(JournalError::MissingBlob { .. }))));
    }
}
