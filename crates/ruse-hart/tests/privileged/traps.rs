//! Exceptions: causes, values, delegation; MRET and SRET; what is precise.

use ruse_bus::IrqSink;
use ruse_hart::Privilege::{self, Machine, Supervisor, User};
use ruse_isa::Opcode::*;
use ruse_isa::{Xlen, csr};

use crate::common::asm::Asm;
use crate::common::board::RAM;
use crate::{CODE, M_VECTOR, MPP_SHIFT, S_VECTOR, board, emit, get, load, trapped};

const SIE: u64 = 1 << 1;
const MIE: u64 = 1 << 3;
const SPIE: u64 = 1 << 5;
const MPIE: u64 = 1 << 7;
const SPP: u64 = 1 << 8;
const MPRV: u64 = 1 << 17;
const TVM: u64 = 1 << 20;
const TW: u64 = 1 << 21;
const TSR: u64 = 1 << 22;
/// Jumps to itself.
const LOOP: u32 = 0x6f;
const HOLE: u64 = 0x9000_0000;

#[test]
fn causes_and_values() {
    type Build = fn(&mut Asm);
    let cases: &[(&str, Build, Privilege, u64, u64)] = &[
        (
            "illegal word",
            |a| emit(a.word(0xffff_ffff)),
            Machine,
            2,
            0xffff_ffff,
        ),
        ("illegal half", |a| emit(a.half(0)), Machine, 2, 0),
        (
            "reserved half",
            |a| emit(a.half(0x8402).half(0x8002)),
            User,
            2,
            0x8002,
        ),
        ("ebreak", |a| emit(a.op(Ebreak)), User, 3, CODE),
        ("ecall from U", |a| emit(a.op(Ecall)), User, 8, 0),
        ("ecall from S", |a| emit(a.op(Ecall)), Supervisor, 9, 0),
        ("ecall from M", |a| emit(a.op(Ecall)), Machine, 11, 0),
        ("load", |a| emit(a.i(Lb, 6, 5, 3)), User, 5, HOLE + 3),
        ("store", |a| emit(a.s(Sd, 6, 5, 8)), User, 7, HOLE + 8),
        ("load.r", |a| emit(a.r(LrW, 6, 5, 0)), User, 5, HOLE),
        ("AMO", |a| emit(a.r(AmoaddW, 6, 5, 6)), User, 7, HOLE),
        (
            "misaligned lr",
            |a| emit(a.r(LrW, 6, 7, 0)),
            User,
            4,
            RAM + 2,
        ),
        (
            "misaligned sc",
            |a| emit(a.r(ScW, 6, 7, 6)),
            User,
            6,
            RAM + 2,
        ),
        (
            "misaligned amo",
            |a| emit(a.r(AmoorD, 6, 7, 6)),
            User,
            6,
            RAM + 2,
        ),
        (
            "M-mode CSR",
            |a| emit(a.csrr(6, csr::MSTATUS)),
            Supervisor,
            2,
            0x3000_2373,
        ),
        (
            "S-mode CSR",
            |a| emit(a.csrr(6, csr::SSTATUS)),
            User,
            2,
            0x1000_2373,
        ),
        (
            "read-only CSR",
            |a| emit(a.csrw(csr::MHARTID, 6)),
            Machine,
            2,
            0xf143_1073,
        ),
        (
            "no such CSR",
            |a| emit(a.csrr(6, 0x7ff)),
            Machine,
            2,
            0x7ff0_2373,
        ),
        (
            "mret from S",
            |a| emit(a.op(Mret)),
            Supervisor,
            2,
            0x3020_0073,
        ),
        ("sret from U", |a| emit(a.op(Sret)), User, 2, 0x1020_0073),
        ("wfi from U", |a| emit(a.op(Wfi)), User, 2, 0x1050_0073),
        (
            "sfence.vma from U",
            |a| emit(a.r(SfenceVma, 0, 0, 0)),
            User,
            2,
            0x1200_0073,
        ),
    ];
    for (what, build, mode, cause, tval) in cases {
        for step in [true, false] {
            for delegated in [false, true] {
                let mut board = board(Xlen::Rv64);
                load(&mut board, build);
                for vector in [M_VECTOR, S_VECTOR] {
                    board.load(vector, &LOOP.to_le_bytes());
                }
                // "reserved half" is the second of its code.
                let from = if *what == "reserved half" {
                    CODE + 2
                } else {
                    CODE
                };
                let hart = &mut board.hart;
                hart.set_csr(csr::MEDELEG, if delegated { u64::MAX } else { 0 });
                hart.set_x(5, HOLE);
                hart.set_x(7, RAM + 2);
                hart.set_privilege(*mode);
                hart.set_pc(from);
                if step {
                    hart.step();
                } else {
                    hart.run(1);
                }
                let what = format!("{what}, step {step}, delegated {delegated}");
                let status = get(hart, csr::MSTATUS);
                if delegated && *mode != Machine {
                    assert_eq!(hart.pc(), S_VECTOR, "{what}");
                    assert_eq!(hart.privilege(), Supervisor, "{what}");
                    let found = [csr::SCAUSE, csr::STVAL, csr::SEPC].map(|c| get(hart, c));
                    assert_eq!(found, [*cause, *tval, from], "{what}");
                    assert_eq!(status & SPP != 0, *mode == Supervisor, "{what}");
                } else {
                    assert_eq!(trapped(hart), Some((*cause, *tval)), "{what}");
                    assert_eq!(get(hart, csr::MEPC), from, "{what}");
                    assert_eq!(status >> MPP_SHIFT & 3, *mode as u64, "{what}");
                }
                // A trap retires nothing; the run ends with the loop.
                assert_eq!(hart.retired(), u64::from(!step), "{what}");
            }
        }
    }
}

