//! Code that changes, and code across pages.

use ruse_isa::Opcode::{Addi, FenceI, Jalr, Sw};
use ruse_isa::{Xlen, csr};

use crate::common::asm::Asm;
use crate::common::board::RAM;
use crate::{board, emit, load, trapped};

#[test]
fn fence_i_lets_stores_to_code_count() {
    for quantum in [1, 1000] {
        let mut board = board(Xlen::Rv64);
        load(&mut board, |a| {
            let (slot, skip) = (a.label(), a.label());
            a.jal(1, skip);
            // A function that is called before and after it is rewritten.
            a.bind(slot);
            a.i(Addi, 10, 10, 1).i(Jalr, 0, 1, 0);
            a.bind(skip);
            a.i(Addi, 8, 1, 0).jal(1, slot);
            // addi a0, a0, 16
            a.li(6, 0x0105_0513).s(Sw, 6, 8, 0).op(FenceI).jal(1, slot);
            // The next instruction but one, in the same block.
            let at = a.here();
            a.li(7, at + 24);
            while a.here() < at + 12 {
                a.nop();
            }
            a.s(Sw, 6, 7, 0).op(FenceI).nop().nop().word(0);
        });
        let hart = &mut board.hart;
        while trapped(hart).is_none() {
            hart.run(quantum);
        }
        assert_eq!(hart.x(10), 1 + 16 + 16);
    }
}

#[test]
fn an_instruction_across_two_pages_follows_changes_of_either() {
    let mut board = board(Xlen::Rv64);
    let start = RAM + 0x4_0ffa;
    let mut a = Asm::new(Xlen::Rv64, start);
    a.nop().i(Addi, 10, 10, 1).word(0);
    board.load(start, &a.finish());
    let mut go = |change: Option<(u64, u16)>, step: bool| {
        if let Some((at, half)) = change {
            board.load(at, &half.to_le_bytes());
        }
        let hart = &mut board.hart;
        hart.sync_code();
        hart.set_x(10, 0);
        hart.set_pc(start);
        while trapped(hart).is_none() {
            if step {
                hart.step();
            } else {
                hart.run(100);
            }
        }
        let count = hart.x(10);
        hart.set_csr(csr::MCAUSE, 0);
        count
    };
    for step in [false, true] {
        assert_eq!(go(Some((start + 6, 0x0015)), step), 1);
        // The second half holds the immediate: addi a0, a0, 2.
        assert_eq!(go(Some((start + 6, 0x0025)), step), 2);
        // The first half the destination: addi a1, a0, 2.
        assert_eq!(go(Some((start + 4, 0x0593)), step), 0);
        assert_eq!(go(Some((start + 4, 0x0513)), step), 2);
    }
}

#[test]
fn a_reset_forgets_code() {
    let mut board = board(Xlen::Rv64);
    load(&mut board, |a| emit(a.i(Addi, 10, 10, 1).word(0)));
    board.hart.run(10);
    assert_eq!(board.hart.x(10), 1);
    board.hart.reset();
    assert_eq!((board.hart.pc(), board.hart.x(10)), (0, 0));
}
