//! What a data directory holds, brought to where its journal ends: everything that a service is made of, before it has threads.
//!
//! The journal is the truth. The engine is filled from the newest snapshot that is whole and steps what the journal holds behind it, or
//! all of it. What it gives again is compared with what the output log holds, and what the log does not hold yet – the process ended
//! between the two – is written now. Outputs that tell of records which a power cut took from the journal are cut off.

use super::answers::Answers;
use super::clock::Clock;
use super::erasures::Erasures;
use super::error::ServiceError;
use super::namer::Namer;
use super::recorder::TICK_BEHIND;
use crate::decision::Status;
use crate::engine::{BuildError, Engine, Output, Phase};
use crate::event::{Content, Effort, IdKey, Origin, Record, Sequence, Timestamp};
use crate::identity::Identity;
use crate::journal::{Blobs, DataDir, Durability, Files, Journal, LogOptions, OutputLog, Outputs, Records, RejectedLog, TextLog};
use crate::metrics::Metrics;
use crate::runtime::policies::Policies;
use crate::runtime::progress::Progress;
use crate::runtime::source::{controls, foundation_texts};
use crate::snapshot::{Snapshots, inspect};
use crate::store::Store;
use crate::targets::Targets;
use crate::topology::{Bill, Sizes, Topology, content_hash};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tracing::{info, info_span, warn};

/// Everything that stands in a data directory, and the engine that stands where its journal ends.
pub(in crate::runtime) struct Standing {
    pub dir: DataDir,
    pub files: Arc<dyn Files>,
    pub journal: Journal,
    pub outputs: OutputLog,
    pub rejected: RejectedLog,
    pub texts: TextLog,
    pub store: Store,
    pub namer: Namer,
    pub erasures: Erasures,
    pub targets: Targets,
    pub engine: Engine,
    pub policies: Arc<Policies>,
    pub answers: Answers,
    /// No record in the journal was received later.
    pub latest: Timestamp,
    /// Records stepped since the snapshot.
    pub stepped: u64,
    out: Vec<Output>,
}

/// Entries of the index of judged events that are written at once.
const TARGETS_WAITING: usize = 16_384;

/// With what a directory is opened.
pub(in crate::runtime) struct Opening<'a> {
    pub topology: &'a Topology,
    pub root: &'a Path,
    pub files: Arc<dyn Files>,
    /// For the journal of a standby: whose ids it shall share where it begins now; its records come from there too, from the first on.
    /// `None`: a journal of its own, with a key made by chance.
    pub key: Option<IdKey>,
    pub metrics: &'a Metrics,
    pub progress: bool,
}

impl Standing {
    /// Opens the directory, or begins it.
    pub(in crate::runtime) fn open(opening: &Opening<'_>) -> Result<Standing, ServiceError> {
        let Opening { topology, root, files, key, metrics, progress } = opening;
        let dir = DataDir::write(root)?;
        let log = LogOptions { durability: topology.journal.durability, segment_bytes: topology.journal.segment_bytes };
        let key = key.map_or_else(fresh_key, Ok)?;
        let (mut journal, recovered) = Journal::open(files.clone(), &dir.journal(), key, log)?;
        if recovered.cut_bytes > 0 {
            warn!(bytes = recovered.cut_bytes, "a torn end of the journal was cut");
        }
        found(topology, &dir, files, &mut journal, opening.key.is_none())?;
        // What is not on disk of outputs is derived again: nobody need wait for it.
        let unwaited = LogOptions { durability: Durability::Written, ..log };
        let (mut outputs, _) = OutputLog::open(files.clone(), &dir.outputs(), unwaited)?;
        let cut = outputs.cut_from(journal.next())?;
        if cut > 0 {
            warn!(bytes = cut, "outputs of records that the journal lost in a power cut were cut off");
        }
        // As the outputs: it is synced before the journal is.
        let (mut rejected, _) = RejectedLog::open(files.clone(), &dir.rejected(), unwaited)?;
        let cut = rejected.cut_from(journal.next())?;
        if cut > 0 {
            warn!(bytes = cut, "refused input of records that the journal lost in a power cut was cut off");
        }
        // They leave it for the database, and are synced before the journal is.
        let (mut texts, _) = TextLog::open(files.clone(), &dir.texts(), log)?;
        texts.cut_from(journal.next())?;
        let store = Store::open(&dir.identity())?;
        let identity = Identity::open(&store)?;
        let erasures = Erasures::of(&identity, journal.next());
        let namer = Namer::open(&store, identity, files.clone(), dir.texts(), texts.ending(), journal.next())?;
        let blobs = Blobs::read(files.clone(), &dir.blobs());
        let policies = Arc::new(Policies::of(&topology.deciding, journal.key(), blobs));
        let (engine, from, latest) = restored(opening, &dir, &journal, &policies)?;
        if namer.through() < from {
            let (through, from) = (namer.through().0, from.0);
            warn!(through, from, "the identity store is older than the snapshot: erasures between the two are not repeated in it");
        }
        let mut standing = Standing {
            answers: Answers::new(files.clone(), dir.outputs(), topology.deciding.limits.ids_max as usize),
            namer,
            erasures,
            texts,
            targets: Targets::open(&store)?,
            files: files.clone(),
            dir,
            journal,
            outputs,
            rejected,
            store,
            engine,
            policies,
            latest,
            stepped: 0,
            out: Vec::new(),
        };
        standing.know_answers(from)?;
        standing.step_rest(topology, from, *progress)?;
        metrics.replay_records_total.inc_by(standing.stepped);
        info!(records = standing.journal.next().0, stepped = standing.stepped, "the engine stands where the journal ends");
        Ok(standing)
    }

