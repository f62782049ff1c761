//! Zicbom, Zicboz and Zicbop: cache-block operations on blocks of 64 bytes
//! (unprivileged manual, "CMO").
//!
//! There is no cache: management operations check that they may be executed
//! and that the block may be accessed, prefetches do nothing.

use super::{attempt, memory};
use crate::base::Base;
use crate::csr::envcfg;
use crate::engine::{Cursor, go};
use crate::hart::Hart;
use crate::trap::{Privilege, Trap};

/// Size of a cache block, in bytes.
const BLOCK: u64 = 64;

/// Whether a field of `menvcfg` and `senvcfg` enables an operation here. Of
/// the field's values, 0, 1 and 3, any two but 0 share a bit.
fn enabled(h: &Hart, field: u64) -> bool {
    match h.privilege {
        Privilege::Machine => true,
        Privilege::Supervisor => h.csrs.menvcfg & field != 0,
        Privilege::User => h.csrs.menvcfg & h.csrs.senvcfg & field != 0,
    }
}

fn manage<X: Base>(h: &mut Hart, c: Cursor, field: u64) -> Cursor {
    if !enabled(h, field) {
        return h.illegal(c);
    }
    let done = attempt(h, c, |h, c| {
        let va = X::addr(h.r[c.op().rs1 as usize]);
        h.cache_block(va)
    });
    if done {
        go!(h, c.next())
    } else {
        Cursor::LEAVE
    }
}

pub(crate) fn cbo_inval<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    manage::<X>(h, c, envcfg::CBIE)
}

pub(crate) fn cbo_clean<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    manage::<X>(h, c, envcfg::CBCFE)
}

pub(crate) fn cbo_flush<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    manage::<X>(h, c, envcfg::CBCFE)
}

pub(crate) fn cbo_zero<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    if !enabled(h, envcfg::CBZE) {
        return h.illegal(c);
    }
    let done = attempt(h, c, |h, c| {
        let va = X::addr(h.r[c.op().rs1 as usize]);
        let first = va & !(BLOCK - 1);
        for offset in (0..BLOCK).step_by(8) {
            if !X::store::<u64>(h, first + offset, 0) {
                h.store_slow(c, first + offset, 8, 0)
                    .map_err(|trap| Trap { tval: va, ..trap })?;
            }
        }
        Ok(())
    });
    if done {
        memory::after_slow(h, c)
    } else {
        Cursor::LEAVE
    }
}

pub(crate) fn prefetch_i<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    go!(h, c.next())
}

pub(crate) fn prefetch_r<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    go!(h, c.next())
}

pub(crate) fn prefetch_w<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    go!(h, c.next())
}
