//! The state as an image: every table as it lies in memory, ground and derived, taken while the engine goes on.
//!
//! The logical form ([`Engine::write_snapshot`]) is for hashes and for other versions; it walks the whole state at once. An image is for
//! starting again quickly: it is taken a few pages at a time between steps ([`crate::memory::image`]), and read back as it stands, so that
//! nothing is rebuilt. It fits only an engine of the same options and layout.

use super::{Counts, Engine, NO_MODEL, SnapshotError};
use crate::event::{IdKey, Sequence, Timestamp};
use crate::graph::{Family, FamilyLimits, Limits};
use crate::memory::image::{Blocks, Failure, PIECE_BYTES_MAX, Pumped, Table, Totals, Tray, Used, Words, lock, pieces};
use crate::velocity::BEGINNING;
use std::sync::{Arc, Mutex};

/// The table number of the piece that holds all that is no table; it is the first piece of an image.
pub const SCALARS: u32 = u32::MAX;

/// Changes whenever the layout of a table or the order of the numbers does.
const LAYOUT: u64 = 8;

/// What an image fits: an engine of another shape cannot read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    pub layout: u64,
    pub limits: Limits,
    /// As in decisions.
    pub topology: [u8; 16],
    /// As in decisions.
    pub policy: [u8; 16],
    /// The one that was in force before it; zeroes where there was none.
    pub policy_before: [u8; 16],
    /// The model in force; zeroes where there is none.
    pub model: [u8; 16],
    /// The one that was in force before it.
    pub model_before: [u8; 16],
    /// BLAKE3 of the key of ids, cut: it tells keys apart and gives none away.
    pub id_key: [u8; 16],
    /// By number.
    pub tables: Vec<TableShape>,
}

/// One table of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableShape {
    pub name: String,
    /// All of it.
    pub bytes: u64,
    /// The parts in use.
    pub used: u64,
}

/// The state of an image in the making.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// None is being taken.
    Idle,
    /// The budget is spent; so many bytes are left.
    Going { left: usize },
    /// All blocks but those kept for copies are on their way; so many bytes are left.
    Waiting { left: usize },
    /// Every piece has been given away: the image is whole.
    Done(Totals),
    /// It was given up. Nothing of it is of use.
    Failed(Failure),
}

/// How an image is begun.
pub struct Imaging {
    /// Where its pieces go.
    pub blocks: Box<dyn Blocks>,
    /// Blocks that only copies before a write may take.
    pub reserve: usize,
}

/// The image being taken.
pub(super) struct Taken {
    tray: Arc<Mutex<Tray>>,
    reserve: usize,
    /// Tables before this one are saved.
    next: u32,
}

/// A table of the engine.
struct Entry<'e> {
    number: u32,
    /// Whose it is.
    of: &'static str,
    name: &'static str,
    used: Used,
    table: &'e mut dyn Table,
}

fn fingerprint(key: &IdKey) -> [u8; 16] {
    let hash = blake3::hash(&key.0);
    *hash.as_bytes().first_chunk().expect("a hash has 32 bytes")
}

impl Engine {
    /// Calls `visit` for every table, always in the same order.
    fn each_table(&mut self, visit: &mut dyn FnMut(Entry<'_>)) {
        let mut number = 0;
        let mut visit = |of: &'static str, (name, used, table): (&'static str, Used, &mut dyn Table)| {
            visit(Entry { number, of, name, used, table });
            number += 1;
        };
        // First those that are written to all over, last those that are hardly written to but at one end: what is pumped early need not
        // be copied.
        self.graph.nodes.tables().into_iter().for_each(|table| visit("nodes", table));
        for family in Family::ALL {
            self.graph.warm[family as usize].tables().into_iter().for_each(|table| visit(family.name(), table));
            self.velocity[family as usize].tables().into_iter().for_each(|table| visit(family.name(), table));
        }
        self.judged.tables().into_iter().for_each(|table| visit("judged", table));
        visit("lists", self.lists.table());
        visit("guard", self.guard.table());
        visit("sources", self.sources.table());
        visit("waiting", self.waiting.table());
        self.alerts.tables().into_iter().for_each(|table| visit("alerts", table));
        self.suspicions.tables().into_iter().for_each(|table| visit("suspicions", table));
        visit("alerts", self.evidence.table());
        for family in Family::ALL {
            let (used, rows) = self.graph.rings[family as usize].table();
            visit(family.name(), ("rows", used, rows));
        }
    }

