//! The index of judged events: which event a label or a payment result speaks of, for as long as labels may come.
//!
//! Noting writes blind, because a look-up on disk would cost more than all the rest. An event's entry bears its sequence in the key, so a
//! duplicate lies behind the first one instead of in its place; a label's verdict has an entry for each strength of source, so the
//! verdict in force is that of the strongest one there, which is what replacing "unless the new one is weaker" comes to. Resolving walks
//! the few entries of an id.
//!
//! ```text
//! id 16 | sequence 8            → the target       (big-endian, so that keys sort by id, then sequence)
//! id 16 | sequence 8 | source 1 → verdict 1 | time of the target 8
//! ```
//!
//! Everything in it follows from the journal, so nothing waits for it: what was noted and not flushed is found in memory, and after a
//! crash the records from [`Targets::noted`] on are noted again. The journal keeps what this needs ([`crate::journal::Retention`] is
//! given the lower of the oldest snapshot's position and this one).

use crate::event::{Body, Content, Id, LabelSource, Record, Sequence, Target, Timestamp, Verdict, ends};
use crate::journal::{decode_target, encode_target};
use crate::store::{Store, StoreError, TARGETS, key};
use fjall::compaction::filter::{CompactionFilter, CompactionFilterResult, Context, Factory, ItemAccessor, Verdict as Fate};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

/// The open index.
pub struct Targets {
    store: Store,
    index: fjall::Keyspace,
    /// One entry: up to which sequence records are noted.
    state: fjall::Keyspace,
    /// Noted since the last flush, in the order of keys.
    fresh: BTreeMap<Place, Entry>,
    /// What another thread is writing.
    leaving: Option<Arc<Leaving>>,
    noted: Sequence,
    /// As `noted`, of what was given away.
    given: Sequence,
}

/// What was noted up to some record, on its way to the disk: for another thread to write ([`Targets::give`]).
pub struct Leaving {
    store: Store,
    index: fjall::Keyspace,
    state: fjall::Keyspace,
    entries: BTreeMap<Place, Entry>,
    /// The first sequence that is not in the index before this is written, and after.
    before: Sequence,
    noted: Sequence,
    written: AtomicBool,
}

/// A key: the event, its record, and for a verdict the strength of its source.
type Place = (Id, Sequence, Option<LabelSource>);

#[derive(Clone, Copy, Debug)]
enum Entry {
    Judged(Target),
    Said { verdict: Verdict, time: Timestamp },
}

const NOTED: &[u8] = b"noted";
/// Entries written at once: the database lets nobody else write meanwhile, and whoever waits for an answer waits for the texts of its ids.
const PIECE: usize = 8;
/// Between two pieces: its lock knows no order, who just let go of it would have it again.
const PAUSE: Duration = Duration::from_micros(50);

