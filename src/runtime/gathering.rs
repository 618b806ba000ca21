//! Rows to learn from: history goes through the engine once, and what it saw of each event is given away with what is known of it later.

use super::error::ReplayError;
use super::history::{History, Labels, Names, Stepped, Stepping, event_of};
use super::source::Input;
use crate::event::{Duration, EventType, Id, IdKind, Timestamp};
use crate::gnn::Inputs;
use crate::graph::ego::{EgoBatch, SEED_SLOTS};
use crate::learn::{Around, Count, Expected, Row, RowSink};
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

impl GatherOptions {
    fn covers(&self, time: Timestamp) -> bool {
        self.from <= time && time < self.until
    }
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

/// Gathers rows from `input` into what `begin` makes of their inputs and of how many are expected; returns that, and how many there were.
///
/// # Errors
/// As [`super::replay`], and what the sink says.
pub fn gather<S: RowSink>(
    input: &Input,
    options: &GatherOptions,
    begin: impl FnOnce(&Inputs, &Expected) -> Result<S, S::Error>,
) -> Result<(S, Gathered), GatherError<S::Error>> {
    let (mut payments, mut transfers) = (Vec::new(), Vec::new());
    let labels = Labels::read(input, Some(options.until + options.label_delay), options.progress, |event| match event.body.kind() {
        _ if !options.covers(event.time) => {}
        EventType::Payment => payments.push(event.id),
        EventType::Transfer => transfers.push(event.id),
        _ => {}
    })?;
    let count = |ids: &[Id]| Count { rows: ids.len() as u64, bad: ids.iter().filter(|id| labels.is_bad(**id)).count() as u64 };
    let expected = Expected { payment: count(&payments), transfer: count(&transfers) };
    drop((payments, transfers));
    let history = History::open(input)?;
    let inputs = Inputs::new(&history.engine.layout().schema);
    let mut gathering = Gathering {
        sink: begin(&inputs, &expected).map_err(GatherError::Sink)?,
        width: vec![0.0; inputs.len()],
        inputs,
        labels,
        options,
        gathered: Gathered::default(),
    };
    let stepping = Stepping {
        what: "gathering",
        batch: options.batch,
        until: Some(options.until),
        progress: options.progress,
        names: Names::of(&[IdKind::Event]),
    };
    history.step(stepping, |stepped| gathering.take(stepped).map_err(GatherError::Sink))?;
    Ok((gathering.sink, gathering.gathered))
}

/// Rows on their way from the engine to a sink.
struct Gathering<'a, S> {
    sink: S,
    inputs: Inputs,
    /// One row's inputs.
    width: Vec<f32>,
    labels: Labels,
    options: &'a GatherOptions,
    gathered: Gathered,
}

impl<S: RowSink> Gathering<'_, S> {
    /// Takes the rows of the batch that was stepped; says how many there are by now.
    fn take(&mut self, stepped: &Stepped<'_>) -> Result<u64, S::Error> {
        let engine = stepped.engine;
        let mut records = stepped.records.iter();
        for (seed, (sequence, row)) in engine.judged_rows().enumerate() {
            let record = records.find(|record| record.sequence == sequence).expect("a judged event is one of the batch");
            let Some(event) = event_of(record) else { continue };
            if !self.options.covers(event.time) {
                continue;
            }
            let egos = engine.egos();
            self.inputs.fill(row, &egos.own_features()[seed * SEED_SLOTS..][..SEED_SLOTS], &mut self.width);
            let bad = self.labels.is_bad(event.id);
            let kind: EventType = event.body.kind();
            let name = stepped.names.text(event.id);
            let around = std::array::from_fn(|slot| around(egos, seed * SEED_SLOTS + slot));
            let row = Row { sequence, event: event.id, name: &name, time: event.time, kind, bad, inputs: &self.width, around };
            self.sink.row(&row)?;
            self.gathered.rows += 1;
            self.gathered.bad += u64::from(bad);
        }
        Ok(self.gathered.rows)
    }
}

fn around(egos: &EgoBatch, place: usize) -> Around<'_> {
    let range = egos.row_offsets()[place] as usize..egos.row_offsets()[place + 1] as usize;
    Around { edges: &egos.edge_features()[range.clone()], states: &egos.neighbour_features()[range] }
}
