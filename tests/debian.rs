//! Debian 13, unmodified: to a shell, with a disk that remembers.
//!
//! The files come from `roms/debian/build kernel installer minimal`, which
//! `tests/run` calls.

mod talk;

use std::process::Command;

use talk::{Talk, rom};

const KERNEL: &str = "debian/out/Image";
const INITRD: &str = "debian/out/initrd.img";
const IMAGE: &str = "debian/out/debian-minimal.img";
const APPEND: &str = "root=/dev/vda rw console=ttyS0 quiet";

/// Whether these outputs of `roms/debian/build` are there; CI insists.
fn made(files: &[&str]) -> bool {
    let missing: Vec<_> = files
        .iter()
        .map(|file| rom(file))
        .filter(|file| !std::path::Path::new(file).exists())
        .collect();
    if missing.is_empty() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "CI needs {missing:?}");
    eprintln!("skipped: no {missing:?}; roms/debian/build makes them");
    false
}

/// A disk of the test's own, with Debian on it.
fn disk(folder: &tempfile::TempDir) -> String {
    let path = folder.path().join("debian.img");
    let status = Command::new("cp")
        .args(["--sparse=always", &rom(IMAGE)])
        .arg(&path)
        .status()
        .unwrap();
    assert!(status.success());
    path.to_str().unwrap().into()
}

fn boot(disk: &str, more: &[&str]) -> Talk {
    let (kernel, initrd) = (rom(KERNEL), rom(INITRD));
    let mut args = vec!["boot", "--kernel", &kernel, "--initrd", &initrd];
    args.extend(["--append", APPEND, "--disk", disk]);
    args.extend(more);
    Talk::new(&args)
}

fn log_in(guest: &mut Talk) {
    guest.expect("debian login: ");
    guest.send("root\n");
    guest.expect("root@debian:~# ");
}

/// Runs a command that prints `answer`, which must not be in the command
/// itself: the terminal echoes it.
#[track_caller]
fn ask(guest: &mut Talk, command: &str, answer: &str) {
    guest.send(command);
    guest.send("\n");
    guest.expect(answer);
    guest.expect("root@debian:~# ");
}

#[test]
fn what_is_written_is_there_after_a_reboot_and_after_a_kill() {
    if !made(&[KERNEL, INITRD, IMAGE]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(&folder);
    let mut guest = boot(&disk, &[]);
    log_in(&mut guest);
    ask(
        &mut guest,
        "uname -m; echo A$((6*7)) > kept; sync",
        "riscv64",
    );
    guest.send("reboot\n");
    guest.expect("reboot: Restarting system");
    log_in(&mut guest);
    ask(&mut guest, "cat kept", "A42");
    // Flushed, and then the host process dies without a word.
    ask(
        &mut guest,
        "echo B$((7*8)) > kept; sync; echo don'e'",
        "done",
    );
    guest.child.kill().unwrap();
    guest.child.wait().unwrap();

    let mut guest = boot(&disk, &["--harts", "2"]);
    log_in(&mut guest);
    ask(&mut guest, "cat kept", "B56");
    ask(&mut guest, "echo harts: $(nproc)", "harts: 2");
    guest.send("poweroff\n");
    guest.expect("reboot: Power down");
    assert_eq!(guest.code(), Some(0));
}

#[test]
fn over_opensbi_with_a_second_disk_that_cannot_be_written() {
    const OPENSBI: &str = "/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin";
    if !made(&[KERNEL, INITRD, IMAGE]) || talk::package(OPENSBI).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(&folder);
    let second = folder.path().join("second.img");
    let mut bytes = vec![0; 1 << 20];
    bytes[..8].copy_from_slice(b"precious");
    std::fs::write(&second, &bytes).unwrap();
    let second_ro = format!("{},ro", second.display());
    let mut guest = boot(&disk, &["--bios", OPENSBI, "--disk", &second_ro]);
    guest.expect("OpenSBI v");
    log_in(&mut guest);
    ask(&mut guest, "head -c 8 /dev/vdb; echo", "precious");
    ask(&mut guest, "cat /sys/block/vdb/ro | tr 1 R", "R");
    ask(
        &mut guest,
        "dd if=/dev/zero of=/dev/vdb count=1 conv=fsync; echo status: $?",
        "status: 1",
    );
    guest.send("poweroff\n");
    guest.expect("reboot: Power down");
    assert_eq!(guest.code(), Some(0));
    assert_eq!(std::fs::read(&second).unwrap(), bytes);
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
}
