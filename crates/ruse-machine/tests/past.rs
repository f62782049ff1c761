//! A machine that goes back is where it was, and comes again to where it had been.

mod common;

use std::io;
use std::path::Path;

use common::{Screen, monitor};
use ruse_disk::MemoryDisk;
use ruse_machine::{
    Boot, DebugStop, Image, Journal, Machine, MachineConfig, Move, NoWayBack, Outcome, Recorder,
    ResumePlan, Time, Watchpoint, layout,
};

fn machine(image: Image, harts: usize) -> (Machine, Screen) {
    let screen = Screen::default();
    let mut config = MachineConfig::new(Boot::Bare { image });
    config.memory = 4 << 20;
    config.cpu.harts = harts;
    config.cpu.svadu = true;
    config.time = Time::Virtual {
        instructions_per_tick: 3,
        epoch_nanos: 0,
    };
    config.console = Box::new(screen.clone());
    config.disks = vec![Box::new(MemoryDisk::new(64))];
    config.quantum = 700;
    let recorder = Recorder::new(Box::new(io::sink()), Path::new("record"), b"").unwrap();
    config.journal = Some(Journal::record(recorder));
    let mut machine = Machine::new(config).unwrap();
    assert!(machine.remember());
    (machine, screen)
}

fn image(words: &[u32]) -> Image {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    Image::new("program", bytes)
}

/// Harts that add to a word together and wait for their timers in between.
fn program() -> Image {
    image(&[
        0xf140_22f3, // csrr t0, mhartid
        0x0032_9293, // slli t0, t0, 3
        0x0200_4337, // lui t1, 0x2004
        0x0053_0333, // add t1, t1, t0: mtimecmp
        0x0200_c3b7, // lui t2, 0x200c
        0xff83_b383, // loop: ld t2, -8(t2): mtime
        0x0c83_8393, // addi t2, t2, 200
        0x0073_3023, // sd t2, 0(t1)
        0x0800_0e13, // li t3, 0x80
        0x304e_1073, // csrw mie, t3
        0x0000_1e17, // auipc t3, 1
        0x01c0_0eb3, // add t4, x0, t3
        0x005e_ae2f, // amoadd.w t3, t0, (t4)
        0x1050_0073, // wfi
        0x0200_c3b7, // lui t2, 0x200c
        0xfd9f_f06f, // j loop
    ])
}

/// All that a hart is, and its time.
fn look(machine: &mut Machine) -> Vec<Vec<u8>> {
    machine
        .harts_mut()
        .iter_mut()
        .map(|hart| hart.save())
        .collect()
}

fn step(machine: &mut Machine, hart: usize) -> DebugStop {
    machine
        .debug_run(&ResumePlan::step(hart, Move::Run))
        .unwrap()
}

#[test]
fn steps_back_are_the_steps_forward() {
    for (image, harts) in [(monitor(), 1), (program(), 1), (program(), 3)] {
        let (mut machine, _) = machine(image, harts);
        machine.handle().send(b"write 5 hello\rrng\r");
        for start in [0, 333, 5_000] {
            machine.run_for(start).unwrap();
            // Of one hart, each between steps of the others.
            let hart = harts - 1;
            let mut seen = vec![];
            for _ in 0..300 {
                seen.push(machine.harts_mut()[hart].save());
                let stop = step(&mut machine, hart);
                assert_eq!(stop, DebugStop::Step { hart });
            }
            let end = look(&mut machine);
            for (n, state) in seen.iter().enumerate().rev() {
                machine.step_back(hart).unwrap().unwrap();
                let now = machine.harts_mut()[hart].save();
                assert!(now == *state, "{harts} harts, {n} after {start}");
            }
            assert!(machine.past_left() > 0);
            // And there again.
            for _ in 0..300 {
                step(&mut machine, hart);
            }
            assert!(look(&mut machine) == end, "after {start}");
        }
    }
}

