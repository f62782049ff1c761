//! Whole machines with tiny programs.

use std::any::Any;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ruse_bus::{Wake, Width};
use ruse_devices::backend::{NetCard, Network};
use ruse_machine::{
    Boot, ConsoleOut, Image, LoadError, Machine, MachineConfig, MachineError, Nic, Outcome, Time,
    Xlen,
};

const WFI: u32 = 0x1050_0073;
/// `j -4`.
const BACK: u32 = 0xffdf_f06f;
const EBREAK: u32 = 0x0010_0073;
const VIRTUAL: Time = Time::Virtual {
    instructions_per_tick: 10,
    epoch_nanos: 0,
};

/// A network that says nothing.
struct Silence;

impl Network for Silence {
    fn offloads(&self) -> bool {
        false
    }

    fn bell(&self) -> Arc<dyn Wake> {
        Arc::new(Deaf)
    }

    fn start(self: Box<Self>, _: Arc<dyn NetCard>) -> std::io::Result<Box<dyn Any + Send + Sync>> {
        Ok(Box::new(()))
    }
}

struct Deaf;

impl Wake for Deaf {
    fn wake(&self) {}
}

#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl ConsoleOut for Screen {
    fn write(&mut self, bytes: &[u8]) {
        self.0.lock().unwrap().extend_from_slice(bytes);
    }
}

fn image(words: &[u32]) -> Image {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    Image::new("program", bytes)
}

fn config(words: &[u32]) -> MachineConfig {
    let mut config = MachineConfig::new(Boot::Bare {
        image: image(words),
    });
    config.memory = 1 << 20;
    config
}

fn rom(path: &str) -> Image {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../roms/");
    Image::open(format!("{root}{path}"), 1 << 20).unwrap()
}

#[test]
fn every_hart_starts_with_its_number_and_the_device_tree() {
    let mut config = config(&[WFI, BACK]);
    config.cpu.harts = 3;
    config.time = VIRTUAL;
    let mut machine = Machine::new(config).unwrap();
    machine.handle().close_input();
    assert!(matches!(machine.run(), Err(MachineError::WaitsForEver)));
    let harts = machine.harts();
    assert_eq!([harts[0].x(10), harts[1].x(10), harts[2].x(10)], [0, 1, 2]);
    for hart in harts {
        let magic = machine.bus().read(hart.x(11), Width::B4).unwrap();
        assert_eq!(magic as u32, 0xd00d_feed_u32.swap_bytes());
        assert_eq!(hart.pc() & !7, 0x8000_0000);
    }
}

#[test]
fn a_trap_handler_that_traps_is_a_lockup() {
    // mtvec is 0, where nothing is.
    let error = Machine::new(config(&[EBREAK])).unwrap().run().unwrap_err();
    assert_eq!(
        error.to_string(),
        "hart 0 cannot go on: its trap handler at 0x0 itself raises an instruction access fault \
         (value 0x0)"
    );
}

#[test]
fn another_thread_stops_a_machine_that_spins_or_sleeps() {
    for program in [&[0x0000_006f_u32] as &[_], &[WFI, BACK]] {
        let mut machine = Machine::new(config(program)).unwrap();
        let handle = machine.handle();
        let stopper = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(30));
            handle.stop();
        });
        assert_eq!(machine.run().unwrap(), Outcome::Stopped);
        stopper.join().unwrap();
        // It can go on, and be stopped again.
        machine.handle().stop();
        assert_eq!(machine.run().unwrap(), Outcome::Stopped);
    }
}

