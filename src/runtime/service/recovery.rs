//! What a journal holds behind its newest snapshot, stepped again; and the answers that the snapshot's engine still knows.
//!
//! ```text
//! journal ──▶ reader thread ──▶ engine (the caller's thread) ──▶ noter thread, beside it the output log
//!             decodes           step(batch)                      compares, writes what is missing; answers, index of judged events
//! ```

use super::answers::Answers;
use super::erasures::Erasures;
use super::error::ServiceError;
use super::namer::Namer;
use super::news::News;
use crate::decision::Decision;
use crate::engine::{Engine, Output, Phase};
use crate::event::{Content, Duration, Record, Sequence, Timestamp};
use crate::journal::{DataDir, Files, JournalError, OutputLog, Outputs, Place, Records};
use crate::runtime::policies::Policies;
use crate::runtime::progress::Progress;
use crate::targets::Targets;
use crossbeam::channel::{Receiver, Sender, bounded};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::scope;
use tracing::info_span;

/// Records or outputs that go from thread to thread at once.
const STRETCH_RECORDS: usize = 2_048;
/// Stretches on their way between two threads.
const STRETCHES_WAITING: usize = 4;
/// Entries of the index of judged events that are written at once.
const TARGETS_WAITING: usize = 16_384;

/// The answers that an engine restored at `from` still knows: they stand in the output log before it.
pub(super) fn known_answers(
    files: &Arc<dyn Files>,
    dir: &DataDir,
    engine: &Engine,
    from: Sequence,
    ids_max: u32,
) -> Result<Answers, ServiceError> {
    let _span = info_span!("answers").entered();
    let answers = Answers::new(files.clone(), dir.outputs(), ids_max);
    let Some(oldest) = engine.oldest_judged() else { return Ok(answers) };
    let logged = Outputs::open(files.clone(), &dir.outputs(), oldest)?;
    let mut stand_ins = BTreeMap::new();
    let read = scope(|scope| {
        let (to_engine, read) = bounded(STRETCHES_WAITING);
        let reader = scope.spawn(move || read_decisions(logged, from, &to_engine));
        for (decision, place) in read.into_iter().flatten() {
            match engine.judged_fingerprint(decision.event) {
                _ if decision.is_stand_in() => drop(stand_ins.insert(decision.sequence, (decision, place))),
                Some(fingerprint) => answers.note(&decision, fingerprint, place),
                None => {}
            }
        }
        reader.join().expect("the reader does not panic")
    });
    read?;
    // A stand-in may have answered for an event that was refused later: only its own record says for which content.
    let Some(first) = stand_ins.keys().next() else { return Ok(answers) };
    let mut records = Records::open(files.clone(), &dir.journal(), *first)?;
    while let Some(record) = records.next_record()?
        && record.sequence < from
    {
        if let Content::Answered(answered) = &record.content
            && let Some((decision, place)) = stand_ins.get(&record.sequence)
        {
            answers.note(decision, answered.fingerprint, *place);
        }
    }
    Ok(answers)
}

/// Sends the decisions of records before `until`, and where each stands.
fn read_decisions(mut logged: Outputs, until: Sequence, to_engine: &Sender<Vec<(Decision, Place)>>) -> Result<(), JournalError> {
    let mut decisions = Vec::with_capacity(STRETCH_RECORDS);
    while let Some(output) = logged.next_output()?
        && output.sequence() < until
    {
        let (Output::Decision(decision), Some(place)) = (output, logged.place()) else { continue };
        decisions.push((decision, place));
        if decisions.len() == STRETCH_RECORDS {
            let full = std::mem::replace(&mut decisions, Vec::with_capacity(STRETCH_RECORDS));
            if to_engine.send(full).is_err() {
                return Ok(());
            }
        }
    }
    // Where nobody takes it nobody needs it.
    let _ = to_engine.send(decisions);
    Ok(())
}

