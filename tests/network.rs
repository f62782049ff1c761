//! Debian with a network card: two machines at once, each with a web server,
//! names and files from the Internet, and a cable from one to the other.

mod talk;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use talk::{Talk, rom};

const KERNEL: &str = "debian/out/Image";
const INITRD: &str = "debian/out/initrd.img";
const IMAGE: &str = "debian/out/debian-minimal.img";
const APPEND: &str = "root=/dev/vda rw console=ttyS0 quiet";
const PROMPT: &str = "root@debian:~# ";
/// All of the web server: it answers every request with its name.
const SERVER: &str = r#"perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(LocalPort => 80, Listen => 9) or die; while ($c = $s->accept) { while (<$c>) { last if /^\r?$/ } print $c "HTTP/1.0 200 OK\r\n\r\nI am NAME\n"; close $c }' &"#;

/// Whether the outputs of `roms/debian/build` are there; CI insists.
fn made() -> bool {
    let missing: Vec<_> = [KERNEL, INITRD, IMAGE]
        .into_iter()
        .map(rom)
        .filter(|file| !Path::new(file).exists())
        .collect();
    if missing.is_empty() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "CI needs {missing:?}");
    eprintln!("skipped: no {missing:?}; roms/debian/build makes them");
    false
}

/// A machine with a disk of its own in `folder`.
fn boot(folder: &Path, name: &str, more: &[&str]) -> Talk {
    let disk = folder.join(name);
    let copied = Command::new("cp")
        .args(["--sparse=always", &rom(IMAGE)])
        .arg(&disk)
        .status();
    assert!(copied.unwrap().success());
    let (kernel, initrd) = (rom(KERNEL), rom(INITRD));
    let mut args = vec!["boot", "--kernel", &kernel, "--initrd", &initrd];
    args.extend(["--append", APPEND, "--disk", disk.to_str().unwrap()]);
    args.extend(more);
    Talk::new(&args)
}

#[track_caller]
fn log_in(guest: &mut Talk) {
    guest.expect("debian login: ");
    guest.send("root\n");
    guest.expect(PROMPT);
}

/// What a command prints, which must succeed.
#[track_caller]
fn ask(guest: &mut Talk, command: &str) -> String {
    // Its echo does not look like its answer.
    guest.send(&format!("{command}; echo \"<$?>\"\n"));
    guest.expect("<$?>\"\r\n");
    let answer = guest.expect("<0>");
    guest.expect(PROMPT);
    answer.replace("\x1b[?2004l", "").trim().into()
}

/// A port that is free now.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The answer of the web server behind a port of this host.
fn get(port: u16) -> String {
    let mut stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn two_machines_with_web_servers_and_a_cable() {
    if !made() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let ports = [free_port(), free_port()];
    let socket = format!("socket:{}", folder.path().join("cable").display());
    let mut guests: Vec<Talk> = ["one", "two"]
        .iter()
        .zip(ports)
        .map(|(name, port)| {
            let forward = format!("{port}:80");
            let more = ["--forward", &forward, "--net", "user", "--net", &socket];
            boot(folder.path(), name, &more)
        })
        .collect();
    for (guest, name) in guests.iter_mut().zip(["one", "two"]) {
        log_in(guest);
        // They find their addresses by themselves.
        let found = "until ip -4 -o addr show eth0 | grep -q 10.0.2.15; do sleep 1; done";
        ask(guest, found);
        ask(
            guest,
            "until ip -6 route | grep -q fd72:7573:6500::/64; do sleep 1; done",
        );
        ask(guest, &format!("{} true", SERVER.replace("NAME", name)));
        ask(guest, "until ss -ltn | grep -q :80; do sleep 1; done");
    }
    // Both at the same time, and again and again.
    for _ in 0..20 {
        let asked = ports.map(|port| std::thread::spawn(move || get(port)));
        let answers = asked.map(|thread| thread.join().unwrap());
        for (answer, name) in answers.iter().zip(["one", "two"]) {
            assert_eq!(*answer, format!("HTTP/1.0 200 OK\r\n\r\nI am {name}\n"));
        }
    }
    // Names, and files of the archive that the image was made from.
    let fetch = "uri=$(sed -n 's/^URIs: //p' /etc/apt/sources.list.d/debian.sources); \
        /usr/lib/apt/apt-helper download-file $uri/dists/trixie/InRelease /root/release \
        > /dev/null 2>&1 && grep Codename release";
    for guest in &mut guests {
        assert_eq!(ask(guest, fetch), "Codename: trixie");
    }
    // From one to the other, by the cable between them.
    for (guest, ip) in guests.iter_mut().zip(["192.0.2.1/24", "192.0.2.2/24"]) {
        ask(
            guest,
            &format!("ip addr add {ip} dev eth1; ip link set eth1 up"),
        );
    }
    let cable = "exec 3<>/dev/tcp/192.0.2.2/80 && echo >&3 && tail -n 1 <&3";
    assert_eq!(ask(&mut guests[0], cable), "I am two");
    for mut guest in guests {
        guest.send("poweroff\n");
        guest.expect("reboot: Power down");
        guest.ends(0);
    }
}
