//! Square root.

use crate::pack::{self, magnitude, nan, quiet, round_pack, sign, signaling, unpack};
use crate::{Flags, Format, Round};

/// The square root of `a` (FSQRT).
pub fn sqrt<F: Format>(a: F::Bits, rm: Round) -> (F::Bits, Flags) {
    let a: u64 = a.into();
    if nan::<F>(a) {
        return quiet::<F>(signaling::<F>(a));
    }
    if magnitude::<F>(a) == 0 || a == F::INF {
        return pack::exact::<F>(a); // The root of -0 is -0.
    }
    if sign::<F>(a) {
        return pack::invalid::<F>();
    }
    let p = unpack::<F>(a);
    // Make the exponent even, the significand m in [1, 4), and the root is in [1, 2).
    let odd = (p.exp & 1) as u32;
    let (root, exact) = if F::FRAC_BITS <= 29 {
        let m = p.sig >> (1 - odd); // m * 2^62
        let root = m.isqrt();
        (root << 32, root * root == m)
    } else {
        let m = (p.sig as u128) << (63 + odd); // m * 2^126
        let root = m.isqrt();
        (root as u64, root * root == m)
    };
    round_pack::<F>(false, p.exp >> 1, root | !exact as u64, rm)
}
