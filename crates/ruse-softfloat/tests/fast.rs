//! The shortcuts through the host's floating-point unit, compared with the soft path, and a check
//! that they apply where they are meant to.

mod common;

use common::{config, operand, pair, triple};
use proptest::prelude::*;
use ruse_softfloat::{self as soft, F32, F64, Flags, Round, fast};

/// A shortcut for a caller with NX set: the same value, and no flag but NX.
macro_rules! same_value {
    ($fast:expr, $soft:expr) => {
        if let Some(r) = $fast {
            let (value, flags) = $soft;
            prop_assert_eq!(r, value, "{}", stringify!($fast));
            prop_assert!(
                Flags::NX.contains(flags),
                "{} {:?}",
                stringify!($fast),
                flags
            );
        }
    };
}

/// A shortcut that knows its flags: the same value, the same flags.
macro_rules! same_flags {
    ($fast:expr, $soft:expr) => {
        if let Some(r) = $fast {
            prop_assert_eq!(r, $soft, "{}", stringify!($fast));
        }
    };
}

macro_rules! properties {
    ($module:ident, $format:ty, $bits:ty, $float:ty,
     [$($op:ident $fast:ident $nx:ident),*], $sqrt:ident $sqrt_nx:ident, $fma:ident) => {
        mod $module {
            use super::*;

            proptest! {
                #![proptest_config(config(40_000))]

                #[test]
                fn two_operands((a, b) in pair::<$format>()) {
                    let (a, b) = (a as $bits, b as $bits);
                    $(
                        same_value!(fast::$fast(a, b), soft::$op::<$format>(a, b, Round::Rne));
                        same_flags!(fast::$nx(a, b), soft::$op::<$format>(a, b, Round::Rne));
                    )*
                }

                #[test]
                fn square_root(a in operand::<$format>(), square in any::<bool>()) {
                    let mut a = a as $bits;
                    if square {
                        a = soft::mul::<$format>(a, a, Round::Rtz).0;
                    }
                    same_value!(fast::$sqrt(a), soft::sqrt::<$format>(a, Round::Rne));
                    same_flags!(fast::$sqrt_nx(a), soft::sqrt::<$format>(a, Round::Rne));
                }

                #[test]
                fn fused((a, b, c) in triple::<$format>()) {
                    let (a, b, c) = (a as $bits, b as $bits, c as $bits);
                    same_value!(fast::$fma(a, b, c), soft::mul_add::<$format>(a, b, c, Round::Rne));
                }

                /// Everyday numbers must not end on the slow path.
                #[test]
                fn applies(x in 1u32..1_000_000, y in 1u32..1_000_000) {
                    let (a, b) = ((x as $float / 7.0).to_bits(), (y as $float / 3.0).to_bits());
                    $(
                        prop_assert!(fast::$fast(a, b).is_some());
                        prop_assert!(fast::$nx(a, b).is_some());
                    )*
                    prop_assert_eq!(fast::$sqrt(a).is_some(), cfg!(feature = "std"));
                    prop_assert_eq!(fast::$sqrt_nx(a).is_some(), cfg!(feature = "std"));
                }
            }
        }
    };
}

properties!(
    double, F64, u64, f64,
    [add add_f64 add_f64_nx, sub sub_f64 sub_f64_nx, mul mul_f64 mul_f64_nx, div div_f64 div_f64_nx],
    sqrt_f64 sqrt_f64_nx, mul_add_f64
);
properties!(
    single, F32, u32, f32,
    [add add_f32 add_f32_nx, sub sub_f32 sub_f32_nx, mul mul_f32 mul_f32_nx, div div_f32 div_f32_nx],
    sqrt_f32 sqrt_f32_nx, mul_add_f32
);

proptest! {
    #![proptest_config(config(40_000))]

    #[test]
    fn fused_single_with_flags((a, b, c) in triple::<F32>()) {
        let (a, b, c) = (a as u32, b as u32, c as u32);
        same_flags!(fast::mul_add_f32_nx(a, b, c), soft::mul_add::<F32>(a, b, c, Round::Rne));
    }
}

/// A product that is tiny and rounds up to the smallest normal number has underflowed, although
/// the result is normal: the shortcut must not take it.
#[test]
fn rounded_up_to_the_smallest_normal() {
    let (a, b) = (f64::MIN_POSITIVE.to_bits() + 1, 1f64.to_bits() - 1);
    let exact = fast::mul_f64(f64::MIN_POSITIVE.to_bits(), 1f64.to_bits());
    assert_eq!(exact, None);
    // (1 + 2^-52)(1 - 2^-53) = 1 + 2^-53 - 2^-105: not tiny, rounds to the smallest normal.
    assert_eq!(fast::mul_f64(a, b), None);
    // (1 - 2^-53) * 2^-1022: halfway between the largest subnormal and the smallest normal.
    let (r, flags) = soft::mul::<F64>(f64::MIN_POSITIVE.to_bits(), b, Round::Rne);
    assert_eq!(r, f64::MIN_POSITIVE.to_bits());
    assert_eq!(flags, Flags::UF | Flags::NX);
    assert_eq!(fast::mul_f64(f64::MIN_POSITIVE.to_bits(), b), None);
    assert_eq!(fast::mul_f64_nx(f64::MIN_POSITIVE.to_bits(), b), None);
}

/// Only zeros that come from zeros are exact.
#[test]
fn zeros() {
    let (tiny, one, inf) = (1u64, 1f64.to_bits(), f64::INFINITY.to_bits());
    assert_eq!(fast::mul_f64(tiny, tiny), None);
    assert_eq!(fast::mul_f64(0, one), Some(0));
    assert_eq!(fast::mul_f64_nx(0, one), Some((0, Flags::NONE)));
    assert_eq!(fast::mul_f64(0, inf), None);
    assert_eq!(fast::div_f64(0, one), Some(0));
    assert_eq!(fast::div_f64(one, 0), None);
    assert_eq!(fast::div_f64(one, inf), None);
    assert_eq!(fast::div_f64(0, 0), None);
    assert_eq!(fast::add_f64(one, one | 1 << 63), Some(0));
}
