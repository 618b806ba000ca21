//! What of a topology sways decisions: nothing else enters its hash, and nothing of it is missing there.

use super::canonical::content_hash;
use crate::decision::{ListsOptions, PolicyOptions, Provenance};
use crate::engine::{AlertOptions, GuardOptions, LabelOptions, Options, SourceTime};
use crate::event::{Duration, IdKey, Rates};
use crate::graph::Limits;
use crate::render::PolicyTexts;
use crate::typology::laundering::LaunderingOptions;
use crate::velocity::Aggregate;

/// What decides.
#[derive(Clone, Debug, PartialEq)]
pub struct Deciding {
    pub limits: Limits,
    /// Sorted by name.
    pub aggregates: Vec<Aggregate>,
    pub policy: PolicyOptions,
    pub lists: ListsOptions,
    pub guard: GuardOptions,
    pub alerts: AlertOptions,
    pub laundering: LaunderingOptions,
    pub rates: Rates,
    pub labels: LabelOptions,
    /// How long an id keeps its answer.
    pub dedupe: Duration,
    pub future_skew_max: Duration,
    /// Sorted by name: [`crate::event::Origin::source`] is an index into it.
    pub sources: Vec<(String, SourceTime)>,
}

impl Deciding {
    /// The options of an engine that decides so.
    pub fn engine_options(&self, id_key: IdKey, threads: usize) -> Options {
        Options {
            limits: self.limits,
            aggregates: self.aggregates.clone(),
            policy: self.policy.clone(),
            lists: self.lists.clone(),
            guard: self.guard,
            alerts: self.alerts,
            laundering: self.laundering,
            rates: self.rates.clone(),
            labels: self.labels,
            dedupe: self.dedupe,
            future_skew_max: self.future_skew_max,
            sources: self.sources.iter().map(|(_, time)| *time).collect(),
            id_key,
            provenance: self.provenance(),
            threads,
        }
    }

    /// The words for its causes and lists.
    pub fn texts(&self) -> PolicyTexts {
        let texts = PolicyTexts::new(&self.policy, &self.aggregates, &self.lists, self.rates.reporting);
        texts.with_sources(self.sources.iter().map(|(name, _)| &**name))
    }

    /// The hashes that decisions bear.
    pub fn provenance(&self) -> Provenance {
        let short = |text: &str| content_hash(text)[..16].try_into().expect("half of 32 bytes");
        Provenance { model: None, policy: short(&self.canonical_policy()), topology: short(&self.canonical_topology()) }
    }
}
