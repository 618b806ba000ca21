//! The canonical text of what decides: one text for one meaning, whatever the layers, comments and order it was written in.

use super::aggregate::{self, stat_name};
use super::alert::Calling;
use super::deciding::Deciding;
use super::document::{Document, Errors, Log};
use super::limits::{self, Form};
use super::published::{self, Published};
use super::quantity::{DURATION_MAX, format_billionths, format_day, format_share};
use super::section::Section;
use super::source::FRESH_MIN;
use super::{alert, guard, laundering, lists, money, policy, relation};
use crate::decision::{PolicyOptions, RuleOptions};
use crate::engine::{GuardOptions, SourceTime};
use crate::event::{CurrencyRates, Duration, Timestamp};
use crate::graph::Family;
use crate::typology::Typology;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// SHA-256 of a text: the name of a control record's blob.
pub fn content_hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

impl Deciding {
    /// Limits, aggregates, money, labels and the sources' times as TOML: sorted, without comments, every default written out. Paths,
    /// threads, batch size and all that only concerns running are absent.
    pub fn canonical_topology(&self) -> String {
        let mut out = Text::default();
        out.table("limits");
        let alerts = &self.alerts;
        out.number("alert_edges_max", alerts.limits.edges_max);
        out.number("alert_members_max", alerts.limits.members_max);
        out.number("alerts_max", alerts.limits.alerts_max);
        out.number("evidence_rows_max", alerts.limits.evidence_rows_max);
        out.number("ids_max", self.limits.ids_max);
        out.number("list_entries_max", self.lists.entries_max);
        out.number("nodes_max", self.limits.nodes_max);
        for family in Family::ALL {
            let limits = self.limits.families[family as usize];
            out.table(&format!("limits.{}", family.name()));
            out.number("late_rows_max", limits.late_rows_max);
            out.number("pairs_max", limits.pairs_max);
            out.number("rows_max", limits.rows_max);
            out.number("warm_nodes_max", limits.warm_nodes_max);
        }
        out.table("dedupe");
        out.number("days", self.dedupe.0 / Duration::DAY.0);
        out.table("time");
        out.duration("future_skew_max", self.future_skew_max);
        out.table("labels");
        out.duration("known", self.labels.known);
        out.duration("maturity", self.labels.maturity);
        out.table("money");
        out.text("reporting", self.rates.reporting.code());
        out.table("money.rates");
        for currency in &self.rates.currencies {
            out.rates(currency);
        }
        out.table("aggregate");
        for aggregate in &self.aggregates {
            out.table(&format!("aggregate.{}", aggregate.name));
            out.text("key", aggregate.key.name(aggregate.of));
            out.texts("label_windows", aggregate.label_windows.iter().map(Duration::to_string));
            out.text("of", aggregate.of.name());
            out.texts("stats", aggregate.stats.iter().map(|stat| stat_name(aggregate.of, *stat)));
            if let Some(filter) = &aggregate.filter {
                out.text("where", filter);
            }
            out.texts("windows", aggregate.windows.iter().map(Duration::to_string));
        }
        laundering::write(&self.laundering, &mut out);
        out.table("list");
        for list in &self.lists.lists {
            out.table(&format!("list.{}", list.name));
            out.text("effect", list.effect.name());
            out.texts("of", list.of.iter().map(|kind| kind.name().to_owned()));
        }
        out.table("source");
        for (name, time) in &self.sources {
            out.table(&format!("source.{name}"));
            for (key, length) in [("fresh_max", time.fresh_max), ("jump_max", time.jump_max), ("maturity", time.maturity)] {
                if let Some(length) = length {
                    out.duration(key, length);
                }
            }
        }
        out.0
    }

    /// What may change while a service runs as TOML: `[policy]`, `[guard]`, `[alert]`.
    pub fn canonical_policy(&self) -> String {
        canonical_policy(&self.policy, &self.guard, &self.alerts.into())
    }

    /// What decides, with what `text` states whole of `[policy]`, `[guard]` and `[alert]`; nothing else may stand in it. It must ask for no
    /// figure that these aggregates do not have.
    ///
    /// # Errors
    /// All its mistakes; `name` is how they call the text. Rules are not compiled here.
    pub fn with_policy(&self, name: &str, text: &str) -> Result<Deciding, Errors> {
        let document = published::whole(name, text)?;
        let log = Log::new(&document);
        let Published { policy, guard, alerts } = published::read_whole(&document, &log);
        let deciding = Deciding { policy, guard, alerts: alerts.within(self.alerts.limits), ..self.clone() };
        relation::check_policy(&deciding, &log);
        log.finish()?;
        Ok(deciding)
    }

    /// Reads canonical texts back. They are checked like any topology: a blob is input too.
    pub fn from_canonical(topology: &str, policy: &str) -> Result<Deciding, Errors> {
        let (mut document, mut errors) = (Document::default(), Vec::new());
        for (name, text) in [("canonical topology", topology), ("canonical policy", policy)] {
            errors.extend(document.lay(name, text).err().unwrap_or_default());
        }
        if !errors.is_empty() {
            return Err(Errors(errors));
        }
        let log = Log::new(&document);
        let root = Section::root(&document.root, &log);
        let times = limits::read_time(&root, Form::Canonical);
        let limits = limits::read(&root, Form::Canonical);
        let deciding = Deciding {
            limits: limits.limits,
            lists: lists::read(&root, limits.list_entries_max),
            guard: guard::read(&root.section("guard")),
            alerts: alert::read(&root.section("alert")).within(limits.alerts),
            aggregates: aggregate::read(&root.section("aggregate")),
            policy: policy::read(&root.section("policy")),
            laundering: laundering::read(&root.section("laundering")),
            rates: money::read(&root.section("money")),
            labels: times.labels,
            dedupe: times.dedupe,
            future_skew_max: times.future_skew_max,
            sources: root.section("source").named().into_iter().map(|(name, section)| (name.to_string(), read_source(&section))).collect(),
        };
        root.finish();
        relation::check(&deciding, &log);
        log.finish()?;
        Ok(deciding)
    }
}

