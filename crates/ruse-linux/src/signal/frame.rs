//! What a signal handler finds on its stack: `struct rt_sigframe` of
//! `arch/riscv/kernel/signal.c`, and the way back.
//!
//! ```text
//!    0  siginfo_t
//!  128  struct ucontext
//!       +0 uc_flags, +8 uc_link, +16 uc_stack (sp, flags, size),
//!       +40 uc_sigmask, padded to 128 bytes, aligned to 16:
//!  304  struct sigcontext: pc, x1 to x31
//!  560  f0 to f31, fcsr; in the 528 bytes that quad precision would need;
//!       the three words at the end must be zero: no further extension
//! 1088
//! ```

use super::{Action, SIGSEGV, SigInfo, SigSet, UNBLOCKABLE, sa, set_mask};
use crate::errno::Errno;
use crate::syscall::{Answer, Cx, Stop};
use crate::thread::{AltStack, Thread};

const SIZE: u64 = 1088;
const UCONTEXT: u64 = 128;
const STACK: usize = 144;
const MASK: usize = 168;
const REGS: usize = 304;
const FLOATS: usize = 560;
const FCSR: usize = FLOATS + 32 * 8;

/// `ss_flags` of sigaltstack(2).
pub(crate) const SS_ONSTACK: u32 = 1;
pub(crate) const SS_DISABLE: u32 = 2;
pub(crate) const SS_AUTODISARM: u32 = 1 << 31;

impl AltStack {
    /// Whether `sp` is on it.
    pub(crate) fn holds(&self, sp: u64) -> bool {
        // A stack that disarms itself counts as not in use (Linux does the
        // same, as its handler may be left by longjmp).
        self.flags & SS_AUTODISARM == 0 && self.spans(sp)
    }

    fn spans(&self, sp: u64) -> bool {
        sp > self.base && sp - self.base <= self.size
    }

    /// `ss_flags` as sigaltstack(2) tells them.
    pub(crate) fn status(&self, sp: u64) -> u32 {
        if self.size == 0 {
            SS_DISABLE
        } else if self.holds(sp) {
            SS_ONSTACK
        } else {
            self.flags
        }
    }
}

/// Lets a thread, whose registers are in its hart, enter a handler, from which
/// it returns to the mask `old`.
pub(super) fn push(
    thread: &mut Thread,
    info: &SigInfo,
    action: &Action,
    old: SigSet,
) -> Result<(), Errno> {
    let mut mm = thread.mm.borrow_mut();
    let registers = mm.hart.registers();
    let alt = thread.alt_stack;
    let old_sp = registers.x[2];
    let top = if action.flags & sa::ONSTACK != 0 && alt.size != 0 && !alt.holds(old_sp) {
        alt.base.wrapping_add(alt.size)
    } else {
        old_sp
    };
    let sp = top.wrapping_sub(SIZE) & !15;
    // Running over the end of the alternate stack must not go unnoticed.
    if alt.size != 0 && alt.holds(old_sp) && top == old_sp && !alt.holds(sp) {
        return Err(Errno::EFAULT);
    }

    let mut frame = [0; SIZE as usize];
    let mut put = |at: usize, bytes: &[u8]| frame[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &info.encode());
    put(STACK, &alt.base.to_le_bytes());
    let flags = if alt.size == 0 { SS_DISABLE } else { alt.flags };
    put(STACK + 8, &flags.to_le_bytes());
    put(STACK + 16, &alt.size.to_le_bytes());
    put(MASK, &old.to_le_bytes());
    put(REGS, &registers.pc.to_le_bytes());
    for n in 1..32 {
        put(REGS + 8 * n, &registers.x[n].to_le_bytes());
    }
    for n in 0..32 {
        put(FLOATS + 8 * n, &registers.f[n].to_le_bytes());
    }
    put(FCSR, &registers.fcsr.to_le_bytes());
    mm.write(sp, &frame)?;

    let trampoline = mm.trampoline();
    let hart = &mut mm.hart;
    hart.set_x(1, trampoline);
    hart.set_x(2, sp);
    hart.set_x(10, u64::from(info.signal));
    hart.set_x(11, sp);
    hart.set_x(12, sp.wrapping_add(UCONTEXT));
    hart.set_pc(action.handler);
    drop(mm);
    if alt.flags & SS_AUTODISARM != 0 {
        thread.alt_stack = AltStack::default();
    }
    Ok(())
}

/// rt_sigreturn(2): back to where the handler was entered.
pub(crate) fn sigreturn(cx: &mut Cx) -> Answer {
    let tid = cx.tid;
    let mm = cx.mm();
    let sp = mm.borrow().hart.x(2);
    let mut frame = [0; SIZE as usize];
    let reserved_clear = |frame: &[u8]| frame[FLOATS + 516..].iter().all(|&b| b == 0);
    if cx.read(sp, &mut frame).is_err() || !reserved_clear(&frame) {
        super::force(cx.kernel, tid, SigInfo::fault(SIGSEGV, 1, sp));
        return Err(Stop::Done);
    }
    let long = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&frame[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    {
        let mut mm = mm.borrow_mut();
        let mut registers = mm.hart.registers();
        registers.pc = long(REGS);
        for n in 1..32 {
            registers.x[n] = long(REGS + 8 * n);
        }
        for n in 0..32 {
            registers.f[n] = long(FLOATS + 8 * n);
        }
        registers.fcsr = long(FCSR) as u32;
        mm.hart.set_registers(&registers);
    }
    let thread = cx.thread();
    let flags = long(STACK + 8) as u32;
    thread.alt_stack = if flags & SS_DISABLE != 0 {
        AltStack::default()
    } else {
        AltStack {
            base: long(STACK),
            size: long(STACK + 16),
            flags: flags & SS_AUTODISARM,
        }
    };
    set_mask(cx.kernel, tid, long(MASK) & !UNBLOCKABLE);
    Err(Stop::Done)
}
