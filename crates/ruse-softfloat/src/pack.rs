//! Taking values apart, and the one place where results are rounded and put together.

use crate::{Flags, Format, Round};

/// A finite nonzero number: `sig / 2^63 * 2^exp`, with the top bit of `sig` set.
#[derive(Clone, Copy)]
pub(crate) struct Parts {
    pub exp: i32,
    pub sig: u64,
}

/// Whether `bits` is negative (NaNs and zeros included).
#[inline(always)]
pub(crate) fn sign<F: Format>(bits: u64) -> bool {
    bits & F::SIGN != 0
}

/// The sign bit of `F` if `negative`.
#[inline(always)]
pub(crate) fn sign_bit<F: Format>(negative: bool) -> u64 {
    (negative as u64) << (F::WIDTH - 1)
}

/// `bits` without its sign.
#[inline(always)]
pub(crate) fn magnitude<F: Format>(bits: u64) -> u64 {
    bits & !F::SIGN
}

#[inline(always)]
pub(crate) fn nan<F: Format>(bits: u64) -> bool {
    magnitude::<F>(bits) > F::INF
}

#[inline(always)]
pub(crate) fn signaling<F: Format>(bits: u64) -> bool {
    nan::<F>(bits) && bits & F::QUIET == 0
}

/// The answer of an invalid operation.
#[inline(always)]
pub(crate) fn invalid<F: Format>() -> (F::Bits, Flags) {
    (F::narrow(F::NAN), Flags::NV)
}

/// The answer of an operation with a NaN among its operands; `signaling` if one of them signals.
#[inline(always)]
pub(crate) fn quiet<F: Format>(signaling: bool) -> (F::Bits, Flags) {
    (F::narrow(F::NAN), Flags::NV.when(signaling))
}

/// An exact answer.
#[inline(always)]
pub(crate) fn exact<F: Format>(bits: u64) -> (F::Bits, Flags) {
    (F::narrow(bits), Flags::NONE)
}

/// The exponent field, with subnormals counted at the exponent that they really have, and the
/// significand as an integer.
#[inline(always)]
pub(crate) fn split<F: Format>(magnitude: u64) -> (i32, u64) {
    let field = (magnitude >> F::FRAC_BITS) as i32;
    let frac = magnitude & F::FRAC_MASK;
    let hidden = (field != 0) as u64;
    (field + 1 - hidden as i32, frac | hidden << F::FRAC_BITS)
}

/// Takes a finite nonzero magnitude apart.
#[inline(always)]
pub(crate) fn unpack<F: Format>(magnitude: u64) -> Parts {
    let (field, sig) = split::<F>(magnitude);
    // Normal numbers shift by a constant amount; the count gives it, and serves subnormals too.
    let lz = sig.leading_zeros() as i32;
    Parts {
        exp: field - F::BIAS + (63 - F::FRAC_BITS as i32) - lz,
        sig: sig << lz,
    }
}

/// Shifts right, keeping in the lowest bit whether anything fell off.
#[inline(always)]
pub(crate) fn shift_right_jam(x: u64, by: u32) -> u64 {
    if by < 64 {
        x >> by | (x & ((1 << by) - 1) != 0) as u64
    } else {
        (x != 0) as u64
    }
}

/// [`shift_right_jam`] for 128 bits.
#[inline(always)]
pub(crate) fn shift_right_jam128(x: u128, by: u32) -> u128 {
    if by < 128 {
        x >> by | (x & ((1 << by) - 1) != 0) as u128
    } else {
        (x != 0) as u128
    }
}

/// Folds 128 bits into the upper 64, keeping in the lowest bit whether anything fell off.
#[inline(always)]
pub(crate) fn fold(x: u128) -> u64 {
    (x >> 64) as u64 | (x as u64 != 0) as u64
}

/// What to add below the last kept bit, where `mask` covers the bits to be dropped.
#[inline(always)]
pub(crate) fn increment(negative: bool, mask: u64, rm: Round) -> u64 {
    match rm {
        Round::Rne | Round::Rmm => (mask >> 1) + 1,
        Round::Rtz => 0,
        Round::Rdn => mask * negative as u64,
        Round::Rup => mask * !negative as u64,
    }
}

/// Drops the bits of `mask` (which are the low `shift` ones) from `sig`, rounding what remains.
#[inline(always)]
fn round_off(sig: u64, shift: u32, inc: u64, rm: Round) -> u64 {
    let mask = (1u64 << shift) - 1;
    let rest = sig & mask;
    let rounded = (sig >> shift) + ((rest + inc) >> shift);
    let tie = rm == Round::Rne && rest == (mask >> 1) + 1;
    rounded & !(tie as u64)
}

/// Rounds `sig / 2^63 * 2^exp` (top bit of `sig` set, lowest bit sticky) to `F`.
///
/// IEEE 754-2019, sections 4.3 and 7.4 to 7.6, with tininess detected after rounding.
#[inline]
pub(crate) fn round_pack<F: Format>(
    negative: bool,
    exp: i32,
    sig: u64,
    rm: Round,
) -> (F::Bits, Flags) {
    debug_assert!(sig >> 63 == 1);
    let shift = 63 - F::FRAC_BITS;
    let mask = (1u64 << shift) - 1;
    let inc = increment(negative, mask, rm);
    let field = exp + F::BIAS;
    if field < 1 {
        return round_pack_tiny::<F>(negative, field, sig, inc, rm);
    }
    // The hidden bit, and a carry out of the significand, add themselves to the exponent field.
    let magnitude = ((field as u64 - 1) << F::FRAC_BITS) + round_off(sig, shift, inc, rm);
    if magnitude >= F::INF {
        return overflow::<F>(negative, rm);
    }
    let inexact = sig & mask != 0;
    (
        F::narrow(sign_bit::<F>(negative) | magnitude),
        Flags::NX.when(inexact),
    )
}

#[cold]
fn round_pack_tiny<F: Format>(
    negative: bool,
    field: i32,
    sig: u64,
    inc: u64,
    rm: Round,
) -> (F::Bits, Flags) {
    let shift = 63 - F::FRAC_BITS;
    let mask = (1u64 << shift) - 1;
    // With an unbounded exponent the value would be rounded where it stands: only if that carries
    // it up to the smallest normal number is it not tiny.
    let tiny = field < 0 || round_off(sig, shift, inc, rm) <= F::FRAC_MASK + F::MIN_NORMAL;
    let sig = shift_right_jam(sig, (1 - field) as u32);
    let magnitude = round_off(sig, shift, inc, rm);
    let inexact = sig & mask != 0;
    (
        F::narrow(sign_bit::<F>(negative) | magnitude),
        (Flags::NX | Flags::UF.when(tiny)).when(inexact),
    )
}

#[cold]
fn overflow<F: Format>(negative: bool, rm: Round) -> (F::Bits, Flags) {
    let to_infinity = match rm {
        Round::Rne | Round::Rmm => true,
        Round::Rtz => false,
        Round::Rdn => negative,
        Round::Rup => !negative,
    };
    let magnitude = if to_infinity { F::INF } else { F::MAX_FINITE };
    (
        F::narrow(sign_bit::<F>(negative) | magnitude),
        Flags::OF | Flags::NX,
    )
}
