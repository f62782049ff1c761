//! Zacas: atomic compare-and-swap (unprivileged manual, "Zacas").

use ruse_bus::Width;

use super::a::update;
use crate::base::Base;
use crate::engine::{Cursor, go};
use crate::hart::{Hart, SINK};
use crate::mmu::Access;
use crate::trap::{Cause, Trap};

#[inline(never)]
fn swap(h: &mut Hart, va: u64, width: Width, expected: u64, new: u64) -> Result<u64, Trap> {
    let expected = expected & width.mask();
    update(h, va, width, |old| if old == expected { new } else { old })
}

pub(crate) fn amocas_w<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    let o = c.op();
    let va = X::addr(h.r[o.rs1 as usize]);
    // x0 as rd compares with zero.
    let (expected, new) = (source(h, o.rd), h.r[o.rs2 as usize]);
    match swap(h, va, Width::B4, expected, new) {
        Ok(old) => {
            h.r[o.rd as usize] = old as i32 as i64 as u64;
            go!(h, c.next())
        }
        Err(trap) => h.fault(c, trap),
    }
}

pub(crate) fn amocas_d<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    let o = c.op();
    let va = X::addr(h.r[o.rs1 as usize]);
    let (expected, new) = (source(h, o.rd), h.r[o.rs2 as usize]);
    match swap(h, va, Width::B8, expected, new) {
        Ok(old) => {
            h.r[o.rd as usize] = old;
            go!(h, c.next())
        }
        Err(trap) => h.fault(c, trap),
    }
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

pub(crate) fn amocas_d_rv32<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    let o = c.op();
    let va = X::addr(h.r[o.rs1 as usize]);
    let join = |(low, high): (u64, u64)| u64::from(low as u32) | high << 32;
    let (expected, new) = (join(pair(h, o.rd)), join(pair(h, o.rs2)));
    match swap(h, va, Width::B8, expected, new) {
        Ok(old) => {
            let high = (old >> 32) as i32 as i64 as u64;
            set_pair(h, o.rd, old as i32 as i64 as u64, high);
            go!(h, c.next())
        }
        Err(trap) => h.fault(c, trap),
    }
}

/// Sixteen bytes: the harts of a machine take turns on one host thread, so
/// that two eight-byte accesses are one step to all of them.
#[inline(never)]
fn swap16(
    h: &mut Hart,
    va: u64,
    expected: (u64, u64),
    new: (u64, u64),
) -> Result<(u64, u64), Trap> {
    let fault = |_| Trap::new(Cause::StoreAccessFault, va);
    let pa = h.atomic_address(va, 16, Access::Store)?;
    let ram = h.bus.ram();
    let low = ram.load(pa, Width::B8).map_err(fault)?;
    let high = ram.load(pa + 8, Width::B8).map_err(fault)?;
    if (low, high) == expected {
        ram.store(pa, Width::B8, new.0).map_err(fault)?;
        ram.store(pa + 8, Width::B8, new.1).map_err(fault)?;
    }
    Ok((low, high))
}

pub(crate) fn amocas_q<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    let o = c.op();
    let va = X::addr(h.r[o.rs1 as usize]);
    let (expected, new) = (pair(h, o.rd), pair(h, o.rs2));
    match swap16(h, va, expected, new) {
        Ok((low, high)) => {
            set_pair(h, o.rd, low, high);
            go!(h, c.next())
        }
        Err(trap) => h.fault(c, trap),
    }
}
