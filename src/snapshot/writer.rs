//! The thread that writes snapshots: blocks come in, files go out.

use super::error::SnapshotFileError;
use super::file::{Head, Kind, end, seal};
use super::kept::{Kept, Snapshots, partial_of, path_of};
use crate::event::Sequence;
use crate::journal::{Files, WriteFile};
use crate::memory::image::Totals;
use crossbeam::channel::{Receiver, Sender};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// After so many bytes they are synced: not all of a snapshot at its end, where it would hold up the syncs of the journal.
const SYNC_BYTES: usize = 16 << 20;

/// A snapshot that is on disk for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    pub sequence: Sequence,
    pub path: PathBuf,
    /// Of the file.
    pub bytes: u64,
    pub totals: Totals,
    /// What was removed in its place.
    pub pruned: Vec<Kept>,
}

/// What the writer is told. Every `Begin` is answered by one [`Outcome`].
pub(super) enum Message {
    Begin(Box<Head>),
    Block(Vec<u8>),
    Finish(Totals),
    Cancel,
    /// The last message.
    Stop,
}

pub(super) enum Outcome {
    Taken(Taken),
    Failed(SnapshotFileError),
    Cancelled,
}

pub(super) struct Writer {
    pub files: Arc<dyn Files>,
    pub dir: PathBuf,
    pub keep: usize,
    pub messages: Receiver<Message>,
    pub free: Sender<Vec<u8>>,
    /// Set when nothing more is written of a snapshot: the engine need not go on with it.
    pub closed: Arc<AtomicBool>,
    pub outcomes: Sender<Outcome>,
}

/// A file in the making.
struct Partial {
    file: Box<dyn WriteFile>,
    path: PathBuf,
    sequence: Sequence,
    number: u32,
    bytes: u64,
    unsynced: usize,
}

impl Writer {
    /// Writes until it is stopped.
    pub(super) fn run(self) {
        while let Ok(message) = self.messages.recv() {
            let outcome = match message {
                Message::Begin(head) => match self.write(&head) {
                    Some(outcome) => outcome,
                    None => return,
                },
                Message::Block(block) => {
                    self.recycle(block);
                    continue;
                }
                Message::Finish(_) | Message::Cancel => continue,
                Message::Stop => return,
            };
            if self.outcomes.send(outcome).is_err() {
                return;
            }
        }
    }

    fn recycle(&self, block: Vec<u8>) {
        // Nobody waits for it once the taker is gone.
        let _ = self.free.try_send(block);
    }

    /// Writes one snapshot; `None` when it is told to stop in the middle.
    fn write(&self, head: &Head) -> Option<Outcome> {
        let mut partial = self.begin(head);
        loop {
            match self.messages.recv().ok()? {
                Message::Block(mut block) => {
                    if let Ok(open) = &mut partial
                        && let Err(error) = open.block(&mut block)
                    {
                        self.give_up(open);
                        partial = Err(error);
                    }
                    self.closed.store(partial.is_err(), Ordering::Relaxed);
                    self.recycle(block);
                }
                Message::Finish(totals) => {
                    let taken = partial.and_then(|open| self.finish(open, totals));
                    return Some(taken.map_or_else(Outcome::Failed, Outcome::Taken));
                }
                Message::Cancel => {
                    return Some(match partial {
                        Ok(open) => {
                            self.give_up(&open);
                            Outcome::Cancelled
                        }
                        Err(error) => Outcome::Failed(error),
                    });
                }
                Message::Begin(_) => unreachable!("the taker waits for the outcome before it begins again"),
                Message::Stop => {
                    if let Ok(open) = partial {
                        self.give_up(&open);
                    }
                    return None;
                }
            }
        }
    }

    fn begin(&self, head: &Head) -> Result<Partial, SnapshotFileError> {
        self.files.create_dir(&self.dir).map_err(SnapshotFileError::io("making the directory", &self.dir))?;
        let path = partial_of(&self.dir, head.sequence);
        let mut file = self.files.create(&path).map_err(SnapshotFileError::io("creating", &path))?;
        let bytes = head.bytes();
        file.write(&bytes).map_err(SnapshotFileError::io("writing", &path))?;
        Ok(Partial { file, path, sequence: head.sequence, number: 0, bytes: bytes.len() as u64, unsynced: bytes.len() })
    }

    /// What is in the making is of no use; where it cannot be removed, the next start sweeps it away.
    fn give_up(&self, open: &Partial) {
        let _ = self.files.remove(&open.path);
    }

    fn finish(&self, mut open: Partial, totals: Totals) -> Result<Taken, SnapshotFileError> {
        let path = path_of(&self.dir, open.sequence);
        let ended = open.end(totals).and_then(|()| {
            self.files.rename(&open.path, &path).map_err(SnapshotFileError::io("renaming a snapshot", &open.path))?;
            self.files.sync_dir(&self.dir).map_err(SnapshotFileError::io("syncing the directory", &self.dir))
        });
        if let Err(error) = ended {
            self.give_up(&open);
            return Err(error);
        }
        let pruned = Snapshots::at(self.files.clone(), &self.dir).prune(self.keep)?;
        Ok(Taken { sequence: open.sequence, path, bytes: open.bytes, totals, pruned })
    }
}

impl Partial {
    fn block(&mut self, block: &mut [u8]) -> Result<(), SnapshotFileError> {
        seal(block, self.sequence, self.number, Kind::Pieces);
        self.write(block)
    }

    fn write(&mut self, block: &[u8]) -> Result<(), SnapshotFileError> {
        self.file.write(block).map_err(SnapshotFileError::io("writing", &self.path))?;
        (self.number, self.bytes, self.unsynced) = (self.number + 1, self.bytes + block.len() as u64, self.unsynced + block.len());
        if self.unsynced >= SYNC_BYTES {
            self.sync()?;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), SnapshotFileError> {
        self.unsynced = 0;
        self.file.sync().map_err(SnapshotFileError::io("syncing", &self.path))
    }

    fn end(&mut self, totals: Totals) -> Result<(), SnapshotFileError> {
        self.write(&end(self.sequence, self.number, totals))?;
        self.sync()
    }
}
