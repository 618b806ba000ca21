//! Chance from a seed: the same numbers on every machine and in every version.
//!
//! SplitMix64 (Steele, Lea and Flood 2014): a counter that passes through a mixing function. Its 2^64 states form one cycle, any seed is
//! as good as another, and it passes BigCrush. Integers only: no figure depends on a rounding.

/// A source of chance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chance {
    state: u64,
}

impl Chance {
    /// The chance that belongs to `seed`.
    pub fn new(seed: u64) -> Chance {
        Chance { state: seed }
    }

    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number below `bound`, which is at least 1, by the high half of a product; no number is more likely than another by more than
    /// `bound` / 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "nothing lies below 0");
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `low..=high`.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low) as u64 + 1) as i64
    }

    /// True `permyriad` times in ten thousand.
    pub fn happens(&mut self, permyriad: u32) -> bool {
        self.below(10_000) < u64::from(permyriad)
    }

    /// A rank below `count` (at least 1), where rank r comes about as often as 1 / (r + 1), like the shops of a town: first the octave by
    /// an even choice, then a rank in it.
    pub fn rank(&mut self, count: u64) -> u64 {
        let octaves = u64::from(count.ilog2()) + 1;
        loop {
            let first = 1 << self.below(octaves);
            let rank = first - 1 + self.below(first);
            if rank < count {
                return rank;
            }
        }
    }

    /// One of `choices`, of which there is at least one.
    pub fn pick<'c, T>(&mut self, choices: &'c [T]) -> &'c T {
        &choices[self.below(choices.len() as u64) as usize]
    }

    /// Puts `items` into an order of chance (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

/// A number that `number` always has, as if by chance: for properties that must not be stored for everyone.
pub fn mix(number: u64) -> u64 {
    let mut z = number;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published sequence of SplitMix64 for the seed 1234567.
    #[test]
    fn the_published_numbers() {
        let mut chance = Chance::new(1_234_567);
        let numbers: Vec<u64> = (0..5).map(|_| chance.bits()).collect();
        let published = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!(numbers, published);
    }

    #[test]
    fn numbers_keep_their_bounds_and_reach_them() {
        let mut chance = Chance::new(7);
        let seen: Vec<i64> = (0..1000).map(|_| chance.between(-2, 2)).collect();
        assert_eq!((seen.iter().min(), seen.iter().max()), (Some(&-2), Some(&2)));
        let ranks: Vec<u64> = (0..4000).map(|_| chance.rank(100)).collect();
        assert_eq!((ranks.iter().min(), ranks.iter().max()), (Some(&0), Some(&99)));
        let first = ranks.iter().filter(|rank| **rank == 0).count();
        let tenth = ranks.iter().filter(|rank| **rank == 9).count();
        assert!((5 * tenth..20 * tenth).contains(&first), "{first} {tenth}");
        assert!(!chance.happens(0));
        assert!(chance.happens(10_000));
    }

    #[test]
    fn a_shuffle_keeps_all() {
        let mut items: Vec<u32> = (0..100).collect();
        Chance::new(1).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<u32>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<u32>>());
    }
}
