//! What the topology declares, as the model asks for it: windows, horizons, maturities, kinds of pairs.

use super::{HORIZON_WITHOUT_WINDOWS, Model, Row, family_of};
use crate::event::{Duration, EventType, Id};
use crate::graph::Family;
use crate::velocity::{Aggregate, Role, Stat};
use std::collections::BTreeSet;

impl Model<'_> {
    pub(super) fn aggregates(&self, family: Family) -> impl Iterator<Item = &Aggregate> {
        self.options.aggregates.iter().filter(move |aggregate| family_of(aggregate.of) == family)
    }

    /// The longest of the windows of `family`, label windows apart.
    pub(super) fn longest_window(&self, family: Family) -> Option<Duration> {
        self.aggregates(family).flat_map(|aggregate| aggregate.windows.iter().copied()).max()
    }

    /// How long a row of `family` stays visible. The default maturity is always in force.
    pub(super) fn horizon(&self, family: Family) -> Duration {
        if self.aggregates(family).all(|aggregate| aggregate.windows.is_empty() && aggregate.label_windows.is_empty()) {
            return HORIZON_WITHOUT_WINDOWS;
        }
        let mut longest = self.longest_window(family).unwrap_or_default();
        for window in self.aggregates(family).flat_map(|aggregate| &aggregate.label_windows) {
            for maturity in self.maturities() {
                longest = longest.max(Duration(maturity.0 + window.0));
            }
        }
        longest
    }

    pub(super) fn maturities(&self) -> BTreeSet<Duration> {
        let own = self.options.sources.iter().filter_map(|source| source.maturity);
        own.chain([self.options.labels.maturity]).collect()
    }

    pub(super) fn maturity(&self, source: u16) -> Duration {
        let own = self.options.sources.get(usize::from(source)).and_then(|source| source.maturity);
        own.unwrap_or(self.options.labels.maturity)
    }

    /// The pair kinds of `family`, in the order in which the aggregates name them: event type, lower slot, higher slot.
    pub(super) fn pair_kinds(&self, family: Family) -> Vec<(EventType, u8, u8)> {
        let mut kinds = Vec::new();
        for aggregate in self.aggregates(family) {
            for stat in &aggregate.stats {
                if let Stat::Distinct(other) | Stat::Pair(other) = stat
                    && !kinds.contains(&pair_kind(aggregate, *other))
                {
                    kinds.push(pair_kind(aggregate, *other));
                }
            }
        }
        kinds
    }

    /// The pair kinds for which `row` brings a new pair that finds no place in the table.
    pub(super) fn pairs_without_place(&self, family: Family, row: &Row) -> BTreeSet<(u8, u8)> {
        let mut held = BTreeSet::new();
        for kind in self.pair_kinds(family) {
            for seen in self.visible(family).iter().filter(|seen| self.holds_pair_place(family, seen)) {
                if seen.kind == kind.0
                    && !seen.superseded.contains(&(kind.1, kind.2))
                    && let Some(pair) = pair_in(seen, kind)
                {
                    held.insert((kind, pair));
                }
            }
        }
        let mut without = BTreeSet::new();
        for kind in self.pair_kinds(family).into_iter().filter(|kind| kind.0 == row.kind) {
            let Some(pair) = pair_in(row, kind) else { continue };
            if held.contains(&(kind, pair)) {
                continue;
            }
            // The pair kinds of one row take their places in the order in which the aggregates name them.
            if held.len() >= self.options.limits.families[family as usize].pairs_max as usize {
                without.insert((kind.1, kind.2));
            } else {
                held.insert((kind, pair));
            }
        }
        without
    }

    /// Whether the row is inside the longest window and entered it, so that its pairs hold their places.
    pub(super) fn holds_pair_place(&self, family: Family, row: &Row) -> bool {
        let now = self.now.expect("an event was admitted");
        !row.late_full && self.longest_window(family).is_some_and(|longest| row.time > now - longest)
    }

    /// How many places of the late ring are taken.
    pub(super) fn late_places(&self, family: Family) -> usize {
        let now = self.now.expect("an event was admitted");
        let horizon = self.horizon(family);
        self.visible(family).iter().filter(|row| row.late_place && now < row.time + horizon).count()
    }

    /// Whether the row is known as one of its pair, and as such that its being the newest is known.
    pub(super) fn counts_for_pairs(&self, family: Family, row: &Row, kind: (EventType, u8, u8)) -> bool {
        let own = (kind.1, kind.2);
        row.kind == kind.0
            && pair_in(row, kind).is_some()
            && self.holds_pair_place(family, row)
            && !row.superseded.contains(&own)
            && !row.eclipsed.contains(&own)
    }
}

/// The kind of the pairs of an aggregate's key and `other`.
pub(super) fn pair_kind(aggregate: &Aggregate, other: Role) -> (EventType, u8, u8) {
    (aggregate.of, aggregate.key.0.min(other.0), aggregate.key.0.max(other.0))
}

/// The nodes of a row in the slots of a pair kind.
pub(super) fn pair_in(row: &Row, kind: (EventType, u8, u8)) -> Option<(Id, Id)> {
    Some((row.nodes[usize::from(kind.1)]?, row.nodes[usize::from(kind.2)]?))
}