#[test]
fn the_way_back_changes_nothing() {
    let type_in = |machine: &mut Machine, text: &[u8]| {
        machine.handle().send(text);
        machine.run_for(3_000).unwrap();
    };
    let (mut plain, said) = machine(monitor(), 1);
    let (mut other, echo) = machine(monitor(), 1);
    for text in [
        &b"write 5 hello\r"[..],
        b"read 5\r",
        b"rng\rtime\r",
        b"sleep 1\r",
    ] {
        type_in(&mut plain, text);
        type_in(&mut other, text);
        for _ in 0..3 {
            other.step_back(0).unwrap().unwrap();
        }
        let left = other.past_left();
        assert_eq!(left, 3);
        // What was printed is not printed again.
        other.run_for(left).unwrap();
    }
    for machine in [&mut plain, &mut other] {
        machine.handle().send(b"read 5\rrng\rtime\roff 4\r");
        assert_eq!(machine.run().unwrap(), Outcome::Off { code: 4 });
    }
    assert_eq!(said.text(), echo.text());
    assert!(look(&mut plain) == look(&mut other));
    // From the end, too.
    let end = look(&mut other);
    other.step_back(0).unwrap().unwrap();
    assert_eq!(other.run().unwrap(), Outcome::Off { code: 4 });
    assert!(look(&mut other) == end);
    assert_eq!(said.text(), echo.text());
}

/// A guest that counts how often an accessed bit is set that it clears without SFENCE.VMA,
/// which is when a TLB has forgotten.
#[test]
fn what_a_tlb_held_does_not_show() {
    let image = image(&[
        0x8000_22b7, // lui t0, 0x80002
        0x0202_9293, // slli t0, t0, 32
        0x0202_d293, // srli t0, t0, 32: the root table
        0x2000_0337, // lui t1, 0x20000
        0x0cf3_031b, // addiw t1, t1, 0xcf
        0x0062_b823, // sd t1, 16(t0): RAM at 2 GiB
        0x2000_03b7, // lui t2, 0x20000
        0x08f3_839b, // addiw t2, t2, 0x8f
        0x0072_b023, // sd t2, 0(t0): RAM at 0, not accessed
        0x0010_0e13, // li t3, 1
        0x03de_1e13, // slli t3, t3, 61
        0x30ae_1073, // csrw menvcfg, t3: ADUE
        0x0080_0e13, // li t3, 8
        0x03ce_1e13, // slli t3, t3, 60
        0x00c2_de93, // srli t4, t0, 12
        0x01de_6e33, // or t3, t3, t4
        0x180e_1073, // csrw satp, t3: Sv39
        0xfff0_0e13, // li t3, -1
        0x3b0e_1073, // csrw pmpaddr0, t3
        0x01f0_0e13, // li t3, 31
        0x3a0e_1073, // csrw pmpcfg0, t3
        0x0002_1e37, // lui t3, 0x21
        0x800e_0e1b, // addiw t3, t3, -2048
        0x300e_2073, // csrs mstatus, t3: MPRV, MPP = S
        0x0072_b023, // loop: sd t2, 0(t0)
        0x0000_3503, // ld a0, 0(zero)
        0x0002_b583, // ld a1, 0(t0)
        0x0075_c5b3, // xor a1, a1, t2
        0x00b4_0433, // add s0, s0, a1
        0xfedf_f06f, // j loop
    ]);
    let (mut plain, _) = machine(image.clone(), 1);
    let (mut other, _) = machine(image, 1);
    for machine in [&mut plain, &mut other] {
        machine.run_for(9 << 20).unwrap();
    }
    for _ in 0..3 {
        other.step_back(0).unwrap().unwrap();
    }
    other.run_for(other.past_left()).unwrap();
    for machine in [&mut plain, &mut other] {
        machine.run_for(9 << 20).unwrap();
    }
    assert!(look(&mut plain) == look(&mut other));
    let seen = plain.harts_mut()[0].x(8) >> 6;
    assert!((2..20).contains(&seen), "set {seen} times");
}

