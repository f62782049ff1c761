//! What each instruction does: one file an extension, one function an
//! instruction, named as in the table of `ruse-isa`. An instruction without
//! its function does not compile.
//!
//! A function gets the hart and the cursor on its operation and ends by going
//! on ([`go!`]) or by leaving the block. To keep that a sibling call, a
//! function that goes on takes no address of a local variable; rare cases are
//! tail calls of cold functions, and what may trap is done by [`attempt`].

mod a;
mod d;
mod f;
mod float;
pub(crate) mod i;
mod m;
mod memory;
mod privileged;
mod zacas;
mod zawrs;
mod zba;
mod zbb;
mod zbc;
mod zbs;
mod zfa;
mod zfh;
mod zicbo;
mod zicond;
mod zicsr;

use ruse_isa::{Opcode, for_each_instruction};

use crate::base::Base;
use crate::csr::status;
use crate::engine::{Cursor, Handler, go};
use crate::hart::Hart;
use crate::trap::{Cause, Trap};

/// `name(a, b) => value`: an instruction of `rs1` and `rs2` on `rd`.
macro_rules! reg_reg {
    ($( $(#[$doc:meta])* $name:ident($a:ident, $b:ident) => $value:expr; )*) => {$(
        $(#[$doc])*
        pub(crate) fn $name<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
            let o = c.op();
            let $a = h.r[o.rs1 as usize];
            let $b = h.r[o.rs2 as usize];
            h.r[o.rd as usize] = X::reg($value);
            go!(h, c.next())
        }
    )*};
}

/// `name(a, imm) => value`: an instruction of `rs1` and an immediate on `rd`.
macro_rules! reg_imm {
    ($( $(#[$doc:meta])* $name:ident($a:ident, $imm:ident) => $value:expr; )*) => {$(
        $(#[$doc])*
        pub(crate) fn $name<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
            let o = c.op();
            let $a = h.r[o.rs1 as usize];
            let $imm = o.imm as i64 as u64;
            h.r[o.rd as usize] = X::reg($value);
            go!(h, c.next())
        }
    )*};
}

/// `name(a) => value`: an instruction of `rs1` on `rd`.
macro_rules! reg {
    ($( $(#[$doc:meta])* $name:ident($a:ident) => $value:expr; )*) => {$(
        $(#[$doc])*
        pub(crate) fn $name<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
            let o = c.op();
            let $a = h.r[o.rs1 as usize];
            h.r[o.rd as usize] = X::reg($value);
            go!(h, c.next())
        }
    )*};
}

use {reg, reg_imm, reg_reg};

macro_rules! handlers {
    ($( [$module:ident]
        $( $variant:ident $function:ident $mnemonic:literal $pattern:literal $xlen:ident ; )* )*) => {
        /// The function that executes an instruction.
        pub(crate) fn handler<X: Base>(op: Opcode) -> Handler {
            match op {
                $($( Opcode::$variant => $module::$function::<X>, )*)*
            }
        }
    };
}
for_each_instruction!(handlers);

/// Executes what may trap; false if it did. The result of such work comes in
/// memory, which must not be the handler's: a frame whose address is known
/// elsewhere cannot be left by a sibling call. For the same reason `work`
/// captures nothing.
#[inline(never)]
pub(crate) fn attempt<F>(h: &mut Hart, c: Cursor, work: F) -> bool
where
    F: Fn(&mut Hart, Cursor) -> Result<(), Trap>,
{
    const { assert!(size_of::<F>() == 0) };
    match work(h, c) {
        Ok(()) => true,
        Err(trap) => {
            h.fault(c, trap);
            false
        }
    }
}

/// A word in register form.
#[inline(always)]
fn sext32(value: u32) -> u64 {
    value as i32 as i64 as u64
}

/// The system instruction at `c` has executed; the next one is to be looked up.
fn done(h: &mut Hart, c: Cursor) -> Cursor {
    let o = c.op();
    h.move_to(o.imm as u64 + 4, u64::from(o.aux) + 1);
    Cursor::LEAVE
}

/// What the table does not know, or the hart's configuration forbids: the
/// instruction's bits are in `imm`.
pub(crate) fn illegal(h: &mut Hart, c: Cursor) -> Cursor {
    let bits = u64::from(c.op().imm as u32);
    h.fault(c, Trap::new(Cause::IllegalInstruction, bits))
}

/// Stands before the first floating-point instruction of a block: the
/// floating-point state is dirty from here on.
pub(crate) fn float_touch(h: &mut Hart, c: Cursor) -> Cursor {
    h.csrs.mstatus |= status::FS;
    go!(h, c.next())
}
