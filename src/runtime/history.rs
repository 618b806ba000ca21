//! A history that is gone through once and stepped, for those who learn or judge by what the engine said: reading in a thread of its own,
//! texts of ids, and the labels that came later.

use super::error::ReplayError;
use super::naming::Told;
use super::policies::Policies;
use super::progress::Progress;
use super::source::{Chunk, Input, Source};
use crate::engine::{Engine, Output};
use crate::event::{Body, Content, ControlKind, Event, Id, IdKind, LabelSource, Record, Timestamp, Verdict};
use crate::ingress::InputError;
use crossbeam::channel::bounded;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

/// Chunks on their way between two threads.
const CHUNKS_WAITING: usize = 4;

/// Reads `source` and gives its chunks to `take`, with texts of ids if they are `told`, until it has enough.
///
/// # Errors
/// What `take` says; a file that cannot be read to its end: a history with a hole would be another history.
fn read<E: From<ReplayError>>(source: Source, told: bool, mut take: impl FnMut(&mut Chunk) -> Result<ControlFlow<()>, E>) -> Result<(), E> {
    let mut failed = None;
    let read = std::thread::scope(|scope| {
        let (to_us, from_reader) = bounded::<Chunk>(CHUNKS_WAITING);
        let (give_back, free) = bounded::<Chunk>(2 * CHUNKS_WAITING);
        let reader = scope.spawn(move || source.read(None, told, &to_us, &free));
        for mut chunk in from_reader {
            match take(&mut chunk) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => break,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
            // When the reader is done nobody takes it back.
            drop(give_back.try_send(chunk));
        }
        reader.join().expect("the reader does not panic")
    });
    if let Some(error) = failed {
        return Err(error);
    }
    let errors: Vec<InputError> = read?;
    errors.into_iter().next().map_or(Ok(()), |error| Err(ReplayError::Input(error).into()))
}

/// The event of a record that is one.
pub(super) fn event_of(record: &Record) -> Option<&Event> {
    match &record.content {
        Content::Event(event) => Some(event),
        _ => None,
    }
}

/// What is known of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    verdict: Verdict,
    source: LabelSource,
    pub(super) scenario: Option<Id>,
}

/// The labels in force, by the event's id.
#[derive(Debug, Default)]
pub(super) struct Labels {
    known: HashMap<Id, Known>,
    /// What scenarios are called.
    scenarios: HashMap<Id, String>,
}

impl Labels {
    /// Reads the labels that come until `end`, or all.
    ///
    /// # Errors
    /// As those of [`super::replay`], and a file that cannot be read to its end.
    pub(super) fn read(input: &Input, end: Option<Timestamp>, progress: bool) -> Result<Labels, ReplayError> {
        let source = Source::open(input.clone())?;
        let bar = Progress::bytes("labels", source.bytes_total(), progress);
        let mut labels = Labels::default();
        let done = read::<ReplayError>(source, true, |chunk| {
            chunk.texts.drain(|id, kind, text| {
                if kind == IdKind::Symbol && !labels.scenarios.contains_key(&id) {
                    labels.scenarios.insert(id, text.into_owned());
                }
            });
            let late = |event: &Event| end.is_some_and(|end| event.time > end);
            chunk.records.iter().filter_map(event_of).filter(|event| !late(event)).for_each(|event| labels.take(event));
            bar.at(chunk.bytes, || format!("{} labels", labels.known.len()));
            let over = chunk.records.iter().filter_map(event_of).any(late);
            Ok(if over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        });
        bar.finish();
        done?;
        let named: HashSet<Id> = labels.known.values().filter_map(|known| known.scenario).collect();
        labels.scenarios.retain(|id, _| named.contains(id));
        Ok(labels)
    }

    fn take(&mut self, event: &Event) {
        let Body::Label(label) = &event.body else { return };
        let stands = self.known.get(&label.target).is_some_and(|known| known.source > label.source);
        if !stands {
            let known = Known { verdict: label.verdict, source: label.source, scenario: label.scenario };
            self.known.insert(label.target, known);
        }
    }

    /// What is known of an event; `None` where no label speaks of it.
    pub(super) fn of(&self, event: Id) -> Option<&Known> {
        self.known.get(&event)
    }

    /// Whether an event was fraud or laundering.
    pub(super) fn is_bad(&self, event: Id) -> bool {
        self.of(event).is_some_and(|known| known.verdict != Verdict::Legitimate)
    }

    /// What a scenario is called.
    pub(super) fn scenario(&self, id: Id) -> String {
        self.scenarios.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }
}

/// Texts of ids: those of events until they have gone by, those of who has to do with them for good.
pub(super) struct Names {
    wanted: &'static [IdKind],
    texts: HashMap<Id, String>,
}

impl Names {
    /// Keeps texts of these kinds.
    pub(super) fn of(wanted: &'static [IdKind]) -> Names {
        Names { wanted, texts: HashMap::new() }
    }

