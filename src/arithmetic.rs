//! Powers and logarithms of base two without libm: the same bits on every machine.
//!
//! Only `+ - *`, comparisons and bit operations on IEEE 754 singles, all of which are exactly defined; no fused multiply-add, so a build
//! with other target features rounds no differently. What they serve is kept in single precision: neither is nearer than that needs.

/// ln 2.
const LN_2: f32 = std::f32::consts::LN_2;
/// The width of a single's fraction in bits.
const FRACTION_BITS: u32 = 23;
/// What is added to a single's exponent.
const EXPONENT_BIAS: u32 = 127;
/// Added to a single below 2^22 it leaves the nearest whole number in the lowest bits of the fraction.
const ROUNDING: f32 = 12_582_912.0;

/// Half-lives after which nothing is left: what would remain is far below the last bit of any sum, and slow to compute with.
const HALF_LIVES_MAX: f32 = 64.0;

/// 2^-x for each `x` >= 0, with a relative error below 3e-7: exactly 2^-n for a whole n, and 0 from 64 on. Side by side and without a
/// branch: a node's half-lives are computed together.
#[inline(always)]
pub fn decay(x: [f32; 4]) -> [f32; 4] {
    x.map(|x| {
        let bounded = if x < HALF_LIVES_MAX { x } else { HALF_LIVES_MAX };
        let rounded = bounded + ROUNDING;
        let whole = rounded.to_bits() & ((1 << (FRACTION_BITS - 1)) - 1);
        // 2^-x = 2^-whole * e^rest with rest in [-ln 2 / 2, ln 2 / 2], where seven terms of the exponential series suffice.
        let rest = ((rounded - ROUNDING) - bounded) * LN_2;
        let mut sum = 1.0 / 720.0;
        for inverse_factorial in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 1.0 / 2.0, 1.0, 1.0] {
            sum = sum * rest + inverse_factorial;
        }
        let power = f32::from_bits((EXPONENT_BIAS - whole) << FRACTION_BITS);
        if x < HALF_LIVES_MAX { sum * power } else { 0.0 }
    })
}

/// What is no number, where its bits are read: which of them an operation gives differs between machines.
const NO_NUMBER_BITS: u32 = 0x7fc0_0000;

/// log2(1 + x) for 0 <= `x` < 2^120, within 1e-5 and what single precision loses: what a feature needs, without a branch or a division. Beyond
/// that it means nothing, but is the same on every machine; it is so for all that is no number.
#[inline(always)]
pub fn log2_1p(x: f32) -> f32 {
    let sum = 1.0 + x;
    let bits = if sum.is_nan() { NO_NUMBER_BITS } else { sum.to_bits() };
    let exponent = (bits >> FRACTION_BITS) as i32 - EXPONENT_BIAS as i32;
    // log2(1 + m) = m + m (1 - m) bend(m), exact at both ends so that the pieces join; bend is fitted at Chebyshev points.
    let m = f32::from_bits(bits & 0x007f_ffff | 0x3f80_0000) - 1.0;
    let bend = (((0.026_273_05 * m - 0.098_387_616) * m + 0.184_862_23) * m - 0.276_728_33) * m + 0.442_659_44;
    exponent as f32 + (m + m * (1.0 - m) * bend)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_near_and_joins_its_pieces() {
        for n in 0..200_000u32 {
            let x = n as f32 * 0.013;
            let expected = f64::from(x).ln_1p() / std::f64::consts::LN_2;
            assert!((f64::from(log2_1p(x)) - expected).abs() < 2e-5, "{x}");
        }
        for n in 0..=24u32 {
            assert_eq!(log2_1p(((1u32 << n) - 1) as f32), n as f32, "log2(2^{n})");
        }
    }

    /// Caught when planted: the bits of whichever it was (its payload and its sign came through, as numbers from 128 to 129 and from 384 to 385).
    #[test]
    fn the_logarithm_has_one_result_for_all_that_is_no_number() {
        for bits in [0x7fc0_0000, 0xffc0_0000, 0x7fff_ffff, 0xffff_ffff, 0x7fa0_0001, 0xff80_0001, 0x7fc1_2345u32] {
            assert_eq!(log2_1p(f32::from_bits(bits)).to_bits(), 0x4300_95c0, "{bits:x}");
        }
        let ends = [f32::INFINITY, f32::NEG_INFINITY, f32::MAX, -1.0, -0.0, f32::from_bits(1), -f32::from_bits(0x7f_ffff)];
        assert_eq!(ends.map(log2_1p), [128.0, 384.0, 128.0, -127.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn decay_is_near_the_power_and_falls() {
        let mut before = 1.0;
        for n in 0..63_900u32 {
            let x = n as f32 * 0.001;
            let found = decay([x, 0.0, 1.0, 1e9]);
            let expected = (-f64::from(x)).exp2();
            assert!((f64::from(found[0]) - expected).abs() <= expected * 3e-7, "{x}: {} {expected}", found[0]);
            assert_eq!(found[1..], [1.0, 0.5, 0.0]);
            assert!(found[0] <= before, "{x}");
            before = found[0];
        }
        for n in 0..64 {
            assert_eq!(decay([n as f32; 4])[3], f32::from_bits((127 - n) << 23), "2^-{n}");
        }
        assert_eq!(decay([64.0, f32::INFINITY, f32::MAX, 63.999_996])[..3], [0.0; 3]);
    }

    /// The bits themselves, computed by another program: whoever changes a constant or the order of the operations changes every digest, and must know it.
    #[test]
    fn golden_bits() {
        assert_eq!(decay([0.25, 1.0 / 3.0, 10.1, 63.4]).map(f32::to_bits), GOLDEN_POWERS);
        assert_eq!([0.1, 2.0, 12_345.0, 1e18].map(|x| log2_1p(x).to_bits()), GOLDEN_LOGS);
    }

    const GOLDEN_POWERS: [u32; 4] = [0x3f5744fd, 0x3f4b2ff5, 0x3a6edb3c, 0x1fc202f4];
    const GOLDEN_LOGS: [u32; 4] = [0x3e0cce86, 0x3fcae016, 0x415977d7, 0x426f2dc8];
}
