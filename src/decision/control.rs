//! The control group: a share of what would be declined goes through, so that it can be known what declining is worth.

use super::{Outcome, Verdict};
use crate::event::Id;

/// A share in billionths: all of them.
pub const SHARE_ONE: u32 = 1_000_000_000;

/// Whether a declined event is of the control group, by its id alone: the same wherever and whenever it is asked.
pub fn is_control(event: Id, share: u32) -> bool {
    // Ids are keyed hashes already; the constants keep this choice apart from everything else that is made of their bits.
    let folded = u128::from(event.low() ^ 0xa076_1d64_78bd_642f) * u128::from(event.high() ^ 0xe703_7ed1_a0b4_28db);
    let hash = (folded >> 64) as u64 ^ folded as u64;
    (u128::from(hash) * u128::from(SHARE_ONE)) >> 64 < u128::from(share)
}

/// Lets the event through where it would be declined, is not exempt, and is of the control group of this `share`.
pub fn let_through(event: Id, share: u32, verdict: &mut Verdict) {
    if verdict.outcome == Outcome::Decline && !verdict.exempt && is_control(event, share) {
        verdict.outcome = Outcome::Approve;
        verdict.propensity = Some(share);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{IdKey, IdKind};

    fn id(n: u32) -> Id {
        IdKey::FILES.id(IdKind::Event, &n.to_le_bytes())
    }

    #[test]
    fn the_share_is_kept_and_who_is_of_it_stays() {
        let of = |share: u32| (0..100_000).filter(|n| is_control(id(*n), share)).collect::<Vec<u32>>();
        let (few, more) = (of(SHARE_ONE / 100), of(SHARE_ONE / 20));
        assert!((900..1_100).contains(&few.len()), "{}", few.len());
        assert!((4_750..5_250).contains(&more.len()), "{}", more.len());
        assert!(few.iter().all(|n| more.contains(n)), "a greater share keeps those of a smaller one");
        assert!(of(0).is_empty());
        assert_eq!(of(SHARE_ONE).len(), 100_000);
    }

    /// Caught when planted: `exempt` not asked.
    #[test]
    fn only_what_would_be_declined_and_is_not_exempt_goes_through() {
        for outcome in Outcome::ALL {
            for exempt in [false, true] {
                let mut verdict = Verdict { outcome, exempt, ..Verdict::default() };
                let_through(id(1), SHARE_ONE, &mut verdict);
                let goes = outcome == Outcome::Decline && !exempt;
                assert_eq!(verdict.propensity, goes.then_some(SHARE_ONE));
                assert_eq!(verdict.outcome, if goes { Outcome::Approve } else { outcome });
            }
        }
    }
}
