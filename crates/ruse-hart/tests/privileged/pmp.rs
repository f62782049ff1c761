//! Physical memory protection ("Physical Memory Protection").

use ruse_hart::{Access, Privilege};
use ruse_isa::Opcode::{Ld, Sd};
use ruse_isa::{Xlen, csr};

use crate::common::board::{Board, RAM};
use crate::{CODE, MPP_SHIFT, MPRV, board, get, load, trapped};

const R: u64 = 1;
const W: u64 = 2;
const X: u64 = 4;
const TOR: u64 = 1 << 3;
const NA4: u64 = 2 << 3;
const NAPOT: u64 = 3 << 3;
const LOCK: u64 = 0x80;
const DATA: u64 = RAM + 0x20_0000;

/// An access, and whether it may.
type Check = (Access, Privilege, u64, bool);
/// A name, the entries, and what they do.
type Case<'a> = (&'a str, &'a [(u64, u64)], &'a [Check]);

fn napot(base: u64, size: u64) -> u64 {
    (base | (size / 2 - 1)) >> 2
}

/// A board with these entries and no others.
fn protected(entries: &[(u64, u64)]) -> Board {
    let mut board = board(Xlen::Rv64);
    load(&mut board, |a| {
        a.i(Ld, 6, 5, 0).s(Sd, 6, 5, 0);
    });
    board.hart.set_csr(csr::PMPCFG0, 0);
    for (n, (address, _)) in entries.iter().enumerate() {
        board.hart.set_csr(csr::PMPADDR0 + n as u16, *address);
    }
    let config = (0..)
        .zip(entries)
        .fold(0, |all, (n, e)| all | e.1 << (8 * n));
    board.hart.set_csr(csr::PMPCFG0, config);
    board
}

fn access(board: &mut Board, kind: Access, mode: Privilege, at: u64) -> Option<(u64, u64)> {
    let hart = &mut board.hart;
    hart.set_privilege(Privilege::Machine);
    hart.set_csr(csr::MSTATUS, MPRV | (mode as u64) << MPP_SHIFT);
    hart.set_x(5, at);
    hart.set_pc(CODE + if kind == Access::Load { 0 } else { 4 });
    hart.step();
    trapped(hart)
}

#[test]
fn ranges_priorities_and_locks() {
    let all = (u64::MAX, NAPOT | R | W | X);
    let user = Privilege::User;
    let machine = Privilege::Machine;
    let (load, store) = (Access::Load, Access::Store);
    let cases: &[Case] = &[
        (
            "none: M only",
            &[],
            &[(load, user, DATA, false), (load, machine, DATA, true)],
        ),
        (
            "NAPOT",
            &[(napot(DATA, 0x1000), NAPOT | R)],
            &[
                (load, user, DATA, true),
                (load, user, DATA + 0xff8, true),
                (load, user, DATA + 0x1000, false),
                (load, user, DATA - 8, false),
                (store, user, DATA, false),
                (store, machine, DATA, true),
            ],
        ),
        (
            "TOR's edges, and an access across one",
            &[(DATA >> 2, 0), ((DATA + 0x14) >> 2, TOR | R | W), all],
            &[
                (store, user, DATA, true),
                (store, user, DATA + 8, true),
                (store, user, DATA + 0x10, false),
                (store, user, DATA + 0x18, true),
                (store, machine, DATA + 0x10, false),
            ],
        ),
        (
            "the lowest entry decides",
            &[
                (napot(DATA, 16), NAPOT),
                (napot(DATA, 64), NAPOT | R | W),
                all,
            ],
            &[
                (load, user, DATA, false),
                (load, user, DATA + 8, false),
                (load, user, DATA + 16, true),
            ],
        ),
        (
            "NA4 under an aligned doubleword",
            &[((DATA + 4) >> 2, NA4 | R | W), all],
            &[(load, user, DATA, false), (load, user, DATA + 8, true)],
        ),
        (
            "a lock binds M-mode",
            &[(napot(DATA, 0x1000), NAPOT | R | LOCK), all],
            &[
                (load, machine, DATA, true),
                (store, machine, DATA, false),
                (store, machine, DATA + 0x1000, true),
            ],
        ),
    ];
    for (what, entries, checks) in cases {
        let mut board = protected(entries);
        for (kind, mode, at, fine) in *checks {
            for round in 0..2 {
                let trap = access(&mut board, *kind, *mode, *at);
                let cause = if *kind == Access::Load { 5 } else { 7 };
                let expected = (!fine).then_some((cause, *at));
                assert_eq!(trap, expected, "{what}: {kind:?} {mode:?} {at:#x} {round}");
            }
        }
    }
}

#[test]
fn code_is_checked_too_and_a_lock_outlasts_writes() {
    let mut board = protected(&[
        (napot(CODE, 0x1000), NAPOT | R),
        (u64::MAX, NAPOT | R | W | X),
    ]);
    board.hart.set_privilege(Privilege::User);
    board.hart.set_pc(CODE);
    board.hart.step();
    assert_eq!(trapped(&mut board.hart), Some((1, CODE)));
    let mut board = protected(&[(napot(DATA, 0x1000), NAPOT | R | LOCK)]);
    let hart = &mut board.hart;
    hart.set_csr(csr::PMPCFG0, 0);
    hart.set_csr(csr::PMPADDR0, 0);
    assert_eq!(get(hart, csr::PMPCFG0), NAPOT | R | LOCK);
    assert_eq!(get(hart, csr::PMPADDR0), napot(DATA, 0x1000));
    hart.reset();
    assert_eq!(get(hart, csr::PMPCFG0), 0);
}
