//! A: load-reserved, store-conditional and atomic memory operations
//! (unprivileged manual, "A").
//!
//! A reservation is the address and the value that LR found. It is given up
//! whenever another hart may have run, so that SC succeeds only if nobody
//! wrote in between; the final compare-and-exchange guards against devices
//! that write from other host threads.

use ruse_bus::{AccessFault, Width};

use super::attempt;
use crate::base::Base;
use crate::engine::{Cursor, go};
use crate::hart::Hart;
use crate::mmu::Access;
use crate::trap::{Cause, Trap};

fn extend(value: u64, width: Width) -> u64 {
    match width {
        Width::B4 => value as i32 as i64 as u64,
        _ => value,
    }
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
            return Ok(old);
        }
        old = found;
    }
}

#[inline(never)]
fn load_reserved(h: &mut Hart, va: u64, width: Width) -> Result<u64, Trap> {
    h.reservation = None;
    let pa = h.atomic_address(va, width.bytes(), Access::Load)?;
    let value = h
        .bus
        .ram()
        .load(pa, width)
        .map_err(|AccessFault| Trap::new(Cause::LoadAccessFault, va))?;
    h.reservation = Some((pa, value));
    Ok(extend(value, width))
}

/// 0 on success, 1 on failure.
#[inline(never)]
fn store_conditional(h: &mut Hart, va: u64, width: Width, value: u64) -> Result<u64, Trap> {
    let reservation = h.reservation.take();
    let pa = h.atomic_address(va, width.bytes(), Access::Store)?;
    match reservation {
        Some((reserved, old)) if reserved == pa => {
            // LR.D followed by SC.W compares what SC.W covers.
            let old = old & width.mask();
            let found = h
                .bus
                .ram()
                .compare_exchange(pa, width, old, value & width.mask())
                .map_err(|AccessFault| store_fault(va))?;
            Ok(u64::from(found != old))
        }
        _ => Ok(1),
    }
}

macro_rules! reserved {
    ($( $lr:ident $sc:ident $width:ident; )*) => {$(
        pub(crate) fn $lr<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
            let done = attempt(h, c, |h, c| {
                let o = c.op();
                let va = X::addr(h.r[o.rs1 as usize]);
                h.r[o.rd as usize] = load_reserved(h, va, Width::$width)?;
                Ok(())
            });
            if done { go!(h, c.next()) } else { Cursor::LEAVE }
        }

        pub(crate) fn $sc<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
            let done = attempt(h, c, |h, c| {
                let o = c.op();
                let va = X::addr(h.r[o.rs1 as usize]);
                let value = h.r[o.rs2 as usize];
                h.r[o.rd as usize] = store_conditional(h, va, Width::$width, value)?;
                Ok(())
            });
            if done { go!(h, c.next()) } else { Cursor::LEAVE }
        }
    )*};
}
reserved! {
    lr_w sc_w B4;
    lr_d sc_d B8;
}

/// `word double (old, operand) => new`, on values extended to their sign.
macro_rules! amos {
    ($( $w:ident $d:ident ($old:ident, $b:ident) => $new:expr; )*) => {$(
        amos! { @ $w B4 ($old, $b) => $new }
        amos! { @ $d B8 ($old, $b) => $new }
    )*};
    (@ $name:ident $width:ident ($old:ident, $b:ident) => $new:expr) => {
        pub(crate) fn $name<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
            let done = attempt(h, c, |h, c| {
                let o = c.op();
                let va = X::addr(h.r[o.rs1 as usize]);
                let $b = extend(h.r[o.rs2 as usize], Width::$width);
                let old = update(h, va, Width::$width, |old| {
                    let $old = extend(old, Width::$width);
                    $new
                })?;
                h.r[o.rd as usize] = extend(old, Width::$width);
                Ok(())
            });
            if done { go!(h, c.next()) } else { Cursor::LEAVE }
        }
    };
}
amos! {
    amoswap_w amoswap_d (_old, b) => b;
    amoadd_w amoadd_d (old, b) => old.wrapping_add(b);
    amoxor_w amoxor_d (old, b) => old ^ b;
    amoand_w amoand_d (old, b) => old & b;
    amoor_w amoor_d (old, b) => old | b;
    amomin_w amomin_d (old, b) => (old as i64).min(b as i64) as u64;
    amomax_w amomax_d (old, b) => (old as i64).max(b as i64) as u64;
    // Sign extension keeps the order of unsigned numbers.
    amominu_w amominu_d (old, b) => old.min(b);
    amomaxu_w amomaxu_d (old, b) => old.max(b);
}
