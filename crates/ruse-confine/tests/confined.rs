//! A process that confined itself, tried from the inside. What is given up
//! does not come back, so that each case has a process of its own: this test's
//! program, started again with the case's name.
#![cfg(target_os = "linux")]

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use ruse_confine::{Level, Needs, calls, files};

const CASE: &str = "RUSE_CONFINED_CASE";
const SIGSYS: i32 = 31;

/// Runs `case` in a process of its own.
fn alone(name: &str, case: impl FnOnce(&Path)) -> Option<ExitStatus> {
    if std::env::var(CASE).is_ok_and(|case| case == name) {
        case(&PathBuf::from(
            std::env::var_os("RUSE_CONFINED_DIR").unwrap(),
        ));
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("empty")).unwrap();
    for name in ["read", "write", "other"] {
        fs::create_dir(dir.path().join(name)).unwrap();
        fs::write(dir.path().join(name).join("file"), name).unwrap();
    }
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(CASE, name)
        .env("RUSE_CONFINED_DIR", dir.path())
        .status()
        .unwrap();
    Some(status)
}

/// Whether the host did it; in CI it must have.
fn done(level: Level, what: &str) -> bool {
    if level == Level::Full {
        return true;
    }
    println!("skipped: this kernel does not confine {what} in full: {level:?}");
    false
}

fn kind<T>(result: std::io::Result<T>) -> ErrorKind {
    match result {
        Ok(_) => panic!("that should not have worked"),
        Err(error) => error.kind(),
    }
}

#[test]
fn only_the_files_it_needs() {
    let status = alone("only_the_files_it_needs", |dir| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap();
        let mut open = OpenOptions::new()
            .read(true)
            .write(true)
            .open(dir.join("other/file"))
            .unwrap();
        let needs = Needs {
            reads: vec![dir.join("read"), dir.join("missing")],
            writes: vec![dir.join("write")],
            empties: vec![dir.to_path_buf()],
            network: false,
        };
        if !done(files(&needs).unwrap(), "files") {
            return;
        }
        let denied = ErrorKind::PermissionDenied;
        assert_eq!(fs::read(dir.join("read/file")).unwrap(), b"read");
        assert_eq!(kind(fs::write(dir.join("read/file"), "x")), denied);
        assert_eq!(kind(fs::write(dir.join("read/new"), "x")), denied);
        assert_eq!(kind(fs::remove_file(dir.join("read/file"))), denied);
        fs::write(dir.join("write/new"), "x").unwrap();
        fs::rename(dir.join("write/new"), dir.join("write/old")).unwrap();
        fs::remove_file(dir.join("write/old")).unwrap();
        fs::remove_dir(dir.join("empty")).unwrap();
        assert_eq!(kind(fs::create_dir(dir.join("empty"))), denied);
        assert_eq!(kind(File::open(dir.join("other/file"))), denied);
        assert_eq!(kind(File::open("/etc/passwd")), denied);
        assert_eq!(kind(fs::read_dir("/")), denied);
        // By another way, too.
        std::os::unix::fs::symlink(dir.join("other/file"), dir.join("write/link")).unwrap();
        assert_eq!(kind(File::open(dir.join("write/link"))), denied);
        assert_eq!(kind(File::open(dir.join("write/../other/file"))), denied);
        // What was open is open.
        let mut text = String::new();
        open.read_to_string(&mut text).unwrap();
        assert_eq!(text, "other");
        open.write_all(b"!").unwrap();
        assert_eq!(kind(Command::new("/bin/true").spawn()), denied);
        assert_eq!(kind(TcpStream::connect(port)), denied);
        assert_eq!(kind(TcpListener::bind("127.0.0.1:0")), denied);
        // Threads that come later are confined too.
        let late = std::thread::spawn(|| kind(File::open("/etc/passwd")));
        assert_eq!(late.join().unwrap(), denied);
    });
    assert!(status.is_none_or(|status| status.success()));
}

#[test]
fn only_the_calls_it_makes() {
    let status = alone("only_the_calls_it_makes", |dir| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let early = std::thread::spawn(move || {
            let _ = gone.recv();
            kind(TcpListener::bind("127.0.0.1:0"))
        });
        if !done(calls(&Needs::default()).unwrap(), "calls") {
            return;
        }
        drop(go);
        assert_eq!(early.join().unwrap(), ErrorKind::Unsupported);
        // Files, threads, memory and time are as before.
        fs::write(dir.join("write/new"), "x").unwrap();
        assert_eq!(fs::read_to_string(dir.join("write/new")).unwrap(), "x");
        fs::remove_file(dir.join("write/new")).unwrap();
        assert_eq!(fs::read_dir(dir).unwrap().count(), 4);
        let sum = std::thread::spawn(|| {
            vec![1u8; 64 << 20]
                .iter()
                .map(|&b| u64::from(b))
                .sum::<u64>()
        });
        assert_eq!(sum.join().unwrap(), 64u64 << 20);
        std::thread::sleep(std::time::Duration::from_millis(1));
        // No program starts, no memory becomes code, nothing new connects.
        assert!(Command::new("/bin/true").spawn().is_err());
        let page = memmap2::MmapMut::map_anon(4096).unwrap();
        assert!(page.make_exec().is_err());
        assert!(TcpStream::connect(listener.local_addr().unwrap()).is_err());
    });
    assert!(status.is_none_or(|status| status.success()));
}

#[test]
fn a_network_that_is_needed_works() {
    let status = alone("a_network_that_is_needed_works", |_| {
        let needs = Needs {
            network: true,
            ..Needs::default()
        };
        files(&needs).unwrap();
        calls(&needs).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut two, _) = listener.accept().unwrap();
        one.write_all(b"over").unwrap();
        drop(one);
        let mut text = String::new();
        two.read_to_string(&mut text).unwrap();
        assert_eq!(text, "over");
    });
    assert!(status.is_none_or(|status| status.success()));
}

#[test]
fn an_intruder_ends_the_process() {
    let status = alone("an_intruder_ends_the_process", |_| {
        if done(calls(&Needs::default()).unwrap(), "calls") {
            let error = Command::new("/bin/true").exec();
            panic!("exec returned: {error}");
        }
    });
    if let Some(status) = status {
        assert!(
            status.signal() == Some(SIGSYS) || status.success(),
            "{status}"
        );
    }
}
