//! The whole way of an event over files or a journal, as fast as it goes.

use super::backing::{Backing, CPU, let_go};
use super::error::ReplayError;
use super::keep::{Keeper, Writing, write_summary};
use super::measure::{StepTimes, peak_rss_bytes};
use super::naming::is_erase;
use super::progress::Progress;
use super::source::{Chunk, Input, Source};
use super::summary::{Summary, Tally};
use crate::engine::{Engine, Options, Output, Phase};
use crate::event::{Body, Content, Record};
use crate::gnn::DeviceChoice;
use crate::journal::Digest;
use crossbeam::channel::{Receiver, Sender, bounded};
use std::path::PathBuf;
use std::time::Instant;

/// How a replay is run; none of it sways a decision.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// Records a step.
    pub batch: usize,
    pub threads: usize,
    /// Where forward passes run.
    pub device: DeviceChoice,
    /// Where journal, outputs and summary are kept; `None` writes nothing.
    pub out: Option<PathBuf>,
    /// Whether progress may be shown.
    pub progress: bool,
}

/// Chunks on their way between two threads.
const CHUNKS_WAITING: usize = 4;

/// Replays `input` and says what was found.
///
/// # Errors
/// Where the topology's rules do not compile, a file cannot be opened, or what is kept cannot be written. A file that breaks off in
/// the middle is told in the summary.
pub fn replay(input: Input, options: &ReplayOptions) -> Result<Summary, ReplayError> {
    // Files that no model judges ask no device for anything.
    let unasked = options.device == DeviceChoice::Auto && matches!(input, Input::Files(_, _, None));
    let backing = if unasked { Backing::cpu() } else { Backing::choose(options.device)? };
    let source = Source::open(input)?;
    let engine_options = source.engine_options(options.threads);
    let started = Instant::now();
    let mut engine = start(engine_options, &source, options)?;
    let (mut backend, mut backend_instead) = (backing.name().to_owned(), backing.instead());
    if let Some((backend, seeds_min)) = backing.into_backend() {
        engine.put_backend(backend, seeds_min);
    }
    let start_seconds = started.elapsed().as_secs_f64();
    let policies = source.policies();
    let keeper = options.out.as_deref().map(|dir| Keeper::begin(dir, &source.foundations())).transpose()?;
    let bar = Progress::bytes("replaying", source.bytes_total(), options.progress);

    let mut times = StepTimes::new();
    let mut applied = Applied::default();
    let streaming = Instant::now();
    let mut unread = None;
    let (read, written, named) = std::thread::scope(|scope| {
        let (to_engine, from_reader) = bounded::<Chunk>(CHUNKS_WAITING);
        let (to_writer, from_engine) = bounded::<Chunk>(CHUNKS_WAITING);
        let (give_back, free) = bounded::<Chunk>(3 * CHUNKS_WAITING + 4);
        let (mut reading, mut writing, mut namer, mut behind_writer) = (None, None, None, give_back.clone());
        if let Some(keeper) = keeper {
            let (read, write, naming) = keeper.split();
            let (to_namer, from_writer) = bounded::<Chunk>(CHUNKS_WAITING);
            (reading, writing, behind_writer) = (Some(read), Some(write), to_namer);
            namer = Some(scope.spawn(move || naming.run(&from_writer, &give_back)));
        }
        let reader = scope.spawn(move || source.read(reading, false, &to_engine, &free));
        let writer = scope.spawn(move || write(writing, &from_engine, &behind_writer));
        for mut chunk in from_reader {
            chunk.outputs.clear();
            chunk.erased.clear();
            if let Err(cause) = policies.prepare(&mut engine, &chunk.records) {
                unread = Some(cause);
                break;
            }
            for batch in chunk.records.chunks(options.batch) {
                // An erasure has no output: stepped alone, it shows whether it was admitted.
                for run in batch.chunk_by(|a, b| !(chunk.erases && (is_erase(a) || is_erase(b)))) {
                    let before = (engine.counts().duplicates, chunk.outputs.len());
                    let began = Instant::now();
                    engine.step(run, &mut |_: Phase| {}, &mut chunk.outputs);
                    times.step(run.len(), began.elapsed());
                    if chunk.erases && is_erase(&run[0]) && before == (engine.counts().duplicates, chunk.outputs.len()) {
                        chunk.erased.push(run[0].sequence);
                    }
                }
            }
            applied.count(&chunk.records);
            bar.at(chunk.bytes, || format!("{:.0} events/s", applied.events as f64 / streaming.elapsed().as_secs_f64()));
            if to_writer.send(chunk).is_err() {
                // The writer has failed: its error is told when it is joined.
                break;
            }
        }
        drop(to_writer);
        let read = reader.join().expect("the reader does not panic");
        let written = writer.join().expect("the writer does not panic");
        (read, written, namer.map_or(Ok(()), |namer| namer.join().expect("the identity thread does not panic")))
    });
    let seconds = streaming.elapsed().as_secs_f64();
    bar.finish();
    if let Some(cause) = unread {
        return Err(cause);
    }
    let (tally, digest) = written?;
    let input_errors = read?;
    named?;

    if let Some((lost, device)) = engine.take_lost() {
        let_go(device);
        backend_instead = Some(format!("{backend} is lost: {}", lost.why));
        backend = CPU.to_owned();
    }
    let rows = engine.graph().rings.iter().map(|ring| ring.len()).sum();
    let rejected = tally.rejected.values().sum();
    let provenance = engine.provenance();
    let summary = Summary {
        events: applied.events,
        labels: applied.labels,
        seconds,
        events_per_second: applied.events as f64 / seconds,
        step_us_p50: times.quantile_us(0.5),
        step_us_p99: times.quantile_us(0.99),
        step_us_p999: times.quantile_us(0.999),
        peak_rss_bytes: peak_rss_bytes(),
        nodes: engine.graph().nodes.len() as u64,
        rows,
        outcomes: tally.outcomes,
        alerts: tally.alerts,
        rejected,
        digest,
        state_hash: engine.state_hash(),
        rejected_by_reason: tally.rejected,
        degraded: tally.degraded,
        duplicates: engine.counts().duplicates,
        late: engine.counts().late,
        start_seconds,
        batch: options.batch,
        threads: options.threads,
        backend,
        backend_instead,
        topology: provenance.topology,
        policy: provenance.policy,
        engine_version: crate::ENGINE_VERSION,
        input_errors: input_errors.iter().map(ToString::to_string).collect(),
    };
    if let Some(dir) = &options.out {
        write_summary(dir, &summary)?;
    }
    Ok(summary)
}

