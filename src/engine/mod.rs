//! The engine: a pure function of its records.
//!
//! One owner, one step. No clock, no chance, no I/O; what it knows of time stands in the records. Within a step events are taken in order:
//! admitted, read, appended. Everything after that only reads. An event sees exactly what came before it, also inside its own batch, so
//! cutting the same records into other batches gives the same bytes.

mod admission;
mod ahead;
mod alerts;
mod batch;
mod course;
mod decide;
mod dedupe;
mod features;
mod gather;
mod guard;
mod image;
mod infer;
mod labels;
mod launder;
mod lists;
mod look;
mod options;
mod output;
mod policies;
mod snapshot;
mod sources;
mod waiting;

pub use alerts::{Alert, AlertCounts, AlertLimits, AlertOptions, AlertStatus, Edge, Evidence, Member, Subject, Threshold};
pub use course::{CHECKPOINT_EVERY, Checkpoint};
pub use decide::GuardTurn;
pub use dedupe::Judged;
pub use features::{Layout, Use};
pub use guard::{Guard, Standing};
pub use image::{Imaged, Imaging, Progress, SCALARS, Shape, TableShape};
pub use infer::{NO_MODEL, NamedModel};
pub use lists::{ListEntry, Lists};
pub use options::{GuardOptions, LabelOptions, Options, SourceTime};
pub use output::{Output, Rejected};
pub use policies::NamedPolicy;
pub use snapshot::SnapshotError;
pub use sources::{PARTITIONS_MAX, Position, TOPICS_MAX};
pub use waiting::WAITING_MAX;

use crate::decision::{Declining, Effect, ListLadder, Policy, PolicyError, Program, Provenance, RuleError};
use crate::event::{Body, Content, ControlKind, Effort, Event, EventType, Id, Origin, Record, Refusal, Refused, Sequence, Timestamp};
use crate::feature::PROBABILITY;
use crate::gnn::{Backend, Bound, DeviceLost};
use crate::graph::ego::EgoBatch;
use crate::graph::{Family, Graph};
use crate::typology::Kind;
use crate::velocity::{BEGINNING, Plan, Velocity};
use alerts::Alerts;
use batch::{Batch, Moment, Pending};
use course::Course;
use infer::named_model;
use options::maturities;
use policies::named_policy;
use sources::Sources;
use std::fmt;
use std::sync::Arc;
use waiting::Waiting;

/// What a step is doing: the runtime reads its clock at each, the engine knows no clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Admit, read and append, event by event.
    Gather,
    /// The model is asked.
    Infer,
    Decide,
    /// Alerts grow, record by record.
    Alert,
    Emit,
}

impl Phase {
    /// The phases in their order.
    pub const ALL: [Phase; 5] = [Phase::Gather, Phase::Infer, Phase::Decide, Phase::Alert, Phase::Emit];

    /// The word in metrics.
    pub fn name(self) -> &'static str {
        ["gather", "infer", "decide", "alert", "emit"][self as usize]
    }
}

/// Why an engine cannot be built.
#[derive(Clone, Debug, PartialEq)]
pub enum BuildError {
    Policy(Vec<PolicyError>),
    /// The `where` of an aggregate, by its name.
    Filter(String, RuleError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::Policy(errors) => {
                for (n, error) in errors.iter().enumerate() {
                    write!(f, "{}{error}", if n == 0 { "" } else { "\n" })?;
                }
                Ok(())
            }
            BuildError::Filter(name, error) => write!(f, "aggregate.{name}.where: {error}"),
        }
    }
}

impl std::error::Error for BuildError {}

/// How many records of each fate there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events that came again with equal content.
    pub duplicates: u64,
    /// Events behind stream time.
    pub late: u64,
}

