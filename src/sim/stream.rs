//! From a world's events to the journal's records, as a runtime would write them; and what tests do to a stream to see it unmoved.

use super::chance::Chance;
use super::happening::{Happening, Oddity};
use crate::event::{
    Body, Content, Duration, Effort, Event, EventType, Id, IdKey, LabelSource, Origin, Record, Sequence, Target, Timestamp, Verdict, ends,
};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// How a runtime would record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recording {
    pub key: IdKey,
    /// At least 1; an event's source follows from its id, so what is sent again comes from the same one.
    pub sources: u16,
    /// How far the runtime's clock is ahead of the events.
    pub skew: Duration,
    /// Events farther ahead of `received` than this are not judged, so nothing is resolved to them.
    pub future_skew_max: Duration,
    /// Likewise events so far behind the greatest event time.
    pub dedupe: Duration,
    /// A tick after so many events, in the mean; 0: none.
    pub tick_every: u32,
    /// Labels and results, in ten-thousandths, whose target the index has lost.
    pub unresolved: u32,
    /// For ticks and lost targets.
    pub seed: u64,
}

impl Default for Recording {
    fn default() -> Recording {
        Recording {
            key: IdKey::FILES,
            sources: 2,
            skew: Duration::SECOND.times(2),
            future_skew_max: Duration::MINUTE,
            dedupe: Duration::DAY.times(7),
            tick_every: 40,
            unresolved: 300,
            seed: 0,
        }
    }
}

/// The records of `happenings`, numbered from 0. Records depend on nothing that comes after them.
pub fn record(happenings: &[Happening], recording: Recording) -> Vec<Record> {
    let mut recorder = Recorder::new(recording);
    let mut records = Vec::with_capacity(happenings.len());
    for happening in happenings {
        recorder.record(happening, &mut records);
    }
    records
}

/// Writes records: numbers them, keeps the clock, and knows the targets of labels as the index on disk would.
#[derive(Clone, Debug)]
pub struct Recorder {
    recording: Recording,
    chance: Chance,
    sequence: u64,
    received: Timestamp,
    /// The greatest time of an event that was admitted.
    now: Timestamp,
    /// Of each source, how many lines it sent.
    lines: Vec<u64>,
    /// The events that were judged, and the verdicts in force.
    known: BTreeMap<Id, Target>,
    /// Labels that came into force: one that is sent again changes nothing.
    labelled: BTreeSet<Id>,
}

impl Recorder {
    /// A recorder that has written nothing.
    pub fn new(recording: Recording) -> Recorder {
        Recorder {
            recording,
            chance: Chance::new(recording.seed),
            sequence: 0,
            received: Timestamp::MIN,
            now: Timestamp::MIN,
            lines: vec![0; usize::from(recording.sources)],
            known: BTreeMap::new(),
            labelled: BTreeSet::new(),
        }
    }

    /// Appends the record of `happening` to `records`, and perhaps a tick after it.
    pub fn record(&mut self, happening: &Happening, records: &mut Vec<Record>) {
        let mut event = happening.to_event(&self.recording.key);
        // Neither an event ahead of the clock nor one that is sent again moves it.
        if happening.oddity == Oddity::None {
            self.received = self.received.max(event.time + self.recording.skew);
        }
        let source = (event.id.low() % u64::from(self.recording.sources)) as u16;
        let line = &mut self.lines[usize::from(source)];
        let origin = Origin { source, partition: 0, offset: *line };
        *line += 1;
        self.resolve(&mut event);
        self.remember(&event, source);
        records.push(self.next(origin, Content::Event(event)));
        if self.recording.tick_every > 0 && self.chance.below(u64::from(self.recording.tick_every)) == 0 {
            records.push(self.next(Origin::engine(), Content::Tick(self.received)));
            self.now = self.now.max(self.received);
        }
    }

    fn next(&mut self, origin: Origin, content: Content) -> Record {
        let sequence = Sequence(self.sequence);
        self.sequence += 1;
        Record { sequence, received: self.received, origin, effort: Effort::Full, content }
    }

