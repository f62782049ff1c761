//! A machine that is debugged: harts stop where they shall, step one by one, and wait
//! promptly.

use std::time::Duration;

use ruse_machine::{
    Boot, DebugStop, Image, Machine, MachineConfig, Move, Outcome, ResumePlan, Time, Watchpoint,
    layout,
};

const ADD_T0: u32 = 0x0012_8293;
const ADD_T1: u32 = 0x0013_0313;
const BACK_8: u32 = 0xff9f_f06f;
const WFI: u32 = 0x1050_0073;
/// `j -4`.
const BACK: u32 = 0xffdf_f06f;
const VIRTUAL: Time = Time::Virtual {
    instructions_per_tick: 10,
    epoch_nanos: 0,
};

fn machine(words: &[u32], harts: usize, time: Time) -> Machine {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let mut config = MachineConfig::new(Boot::Bare {
        image: Image::new("program", bytes),
    });
    config.memory = 1 << 20;
    config.cpu.harts = harts;
    config.time = time;
    Machine::new(config).unwrap()
}

#[test]
fn each_hart_has_its_own_breakpoints() {
    for time in [Time::Host, VIRTUAL] {
        let mut machine = machine(&[ADD_T0, ADD_T1, BACK_8], 3, time);
        let at = layout::RAM + 4;
        machine.harts_mut()[1].add_breakpoint(at);
        for n in 1..5 {
            let stop = machine.debug_run(&ResumePlan::run()).unwrap();
            assert_eq!(stop, DebugStop::Breakpoint { hart: 1 });
            assert_eq!(machine.harts()[1].pc(), at);
            // The boot ROM leaves where it jumped to.
            assert_eq!(machine.harts()[1].x(5), layout::RAM + n);
            assert_eq!(machine.harts()[1].x(6), n - 1);
        }
        // A step leaves the breakpoint; who stays, stays.
        let before = machine.harts()[2].retired();
        let plan = ResumePlan::step(1, Move::Stay);
        let stop = machine.debug_run(&plan).unwrap();
        assert_eq!(stop, DebugStop::Step { hart: 1 });
        assert_eq!(machine.harts()[1].pc(), at + 4);
        assert_eq!(machine.harts()[2].retired(), before);
        machine.debug_run(&ResumePlan::step(1, Move::Run)).unwrap();
        assert!(machine.harts()[2].retired() > before);
    }
}

#[test]
fn accesses_are_told_of_once_they_happened() {
    // auipc t1, 1; sw t1, 0(t1); lui t2, 0x10000; sb t1, 7(t2); lui t0, 0x100;
    // lui t3, 5; addi t3, t3, 0x555; sw t3, 0(t0)
    let words = [
        0x0000_1317,
        0x0063_2023,
        0x1000_03b7,
        0x0063_83a3,
        0x0010_02b7,
        0x0000_5e37,
        0x555e_0e13,
        0x01c2_a023,
    ];
    let mut machine = machine(&words, 1, VIRTUAL);
    let point = Watchpoint {
        at: layout::RAM + 0x1000,
        len: 4,
        read: false,
        write: true,
    };
    machine.harts_mut()[0].add_watchpoint(point);
    assert!(!machine.stop_at_devices(&["no such device"]));
    assert!(machine.stop_at_devices(&["uart0"]), "{:?}", names(&machine));
    let stop = machine.debug_run(&ResumePlan::run()).unwrap();
    let watch = DebugStop::Watch {
        hart: 0,
        at: point.at,
        size: 4,
        write: true,
        point,
        pc: layout::RAM + 4,
    };
    assert_eq!(stop, watch);
    assert_eq!(machine.harts()[0].pc(), layout::RAM + 8);
    let mut word = [0; 4];
    assert!(machine.harts()[0].peek(point.at, &mut word));
    assert_eq!(u64::from(u32::from_le_bytes(word)), point.at);
    let stop = machine.debug_run(&ResumePlan::run()).unwrap();
    let mmio = DebugStop::Mmio {
        hart: 0,
        device: "uart0".into(),
        offset: 7,
        size: 1,
        write: Some(0),
        pc: layout::RAM + 12,
    };
    assert_eq!(stop, mmio);
    let stop = machine.debug_run(&ResumePlan::run()).unwrap();
    assert_eq!(stop, DebugStop::Outcome(Outcome::Off { code: 0 }));
}

fn names(machine: &Machine) -> Vec<String> {
    let regions = machine.bus().regions().iter();
    regions.map(|region| region.name.clone()).collect()
}

#[test]
fn a_machine_that_waits_can_be_interrupted() {
    for (plan, words) in [
        (ResumePlan::run(), [WFI, BACK]),
        (ResumePlan::step(0, Move::Run), [WFI, BACK]),
        (ResumePlan::run(), [ADD_T0, BACK]),
    ] {
        let mut machine = machine(&words, 2, Time::Host);
        let handle = machine.handle();
        let (tell, told) = std::sync::mpsc::channel();
        let other = std::thread::spawn(move || {
            for again in told {
                let _: () = again;
                std::thread::sleep(Duration::from_millis(20));
                handle.interrupt();
            }
            handle.stop();
        });
        tell.send(()).unwrap();
        let stop = loop {
            match machine.debug_run(&plan).unwrap() {
                DebugStop::Step { hart: 0 } => {}
                stop => break stop,
            }
        };
        assert_eq!(stop, DebugStop::Interrupted);
        drop(tell);
        other.join().unwrap();
        let stop = machine.debug_run(&plan).unwrap();
        assert_eq!(stop, DebugStop::Outcome(Outcome::Stopped));
    }
}