#[test]
fn a_hart_asleep_under_the_host_clock_wakes_in_time() {
    // mtimecmp = mtime + 500_000 (50 ms); mie.MTIE; wfi; power off.
    let words = [
        0x0200_c2b7, // lui  t0, 0x200c
        0xff82_b303, // ld   t1, -8(t0)      mtime
        0x0007_a3b7, // lui  t2, 0x7a
        0x1203_839b, // addiw t2, t2, 0x120
        0x0073_0333, // add  t1, t1, t2
        0x0200_42b7, // lui  t0, 0x2004
        0x0062_b023, // sd   t1, 0(t0)       mtimecmp
        0x0800_0313, // li   t1, 0x80
        0x3043_1073, // csrw mie, t1
        WFI,
        0x0010_02b7, // lui  t0, 0x100
        0x0000_5337, // lui  t1, 5
        0x5553_0313, // addi t1, t1, 0x555
        0x0062_a023, // sw   t1, 0(t0)
    ];
    let mut machine = Machine::new(config(&words)).unwrap();
    machine.handle().close_input();
    let start = Instant::now();
    assert_eq!(machine.run().unwrap(), Outcome::Off { code: 0 });
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(49), "{took:?}");
    assert!(machine.retired() < 1000, "it slept");

    // The virtual clock needs no 50 ms for that; but if somebody at the other end of a
    // cable does.
    for networks in [0, 1] {
        let mut config = config(&words);
        config.time = VIRTUAL;
        config.nics.extend((0..networks).map(|_| Nic {
            mac: [2, 0, 0, 0, 0, 1],
            network: Box::new(Silence),
        }));
        let mut machine = Machine::new(config).unwrap();
        let start = Instant::now();
        assert_eq!(machine.run().unwrap(), Outcome::Off { code: 0 });
        let took = start.elapsed();
        assert!(
            networks == 0 || took >= Duration::from_millis(49),
            "{took:?}"
        );
        let ticks = machine.bus().read(0x0200_bff8, Width::B8).unwrap();
        assert!((500_000..500_100).contains(&ticks), "{ticks}");
    }
}

/// What the monitor prints when these lines are typed.
fn talk(lines: &[u8], time: Time) -> (Vec<u8>, u64, Outcome) {
    let screen = Screen::default();
    let mut config = MachineConfig::new(Boot::Bare {
        image: rom("monitor/monitor.elf"),
    });
    config.console = Box::new(screen.clone());
    config.time = time;
    let mut machine = Machine::new(config).unwrap();
    let handle = machine.handle();
    assert!(handle.send(lines));
    handle.close_input();
    let outcome = machine.run().unwrap();
    let printed = screen.0.lock().unwrap().clone();
    (printed, machine.retired(), outcome)
}

#[test]
fn under_the_virtual_clock_a_run_is_the_same_every_time() {
    let lines = b"info\rtime\rrng\rsleep 5\rharts\roff 9\r";
    let first = talk(lines, VIRTUAL);
    assert_eq!(first.2, Outcome::Off { code: 9 });
    assert!(first.0.windows(4).any(|text| text == b"1970"));
    assert_eq!(talk(lines, VIRTUAL), first);
}

#[test]
fn a_reboot_starts_the_same_image_again() {
    let screen = Screen::default();
    let mut config = MachineConfig::new(Boot::Bare {
        image: rom("monitor/monitor.elf"),
    });
    config.console = Box::new(screen.clone());
    let mut machine = Machine::new(config).unwrap();
    let handle = machine.handle();
    // What is typed before a reset may be lost in it.
    let typist = std::thread::spawn(move || {
        let prompts = |n| {
            let text = String::from_utf8(screen.0.lock().unwrap().clone()).unwrap();
            text.matches("ruse> ").count() >= n && text.matches("The ruse monitor").count() == n
        };
        for (n, line) in [(1, b"reboot\r".as_slice()), (2, b"off 5\r")] {
            while !prompts(n) {
                std::thread::sleep(Duration::from_millis(1));
            }
            handle.send(line);
        }
    });
    assert_eq!(machine.run().unwrap(), Outcome::Off { code: 5 });
    typist.join().unwrap();
}

#[test]
fn the_built_in_sbi_answers_as_the_specification_says() {
    for harts in [1, 2, 4] {
        let screen = Screen::default();
        let mut config = MachineConfig::new(Boot::Sbi {
            kernel: rom("sbi/sbi.bin"),
            initrd: None,
            cmdline: String::new(),
        });
        config.console = Box::new(screen.clone());
        config.cpu.harts = harts;
        config.time = VIRTUAL;
        let outcome = Machine::new(config).unwrap().run().unwrap();
        let printed = String::from_utf8(screen.0.lock().unwrap().clone()).unwrap();
        assert_eq!(outcome, Outcome::Off { code: 0 }, "{printed}");
        assert!(printed.contains(" 0 failed"), "{printed}");
        assert!(!printed.contains("FAIL "), "{printed}");
    }
}

#[test]
fn programs_of_both_widths_run() {
    for width in ["32", "64"] {
        let screen = Screen::default();
        let mut config = MachineConfig::new(Boot::Bare {
            image: rom(&format!("hello/hello-rv{width}.elf")),
        });
        config.console = Box::new(screen.clone());
        let outcome = Machine::new(config).unwrap().run().unwrap();
        assert_eq!(outcome, Outcome::Off { code: 0 });
        let printed = String::from_utf8(screen.0.lock().unwrap().clone()).unwrap();
        assert!(printed.contains(&format!("RV{width}")), "{printed}");
    }
    let mut config = MachineConfig::new(Boot::Bare {
        image: rom("hello/hello-rv64.elf"),
    });
    config.cpu.xlen = Some(Xlen::Rv32);
    let error = Machine::new(config).err().unwrap().to_string();
    assert!(
        error.ends_with("a 64-bit program, but the harts have 32 bits"),
        "{error}"
    );
}

