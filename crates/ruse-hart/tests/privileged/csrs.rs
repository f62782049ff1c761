//! What can be written to CSRs, and what is read back.

use ruse_hart::Privilege;
use ruse_isa::Opcode::*;
use ruse_isa::{Xlen, csr};

use crate::common::board::RAM;
use crate::{board, emit, get, load, trapped};

/// Writes all ones, then zero: what is read back.
fn extremes(xlen: Xlen, number: u16) -> (u64, u64) {
    let mut board = board(xlen);
    let mut write = |value| {
        assert!(board.hart.set_csr(number, value));
        get(&mut board.hart, number)
    };
    (write(u64::MAX), write(0))
}

#[test]
fn warl_fields() {
    let uxl = 2 << 32;
    let sxl = 2 << 34;
    // SIE MIE SPIE MPIE SPP MPP FS MPRV SUM MXR TVM TW TSR, and SD.
    let mstatus = 0x7e_79aa | 1 << 63;
    for (number, ones, zeros) in [
        (csr::MSTATUS, mstatus | uxl | sxl, uxl | sxl),
        (csr::SSTATUS, 0xc_6122 | 1 << 63 | uxl, uxl),
        (csr::MEDELEG, 0xb3ff, 0),
        (csr::MIDELEG, 0x222, 0),
        (csr::MIE, 0xaaa, 0),
        (csr::MEPC, !1, 0),
        (csr::SEPC, !1, 0),
        (csr::MTVAL, u64::MAX, 0),
        (csr::MSCRATCH, u64::MAX, 0),
        (csr::MCOUNTEREN, 0xffff_ffff, 0),
        (csr::MCOUNTINHIBIT, 5, 0),
        (csr::SENVCFG, 0xf1, 0),
        (csr::MENVCFG, 0xc000_0000_0000_00f1, 0),
        (csr::FCSR, 0xff, 0),
        (csr::FFLAGS, 0x1f, 0),
        (csr::FRM, 7, 0),
        (csr::PMPADDR0, (1 << 54) - 1, 0),
    ] {
        // The board's PMP entry is not locked, so that both are written.
        assert_eq!(extremes(Xlen::Rv64, number), (ones, zeros), "{number:#x}");
    }
    for (number, ones, zeros) in [
        (csr::MSTATUS, 0xffff_ffff_807e_79aa, 0),
        (csr::MSTATUSH, 0, 0),
        (csr::SEPC, 0xffff_ffff_ffff_fffe, 0),
        (csr::MENVCFGH, 0xffff_ffff_8000_0000, 0),
    ] {
        assert_eq!(extremes(Xlen::Rv32, number), (ones, zeros), "{number:#x}");
    }
    let mut board = board(Xlen::Rv64);
    board.hart.set_csr(csr::MSTATUS, 1 << 11);
    board.hart.set_csr(csr::MSTATUS, 2 << 11);
    assert_eq!(
        get(&mut board.hart, csr::MSTATUS) >> 11 & 3,
        1,
        "MPP 2 is reserved"
    );
}

#[test]
fn registers_of_the_other_width_are_not_there() {
    for number in [
        csr::MSTATUSH,
        csr::MENVCFGH,
        csr::CYCLEH,
        csr::STIMECMPH,
        0x3a1,
        0x3a3,
    ] {
        assert_eq!(board(Xlen::Rv64).hart.csr(number), None, "{number:#x}");
        assert!(board(Xlen::Rv32).hart.csr(number).is_some(), "{number:#x}");
    }
}

#[test]
fn set_and_clear_with_x0_do_not_write() {
    for op in [Csrrs, Csrrc, Csrrsi, Csrrci] {
        let mut board = board(Xlen::Rv64);
        load(&mut board, |a| emit(a.csr(op, 10, csr::MHARTID, 0)));
        board.hart.step();
        assert_eq!(trapped(&mut board.hart), None, "{op:?}");
    }
    // Of two operands that are one register, the old value is used.
    let mut board = board(Xlen::Rv64);
    load(&mut board, |a| emit(a.csr(Csrrw, 10, csr::MSCRATCH, 10)));
    board.hart.set_csr(csr::MSCRATCH, 7);
    board.hart.set_x(10, 9);
    board.hart.step();
    assert_eq!(
        (board.hart.x(10), get(&mut board.hart, csr::MSCRATCH)),
        (7, 9)
    );
}

#[test]
fn cache_blocks_by_mode() {
    // menvcfg, senvcfg, mode; whether cbo.zero, cbo.clean and cbo.inval may.
    for (menvcfg, senvcfg, mode, may) in [
        (0, 0, Privilege::Machine, [true, true, true]),
        (0, 0xf0, Privilege::Supervisor, [false, false, false]),
        (0x80, 0, Privilege::Supervisor, [true, false, false]),
        (0xf0, 0, Privilege::Supervisor, [true, true, true]),
        (0xf0, 0, Privilege::User, [false, false, false]),
        (0x80, 0xf0, Privilege::User, [true, false, false]),
        (0xf0, 0x40, Privilege::User, [false, true, false]),
        (0x10, 0x10, Privilege::User, [false, false, true]),
    ] {
        for (op, may) in [CboZero, CboClean, CboInval].into_iter().zip(may) {
            let mut board = board(Xlen::Rv64);
            load(&mut board, |a| emit(a.i(op, 0, 5, 0)));
            let at = RAM + 0x10_0040;
            for n in 0..24 {
                board.set_u64(at - 64 + 8 * n, n + 1);
            }
            let hart = &mut board.hart;
            hart.set_csr(csr::MENVCFG, menvcfg);
            hart.set_csr(csr::SENVCFG, senvcfg);
            hart.set_privilege(mode);
            hart.set_x(5, at + 13);
            hart.step();
            assert_eq!(
                trapped(hart).is_none(),
                may,
                "{op:?} {menvcfg:#x} {senvcfg:#x} {mode:?}"
            );
            let zeroed = op == CboZero && may;
            for n in 0..24 {
                let inside = (8..16).contains(&n);
                let expected = if zeroed && inside { 0 } else { n + 1 };
                assert_eq!(board.u64(at - 64 + 8 * n), expected, "{op:?} word {n}");
            }
        }
    }
}
