//! A: load-reserved, store-conditional and atomic memory operations
//! (unprivileged manual, "A").
//!
//! All of them are sequentially consistent host operations, whatever `aq` and
//! `rl` say ([`super::order`]). A page that is at hand for stores may also be
//! loaded from, and holds no decoded code, so that an AMO there is one host
//! instruction.
//!
//! A reservation is the value that LR found. It is given up with the hart's
//! turn and in traps; SC succeeds if the value is still there and no other SC
//! has succeeded there ([`ruse_bus::Monitor`]).

use ruse_bus::{AccessFault, Width};

use super::{attempt, order};
use crate::base::Base;
use crate::engine::{Cursor, go};
use crate::hart::{Hart, Reservation};
use crate::mmu::Access;
use crate::tlb::{Amo, Word};
use crate::trap::{Cause, Trap};

/// The width of a word.
pub(crate) fn width<T: Word>() -> Width {
    if T::SIZE == 4 { Width::B4 } else { Width::B8 }
}

fn store_fault(va: u64) -> Trap {
    Trap::new(Cause::StoreAccessFault, va)
}

/// Replaces the value at `va` by what `new` makes of it, atomically, and
/// returns the old one, zero-extended.
#[inline(never)]
pub(crate) fn update(
    h: &mut Hart,
    va: u64,
    width: Width,
    new: impl Fn(u64) -> u64,
) -> Result<u64, Trap> {
    let pa = h.atomic_address(va, width.bytes(), Access::Store)?;
    let ram = h.bus.ram();
    let fault = |AccessFault| store_fault(va);
    let mut old = ram.load(pa, width).map_err(fault)?;
    loop {
        let found = ram
            .compare_exchange(pa, width, old, new(old) & width.mask())
            .map_err(fault)?;
        if found == old {
            order::after_atomic();
            return Ok(old);
        }
        old = found;
    }
}

/// The host address of the RAM at `pa`.
fn host(h: &Hart, pa: u64) -> u64 {
    let page = h.bus.ram().host_page(pa);
    page.map_or(0, |page| page as u64) | pa & (ruse_bus::PAGE_SIZE - 1)
}

#[inline(never)]
fn load_reserved<T: Word>(h: &mut Hart, va: u64, aqrl: i32) -> Result<u64, Trap> {
    h.reservation = None;
    order::before_reserved(aqrl);
    let (at, version, value) = match h.tlb.place::<T>(va, Access::Load) {
        Some(at) => {
            let version = h.bus.ram().monitor().watch(at);
            (at, version, h.tlb.load::<T>(va).unwrap_or_default())
        }
        None => {
            let pa = h.atomic_address(va, T::SIZE, Access::Load)?;
            let at = host(h, pa);
            let version = h.bus.ram().monitor().watch(at);
            let value = h.bus.ram().load(pa, width::<T>());
            let fault = |AccessFault| Trap::new(Cause::LoadAccessFault, va);
            (at, version, value.map_err(fault)?)
        }
    };
    order::after_reserved();
    h.reservation = Some(Reservation { at, value, version });
    Ok(T::extend(value))
}

/// 0 on success, 1 on failure.
#[inline(never)]
fn store_conditional<T: Word>(h: &mut Hart, va: u64, value: u64) -> Result<u64, Trap> {
    let reservation = h.reservation.take();
    let fast = h.tlb.place::<T>(va, Access::Store);
    // What SC may not store to faults, reservation or not.
    let pa = match fast {
        Some(_) => 0,
        None => match h.atomic_address(va, T::SIZE, Access::Store) {
            Err(trap) if h.is_stopping() => {
                // It will be executed as if nothing had been.
                h.reservation = reservation;
                return Err(trap);
            }
            found => found?,
        },
    };
    let at = fast.unwrap_or_else(|| host(h, pa));
    let Some(reservation) = reservation.filter(|reservation| reservation.at == at) else {
        return Ok(1);
    };
    // LR.D followed by SC.W compares what SC.W covers.
    let width = width::<T>();
    let (old, value) = (reservation.value & width.mask(), value & width.mask());
    let ram = h.bus.ram();
    let exchange = || match h.tlb.exchange::<T>(va, old, value) {
        Some(found) => found == old,
        None => ram.compare_exchange(pa, width, old, value) == Ok(old),
    };
    let stored = ram.monitor().store(at, reservation.version, exchange);
    order::after_atomic();
    Ok(u64::from(!stored))
}

macro_rules! reserved {
    ($( $lr:ident $sc:ident $type:ident; )*) => {$(
        pub(crate) fn $lr<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
            let done = attempt(h, c, |h, c| {
                let o = c.op();
                let va = X::addr(h.r[o.rs1 as usize]);
                h.r[o.rd as usize] = load_reserved::<$type>(h, va, o.imm)?;
                Ok(())
            });
            if done { go!(h, c.next()) } else { Cursor::LEAVE }
        }

        pub(crate) fn $sc<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
            let done = attempt(h, c, |h, c| {
                let o = c.op();
                let va = X::addr(h.r[o.rs1 as usize]);
                let value = h.r[o.rs2 as usize];
                h.r[o.rd as usize] = store_conditional::<$type>(h, va, value)?;
                Ok(())
            });
            if done { go!(h, c.next()) } else { Cursor::LEAVE }
        }
    )*};
}
reserved! {
    lr_w sc_w u32;
    lr_d sc_d u64;
}

macro_rules! amos {
    ($( $op:ident $w:ident $d:ident; )*) => {$(
        amos! { @ $op $w u32 }
        amos! { @ $op $d u64 }
    )*};
    (@ $op:ident $name:ident $type:ident) => {
        pub(crate) fn $name<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
            let o = c.op();
            let va = X::addr(h.r[o.rs1 as usize]);
            let operand = h.r[o.rs2 as usize];
            if let Some(old) = X::amo::<$type>(h, va, Amo::$op, operand) {
                order::after_atomic();
                h.r[o.rd as usize] = <$type>::extend(old);
                return go!(h, c.next());
            }
            let done = attempt(h, c, |h, c| {
                let o = c.op();
                let va = X::addr(h.r[o.rs1 as usize]);
                let operand = h.r[o.rs2 as usize];
                let new = |old| <$type>::apply(Amo::$op, old, operand);
                let old = update(h, va, width::<$type>(), new)?;
                h.r[o.rd as usize] = <$type>::extend(old);
                Ok(())
            });
            if done { go!(h, c.next()) } else { Cursor::LEAVE }
        }
    };
}
amos! {
    Swap amoswap_w amoswap_d;
    Add amoadd_w amoadd_d;
    Xor amoxor_w amoxor_d;
    And amoand_w amoand_d;
    Or amoor_w amoor_d;
    Min amomin_w amomin_d;
    Max amomax_w amomax_d;
    Minu amominu_w amominu_d;
    Maxu amomaxu_w amomaxu_d;
}
