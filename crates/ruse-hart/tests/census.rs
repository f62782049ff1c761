//! What a hart counts is what it executes.

#[path = "common/mod.rs"]
mod common;

use ruse_isa::{Inst, Opcode, Xlen};

use common::asm::Asm;
use common::board::{Board, RAM};

const TIMES: i32 = 1000;

/// A loop over a word in memory, then a jump to itself.
fn program(xlen: Xlen) -> Vec<u8> {
    let mut a = Asm::new(xlen, RAM);
    let inst = |op, rd, rs1, rs2, imm| Inst {
        rd,
        rs1,
        rs2,
        imm,
        ..Inst::new(op)
    };
    a.inst(inst(Opcode::Addi, 5, 0, 0, TIMES));
    a.inst(inst(Opcode::Auipc, 6, 0, 0, 0x1000));
    a.inst(inst(Opcode::Lw, 7, 6, 0, 0));
    a.inst(inst(Opcode::Addi, 7, 7, 0, 1));
    a.inst(inst(Opcode::Sw, 0, 6, 7, 0));
    a.inst(inst(Opcode::Addi, 5, 5, 0, -1));
    a.inst(inst(Opcode::Bne, 0, 5, 0, -16));
    a.inst(inst(Opcode::Wfi, 0, 0, 0, 0));
    a.finish()
}

#[test]
fn the_mix_is_what_was_retired() {
    for xlen in [Xlen::Rv32, Xlen::Rv64] {
        let mut board = Board::new(xlen, 1 << 20);
        board.load(RAM, &program(xlen));
        board.hart.set_pc(RAM);
        assert!(board.hart.tally().is_none());
        board.hart.count();
        let exit = board.hart.run(1_000_000);
        assert_eq!(exit, ruse_hart::Exit::Wait);
        let tally = board.hart.tally().unwrap();
        assert_eq!(tally.retired, board.hart.retired());
        assert_eq!(tally.mix.iter().map(|(_, n)| n).sum::<u64>(), tally.retired);
        let of = |op| tally.mix.iter().find(|(known, _)| *known == op).unwrap().1;
        assert_eq!(of(Opcode::Lw), TIMES as u64);
        assert_eq!(of(Opcode::Addi), 2 * TIMES as u64 + 1);
        assert_eq!(of(Opcode::Bne), TIMES as u64);
        assert_eq!(of(Opcode::Wfi), 1);
        let loops = tally.blocks.iter().find(|block| block.va == RAM + 8);
        assert_eq!(loops.unwrap().times, TIMES as u64 - 1);
        assert_eq!(loops.unwrap().words.len(), 5);
        // The page was missed, and then not any more.
        let counters = tally.counters;
        assert!((1..=4).contains(&counters.slow_loads), "{counters:?}");
        assert!(counters.decoded >= 3, "{counters:?}");
    }
}
