//! What Berkeley SoftFloat lacks, compared with formulations that share nothing with the crate:
//! the host's doubles, 128-bit integers, and the tables of the manual written out.

mod common;

use common::{config, operand, pair};
use proptest::prelude::*;
use ruse_softfloat::{self as soft, F16, F32, F64, Flags, Format, Round};

/// The value as a double, which holds all three formats; NaNs become the host's.
fn value<F: Format>(a: u64) -> f64 {
    let a = a & (F::SIGN | (F::SIGN - 1));
    let frac = (a & F::FRAC_MASK) as f64;
    let field = (a >> F::FRAC_BITS) as i32 & F::EXP_MAX;
    let unit = |e: i32| {
        // 2^e in two steps, since the smallest ones are subnormal as doubles.
        2f64.powi(e / 2) * 2f64.powi(e - e / 2)
    };
    let magnitude = if field == F::EXP_MAX {
        if frac == 0.0 { f64::INFINITY } else { f64::NAN }
    } else if field == 0 {
        frac * unit(1 - F::BIAS - F::FRAC_BITS as i32)
    } else {
        (frac + F::MIN_NORMAL as f64) * unit(field - F::BIAS - F::FRAC_BITS as i32)
    };
    if a & F::SIGN != 0 {
        -magnitude
    } else {
        magnitude
    }
}

fn is_signaling<F: Format>(a: u64) -> bool {
    value::<F>(a).is_nan() && a & F::QUIET == 0
}

fn check_min_max<F: Format>(a: u64, b: u64) -> Result<(), TestCaseError> {
    let (x, y) = (value::<F>(a), value::<F>(b));
    let invalid = Flags::NV.when(is_signaling::<F>(a) || is_signaling::<F>(b));
    let nan = F::narrow(F::NAN);
    let (a, b) = (F::narrow(a), F::narrow(b));
    // `total_cmp` puts -0 before +0.
    let (low, high) = if x.total_cmp(&y).is_le() {
        (a, b)
    } else {
        (b, a)
    };
    let number = |best| match (x.is_nan(), y.is_nan()) {
        (true, true) => nan,
        (true, false) => b,
        (false, true) => a,
        (false, false) => best,
    };
    let propagating = |best| if x.is_nan() || y.is_nan() { nan } else { best };
    prop_assert_eq!(soft::min::<F>(a, b), (number(low), invalid));
    prop_assert_eq!(soft::max::<F>(a, b), (number(high), invalid));
    prop_assert_eq!(soft::minm::<F>(a, b), (propagating(low), invalid));
    prop_assert_eq!(soft::maxm::<F>(a, b), (propagating(high), invalid));
    let sign = |s: bool, m: F::Bits| F::narrow(m.into() & !F::SIGN | if s { F::SIGN } else { 0 });
    let (sa, sb) = (x.is_sign_negative(), b.into() & F::SIGN != 0);
    let sa = if x.is_nan() {
        a.into() & F::SIGN != 0
    } else {
        sa
    };
    prop_assert_eq!(soft::sgnj::<F>(a, b), sign(sb, a));
    prop_assert_eq!(soft::sgnjn::<F>(a, b), sign(!sb, a));
    prop_assert_eq!(soft::sgnjx::<F>(a, b), sign(sa != sb, a));
    Ok(())
}

fn check_round_and_classify<F: Format>(a: u64) -> Result<(), TestCaseError> {
    let x = value::<F>(a);
    let bits = F::narrow(a);
    let a: u64 = bits.into();
    for rm in Round::ALL {
        let (got, flags) = soft::round_to_int_nx::<F>(bits, rm);
        prop_assert_eq!(soft::round_to_int::<F>(bits, rm).0, got);
        if x.is_nan() {
            prop_assert_eq!(got, F::narrow(F::NAN));
            prop_assert_eq!(flags, Flags::NV.when(is_signaling::<F>(a)));
            continue;
        }
        let want = match rm {
            Round::Rne => x.round_ties_even(),
            Round::Rtz => x.trunc(),
            Round::Rdn => x.floor(),
            Round::Rup => x.ceil(),
            Round::Rmm => x.round(),
        };
        // Bits of doubles are compared so that the sign of a zero counts.
        prop_assert_eq!(
            value::<F>(got.into()).to_bits(),
            want.to_bits(),
            "{} {:?}",
            x,
            rm
        );
        prop_assert_eq!(flags, Flags::NX.when(want != x), "{} {:?}", x, rm);
    }
    let negative = x.is_sign_negative();
    let least = value::<F>(F::MIN_NORMAL);
    let bit = match x {
        _ if x.is_nan() => {
            if is_signaling::<F>(a) {
                8
            } else {
                9
            }
        }
        _ if x.is_infinite() => {
            if negative {
                0
            } else {
                7
            }
        }
        _ if x == 0.0 => {
            if negative {
                3
            } else {
                4
            }
        }
        _ if x.abs() < least => {
            if negative {
                2
            } else {
                5
            }
        }
        _ => {
            if negative {
                1
            } else {
                6
            }
        }
    };
    prop_assert_eq!(soft::classify::<F>(bits), 1 << bit);
    Ok(())
}

