//! Shortcuts through the host's floating-point unit, for round-to-nearest-even.
//!
//! The host computes the same value as the guest in all but the special cases; what it doesn't
//! give cheaply is the flags. Two families of functions get around that, both for RNE only:
//!
//! - `add_f64` and its siblings are for a caller who knows that NX is set in `fflags` already,
//!   which after the first few operations of almost any program it is, for good. They answer only
//!   if no flag but NX can have been raised, and leave open whether it was.
//! - `add_f64_nx` and its siblings find out whether NX is raised, for a few instructions more.
//!
//! `None` means that the shortcut doesn't apply and the code in the crate's root must decide. The
//! tests that separate the cases look at the result alone wherever possible: a NaN or an infinity
//! among the operands, an invalid operation, a division by zero and an overflow all end in a NaN
//! or an infinity (or, for a division by infinity, in a zero). Underflow needs more care. A
//! result above the smallest normal number cannot be tiny; the smallest one itself may be a tiny
//! value rounded up, for which UF is due.
//!
//! All of this relies on the host's arithmetic being IEEE 754 in its default environment, as Rust
//! promises for `f32` and `f64`. Where it isn't (32-bit x86 without SSE2), every function answers
//! `None`. Square roots need the crate's feature `std`; the fused multiply-add of doubles also
//! needs a target that has the instruction.

use crate::{F32, F64, Flags, Format};

/// Whether the host's basic operations round once, to the format at hand.
const EXACT_HOST: bool = cfg!(not(all(target_arch = "x86", not(target_feature = "sse2"))));

/// Whether `f64::mul_add` is one instruction, rather than a call of a slow library function.
const HOST_FMA: bool = cfg!(all(
    feature = "std",
    any(
        target_arch = "aarch64",
        all(target_arch = "x86_64", target_feature = "fma")
    )
));

/// Whether `r` is finite; that is enough where underflow is impossible.
#[inline(always)]
fn finite<F: Format>(r: u64) -> bool {
    r & F::INF != F::INF
}

/// Whether `r` is finite and above the smallest normal number in magnitude.
#[inline(always)]
fn ordinary<F: Format>(r: u64) -> bool {
    let magnitude = r & !F::SIGN;
    magnitude.wrapping_sub(F::MIN_NORMAL + 1) < F::INF - (F::MIN_NORMAL + 1)
}

/// Whether `a` is a finite normal number.
#[inline(always)]
fn normal<F: Format>(a: u64) -> bool {
    (a & !F::SIGN).wrapping_sub(F::MIN_NORMAL) < F::INF - F::MIN_NORMAL
}

#[inline(always)]
fn zero<F: Format>(a: u64) -> bool {
    a & !F::SIGN == 0
}

/// The fraction of a normal number with its hidden bit.
#[inline(always)]
fn significand(a: u64) -> u64 {
    a & F64::FRAC_MASK | F64::MIN_NORMAL
}

#[inline(always)]
fn exponent(a: u64) -> u32 {
    (a >> F64::FRAC_BITS) as u32 & F64::EXP_MAX as u32
}

#[inline(always)]
fn sqrt64(a: f64) -> f64 {
    #[cfg(feature = "std")]
    return a.sqrt();
    #[cfg(not(feature = "std"))]
    return f64::NAN + a;
}

#[inline(always)]
fn sqrt32(a: f32) -> f32 {
    #[cfg(feature = "std")]
    return a.sqrt();
    #[cfg(not(feature = "std"))]
    return f32::NAN + a;
}

#[inline(always)]
fn fma64(a: f64, b: f64, c: f64) -> f64 {
    #[cfg(feature = "std")]
    return a.mul_add(b, c);
    #[cfg(not(feature = "std"))]
    return f64::NAN + a + b + c;
}

/// The rounding error of `s = a + b`, exactly (Knuth's TwoSum). If an intermediate result
/// overflows, the answer is not finite.
macro_rules! two_sum_error {
    ($a:expr, $b:expr, $s:expr) => {{
        let t = $s - $a;
        ($a - ($s - t)) + ($b - t)
    }};
}

macro_rules! sums {
    ($name:ident, $nx:ident, $op:tt, $negate_b:expr, $f:ty, $bits:ty, $format:ty, $what:literal) => {
        #[doc = concat!($what, ", for a caller who has NX set already.")]
        #[inline(always)]
        pub fn $name(a: $bits, b: $bits) -> Option<$bits> {
            // A tiny sum is exact, so that underflow is no concern, nor are zeros.
            let r = (<$f>::from_bits(a) $op <$f>::from_bits(b)).to_bits();
            (EXACT_HOST && finite::<$format>(r.into())).then_some(r)
        }

        #[doc = concat!($what, ", with the flags: NX or none.")]
        #[inline(always)]
        pub fn $nx(a: $bits, b: $bits) -> Option<($bits, Flags)> {
            let a = <$f>::from_bits(a);
            let b = if $negate_b { -<$f>::from_bits(b) } else { <$f>::from_bits(b) };
            let s = a + b;
            let error = two_sum_error!(a, b, s);
            // A finite error implies a finite sum.
            let usable = EXACT_HOST && finite::<$format>(error.to_bits().into());
            usable.then_some((s.to_bits(), Flags::NX.when(error != 0.0)))
        }
    };
}