impl std::fmt::Debug for Targets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Targets").field("store", &self.store).field("noted", &self.noted).finish_non_exhaustive()
    }
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
        Ok(Targets { store: store.clone(), index, state, fresh: BTreeMap::new(), leaving: None, noted, given: noted })
    }

    /// The first sequence that is not in the index on disk: after a crash, records from here on are noted again.
    pub fn noted(&self) -> Sequence {
        self.noted
    }

    /// Takes note of a record that was journalled: a payment or transfer becomes a target, a label that knows its target changes what is in
    /// force for it. Noting a record again changes nothing.
    pub fn note(&mut self, record: &Record) {
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
                    self.fresh.insert((event.id, record.sequence, None), Entry::Judged(target));
                }
                Body::Label(label) => {
                    // As the record says it was resolved; what nobody knew then is no target of this label now.
                    if let Some(target) = &label.resolved {
                        let said = Entry::Said { verdict: label.verdict, time: target.time };
                        self.fresh.insert((label.target, target.sequence, Some(label.source)), said);
                    }
                }
                _ => {}
            }
        }
        self.noted = self.noted.max(Sequence(record.sequence.0 + 1));
    }

    /// What a label or payment result for `id` is about, with the verdict in force; `None` where nobody knows it, or it is older than
    /// labels are awaited.
    ///
    /// # Errors
    /// Where the database refuses or a value is damaged.
    pub fn resolve(&self, id: Id) -> Result<Option<Target>, StoreError> {
        let mut entries = BTreeMap::new();
        for item in self.index.prefix(key(id)) {
            let (key, value) = item.into_inner().map_err(self.store.failed("reading the index of judged events"))?;
            let (place, entry) = read(id, &key, &value).ok_or_else(|| self.store.damaged(id, "no entry of the index"))?;
            entries.insert(place, entry);
        }
        // What is in memory is younger than what is on disk.
        let all = (id, Sequence(0), None)..=(id, Sequence(u64::MAX), Some(LabelSource::Analyst));
        if let Some(leaving) = &self.leaving {
            entries.extend(leaving.entries.range(all.clone()));
        }
        entries.extend(self.fresh.range(all));
        // The first record with this id is the target: what came behind it was a duplicate or a conflict.
        let first = entries.values().find_map(|entry| match entry {
            Entry::Judged(target) => Some(*target),
            Entry::Said { .. } => None,
        });
        let Some(mut target) = first.filter(|target| target.time.0 >= self.store.expired_before()) else { return Ok(None) };
        for (place, entry) in entries {
            // Weaker sources sort before stronger ones.
            if let ((_, sequence, Some(source)), Entry::Said { verdict, .. }) = (place, entry)
                && sequence == target.sequence
            {
                target.standing = Some((verdict, source));
            }
        }
        Ok(Some(target))
    }

    /// Entries that wait for the next flush.
    pub fn waiting(&self) -> usize {
        self.fresh.len()
    }

    /// Writes what was noted, and up to where.
    ///
    /// # Errors
    /// Where the database refuses: it then takes no further writes.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        if let Some(leaving) = self.leaving.take() {
            // Perhaps it is written meanwhile: writing it again changes nothing.
            leaving.write_at(false)?;
        }
        let leaving = self.give().expect("nothing is leaving");
        leaving.write_at(false)?;
        self.leaving = None;
        Ok(())
    }

    /// Gives away what was noted, for another thread to write; until that is done it is found here. `None` while an earlier part is not
    /// written.
    pub fn give(&mut self) -> Option<Arc<Leaving>> {
        if self.leaving.take_if(|leaving| leaving.written.load(Ordering::Acquire)).is_none() && self.leaving.is_some() {
            return None;
        }
        let leaving = Arc::new(Leaving {
            store: self.store.clone(),
            index: self.index.clone(),
            state: self.state.clone(),
            entries: std::mem::take(&mut self.fresh),
            before: std::mem::replace(&mut self.given, self.noted),
            noted: self.noted,
            written: AtomicBool::new(false),
        });
        self.leaving = Some(leaving.clone());
        Some(leaving)
    }

    /// Forgets targets with a time before `moment`: at once for [`Targets::resolve`], in the files when these are merged.
    pub fn expire(&mut self, moment: Timestamp) {
        self.store.targets_expired.fetch_max(moment.0, Ordering::Relaxed);
    }
}

impl Leaving {
    /// Writes it, a few entries at a time so that texts written meanwhile need not wait. Cut off by a crash, it is noted again: what it is up
    /// to is written last.
    ///
    /// # Errors
    /// Where the database refuses: it then takes no further writes.
    pub fn write(&self) -> Result<(), StoreError> {
        self.write_at(true)
    }

    fn write_at(&self, patient: bool) -> Result<(), StoreError> {
        let failed = || self.store.failed("writing the index of judged events");
        let begin = || self.store.batch();
        let mut value = Vec::with_capacity(128);
        let mut entries = self.entries.iter().peekable();
        while entries.peek().is_some() {
            let mut batch = begin();
            for (&(id, sequence, source), entry) in entries.by_ref().take(PIECE) {
                value.clear();
                match entry {
                    Entry::Judged(target) => encode_target(target, &mut value),
                    Entry::Said { verdict, time } => {
                        value.push(*verdict as u8);
                        value.extend_from_slice(&time.0.to_le_bytes());
                    }
                }
                let mut place = [0; 25];
                place[..16].copy_from_slice(&key(id));
                place[16..24].copy_from_slice(&sequence.0.to_be_bytes());
                place[24] = source.map_or(0, |source| source as u8);
                batch.insert(&self.index, &place[..24 + usize::from(source.is_some())], value.as_slice());
            }
            batch.commit().map_err(failed())?;
            if patient {
                std::thread::sleep(PAUSE);
            }
        }
        let mut batch = begin();
        batch.insert(&self.state, NOTED, self.noted.0.to_le_bytes());
        batch.commit().map_err(failed())?;
        self.written.store(true, Ordering::Release);
        Ok(())
    }

    /// Everything before this sequence is in the index already: a crash now needs the journal from here.
    pub fn before(&self) -> Sequence {
        self.before
    }
}

