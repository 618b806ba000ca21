//! Training: from a sample of rows to a model, by way of a validation on the newest of them.
//!
//! 1. Inputs are chosen: none that only count how long a stream lasted, none that are always the same, and at most
//!    [`TrainOptions::inputs_max`] – those whose codes move the hidden layer most after a short fit to all of them.
//! 2. Rows before the validation are learnt from; after each epoch the validation is ranked. The last epoch, or an earlier one whose average
//!    precision is clearly better, says how long to learn, and on its logits probabilities are calibrated.
//! 3. The same is done once more with the validation's rows among those learnt from: a stream's newest days are the most like tomorrow's.
//!
//! AdamW (Loshchilov and Hutter, ICLR'19) with a rate that rises and falls once (Smith and Topin, 2018), and dropout. One seed, one model,
//! to the byte, on machines whose processors have the same instructions.

mod reference;

use super::ablation::Ablation;
use super::chance::Chance;
use super::coding::{Coding, Standard};
use super::fitted::{Fitted, KINDS};
use super::measure::{Platt, Scored, Validation, validate};
use super::network::{BRANCHES, Network};
use super::optimizer::Optimizer;
use super::rows::Count;
use super::sample::{Rows, Sample};
use crate::event::EventType;
use crate::gnn::{INPUTS_MAX, Model};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

/// How a model is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainOptions {
    pub seed: u64,
    /// Times that each row is seen, at most; `None`: as often as so many rows ask for.
    pub epochs: Option<usize>,
    pub batch: usize,
    /// The highest rate of learning.
    pub rate_max: f32,
    pub weight_decay: f32,
    pub dropout: f32,
    /// Inputs that a branch reads at most.
    pub inputs_max: usize,
    /// Bad rows that a branch needs.
    pub bads_min: usize,
    /// Whether the validation's rows are learnt from in the end.
    pub refit: bool,
    /// What is not learnt from, to know what it is worth. The sample's neighbourhoods are dealt with by [`Ablation::apply`].
    pub without: Option<Ablation>,
}

impl Default for TrainOptions {
    fn default() -> TrainOptions {
        TrainOptions {
            seed: 1,
            epochs: None,
            batch: 1_024,
            rate_max: 4e-3,
            weight_decay: 0.02,
            dropout: 0.2,
            inputs_max: 96,
            bads_min: 50,
            refit: true,
            without: None,
        }
    }
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Batches done and to be done, all fits together, as far as is known.
    pub done: u64,
    pub of: u64,
    pub stage: Stage,
    pub epoch: usize,
    /// A running mean over batches.
    pub loss: f64,
    /// Of the latest validation.
    pub average_precision: Option<f64>,
}

/// One of the fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Choosing,
    Validating,
    Refitting,
}

/// An epoch of the validated fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Epoch {
    pub loss: f64,
    /// By branch.
    pub validation: [Option<Validation>; BRANCHES],
}

/// What was learnt for a type of event.
#[derive(Clone, Debug, PartialEq)]
pub struct Learnt {
    pub kind: EventType,
    /// Rows that came before and in the validation, and the bad among them.
    pub came: [Count; 2],
    /// Rows that were learnt from in the end.
    pub rows: Count,
    /// Of the good rows that came, how many of them.
    pub share: f64,
    /// Inputs that were to choose from, and those chosen.
    pub offered: usize,
    pub inputs: Vec<String>,
    /// On the validation, before it was learnt from.
    pub validation: Validation,
    pub platt: Platt,
}

/// A model, and how it came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    pub model: Model,
    pub branches: Vec<Learnt>,
    /// Types of events that had too few bad rows, and how many.
    pub left_out: Vec<(EventType, u64)>,
    pub epochs: Vec<Epoch>,
    /// Which of them was the best.
    pub best: usize,
    /// Whether the validation's rows were learnt from in the end.
    pub refitted: bool,
    /// Whether someone asked for an end before it was due.
    pub stopped: bool,
}