#[test]
fn traps_push_and_returns_pop_the_status() {
    for (mode, enabled) in [
        (User, false),
        (User, true),
        (Supervisor, true),
        (Machine, true),
    ] {
        let mut board = board(Xlen::Rv64);
        load(&mut board, |a| emit(a.op(Ecall)));
        board.load(M_VECTOR, &0x3020_0073u32.to_le_bytes());
        let hart = &mut board.hart;
        let both = if enabled { MIE | SIE } else { 0 };
        hart.set_csr(csr::MSTATUS, both | MPRV);
        hart.set_privilege(mode);
        hart.step();
        let pushed = get(hart, csr::MSTATUS);
        assert_eq!(pushed & MIE, 0);
        assert_eq!(pushed & MPIE != 0, enabled);
        assert_eq!(pushed & SIE, both & SIE);
        hart.step();
        assert_eq!((hart.pc(), hart.privilege()), (CODE, mode));
        let popped = get(hart, csr::MSTATUS);
        assert_eq!(popped & (MIE | SIE), both);
        assert_ne!(popped & MPIE, 0);
        assert_eq!(popped >> MPP_SHIFT & 3, 0, "the least privileged mode");
        assert_eq!(popped & MPRV != 0, mode == Machine, "{mode:?}");
    }
    for (spp, to) in [(0, User), (SPP, Supervisor)] {
        let mut board = board(Xlen::Rv64);
        load(&mut board, |a| emit(a.op(Sret)));
        let hart = &mut board.hart;
        hart.set_csr(csr::MSTATUS, spp | SPIE | MPRV);
        hart.set_csr(csr::SEPC, RAM + 0x123);
        hart.set_privilege(Supervisor);
        hart.step();
        assert_eq!((hart.pc(), hart.privilege()), (RAM + 0x122, to));
        let status = get(hart, csr::MSTATUS);
        assert_eq!(status & (SIE | SPIE | SPP | MPRV), SIE | SPIE);
    }
}

#[test]
fn the_trap_bits_bind_supervisor_mode_only() {
    type Build = fn(&mut Asm);
    let cases: &[(Build, u64)] = &[
        (|a| emit(a.r(SfenceVma, 0, 0, 0)), TVM),
        (|a| emit(a.r(SinvalVma, 0, 0, 0)), TVM),
        (|a| emit(a.csrr(6, csr::SATP)), TVM),
        (|a| emit(a.csrw(csr::SATP, 0)), TVM),
        (|a| emit(a.op(Sret)), TSR),
        (|a| emit(a.op(Wfi)), TW),
        (|a| emit(a.op(WrsNto)), TW),
    ];
    for (n, (build, bit)) in cases.iter().enumerate() {
        for mode in [Supervisor, Machine] {
            for status in [0, TVM, TSR, TW] {
                let mut board = board(Xlen::Rv64);
                load(&mut board, build);
                // So that WFI does not wait.
                board.pins.set_level(11, true);
                let hart = &mut board.hart;
                hart.set_csr(csr::MSTATUS, status | SPP);
                hart.set_privilege(mode);
                hart.step();
                let illegal = mode == Supervisor && status == *bit;
                assert_eq!(
                    trapped(hart).is_some(),
                    illegal,
                    "case {n}, {mode:?}, {status:#x}"
                );
            }
        }
    }
}

#[test]
fn a_fault_in_a_block_leaves_what_came_before_and_nothing_after() {
    for at in 0..12 {
        for step in [false, true] {
            let mut board = board(Xlen::Rv64);
            load(&mut board, |a| {
                for n in 0..12 {
                    // c.addi x10, 1 makes the offsets uneven.
                    a.half(0x0505);
                    if n == at {
                        a.i(Ld, 11, 5, 0);
                    }
                    a.i(Addi, 12, 12, 1);
                }
            });
            let hart = &mut board.hart;
            hart.set_x(5, HOLE);
            while trapped(hart).is_none() {
                if step {
                    hart.step();
                } else {
                    hart.run(1);
                }
            }
            assert_eq!(get(hart, csr::MEPC), CODE + 6 * at + 2);
            assert_eq!((hart.x(10), hart.x(12)), (at + 1, at));
            assert_eq!(hart.retired(), 2 * at + 1);
        }
    }
}

#[test]
fn vectors_keep_their_modes() {
    for (written, read) in [
        (RAM | 1, RAM | 1),
        (RAM + 4, RAM + 4),
        (RAM + 8 + 3, RAM + 8),
        (RAM + 8 + 2, RAM + 8),
    ] {
        let mut board = board(Xlen::Rv64);
        for number in [csr::MTVEC, csr::STVEC] {
            board.hart.set_csr(number, written);
            assert_eq!(get(&mut board.hart, number), read);
        }
    }
    // Exceptions go to the base also in vectored mode.
    let mut board = board(Xlen::Rv64);
    load(&mut board, |a| emit(a.op(Ecall)));
    board.hart.set_csr(csr::MTVEC, M_VECTOR | 1);
    board.hart.step();
    assert_eq!(board.hart.pc(), M_VECTOR);
}
