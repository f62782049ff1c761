//! What a machine's process keeps while its guest runs, seen from outside.
#![cfg(target_os = "linux")]

mod talk;

use std::path::Path;

use talk::{Talk, ruse};

/// A machine that waits for what is typed.
fn monitor(home: &Path, args: &[&str]) -> Talk {
    let mut command = ruse(&[&["monitor"], args].concat());
    command.env("RUSE_HOME", home);
    let mut talk = Talk::start(command);
    talk.expect("ruse> ");
    talk
}

/// A field of every thread of process `pid` (proc_pid_status(5)).
fn of_threads(pid: u32, field: &str) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks
        .map(|task| {
            let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix(field));
            line.unwrap_or_default()
                .trim_start_matches(':')
                .trim()
                .into()
        })
        .collect()
}

#[test]
fn every_thread_is_confined_while_the_guest_runs() {
    let home = tempfile::tempdir().unwrap();
    if of_threads(std::process::id(), "Seccomp")[0].is_empty() {
        println!("skipped: this kernel has no seccomp");
        return;
    }
    let guest = monitor(home.path(), &[]);
    let threads = of_threads(guest.id(), "Seccomp");
    // The hart's, the disk's, the keyboard's.
    assert!(threads.len() >= 3, "{threads:?}");
    // A filter, in each of them; and no way to new privileges.
    assert!(threads.iter().all(|mode| mode == "2"), "{threads:?}");
    let privileges = of_threads(guest.id(), "NoNewPrivs");
    assert!(privileges.iter().all(|set| set == "1"), "{privileges:?}");
    drop(guest);

    let guest = monitor(home.path(), &["--confine", "off"]);
    let threads = of_threads(guest.id(), "Seccomp");
    assert!(threads.iter().all(|mode| mode == "0"), "{threads:?}");
}