    /// What an image of this engine fits, and how much of each table is in use.
    pub fn shape(&mut self) -> Shape {
        let mut tables = Vec::new();
        self.each_table(&mut |Entry { of, name, used, table, .. }| {
            let size = table.element_bytes();
            let used = used.iter().map(|part| part.len() * size).sum::<usize>() as u64;
            tables.push(TableShape { name: format!("{of}: {name}"), bytes: table.bytes().len() as u64, used });
        });
        Shape {
            layout: LAYOUT,
            limits: self.options.limits,
            topology: self.provenance.topology,
            policy: self.provenance.policy,
            policy_before: self.policy_before().unwrap_or_default(),
            model: self.provenance.model.unwrap_or(NO_MODEL),
            model_before: self.model_before,
            id_key: fingerprint(&self.options.id_key),
            tables,
        }
    }

    /// Begins an image of the state as it is now, between two steps; `sequence` is that of the next record. Steps may follow at once:
    /// what they change is copied aside before.
    ///
    /// An image changes no output and no hash.
    ///
    /// # Errors
    /// While another image is being taken, or where not even the first block is free.
    pub fn snapshot_begin(&mut self, sequence: Sequence, imaging: Imaging) -> Result<(), SnapshotError> {
        if self.tray.is_some() {
            return Err(SnapshotError::Invalid("another snapshot is being taken".to_owned()));
        }
        let mut tray = Tray::new(imaging.blocks);
        let words = self.words(sequence);
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        if !tray.put(SCALARS, 0, &bytes) {
            return Err(SnapshotError::Invalid("no block is free to begin with".to_owned()));
        }
        let tray = Arc::new(Mutex::new(tray));
        self.each_table(&mut |entry| entry.table.begin(entry.number, &entry.used, &tray));
        self.tray = Some(Taken { tray, reserve: imaging.reserve, next: 0 });
        Ok(())
    }

    /// Saves up to `budget_bytes` more of the image; called between steps.
    pub fn snapshot_pump(&mut self, budget_bytes: usize) -> Progress {
        let Some(Taken { tray, reserve, mut next }) = self.tray.take() else { return Progress::Idle };
        let (mut budget, mut left, mut waiting) = (budget_bytes, 0, false);
        let mut held = lock(&tray);
        self.each_table(&mut |Entry { number, table, .. }| {
            if number < next || held.failure().is_some() {
                return;
            }
            match table.pump(&mut held, reserve, &mut budget) {
                Pumped::Done if number == next => next += 1,
                Pumped::Waiting => waiting = true,
                _ => {}
            }
            left += table.left();
        });
        if held.failure().is_none() && left == 0 {
            held.send();
        }
        let (failure, totals) = (held.failure(), held.totals());
        drop(held);
        match failure {
            Some(failure) => {
                self.end_image();
                Progress::Failed(failure)
            }
            None if left == 0 => Progress::Done(totals),
            None => {
                self.tray = Some(Taken { tray, reserve, next });
                if waiting { Progress::Waiting { left } } else { Progress::Going { left } }
            }
        }
    }

    /// Gives up the image being taken, if one is.
    pub fn snapshot_cancel(&mut self) {
        self.tray = None;
        self.end_image();
    }

    fn end_image(&mut self) {
        self.each_table(&mut |entry| entry.table.end());
    }

