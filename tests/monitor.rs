//! `ruse` without a word: the monitor, and the SSD that stays.

mod talk;

use std::path::Path;

use talk::{Ended, Talk, ruse};

const PROMPT: &str = "ruse> ";

/// The monitor, whose SSD is in `home`.
fn monitor(home: &Path, args: &[&str]) -> Talk {
    let mut command = ruse(&[&["monitor"], args].concat());
    command.env("RUSE_HOME", home);
    let mut talk = Talk::start(command);
    talk.expect("The ruse monitor");
    talk.expect(PROMPT);
    talk
}

/// What it answers to a command.
#[track_caller]
fn ask(talk: &mut Talk, command: &str) -> String {
    talk.send(&format!("{command}\r"));
    // The echo.
    talk.expect("\r\n");
    talk.expect(PROMPT)
}

/// What a run says about its SSD: one line, the first.
#[track_caller]
fn about_the_ssd(ended: &Ended, home: &Path) -> String {
    let path = home.join("ssd.img");
    let start = format!(
        "ruse: the SSD is {}: 50 GB, of which the host holds ",
        path.display()
    );
    let line = ended.errors.strip_suffix('\n').unwrap();
    line.strip_prefix(&start)
        .unwrap_or_else(|| panic!("{line:?} is not {start:?}..."))
        .into()
}

#[test]
fn what_is_written_is_there_in_the_next_run() {
    let home = tempfile::tempdir().unwrap();
    // A folder that is not there yet.
    let home = home.path().join("share/ruse");
    let mut first = monitor(&home, &[]);
    let info = ask(&mut first, "info");
    for line in [
        "board    ruse,virt",
        "harts    1, rv64imafdc",
        "memory   1 GiB at 0x80000000",
        "disk     50 GB SSD, 97656250 sectors of 512 bytes",
        "timer at 10 MHz",
        "power    a switch at 0x100000",
    ] {
        assert!(info.contains(line), "no {line:?} in {info}");
    }
    let answer = ask(&mut first, "disk");
    assert!(answer.contains("serial   ruse-ssd"), "{answer}");
    let empty = ask(&mut first, "read 97656249");
    assert!(
        empty.contains("|................|") && !empty.contains("refused"),
        "{empty}"
    );
    let answer = ask(&mut first, "write 97656249 the last sector");
    assert!(answer.contains("now holds your 15 bytes"), "{answer}");
    let answer = ask(&mut first, "write 97656250 beyond it");
    assert!(answer.contains("the last sector is 97656249"), "{answer}");
    first.send("off\r");
    let ended = first.ends(0);
    assert_eq!(about_the_ssd(&ended, &home), "0 bytes");

    let file = home.join("ssd.img");
    let metadata = std::fs::metadata(&file).unwrap();
    assert_eq!(metadata.len(), 50_000_000_000);
    #[cfg(unix)]
    assert!(std::os::unix::fs::MetadataExt::blocks(&metadata) * 512 < 1 << 20);

    let mut second = monitor(&home, &[]);
    let answer = ask(&mut second, "read 97656249");
    assert!(answer.contains("|the last sector.|"), "{answer}");
    second.send("off\r");
    let held = about_the_ssd(&second.ends(0), &home);
    assert!(held != "0 bytes" && held.ends_with('B'), "{held}");
}

#[test]
fn its_exit_code_is_the_guests() {
    let home = tempfile::tempdir().unwrap();
    for (command, code) in [
        ("off 7", 7),
        ("crash hard", 3),
        ("off 99", 99),
        ("off 200", 99),
        ("crash void", 124),
    ] {
        let mut talk = monitor(home.path(), &[]);
        talk.send(&format!("{command}\r"));
        let errors = talk.ends(code).errors;
        let says = |text| errors.lines().any(|line| line.contains(text));
        assert_eq!(says("the guest's exit code is 200"), command == "off 200");
        assert_eq!(says("hart 0 cannot go on"), command == "crash void");
    }
}

#[test]
fn it_survives_every_crash_that_can_be_survived() {
    let home = tempfile::tempdir().unwrap();
    let mut talk = monitor(home.path(), &[]);
    let answer = ask(&mut talk, "peek 0x90000");
    assert!(
        answer.contains("I read at address 0x90000, and nothing there would answer."),
        "{answer}"
    );
    assert!(answer.contains("mtval   <- 0x0000000000090000"), "{answer}");
    for (kind, trap) in [
        ("illegal", "illegal instruction"),
        ("load", "load access fault"),
        ("store", "store or atomic access fault"),
        ("fetch", "instruction access fault"),
        // misa.C cannot be cleared, which is one of the ways that are allowed.
        ("jump", "does not let me switch them off"),
        ("misaligned", "It worked"),
        ("atomic", "store or atomic"),
        ("csr", "illegal instruction"),
        ("ecall", "call from machine mode"),
        ("ebreak", "breakpoint"),
        ("stack", "store or atomic access fault"),
        ("user", "illegal instruction"),
        ("double", "load access fault"),
    ] {
        let answer = ask(&mut talk, &format!("crash {kind}"));
        assert!(answer.contains(trap), "{kind}: {answer}");
    }
    // And is in its right mind afterwards.
    let answer = ask(&mut talk, "trap");
    assert!(answer.contains("and find 42 in a0"), "{answer}");
    talk.send("off\r");
    talk.ends(0);
}