/// Allocates the engine, with a bar: it touches all its memory.
fn start(engine_options: Options, source: &Source, options: &ReplayOptions) -> Result<Engine, ReplayError> {
    let bytes = source.engine_bytes();
    let bar = Progress::bytes("allocating", bytes, options.progress);
    let engine = Engine::new(engine_options, &mut |bytes| bar.advance(bytes as u64)).map_err(|error| source.placed(error));
    bar.finish();
    engine
}

/// Events that went by.
#[derive(Default)]
struct Applied {
    events: u64,
    labels: u64,
}

impl Applied {
    fn count(&mut self, records: &[Record]) {
        for record in records {
            if let Content::Event(event) = &record.content {
                match event.body {
                    Body::Label(_) => self.labels += 1,
                    _ => self.events += 1,
                }
            }
        }
    }
}

/// Takes outputs in order: digest, counts, and where they are kept the output log. Chunks go on to the identity thread, or else back to
/// the reader.
fn write(mut keep: Option<Writing>, from_engine: &Receiver<Chunk>, behind: &Sender<Chunk>) -> Result<(Tally, [u8; 32]), ReplayError> {
    let mut digest = Digest::new();
    let mut tally = Tally::default();
    for chunk in from_engine {
        for output in &chunk.outputs {
            match output {
                Output::Decision(decision) => tally.decision(decision.outcome, decision.status),
                Output::Rejected(rejected) => tally.rejected(rejected.refused.reason),
                Output::Alert(alert) => tally.alert(alert.version),
            }
            digest.update(output);
        }
        match &mut keep {
            Some(keep) => {
                keep.outputs(&chunk.outputs)?;
                if behind.send(chunk).is_err() {
                    // The identity thread has failed: its error is told when it is joined.
                    break;
                }
            }
            // When the reader is done nobody takes it back.
            None => drop(behind.try_send(chunk)),
        }
    }
    if let Some(keep) = keep {
        keep.finish()?;
    }
    Ok((tally, digest.finish()))
}
