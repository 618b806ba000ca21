//! Reading an aggregate's figures for one node: counters of warm nodes, a scan of at most four rows for cold ones.

use super::aggregate::{Aggregate, Stat};
use super::counters::sum;
use super::plan::{Plan, Planned};
use super::{Pair, Velocity, pair};
use crate::event::{Duration, SLOTS, Timestamp};
use crate::feature::{FeatureType, Schema, double, int};
use crate::graph::{COUNTERS_AT, Graph, Head, NodeId, Recent};

/// Whose figures are read.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// The key's node, or [`NodeId::NONE`].
    pub node: NodeId,
    /// Its newest rows in the aggregate's family.
    pub recent: &'a Recent,
    /// The judged event's nodes by slot where it is of the aggregate's own type: pairs are read for them.
    pub nodes: Option<&'a [NodeId; SLOTS]>,
}

/// Appends the columns of an aggregate to `schema`, in the order in which [`Velocity::read`] fills them, and to `blank` what they hold for an
/// event that has no key for it.
pub fn columns(aggregate: &Aggregate, schema: &mut Schema, blank: &mut Vec<u64>) {
    let name = &aggregate.name;
    let of = aggregate.of.name();
    let key = aggregate.key.name(aggregate.of);
    let mut column = |figure: String, kind, help: String| {
        blank.push(int(if figure.ends_with("_age_s") { -1 } else { 0 }));
        schema.push(format!("{name}.{figure}"), kind, help);
    };
    let has = |stat: Stat| aggregate.stats.contains(&stat);
    if has(Stat::Count) {
        for w in &aggregate.windows {
            column(format!("count_{w}"), FeatureType::Int, format!("{of} events of this {key} within {w}"));
        }
    }
    if has(Stat::Sum) {
        for w in &aggregate.windows {
            column(format!("sum_{w}"), FeatureType::Int, format!("reporting minor units of {of} events of this {key} within {w}"));
        }
    }
    for stat in &aggregate.stats {
        if let Stat::Distinct(role) = stat {
            let role = role.name(aggregate.of);
            for w in &aggregate.windows {
                column(format!("distinct_{role}_{w}"), FeatureType::Int, format!("different {role} of this {key} within {w}"));
            }
        }
    }
    if has(Stat::Max) {
        column("max".to_owned(), FeatureType::Int, format!("largest amount among the recent 16 events of this {key}"));
    }
    for stat in &aggregate.stats {
        if let Stat::Pair(role) = stat {
            let role = role.name(aggregate.of);
            column(format!("pair_{role}_count"), FeatureType::Int, format!("{of} events of this {key} with this {role}"));
            column(format!("pair_{role}_age_s"), FeatureType::Int, format!("seconds since this {key} last met this {role}, -1: never"));
        }
    }
    for w in &aggregate.label_windows {
        column(format!("bad_{w}"), FeatureType::Int, format!("known bad {of} events of this {key}, over {w} up to the label delay"));
    }
    for w in &aggregate.label_windows {
        column(format!("good_{w}"), FeatureType::Int, format!("known good {of} events of this {key}, over {w} up to the label delay"));
    }
    for w in &aggregate.label_windows {
        column(format!("bad_rate_{w}"), FeatureType::Double, format!("share of the bad among the known {of} events of this {key}, {w}"));
    }
}

impl Velocity {
    /// Fills the columns of the aggregate at `number` of this family's plan.
    #[inline]
    pub fn read(&self, graph: &Graph, number: usize, reading: Reading<'_>, out: &mut [u64]) {
        let planned = &self.plan.aggregates[number];
        let mut columns = Columns { out, at: 0 };
        let mut scanned;
        let words = match if reading.node.is_some() { graph.nodes.head(reading.node, self.family) } else { Head::Empty } {
            Head::Warm(record) => &graph.warm[self.family as usize].record(record)[COUNTERS_AT..],
            Head::Cold(_) => {
                // Four rows at most: the counters that a warm record would hold, made on the spot.
                scanned = NOTHING;
                for position in reading.recent.positions() {
                    self.scan(graph, planned, reading.node, *position, &mut scanned);
                }
                &scanned
            }
            Head::Empty => &EMPTY,
        };
        read_windows(planned, words, &mut columns);
        if planned.max {
            columns.int(self.greatest(graph, planned, &reading));
        }
        for (other, kind) in &planned.pairs {
            let known = reading.nodes.and_then(|nodes| self.pair(*kind, nodes[planned.key], nodes[*other], planned.key < *other));
            columns.int(known.map_or(0, |pair| i64::from(pair.count)));
            let newest = known.map(|pair| pair.newest).filter(|newest| *newest != Pair::GONE);
            columns.int(newest.map_or(-1, |newest| self.age_s(graph.rings[self.family as usize].row(newest).time)));
        }
        read_labels(planned, words, &mut columns);
    }

