//! Conversions to and from integers.
//!
//! F extension, "Single-Precision Floating-Point Conversion and Move Instructions": what doesn't
//! fit after rounding is clipped to the nearest representable integer and invalid; a NaN counts as
//! plus infinity. An invalid conversion is never inexact as well.

use crate::pack::{increment, magnitude, nan, round_pack, shift_right_jam, sign, unpack};
use crate::{F64, Flags, Format, Round};

/// A magnitude rounded to an integer.
struct Integer {
    value: u64,
    inexact: bool,
    /// The magnitude is 2^64 or more, and `value` says nothing.
    huge: bool,
}

/// Rounds the finite magnitude `m` to an integer.
#[inline(always)]
fn integer<F: Format>(negative: bool, m: u64, rm: Round) -> Integer {
    if m == 0 {
        return Integer {
            value: 0,
            inexact: false,
            huge: false,
        };
    }
    let p = unpack::<F>(m);
    if p.exp >= 63 {
        return Integer {
            value: p.sig,
            inexact: false,
            huge: p.exp > 63,
        };
    }
    // Two fraction bits, the lower one sticky, say all there is to say of the rest. The number is
    // below 2^63, so that shifting it by two would not fit: whole and rest are kept apart.
    let below = (63 - p.exp) as u32;
    let whole = if below < 64 { p.sig >> below } else { 0 };
    let rest = if below < 64 {
        shift_right_jam(p.sig << (64 - below), 62)
    } else {
        shift_right_jam(p.sig, below - 2)
    };
    let up = (rest + increment(negative, 3, rm)) >> 2;
    let tie = rm == Round::Rne && rest == 2;
    Integer {
        value: (whole + up) & !(tie as u64),
        inexact: rest != 0,
        huge: false,
    }
}

/// Converts to a signed integer of `bits` width.
#[inline(always)]
fn to_signed<F: Format>(a: u64, bits: u32, rm: Round) -> (i64, Flags) {
    let max = u64::MAX >> (65 - bits);
    let clipped = |negative: bool| {
        let value = if negative { !max } else { max };
        (value as i64, Flags::NV)
    };
    let m = magnitude::<F>(a);
    if m >= F::INF {
        return clipped(sign::<F>(a) && !nan::<F>(a));
    }
    let negative = sign::<F>(a);
    let int = integer::<F>(negative, m, rm);
    if int.huge || int.value > max + negative as u64 {
        return clipped(negative);
    }
    let value = if negative {
        int.value.wrapping_neg()
    } else {
        int.value
    };
    (value as i64, Flags::NX.when(int.inexact))
}

/// Converts to an unsigned integer of `bits` width.
#[inline(always)]
fn to_unsigned<F: Format>(a: u64, bits: u32, rm: Round) -> (u64, Flags) {
    let max = u64::MAX >> (64 - bits);
    let m = magnitude::<F>(a);
    let negative = sign::<F>(a) && m <= F::INF;
    let clipped = (if negative { 0 } else { max }, Flags::NV);
    if m >= F::INF {
        return clipped;
    }
    let int = integer::<F>(negative, m, rm);
    // A negative number that rounds to zero is a zero.
    if int.huge || int.value > if negative { 0 } else { max } {
        return clipped;
    }
    (int.value, Flags::NX.when(int.inexact))
}

/// Converts to a signed 32-bit integer (FCVT.W).
pub fn to_i32<F: Format>(a: F::Bits, rm: Round) -> (i32, Flags) {
    let (value, flags) = to_signed::<F>(a.into(), 32, rm);
    (value as i32, flags)
}

/// Converts to an unsigned 32-bit integer (FCVT.WU; the register gets it sign-extended).
pub fn to_u32<F: Format>(a: F::Bits, rm: Round) -> (u32, Flags) {
    let (value, flags) = to_unsigned::<F>(a.into(), 32, rm);
    (value as u32, flags)
}

/// Converts to a signed 64-bit integer (FCVT.L).
pub fn to_i64<F: Format>(a: F::Bits, rm: Round) -> (i64, Flags) {
    to_signed::<F>(a.into(), 64, rm)
}

/// Converts to an unsigned 64-bit integer (FCVT.LU).
pub fn to_u64<F: Format>(a: F::Bits, rm: Round) -> (u64, Flags) {
    to_unsigned::<F>(a.into(), 64, rm)
}

/// Truncates a double and keeps its low 32 bits (FCVTMOD.W.D of Zfa, ECMAScript's `ToInt32`).
///
/// The flags are those of FCVT.W.D with RTZ; infinities and NaNs give zero.
pub fn fcvtmod_w_d(a: u64) -> (i32, Flags) {
    let (_, flags) = to_i32::<F64>(a, Round::Rtz);
    let m = magnitude::<F64>(a);
    if !(F64::MIN_NORMAL..F64::INF).contains(&m) {
        return (0, flags);
    }
    let p = unpack::<F64>(m);
    // From 2^84 on, even the lowest bit of the significand is a multiple of 2^32.
    let value = match p.exp {
        ..0 => 0,
        0..64 => p.sig >> (63 - p.exp),
        64..96 => p.sig << (p.exp - 63),
        _ => 0,
    } as u32;
    let value = if sign::<F64>(a) {
        value.wrapping_neg()
    } else {
        value
    };
    (value as i32, flags)
}

#[inline(always)]
fn from_magnitude<F: Format>(negative: bool, m: u64, rm: Round) -> (F::Bits, Flags) {
    if m == 0 {
        return (F::narrow(0), Flags::NONE);
    }
    let lz = m.leading_zeros();
    round_pack::<F>(negative, 63 - lz as i32, m << lz, rm)
}

/// Converts from a signed 32-bit integer (FCVT.S.W and its relatives).
pub fn from_i32<F: Format>(a: i32, rm: Round) -> (F::Bits, Flags) {
    from_magnitude::<F>(a < 0, a.unsigned_abs() as u64, rm)
}

/// Converts from an unsigned 32-bit integer (FCVT.S.WU and its relatives).
pub fn from_u32<F: Format>(a: u32, rm: Round) -> (F::Bits, Flags) {
    from_magnitude::<F>(false, a as u64, rm)
}

/// Converts from a signed 64-bit integer (FCVT.S.L and its relatives).
pub fn from_i64<F: Format>(a: i64, rm: Round) -> (F::Bits, Flags) {
    from_magnitude::<F>(a < 0, a.unsigned_abs(), rm)
}

/// Converts from an unsigned 64-bit integer (FCVT.S.LU and its relatives).
pub fn from_u64<F: Format>(a: u64, rm: Round) -> (F::Bits, Flags) {
    from_magnitude::<F>(false, a, rm)
}