#[test]
fn harts_answer_each_for_itself() {
    let home = tempfile::tempdir().unwrap();
    let mut talk = monitor(home.path(), &["--harts", "3", "--memory", "64M"]);
    let info = ask(&mut talk, "info");
    assert!(info.contains("harts    3, "), "{info}");
    assert!(info.contains("memory   64 MiB at"), "{info}");
    let answer = ask(&mut talk, "harts");
    for line in ["hart 0 ", "hart 1 ", "hart 2 "] {
        assert!(answer.contains(line), "{answer}");
    }
    assert_eq!(answer.matches("awoke and answered").count(), 2, "{answer}");
    talk.send("off\r");
    talk.ends(0);
}

#[test]
fn a_reboot_is_a_new_start_in_the_same_process() {
    let home = tempfile::tempdir().unwrap();
    let mut talk = monitor(home.path(), &[]);
    let first = ask(&mut talk, "poke 0x88000000 0x12345678");
    assert!(first.contains("Stored 32 bits"), "{first}");
    ask(&mut talk, "write 5 still here");
    talk.send("reboot\r");
    talk.expect("The ruse monitor");
    talk.expect(PROMPT);
    let answer = ask(&mut talk, "read 5");
    assert!(answer.contains("|still here......|"), "{answer}");
    talk.send("off 4\r");
    talk.ends(4);
}

#[test]
fn the_end_of_input_lets_it_finish_what_it_was_told() {
    let home = tempfile::tempdir().unwrap();
    // `sleep` still has a timer to wait for; then the line after it counts.
    let mut talk = monitor(home.path(), &[]);
    talk.send("sleep 0.3\roff 6\r");
    talk.close_input();
    let output = talk.ends(6).output;
    assert!(output.contains("Awake after "), "{output}");
    // A guest that waits for input which cannot come any more is told off.
    let mut talk = monitor(home.path(), &[]);
    talk.send("echo last words\r");
    talk.close_input();
    let ended = talk.ends(124);
    assert!(
        ended.output.ends_with("last words\r\nruse> "),
        "{}",
        ended.output
    );
    assert!(ended.errors.ends_with(
        "ruse: the guest waits for ever: \
         no interrupt is pending, no timer is set, and input has ended\n"
    ));
}

#[test]
fn a_disk_of_ones_own_replaces_the_ssd() {
    let home = tempfile::tempdir().unwrap();
    let disk = home.path().join("my.img");
    std::fs::write(&disk, [&b"mine"[..], &[0; 4092]].concat()).unwrap();
    let mut talk = monitor(home.path(), &["--disk", disk.to_str().unwrap()]);
    let answer = ask(&mut talk, "read 0");
    assert!(answer.contains("|mine............|"), "{answer}");
    ask(&mut talk, "write 7 yours");
    talk.send("off\r");
    assert_eq!(talk.ends(0).errors, "");
    assert_eq!(&std::fs::read(&disk).unwrap()[7 * 512..][..6], b"yours\0");
    assert!(!home.path().join("ssd.img").exists());

    let read_only = format!("{},ro", disk.display());
    let mut talk = monitor(home.path(), &["--disk", &read_only]);
    let answer = ask(&mut talk, "write 7 no");
    assert!(answer.contains("read-only"), "{answer}");
    talk.send("off\r");
    talk.ends(0);
}

#[test]
fn an_idle_guest_leaves_the_host_alone() {
    let home = tempfile::tempdir().unwrap();
    let mut talk = monitor(home.path(), &[]);
    // The guest sleeps a second of its own; the host has to sleep too. A
    // guest that spins would use a hundred hundredths.
    let Some(before) = cpu_time(talk.id()) else {
        return;
    };
    let answer = ask(&mut talk, "sleep 1");
    assert!(answer.contains("Awake after "), "{answer}");
    let used = cpu_time(talk.id()).unwrap() - before;
    assert!(used < 50, "{used} hundredths of a second of work");
    talk.send("off\r");
    talk.ends(0);
}

/// Processor time of a process, in hundredths of a second, where the host
/// has `/proc` (proc(5): `utime` and `stime`, in ticks).
fn cpu_time(id: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?)
}

/// On a file system of 64 KiB, which takes a name space of our own.
#[test]
#[cfg(target_os = "linux")]
fn without_room_on_the_host_the_guest_waits_and_loses_nothing() {
    let home = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=64k none \"$RUSE_HOME\" &&
        head -c 40960 /dev/zero > \"$RUSE_HOME/filler\" && exec \"$0\" monitor";
    let mut command = std::process::Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .arg(env!("CARGO_BIN_EXE_ruse"))
        .env("RUSE_HOME", home.path());
    let allowed = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "true"])
        .status();
    if !allowed.is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("CI").is_none(), "CI needs name spaces");
        eprintln!("skipped: this host lets nobody make a name space");
        return;
    }
    let mut talk = Talk::start(command);
    talk.expect(PROMPT);
    // A page of the host's each: there are five or so.
    for n in 0..16 {
        talk.send(&format!("write {} number {n}\r", n * 1000));
    }
    for _ in 0..4 {
        talk.expect(PROMPT);
    }
    talk.warns("the guest waits for room");
    let inside = format!("/proc/{}/root{}/filler", talk.id(), home.path().display());
    std::fs::remove_file(inside).unwrap();
    talk.warns("there is room again");
    for _ in 4..16 {
        talk.expect(PROMPT);
    }
    for n in 0..16 {
        let answer = ask(&mut talk, &format!("read {}", n * 1000));
        assert!(answer.contains(&format!("|number {n}")), "{answer}");
    }
    talk.send("off\r");
    talk.ends(0);
}
