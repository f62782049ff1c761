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
