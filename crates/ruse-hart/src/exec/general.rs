//! Steps that stand for several instructions each, for fused sequences: fewer
//! kinds of step, so that fewer sequences cover more code.
//!
//! The second operand is `rs2` plus the immediate: a form without an immediate
//! has 0 there, one without `rs2` has `x0`. LUI is an addition to `x0`.

use super::{rs1, rs2, sext32, step_types};
use crate::base::Base;
use crate::engine::Op;
use crate::hart::Hart;

#[inline(always)]
fn second<X: Base>(h: &Hart, o: &Op, acc: u64) -> u64 {
    rs2::<X>(h, o, acc).wrapping_add(o.imm as i64 as u64)
}

macro_rules! general {
    ($( $name:ident<$x:ident>($a:ident, $b:ident) => $value:expr; )*) => {
        step_types! {$(
            $name<$x>(h, o, acc) => {
                let $a = rs1::<$x>(h, o, acc);
                let $b = second::<$x>(h, o, acc);
                $x::reg($value)
            };
        )*}
    };
}

general! {
    add<X>(a, b) => a.wrapping_add(b);
    and<X>(a, b) => a & b;
    or<X>(a, b) => a | b;
    xor<X>(a, b) => a ^ b;
    sll<X>(a, b) => a << (b as u32 & (X::BITS - 1));
    srl<X>(a, b) => X::addr(a) >> (b as u32 & (X::BITS - 1));
    sra<X>(a, b) => (a as i64 >> (b as u32 & (X::BITS - 1))) as u64;
    slt<X>(a, b) => u64::from((a as i64) < b as i64);
    sltu<X>(a, b) => u64::from(a < b);
    addw<X>(a, b) => sext32(a.wrapping_add(b) as u32);
    sllw<X>(a, b) => sext32((a as u32) << (b & 31));
    srlw<X>(a, b) => sext32(a as u32 >> (b & 31));
    sraw<X>(a, b) => (a as i32 >> (b & 31)) as i64 as u64;
}
