//! What a debugger sees: stepping is running, a breakpoint stops whenever its instruction
//! is reached and only then, and watched accesses stop before they happen.

mod common;

use common::asm::Asm;
use common::board::{Board, RAM};
use proptest::prelude::*;
use ruse_hart::{Cause, Exit, Hart, Stop, Watchpoint};
use ruse_isa::{Extension, Inst, Opcode, RegClass, Xlen, csr, encode};

const SIZE: u64 = 1 << 20;
/// Where programs load from and store to, and where the handler of all traps is.
const DATA: u64 = RAM + 0x8000;
const HANDLER: u64 = RAM + 0x4000;
/// Registers that lead to the data, which programs do not write: with and without an
/// offset.
const BASE: u8 = 8;
const ATOMIC: u8 = 9;

/// An instruction that leaves the base registers alone. `reserved`: LR and SC, too.
fn instruction(reserved: bool) -> impl Strategy<Value = Vec<u8>> {
    let plain = |n: &usize| {
        matches!(
            Opcode::ALL[*n].info().extension,
            Extension::I | Extension::M | Extension::A | Extension::F | Extension::D
        ) && !matches!(
            Opcode::ALL[*n],
            // These leave the program, or end a turn.
            Opcode::Jalr | Opcode::Fence | Opcode::Pause
        ) && (reserved
            || !matches!(
                Opcode::ALL[*n],
                Opcode::LrW | Opcode::LrD | Opcode::ScW | Opcode::ScD
            ))
    };
    let opcodes: Vec<usize> = (0..Opcode::COUNT).filter(plain).collect();
    let fields = (
        prop::sample::select(opcodes),
        any::<[u8; 4]>(),
        any::<i32>(),
    );
    let full = fields.prop_map(|(n, [rd, rs1, rs2, rs3], imm)| {
        let op = Opcode::ALL[n];
        let info = op.info();
        let name = info.mnemonic;
        let memory = info.encoding.contains("base");
        let class = |class, n: u8| if class == RegClass::None { 0 } else { n % 32 };
        let mut rd = class(info.rd, rd);
        if info.rd == RegClass::X && (rd == BASE || rd == ATOMIC) {
            rd = 10;
        }
        let base = if info.extension == Extension::A {
            ATOMIC
        } else {
            BASE
        };
        let jump = name.starts_with('b') || name == "jal";
        let word = encode(&Inst {
            rd,
            rs1: if memory { base } else { rs1 % 32 },
            rs2: class(info.rs2, rs2),
            rs3: class(info.rs3, rs3),
            rm: 0,
            imm: if jump { (imm % 64) & !1 } else { imm % 1024 },
            ..Inst::new(op)
        });
        word.to_le_bytes().to_vec()
    });
    // c.addi and c.mv of a0 to a7.
    let short = (0u16..8, 0u16..8, any::<bool>()).prop_map(|(rd, n, add)| {
        let half = if add {
            0x0001 | (10 + rd) << 7 | n << 2
        } else {
            0x8002 | (10 + rd) << 7 | (10 + n) << 2
        };
        half.to_le_bytes().to_vec()
    });
    prop_oneof![3 => full, 1 => short]
}

fn program(reserved: bool) -> impl Strategy<Value = Vec<u8>> {
    let parts = prop::collection::vec(instruction(reserved), 40..120);
    parts.prop_map(|parts| parts.concat())
}

/// A program, and whether its turn is exact. If not, reservations do not outlive a stop.
fn program_in_turn() -> impl Strategy<Value = (Vec<u8>, bool)> {
    any::<bool>().prop_flat_map(|exact| (program(exact), Just(exact)))
}

