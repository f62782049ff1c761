//! The constants that one instruction loads (Zfa, "Load-Immediate Instructions").

use crate::{F16, F32, F64, Format};

/// Entries 2 to 29 as `quarters / 4 * 2^exponent`.
const POSITIVE: [(u8, i8); 28] = [
    (4, -16),
    (4, -15),
    (4, -8),
    (4, -7),
    (4, -4),
    (4, -3),
    (4, -2),
    (5, -2),
    (6, -2),
    (7, -2),
    (4, -1),
    (5, -1),
    (6, -1),
    (7, -1),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (4, 1),
    (5, 1),
    (6, 1),
    (4, 2),
    (4, 3),
    (4, 4),
    (4, 7),
    (4, 8),
    (4, 15),
    (4, 16),
];

const fn table<F: Format>() -> [u64; 32] {
    let one = (F::BIAS as u64) << F::FRAC_BITS;
    let mut table = [0; 32];
    table[0] = F::SIGN | one;
    table[1] = F::MIN_NORMAL;
    let mut i = 0;
    while i < POSITIVE.len() {
        let (quarters, exp) = POSITIVE[i];
        let field = F::BIAS + exp as i32;
        let sig = (quarters as u64) << (F::FRAC_BITS - 2);
        // Half precision holds 2^-15 and 2^-16 as subnormals, and takes infinity for 2^16.
        table[i + 2] = if field <= 0 {
            sig >> (1 - field)
        } else if field >= F::EXP_MAX {
            F::INF
        } else {
            ((field as u64 - 1) << F::FRAC_BITS) + sig
        };
        i += 1;
    }
    table[30] = F::INF;
    table[31] = F::NAN;
    table
}

/// Entry `index` (the low five bits count) of the table of FLI.
#[inline]
pub fn fli<F: Format>(index: u8) -> F::Bits {
    const HALF: [u64; 32] = table::<F16>();
    const SINGLE: [u64; 32] = table::<F32>();
    const DOUBLE: [u64; 32] = table::<F64>();
    let table = match F::WIDTH {
        16 => &HALF,
        32 => &SINGLE,
        _ => &DOUBLE,
    };
    F::narrow(table[(index & 31) as usize])
}
