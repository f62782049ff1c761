//! Zbs: single-bit instructions (unprivileged manual, "B").

use super::{reg_imm, reg_reg};
use crate::base::Base;
use crate::engine::{Cursor, go};
use crate::hart::Hart;

#[inline(always)]
fn bit<X: Base>(number: u64) -> u64 {
    1 << (number as u32 & (X::BITS - 1))
}

reg_reg! {
    bclr(a, b) => a & !bit::<X>(b);
    bext(a, b) => a >> (b as u32 & (X::BITS - 1)) & 1;
    binv(a, b) => a ^ bit::<X>(b);
    bset(a, b) => a | bit::<X>(b);
}

reg_imm! {
    bclri(a, imm) => a & !bit::<X>(imm);
    bexti(a, imm) => a >> (imm as u32 & (X::BITS - 1)) & 1;
    binvi(a, imm) => a ^ bit::<X>(imm);
    bseti(a, imm) => a | bit::<X>(imm);
}
