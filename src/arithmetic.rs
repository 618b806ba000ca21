//! Powers and logarithms of base two without libm: the same bits on every machine.
//!
//! Only `+ - * /`, comparisons and bit operations on IEEE 754 doubles, all of which are exactly defined; no fused multiply-add, so a
//! build with other target features rounds no differently.

/// ln 2.
const LN_2: f64 = std::f64::consts::LN_2;
/// 1 / ln 2.
const LOG2_E: f64 = std::f64::consts::LOG2_E;
/// The width of a double's fraction in bits.
const FRACTION_BITS: u32 = 52;
/// What is added to a double's exponent.
const EXPONENT_BIAS: i64 = 1023;

/// 2^-x for 0 <= `x`, relative error below 3e-7, for sums that are kept in single precision: without a branch, so that
/// a row of half-lives is computed side by side. Beyond 126 it is 0.
#[inline(always)]
pub fn decay(x: f64) -> f32 {
    let bounded = if x < 127.0 { x } else { 127.0 };
    let whole = bounded as i64;
    let rest = (whole as f64 - bounded) * LN_2;
    // Eight terms of the exponential series for rest in (-ln 2, 0].
    let mut sum = 1.0 / 40_320.0;
    for inverse_factorial in [1.0 / 5_040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 1.0 / 2.0, 1.0, 1.0] {
        sum = sum * rest + inverse_factorial;
    }
    let power = f64::from_bits(((EXPONENT_BIAS - whole) as u64) << FRACTION_BITS);
    if whole < 127 { (sum * power) as f32 } else { 0.0 }
}

/// log2(1 + x) for 0 <= `x` < 2^120, within 1e-5 and what single precision loses: what a feature needs, for a tenth of the work of [`log2_1p`] and without a branch.
#[inline(always)]
pub fn log2_1p_coarse(x: f32) -> f32 {
    let bits = (1.0 + x).to_bits();
    let exponent = (bits >> 23) as i32 - 127;
    // log2(1 + m) = m + m (1 - m) bend(m), exact at both ends so that the pieces join; bend is fitted at Chebyshev points.
    let m = f32::from_bits(bits & 0x007f_ffff | 0x3f80_0000) - 1.0;
    let bend = (((0.026_273_05 * m - 0.098_387_616) * m + 0.184_862_23) * m - 0.276_728_33) * m + 0.442_659_44;
    exponent as f32 + (m + m * (1.0 - m) * bend)
}

