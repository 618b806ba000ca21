//! The namer: a follower that enters what is told of ids into the identity store, behind the engine.
//!
//! It reads the log of texts record by record, and in between does what erasures ask for, each at its own record: so a person's texts fall
//! that came before the erasure, and those behind it stay, however far apart recorder, judge and this thread are. What is entered and on
//! disk is let go of in the log. Done twice it comes to the same, so after a crash it is done again from where the store says.

use super::Shared;
use super::erasures::{Change, Consequence};
use super::error::ServiceError;
use crate::event::Sequence;
use crate::identity::Identity;
use crate::journal::{Files, JournalError, LogKind, Retention, Telling, Tellings};
use crate::store::Store;
use crossbeam::channel::Receiver;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration as Wall, Instant};
use tracing::{error, info};

/// Between two looks at what is new: what followers see is behind the hook's answers by so much.
const LOOK_EVERY: Wall = Wall::from_millis(10);
/// Between two syncs of the store, where no snapshot waits for one.
const SYNC_EVERY: Wall = Wall::from_secs(1);
/// Texts that are written at once.
const WAITING_MAX: usize = 1_024;
/// Records between two words to followers about how far it came: one that is far behind tells them, and the disk, on its way.
const STRETCH_RECORDS: u64 = 8_192;
/// How long the store is left alone between two purges of erased texts: each rewrites it.
const PURGE_EVERY: Wall = Wall::from_secs(60 * 60);

/// The identity store and what is on its way there.
pub(in crate::runtime) struct Namer {
    store: Store,
    identity: Identity,
    files: Arc<dyn Files>,
    dir: PathBuf,
    tellings: Tellings,
    /// What records do to texts, in order, behind what was done.
    consequences: VecDeque<Consequence>,
    /// Everything told of records before this one is in the store; of those before `durable` on disk too.
    through: Sequence,
    durable: Sequence,
    /// The log of texts is asked to end its segment: somebody's texts stand there.
    ending: Arc<AtomicBool>,
    /// Erased texts may stand in the store's tables.
    erased: bool,
    purging: Option<JoinHandle<()>>,
}

/// Before which record everything told is in the store, where the journal's next is `next`. A store that nobody has told how far it came is
/// one that a replay wrote, which tells nothing to a log: it has everything. Or its first process was killed before it got there.
pub(in crate::runtime) fn entered(
    identity: &Identity,
    files: &Arc<dyn Files>,
    dir: &Path,
    next: Sequence,
) -> Result<Sequence, JournalError> {
    if let Some(through) = identity.through() {
        return Ok(through.min(next));
    }
    let told = Tellings::open(files.clone(), dir, Sequence(0))?.upcoming()?;
    Ok(if told.is_some() { Sequence(0) } else { next })
}

impl Namer {
    /// The store behind the log of texts in `dir`, which ends segments by `ending`; `through` is as [`entered`] says.
    pub(in crate::runtime) fn open(
        store: &Store,
        mut identity: Identity,
        files: Arc<dyn Files>,
        dir: PathBuf,
        ending: Arc<AtomicBool>,
        through: Sequence,
    ) -> Result<Namer, JournalError> {
        identity.reached(through);
        let tellings = Tellings::open(files.clone(), &dir, through)?;
        Ok(Namer {
            store: store.clone(),
            identity,
            files,
            dir,
            tellings,
            consequences: VecDeque::new(),
            through,
            durable: Sequence(0),
            ending,
            erased: false,
            purging: None,
        })
    }

    /// Takes note of what a record does; in the order of records.
    pub(in crate::runtime) fn expect(&mut self, consequence: Consequence) {
        self.consequences.push_back(consequence);
    }

    pub(in crate::runtime) fn through(&self) -> Sequence {
        self.through
    }

    /// Before which record everything told is on disk in the store.
    pub(in crate::runtime) fn durable(&self) -> Sequence {
        self.durable
    }

