//! Rows to learn from: history goes through the engine once, and what it saw of each event is given away with what is known of it later.

use super::error::ReplayError;
use super::progress::Progress;
use super::source::{Chunk, Input, Source};
use crate::engine::Engine;
use crate::event::{Body, Content, Duration, Event, EventType, Id, IdKind, LabelSource, Record, Timestamp, Verdict};
use crate::gnn::Inputs;
use crate::graph::ego::{EgoBatch, SEED_SLOTS};
use crate::learn::{Around, Row, RowSink};
use crossbeam::channel::bounded;
use std::collections::HashMap;
use std::fmt;

/// Which events become rows, and what is known of them.
#[derive(Clone, Copy, Debug)]
pub struct GatherOptions {
    /// Events with `from <= time < until`; the stream before them is their past.
    pub from: Timestamp,
    pub until: Timestamp,
    /// Labels that come until `until` and so much later say what the events were.
    pub label_delay: Duration,
    /// Records a step; no row depends on it.
    pub batch: usize,
    /// Whether progress may be shown.
    pub progress: bool,
}

/// What was gathered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gathered {
    pub rows: u64,
    pub bad: u64,
}

/// Why rows cannot be gathered.
#[derive(Debug)]
pub enum GatherError<E> {
    Replay(ReplayError),
    Sink(E),
}

impl<E: fmt::Display> fmt::Display for GatherError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GatherError::Replay(error) => write!(f, "{error}"),
            GatherError::Sink(error) => write!(f, "{error}"),
        }
    }
}

impl<E> From<ReplayError> for GatherError<E> {
    fn from(error: ReplayError) -> GatherError<E> {
        GatherError::Replay(error)
    }
}

/// Chunks on their way between two threads.
const CHUNKS_WAITING: usize = 4;

/// Gathers rows from `input` into what `begin` makes of the names of their inputs; returns that, and how many there were.
///
/// # Errors
/// As [`super::replay`], and what the sink says.
pub fn gather<S: RowSink>(
    input: &Input,
    options: &GatherOptions,
    begin: impl FnOnce(&Inputs) -> Result<S, S::Error>,
) -> Result<(S, Gathered), GatherError<S::Error>> {
    let verdicts = verdicts(input, options)?;
    let source = Source::open(input.clone())?;
    let mut engine = Engine::new(source.engine_options(1), &mut |_| {}).map_err(|error| source.placed(error))?;
    let policies = source.policies();
    let inputs = Inputs::new(&engine.layout().schema);
    let mut gathering = Gathering {
        sink: begin(&inputs).map_err(GatherError::Sink)?,
        width: vec![0.0; inputs.len()],
        inputs,
        verdicts,
        names: HashMap::new(),
        options,
        gathered: Gathered::default(),
    };
    let bar = Progress::bytes("gathering", source.bytes_total(), options.progress);
    let mut outputs = Vec::new();
    let mut failed = None;
    let read = std::thread::scope(|scope| {
        let (to_engine, from_reader) = bounded::<Chunk>(CHUNKS_WAITING);
        let (give_back, free) = bounded::<Chunk>(2 * CHUNKS_WAITING);
        let reader = scope.spawn(move || source.read(None, true, &to_engine, &free));
        for mut chunk in from_reader {
            chunk.texts.drain(|id, kind, text| gathering.name(id, kind, text));
            let prepared = policies.as_ref().map_or(Ok(()), |policies| policies.prepare(&mut engine, &chunk.records));
            let stepped = prepared.map_err(GatherError::Replay).and_then(|()| {
                for batch in chunk.records.chunks(options.batch) {
                    outputs.clear();
                    engine.step(batch, &mut |_| {}, &mut outputs);
                    gathering.take(&engine, batch)?;
                }
                Ok(())
            });
            if let Err(error) = stepped {
                failed = Some(error);
                break;
            }
            bar.at(chunk.bytes, || format!("{} rows", gathering.gathered.rows));
            if chunk.records.last().is_some_and(|record| record.received >= options.until) {
                break;
            }
            // When the reader is done nobody takes it back.
            drop(give_back.try_send(chunk));
        }
        reader.join().expect("the reader does not panic")
    });
    bar.finish();
    if let Some(error) = failed {
        return Err(error);
    }
    whole(read)?;
    Ok((gathering.sink, gathering.gathered))
}

