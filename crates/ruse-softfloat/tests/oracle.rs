//! Every operation that Berkeley SoftFloat (as RISC-V configures it) has, compared with it in all
//! formats and rounding modes: values and flags.

mod common;

use common::{config, operand, pair, triple};
use proptest::prelude::*;
use ruse_softfloat as soft;
use ruse_softfloat::{F16, F32, F64, Flags, Format, Round};
use softfloat_wrapper as berkeley;
use softfloat_wrapper::{ExceptionFlags, Float};

/// The reference's type for a format.
trait Oracle: Format {
    type Ref: Float<Payload = Self::Bits>;
}

impl Oracle for F16 {
    type Ref = berkeley::F16;
}
impl Oracle for F32 {
    type Ref = berkeley::F32;
}
impl Oracle for F64 {
    type Ref = berkeley::F64;
}

fn mode(rm: Round) -> berkeley::RoundingMode {
    use berkeley::RoundingMode::*;
    match rm {
        Round::Rne => TiesToEven,
        Round::Rtz => TowardZero,
        Round::Rdn => TowardNegative,
        Round::Rup => TowardPositive,
        Round::Rmm => TiesToAway,
    }
}

/// Runs an operation of the reference and collects its flags.
fn flagged<T>(op: impl FnOnce() -> T) -> (T, Flags) {
    ExceptionFlags::default().set();
    let value = op();
    let mut flags = ExceptionFlags::default();
    flags.get();
    (value, Flags(flags.to_bits()))
}

fn reference<F: Oracle>(a: u64) -> F::Ref {
    F::Ref::from_bits(F::narrow(a))
}

fn check_two<F: Oracle>(a: u64, b: u64) -> Result<(), TestCaseError> {
    let (x, y) = (F::narrow(a), F::narrow(b));
    let (rx, ry) = (&reference::<F>(a), &reference::<F>(b));
    for rm in Round::ALL {
        let m = mode(rm);
        macro_rules! same {
            ($ours:ident, $theirs:ident) => {
                prop_assert_eq!(
                    soft::$ours::<F>(x, y, rm),
                    flagged(|| rx.$theirs(ry, m).to_bits()),
                    "{} {:x?} {:x?} {:?}",
                    stringify!($ours),
                    x,
                    y,
                    rm
                );
            };
        }
        same!(add, add);
        same!(sub, sub);
        same!(mul, mul);
        same!(div, div);
    }
    macro_rules! same {
        ($ours:ident, $theirs:ident) => {
            prop_assert_eq!(
                soft::$ours::<F>(x, y),
                flagged(|| rx.$theirs(ry)),
                "{} {:x?} {:x?}",
                stringify!($ours),
                x,
                y
            );
        };
    }
    same!(eq, eq);
    same!(lt, lt);
    same!(le, le);
    same!(ltq, lt_quiet);
    same!(leq, le_quiet);
    Ok(())
}

fn check_one<F: Oracle>(a: u64) -> Result<(), TestCaseError> {
    let x = F::narrow(a);
    let r = reference::<F>(a);
    prop_assert_eq!(soft::is_signaling_nan::<F>(x), r.is_signaling_nan());
    for rm in Round::ALL {
        let m = mode(rm);
        macro_rules! same {
            ($ours:expr, $theirs:expr) => {
                prop_assert_eq!(
                    $ours,
                    flagged(|| $theirs),
                    "{} {:x?} {:?}",
                    stringify!($ours),
                    x,
                    rm
                );
            };
        }
        same!(soft::sqrt::<F>(x, rm), r.sqrt(m).to_bits());
        same!(soft::to_i32::<F>(x, rm), r.to_i32(m, true));
        same!(soft::to_u32::<F>(x, rm), r.to_u32(m, true));
        same!(soft::to_i64::<F>(x, rm), r.to_i64(m, true));
        same!(soft::to_u64::<F>(x, rm), r.to_u64(m, true));
        same!(
            soft::round_to_int::<F>(x, rm),
            r.round_to_integral(m).to_bits()
        );
        if F::WIDTH != 16 {
            same!(soft::convert::<F, F16>(x, rm), r.to_f16(m).to_bits());
        }
        if F::WIDTH != 32 {
            same!(soft::convert::<F, F32>(x, rm), r.to_f32(m).to_bits());
        }
        if F::WIDTH != 64 {
            same!(soft::convert::<F, F64>(x, rm), r.to_f64(m).to_bits());
        }
    }
    Ok(())
}

