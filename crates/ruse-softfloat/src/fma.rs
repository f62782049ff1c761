//! Fused multiply-add.

use crate::pack::{
    self, fold, magnitude, nan, quiet, round_pack, shift_right_jam128, sign, sign_bit, signaling,
    unpack,
};
use crate::{Flags, Format, Round};

/// `a * b + c` with one rounding (FMADD; FMSUB, FNMADD and FNMSUB flip signs beforehand).
pub fn mul_add<F: Format>(a: F::Bits, b: F::Bits, c: F::Bits, rm: Round) -> (F::Bits, Flags) {
    let (a, b, c) = (a.into(), b.into(), c.into());
    let (ma, mb, mc) = (magnitude::<F>(a), magnitude::<F>(b), magnitude::<F>(c));
    if ma >= F::INF || mb >= F::INF || mc >= F::INF {
        return special::<F>(a, b, c);
    }
    let negative = sign::<F>(a ^ b);
    if ma == 0 || mb == 0 {
        if mc != 0 {
            return pack::exact::<F>(c);
        }
        let zero = sign_bit::<F>(negative);
        return pack::exact::<F>(match (zero == c, rm) {
            (true, _) => c,
            (false, Round::Rdn) => F::SIGN,
            (false, _) => 0,
        });
    }
    let (pa, pb) = (unpack::<F>(ma), unpack::<F>(mb));
    // In [1, 4) over 2^126; the low bits are zero, so that halving it loses nothing.
    let product = pa.sig as u128 * pb.sig as u128;
    let carry = (product >> 127) as u32;
    let product = product >> carry;
    let exp = pa.exp + pb.exp + carry as i32;
    if mc == 0 {
        return round_pack::<F>(negative, exp, fold(product << 1), rm);
    }
    let pc = unpack::<F>(mc);
    let addend = (pc.sig as u128) << 63;
    // Both have their top bit at 126. A product has 106 significant bits at most, an addend 53:
    // whatever a sticky shift drops lies far below the rounding position.
    let (exp, product, addend) = if exp >= pc.exp {
        let by = (exp - pc.exp) as u32;
        (exp, product, shift_right_jam128(addend, by))
    } else {
        let by = (pc.exp - exp) as u32;
        (pc.exp, shift_right_jam128(product, by), addend)
    };
    let (negative, sum) = if negative == sign::<F>(c) {
        (negative, product + addend)
    } else if product > addend {
        (negative, product - addend)
    } else if product < addend {
        (!negative, addend - product)
    } else {
        return pack::exact::<F>(sign_bit::<F>(rm == Round::Rdn));
    };
    let lz = sum.leading_zeros();
    round_pack::<F>(negative, exp + 1 - lz as i32, fold(sum << lz), rm)
}

#[cold]
fn special<F: Format>(a: u64, b: u64, c: u64) -> (F::Bits, Flags) {
    let (ma, mb, mc) = (magnitude::<F>(a), magnitude::<F>(b), magnitude::<F>(c));
    // Infinity times zero is invalid even if the addend is a quiet NaN (F extension,
    // "Single-Precision Floating-Point Computational Instructions").
    if (ma == F::INF && mb == 0) || (ma == 0 && mb == F::INF) {
        return pack::invalid::<F>();
    }
    if nan::<F>(a) || nan::<F>(b) || nan::<F>(c) {
        return quiet::<F>(signaling::<F>(a) || signaling::<F>(b) || signaling::<F>(c));
    }
    if ma == F::INF || mb == F::INF {
        let product = sign_bit::<F>(sign::<F>(a ^ b)) | F::INF;
        if mc == F::INF && product != c {
            return pack::invalid::<F>();
        }
        return pack::exact::<F>(product);
    }
    pack::exact::<F>(c)
}
