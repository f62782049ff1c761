//! Dispatch: how one decoded operation follows another.
//!
//! A block is an array of 16-byte slots. Most hold an [`Op`]: the address of
//! the function that executes it and its operands. That function ends by
//! calling its successor's with the same arguments, a *sibling call* that
//! the optimiser turns into an indirect jump, so that the interpreter has no
//! loop on its hot path and the host predicts every guest instruction's
//! successor on its own. Without optimisation such calls would only pile up
//! on the stack; then a function returns its successor and the loop in
//! [`run`] calls it. Both forms are written `go!(hart, cursor)`.
//!
//! An operation that may leave its block is followed by a [`Link`] slot, which
//! leads straight to the successor once that is known.
//!
//! This module holds all of the engine's raw pointers. Its invariants, upheld
//! by `block`, which writes the slots, and `code`, which owns them:
//! - a [`Cursor`] other than [`Cursor::LEAVE`] points to an `Op` slot of a live block;
//! - the last `Op` of a block always leaves it, the others have an `Op` (after
//!   their `Link`, if they have one) to go on with;
//! - blocks are freed only while no operation is executing, or by operations
//!   that return [`Cursor::LEAVE`] without touching their cursor again.
#![allow(unsafe_code)]

use std::hint::cold_path;

use crate::base::Base;
use crate::hart::Hart;

/// Executes one operation and those that follow it.
pub(crate) type Handler = fn(&mut Hart, Cursor) -> Cursor;

/// One decoded operation.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Op {
    pub handler: Handler,
    /// The immediate; for what leaves the block, the target's offset from the
    /// block's start; for the system instructions, their own offset.
    pub imm: i32,
    /// The destination, an index of [`Hart::r`].
    pub rd: u8,
    pub rs1: u8,
    pub rs2: u8,
    /// Rounding mode; or the number of instructions that a leaving operation
    /// retires; or half the instruction's offset (AUIPC).
    pub aux: u8,
}

/// Where an operation that leaves its block leads.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Link {
    target: *const Slot,
    /// The context that a link to another page holds for ([`Hart::ctx`]).
    ctx: u64,
}

/// One element of a block.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) union Slot {
    op: Op,
    link: Link,
}

const _: () = assert!(size_of::<Slot>() == 16);

impl Slot {
    pub(crate) const fn op(op: Op) -> Self {
        Self { op }
    }

    /// Gives the operation here another handler.
    pub(crate) fn set_handler(&mut self, handler: Handler) {
        self.op.handler = handler;
    }

    /// Gives the operation here another immediate.
    pub(crate) fn set_imm(&mut self, imm: i32) {
        self.op.imm = imm;
    }

    pub(crate) const fn link() -> Self {
        Self {
            link: Link {
                target: std::ptr::null(),
                ctx: 0,
            },
        }
    }
}

/// A place in a block.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Cursor(*const Slot);

impl Cursor {
    /// Back to the run loop.
    pub(crate) const LEAVE: Self = Self(std::ptr::null());

    /// A cursor on the first slot of a block that `code` keeps alive.
    pub(crate) fn start(slots: *const Slot) -> Self {
        Self(slots)
    }

    /// The operation here.
    #[inline(always)]
    pub(crate) fn op(&self) -> &Op {
        // SAFETY: the module's first invariant.
        unsafe { &(*self.0).op }
    }

    /// The next operation of the block, after one without a link.
    #[inline(always)]
    pub(crate) fn next(self) -> Self {
        // SAFETY: the module's second invariant.
        Self(unsafe { self.0.add(1) })
    }

    /// The next operation of the block, after one with a link.
    #[inline(always)]
    pub(crate) fn past_link(self) -> Self {
        // SAFETY: the module's second invariant.
        Self(unsafe { self.0.add(2) })
    }

    /// The host address of the slot.
    pub(crate) fn address(self) -> usize {
        self.0 as usize
    }
}

/// A link that the run loop should set once it knows the target.
#[derive(Clone, Copy)]
pub(crate) struct Unlinked(*mut Link);

// SAFETY: only ever used by the thread that holds the hart and its blocks.
unsafe impl Send for Unlinked {}

impl Unlinked {
    pub(crate) const NONE: Self = Self(std::ptr::null_mut());

    /// Sets the link. The block that holds it must still be alive.
    pub(crate) fn set(self, target: Cursor, ctx: u64) {
        if !self.0.is_null() {
            // SAFETY: the caller knows that the block is alive; nothing else
            // refers to its slots while the run loop is in control.
            unsafe {
                *self.0 = Link {
                    target: target.0,
                    ctx,
                };
            }
        }
    }
}

/// Goes on with the operation at a cursor.
macro_rules! go {
    ($hart:expr, $cursor:expr) => {{
        let cursor: $crate::engine::Cursor = $cursor;
        #[cfg(ruse_threaded)]
        {
            (cursor.op().handler)($hart, cursor)
        }
        #[cfg(not(ruse_threaded))]
        {
            let _ = &*$hart;
            cursor
        }
    }};
}
pub(crate) use go;

/// Leaves the block at `c`, an operation with a link, for the code `o.imm`
/// bytes from the block's start. `FAR`: on another page, so that the link
/// holds only for the context it was made in.
#[inline(always)]
pub(crate) fn follow<X: Base, const FAR: bool>(h: &mut Hart, c: Cursor) -> Cursor {
    let o = c.op();
    h.pc = X::addr(h.pc.wrapping_add(o.imm as i64 as u64));
    h.budget -= i64::from(o.aux);
    // Two branches that are hardly ever taken cost less than their conjunction.
    if h.budget <= 0 {
        cold_path();
        return Cursor::LEAVE;
    }
    // SAFETY: the slot after an operation with a link is a `Link`.
    let link = unsafe { (*c.0.add(1)).link };
    if link.target.is_null() || FAR && !X::holds(h.ctx, link.ctx) {
        cold_path();
        // SAFETY: as above; the pointer is used only after this operation
        // returned.
        h.unlinked = Unlinked(unsafe { (&raw const (*c.0.add(1)).link).cast_mut() });
        return Cursor::LEAVE;
    }
    go!(h, Cursor(link.target))
}

/// Goes on at the address `target`, by the jump cache.
#[inline(always)]
pub(crate) fn follow_indirect<X: Base>(h: &mut Hart, target: u64, retired: u8) -> Cursor {
    h.pc = target;
    h.budget -= i64::from(retired);
    if h.budget <= 0 {
        cold_path();
        return Cursor::LEAVE;
    }
    match h.code.jump::<X>(target, h.ctx) {
        Some(next) => go!(h, next),
        None => {
            cold_path();
            Cursor::LEAVE
        }
    }
}

/// Executes from `start` until an operation returns to the run loop.
#[inline]
pub(crate) fn run(h: &mut Hart, start: Cursor) {
    let mut cursor = start;
    while cursor != Cursor::LEAVE {
        cursor = (cursor.op().handler)(h, cursor);
    }
}
