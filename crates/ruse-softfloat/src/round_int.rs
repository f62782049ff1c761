//! Rounding to integers that stay floating-point numbers (Zfa, "Round to Integer").

use crate::pack::{self, increment, magnitude, nan, quiet, sign, sign_bit, signaling};
use crate::{Flags, Format, Round};

/// Rounds to an integer without ever raising NX (FROUND).
pub fn round_to_int<F: Format>(a: F::Bits, rm: Round) -> (F::Bits, Flags) {
    let (bits, flags) = round_to_int_nx::<F>(a, rm);
    (bits, Flags(flags.0 & !Flags::NX.0))
}

/// Rounds to an integer, and raises NX if that changed the value (FROUNDNX).
pub fn round_to_int_nx<F: Format>(a: F::Bits, rm: Round) -> (F::Bits, Flags) {
    let a: u64 = a.into();
    let m = magnitude::<F>(a);
    let negative = sign::<F>(a);
    let exp = (m >> F::FRAC_BITS) as i32 - F::BIAS;
    if exp >= F::FRAC_BITS as i32 {
        if nan::<F>(a) {
            return quiet::<F>(signaling::<F>(a));
        }
        return pack::exact::<F>(a); // An integer already, or infinite.
    }
    let (magnitude, inexact) = if exp < 0 {
        // Below one: zero or one remains.
        let half = (F::BIAS as u64 - 1) << F::FRAC_BITS;
        let up = match rm {
            Round::Rne => m > half,
            Round::Rmm => m >= half,
            Round::Rtz => false,
            Round::Rdn => negative && m != 0,
            Round::Rup => !negative && m != 0,
        };
        let one = (F::BIAS as u64) << F::FRAC_BITS;
        (one * up as u64, m != 0)
    } else {
        // A carry out of the fraction runs into the exponent field, which is what is wanted.
        let shift = F::FRAC_BITS - exp as u32;
        let mask = (1u64 << shift) - 1;
        let rest = m & mask;
        let tie = rm == Round::Rne && rest == (mask >> 1) + 1;
        let rounded = (m + increment(negative, mask, rm)) & !mask;
        (rounded & !((tie as u64) << shift), rest != 0)
    };
    (
        F::narrow(sign_bit::<F>(negative) | magnitude),
        Flags::NX.when(inexact),
    )
}