fn board(xlen: Xlen, code: &[u8], values: &[u64]) -> Board {
    let mut board = Board::new(xlen, SIZE);
    board.load(RAM, code);
    // Traps go on with the next instruction.
    let mut a = Asm::new(xlen, HANDLER);
    a.csrr(5, csr::MEPC);
    a.i(Opcode::Addi, 5, 5, 4);
    a.csrw(csr::MEPC, 5);
    a.op(Opcode::Mret);
    board.load(HANDLER, &a.finish());
    let hart = &mut board.hart;
    for (n, value) in values.iter().enumerate() {
        hart.set_x(n as u8, *value);
        hart.set_f(n as u8, *value);
    }
    hart.set_x(BASE, DATA);
    hart.set_x(ATOMIC, DATA + 64);
    hart.set_csr(csr::MSTATUS, 3 << 13);
    hart.set_csr(csr::MTVEC, HANDLER);
    hart.set_pc(RAM);
    board
}

type Seen = (u64, [u64; 32], [u64; 32], u64);

fn seen(hart: &mut Hart) -> Seen {
    let fcsr = hart.csr(csr::FCSR).unwrap();
    (
        hart.pc(),
        std::array::from_fn(|n| hart.x(n as u8)),
        std::array::from_fn(|n| hart.f(n as u8)),
        fcsr,
    )
}

fn memory(board: &Board) -> Vec<u8> {
    let mut bytes = vec![0; (DATA - RAM) as usize + 0x1000];
    board.ram.read(RAM, &mut bytes).unwrap();
    bytes
}

/// So many steps of an exact turn. Writes to the finisher, which kicks the hart, do not
/// end it.
fn go(board: &mut Board, steps: u64) -> Exit {
    let end = board.hart.steps() + steps;
    while board.hart.steps() < end {
        board.pins.take_kick();
        let exit = board.hart.run_exact(end - board.hart.steps());
        if exit != Exit::Quantum {
            return exit;
        }
    }
    Exit::Quantum
}

