//! Zicsr: access to control and status registers (unprivileged manual,
//! "Zicsr").

use crate::base::Base;
use crate::csr::Effect;
use crate::engine::{Cursor, go};
use crate::hart::{Hart, SINK};

/// What a CSR instruction does with the register.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Write,
    Set,
    Clear,
}

/// `None`: the access is illegal.
#[inline(never)]
fn access(h: &mut Hart, c: Cursor, action: Action, operand: u64, writes: bool) -> Option<Effect> {
    let o = c.op();
    let csr = o.imm as u16;
    if !h.csr_permitted(csr, writes) {
        return None;
    }
    let retired = h.retired() + u64::from(o.aux);
    // CSRRW with x0 as rd does not read; no register here has side effects
    // of reading, but some only exist to be read.
    let old = h.csr_read(csr, retired)?;
    let mut effect = Effect::None;
    if writes {
        let base = h.csr_base(csr, old);
        let new = match action {
            Action::Write => operand,
            Action::Set => base | operand,
            Action::Clear => base & !operand,
        };
        effect = h.csr_write(csr, new, retired)?;
    }
    if o.rd != SINK {
        h.r[o.rd as usize] = old;
    }
    Some(effect)
}

#[inline(always)]
fn execute(h: &mut Hart, c: Cursor, action: Action, operand: u64, writes: bool) -> Cursor {
    match access(h, c, action, operand, writes) {
        Some(Effect::None) => go!(h, c.next()),
        Some(Effect::Leave) => h.leave_after(c),
        None => h.illegal(c),
    }
}

pub(crate) fn csrrw<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    let operand = h.r[c.op().rs1 as usize];
    execute(h, c, Action::Write, operand, true)
}

pub(crate) fn csrrs<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    let o = c.op();
    let (operand, writes) = (h.r[o.rs1 as usize], o.rs1 != 0);
    execute(h, c, Action::Set, operand, writes)
}

pub(crate) fn csrrc<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    let o = c.op();
    let (operand, writes) = (h.r[o.rs1 as usize], o.rs1 != 0);
    execute(h, c, Action::Clear, operand, writes)
}

pub(crate) fn csrrwi<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    let zimm = c.op().rs1;
    execute(h, c, Action::Write, u64::from(zimm), true)
}

pub(crate) fn csrrsi<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    let zimm = c.op().rs1;
    execute(h, c, Action::Set, u64::from(zimm), zimm != 0)
}

pub(crate) fn csrrci<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    let zimm = c.op().rs1;
    execute(h, c, Action::Clear, u64::from(zimm), zimm != 0)
}