    /// All that is no table, as numbers.
    fn words(&self, sequence: Sequence) -> Vec<u64> {
        let mut out = vec![LAYOUT, sequence.0, self.now.0 as u64, self.counts.duplicates, self.counts.late, self.course.hash, self.found];
        let told = self.backend_told.unwrap_or_default();
        out.extend(told.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)));
        self.judged.words(&mut out);
        self.lists.words(&mut out);
        self.sources.words(&mut out);
        self.waiting.words(&mut out);
        self.evidence.words(&mut out);
        self.alerts.words(&mut out);
        self.suspicions.words(&mut out);
        self.graph.nodes.words(&mut out);
        for family in Family::ALL {
            self.graph.rings[family as usize].words(&mut out);
            self.graph.warm[family as usize].write_words(&mut out);
            self.velocity[family as usize].words(&mut out);
        }
        out
    }

    fn restore_words(&mut self, words: &mut Words<'_>) -> Result<Sequence, String> {
        let layout = words.word()?;
        if layout != LAYOUT {
            return Err(format!("found layout {layout}, expected {LAYOUT}"));
        }
        let sequence = Sequence(words.word()?);
        self.now = Timestamp(words.word()? as i64);
        self.counts = Counts { duplicates: words.word()?, late: words.word()? };
        self.course.hash = words.word()?;
        self.found = words.word()?;
        let mut told = [0; 32];
        for word in told.as_chunks_mut().0 {
            *word = words.word()?.to_le_bytes();
        }
        // No blob has this name.
        self.backend_told = (told != [0; 32]).then_some(told);
        self.judged.restore_words(words)?;
        self.lists.restore_words(words)?;
        self.sources.restore_words(words)?;
        self.waiting.restore_words(words)?;
        self.evidence.restore_words(words)?;
        self.alerts.restore_words(words)?;
        self.suspicions.restore_words(words)?;
        self.graph.nodes.restore_words(words)?;
        for family in Family::ALL {
            self.graph.rings[family as usize].restore_words(words)?;
            self.graph.warm[family as usize].restore_words(words)?;
            self.velocity[family as usize].restore_words(&self.graph, words)?;
            if self.velocity[family as usize].now() != self.now {
                return Err(format!("the windows of {} stand at another time than the stream", family.name()));
            }
        }
        match words.0.len() {
            0 if self.now.is_valid() || self.now == BEGINNING => Ok(sequence),
            0 => Err(format!("its stream time is {}", self.now.0)),
            more => Err(format!("found {more} numbers more than expected")),
        }
    }

    /// Fills a fresh engine from an image: [`Imaged::block`] for every block in order, then [`Imaged::finish`].
    pub fn restore_image(&mut self) -> Imaged<'_> {
        Imaged { engine: self, sequence: None, pieces: 0 }
    }

    /// Checks that what was read leads nowhere that is not there; the tails look at their rows again.
    fn wake(&mut self) -> Result<(), String> {
        let nodes = self.graph.nodes.len();
        let classes = self.classes.iter().max().map_or(0, |class| usize::from(*class) + 1);
        for (family, ring) in Family::ALL.into_iter().zip(&self.graph.rings) {
            let of = |what: String| format!("{}: {what}", family.name());
            ring.check(nodes, classes).map_err(of)?;
            self.graph.warm[family as usize].check(|link| ring.holds(link)).map_err(of)?;
            self.velocity[family as usize].wake(&self.graph).map_err(of)?;
        }
        let fresh = [0, 1, 2].map(|family: usize| self.graph.warm[family].ground().0);
        self.graph.nodes.check(&self.graph.rings, fresh).map_err(|what| format!("nodes: {what}"))?;
        self.guard.check().map_err(|what| format!("guard: {what}"))?;
        self.guard.wake();
        self.alerts.wake().map_err(|what| format!("alerts: {what}"))?;
        self.suspicions.wake().map_err(|what| format!("suspicions: {what}"))?;
        self.lists.check().map_err(|what| format!("lists: {what}"))?;
        self.sources.check().map_err(|what| format!("sources: {what}"))?;
        self.waiting.check().map_err(|what| format!("waiting: {what}"))?;
        self.judged.check().map_err(|what| format!("judged: {what}"))
    }

    /// Computes again what is derived from the ground, in its place: [`Engine::derived_hash`] must not change by it.
    ///
    /// # Errors
    /// Where the ground allows of no such tables.
    pub fn rebuild_derived(&mut self) -> Result<(), SnapshotError> {
        self.snapshot_cancel();
        for velocity in &mut self.velocity {
            velocity.rebuild_in_place(&mut self.graph)?;
        }
        Ok(())
    }
}

/// An engine being filled from an image.
pub struct Imaged<'e> {
    engine: &'e mut Engine,
    sequence: Option<Sequence>,
    pieces: u64,
}

