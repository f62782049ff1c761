//! Debian with a network card: two machines at once, each with a web server,
//! names and files from the Internet, and a cable from one to the other.

mod talk;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use talk::Talk;
use talk::debian::{self, IMAGE, INITRD, KERNEL, ask, log_in, made};

/// All of the web server: it answers every request with its name.
const SERVER: &str = r#"perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(LocalPort => 80, Listen => 9) or die; while ($c = $s->accept) { while (<$c>) { last if /^\r?$/ } print $c "HTTP/1.0 200 OK\r\n\r\nI am NAME\n"; close $c }' &"#;

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
    if !made(&[KERNEL, INITRD, IMAGE]) {
        return;
    }
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let ports = [free_port(), free_port()];
    let socket = format!("socket:{}", folders[0].path().join("cable").display());
    let mut guests: Vec<Talk> = folders
        .iter()
        .zip(ports)
        .map(|(folder, port)| {
            let forward = format!("{port}:80");
            let more = ["--forward", &forward, "--net", "user", "--net", &socket];
            debian::boot(&debian::disk(folder), &more)
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
