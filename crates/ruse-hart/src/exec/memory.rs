//! The shape of loads and stores: a TLB hit, or an access to a permitted page
//! of a space, inline, all else out of line.

use super::{attempt, rs1};
use crate::base::Base;
use crate::engine::{Cursor, Op, go};
use crate::hart::Hart;
use crate::tlb::Scalar;

/// The effective address of a load or store.
#[inline(always)]
pub(crate) fn address<X: Base>(h: &Hart, o: &Op, acc: u64) -> u64 {
    X::addr(rs1::<X>(h, o, acc).wrapping_add(o.imm as i64 as u64))
}

/// `name: type (raw) => value`: a load of a zero-extended `raw`.
macro_rules! loads {
    ($( $name:ident: $type:ident ($raw:ident) => $value:expr; )*) => {$(
        #[expect(non_camel_case_types, reason = "the instruction's name")]
        pub(crate) enum $name {}

        impl $crate::exec::Step for $name {
            #[inline(always)]
            fn step<X: $crate::base::Base>(
                h: &mut $crate::hart::Hart,
                c: $crate::engine::Cursor,
                acc: u64,
            ) -> Option<u64> {
                let o = c.op();
                let va = $crate::exec::memory::address::<X>(h, o, acc);
                let $raw = X::load::<$type>(h, va)?;
                let value = $value;
                h.r[o.rd as usize] = value;
                Some(value)
            }

            #[cold]
            #[inline(never)]
            fn slow<X: $crate::base::Base>(
                h: &mut $crate::hart::Hart,
                c: $crate::engine::Cursor,
            ) -> $crate::engine::Cursor {
                let done = $crate::exec::attempt(h, c, |h, c| {
                    let o = c.op();
                    let va = $crate::exec::memory::address::<X>(h, o, 0);
                    let $raw = h.load_slow(c, va, <$type as $crate::tlb::Scalar>::SIZE)?;
                    h.r[o.rd as usize] = $value;
                    Ok(())
                });
                if done {
                    $crate::exec::memory::after_slow(h, c)
                } else {
                    $crate::engine::Cursor::LEAVE
                }
            }
        }

        pub(crate) fn $name<X: $crate::base::Base>(
            h: &mut $crate::hart::Hart,
            c: $crate::engine::Cursor,
        ) -> $crate::engine::Cursor {
            <$name as $crate::exec::Last>::last::<X>(h, c, 0)
        }
    )*};
}

/// `name: type`: a store of the low bits of `rs2`.
macro_rules! stores {
    ($( $name:ident: $type:ty; )*) => {$(
        #[expect(non_camel_case_types, reason = "the instruction's name")]
        pub(crate) enum $name {}

        impl $crate::exec::Step for $name {
            #[inline(always)]
            fn step<X: $crate::base::Base>(
                h: &mut $crate::hart::Hart,
                c: $crate::engine::Cursor,
                acc: u64,
            ) -> Option<u64> {
                let o = c.op();
                let va = $crate::exec::memory::address::<X>(h, o, acc);
                let value = $crate::exec::rs2::<X>(h, o, acc);
                X::store::<$type>(h, va, value).then_some(acc)
            }

            #[inline(always)]
            fn slow<X: $crate::base::Base>(
                h: &mut $crate::hart::Hart,
                c: $crate::engine::Cursor,
            ) -> $crate::engine::Cursor {
                $crate::exec::memory::store_slow::<X, $type>(h, c)
            }
        }

        pub(crate) fn $name<X: $crate::base::Base>(
            h: &mut $crate::hart::Hart,
            c: $crate::engine::Cursor,
        ) -> $crate::engine::Cursor {
            <$name as $crate::exec::Last>::last::<X>(h, c, 0)
        }
    )*};
}

pub(crate) use {loads, stores};

#[cold]
#[inline(never)]
pub(crate) fn store_slow<X: Base, T: Scalar>(h: &mut Hart, c: Cursor) -> Cursor {
    let done = attempt(h, c, |h, c| {
        let o = c.op();
        let va = address::<X>(h, o, 0);
        let value = h.r[o.rs2 as usize];
        h.store_slow(c, va, T::SIZE, value)
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
