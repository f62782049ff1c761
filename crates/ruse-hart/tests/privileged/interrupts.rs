//! Interrupts: priority, delegation, enables, WFI, Sstc.

use ruse_bus::{Clock, IrqSink};
use ruse_hart::{Exit, Privilege};
use ruse_isa::Opcode::{Addi, Wfi};
use ruse_isa::{Xlen, csr};

use crate::{CODE, M_VECTOR, S_VECTOR, board, emit, get, load};

const MSI: u64 = 1 << 3;
const MTI: u64 = 1 << 7;
const SEI: u64 = 1 << 9;
const MEI: u64 = 1 << 11;
const SSI: u64 = 1 << 1;
const STI: u64 = 1 << 5;
const ALL: u64 = SSI | MSI | STI | MTI | SEI | MEI;
const SIE: u64 = 1 << 1;
const MIE: u64 = 1 << 3;
const STCE: u64 = 1 << 63;

/// What the manual says: the number and the mode of the interrupt to take.
fn expected(pending: u64, mideleg: u64, mode: Privilege, status: u64) -> Option<(u32, Privilege)> {
    let machine = mode < Privilege::Machine || status & MIE != 0;
    let supervisor =
        mode < Privilege::Supervisor || (mode == Privilege::Supervisor && status & SIE != 0);
    let first = |set: u64| [11, 3, 7, 9, 1, 5].into_iter().find(|n| set >> n & 1 == 1);
    let direct = first(pending & !mideleg).filter(|_| machine);
    let delegated = first(pending & mideleg).filter(|_| supervisor);
    direct
        .map(|n| (n, Privilege::Machine))
        .or(delegated.map(|n| (n, Privilege::Supervisor)))
}

