//! In which order other harts see a hart's memory accesses: RVWMO (unprivileged
//! manual, "RVWMO Memory Consistency Model") on the host's memory model.
//!
//! Each hart of a machine may run on a host thread of its own. What RVWMO
//! promises and how it is kept, by the numbers of its preserved program order:
//!
//! - *Accesses in one piece.* Aligned loads and stores are relaxed atomic
//!   accesses of their full width, one host instruction each. Misaligned ones
//!   may come in pieces, as the manual allows.
//! - *Same address (1, 2, 3).* Host memory is coherent per location, for atomic
//!   accesses of one thread too: two loads of an address never go back in time.
//!   The same holds between accesses of different widths on the hosts we know,
//!   x86-64 and AArch64, though the language does not promise it.
//! - *FENCE (4).* [`fence`]: a host fence at least as strong. On x86-64 only one
//!   that orders stores before loads is an instruction.
//! - *Acquire and release (5, 6, 7), RMW pairs (8).* Every AMO, LR and SC is
//!   sequentially consistent. On x86-64 a locked instruction is a full fence. On
//!   AArch64 a compare-and-exchange loop is not: an earlier store and a later
//!   load may change places around it. Hence [`after_atomic`].
//! - *Dependencies (9 to 13).* Registers live in the hart's memory, so that each
//!   dependency of the guest is one of the interpreter, through its memory: the
//!   loaded value is stored to a register of the guest's, loaded again by the
//!   instruction that uses it, and becomes part of an address, a stored value or
//!   a branch. The compiler cannot break it: handlers are compiled apart, and
//!   know neither the program nor the values; within a fused sequence the value
//!   is at hand in a host register and used from there. x86-64 keeps the order
//!   of loads, and of loads and later stores, anyway. On AArch64 a store that
//!   depends on a load and is read by a later load of the same thread is ordered
//!   before what depends on that (*dependency-ordered-before*: `(addr | data);
//!   rfi`), so that the chain holds step by step. A control dependency orders
//!   later stores only, in both models.
//!
//! What a hart is told by a device or another hart's firmware call comes through
//! locks and atomic operations with acquire and release order.

use std::sync::atomic::{Ordering, fence};

/// Bits of a predecessor or successor set.
const WRITES: u32 = 0b0101;
const READS: u32 = 0b1010;
/// The `fm` field of FENCE.TSO.
const TSO: u32 = 0b1000;

/// FENCE with these bits: `fm`, predecessors, successors.
///
/// Devices act at once and under locks, so that their registers need no more
/// than memory does: input counts as a read, output as a write.
#[inline(always)]
pub(crate) fn fence_with(bits: u32) {
    let (fm, before, after) = (bits >> 8 & 0xf, bits >> 4 & 0xf, bits & 0xf);
    if before == 0 || after == 0 {
        return;
    }
    if before & WRITES != 0 && after & READS != 0 && fm != TSO {
        fence(Ordering::SeqCst);
    } else if before & WRITES == 0 {
        // Reads before anything.
        fence(Ordering::Acquire);
    } else {
        // Reads and writes before writes, and reads before reads.
        fence(Ordering::AcqRel);
    }
}

/// Comes after AMOs and SC: they stand between all accesses before and after.
#[inline(always)]
pub(crate) fn after_atomic() {
    #[cfg(not(target_arch = "x86_64"))]
    fence(Ordering::SeqCst);
}

/// Comes before LR: with `rl` it stands after all earlier accesses.
#[inline(always)]
pub(crate) fn before_reserved(aqrl: i32) {
    if aqrl & 1 != 0 {
        fence(Ordering::SeqCst);
    }
}

/// Comes after LR: with `aq` it stands before all later accesses.
#[inline(always)]
pub(crate) fn after_reserved() {
    fence(Ordering::Acquire);
}

/// Comes with SFENCE.VMA: what this hart sees, its later walks of page tables
/// see too.
#[inline(always)]
pub(crate) fn address_fence() {
    fence(Ordering::SeqCst);
}
