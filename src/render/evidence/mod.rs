//! What an alert of laundering proves, made readable: its transfers in order of time as a small graph, who plays which part, how much of the
//! money arrived, a sentence for a report ([`Evidence::sentence`]) and pictures ([`Evidence::text`], [`Evidence::svg`]).
//!
//! Nothing is said here but what the alert holds: its edges, which are at most as many as there is room for. A transfer with the world
//! outside has one account at both of its ends, and says nothing of anybody's part.

mod drawing;
mod sentence;
mod text;

use crate::engine::{Alert, Edge};
use crate::event::{Currency, Duration, Id, Timestamp};
use petgraph::Direction::{Incoming, Outgoing};
use petgraph::algo::{has_path_connecting, toposort};
use petgraph::graph::{DiGraph, EdgeIndex, NodeIndex};
use petgraph::visit::EdgeRef;
use std::collections::BTreeMap;

/// The part of an account in a scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Role {
    /// Only pays, or pays more than twice what it took; or pays before it takes anything, and takes no more than that: money that comes back.
    Source = 0,
    /// Takes, and pays on.
    Intermediary = 1,
    /// Only takes.
    Sink = 2,
}

impl Role {
    /// All, by number.
    pub const ALL: [Role; 3] = [Role::Source, Role::Intermediary, Role::Sink];

    /// The word in alerts.
    pub fn name(self) -> &'static str {
        ["source", "intermediary", "sink"][self as usize]
    }
}

/// An account as the evidence shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub id: Id,
    /// None where it dealt with the world outside alone.
    pub role: Option<Role>,
    /// Reporting minor units from, and to, other accounts of the evidence.
    pub taken_minor: i128,
    pub paid_minor: i128,
    /// Likewise with the world outside, whichever way.
    pub outside_minor: i128,
}

/// The transfers of an alert, in order.
#[derive(Clone, Debug)]
pub struct Evidence<'a> {
    alert: &'a Alert,
    currency: Currency,
    /// In order of time; equal times as the alert has them.
    edges: Vec<&'a Edge>,
    /// Accounts in the order in which they come in; an edge has its place among the edges.
    graph: DiGraph<Account, usize>,
}

impl<'a> Evidence<'a> {
    /// What `alert` holds; its money is in minor units of `currency`.
    pub fn of(alert: &'a Alert, currency: Currency) -> Evidence<'a> {
        let mut edges: Vec<&Edge> = alert.edges.iter().collect();
        edges.sort_by_key(|edge| edge.time);
        let mut graph = DiGraph::new();
        let mut nodes: BTreeMap<Id, NodeIndex> = BTreeMap::new();
        for (place, edge) in edges.iter().enumerate() {
            let [from, to] = [edge.from, edge.to].map(|id| {
                let account = Account { id, role: None, taken_minor: 0, paid_minor: 0, outside_minor: 0 };
                *nodes.entry(id).or_insert_with(|| graph.add_node(account))
            });
            let amount = i128::from(edge.amount_minor);
            if from == to {
                graph[from].outside_minor += amount;
            } else {
                graph[from].paid_minor += amount;
                graph[to].taken_minor += amount;
                graph.add_edge(from, to, place);
            }
        }
        let mut evidence = Evidence { alert, currency, edges, graph };
        for node in evidence.graph.node_indices() {
            evidence.graph[node].role = evidence.role_of(node);
        }
        evidence
    }

    fn role_of(&self, node: NodeIndex) -> Option<Role> {
        let times = |direction| self.graph.edges_directed(node, direction).map(|edge| self.edges[*edge.weight()].time);
        let Account { taken_minor: taken, paid_minor: paid, .. } = self.graph[node];
        match (times(Incoming).min(), times(Outgoing).max()) {
            (None, None) => None,
            (None, Some(_)) => Some(Role::Source),
            (Some(_), None) => Some(Role::Sink),
            // It passed nothing on: it paid, and later it took.
            (Some(took), Some(paid_last)) if paid_last < took => Some(if paid >= taken { Role::Source } else { Role::Sink }),
            _ if paid > 2 * taken => Some(Role::Source),
            _ => Some(Role::Intermediary),
        }
    }

    /// The transfers, in order of time.
    pub fn edges(&self) -> impl ExactSizeIterator<Item = &'a Edge> {
        self.edges.iter().copied()
    }

    /// The accounts, in the order in which they come in.
    pub fn accounts(&self) -> impl ExactSizeIterator<Item = &Account> {
        self.graph.raw_nodes().iter().map(|node| &node.weight)
    }