fn check_fma<F: Oracle>(a: u64, b: u64, c: u64) -> Result<(), TestCaseError> {
    let (x, y, z) = (F::narrow(a), F::narrow(b), F::narrow(c));
    for rm in Round::ALL {
        let theirs = flagged(|| {
            let (rb, rc) = (reference::<F>(b), reference::<F>(c));
            let r = reference::<F>(a).fused_mul_add(&rb, &rc, mode(rm));
            r.to_bits()
        });
        prop_assert_eq!(
            soft::mul_add::<F>(x, y, z, rm),
            theirs,
            "{:x?} {:x?} {:x?} {:?}",
            x,
            y,
            z,
            rm
        );
    }
    Ok(())
}

fn check_integer<F: Oracle>(n: u64) -> Result<(), TestCaseError> {
    for rm in Round::ALL {
        let m = mode(rm);
        macro_rules! same {
            ($from:ident, $int:ty) => {
                prop_assert_eq!(
                    soft::$from::<F>(n as $int, rm),
                    flagged(|| F::Ref::$from(n as $int, m).to_bits()),
                    "{} {:x} {:?}",
                    stringify!($from),
                    n,
                    rm
                );
            };
        }
        same!(from_i32, i32);
        same!(from_u32, u32);
        same!(from_i64, i64);
        same!(from_u64, u64);
    }
    Ok(())
}

/// Integers of all sizes, many of them near a power of two or halfway between two floats.
fn integer() -> impl Strategy<Value = u64> {
    let size = 0..64u32;
    prop_oneof![
        (any::<u64>(), size.clone()).prop_map(|(x, s)| x >> s),
        (any::<u64>(), size.clone()).prop_map(|(x, s)| (x >> s).wrapping_neg()),
        (size.clone(), size.clone(), -2i64..3)
            .prop_map(|(i, j, d)| (1u64 << i | 1 << j).wrapping_add_signed(d)),
        (size.clone(), size, -2i64..3)
            .prop_map(|(i, j, d)| (u64::MAX >> i << j).wrapping_add_signed(d)),
    ]
}

proptest! {
    #![proptest_config(config(12_000))]

    #[test]
    fn two_operands_f16((a, b) in pair::<F16>()) { check_two::<F16>(a, b)?; }
    #[test]
    fn two_operands_f32((a, b) in pair::<F32>()) { check_two::<F32>(a, b)?; }
    #[test]
    fn two_operands_f64((a, b) in pair::<F64>()) { check_two::<F64>(a, b)?; }

    #[test]
    fn one_operand_f32(a in operand::<F32>()) { check_one::<F32>(a)?; }
    #[test]
    fn one_operand_f64(a in operand::<F64>()) { check_one::<F64>(a)?; }

    #[test]
    fn mul_add_f16((a, b, c) in triple::<F16>()) { check_fma::<F16>(a, b, c)?; }
    #[test]
    fn mul_add_f32((a, b, c) in triple::<F32>()) { check_fma::<F32>(a, b, c)?; }
    #[test]
    fn mul_add_f64((a, b, c) in triple::<F64>()) { check_fma::<F64>(a, b, c)?; }

    #[test]
    fn from_integers(n in integer()) {
        check_integer::<F16>(n)?;
        check_integer::<F32>(n)?;
        check_integer::<F64>(n)?;
    }
}

/// There are only 65536 half-precision numbers.
#[test]
fn one_operand_f16_exhaustive() -> Result<(), TestCaseError> {
    (0..=u16::MAX).try_for_each(|a| check_one::<F16>(a.into()))
}
