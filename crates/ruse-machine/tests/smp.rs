//! Several harts, each on a thread of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ruse_machine::{
    Boot, ConsoleOut, Handle, Image, Machine, MachineConfig, MachineError, Outcome, Time,
};

const WFI: u32 = 0x1050_0073;
/// `j -4`.
const BACK: u32 = 0xffdf_f06f;
/// `j 0`.
const SPIN: u32 = 0x0000_006f;
const VIRTUAL: Time = Time::Virtual {
    instructions_per_tick: 10,
    epoch_nanos: 0,
};

#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Screen {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl ConsoleOut for Screen {
    fn write(&mut self, bytes: &[u8]) {
        self.0.lock().unwrap().extend_from_slice(bytes);
    }
}

fn bare(words: &[u32], harts: usize) -> MachineConfig {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let mut config = MachineConfig::new(Boot::Bare {
        image: Image::new("program", bytes),
    });
    config.memory = 1 << 20;
    config.cpu.harts = harts;
    config
}

/// What `roms/smp` prints, and the instructions that it takes.
fn run_smp(harts: usize, time: Time) -> (String, u64) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../roms/smp/smp.bin");
    let screen = Screen::default();
    let mut config = MachineConfig::new(Boot::Sbi {
        kernel: Image::open(path, 1 << 20).unwrap(),
        initrd: None,
        cmdline: String::new(),
    });
    config.memory = 64 << 20;
    config.console = Box::new(screen.clone());
    config.cpu.harts = harts;
    config.time = time;
    let mut machine = Machine::new(config).unwrap();
    let outcome = machine.run().unwrap();
    let text = screen.text();
    assert_eq!(outcome, Outcome::Off { code: 0 }, "{text}");
    assert!(text.contains(" tests, 0 failed"), "{text}");
    assert!(!text.contains("FAIL"), "{text}");
    (text, machine.retired())
}

#[test]
fn two_harts_keep_every_promise() {
    for _ in 0..3 {
        run_smp(2, Time::Host);
    }
}

#[test]
fn more_harts_than_the_host_has_cores_keep_them_too() {
    run_smp(4, Time::Host);
    run_smp(7, Time::Host);
}

#[test]
fn in_turns_on_one_thread_they_do_it_the_same_way_each_time() {
    for harts in [2, 4] {
        assert_eq!(run_smp(harts, VIRTUAL), run_smp(harts, VIRTUAL));
    }
}

#[test]
fn harts_that_spin_or_sleep_stop_and_go_on_at_any_time() {
    for program in [&[SPIN] as &[_], &[WFI, BACK]] {
        let mut machine = Machine::new(bare(program, 4)).unwrap();
        let (handle, over) = (machine.handle(), Arc::new(AtomicBool::new(false)));
        let stopper = std::thread::spawn({
            let over = over.clone();
            move || {
                while !over.load(Ordering::Relaxed) {
                    handle.stop();
                    std::thread::sleep(Duration::from_micros(300));
                }
            }
        });
        let mut retired = 0;
        for round in 0..200 {
            assert_eq!(machine.run().unwrap(), Outcome::Stopped);
            // Turns on one thread go on where threads of their own have been.
            if round % 8 == 0 {
                machine.run_for(1000).unwrap();
            }
            assert!(machine.retired() >= retired);
            retired = machine.retired();
        }
        over.store(true, Ordering::Relaxed);
        stopper.join().unwrap();
    }
}

/// Counts what is printed, and stops the machine in time.
struct Counter {
    count: Arc<AtomicUsize>,
    limit: usize,
    handle: Arc<Mutex<Option<Handle>>>,
}

impl ConsoleOut for Counter {
    fn write(&mut self, bytes: &[u8]) {
        let before = self.count.fetch_add(bytes.len(), Ordering::Relaxed);
        if before + bytes.len() >= self.limit
            && let Some(handle) = &*self.handle.lock().unwrap()
        {
            handle.stop();
        }
    }
}

