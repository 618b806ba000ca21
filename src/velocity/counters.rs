//! Adding a row to its nodes' counters and taking it off again: the same words, the other sign.

use super::plan::{DistinctAt, Plan, row_type};
use crate::graph::{COUNTERS_AT, Family, Graph, Head, NodeId, Row};

/// Whether a row comes or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    Plus,
    Minus,
}

#[inline(always)]
fn bump(words: &mut [u32], at: usize, sign: Sign) {
    match sign {
        Sign::Plus => words[at] += 1,
        Sign::Minus => words[at] -= 1,
    }
}

/// A sum's two words as one number.
#[inline(always)]
pub fn sum(words: &[u32], at: usize) -> i64 {
    (u64::from(words[at]) | u64::from(words[at + 1]) << 32) as i64
}

#[inline(always)]
fn bump_sum(words: &mut [u32], at: usize, amount_minor: i64, sign: Sign) {
    let value = match sign {
        Sign::Plus => sum(words, at).wrapping_add(amount_minor),
        Sign::Minus => sum(words, at).wrapping_sub(amount_minor),
    };
    words[at] = value as u32;
    words[at + 1] = (value as u64 >> 32) as u32;
}

/// The counters of a warm node.
#[inline(always)]
fn counters(graph: &mut Graph, family: Family, node: NodeId) -> Option<&mut [u32]> {
    if !node.is_some() {
        return None;
    }
    match graph.nodes.head(node, family) {
        Head::Warm(record) => Some(&mut graph.warm[family as usize].record_mut(record)[COUNTERS_AT..]),
        _ => None,
    }
}

#[inline(always)]
fn belongs(row: &Row, bit: u32) -> bool {
    row.flags.aggregates() >> bit & 1 != 0
}

#[inline(always)]
fn bump_distinct(words: &mut [u32], row: &Row, distinct: &[DistinctAt], sign: Sign) {
    for figure in distinct {
        if !row.flags.superseded(figure.pair_kind) {
            bump(words, figure.at, sign);
        }
    }
}

/// A row enters or leaves a window of all its warm nodes.
#[inline(always)]
pub fn add_row(plan: &Plan, graph: &mut Graph, family: Family, row: &Row, window: usize, sign: Sign) {
    for op in &plan.window_ops[window][row_type(row.flags.kind())] {
        if !belongs(row, op.bit) {
            continue;
        }
        let Some(words) = counters(graph, family, row.nodes[op.key]) else { continue };
        if let Some(at) = op.count {
            bump(words, at, sign);
        }
        if let Some(at) = op.sum {
            bump_sum(words, at, row.amount_minor(), sign);
        }
        bump_distinct(words, row, &op.distinct, sign);
    }
}

/// A row enters the windows of its nodes for which `enters` holds.
#[inline(always)]
pub fn add_new_row(plan: &Plan, graph: &mut Graph, family: Family, row: &Row, enters: impl Fn(usize) -> bool) {
    let kind = row.flags.kind();
    for planned in plan.aggregates.iter().filter(|planned| planned.of == kind && belongs(row, planned.bit)) {
        let Some(words) = counters(graph, family, row.nodes[planned.key]) else { continue };
        for (local, _) in planned.windows.iter().enumerate().filter(|(_, window)| enters(**window)) {
            if let Some(at) = planned.count_at {
                bump(words, at + local, Sign::Plus);
            }
            if let Some(at) = planned.sum_at {
                bump_sum(words, at + 2 * local, row.amount_minor(), Sign::Plus);
            }
            for figure in planned.distinct.iter().filter(|figure| !row.flags.superseded(figure.pair_kind)) {
                bump(words, figure.at + local, Sign::Plus);
            }
        }
    }
}

/// As [`add_row`], for one of the row's nodes whose counters are `words`.
pub fn add_row_for(plan: &Plan, row: &Row, window: usize, node: NodeId, words: &mut [u32], sign: Sign) {
    for op in &plan.window_ops[window][row_type(row.flags.kind())] {
        if !belongs(row, op.bit) || row.nodes[op.key] != node {
            continue;
        }
        if let Some(at) = op.count {
            bump(words, at, sign);
        }
        if let Some(at) = op.sum {
            bump_sum(words, at, row.amount_minor(), sign);
        }
        bump_distinct(words, row, &op.distinct, sign);
    }
}

/// A row begins or ceases to stand for its pair in a window.
pub fn add_distinct(plan: &Plan, graph: &mut Graph, family: Family, row: &Row, window: usize, pair_kind: usize, sign: Sign) {
    for op in &plan.window_ops[window][row_type(row.flags.kind())] {
        if !belongs(row, op.bit) {
            continue;
        }
        let Some(figure) = op.distinct.iter().find(|figure| figure.pair_kind == pair_kind) else { continue };
        if let Some(words) = counters(graph, family, row.nodes[op.key]) {
            bump(words, figure.at, sign);
        }
    }
}

/// A row begins or ceases to count as bad or good in a label window.
#[inline(always)]
pub fn add_labels(plan: &Plan, graph: &mut Graph, family: Family, row: &Row, window: usize, bad: bool, sign: Sign) {
    for op in &plan.label_ops[window][row_type(row.flags.kind())] {
        if belongs(row, op.bit)
            && let Some(words) = counters(graph, family, row.nodes[op.key])
        {
            bump(words, if bad { op.bad } else { op.good }, sign);
        }
    }
}

/// As [`add_labels`], for one of the row's nodes whose counters are `words`.
pub fn add_labels_for(plan: &Plan, row: &Row, window: usize, node: NodeId, words: &mut [u32], bad: bool, sign: Sign) {
    for op in &plan.label_ops[window][row_type(row.flags.kind())] {
        if belongs(row, op.bit) && row.nodes[op.key] == node {
            bump(words, if bad { op.bad } else { op.good }, sign);
        }
    }
}
