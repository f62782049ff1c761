//! Operands that are worth testing: mostly where arithmetic goes wrong, sometimes anywhere.

use proptest::prelude::*;
use ruse_softfloat::{Format, Round, div, mul};

/// The configuration of every property: `cases` unless `PROPTEST_CASES` says otherwise.
pub fn config(cases: u32) -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    config.failure_persistence = None;
    config
}

/// A fraction field with few ones, few zeros, one edge, or anything.
fn fraction<F: Format>() -> impl Strategy<Value = u64> {
    let width = F::FRAC_BITS;
    prop_oneof![
        2 => Just(0u64),
        1 => Just(F::FRAC_MASK),
        2 => (0..width).prop_map(|i| 1 << i),
        2 => (0..width).prop_map(|i| F::FRAC_MASK & !(1 << i)),
        2 => (0..width).prop_map(|i| F::FRAC_MASK << i & F::FRAC_MASK),
        2 => (0..width).prop_map(|i| (1 << i) - 1),
        2 => (0..width, 0..width).prop_map(|(i, j)| 1 << i | 1 << j),
        1 => (any::<u64>(), any::<u64>()).prop_map(|(x, y)| x & y & F::FRAC_MASK),
        4 => any::<u64>().prop_map(|x| x & F::FRAC_MASK),
    ]
}

/// An exponent field: near either end, near one, within the reach of integers, or anything.
fn exponent<F: Format>() -> impl Strategy<Value = u64> {
    let (bias, max) = (F::BIAS as u64, F::EXP_MAX as u64);
    prop_oneof![
        3 => 0..3u64,
        3 => max - 2..=max,
        3 => bias - 3..bias + 3,
        3 => bias - 2..(bias + 70).min(max),
        1 => 0..(F::FRAC_BITS as u64 + 3).min(bias),
        4 => 0..=max,
    ]
}

/// One operand.
pub fn operand<F: Format>() -> impl Strategy<Value = u64> + Clone {
    let special = prop::sample::select(vec![
        0,
        1,
        F::MIN_NORMAL - 1,
        F::MIN_NORMAL,
        F::MIN_NORMAL + 1,
        (F::BIAS as u64) << F::FRAC_BITS,
        F::MAX_FINITE,
        F::INF,
        F::INF | 1,
        F::NAN,
        F::NAN | 1,
        F::INF | F::FRAC_MASK,
    ]);
    let magnitude = prop_oneof![
        1 => special,
        6 => (exponent::<F>(), fraction::<F>()).prop_map(|(e, f)| e << F::FRAC_BITS | f),
        1 => any::<u64>(),
    ];
    (any::<bool>(), magnitude)
        .prop_map(|(negative, m)| m & (F::SIGN - 1) | if negative { F::SIGN } else { 0 })
        .boxed()
}

/// A value that differs from `x` by a few units in the last place, exponents or signs.
fn near<F: Format>(x: u64, ulps: i8, exps: i8, flip: bool) -> u64 {
    let moved = x
        .wrapping_add_signed(ulps as i64)
        .wrapping_add_signed((exps as i64) << F::FRAC_BITS);
    (moved ^ if flip { F::SIGN } else { 0 }) & (F::SIGN | (F::SIGN - 1))
}

fn nudge() -> impl Strategy<Value = (i8, i8, bool)> {
    (
        prop_oneof![Just(0), -3i8..=3],
        prop_oneof![3 => Just(0), 2 => -2i8..=2, 1 => -60i8..=60],
        any::<bool>(),
    )
}

/// Two operands: independent, close to each other (cancellation), or such that the exponent of
/// their product or quotient lies at an end of the range.
pub fn pair<F: Format>() -> impl Strategy<Value = (u64, u64)> {
    let edge = prop_oneof![
        -3i64..4,
        -(F::FRAC_BITS as i64) - 3..0,
        F::EXP_MAX as i64 - 4..F::EXP_MAX as i64 + 3
    ];
    prop_oneof![
        4 => (operand::<F>(), operand::<F>()),
        2 => (operand::<F>(), nudge()).prop_map(|(a, (u, e, s))| (a, near::<F>(a, u, e, s))),
        2 => (operand::<F>(), fraction::<F>(), edge, any::<bool>(), any::<bool>()).prop_map(
            |(a, f, edge, product, s)| {
                let ea = (a >> F::FRAC_BITS) as i64 & F::EXP_MAX as i64;
                let bias = F::BIAS as i64;
                let e = if product { edge + bias - ea } else { ea + bias - edge };
                let e = e.clamp(0, F::EXP_MAX as i64 - 1) as u64;
                (a, e << F::FRAC_BITS | f | if s { F::SIGN } else { 0 })
            }
        ),
        // The quotient or the square is a short number, so that the result is often exact.
        1 => (operand::<F>(), operand::<F>()).prop_map(|(a, b)| {
            let short = |x: u64| F::narrow(x & !(F::FRAC_MASK >> (F::FRAC_BITS / 2)));
            (mul::<F>(short(a), short(b), Round::Rtz).0.into(), short(b).into())
        }),
    ]
}

/// Three operands: a pair, and an addend that is unrelated or nearly the product.
#[allow(dead_code)] // Not every test binary has operations of three operands.
pub fn triple<F: Format>() -> impl Strategy<Value = (u64, u64, u64)> {
    (pair::<F>(), operand::<F>(), nudge(), 0..5u8).prop_map(|((a, b), c, (u, e, s), kind)| {
        let (na, nb) = (F::narrow(a), F::narrow(b));
        match kind {
            0 | 1 => (a, b, c),
            2 | 3 => {
                let product = mul::<F>(na, nb, Round::Rne).0.into();
                (a, b, near::<F>(product, u, e, s))
            }
            // The product lies near the second operand.
            _ => (
                a,
                div::<F>(nb, na, Round::Rtz).0.into(),
                near::<F>(b, u, e, s),
            ),
        }
    })
}