    /// Takes note of the answers that the snapshot's engine still knows: they stand in the output log before `from`.
    fn know_answers(&mut self, from: Sequence) -> Result<(), ServiceError> {
        let _span = info_span!("answers").entered();
        let Some(oldest) = self.engine.oldest_judged() else { return Ok(()) };
        let mut logged = Outputs::open(self.files.clone(), &self.dir.outputs(), oldest)?;
        let mut stand_ins = BTreeMap::new();
        while let Some(output) = logged.next_output()? {
            if output.sequence() >= from {
                break;
            }
            let (Output::Decision(decision), Some(place)) = (output, logged.place()) else { continue };
            match self.engine.judged_fingerprint(decision.event) {
                _ if decision.status == Status::Fallback => drop(stand_ins.insert(decision.sequence, (decision, place))),
                Some(fingerprint) => self.answers.note(&decision, fingerprint, place),
                None => {}
            }
        }
        // A stand-in may have answered for an event that was refused later: only its own record says for which content.
        let Some(first) = stand_ins.keys().next() else { return Ok(()) };
        let mut records = Records::open(self.files.clone(), &self.dir.journal(), *first)?;
        while let Some(record) = records.next_record()?
            && record.sequence < from
        {
            if let Content::Answered(answered) = &record.content
                && let Some((decision, place)) = stand_ins.get(&record.sequence)
            {
                self.answers.note(decision, answered.fingerprint, *place);
            }
        }
        Ok(())
    }

    /// Steps what the journal holds from `from` on; what the index of judged events has not noted is noted.
    fn step_rest(&mut self, topology: &Topology, from: Sequence, progress: bool) -> Result<(), ServiceError> {
        let _span = info_span!("journal").entered();
        let first = from.min(self.targets.noted());
        let mut records = Records::open(self.files.clone(), &self.dir.journal(), first)?;
        let mut logged = Outputs::open(self.files.clone(), &self.dir.outputs(), from)?;
        let bar = Progress::bytes("stepping the journal", 0, progress);
        let mut batch: Vec<Record> = Vec::new();
        loop {
            batch.clear();
            while batch.len() < topology.batch_events_max
                && let Some(record) = records.next_record()?
            {
                self.latest = self.latest.max(record.received);
                if record.sequence >= self.targets.noted() {
                    self.targets.note(&record);
                }
                if self.targets.waiting() >= TARGETS_WAITING {
                    self.targets.expire(self.latest - topology.deciding.labels.known);
                    self.targets.flush()?;
                }
                if record.sequence >= from {
                    batch.push(record);
                }
            }
            let Some(last) = batch.last() else { break };
            let last = last.sequence.0;
            self.step(&batch, Some(&mut logged))?;
            self.answers.forget(self.engine.now(), topology.deciding.dedupe);
            bar.at(last, || format!("{} records", last + 1));
        }
        self.outputs.sync()?;
        self.targets.flush()?;
        self.namer.advance(self.journal.next())?;
        bar.finish();
        Ok(())
    }

    /// Steps records that stand in the journal and writes their outputs; those that the log holds are compared, read from `logged`.
    pub(in crate::runtime) fn step(&mut self, batch: &[Record], mut logged: Option<&mut Outputs>) -> Result<(), ServiceError> {
        self.out.clear();
        self.policies.prepare(&mut self.engine, batch)?;
        self.engine.step(batch, &mut |_: Phase| {}, &mut self.out);
        let written = self.outputs.next();
        let mut given = self.out.iter().peekable();
        for record in batch {
            let is_answer = |output: &&Output| output.sequence() == record.sequence && !matches!(output, Output::Alert(_));
            let output = given.next_if(is_answer);
            let refused = matches!(output, Some(Output::Rejected(_)));
            // An admitted erasure gives no output, and neither does one that came again.
            let first = |event| output.is_none() && self.engine.is_first(event, record.sequence);
            if let Some(consequence) = self.erasures.after(record, refused, first) {
                self.namer.expect(consequence);
            }
            let mut answered = None;
            let alerts = std::iter::from_fn(|| given.next_if(|output| output.sequence() == record.sequence));
            for given in output.into_iter().chain(alerts) {
                let place = match &mut logged {
                    Some(logged) if record.sequence < written => match logged.next_output()? {
                        Some(found) if found == *given => logged.place().ok_or(ServiceError::Mismatch { sequence: record.sequence })?,
                        // It ends between the outputs of one record.
                        None if record.sequence.0 + 1 == written.0 => self.outputs.append(given)?,
                        _ => return Err(ServiceError::Mismatch { sequence: record.sequence }),
                    },
                    _ => self.outputs.append(given)?,
                };
                answered = answered.or(Some(place));
            }
            if let (Some(Output::Decision(decision)), Some(place)) = (output, answered) {
                let fingerprint = match &record.content {
                    Content::Event(event) => event.fingerprint(),
                    Content::Answered(answered) => answered.fingerprint,
                    _ => continue,
                };
                self.answers.note(decision, fingerprint, place);
            }
        }
        self.outputs.commit()?;
        self.stepped += batch.len() as u64;
        Ok(())
    }
}

