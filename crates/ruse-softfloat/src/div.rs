//! Division.

use crate::pack::{self, magnitude, nan, quiet, round_pack, sign, signaling, unpack};
use crate::{Flags, Format, Round};

/// `a / b` (FDIV).
pub fn div<F: Format>(a: F::Bits, b: F::Bits, rm: Round) -> (F::Bits, Flags) {
    let (a, b) = (a.into(), b.into());
    let (ma, mb) = (magnitude::<F>(a), magnitude::<F>(b));
    if ma >= F::INF || mb >= F::INF || ma == 0 || mb == 0 {
        return special::<F>(a, b);
    }
    let (pa, pb) = (unpack::<F>(ma), unpack::<F>(mb));
    // The ratio r of the significands lies in (1/2, 2).
    let (quotient, exact) = if F::FRAC_BITS <= 29 {
        // 32 bits hold a significand: r * 2^31 by one division of machine words.
        let (n, d) = (pa.sig >> 1, pb.sig >> 32);
        ((n / d) << 32, n % d == 0)
    } else {
        // r * 2^63.
        let (n, d) = ((pa.sig as u128) << 63, pb.sig as u128);
        let q = n / d;
        (q as u64, q * d == n)
    };
    let lz = quotient.leading_zeros();
    round_pack::<F>(
        sign::<F>(a ^ b),
        pa.exp - pb.exp - lz as i32,
        quotient << lz | !exact as u64,
        rm,
    )
}

#[cold]
fn special<F: Format>(a: u64, b: u64) -> (F::Bits, Flags) {
    if nan::<F>(a) || nan::<F>(b) {
        return quiet::<F>(signaling::<F>(a) || signaling::<F>(b));
    }
    let (ma, mb) = (magnitude::<F>(a), magnitude::<F>(b));
    // 0/0 and inf/inf.
    if ma == mb {
        return pack::invalid::<F>();
    }
    let sign = pack::sign_bit::<F>(sign::<F>(a ^ b));
    if ma == F::INF {
        pack::exact::<F>(sign | F::INF)
    } else if mb == 0 {
        (F::narrow(sign | F::INF), Flags::DZ)
    } else {
        pack::exact::<F>(sign)
    }
}
