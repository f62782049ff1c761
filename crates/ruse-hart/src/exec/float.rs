//! The shapes of floating-point instructions, for F, D, Zfh and Zfa.
//!
//! Arithmetic that rounds to nearest tries the host's floating point first:
//! inline where the flags cannot matter (`Hart::float_fast`), out of line
//! where the host can tell whether a result is exact. Everything else is
//! computed by `ruse-softfloat`.

use ruse_softfloat::{F16, F32, F64, Flags, Format, fast};

/// The rounding-mode field that means "as `frm` says".
pub(crate) const DYNAMIC: u8 = 7;

/// Host arithmetic for a format, `None` where it may differ: for callers who
/// have NX set, and, as `*_nx`, for those who need to know.
pub(crate) trait Host: Format {
    fn add(_a: Self::Bits, _b: Self::Bits) -> Option<Self::Bits> {
        None
    }
    fn add_nx(_a: Self::Bits, _b: Self::Bits) -> Option<(Self::Bits, Flags)> {
        None
    }
    fn sub(_a: Self::Bits, _b: Self::Bits) -> Option<Self::Bits> {
        None
    }
    fn sub_nx(_a: Self::Bits, _b: Self::Bits) -> Option<(Self::Bits, Flags)> {
        None
    }
    fn mul(_a: Self::Bits, _b: Self::Bits) -> Option<Self::Bits> {
        None
    }
    fn mul_nx(_a: Self::Bits, _b: Self::Bits) -> Option<(Self::Bits, Flags)> {
        None
    }
    fn div(_a: Self::Bits, _b: Self::Bits) -> Option<Self::Bits> {
        None
    }
    fn div_nx(_a: Self::Bits, _b: Self::Bits) -> Option<(Self::Bits, Flags)> {
        None
    }
    fn sqrt(_a: Self::Bits) -> Option<Self::Bits> {
        None
    }
    fn sqrt_nx(_a: Self::Bits) -> Option<(Self::Bits, Flags)> {
        None
    }
    /// `fma`: the host has an instruction for doubles.
    fn mul_add(_a: Self::Bits, _b: Self::Bits, _c: Self::Bits, _fma: bool) -> Option<Self::Bits> {
        None
    }
    fn mul_add_nx(_a: Self::Bits, _b: Self::Bits, _c: Self::Bits) -> Option<(Self::Bits, Flags)> {
        None
    }
}

impl Host for F16 {}

macro_rules! host {
    ($format:ident $mul_add:ident: $( $name:ident($($operand:ident)*) -> $result:ty = $function:ident; )*) => {
        impl Host for $format {
            $(
                #[inline(always)]
                fn $name($($operand: Self::Bits),*) -> Option<$result> {
                    fast::$function($($operand),*)
                }
            )*

            #[inline(always)]
            fn mul_add(
                a: Self::Bits,
                b: Self::Bits,
                c: Self::Bits,
                fma: bool,
            ) -> Option<Self::Bits> {
                $mul_add(a, b, c, fma)
            }
        }
    };
}
host! { F32 single:
    add(a b) -> Self::Bits = add_f32;
    add_nx(a b) -> (Self::Bits, Flags) = add_f32_nx;
    sub(a b) -> Self::Bits = sub_f32;
    sub_nx(a b) -> (Self::Bits, Flags) = sub_f32_nx;
    mul(a b) -> Self::Bits = mul_f32;
    mul_nx(a b) -> (Self::Bits, Flags) = mul_f32_nx;
    div(a b) -> Self::Bits = div_f32;
    div_nx(a b) -> (Self::Bits, Flags) = div_f32_nx;
    sqrt(a) -> Self::Bits = sqrt_f32;
    sqrt_nx(a) -> (Self::Bits, Flags) = sqrt_f32_nx;
    mul_add_nx(a b c) -> (Self::Bits, Flags) = mul_add_f32_nx;
}
/// `a * b + c` with one rounding, by the host's instruction.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
#[inline(always)]
fn mul_add_f64(a: u64, b: u64, c: u64) -> u64 {
    let mut r = f64::from_bits(a);
    let (b, c) = (f64::from_bits(b), f64::from_bits(c));
    // SAFETY: the instruction only computes; the caller knows that the host
    // has it. A call of a function with that target feature would cost more.
    unsafe {
        std::arch::asm!(
            "vfmadd213sd {r}, {b}, {c}",
            r = inout(xmm_reg) r, b = in(xmm_reg) b, c = in(xmm_reg) c,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    r.to_bits()
}

/// For callers who have NX set: `None` where UF, OF or NV may be due.
#[inline(always)]
fn double(a: u64, b: u64, c: u64, fma: bool) -> Option<u64> {
    if !fma {
        return None;
    }
    let r = mul_add_f64(a, b, c);
    let magnitude = r & !F64::SIGN;
    // Above the smallest normal number, which a tiny result may round to, and
    // finite.
    let ordinary = magnitude.wrapping_sub(F64::MIN_NORMAL + 1) < F64::INF - (F64::MIN_NORMAL + 1);
    ordinary.then_some(r)
}

/// As [`double`]; needs no instruction of its own.
#[inline(always)]
fn single(a: u32, b: u32, c: u32, _: bool) -> Option<u32> {
    fast::mul_add_f32(a, b, c)
}

/// Whether [`mul_add_f64`] can be used.
pub(crate) fn host_has_fma() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    return cfg!(target_arch = "aarch64");
}

/// `a * b + c` with one rounding, by the host's instruction where there is one.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn mul_add_f64(a: u64, b: u64, c: u64) -> u64 {
    let (a, b, c) = (f64::from_bits(a), f64::from_bits(b), f64::from_bits(c));
    a.mul_add(b, c).to_bits()
}

