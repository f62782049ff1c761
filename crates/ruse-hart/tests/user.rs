//! User mode: permissions and contents that change under linked code, and
//! faults in the middle of what is executed together.

#[path = "common/mod.rs"]
mod common;

use std::sync::Arc;

use ruse_bus::{PAGE_SIZE, Prot, Shared, Space, VirtualClock, Width};
use ruse_hart::{Cause, Exit, Hart, Registers};
use ruse_isa::Opcode::*;
use ruse_isa::Xlen;

use common::asm::Asm;

const CODE: u64 = 0x1_0000;
const DATA: u64 = 0x10_0000;

fn process(code: &[u8]) -> (Arc<Space>, Hart) {
    let space = Arc::new(Space::new().expect("a space"));
    space.write(CODE, code).expect("inside");
    space.protect(CODE, 8 * PAGE_SIZE, Prot::READ | Prot::EXEC);
    space.protect(DATA, PAGE_SIZE, Prot::READ | Prot::WRITE);
    let mut hart = Hart::user(space.clone(), Arc::new(VirtualClock::new(1)));
    hart.set_pc(CODE);
    (space, hart)
}

fn trap(exit: Exit) -> (Cause, u64) {
    match exit {
        Exit::Trap(trap) => (trap.cause, trap.tval),
        other => panic!("{other:?}"),
    }
}

/// A loop over two pages: x10 counts turns; x11 is what the second page adds.
fn two_pages(add: i32) -> (Vec<u8>, Vec<u8>) {
    let second = CODE + PAGE_SIZE;
    let mut a = Asm::new(Xlen::Rv64, CODE);
    let far = a.label();
    a.i(Addi, 10, 10, 1).jal(0, far);
    while a.here() < second {
        a.nop();
    }
    a.bind(far);
    let page = a.here();
    assert_eq!(page, second);
    a.i(Addi, 11, 11, add);
    let mut bytes = a.finish();
    let mut back = Asm::new(Xlen::Rv64, second + 4);
    back.inst(ruse_isa::Inst {
        imm: (CODE as i64 - (second + 4) as i64) as i32,
        ..ruse_isa::Inst::new(Jal)
    });
    bytes.extend(back.finish());
    let (first, rest) = bytes.split_at(PAGE_SIZE as usize);
    (first.to_vec(), rest.to_vec())
}

#[test]
fn code_that_changes_under_its_links_is_not_executed() {
    let (first, second) = two_pages(1);
    let (_, other) = two_pages(100);
    let at = CODE + PAGE_SIZE;
    let (space, mut hart) = process(&[first, second.clone()].concat());
    let executable = Prot::READ | Prot::EXEC;
    assert_eq!(hart.run(4000), Exit::Quantum);
    assert_eq!(hart.x(10).abs_diff(hart.x(11)), 0);

    // Not executable any more, then not there.
    for prot in [Prot::READ, Prot::NONE] {
        space.protect(at, PAGE_SIZE, prot);
        assert_eq!(trap(hart.run(4000)), (Cause::InstructionPageFault, at));
        assert_eq!(hart.pc(), at);
        assert_eq!(hart.x(10), hart.x(11) + 1);
        space.protect(at, PAGE_SIZE, executable);
        assert_eq!(hart.run(4000), Exit::Quantum);
        assert!(hart.x(11) > 1000);
    }

    // Written to, discarded, a window on something else, and no more.
    let grows = |hart: &mut Hart, by: u64| {
        let (turns, sum) = (hart.x(10), hart.x(11));
        assert_eq!(hart.run(4000), Exit::Quantum);
        assert_eq!(hart.x(11) - sum, (hart.x(10) - turns) * by);
    };
    space.write(at, &other).expect("inside");
    grows(&mut hart, 100);
    space.discard(at, PAGE_SIZE);
    let (cause, _) = trap(hart.run(4000));
    assert_eq!((cause, hart.pc()), (Cause::IllegalInstruction, at));
    let shared = Shared::new(2 * PAGE_SIZE).expect("shared memory");
    shared.write(0, &second).expect("inside");
    shared.write(PAGE_SIZE, &other).expect("inside");
    if space.map_shared(at, &shared, 0, PAGE_SIZE).is_ok() {
        grows(&mut hart, 1);
        space
            .map_shared(at, &shared, PAGE_SIZE, PAGE_SIZE)
            .expect("as before");
        grows(&mut hart, 100);
        shared.write(PAGE_SIZE, &second).expect("inside");
        hart.sync_code();
        grows(&mut hart, 1);
    }
    space.discard(at, PAGE_SIZE);
    let (cause, _) = trap(hart.run(4000));
    assert_eq!((cause, hart.pc()), (Cause::IllegalInstruction, at));
}

