//! The declared aggregates of one family, compiled: which words of a warm record each row touches.

use super::aggregate::{Aggregate, Stat};
use crate::event::{Duration, EventType, IdKind};
use crate::graph::Family;

/// The family in whose ring events of this type have their rows.
pub fn family(of: EventType) -> Option<Family> {
    match of {
        EventType::Payment | EventType::Transfer => Some(Family::Money),
        EventType::Session => Some(Family::Access),
        EventType::Interaction => Some(Family::Interest),
        _ => None,
    }
}

/// Two slots of one event type whose pairs are tracked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairKind {
    pub of: EventType,
    /// The lower slot.
    pub a: usize,
    pub b: usize,
}

/// One distinct figure of an aggregate: the pair kind behind it and its first word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DistinctAt {
    pub pair_kind: usize,
    pub at: usize,
}

/// An aggregate with its places. Words are counted within a record's counters; each figure has one word a window (sums: two).
#[derive(Clone, Debug)]
pub struct Planned {
    /// Index among all aggregates.
    pub index: usize,
    /// Its bit in the rows' flags.
    pub bit: u32,
    pub of: EventType,
    pub key: usize,
    pub kind: IdKind,
    /// Indices into the family's windows, ascending.
    pub windows: Vec<usize>,
    pub count_at: Option<usize>,
    pub sum_at: Option<usize>,
    pub distinct: Vec<DistinctAt>,
    /// Whether the greatest recent amount is asked for.
    pub max: bool,
    /// The other slot and the pair kind of each pair figure.
    pub pairs: Vec<(usize, usize)>,
    /// Indices into the family's label windows, ascending.
    pub label_windows: Vec<usize>,
    /// First word of the bad counts; the good ones follow.
    pub labels_at: usize,
}

/// What a row that enters or leaves one window does to its nodes' counters.
#[derive(Clone, Debug)]
pub struct WindowOp {
    pub bit: u32,
    pub key: usize,
    pub count: Option<usize>,
    pub sum: Option<usize>,
    pub distinct: Vec<DistinctAt>,
}

/// What a row that becomes known, or whose label window ends, does.
#[derive(Clone, Copy, Debug)]
pub struct LabelOp {
    pub bit: u32,
    pub key: usize,
    pub bad: usize,
    pub good: usize,
}

/// The plan of one family.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// All windows of the family, ascending.
    pub windows: Vec<Duration>,
    pub label_windows: Vec<Duration>,
    pub aggregates: Vec<Planned>,
    pub pair_kinds: Vec<PairKind>,
    /// By window, then by type of row ([`row_type`]).
    pub window_ops: Vec<[Vec<WindowOp>; 4]>,
    /// By label window, then by type of row.
    pub label_ops: Vec<[Vec<LabelOp>; 4]>,
    /// Words of counters in a warm record: the most that any kind of node needs.
    pub counter_words: usize,
    /// How long rows stay visible.
    pub horizon: Duration,
    /// The slots that are keys of aggregates.
    pub key_slots: Vec<usize>,
}

/// Where nothing is declared, rows stay visible so long.
const HORIZON_WITHOUT_WINDOWS: Duration = Duration::DAY.times(30);

/// The number of a type that has rows.
#[inline(always)]
pub fn row_type(of: EventType) -> usize {
    match of {
        EventType::Payment => 0,
        EventType::Transfer => 1,
        EventType::Session => 2,
        _ => 3,
    }
}

impl Plan {
    /// Compiles the aggregates of `family`. They have been checked against the limits of [`super::aggregate`].
    pub fn new(family: Family, aggregates: &[Aggregate], maturity_longest: Duration) -> Plan {
        let own: Vec<(usize, &Aggregate)> = aggregates.iter().enumerate().filter(|(_, a)| self::family(a.of) == Some(family)).collect();
        let mut plan = Plan {
            windows: ascending(own.iter().flat_map(|(_, a)| a.windows.iter().copied())),
            label_windows: ascending(own.iter().flat_map(|(_, a)| a.label_windows.iter().copied())),
            ..Plan::default()
        };
        let mut used: Vec<(IdKind, usize)> = Vec::new();
        for (bit, (index, aggregate)) in own.iter().enumerate() {
            let planned = plan.place(bit as u32, *index, aggregate, &mut used);
            plan.aggregates.push(planned);
        }
        plan.counter_words = used.iter().map(|(_, words)| *words).max().unwrap_or(0);
        plan.horizon = plan
            .windows
            .last()
            .copied()
            .into_iter()
            .chain(plan.label_windows.last().map(|w| Duration(w.0 + maturity_longest.0)))
            .max()
            .unwrap_or(HORIZON_WITHOUT_WINDOWS);
        plan.key_slots = (0..crate::event::SLOTS).filter(|slot| plan.aggregates.iter().any(|a| a.key == *slot)).collect();
        plan.window_ops = (0..plan.windows.len()).map(|window| plan.ops_of_window(window)).collect();
        plan.label_ops = (0..plan.label_windows.len()).map(|window| plan.ops_of_label_window(window)).collect();
        plan
    }

