//! D: double precision (unprivileged manual, "D").

use super::memory;
use ruse_softfloat::{
    self as soft, F32, F64, Flags, Round, classify, convert, max, min, nan_box, sgnj, sgnjn, sgnjx,
    to_i32, to_i64, to_u32, to_u64, unbox,
};

use super::float::{
    DYNAMIC, Host, binary, compare, from_i32, from_i64, from_u32, from_u64, fused, map, plain,
    root, rounded, unrounded,
};
use crate::base::Base;
use crate::engine::{Cursor, go};
use crate::hart::Hart;

memory::loads! {
    fld: u64 (raw) => raw;
}

memory::stores! {
    fsd: u64;
}

fused! { F64:
    fmadd_d false false;
    fmsub_d false true;
    fnmsub_d true false;
    fnmadd_d true true;
}

binary! { F64:
    fadd_d add add_nx;
    fsub_d sub sub_nx;
    fmul_d mul mul_nx;
    fdiv_d div div_nx;
}

root! { F64:
    fsqrt_d;
}

unrounded! { F64:
    fmin_d(a, b) => min::<F64>(a, b);
    fmax_d(a, b) => max::<F64>(a, b);
    fsgnj_d(a, b) => (sgnj::<F64>(a, b), Flags::default());
    fsgnjn_d(a, b) => (sgnjn::<F64>(a, b), Flags::default());
    fsgnjx_d(a, b) => (sgnjx::<F64>(a, b), Flags::default());
}

compare! { F64:
    feq_d eq;
    flt_d lt;
    fle_d le;
}

rounded! {
    fcvt_w_d(a, rm) => map(to_i32::<F64>(unbox::<F64>(a), rm), from_i32);
    fcvt_wu_d(a, rm) => map(to_u32::<F64>(unbox::<F64>(a), rm), from_u32);
    fcvt_l_d(a, rm) => map(to_i64::<F64>(unbox::<F64>(a), rm), from_i64);
    fcvt_lu_d(a, rm) => map(to_u64::<F64>(unbox::<F64>(a), rm), from_u64);
    fcvt_d_w(a, rm) => map(soft::from_i32::<F64>(a as i32, rm), nan_box::<F64>);
    fcvt_d_wu(a, rm) => map(soft::from_u32::<F64>(a as u32, rm), nan_box::<F64>);
    fcvt_d_l(a, rm) => map(soft::from_i64::<F64>(a as i64, rm), nan_box::<F64>);
    fcvt_d_lu(a, rm) => map(soft::from_u64::<F64>(a, rm), nan_box::<F64>);
    fcvt_s_d(a, rm) => map(convert::<F64, F32>(a, rm), nan_box::<F32>);
    fcvt_d_s(a, rm) => map(convert::<F32, F64>(unbox::<F32>(a), rm), nan_box::<F64>);
}

plain! {
    fclass_d(a, _b) => u64::from(classify::<F64>(a));
    fmv_x_d(a, _b) => a;
    fmv_d_x(a, _b) => a;
}
