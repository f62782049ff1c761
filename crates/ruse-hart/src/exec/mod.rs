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
pub(crate) mod float;
pub(crate) mod fused;
mod general;
pub(crate) mod i;
mod m;
mod memory;
mod order;
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
use crate::engine::{Cursor, Handler, Op, go};
use crate::hart::Hart;
use crate::trap::{Cause, Trap};

/// What an instruction does, apart from going on to the next one: the form in
/// which it can be fused with others. The type has the instruction's name.
///
/// `acc` is the result of the step before, in a host register. A result always
/// goes to the hart's registers too, so that only the fast way depends on it.
pub(crate) trait Step {
    /// Executes the operation at `c` and returns its result, or `acc` if it
    /// has none. `None`: nothing has happened, [`Step::slow`] must do it.
    fn step<X: Base>(h: &mut Hart, c: Cursor, acc: u64) -> Option<u64>;

    /// Executes the operation at `c`, whatever it takes, and goes on.
    fn slow<X: Base>(_: &mut Hart, _: Cursor) -> Cursor {
        Cursor::LEAVE
    }
}

/// What can end a fused sequence.
pub(crate) trait Last {
    /// Executes the operation at `c` and goes on.
    fn last<X: Base>(h: &mut Hart, c: Cursor, acc: u64) -> Cursor;
}

impl<S: Step> Last for S {
    #[inline(always)]
    fn last<X: Base>(h: &mut Hart, c: Cursor, acc: u64) -> Cursor {
        match Self::step::<X>(h, c, acc) {
            Some(_) => go!(h, c.next()),
            None => Self::slow::<X::Plain>(h, c),
        }
    }
}

/// The first source register of an operation.
#[inline(always)]
pub(crate) fn rs1<X: Base>(h: &Hart, o: &Op, acc: u64) -> u64 {
    if X::ACC == 1 {
        acc
    } else {
        h.r[o.rs1 as usize]
    }
}

/// The second source register of an operation.
#[inline(always)]
pub(crate) fn rs2<X: Base>(h: &Hart, o: &Op, acc: u64) -> u64 {
    if X::ACC == 2 {
        acc
    } else {
        h.r[o.rs2 as usize]
    }
}

/// Defines a [`Step`] that always succeeds: `name<X>(hart, operation, acc) =>
/// result`.
macro_rules! step_types {
    ($( $(#[$doc:meta])* $name:ident<$x:ident>($h:ident, $o:ident, $acc:ident) => $value:expr; )*) => {$(
        $(#[$doc])*
        #[expect(non_camel_case_types, reason = "the instruction's name")]
        pub(crate) enum $name {}

        impl $crate::exec::Step for $name {
            #[inline(always)]
            fn step<$x: $crate::base::Base>(
                $h: &mut $crate::hart::Hart,
                c: $crate::engine::Cursor,
                $acc: u64,
            ) -> Option<u64> {
                let $o = c.op();
                let value: u64 = $value;
                $h.r[$o.rd as usize] = value;
                Some(value)
            }
        }
    )*};
}

/// The same, and the instruction's handler.
macro_rules! steps {
    ($( $(#[$doc:meta])* $name:ident<$x:ident>($h:ident, $o:ident, $acc:ident) => $value:expr; )*) => {
        $crate::exec::step_types! {$(
            $(#[$doc])*
            $name<$x>($h, $o, $acc) => $value;
        )*}

        $(
            pub(crate) fn $name<X: $crate::base::Base>(
                h: &mut $crate::hart::Hart,
                c: $crate::engine::Cursor,
            ) -> $crate::engine::Cursor {
                <$name as $crate::exec::Last>::last::<X>(h, c, 0)
            }
        )*
    };
}

/// `name(a, b) => value`: an instruction of `rs1` and `rs2` on `rd`.
macro_rules! reg_reg {
    ($( $(#[$doc:meta])* $name:ident<$x:ident>($a:ident, $b:ident) => $value:expr; )*) => {
        $crate::exec::steps! {$(
            $(#[$doc])*
            $name<$x>(h, o, acc) => {
                let $a = $crate::exec::rs1::<$x>(h, o, acc);
                let $b = $crate::exec::rs2::<$x>(h, o, acc);
                $x::reg($value)
            };
        )*}
    };
}

/// `name(a, imm) => value`: an instruction of `rs1` and an immediate on `rd`.
macro_rules! reg_imm {
    ($( $(#[$doc:meta])* $name:ident<$x:ident>($a:ident, $imm:ident) => $value:expr; )*) => {
        $crate::exec::steps! {$(
            $(#[$doc])*
            $name<$x>(h, o, acc) => {
                let $a = $crate::exec::rs1::<$x>(h, o, acc);
                let $imm = o.imm as i64 as u64;
                $x::reg($value)
            };
        )*}
    };
}

/// `name(a) => value`: an instruction of `rs1` on `rd`.
macro_rules! reg {
    ($( $(#[$doc:meta])* $name:ident<$x:ident>($a:ident) => $value:expr; )*) => {
        $crate::exec::steps! {$(
            $(#[$doc])*
            $name<$x>(h, o, acc) => {
                let $a = $crate::exec::rs1::<$x>(h, o, acc);
                $x::reg($value)
            };
        )*}
    };
}

use {reg, reg_imm, reg_reg, step_types, steps};

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
/// captures nothing. False, too, if it overwrote code that is not to be executed
/// any more: then the block has been left.
#[inline(never)]
pub(crate) fn attempt<F>(h: &mut Hart, c: Cursor, work: F) -> bool
where
    F: Fn(&mut Hart, Cursor) -> Result<(), Trap>,
{
    const { assert!(size_of::<F>() == 0) };
    match work(h, c) {
        Ok(()) => !h.leave_overwritten(c),
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