    fn place(&mut self, bit: u32, index: usize, aggregate: &Aggregate, used: &mut Vec<(IdKind, usize)>) -> Planned {
        let key = usize::from(aggregate.key.0);
        let kind = aggregate.key.kind(aggregate.of);
        let windows: Vec<usize> = aggregate.windows.iter().map(|w| place_of(&self.windows, w)).collect();
        let label_windows: Vec<usize> = aggregate.label_windows.iter().map(|w| place_of(&self.label_windows, w)).collect();
        let entry = match used.iter().position(|(other, _)| *other == kind) {
            Some(entry) => entry,
            None => {
                used.push((kind, 0));
                used.len() - 1
            }
        };
        let at = &mut used[entry].1;
        let mut take = |words: usize| {
            let place = *at;
            *at += words;
            place
        };
        let count_at = aggregate.stats.contains(&Stat::Count).then(|| take(windows.len()));
        let (mut distinct, mut pairs) = (Vec::new(), Vec::new());
        for stat in &aggregate.stats {
            if let Stat::Distinct(role) | Stat::Pair(role) = stat {
                let other = usize::from(role.0);
                let pair_kind = PairKind { of: aggregate.of, a: key.min(other), b: key.max(other) };
                let number = match self.pair_kinds.iter().position(|known| *known == pair_kind) {
                    Some(number) => number,
                    None => {
                        self.pair_kinds.push(pair_kind);
                        self.pair_kinds.len() - 1
                    }
                };
                match stat {
                    Stat::Distinct(_) => distinct.push(DistinctAt { pair_kind: number, at: take(windows.len()) }),
                    _ => pairs.push((other, number)),
                }
            }
        }
        let max = aggregate.stats.contains(&Stat::Max);
        let labels_at = take(2 * label_windows.len());
        let sum_at = aggregate.stats.contains(&Stat::Sum).then(|| take(2 * windows.len()));
        Planned { index, bit, of: aggregate.of, key, kind, windows, count_at, sum_at, distinct, max, pairs, label_windows, labels_at }
    }

    fn ops_of_window(&self, window: usize) -> [Vec<WindowOp>; 4] {
        let mut ops: [Vec<WindowOp>; 4] = Default::default();
        for aggregate in &self.aggregates {
            let Some(local) = aggregate.windows.iter().position(|w| *w == window) else { continue };
            ops[row_type(aggregate.of)].push(WindowOp {
                bit: aggregate.bit,
                key: aggregate.key,
                count: aggregate.count_at.map(|at| at + local),
                sum: aggregate.sum_at.map(|at| at + 2 * local),
                distinct: aggregate.distinct.iter().map(|d| DistinctAt { at: d.at + local, ..*d }).collect(),
            });
        }
        ops
    }

    fn ops_of_label_window(&self, window: usize) -> [Vec<LabelOp>; 4] {
        let mut ops: [Vec<LabelOp>; 4] = Default::default();
        for aggregate in &self.aggregates {
            let Some(local) = aggregate.label_windows.iter().position(|w| *w == window) else { continue };
            let bad = aggregate.labels_at + local;
            let good = bad + aggregate.label_windows.len();
            ops[row_type(aggregate.of)].push(LabelOp { bit: aggregate.bit, key: aggregate.key, bad, good });
        }
        ops
    }

    /// The pair kind of two slots of a type.
    pub fn pair_kind(&self, of: EventType, one: usize, other: usize) -> Option<usize> {
        let sought = PairKind { of, a: one.min(other), b: one.max(other) };
        self.pair_kinds.iter().position(|kind| *kind == sought)
    }

    /// The longest window; pairs live in it.
    pub fn longest(&self) -> Duration {
        self.windows.last().copied().unwrap_or(self.horizon)
    }
}

fn ascending(lengths: impl Iterator<Item = Duration>) -> Vec<Duration> {
    let mut lengths: Vec<Duration> = lengths.collect();
    lengths.sort();
    lengths.dedup();
    lengths
}

fn place_of(sorted: &[Duration], length: &Duration) -> usize {
    sorted.binary_search(length).expect("collected from the same aggregates")
}
