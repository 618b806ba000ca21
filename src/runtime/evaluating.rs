//! Prequential evaluation: the whole stream is stepped as it came, each event judged before its label was known; then the labels judge.

use super::error::ReplayError;
use super::history::{History, Labels, Names, Stepped, Stepping};
use super::patterns::Patterns;
use super::scores::{Score, Scores, ScoresError};
use super::source::Input;
use crate::decision::Decision;
use crate::engine::Output;
use crate::evaluate::{Card, Judged, Report, Scope, report};
use crate::event::{Duration, EventType, IdKind, Timestamp};
use crate::journal::hex;
use std::fmt;
use std::path::{Path, PathBuf};

/// What is evaluated.
#[derive(Clone, Debug)]
pub struct EvaluateOptions {
    /// Payments and transfers with `from <= time < until` are reported on.
    pub from: Timestamp,
    pub until: Timestamp,
    /// Labels that come until `until` and so much later say what the events were; `None`: all of the files.
    pub label_delay: Option<Duration>,
    /// From which probability on an event counts as caught; `None`: where F1 is best.
    pub threshold: Option<f64>,
    /// Whether the model may know labels of these events or later ones; it sways no figure, and stands in every output.
    pub hindsight: bool,
    /// The model's file; without hindsight the card beside it must say that the model knows no label of `from` or later.
    pub model: Option<PathBuf>,
    /// Which events are one pattern: a file.
    pub patterns: Option<PathBuf>,
    /// Where the probabilities are written.
    pub scores: Option<PathBuf>,
    /// Records a step; no figure depends on it.
    pub batch: usize,
    /// Whether progress may be shown.
    pub progress: bool,
}

/// Why nothing can be said.
#[derive(Debug)]
pub enum EvaluateError {
    Replay(ReplayError),
    Scores(ScoresError),
    /// What is wrong with the file of patterns.
    Patterns(PathBuf, String),
    /// What is wrong with the model's card.
    Card(PathBuf, String),
    /// The model knows labels until then.
    Hindsight(PathBuf, Timestamp),
    /// No payment or transfer of the span was judged by a model; so many were decided without one.
    NoModel(u64),
}

impl fmt::Display for EvaluateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EvaluateError::Replay(error) => write!(f, "{error}"),
            EvaluateError::Scores(error) => write!(f, "{error}"),
            EvaluateError::Card(path, what) | EvaluateError::Patterns(path, what) => write!(f, "{}: {what}", path.display()),
            EvaluateError::Hindsight(path, known) => {
                write!(f, "{}: the model knows labels until {known}: expected --from then or later, or --hindsight", path.display())
            }
            EvaluateError::NoModel(0) => write!(f, "found no payment or transfer from --from until --until, expected some"),
            EvaluateError::NoModel(decided) => {
                write!(f, "no model judged the {decided} payments and transfers from --from until --until, expected --model")
            }
        }
    }
}

impl std::error::Error for EvaluateError {}

impl From<ReplayError> for EvaluateError {
    fn from(error: ReplayError) -> EvaluateError {
        EvaluateError::Replay(error)
    }
}

/// Steps `input` and reports how well its events were judged.
///
/// # Errors
/// As those of [`super::replay`]; a file that cannot be read to its end; where no event was judged by a model.
pub fn evaluate(input: &Input, options: &EvaluateOptions) -> Result<Report, EvaluateError> {
    evaluate_by(input, options, probability)
}