/// A key for a journal that begins now: nobody else has it.
fn fresh_key() -> Result<IdKey, ServiceError> {
    let mut key = [0; 16];
    std::fs::File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut key)).map_err(ServiceError::System)?;
    Ok(IdKey(key))
}

/// The first records name topology and policy: written where the journal is new, compared where it is not. Where the journal has let go of
/// them, the snapshot names both, and fits no engine of others. A new journal begins at the clock: otherwise the first event, however old,
/// would say what time it is.
fn found(topology: &Topology, dir: &DataDir, files: &Arc<dyn Files>, journal: &mut Journal, own: bool) -> Result<(), ServiceError> {
    let texts = foundation_texts(&topology.deciding);
    if journal.next() == Sequence(0) {
        let blobs = Blobs::open(files.clone(), &dir.blobs())?;
        for (_, text) in &texts {
            blobs.put(text.as_bytes())?;
        }
        if !own {
            return Ok(());
        }
        for record in controls(&texts) {
            journal.append(&record)?;
        }
        let now = Clock::new(Timestamp::MIN).read();
        let content = Content::Tick(now - TICK_BEHIND);
        journal.append(&Record { sequence: journal.next(), received: now, origin: Origin::engine(), effort: Effort::Full, content })?;
        journal.commit()?;
        journal.sync()?;
        return Ok(());
    }
    let mut records = Records::open(files.clone(), &dir.journal(), Sequence(0))?;
    for ((_, text), what) in texts.iter().zip(["topology", "policy"]) {
        match records.next_record()? {
            Some(record) if record.sequence >= Sequence(texts.len() as u64) => break,
            Some(Record { content: Content::Control(control), .. }) if control.blob == content_hash(text) => {}
            _ => return Err(ServiceError::OtherTopology { what }),
        }
    }
    Ok(())
}

/// An engine, filled from the newest snapshot that is whole; the first record that it does not know, and when the snapshot was taken.
fn restored(
    opening: &Opening<'_>,
    dir: &DataDir,
    journal: &Journal,
    policies: &Policies,
) -> Result<(Engine, Sequence, Timestamp), ServiceError> {
    let Opening { topology, files, metrics, progress, .. } = opening;
    let mut engine = build(topology, journal.key(), *progress)?;
    let first = Records::open(files.clone(), &dir.journal(), Sequence(0))?.next_record()?.map_or(journal.next(), |record| record.sequence);
    let snapshots = Snapshots::at(files.clone(), &dir.snapshots());
    for kept in snapshots.list()? {
        if kept.sequence < first {
            warn!(path = %kept.path.display(), first = first.0, "passed over: the records that follow it are gone");
            continue;
        }
        if kept.sequence > journal.next() {
            warn!(path = %kept.path.display(), "passed over: it knows records that the journal lost in a power cut");
            continue;
        }
        let _span = info_span!("restore", sequence = kept.sequence.0).entered();
        let began = Instant::now();
        let read = inspect(&**files, &kept.path).map_err(ServiceError::from).and_then(|content| {
            policies.put_in_force(&mut engine, &content.head.shape)?;
            Ok((snapshots.restore(&mut engine, &kept)?, content.head.taken_at))
        });
        match read {
            Ok((sequence, taken_at)) => {
                metrics.snapshot_sequence.set(sequence.0 as i64);
                info!(sequence = sequence.0, seconds = began.elapsed().as_secs_f64(), "the newest snapshot was read");
                return Ok((engine, sequence, taken_at));
            }
            Err(cause) => {
                warn!(%cause, "a snapshot cannot be used; the one before it is tried");
                engine = build(topology, journal.key(), *progress)?;
            }
        }
    }
    if first > Sequence(0) {
        return Err(ServiceError::NoSnapshot { first });
    }
    Ok((engine, Sequence(0), Timestamp::MIN))
}

fn build(topology: &Topology, key: IdKey, progress: bool) -> Result<Engine, ServiceError> {
    let options = topology.engine_options(key, 1);
    let bytes = Bill::of(&topology.deciding.limits, 0, &Sizes::of(&topology.deciding)).bytes();
    let bar = Progress::bytes("allocating", bytes, progress);
    let engine = Engine::new(options, &mut |bytes| bar.advance(bytes as u64));
    bar.finish();
    engine.map_err(|error: BuildError| ServiceError::Rules(crate::runtime::mistakes(topology, &error)))
}
