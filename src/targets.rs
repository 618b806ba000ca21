//! The index of judged events: which event a label or a payment result speaks of, for as long as labels may come.
//!
//! Everything in it follows from the journal, so nothing waits for it: what was noted and not flushed is found in memory, and after a
//! crash the records from [`Targets::noted`] on are noted again. The journal keeps what this needs ([`crate::journal::Journal::retain`]
//! takes the lower of the newest snapshot's position and this one).

use crate::event::Body;
use crate::event::{Content, Id, LabelSource, Record, Sequence, Target, Timestamp, Verdict, ends};
use crate::journal::{decode_target, encode_target};
use crate::store::{Store, StoreError, TARGETS, key};
use fjall::compaction::filter::{CompactionFilter, CompactionFilterResult, Context, Factory, ItemAccessor, Verdict as Fate};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// The open index.
pub struct Targets {
    store: Store,
    index: fjall::Keyspace,
    /// One entry: up to which sequence records are noted.
    state: fjall::Keyspace,
    /// Noted since the last flush. Looked up only, never walked in an order that matters: a flush sorts.
    fresh: HashMap<Id, Target>,
    noted: Sequence,
}

const NOTED: &[u8] = b"noted";

impl std::fmt::Debug for Targets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Targets").field("store", &self.store).field("noted", &self.noted).finish_non_exhaustive()
    }
}

/// Whether a label of `new` takes the place of one of `standing`: unless it is weaker.
fn overrules(new: LabelSource, standing: Option<(Verdict, LabelSource)>) -> bool {
    standing.is_none_or(|(_, source)| new >= source)
}

impl Targets {
    /// The index in `store`.
    ///
    /// # Errors
    /// Where the database refuses or the index is damaged.
    pub fn open(store: &Store) -> Result<Targets, StoreError> {
        let index = store.keyspace(TARGETS)?;
        let state = store.keyspace("targets-state")?;
        let noted = match state.get(NOTED).map_err(store.failed("reading the state of the index"))? {
            None => Sequence(0),
            Some(value) => {
                let bytes = value.first_chunk::<8>().filter(|_| value.len() == 8);
                let bytes = bytes.ok_or_else(|| StoreError::Damaged {
                    path: store.path().to_owned(),
                    key: "noted".to_owned(),
                    what: format!("{} bytes, expected 8", value.len()),
                })?;
                Sequence(u64::from_le_bytes(*bytes))
            }
        };
        Ok(Targets { store: store.clone(), index, state, fresh: HashMap::new(), noted })
    }

    /// The first sequence that is not in the index on disk: after a crash, records from here on are noted again.
    pub fn noted(&self) -> Sequence {
        self.noted
    }

    /// Takes note of a record that was journalled: a payment or transfer becomes a target, a label changes its target's standing verdict.
    /// Noting a record again changes nothing.
    ///
    /// # Errors
    /// Where the database refuses or a value is damaged.
    pub fn note(&mut self, record: &Record) -> Result<(), StoreError> {
        if let Content::Event(event) = &record.content {
            match &event.body {
                Body::Payment(_) | Body::Transfer(_) => {
                    let target = Target {
                        sequence: record.sequence,
                        time: event.time,
                        kind: event.body.kind(),
                        source: record.origin.source,
                        ends: ends(&event.body),
                        standing: None,
                    };
                    self.note_judged(event.id, target)?;
                }
                Body::Label(label) => {
                    // As the record says it was resolved; what nobody knew then is not a target of this label now.
                    let found = if label.resolved.is_some() { self.find(label.target)? } else { None };
                    if let Some(mut target) = found.filter(|target| overrules(label.source, target.standing)) {
                        target.standing = Some((label.verdict, label.source));
                        self.fresh.insert(label.target, target);
                    }
                }
                _ => {}
            }
        }
        self.noted = self.noted.max(Sequence(record.sequence.0 + 1));
        Ok(())
    }

    /// An id that comes again is a duplicate or a conflict: the first record stays the target. For a new id the look-up on disk ends at
    /// the filters of the files, nearly always.
    fn note_judged(&mut self, id: Id, target: Target) -> Result<(), StoreError> {
        if self.fresh.contains_key(&id) {
            return Ok(());
        }
        match self.stored(id)? {
            Some(first) if first.sequence <= target.sequence => Ok(()),
            _ => {
                self.fresh.insert(id, target);
                Ok(())
            }
        }
    }

    /// What a label or payment result for `id` is about; `None` where nobody knows it, or it is older than labels are awaited.
    ///
    /// # Errors
    /// Where the database refuses or a value is damaged.
    pub fn resolve(&self, id: Id) -> Result<Option<Target>, StoreError> {
        self.find(id)
    }