    /// Fills in the target of a label or result, if the index knows it.
    fn resolve(&mut self, event: &mut Event) {
        let lost = match &event.body {
            Body::Label(_) | Body::PaymentResult(_) => self.chance.happens(self.recording.unresolved),
            _ => return,
        };
        match &mut event.body {
            Body::Label(label) if !lost => {
                let Some(target) = self.known.get_mut(&label.target) else { return };
                label.resolved = Some(*target);
                if self.labelled.insert(event.id) {
                    target.standing = in_force(target.standing, (label.verdict, label.source));
                }
            }
            Body::PaymentResult(result) if !lost => result.resolved = self.known.get(&result.target).copied(),
            _ => {}
        }
    }

    /// What was judged may be a label's target.
    fn remember(&mut self, event: &Event, source: u16) {
        let admitted = event.time <= self.received + self.recording.future_skew_max && event.time >= self.now - self.recording.dedupe;
        if !admitted {
            return;
        }
        self.now = self.now.max(event.time);
        let kind = event.body.kind();
        if matches!(kind, EventType::Payment | EventType::Transfer | EventType::Session | EventType::Interaction) {
            let sequence = Sequence(self.sequence);
            let target = Target { sequence, time: event.time, kind, source, ends: ends(&event.body), standing: None };
            self.known.entry(event.id).or_insert(target);
        }
    }
}

/// The verdict in force after `new`: a weaker source does not overrule.
fn in_force(standing: Option<(Verdict, LabelSource)>, new: (Verdict, LabelSource)) -> Option<(Verdict, LabelSource)> {
    standing.filter(|(_, source)| *source > new.1).or(Some(new))
}

/// `happenings` with a share of them, in ten-thousandths, sent a second time somewhere behind the first.
pub fn with_duplicates(happenings: &[Happening], permyriad: u32, seed: u64) -> Vec<Happening> {
    let mut chance = Chance::new(seed);
    let mut placed: Vec<(u64, Happening)> = Vec::with_capacity(happenings.len());
    for (place, happening) in happenings.iter().enumerate() {
        placed.push((place as u64, happening.clone()));
        if chance.happens(permyriad) {
            let copy = Happening { oddity: Oddity::Duplicate, ..happening.clone() };
            placed.push((place as u64 + chance.below(50), copy));
        }
    }
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, happening)| happening).collect()
}

/// Everything behind the first `kept` in another order: what comes later must not sway what came before.
pub fn shuffle_after(happenings: &mut [Happening], kept: usize, seed: u64) {
    Chance::new(seed).shuffle(&mut happenings[kept..]);
}

