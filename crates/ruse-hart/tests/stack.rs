//! The handlers' sibling calls are jumps: a long run needs no more stack than
//! a short one.

#[path = "common/mod.rs"]
mod common;

use ruse_isa::Opcode::*;
use ruse_isa::{Extension, Inst, Opcode, Xlen, csr};

use common::asm::Asm;
use common::board::{Board, RAM};

/// More than enough for the hart, far less than a call an instruction needs.
const STACK: usize = 128 << 10;
const INSTRUCTIONS: u64 = 60_000_000;

/// Everything that goes on to the next instruction without a look around by
/// the run loop.
fn straight(xlen: Xlen) -> impl Iterator<Item = Opcode> {
    Opcode::ALL.iter().copied().filter(move |op| {
        let info = op.info();
        let leaves = matches!(
            op,
            Jal | Jalr | Beq | Bne | Blt | Bge | Bltu | Bgeu | Ecall | Ebreak | Pause | FenceI
        );
        let system = matches!(
            info.extension,
            Extension::Privileged | Extension::Zicsr | Extension::Zawrs
        );
        info.xlen.includes(xlen) && !leaves && !system
    })
}

/// A loop of every instruction that does not trap or wait, with loads and
/// stores that are misaligned and across pages.
fn program(xlen: Xlen) -> Vec<u8> {
    let mut a = Asm::new(xlen, RAM);
    let (again, function, start) = (a.label(), a.label(), a.label());
    a.jal(0, start);
    a.bind(function);
    a.i(Addi, 10, 10, 1).i(Jalr, 0, 1, 0);
    a.bind(start);
    a.li(5, RAM + 0x10_0ffc).li(6, 0x1234_5678).li(7, 3);
    a.li(8, RAM + 0x10_0100);
    a.bind(again);
    a.i(Csrrwi, 0, 2, csr::FRM.into());
    for op in straight(xlen) {
        let base = if op.info().memory { 8 } else { 6 };
        a.inst(Inst {
            rd: 12,
            rs1: base,
            rs2: 14,
            rs3: 3,
            rm: 7,
            ..Inst::new(op)
        });
    }
    for op in [Lb, Lhu, Lw, Flw, Fld, Flh] {
        // Aligned, misaligned, and across a page.
        for offset in [-4, -3, 1, 2] {
            a.i(op, 12, 5, offset);
        }
    }
    for op in [Sb, Sh, Sw, Fsw, Fsd, Fsh] {
        for offset in [-4, -3, 1, 2] {
            a.s(op, 12, 5, offset);
        }
    }
    a.csrr(9, csr::MINSTRET).csrw(csr::MSCRATCH, 9);
    a.jal(1, function).i(Auipc, 16, 0, 0);
    let skip = a.label();
    a.b(Bltu, 0, 6, skip).nop();
    a.bind(skip);
    a.b(Beq, 0, 6, skip).jal(0, again);
    a.finish()
}

#[test]
fn a_long_run_fits_a_small_stack() {
    for xlen in [Xlen::Rv32, Xlen::Rv64] {
        let run = move || {
            let mut board = Board::new(xlen, 4 << 20);
            board.load(RAM, &program(xlen));
            let hart = &mut board.hart;
            hart.set_csr(csr::MSTATUS, 3 << 13);
            hart.set_pc(RAM);
            hart.run(INSTRUCTIONS);
            assert_eq!(hart.last_trap(), None);
            assert!(hart.retired() >= INSTRUCTIONS && hart.x(10) > 100_000);
        };
        std::thread::Builder::new()
            .stack_size(STACK)
            .spawn(run)
            .expect("a thread")
            .join()
            .expect("no overflow, no panic");
    }
}