/// Why nothing was learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrainError {
    /// Bad payments, bad transfers.
    TooFew([u64; BRANCHES], usize),
    /// Stopped before there was a model.
    Stopped,
}

impl fmt::Display for TrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrainError::TooFew([payments, transfers], wanted) => write!(
                f,
                "found {payments} bad payments and {transfers} bad transfers to learn from, expected at least {wanted} of one of them with good ones beside them, before the validation"
            ),
            TrainError::Stopped => write!(f, "stopped before there was a model"),
        }
    }
}

impl std::error::Error for TrainError {}

/// Inputs that grow as long as a stream lasts: their values of tomorrow were never seen in training. And amounts of whatever currency,
/// where there is the amount in one.
fn only_grows(name: &str, names: &[String]) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let in_reporting_currency = || names.iter().any(|other| other == "amount");
    matches!(last, "events" | "days" | "bads") || (name == "amount_minor" && in_reporting_currency())
}

/// Batches that a course has at least, and epochs that it has for their sake: fewer rows are seen more often.
const STEPS_MIN: u64 = 320;
const EPOCHS: (u64, u64) = (8, 40);
/// How much better the average precision of an earlier epoch is than the last one's where learning went on for too long. A few dozen bad rows
/// make figures that differ by less without a reason, and where the rate is still high a network is less good than what becomes of it.
const BETTER_MIN: f64 = 0.02;
/// Pieces of all codes at most, shared evenly among branches: what the rest leaves of 100,000 parameters. With very many inputs codes are as
/// coarse as they get, and more.
pub const PIECES_MAX_ALL: usize = 1_240;
/// Rows of the short fit that chooses inputs, a branch; importance needs no more.
const CHOOSING_ROWS: usize = 100_000;
/// Rows that quantiles are taken of, a half of them bad where there are as many.
const QUANTILE_ROWS: usize = 65_536;
/// Rows that importances are taken over.
const IMPORTANCE_ROWS: usize = 4_096;

/// Parts of the seed's course.
const CHOOSING: u64 = 1;
const VALIDATING: u64 = 2;
const REFITTING: u64 = 3;
const QUANTILES: u64 = 4;

/// What of a branch is learnt from, and how it is read.
struct Lesson<'a> {
    branch: usize,
    rows: &'a Rows,
    chosen: Vec<u32>,
    coding: Coding,
}

/// Trains a model from `sample`. `progress` is told of every batch; once `stop` is true the best model so far is taken.
///
/// # Errors
/// Where there is too little to learn from, or nothing was learnt before `stop`.
pub fn train(sample: &Sample, options: &TrainOptions, stop: &AtomicBool, progress: &mut dyn FnMut(&Step)) -> Result<Trained, TrainError> {
    Training { sample, options, stop, progress, done: 0, of: 0 }.run()
}

struct Training<'a> {
    sample: &'a Sample,
    options: &'a TrainOptions,
    stop: &'a AtomicBool,
    progress: &'a mut dyn FnMut(&Step),
    done: u64,
    of: u64,
}