#[test]
fn every_set_of_interrupts_in_every_mode() {
    let bits = [1, 3, 5, 7, 9, 11];
    let mut board = board(Xlen::Rv64);
    load(&mut board, |a| emit(a.i(Addi, 1, 1, 1)));
    let hart = &mut board.hart;
    hart.set_csr(csr::MTVEC, M_VECTOR | 1);
    hart.set_csr(csr::STVEC, S_VECTOR | 1);
    for choice in 0..64u64 {
        let pending = (0..6).fold(0, |set, n| set | (choice >> n & 1) << bits[n]);
        for line in [3, 7, 9, 11] {
            board.pins.set_level(line, pending >> line & 1 == 1);
        }
        for mideleg in [0, SSI, STI | SEI, SSI | STI | SEI] {
            for mie in [ALL, MSI | SEI | STI, 0] {
                for mode in [Privilege::User, Privilege::Supervisor, Privilege::Machine] {
                    for status in [0, SIE, MIE, SIE | MIE] {
                        hart.set_privilege(Privilege::Machine);
                        hart.set_csr(csr::MIP, pending & (SSI | STI));
                        hart.set_csr(csr::MIDELEG, mideleg);
                        hart.set_csr(csr::MIE, mie);
                        hart.set_csr(csr::MSTATUS, status);
                        hart.set_privilege(mode);
                        hart.set_pc(CODE);
                        assert_eq!(hart.interrupt_pending(), pending & mie != 0);
                        let before = hart.retired();
                        hart.step();
                        let found = (hart.pc(), hart.privilege());
                        match expected(pending & mie, mideleg, mode, status) {
                            None => assert_eq!(found, (CODE + 4, mode)),
                            Some((n, to)) => {
                                let (base, cause, epc) = if to == Privilege::Machine {
                                    (M_VECTOR, csr::MCAUSE, csr::MEPC)
                                } else {
                                    (S_VECTOR, csr::SCAUSE, csr::SEPC)
                                };
                                assert_eq!(found, (base + 4 * u64::from(n), to));
                                assert_eq!(get(hart, cause), 1 << 63 | u64::from(n));
                                assert_eq!(get(hart, epc), CODE);
                                assert_eq!(hart.retired(), before);
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn the_supervisor_sees_and_writes_what_is_delegated() {
    let mut board = board(Xlen::Rv64);
    board.pins.set_level(9, true);
    let hart = &mut board.hart;
    hart.set_csr(csr::MIDELEG, u64::MAX);
    assert_eq!(get(hart, csr::MIDELEG), SSI | STI | SEI);
    hart.set_csr(csr::MIE, u64::MAX);
    assert_eq!(get(hart, csr::MIE), ALL);
    assert_eq!(get(hart, csr::SIE), SSI | STI | SEI);
    hart.set_csr(csr::SIP, u64::MAX);
    assert_eq!(get(hart, csr::SIP), SSI | SEI, "only SSIP is writable");
    hart.set_csr(csr::MIDELEG, SEI);
    assert_eq!(get(hart, csr::SIP), SEI);
    hart.set_csr(csr::SIE, 0);
    assert_eq!(get(hart, csr::MIE), ALL & !SEI);
    // The pin and the bit that software wrote are one OR the other.
    hart.set_csr(csr::MIP, SEI);
    board.pins.set_level(9, false);
    assert_eq!(get(&mut board.hart, csr::MIP) & SEI, SEI);
    board.hart.set_csr(csr::MIP, 0);
    assert_eq!(get(&mut board.hart, csr::MIP) & SEI, 0);
}

#[test]
fn wfi_waits_for_what_is_enabled_even_if_masked() {
    for (mie, line, waits) in [(MTI, 7, false), (MTI, 3, true), (0, 7, true)] {
        let mut board = board(Xlen::Rv64);
        load(&mut board, |a| emit(a.op(Wfi).i(Addi, 1, 1, 1)));
        board.hart.set_csr(csr::MIE, mie);
        board.pins.set_level(line, true);
        assert_eq!(board.hart.run(1) == Exit::Wait, waits);
        assert_eq!(board.hart.pc(), CODE + 4);
        assert_eq!(board.hart.retired(), 1);
    }
}

#[test]
fn stimecmp_drives_the_supervisor_timer() {
    let mut board = board(Xlen::Rv64);
    load(&mut board, |a| {
        let again = a.bind_new();
        a.i(Addi, 1, 1, 1).jal(0, again);
    });
    let hart = &mut board.hart;
    hart.set_csr(csr::MENVCFG, STCE);
    hart.set_csr(csr::MIDELEG, STI);
    hart.set_csr(csr::MIE, STI);
    hart.set_csr(csr::STIMECMP, 1000);
    hart.set_csr(csr::MSTATUS, SIE);
    hart.set_csr(csr::MIP, STI);
    assert_eq!(get(hart, csr::MIP), 0, "STIP is read-only with Sstc");
    assert_eq!(hart.timer_deadline(), Some(1000));
    hart.set_privilege(Privilege::Supervisor);
    let mut runs = 0;
    while hart.privilege() == Privilege::Supervisor && get(hart, csr::SCAUSE) == 0 {
        hart.run(10);
        runs += 1;
        assert!(runs < 200);
    }
    assert_eq!(get(hart, csr::SCAUSE), 1 << 63 | 5);
    assert!(
        (1000..1100).contains(&board.clock.now()),
        "{}",
        board.clock.now()
    );
    let hart = &mut board.hart;
    assert_eq!(hart.timer_deadline(), Some(1000), "it may be past");
    hart.set_csr(csr::MIE, 0);
    assert_eq!(hart.timer_deadline(), None, "it would not end WFI");
    hart.set_csr(csr::STIMECMP, u64::MAX);
    assert_eq!(get(hart, csr::MIP), 0);
    // Without the enable, S-mode may not touch the register.
    hart.set_csr(csr::MENVCFG, 0);
    load(&mut board, |a| emit(a.csrr(6, csr::STIMECMP)));
    board.hart.set_privilege(Privilege::Supervisor);
    board.hart.step();
    assert_eq!(get(&mut board.hart, csr::MCAUSE), 2);
}