    fn find(&self, id: Id) -> Result<Option<Target>, StoreError> {
        let found = match self.fresh.get(&id) {
            Some(target) => Some(*target),
            None => self.stored(id)?,
        };
        Ok(found.filter(|target| target.time.0 >= self.store.expired_before()))
    }

    fn stored(&self, id: Id) -> Result<Option<Target>, StoreError> {
        let Some(value) = self.index.get(key(id)).map_err(self.store.failed("reading the index of judged events"))? else {
            return Ok(None);
        };
        decode_target(&value).map(Some).map_err(|malformed| self.store.damaged(id, malformed.to_string()))
    }

    /// Entries that wait for the next flush.
    pub fn waiting(&self) -> usize {
        self.fresh.len()
    }

    /// Writes what was noted, and up to where, at once: all of it or, after a crash, nothing.
    ///
    /// # Errors
    /// Where the database refuses: it then takes no further writes.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        let mut entries: Vec<(Id, Target)> = self.fresh.drain().collect();
        entries.sort_unstable_by_key(|(id, _)| *id);
        let mut batch = self.store.database.batch().durability(Some(self.store.persist_mode()));
        let mut value = Vec::with_capacity(128);
        for (id, target) in entries {
            value.clear();
            encode_target(&target, &mut value);
            batch.insert(&self.index, key(id), value.as_slice());
        }
        batch.insert(&self.state, NOTED, self.noted.0.to_le_bytes());
        batch.commit().map_err(self.store.failed("writing the index of judged events"))
    }

    /// Forgets targets with a time before `moment`: at once for [`Targets::resolve`], in the files when these are merged.
    pub fn expire(&mut self, moment: Timestamp) {
        self.store.targets_expired.fetch_max(moment.0, Ordering::Relaxed);
        self.fresh.retain(|_, target| target.time >= moment);
    }
}

/// Lets entries fall when the files they stand in are merged.
pub(crate) struct Expired(pub(crate) Arc<AtomicI64>);

struct ExpiredFilter(i64);

impl Factory for Expired {
    fn name(&self) -> &str {
        "expired targets"
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        Box::new(ExpiredFilter(self.0.load(Ordering::Relaxed)))
    }
}

impl CompactionFilter for ExpiredFilter {
    fn filter_item(&mut self, item: ItemAccessor<'_>, _: &Context) -> CompactionFilterResult {
        // Older versions of an entry bear the same time: they expire with it, in whatever file they stand.
        let expired = decode_target(&item.value()?).is_ok_and(|target| target.time.0 < self.0);
        Ok(if expired { Fate::Remove } else { Fate::Keep })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Currency, Duration, Effort, Event, IdKey, IdKind, Label, Money, Origin, Payment};

    fn id(number: u64) -> Id {
        IdKey::FILES.id(IdKind::Event, &number.to_le_bytes())
    }

    fn record(sequence: u64, event: u64, body: Body) -> Record {
        let time = Timestamp(Duration::HOUR.times(sequence as i64).0);
        Record {
            sequence: Sequence(sequence),
            received: time,
            origin: Origin { source: 4, partition: 0, offset: sequence },
            effort: Effort::Full,
            content: Content::Event(Event { id: id(event), time, body }),
        }
    }

    fn payment(sequence: u64, event: u64) -> Record {
        let named = |kind| IdKey::FILES.id(kind, &event.to_le_bytes());
        let amount = Money { minor: 100, currency: Currency::parse("EUR").unwrap() };
        let body = Payment {
            user: named(IdKind::User),
            merchant: named(IdKind::Merchant),
            device: None,
            card: Some(named(IdKind::Card)),
            ip: None,
            amount,
            mcc: None,
            country: None,
            channel: None,
            session: None,
            items: Box::new([]),
        };
        record(sequence, event, Body::Payment(body))
    }

    fn label(sequence: u64, targets: &Targets, target: u64, verdict: Verdict, source: LabelSource) -> Record {
        let resolved = targets.resolve(id(target)).unwrap();
        let body = Label { target: id(target), verdict, source, scenario: None, user: None, from: None, resolved };
        record(sequence, 1_000_000 + sequence, Body::Label(body))
    }

