//! IEEE 754 arithmetic exactly as the RISC-V F, D, Zfh and Zfa extensions define it.
//!
//! Values are raw bits (`u16`, `u32`, `u64`), operations are generic over a [`Format`], and
//! every operation that can raise an exception returns `(result, Flags)` by value: the pair
//! travels in two registers and nothing has its address taken. The caller ORs the flags into
//! `fcsr.fflags`.
//!
//! What RISC-V fixes beyond IEEE 754 (unprivileged manual, "F" extension, sections "NaN
//! Generation and Propagation" and "Subnormal Arithmetic"): a NaN result is always the canonical
//! NaN, tininess is detected after rounding, and conversions to integers saturate.
//!
//! ```
//! use ruse_softfloat::{F32, Flags, Round, div};
//!
//! let (third, flags) = div::<F32>(1f32.to_bits(), 3f32.to_bits(), Round::Rup);
//! assert_eq!(third, 0x3eaa_aaab);
//! assert_eq!(flags, Flags::NX);
//! ```
//!
//! The module [`fast`] holds shortcuts through the host's own floating-point unit, for the cases
//! in which they cannot be told from the code here.

#![no_std]

#[cfg(feature = "std")]
extern crate std;

mod add;
mod bits;
mod compare;
mod convert;
mod div;
pub mod fast;
mod flags;
mod fli;
mod fma;
mod format;
mod int;
mod mul;
mod pack;
mod round_int;
mod sqrt;

pub use add::{add, sub};
pub use bits::{classify, is_nan, is_signaling_nan, nan_box, sgnj, sgnjn, sgnjx, unbox};
pub use compare::{eq, le, leq, lt, ltq, max, maxm, min, minm};
pub use convert::convert;
pub use div::div;
pub use flags::{Flags, Round};
pub use fli::fli;
pub use fma::mul_add;
pub use format::{F16, F32, F64, Format};
pub use int::{
    fcvtmod_w_d, from_i32, from_i64, from_u32, from_u64, to_i32, to_i64, to_u32, to_u64,
};
pub use mul::mul;
pub use round_int::{round_to_int, round_to_int_nx};
pub use sqrt::sqrt;
