//! F: single precision (unprivileged manual, "F").

use super::memory;
use ruse_softfloat::{
    self as soft, F32, Flags, Round, classify, max, min, nan_box, sgnj, sgnjn, sgnjx, to_i32,
    to_i64, to_u32, to_u64, unbox,
};

use super::float::{
    DYNAMIC, Host, binary, compare, from_i32, from_i64, from_u32, from_u64, fused, map, plain,
    root, rounded, unrounded,
};
use crate::base::Base;
use crate::engine::{Cursor, go};
use crate::hart::Hart;

memory::loads! {
    flw: u32 (raw) => nan_box::<F32>(raw as u32);
}

memory::stores! {
    fsw: u32;
}

fused! { F32:
    fmadd_s false false;
    fmsub_s false true;
    fnmsub_s true false;
    fnmadd_s true true;
}

binary! { F32:
    fadd_s add add_nx;
    fsub_s sub sub_nx;
    fmul_s mul mul_nx;
    fdiv_s div div_nx;
}

root! { F32:
    fsqrt_s;
}

unrounded! { F32:
    fmin_s(a, b) => min::<F32>(a, b);
    fmax_s(a, b) => max::<F32>(a, b);
    fsgnj_s(a, b) => (sgnj::<F32>(a, b), Flags::default());
    fsgnjn_s(a, b) => (sgnjn::<F32>(a, b), Flags::default());
    fsgnjx_s(a, b) => (sgnjx::<F32>(a, b), Flags::default());
}

compare! { F32:
    feq_s eq;
    flt_s lt;
    fle_s le;
}

rounded! {
    fcvt_w_s(a, rm) => map(to_i32::<F32>(unbox::<F32>(a), rm), from_i32);
    fcvt_wu_s(a, rm) => map(to_u32::<F32>(unbox::<F32>(a), rm), from_u32);
    fcvt_l_s(a, rm) => map(to_i64::<F32>(unbox::<F32>(a), rm), from_i64);
    fcvt_lu_s(a, rm) => map(to_u64::<F32>(unbox::<F32>(a), rm), from_u64);
    fcvt_s_w(a, rm) => map(soft::from_i32::<F32>(a as i32, rm), nan_box::<F32>);
    fcvt_s_wu(a, rm) => map(soft::from_u32::<F32>(a as u32, rm), nan_box::<F32>);
    fcvt_s_l(a, rm) => map(soft::from_i64::<F32>(a as i64, rm), nan_box::<F32>);
    fcvt_s_lu(a, rm) => map(soft::from_u64::<F32>(a, rm), nan_box::<F32>);
}

plain! {
    fclass_s(a, _b) => u64::from(classify::<F32>(unbox::<F32>(a)));
    // The moves take the bits as they are, boxed or not.
    fmv_x_w(a, _b) => a as i32 as i64 as u64;
    fmv_w_x(a, _b) => nan_box::<F32>(a as u32);
}
