//! Zfa: additional floating-point instructions (unprivileged manual, "Zfa").

use ruse_softfloat::{
    F16, F32, F64, fcvtmod_w_d as modular, fli, maxm, minm, nan_box, round_to_int, round_to_int_nx,
    unbox,
};

use super::float::{compare, from_i32, map, plain, rounded, unrounded};
use super::{rs1, steps};
use crate::base::Base;
use crate::engine::{Cursor, go};
use crate::hart::Hart;

/// The instructions that every format has.
macro_rules! format {
    ($format:ident: $minm:ident $maxm:ident $leq:ident $ltq:ident $round:ident $roundnx:ident $li:ident) => {
        unrounded! { $format:
            $minm(a, b) => minm::<$format>(a, b);
            $maxm(a, b) => maxm::<$format>(a, b);
        }

        compare! { $format:
            $leq leq;
            $ltq ltq;
        }

        rounded! {
            $round(a, rm) => map(round_to_int::<$format>(unbox::<$format>(a), rm), nan_box::<$format>);
            $roundnx(a, rm) => map(round_to_int_nx::<$format>(unbox::<$format>(a), rm), nan_box::<$format>);
        }

        steps! {
            /// The field of `rs1` is an index, not a register.
            $li<X>(h, o, _acc) => nan_box::<$format>(fli::<$format>(o.rs1));
        }
    };
}
format! { F16: fminm_h fmaxm_h fleq_h fltq_h fround_h froundnx_h fli_h }
format! { F32: fminm_s fmaxm_s fleq_s fltq_s fround_s froundnx_s fli_s }
format! { F64: fminm_d fmaxm_d fleq_d fltq_d fround_d froundnx_d fli_d }

steps! {
    /// Always rounds towards zero.
    fcvtmod_w_d<X>(h, o, acc) => {
        let (value, flags) = map(modular(rs1::<X>(h, o, acc)), from_i32);
        h.raise(flags);
        value
    };
}

plain! {
    fmvh_x_d(a, _b) => (a as i64 >> 32) as u64;
    fmvp_d_x(low, high) => u64::from(low as u32) | high << 32;
}