/// What may change as TOML: thresholds, control group, rules and velocity limits, then the guard's numbers and those of alerts.
pub(super) fn canonical_policy(policy: &PolicyOptions, guard: &GuardOptions, alerts: &Calling) -> String {
    let mut out = Text::default();
    let thresholds = policy.thresholds;
    out.table("policy");
    out.number("challenge_risk_score_min", thresholds.challenge_risk_score_min);
    out.number("decline_risk_score_min", thresholds.decline_risk_score_min);
    out.number("review_risk_score_min", thresholds.review_risk_score_min);
    out.table("policy.control");
    out.text("share", &format_share(policy.control_share));
    for rule in &policy.rules {
        out.table(&format!("policy.rule.{}", rule.name));
        out.text("of", rule.of.name());
        out.text("outcome", rule.outcome.name());
        if rule.reason != RuleOptions::reason_by_default(rule.of, &rule.when) {
            out.text("reason", rule.reason.name());
        }
        out.number("risk_score", rule.risk_score);
        if !rule.text.is_empty() {
            out.text("text", &rule.text);
        }
        out.text("when", &rule.when);
    }
    for limit in &policy.velocity {
        out.table(&format!("policy.velocity.{}", limit.name));
        out.text("aggregate", &limit.aggregate);
        out.number("max", limit.max);
        out.text("of", limit.of.name());
        out.text("outcome", limit.outcome.name());
        out.number("risk_score", limit.risk_score);
        out.text("stat", &limit.stat);
        out.duration("window", limit.window);
    }
    out.table("guard");
    out.number("declines_min", guard.declines_min as i64);
    out.number("multiple", guard.multiple as i64);
    out.duration("rest", guard.rest);
    out.number("share_percent", guard.share_percent as i64);
    out.duration("window", guard.window);
    let typologies = &alerts.typologies;
    out.table("alert");
    out.number("bads_min", typologies.bads_min);
    out.number("bads_percent", typologies.bads_percent);
    out.number("cards_min", typologies.cards_min);
    out.duration("close_after", alerts.close_after);
    out.number("per_hour", alerts.per_hour);
    out.duration("testing_window", typologies.testing_window);
    out.number("users_min", typologies.users_min);
    out.duration("window", typologies.window);
    out.table("alert.laundering");
    for (typology, threshold) in Typology::LAUNDERING.iter().zip(&alerts.laundering) {
        out.table(&format!("alert.laundering.{}", typology.name()));
        out.number("alert", threshold.alert);
        out.number("interdict", threshold.interdict);
    }
    out.0
}

fn read_source(section: &Section) -> SourceTime {
    let time = SourceTime {
        jump_max: section.find_duration("jump_max", Duration(1)..=DURATION_MAX),
        maturity: section.find_duration("maturity", Duration(0)..=DURATION_MAX),
        fresh_max: section.find_duration("fresh_max", FRESH_MIN..=DURATION_MAX),
    };
    section.finish();
    time
}

/// TOML being written.
#[derive(Default)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn table(&mut self, path: &str) {
        self.line(format_args!("[{path}]"));
    }

    pub(super) fn number(&mut self, key: &str, number: impl Into<i64>) {
        self.line(format_args!("{key} = {}", number.into()));
    }

    pub(super) fn flag(&mut self, key: &str, flag: bool) {
        self.line(format_args!("{key} = {flag}"));
    }

    fn text(&mut self, key: &str, text: &str) {
        self.line(format_args!("{key} = {}", quote(text)));
    }

    pub(super) fn duration(&mut self, key: &str, length: Duration) {
        self.line(format_args!("{key} = \"{length}\""));
    }

    fn texts(&mut self, key: &str, texts: impl Iterator<Item = String>) {
        let quoted: Vec<String> = texts.map(|text| quote(&text)).collect();
        self.line(format_args!("{key} = [{}]", quoted.join(", ")));
    }

    fn rates(&mut self, currency: &CurrencyRates) {
        let code = currency.currency.code();
        if let [(Timestamp::MIN, billionths)] = currency.rates.as_slice() {
            self.line(format_args!("{code} = \"{}\"", format_billionths(*billionths)));
            return;
        }
        let by_day = currency.rates.iter().map(|(from, rate)| format!("\"{}\" = \"{}\"", format_day(*from), format_billionths(*rate)));
        self.line(format_args!("{code} = {{ {} }}", by_day.collect::<Vec<_>>().join(", ")));
    }

    fn line(&mut self, line: std::fmt::Arguments) {
        writeln!(self.0, "{line}").expect("a string takes every text");
    }
}

/// A TOML basic string.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for sign in text.chars() {
        match sign {
            '"' | '\\' => quoted.extend(['\\', sign]),
            _ if sign.is_control() => write!(quoted, "\\u{:04X}", u32::from(sign)).expect("a string takes every text"),
            _ => quoted.push(sign),
        }
    }
    quoted + "\""
}