    fn age_s(&self, time: Timestamp) -> i64 {
        (self.now - time).0.div_euclid(Duration::SECOND.0)
    }

    /// The pair of the nodes in the key's and the other slot.
    fn pair(&self, kind: usize, key: NodeId, other: NodeId, key_is_lower: bool) -> Option<Pair> {
        if !key.is_some() || !other.is_some() {
            return None;
        }
        let (a, b) = if key_is_lower { (key, other) } else { (other, key) };
        self.pairs.get(pair::key(kind, a, b))
    }

    fn greatest(&self, graph: &Graph, planned: &Planned, reading: &Reading<'_>) -> i64 {
        let ring = &graph.rings[self.family as usize];
        let mut greatest = 0;
        for position in reading.recent.positions() {
            let row = ring.row(*position);
            if row.flags.aggregates() >> planned.bit & 1 != 0 && row.nodes[planned.key] == reading.node {
                greatest = greatest.max(row.amount_minor());
            }
        }
        greatest
    }

    /// Adds one row of a cold node to scratch counters.
    #[inline]
    fn scan(&self, graph: &Graph, planned: &Planned, node: NodeId, position: u32, words: &mut [u32]) {
        let row = graph.rings[self.family as usize].row(position);
        if row.flags.aggregates() >> planned.bit & 1 == 0 || row.nodes[planned.key] != node {
            return;
        }
        for (local, window) in planned.windows.iter().enumerate() {
            if row.time <= self.now - self.plan.windows[*window] {
                continue;
            }
            if let Some(at) = planned.count_at {
                words[at + local] += 1;
            }
            if let Some(at) = planned.sum_at {
                let total = sum(words, at + 2 * local).wrapping_add(row.amount_minor());
                words[at + 2 * local] = total as u32;
                words[at + 2 * local + 1] = (total as u64 >> 32) as u32;
            }
            for figure in &planned.distinct {
                words[figure.at + local] += u32::from(!row.flags.superseded(figure.pair_kind));
            }
        }
        if planned.label_windows.is_empty() {
            return;
        }
        let class = row.flags.maturity_class();
        let Some(bad) = self.known(row.flags.verdict(), row.time, class) else { return };
        let first = planned.labels_at + if bad { 0 } else { planned.label_windows.len() };
        for (local, window) in planned.label_windows.iter().enumerate() {
            words[first + local] += u32::from(self.in_label_window(row.time, class, *window));
        }
    }
}

/// More words than any node's counters take; checked where plans are made.
pub const SCAN_WORDS: usize = 512;

/// The counters of a node without events.
const NOTHING: [u32; SCAN_WORDS] = [0; SCAN_WORDS];
static EMPTY: [u32; SCAN_WORDS] = NOTHING;

struct Columns<'a> {
    out: &'a mut [u64],
    at: usize,
}

impl Columns<'_> {
    #[inline(always)]
    fn int(&mut self, value: i64) {
        self.out[self.at] = int(value);
        self.at += 1;
    }

    #[inline(always)]
    fn double(&mut self, value: f64) {
        self.out[self.at] = double(value);
        self.at += 1;
    }
}

#[inline(always)]
fn read_windows(planned: &Planned, words: &[u32], columns: &mut Columns<'_>) {
    let windows = planned.windows.len();
    if let Some(at) = planned.count_at {
        for word in &words[at..at + windows] {
            columns.int(i64::from(*word));
        }
    }
    if let Some(at) = planned.sum_at {
        for window in 0..windows {
            columns.int(sum(words, at + 2 * window));
        }
    }
    for figure in &planned.distinct {
        for word in &words[figure.at..figure.at + windows] {
            columns.int(i64::from(*word));
        }
    }
}

#[inline(always)]
fn read_labels(planned: &Planned, words: &[u32], columns: &mut Columns<'_>) {
    let windows = planned.label_windows.len();
    let (bad, good) = words[planned.labels_at..planned.labels_at + 2 * windows].split_at(windows);
    for word in bad.iter().chain(good) {
        columns.int(i64::from(*word));
    }
    for (bad, good) in bad.iter().zip(good) {
        let known = bad + good;
        columns.double(if known == 0 { 0.0 } else { f64::from(*bad) / f64::from(known) });
    }
}

/// The plan's figures that the reading order relies on.
pub(super) fn check(plan: &Plan) {
    assert!(plan.counter_words <= SCAN_WORDS, "the limits of aggregates keep a record's counters small");
}
