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
    fn mul_add(_a: Self::Bits, _b: Self::Bits, _c: Self::Bits) -> Option<Self::Bits> {
        None
    }
    fn mul_add_nx(_a: Self::Bits, _b: Self::Bits, _c: Self::Bits) -> Option<(Self::Bits, Flags)> {
        None
    }
}

impl Host for F16 {}

macro_rules! host {
    ($format:ident: $( $name:ident($($operand:ident)*) -> $result:ty = $function:ident; )*) => {
        impl Host for $format {$(
            #[inline(always)]
            fn $name($($operand: Self::Bits),*) -> Option<$result> {
                fast::$function($($operand),*)
            }
        )*}
    };
}
host! { F32:
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
    mul_add(a b c) -> Self::Bits = mul_add_f32;
    mul_add_nx(a b c) -> (Self::Bits, Flags) = mul_add_f32_nx;
}
host! { F64:
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
    mul_add(a b c) -> Self::Bits = mul_add_f64;
}

/// `Format: name operation;`: two operands, rounded.
macro_rules! binary {
    ($format:ident: $( $name:ident $op:ident $op_nx:ident; )*) => {$(
        pub(crate) fn $name<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
            #[inline(never)]
            fn slow(h: &mut Hart, c: Cursor) -> Cursor {
                let o = c.op();
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
                h.r[o.rd as usize] = nan_box::<$format>(value);
                go!(h, c.next())
            }
            let o = c.op();
            let a = unbox::<$format>(h.r[o.rs1 as usize]);
            let b = unbox::<$format>(h.r[o.rs2 as usize]);
            if o.aux == DYNAMIC
                && h.float_fast
                && let Some(value) = <$format as Host>::$op(a, b)
            {
                h.r[o.rd as usize] = nan_box::<$format>(value);
                return go!(h, c.next());
            }
            slow(h, c)
        }
    )*};
}

/// `Format: name negate_product negate_addend;`: fused multiply-add.
macro_rules! fused {
    ($format:ident: $( $name:ident $product:literal $addend:literal; )*) => {$(
        pub(crate) fn $name<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
            #[inline(always)]
            fn operands(
                h: &Hart,
                c: Cursor,
            ) -> (
                <$format as Format>::Bits,
                <$format as Format>::Bits,
                <$format as Format>::Bits,
            ) {
                let o = c.op();
                let sign = |value: <$format as Format>::Bits, negate: bool| {
                    let flip = if negate { <$format as Format>::SIGN } else { 0 };
                    <$format as Format>::narrow(Into::<u64>::into(value) ^ flip)
                };
                (
                    sign(unbox::<$format>(h.r[o.rs1 as usize]), $product),
                    unbox::<$format>(h.r[o.rs2 as usize]),
                    sign(unbox::<$format>(h.r[o.imm as u8 as usize]), $addend),
                )
            }
            #[inline(never)]
            fn slow(h: &mut Hart, c: Cursor) -> Cursor {
                let (x, y, z) = operands(h, c);
                let o = c.op();
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
                h.r[o.rd as usize] = nan_box::<$format>(value);
                go!(h, c.next())
            }
            let (x, y, z) = operands(h, c);
            let o = c.op();
            if o.aux == DYNAMIC
                && h.float_fast
                && let Some(value) = <$format as Host>::mul_add(x, y, z)
            {
                h.r[o.rd as usize] = nan_box::<$format>(value);
                return go!(h, c.next());
            }
            slow(h, c)
        }
    )*};
}

/// `Format: name;`: square root.
macro_rules! root {
    ($format:ident: $( $name:ident; )*) => {$(
        pub(crate) fn $name<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
            #[inline(never)]
            fn slow(h: &mut Hart, c: Cursor) -> Cursor {
                let o = c.op();
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
                h.r[o.rd as usize] = nan_box::<$format>(value);
                go!(h, c.next())
            }
            let o = c.op();
            let a = unbox::<$format>(h.r[o.rs1 as usize]);
            if o.aux == DYNAMIC
                && h.float_fast
                && let Some(value) = <$format as Host>::sqrt(a)
            {
                h.r[o.rd as usize] = nan_box::<$format>(value);
                return go!(h, c.next());
            }
            slow(h, c)
        }
    )*};
}

/// `Format: name(a, b) => (value, flags);`: two operands, never rounded.
macro_rules! unrounded {
    ($format:ident: $( $name:ident($a:ident, $b:ident) => $result:expr; )*) => {$(
        pub(crate) fn $name<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
            let o = c.op();
            let $a = unbox::<$format>(h.r[o.rs1 as usize]);
            let $b = unbox::<$format>(h.r[o.rs2 as usize]);
            let (value, flags) = $result;
            h.raise(flags);
            h.r[o.rd as usize] = nan_box::<$format>(value);
            go!(h, c.next())
        }
    )*};
}

/// `Format: name comparison;`: a comparison into an integer register.
macro_rules! compare {
    ($format:ident: $( $name:ident $op:ident; )*) => {$(
        pub(crate) fn $name<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
            let o = c.op();
            let a = unbox::<$format>(h.r[o.rs1 as usize]);
            let b = unbox::<$format>(h.r[o.rs2 as usize]);
            let (value, flags) = ruse_softfloat::$op::<$format>(a, b);
            h.raise(flags);
            h.r[o.rd as usize] = u64::from(value);
            go!(h, c.next())
        }
    )*};
}

/// `name(a, rm) => (register, flags);`: from the whole register `a`, rounded
/// by `rm`, to a whole register.
macro_rules! rounded {
    ($( $name:ident($a:ident, $rm:ident) => $result:expr; )*) => {$(
        pub(crate) fn $name<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
            let o = c.op();
            let Some($rm) = h.round(o.aux) else {
                return h.illegal(c);
            };
            let $a = h.r[o.rs1 as usize];
            let (value, flags) = $result;
            h.raise(flags);
            h.r[o.rd as usize] = value;
            go!(h, c.next())
        }
    )*};
}

/// `name(a, b) => register;`: from whole registers, no flags.
macro_rules! plain {
    ($( $name:ident($a:ident, $b:ident) => $result:expr; )*) => {$(
        pub(crate) fn $name<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
            let o = c.op();
            let $a = h.r[o.rs1 as usize];
            let $b = h.r[o.rs2 as usize];
            h.r[o.rd as usize] = $result;
            go!(h, c.next())
        }
    )*};
}

pub(crate) use {binary, compare, fused, plain, root, rounded, unrounded};

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