    /// The text of an id, or its hash.
    pub(super) fn text(&self, id: Id) -> Cow<'_, str> {
        self.texts.get(&id).map_or_else(|| Cow::Owned(id.to_string()), |text| Cow::Borrowed(text.as_str()))
    }

    fn hear(&mut self, told: &mut Told) {
        told.drain(|id, kind, text| {
            if self.wanted.contains(&kind) && !self.texts.contains_key(&id) {
                self.texts.insert(id, text.into_owned());
            }
        });
    }

    fn go_by(&mut self, batch: &[Record]) {
        for event in batch.iter().filter_map(event_of) {
            self.texts.remove(&event.id);
            // Those that speak of an event bring its text once more.
            match &event.body {
                Body::Label(label) if label.resolved.is_some() => self.texts.remove(&label.target),
                Body::PaymentResult(result) if result.resolved.is_some() => self.texts.remove(&result.target),
                _ => None,
            };
        }
    }
}

/// Whether a record puts another policy or model in force.
fn changes(record: &Record) -> bool {
    matches!(&record.content, Content::Control(control) if matches!(control.kind, ControlKind::Policy | ControlKind::Model))
}

/// An engine, and the history that it is about to see.
pub(super) struct History {
    source: Source,
    pub(super) engine: Engine,
    policies: Policies,
}

/// How a history is stepped; nothing that comes of it depends on it but where it ends.
pub(super) struct Stepping {
    /// What is done, for the one who looks.
    pub(super) what: &'static str,
    /// Records a step.
    pub(super) batch: usize,
    /// Enough once a record is received then or later; `None`: all of it.
    pub(super) until: Option<Timestamp>,
    pub(super) progress: bool,
    pub(super) names: Names,
}

/// A batch that was stepped.
pub(super) struct Stepped<'a> {
    pub(super) engine: &'a Engine,
    pub(super) records: &'a [Record],
    pub(super) outputs: &'a [Output],
    /// Texts of the ids of its events.
    pub(super) names: &'a Names,
}

impl History {
    /// Opens `input` and builds its engine.
    ///
    /// # Errors
    /// As those of [`super::replay`].
    pub(super) fn open(input: &Input) -> Result<History, ReplayError> {
        let source = Source::open(input.clone())?;
        let engine = Engine::new(source.engine_options(1), &mut |_| {}).map_err(|error| source.placed(error))?;
        let policies = source.policies();
        Ok(History { source, engine, policies })
    }

    /// Steps the history; `take` sees each batch, and says how many it has taken in all.
    ///
    /// # Errors
    /// What `take` says, and what is wrong with a file.
    pub(super) fn step<E: From<ReplayError>>(
        self,
        stepping: Stepping,
        mut take: impl FnMut(&Stepped<'_>) -> Result<u64, E>,
    ) -> Result<(), E> {
        let History { source, mut engine, policies } = self;
        let Stepping { what, batch, until, progress, mut names } = stepping;
        let bar = Progress::bytes(what, source.bytes_total(), progress);
        let mut outputs = Vec::new();
        let done = read::<E>(source, true, |chunk| {
            names.hear(&mut chunk.texts);
            policies.prepare(&mut engine, &chunk.records)?;
            let mut taken = 0;
            // A step shows the rows behind its last change of policy or model: so none is made within one.
            for records in chunk.records.split_inclusive(changes).flat_map(|run| run.chunks(batch)) {
                outputs.clear();
                engine.step(records, &mut |_| {}, &mut outputs);
                taken = take(&Stepped { engine: &engine, records, outputs: &outputs, names: &names })?;
                names.go_by(records);
            }
            bar.at(chunk.bytes, || format!("{taken} events"));
            let over = until.is_some_and(|until| chunk.records.last().is_some_and(|record| record.received >= until));
            Ok(if over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        });
        bar.finish();
        done
    }
}
