//! Zfh: half precision (unprivileged manual, "Zfh").

use super::memory;
use ruse_softfloat::{
    self as soft, F16, F32, F64, Flags, Round, classify, convert, max, min, nan_box, sgnj, sgnjn,
    sgnjx, to_i32, to_i64, to_u32, to_u64, unbox,
};

use super::float::{
    DYNAMIC, Host, binary, compare, from_i32, from_i64, from_u32, from_u64, fused, map, plain,
    root, rounded, unrounded,
};
use crate::base::Base;
use crate::engine::{Cursor, go};
use crate::hart::Hart;

memory::loads! {
    flh: u16 (raw) => nan_box::<F16>(raw as u16);
}

memory::stores! {
    fsh: u16;
}

fused! { F16:
    fmadd_h false false;
    fmsub_h false true;
    fnmsub_h true false;
    fnmadd_h true true;
}

binary! { F16:
    fadd_h add add_nx;
    fsub_h sub sub_nx;
    fmul_h mul mul_nx;
    fdiv_h div div_nx;
}

root! { F16:
    fsqrt_h;
}

unrounded! { F16:
    fmin_h(a, b) => min::<F16>(a, b);
    fmax_h(a, b) => max::<F16>(a, b);
    fsgnj_h(a, b) => (sgnj::<F16>(a, b), Flags::default());
    fsgnjn_h(a, b) => (sgnjn::<F16>(a, b), Flags::default());
    fsgnjx_h(a, b) => (sgnjx::<F16>(a, b), Flags::default());
}

compare! { F16:
    feq_h eq;
    flt_h lt;
    fle_h le;
}

rounded! {
    fcvt_w_h(a, rm) => map(to_i32::<F16>(unbox::<F16>(a), rm), from_i32);
    fcvt_wu_h(a, rm) => map(to_u32::<F16>(unbox::<F16>(a), rm), from_u32);
    fcvt_l_h(a, rm) => map(to_i64::<F16>(unbox::<F16>(a), rm), from_i64);
    fcvt_lu_h(a, rm) => map(to_u64::<F16>(unbox::<F16>(a), rm), from_u64);
    fcvt_h_w(a, rm) => map(soft::from_i32::<F16>(a as i32, rm), nan_box::<F16>);
    fcvt_h_wu(a, rm) => map(soft::from_u32::<F16>(a as u32, rm), nan_box::<F16>);
    fcvt_h_l(a, rm) => map(soft::from_i64::<F16>(a as i64, rm), nan_box::<F16>);
    fcvt_h_lu(a, rm) => map(soft::from_u64::<F16>(a, rm), nan_box::<F16>);
    fcvt_h_s(a, rm) => map(convert::<F32, F16>(unbox::<F32>(a), rm), nan_box::<F16>);
    fcvt_s_h(a, rm) => map(convert::<F16, F32>(unbox::<F16>(a), rm), nan_box::<F32>);
    fcvt_h_d(a, rm) => map(convert::<F64, F16>(a, rm), nan_box::<F16>);
    fcvt_d_h(a, rm) => map(convert::<F16, F64>(unbox::<F16>(a), rm), nan_box::<F64>);
}

plain! {
    fclass_h(a, _b) => u64::from(classify::<F16>(unbox::<F16>(a)));
    fmv_x_h(a, _b) => a as i16 as i64 as u64;
    fmv_h_x(a, _b) => nan_box::<F16>(a as u16);
}
