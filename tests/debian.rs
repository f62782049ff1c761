//! Debian 13, unmodified: to a shell, with a disk that remembers.
//!
//! The files come from `roms/debian/build kernel installer minimal`, which
//! `tests/run` calls.

mod talk;

use talk::debian::{IMAGE, INITRD, KERNEL, ask, boot, disk, log_in, made};
use talk::{Talk, rom};

const OPENSBI: &str = "/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin";
/// Of `seq 1 99999`.
const SUM: &str = "9f588ff5001de34673652c4a767575e4  -";

/// Two harts, and both work.
#[track_caller]
fn check_harts(guest: &mut Talk) {
    assert_eq!(ask(guest, "nproc"), "2");
    for hart in ["0", "1"] {
        let command = format!("taskset -c {hart} grep Cpus_allowed_list /proc/self/status");
        let answer = ask(guest, &command);
        assert_eq!(answer, format!("Cpus_allowed_list:\t{hart}"));
    }
    // The second one goes and comes back, while there is work.
    ask(
        guest,
        "(while :; do md5sum /bin/bash; done > /dev/null) & true",
    );
    for _ in 0..5 {
        for (online, harts) in [("0", "1"), ("1", "2")] {
            let command = format!("echo {online} > /sys/devices/system/cpu/cpu1/online; nproc");
            assert_eq!(ask(guest, &command), harts);
        }
    }
    ask(guest, "kill %%; wait; true");
}

#[test]
fn what_is_written_is_there_after_a_reboot_a_kill_and_under_other_firmware() {
    if !made(&[KERNEL, INITRD, IMAGE]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(&folder);
    let mut guest = boot(&disk, &["--harts", "2"]);
    log_in(&mut guest);
    assert_eq!(ask(&mut guest, "uname -m"), "riscv64");
    check_harts(&mut guest);
    let sum = ask(&mut guest, "seq 1 99999 > kept; md5sum < kept");
    assert_eq!(sum, SUM);

    guest.send("reboot\n");
    guest.expect("reboot: Restarting system");
    log_in(&mut guest);
    assert_eq!(ask(&mut guest, "md5sum < kept"), SUM);
    // Flushed, and then the host process dies without a word.
    ask(&mut guest, "mv kept safe; echo late > news; sync");
    guest.kill();

    let second = folder.path().join("second.img");
    let mut bytes = vec![0; 1 << 20];
    bytes[..8].copy_from_slice(b"precious");
    std::fs::write(&second, &bytes).unwrap();
    let second_ro = format!("{},ro", second.display());
    let firmware = talk::package(OPENSBI);
    let mut more = vec!["--harts", "2", "--disk", &second_ro];
    if let Some(firmware) = &firmware {
        more.extend(["--bios", firmware]);
    }
    let mut guest = boot(&disk, &more);
    if firmware.is_some() {
        guest.expect("OpenSBI v");
    }
    log_in(&mut guest);
    assert_eq!(ask(&mut guest, "cat news"), "late");
    assert_eq!(ask(&mut guest, "md5sum < safe"), SUM);
    check_harts(&mut guest);
    // The second disk can be read, and not written.
    assert_eq!(ask(&mut guest, "head -c 8 /dev/vdb"), "precious");
    assert_eq!(ask(&mut guest, "cat /sys/block/vdb/ro"), "1");
    let answer = ask(&mut guest, "! dd if=/dev/zero of=/dev/vdb count=1");
    assert!(answer.contains("not permitted"), "{answer}");
    guest.send("poweroff\n");
    guest.expect("reboot: Power down");
    guest.ends(0);
    assert_eq!(std::fs::read(&second).unwrap(), bytes);
}

#[test]
fn under_the_virtual_clock_linux_boots_the_same_every_time_also_when_watched() {
    if !made(&[KERNEL]) {
        return;
    }
    // To where the kernel finds no root file system. Its own clock is on
    // every line, to the microsecond: thousands of instructions.
    let kernel = rom(KERNEL);
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("t.txt");
    let run = |watch: &[&str]| {
        let args = ["boot", "--kernel", &kernel, "--append", "console=ttyS0"];
        let more = ["--harts", "2", "--clock", "virtual"];
        let mut guest = Talk::new(&[&args[..], &more, watch].concat());
        guest.expect("---[ end Kernel panic - not syncing: ")
    };
    let first = run(&[]);
    let second = run(&[
        "--trace",
        "trap,call,mmio,irq,sleep",
        "--trace-out",
        trace.to_str().unwrap(),
        "--trace-limit",
        "32M",
    ]);
    let trace = std::fs::read_to_string(trace).unwrap();
    for words in [
        // A kernel has its own names with it.
        "of plic  |  plic.rs: write(",
        ": to the handler handle_exception in S-mode",
        "calls firmware in M-mode: hart_start(",
    ] {
        assert!(trace.contains(words), "no {words:?} in the trace");
    }
    assert!(first.contains("smp: Brought up 1 node, 2 CPUs"), "{first}");
    for (first, second) in first.lines().zip(second.lines()) {
        assert_eq!(first, second);
    }
    assert_eq!(first.len(), second.len());
}

#[test]
fn the_installer_reaches_its_first_menu() {
    const LINUX: &str = "debian/out/installer/linux";
    const RAM_DISK: &str = "debian/out/installer/initrd.gz";
    if !made(&[LINUX, RAM_DISK]) {
        return;
    }
    let (kernel, initrd) = (rom(LINUX), rom(RAM_DISK));
    let mut args = vec!["boot", "--kernel", &kernel, "--initrd", &initrd];
    args.extend(["--append", "console=ttyS0 DEBIAN_FRONTEND=text"]);
    let mut guest = Talk::new(&args);
    guest.expect("Select a language");
    guest.expect("Prompt: ");
    guest.kill();
}
