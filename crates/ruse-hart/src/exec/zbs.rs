//! Zbs: single-bit instructions (unprivileged manual, "B").

use super::{reg_imm, reg_reg};
use crate::base::Base;

#[inline(always)]
fn bit<X: Base>(number: u64) -> u64 {
    1 << (number as u32 & (X::BITS - 1))
}

reg_reg! {
    bclr<X>(a, b) => a & !bit::<X>(b);
    bext<X>(a, b) => a >> (b as u32 & (X::BITS - 1)) & 1;
    binv<X>(a, b) => a ^ bit::<X>(b);
    bset<X>(a, b) => a | bit::<X>(b);
}

reg_imm! {
    bclri<X>(a, imm) => a & !bit::<X>(imm);
    bexti<X>(a, imm) => a >> (imm as u32 & (X::BITS - 1)) & 1;
    binvi<X>(a, imm) => a ^ bit::<X>(imm);
    bseti<X>(a, imm) => a | bit::<X>(imm);
}
