//! Machines by name: described by files, started in the background, listed,
//! talked to and switched off, with every step of asking a guest to.
#![cfg(unix)]

mod talk;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use talk::debian::{IMAGE, INITRD, KERNEL, made};
use talk::user::User;
use talk::{Talk, rom};

const USAGE: i32 = 120;
const STUCK: i32 = 124;
const HOST: i32 = 125;

/// A machine that does nothing, for ever: it knows no power button and no
/// SysRq.
fn idle(user: &User, name: &str) -> String {
    // wfi; j -4
    let program = [0x73, 0x00, 0x50, 0x10, 0x6f, 0xf0, 0xdf, 0xff];
    std::fs::write(user.path("idle.bin"), program).unwrap();
    std::fs::write(user.path("disk.img"), vec![0; 1 << 20]).unwrap();
    let text = "bios = 'idle.bin'\nmemory = '16M'\nharts = 2\ndisks = ['disk.img,ro']\n";
    user.file(&format!("{name}.toml"), text)
}

#[test]
fn machines_run_in_the_background_and_are_listed() {
    let user = User::new();
    let files = [idle(&user, "web"), idle(&user, "db")];
    assert_eq!(user.machines().len(), 0);
    let (said, _) = user.run(&["up", &files[0], &files[1]], 0);
    assert!(
        said.contains("web: runs") && said.contains("db: runs"),
        "{said}"
    );

    let machines = user.machines();
    let names: Vec<_> = machines
        .iter()
        .map(|m| m["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["db", "web"]);
    for machine in &machines {
        assert_eq!(machine["state"], "running");
        assert_eq!(
            (&machine["memory"], &machine["harts"]),
            (&(16 << 20).into(), &2.into())
        );
        let resident = machine["resident"].as_u64().unwrap();
        assert!((1 << 20..1 << 30).contains(&resident), "{resident}");
        assert!(machine["cpu_milliseconds"].is_u64());
        let disk = &machine["disks"][0];
        assert_eq!(
            (&disk["size"], &disk["read_only"]),
            (&(1 << 20).into(), &true.into())
        );
        assert_eq!(
            Path::new(disk["path"].as_str().unwrap()),
            user.path("disk.img")
        );
        assert!(disk["held"].as_u64().unwrap() >= 1 << 20);
    }
    let (table, _) = user.run(&["ps"], 0);
    assert!(table.starts_with("NAME"), "{table}");
    assert!(table.lines().all(|line| line.len() <= 80), "{table}");

    // One of each name, described by a file or not.
    for args in [
        &["up", "-d", &files[0]][..],
        &["up", &files[0]],
        &[
            "boot",
            "--name",
            "web",
            "--bios",
            user.path("idle.bin").to_str().unwrap(),
        ],
    ] {
        let (_, error) = user.run(args, HOST);
        assert!(
            error.contains("web: a machine of this name runs already, as process"),
            "{error}"
        );
    }

    // One is killed, and one ends: neither is left.
    let pid = machines[1]["pid"].as_u64().unwrap();
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    while !user
        .machines()
        .iter()
        .all(|machine| machine["name"] == "db")
    {
        std::thread::sleep(Duration::from_millis(10));
    }
    let (said, _) = user.run(&["stop", "--kill", "db"], 0);
    assert!(
        said.contains("db: pulls the plug") && said.contains("db: ended after"),
        "{said}"
    );
    assert_eq!(user.machines().len(), 0);
    let left: Vec<_> = std::fs::read_dir(user.path("run/ruse"))
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect();
    assert_eq!(left, [".lock"]);
    let (_, error) = user.run(&["stop", "db"], HOST);
    assert!(
        error.contains("db: no machine of this name runs"),
        "{error}"
    );
    user.run(&["console", "db"], HOST);
}

#[test]
fn a_guest_that_does_not_listen_loses_its_plug() {
    let user = User::new();
    let file = idle(&user, "web");
    user.run(&["up", "-d", &file], 0);
    let (said, _) = user.run(&["stop", "web", "--timeout", "1"], STUCK);
    let steps = [
        "no driver for the power button",
        "by SysRq",
        "no sign of a kernel",
        "pulls the plug",
        "ended after",
    ];
    let mut rest = said.as_str();
    for step in steps {
        let at = rest
            .find(step)
            .unwrap_or_else(|| panic!("no {step:?}: {said}"));
        rest = &rest[at..];
    }
    // The same by signals: one to ask, one to insist.
    user.run(&["up", "-d", &file], 0);
    let pid = user.machines()[0]["pid"].as_u64().unwrap();
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    let term = || rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    term();
    while user.machines()[0]["state"] != "stopping" {
        std::thread::sleep(Duration::from_millis(10));
    }
    term();
    while !user.machines().is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_console_is_lent_and_given_back() {
    let user = User::new();
    let monitor = rom("monitor/monitor.elf");
    let text = format!("bios = '{monitor}'\nmemory = '64M'\nconsole-log = 'said'\n");
    let file = user.file("web.toml", &text);
    user.run(&["up", "-d", &file], 0);
    for round in 0..2 {
        let mut console = Talk::start(user.command(&["console", "web"]));
        // Something is heard of it only once both are connected.
        console.send("\n");
        console.expect("ruse> ");
        console.send(&format!("round{round}\n"));
        console.expect(&format!("round{round}"));
        console.expect("ruse> ");
        console.kill();
    }
    // Two at once hear the same, and the end.
    let mut first = Talk::start(user.command(&["console", "web"]));
    first.send("\n");
    first.expect("ruse> ");
    let mut second = Talk::start(user.command(&["console", "web"]));
    second.send("\n");
    second.expect("ruse> ");
    first.send("off\n");
    second.expect("off");
    first.ends(0);
    second.ends(0);
    while !user.machines().is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let said = std::fs::read_to_string(user.path("said")).unwrap();
    assert!(said.contains("round0") && said.contains("round1"), "{said}");
}

#[test]
fn whatever_is_said_on_the_socket_the_machine_runs_on() {
    let user = User::new();
    user.run(&["up", "-d", &idle(&user, "web")], 0);
    let say = |bytes: &[u8]| {
        let mut stream = UnixStream::connect(user.socket("web")).unwrap();
        // It may be done with us before we are.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    };
    assert_eq!(say(b""), "");
    for wrong in [
        &b"\n"[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"{\"do\":\"format\"}\n",
        b"{\"do\":\"stop\",\"timeout\":99999999999999999999999,\"kill\":true}\n",
        b"\xff\xfe\0\n",
        b"[[[[[[[[[[[[[[[[",
    ] {
        assert!(say(wrong).starts_with("{\"error\":"), "{wrong:?}");
    }
    say(&vec![b'['; 10 << 20]);
    let attached = say(b"{\"do\":\"console\"}\n{\"keys\":\"\xc4\x80\"}\nnonsense\n");
    assert_eq!(attached, "\"attached\"\n");
    // Many who say nothing are not in the way for long, or are turned away.
    let mut idlers = Vec::new();
    for _ in 0..100 {
        idlers.push(UnixStream::connect(user.socket("web")).unwrap());
    }
    drop(idlers);
    while user.machines()[0]["state"] != "running" {
        std::thread::sleep(Duration::from_millis(10));
    }
    user.run(&["stop", "--kill", "web"], 0);
}

#[test]
fn what_is_wrong_with_a_file_is_said_where_it_is() {
    let user = User::new();
    let fails = |text: &str, code: i32, parts: &[&str]| {
        let file = user.file("web.toml", text);
        for args in [&["up", &file][..], &["up", "-d", &file]] {
            let (out, error) = user.run(args, code);
            assert_eq!(out, "");
            for part in parts {
                assert!(error.contains(part), "{text:?}: {error:?} has no {part:?}");
            }
        }
    };
    fails(
        "bios = 'x'\nmemory = 'lots'",
        USAGE,
        &["web.toml:2:10: ", "lots"],
    );
    fails(
        "bios = 'x'\ncolour = 1",
        USAGE,
        &["web.toml:2:1: unknown key `colour`", "memory"],
    );
    fails("name = '../web'\nbios = 'x'", USAGE, &["web.toml:1:8: "]);
    fails("memory = '1G'", USAGE, &["web.toml: nothing to boot"]);
    fails("bios = 'x", USAGE, &["web.toml:1:"]);
    fails("bios = 'missing.bin'", HOST, &["missing.bin"]);
    fails(
        "bios = 'web.toml'\ndisks = ['gone.img']",
        HOST,
        &["gone.img"],
    );
    fails(
        "bios = 'web.toml'\nconsole-log = 'no/where/\0'",
        USAGE,
        &["web.toml:2:"],
    );
    user.run(&["up", user.path("none.toml").to_str().unwrap()], HOST);
    user.run(&["up"], USAGE);
    user.run(&["stop"], USAGE);
    for name in ["a/b", "..", ""] {
        user.run(&["stop", name], USAGE);
        user.run(&["console", name], USAGE);
    }
    assert_eq!(user.machines().len(), 0);
}

#[test]
fn a_machine_of_a_file_runs_in_the_foreground_like_any_other() {
    let user = User::new();
    std::fs::copy(rom("hello/hello-rv64.elf"), user.path("hello.elf")).unwrap();
    let file = user.file("web.toml", "bios = 'hello.elf'\n");
    let (here, _) = user.run(&["up", &file], 0);
    let (there, _) = user.run(
        &["boot", "--bios", user.path("hello.elf").to_str().unwrap()],
        0,
    );
    assert_eq!(here, there);
    assert!(!here.is_empty());
    // In the background it is over before anybody looks, and that is fine.
    user.run(&["up", "-d", &file], 0);
    while !user.machines().is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(user.console_log("web"), here);
}

/// Debian, which has no logind in its minimal form: its kernel answers SysRq.
#[test]
fn debian_is_switched_off_and_its_file_system_is_clean() {
    if !made(&[KERNEL, INITRD, IMAGE]) {
        return;
    }
    let user = User::new();
    let status = Command::new("cp")
        .args(["--sparse=always", &rom(IMAGE)])
        .arg(user.path("web.img"))
        .status();
    assert!(status.unwrap().success());
    let text = format!(
        "memory = '512M'\nkernel = '{}'\ninitrd = '{}'\ndisks = ['web.img']\n\
         append = 'root=/dev/vda rw console=ttyS0 quiet'\n",
        rom(KERNEL),
        rom(INITRD)
    );
    let file = user.file("web.toml", &text);
    user.run(&["up", "-d", &file], 0);
    let mut console = Talk::start(user.command(&["console", "web"]));
    console.expect("debian login: ");
    console.send("root\n");
    console.expect("root@debian:~# ");
    console.send("echo late > news; echo \"<$?>\"\n");
    console.expect("<0>");
    let (said, _) = user.run(&["stop", "web", "--timeout", "2"], 0);
    assert!(said.contains("the guest switched off"), "{said}");
    console.expect("Emergency Remount complete");
    console.ends(0);
    let image = user.path("web.img");
    let check = |args: &[&str]| {
        let output = Command::new("/usr/sbin/dumpe2fs")
            .args(args)
            .arg(&image)
            .output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let state = check(&["-h"]);
    assert!(!state.contains("needs_recovery"), "{state}");
    assert!(state.contains("clean"), "{state}");
    let output = Command::new("/usr/sbin/debugfs")
        .args(["-R", "cat /root/news"])
        .arg(&image)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "late\n");
}
