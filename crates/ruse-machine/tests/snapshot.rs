//! A machine that was saved and loaded goes on as if nothing had been.

mod common;

use std::io::Cursor;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{Screen, monitor};
use proptest::prelude::*;
use ruse_disk::{Disk, DiskSpec, MemoryDisk};
use ruse_machine::{Boot, Image, Machine, MachineConfig, Outcome, Snapshot, SnapshotError, Time};

const VIRTUAL: Time = Time::Virtual {
    instructions_per_tick: 7,
    epoch_nanos: 1_000_000_000_000_000_000,
};

fn config(time: Time, disks: Vec<Box<dyn Disk>>) -> (MachineConfig, Screen) {
    let screen = Screen::default();
    let mut config = MachineConfig::new(Boot::Bare { image: monitor() });
    config.memory = 8 << 20;
    config.time = time;
    config.console = Box::new(screen.clone());
    config.disks = disks;
    (config, screen)
}

fn machine(time: Time, disks: Vec<Box<dyn Disk>>) -> (Machine, Screen) {
    let (config, screen) = config(time, disks);
    (Machine::new(config).unwrap(), screen)
}

fn memory_disk() -> Vec<Box<dyn Disk>> {
    vec![Box::new(MemoryDisk::new(64))]
}

fn save(machine: &mut Machine) -> Vec<u8> {
    let mut bytes = Vec::new();
    machine.save(&mut bytes, b"note").unwrap();
    bytes
}

fn open(bytes: &[u8]) -> Result<Snapshot, SnapshotError> {
    let input = Box::new(Cursor::new(bytes.to_vec()));
    let (snapshot, note) = Snapshot::new(input, Path::new("file"))?;
    assert_eq!(note, b"note");
    Ok(snapshot)
}

/// Types lines and runs until the guest has answered all of them and waits for more, or
/// is off.
fn type_in(machine: &mut Machine, screen: &Screen, text: &str) -> Outcome {
    let handle = machine.handle();
    let prompts = |screen: &Screen| screen.text().matches("ruse> ").count();
    // The first comes by itself.
    let first = usize::from(machine.retired() == 0);
    let wanted = prompts(screen) + first + text.matches('\r').count();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            handle.send(text.as_bytes());
            let start = Instant::now();
            while prompts(screen) < wanted && start.elapsed() < Duration::from_secs(60) {
                std::thread::sleep(Duration::from_millis(2));
            }
            handle.stop();
        });
        machine.run().unwrap()
    })
}

#[test]
fn a_loaded_machine_does_what_the_saved_one_does() {
    let (mut one, said) = machine(VIRTUAL, memory_disk());
    type_in(&mut one, &said, "write 5 hello\rrng\rtime\r");
    // In the middle of something: what was not taken yet is not in the snapshot.
    one.handle().send(b"sleep 1\rread 5\rrng\rtime\r");
    one.run_for(5_000).unwrap();
    let bytes = save(&mut one);
    let before = said.text().len();
    let (mut other, echo) = machine(VIRTUAL, memory_disk());
    other.load(open(&bytes).unwrap(), false).unwrap();
    for machine in [&mut one, &mut other] {
        machine.handle().send(b"rng\rtime\roff 3\r");
        assert_eq!(machine.run().unwrap(), Outcome::Off { code: 3 });
    }
    let said = said.text();
    assert!(said[before..].contains("hello"), "{said}");
    assert_eq!(echo.text(), said[before..]);
    assert_eq!(one.retired(), other.retired());
    for (one, other) in one.harts_mut().iter_mut().zip(other.harts_mut()) {
        assert_eq!(one.save(), other.save());
    }
}