/// Whether the program is another one now. Without FENCE.I a hart may see that or not.
fn is_overwritten(board: &Board, code: &[u8]) -> bool {
    memory(board)[..code.len()] != *code
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn stepping_and_breakpoints_change_nothing(
        (code, exact) in program_in_turn(),
        values in prop::collection::vec(any::<u64>(), 32),
        rv32 in any::<bool>(),
        places in prop::collection::vec(0u64..240, 0..6),
    ) {
        let xlen = if rv32 { Xlen::Rv32 } else { Xlen::Rv64 };
        let board = |xlen, code: &[u8], values: &[u64]| {
            let mut board = board(xlen, code, values);
            if exact {
                board.hart.set_exact();
                board.hart.begin_turn();
            }
            board
        };
        let breakpoints: Vec<u64> = places.iter().map(|place| RAM + place * 2).collect();
        let mut running = board(xlen, &code, &values);
        prop_assert_eq!(running.hart.run(400), Exit::Quantum);
        // Jumps lead anywhere, also to what looks like a store to the program.
        if !exact && is_overwritten(&running, &code) {
            return Ok(());
        }
        let retired = running.hart.retired();
        let end = seen(&mut running.hart);

        // The same step by step, noting what a breakpoint should find.
        let mut stepping = board(xlen, &code, &values);
        let mut visits = Vec::new();
        loop {
            let hart = &mut stepping.hart;
            if hart.retired() == retired && seen(hart) == end {
                break;
            }
            prop_assert!(hart.retired() <= retired, "ran past where a run ended");
            if breakpoints.contains(&hart.pc()) {
                visits.push((hart.retired(), seen(hart)));
            }
            let before = hart.retired();
            prop_assert_eq!(hart.step(), Exit::Quantum);
            prop_assert!(hart.retired() - before <= 1);
        }
        prop_assert_eq!(memory(&running), memory(&stepping));

        let mut breaking = board(xlen, &code, &values);
        let hart = &mut breaking.hart;
        // Some are there before the code is decoded, some come later.
        let (early, late) = breakpoints.split_at(breakpoints.len() / 2);
        early.iter().for_each(|at| hart.add_breakpoint(*at));
        prop_assert!(hart.breakpoints().count() <= early.len());
        let mut left = visits.into_iter().filter(|(_, (pc, ..))| early.contains(pc));
        let mut stops = 0;
        while hart.retired() < retired {
            match hart.run(retired - hart.retired()) {
                Exit::Quantum => {}
                Exit::Debug(Stop::Breakpoint) if hart.retired() >= retired => break,
                Exit::Debug(Stop::Breakpoint) => {
                    let found = (hart.retired(), seen(hart));
                    prop_assert_eq!(Some(found), left.next());
                    hart.pass_breakpoint();
                    stops += 1;
                }
                exit => prop_assert!(false, "{:?}", exit),
            }
        }
        prop_assert_eq!(left.next().filter(|(at, _)| *at < retired), None, "after {} stops", stops);
        for at in late {
            hart.add_breakpoint(*at);
        }
        for at in &breakpoints {
            hart.remove_breakpoint(*at);
        }
        prop_assert_eq!(hart.run(100), Exit::Quantum);
    }

    /// Also where the program stores to itself, which it does if `base` leads there.
    #[test]
    fn an_exact_turn_is_the_same_however_it_is_cut(
        code in program(true),
        values in prop::collection::vec(any::<u64>(), 32),
        rv32 in any::<bool>(),
        base in prop_oneof![Just(DATA), Just(RAM), Just(RAM + 0x100)],
        cuts in prop::collection::vec(prop_oneof![Just(1), 1u64..20, 1u64..200], 1..100),
        stepping in any::<bool>(),
    ) {
        let xlen = if rv32 { Xlen::Rv32 } else { Xlen::Rv64 };
        let board = || {
            let mut board = board(xlen, &code, &values);
            board.hart.set_x(BASE, base);
            board.hart.set_x(ATOMIC, base + 64);
            board.hart.set_exact();
            board.hart.begin_turn();
            board
        };
        let steps: u64 = cuts.iter().sum();
        let mut whole = board();
        let exit = go(&mut whole, steps);
        let mut cut = board();
        let mut last = Exit::Quantum;
        for steps in cuts {
            last = if stepping && steps < 20 {
                let mut steps = (0..steps).map(|_| cut.hart.step());
                steps.find(|exit| *exit != Exit::Quantum).unwrap_or(Exit::Quantum)
            } else {
                go(&mut cut, steps)
            };
            if last != Exit::Quantum {
                break;
            }
        }
        prop_assert_eq!(last, exit);
        prop_assert_eq!(cut.hart.steps(), whole.hart.steps());
        prop_assert_eq!(seen(&mut cut.hart), seen(&mut whole.hart));
        prop_assert_eq!(memory(&cut), memory(&whole));
    }
}

/// In an exact turn a program that stores to itself sees that at once, in any block.
#[test]
fn overwritten_code_is_left_in_an_exact_turn() {
    let other = encode(&Inst {
        rd: 11,
        rs1: 11,
        imm: 100,
        ..Inst::new(Opcode::Addi)
    });
    let stores: [&[Opcode]; 3] = [
        &[Opcode::Sw],
        &[Opcode::AmoswapW],
        &[Opcode::LrW, Opcode::ScW],
    ];
    for store in stores {
        let mut a = Asm::new(Xlen::Rv64, RAM);
        let again = a.bind_new();
        for op in store {
            a.inst(Inst {
                rd: if *op == Opcode::Sw { 0 } else { 13 },
                rs1: 10,
                rs2: if *op == Opcode::LrW { 0 } else { 12 },
                ..Inst::new(*op)
            });
        }
        a.i(Opcode::Addi, 11, 11, 1);
        a.jal(0, again);
        let code = a.finish();
        let mut board = board(Xlen::Rv64, &code, &[0; 32]);
        let hart = &mut board.hart;
        hart.set_x(10, RAM + code.len() as u64 - 8);
        hart.set_x(12, u64::from(other));
        hart.set_exact();
        hart.begin_turn();
        assert_eq!(hart.run_exact(1000), Exit::Quantum);
        let rounds = hart.retired() / (code.len() as u64 / 4);
        assert_eq!(hart.x(11), rounds * 100, "{store:?}");
    }
}

