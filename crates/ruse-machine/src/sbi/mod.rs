//! The built-in firmware: the Supervisor Binary Interface, version 2.0
//! (RISC-V SBI specification), one file an extension.
//!
//! A guest kernel calls with the extension in a7, the function in a6 and
//! arguments from a0 on, and gets an error in a0 and a value in a1 (chapter
//! "Binary Encoding"). Left out: PMU, NACL, STA, CPPC, and the legacy calls
//! that take hart masks by virtual address.

mod base;
mod dbcn;
mod hsm;
mod ipi;
mod legacy;
mod rfence;
mod srst;
mod susp;
mod time;

use ruse_bus::Ram;
use ruse_event::{Class, What};
use ruse_hart::{Hart, Xlen};

use crate::board::Parts;
use crate::seat::Seat;

/// What a call costs of a hart's turn, in instructions.
pub(crate) const COST: u64 = 100;

/// Registers of the calling convention.
const A0: u8 = 10;
const A1: u8 = 11;
const A6: u8 = 16;
const A7: u8 = 17;

/// The errors in a0 (chapter "Binary Encoding", table "Standard SBI Errors").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i64)]
enum Error {
    NotSupported = -2,
    InvalidParam = -3,
    Denied = -4,
    InvalidAddress = -5,
    AlreadyAvailable = -6,
}

/// What a function answers.
enum Answer {
    /// Success with a value.
    Value(u64),
    /// Failure.
    Error(Error),
    /// A legacy function returns one number in a0 and leaves a1 alone.
    Legacy(i64),
    /// It does not return, or not here.
    Never,
}

impl From<Result<u64, Error>> for Answer {
    fn from(result: Result<u64, Error>) -> Self {
        match result {
            Ok(value) => Self::Value(value),
            Err(error) => Self::Error(error),
        }
    }
}

/// A call that is being answered.
struct Call<'a> {
    /// The calling hart.
    hart: &'a mut Hart,
    /// Its number.
    me: usize,
    /// What the harts have to do with each other.
    seats: &'a [Seat],
    parts: &'a Parts,
    ram: &'a Ram,
    function: u64,
    args: [u64; 6],
}

/// What handles an extension.
type Handler = fn(&mut Call<'_>) -> Answer;

/// The extensions that there are.
const EXTENSIONS: &[(u64, Handler)] = &[
    (base::ID, base::call),
    (time::ID, time::call),
    (ipi::ID, ipi::call),
    (rfence::ID, rfence::call),
    (hsm::ID, hsm::call),
    (srst::ID, srst::call),
    (dbcn::ID, dbcn::call),
    (susp::ID, susp::call),
    (legacy::SET_TIMER, legacy::set_timer),
    (legacy::PUTCHAR, legacy::putchar),
    (legacy::GETCHAR, legacy::getchar),
    (legacy::CLEAR_IPI, legacy::clear_ipi),
    (legacy::SHUTDOWN, legacy::shutdown),
];

fn find(id: u64) -> Option<Handler> {
    let found = EXTENSIONS.iter().find(|(known, _)| *known == id);
    found.map(|(_, handler)| *handler)
}

/// Answers the call that `hart`, whose number is `me`, is at.
pub(crate) fn call(hart: &mut Hart, me: usize, seats: &[Seat], parts: &Parts) {
    let bus = hart.bus().clone();
    let wide = hart.xlen() == Xlen::Rv64;
    let arg = |n| match wide {
        true => hart.x(n),
        false => u64::from(hart.x(n) as u32),
    };
    let id = arg(A7);
    let mut call = Call {
        me,
        function: arg(A6),
        args: std::array::from_fn(|n| arg(A0 + n as u8)),
        hart,
        seats,
        parts,
        ram: bus.ram(),
    };
    // Before the answer: a resumed hart goes on elsewhere.
    let after = call.hart.pc().wrapping_add(4);
    call.hart.set_pc(after);
    let answer = match find(id) {
        Some(handler) => handler(&mut call),
        None => Answer::Error(Error::NotSupported),
    };
    let (function, args) = (call.function, call.args);
    log::trace!("SBI {id:#x}:{function} {args:x?} by hart {me}");
    let hart = call.hart;
    hart.tell(Class::Call, || {
        let (error, value) = match answer {
            Answer::Value(value) => (0, value),
            Answer::Error(error) => (error as i64, 0),
            Answer::Legacy(value) => (value, 0),
            Answer::Never => (0, 0),
        };
        What::Sbi {
            extension: id,
            function,
            args,
            error,
            value,
        }
    });
    match answer {
        Answer::Value(value) => {
            hart.set_x(A0, 0);
            hart.set_x(A1, value);
        }
        Answer::Error(error) => {
            hart.set_x(A0, error as i64 as u64);
            hart.set_x(A1, 0);
        }
        Answer::Legacy(value) => hart.set_x(A0, value as u64),
        Answer::Never => {}
    }
}

impl Call<'_> {
    fn xlen(&self) -> Xlen {
        self.hart.xlen()
    }

    /// Bits in an `unsigned long`.
    fn bits(&self) -> u64 {
        match self.xlen() {
            Xlen::Rv32 => 32,
            Xlen::Rv64 => 64,
        }
    }

    /// An `unsigned long` of -1.
    fn all_ones(&self) -> u64 {
        u64::MAX >> (64 - self.bits())
    }

    /// A 64-bit argument from register `n` on: one register, or two.
    fn wide(&self, n: usize) -> u64 {
        match self.xlen() {
            Xlen::Rv32 => self.args[n] | self.args[n + 1] << 32,
            Xlen::Rv64 => self.args[n],
        }
    }

    /// A hart by its number.
    fn hart(&self, id: u64) -> Result<usize, Error> {
        usize::try_from(id)
            .ok()
            .filter(|index| *index < self.seats.len())
            .ok_or(Error::InvalidParam)
    }

    /// Whether `pa` is an address that S-mode may execute at.
    fn is_code(&self, pa: u64) -> Result<(), Error> {
        match pa & 1 == 0 && self.ram.contains(pa, 2) {
            true => Ok(()),
            false => Err(Error::InvalidAddress),
        }
    }

    /// The harts that the hart mask `args[0]` with the base `args[1]` means
    /// (chapter "Binary Encoding", "Hart list parameter").
    fn targets(&self) -> Result<Vec<usize>, Error> {
        let (mask, base) = (self.args[0], self.args[1]);
        if base == self.all_ones() {
            return Ok((0..self.seats.len()).collect());
        }
        (0..self.bits())
            .filter(|bit| mask >> bit & 1 != 0)
            .map(|bit| {
                let id = base.checked_add(bit).ok_or(Error::InvalidParam)?;
                self.hart(id)
            })
            .collect()
    }
}
