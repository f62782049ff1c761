//! M: integer multiplication and division (unprivileged manual, "M").

use super::{reg_reg, sext32};

/// Signed division: by zero gives -1, overflow the dividend.
#[inline(always)]
fn div64(a: i64, b: i64) -> i64 {
    if b == 0 { -1 } else { a.wrapping_div(b) }
}

/// Signed remainder: by zero gives the dividend, overflow 0.
#[inline(always)]
fn rem64(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { a.wrapping_rem(b) }
}

reg_reg! {
    mul<X>(a, b) => a.wrapping_mul(b);
    // Sign-extended 32-bit factors have their product in 64 bits.
    mulh<X>(a, b) => match X::BITS {
        32 => ((a as i64).wrapping_mul(b as i64) >> 32) as u64,
        _ => ((i128::from(a as i64) * i128::from(b as i64)) >> 64) as u64,
    };
    mulhsu<X>(a, b) => match X::BITS {
        32 => ((a as i64).wrapping_mul(i64::from(b as u32)) >> 32) as u64,
        _ => ((i128::from(a as i64) * i128::from(b)) >> 64) as u64,
    };
    mulhu<X>(a, b) => match X::BITS {
        32 => (u64::from(a as u32) * u64::from(b as u32)) >> 32,
        _ => ((u128::from(a) * u128::from(b)) >> 64) as u64,
    };
    div<X>(a, b) => div64(a as i64, b as i64) as u64;
    divu<X>(a, b) => X::addr(a).checked_div(X::addr(b)).unwrap_or(u64::MAX);
    rem<X>(a, b) => rem64(a as i64, b as i64) as u64;
    remu<X>(a, b) => X::addr(a).checked_rem(X::addr(b)).unwrap_or(a);
    mulw<X>(a, b) => sext32((a as u32).wrapping_mul(b as u32));
    divw<X>(a, b) => sext32(div64(i64::from(a as i32), i64::from(b as i32)) as u32);
    divuw<X>(a, b) => sext32((a as u32).checked_div(b as u32).unwrap_or(u32::MAX));
    remw<X>(a, b) => sext32(rem64(i64::from(a as i32), i64::from(b as i32)) as u32);
    remuw<X>(a, b) => sext32((a as u32).checked_rem(b as u32).unwrap_or(a as u32));
}
