//! The binary interchange formats: what differs between half, single and double precision.

use core::fmt::{Debug, LowerHex};
use core::hash::Hash;

mod sealed {
    pub trait Sealed {}
}

/// A binary interchange format of IEEE 754-2019, section 3.4.
///
/// Implemented by the markers [`F16`], [`F32`] and [`F64`] only. The constants are `u64` in every
/// format, because all arithmetic inside is done in 64 or 128 bits.
pub trait Format: sealed::Sealed + Copy + Debug + 'static {
    /// The unsigned integer that holds a value of this format.
    type Bits: Copy + Eq + Ord + Hash + Debug + LowerHex + Default + Into<u64> + Send + Sync;

    /// Width of the whole format.
    const WIDTH: u32;
    /// Width of the fraction (trailing significand) field.
    const FRAC_BITS: u32;

    /// Width of the exponent field.
    const EXP_BITS: u32 = Self::WIDTH - 1 - Self::FRAC_BITS;
    /// Bias of the exponent field.
    const BIAS: i32 = (1 << (Self::EXP_BITS - 1)) - 1;
    /// The all-ones exponent of infinities and NaNs.
    const EXP_MAX: i32 = (1 << Self::EXP_BITS) - 1;
    /// The sign bit.
    const SIGN: u64 = 1 << (Self::WIDTH - 1);
    /// The bits of the fraction field.
    const FRAC_MASK: u64 = (1 << Self::FRAC_BITS) - 1;
    /// Positive infinity.
    const INF: u64 = (Self::EXP_MAX as u64) << Self::FRAC_BITS;
    /// The largest positive finite number.
    const MAX_FINITE: u64 = Self::INF - 1;
    /// The smallest positive normal number.
    const MIN_NORMAL: u64 = 1 << Self::FRAC_BITS;
    /// The bit that tells a quiet NaN from a signalling one.
    const QUIET: u64 = 1 << (Self::FRAC_BITS - 1);
    /// The canonical NaN: positive, quiet, no other fraction bit.
    const NAN: u64 = Self::INF | Self::QUIET;

    /// Keeps the low `WIDTH` bits.
    fn narrow(bits: u64) -> Self::Bits;
}

/// Half precision, IEEE 754 binary16 (Zfh).
#[derive(Clone, Copy, Debug)]
pub struct F16;

/// Single precision, IEEE 754 binary32 (F).
#[derive(Clone, Copy, Debug)]
pub struct F32;

/// Double precision, IEEE 754 binary64 (D).
#[derive(Clone, Copy, Debug)]
pub struct F64;

macro_rules! format {
    ($name:ident, $bits:ty, $width:literal, $frac:literal) => {
        impl sealed::Sealed for $name {}
        impl Format for $name {
            type Bits = $bits;
            const WIDTH: u32 = $width;
            const FRAC_BITS: u32 = $frac;
            #[inline(always)]
            fn narrow(bits: u64) -> $bits {
                bits as $bits
            }
        }
    };
}

format!(F16, u16, 16, 10);
format!(F32, u32, 32, 23);
format!(F64, u64, 64, 52);