#[test]
fn a_reboot_catches_every_hart_wherever_it_is() {
    // The last hart prints and resets; the others spin.
    let words = [
        0x0030_0293, // li   t0, 3
        0x0055_0463, // beq  a0, t0, 1f
        SPIN,        //
        0x1000_02b7, // 1: lui t0, 0x10000
        0x0002_8023, // sb   zero, 0(t0)
        0x0010_02b7, // lui  t0, 0x100
        0x0000_7337, // lui  t1, 7
        0x7773_0313, // addi t1, t1, 0x777
        0x0062_a023, // sw   t1, 0(t0)
        SPIN,
    ];
    let count = Arc::<AtomicUsize>::default();
    let handle = Arc::<Mutex<Option<Handle>>>::default();
    let mut config = bare(&words, 4);
    config.console = Box::new(Counter {
        count: count.clone(),
        limit: 100,
        handle: handle.clone(),
    });
    let mut machine = Machine::new(config).unwrap();
    *handle.lock().unwrap() = Some(machine.handle());
    assert_eq!(machine.run().unwrap(), Outcome::Stopped);
    assert!(count.load(Ordering::Relaxed) >= 100);
}

#[test]
fn the_power_goes_from_any_hart() {
    // The last hart switches off; the others count.
    let words = [
        0x0030_0293, // li   t0, 3
        0x0055_0663, // beq  a0, t0, 1f
        0x0010_0313, // li   t1, 1
        0xffdf_f06f, // j    -4
        0x0010_02b7, // 1: lui t0, 0x100
        0x0000_5337, // lui  t1, 5
        0x5553_0313, // addi t1, t1, 0x555
        0x0062_a023, // sw   t1, 0(t0)
        SPIN,
    ];
    for _ in 0..50 {
        let mut machine = Machine::new(bare(&words, 4)).unwrap();
        assert_eq!(machine.run().unwrap(), Outcome::Off { code: 0 });
    }
}

#[test]
fn it_is_noticed_when_nobody_will_ever_wake() {
    for _ in 0..50 {
        let mut machine = Machine::new(bare(&[WFI, BACK], 4)).unwrap();
        let handle = machine.handle();
        let closer = std::thread::spawn(move || handle.close_input());
        assert!(matches!(machine.run(), Err(MachineError::WaitsForEver)));
        closer.join().unwrap();
    }
}

#[test]
fn a_timer_that_runs_is_worth_waiting_for() {
    // Hart 1 sets its machine timer 20 ms ahead and sleeps; then it switches off.
    let words = [
        0x0010_0293, // li   t0, 1
        0x0055_0663, // beq  a0, t0, 1f
        WFI,
        BACK,        //
        0x0200_c2b7, // 1: lui t0, 0x200c
        0xff82_b303, // ld   t1, -8(t0)      mtime
        0x0003_13b7, // lui  t2, 0x31
        0x0073_0333, // add  t1, t1, t2
        0x0200_42b7, // lui  t0, 0x2004
        0x0062_b423, // sd   t1, 8(t0)       mtimecmp
        0x0800_0313, // li   t1, 0x80
        0x3043_1073, // csrw mie, t1
        WFI,
        0x0010_02b7, // lui  t0, 0x100
        0x0000_5337, // lui  t1, 5
        0x5553_0313, // addi t1, t1, 0x555
        0x0062_a023, // sw   t1, 0(t0)
    ];
    let mut machine = Machine::new(bare(&words, 4)).unwrap();
    machine.handle().close_input();
    assert_eq!(machine.run().unwrap(), Outcome::Off { code: 0 });
    assert!(machine.retired() < 1000, "all slept");
}

#[test]
fn one_hart_that_cannot_go_on_ends_the_run() {
    // Hart 2 traps, and mtvec is 0, where nothing is.
    let words = [
        0x0020_0293, // li   t0, 2
        0x0055_0463, // beq  a0, t0, 1f
        SPIN,
        0x0010_0073, // 1: ebreak
    ];
    let error = Machine::new(bare(&words, 4)).unwrap().run().unwrap_err();
    assert!(
        matches!(error, MachineError::Lockup { hart: 2, .. }),
        "{error}"
    );
}

/// A console that breaks when a hart waits for it.
struct Broken;

impl ConsoleOut for Broken {
    fn write(&mut self, _: &[u8]) {
        panic!("the console broke");
    }
}

#[test]
fn a_panic_ends_the_run_and_does_not_hang_it() {
    // All print without end: whoever fills the buffer panics, or who empties it.
    let words = [
        0x1000_02b7, // lui  t0, 0x10000
        0x0002_8023, // sb   zero, 0(t0)
        BACK,
    ];
    for _ in 0..20 {
        let mut config = bare(&words, 4);
        config.console = Box::new(Broken);
        let mut machine = Machine::new(config).unwrap();
        let run = catch_unwind(AssertUnwindSafe(|| machine.run()));
        assert!(run.is_err(), "{run:?}");
        // The last words would go the same way.
        let end = catch_unwind(AssertUnwindSafe(|| drop(machine)));
        drop(end);
    }
}