impl Imaged<'_> {
    /// Puts the pieces of a block in their places; `block` begins behind the block's header.
    ///
    /// # Errors
    /// Where a piece does not fit this engine. The engine is then of no use.
    pub fn block(&mut self, block: &[u8]) -> Result<(), SnapshotError> {
        for piece in pieces(block) {
            let piece = piece.ok_or_else(|| "a block ends in the middle of a piece".to_owned())?;
            if self.sequence.is_none() {
                self.scalars(piece.table, piece.bytes)?;
            } else {
                self.piece(piece.table, piece.at, piece.bytes)?;
            }
            self.pieces += piece.bytes.len() as u64;
        }
        Ok(())
    }

    fn scalars(&mut self, table: u32, bytes: &[u8]) -> Result<(), String> {
        let (words, []) = bytes.as_chunks::<8>() else { return Err("its numbers are cut".to_owned()) };
        if table != SCALARS {
            return Err(format!("found table {table} first, expected the numbers"));
        }
        if self.engine.now != BEGINNING || !self.engine.graph.nodes.is_empty() || !self.engine.judged.is_empty() {
            return Err("the engine has taken records already, expected a fresh one".to_owned());
        }
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        self.sequence = Some(self.engine.restore_words(&mut Words(&words))?);
        Ok(())
    }

    fn piece(&mut self, table: u32, at: u64, bytes: &[u8]) -> Result<(), String> {
        let mut put = Err(format!("found a piece of table {table}, there is no such table"));
        self.engine.each_table(&mut |Entry { number, of, name, used, table: into }| {
            if number != table {
                return;
            }
            let size = into.element_bytes() as u64;
            let end = at.saturating_add(bytes.len() as u64);
            let inside = used.iter().any(|part| part.start as u64 * size <= at && end <= part.end as u64 * size);
            put = match inside && bytes.len() <= PIECE_BYTES_MAX {
                true => {
                    into.bytes_mut()[at as usize..end as usize].copy_from_slice(bytes);
                    Ok(())
                }
                false => Err(format!("found bytes {at} to {end} of {of}: {name}, where nothing is in use")),
            };
        });
        put
    }

    /// Checks what was read; the engine goes on with the record of the returned sequence. `totals` are those of the image.
    ///
    /// # Errors
    /// Where something is missing or does not fit. The engine is then of no use.
    pub fn finish(self, totals: Totals) -> Result<Sequence, SnapshotError> {
        let sequence = self.sequence.ok_or_else(|| "it holds nothing".to_owned())?;
        if self.pieces != totals.pieces {
            return Err(SnapshotError::Invalid(format!("found {} bytes of tables, expected {}", self.pieces, totals.pieces)));
        }
        self.engine.wake()?;
        Ok(sequence)
    }
}

impl Shape {
    /// What of `found` does not fit an engine of this shape; `None` where all does.
    pub fn misfit(&self, found: &Shape) -> Option<String> {
        let hex = |hash: &[u8; 16]| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        if found.layout != self.layout {
            return Some(format!("found layout {}, expected {}", found.layout, self.layout));
        }
        for (what, found, expected) in [
            ("topology", &found.topology, &self.topology),
            ("policy", &found.policy, &self.policy),
            ("policy before it", &found.policy_before, &self.policy_before),
            ("model", &found.model, &self.model),
            ("model before it", &found.model_before, &self.model_before),
            ("a key of ids with the fingerprint", &found.id_key, &self.id_key),
        ] {
            if found != expected {
                return Some(format!("found {what} {}, expected {}", hex(found), hex(expected)));
            }
        }
        for ((name, found), (_, expected)) in limits(&found.limits).into_iter().zip(limits(&self.limits)) {
            if found != expected {
                return Some(format!("found limits.{name} = {found}, expected {expected}"));
            }
        }
        let sizes = |shape: &Shape| shape.tables.iter().map(|table| (table.name.clone(), table.bytes)).collect::<Vec<_>>();
        (sizes(found) != sizes(self)).then(|| "its tables have other sizes".to_owned())
    }
}

/// The limits by their names in the topology.
fn limits(limits: &Limits) -> Vec<(String, u32)> {
    let mut all = vec![("nodes_max".to_owned(), limits.nodes_max), ("ids_max".to_owned(), limits.ids_max)];
    for (family, of) in Family::ALL.into_iter().zip(&limits.families) {
        let FamilyLimits { rows_max, warm_nodes_max, pairs_max, late_rows_max } = *of;
        let named =
            [("rows_max", rows_max), ("warm_nodes_max", warm_nodes_max), ("pairs_max", pairs_max), ("late_rows_max", late_rows_max)];
        all.extend(named.map(|(name, value)| (format!("{}.{name}", family.name()), value)));
    }
    all
}
