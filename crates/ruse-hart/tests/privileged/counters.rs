//! `minstret` is exact, wherever it is read; `mcountinhibit` stops it.

use ruse_hart::Privilege;
use ruse_isa::Opcode::*;
use ruse_isa::{Xlen, csr};

use crate::common::asm::Asm;
use crate::common::board::RAM;
use crate::{CODE, MPP_SHIFT, board, emit, get, load, trapped};

fn until_trap(board: &mut crate::common::board::Board, quantum: u64) {
    while trapped(&mut board.hart).is_none() {
        match quantum {
            0 => board.hart.step(),
            n => board.hart.run(n),
        };
    }
}

#[test]
fn instret_counts_across_branches_and_blocks() {
    for quantum in [0, 1, 7, 100_000] {
        let mut board = board(Xlen::Rv64);
        load(&mut board, |a| {
            a.csrr(10, csr::MINSTRET).li(5, 10);
            let again = a.bind_new();
            for n in 0..100 {
                a.i(Addi, 6, 6, n);
            }
            let (skip, odd) = (a.label(), a.label());
            a.i(Andi, 7, 5, 1).b(Bne, 7, 0, odd).jal(0, skip);
            a.bind(odd);
            a.nop().nop();
            a.bind(skip);
            a.csrr(12, csr::MINSTRET);
            a.i(Addi, 5, 5, -1).b(Bne, 5, 0, again);
            a.csrr(11, csr::MINSTRET).word(0);
        });
        until_trap(&mut board, quantum);
        let hart = &board.hart;
        // x5 is even five times (three instructions) and odd five times (four).
        let loops = 10 * 103 + 5 * 3 + 5 * 4;
        assert_eq!(hart.x(10), 0);
        assert_eq!(hart.x(11), 2 + loops, "quantum {quantum}");
        assert_eq!(hart.x(12), 2 + loops - 3);
        assert_eq!(hart.retired(), 2 + loops + 1);
    }
}

#[test]
fn a_write_counts_from_the_next_instruction_and_inhibition_freezes() {
    for quantum in [0, 100] {
        let mut board = board(Xlen::Rv64);
        load(&mut board, |a| {
            a.li(5, 1000).csrw(csr::MINSTRET, 5).csrr(10, csr::MINSTRET);
            a.nop().csrr(11, csr::MINSTRET);
            a.i(Csrrwi, 0, 4, csr::MCOUNTINHIBIT.into());
            a.csrr(12, csr::MINSTRET)
                .nop()
                .nop()
                .csrr(13, csr::MINSTRET);
            a.csrr(14, csr::MCYCLE).csrr(15, csr::MCYCLE);
            a.i(Csrrwi, 0, 0, csr::MCOUNTINHIBIT.into());
            a.nop().csrr(16, csr::MINSTRET).word(0);
        });
        until_trap(&mut board, quantum);
        let hart = &board.hart;
        assert_eq!([10, 11].map(|n| hart.x(n)), [1000, 1002]);
        assert_eq!(hart.x(12), hart.x(13), "frozen");
        assert_eq!(hart.x(15), hart.x(14) + 1, "cycle goes on");
        let after = hart.x(16) - hart.x(13);
        assert!((1..=2).contains(&after), "{after}");
    }
}

#[test]
fn halves_of_counters_on_rv32() {
    let mut board = board(Xlen::Rv32);
    load(&mut board, |a| {
        a.li(5, u64::MAX)
            .csrw(csr::MINSTRETH, 0)
            .csrw(csr::MINSTRET, 5);
        a.csrr(10, csr::MINSTRETH).csrr(11, csr::MINSTRETH);
        a.csrr(12, csr::MINSTRET).word(0);
    });
    until_trap(&mut board, 100);
    let hart = &board.hart;
    assert_eq!([10, 11, 12].map(|n| hart.x(n)), [0, 1, 1]);
}

#[test]
fn counters_are_opened_mode_by_mode() {
    type Case = (u64, u64, Privilege, bool);
    let cases: [Case; 7] = [
        (0, 0, Privilege::Machine, true),
        (0, 7, Privilege::Supervisor, false),
        (7, 0, Privilege::Supervisor, true),
        (7, 0, Privilege::User, false),
        (0, 7, Privilege::User, false),
        (7, 7, Privilege::User, true),
        (5, 5, Privilege::User, false),
    ];
    for (mcounteren, scounteren, mode, fine) in cases {
        let mut board = board(Xlen::Rv64);
        load(&mut board, |a: &mut Asm| {
            a.csrr(10, csr::TIME);
        });
        let hart = &mut board.hart;
        hart.set_csr(csr::MCOUNTEREN, mcounteren);
        hart.set_csr(csr::SCOUNTEREN, scounteren);
        hart.set_privilege(mode);
        hart.step();
        assert_eq!(
            trapped(hart).is_none(),
            fine,
            "{mcounteren} {scounteren} {mode:?}"
        );
    }
}

#[test]
fn reservations() {
    let at = RAM + 0x10_0000;
    type Build = fn(&mut Asm);
    // x5 the address, x6 the value to store; x10 the result.
    let cases: &[(&str, Build, u64)] = &[
        ("pair", |a| emit(a.r(LrD, 7, 5, 0).r(ScD, 10, 5, 6)), 0),
        ("none", |a| emit(a.r(ScD, 10, 5, 6)), 1),
        (
            "twice",
            |a| emit(a.r(LrD, 7, 5, 0).r(ScD, 11, 5, 6).r(ScD, 10, 5, 6)),
            1,
        ),
        (
            "elsewhere",
            |a| emit(a.r(LrD, 7, 5, 0).i(Addi, 5, 5, 8).r(ScD, 10, 5, 6)),
            1,
        ),
        (
            "overwritten",
            |a| emit(a.r(LrD, 7, 5, 0).s(Sd, 6, 5, 0).r(ScD, 10, 5, 6)),
            1,
        ),
    ];
    for (what, build, failed) in cases {
        let mut board = board(Xlen::Rv64);
        load(&mut board, |a| {
            build(a);
            a.word(0);
        });
        board.hart.set_x(5, at);
        board.hart.set_x(6, 42);
        board.hart.set_x(10, 99);
        until_trap(&mut board, 100);
        assert_eq!(board.hart.x(10), *failed, "{what}");
    }
    // A trap between the two ends the reservation.
    let mut board = board(Xlen::Rv64);
    load(&mut board, |a| {
        a.r(LrD, 7, 5, 0).op(Ecall).r(ScD, 10, 5, 6);
    });
    let mut handler = Asm::new(Xlen::Rv64, crate::M_VECTOR);
    handler.csrr(8, csr::MEPC).i(Addi, 8, 8, 4);
    handler.csrw(csr::MEPC, 8).op(Mret);
    board.load(crate::M_VECTOR, &handler.finish());
    let hart = &mut board.hart;
    hart.set_csr(csr::MSTATUS, 3 << MPP_SHIFT);
    hart.set_x(5, at);
    for _ in 0..7 {
        hart.step();
    }
    assert_eq!((hart.pc(), hart.x(10)), (CODE + 12, 1));
    assert_eq!(get(hart, csr::MCAUSE), 11);
}