host! { F64 double:
    add(a b) -> Self::Bits = add_f64;
    add_nx(a b) -> (Self::Bits, Flags) = add_f64_nx;
    sub(a b) -> Self::Bits = sub_f64;
    sub_nx(a b) -> (Self::Bits, Flags) = sub_f64_nx;
    mul(a b) -> Self::Bits = mul_f64;
    mul_nx(a b) -> (Self::Bits, Flags) = mul_f64_nx;
    div(a b) -> Self::Bits = div_f64;
    div_nx(a b) -> (Self::Bits, Flags) = div_f64_nx;
    sqrt(a) -> Self::Bits = sqrt_f64;
    sqrt_nx(a) -> (Self::Bits, Flags) = sqrt_f64_nx;
}

/// Defines a floating-point instruction as a [`super::Step`], and its handler:
/// what is done at once, and what may raise any flag or be illegal.
macro_rules! float_step {
    ($name:ident<$x:ident>($h:ident, $o:ident, $acc:ident) => $fast:expr;
     ($sh:ident, $so:ident, $sc:ident) => $slow:expr) => {
        #[expect(non_camel_case_types, reason = "the instruction's name")]
        pub(crate) enum $name {}

        impl $crate::exec::Step for $name {
            #[inline(always)]
            fn step<$x: Base>($h: &mut Hart, c: Cursor, $acc: u64) -> Option<u64> {
                let $o = c.op();
                let value: u64 = $fast;
                $h.r[$o.rd as usize] = value;
                Some(value)
            }

            #[inline(never)]
            fn slow<X: Base>($sh: &mut Hart, $sc: Cursor) -> Cursor {
                let $so = $sc.op();
                let value: u64 = $slow;
                $sh.r[$so.rd as usize] = value;
                go!($sh, $sc.next())
            }
        }

        pub(crate) fn $name<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
            <$name as $crate::exec::Last>::last::<X>(h, c, 0)
        }
    };
}

/// `Format: name operation;`: two operands, rounded.
macro_rules! binary {
    ($format:ident: $( $name:ident $op:ident $op_nx:ident; )*) => {$(
        $crate::exec::float::float_step! {
            $name<X>(h, o, acc) => {
                let a = unbox::<$format>($crate::exec::rs1::<X>(h, o, acc));
                let b = unbox::<$format>($crate::exec::rs2::<X>(h, o, acc));
                if o.aux != DYNAMIC || !h.float_fast {
                    return None;
                }
                nan_box::<$format>(<$format as Host>::$op(a, b)?)
            };
            (h, o, c) => {
                let a = unbox::<$format>(h.r[o.rs1 as usize]);
                let b = unbox::<$format>(h.r[o.rs2 as usize]);
                let Some(rm) = h.round(o.aux) else {
                    return h.illegal(c);
                };
                let host = match rm {
                    Round::Rne => <$format as Host>::$op_nx(a, b),
                    _ => None,
                };
                let (value, flags) =
                    host.unwrap_or_else(|| ruse_softfloat::$op::<$format>(a, b, rm));
                h.raise(flags);
                nan_box::<$format>(value)
            }
        }
    )*};
}

/// `Format: name negate_product negate_addend;`: fused multiply-add.
macro_rules! fused {
    ($format:ident: $( $name:ident $product:literal $addend:literal; )*) => {$(
        $crate::exec::float::float_step! {
            $name<X>(h, o, acc) => {
                let x = $crate::exec::rs1::<X>(h, o, acc);
                let y = $crate::exec::rs2::<X>(h, o, acc);
                let z = h.r[o.imm as u8 as usize];
                if o.aux != DYNAMIC || !h.float_fast {
                    return None;
                }
                let (x, y, z) = $crate::exec::float::operands::<$format>(x, y, z, $product, $addend);
                nan_box::<$format>(<$format as Host>::mul_add(x, y, z, h.fma)?)
            };
            (h, o, c) => {
                let (x, y) = (h.r[o.rs1 as usize], h.r[o.rs2 as usize]);
                let z = h.r[o.imm as u8 as usize];
                let (x, y, z) = $crate::exec::float::operands::<$format>(x, y, z, $product, $addend);
                let Some(rm) = h.round(o.aux) else {
                    return h.illegal(c);
                };
                let host = match rm {
                    Round::Rne => <$format as Host>::mul_add_nx(x, y, z),
                    _ => None,
                };
                let (value, flags) =
                    host.unwrap_or_else(|| ruse_softfloat::mul_add::<$format>(x, y, z, rm));
                h.raise(flags);
                nan_box::<$format>(value)
            }
        }
    )*};
}