/// What is filled while the journal is stepped.
pub(super) struct Stepping<'s> {
    pub(super) files: &'s Arc<dyn Files>,
    pub(super) dir: &'s DataDir,
    pub(super) engine: &'s mut Engine,
    pub(super) policies: &'s Policies,
    pub(super) erasures: &'s mut Erasures,
    pub(super) namer: &'s mut Namer,
    pub(super) outputs: &'s mut OutputLog,
    pub(super) answers: &'s Answers,
    pub(super) news: &'s News,
    pub(super) targets: &'s mut Targets,
    pub(super) latest: &'s mut Timestamp,
    /// Records a step.
    pub(super) batch_events_max: usize,
    /// How long an id is known, and how long labels may come.
    pub(super) dedupe: Duration,
    pub(super) labels_known: Duration,
}

/// Records on their way, and what the engine gave for them.
#[derive(Default)]
struct Stretch {
    records: Vec<Record>,
    outputs: Vec<Output>,
    /// Stream time behind them.
    now: Timestamp,
}

impl Stepping<'_> {
    /// Steps what the journal holds from `from` on; what the index of judged events has not noted is noted. Returns how many records were
    /// stepped.
    pub(super) fn run(self, from: Sequence, progress: bool) -> Result<u64, ServiceError> {
        let _span = info_span!("journal").entered();
        let Stepping { files, dir, engine, policies, erasures, namer, outputs, answers, news, targets, latest, .. } = self;
        let (batch_events_max, dedupe, labels_known) = (self.batch_events_max, self.dedupe, self.labels_known);
        let records = Records::open(files.clone(), &dir.journal(), from.min(targets.noted()))?;
        let logged = Outputs::open(files.clone(), &dir.outputs(), from)?;
        let bar = Progress::bytes("stepping the journal", 0, progress);
        let noting = Noting { outputs, logged, answers, news, targets, latest, from, dedupe, labels_known };
        let (mut stepped, mut unread) = (0, None);
        let (read, noted) = scope(|scope| {
            let (to_engine, from_reader) = bounded::<Stretch>(STRETCHES_WAITING);
            let (to_noter, from_engine) = bounded::<Stretch>(STRETCHES_WAITING);
            let (give_back, free) = bounded::<Stretch>(2 * STRETCHES_WAITING + 3);
            let reader = scope.spawn(move || read_records(records, &to_engine, &free));
            let noter = scope.spawn(move || noting.run(&from_engine, &give_back));
            'stretches: for mut stretch in from_reader {
                let known = stretch.records.partition_point(|record| record.sequence < from);
                for batch in stretch.records[known..].chunks(batch_events_max) {
                    if let Err(cause) = step(engine, policies, batch, &mut stretch.outputs, erasures, namer) {
                        unread = Some(cause);
                        break 'stretches;
                    }
                    stepped += batch.len() as u64;
                    bar.at(batch[0].sequence.0, || format!("{stepped} records"));
                }
                stretch.now = engine.now();
                if to_noter.send(stretch).is_err() {
                    // The noter has failed: its error is told when it is joined.
                    break;
                }
            }
            drop(to_noter);
            let read = reader.join().expect("the reader does not panic");
            (read, noter.join().expect("the noter does not panic"))
        });
        if let Some(cause) = unread {
            return Err(cause);
        }
        noted?;
        read?;
        bar.finish();
        Ok(stepped)
    }
}

/// Sends the records on, in order.
fn read_records(mut records: Records, to_engine: &Sender<Stretch>, free: &Receiver<Stretch>) -> Result<(), JournalError> {
    loop {
        let mut stretch = free.try_recv().unwrap_or_default();
        stretch.records.clear();
        stretch.outputs.clear();
        let mut end = Ok(false);
        while stretch.records.len() < STRETCH_RECORDS {
            match records.next_record() {
                Ok(Some(record)) => stretch.records.push(record),
                Ok(None) => end = Ok(true),
                Err(error) => end = Err(error),
            }
            if !matches!(end, Ok(false)) {
                break;
            }
        }
        // What stands before the end, or before what is damaged, is stepped either way.
        if to_engine.send(stretch).is_err() || end? {
            return Ok(());
        }
    }
}

