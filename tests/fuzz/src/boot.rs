//! Whole machines: what they are given to boot, and what runs in them.

use ruse_hart::Xlen;
use ruse_machine::{Boot, Image, Machine, MachineConfig, MachineError, Time};

use crate::Bytes;

/// Bytes of RAM.
const MEMORY: u64 = 8 << 20;
/// Instructions that a guest may run.
const BOUND: u64 = 20_000;

/// A machine that is the same each time.
fn machine(boot: Boot, harts: usize, xlen: Option<Xlen>) -> Result<Machine, MachineError> {
    let mut config = MachineConfig::new(boot);
    config.memory = MEMORY;
    config.cpu.harts = harts;
    config.cpu.xlen = xlen;
    config.quantum = 500;
    config.time = Time::Virtual {
        instructions_per_tick: 1,
        epoch_nanos: 0,
    };
    Machine::new(config)
}

/// Lets it run for a while, whatever comes of that.
fn run(machine: &mut Machine) {
    // A guest without a timer whose harts all wait would wait for a key.
    machine.handle().close_input();
    let _ = machine.run_for(BOUND);
}

/// Any code at all, in M-mode.
pub(crate) fn code(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let how = bytes.u8();
    let xlen = if how & 1 == 0 { Xlen::Rv64 } else { Xlen::Rv32 };
    let harts = 1 + usize::from(how >> 1 & 1);
    let image = Image::new("code", bytes.rest());
    if let Ok(mut machine) = machine(Boot::Bare { image }, harts, Some(xlen)) {
        run(&mut machine);
    }
}

/// Any calls of the built-in SBI, by a kernel that reads them from a table.
pub(crate) fn sbi(data: &[u8]) {
    // auipc t0, 0; addi t0, t0, 64; then a0 to a7 from there; ecall;
    // addi t0, t0, 64; j back to the loads.
    let mut image: Vec<u32> = vec![0x0000_0297, 0x0402_8293];
    for register in 0..8 {
        // ld a0+n, 8*n(t0)
        image.push((8 * register) << 20 | 5 << 15 | 3 << 12 | (10 + register) << 7 | 0x03);
    }
    image.extend([0x0000_0073, 0x0402_8293, 0xfd9f_f06f]);
    let mut image: Vec<u8> = image.into_iter().flat_map(u32::to_le_bytes).collect();
    image.resize(64, 0);
    let mut bytes = Bytes::new(data);
    let harts = 1 + usize::from(bytes.u8() & 3);
    while !bytes.is_empty() {
        let (extension, function) = extension(&mut bytes);
        let mut call = [0; 8];
        for argument in &mut call[..6] {
            *argument = match bytes.u8() {
                // Near where something is.
                0..=63 => bytes.odd().wrapping_add(0x8000_0000),
                64..=95 => 0x8020_0000 + u64::from(bytes.u16()),
                _ => bytes.odd(),
            };
        }
        (call[6], call[7]) = (function, extension);
        image.extend(call.into_iter().flat_map(u64::to_le_bytes));
    }
    let boot = Boot::Sbi {
        kernel: Image::new("calls", image),
        initrd: None,
        cmdline: String::new(),
    };
    if let Ok(mut machine) = machine(boot, harts, Some(Xlen::Rv64)) {
        run(&mut machine);
    }
}

/// An extension of the SBI and a function of it, as often as not.
fn extension(bytes: &mut Bytes<'_>) -> (u64, u64) {
    const EXTENSIONS: [u64; 10] = [
        0x10,
        0x5449_4d45,
        0x0073_5049,
        0x5246_4e43,
        0x0048_534d,
        0x5352_5354,
        0x4442_434e,
        0x5355_5350,
        0x0050_4d55,
        0,
    ];
    match bytes.u8() {
        0xff => (bytes.u64(), bytes.u64()),
        0xf0..=0xfe => (bytes.odd(), bytes.odd()),
        known => {
            let extension = EXTENSIONS[usize::from(known) % EXTENSIONS.len()];
            (extension, u64::from(bytes.u8() & 7))
        }
    }
}