/// Rows of a history with a hole would be rows of another history.
fn whole(read: Result<Vec<crate::ingress::InputError>, ReplayError>) -> Result<(), ReplayError> {
    match read?.into_iter().next() {
        Some(error) => Err(ReplayError::Input(error)),
        None => Ok(()),
    }
}

/// The verdicts in force, by the event's id, of labels that come in time.
fn verdicts(input: &Input, options: &GatherOptions) -> Result<HashMap<Id, (Verdict, LabelSource)>, ReplayError> {
    let source = Source::open(input.clone())?;
    let end = options.until + options.label_delay;
    let bar = Progress::bytes("labels", source.bytes_total(), options.progress);
    let mut verdicts: HashMap<Id, (Verdict, LabelSource)> = HashMap::new();
    let read = std::thread::scope(|scope| {
        let (to_us, from_reader) = bounded::<Chunk>(CHUNKS_WAITING);
        let (give_back, free) = bounded::<Chunk>(2 * CHUNKS_WAITING);
        let reader = scope.spawn(move || source.read(None, false, &to_us, &free));
        for chunk in from_reader {
            let mut over = false;
            for event in chunk.records.iter().filter_map(event_of) {
                over |= event.time > end;
                let Body::Label(label) = &event.body else { continue };
                let stands = verdicts.get(&label.target).is_some_and(|(_, stronger)| *stronger > label.source);
                if event.time <= end && !stands {
                    verdicts.insert(label.target, (label.verdict, label.source));
                }
            }
            bar.at(chunk.bytes, || format!("{} labels", verdicts.len()));
            if over {
                break;
            }
            drop(give_back.try_send(chunk));
        }
        reader.join().expect("the reader does not panic")
    });
    bar.finish();
    whole(read)?;
    Ok(verdicts)
}

fn event_of(record: &Record) -> Option<&Event> {
    match &record.content {
        Content::Event(event) => Some(event),
        _ => None,
    }
}

/// Rows on their way from the engine to a sink.
struct Gathering<'a, S> {
    sink: S,
    inputs: Inputs,
    /// One row's inputs.
    width: Vec<f32>,
    verdicts: HashMap<Id, (Verdict, LabelSource)>,
    /// Texts of the ids of events that were read and not yet taken.
    names: HashMap<Id, String>,
    options: &'a GatherOptions,
    gathered: Gathered,
}

impl<S: RowSink> Gathering<'_, S> {
    fn name(&mut self, id: Id, kind: IdKind, text: String) {
        if kind == IdKind::Event {
            self.names.insert(id, text);
        }
    }

    /// Takes the rows of the batch that was stepped.
    fn take(&mut self, engine: &Engine, batch: &[Record]) -> Result<(), GatherError<S::Error>> {
        let mut records = batch.iter();
        for (seed, (sequence, row)) in engine.judged_rows().enumerate() {
            let record = records.find(|record| record.sequence == sequence).expect("a judged event is one of the batch");
            let Some(event) = event_of(record) else { continue };
            let name = self.names.remove(&event.id);
            if event.time < self.options.from || event.time >= self.options.until {
                continue;
            }
            let egos = engine.egos();
            self.inputs.fill(row, &egos.own_features()[seed * SEED_SLOTS..][..SEED_SLOTS], &mut self.width);
            let bad = self.verdicts.get(&event.id).is_some_and(|(verdict, _)| *verdict != Verdict::Legitimate);
            let kind: EventType = event.body.kind();
            let name = name.unwrap_or_else(|| event.id.to_string());
            let around = std::array::from_fn(|slot| around(egos, seed * SEED_SLOTS + slot));
            let row = Row { sequence, event: event.id, name: &name, time: event.time, kind, bad, inputs: &self.width, around };
            self.sink.row(&row).map_err(GatherError::Sink)?;
            self.gathered.rows += 1;
            self.gathered.bad += u64::from(bad);
        }
        Ok(())
    }
}

fn around(egos: &EgoBatch, place: usize) -> Around<'_> {
    let range = egos.row_offsets()[place] as usize..egos.row_offsets()[place + 1] as usize;
    Around { edges: &egos.edge_features()[range.clone()], states: &egos.neighbour_features()[range] }
}