/// All state that decides, and the one thing it does.
pub struct Engine {
    graph: Graph,
    /// By family.
    velocity: [Velocity; 3],
    judged: Judged,
    /// Stream time.
    now: Timestamp,
    layout: Layout,
    policy: Arc<Policy>,
    /// The policy that was in force before this one, if there was one.
    before: Option<NamedPolicy>,
    /// Slots whose causes have a predecessor there, a bit each.
    heirs: Declining,
    /// The model in force.
    model: Option<Arc<Bound>>,
    /// The name of the one before it.
    model_before: [u8; 16],
    /// Every model that was given.
    models: Vec<NamedModel>,
    /// Where forward passes run, if not on the CPU, and for how many seeds at least.
    backend: Option<(Box<dyn Backend>, usize)>,
    /// The one that was lost, and why, until somebody has taken both.
    lost: Option<(DeviceLost, Box<dyn Backend>)>,
    /// What the newest record about it names. It decides nothing, and is no part of the state hash.
    backend_told: Option<[u8; 32]>,
    /// Every policy that was given: records to come may name it, and name it again.
    prepared: Vec<NamedPolicy>,
    guard: Guard,
    /// How causes came to stand otherwise in the last step.
    turns: Vec<GuardTurn>,
    lists: Lists,
    sources: Sources,
    waiting: Waiting,
    /// The lists that suppress alerts, a bit each.
    suppressing: u32,
    /// Of fraud,
    alerts: Alerts,
    /// and of laundering.
    suspicions: Alerts,
    evidence: Evidence,
    ladder: ListLadder,
    /// By family, by the aggregate's number in the plan.
    filters: [Vec<Option<Program>>; 3],
    /// Class of each source's maturity; the last entry is that of records without a source.
    classes: Vec<u8>,
    options: Options,
    provenance: Provenance,
    pool: Option<rayon::ThreadPool>,
    counts: Counts,
    course: Course,
    batch: Batch,
    /// Where the search for a label's target begins.
    found: u64,
    /// The tray of the image being taken, if one is.
    tray: Option<image::Taken>,
}

/// Turns of the guard for which there is room from the start.
const TURNS_AT_START: usize = 64;

impl Engine {
    /// Allocates and touches everything; `progress` hears of every piece of bytes.
    pub fn new(options: Options, progress: &mut dyn FnMut(usize)) -> Result<Engine, BuildError> {
        let layout = Layout::new(&options.aggregates, &options.lists, &options.id_key);
        let policy = Policy::compile(&options.policy, &layout.schema, &options.id_key).map_err(BuildError::Policy)?;
        let guarded = policy.guarded().len();
        let policy = Arc::new(policy);
        let (guard, alerts) = (options.guard, options.alerts);
        let founding = NamedPolicy { name: options.provenance.policy, policy: policy.clone(), guard, alerts };
        let filters = filters(&options, &layout)?;
        let (maturities, classes) = maturities(&options);
        let longest = maturities.iter().copied().max().unwrap_or_default();
        let plans = Family::ALL.map(|family| Plan::new(family, &options.aggregates, longest));
        let words = [0, 1, 2].map(|family| plans[family].counter_words);
        let graph = Graph::new(&options.limits, words, progress);
        let mut plans = plans.into_iter();
        let velocity = Family::ALL.map(|family| {
            let plan = plans.next().expect("one plan a family");
            Velocity::new(family, plan, &maturities, &options.limits.families[family as usize], progress)
        });
        let pool = (options.threads > 1).then(|| {
            let builder = rayon::ThreadPoolBuilder::new().num_threads(options.threads).thread_name(|n| format!("judge-{n}"));
            builder.build().expect("threads can be started")
        });
        Ok(Engine {
            graph,
            velocity,
            judged: Judged::new(options.limits.ids_max, progress),
            now: BEGINNING,
            prepared: vec![founding],
            policy,
            before: None,
            model: None,
            model_before: NO_MODEL,
            models: Vec::new(),
            backend: None,
            lost: None,
            backend_told: None,
            heirs: Declining::default(),
            guard: Guard::new(guard, guarded, progress),
            turns: Vec::with_capacity(TURNS_AT_START),
            lists: Lists::new(options.lists.entries_max, progress),
            sources: Sources::new(&options.sources, progress),
            waiting: Waiting::new(options.sources.iter().any(|source| source.fresh_max.is_some()), progress),
            suppressing: options.lists.with_effect(Effect::Suppress),
            alerts: Alerts::new(Kind::Fraud, alerts, progress),
            suspicions: Alerts::new(Kind::Aml, alerts, progress),
            evidence: Evidence::new(alerts.limits.evidence_rows_max, progress),
            ladder: ListLadder::new(&options.lists),
            filters,
            classes,
            provenance: options.provenance,
            pool,
            counts: Counts::default(),
            course: Course::new(),
            batch: Batch::new(&layout, &options.laundering.reach),
            layout,
            options,
            found: 0,
            tray: None,
        })
    }

    /// Whether an engine of these options can be built; nothing is allocated.
    ///
    /// # Errors
    /// As [`Engine::new`].
    pub fn check(options: &Options) -> Result<(), BuildError> {
        let layout = Layout::new(&options.aggregates, &options.lists, &options.id_key);
        Policy::compile(&options.policy, &layout.schema, &options.id_key).map_err(BuildError::Policy)?;
        filters(options, &layout).map(drop)
    }