/// `trunc(x) mod 2^32` with the host's exact remainder.
fn check_fcvtmod(a: u64) -> Result<(), TestCaseError> {
    let x = f64::from_bits(a);
    let (got, flags) = soft::fcvtmod_w_d(a);
    let t = x.trunc();
    if !(-2147483648.0..=2147483647.0).contains(&t) {
        prop_assert_eq!(flags, Flags::NV);
    } else {
        prop_assert_eq!(flags, Flags::NX.when(t != x));
    }
    let want = if x.is_finite() {
        (t % 4294967296.0) as i64 as i32
    } else {
        0
    };
    prop_assert_eq!(got, want, "{}", x);
    Ok(())
}

proptest! {
    #![proptest_config(config(30_000))]

    #[test]
    fn min_max_f16((a, b) in pair::<F16>()) { check_min_max::<F16>(a, b)?; }
    #[test]
    fn min_max_f32((a, b) in pair::<F32>()) { check_min_max::<F32>(a, b)?; }
    #[test]
    fn min_max_f64((a, b) in pair::<F64>()) { check_min_max::<F64>(a, b)?; }

    #[test]
    fn round_and_classify_f32(a in operand::<F32>()) { check_round_and_classify::<F32>(a)?; }
    #[test]
    fn round_and_classify_f64(a in operand::<F64>()) { check_round_and_classify::<F64>(a)?; }

    #[test]
    fn fcvtmod(a in operand::<F64>()) { check_fcvtmod(a)?; }
    #[test]
    fn fcvtmod_in_reach(sign in 0..2u64, exp in 1020..1112u64, frac in any::<u64>()) {
        check_fcvtmod(sign << 63 | exp << 52 | frac >> 12)?;
    }

    #[test]
    fn boxing(register in any::<u64>(), upper in any::<bool>()) {
        let register = if upper { register | !0 << 16 } else { register };
        let single = if register >> 32 == 0xffff_ffff { register as u32 } else { 0x7fc0_0000 };
        let half = if register >> 16 == 0xffff_ffff_ffff { register as u16 } else { 0x7e00 };
        prop_assert_eq!(soft::unbox::<F16>(register), half);
        prop_assert_eq!(soft::unbox::<F32>(register), single);
        prop_assert_eq!(soft::unbox::<F64>(register), register);
        prop_assert_eq!(soft::nan_box::<F16>(half), 0xffff_ffff_ffff_0000 | half as u64);
        prop_assert_eq!(soft::nan_box::<F32>(single), 0xffff_ffff_0000_0000 | single as u64);
        prop_assert_eq!(soft::nan_box::<F64>(register), register);
    }
}

#[test]
fn round_and_classify_f16_exhaustive() -> Result<(), TestCaseError> {
    (0..=u16::MAX).try_for_each(|a| check_round_and_classify::<F16>(a.into()))
}

/// The table of the manual, as numbers. Rust's conversion to single is correctly rounded, and
/// exact for all of them; half precision is written out.
#[test]
fn load_immediate() {
    let middle = [
        1.0 / 65536.0,
        1.0 / 32768.0,
        0.00390625,
        0.0078125,
        0.0625,
        0.125,
        0.25,
        0.3125,
        0.375,
        0.4375,
        0.5,
        0.625,
        0.75,
        0.875,
        1.0,
        1.25,
        1.5,
        1.75,
        2.0,
        2.5,
        3.0,
        4.0,
        8.0,
        16.0,
        128.0,
        256.0,
        32768.0,
        65536.0,
    ];
    let half = [
        0xbc00, 0x0400, 0x0100, 0x0200, 0x1c00, 0x2000, 0x2c00, 0x3000, 0x3400, 0x3500, 0x3600,
        0x3700, 0x3800, 0x3900, 0x3a00, 0x3b00, 0x3c00, 0x3d00, 0x3e00, 0x3f00, 0x4000, 0x4100,
        0x4200, 0x4400, 0x4800, 0x4c00, 0x5800, 0x5c00, 0x7800, 0x7c00, 0x7c00, 0x7e00,
    ];
    for (i, want) in half.into_iter().enumerate() {
        assert_eq!(soft::fli::<F16>(i as u8), want, "entry {i}");
    }
    for (i, want) in middle.into_iter().enumerate() {
        assert_eq!(
            soft::fli::<F64>(i as u8 + 2),
            f64::to_bits(want),
            "entry {}",
            i + 2
        );
        assert_eq!(
            soft::fli::<F32>(i as u8 + 2),
            (want as f32).to_bits(),
            "entry {}",
            i + 2
        );
    }
    let ends = [0, 1, 30, 31];
    assert_eq!(
        ends.map(soft::fli::<F32>),
        [0xbf80_0000, 0x0080_0000, 0x7f80_0000, 0x7fc0_0000]
    );
    assert_eq!(
        ends.map(soft::fli::<F64>),
        [
            0xbff0_0000_0000_0000,
            0x0010_0000_0000_0000,
            0x7ff0_0000_0000_0000,
            0x7ff8_0000_0000_0000
        ]
    );
}

#[test]
fn rounding_modes_decode() {
    for rm in Round::ALL {
        assert_eq!(Round::from_bits(rm.bits()), Some(rm));
    }
    assert_eq!((5..=255).find_map(Round::from_bits), None);
    assert_eq!(format!("{:?}", Flags::NV | Flags::NX), "Flags(NX|NV)");
}
