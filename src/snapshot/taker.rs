//! The engine's side: begins snapshots and pumps them between steps, never waiting for the disk.

use super::error::SnapshotFileError;
use super::file::Head;
use super::kept::Snapshots;
use super::writer::{Message, Outcome, Taken, Writer};
use crate::engine::{Engine, Imaging, Progress, SnapshotError};
use crate::event::{Sequence, Timestamp};
use crate::journal::{ENGINE_VERSION, Files};
use crate::memory::image::{Blocks, Failure, Totals};
use crate::priority::give_way;
use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// `[snapshot]`, as far as taking one goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakerOptions {
    /// Memory for what is on its way to the disk; an eighth of it is for the pump, the rest is kept for what must be copied before a write.
    pub copy_bytes_max: usize,
    /// Snapshots kept, at least one.
    pub keep: usize,
}

impl Default for TakerOptions {
    fn default() -> TakerOptions {
        TakerOptions { copy_bytes_max: 256 << 20, keep: 3 }
    }
}

/// How a snapshot stands.
#[derive(Debug)]
pub enum Taking {
    /// None is being taken.
    Idle,
    /// So many bytes of tables are not yet saved.
    Going { left: usize },
    /// Everything is saved; it waits for the disk, or for the journal to be synced.
    Settling,
    /// It is on disk for good.
    Taken(Taken),
    /// Nothing came of it, nor of anything else: it may be tried again later.
    Abandoned(Failure),
    /// It could not be written.
    Failed(SnapshotFileError),
}

/// Takes snapshots of one engine, on its thread.
pub struct Taker {
    lane: Lane,
    outcomes: Receiver<Outcome>,
    thread: Option<JoinHandle<()>>,
    reserve: usize,
    phase: Phase,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Idle,
    Imaging(Sequence),
    /// Everything is on its way to the writer.
    Imaged(Sequence, Totals),
    /// The writer was told to end it.
    Ending(Option<Failure>),
}

/// Blocks that go round between the engine and the writer.
#[derive(Clone)]
struct Lane {
    block_bytes: usize,
    free: Receiver<Vec<u8>>,
    back: Sender<Vec<u8>>,
    messages: Sender<Message>,
    closed: Arc<AtomicBool>,
}

/// Large enough for the disk.
const BLOCK_BYTES: usize = 1 << 20;
/// Small enough to have several of them, large enough for a piece and the engine's numbers.
const BLOCK_BYTES_MIN: usize = 16 << 10;
const BLOCKS_MIN: usize = 4;

impl Blocks for Lane {
    fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    fn free(&self) -> usize {
        self.free.len()
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        self.free.try_recv().ok()
    }

    fn give(&mut self, block: Vec<u8>) -> bool {
        let given = self.messages.try_send(Message::Block(block));
        given.is_ok() && !self.closed.load(Ordering::Relaxed)
    }

    fn discard(&mut self, block: Vec<u8>) {
        // There is a place for every block.
        let _ = self.back.try_send(block);
    }
}

impl Taker {
    /// Takes the memory and starts the thread that writes into `dir`, whose leftovers are swept away.
    ///
    /// # Errors
    /// Where the leftovers cannot be removed, or no thread can be started.
    pub fn start(files: Arc<dyn Files>, dir: &Path, options: TakerOptions) -> Result<Taker, SnapshotFileError> {
        Snapshots::at(files.clone(), dir).sweep()?;
        let block_bytes = (options.copy_bytes_max / 8).clamp(BLOCK_BYTES_MIN, BLOCK_BYTES);
        let blocks = (options.copy_bytes_max / block_bytes).max(BLOCKS_MIN);
        let (back, free) = bounded(blocks);
        for _ in 0..blocks {
            // Written to, so that no copy meets a page fault.
            let mut block = vec![1; block_bytes];
            block.clear();
            discard(&back, block);
        }
        // Besides blocks there are at most a beginning, an end and a stop on their way.
        let (messages, received) = bounded(blocks + 4);
        let (outcome, outcomes) = bounded(1);
        let closed = Arc::new(AtomicBool::new(false));
        let lane = Lane { block_bytes, free, back: back.clone(), messages, closed: closed.clone() };
        let writer = Writer { files, dir: dir.to_owned(), keep: options.keep, messages: received, free: back, closed, outcomes: outcome };
        let thread = std::thread::Builder::new().name("snapshot".to_owned()).spawn(move || {
            // Blocks wait for it, nobody else does.
            give_way();
            writer.run();
        });
        let thread = thread.map_err(SnapshotFileError::io("starting a thread that writes", dir))?;
        Ok(Taker { lane, outcomes, thread: Some(thread), reserve: blocks - (blocks / 8).max(2), phase: Phase::Idle })
    }

