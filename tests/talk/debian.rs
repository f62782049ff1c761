//! Debian guests, as `roms/debian/build` makes them.

use std::process::Command;

use super::{Talk, rom};

pub const KERNEL: &str = "debian/out/Image";
pub const INITRD: &str = "debian/out/initrd.img";
pub const IMAGE: &str = "debian/out/debian-minimal.img";
const APPEND: &str = "root=/dev/vda rw console=ttyS0 quiet";
const PROMPT: &str = "root@debian:~# ";

/// Whether these outputs of `roms/debian/build` are there; CI insists.
pub fn made(files: &[&str]) -> bool {
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
pub fn disk(folder: &tempfile::TempDir) -> String {
    let path = folder.path().join("debian.img");
    let status = Command::new("cp")
        .args(["--sparse=always", &rom(IMAGE)])
        .arg(&path)
        .status()
        .unwrap();
    assert!(status.success());
    path.to_str().unwrap().into()
}

/// Starts it from this disk.
pub fn boot(disk: &str, more: &[&str]) -> Talk {
    let (kernel, initrd) = (rom(KERNEL), rom(INITRD));
    let mut args = vec!["boot", "--kernel", &kernel, "--initrd", &initrd];
    args.extend(["--append", APPEND, "--disk", disk]);
    args.extend(more);
    Talk::new(&args)
}

/// Waits for it to have started, and logs in.
#[track_caller]
pub fn log_in(guest: &mut Talk) {
    guest.expect("debian login: ");
    guest.send("root\n");
    guest.expect(PROMPT);
}

/// What a command prints, which must succeed.
#[track_caller]
pub fn ask(guest: &mut Talk, command: &str) -> String {
    // Its echo does not look like its answer.
    guest.send(&format!("{command}; echo \"<$?>\"\n"));
    guest.expect("<$?>\"\r\n");
    let answer = guest.expect("<0>");
    guest.expect(PROMPT);
    // Bash tells the terminal that it stops reading a line.
    answer.replace("\x1b[?2004l", "").trim().into()
}
