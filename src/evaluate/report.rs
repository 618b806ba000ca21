//! All figures of a span of events, for machines and for people.

use super::calibration::{Bin, brier, equal_mass, expected_calibration_error, top_ventiles};
use super::cards::{OnCard, card_precision};
use super::patterns::{Pattern, PatternReport};
use super::ranking::{Caught, Ranking};
use super::{Judged, day};
use crate::event::{Duration, EventType, Id, Timestamp};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// Cards that are looked at each day.
const CARDS_LOOKED_AT: usize = 100;
/// Parts of a calibration curve.
const CALIBRATION_BINS: usize = 15;

/// What is reported on.
#[derive(Clone, Debug, Serialize)]
pub struct Scope {
    /// Events with `from <= time < until`.
    #[serde(serialize_with = "as_moment")]
    pub from: Timestamp,
    #[serde(serialize_with = "as_moment")]
    pub until: Timestamp,
    /// Labels until then say what the events were; `None`: all that ever came.
    #[serde(serialize_with = "as_moment_if")]
    pub labels_until: Option<Timestamp>,
    /// Whether the model may know labels of these events or later ones.
    pub hindsight: bool,
    /// The model's hash.
    pub model: Option<String>,
}

/// How well events were judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    pub events: u64,
    pub positives: u64,
    pub auc_roc: Option<f64>,
    pub average_precision: Option<f64>,
    /// The mean over the days; `None` where no event has a card.
    pub card_precision_100: Option<f64>,
    pub f1: f64,
    pub precision: f64,
    pub recall: f64,
    /// From which probability on an event counts as caught; `None` where none was given and nothing is bad.
    pub threshold: Option<f64>,
    pub brier: Option<f64>,
    pub expected_calibration_error: Option<f64>,
    /// Predicted by observed in the three twentieths with the greatest probabilities, the greatest first.
    pub top_ventiles: Vec<Option<f64>>,
    /// By what a payment's label names.
    pub recall_by_scenario: BTreeMap<String, Recall>,
    /// By what a transfer's label names.
    pub recall_by_typology: BTreeMap<String, Recall>,
    /// The calibration curve.
    pub reliability: Vec<Bin>,
}

/// How many of one kind were caught.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Recall {
    pub positives: u64,
    pub caught: u64,
    pub recall: f64,
}

/// A day of events, by UTC.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Day {
    /// As `2018-08-08`.
    pub day: String,
    pub events: u64,
    pub positives: u64,
    pub auc_roc: Option<f64>,
    pub average_precision: Option<f64>,
    pub card_precision_100: Option<f64>,
    /// At the threshold of the whole.
    pub precision: f64,
    pub recall: f64,
    pub brier: Option<f64>,
}

/// The result of an evaluation. As JSON its keys are those of the contract, in this order, and what else is worth knowing.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    #[serde(flatten)]
    pub figures: Figures,
    pub per_day: Vec<Day>,
    #[serde(flatten)]
    pub scope: Scope,
    /// `judged events`: the best of those reported on, which no one knows beforehand; or `given`.
    pub threshold_chosen_on: &'static str,
    /// Payments and transfers of the span that no model judged: they are in no figure.
    pub unjudged: u64,
    /// Where both were judged: payments and transfers apart.
    pub by_type: BTreeMap<&'static str, Figures>,
    /// Where it was said which events are one pattern.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patterns: Option<PatternReport>,
}

impl Report {
    /// Adds what was found of patterns: at the threshold of transfers, where these have one of their own.
    pub fn with_patterns(mut self, patterns: &[Pattern]) -> Report {
        let figures = self.by_type.get(EventType::Transfer.name()).unwrap_or(&self.figures);
        self.patterns = Some(PatternReport::of(patterns, figures.threshold));
        self
    }
}

/// Reports on `judged`, in the order of the stream. `threshold` is chosen on them where none is given; `name` says what a scenario is called.
pub fn report(judged: &[Judged], unjudged: u64, threshold: Option<f64>, scope: Scope, name: impl Fn(Id) -> String) -> Report {
    let name = &name;
    let figures = figures(judged, threshold, name);
    let kinds = [EventType::Payment, EventType::Transfer].map(|kind| (kind, of_kind(judged, kind)));
    let mixed = kinds.iter().all(|(_, judged)| !judged.is_empty());
    let by_type = kinds.iter().filter(|_| mixed).map(|(kind, judged)| (kind.name(), self::figures(judged, threshold, name))).collect();
    Report {
        per_day: per_day(judged, figures.threshold),
        figures,
        scope,
        threshold_chosen_on: if threshold.is_some() { "given" } else { "judged events" },
        unjudged,
        by_type,
        patterns: None,
    }
}