impl<'a> Training<'a> {
    fn run(mut self) -> Result<Trained, TrainError> {
        let (sample, options) = (self.sample, self.options);
        let early: [Vec<u32>; BRANCHES] = std::array::from_fn(|branch| self.learnt_rows(branch, false));
        let late: [Vec<u32>; BRANCHES] = std::array::from_fn(|branch| self.learnt_rows(branch, true));
        let bads = |branch: usize, chosen: &[u32]| chosen.iter().filter(|row| rows_of(sample, branch).is_bad(**row as usize)).count();
        let enough = |branch: &usize| {
            let (bads, rows) = (bads(*branch, &early[*branch]), early[*branch].len());
            bads >= options.bads_min && rows > bads
        };
        let branches: Vec<usize> = (0..BRANCHES).filter(enough).collect();
        let found = std::array::from_fn(|branch| bads(branch, &early[branch]) as u64);
        if branches.is_empty() {
            return Err(TrainError::TooFew(found, options.bads_min));
        }
        let offered = offered(&sample.names, options.without);
        let batches = |chosen: &[Vec<u32>; BRANCHES]| -> u64 {
            branches.iter().map(|branch| chosen[*branch].len().div_ceil(options.batch) as u64).sum()
        };
        let epochs_max = options.epochs.unwrap_or_else(|| STEPS_MIN.div_ceil(batches(&early)).clamp(EPOCHS.0, EPOCHS.1) as usize);
        self.of = (batches(&early) + if options.refit { batches(&late) } else { 0 }) * epochs_max as u64;

        let mut inputs: [Vec<usize>; BRANCHES] = std::array::from_fn(|_| offered.clone());
        self.choose(&branches, &early, &mut inputs)?;
        let lessons = self.lessons(&branches, &early, &inputs, PIECES_MAX_ALL);
        let mut epochs: Vec<Epoch> = Vec::new();
        let mut best: Option<(usize, f64, Network)> = None;
        let mut last_precision = 0.0;
        let fitted = self.fit(&lessons, VALIDATING, epochs_max, epochs_max, |training, fitted, loss| {
            let validation = std::array::from_fn(|branch| {
                let scored = training.scored(fitted, branch)?;
                Some(validate(&scored))
            });
            let precisions = || validation.iter().flatten().map(|ranking: &Validation| ranking.average_precision);
            let mean = precisions().sum::<f64>() / precisions().count() as f64;
            if best.as_ref().is_none_or(|(_, before, _)| mean > *before) {
                best = Some((epochs.len(), mean, fitted.network.clone()));
            }
            epochs.push(Epoch { loss, validation });
            last_precision = mean;
            Some(mean)
        });
        let (mut best, precision, mut network) = best.ok_or(TrainError::Stopped)?;
        if epochs.len() == epochs_max && precision < last_precision + BETTER_MIN {
            (best, network) = (epochs_max - 1, fitted.network.clone());
        }
        let fitted = Fitted { network, ..fitted };
        let platts: Vec<Platt> = branches
            .iter()
            .map(|branch| Platt::fit(&self.scored(&fitted, *branch).unwrap_or_default(), rows_of(sample, *branch).share))
            .collect();

        let again = (options.refit && !self.stopped()).then(|| {
            self.of = self.done + batches(&late) * (best as u64 + 1);
            let lessons = self.lessons(&branches, &late, &inputs, PIECES_MAX_ALL);
            self.fit(&lessons, REFITTING, best + 1, epochs_max, |_, _, _| None)
        });
        let refitted = again.is_some() && !self.stopped();
        let last = again.filter(|_| refitted).unwrap_or(fitted);
        let learnt = branches.iter().zip(&platts).map(|(branch, platt)| {
            let rows = rows_of(sample, *branch);
            let chosen = if refitted { &late[*branch] } else { &early[*branch] };
            let coding = last.codings[*branch].as_ref().expect("the branch was learnt");
            Learnt {
                kind: KINDS[*branch],
                came: rows.came,
                rows: Count { rows: chosen.len() as u64, bad: bads(*branch, chosen) as u64 },
                share: rows.share,
                offered: offered.len(),
                inputs: coding.inputs.iter().map(|input| sample.names[input.at].clone()).collect(),
                validation: epochs[best].validation[*branch].unwrap_or_default(),
                platt: *platt,
            }
        });
        let mut model = last.model(&sample.names, &branches, &platts);
        for (branch, platt) in branches.iter().zip(&platts) {
            let of = if KINDS[*branch] == EventType::Transfer { &mut model.transfer } else { &mut model.payment };
            if let Some(of) = of {
                of.reference = self.reference(&last, *branch, platt);
            }
        }
        Ok(Trained {
            branches: learnt.collect(),
            left_out: (0..BRANCHES).filter(|branch| !branches.contains(branch)).map(|branch| (KINDS[branch], found[branch])).collect(),
            model,
            epochs,
            best,
            refitted,
            stopped: self.stopped(),
        })
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Rows to learn from; those of the validation among them or not.
    fn learnt_rows(&self, branch: usize, late: bool) -> Vec<u32> {
        let rows = rows_of(self.sample, branch);
        let wanted = |row: &u32| {
            let row = *row as usize;
            rows.is_learnt(row) && (late || rows.time(row) < self.sample.options.validation_from)
        };
        (0..rows.len() as u32).filter(wanted).collect()
    }

    /// The validation's rows with their logits.
    fn scored(&self, fitted: &Fitted, branch: usize) -> Option<Vec<Scored>> {
        let rows = rows_of(self.sample, branch);
        let reading = fitted.reading(branch, rows)?;
        let late: Vec<u32> = (0..rows.len() as u32).filter(|row| rows.time(*row as usize) >= self.sample.options.validation_from).collect();
        let logits = fitted.network.logits(&reading, &late);
        let scored = |(row, logit): (&u32, f32)| {
            let row = *row as usize;
            Scored { logit, bad: rows.is_bad(row), weight: rows.weight(row) }
        };
        Some(late.iter().zip(logits).map(scored).collect())
    }

    /// Leaves each branch its best inputs, where it has more than it may read.
    fn choose(&mut self, branches: &[usize], early: &[Vec<u32>; BRANCHES], inputs: &mut [Vec<usize>; BRANCHES]) -> Result<(), TrainError> {
        let mut chance = Chance::new(self.options.seed, CHOOSING);
        let few: [Vec<u32>; BRANCHES] = std::array::from_fn(|branch| {
            let mut few = early[branch].clone();
            chance.shuffle(&mut few);
            few.truncate(CHOOSING_ROWS);
            few
        });
        let lessons = self.lessons(branches, &few, inputs, usize::MAX);
        let inputs_max = self.options.inputs_max.min(INPUTS_MAX);
        if lessons.iter().any(|lesson| lesson.coding.inputs.len() > inputs_max) {
            self.of += lessons.iter().map(|lesson| lesson.chosen.len().div_ceil(self.options.batch) as u64).sum::<u64>();
            let fitted = self.fit(&lessons, CHOOSING, 1, 1, |_, _, _| None);
            for lesson in &lessons {
                let reading = fitted.reading(lesson.branch, lesson.rows).expect("the branch was learnt");
                let some = &lesson.chosen[..lesson.chosen.len().min(IMPORTANCE_ROWS)];
                let importances = fitted.network.importances(&reading, some);
                let mut ranked: Vec<(f64, usize)> =
                    importances.into_iter().zip(lesson.coding.inputs.iter().map(|input| input.at)).collect();
                ranked.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
                ranked.truncate(inputs_max);
                inputs[lesson.branch] = ranked.into_iter().map(|(_, at)| at).collect();
                inputs[lesson.branch].sort_unstable();
            }
        }
        if self.stopped() { Err(TrainError::Stopped) } else { Ok(()) }
    }

    /// Branches share `pieces_max` pieces.
    fn lessons(
        &self,
        branches: &[usize],
        chosen: &[Vec<u32>; BRANCHES],
        inputs: &[Vec<usize>; BRANCHES],
        pieces_max: usize,
    ) -> Vec<Lesson<'a>> {
        let mut chance = Chance::new(self.options.seed, QUANTILES);
        let mut lesson = |branch: &usize| {
            let (rows, chosen) = (rows_of(self.sample, *branch), &chosen[*branch]);
            let (mut bads, mut goods): (Vec<u32>, Vec<u32>) = chosen.iter().partition(|row| rows.is_bad(**row as usize));
            chance.shuffle(&mut bads);
            chance.shuffle(&mut goods);
            bads.truncate(QUANTILE_ROWS / 2);
            goods.truncate(QUANTILE_ROWS - bads.len());
            bads.append(&mut goods);
            let coding = Coding::new(rows, &bads, &inputs[*branch], pieces_max / branches.len());
            Lesson { branch: *branch, rows, chosen: chosen.clone(), coding }
        };
        branches.iter().map(&mut lesson).collect()
    }