#[test]
fn what_a_disk_would_lose_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.img");
    std::fs::write(&path, vec![7; 1 << 20]).unwrap();
    let mut spec = DiskSpec::new(&path);
    spec.layer = ruse_disk::Layer::Snapshot;
    let disks = || vec![ruse_disk::open(&spec).unwrap()];
    for time in [Time::Host, VIRTUAL] {
        let (mut one, said) = machine(time, disks());
        type_in(&mut one, &said, "write 5 kept\rwrite 600 this\r");
        let bytes = save(&mut one);
        // What comes later is not.
        type_in(&mut one, &said, "write 5 later\r");
        drop(one);
        let (mut other, said) = machine(time, disks());
        type_in(&mut other, &said, "write 900 gone\r");
        other.load(open(&bytes).unwrap(), false).unwrap();
        type_in(&mut other, &said, "read 5\rread 600\rread 900\r");
        let said = said.text();
        assert!(said.contains("kept") && said.contains("this"), "{said}");
        let after = said.split("read 900").nth(1).unwrap();
        assert!(!after.contains("gone") && !said.contains("later"), "{said}");
    }
    // The file itself has to be the same still.
    let (mut one, _) = machine(VIRTUAL, disks());
    let bytes = save(&mut one);
    drop(one);
    std::fs::write(&path, vec![8; 1 << 20]).unwrap();
    let (mut other, _) = machine(VIRTUAL, disks());
    let error = other.load(open(&bytes).unwrap(), false).unwrap_err();
    assert!(error.to_string().contains("disk.img is not"), "{error}");
    other.load(open(&bytes).unwrap(), true).unwrap();
}

#[test]
fn a_disk_that_stays_is_recognized() {
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("disk.img");
    ruse_disk::create_sparse(&raw, 1 << 20).unwrap();
    let qcow2 = folder.path().join("disk.qcow2");
    ruse_disk::create(&qcow2, &ruse_disk::qcow2::CreateOptions::new(1 << 20)).unwrap();
    for path in [raw, qcow2] {
        let disks = || vec![ruse_disk::open(&DiskSpec::new(&path)).unwrap()];
        let (mut one, said) = machine(Time::Host, disks());
        type_in(&mut one, &said, "write 5 kept\r");
        let bytes = save(&mut one);
        // It is closed as it is, which changes nothing.
        drop(one);
        let (mut other, said) = machine(Time::Host, disks());
        other.load(open(&bytes).unwrap(), false).unwrap();
        type_in(&mut other, &said, "read 5\rwrite 6 more\r");
        assert!(said.text().contains("kept"), "{}", said.text());
        drop(other);
        let (mut third, _) = machine(Time::Host, disks());
        let error = third.load(open(&bytes).unwrap(), false).unwrap_err();
        assert!(matches!(error, SnapshotError::Changed { .. }), "{error}");
    }
}

#[test]
fn another_machine_is_refused() {
    let (mut one, _) = machine(VIRTUAL, memory_disk());
    let bytes = save(&mut one);
    let refused = |change: &dyn Fn(&mut MachineConfig), words: &str| {
        let (mut config, _) = config(VIRTUAL, memory_disk());
        change(&mut config);
        let mut other = Machine::new(config).unwrap();
        let error = other.load(open(&bytes).unwrap(), false).unwrap_err();
        let error = error.to_string();
        assert!(error.contains(words), "{error}");
    };
    refused(&|config| config.memory = 16 << 20, "0x1000000 bytes of RAM");
    refused(&|config| config.cpu.harts = 2, "of a machine with 1 harts");
    refused(&|config| config.time = Time::Host, "the host's clock");
    refused(&|config| config.disks.clear(), "disk, ");
    let xlen = ruse_machine::Xlen::Rv32;
    let image = Image::new("loop", 0x0000_006f_u32.to_le_bytes());
    let boot = Boot::Bare { image };
    refused(
        &|config| {
            config.boot = boot.clone();
            config.cpu.xlen = Some(xlen);
        },
        "this one has 32-bit harts",
    );
}

/// How far each hart has counted.
fn counts_of(machine: &Machine) -> Vec<u64> {
    machine.harts().iter().map(|hart| hart.x(7)).collect()
}

