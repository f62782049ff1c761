//! Harts on threads of their own, without a machine around them.

#[path = "common/board.rs"]
#[allow(dead_code)]
mod board;

use std::sync::Arc;

use board::{Board, RAM};
use ruse_bus::{HartPins, IrqSink, VirtualClock, Width};
use ruse_hart::{Exit, Hart, HartConfig};
use ruse_isa::Xlen;

/// `j 0`.
const SPIN: u32 = 0x0000_006f;

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[test]
fn a_kick_ends_a_run_within_microseconds_of_instructions() {
    let mut board = Board::new(Xlen::Rv64, 0x1_0000);
    board.load(RAM, &words(&[SPIN]));
    board.hart.set_pc(RAM);
    board.pins.kick();
    assert_eq!(board.hart.run(1 << 40), Exit::Quantum);
    assert!(board.hart.retired() <= 2048, "{}", board.hart.retired());
    assert!(board.pins.take_kick());
    assert_eq!(board.hart.run(5000), Exit::Quantum);
    assert!(board.hart.retired() >= 5000, "a kick that was taken");

    // From another thread, at any moment of the run.
    let pins = board.pins.clone();
    let runner = std::thread::spawn(move || {
        for _ in 0..100 {
            assert_eq!(board.hart.run(u64::MAX), Exit::Quantum);
            assert!(board.pins.take_kick());
        }
    });
    while !runner.is_finished() {
        pins.kick();
        std::thread::yield_now();
    }
    runner.join().unwrap();
}

#[test]
fn an_interrupt_from_another_thread_is_taken_in_the_middle_of_a_run() {
    let mut board = Board::new(Xlen::Rv64, 0x1_0000);
    // mtvec = RAM + 0x100, mie.MSIE, mstatus.MIE; spin. The handler kicks by
    // its store to the finisher.
    board.load(
        RAM,
        &words(&[
            0x0000_0297, // auipc t0, 0
            0x1002_8293, // addi  t0, t0, 0x100
            0x3052_9073, // csrw  mtvec, t0
            0x3044_5073, // csrwi mie, 8
            0x3004_6073, // csrsi mstatus, 8
            SPIN,
        ]),
    );
    board.load(RAM + 0x100, &words(&[0x0010_0337, 0x0003_2023, SPIN]));
    board.hart.set_pc(RAM);
    let pins = board.pins.clone();
    let device = std::thread::spawn(move || pins.set_level(3, true));
    assert_eq!(board.hart.run(u64::MAX), Exit::Quantum);
    assert!(board.finished());
    device.join().unwrap();
}

/// Another hart on the board's bus.
fn second(board: &Board, pins: &Arc<HartPins>) -> Hart {
    Hart::new(HartConfig {
        hartid: 1,
        xlen: Xlen::Rv64,
        bus: board.bus.clone(),
        pins: pins.clone(),
        clock: Arc::new(VirtualClock::new(1)),
        svadu: false,
        sbi: false,
    })
}

#[test]
fn what_a_hart_stores_between_its_sleeps_another_sees_after_fence_i() {
    let mut board = Board::new(Xlen::Rv64, 0x1_0000);
    let pins = Arc::new(HartPins::new(None));
    let mut writer = second(&board, &pins);
    // The writer: sw a1, 0(a0); wfi, again and again.
    board.load(RAM, &words(&[0x00b5_2023, 0x1050_0073, 0xff9f_f06f]));
    let code = RAM + 0x2000;
    // addi a0, zero, N; fence.i; wfi; j -12.
    let program = |n: u32| words(&[0x0000_0513 | n << 20, 0x0000_100f, 0x1050_0073, 0xff5f_f06f]);
    board.load(code, &program(1));
    let run = |hart: &mut Hart| assert_eq!(hart.run(100), Exit::Wait);
    let store = |writer: &mut Hart, n: u32| {
        writer.set_pc(RAM);
        writer.set_x(10, code);
        writer.set_x(11, u64::from(0x0000_0513 | n << 20));
        pins.take_kick();
        run(writer);
    };
    store(&mut writer, 1);
    board.hart.set_pc(code);
    run(&mut board.hart);
    assert_eq!(board.hart.x(10), 1);
    for n in 2..100 {
        // The writer had the page open when it was decoded, and closes it now.
        store(&mut writer, n);
        // Decoded code may be old before FENCE.I, but not after.
        run(&mut board.hart);
        run(&mut board.hart);
        assert_eq!(board.hart.x(10), u64::from(n));
        if n % 3 == 0 {
            writer.settle();
        }
    }
    let ram = &board.ram;
    assert_eq!(ram.load(code + 4, Width::B4), Ok(0x0000_100f));
}

#[test]
fn code_written_on_one_thread_runs_on_another_after_fence_i() {
    const ROUNDS: u64 = 20_000;
    let mut board = Board::new(Xlen::Rv64, 0x1_0000);
    let mut reader = second(&board, &Arc::new(HartPins::new(None)));
    let (flag, code) = (RAM + 0x3000, RAM + 0x2000);
    // The writer, a1 the instruction `lui a0, 0`, a3 the flag, a4 the rounds:
    // 1: addi t0, t0, 1; slli t1, t0, 12; or t1, t1, a1; sw t1, 0(a2);
    // fence rw, rw; sd t0, 0(a3); bne t0, a4, 1b; spin.
    board.load(
        RAM,
        &words(&[
            0x0012_8293,
            0x00c2_9313,
            0x00b3_6333,
            0x0066_2023,
            0x0330_000f,
            0x0056_b023,
            0xfee2_94e3,
            SPIN,
        ]),
    );
    // The reader: 1: ld t0, 0(a3); fence r, rw; fence.i; jalr a2;
    // srli a0, a0, 12; bltu a0, t0, bad; bne t0, a4, 1b; spin; bad: ebreak.
    board.load(
        RAM + 0x1000,
        &words(&[
            0x0006_b283,
            0x0230_000f,
            0x0000_100f,
            0x0006_00e7,
            0x00c5_5513,
            0x0055_6663,
            0xfee2_94e3,
            SPIN,
            0x0010_0073,
        ]),
    );
    board.load(code, &words(&[0x0000_0537, 0x0000_8067]));
    for (hart, pc) in [(&mut board.hart, RAM), (&mut reader, RAM + 0x1000)] {
        hart.set_pc(pc);
        hart.set_x(11, 0x537);
        hart.set_x(12, code);
        hart.set_x(13, flag);
        hart.set_x(14, ROUNDS);
    }
    let (ram, writer) = (board.ram.clone(), &mut board.hart);
    let done = |hart: &Hart, at: u64| hart.pc() == at;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done(writer, RAM + 28) {
                writer.run(20_000);
            }
        });
        scope.spawn(|| {
            while !done(&reader, RAM + 0x1000 + 28) {
                reader.run(20_000);
                assert_eq!(reader.last_trap(), None, "old code: {:#x}", reader.x(10));
            }
        });
    });
    assert_eq!(ram.load(flag, Width::B8), Ok(ROUNDS));
    assert_eq!(reader.x(10), ROUNDS);
}
