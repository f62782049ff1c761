//! `mstatus.FS`: off traps, on becomes dirty.

use ruse_isa::Opcode::{Csrrc, Csrrs, FaddD, Fld, Fsd};
use ruse_isa::{Xlen, csr};

use crate::common::board::RAM;
use crate::{board, get, load, trapped};

const FS: u64 = 3 << 13;
const INITIAL: u64 = 1 << 13;

#[test]
fn off_makes_every_use_illegal() {
    type Build = fn(&mut crate::common::asm::Asm);
    let uses: &[Build] = &[
        |a| {
            a.r(FaddD, 1, 2, 3);
        },
        |a| {
            a.i(Fld, 1, 5, 0);
        },
        |a| {
            a.s(Fsd, 1, 5, 0);
        },
        |a| {
            a.csrr(6, csr::FCSR);
        },
        |a| {
            a.csrw(csr::FFLAGS, 6);
        },
        |a| {
            // c.fldsp f1, 0(sp)
            a.half(0x2082);
        },
    ];
    for (n, build) in uses.iter().enumerate() {
        for (fs, fine) in [(0, false), (INITIAL, true), (2 * INITIAL, true), (FS, true)] {
            let mut board = board(Xlen::Rv64);
            load(&mut board, build);
            let hart = &mut board.hart;
            hart.set_x(2, RAM + 0x10_0000);
            hart.set_x(5, RAM + 0x10_0000);
            hart.set_csr(csr::MSTATUS, fs);
            hart.step();
            assert_eq!(trapped(hart).is_none(), fine, "use {n}, FS {fs:#x}");
            if !fine {
                assert_eq!(get(hart, csr::MCAUSE), 2);
                assert_ne!(get(hart, csr::MTVAL), 0);
            }
        }
    }
}

/// Also after it was made clean in the middle of a block.
#[test]
fn a_write_makes_it_dirty_again() {
    let mut board = board(Xlen::Rv64);
    load(&mut board, |a| {
        a.r(FaddD, 1, 2, 3).csrr(10, csr::MSTATUS);
        a.csr(Csrrc, 0, csr::MSTATUS, 5).csrr(11, csr::MSTATUS);
        a.r(FaddD, 1, 2, 3).csrr(12, csr::MSTATUS);
        a.csr(Csrrc, 0, csr::MSTATUS, 6)
            .csr(Csrrs, 0, csr::MSTATUS, 5);
        a.csrr(13, csr::MSTATUS).csrw(csr::FFLAGS, 0);
        a.csrr(14, csr::MSTATUS).word(0);
    });
    let hart = &mut board.hart;
    hart.set_csr(csr::MSTATUS, INITIAL);
    hart.set_x(5, INITIAL);
    hart.set_x(6, FS);
    while trapped(hart).is_none() {
        hart.run(100);
    }
    let fs = [10, 11, 12, 13, 14].map(|n| ((hart.x(n) & FS) / INITIAL, hart.x(n) >> 63));
    assert_eq!(fs, [(3, 1), (2, 0), (3, 1), (1, 0), (3, 1)]);
}