/// Code that has run is stopped in, and no longer when the breakpoint is gone.
#[test]
fn a_breakpoint_in_running_code() {
    for xlen in [Xlen::Rv32, Xlen::Rv64] {
        let mut a = Asm::new(xlen, RAM);
        let again = a.bind_new();
        a.i(Opcode::Addi, 5, 5, 1);
        a.i(Opcode::Addi, 6, 6, 1);
        a.i(Opcode::Addi, 7, 7, 1);
        a.jal(0, again);
        let mut board = board(xlen, &a.finish(), &[0; 8]);
        let hart = &mut board.hart;
        assert_eq!(hart.run(1000), Exit::Quantum);
        hart.add_breakpoint(RAM + 4);
        // The same offset of another page is none.
        hart.add_breakpoint(RAM + 0x1008);
        for _ in 0..3 {
            assert_eq!(hart.run(1000), Exit::Debug(Stop::Breakpoint));
            assert_eq!(hart.pc(), RAM + 4);
            assert_eq!(hart.x(5), hart.x(6) + 1);
            assert_eq!(hart.x(6), hart.x(7));
            let at = hart.retired();
            assert_eq!(hart.run(1000), Exit::Debug(Stop::Breakpoint));
            assert_eq!(hart.retired(), at, "not told to pass");
            hart.pass_breakpoint();
        }
        assert!(hart.remove_breakpoint(RAM + 4));
        assert!(!hart.remove_breakpoint(RAM + 4));
        assert_eq!(hart.run(1000), Exit::Quantum);
    }
}

/// Every kind of access to what is watched stops before it happens, and goes on.
#[test]
fn watched_accesses_stop() {
    let kinds: [(Opcode, bool, u64); 9] = [
        (Opcode::Lb, false, 1),
        (Opcode::Lw, false, 4),
        (Opcode::Sh, true, 2),
        (Opcode::Sw, true, 4),
        (Opcode::Flw, false, 4),
        (Opcode::Fsd, true, 8),
        (Opcode::LrW, false, 4),
        (Opcode::AmoaddW, true, 4),
        (Opcode::AmoswapW, true, 4),
    ];
    for (op, write, size) in kinds {
        let mut a = Asm::new(Xlen::Rv64, RAM);
        a.nop();
        a.inst(Inst {
            rd: if op.info().rd == RegClass::None {
                0
            } else {
                11
            },
            rs1: BASE,
            rs2: if op.info().rs2 == RegClass::None {
                0
            } else {
                12
            },
            ..Inst::new(op)
        });
        a.nop();
        a.word(0x0000_006f); // j .
        let code = a.finish();
        let mut board = board(Xlen::Rv64, &code, &[7; 32]);
        let hart = &mut board.hart;
        // With the page in the TLB already.
        assert_eq!(hart.run(50), Exit::Quantum);
        hart.set_pc(RAM);
        let point = Watchpoint {
            at: DATA,
            len: 1,
            read: !write,
            write,
        };
        hart.add_watchpoint(Watchpoint {
            read: write,
            write: !write,
            ..point
        });
        hart.add_watchpoint(Watchpoint {
            at: DATA + 8,
            read: true,
            write: true,
            ..point
        });
        hart.add_watchpoint(Watchpoint {
            at: DATA - 1,
            read: true,
            write: true,
            ..point
        });
        assert_eq!(hart.run(50), Exit::Quantum, "{op:?} is not what is watched");
        hart.set_pc(RAM);
        hart.add_watchpoint(point);
        let stop = Stop::Watch {
            at: DATA,
            size,
            write,
            point,
        };
        assert_eq!(hart.run(50), Exit::Debug(stop), "{op:?}");
        assert_eq!(hart.pc(), RAM + 4);
        assert_eq!(hart.step_noting(false), Exit::Debug(stop), "{op:?}");
        assert_eq!(hart.pc(), RAM + 4);
        assert_eq!(hart.step_over(false), Exit::Quantum);
        assert_eq!(hart.pc(), RAM + 8);
        hart.set_pc(RAM);
        assert!(hart.remove_watchpoint(&point));
        assert_eq!(hart.run(50), Exit::Quantum);
    }
}