    /// Enters what is told of records before `until`. All of them have been judged.
    pub(in crate::runtime) fn advance(&mut self, until: Sequence) -> Result<(), ServiceError> {
        while self.through < until {
            let told = self.tellings.upcoming()?.unwrap_or(until);
            let next = self.consequences.front().map_or(until, |consequence| consequence.sequence);
            if told < until && told <= next {
                let identity = &mut self.identity;
                self.tellings.take(|telling| match telling {
                    Telling::Text { id, kind, text } => identity.put(id, kind, text),
                    Telling::Name { name, bearer } => identity.belongs(name, bearer),
                })?;
                if self.identity.waiting() >= WAITING_MAX {
                    self.identity.reached(told);
                    self.identity.flush()?;
                }
            } else if next < until {
                self.identity.reached(next);
                self.identity.flush()?;
                let Consequence { person, change, .. } = self.consequences.pop_front().expect("it was just seen");
                match change {
                    Change::Back => self.identity.came_back(person)?,
                    Change::Erased(at) | Change::Again(at) => {
                        self.identity.erase_person(person, at, &[])?;
                        self.erased = true;
                        self.ending.store(true, Ordering::Release);
                    }
                }
            } else {
                self.identity.reached(until);
                self.identity.flush()?;
                self.through = until;
            }
        }
        Ok(())
    }

    /// Makes what is entered survive a power cut, and lets go of the log of texts before it.
    pub(in crate::runtime) fn sync(&mut self) -> Result<(), ServiceError> {
        if self.durable < self.through {
            self.store.sync()?;
            self.durable = self.through;
            let retention = Retention::of(self.files.clone(), &self.dir, LogKind::Texts);
            retention.apply(self.durable, crate::event::Timestamp::MAX)?;
        }
        Ok(())
    }

    /// Has erased texts taken out of the store's tables, beside everything else.
    fn purge(&mut self) -> Result<(), ServiceError> {
        self.erased = false;
        let identity = Identity::open(&self.store)?;
        let purge = move || match identity.purge() {
            Ok(()) => info!("erased texts have left the tables of the identity store"),
            Err(cause) => error!(%cause, "erased texts could not be taken out of the tables; it is tried again after the next erasure"),
        };
        let began = std::thread::Builder::new().name("purger".to_owned()).spawn(purge);
        self.purging = began.inspect_err(|cause| error!(%cause, "no thread to purge erased texts")).ok();
        Ok(())
    }

