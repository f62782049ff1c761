//! What the guest wrote outlives the death of this process.

#![cfg(unix)]

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use ruse_disk::{Disk, RawDisk, create_sparse};

/// Set in the process that is to die: the image to write to.
const IMAGE: &str = "RUSE_DISK_CRASH_IMAGE";
const WRITES: u64 = 1000;

#[test]
fn writes_outlive_kill_9() {
    if let Ok(image) = std::env::var(IMAGE) {
        let mut disk = RawDisk::open(image, false).unwrap();
        for n in 0..WRITES {
            disk.write_at(512 * n, &[n as u8 | 1; 512]).unwrap();
        }
        println!("\nwritten");
        loop {
            std::thread::park();
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("disk.img");
    create_sparse(&image, 512 * WRITES).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writes_outlive_kill_9", "--nocapture"])
        .env(IMAGE, &image)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "written"));
    let busy = RawDisk::open(&image, false).err().unwrap().to_string();
    assert!(busy.contains("in use by another machine"), "{busy}");
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));

    let mut disk = RawDisk::open(&image, false).expect("the lock died too");
    for n in 0..WRITES {
        let mut sector = [0; 512];
        disk.read_at(512 * n, &mut sector).unwrap();
        assert_eq!(sector, [n as u8 | 1; 512], "sector {n}");
    }
}

/// Sectors of the qcow2 image below.
const SECTORS: u64 = 32 << 11;
/// Set beside [`IMAGE`]: which of its lives the image is in.
const LIFE: &str = "RUSE_DISK_CRASH_LIFE";
/// Writes between two flushes.
const BETWEEN: u64 = 40;

/// What write number `n` of a life does: where, how many sectors, and whether
/// they become zero.
fn deed(life: u64, n: u64) -> (u64, u64, bool) {
    let mut random = (life << 32 | n).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        random ^= random >> 12;
        random ^= random << 25;
        random ^= random >> 27;
        random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 20
    };
    let len = if next() % 8 == 0 {
        256
    } else {
        1 + next() % 16
    };
    (next() % (SECTORS - len), len, next() % 6 == 0)
}

/// What a sector holds after write `n` of a life.
fn stamp(life: u64, n: u64, zero: bool) -> u64 {
    if zero { 0 } else { life << 32 | (n + 1) }
}

fn write_until_killed(image: &str, life: u64) -> ! {
    let spec: ruse_disk::DiskSpec = image.parse().unwrap();
    let mut disk = ruse_disk::open(&spec).unwrap();
    for n in 0.. {
        let (sector, len, zero) = deed(life, n);
        if zero {
            disk.write_zeroes(sector * 512, len * 512, true).unwrap();
        } else {
            let bytes = stamp(life, n, zero).to_le_bytes().repeat(64 * len as usize);
            disk.write_at(sector * 512, &bytes).unwrap();
        }
        if n % BETWEEN == BETWEEN - 1 {
            disk.flush().unwrap();
            println!("\nflushed {}", n + 1);
        }
    }
    unreachable!("it is killed")
}

/// `RUSE_CRASHES` says how often (default 12).
#[test]
fn a_qcow2_image_outlives_kill_9_in_the_middle_of_writes() {
    if let (Ok(image), Ok(life)) = (std::env::var(IMAGE), std::env::var(LIFE)) {
        write_until_killed(&image, life.parse().unwrap());
    }
    if Command::new("qemu-img").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "CI needs qemu-img");
        println!("skipped: no qemu-img");
        return;
    }
    let lives = std::env::var("RUSE_CRASHES").map_or(12, |n| n.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("disk.qcow2");
    let run = |args: &[&str]| {
        let output = Command::new("qemu-img").args(args).arg(&image).output();
        output.unwrap()
    };
    let made = Command::new("qemu-img")
        .args(["create", "-q", "-f", "qcow2"])
        .arg(&image)
        .arg((SECTORS * 512).to_string())
        .status();
    assert!(made.unwrap().success());
    let mut model = vec![0u64; SECTORS as usize];
    let mut flushes = 0;
    for life in 1..=lives {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "a_qcow2_image_outlives_kill_9_in_the_middle_of_writes",
            ])
            .arg("--nocapture")
            .env(IMAGE, &image)
            .env(LIFE, life.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let flushed = |line: &std::io::Result<String>| -> Option<u64> {
            line.as_ref().ok()?.strip_prefix("flushed ")?.parse().ok()
        };
        // Some flushes later, and then a while that is different each time.
        let wanted = 1 + life % 5;
        let mut last = 0;
        for _ in 0..wanted {
            last = lines.find_map(|line| flushed(&line)).expect("a flush");
        }
        std::thread::sleep(std::time::Duration::from_micros(life * 7919 % 6000));
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        // What it still said before it died.
        for line in lines {
            last = flushed(&line).unwrap_or(last);
        }
        flushes += last / BETWEEN;

        let checked = run(&["check", "-q"]);
        // 3: nothing but leaks.
        assert!(
            matches!(checked.status.code(), Some(0 | 3)),
            "life {life}: {}",
            String::from_utf8_lossy(&checked.stderr)
        );
        // What was flushed is there, or what came after it.
        let mut later = vec![Vec::new(); SECTORS as usize];
        for n in 0..last + 4 * BETWEEN + 100_000 / BETWEEN {
            let (sector, len, zero) = deed(life, n);
            for at in sector..sector + len {
                let stamp = stamp(life, n, zero);
                if n < last {
                    model[at as usize] = stamp;
                } else {
                    later[at as usize].push(stamp);
                }
            }
        }
        let spec: ruse_disk::DiskSpec = image.to_str().unwrap().parse().unwrap();
        let mut disk = ruse_disk::open(&spec).unwrap();
        let mut bytes = vec![0; (SECTORS * 512) as usize];
        disk.read_at(0, &mut bytes).unwrap();
        for (at, sector) in bytes.chunks_exact(512).enumerate() {
            let found = u64::from_le_bytes(sector[..8].try_into().unwrap());
            let whole = sector.chunks_exact(8).all(|part| part == &sector[..8]);
            let expected = model[at];
            assert!(
                whole && (found == expected || later[at].contains(&found)),
                "life {life}: sector {at} holds {found:#x} instead of {expected:#x}"
            );
            model[at] = found;
        }
    }
    println!("{lives} kills, {flushes} flushes");
    // What leaked can be given back.
    assert!(run(&["check", "-q", "-r", "leaks"]).status.success());
}
