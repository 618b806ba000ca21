//! A model is learnt from what a company went through: better than chance, and the same from the same seed.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use weir::event::{Duration, EventType};
use weir::learn::{Sample, SampleOptions, Stage, Step, TrainError, TrainOptions, Trained, train};
use weir::runtime::{EvaluateOptions, GatherOptions, Input, ModelFile, evaluate, gather};
use weir::sim::company::{Company, Options, occurrence};
use weir::topology::Topology;

const DAY: Duration = Duration::DAY;
/// Days that are learnt from, and days in which labels come.
const DAYS: i64 = 12;
const WAITED: i64 = 14;

/// A small company with much fraud.
fn company() -> Options {
    Options { activities_per_day: 1_500, fraud_permyriad: 400, laundering_permyriad: 0, ..Options::of(5, 1_000) }
}

fn sample(dir: &Path, seed: u64) -> Sample {
    let path = dir.join("company.jsonl");
    let options = company();
    if !path.exists() {
        let (mut lines, mut writer) = (Vec::new(), occurrence::Writer::default());
        let end = options.start + DAY.times(DAYS + WAITED);
        for occurrence in Company::new(options.clone()).take_while(|occurrence| occurrence.time < end) {
            writer.write(&occurrence, &mut lines);
        }
        fs::write(&path, lines).expect("a scratch file");
    }
    let until = options.start + DAY.times(DAYS);
    let gathering = GatherOptions { from: options.start, until, label_delay: DAY.times(WAITED), batch: 64, progress: false };
    let sampling = SampleOptions {
        seed,
        validation_from: until - DAY.times(3),
        validation_share: 0.25,
        goods_per_bad: 10,
        validation_goods_max: 10_000,
        bytes_max: 1 << 30,
    };
    let topology = Topology::load(&[]).expect("the built-in topology");
    let input = Input::Files(Box::new(topology), vec![path], None);
    let gathered = gather(&input, &gathering, |inputs, expected| Ok(Sample::new(inputs.names(), expected, sampling)));
    match gathered {
        Ok((sample, _)) => sample,
        Err(error) => panic!("{error}"),
    }
}

fn learn(sample: &Sample, options: &TrainOptions, stop: &AtomicBool, steps: &mut Vec<Step>) -> Result<Trained, TrainError> {
    train(sample, options, stop, &mut |step| steps.push(*step))
}

#[test]
fn a_model_is_learnt_and_learnt_again() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let sample = sample(dir.path(), 1);
    let options = TrainOptions { epochs: Some(4), batch: 128, ..TrainOptions::default() };
    let (never, mut steps) = (AtomicBool::new(false), Vec::new());
    let trained = learn(&sample, &options, &never, &mut steps).expect("enough to learn from");

    let [first, .., last] = &trained.epochs[..] else { panic!("{:?}", trained.epochs) };
    assert!(last.loss < 0.8 * first.loss, "{:?}", trained.epochs);
    let [learnt] = &trained.branches[..] else { panic!("{:?}", trained.branches) };
    assert_eq!((learnt.kind, trained.left_out.len(), trained.refitted), (EventType::Payment, 1, true));
    let validation = learnt.validation;
    assert!(validation.average_precision > 3.0 * validation.bad_share, "{validation:?}");
    assert!(validation.auc_roc > 0.75, "{validation:?}");
    assert!(learnt.inputs.len() <= options.inputs_max && learnt.inputs.len() < learnt.offered, "{:?}", learnt.inputs);
    assert!(!learnt.inputs.iter().any(|name| name.ends_with(".events") || name == "amount_minor"), "{:?}", learnt.inputs);
    let reference = trained.model.payment.as_ref().and_then(|branch| branch.reference.as_ref()).expect("what it met");
    assert!(reference.figures.len() == 16 && reference.figures.iter().all(|(name, _)| learnt.inputs.contains(name)), "{reference:?}");
    for (name, spread) in reference.figures.iter().map(|(name, spread)| (name.as_str(), spread)).chain([("score", &reference.score)]) {
        let sum: f32 = spread.shares.iter().sum();
        assert!((sum - 1.0).abs() < 1e-3 && spread.shares.iter().all(|share| *share >= 0.0), "{name} {spread:?}");
    }
    let score = &reference.score;
    assert!(score.edges.len() >= 5 && score.shares.iter().all(|share| *share < 0.3), "ten parts, about as heavy as each other: {score:?}");
    let end = steps.last().expect("steps were told");
    assert_eq!((end.done, end.stage), (end.of, Stage::Refitting));

    let again = learn(&sample, &options, &never, &mut Vec::new()).expect("enough to learn from");
    assert!(again == trained, "one seed, two models");
    assert_eq!(again.model.to_bytes(), trained.model.to_bytes());
    let other = learn(&sample, &TrainOptions { seed: 2, ..options }, &never, &mut Vec::new()).expect("enough to learn from");
    assert_ne!(other.model, trained.model);

    stopped_early(&sample, &options, &trained);
    served(dir.path(), &sample, &options);
    let needy = TrainOptions { bads_min: 1 << 20, ..options };
    let error = learn(&sample, &needy, &never, &mut Vec::new()).expect_err("too few");
    assert!(error.to_string().contains("expected at least 1048576"), "{error}");
}