#[test]
fn the_last_stop_is_found() {
    let (mut machine, _) = machine(program(), 1);
    machine.run_for(5_000).unwrap();
    // The AMO, and the word that it changes.
    let at = layout::RAM + 48;
    let word = Watchpoint {
        at: layout::RAM + 0x1028,
        len: 4,
        read: false,
        write: true,
    };
    machine.harts_mut()[0].add_breakpoint(at);
    let mut last = machine.harts()[0].steps();
    for _ in 0..5 {
        let stop = machine.run_back(&mut || false).unwrap().unwrap();
        assert_eq!(stop, Some(DebugStop::Breakpoint { hart: 0 }));
        let now = machine.harts()[0].steps();
        assert_eq!(machine.harts()[0].pc(), at);
        assert!(now < last);
        last = now;
    }
    // Forward from there to the next one.
    let stop = machine.debug_run(&ResumePlan::run()).unwrap();
    assert_eq!(stop, DebugStop::Breakpoint { hart: 0 });
    assert!(machine.harts()[0].steps() > last);
    machine.harts_mut()[0].remove_breakpoint(at);
    machine.harts_mut()[0].add_watchpoint(word);
    let stop = machine.run_back(&mut || false).unwrap().unwrap().unwrap();
    assert!(
        matches!(
            stop,
            DebugStop::Watch {
                hart: 0,
                write: true,
                ..
            }
        ),
        "{stop:?}"
    );
    // It is about to happen.
    assert_eq!(machine.harts()[0].pc(), at);
    machine.harts_mut()[0].remove_watchpoint(&word);
    // Nothing more: the beginning, where there is no way back.
    assert_eq!(machine.run_back(&mut || false).unwrap().unwrap(), None);
    assert_eq!(machine.harts()[0].steps(), 0);
    assert_eq!(
        machine.run_back(&mut || false).unwrap(),
        Err(NoWayBack::Beginning)
    );
    assert_eq!(machine.step_back(0).unwrap(), Err(NoWayBack::Beginning));
}

#[test]
fn the_way_back_can_be_broken_off() {
    // It counts, for some epochs: addi t0, t0, 1; j -4.
    let (mut machine, _) = machine(image(&[0x0012_8293, 0xffdf_f06f]), 1);
    for _ in 0..3 {
        machine.run_for(4 << 20).unwrap();
    }
    // The same at any time.
    let phase = |machine: &Machine| {
        let hart = &machine.harts()[0];
        let half = u64::from(hart.pc() != layout::RAM);
        (2 * hart.x(5)).wrapping_sub(hart.steps() + half)
    };
    let (begin, expected) = (machine.harts()[0].steps(), phase(&machine));
    let mut before = begin;
    // It looks up ever later.
    for looks in 0.. {
        let mut looked = 0;
        let mut enough = || {
            looked += 1;
            looked > looks
        };
        let stop = machine.run_back(&mut enough).unwrap().unwrap();
        let now = machine.harts()[0].steps();
        if stop.is_none() {
            assert_eq!(now, 0);
            break;
        }
        assert_eq!(stop, Some(DebugStop::Interrupted), "after {looks} looks");
        assert_eq!(
            (machine.past_left(), phase(&machine)),
            (begin - now, expected)
        );
        assert!(now <= before && (looks > 0 || now == begin));
        before = now;
    }
}

#[test]
fn the_past_cannot_be_changed() {
    let (mut machine, _) = machine(program(), 1);
    machine.run_for(5_000).unwrap();
    machine.step_back(0).unwrap().unwrap();
    assert!(!machine.may_change());
    step(&mut machine, 0);
    assert!(machine.may_change());
    machine.harts_mut()[0].set_x(30, 5);
    // From here on there is no telling how it came about.
    assert_eq!(machine.step_back(0).unwrap(), Err(NoWayBack::Beginning));
    machine.run_for(5_000).unwrap();
    machine.step_back(0).unwrap().unwrap();
    assert_eq!(machine.harts()[0].x(30), 5);
}

#[test]
fn who_does_not_remember_does_not_go_back() {
    let mut config = MachineConfig::new(Boot::Bare { image: program() });
    config.memory = 1 << 20;
    let mut machine = Machine::new(config).unwrap();
    assert!(!machine.remember());
    assert_eq!(machine.step_back(0).unwrap(), Err(NoWayBack::Forgotten));
}