/// `Format: name;`: square root.
macro_rules! root {
    ($format:ident: $( $name:ident; )*) => {$(
        $crate::exec::float::float_step! {
            $name<X>(h, o, acc) => {
                let a = unbox::<$format>($crate::exec::rs1::<X>(h, o, acc));
                if o.aux != DYNAMIC || !h.float_fast {
                    return None;
                }
                nan_box::<$format>(<$format as Host>::sqrt(a)?)
            };
            (h, o, c) => {
                let Some(rm) = h.round(o.aux) else {
                    return h.illegal(c);
                };
                let a = unbox::<$format>(h.r[o.rs1 as usize]);
                let host = match rm {
                    Round::Rne => <$format as Host>::sqrt_nx(a),
                    _ => None,
                };
                let (value, flags) =
                    host.unwrap_or_else(|| ruse_softfloat::sqrt::<$format>(a, rm));
                h.raise(flags);
                nan_box::<$format>(value)
            }
        }
    )*};
}

/// `Format: name(a, b) => (value, flags);`: two operands, never rounded.
macro_rules! unrounded {
    ($format:ident: $( $name:ident($a:ident, $b:ident) => $result:expr; )*) => {
        $crate::exec::steps! {$(
            $name<X>(h, o, acc) => {
                let $a = unbox::<$format>($crate::exec::rs1::<X>(h, o, acc));
                let $b = unbox::<$format>($crate::exec::rs2::<X>(h, o, acc));
                let (value, flags) = $result;
                h.raise(flags);
                nan_box::<$format>(value)
            };
        )*}
    };
}

/// `Format: name comparison;`: a comparison into an integer register.
macro_rules! compare {
    ($format:ident: $( $name:ident $op:ident; )*) => {
        $crate::exec::steps! {$(
            $name<X>(h, o, acc) => {
                let a = unbox::<$format>($crate::exec::rs1::<X>(h, o, acc));
                let b = unbox::<$format>($crate::exec::rs2::<X>(h, o, acc));
                let (value, flags) = ruse_softfloat::$op::<$format>(a, b);
                h.raise(flags);
                u64::from(value)
            };
        )*}
    };
}

/// `name(a, rm) => (register, flags);`: from the whole register `a`, rounded
/// by `rm`, to a whole register.
macro_rules! rounded {
    ($( $name:ident($a:ident, $rm:ident) => $result:expr; )*) => {$(
        $crate::exec::float::float_step! {
            $name<X>(h, o, acc) => {
                let $rm = h.round(o.aux)?;
                let $a = $crate::exec::rs1::<X>(h, o, acc);
                let (value, flags) = $result;
                h.raise(flags);
                value
            };
            (h, o, c) => {
                let Some($rm) = h.round(o.aux) else {
                    return h.illegal(c);
                };
                let $a = h.r[o.rs1 as usize];
                let (value, flags) = $result;
                h.raise(flags);
                value
            }
        }
    )*};
}

/// `name(a, b) => register;`: from whole registers, no flags.
macro_rules! plain {
    ($( $name:ident($a:ident, $b:ident) => $result:expr; )*) => {
        $crate::exec::steps! {$(
            $name<X>(h, o, acc) => {
                let $a = $crate::exec::rs1::<X>(h, o, acc);
                let $b = $crate::exec::rs2::<X>(h, o, acc);
                $result
            };
        )*}
    };
}

/// The operands of a fused multiply-add from whole registers, product and
/// addend perhaps negated.
#[inline(always)]
pub(crate) fn operands<F: Format>(
    x: u64,
    y: u64,
    z: u64,
    product: bool,
    addend: bool,
) -> (F::Bits, F::Bits, F::Bits) {
    let sign = |value: F::Bits, negate: bool| {
        let flip = if negate { F::SIGN } else { 0 };
        F::narrow(Into::<u64>::into(value) ^ flip)
    };
    (
        sign(ruse_softfloat::unbox::<F>(x), product),
        ruse_softfloat::unbox::<F>(y),
        sign(ruse_softfloat::unbox::<F>(z), addend),
    )
}

pub(crate) use {binary, compare, float_step, fused, plain, root, rounded, unrounded};

/// Pairs a conversion's result, in register form, with its flags.
#[inline(always)]
pub(crate) fn map<T>(
    (value, flags): (T, ruse_softfloat::Flags),
    register: impl Fn(T) -> u64,
) -> (u64, ruse_softfloat::Flags) {
    (register(value), flags)
}

/// The register form of the results of conversions to integers.
pub(crate) fn from_i32(value: i32) -> u64 {
    i64::from(value) as u64
}

/// As [`from_i32`]: unsigned words are sign-extended all the same.
pub(crate) fn from_u32(value: u32) -> u64 {
    i64::from(value as i32) as u64
}

/// As [`from_i32`].
pub(crate) fn from_i64(value: i64) -> u64 {
    value as u64
}

/// As [`from_i32`].
pub(crate) fn from_u64(value: u64) -> u64 {
    value
}
