//! Streaming states, as the head of `graph/state.rs` describes them: sums that fade with a half-life, folded in order of arrival.

use super::{COLD_ROWS, Model};
use crate::arithmetic::{decay, log2_1p};
use crate::event::{Duration, Id, PaymentStatus, SLOTS, Target, Timestamp};
use crate::graph::Family;

/// One hour, one day, fourteen days.
const HALF_LIVES: [Duration; 3] = [Duration::HOUR, Duration::DAY, Duration::DAY.times(14)];

/// What a warm node is, as of its last event. Sums with three places fade with each half-life, the others with the longest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    last: Option<Timestamp>,
    count: [f32; 3],
    amount: f32,
    money: f32,
    square: f32,
    outlier: f32,
    gap: f32,
    newcomer: f32,
    peer_count: f32,
    peer_amount: f32,
    peer_failed: f32,
    failed: f32,
    refunded: f32,
}

/// What a counterpart was before the event.
#[derive(Clone, Copy, Debug, Default)]
struct Counterpart {
    newcomer: bool,
    count: f32,
    amount: f32,
    failed: f32,
}

impl State {
    /// The sums in the order in which the engine keeps them.
    pub fn sums(&self) -> [f32; 14] {
        let [hour, day, fortnight] = self.count;
        [
            hour,
            day,
            fortnight,
            self.amount,
            self.money,
            self.square,
            self.outlier,
            self.gap,
            self.newcomer,
            self.peer_count,
            self.peer_amount,
            self.peer_failed,
            self.failed,
            self.refunded,
        ]
    }

    /// Mean and spread of the amounts, where there were three events or so.
    pub(super) fn usual(&self) -> Option<(f32, f32)> {
        if self.count[2] < 3.0 {
            return None;
        }
        let mean = self.money / self.count[2];
        let variance = (self.square / self.count[2] - mean * mean).max(0.0);
        Some((mean, variance.sqrt().max((mean * 0.25).max(100.0))))
    }

    /// As it would be at `now`, and the microseconds since the last event.
    pub(super) fn at(&self, now: Timestamp) -> (State, i64) {
        let mut state = self.clone();
        let since = self.last.map_or(0, |last| (now.0 - last.0).max(0));
        if since > 0 {
            state.fade(now);
        }
        (state, since)
    }

    /// Lets everything fade up to `time`. Returns the weight, by half-life, of what happened then (less than one where it happened before
    /// the last event), and the microseconds since the last event.
    fn fade(&mut self, time: Timestamp) -> ([f32; 3], f32) {
        let last = *self.last.get_or_insert(time);
        let between = (time.0 - last.0).abs() as f32;
        let factors = HALF_LIVES.map(|half_life| decay([between * (1.0 / half_life.0 as f32); 4])[0]);
        if time < last {
            return (factors, 0.0);
        }
        self.last = Some(time);
        for (sum, factor) in self.count.iter_mut().zip(&factors) {
            *sum *= factor;
        }
        for sum in [
            &mut self.amount,
            &mut self.money,
            &mut self.square,
            &mut self.outlier,
            &mut self.gap,
            &mut self.newcomer,
            &mut self.peer_count,
            &mut self.peer_amount,
            &mut self.peer_failed,
            &mut self.failed,
            &mut self.refunded,
        ] {
            *sum *= factors[2];
        }
        ([1.0; 3], between)
    }

    fn fold(&mut self, time: Timestamp, amount: i64, counterpart: Counterpart) {
        let (weights, between) = self.fade(time);
        let mut amount = amount as f32;
        if let Some((mean, spread)) = self.usual()
            && amount > mean + 3.0 * spread
        {
            amount = mean + 3.0 * spread;
            self.outlier += weights[2];
        }
        for (count, weight) in self.count.iter_mut().zip(weights) {
            *count += weight;
        }
        let weight = weights[2];
        self.amount += weight * log2_1p(amount);
        self.money += weight * amount;
        self.square += weight * amount * amount;
        self.gap += weight * log2_1p(between * (1.0 / 1_000_000.0));
        if counterpart.newcomer {
            self.newcomer += weight;
        }
        self.peer_count += weight * counterpart.count;
        self.peer_amount += weight * counterpart.amount;
        self.peer_failed += weight * counterpart.failed;
    }
}

impl Model<'_> {
    /// Folds an event into the states of its warm nodes, before its own row is there and before they count it.
    pub(super) fn fold(&mut self, family: Family, time: Timestamp, amount: i64, nodes: &[Option<Id>; SLOTS]) {
        let sides = [self.counterpart(family, nodes[0]), self.counterpart(family, nodes[1])];
        for (slot, node) in nodes.iter().enumerate() {
            let Some(node) = *node else { continue };
            self.warm_up(family, node);
            if let Some(state) = self.warm[family as usize].get_mut(&node) {
                // The counterpart of the first is the second, that of all others is the first.
                state.fold(time, amount, sides[if slot == 0 { 1 } else { 0 }]);
            }
        }
    }

    /// A node with exactly four visible rows takes a warm record, if there is one, and folds them with unknown counterparts.
    fn warm_up(&mut self, family: Family, node: Id) {
        let records_max = self.options.limits.families[family as usize].warm_nodes_max as usize;
        let warm = &self.warm[family as usize];
        if self.rows_of(family, node).count() != COLD_ROWS || warm.len() >= records_max || warm.contains_key(&node) {
            return;
        }
        let mut state = State::default();
        for row in self.rows_of(family, node) {
            state.fold(row.time, row.amount, Counterpart::default());
        }
        self.warm[family as usize].insert(node, state);
    }

    /// The state of `node` at `now` and the microseconds since its latest event; of a cold node what it would be, had it turned warm.
    pub(super) fn own_state(&self, family: Family, node: Id, now: Timestamp) -> Option<(State, i64)> {
        if let Some(state) = self.state(family, node) {
            return Some(state.at(now));
        }
        let recent = self.recent(family, node);
        let mut state = State::default();
        for row in recent.iter().rev() {
            state.fold(row.time, row.amount, Counterpart::default());
        }
        (!recent.is_empty()).then(|| state.at(now))
    }

    fn counterpart(&self, family: Family, node: Option<Id>) -> Counterpart {
        let Some(node) = node else { return Counterpart::default() };
        let newcomer = self.nodes[&node].events == 0;
        let Some(state) = self.state(family, node) else { return Counterpart { newcomer, ..Counterpart::default() } };
        let events = state.count[2].max(1.0);
        Counterpart { newcomer, count: log2_1p(state.count[1]), amount: state.amount / events, failed: state.failed / events }
    }

    /// Folds a payment's result into the states of those who took part in it.
    pub(super) fn fold_result(&mut self, time: Timestamp, status: PaymentStatus, target: &Target) {
        let nodes = match self.row_of(target) {
            Some(at) => {
                let row = &mut self.rows[Family::Money as usize][at];
                row.status = Some(status);
                row.nodes
            }
            None => target.ends,
        };
        for node in nodes.into_iter().flatten() {
            let Some(state) = self.warm[Family::Money as usize].get_mut(&node) else { continue };
            match status {
                PaymentStatus::ChallengeFailed | PaymentStatus::Abandoned | PaymentStatus::DeclinedByIssuer => {
                    let (weights, _) = state.fade(time);
                    state.failed += weights[2];
                }
                PaymentStatus::Cancelled | PaymentStatus::Refunded => {
                    let (weights, _) = state.fade(time);
                    state.refunded += weights[2];
                }
                PaymentStatus::ChallengePassed | PaymentStatus::Authorized | PaymentStatus::Captured => {}
            }
        }
    }
}