    /// Compiles the policy of `options` for engines of these options.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn compile(options: &Options) -> Result<Policy, Vec<PolicyError>> {
        let layout = Layout::new(&options.aggregates, &options.lists, &options.id_key);
        Policy::compile(&options.policy, &layout.schema, &options.id_key)
    }

    /// By the type of event, the probabilities at which rules of `options` draw a line.
    pub fn thresholds(options: &Options) -> Vec<(EventType, f64)> {
        let layout = Layout::new(&options.aggregates, &options.lists, &options.id_key);
        Policy::compared(&options.policy, &layout.schema, &options.id_key, PROBABILITY)
    }

    /// The hashes of what is in force.
    pub fn provenance(&self) -> Provenance {
        self.provenance
    }

    /// Judges `batch` in order and appends its outputs to `out`. Same state, same records: same outputs, however they are cut.
    pub fn step(&mut self, batch: &[Record], phase: &mut dyn FnMut(Phase), out: &mut Vec<Output>) {
        self.turns.clear();
        // A policy or a model is in force behind its record, and asked of no event before it.
        let mut runs = batch.split_inclusive(|record| named_policy(record).is_some() || named_model(record).is_some());
        self.step_run(runs.next().unwrap_or_default(), phase, out);
        for run in runs {
            self.step_run(run, phase, out);
        }
    }

    /// Judges records of which only the last may name a policy or a model.
    fn step_run(&mut self, batch: &[Record], phase: &mut dyn FnMut(Phase), out: &mut Vec<Output>) {
        phase(Phase::Gather);
        self.batch.clear();
        let turned = self.turns.len();
        for group in batch.chunks(ahead::GROUP) {
            self.look_ahead(group);
            for record in group {
                self.take(record);
                let met = self.met();
                self.batch.moments.push(Moment { sequence: record.sequence, met, pending_end: self.batch.pending.len() as u32 });
            }
        }
        phase(Phase::Infer);
        self.infer();
        phase(Phase::Decide);
        self.decide();
        phase(Phase::Alert);
        self.call(turned);
        phase(Phase::Emit);
        self.pass();
        self.emit(out);
        let Some(record) = batch.last() else { return };
        if let Some(name) = named_model(record) {
            self.swap_model(name);
        }
        if let Some(name) = named_policy(record) {
            let turned = self.turns.len();
            self.swap_policy(record, name);
            let at = self.moment(record);
            for turn in &self.turns[turned..] {
                let alerts = match turn.kind {
                    Kind::Fraud => &mut self.alerts,
                    Kind::Aml => &mut self.suspicions,
                };
                alerts.turned(&at, turn, &mut self.batch.alerts);
            }
            out.extend(self.batch.alerts.drain(..).map(Output::Alert));
        }
    }

    /// Takes one record in.
    fn take(&mut self, record: &Record) {
        self.sources.note(record.origin);
        match &record.content {
            Content::Event(event) => self.take_event(record, event),
            Content::Refused(refused) => self.reject(record, *refused, None),
            Content::Tick(time) => self.advance(*time),
            Content::Lag(lag) => self.sources.tell(*lag),
            Content::Waiting(event) => self.waiting.insert(event.id, record.sequence),
            Content::Answered(answered) => self.take_answered(record, answered),
            Content::Listed(change) => {
                // What no list of this topology is meant by has no effect: the record may be read long after.
                if usize::from(change.list) < self.options.lists.lists.len() {
                    self.lists.change(change, record.received, self.now);
                    if self.suppressing >> change.list & 1 != 0 {
                        let until = self.lists.until(change.id, self.suppressing);
                        self.batch.pending.push(Pending::Suppressed(change.id, until, self.moment(record)));
                    }
                }
            }
            Content::Control(control) => {
                let named: [u8; 16] = control.blob[..16].try_into().expect("a hash has 32 bytes");
                // Who leads sways nothing; a policy is in force from the next record on.
                let fits = control.kind != ControlKind::Topology || named == self.provenance.topology;
                assert!(fits, "the runtime builds the engine from what the control records name");
                if control.kind == ControlKind::Backend {
                    self.backend_told = Some(control.blob);
                }
            }
        }
    }

    fn take_event(&mut self, record: &Record, event: &Event) {
        self.waiting.remove(event.id);
        let admitted = self.admit(record, event);
        self.batch.revision = admitted.unwrap_or(1);
        if let Err(reason) = admitted {
            if let Some(reason) = reason {
                let field = match reason {
                    Refusal::UnknownTarget => Some(crate::event::Field::Target),
                    Refusal::IdConflict => Some(crate::event::Field::Id),
                    _ => Some(crate::event::Field::Time),
                };
                self.reject(record, Refused { reason, field }, Some(event.id));
            }
            return;
        }
        self.counts.late += u64::from(event.time < self.now);
        let late = event.time < self.now;
        self.advance(event.time);
        match &event.body {
            Body::Payment(_) | Body::Transfer(_) | Body::Session(_) | Body::Interaction(_) => {
                self.gather(record, event, late);
            }
            Body::Label(label) => self.take_label(record, label),
            Body::PaymentResult(result) => self.take_result(record, event.time, result),
            Body::Item(item) => self.take_item(item),
            Body::Profile(profile) => self.take_profile(profile),
            Body::Erase(erase) => self.take_erase(erase),
        }
    }

    /// Moves stream time and every tail.
    fn advance(&mut self, time: Timestamp) {
        if time > self.now {
            self.now = time;
            for velocity in &mut self.velocity {
                velocity.advance(&mut self.graph, time);
            }
        }
    }

    /// Class of a source's maturity.
    fn class(&self, source: u16) -> u8 {
        let known = usize::from(source).min(self.classes.len() - 1);
        self.classes[if source == Origin::ENGINE { self.classes.len() - 1 } else { known }]
    }

    /// The alerts that are open and were told of, each in its newest state.
    pub fn open_alerts(&self) -> impl Iterator<Item = Alert> {
        self.alerts.told(Sequence(0)).chain(self.suspicions.told(Sequence(0)))
    }

    /// How many alerts of this kind there are and were.
    pub fn alert_counts(&self, kind: Kind) -> AlertCounts {
        match kind {
            Kind::Fraud => self.alerts.counts(),
            Kind::Aml => self.suspicions.counts(),
        }
    }

    /// The feature rows of the events judged by the last step: their records' sequences, and words of the columns of [`Engine::layout`].
    pub fn judged_rows(&self) -> impl Iterator<Item = (Sequence, &[u64])> {
        let width = self.layout.schema.len();
        self.batch.seeds.iter().map(|seed| seed.sequence).zip(self.batch.features.chunks_exact(width))
    }

    /// The ego graphs of the events judged by the last step.
    pub fn egos(&self) -> &EgoBatch {
        &self.batch.egos
    }

    /// Names and places of the feature columns.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The graph, to be looked at.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Who stands on which list.
    pub fn lists(&self) -> &Lists {
        &self.lists
    }

    /// Where the partitions of topics are read on, in no order that means anything.
    pub fn positions(&self) -> impl Iterator<Item = Position> {
        self.sources.positions()
    }

    /// The records that hold events which wait for what they speak of.
    pub fn waiting(&self) -> impl Iterator<Item = Sequence> {
        self.waiting.records()
    }

    /// Stream time; before any event [`BEGINNING`].
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The record of the id of an event that is known longest: of outputs before it none is asked for by its id any more.
    pub fn oldest_judged(&self) -> Option<Sequence> {
        self.judged.oldest()
    }

    /// Whether the record of `sequence` is the one by which the event `id` became known: not one that came again.
    pub fn is_first(&self, id: Id, sequence: Sequence) -> bool {
        self.judged.is_first(id, sequence)
    }

    /// The fingerprint of the content under which the event `id` is known.
    pub fn judged_fingerprint(&self, id: Id) -> Option<u64> {
        self.judged.fingerprint(id)
    }

    /// The course so far: equal on every machine that has stepped the same records, whatever their batches and threads.
    pub fn course(&self) -> u64 {
        self.course.hash
    }

    /// The course at the latest multiples of [`CHECKPOINT_EVERY`] that this engine stepped over, in order; those before it was restored
    /// from a snapshot are not among them.
    pub fn checkpoints(&self) -> impl DoubleEndedIterator<Item = Checkpoint> {
        self.course.checkpoints()
    }

    /// What became of the records that gave no output.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

/// The `where` of every aggregate, compiled.
fn filters(options: &Options, layout: &Layout) -> Result<[Vec<Option<Program>>; 3], BuildError> {
    let mut filters: [Vec<Option<Program>>; 3] = Default::default();
    let schema = layout.fields_schema();
    for aggregate in &options.aggregates {
        let family = crate::velocity::family(aggregate.of).expect("an aggregate is over events that have rows");
        let compile = |source: &String| {
            Program::compile(source, &schema, &options.id_key).map_err(|error| BuildError::Filter(aggregate.name.clone(), error))
        };
        filters[family as usize].push(aggregate.filter.as_ref().map(compile).transpose()?);
    }
    Ok(filters)
}

/// Whether events of this type are judged.
fn is_judged(kind: EventType) -> bool {
    matches!(kind, EventType::Payment | EventType::Transfer)
}

/// Whether the effort allows for more than rules over counters.
fn gathers_neighbourhoods(effort: Effort) -> bool {
    effort != Effort::RulesOnly
}

/// Whether the effort allows for typologies.
fn looks_for_typologies(effort: Effort) -> bool {
    matches!(effort, Effort::Full | Effort::NoExplanation)
}