#[test]
fn each_part_of_a_sequence_faults_alone() {
    // Loads, additions and stores as compilers put them together; x5 to x8 are
    // the addresses of one access each.
    let mut a = Asm::new(Xlen::Rv64, CODE);
    a.i(Ld, 10, 5, 0)
        .i(Ld, 11, 6, 0)
        .i(Addi, 12, 10, 1)
        .i(Addi, 13, 13, 1);
    a.i(Addi, 14, 13, 0)
        .s(Sd, 12, 7, 0)
        .i(Lbu, 15, 8, 0)
        .r(Add, 16, 15, 12);
    let again = a.label();
    a.b(Bne, 0, 0, again).op(Ecall);
    a.bind(again);
    let code = a.finish();
    let hole = 0x5000_0000;
    let accesses = [
        (5, 0u64, Cause::LoadPageFault),
        (6, 1, Cause::LoadPageFault),
    ];
    let later = [(7, 5, Cause::StorePageFault), (8, 6, Cause::LoadPageFault)];
    for (register, index, cause) in accesses.into_iter().chain(later) {
        for bad in [hole + 8, hole + 3, Space::SIZE, u64::MAX - 7] {
            let (space, mut hart) = process(&code);
            space.store(DATA, Width::B8, 41).expect("inside");
            for n in 5..9 {
                hart.set_x(n, DATA);
            }
            hart.set_x(register, bad);
            hart.set_x(13, 7);
            let (found, tval) = trap(hart.run(1000));
            assert_eq!((found, tval), (cause, bad), "x{register}");
            assert_eq!(hart.pc(), CODE + 4 * index);
            assert_eq!(hart.retired(), index);
            let did = |n: u64, value| if index > n { value } else { 0 };
            assert_eq!(hart.x(10), did(0, 41));
            assert_eq!(hart.x(11), did(1, 41));
            assert_eq!(hart.x(13), 7 + did(3, 1));
            assert_eq!(hart.x(14), did(4, 8));
            let stored = if index > 5 { 42 } else { 41 };
            assert_eq!(space.load(DATA, Width::B8), Ok(stored));
            // Mended, it goes on from there to the call.
            hart.set_x(register, DATA);
            assert_eq!(trap(hart.run(1000)).0, Cause::EcallFromUser);
            assert_eq!((hart.retired(), hart.pc()), (9, CODE + 4 * 9));
            assert_eq!(hart.x(16), 42 + 42);
        }
    }
}

#[test]
fn a_page_that_may_only_be_read_is_not_written() {
    let mut a = Asm::new(Xlen::Rv64, CODE);
    a.i(Addi, 10, 10, 1).s(Sd, 10, 5, 0).op(Ecall);
    let (space, mut hart) = process(&a.finish());
    hart.set_x(5, DATA);
    let start = hart.registers();
    for (prot, allowed) in [
        (Prot::READ | Prot::WRITE, true),
        (Prot::READ, false),
        (Prot::READ | Prot::WRITE, true),
        (Prot::READ | Prot::EXEC, false),
        (Prot::NONE, false),
    ] {
        space.protect(DATA, PAGE_SIZE, prot);
        space.store(DATA, Width::B8, 0).expect("inside");
        hart.set_registers(&start);
        let (cause, _) = trap(hart.run(100));
        let stored = space.load(DATA, Width::B8).expect("inside");
        if allowed {
            assert_eq!((cause, stored), (Cause::EcallFromUser, 1));
        } else {
            assert_eq!((cause, stored), (Cause::StorePageFault, 0));
            assert_eq!(hart.pc(), CODE + 4);
        }
    }
}

#[test]
fn registers_are_a_threads_own() {
    let (_, mut hart) = process(&[]);
    let registers = Registers {
        x: std::array::from_fn(|n| n as u64 * 3),
        f: std::array::from_fn(|n| n as u64 * 5),
        pc: CODE + 8,
        fcsr: 0x61,
    };
    hart.set_registers(&registers);
    assert_eq!(hart.registers(), registers);
    hart.set_registers(&Registers::default());
    assert_eq!(hart.registers(), Registers::default());
}