fn of_kind(judged: &[Judged], kind: EventType) -> Vec<Judged> {
    judged.iter().filter(|event| event.kind == kind).copied().collect()
}

fn figures(judged: &[Judged], threshold: Option<f64>, name: &dyn Fn(Id) -> String) -> Figures {
    let scored: Vec<(f64, bool)> = judged.iter().map(|event| (event.probability, event.bad)).collect();
    let ranking = Ranking::of(scored.iter().copied());
    let threshold = threshold.or_else(|| ranking.best_threshold());
    let Caught { f1, precision, recall } = ranking.at(threshold.unwrap_or(f64::INFINITY));
    let reliability = equal_mass(&scored, CALIBRATION_BINS);
    let days: Vec<f64> = card_precision(judged.iter().filter_map(on_card), CARDS_LOOKED_AT).iter().map(|day| day.precision).collect();
    Figures {
        events: judged.len() as u64,
        positives: judged.iter().filter(|event| event.bad).count() as u64,
        auc_roc: ranking.auc_roc(),
        average_precision: ranking.average_precision(),
        card_precision_100: (!days.is_empty()).then(|| days.iter().sum::<f64>() / days.len() as f64),
        f1,
        precision,
        recall,
        threshold,
        brier: brier(&scored),
        expected_calibration_error: expected_calibration_error(&reliability),
        top_ventiles: top_ventiles(&scored).iter().map(Bin::ratio).collect(),
        recall_by_scenario: recall_by_name(judged, EventType::Payment, threshold, name),
        recall_by_typology: recall_by_name(judged, EventType::Transfer, threshold, name),
        reliability,
    }
}

fn on_card(event: &Judged) -> Option<OnCard> {
    event.user.map(|card| OnCard { day: day(event.time), card, probability: event.probability, bad: event.bad })
}

/// What was caught of the bad whose label names what they were.
fn recall_by_name(judged: &[Judged], kind: EventType, threshold: Option<f64>, name: &dyn Fn(Id) -> String) -> BTreeMap<String, Recall> {
    let mut by_id: BTreeMap<Id, Recall> = BTreeMap::new();
    for event in judged.iter().filter(|event| event.bad && event.kind == kind) {
        let Some(scenario) = event.scenario else { continue };
        let of = by_id.entry(scenario).or_default();
        of.positives += 1;
        of.caught += u64::from(threshold.is_some_and(|threshold| event.probability >= threshold));
    }
    let share = |of: Recall| Recall { recall: of.caught as f64 / of.positives as f64, ..of };
    by_id.into_iter().map(|(id, of)| (name(id), share(of))).collect()
}

fn per_day(judged: &[Judged], threshold: Option<f64>) -> Vec<Day> {
    let mut days: BTreeMap<i64, Vec<(f64, bool)>> = BTreeMap::new();
    for event in judged {
        days.entry(day(event.time)).or_default().push((event.probability, event.bad));
    }
    let cards = card_precision(judged.iter().filter_map(on_card), CARDS_LOOKED_AT);
    let on = |(day, scored): (i64, Vec<(f64, bool)>)| {
        let ranking = Ranking::of(scored.iter().copied());
        let Caught { precision, recall, .. } = ranking.at(threshold.unwrap_or(f64::INFINITY));
        Day {
            day: Timestamp(day * Duration::DAY.0).to_string().chars().take(10).collect(),
            events: scored.len() as u64,
            positives: scored.iter().filter(|(_, bad)| *bad).count() as u64,
            auc_roc: ranking.auc_roc(),
            average_precision: ranking.average_precision(),
            card_precision_100: cards.iter().find(|card| card.day == day).map(|card| card.precision),
            precision,
            recall,
            brier: brier(&scored),
        }
    };
    days.into_iter().map(on).collect()
}

fn as_moment<S: Serializer>(moment: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(moment)
}