/// log2(1 + x) for finite `x` >= 0, with a relative error below 1e-9 also where `x` is tiny: exactly n for x = 2^n - 1. A negative `x`
/// or NaN, which no count can be, gives 0.
pub fn log2_1p(x: f64) -> f64 {
    let counts = x > 0.0;
    if !counts {
        return 0.0;
    }
    // 1 + x = mantissa * 2^exponent with mantissa in [3/4, 3/2); log2(mantissa) = 2 atanh(s) / ln 2 with |s| <= 1/5.
    let (exponent, s) = if x < 0.5 {
        // Not by way of 1 + x, in which the digits of a tiny x are lost.
        (0, x / (2.0 + x))
    } else {
        let bits = (1.0 + x).to_bits();
        let mut exponent = (bits >> FRACTION_BITS) as i64 - EXPONENT_BIAS;
        let fraction = bits & ((1 << FRACTION_BITS) - 1);
        let mut mantissa = f64::from_bits(fraction | (EXPONENT_BIAS as u64) << FRACTION_BITS);
        if mantissa >= 1.5 {
            mantissa *= 0.5;
            exponent += 1;
        }
        (exponent, (mantissa - 1.0) / (mantissa + 1.0))
    };
    let square = s * s;
    let mut sum = 1.0 / 21.0;
    for odd in [19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        sum = sum * square + 1.0 / odd;
    }
    exponent as f64 + 2.0 * LOG2_E * s * sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The referee of [`decay`]: 2^-x for `x` >= 0, with a relative error below 1e-9 (1e-14 where the result is a normal number): exactly 2^-n for a whole n, 0 for
    /// `x` > 1074. A negative `x` or NaN, which no age can be, gives 1.
    fn exp2_neg(x: f64) -> f64 {
        // Written so that NaN, too, takes this way.
        let ages = x > 0.0;
        if !ages {
            return 1.0;
        }
        if x > 1074.0 {
            return 0.0;
        }
        // 2^-x = 2^-whole * 2^rest with rest in [-1/2, 1/2], where eleven terms of the exponential series suffice.
        let whole = (x + 0.5) as i64;
        let rest = (whole as f64 - x) * LN_2;
        let mut sum = 1.0 / 39_916_800.0;
        for inverse_factorial in [
            1.0 / 3_628_800.0,
            1.0 / 362_880.0,
            1.0 / 40_320.0,
            1.0 / 5_040.0,
            1.0 / 720.0,
            1.0 / 120.0,
            1.0 / 24.0,
            1.0 / 6.0,
            1.0 / 2.0,
            1.0,
            1.0,
        ] {
            sum = sum * rest + inverse_factorial;
        }
        // In two steps: the power alone may lie below the smallest normal number.
        let first = whole.min(1000);
        sum * power_of_two(-first) * power_of_two(first - whole)
    }

    /// 2^`exponent` for an exponent in -1022..=1023.
    fn power_of_two(exponent: i64) -> f64 {
        f64::from_bits(((exponent + EXPONENT_BIAS) as u64) << FRACTION_BITS)
    }

    #[test]
    fn the_coarse_logarithm_is_near_and_joins_its_pieces() {
        for n in 0..200_000u32 {
            let x = n as f32 * 0.013;
            assert!((f64::from(log2_1p_coarse(x)) - log2_1p(f64::from(x))).abs() < 2e-5, "{x}");
        }
        assert_eq!(log2_1p_coarse(0.0), 0.0);
        assert_eq!(log2_1p_coarse(1023.0), 10.0);
    }

    #[test]
    fn decay_is_near_the_power() {
        for n in 0..100_000u32 {
            let x = f64::from(n) * 0.0011;
            let (found, expected) = (f64::from(decay(x)), exp2_neg(x));
            assert!((found - expected).abs() <= expected * 3e-7 + 1e-38, "{x}: {found} {expected}");
        }
        assert_eq!((decay(0.0), decay(1.0), decay(1e9)), (1.0, 0.5, 0.0));
    }

    #[test]
    fn whole_numbers_are_exact() {
        for n in 0..=1074u32 {
            let expected = if n <= 1022 { f64::from_bits(u64::from(1023 - n) << 52) } else { f64::from_bits(1 << (1074 - n)) };
            assert_eq!(exp2_neg(f64::from(n)).to_bits(), expected.to_bits(), "2^-{n}");
        }
        for n in 0..=53u32 {
            assert_eq!(log2_1p(((1u64 << n) - 1) as f64).to_bits(), f64::from(n).to_bits(), "log2(2^{n})");
        }
    }

    #[test]
    fn what_cannot_be_has_an_answer() {
        assert_eq!(exp2_neg(-1.0), 1.0);
        assert_eq!(exp2_neg(f64::NAN), 1.0);
        assert_eq!(exp2_neg(1074.1), 0.0);
        assert_eq!(exp2_neg(f64::INFINITY), 0.0);
        assert_eq!(log2_1p(-1.0), 0.0);
        assert_eq!(log2_1p(f64::NAN), 0.0);
    }

    #[test]
    fn the_ends_of_the_ranges_meet() {
        // Both sides of every seam of the range reductions; caught: `mantissa >= 1.5` without its exponent.
        for x in [0.5f64, 1.5, 2.5, 20.5, 999.5, 1000.5] {
            let (below, above) = (exp2_neg(f64::from_bits(x.to_bits() - 1)), exp2_neg(x));
            assert!((below / above - 1.0).abs() < 1e-12, "{x}: {below} {above}");
        }
        for x in [0.5f64, 1.0, 2.0, 3.0, 5.0, 11.0, 1e6, 1e15] {
            let (below, above) = (log2_1p(f64::from_bits(x.to_bits() - 1)), log2_1p(x));
            assert!((above - below).abs() < 1e-12, "{x}: {below} {above}");
        }
    }

    /// The bits themselves, computed by another program (Python's doubles): whoever changes a constant or the order of the operations changes every digest, and must know it.
    #[test]
    fn golden_bits() {
        let powers: Vec<u64> = [0.25, 0.5, 1.0 / 3.0, 0.75, 1.5, 10.1, 123.456, 1022.75].map(|x| exp2_neg(x).to_bits()).to_vec();
        assert_eq!(powers, GOLDEN_POWERS);
        let logs: Vec<u64> = [1e-9, 0.1, 0.49, 0.5, 2.0, 9.99, 12_345.0, 1e18].map(|x| log2_1p(x).to_bits()).to_vec();
        assert_eq!(logs, GOLDEN_LOGS);
    }

    const GOLDEN_POWERS: [u64; 8] = [
        0x3feae89f995ad3ae,
        0x3fe6a09e667f3baf,
        0x3fe965fea53d6e3c,
        0x3fe306fe0a31b715,
        0x3fd6a09e667f3baf,
        0x3f4ddb680117ab14,
        0x38375401a4747489,
        0x0009837f0518db8a,
    ];
    const GOLDEN_LOGS: [u64; 8] = [
        0x3e18c90a3619874d,
        0x3fc199b728cb9d07,
        0x3fe268f567a937f0,
        0x3fe2b803473f7ad1,
        0x3ff95c01a39fbd68,
        0x400baa3a8bea70a0,
        0x402b2efaa70374c1,
        0x404de5b8eaa8d7e0,
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn powers_agree_with_libm(x in prop_oneof![0.0..4.0f64, 0.0..1000.0f64]) {
            let expected = (-x).exp2();
            prop_assert!((exp2_neg(x) - expected).abs() <= expected * 1e-13, "{} {}", exp2_neg(x), expected);
        }

        #[test]
        fn logarithms_agree_with_libm(x in prop_oneof![0.0..1e-6f64, 0.0..4.0f64, 0.0..1e6f64, 0.0..1e18f64]) {
            let expected = x.ln_1p() / std::f64::consts::LN_2;
            prop_assert!((log2_1p(x) - expected).abs() <= expected * 1e-13, "{} {}", log2_1p(x), expected);
        }

        #[test]
        fn powers_fall(x in 0.0..1000.0f64, step in 1e-11..2.0f64) {
            prop_assert!(exp2_neg(x + step) < exp2_neg(x));
        }

        #[test]
        fn logarithms_rise(x in 0.0..1e9f64, step in 1e-4..1e4f64) {
            prop_assert!(log2_1p(x + step) > log2_1p(x));
        }
    }
}