    /// Follows until the service has ended.
    pub(super) fn run(mut self, shared: &Shared, consequences: &Receiver<Consequence>) {
        let mut synced = Instant::now();
        let mut purged = None::<Instant>;
        loop {
            let ended = shared.is_ended();
            // At the end nobody is waited for any more.
            let settled = if ended { &shared.judged } else { &shared.settled };
            let settled = Sequence(settled.load(Ordering::Acquire)).min(shared.journal.durable());
            let until = settled.min(Sequence(self.through.0 + STRETCH_RECORDS));
            // Sent before the record was settled.
            consequences.try_iter().for_each(|consequence| self.expect(consequence));
            let mut done = Ok(());
            if until > self.through {
                done = self.advance(until);
                shared.named.store(self.through.0, Ordering::Release);
                shared.published.send_replace(self.through.0);
                let lag = shared.recorded.load(Ordering::Relaxed).saturating_sub(self.through.0);
                shared.metrics.followers_lag_records.set(lag as i64);
                shared.more.notify_waiters();
            }
            let awaited = Sequence(shared.named_awaited.load(Ordering::Acquire));
            let wanted = self.durable < awaited && awaited <= self.through;
            if done.is_ok() && (ended || wanted || synced.elapsed() >= SYNC_EVERY) {
                synced = Instant::now();
                done = self.sync();
                shared.named_durable.store(self.durable.0, Ordering::Release);
            }
            let due = purged.is_none_or(|purged| purged.elapsed() >= PURGE_EVERY);
            if done.is_ok() && self.erased && due && !ended && self.purging.as_ref().is_none_or(JoinHandle::is_finished) {
                purged = Some(Instant::now());
                done = self.purge();
            }
            if let Err(cause) = done {
                shared.stop(format!("texts of ids cannot be entered: {cause}"));
                error!(%cause, "texts of ids cannot be entered");
                return;
            }
            if until < settled {
                continue;
            }
            if ended {
                break;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        if let Some(purging) = self.purging.take() {
            // It has said what went wrong.
            let _ = purging.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Id, IdKey, IdKind, Timestamp};
    use crate::journal::{Disk, LogOptions, TextLog};

    fn user(text: &str) -> Id {
        IdKey::FILES.id(IdKind::User, text.as_bytes())
    }

    fn namer(dir: &Path, log: &TextLog, from: u64) -> Namer {
        let store = Store::open(&dir.join("identity")).unwrap();
        let mut identity = Identity::open(&store).unwrap();
        identity.reached(Sequence(from));
        Namer::open(&store, identity, Arc::new(Disk), dir.join("texts"), log.ending(), Sequence(from)).unwrap()
    }

    fn known(namer: &Namer, text: &str) -> bool {
        namer.identity.text(user(text)).unwrap().is_some()
    }

    /// Caught when planted: texts entered up to the limit before what lies between them was done; the last record before the limit passed
    /// over.
    #[test]
    fn an_erasure_is_done_at_its_own_record_also_when_it_is_done_again() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, _) = TextLog::open(Arc::new(Disk), &dir.path().join("texts"), LogOptions::default()).unwrap();
        // Anna is erased by record 2 and comes back by record 5, Bo by record 4 for good; record 6 speaks of his past.
        for (sequence, text) in [(1, "anna"), (1, "bo"), (2, "anna"), (4, "bo"), (5, "anna"), (6, "bo"), (7, "cleo")] {
            log.tell(Sequence(sequence), Telling::Text { id: user(text), kind: IdKind::User, text }).unwrap();
        }
        log.commit().unwrap();
        let consequences = [
            (2, "anna", Change::Erased(Timestamp(20))),
            (4, "bo", Change::Erased(Timestamp(40))),
            (5, "anna", Change::Back),
            (6, "bo", Change::Again(Timestamp(40))),
        ];
        let expect = |namer: &mut Namer| {
            for (sequence, person, change) in consequences {
                namer.expect(Consequence { sequence: Sequence(sequence), person: user(person), change });
            }
        };
        {
            let mut namer = namer(dir.path(), &log, 0);
            expect(&mut namer);
            namer.advance(Sequence(3)).unwrap();
            assert_eq!((known(&namer, "anna"), known(&namer, "bo")), (false, true));
            namer.advance(Sequence(8)).unwrap();
            assert_eq!((known(&namer, "anna"), known(&namer, "bo"), known(&namer, "cleo")), (true, false, true));
        }
        // After a crash that lost how far it was.
        let mut namer = namer(dir.path(), &log, 0);
        expect(&mut namer);
        namer.advance(Sequence(8)).unwrap();
        assert_eq!((known(&namer, "anna"), known(&namer, "bo"), known(&namer, "cleo")), (true, false, true));
        // The segment that holds the erased texts goes: it ends with the next group, and is on disk in the store.
        log.commit().unwrap();
        namer.sync().unwrap();
        let left = Tellings::open(Arc::new(Disk), &dir.path().join("texts"), Sequence(0)).unwrap().upcoming().unwrap();
        assert_eq!(left, None);
    }

    /// Found by a test that killed a service in its first second: its texts were taken for those of a replay, and none was entered.
    #[test]
    fn a_store_that_knows_nothing_has_everything_only_where_nothing_was_told() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("identity")).unwrap();
        let (mut identity, files, texts) = (Identity::open(&store).unwrap(), Arc::new(Disk) as Arc<dyn Files>, dir.path().join("texts"));
        let (mut log, _) = TextLog::open(files.clone(), &texts, LogOptions::default()).unwrap();
        assert_eq!(entered(&identity, &files, &texts, Sequence(9)).unwrap(), Sequence(9));
        log.tell(Sequence(3), Telling::Text { id: user("anna"), kind: IdKind::User, text: "anna" }).unwrap();
        log.commit().unwrap();
        assert_eq!(entered(&identity, &files, &texts, Sequence(9)).unwrap(), Sequence(0));
        identity.reached(Sequence(12));
        identity.flush().unwrap();
        assert_eq!(entered(&identity, &files, &texts, Sequence(9)).unwrap(), Sequence(9));
    }
}
