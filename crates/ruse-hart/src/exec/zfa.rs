//! Zfa: additional floating-point instructions (unprivileged manual, "Zfa").

use ruse_softfloat::{
    F16, F32, F64, fcvtmod_w_d as modular, fli, maxm, minm, nan_box, round_to_int, round_to_int_nx,
    unbox,
};

use super::float::{compare, from_i32, map, plain, rounded, unrounded};
use crate::base::Base;
use crate::engine::{Cursor, go};
use crate::hart::Hart;

unrounded! { F32:
    fminm_s(a, b) => minm::<F32>(a, b);
    fmaxm_s(a, b) => maxm::<F32>(a, b);
}

compare! { F32:
    fleq_s leq;
    fltq_s ltq;
}

rounded! {
    fround_s(a, rm) => map(round_to_int::<F32>(unbox::<F32>(a), rm), nan_box::<F32>);
    froundnx_s(a, rm) => map(round_to_int_nx::<F32>(unbox::<F32>(a), rm), nan_box::<F32>);
}

/// The field of `rs1` is an index, not a register.
pub(crate) fn fli_s<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    let o = c.op();
    h.r[o.rd as usize] = nan_box::<F32>(fli::<F32>(o.rs1));
    go!(h, c.next())
}

unrounded! { F64:
    fminm_d(a, b) => minm::<F64>(a, b);
    fmaxm_d(a, b) => maxm::<F64>(a, b);
}

compare! { F64:
    fleq_d leq;
    fltq_d ltq;
}

rounded! {
    fround_d(a, rm) => map(round_to_int::<F64>(unbox::<F64>(a), rm), nan_box::<F64>);
    froundnx_d(a, rm) => map(round_to_int_nx::<F64>(unbox::<F64>(a), rm), nan_box::<F64>);
}

/// The field of `rs1` is an index, not a register.
pub(crate) fn fli_d<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    let o = c.op();
    h.r[o.rd as usize] = nan_box::<F64>(fli::<F64>(o.rs1));
    go!(h, c.next())
}

unrounded! { F16:
    fminm_h(a, b) => minm::<F16>(a, b);
    fmaxm_h(a, b) => maxm::<F16>(a, b);
}

compare! { F16:
    fleq_h leq;
    fltq_h ltq;
}

rounded! {
    fround_h(a, rm) => map(round_to_int::<F16>(unbox::<F16>(a), rm), nan_box::<F16>);
    froundnx_h(a, rm) => map(round_to_int_nx::<F16>(unbox::<F16>(a), rm), nan_box::<F16>);
}

/// The field of `rs1` is an index, not a register.
pub(crate) fn fli_h<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    let o = c.op();
    h.r[o.rd as usize] = nan_box::<F16>(fli::<F16>(o.rs1));
    go!(h, c.next())
}

/// Always rounds towards zero.
pub(crate) fn fcvtmod_w_d<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    let o = c.op();
    let (value, flags) = map(modular(h.r[o.rs1 as usize]), from_i32);
    h.raise(flags);
    h.r[o.rd as usize] = value;
    go!(h, c.next())
}

plain! {
    fmvh_x_d(a, _b) => (a as i64 >> 32) as u64;
    fmvp_d_x(low, high) => u64::from(low as u32) | high << 32;
}
