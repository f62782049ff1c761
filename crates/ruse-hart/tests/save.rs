//! A hart that was saved and loaded is the same hart.

#[path = "common/mod.rs"]
mod common;

use proptest::prelude::*;
use ruse_hart::Privilege;
use ruse_isa::{Xlen, csr};

use common::board::{Board, RAM};

fn xlen() -> impl Strategy<Value = Xlen> {
    prop_oneof![Just(Xlen::Rv32), Just(Xlen::Rv64)]
}

fn privilege() -> impl Strategy<Value = Privilege> {
    prop_oneof![
        Just(Privilege::User),
        Just(Privilege::Supervisor),
        Just(Privilege::Machine)
    ]
}

/// All CSRs of a hart, as they read, but for the time, which is its clock's.
fn csrs(board: &mut Board) -> Vec<(u16, u64)> {
    let all = (0..0x1000).filter(|number| ![csr::TIME, csr::TIMEH].contains(number));
    all.filter_map(|number| Some((number, board.hart.csr(number)?)))
        .collect()
}

proptest! {
    #[test]
    fn whatever_software_wrote_is_there_again(
        xlen in xlen(),
        privilege in privilege(),
        pc in any::<u64>(),
        values in proptest::collection::vec(any::<u64>(), 64),
        writes in proptest::collection::vec((0u16..0x1000, any::<u64>()), 0..200),
    ) {
        let mut one = Board::new(xlen, 1 << 20);
        // Some instructions, so that counters are somewhere.
        one.load(RAM, &[0x13, 0, 0, 0].repeat(50));
        one.hart.set_pc(RAM);
        one.hart.set_exact();
        one.hart.begin_turn();
        one.hart.run_exact(40);
        for (number, value) in writes {
            one.hart.set_csr(number, value);
        }
        for (n, value) in (0..32).zip(values.chunks(2)) {
            one.hart.set_x(n, value[0]);
            one.hart.set_f(n, value[1]);
        }
        one.hart.set_pc(pc);
        one.hart.set_privilege(privilege);
        let saved = one.hart.save();
        let mut other = Board::new(xlen, 1 << 20);
        other.hart.load(&saved).unwrap();
        for (got, wanted) in csrs(&mut other).into_iter().zip(csrs(&mut one)) {
            prop_assert_eq!(got, wanted);
        }
        for n in 0..32 {
            prop_assert_eq!(other.hart.x(n), one.hart.x(n));
            prop_assert_eq!(other.hart.f(n), one.hart.f(n));
        }
        prop_assert_eq!(other.hart.pc(), one.hart.pc());
        prop_assert_eq!(other.hart.privilege(), privilege);
        prop_assert_eq!(other.hart.retired(), one.hart.retired());
        prop_assert_eq!(other.hart.save(), saved);
    }

    #[test]
    fn whatever_is_loaded_it_stays_a_hart(
        xlen in xlen(),
        change in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut board = Board::new(xlen, 1 << 20);
        let mut state = board.hart.save();
        for (at, byte) in change {
            let at = at.index(state.len());
            state[at] = byte;
        }
        let loaded = board.hart.load(&state);
        prop_assert!(board.hart.load(&state[..cut.index(state.len())]).is_err());
        if loaded.is_ok() {
            board.hart.load(&state).unwrap();
            board.hart.run(1000);
        }
    }
}

#[test]
fn a_hart_of_another_width_is_refused() {
    let state = Board::new(Xlen::Rv32, 1 << 20).hart.save();
    let error = Board::new(Xlen::Rv64, 1 << 20)
        .hart
        .load(&state)
        .unwrap_err();
    assert!(error.to_string().contains("width"), "{error}");
}
