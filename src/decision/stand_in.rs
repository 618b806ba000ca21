//! What answers when the engine cannot in time: a ladder over amount bands, asked outside the engine.

use super::Outcome;

/// The ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandIn {
    /// Amounts up to this, in reporting minor units, are approved.
    pub approve_below_minor: i64,
    /// What all others get, and those whose amount has no rate.
    pub otherwise: Outcome,
}

impl StandIn {
    /// The answer for an amount in reporting minor units, `None` where no rate is known.
    pub fn outcome(&self, amount_minor: Option<i64>) -> Outcome {
        match amount_minor {
            Some(amount) if amount <= self.approve_below_minor => Outcome::Approve,
            _ => self.otherwise,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_amounts_pass_and_unknown_ones_do_not() {
        let ladder = StandIn { approve_below_minor: 5_000, otherwise: Outcome::Review };
        let outcomes = [Some(0), Some(5_000), Some(5_001), None].map(|amount| ladder.outcome(amount));
        assert_eq!(outcomes, [Outcome::Approve, Outcome::Approve, Outcome::Review, Outcome::Review]);
    }
}
