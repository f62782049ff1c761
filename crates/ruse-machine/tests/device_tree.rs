//! The device tree, as the device-tree compiler reads it.

use std::io::Write;
use std::process::{Command, Stdio};

use ruse_machine::{Boot, Image, Machine, MachineConfig};

/// `wfi; j -4`.
const PROGRAM: [u8; 8] = [0x73, 0x00, 0x50, 0x10, 0x6f, 0xf0, 0xdf, 0xff];

fn program() -> Image {
    Image::new("program", PROGRAM.to_vec())
}

fn dtb(boot: Boot, change: impl FnOnce(&mut MachineConfig)) -> Vec<u8> {
    let mut config = MachineConfig::new(boot);
    config.memory = 64 << 20;
    change(&mut config);
    Machine::new(config).unwrap().dtb().to_vec()
}

/// The tree as source text, and what the compiler complains about. `None`:
/// there is no compiler here.
fn compile(dtb: &[u8]) -> Option<(String, String)> {
    let child = Command::new("dtc")
        .args(["-I", "dtb", "-O", "dts"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "CI needs dtc: {error}");
            eprintln!("skipped: dtc (package device-tree-compiler): {error}");
            return None;
        }
    };
    child.stdin.take().unwrap().write_all(dtb).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    assert!(output.status.success(), "{}", text(output.stderr));
    Some((text(output.stdout), text(output.stderr)))
}

fn node<'a>(source: &'a str, name: &str) -> &'a str {
    let from = source
        .find(&format!("{name} {{"))
        .unwrap_or_else(|| panic!("no {name} in {source}"));
    &source[from..from + source[from..].find("};").unwrap()]
}

#[test]
fn the_compiler_has_nothing_to_complain_about() {
    for (rv32, harts) in [(false, 1), (false, 3), (true, 64)] {
        let dtb = dtb(Boot::Bare { image: program() }, |config| {
            config.cpu.harts = harts;
            config.port = ruse_machine::Port::Virtio;
            if rv32 {
                config.cpu.xlen = Some(ruse_machine::Xlen::Rv32);
            }
        });
        let Some((source, complaints)) = compile(&dtb) else {
            return;
        };
        assert_eq!(complaints, "");
        assert_eq!(source.matches("\"riscv,cpu-intc\"").count(), harts);
        let mmu = if rv32 { "riscv,sv32" } else { "riscv,sv57" };
        assert_eq!(source.matches(mmu).count(), harts);
        // The entropy device, the console and the power button.
        assert_eq!(source.matches("\"virtio,mmio\"").count(), 3);
    }
}

#[test]
fn machine_mode_sees_the_whole_board() {
    let dtb = dtb(Boot::Bare { image: program() }, |_| {});
    let Some((source, _)) = compile(&dtb) else {
        return;
    };
    let clint = node(&source, "clint@2000000");
    assert!(
        clint.contains("interrupts-extended = <0x02 0x03 0x02 0x07>"),
        "{clint}"
    );
    let plic = node(&source, "plic@c000000");
    assert!(
        plic.contains("interrupts-extended = <0x02 0x0b 0x02 0x09>"),
        "{plic}"
    );
    let serial = node(&source, "serial@10000000");
    assert!(serial.contains("interrupts = <0x0a>"), "{serial}");
    let memory = node(&source, "memory@80000000");
    assert!(
        memory.contains("reg = <0x00 0x80000000 0x00 0x4000000>"),
        "{memory}"
    );
    assert!(node(&source, "poweroff").contains("value = <0x5555>"));
    assert!(!source.contains("initrd") && !source.contains("bootargs"));
}

#[test]
fn over_the_built_in_sbi_what_is_machine_modes_is_not_there() {
    let dtb = dtb(
        Boot::Sbi {
            kernel: program(),
            initrd: Some(Image::new("initrd", vec![7; 5000])),
            cmdline: "root=/dev/vda quiet".into(),
        },
        |_| {},
    );
    let Some((source, complaints)) = compile(&dtb) else {
        return;
    };
    assert_eq!(complaints, "");
    assert!(!source.contains("clint"));
    let plic = node(&source, "plic@c000000");
    assert!(
        plic.contains("interrupts-extended = <0x02 0xffffffff 0x02 0x09>"),
        "{plic}"
    );
    let chosen = node(&source, "chosen");
    assert!(
        chosen.contains("bootargs = \"root=/dev/vda quiet\""),
        "{chosen}"
    );
    // The two last pages: 5000 bytes.
    assert!(
        chosen.contains("linux,initrd-start = <0x00 0x83ffe000>"),
        "{chosen}"
    );
    assert!(
        chosen.contains("linux,initrd-end = <0x00 0x83fff388>"),
        "{chosen}"
    );
    assert!(
        chosen.contains("stdout-path = \"/soc/serial@10000000\""),
        "{chosen}"
    );
}
