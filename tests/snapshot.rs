//! Running machines in files, and on from there.
#![cfg(unix)]

mod talk;

use talk::debian::{self, IMAGE, INITRD, KERNEL, made};
use talk::user::User;
use talk::{Talk, rom};

const USAGE: i32 = 120;
const HOST: i32 = 125;

/// Starts the monitor as the machine `web`, with a disk of its user's.
fn monitor(user: &User, options: &str) {
    let bios = rom("monitor/monitor.elf");
    std::fs::write(user.path("disk.img"), vec![0; 1 << 20]).unwrap();
    let text = format!("bios = '{bios}'\nmemory = '64M'\ndisks = ['disk.img{options}']\n");
    let file = user.file("web.toml", &text);
    user.run(&["up", "--detach", &file], 0);
}

fn console(user: &User, name: &str) -> Talk {
    let mut console = Talk::start(user.command(&["console", name]));
    console.send("\n");
    console.expect("ruse> ");
    console
}

/// Says something to the monitor; its answer.
fn say(console: &mut Talk, line: &str) -> String {
    console.send(&format!("{line}\n"));
    // Prompts for what was said before may still come.
    console.expect(line);
    console.expect("ruse> ")
}

#[test]
fn a_machine_goes_on_from_its_file() {
    let user = User::new();
    monitor(&user, ",snapshot");
    let mut web = console(&user, "web");
    say(&mut web, "write 5 hello");
    let file = user.path("web.snap");
    let file = file.to_str().unwrap();
    let (said, _) = user.run(&["save", "web", file], 0);
    assert!(said.contains("it runs on"), "{said}");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    say(&mut web, "write 5 later");
    web.kill();
    // Its name is taken until it ends.
    let (_, error) = user.run(&["load", file, "--detach"], HOST);
    assert!(error.contains("runs already"), "{error}");
    // There may be two of it, which then go different ways.
    user.run(&["load", file, "--detach", "--name", "two"], 0);
    let mut two = console(&user, "two");
    assert!(say(&mut two, "read 5").contains("hello"));
    assert!(say(&mut two, "write 6 two").contains("Sector 6 now holds your 3 bytes"));
    let mut web = console(&user, "web");
    assert!(say(&mut web, "read 5").contains("later"));
    web.kill();
    two.kill();
    // An older snapshot is replaced, and what has another name keeps it.
    let (said, _) = user.run(&["save", "two", file, "--stop"], 0);
    assert!(said.contains("it has ended"), "{said}");
    let names: Vec<_> = user.machines().iter().map(|m| m["name"].clone()).collect();
    assert_eq!(names, ["web"]);
    user.run(&["load", "-d", file], 0);
    let mut two = console(&user, "two");
    assert!(say(&mut two, "read 6").contains("two"));
    two.kill();
    user.run(&["stop", "--kill", "two"], 0);
    // In the foreground it talks to whoever loads it.
    let mut here = Talk::start(user.command(&["load", file]));
    here.send("\n");
    here.expect("ruse> ");
    assert!(say(&mut here, "read 6").contains("two"));
    here.send("off 7\n");
    here.ends(7);
}

#[test]
fn a_disk_that_stays_is_the_same_or_the_machine_is_refused() {
    let user = User::new();
    monitor(&user, "");
    let mut web = console(&user, "web");
    say(&mut web, "write 5 kept");
    web.kill();
    let file = user.path("web.snap");
    let file = file.to_str().unwrap();
    user.run(&["save", "--stop", "web", file], 0);
    user.run(&["load", "-d", file], 0);
    let mut web = console(&user, "web");
    assert!(say(&mut web, "read 5").contains("kept"));
    say(&mut web, "write 5 changed");
    web.kill();
    user.run(&["stop", "--kill", "web"], 0);
    let (_, error) = user.run(&["load", file], HOST);
    assert!(error.contains("disk.img is not what it was"), "{error}");
    user.run(&["load", "-d", "--trust-disks", file], 0);
    let mut web = console(&user, "web");
    assert!(say(&mut web, "read 5").contains("changed"));
    web.kill();
}

