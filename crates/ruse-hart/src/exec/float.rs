//! The shapes of floating-point instructions, for F, D, Zfh and Zfa.
//!
//! Arithmetic with the dynamic rounding mode tries the host's floating point
//! first, where that is exact ([`Hart::float_fast`]); everything else is
//! computed by `ruse-softfloat`.

use ruse_softfloat::{F16, F32, F64, Format, fast};

/// The rounding-mode field that means "as `frm` says".
pub(crate) const DYNAMIC: u8 = 7;

/// Host arithmetic for a format, `None` where it may differ.
pub(crate) trait Host: Format {
    fn add(_a: Self::Bits, _b: Self::Bits) -> Option<Self::Bits> {
        None
    }
    fn sub(_a: Self::Bits, _b: Self::Bits) -> Option<Self::Bits> {
        None
    }
    fn mul(_a: Self::Bits, _b: Self::Bits) -> Option<Self::Bits> {
        None
    }
    fn div(_a: Self::Bits, _b: Self::Bits) -> Option<Self::Bits> {
        None
    }
    fn sqrt(_a: Self::Bits) -> Option<Self::Bits> {
        None
    }
    fn mul_add(_a: Self::Bits, _b: Self::Bits, _c: Self::Bits) -> Option<Self::Bits> {
        None
    }
}

impl Host for F16 {}

macro_rules! host {
    ($format:ident: $add:ident $sub:ident $mul:ident $div:ident $sqrt:ident $mul_add:ident) => {
        impl Host for $format {
            #[inline(always)]
            fn add(a: Self::Bits, b: Self::Bits) -> Option<Self::Bits> {
                fast::$add(a, b)
            }
            #[inline(always)]
            fn sub(a: Self::Bits, b: Self::Bits) -> Option<Self::Bits> {
                fast::$sub(a, b)
            }
            #[inline(always)]
            fn mul(a: Self::Bits, b: Self::Bits) -> Option<Self::Bits> {
                fast::$mul(a, b)
            }
            #[inline(always)]
            fn div(a: Self::Bits, b: Self::Bits) -> Option<Self::Bits> {
                fast::$div(a, b)
            }
            #[inline(always)]
            fn sqrt(a: Self::Bits) -> Option<Self::Bits> {
                fast::$sqrt(a)
            }
            #[inline(always)]
            fn mul_add(a: Self::Bits, b: Self::Bits, c: Self::Bits) -> Option<Self::Bits> {
                fast::$mul_add(a, b, c)
            }
        }
    };
}
host! { F32: add_f32 sub_f32 mul_f32 div_f32 sqrt_f32 mul_add_f32 }
host! { F64: add_f64 sub_f64 mul_f64 div_f64 sqrt_f64 mul_add_f64 }

/// `Format: name operation;`: two operands, rounded.
macro_rules! binary {
    ($format:ident: $( $name:ident $op:ident; )*) => {$(
        pub(crate) fn $name<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
            #[inline(never)]
            fn slow(h: &mut Hart, c: Cursor) -> Cursor {
                let o = c.op();
                let a = unbox::<$format>(h.r[o.rs1 as usize]);
                let b = unbox::<$format>(h.r[o.rs2 as usize]);
                let Some(rm) = h.round(o.aux) else {
                    return h.illegal(c);
                };
                let (value, flags) = ruse_softfloat::$op::<$format>(a, b, rm);
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
                let (value, flags) = ruse_softfloat::mul_add::<$format>(x, y, z, rm);
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
                let (value, flags) = ruse_softfloat::sqrt::<$format>(a, rm);
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
