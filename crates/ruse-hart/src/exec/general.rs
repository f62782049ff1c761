//! Steps for frequent special cases of instructions: with fewer operands to
//! look up.

use super::i::Branch;
use super::{Last, rs1, step_types};
use crate::base::Base;
use crate::engine::{Cursor, follow, go};
use crate::hart::Hart;

step_types! {
    /// A constant: LUI, or ADDI to `x0`.
    li<X>(h, o, _acc) => o.imm as i64 as u64;
    /// A move: ADDI of nothing.
    mv<X>(h, o, acc) => rs1::<X>(h, o, acc);
    /// ADDI of a register to itself.
    inc<X>(h, o, acc) => {
        let old = if X::ACC == 1 { acc } else { h.r[o.rd as usize] };
        X::reg(old.wrapping_add(o.imm as i64 as u64))
    };
}

macro_rules! branches {
    ($( $(#[$doc:meta])* $name:ident($a:ident) => $taken:expr; )*) => {$(
        $(#[$doc])*
        #[expect(non_camel_case_types, reason = "the instruction's name")]
        pub(crate) enum $name {}

        impl Branch for $name {
            #[inline(always)]
            fn taken<X: Base>(h: &Hart, c: Cursor, acc: u64) -> bool {
                let $a = rs1::<X>(h, c.op(), acc);
                $taken
            }
        }

        impl Last for $name {
            #[inline(always)]
            fn last<X: Base>(h: &mut Hart, c: Cursor, acc: u64) -> Cursor {
                if <Self as Branch>::taken::<X>(h, c, acc) {
                    follow::<X, false>(h, c)
                } else {
                    go!(h, c.past_link())
                }
            }
        }
    )*};
}
branches! {
    /// BEQ with `x0`.
    beqz(a) => a == 0;
    /// BNE with `x0`.
    bnez(a) => a != 0;
}