sums!(add_f64, add_f64_nx, +, false, f64, u64, F64, "`a + b`");
sums!(sub_f64, sub_f64_nx, -, true, f64, u64, F64, "`a - b`");
sums!(add_f32, add_f32_nx, +, false, f32, u32, F32, "`a + b`");
sums!(sub_f32, sub_f32_nx, -, true, f32, u32, F32, "`a - b`");

/// `a * b`, for a caller who has NX set already.
#[inline(always)]
pub fn mul_f64(a: u64, b: u64) -> Option<u64> {
    let r = (f64::from_bits(a) * f64::from_bits(b)).to_bits();
    let usable = ordinary::<F64>(r) || zero::<F64>(r) && (zero::<F64>(a) || zero::<F64>(b));
    (EXACT_HOST && usable).then_some(r)
}

/// `a * b`, with the flags: NX or none. Subnormal operands are left to the slow path.
#[inline(always)]
pub fn mul_f64_nx(a: u64, b: u64) -> Option<(u64, Flags)> {
    let r = (f64::from_bits(a) * f64::from_bits(b)).to_bits();
    if zero::<F64>(r) && (zero::<F64>(a) || zero::<F64>(b)) {
        return EXACT_HOST.then_some((r, Flags::NONE));
    }
    // The product of the significands has 52 or 53 bits more than the result; which of the two
    // shows in the exponent. (If rounding carried into the exponent, the count is one too high,
    // but then the bits that were rounded away aren't zero under either count.)
    let extra =
        (exponent(r) + F64::BIAS as u32 + F64::FRAC_BITS).wrapping_sub(exponent(a) + exponent(b));
    let low = significand(a).wrapping_mul(significand(b));
    let inexact = low << (64u32.wrapping_sub(extra) & 63) != 0;
    let usable = ordinary::<F64>(r) && normal::<F64>(a) && normal::<F64>(b);
    (EXACT_HOST && usable).then_some((r, Flags::NX.when(inexact)))
}

/// `a * b`, for a caller who has NX set already.
#[inline(always)]
pub fn mul_f32(a: u32, b: u32) -> Option<u32> {
    let r = (f32::from_bits(a) * f32::from_bits(b)).to_bits();
    let either = zero::<F32>(a.into()) || zero::<F32>(b.into());
    let usable = ordinary::<F32>(r.into()) || zero::<F32>(r.into()) && either;
    (EXACT_HOST && usable).then_some(r)
}

/// `a * b`, with the flags: NX or none.
#[inline(always)]
pub fn mul_f32_nx(a: u32, b: u32) -> Option<(u32, Flags)> {
    // A double holds the product of two singles exactly.
    let product = f32::from_bits(a) as f64 * f32::from_bits(b) as f64;
    let r = product as f32;
    let inexact = r as f64 != product;
    let usable = ordinary::<F32>(r.to_bits().into()) || product == 0.0;
    (EXACT_HOST && usable).then_some((r.to_bits(), Flags::NX.when(inexact)))
}

/// `a / b`, for a caller who has NX set already.
#[inline(always)]
pub fn div_f64(a: u64, b: u64) -> Option<u64> {
    let r = (f64::from_bits(a) / f64::from_bits(b)).to_bits();
    let usable = ordinary::<F64>(r) || zero::<F64>(r) && zero::<F64>(a);
    (EXACT_HOST && usable).then_some(r)
}

/// `a / b`, with the flags: NX or none. Subnormal operands are left to the slow path.
#[inline(always)]
pub fn div_f64_nx(a: u64, b: u64) -> Option<(u64, Flags)> {
    let r = (f64::from_bits(a) / f64::from_bits(b)).to_bits();
    if zero::<F64>(r) && zero::<F64>(a) {
        return EXACT_HOST.then_some((r, Flags::NONE));
    }
    // Exact if the quotient times the divisor gives the dividend back. The two differ by half the
    // divisor's significand at most, so that comparing them modulo 2^64 is enough.
    let up =
        (exponent(a) + F64::BIAS as u32 + F64::FRAC_BITS).wrapping_sub(exponent(r) + exponent(b));
    let back = significand(r).wrapping_mul(significand(b));
    let inexact = back != significand(a) << (up & 63);
    let usable = ordinary::<F64>(r) && normal::<F64>(a) && normal::<F64>(b);
    (EXACT_HOST && usable).then_some((r, Flags::NX.when(inexact)))
}

