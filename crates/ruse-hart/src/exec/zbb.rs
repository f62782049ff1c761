//! Zbb: basic bit manipulation (unprivileged manual, "B").

use super::{reg, reg_imm, reg_reg, sext32};
use crate::base::Base;

#[inline(always)]
fn rotate_right<X: Base>(a: u64, by: u64) -> u64 {
    match X::BITS {
        32 => sext32((a as u32).rotate_right(by as u32 & 31)),
        _ => a.rotate_right(by as u32 & 63),
    }
}

reg_reg! {
    andn<X>(a, b) => a & !b;
    orn<X>(a, b) => a | !b;
    xnor<X>(a, b) => !(a ^ b);
    max<X>(a, b) => (a as i64).max(b as i64) as u64;
    maxu<X>(a, b) => a.max(b);
    min<X>(a, b) => (a as i64).min(b as i64) as u64;
    minu<X>(a, b) => a.min(b);
    rol<X>(a, b) => rotate_right::<X>(a, b.wrapping_neg());
    ror<X>(a, b) => rotate_right::<X>(a, b);
    rolw<X>(a, b) => sext32((a as u32).rotate_left(b as u32 & 31));
    rorw<X>(a, b) => sext32((a as u32).rotate_right(b as u32 & 31));
}

reg_imm! {
    rori<X>(a, imm) => rotate_right::<X>(a, imm);
    roriw<X>(a, imm) => sext32((a as u32).rotate_right(imm as u32 & 31));
}

reg! {
    clz<X>(a) => u64::from(X::addr(a).leading_zeros() - (64 - X::BITS));
    ctz<X>(a) => u64::from(a.trailing_zeros().min(X::BITS));
    cpop<X>(a) => u64::from(X::addr(a).count_ones());
    clzw<X>(a) => u64::from((a as u32).leading_zeros());
    ctzw<X>(a) => u64::from((a as u32).trailing_zeros());
    cpopw<X>(a) => u64::from((a as u32).count_ones());
    sext_b<X>(a) => a as i8 as i64 as u64;
    sext_h<X>(a) => a as i16 as i64 as u64;
    zext_h<X>(a) => u64::from(a as u16);
    zext_h_rv32<X>(a) => u64::from(a as u16);
    orc_b<X>(a) => orc(a);
    rev8<X>(a) => a.swap_bytes();
    rev8_rv32<X>(a) => sext32((a as u32).swap_bytes());
}

/// Every byte that is not zero becomes 0xff.
#[inline(always)]
fn orc(a: u64) -> u64 {
    const LOW7: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let high = (((a & LOW7) + LOW7) | a) & !LOW7;
    (high >> 7) * 0xff
}