/// Cuts `len` records into batches of 1 to `batch_max` by chance: consecutive ranges that cover all.
pub fn cut(len: usize, batch_max: usize, seed: u64) -> Vec<Range<usize>> {
    let mut chance = Chance::new(seed);
    let mut batches = Vec::new();
    let mut start = 0;
    while start < len {
        let end = len.min(start + 1 + chance.below(batch_max as u64) as usize);
        batches.push(start..end);
        start = end;
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::super::world::World;
    use super::*;
    use crate::decision::{Part, Why};
    use crate::event::Refusal;
    use crate::graph::{Family, FamilyLimits};
    use crate::sim::model::Seen;

    fn happenings(count: u64) -> Vec<Happening> {
        World::tiny(4, count).stream().collect()
    }

    #[test]
    fn records_are_numbered_and_the_clock_never_runs_back() {
        let records = record(&happenings(2000), Recording::default());
        assert!(records.len() > 2000, "ticks");
        for (place, pair) in records.windows(2).enumerate() {
            assert_eq!(pair[0].sequence, Sequence(place as u64));
            assert!(pair[0].received <= pair[1].received);
        }
    }

    #[test]
    fn labels_know_their_targets_and_what_stood() {
        let records = record(&happenings(5000), Recording::default());
        let (mut resolved, mut unresolved, mut overruling) = (0, 0, 0);
        for record in &records {
            let Content::Event(Event { body: Body::Label(label), .. }) = &record.content else { continue };
            let Some(target) = label.resolved else {
                unresolved += 1;
                continue;
            };
            resolved += 1;
            overruling += u32::from(target.standing.is_some());
            let Content::Event(event) = &records[target.sequence.0 as usize].content else { panic!("not an event") };
            assert_eq!((event.id, event.time, event.body.kind(), ends(&event.body)), (label.target, target.time, target.kind, target.ends));
        }
        assert!(resolved > 50 && unresolved > 5 && overruling > 5, "{resolved} {unresolved} {overruling}");
    }

    #[test]
    fn a_record_depends_on_nothing_that_comes_after_it() {
        let before = happenings(1500);
        let mut after = before.clone();
        shuffle_after(&mut after, 1000, 3);
        assert_ne!(before, after);
        let (before, after) = (record(&before, Recording::default()), record(&after, Recording::default()));
        assert_eq!(before[..1000], after[..1000]);
    }

    #[test]
    fn perturbations_keep_what_they_promise() {
        let plain = happenings(1000);
        let doubled = with_duplicates(&plain, 1000, 7);
        assert!((1050..1150).contains(&doubled.len()), "{}", doubled.len());
        let mut added = doubled.clone();
        for happening in &plain {
            let place = added.iter().position(|other| other == happening).expect("nothing is lost");
            added.remove(place);
        }
        assert!(added.iter().all(|happening| happening.oddity == Oddity::Duplicate));
        let batches = cut(1000, 64, 1);
        assert_eq!(batches.iter().map(Range::len).sum::<usize>(), 1000);
        assert!(batches.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert!(batches.iter().all(|batch| (1..=64).contains(&batch.len())));
    }

    /// The whole chain: the model meets every kind of refusal that a world can bring about.
    #[test]
    fn the_model_meets_all_that_a_world_holds() {
        let options = crate::engine::Options { sources: Vec::new(), ..crate::sim::model::tests::options() };
        let mut model = crate::sim::model::Model::new(&options, &|_, _| true);
        let (mut judged, mut duplicates, mut refusals) = (0, 0, BTreeSet::new());
        for record in record(&happenings(3000), Recording::default()) {
            match model.apply(&record) {
                Seen::Judged(_) => judged += 1,
                Seen::Duplicate => duplicates += 1,
                Seen::Rejected(refusal) => {
                    refusals.insert(refusal);
                }
                Seen::Applied => {}
            }
        }
        assert!(judged > 2000 && duplicates > 20, "{judged} {duplicates}");
        let expected = [Refusal::FutureDated, Refusal::IdConflict, Refusal::TooOldToDeduplicate, Refusal::UnknownTarget];
        assert_eq!(refusals, expected.into());
    }

    /// Limits so small that everything wraps and every complaint is made; the invariants hold all the same.
    #[test]
    fn narrow_limits_make_every_complaint() {
        let mut options = crate::engine::Options { sources: Vec::new(), ..crate::sim::model::tests::options() };
        options.aggregates[0].windows = vec![Duration::HOUR, Duration::DAY.times(5)];
        options.limits.nodes_max = 90;
        options.limits.ids_max = 400;
        let narrow = FamilyLimits { rows_max: 120, warm_nodes_max: 6, pairs_max: 40, late_rows_max: 3 };
        options.limits.families = [narrow; 3];
        let mut model = crate::sim::model::Model::new(&options, &|_, _| true);
        let mut complaints = BTreeSet::new();
        for record in record(&happenings(4000), Recording::default()) {
            let Seen::Judged(facts) = model.apply(&record) else { continue };
            complaints.extend(facts.skips.iter().map(|skip| (skip.part, skip.why)));
            for visible in &facts.visible {
                assert!(visible.end - visible.start <= 120);
            }
            assert!(model.nodes_len() <= 90);
            let figures = ["spent.count_1h", "spent.count_5d", "spent.distinct_merchant_5d"].map(|name| facts.int(name).unwrap());
            assert!(figures[0] <= figures[1] && figures[2] <= figures[1], "{figures:?}");
        }
        let expected = [
            (Part::Graph, Why::NodesFull),
            (Part::Graph, Why::WarmNodesFull),
            (Part::Money, Why::NoRate),
            (Part::Window, Why::HistorySince),
            (Part::Window, Why::LateFull),
            (Part::Distinct, Why::PairsFull),
        ];
        assert_eq!(complaints, expected.into());
        assert!(model.visible_events(Family::Money).len() <= 120);
    }
}