#[test]
fn what_does_not_fit_is_refused() {
    let user = User::new();
    monitor(&user, ",snapshot");
    let file = user.path("web.snap");
    let file = file.to_str().unwrap();
    // What is no snapshot is not written over.
    let (_, error) = user.run(
        &["save", "web", user.path("disk.img").to_str().unwrap()],
        HOST,
    );
    assert!(error.contains("is no snapshot"), "{error}");
    let (_, error) = user.run(&["save", "web", "/no/where.snap"], HOST);
    assert!(error.contains("/no/where.snap"), "{error}");
    user.run(&["save", "nobody", file], HOST);
    user.run(&["save", "web"], USAGE);
    user.run(&["save", "web", file, "--stop"], 0);
    let whole = std::fs::read(file).unwrap();
    let refused = |bytes: &[u8], words: &str| {
        std::fs::write(user.path("broken.snap"), bytes).unwrap();
        let path = user.path("broken.snap");
        let (_, error) = user.run(&["load", path.to_str().unwrap()], HOST);
        assert!(error.contains(words), "{words}: {error}");
    };
    refused(b"", "no snapshot");
    refused(b"something else", "no snapshot");
    refused(&whole[..whole.len() - 1], "it ends here");
    refused(&whole[..whole.len() / 2], "it ends here");
    let mut other = whole.clone();
    other[7] = 99;
    refused(&other, "format 99");
    let mut other = whole.clone();
    let middle = other.len() / 2;
    other[middle] ^= 1;
    refused(&other, "checksum");
    // Another program under the same name.
    let (_, error) = user.run(&["load", "/dev/null"], HOST);
    assert!(error.contains("no snapshot"), "{error}");
    let (_, error) = user.run(&["load", "-d", "no/such.snap"], HOST);
    assert!(error.contains("no/such.snap"), "{error}");
    // A recorded machine has a file of its own kind.
    let bios = rom("monitor/monitor.elf");
    let record = user.path("r.rec");
    let record = record.to_str().unwrap();
    let line = ["boot", "--name", "rec", "--record", record, "--bios", &bios];
    let mut recorded = Talk::start(user.command(&line));
    recorded.expect("ruse> ");
    let (_, error) = user.run(
        &["save", "rec", user.path("x.snap").to_str().unwrap()],
        HOST,
    );
    assert!(error.contains("recorded"), "{error}");
    assert!(!user.path("x.snap").exists());
    recorded.send("off 0\n");
    recorded.ends(0);
}

#[test]
fn debian_goes_on_where_it_was() {
    if !made(&[KERNEL, INITRD, IMAGE]) {
        return;
    }
    let user = User::new();
    std::fs::create_dir(user.path("share")).unwrap();
    std::fs::write(user.path("share/file"), "one\ntwo\n").unwrap();
    let text = format!(
        "kernel = '{}'\ninitrd = '{}'\nappend = 'root=/dev/vda rw console=ttyS0 quiet'\n\
         memory = '512M'\nharts = 2\ndisks = ['{},snapshot']\nshares = ['share']\n",
        rom(KERNEL),
        rom(INITRD),
        rom(IMAGE)
    );
    let file = user.file("web.toml", &text);
    user.run(&["up", "--detach", &file], 0);
    let mut web = Talk::start(user.command(&["console", "web"]));
    debian::log_in(&mut web);
    let mount = "mount -t 9p -o trans=virtio,version=9p2000.L share /mnt";
    debian::ask(&mut web, mount);
    debian::ask(&mut web, "exec 5</mnt/file; read -u5 first");
    // On the disk, in memory, and in a process.
    debian::ask(
        &mut web,
        "echo here > /root/disk; echo here > /dev/shm/memory; n=17",
    );
    let spin = "(while true; do sleep 0.1; echo x >> /dev/shm/ticks; done) & sleep 1";
    debian::ask(&mut web, spin);
    let snap = user.path("web.snap");
    let snap = snap.to_str().unwrap();
    user.run(&["save", "web", snap, "--stop"], 0);
    web.kill();
    user.run(&["load", "--detach", snap], 0);
    let mut web = Talk::start(user.command(&["console", "web"]));
    web.send("\n");
    web.expect("# ");
    let answer = debian::ask(
        &mut web,
        "cat /root/disk /dev/shm/memory; echo $n; read -u5 second; echo $first-$second",
    );
    let lines: Vec<_> = answer.split_whitespace().collect();
    assert_eq!(lines, ["here", "here", "17", "one-two"], "{answer}");
    let ticks = "a=$(wc -l < /dev/shm/ticks); sleep 2; test $(wc -l < /dev/shm/ticks) -gt $a";
    debian::ask(&mut web, ticks);
    // The network is a new one, which the guest does not have to know.
    debian::ask(
        &mut web,
        "getent hosts gateway || ip addr show | grep -q 10.0.2.15",
    );
    // Both harts work.
    debian::ask(
        &mut web,
        "grep -c hart /proc/cpuinfo; for h in 0 1; do taskset -c $h true; done",
    );
    web.kill();
    user.run(&["stop", "--kill", "web"], 0);
}
