//! Patterns: what many events are together. Whether they were found, and after how many of their events.

use serde::Serialize;
use std::collections::BTreeMap;

/// A pattern whose events went by.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    pub typology: String,
    /// Those of its events that a model judged: the how many-th of its events in the stream, from 1, and the probability; in their order.
    pub judged: Vec<(u64, f64)>,
}

/// What was found of patterns.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PatternReport {
    /// From which probability on an event counts as caught; a pattern is found by any of its events.
    pub threshold: Option<f64>,
    #[serde(flatten)]
    pub all: PatternRecall,
    pub by_typology: BTreeMap<String, PatternRecall>,
    /// Patterns of which nothing was judged from `from` until `until`: they are in no figure.
    pub unjudged: u64,
}

/// How many patterns were found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PatternRecall {
    pub patterns: u64,
    pub found: u64,
    pub recall: f64,
    /// The how many-th of a pattern's events was the first that was caught: the middle one and the mean of those found.
    pub events_until_found_median: Option<f64>,
    pub events_until_found_mean: Option<f64>,
    /// Patterns found by their first event, and by one of their first three.
    pub found_by_first: u64,
    pub found_by_third: u64,
}

impl PatternReport {
    /// Judges `patterns` by the threshold; none where nothing counts as caught.
    pub fn of(patterns: &[Pattern], threshold: Option<f64>) -> PatternReport {
        let judged: Vec<&Pattern> = patterns.iter().filter(|pattern| !pattern.judged.is_empty()).collect();
        let mut by_typology: BTreeMap<String, Vec<&Pattern>> = BTreeMap::new();
        for pattern in &judged {
            by_typology.entry(pattern.typology.clone()).or_default().push(pattern);
        }
        PatternReport {
            threshold,
            all: recall(&judged, threshold),
            by_typology: by_typology.into_iter().map(|(name, patterns)| (name, recall(&patterns, threshold))).collect(),
            unjudged: (patterns.len() - judged.len()) as u64,
        }
    }
}

fn recall(patterns: &[&Pattern], threshold: Option<f64>) -> PatternRecall {
    let first = |pattern: &&Pattern| {
        let caught = pattern.judged.iter().find(|(_, probability)| threshold.is_some_and(|threshold| *probability >= threshold));
        caught.map(|(ordinal, _)| *ordinal)
    };
    let mut firsts: Vec<u64> = patterns.iter().filter_map(first).collect();
    firsts.sort_unstable();
    let count = firsts.len();
    let within = |events: u64| firsts.iter().filter(|first| **first <= events).count() as u64;
    let some = |figure: f64| (count > 0).then_some(figure);
    PatternRecall {
        patterns: patterns.len() as u64,
        found: count as u64,
        recall: if patterns.is_empty() { 0.0 } else { count as f64 / patterns.len() as f64 },
        events_until_found_median: (count > 0).then(|| (firsts[(count - 1) / 2] + firsts[count / 2]) as f64 / 2.0),
        events_until_found_mean: some(firsts.iter().sum::<u64>() as f64 / count as f64),
        found_by_first: within(1),
        found_by_third: within(3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(typology: &str, judged: &[(u64, f64)]) -> Pattern {
        Pattern { typology: typology.to_owned(), judged: judged.to_vec() }
    }

    #[test]
    fn a_pattern_is_found_by_its_first_event_above_the_threshold() {
        let patterns = [
            pattern("cycle", &[(1, 0.1), (2, 0.5), (3, 0.9)]),
            pattern("cycle", &[(4, 0.2), (5, 0.7)]),
            pattern("cycle", &[(1, 0.4)]),
            pattern("fan_in", &[(1, 0.6)]),
            pattern("fan_in", &[]),
        ];
        let report = PatternReport::of(&patterns, Some(0.5));
        assert_eq!((report.all.patterns, report.all.found, report.all.recall, report.unjudged), (4, 3, 0.75, 1));
        assert_eq!((report.all.events_until_found_median, report.all.events_until_found_mean), (Some(2.0), Some(8.0 / 3.0)));
        assert_eq!((report.all.found_by_first, report.all.found_by_third), (1, 2));
        let cycle = report.by_typology["cycle"];
        assert_eq!((cycle.patterns, cycle.found, cycle.events_until_found_median), (3, 2, Some(3.5)));
        let nothing = PatternReport::of(&patterns, None);
        assert_eq!((nothing.all.found, nothing.all.events_until_found_mean), (0, None));
        assert_eq!(PatternReport::of(&[], Some(0.5)).all.recall, 0.0);
    }
}