    /// Whether a snapshot is being taken.
    pub fn is_busy(&self) -> bool {
        !matches!(self.phase, Phase::Idle)
    }

    /// Begins a snapshot of the engine as it is now, between two steps. `sequence` is that of the record it will take next, `taken_at` the
    /// runtime's clock.
    ///
    /// # Errors
    /// While another one is being taken.
    pub fn begin(&mut self, engine: &mut Engine, sequence: Sequence, taken_at: Timestamp) -> Result<(), SnapshotError> {
        if self.is_busy() {
            return Err(SnapshotError::Invalid("another snapshot is being taken".to_owned()));
        }
        let head = Head { engine_version: ENGINE_VERSION, sequence, taken_at, now: engine.now(), shape: engine.shape() };
        self.lane.closed.store(false, Ordering::Relaxed);
        engine.snapshot_begin(sequence, Imaging { blocks: Box::new(self.lane.clone()), reserve: self.reserve })?;
        self.tell(Message::Begin(Box::new(head)));
        self.phase = Phase::Imaging(sequence);
        Ok(())
    }

    /// Saves up to `budget_bytes` more, between two steps, and says how the snapshot stands; what ends it is said once. `durable` is the
    /// sequence up to which the journal is synced: the snapshot gets its name only when all that it knows is.
    pub fn pump(&mut self, engine: &mut Engine, budget_bytes: usize, durable: Sequence) -> Taking {
        if let Phase::Imaging(sequence) = self.phase {
            match engine.snapshot_pump(budget_bytes) {
                Progress::Going { left } | Progress::Waiting { left } => return Taking::Going { left },
                Progress::Done(totals) => self.phase = Phase::Imaged(sequence, totals),
                Progress::Failed(failure) => self.cancel(Some(failure)),
                // Somebody else gave it up.
                Progress::Idle => self.cancel(Some(Failure::Closed)),
            }
        }
        if let Phase::Imaged(sequence, totals) = self.phase
            && durable >= sequence
        {
            self.tell(Message::Finish(totals));
            self.phase = Phase::Ending(None);
        }
        let Phase::Ending(failure) = self.phase else {
            return if self.is_busy() { Taking::Settling } else { Taking::Idle };
        };
        let Ok(outcome) = self.outcomes.try_recv() else { return Taking::Settling };
        self.phase = Phase::Idle;
        match outcome {
            Outcome::Taken(taken) => Taking::Taken(taken),
            Outcome::Failed(error) => Taking::Failed(error),
            Outcome::Cancelled => Taking::Abandoned(failure.unwrap_or(Failure::Closed)),
        }
    }

    /// Gives up the snapshot being taken, if one is; [`Taker::pump`] says when that is done.
    pub fn abandon(&mut self, engine: &mut Engine) {
        engine.snapshot_cancel();
        if matches!(self.phase, Phase::Imaging(_) | Phase::Imaged(..)) {
            self.cancel(None);
        }
    }

    fn cancel(&mut self, failure: Option<Failure>) {
        self.tell(Message::Cancel);
        self.phase = Phase::Ending(failure);
    }

    fn tell(&self, message: Message) {
        match self.lane.messages.try_send(message) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => unreachable!("there is a place for every block and every word"),
            // The writer has panicked: the outcome never comes, and a snapshot settles for ever.
            Err(TrySendError::Disconnected(_)) => {}
        }
    }
}

fn discard(back: &Sender<Vec<u8>>, block: Vec<u8>) {
    assert!(back.try_send(block).is_ok(), "there is a place for every block");
}

impl Drop for Taker {
    fn drop(&mut self) {
        self.tell(Message::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic of the writer was told by itself.
            let _ = thread.join();
        }
    }
}
