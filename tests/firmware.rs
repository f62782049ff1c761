//! Unmodified firmware, as Debian ships it (packages opensbi and
//! u-boot-qemu).

mod talk;

use std::process::Command;

use talk::{Talk, package, rom};

const OPENSBI: &str = "/usr/lib/riscv64-linux-gnu/opensbi/generic";

fn opensbi(name: &str) -> Option<String> {
    package(&format!("{OPENSBI}/{name}"))
}

/// A line of OpenSBI's report.
#[track_caller]
fn reports(talk: &mut Talk, name: &str, value: &str) {
    talk.expect(&format!("{name:<26}: {value}\r\n"));
}

#[test]
fn opensbi_knows_the_board_and_starts_a_kernel() {
    let kernel = rom("sbi/sbi.bin");
    for (name, harts) in [
        ("fw_dynamic.bin", 1),
        ("fw_dynamic.elf", 4),
        ("fw_jump.bin", 2),
        ("fw_jump.elf", 2),
    ] {
        let Some(bios) = opensbi(name) else { return };
        let count = harts.to_string();
        let args = ["boot", "--bios", &bios, "--kernel", &kernel];
        let mut talk = Talk::new(&[&args[..], &["--harts", &count]].concat());
        talk.expect("OpenSBI v");
        reports(&mut talk, "Platform Name", "ruse,virt");
        reports(&mut talk, "Platform HART Count", &count);
        reports(&mut talk, "Platform IPI Device", "aclint-mswi");
        reports(
            &mut talk,
            "Platform Timer Device",
            "aclint-mtimer @ 10000000Hz",
        );
        reports(&mut talk, "Platform Console Device", "uart8250");
        reports(&mut talk, "Platform Reboot Device", "sifive_test");
        reports(&mut talk, "Domain0 Name", "root");
        let all: Vec<_> = (0..harts).map(|hart| format!("{hart}*")).collect();
        reports(&mut talk, "Domain0 HARTs", &all.join(","));
        reports(&mut talk, "Domain0 Next Mode", "S-mode");
        reports(&mut talk, "Boot HART Base ISA", "rv64imafdc");
        reports(&mut talk, "Boot HART PMP Count", "16");
        talk.expect("sbi: a kernel that only asks questions");
        let report = talk.expect(" checks, 0 failed");
        assert_eq!(report.matches("with hart ").count(), harts - 1, "{report}");
        talk.ends(0);
    }
}

#[test]
fn u_boot_runs_over_opensbi_over_the_built_in_sbi_and_alone() {
    let bios = opensbi("fw_dynamic.bin");
    let smode = package("/usr/lib/u-boot/qemu-riscv64_smode/u-boot.bin");
    let mmode = package("/usr/lib/u-boot/qemu-riscv64/u-boot.bin");
    let (Some(bios), Some(smode), Some(mmode)) = (bios, smode, mmode) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk.img");
    let mut bytes = vec![0; 1 << 20];
    bytes[5 * 512..][..8].copy_from_slice(b"sector 5");
    std::fs::write(&disk, &bytes).unwrap();
    let disk = disk.to_str().unwrap();
    for args in [
        &["boot", "--bios", &bios, "--kernel", &smode, "--disk", disk] as &[_],
        &["boot", "--kernel", &smode, "--disk", disk],
        &["--disk", disk, &mmode],
    ] {
        let mut talk = Talk::new(args);
        u_boot_prompt(&mut talk);
        let answer = u_boot(&mut talk, "bdinfo");
        assert!(answer.contains("0x0000000080000000"), "{answer}");
        let answer = u_boot(&mut talk, "virtio info");
        assert!(answer.contains("Capacity: 1.0 MB"), "{answer}");
        // The sector, byte for byte: read into memory and shown.
        let answer = u_boot(&mut talk, "virtio read 84000000 5 1");
        assert!(answer.contains("1 blocks read: OK"), "{answer}");
        let answer = u_boot(&mut talk, "md.b 84000000 8");
        assert!(answer.contains("sector 5"), "{answer}");
        talk.send("reset\r");
        u_boot_prompt(&mut talk);
        talk.send("poweroff\r");
        talk.ends(0);
    }
}

fn u_boot_prompt(talk: &mut Talk) {
    talk.expect("U-Boot 20");
    talk.expect("Model: ruse,virt");
    talk.expect("Hit any key to stop autoboot");
    talk.send("\r");
    talk.expect("=> ");
}

/// What U-Boot answers to a command.
#[track_caller]
fn u_boot(talk: &mut Talk, command: &str) -> String {
    talk.send(&format!("{command}\r"));
    // Its echo: when the host is busy, a prompt more may have come before.
    talk.expect(command);
    talk.expect("=> ")
}

#[test]
fn the_device_tree_can_be_had_without_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("board.dtb");
    let file = file.to_str().unwrap();
    let kernel = rom("sbi/sbi.bin");
    for args in [
        &["--harts", "3"] as &[_],
        &["boot", "--kernel", &kernel, "--append", "hello there"],
    ] {
        let ended = Talk::new(&[args, &["--dump-dtb", file]].concat()).ends(0);
        assert_eq!(ended.output + &ended.errors, "");
        let Ok(dtc) = Command::new("dtc")
            .args(["-I", "dtb", "-O", "dts", file])
            .output()
        else {
            assert!(std::env::var_os("CI").is_none(), "CI needs dtc");
            eprintln!("skipped: no dtc");
            return;
        };
        assert_eq!(String::from_utf8_lossy(&dtc.stderr), "");
        assert!(dtc.status.success());
        let source = String::from_utf8(dtc.stdout).unwrap();
        let boots = args[0] == "boot";
        assert_eq!(source.contains("cpu@2 {"), !boots, "{source}");
        assert_eq!(
            source.contains("bootargs = \"hello there\""),
            boots,
            "{source}"
        );
    }
}

#[test]
fn harts_keep_their_promises_over_opensbi_too() {
    let kernel = rom("smp/smp.bin");
    let Some(bios) = opensbi("fw_dynamic.bin") else {
        return;
    };
    for harts in ["2", "4"] {
        let args = ["boot", "--bios", &bios, "--kernel", &kernel];
        let mut talk = Talk::new(&[&args[..], &["--harts", harts]].concat());
        talk.expect(&format!("{harts} harts"));
        let results = talk.expect(" tests, 0 failed");
        assert!(!results.contains("FAIL"), "{results}");
        talk.ends(0);
    }
}