    /// Learns `epochs` of a course made for `course`; `after` is told of each with its mean loss, and says how good it was. Ends early
    /// when it must, within a batch.
    fn fit(
        &mut self,
        lessons: &[Lesson<'a>],
        part: u64,
        epochs: usize,
        course: usize,
        mut after: impl FnMut(&Training<'a>, &Fitted, f64) -> Option<f64>,
    ) -> Fitted {
        let mut chance = Chance::new(self.options.seed, part);
        let standard = Standard::new(lessons.iter().map(|lesson| (lesson.rows, &lesson.chosen[..])));
        let mut pieces = [0; BRANCHES];
        let mut codings = [const { None }; BRANCHES];
        for lesson in lessons {
            pieces[lesson.branch] = lesson.coding.pieces();
            codings[lesson.branch] = Some(lesson.coding.clone());
        }
        let passed = self.options.without.is_none_or(Ablation::passes_messages);
        let has_edges = |slot| {
            passed && lessons.iter().any(|lesson| lesson.chosen.iter().any(|row| !lesson.rows.edges(*row as usize, slot).is_empty()))
        };
        let network = Network::new(pieces, std::array::from_fn(has_edges), &mut chance);
        let mut fitted = Fitted { network, standard, codings };
        let batch = self.options.batch;
        let steps = course * lessons.iter().map(|lesson| lesson.chosen.len().div_ceil(batch)).sum::<usize>();
        let mut optimizer = Optimizer::new(&fitted.network, steps, self.options.rate_max, self.options.weight_decay);
        let mut shown = None;
        let mut running = 0.0;
        for epoch in 0..epochs {
            let mut orders: Vec<Vec<u32>> = lessons.iter().map(|lesson| lesson.chosen.clone()).collect();
            orders.iter_mut().for_each(|order| chance.shuffle(order));
            let cut =
                |(lesson, order): (usize, &'_ Vec<u32>)| (0..order.len().div_ceil(batch)).map(move |at| (lesson, at)).collect::<Vec<_>>();
            let mut batches: Vec<(usize, usize)> = orders.iter().enumerate().flat_map(cut).collect();
            if lessons.len() > 1 {
                chance.shuffle(&mut batches);
            }
            let mut losses = 0.0;
            for (lesson, at) in &batches {
                if self.stopped() {
                    return fitted;
                }
                let rows = &orders[*lesson][at * batch..];
                let reading = fitted.reading(lessons[*lesson].branch, lessons[*lesson].rows).expect("the branch is learnt");
                let (loss, gradients) =
                    fitted.network.gradients(&reading, &rows[..rows.len().min(batch)], self.options.dropout, &mut chance);
                optimizer.step(&mut fitted.network, &gradients);
                losses += loss;
                running = if running == 0.0 { loss } else { 0.98 * running + 0.02 * loss };
                self.done += 1;
                let stage = [Stage::Choosing, Stage::Validating, Stage::Refitting][part as usize - 1];
                (self.progress)(&Step { done: self.done, of: self.of, stage, epoch, loss: running, average_precision: shown });
            }
            shown = after(self, &fitted, losses / batches.len() as f64).or(shown);
        }
        fitted
    }
}

fn rows_of(sample: &Sample, branch: usize) -> &Rows {
    [&sample.payment, &sample.transfer][branch]
}

/// Places of the inputs that a model may read.
fn offered(names: &[String], without: Option<Ablation>) -> Vec<usize> {
    let left = |name: &str| !only_grows(name, names) && without.is_none_or(|without| without.leaves(name));
    (0..names.len()).filter(|at| left(&names[*at])).collect()
}