/// The entry under `key`; `None` where it is none.
fn read(id: Id, key: &[u8], value: &[u8]) -> Option<(Place, Entry)> {
    let sequence = Sequence(u64::from_be_bytes(*key.get(16..)?.first_chunk()?));
    match key.get(24..)? {
        [] => Some(((id, sequence, None), Entry::Judged(decode_target(value).ok()?))),
        [source] => {
            let source = LabelSource::ALL.into_iter().find(|known| *known as u8 == *source)?;
            let (verdict, time) = value.split_first()?;
            let verdict = Verdict::ALL.into_iter().find(|known| *known as u8 == *verdict)?;
            let time = Timestamp(i64::from_le_bytes(time.try_into().ok()?));
            Some(((id, sequence, Some(source)), Entry::Said { verdict, time }))
        }
        _ => None,
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
        let time = match read(Id::from_bits(1), item.key(), &item.value()?) {
            Some((_, Entry::Judged(target))) => target.time,
            Some((_, Entry::Said { time, .. })) => time,
            // Damage is for whoever reads it to name.
            None => return Ok(Fate::Keep),
        };
        Ok(if time.0 < self.0 { Fate::Remove } else { Fate::Keep })
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
        targets.note(&first);
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
        // A duplicate does not take the first one's place, waiting or on disk. Caught when planted: the last entry of an id taken.
        targets.note(&payment(8, 1));
        targets.flush().unwrap();
        assert_eq!(targets.resolve(id(1)).unwrap(), Some(expected));
    }

    #[test]
    fn the_stronger_label_stands_and_among_equals_the_latest() {
        use LabelSource::{Analyst, Chargeback, Rule};
        use Verdict::{Fraud, Legitimate};
        let mut targets = Targets::open(&Store::scratch().unwrap()).unwrap();
        targets.note(&payment(0, 1));
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
            targets.note(&record);
            if place % 2 == 0 {
                targets.flush().unwrap();
            }
            // Caught when planted: the weakest source's verdict taken; what waits in memory not looked at.
            assert_eq!(targets.resolve(id(1)).unwrap().unwrap().standing, Some(standing), "label {place}");
        }
    }

    #[test]
    fn after_a_crash_the_rest_is_noted_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut records: Vec<Record> = (0..20).map(|n| payment(n, n % 15)).collect();
        let open = || Targets::open(&Store::open(dir.path()).unwrap()).unwrap();
        let mut targets = open();
        records.iter().for_each(|record| targets.note(record));
        let fraud = label(20, &targets, 3, Verdict::Fraud, LabelSource::Analyst);
        records.push(fraud);
        records.push(payment(21, 40));
        drop(targets);
        let mut targets = open();
        // Nothing was flushed.
        assert_eq!((targets.noted(), targets.resolve(id(3)).unwrap()), (Sequence(0), None));
        records[..12].iter().for_each(|record| targets.note(record));
        targets.flush().unwrap();
        records[12..].iter().for_each(|record| targets.note(record));
        drop(targets);
        let mut targets = open();
        assert_eq!(targets.noted(), Sequence(12));
        for record in &records[targets.noted().0 as usize..] {
            targets.note(record);
        }
        let whole = {
            let mut whole = Targets::open(&Store::scratch().unwrap()).unwrap();
            records.iter().for_each(|record| whole.note(record));
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
            targets.note(&payment(n, n));
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

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]

        // The entries by source give what the rule says when the labels are gone through one by one.
        #[test]
        fn entries_by_source_are_the_rule(steps in proptest::collection::vec((0usize..3, 0usize..3, 0u8..5), 0..12)) {
            let mut targets = Targets::open(&Store::scratch().unwrap()).unwrap();
            targets.note(&payment(0, 1));
            let mut standing: Option<(Verdict, LabelSource)> = None;
            for (place, (verdict, source, flush)) in steps.into_iter().enumerate() {
                let (verdict, source) = (Verdict::ALL[verdict], LabelSource::ALL[source]);
                let record = label(place as u64 + 1, &targets, 1, verdict, source);
                targets.note(&record);
                if standing.is_none_or(|(_, stronger)| source >= stronger) {
                    standing = Some((verdict, source));
                }
                if flush == 0 {
                    targets.flush().unwrap();
                }
                proptest::prop_assert_eq!(targets.resolve(id(1)).unwrap().unwrap().standing, standing);
            }
        }
    }
}
