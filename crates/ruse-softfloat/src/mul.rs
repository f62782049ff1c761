//! Multiplication.

use crate::pack::{self, magnitude, nan, quiet, round_pack, sign, signaling, unpack};
use crate::{Flags, Format, Round};

/// `a * b` (FMUL).
pub fn mul<F: Format>(a: F::Bits, b: F::Bits, rm: Round) -> (F::Bits, Flags) {
    let (a, b) = (a.into(), b.into());
    let negative = sign::<F>(a ^ b);
    let (ma, mb) = (magnitude::<F>(a), magnitude::<F>(b));
    if ma >= F::INF || mb >= F::INF {
        return special::<F>(a, b);
    }
    if ma == 0 || mb == 0 {
        return pack::exact::<F>(pack::sign_bit::<F>(negative));
    }
    let (pa, pb) = (unpack::<F>(ma), unpack::<F>(mb));
    let product = pack::fold(pa.sig as u128 * pb.sig as u128);
    // The product of two numbers in [1, 2) lies in [1, 4).
    let lz = (product >> 63 == 0) as u32;
    round_pack::<F>(
        negative,
        pa.exp + pb.exp + 1 - lz as i32,
        // The sticky bit moves up by one at most: still far below the rounding position.
        product << lz,
        rm,
    )
}

#[cold]
fn special<F: Format>(a: u64, b: u64) -> (F::Bits, Flags) {
    if nan::<F>(a) || nan::<F>(b) {
        return quiet::<F>(signaling::<F>(a) || signaling::<F>(b));
    }
    // One is infinite: infinity times zero is nothing.
    if magnitude::<F>(a) == 0 || magnitude::<F>(b) == 0 {
        return pack::invalid::<F>();
    }
    pack::exact::<F>(pack::sign_bit::<F>(sign::<F>(a ^ b)) | F::INF)
}
