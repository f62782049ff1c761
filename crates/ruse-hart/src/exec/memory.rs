//! The shape of loads and stores: a TLB hit, or an access to a permitted page
//! of a space, inline, all else out of line.

use super::attempt;
use crate::base::Base;
use crate::engine::{Cursor, Op, go};
use crate::hart::Hart;
use crate::tlb::Scalar;

/// The effective address of a load or store.
#[inline(always)]
pub(crate) fn address<X: Base>(h: &Hart, o: &Op) -> u64 {
    X::addr(h.r[o.rs1 as usize].wrapping_add(o.imm as i64 as u64))
}

/// `name: type (raw) => value`: a load of a zero-extended `raw`.
macro_rules! loads {
    ($( $name:ident: $type:ident ($raw:ident) => $value:expr; )*) => {$(
        pub(crate) fn $name<X: $crate::base::Base>(
            h: &mut $crate::hart::Hart,
            c: $crate::engine::Cursor,
        ) -> $crate::engine::Cursor {
            #[cold]
            #[inline(never)]
            fn slow<X: $crate::base::Base>(
                h: &mut $crate::hart::Hart,
                c: $crate::engine::Cursor,
            ) -> $crate::engine::Cursor {
                let done = $crate::exec::attempt(h, c, |h, c| {
                    let o = c.op();
                    let va = $crate::exec::memory::address::<X>(h, o);
                    let $raw = h.load_slow(va, <$type as $crate::tlb::Scalar>::SIZE)?;
                    h.r[o.rd as usize] = $value;
                    Ok(())
                });
                if done {
                    $crate::exec::memory::after_slow(h, c)
                } else {
                    $crate::engine::Cursor::LEAVE
                }
            }
            let o = c.op();
            let va = $crate::exec::memory::address::<X>(h, o);
            match X::load::<$type>(h, va) {
                Some($raw) => {
                    h.r[o.rd as usize] = $value;
                    $crate::engine::go!(h, c.next())
                }
                None => slow::<X>(h, c),
            }
        }
    )*};
}

/// `name: type`: a store of the low bits of `rs2`.
macro_rules! stores {
    ($( $name:ident: $type:ty; )*) => {$(
        pub(crate) fn $name<X: $crate::base::Base>(
            h: &mut $crate::hart::Hart,
            c: $crate::engine::Cursor,
        ) -> $crate::engine::Cursor {
            $crate::exec::memory::store::<X, $type>(h, c)
        }
    )*};
}

pub(crate) use {loads, stores};

/// A store of the low bits of `rs2`.
#[inline(always)]
pub(crate) fn store<X: Base, T: Scalar>(h: &mut Hart, c: Cursor) -> Cursor {
    let o = c.op();
    let va = address::<X>(h, o);
    let value = h.r[o.rs2 as usize];
    if X::store::<T>(h, va, value) {
        go!(h, c.next())
    } else {
        store_slow::<X, T>(h, c)
    }
}

#[cold]
#[inline(never)]
fn store_slow<X: Base, T: Scalar>(h: &mut Hart, c: Cursor) -> Cursor {
    let done = attempt(h, c, |h, c| {
        let o = c.op();
        let va = address::<X>(h, o);
        let value = h.r[o.rs2 as usize];
        h.store_slow(va, T::SIZE, value)
    });
    if done {
        after_slow(h, c)
    } else {
        Cursor::LEAVE
    }
}

/// Goes on after an access that may have been to a device: leaves if that
/// moved an interrupt line.
#[inline(always)]
pub(crate) fn after_slow(h: &mut Hart, c: Cursor) -> Cursor {
    if h.device_stirred() {
        h.end_after(c)
    } else {
        go!(h, c.next())
    }
}