/// Steps records that stand in the journal, with the policies that they name; adds what the engine gives to `outputs`, and tells the namer
/// what they do to texts.
pub(super) fn step(
    engine: &mut Engine,
    policies: &Policies,
    records: &[Record],
    outputs: &mut Vec<Output>,
    erasures: &mut Erasures,
    namer: &mut Namer,
) -> Result<(), ServiceError> {
    let before = outputs.len();
    policies.prepare(engine, records)?;
    engine.step(records, &mut |_: Phase| {}, outputs);
    for (record, own) in with_outputs(records, &outputs[before..]) {
        let output = own.first().filter(|output| !matches!(output, Output::Alert(_)));
        let refused = matches!(output, Some(Output::Rejected(_)));
        // An admitted erasure gives no output, and neither does one that came again.
        let first = |event| output.is_none() && engine.is_first(event, record.sequence);
        if let Some(consequence) = erasures.after(record, refused, first) {
            namer.expect(consequence);
        }
    }
    Ok(())
}

/// Each record with its outputs: at most one that answers it, then the alerts that it led to.
fn with_outputs<'r>(records: &'r [Record], mut outputs: &'r [Output]) -> impl Iterator<Item = (&'r Record, &'r [Output])> {
    records.iter().map(move |record| {
        let (own, rest) = outputs.split_at(outputs.iter().take_while(|output| output.sequence() == record.sequence).count());
        outputs = rest;
        (record, own)
    })
}

/// Writes what the engine gave for `records`, but compares what the log holds already, read from `logged`; takes note of the answers and of
/// what did not approve.
pub(super) fn note(
    records: &[Record],
    given: &[Output],
    outputs: &mut OutputLog,
    mut logged: Option<&mut Outputs>,
    answers: &Answers,
    news: &News,
) -> Result<(), ServiceError> {
    let written = outputs.next();
    for (record, output) in with_outputs(records, given).flat_map(|(record, own)| own.iter().map(move |output| (record, output))) {
        let mismatch = ServiceError::Mismatch { sequence: record.sequence };
        let place = match &mut logged {
            Some(logged) if record.sequence < written => match logged.next_output()? {
                Some(found) if found == *output => logged.place().ok_or(mismatch)?,
                // It ends between the outputs of one record.
                None if record.sequence.0 + 1 == written.0 => outputs.append(output)?,
                _ => return Err(mismatch),
            },
            _ => outputs.append(output)?,
        };
        if let Output::Decision(decision) = output {
            let fingerprint = match &record.content {
                Content::Event(event) => {
                    news.note(event, decision);
                    event.fingerprint()
                }
                Content::Answered(answered) => answered.fingerprint,
                _ => continue,
            };
            answers.note(decision, fingerprint, place);
        }
    }
    outputs.commit()?;
    Ok(())
}

/// The noter's own things.
struct Noting<'s> {
    outputs: &'s mut OutputLog,
    logged: Outputs,
    answers: &'s Answers,
    news: &'s News,
    targets: &'s mut Targets,
    latest: &'s mut Timestamp,
    /// Records before it were not stepped.
    from: Sequence,
    dedupe: Duration,
    labels_known: Duration,
}

impl Noting<'_> {
    /// Notes what comes, in order, and gives the stretches back to the reader.
    fn run(mut self, from_engine: &Receiver<Stretch>, give_back: &Sender<Stretch>) -> Result<(), ServiceError> {
        for stretch in from_engine {
            for record in &stretch.records {
                *self.latest = (*self.latest).max(record.received);
                if record.sequence >= self.targets.noted() {
                    self.targets.note(record);
                }
            }
            if self.targets.waiting() >= TARGETS_WAITING {
                self.targets.expire(*self.latest - self.labels_known);
                self.targets.flush()?;
            }
            let known = stretch.records.partition_point(|record| record.sequence < self.from);
            note(&stretch.records[known..], &stretch.outputs, self.outputs, Some(&mut self.logged), self.answers, self.news)?;
            self.answers.forget(stretch.now, self.dedupe);
            // At the end nobody takes it.
            let _ = give_back.try_send(stretch);
        }
        self.outputs.sync()?;
        self.targets.flush()?;
        Ok(())
    }
}
