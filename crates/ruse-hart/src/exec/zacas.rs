//! Zacas: atomic compare-and-swap (unprivileged manual, "Zacas").

use ruse_bus::AccessFault;

use super::a::{update, width};
use super::{attempt, order};
use crate::base::Base;
use crate::engine::{Cursor, go};
use crate::hart::{Hart, SINK};
use crate::mmu::Access;
use crate::tlb::Word;
use crate::trap::{Cause, Trap};

#[inline(never)]
fn swap<T: Word>(h: &mut Hart, va: u64, expected: u64, new: u64) -> Result<u64, Trap> {
    if let Some(old) = h.tlb.exchange::<T>(va, expected, new) {
        order::after_atomic();
        return Ok(old);
    }
    let width = width::<T>();
    let expected = expected & width.mask();
    update(h, va, width, |old| if old == expected { new } else { old })
}

fn amocas_w_work<X: Base>(h: &mut Hart, c: Cursor) -> Result<(), Trap> {
    let o = c.op();
    let va = X::addr(h.r[o.rs1 as usize]);
    // x0 as rd compares with zero.
    let (expected, new) = (source(h, o.rd), h.r[o.rs2 as usize]);
    let old = swap::<u32>(h, va, expected, new)?;
    h.r[o.rd as usize] = old as i32 as i64 as u64;
    Ok(())
}

fn amocas_d_work<X: Base>(h: &mut Hart, c: Cursor) -> Result<(), Trap> {
    let o = c.op();
    let va = X::addr(h.r[o.rs1 as usize]);
    let (expected, new) = (source(h, o.rd), h.r[o.rs2 as usize]);
    let old = swap::<u64>(h, va, expected, new)?;
    h.r[o.rd as usize] = old;
    Ok(())
}

/// `rd` as a source: what was written to `x0` is not read back.
fn source(h: &Hart, rd: u8) -> u64 {
    if rd == SINK { 0 } else { h.r[rd as usize] }
}

/// The two halves of an even/odd register pair; those of the pair of `x0`
/// are zero.
fn pair(h: &Hart, first: u8) -> (u64, u64) {
    if first == 0 || first == SINK {
        (0, 0)
    } else {
        (h.r[first as usize], h.r[first as usize + 1])
    }
}

fn set_pair(h: &mut Hart, first: u8, low: u64, high: u64) {
    if first != SINK {
        h.r[first as usize] = low;
        h.r[first as usize + 1] = high;
    }
}

fn amocas_d_rv32_work<X: Base>(h: &mut Hart, c: Cursor) -> Result<(), Trap> {
    let o = c.op();
    let va = X::addr(h.r[o.rs1 as usize]);
    let join = |(low, high): (u64, u64)| u64::from(low as u32) | high << 32;
    let (expected, new) = (join(pair(h, o.rd)), join(pair(h, o.rs2)));
    let old = swap::<u64>(h, va, expected, new)?;
    let high = (old >> 32) as i32 as i64 as u64;
    set_pair(h, o.rd, old as i32 as i64 as u64, high);
    Ok(())
}

/// Sixteen bytes, of which registers hold eight each.
#[inline(never)]
fn swap16(
    h: &mut Hart,
    va: u64,
    expected: (u64, u64),
    new: (u64, u64),
) -> Result<(u64, u64), Trap> {
    let join = |(low, high): (u64, u64)| u128::from(low) | u128::from(high) << 64;
    let pa = h.atomic_address(va, 16, Access::Store)?;
    let found = h
        .bus
        .ram()
        .compare_exchange_16(pa, join(expected), join(new))
        .map_err(|AccessFault| Trap::new(Cause::StoreAccessFault, va))?;
    order::after_atomic();
    Ok((found as u64, (found >> 64) as u64))
}

fn amocas_q_work<X: Base>(h: &mut Hart, c: Cursor) -> Result<(), Trap> {
    let o = c.op();
    let va = X::addr(h.r[o.rs1 as usize]);
    let (expected, new) = (pair(h, o.rd), pair(h, o.rs2));
    let (low, high) = swap16(h, va, expected, new)?;
    set_pair(h, o.rd, low, high);
    Ok(())
}

macro_rules! handlers {
    ($( $name:ident $work:ident; )*) => {$(
        pub(crate) fn $name<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
            if attempt(h, c, $work::<X>) {
                go!(h, c.next())
            } else {
                Cursor::LEAVE
            }
        }
    )*};
}
handlers! {
    amocas_w amocas_w_work;
    amocas_d amocas_d_work;
    amocas_d_rv32 amocas_d_rv32_work;
    amocas_q amocas_q_work;
}