#[test]
fn a_machine_moves_to_another_thread() {
    let mut machine = Machine::new(config(&[WFI, BACK])).unwrap();
    let handle = machine.handle();
    let runner = std::thread::spawn(move || machine.run().unwrap());
    handle.stop();
    assert_eq!(runner.join().unwrap(), Outcome::Stopped);
    assert!(!handle.send(b"too late"), "the machine is gone");
}

/// Why a machine with this kernel cannot be made.
fn refused(kernel: Vec<u8>) -> LoadError {
    let mut config = MachineConfig::new(Boot::Sbi {
        kernel: Image::new("kernel", kernel),
        initrd: None,
        cmdline: String::new(),
    });
    config.memory = 16 << 20;
    match Machine::new(config) {
        Err(MachineError::Load(error)) => error,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was taken"),
    }
}

fn header(offset: u64, size: u64) -> Vec<u8> {
    let mut bytes = vec![0; 0x1000];
    bytes[0x08..0x10].copy_from_slice(&offset.to_le_bytes());
    bytes[0x10..0x18].copy_from_slice(&size.to_le_bytes());
    bytes[0x38..0x3c].copy_from_slice(b"RSC\x05");
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Read;
    let mut packed = Vec::new();
    flate2::read::GzEncoder::new(bytes, flate2::Compression::fast())
        .read_to_end(&mut packed)
        .unwrap();
    packed
}

fn zboot(compression: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 0x40];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[4..8].copy_from_slice(b"zimg");
    bytes[8..12].copy_from_slice(&0x40u32.to_le_bytes());
    bytes[12..16].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes[0x18..0x18 + compression.len()].copy_from_slice(compression);
    bytes.extend_from_slice(payload);
    bytes
}

#[test]
fn a_kernel_goes_where_its_header_says_packed_or_not() {
    let kernel = header(0x40_0000, 0x10_0000);
    for (packing, kernel) in [
        ("none", kernel.clone()),
        ("gzip", gzip(&kernel)),
        ("zboot", zboot(b"gzip", &gzip(&kernel))),
    ] {
        let mut config = MachineConfig::new(Boot::Sbi {
            kernel: Image::new("kernel", kernel),
            initrd: None,
            cmdline: String::new(),
        });
        config.memory = 16 << 20;
        let machine = Machine::new(config).unwrap();
        assert_eq!(machine.harts()[0].pc(), 0x8040_0000, "{packing}");
        let magic = machine.bus().read(0x8040_0038, Width::B4).unwrap();
        assert_eq!(magic, 0x0543_5352, "{packing}");
    }
}

#[test]
fn kernels_that_are_none_are_refused_with_a_reason() {
    let mut truncated = gzip(&header(0, 0));
    truncated.truncate(20);
    let mut short_zboot = zboot(b"gzip", &[0; 100]);
    short_zboot.truncate(0x50);
    // 64 MiB of zeroes, into a guest of 16.
    let bomb = gzip(&vec![0; 64 << 20]);
    let mut x86 = vec![0; 0x1000];
    x86[0x202..0x206].copy_from_slice(b"HdrS");
    for (kernel, reason) in [
        (truncated, "does not unpack"),
        (short_zboot, "lies beyond the end"),
        (zboot(b"zstd22", &[1; 8]), "compressed with zstd22"),
        (
            zboot(b"gzip", &[1; 8]),
            "gzip data at offset 0x40 does not unpack",
        ),
        (bomb, "more than the 0x1000000 bytes of guest RAM"),
        (x86, "another machine (x86)"),
        (b"\x28\xb5\x2f\xfd....".to_vec(), "unpack it with `zstd -d`"),
        (header(0, 1 << 30), "is outside RAM"),
        (header(u64::MAX, 0), "is nonsense"),
        (header(0x7fff_ffff_ffff_f000, 0), "is outside RAM"),
        (header(0, u64::MAX), "is outside RAM"),
        (b"\x7fELF".to_vec(), "bad ELF header"),
    ] {
        let error = refused(kernel).to_string();
        assert!(error.starts_with("kernel"), "{error}");
        assert!(error.contains(reason), "{error}, not {reason}");
    }
}
