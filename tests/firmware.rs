//! Unmodified firmware, as Debian ships it (packages opensbi and
//! u-boot-qemu), and what hangs on the console of the `ruse` command.

mod talk;

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use talk::{Talk, package, rom, ruse};

#[test]
fn opensbi_starts_a_kernel_and_answers_it() {
    let Some(dir) = package("/usr/lib/riscv64-linux-gnu/opensbi/generic") else {
        return;
    };
    let kernel = rom("sbi/sbi.bin");
    for name in [
        "fw_dynamic.bin",
        "fw_dynamic.elf",
        "fw_jump.bin",
        "fw_jump.elf",
    ] {
        let bios = PathBuf::from(&dir).join(name);
        let bios = bios.to_str().unwrap();
        let args = ["boot", "--bios", bios, "--kernel", &kernel, "--harts", "2"];
        let mut talk = Talk::new(&args);
        talk.expect("OpenSBI v");
        talk.expect(" 0 failed");
        assert_eq!(talk.code(), Some(0), "{name}");
    }
}

#[test]
fn u_boot_runs_over_opensbi_over_the_built_in_sbi_and_alone() {
    let bios = package("/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin");
    let smode = package("/usr/lib/u-boot/qemu-riscv64_smode/u-boot.bin");
    let mmode = package("/usr/lib/u-boot/qemu-riscv64/u-boot.bin");
    let (Some(bios), Some(smode), Some(mmode)) = (bios, smode, mmode) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk.img");
    std::fs::write(&disk, vec![0; 1 << 20]).unwrap();
    let disk = disk.to_str().unwrap();
    for args in [
        &["boot", "--bios", &bios, "--kernel", &smode, "--disk", disk] as &[_],
        &["boot", "--kernel", &smode, "--disk", disk],
        &[&mmode, "--disk", disk],
    ] {
        let mut talk = Talk::new(args);
        talk.expect("U-Boot 20");
        talk.expect("Hit any key to stop autoboot");
        talk.send("\r");
        talk.expect("=> ");
        talk.send("virtio info\r");
        talk.expect("Capacity: 1.0 MB");
        talk.expect("=> ");
        talk.send("poweroff\r");
        assert_eq!(talk.code(), Some(0), "{args:?}");
    }
}

#[test]
fn an_idle_guest_leaves_the_host_alone() {
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk.img");
    std::fs::write(&disk, vec![0; 4096]).unwrap();
    let mut talk = Talk::new(&[
        &rom("monitor/monitor.elf"),
        "--disk",
        disk.to_str().unwrap(),
    ]);
    talk.expect("ruse> ");
    let Some(before) = cpu_time(talk.child.id()) else {
        return;
    };
    let seconds = 2;
    std::thread::sleep(Duration::from_secs(seconds));
    let used = cpu_time(talk.child.id()).unwrap() - before;
    assert!(
        used <= seconds * 2,
        "{used} hundredths of a second in {seconds} s"
    );
    talk.send("off 3\r");
    assert_eq!(talk.code(), Some(3));
}

/// Processor time of a process, in hundredths of a second, where the host
/// has `/proc` (proc(5): `utime` and `stime`, in ticks).
fn cpu_time(id: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?)
}

#[test]
#[cfg(unix)]
fn a_signal_or_a_closed_pipe_ends_it_quietly() {
    const STOPPED: Option<i32> = Some(130);
    for signal in ["-TERM", "-INT", "-HUP"] {
        let mut talk = Talk::new(&[&rom("spin/spin-rv64.elf")]);
        // Not before it is ready for signals: it reads its input then.
        talk.send("x");
        std::thread::sleep(Duration::from_millis(300));
        let id = talk.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &id])
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(talk.code(), STOPPED, "{signal}");
    }
    // A guest that would otherwise print its greeting and wait for a command.
    let mut child = ruse(&[&rom("monitor/monitor.elf")])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut complaints = String::new();
    let mut stderr = child.stderr.take().unwrap();
    stderr.read_to_string(&mut complaints).unwrap();
    assert_eq!(complaints, "");
    assert_eq!(child.wait().unwrap().code(), STOPPED);
}

#[test]
fn input_that_ended_is_no_reason_to_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = ruse(&[]);
    command.env("RUSE_HOME", dir.path()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"sleep 1\roff 6\r").unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(6));
    let complaints = String::from_utf8(output.stderr).unwrap();
    assert!(
        complaints.contains("ssd.img: 50 GB, of which the host holds"),
        "{complaints}"
    );
    let size = std::fs::metadata(dir.path().join("ssd.img")).unwrap().len();
    assert_eq!(size, 50_000_000_000);
}