/// Any file as a program.
pub(crate) fn elf(data: &[u8]) {
    let image = Image::new("program", data);
    if let Ok(mut machine) = machine(Boot::Bare { image }, 1, None) {
        run(&mut machine);
    }
}

/// Any files as kernel, initial RAM disk and firmware.
pub(crate) fn image(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let how = bytes.u8();
    let initrd = match how & 1 {
        0 => None,
        _ => Some(vec![7; usize::from(bytes.u16()) << (how >> 4)]),
    };
    let cmdline = String::from_utf8_lossy(bytes.take(usize::from(how >> 2 & 3) * 8)).into();
    let initrd = initrd.map(|initrd| Image::new("initrd", initrd));
    let kernel = Image::new("kernel", bytes.rest());
    let boot = match how & 2 {
        0 => Boot::Sbi {
            kernel,
            initrd,
            cmdline,
        },
        _ => Boot::Firmware {
            firmware: Image::new("firmware", &[0x6f, 0, 0, 0][..]),
            kernel: Some(kernel),
            initrd,
            cmdline,
        },
    };
    if let Ok(mut machine) = machine(boot, 1, None) {
        run(&mut machine);
    }
}

/// The device tree of any machine is well formed.
pub(crate) fn dtb(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let (how, harts) = (bytes.u8(), usize::from(bytes.u8()) % 65);
    let initrd = (how & 1 != 0).then(|| Image::new("initrd", vec![1; bytes.u16().into()]));
    let cmdline: String = String::from_utf8_lossy(bytes.rest()).into();
    let kernel = Image::new("kernel", &[0x6f, 0, 0, 0][..]);
    let boot = Boot::Sbi {
        kernel,
        initrd,
        cmdline: cmdline.clone(),
    };
    let xlen = if how & 2 == 0 { Xlen::Rv64 } else { Xlen::Rv32 };
    let machine = match machine(boot, harts, Some(xlen)) {
        Ok(machine) => machine,
        Err(_) => return,
    };
    let seen = tree(machine.dtb());
    assert_eq!(seen.cpus, harts);
    let expected = (!cmdline.is_empty()).then(|| cmdline.into_bytes());
    assert_eq!(seen.bootargs, expected);
}

/// What [`tree`] finds.
struct Seen {
    cpus: usize,
    bootargs: Option<Vec<u8>>,
}

/// Reads a flattened tree (Devicetree Specification v0.4, chapter 5) from end
/// to end.
///
/// # Panics
/// If it is not well formed.
fn tree(dtb: &[u8]) -> Seen {
    let word = |at: usize| {
        let bytes: [u8; 4] = dtb[at..at + 4].try_into().expect("four bytes");
        u32::from_be_bytes(bytes) as usize
    };
    assert_eq!(word(0), 0xd00d_feed);
    assert_eq!(word(4), dtb.len());
    let (structure, strings) = (word(8), word(12));
    let (strings_len, structure_len) = (word(32), word(36));
    assert!(structure.is_multiple_of(4) && structure + structure_len <= dtb.len());
    let names = &dtb[strings..strings + strings_len];
    let text = |bytes: &[u8]| {
        let end = bytes.iter().position(|&byte| byte == 0).expect("an end");
        bytes[..end].to_vec()
    };
    let mut seen = Seen {
        cpus: 0,
        bootargs: None,
    };
    let (mut at, mut depth) = (structure, 0);
    loop {
        let token = word(at);
        at += 4;
        match token {
            1 => {
                let name = text(&dtb[at..]);
                seen.cpus += usize::from(name.starts_with(b"cpu@"));
                at = (at + name.len() + 1).next_multiple_of(4);
                depth += 1;
            }
            2 => depth -= 1,
            3 => {
                let (len, name) = (word(at), text(&names[word(at + 4)..]));
                let value = &dtb[at + 8..at + 8 + len];
                if name == b"bootargs" {
                    seen.bootargs = Some(text(value));
                }
                at = (at + 8 + len).next_multiple_of(4);
            }
            4 => {}
            9 => break,
            other => panic!("token {other:#x} at {at:#x}"),
        }
    }
    assert_eq!((depth, at), (0, structure + structure_len));
    seen
}
