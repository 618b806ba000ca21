//! What answers when the engine cannot in time: a ladder over lists and amount bands, asked outside the engine.

use super::Outcome;

/// The ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandIn {
    /// Lists, a bit each: whose entities stand on one is declined.
    pub declined_by: u32,
    /// Amounts up to this, in reporting minor units, are approved.
    pub approve_below_minor: i64,
    /// What all others get, and those whose amount has no rate.
    pub otherwise: Outcome,
}

impl StandIn {
    /// The answer where the event's entities stand on the lists `listed`, a bit each, for an amount in reporting minor units, `None` where no
    /// rate is known.
    pub fn outcome(&self, listed: u32, amount_minor: Option<i64>) -> Outcome {
        match amount_minor {
            _ if listed & self.declined_by != 0 => Outcome::Decline,
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
        let ladder = StandIn { declined_by: 0b10, approve_below_minor: 5_000, otherwise: Outcome::Review };
        let outcomes = [Some(0), Some(5_000), Some(5_001), None].map(|amount| ladder.outcome(0b101, amount));
        assert_eq!(outcomes, [Outcome::Approve, Outcome::Approve, Outcome::Review, Outcome::Review]);
    }

    #[test]
    fn who_stands_on_a_list_is_declined_whatever_the_amount() {
        let ladder = StandIn { declined_by: 0b10, approve_below_minor: 5_000, otherwise: Outcome::Review };
        assert_eq!([Some(1), None].map(|amount| ladder.outcome(0b110, amount)), [Outcome::Decline; 2]);
    }
}