    /// The part of an account; none where it has no transfer with another one here.
    pub fn role(&self, id: Id) -> Option<Role> {
        self.accounts().find(|account| account.id == id)?.role
    }

    fn with(&self, role: Role) -> impl Iterator<Item = &Account> {
        self.accounts().filter(move |account| account.role == Some(role))
    }

    /// Time of the first and the last transfer; none where there is none.
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        Some((self.edges.first()?.time, self.edges.last()?.time))
    }

    /// From the first transfer to the last.
    pub fn duration(&self) -> Duration {
        self.span().map_or(Duration(0), |(first, last)| Duration(last.0.saturating_sub(first.0)))
    }

    /// What sources sent.
    pub fn sent_minor(&self) -> i128 {
        self.with(Role::Source).map(|account| account.paid_minor).sum()
    }

    /// What came back to sources.
    fn returned_minor(&self) -> i128 {
        self.with(Role::Source).map(|account| account.taken_minor).sum()
    }

    /// Of a hundred that sources sent so many arrived at sinks, or came back; none where nobody is a source, or nothing was sent.
    pub fn conserved_percent(&self) -> Option<i64> {
        // Who takes last is a sink even where it paid before: what it paid is money of others' no more than its own.
        let arrived: i128 = self.with(Role::Sink).map(|account| account.taken_minor).sum();
        let paid_before: i128 = self.with(Role::Sink).map(|account| account.paid_minor).sum();
        percent(arrived + self.returned_minor(), self.sent_minor() + paid_before)
    }

    /// Of a hundred that came to intermediaries so many went on.
    fn passed_percent(&self) -> Option<i64> {
        let sum = |of: fn(&Account) -> i128| self.with(Role::Intermediary).map(of).sum::<i128>();
        percent(sum(|account| account.paid_minor), sum(|account| account.taken_minor))
    }

    /// How far to the right an account stands, by number, from 0: behind all who pay it. What would lead back – a transfer that closes a
    /// circle, looked at in order of time – does not count.
    fn layers(&self) -> (Vec<usize>, Vec<EdgeIndex>) {
        let mut forward: DiGraph<(), ()> = self.graph.map(|_, _| (), |_, _| ());
        forward.clear_edges();
        let mut back = Vec::new();
        for edge in self.graph.edge_references() {
            if has_path_connecting(&forward, edge.target(), edge.source(), None) {
                back.push(edge.id());
            } else {
                forward.update_edge(edge.source(), edge.target(), ());
            }
        }
        let mut layers = vec![0; self.graph.node_count()];
        for node in toposort(&forward, None).expect("what leads back was left out") {
            let before = forward.neighbors_directed(node, Incoming).map(|before| layers[before.index()] + 1);
            layers[node.index()] = before.max().unwrap_or(0);
        }
        // Who only pays stands directly before the first whom it pays, not at the far left.
        for node in self.graph.node_indices().filter(|node| self.graph.neighbors_directed(*node, Incoming).next().is_none()) {
            let behind = forward.neighbors(node).map(|behind| layers[behind.index()]).min();
            layers[node.index()] = behind.map_or(layers[node.index()], |behind| behind - 1);
        }
        (layers, back)
    }

    /// The accounts, the leftmost first, in each layer in the order in which they come in.
    fn ordered(&self) -> Vec<NodeIndex> {
        let (layers, _) = self.layers();
        let mut nodes: Vec<NodeIndex> = self.graph.node_indices().collect();
        nodes.sort_by_key(|node| layers[node.index()]);
        nodes
    }
}

/// Of a hundred of `whole` so many are in `part`, rounded down.
fn percent(part: i128, whole: i128) -> Option<i64> {
    (whole > 0).then(|| (part * 100).div_euclid(whole).clamp(i64::MIN.into(), i64::MAX.into()) as i64)
}

/// `12,400.00`: an amount in minor units of `currency`, without its name.
pub fn grouped_money(minor: i128, currency: Currency) -> String {
    let digits = format!("{:0>1$}", minor.unsigned_abs(), currency.exponent() as usize + 1);
    let (whole, part) = digits.split_at(digits.len() - currency.exponent() as usize);
    let mut out = String::from(if minor < 0 { "-" } else { "" });
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if !part.is_empty() {
        out.push('.');
        out += part;
    }
    out
}

#[cfg(test)]
pub(super) mod tests;