fn as_moment_if<S: Serializer>(moment: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match moment {
        Some(moment) => serializer.collect_str(moment),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{IdKey, IdKind};

    fn id(kind: IdKind, text: &str) -> Id {
        IdKey::FILES.id(kind, text.as_bytes())
    }

    fn payment(day: i64, user: &str, probability: f64, scenario: Option<&str>) -> Judged {
        Judged {
            kind: EventType::Payment,
            time: Timestamp(day * Duration::DAY.0 + 1),
            probability,
            bad: scenario.is_some(),
            user: Some(id(IdKind::User, user)),
            scenario: scenario.map(|text| id(IdKind::Symbol, text)),
        }
    }

    fn transfer(day: i64, probability: f64, typology: Option<&str>) -> Judged {
        Judged { kind: EventType::Transfer, user: None, ..payment(day, "nobody", probability, typology) }
    }

    fn scope() -> Scope {
        let day = |number: i64| Timestamp(number * Duration::DAY.0);
        Scope { from: day(0), until: day(9), labels_until: None, hindsight: false, model: None }
    }

    fn reported(judged: &[Judged], threshold: Option<f64>) -> Report {
        let names = ["1", "2", "fan_in"];
        report(judged, 3, threshold, scope(), |scenario| {
            names.into_iter().find(|name| id(IdKind::Symbol, name) == scenario).expect("one of those above").to_owned()
        })
    }

    fn world() -> Vec<Judged> {
        vec![
            payment(1, "a", 0.9, Some("1")),
            payment(1, "b", 0.8, None),
            payment(2, "a", 0.7, Some("2")),
            payment(2, "c", 0.2, Some("2")),
            payment(2, "d", 0.1, None),
            transfer(2, 0.6, Some("fan_in")),
            transfer(2, 0.3, None),
        ]
    }

    /// Planted: scenarios of transfers among those of payments; days by the hour.
    #[test]
    fn a_report_by_hand() {
        let report = reported(&world(), Some(0.5));
        let figures = &report.figures;
        assert_eq!((figures.events, figures.positives, report.unjudged), (7, 4, 3));
        assert_eq!((figures.precision, figures.recall, figures.threshold), (0.75, 0.75, Some(0.5)));
        // The card of a is found on the first day; on the second that of c.
        assert_eq!(figures.card_precision_100, Some(0.01));
        let recalls =
            |of: &BTreeMap<String, Recall>| of.iter().map(|(name, of)| (name.clone(), of.caught, of.positives)).collect::<Vec<_>>();
        assert_eq!(recalls(&figures.recall_by_scenario), [("1".to_owned(), 1, 1), ("2".to_owned(), 1, 2)]);
        assert_eq!(recalls(&figures.recall_by_typology), [("fan_in".to_owned(), 1, 1)]);
        let days: Vec<(&str, u64, u64, Option<f64>)> =
            report.per_day.iter().map(|day| (day.day.as_str(), day.events, day.positives, day.auc_roc)).collect();
        assert_eq!(days, [("1970-01-02", 2, 1, Some(1.0)), ("1970-01-03", 5, 3, Some(5.0 / 6.0))]);
        assert_eq!(report.per_day[1].recall, 2.0 / 3.0);
        assert_eq!(report.by_type["payment"].events + report.by_type["transfer"].events, 7);
        assert_eq!(report.by_type["transfer"].card_precision_100, None);
    }

    #[test]
    fn one_type_needs_no_second_table_and_the_best_threshold_says_so() {
        let report = reported(&world()[..5], None);
        assert!(report.by_type.is_empty());
        assert_eq!((report.figures.threshold, report.threshold_chosen_on), (Some(0.2), "judged events"));
        let nothing = reported(&[payment(1, "a", 0.5, None)], None);
        assert_eq!((nothing.figures.threshold, nothing.figures.f1, nothing.figures.auc_roc), (None, 0.0, None));
    }

    #[test]
    fn the_keys_are_those_of_the_contract() {
        let text = serde_json::to_string(&reported(&world(), None)).expect("it is JSON");
        let expected = [
            "events",
            "positives",
            "auc_roc",
            "average_precision",
            "card_precision_100",
            "f1",
            "precision",
            "recall",
            "threshold",
            "brier",
            "expected_calibration_error",
            "recall_by_scenario",
            "recall_by_typology",
            "per_day",
            "hindsight",
        ];
        let places: Vec<Option<usize>> = expected.iter().map(|key| text.find(&format!("\"{key}\":"))).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?} in {text}");
        assert!(text.contains("\"from\":\"1970-01-01T00:00:00Z\"") && text.contains("\"labels_until\":null"), "{text}");
    }
}