/// `a / b`, for a caller who has NX set already.
#[inline(always)]
pub fn div_f32(a: u32, b: u32) -> Option<u32> {
    let r = (f32::from_bits(a) / f32::from_bits(b)).to_bits();
    let usable = ordinary::<F32>(r.into()) || zero::<F32>(r.into()) && zero::<F32>(a.into());
    (EXACT_HOST && usable).then_some(r)
}

/// `a / b`, with the flags: NX or none.
#[inline(always)]
pub fn div_f32_nx(a: u32, b: u32) -> Option<(u32, Flags)> {
    let r = div_f32(a, b)?;
    if zero::<F32>(r.into()) {
        return Some((r, Flags::NONE));
    }
    let back = f32::from_bits(r) as f64 * f32::from_bits(b) as f64;
    let inexact = back != f32::from_bits(a) as f64;
    Some((r, Flags::NX.when(inexact)))
}

/// The square root of `a`, for a caller who has NX set already.
#[inline(always)]
pub fn sqrt_f64(a: u64) -> Option<u64> {
    // No root is tiny; that of a negative number is a NaN.
    let r = sqrt64(f64::from_bits(a)).to_bits();
    (EXACT_HOST && finite::<F64>(r)).then_some(r)
}

/// The square root of `a`, with the flags: NX or none. Subnormals are left to the slow path.
#[inline(always)]
pub fn sqrt_f64_nx(a: u64) -> Option<(u64, Flags)> {
    let r = sqrt64(f64::from_bits(a)).to_bits();
    // As for a quotient; the square differs from `a` by less than 2^54 units.
    let up = (exponent(a) + F64::BIAS as u32 + F64::FRAC_BITS).wrapping_sub(2 * exponent(r));
    let square = significand(r).wrapping_mul(significand(r));
    let inexact = square != significand(a) << (up & 63);
    let usable = normal::<F64>(a) && finite::<F64>(r);
    (EXACT_HOST && usable).then_some((r, Flags::NX.when(inexact)))
}

/// The square root of `a`, for a caller who has NX set already.
#[inline(always)]
pub fn sqrt_f32(a: u32) -> Option<u32> {
    let r = sqrt32(f32::from_bits(a)).to_bits();
    (EXACT_HOST && finite::<F32>(r.into())).then_some(r)
}

/// The square root of `a`, with the flags: NX or none.
#[inline(always)]
pub fn sqrt_f32_nx(a: u32) -> Option<(u32, Flags)> {
    let r = sqrt_f32(a)?;
    let root = f32::from_bits(r) as f64;
    let inexact = root * root != f32::from_bits(a) as f64;
    Some((r, Flags::NX.when(inexact)))
}

/// `a * b + c` with one rounding, for a caller who has NX set already. Always `None` where the
/// target that the crate is built for has no such instruction.
#[inline(always)]
pub fn mul_add_f64(a: u64, b: u64, c: u64) -> Option<u64> {
    if !HOST_FMA {
        return None;
    }
    let r = fma64(f64::from_bits(a), f64::from_bits(b), f64::from_bits(c)).to_bits();
    (EXACT_HOST && ordinary::<F64>(r)).then_some(r)
}

/// The double nearest to `a * b + c`, and the single it rounds to, if that is the right one.
///
/// The product is exact in double precision, the sum is rounded, and rounding it again to single
/// goes wrong only if the first rounding ended on a midpoint between two singles.
#[inline(always)]
fn mul_add_by_double(a: u32, b: u32, c: u32) -> Option<(f64, f32)> {
    const DROPPED: u32 = F64::FRAC_BITS - F32::FRAC_BITS;
    let product = f32::from_bits(a) as f64 * f32::from_bits(b) as f64;
    let sum = product + f32::from_bits(c) as f64;
    let r = sum as f32;
    let midpoint = sum.to_bits() << (64 - DROPPED) == 1 << 63;
    let usable = EXACT_HOST && ordinary::<F32>(r.to_bits().into()) && !midpoint;
    usable.then_some((product, r))
}

/// `a * b + c` with one rounding, for a caller who has NX set already. Needs no fused instruction.
#[inline(always)]
pub fn mul_add_f32(a: u32, b: u32, c: u32) -> Option<u32> {
    mul_add_by_double(a, b, c).map(|(_, r)| r.to_bits())
}

/// `a * b + c` with one rounding, with the flags: NX or none. Needs no fused instruction.
#[inline(always)]
pub fn mul_add_f32_nx(a: u32, b: u32, c: u32) -> Option<(u32, Flags)> {
    let (product, r) = mul_add_by_double(a, b, c)?;
    let c = f32::from_bits(c) as f64;
    let sum = product + c;
    let inexact = two_sum_error!(product, c, sum) != 0.0 || r as f64 != sum;
    Some((r.to_bits(), Flags::NX.when(inexact)))
}
