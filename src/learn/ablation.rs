//! Learning without a part of what there is, to know what the part is worth.

use super::chance::Chance;
use super::sample::{Rows, Sample};
use crate::gnn::STATE_FIGURES;
use crate::graph::ego::SEED_SLOTS;

/// What is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ablation {
    /// States, and messages: counters and what stands in the event are left.
    States,
    /// Messages, and columns that sum neighbourhoods up.
    Messages,
    /// Columns that sum neighbourhoods up; and each entity has the neighbourhood of another of its kind, drawn by chance.
    Neighbours,
}

/// Columns that sum an entity's neighbourhood up, by their last names.
const OF_NEIGHBOURS: [&str; 5] = ["recent_events", "recent_bads", "neighbour_activity", "bad_streak", "bad_age_s"];
/// Columns out of an entity's state.
const OF_STATES: [&str; 4] = ["usual_amount", "amount_score", "outliers", "idle_s"];

impl Ablation {
    /// Whether an input is left.
    pub fn leaves(self, name: &str) -> bool {
        let (first, last) = name.split_once('.').unwrap_or(("", name));
        let of_state = OF_STATES.contains(&last) || first.starts_with("entity_") && STATE_FIGURES.contains(&last);
        !(OF_NEIGHBOURS.contains(&last) || self == Ablation::States && of_state)
    }

    /// Whether messages are passed.
    pub fn passes_messages(self) -> bool {
        self == Ablation::Neighbours
    }

    /// Does to a sample's neighbourhoods what is to be done to them; `seed` says how they are drawn.
    pub fn apply(self, sample: &mut Sample, seed: u64) {
        if self == Ablation::Neighbours {
            let mut chance = Chance::new(seed, EXCHANGING);
            for rows in [&mut sample.payment, &mut sample.transfer] {
                exchange(rows, &mut chance);
            }
        }
    }
}

/// Part of the seed's course.
const EXCHANGING: u64 = 5;

/// Gives each row's entities the neighbourhoods of another row's, slot by slot: those of one slot are of one kind.
fn exchange(rows: &mut Rows, chance: &mut Chance) {
    let orders: [Vec<u32>; SEED_SLOTS] = std::array::from_fn(|_| {
        let mut order: Vec<u32> = (0..rows.len() as u32).collect();
        chance.shuffle(&mut order);
        order
    });
    let neighbourhoods = (0..rows.len()).flat_map(|row| {
        let orders = &orders;
        (0..SEED_SLOTS).map(move |slot| (orders[slot][row] as usize, slot))
    });
    rows.rearrange(neighbourhoods);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_by_names() {
        let left = |ablation: Ablation| {
            let names =
                ["amount", "merchant.bad_streak", "user.amount_score", "entity_0.spread", "merchant_payments.bad_7d", "user.recent_bads"];
            names.into_iter().filter(|name| ablation.leaves(name)).collect::<Vec<_>>()
        };
        assert_eq!(left(Ablation::States), ["amount", "merchant_payments.bad_7d"]);
        assert_eq!(left(Ablation::Messages), ["amount", "user.amount_score", "entity_0.spread", "merchant_payments.bad_7d"]);
        assert_eq!(left(Ablation::Neighbours), left(Ablation::Messages));
    }
}