    #[test]
    fn targets_are_found_waiting_and_on_disk() {
        let mut targets = Targets::open(&Store::scratch().unwrap()).unwrap();
        let first = payment(7, 1);
        targets.note(&first).unwrap();
        let Content::Event(event) = &first.content else { unreachable!() };
        let expected = Target {
            sequence: Sequence(7),
            time: event.time,
            kind: crate::event::EventType::Payment,
            source: 4,
            ends: ends(&event.body),
            standing: None,
        };
        assert_eq!(targets.resolve(id(1)).unwrap(), Some(expected));
        targets.flush().unwrap();
        assert_eq!(targets.waiting(), 0);
        assert_eq!(targets.resolve(id(1)).unwrap(), Some(expected));
        assert_eq!(targets.resolve(id(2)).unwrap(), None);
        // A duplicate does not take the first one's place, waiting or on disk. Caught when planted: an insert without a look-up.
        targets.note(&payment(8, 1)).unwrap();
        targets.flush().unwrap();
        assert_eq!(targets.resolve(id(1)).unwrap(), Some(expected));
    }

    #[test]
    fn the_stronger_label_stands_and_among_equals_the_latest() {
        use LabelSource::{Analyst, Chargeback, Rule};
        use Verdict::{Fraud, Legitimate};
        let mut targets = Targets::open(&Store::scratch().unwrap()).unwrap();
        targets.note(&payment(0, 1)).unwrap();
        let steps = [
            (Fraud, Rule, (Fraud, Rule)),
            (Legitimate, Chargeback, (Legitimate, Chargeback)),
            (Fraud, Rule, (Legitimate, Chargeback)),
            (Fraud, Chargeback, (Fraud, Chargeback)),
            (Legitimate, Analyst, (Legitimate, Analyst)),
            (Fraud, Chargeback, (Legitimate, Analyst)),
        ];
        for (place, (verdict, source, standing)) in steps.into_iter().enumerate() {
            let record = label(place as u64 + 1, &targets, 1, verdict, source);
            targets.note(&record).unwrap();
            if place % 2 == 0 {
                targets.flush().unwrap();
            }
            // Caught when planted: the latest label always winning; the standing verdict lost where the target was on disk.
            assert_eq!(targets.resolve(id(1)).unwrap().unwrap().standing, Some(standing), "label {place}");
        }
    }

    #[test]
    fn after_a_crash_the_rest_is_noted_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut records: Vec<Record> = (0..20).map(|n| payment(n, n % 15)).collect();
        let open = || Targets::open(&Store::open(dir.path(), crate::journal::Durability::Written).unwrap()).unwrap();
        let mut targets = open();
        records.iter().for_each(|record| targets.note(record).unwrap());
        let fraud = label(20, &targets, 3, Verdict::Fraud, LabelSource::Analyst);
        records.push(fraud);
        records.push(payment(21, 40));
        drop(targets);
        let mut targets = open();
        // Nothing was flushed.
        assert_eq!((targets.noted(), targets.resolve(id(3)).unwrap()), (Sequence(0), None));
        records[..12].iter().for_each(|record| targets.note(record).unwrap());
        targets.flush().unwrap();
        records[12..].iter().for_each(|record| targets.note(record).unwrap());
        drop(targets);
        let mut targets = open();
        assert_eq!(targets.noted(), Sequence(12));
        for record in &records[targets.noted().0 as usize..] {
            targets.note(record).unwrap();
        }
        let whole = {
            let mut whole = Targets::open(&Store::scratch().unwrap()).unwrap();
            records.iter().for_each(|record| whole.note(record).unwrap());
            whole
        };
        for event in 0..50 {
            assert_eq!(targets.resolve(id(event)).unwrap(), whole.resolve(id(event)).unwrap(), "event {event}");
        }
        assert_eq!(targets.noted(), whole.noted());
    }

    #[test]
    fn expired_targets_are_unknown_and_leave_the_files() {
        let mut targets = Targets::open(&Store::scratch().unwrap()).unwrap();
        for n in 0..100 {
            targets.note(&payment(n, n)).unwrap();
            if n == 60 {
                targets.flush().unwrap();
            }
        }
        let moment = Timestamp(Duration::HOUR.times(50).0);
        targets.expire(moment);
        for n in 0..100 {
            assert_eq!(targets.resolve(id(n)).unwrap().is_some(), n >= 50, "event {n}");
        }
        targets.flush().unwrap();
        targets.index.rotate_memtable_and_wait().unwrap();
        targets.index.major_compact().unwrap();
        // Caught when planted: a filter that is never installed.
        assert_eq!(targets.index.len().unwrap(), 50);
        for n in 0..100 {
            assert_eq!(targets.resolve(id(n)).unwrap().is_some(), n >= 50, "event {n}");
        }
    }
}
