//! Addition and subtraction.

use crate::pack::{self, magnitude, nan, quiet, round_pack, shift_right_jam, sign, signaling};
use crate::{Flags, Format, Round};

/// `a + b` (FADD).
pub fn add<F: Format>(a: F::Bits, b: F::Bits, rm: Round) -> (F::Bits, Flags) {
    add_bits::<F>(a.into(), b.into(), rm)
}

/// `a - b` (FSUB).
pub fn sub<F: Format>(a: F::Bits, b: F::Bits, rm: Round) -> (F::Bits, Flags) {
    // The sign of a NaN has no meaning, so that flipping it is harmless.
    add_bits::<F>(a.into(), b.into() ^ F::SIGN, rm)
}

fn add_bits<F: Format>(a: u64, b: u64, rm: Round) -> (F::Bits, Flags) {
    let (ma, mb) = (magnitude::<F>(a), magnitude::<F>(b));
    if ma >= F::INF || mb >= F::INF {
        return special::<F>(a, b);
    }
    // The larger magnitude leads, so that the difference is never negative.
    let (lead, ml, ms) = if ma >= mb { (a, ma, mb) } else { (b, mb, ma) };
    let negative = sign::<F>(lead);
    let (el, sl) = pack::split::<F>(ml);
    let (es, ss) = pack::split::<F>(ms);
    // One bit of headroom above; at least ten bits below, which a sticky shift needs two of.
    let up = 62 - F::FRAC_BITS;
    let sl = sl << up;
    let ss = shift_right_jam(ss << up, (el - es) as u32);
    let sum = if sign::<F>(a ^ b) { sl - ss } else { sl + ss };
    if sum == 0 {
        // Two zeros of one sign keep it; anything else that cancels is +0, or -0 when rounding
        // down (IEEE 754-2019, section 6.3).
        let negative = if sign::<F>(a ^ b) {
            rm == Round::Rdn
        } else {
            negative
        };
        return pack::exact::<F>(pack::sign_bit::<F>(negative));
    }
    let lz = sum.leading_zeros();
    round_pack::<F>(negative, el - F::BIAS + 1 - lz as i32, sum << lz, rm)
}

#[cold]
fn special<F: Format>(a: u64, b: u64) -> (F::Bits, Flags) {
    if nan::<F>(a) || nan::<F>(b) {
        return quiet::<F>(signaling::<F>(a) || signaling::<F>(b));
    }
    let (inf_a, inf_b) = (magnitude::<F>(a) == F::INF, magnitude::<F>(b) == F::INF);
    if inf_a && inf_b && a != b {
        return pack::invalid::<F>();
    }
    pack::exact::<F>(if inf_a { a } else { b })
}
