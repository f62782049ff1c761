//! Returns from traps, WFI and the fences of the memory-management unit, with
//! Svinval (privileged manual, "Supervisor-Level ISA").

use super::{done, order};
use crate::base::Base;
use crate::csr::status;
use crate::engine::Cursor;
use crate::hart::{Exit, Hart};
use crate::trap::Privilege;

/// Whether S-mode may not do this because of a trap bit of `mstatus`, or
/// U-mode because it is U-mode.
fn forbidden(h: &Hart, trap_bit: u64) -> bool {
    match h.privilege {
        Privilege::User => true,
        Privilege::Supervisor => h.csrs.mstatus & trap_bit != 0,
        Privilege::Machine => false,
    }
}

fn trap_return(h: &mut Hart, c: Cursor, from: Privilege) -> Cursor {
    done(h, c);
    let pc = h.trap_return(from);
    h.set_pc(pc);
    Cursor::LEAVE
}

pub(crate) fn sret<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    if forbidden(h, status::TSR) {
        return h.illegal(c);
    }
    trap_return(h, c, Privilege::Supervisor)
}

pub(crate) fn mret<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    if h.privilege != Privilege::Machine {
        return h.illegal(c);
    }
    trap_return(h, c, Privilege::Machine)
}

pub(crate) fn wfi<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    if forbidden(h, status::TW) {
        return h.illegal(c);
    }
    done(h, c);
    if !h.interrupt_pending() {
        h.exit = Some(Exit::Wait);
    }
    Cursor::LEAVE
}

fn fence<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    if forbidden(h, status::TVM) {
        return h.illegal(c);
    }
    order::address_fence();
    let o = c.op();
    if o.rs1 == 0 && o.rs2 == 0 {
        h.flush_tlb();
    } else if o.rs1 == 0 {
        let asid = h.r[o.rs2 as usize];
        h.flush_tlb_asid(asid);
    } else {
        // Which address space is meant is not looked at: all of them.
        let va = X::addr(h.r[o.rs1 as usize]);
        h.flush_tlb_page(va);
    }
    done(h, c)
}

pub(crate) fn sfence_vma<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    fence::<X>(h, c)
}

pub(crate) fn sinval_vma<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    fence::<X>(h, c)
}

fn ordering(h: &mut Hart, c: Cursor) -> Cursor {
    if h.privilege == Privilege::User {
        return h.illegal(c);
    }
    order::address_fence();
    done(h, c)
}

pub(crate) fn sfence_w_inval<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    ordering(h, c)
}

pub(crate) fn sfence_inval_ir<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    ordering(h, c)
}
