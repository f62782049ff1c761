//! The privileged architecture: each test drives a hart, with code of a few
//! instructions, and compares with what the privileged manual says.

#[path = "../common/mod.rs"]
mod common;

mod code;
mod counters;
mod csrs;
mod float_state;
mod interrupts;
mod paging;
mod pmp;
mod traps;

use ruse_hart::{Hart, Privilege};
use ruse_isa::{Xlen, csr};

use common::asm::Asm;
use common::board::{Board, RAM};

/// `mstatus.MPRV`.
pub const MPRV: u64 = 1 << 17;
/// Where `mstatus.MPP` begins.
pub const MPP_SHIFT: u32 = 11;
/// Where the handler for M-mode would be; nothing needs to be there.
pub const M_VECTOR: u64 = RAM + 0x8000;
/// As [`M_VECTOR`], for S-mode.
pub const S_VECTOR: u64 = RAM + 0x9000;
/// Where the tests put their code.
pub const CODE: u64 = RAM + 0x1000;

/// A board whose hart may do everything, in M-mode at [`CODE`].
pub fn board(xlen: Xlen) -> Board {
    with_svadu(xlen, false)
}

/// As [`board`]; `svadu`: hardware may update A and D bits.
pub fn with_svadu(xlen: Xlen, svadu: bool) -> Board {
    let mut board = Board::with(xlen, 16 << 20, svadu, false);
    let hart = &mut board.hart;
    assert!(hart.set_csr(csr::PMPADDR0, u64::MAX));
    assert!(hart.set_csr(csr::PMPCFG0, 0x1f));
    assert!(hart.set_csr(csr::MTVEC, M_VECTOR));
    assert!(hart.set_csr(csr::STVEC, S_VECTOR));
    hart.set_pc(CODE);
    board
}

/// Puts code at [`CODE`] and the hart there.
pub fn load(board: &mut Board, build: impl FnOnce(&mut Asm)) {
    let mut asm = Asm::new(board.hart.xlen(), CODE);
    build(&mut asm);
    board.load(CODE, &asm.finish());
    board.hart.sync_code();
    board.hart.set_pc(CODE);
}

/// A CSR that there is.
pub fn get(hart: &mut Hart, number: u16) -> u64 {
    hart.csr(number).expect("a CSR that exists")
}

/// The cause and value of the trap to M-mode just taken; `None` if the hart
/// is not at its vector.
pub fn trapped(hart: &mut Hart) -> Option<(u64, u64)> {
    (hart.pc() == M_VECTOR && hart.privilege() == Privilege::Machine)
        .then(|| (get(hart, csr::MCAUSE), get(hart, csr::MTVAL)))
}

/// Ends a chain of calls of an assembler.
pub fn emit(_: &mut Asm) {}
