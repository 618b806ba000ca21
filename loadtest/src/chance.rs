//! Seeded chance that any slot can ask for on its own: the same seed and slot give the same draws, whatever was drawn before.

/// A stream of draws (SplitMix64).
#[derive(Clone, Debug)]
pub struct Chance {
    state: u64,
}

impl Chance {
    /// The draws of `slot` under `seed`.
    pub fn of(seed: u64, slot: u64) -> Chance {
        Chance { state: mix(seed ^ mix(slot.wrapping_add(0x9e37_79b9_7f4a_7c15))) }
    }

    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// Evenly in `[0, 1)`.
    pub fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Evenly in `0..n`; 0 where `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// A rank in `0..n`, low ones often: `P(rank = r)` falls about as `1 / (r + 1)^skew`. `skew` is not 1.
    pub fn rank(&mut self, n: u64, skew: f64) -> u64 {
        // The inverse of the continuous power law between 1 and n + 1: Zipf's shape without a table of a million shares.
        let power = 1.0 - skew;
        let top = ((n + 1) as f64).powf(power) - 1.0;
        let at = (top * self.share() + 1.0).powf(1.0 / power);
        (at as u64).clamp(1, n.max(1)) - 1
    }

    /// About a normal draw with mean 0 and deviation 1: a sum of twelve, cheap and never far out.
    pub fn bell(&mut self) -> f64 {
        (0..12).map(|_| self.share()).sum::<f64>() - 6.0
    }
}

/// Spreads the bits of `word`.
fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_draws_the_same_whatever_came_before() {
        let first: Vec<u64> = (0..4).map(|slot| Chance::of(3, slot).next()).collect();
        let again: Vec<u64> = (0..4).rev().map(|slot| Chance::of(3, slot).next()).collect();
        assert_eq!(first, again.into_iter().rev().collect::<Vec<u64>>());
        assert_ne!(Chance::of(3, 0).next(), Chance::of(4, 0).next());
    }

    #[test]
    fn ranks_are_skewed_as_asked_and_inside() {
        const DRAWS: usize = 200_000;
        let mut chance = Chance::of(1, 1);
        let mut seen = vec![0u32; 1000];
        for _ in 0..DRAWS {
            seen[chance.rank(1000, 0.8) as usize] += 1;
        }
        // Under skew 0.8 the first hundred of a thousand take (101^0.2 − 1) / (1001^0.2 − 1) = 50.7 % of all.
        let head: u32 = seen[..100].iter().sum();
        let share = f64::from(head) / DRAWS as f64;
        assert!((0.49..0.53).contains(&share), "the head takes {share}");
        assert!(seen[999] > 0 && seen[0] > 10 * seen[999]);
    }
}