/// The same with the probability that `probability` finds in a decision.
fn evaluate_by(input: &Input, options: &EvaluateOptions, probability: fn(&Decision) -> Option<f32>) -> Result<Report, EvaluateError> {
    if let (Some(model), false) = (&options.model, options.hindsight) {
        may_judge(model, options.from)?;
    }
    // First of all: what cannot be written in the end is told now.
    let scores =
        options.scores.as_deref().map(|path| Scores::create(path, options.hindsight)).transpose().map_err(EvaluateError::Scores)?;
    let wrong = |what: String| EvaluateError::Patterns(options.patterns.clone().unwrap_or_default(), what);
    let sources = match input {
        Input::Files(topology, ..) => &topology.sources[..],
        Input::Journal(_) => &[],
    };
    let patterns = options.patterns.as_deref().map(|path| Patterns::read(path, sources)).transpose().map_err(wrong)?;
    let labels_until = options.label_delay.map(|delay| options.until + delay);
    let labels = Labels::read(input, labels_until, options.progress, |_| {})?;
    let history = History::open(input)?;
    let mut evaluating = Evaluating { options, probability, labels, scores, patterns, judged: Vec::new(), unjudged: 0, model: None };
    let stepping = Stepping {
        what: "evaluating",
        batch: options.batch,
        until: None,
        progress: options.progress,
        names: Names::of(if options.scores.is_some() { &[IdKind::Event, IdKind::User, IdKind::Account] } else { &[] }),
    };
    history.step(stepping, |stepped| evaluating.take(stepped).map_err(EvaluateError::Scores))?;
    let Evaluating { labels, scores, patterns, judged, unjudged, model, .. } = evaluating;
    if judged.is_empty() {
        return Err(EvaluateError::NoModel(unjudged));
    }
    let patterns = patterns.map(|patterns| {
        let events = patterns.events();
        let expected = "expected ids as the stream has them, with their prefix";
        patterns.finish().ok_or_else(|| wrong(format!("none of its {events} events stands in the stream, {expected}")))
    });
    let patterns = patterns.transpose()?;
    scores.map_or(Ok(()), Scores::finish).map_err(EvaluateError::Scores)?;
    let (from, until, hindsight) = (options.from, options.until, options.hindsight);
    let scope = Scope { from, until, labels_until, hindsight, model: model.map(|model| hex(&model)) };
    let report = report(&judged, unjudged, options.threshold, scope, |scenario| labels.scenario(scenario));
    Ok(match &patterns {
        Some(patterns) => report.with_patterns(patterns),
        None => report,
    })
}

/// Refuses a model that has seen the answers.
fn may_judge(model: &Path, from: Timestamp) -> Result<(), EvaluateError> {
    let path = Card::beside(model);
    let text = std::fs::read_to_string(&path);
    let text = text.map_err(|error| EvaluateError::Card(path.clone(), format!("found no readable card of the model ({error})")))?;
    match Card::parse(&text) {
        Ok(card) if from < card.known_until => Err(EvaluateError::Hindsight(path, card.known_until)),
        Ok(_) => Ok(()),
        Err(error) => Err(EvaluateError::Card(path, error.to_string())),
    }
}

/// What the model says of the event's own kind of crime: of payments fraud, of transfers laundering.
fn probability(decision: &Decision) -> Option<f32> {
    decision.probability
}

/// Decisions on their way to a report.
struct Evaluating<'a> {
    options: &'a EvaluateOptions,
    probability: fn(&Decision) -> Option<f32>,
    labels: Labels,
    scores: Option<Scores>,
    patterns: Option<Patterns>,
    /// In the order of the stream.
    judged: Vec<Judged>,
    unjudged: u64,
    /// The model that judged last.
    model: Option<[u8; 16]>,
}