#[test]
fn several_harts_stand_still_for_it() {
    // Each hart adds to its own word for ever.
    // csrr t0, mhartid; slli t0, t0, 3; auipc t1, 1; add t1, t1, t0; ld t2, 0(t1);
    // addi t2, t2, 1; sd t2, 0(t1); j -12
    let words: [u32; 8] = [
        0xf140_22f3,
        0x0032_9293,
        0x0000_1317,
        0x0053_0333,
        0x0003_3383,
        0x0013_8393,
        0x0073_3023,
        0xff5f_f06f,
    ];
    let image: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let new = || {
        let mut config = MachineConfig::new(Boot::Bare {
            image: Image::new("counters", image.clone()),
        });
        config.memory = 1 << 20;
        config.cpu.harts = 3;
        Machine::new(config).unwrap()
    };
    let mut machine = new();
    let handle = machine.handle();
    let asker = std::thread::spawn(move || {
        // Looks and looks again, until every hart has come further than this.
        let wait_for = |than: &[u64]| {
            let (sender, counts) = std::sync::mpsc::channel();
            loop {
                std::thread::sleep(std::time::Duration::from_millis(2));
                let sender = sender.clone();
                handle.errand(move |machine| sender.send(counts_of(machine)).unwrap());
                let counts = counts.recv().unwrap();
                if counts.iter().zip(than).all(|(count, than)| count > than) {
                    break;
                }
            }
        };
        wait_for(&[0; 3]);
        let (sender, saved) = std::sync::mpsc::channel();
        handle.errand(move |machine| sender.send((save(machine), counts_of(machine))).unwrap());
        let (bytes, counts) = saved.recv().unwrap();
        wait_for(&counts);
        handle.stop();
        (bytes, counts)
    });
    assert_eq!(machine.run().unwrap(), Outcome::Stopped);
    let (bytes, counts) = asker.join().unwrap();
    for (now, count) in counts_of(&machine).iter().zip(&counts) {
        assert!(now > count && *count > 0);
    }
    let mut other = new();
    other.load(open(&bytes).unwrap(), false).unwrap();
    assert_eq!(counts_of(&other), counts);
    other.run_for(100_000).unwrap();
    for (now, count) in counts_of(&other).iter().zip(&counts) {
        assert!(now > count);
    }
}

#[test]
fn a_copy_is_the_same_and_a_part_is_noticed() {
    let (mut one, said) = machine(VIRTUAL, memory_disk());
    type_in(&mut one, &said, "write 5 hello\r");
    let bytes = save(&mut one);
    let mut copy = Vec::new();
    let summary = open(&bytes).unwrap().copy(b"note", &mut copy).unwrap();
    assert_eq!(copy, bytes);
    assert_eq!(summary.bytes, bytes.len() as u64);
    assert_eq!(summary.disks, 64 * 512);
    for len in [0, 7, 8, 12, 20, bytes.len() / 2, bytes.len() - 1] {
        let error = match open(&bytes[..len]) {
            Ok(snapshot) => snapshot.copy(b"note", &mut Vec::new()).unwrap_err(),
            Err(error) => error,
        };
        let text = error.to_string();
        let told = text.contains("no snapshot") || text.contains("it ends here");
        assert!(told, "{len}: {text}");
    }
    let mut other = bytes.clone();
    other[7] += 1;
    let text = open(&other).err().unwrap().to_string();
    assert!(text.contains("format 2"), "{text}");
}

/// The payload of every block, and where it is.
fn blocks(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut all = Vec::new();
    let mut at = 8;
    while let Some(len) = bytes[at..].first_chunk() {
        let len = u32::from_le_bytes(*len) as usize;
        all.push(at + 8..at + 8 + len);
        at += 8 + len;
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn whatever_is_in_a_snapshot_nothing_breaks(
        block in 1..5_usize,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let (mut one, said) = machine(VIRTUAL, memory_disk());
        type_in(&mut one, &said, "write 5 hello\r");
        let mut bytes = save(&mut one);
        // With good checksums, so that it is not those that find it.
        let all = blocks(&bytes);
        let block = all[block.min(all.len() - 1)].clone();
        for (at, byte) in changes {
            let at = block.start + at.index(block.len());
            bytes[at] = byte;
        }
        let sum = crc32fast::hash(&bytes[block.clone()]);
        bytes[block.start - 4..block.start].copy_from_slice(&sum.to_le_bytes());
        let (mut other, _) = machine(VIRTUAL, memory_disk());
        if other.load(open(&bytes).unwrap(), false).is_ok() {
            other.handle().close_input();
            let _ = other.run_for(100_000);
        }
    }
}
