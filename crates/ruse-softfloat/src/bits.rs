//! What needs no arithmetic: signs, classes, NaN boxing.

use crate::Format;
use crate::pack::{magnitude, nan, sign, signaling};

/// `a` with the sign of `b` (FSGNJ).
#[inline]
pub fn sgnj<F: Format>(a: F::Bits, b: F::Bits) -> F::Bits {
    F::narrow(magnitude::<F>(a.into()) | b.into() & F::SIGN)
}

/// `a` with the opposite of the sign of `b` (FSGNJN).
#[inline]
pub fn sgnjn<F: Format>(a: F::Bits, b: F::Bits) -> F::Bits {
    F::narrow(magnitude::<F>(a.into()) | !b.into() & F::SIGN)
}

/// `a` with its sign flipped if `b` is negative (FSGNJX).
#[inline]
pub fn sgnjx<F: Format>(a: F::Bits, b: F::Bits) -> F::Bits {
    F::narrow(a.into() ^ b.into() & F::SIGN)
}

/// Whether `a` is a NaN of either kind.
#[inline]
pub fn is_nan<F: Format>(a: F::Bits) -> bool {
    nan::<F>(a.into())
}

/// Whether `a` is a signalling NaN.
#[inline]
pub fn is_signaling_nan<F: Format>(a: F::Bits) -> bool {
    signaling::<F>(a.into())
}

/// The class of `a` as a mask with one bit set (FCLASS).
///
/// From bit 0: -infinity, negative normal, negative subnormal, -0, +0, positive subnormal,
/// positive normal, +infinity, signalling NaN, quiet NaN.
#[inline]
pub fn classify<F: Format>(a: F::Bits) -> u16 {
    let a = a.into();
    let m = magnitude::<F>(a);
    // Counted outwards from zero; the negative classes mirror the positive ones.
    let rank = match m {
        _ if m > F::INF => return if a & F::QUIET == 0 { 1 << 8 } else { 1 << 9 },
        _ if m == F::INF => 3,
        _ if m >= F::MIN_NORMAL => 2,
        0 => 0,
        _ => 1,
    };
    if sign::<F>(a) { 8 >> rank } else { 16 << rank }
}

/// Puts a value into a 64-bit register, upper bits all ones (D extension, "NaN Boxing of
/// Narrower Values").
#[inline(always)]
pub fn nan_box<F: Format>(a: F::Bits) -> u64 {
    a.into() | boxed::<F>()
}

/// Takes a value out of a 64-bit register; one that isn't boxed properly reads as the canonical
/// NaN.
#[inline(always)]
pub fn unbox<F: Format>(register: u64) -> F::Bits {
    if register & boxed::<F>() == boxed::<F>() {
        F::narrow(register)
    } else {
        F::narrow(F::NAN)
    }
}

/// The register bits above the format.
#[inline(always)]
fn boxed<F: Format>() -> u64 {
    !(u64::MAX >> (64 - F::WIDTH))
}