/// What serves says of the validation's events what was said in training: the same ranking from a file read by another forward pass, over
/// neighbourhoods gathered again.
fn served(dir: &Path, sample: &Sample, options: &TrainOptions) {
    let unseen = TrainOptions { refit: false, ..*options };
    let trained = learn(sample, &unseen, &AtomicBool::new(false), &mut Vec::new()).expect("enough to learn from");
    let validation = trained.branches[0].validation;
    let path = dir.join("model.safetensors");
    fs::write(&path, trained.model.to_bytes()).expect("a scratch file");
    let topology = Topology::load(&[]).expect("the built-in topology");
    let model = ModelFile::read(&path).expect("a model");
    let input = Input::Files(Box::new(topology), vec![dir.join("company.jsonl")], Some(model));
    let judging = EvaluateOptions {
        from: sample.options.validation_from,
        until: company().start + DAY.times(DAYS),
        label_delay: Some(DAY.times(WAITED)),
        threshold: None,
        hindsight: true,
        model: Some(path),
        patterns: None,
        scores: None,
        batch: 64,
        progress: false,
    };
    let report = evaluate(&input, &judging).expect("a report");
    let found = report.figures.average_precision.expect("some were bad");
    // Sums in another order may swap two that are as good as equal.
    assert!((found - validation.average_precision).abs() < 1e-3, "{found} served, {} in training", validation.average_precision);
    let predicted: f64 = report.figures.reliability.iter().map(|bin| bin.predicted * bin.events as f64).sum();
    let observed: f64 = report.figures.reliability.iter().map(|bin| bin.observed * bin.events as f64).sum();
    assert!((0.8..1.25).contains(&(predicted / observed)), "{predicted} bad predicted, {observed} came");
}

/// Who stops during the last fit gets the one that was validated; who stops before the first validation gets nothing.
fn stopped_early(sample: &Sample, options: &TrainOptions, whole: &Trained) {
    let stop = AtomicBool::new(false);
    let trained = train(sample, options, &stop, &mut |step| stop.store(step.stage == Stage::Refitting, Ordering::Relaxed));
    let trained = trained.expect("a model was validated");
    assert!(trained.stopped && !trained.refitted);
    assert_eq!((trained.best, &trained.epochs), (whole.best, &whole.epochs));
    assert_ne!(trained.model, whole.model);
    let stop = AtomicBool::new(true);
    assert_eq!(train(sample, options, &stop, &mut |_| {}), Err(TrainError::Stopped));
}