impl Evaluating<'_> {
    /// Takes the decisions of a batch; says how many were judged by now.
    fn take(&mut self, stepped: &Stepped<'_>) -> Result<u64, ScoresError> {
        for output in stepped.outputs {
            match output {
                // What a stand-in answered is no judgement: that comes as the other revision.
                Output::Decision(decision) if !decision.is_stand_in() => self.decided(decision, stepped.names)?,
                _ => {}
            }
        }
        Ok(self.judged.len() as u64)
    }

    fn decided(&mut self, decision: &Decision, names: &Names) -> Result<(), ScoresError> {
        let is_reported = (self.options.from..self.options.until).contains(&decision.time);
        let probability = (self.probability)(decision);
        if let Some(patterns) = &mut self.patterns {
            patterns.take(decision, probability.filter(|_| is_reported));
        }
        if !is_reported {
            return Ok(());
        }
        let is_payment = decision.kind == EventType::Payment;
        if let Some(scores) = &mut self.scores {
            scores.row(&Score {
                event: &names.text(decision.event),
                time: decision.time,
                user: &names.text(decision.key),
                fraud_probability: probability.filter(|_| is_payment),
                aml_probability: probability.filter(|_| !is_payment),
            })?;
        }
        self.model = decision.provenance.model.or(self.model);
        match probability {
            Some(probability) => self.judged.push(Judged {
                kind: decision.kind,
                time: decision.time,
                probability: f64::from(probability),
                bad: self.labels.is_bad(decision.event),
                user: is_payment.then_some(decision.key),
                scenario: self.labels.of(decision.event).and_then(|known| known.scenario),
            }),
            None => self.unjudged += 1,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Topology;
    use std::fs;

    /// Little memory, for little traffic.
    const SMALL: &str = "\
[limits]
nodes_max = 10_000
ids_max = 10_000
[limits.money]
rows_max = 10_000
warm_nodes_max = 1_000
pairs_max = 10_000
late_rows_max = 1_000
events_per_day = 100
[limits.access]
rows_max = 10_000
warm_nodes_max = 1_000
late_rows_max = 1_000
events_per_day = 100
[limits.interest]
rows_max = 10_000
warm_nodes_max = 1_000
late_rows_max = 1_000
events_per_day = 100
";

    fn payment(id: &str, time: &str, user: &str) -> String {
        format!(
            "{{\"id\":\"{id}\",\"type\":\"payment\",\"time\":\"2025-01-{time}Z\",\"user\":\"{user}\",\"merchant\":\"m\",\"amount\":100,\"currency\":\"EUR\"}}"
        )
    }

    fn label(time: &str, target: &str, verdict: &str, source: &str) -> String {
        format!(
            "{{\"id\":\"l-{target}-{source}\",\"type\":\"label\",\"time\":\"2025-01-{time}Z\",\"target\":\"{target}\",\"label\":\"{verdict}\",\"source\":\"{source}\",\"scenario\":\"stolen\"}}"
        )
    }

    /// The events of two days, one of the second that comes on the third, and labels of the third and the ninth.
    fn world() -> String {
        let transfer = payment("t1", "02T00:00:09", "a").replace("payment", "transfer").replace("user", "from").replace("merchant", "to");
        [
            payment("early", "01T23:59:59", "u1"),
            payment("p2", "02T00:00:02", "u1"),
            payment("p4", "02T00:00:04", "u2"),
            transfer,
            payment("p0", "02T12:00:00", "u3"),
            payment("later", "03T00:00:00", "u1"),
            // Received when `later` had been.
            payment("p6", "02T23:59:56", "u2"),
            label("03T06:00:00", "p2", "fraud", "chargeback"),
            label("03T06:00:01", "p4", "fraud", "analyst"),
            label("03T06:00:02", "p4", "legitimate", "chargeback"),
            label("03T06:00:03", "t1", "laundering", "analyst"),
            label("09T00:00:00", "p6", "fraud", "chargeback"),
        ]
        .join("\n")
            + "\n"
    }

    /// The tenth of the time's last digit; where that is 0, nothing.
    fn by_time(decision: &Decision) -> Option<f32> {
        let digit = decision.time.0 / Duration::SECOND.0 % 10;
        (digit > 0).then_some(digit as f32 / 10.0)
    }

    fn moment(day: i64) -> Timestamp {
        // 2025-01-01 and so many days.
        Timestamp(1_735_689_600_000_000) + Duration::DAY.times(day)
    }

    struct House(tempfile::TempDir);

    impl House {
        fn new() -> House {
            let dir = tempfile::tempdir().expect("a directory");
            fs::write(dir.path().join("small.toml"), SMALL).expect("it can be written");
            fs::write(dir.path().join("world.jsonl"), world()).expect("it can be written");
            House(dir)
        }

        fn options(&self) -> EvaluateOptions {
            EvaluateOptions {
                from: moment(1),
                until: moment(2),
                label_delay: None,
                threshold: Some(0.5),
                hindsight: false,
                model: None,
                patterns: None,
                scores: None,
                batch: 3,
                progress: false,
            }
        }

        fn evaluated(&self, options: &EvaluateOptions, probability: fn(&Decision) -> Option<f32>) -> Result<Report, EvaluateError> {
            let topology = Topology::load(&[self.0.path().join("small.toml")]).expect("it is sound");
            let input = Input::Files(Box::new(topology), vec![self.0.path().join("world.jsonl")], None);
            evaluate_by(&input, options, probability)
        }
    }

    /// Caught when planted: events before `from`; a late event left out because `until` had been reached; a weaker label over a stronger.
    #[test]
    fn events_of_the_span_are_judged_once_by_the_labels_in_force() {
        let house = House::new();
        let scores = house.0.path().join("scores.csv");
        let options = EvaluateOptions { scores: Some(scores.clone()), ..house.options() };
        let report = house.evaluated(&options, by_time).expect("a report");
        // p2 (0.2, bad), p4 (0.4, bad: the analyst has the last word), t1 (0.9, bad), p6 (0.6, bad); p0 has no probability.
        assert_eq!((report.figures.events, report.figures.positives, report.unjudged), (4, 4, 1));
        assert_eq!((report.figures.recall_by_scenario["stolen"].caught, report.figures.recall_by_scenario["stolen"].positives), (1, 3));
        assert_eq!(report.figures.recall_by_typology["stolen"].recall, 1.0);
        assert_eq!(report.by_type["payment"].events, 3);
        let expected = "\
event_id,time,user,fraud_probability,aml_probability
p2,2025-01-02T00:00:02Z,u1,0.20000000298023224,
p4,2025-01-02T00:00:04Z,u2,0.4000000059604645,
t1,2025-01-02T00:00:09Z,a,,0.8999999761581421
p0,2025-01-02T12:00:00Z,u3,,
p6,2025-01-02T23:59:56Z,u2,0.6000000238418579,
";
        assert_eq!(fs::read_to_string(scores).expect("it is there"), expected);
        // Two days after the span nobody knew of p6.
        let earlier = EvaluateOptions { label_delay: Some(Duration::DAY.times(2)), batch: 1, ..house.options() };
        let report = house.evaluated(&earlier, by_time).expect("a report");
        assert_eq!((report.figures.events, report.figures.positives, report.figures.precision), (4, 3, 0.5));
        assert_eq!(report.scope.labels_until, Some(moment(4)));
    }

    #[test]
    fn without_a_model_nothing_is_said_and_nothing_written() {
        let house = House::new();
        let scores = house.0.path().join("scores.parquet");
        let options = EvaluateOptions { scores: Some(scores.clone()), ..house.options() };
        let refused = |error: Result<Report, EvaluateError>| error.expect_err("it is refused").to_string();
        let told = refused(house.evaluated(&options, |_| None));
        assert_eq!(told, "no model judged the 5 payments and transfers from --from until --until, expected --model");
        assert!(!scores.exists());
        let nobody = EvaluateOptions { from: moment(20), until: moment(21), ..house.options() };
        let told = refused(house.evaluated(&nobody, by_time));
        assert_eq!(told, "found no payment or transfer from --from until --until, expected some");
    }

    /// Caught when planted: a card whose last label is of the moment `from` refused.
    #[test]
    fn a_model_is_not_asked_what_it_has_been_told() {
        let house = House::new();
        let model = house.0.path().join("fraud.safetensors");
        let knows =
            |until: &str| fs::write(house.0.path().join("fraud.json"), format!("{{\"known_until\":\"{until}\"}}")).expect("written");
        let options = EvaluateOptions { model: Some(model), ..house.options() };
        let told = |options: &EvaluateOptions| {
            house.evaluated(options, by_time).map(|report| report.scope.hindsight).map_err(|error| error.to_string())
        };
        let card = house.0.path().join("fraud.json").display().to_string();
        let none = told(&options).expect_err("there is no card");
        assert!(none.starts_with(&format!("{card}: found no readable card of the model (")), "{none}");
        knows("2025-01-02T00:00:00Z");
        assert_eq!(told(&options), Ok(false));
        knows("2025-01-02T00:00:01Z");
        let known = format!("{card}: the model knows labels until 2025-01-02T00:00:01Z: expected --from then or later, or --hindsight");
        assert_eq!(told(&options), Err(known));
        assert_eq!(told(&EvaluateOptions { hindsight: true, ..options }), Ok(true));
    }
}