/// A watched store-conditional is as good as any when it is let go on.
#[test]
fn a_watched_reservation_is_kept() {
    let mut a = Asm::new(Xlen::Rv64, RAM);
    a.inst(Inst {
        rd: 11,
        rs1: BASE,
        ..Inst::new(Opcode::LrD)
    });
    a.inst(Inst {
        rd: 12,
        rs1: BASE,
        rs2: 13,
        ..Inst::new(Opcode::ScD)
    });
    a.word(0x0000_006f);
    let mut board = board(Xlen::Rv64, &a.finish(), &[9; 32]);
    let hart = &mut board.hart;
    hart.add_watchpoint(Watchpoint {
        at: DATA,
        len: 8,
        read: false,
        write: true,
    });
    assert!(matches!(
        hart.run(50),
        Exit::Debug(Stop::Watch { write: true, .. })
    ));
    assert_eq!(hart.pc(), RAM + 4);
    assert_eq!(hart.step_over(false), Exit::Quantum);
    assert_eq!(hart.x(12), 0);
    assert_eq!(board.u64(DATA), 9);
}

#[test]
fn a_misaligned_store_across_pages_is_seen() {
    let mut a = Asm::new(Xlen::Rv64, RAM);
    a.s(Opcode::Sd, 11, BASE, -3);
    a.word(0x0000_006f);
    let mut board = board(Xlen::Rv64, &a.finish(), &[9; 32]);
    let hart = &mut board.hart;
    hart.add_watchpoint(Watchpoint {
        at: DATA + 4,
        len: 1,
        read: false,
        write: true,
    });
    let exit = hart.run(50);
    assert!(matches!(exit, Exit::Debug(Stop::Watch { at, size: 8, .. }) if at == DATA - 3));
}

#[test]
fn exceptions_and_devices_stop() {
    let mut a = Asm::new(Xlen::Rv64, RAM);
    a.op(Opcode::Ebreak);
    a.s(Opcode::Sw, 11, 10, 0);
    a.word(0x0000_006f);
    let mut board = board(Xlen::Rv64, &a.finish(), &[9; 32]);
    let hart = &mut board.hart;
    hart.set_x(10, common::board::FINISHER);
    hart.stop_at_traps(1 << Cause::Breakpoint as u64);
    let exit = hart.run(50);
    assert!(matches!(exit, Exit::Debug(Stop::Trap(trap)) if trap.cause == Cause::Breakpoint));
    assert_eq!(hart.pc(), HANDLER);
    let finisher = common::board::FINISHER..common::board::FINISHER + 0x1000;
    hart.stop_at_devices([finisher].into());
    let exit = hart.run(50);
    let at = common::board::FINISHER;
    assert_eq!(
        exit,
        Exit::Debug(Stop::Mmio {
            at,
            size: 4,
            write: Some(9)
        })
    );
    assert_eq!(hart.pc(), RAM + 4);
    assert!(!board.finished());
    board.hart.step_over(false);
    assert!(board.finished());
}

/// What is written from outside is what is executed.
#[test]
fn poked_code_is_executed() {
    let mut a = Asm::new(Xlen::Rv64, RAM);
    a.i(Opcode::Addi, 5, 0, 1);
    a.word(0x0000_006f);
    let mut board = board(Xlen::Rv64, &a.finish(), &[]);
    let hart = &mut board.hart;
    hart.run(50);
    assert_eq!(hart.x(5), 1);
    assert!(
        hart.poke(
            RAM,
            &encode(&Inst {
                rd: 5,
                imm: 2,
                ..Inst::new(Opcode::Addi)
            })
            .to_le_bytes()
        )
    );
    assert!(!hart.poke(common::board::FINISHER, &[0; 4]));
    hart.set_pc(RAM);
    hart.run(50);
    assert_eq!(hart.x(5), 2);
    assert!(!board.finished());
}
