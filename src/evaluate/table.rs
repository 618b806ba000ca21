//! A report as people read it.

use super::patterns::{PatternRecall, PatternReport};
use super::report::{Figures, Recall, Report};
use std::collections::BTreeMap;
use std::fmt;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scope = &self.scope;
        writeln!(f, "{} events from {} until {}, {} of them bad", self.figures.events, scope.from, scope.until, self.figures.positives)?;
        match scope.labels_until {
            Some(end) => writeln!(f, "  labels                  as known at {end}")?,
            None => writeln!(f, "  labels                  as known at the end of the files")?,
        }
        if let Some(model) = &scope.model {
            writeln!(f, "  model                   {model}")?;
        }
        if scope.hindsight {
            writeln!(f, "  hindsight               allowed: the model may have learned from these events")?;
        }
        if self.unjudged > 0 {
            writeln!(f, "  not judged by a model   {}: in no figure below", self.unjudged)?;
        }
        table(&self.figures, self.threshold_chosen_on, f)?;
        for (kind, figures) in &self.by_type {
            writeln!(f, "\n{kind}s: {} events, {} of them bad", figures.events, figures.positives)?;
            table(figures, self.threshold_chosen_on, f)?;
        }
        if let Some(patterns) = &self.patterns {
            found(patterns, f)?;
        }
        writeln!(f, "\n  probabilities           events   predicted    observed")?;
        for bin in &self.figures.reliability {
            let span = format!("{:.5} – {:.5}", bin.least, bin.greatest);
            writeln!(f, "  {span:<20} {:>9}   {:>9.5}   {:>9.5}", bin.events, bin.predicted, bin.observed)?;
        }
        writeln!(f, "\n  day           events     bad   AUC ROC        AP   cards@100   precision   recall")?;
        for day in &self.per_day {
            writeln!(
                f,
                "  {} {:>9} {:>7}   {:>7}   {:>7}   {:>9}   {:>9.4}   {:.4}",
                day.day,
                day.events,
                day.positives,
                said(day.auc_roc),
                said(day.average_precision),
                said(day.card_precision_100),
                day.precision,
                day.recall
            )?;
        }
        Ok(())
    }
}

/// A figure, or that there is none.
fn said(figure: Option<f64>) -> String {
    figure.map_or("–".to_owned(), |figure| format!("{figure:.4}"))
}

fn table(figures: &Figures, chosen_on: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "  AUC ROC                 {}", said(figures.auc_roc))?;
    writeln!(f, "  average precision       {}", said(figures.average_precision))?;
    if figures.card_precision_100.is_some() {
        writeln!(f, "  card precision at 100   {}", said(figures.card_precision_100))?;
    }
    if let Some(threshold) = figures.threshold {
        let chosen = if chosen_on == "given" { chosen_on } else { "the best of these events" };
        let Figures { f1, precision, recall, .. } = figures;
        writeln!(f, "  F1                      {f1:.4}: precision {precision:.4}, recall {recall:.4} from {threshold:.6} on ({chosen})")?;
    }
    writeln!(f, "  Brier score             {}", figures.brier.map_or("–".to_owned(), |brier| format!("{brier:.6}")))?;
    writeln!(f, "  calibration error       {}", figures.expected_calibration_error.map_or("–".to_owned(), |error| format!("{error:.6}")))?;
    let ventiles: Vec<String> = figures.top_ventiles.iter().map(|ratio| said(*ratio)).collect();
    writeln!(f, "  predicted by observed   {} (top ventiles)", ventiles.join(", "))?;
    recalls("scenario", &figures.recall_by_scenario, f)?;
    recalls("typology", &figures.recall_by_typology, f)
}

fn recalls(what: &str, by_name: &BTreeMap<String, Recall>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (name, of) in by_name {
        writeln!(f, "  recall of {what} {name:<12} {:.4} ({} of {})", of.recall, of.caught, of.positives)?;
    }
    Ok(())
}

/// Patterns by typology, those of all last.
fn found(report: &PatternReport, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let from = report.threshold.map_or(String::new(), |threshold| format!(" from {threshold:.6} on"));
    writeln!(f, "\n  patterns, found by any of their events{from}")?;
    writeln!(
        f,
        "  {:<20} {:>8} {:>8} {:>8}   by the first   by three   events until found (median, mean)",
        "", "patterns", "found", "recall"
    )?;
    for (name, of) in report.by_typology.iter().map(|(name, of)| (name.as_str(), of)).chain([("all", &report.all)]) {
        let PatternRecall { patterns, found, recall, found_by_first, found_by_third, .. } = of;
        let [median, mean] =
            [of.events_until_found_median, of.events_until_found_mean].map(|of| of.map_or("–".to_owned(), |of| format!("{of:.1}")));
        writeln!(f, "  {name:<20} {patterns:>8} {found:>8} {recall:>8.4}   {found_by_first:>12}   {found_by_third:>8}   {median}, {mean}")?;
    }
    if report.unjudged > 0 {
        writeln!(f, "  no event judged: {} patterns, in no figure above", report.unjudged)?;
    }
    Ok(())
}
