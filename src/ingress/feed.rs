//! What a merge reads from: a file with what was read of it ahead, a catalogue in a pass of its own.

use super::contract::{Reading, Texts};
use super::file::InputError;
use super::input::{Bad, Entries, Input, InputFile};
use super::merge::CATALOGUE_ITEMS_MAX;
use super::options::InputLimits;
use super::table::Plan;
use crate::event::{Duration, EventType, Id, Item, Timestamp};
use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

/// One file, its head, and what was read behind the head to judge it by.
pub(super) struct FileFeed {
    pub(super) file: InputFile,
    pub(super) head: Option<Input>,
    pub(super) ahead: Option<Result<Option<Input>, InputError>>,
}

/// The catalogue of one source: its files in a pass of their own.
pub(super) struct Catalogue {
    /// The files still to be read, with their number and the rows before them.
    pub(super) files: VecDeque<(u32, PathBuf, u64)>,
    pub(super) plan: Arc<Plan>,
    pub(super) open: Option<(u32, Entries)>,
    pub(super) seen: HashSet<Id>,
    pub(super) head: Option<Announced>,
}

pub(super) struct Announced {
    pub(super) partition: u32,
    pub(super) offset: u64,
    pub(super) found: Result<(Id, Item), Box<Bad>>,
}

impl FileFeed {
    /// Reads the next head; its place in the order, behind a head at `before`.
    ///
    /// A time that jumps further than `jump_max` is looked at twice: if the file falls back behind it, it is one wrong time, and the head
    /// goes out at once. At its own place it would hold up the rest of its file until all others have ended.
    pub(super) fn advance<T: Texts + ?Sized>(
        &mut self,
        reading: &mut Reading,
        limits: &InputLimits,
        texts: &mut T,
        before: Timestamp,
        jump_max: Duration,
    ) -> Result<Option<Timestamp>, InputError> {
        let FileFeed { file, head, ahead } = self;
        *head = match ahead.take() {
            Some(read) => read,
            None => file.next(reading, limits, texts),
        }?;
        let Some(input) = head else { return Ok(None) };
        let Some(time) = input.time() else { return Ok(Some(before)) };
        if before == BEFORE_ALL || time.0 <= before.0.saturating_add(jump_max.0) {
            return Ok(Some(time));
        }
        let next = ahead.insert(file.next(reading, limits, texts));
        let next_time = next.as_ref().ok().and_then(|next| next.as_ref()?.time());
        let falls_back = next_time.is_some_and(|next| next.0 < time.0.saturating_sub(jump_max.0));
        Ok(Some(if falls_back { before } else { time }))
    }

    pub(super) fn is_label(&self) -> bool {
        self.head.as_ref().is_some_and(|input| matches!(&input.found, Ok((event, _)) if event.body.kind() == EventType::Label))
    }
}

impl Catalogue {
    /// Reads the next entry into `head`; false at the end of the last file.
    pub(super) fn advance<T: Texts + ?Sized>(
        &mut self,
        reading: &mut Reading,
        limits: &InputLimits,
        texts: &mut T,
    ) -> Result<bool, InputError> {
        loop {
            let Some((partition, entries)) = &mut self.open else {
                let Some((partition, path, rows)) = self.files.pop_front() else { return Ok(false) };
                self.open = Some((partition, Entries::open(&path, &self.plan, rows, limits)?));
                continue;
            };
            let seen = &mut self.seen;
            let Some((offset, found)) = entries.next(reading, |item| seen.contains(&item), texts)? else {
                self.open = None;
                continue;
            };
            if let Ok((_, entry)) = &found {
                seen.insert(entry.item);
            }
            if seen.len() > CATALOGUE_ITEMS_MAX {
                return Err(InputError::new(format!("found a catalogue of more than {CATALOGUE_ITEMS_MAX} items")));
            }
            self.head = Some(Announced { partition: *partition, offset, found });
            return Ok(true);
        }
    }
}

/// The place of a head that has no time and nothing before it.
pub(super) const BEFORE_ALL: Timestamp = Timestamp(i64::MIN);
