//! Comparisons, minimum and maximum.

use crate::pack::{magnitude, nan, quiet, signaling};
use crate::{Flags, Format};

/// An integer that orders as the numbers do, -0 before +0; NaNs must be sorted out before.
#[inline(always)]
fn key<F: Format>(bits: u64) -> i64 {
    let at_top = (bits << (64 - F::WIDTH)) as i64;
    at_top ^ ((at_top >> 63) as u64 >> 1) as i64
}

/// Whether `a` and `b` are both zeros, of whatever sign.
#[inline(always)]
fn zeros<F: Format>(a: u64, b: u64) -> bool {
    magnitude::<F>(a | b) == 0
}

#[inline(always)]
fn any_signaling<F: Format>(a: u64, b: u64) -> bool {
    signaling::<F>(a) || signaling::<F>(b)
}

/// `a == b`, quiet: only a signalling NaN is invalid (FEQ).
#[inline]
pub fn eq<F: Format>(a: F::Bits, b: F::Bits) -> (bool, Flags) {
    let (a, b) = (a.into(), b.into());
    if nan::<F>(a) || nan::<F>(b) {
        return (false, Flags::NV.when(any_signaling::<F>(a, b)));
    }
    (a == b || zeros::<F>(a, b), Flags::NONE)
}

/// `a < b`, signalling: any NaN is invalid (FLT).
#[inline]
pub fn lt<F: Format>(a: F::Bits, b: F::Bits) -> (bool, Flags) {
    let (a, b) = (a.into(), b.into());
    if nan::<F>(a) || nan::<F>(b) {
        return (false, Flags::NV);
    }
    (key::<F>(a) < key::<F>(b) && !zeros::<F>(a, b), Flags::NONE)
}

/// `a <= b`, signalling: any NaN is invalid (FLE).
#[inline]
pub fn le<F: Format>(a: F::Bits, b: F::Bits) -> (bool, Flags) {
    let (a, b) = (a.into(), b.into());
    if nan::<F>(a) || nan::<F>(b) {
        return (false, Flags::NV);
    }
    (key::<F>(a) <= key::<F>(b) || zeros::<F>(a, b), Flags::NONE)
}

/// `a < b`, quiet: only a signalling NaN is invalid (FLTQ of Zfa).
#[inline]
pub fn ltq<F: Format>(a: F::Bits, b: F::Bits) -> (bool, Flags) {
    let invalid = any_signaling::<F>(a.into(), b.into());
    (lt::<F>(a, b).0, Flags::NV.when(invalid))
}

/// `a <= b`, quiet: only a signalling NaN is invalid (FLEQ of Zfa).
#[inline]
pub fn leq<F: Format>(a: F::Bits, b: F::Bits) -> (bool, Flags) {
    let invalid = any_signaling::<F>(a.into(), b.into());
    (le::<F>(a, b).0, Flags::NV.when(invalid))
}

/// The smaller one, IEEE 754-2019 `minimumNumber` (FMIN): a NaN loses to a number, -0 is smaller
/// than +0, a signalling NaN is invalid.
#[inline]
pub fn min<F: Format>(a: F::Bits, b: F::Bits) -> (F::Bits, Flags) {
    number::<F>(a.into(), b.into(), |a, b| a <= b)
}

/// The larger one, IEEE 754-2019 `maximumNumber` (FMAX).
#[inline]
pub fn max<F: Format>(a: F::Bits, b: F::Bits) -> (F::Bits, Flags) {
    number::<F>(a.into(), b.into(), |a, b| a >= b)
}

/// The smaller one, IEEE 754-2019 `minimum` (FMINM of Zfa): any NaN makes the result one.
#[inline]
pub fn minm<F: Format>(a: F::Bits, b: F::Bits) -> (F::Bits, Flags) {
    if nan::<F>(a.into()) || nan::<F>(b.into()) {
        return quiet::<F>(any_signaling::<F>(a.into(), b.into()));
    }
    min::<F>(a, b)
}

/// The larger one, IEEE 754-2019 `maximum` (FMAXM of Zfa): any NaN makes the result one.
#[inline]
pub fn maxm<F: Format>(a: F::Bits, b: F::Bits) -> (F::Bits, Flags) {
    if nan::<F>(a.into()) || nan::<F>(b.into()) {
        return quiet::<F>(any_signaling::<F>(a.into(), b.into()));
    }
    max::<F>(a, b)
}

#[inline(always)]
fn number<F: Format>(a: u64, b: u64, first: fn(i64, i64) -> bool) -> (F::Bits, Flags) {
    let bits = match (nan::<F>(a), nan::<F>(b)) {
        (true, true) => F::NAN,
        (true, false) => b,
        (false, true) => a,
        (false, false) if first(key::<F>(a), key::<F>(b)) => a,
        (false, false) => b,
    };
    (F::narrow(bits), Flags::NV.when(any_signaling::<F>(a, b)))
}
