//! An alert of laundering as text: who plays which part, and the transfers in their order as arrows between lanes.

use super::{Account, Evidence, Role, grouped_money};
use crate::event::{Id, Timestamp};
use petgraph::graph::NodeIndex;
use std::fmt::Write;

/// Accounts that have a lane of their own; of more no lanes are drawn.
const LANES_MAX: usize = 16;
/// Columns of a lane.
const LANE: usize = 4;

impl Evidence<'_> {
    /// Accounts with their parts and sums, then the transfers in order of time.
    pub fn text(&self, name: &dyn Fn(Id) -> String) -> String {
        let order = self.ordered();
        let mut out = String::new();
        self.write_accounts(&order, name, &mut out);
        out.push('\n');
        self.write_transfers(&order, name, &mut out);
        out
    }

    fn write_accounts(&self, order: &[NodeIndex], name: &dyn Fn(Id) -> String, out: &mut String) {
        let money = |minor: i128| if minor == 0 { "–".to_owned() } else { grouped_money(minor, self.currency) };
        let row = |(number, node): (usize, &NodeIndex)| {
            let account @ Account { taken_minor, paid_minor, .. } = &self.graph[*node];
            let role = account.role.map_or("outside only", Role::name);
            [(number + 1).to_string(), name(account.id), role.to_owned(), money(*taken_minor), money(*paid_minor)]
        };
        let head = ["#", "account", "role", "took", "paid"].map(str::to_owned);
        let rows: Vec<[String; 5]> = std::iter::once(head).chain(order.iter().enumerate().map(row)).collect();
        table(&rows, [true, false, false, true, true], out);
    }

    fn write_transfers(&self, order: &[NodeIndex], name: &dyn Fn(Id) -> String, out: &mut String) {
        let lane = |id: Id| order.iter().position(|node| self.graph[*node].id == id).expect("every end of an edge is an account");
        let drawn = order.len() <= LANES_MAX;
        let heads: String = (1..=order.len()).map(|number| format!("{number:^LANE$}")).collect();
        let picture = |from: usize, to: usize| if drawn { arrow(from, to, order.len()) } else { String::new() };
        let row = |edge: &crate::engine::Edge| {
            let (from, to) = (lane(edge.from), lane(edge.to));
            let ends = match from == to {
                true => format!("{} ↔ outside", name(edge.from)),
                false => format!("{} → {}", name(edge.from), name(edge.to)),
            };
            [minute(edge.time), grouped_money(edge.amount_minor.into(), self.currency), picture(from, to), ends, name(edge.event)]
        };
        let head =
            ["time (UTC)", self.currency.code(), if drawn { heads.as_str() } else { "" }, "from → to", "transfer"].map(str::to_owned);
        let rows: Vec<[String; 5]> = std::iter::once(head).chain(self.edges().map(row)).collect();
        table(&rows, [false, true, false, false, false], out);
    }
}

/// `2025-03-03 09:12:44`.
fn minute(time: Timestamp) -> String {
    let text = time.to_string();
    text.get(..19).map_or(text.clone(), |text| text.replace('T', " "))
}

/// An arrow from lane to lane; a dot where money leaves or meets the world outside.
fn arrow(from: usize, to: usize, lanes: usize) -> String {
    let at = |lane: usize| lane * LANE + 1;
    let (left, right) = (at(from.min(to)), at(from.max(to)));
    let sign = |column: usize| match column {
        _ if column == at(from) => '●',
        _ if column == at(to) && from < to => '▶',
        _ if column == at(to) => '◀',
        _ if column > left && column < right => '─',
        _ if column % LANE == 1 => '·',
        _ => ' ',
    };
    (0..lanes * LANE).map(sign).collect()
}

/// Columns as wide as their widest cell, numbers to the right; an empty column takes no room.
fn table<const N: usize>(rows: &[[String; N]], to_the_right: [bool; N], out: &mut String) {
    let widths: [usize; N] = std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    for row in rows {
        let mut line = String::from(" ");
        for (column, cell) in row.iter().enumerate().filter(|(column, _)| widths[*column] > 0) {
            let width = widths[column];
            let done = if to_the_right[column] { write!(line, " {cell:>width$} ") } else { write!(line, " {cell:<width$} ") };
            done.expect("a string takes every text");
        }
        *out += line.trim_end();
        out.push('\n');
    }
}
