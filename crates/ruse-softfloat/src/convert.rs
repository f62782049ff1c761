//! Conversions between formats.

use crate::pack::{self, magnitude, nan, quiet, round_pack, sign, sign_bit, signaling, unpack};
use crate::{Flags, Format, Round};

/// Converts `a` from `S` to `D` (FCVT.D.S and its relatives). Widening is exact.
pub fn convert<S: Format, D: Format>(a: S::Bits, rm: Round) -> (D::Bits, Flags) {
    let a: u64 = a.into();
    let m = magnitude::<S>(a);
    if nan::<S>(a) {
        return quiet::<D>(signaling::<S>(a));
    }
    let negative = sign::<S>(a);
    if m == 0 || m == S::INF {
        let m = if m == 0 { 0 } else { D::INF };
        return pack::exact::<D>(sign_bit::<D>(negative) | m);
    }
    let p = unpack::<S>(m);
    round_pack::<D>(negative, p.exp, p.sig, rm)
}
