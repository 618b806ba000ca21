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

    /// The chance of number `n` among the things of kind `what` in the world of `seed`: always the same, so that nothing about them is stored.
    pub fn of(seed: u64, what: u64, n: u64) -> Chance {
        Chance::new(keyed(seed, what, n))
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

    /// A length with mean `mean` between two things that happen independently of each other (exponential), within half a percent.
    pub fn wait(&mut self, mean: i64) -> i64 {
        // -log2 of an even number in (0, 1]: the leading zeros, and the fraction behind the first one by a parabola. In 65,536ths.
        let bits = self.bits();
        let zeros = u64::from(bits.leading_zeros().min(47));
        let fraction = (bits << zeros << 1) >> 48;
        let log = fraction + ((22_500 * ((fraction * (65_536 - fraction)) >> 16)) >> 16);
        let octaves = (zeros << 16) + 65_536 - log;
        // ln 2 in 65,536ths.
        ((i128::from(mean) * i128::from(octaves) * 45_426) >> 32) as i64
    }

    /// An amount around `median`, as often above as below, and above as far in proportion as below (about log-normal): two in three lie
    /// within `spread_percent` hundredths of an octave.
    pub fn scatter(&mut self, median: i64, spread_percent: i64) -> i64 {
        let bits = self.bits();
        // The ones among 32 bits are nearly normal with deviation 2.83; eight more bits fill the gaps.
        let normal = (i64::from((bits as u32).count_ones()) - 16) * 256 + (bits >> 56) as i64 - 128;
        // In 256ths of an octave.
        power_of_two(median, normal * spread_percent * 64 / 18_175)
    }

    /// One of the things whose `weights` are given, as often as its weight says; at least one is above 0.
    pub fn weighted(&mut self, weights: &[u32]) -> usize {
        let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let mut left = self.below(total);
        for (place, weight) in weights.iter().enumerate() {
            match left.checked_sub(u64::from(*weight)) {
                Some(rest) => left = rest,
                None => return place,
            }
        }
        unreachable!("a number below the sum lies within a weight")
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

/// 64 bits that number `n` of the things of kind `what` always has in the world of `seed`.
pub fn keyed(seed: u64, what: u64, n: u64) -> u64 {
    mix(mix(seed ^ what.wrapping_mul(0x9e37_79b9_7f4a_7c15)) ^ n.wrapping_mul(0xd6e8_feb8_6659_fd93))
}

/// `number` times 2^(`octaves_256ths` / 256), within 0.3 %; at least 0 and never above 2^52.
pub fn power_of_two(number: i64, octaves_256ths: i64) -> i64 {
    let whole = octaves_256ths.div_euclid(256);
    let part = octaves_256ths.rem_euclid(256) << 8;
    // 2^x - 1 by a parabola through both ends, in 65,536ths.
    let factor = 65_536 + ((part * (43_024 + ((22_512 * part) >> 16))) >> 16);
    let scaled = (i128::from(number) * i128::from(factor)) >> 16;
    let shifted = if whole >= 0 { scaled << whole.min(60) } else { scaled >> (-whole).min(100) };
    shifted.clamp(0, 1 << 52) as i64
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
    fn waits_and_scatter_have_their_means_and_widths() {
        let mut chance = Chance::new(11);
        let waits: Vec<i64> = (0..100_000).map(|_| chance.wait(1_000_000)).collect();
        let mean = waits.iter().sum::<i64>() / 100_000;
        assert!((985_000..1_015_000).contains(&mean), "{mean}");
        let longer = waits.iter().filter(|wait| **wait > 2_000_000).count();
        assert!((13_000..14_100).contains(&longer), "e^-2 of all: {longer}");
        let mut amounts: Vec<i64> = (0..100_000).map(|_| chance.scatter(10_000, 100)).collect();
        amounts.sort_unstable();
        let at = |percent: usize| amounts[percent * 1000];
        assert!((9_700..10_300).contains(&at(50)), "{}", at(50));
        // One deviation is an octave.
        assert!((4_600..5_400).contains(&at(16)) && (18_500..21_500).contains(&at(84)), "{} {}", at(16), at(84));
        assert_eq!((power_of_two(1000, 512), power_of_two(1000, -256), power_of_two(7, 0)), (4000, 500, 7));
        let shares: Vec<usize> = (0..30_000).map(|_| chance.weighted(&[1, 0, 2])).collect();
        let second = shares.iter().filter(|place| **place == 2).count();
        assert!(!shares.contains(&1) && (19_500..20_500).contains(&second), "{second}");
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
