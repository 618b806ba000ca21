//! Chance for learning: one seed, one course.

/// Steps of SplitMix64 (Steele et al., OOPSLA'14): enough for shuffles and masks, and nothing that decides.
#[cfg(feature = "learn")]
#[derive(Clone, Debug)]
pub struct Chance(u64);

/// A well-mixed word of a word: the finalizer of SplitMix64.
pub fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(feature = "learn")]
impl Chance {
    /// The course of `seed`; another `part` of it takes another course.
    pub fn new(seed: u64, part: u64) -> Chance {
        Chance(mix(seed ^ mix(part)))
    }

    /// 64 bits, each as likely as any.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Uniform in [0, 1), in steps of 2^-24.
    pub fn unit(&mut self) -> f32 {
        (self.word() >> 40) as f32 / (1 << 24) as f32
    }

    /// Puts things into another order, each as likely as any.
    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for end in (1..things.len()).rev() {
            // The high half of a product, so that no order is preferred by more than 2^-32 for what fits into memory.
            let at = ((u128::from(self.word()) * (end as u128 + 1)) >> 64) as usize;
            things.swap(end, at);
        }
    }
}
