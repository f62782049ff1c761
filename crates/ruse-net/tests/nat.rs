//! A guest, which is a TCP/IP stack of its own, in the user-mode network, and
//! this host's real sockets.

mod guest;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;

use guest::{Guest, pattern};
use ruse_net::{GATEWAY4, GATEWAY6, GUEST4, Policy};
use smoltcp::socket::tcp::State;

const OPEN: Policy = Policy {
    restrict: false,
    host_loopback: true,
};

fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[test]
fn a_question_ends_before_its_answer_begins() {
    for takes in guest::ALL_TAKES {
        let mut guest = Guest::new(OPEN, &[], takes);
        let (listener, port) = listener();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut question = Vec::new();
            stream.read_to_end(&mut question).unwrap();
            let answer: Vec<u8> = question.iter().map(|byte| byte ^ 0xff).collect();
            stream.write_all(&answer).unwrap();
        });
        let question = pattern(3 << 20);
        let socket = guest.connect(SocketAddr::new(GATEWAY4.into(), port));
        guest.send_all(socket, &question);
        guest.tcp(socket).close();
        let answer = guest.read_to_end(socket);
        assert!(answer.iter().map(|byte| byte ^ 0xff).eq(question));
        server.join().unwrap();
        guest.wait("the end", |guest| {
            guest.tcp(socket).state() == State::TimeWait
        });
    }
}

#[test]
fn the_host_may_finish_first() {
    let mut guest = Guest::new(OPEN, &[], guest::ALL_TAKES[1]);
    let (listener, port) = listener();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"hello").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        rest
    });
    let socket = guest.connect(SocketAddr::new(GATEWAY4.into(), port));
    assert_eq!(guest.read_to_end(socket), b"hello");
    let rest = pattern(300_000);
    guest.send_all(socket, &rest);
    guest.tcp(socket).close();
    guest.wait("the end", |guest| !guest.tcp(socket).is_open());
    assert!(server.join().unwrap() == rest);
}

#[test]
fn what_is_refused_is_refused() {
    let mut guest = Guest::new(OPEN, &[], guest::ALL_TAKES[1]);
    let (listener, port) = listener();
    drop(listener);
    let socket = guest.begin(SocketAddr::new(GATEWAY4.into(), port));
    guest.wait("a refusal", |guest| {
        guest.tcp(socket).state() == State::Closed
    });
}

#[test]
fn the_host_is_out_of_reach_unless_asked_for() {
    let mut guest = Guest::new(Policy::default(), &[], guest::ALL_TAKES[1]);
    let own = UdpSocket::bind("0.0.0.0:0").unwrap();
    let mut wanted: Vec<SocketAddr> = vec![
        (GATEWAY4, 80).into(),
        ([127, 0, 0, 1], 80).into(),
        (GATEWAY6, 80).into(),
    ];
    // The host's own address, if it has any but loopback.
    if own.connect("192.0.2.77:9").is_ok() {
        let address = own.local_addr().unwrap().ip();
        let listener = TcpListener::bind((address, 0)).unwrap();
        wanted.push(listener.local_addr().unwrap());
        std::mem::forget(listener);
    }
    for to in wanted {
        let socket = guest.begin(to);
        guest.wait("a refusal", |guest| {
            guest.tcp(socket).state() == State::Closed
        });
    }
}

#[test]
fn resets_are_passed_on_both_ways() {
    let mut guest = Guest::new(OPEN, &[], guest::ALL_TAKES[1]);
    let (listener, port) = listener();
    let to = SocketAddr::new(GATEWAY4.into(), port);
    let socket = guest.connect(to);
    let (stream, _) = listener.accept().unwrap();
    let reset = socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO));
    reset.unwrap();
    drop(stream);
    guest.wait("a reset", |guest| {
        guest.tcp(socket).state() == State::Closed
    });

    let socket = guest.connect(to);
    let (mut stream, _) = listener.accept().unwrap();
    guest.tcp(socket).abort();
    let reader = thread::spawn(move || stream.read(&mut [0; 10]).unwrap_err().kind());
    guest.wait("the host's reset", |_| reader.is_finished());
    assert_eq!(reader.join().unwrap(), ErrorKind::ConnectionReset);
}

#[test]
fn who_reads_slowly_makes_the_other_wait() {
    let mut guest = Guest::new(OPEN, &[], guest::ALL_TAKES[1]);
    let (listener, port) = listener();
    let socket = guest.connect(SocketAddr::new(GATEWAY4.into(), port));
    let (mut stream, _) = listener.accept().unwrap();

    // Nobody reads on the host: it stops somewhere, for good.
    let bytes = pattern(64 << 20);
    let sent = guest.send_until_stuck(socket, &bytes);
    assert!(sent > 64 << 10 && sent < bytes.len(), "{sent}");
    let reader = thread::spawn(move || {
        let mut seen = vec![0; sent];
        stream.read_exact(&mut seen).unwrap();
        (stream, seen)
    });
    guest.wait("all of it", |_| reader.is_finished());
    let (mut stream, seen) = reader.join().unwrap();
    assert!(seen == bytes[..sent]);

    // Nobody reads in the guest.
    stream.set_nonblocking(true).unwrap();
    let mut sent = 0;
    let mut stuck = 0;
    while stuck < 50 {
        match stream.write(&bytes[sent..]) {
            Ok(len) => (sent, stuck) = (sent + len, 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                stuck += 1;
                guest.rest();
            }
            Err(error) => panic!("{error}"),
        }
        assert!(sent < bytes.len());
    }
    drop(stream);
    assert!(guest.read_to_end(socket) == bytes[..sent]);
}

#[test]
fn a_thousand_connections_at_once() {
    const COUNT: usize = 1000;
    raise_limit();
    let mut guest = Guest::new(OPEN, &[], guest::ALL_TAKES[1]);
    let (listener, port) = listener();
    let server = thread::spawn(move || {
        // All of them at once: nobody is answered before all are there.
        let streams: Vec<_> = (0..COUNT).map(|_| listener.accept().unwrap().0).collect();
        for mut stream in streams {
            let mut word = [0; 4];
            stream.read_exact(&mut word).unwrap();
            stream.write_all(&word).unwrap();
        }
    });
    let to = SocketAddr::new(GATEWAY4.into(), port);
    let sockets: Vec<_> = (0..COUNT).map(|_| guest.begin(to)).collect();
    for (n, &socket) in sockets.iter().enumerate() {
        guest.wait("a connection", |guest| guest.tcp(socket).may_send());
        guest.send_all(socket, &(n as u32).to_be_bytes());
    }
    for (n, &socket) in sockets.iter().enumerate() {
        assert_eq!(guest.read_to_end(socket), (n as u32).to_be_bytes());
    }
    server.join().unwrap();
}

/// Both ends of each connection are this process's.
fn raise_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum.map(|max| max.min(65_536)).or(Some(65_536));
    setrlimit(Resource::Nofile, limit).unwrap();
}

#[test]
fn over_ipv6_too() {
    let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
        eprintln!("skipped: this host has no IPv6");
        return;
    };
    let port = listener.local_addr().unwrap().port();
    for takes in guest::ALL_TAKES {
        let mut guest = Guest::new(OPEN, &[], takes);
        let socket = guest.connect(SocketAddr::new(GATEWAY6.into(), port));
        let (mut stream, _) = listener.accept().unwrap();
        let bytes = pattern(1 << 20);
        let copy = bytes.clone();
        let writer = thread::spawn(move || stream.write_all(&copy).unwrap());
        assert!(guest.read_to_end(socket) == bytes);
        writer.join().unwrap();
    }
}

#[test]
fn datagrams_there_and_back() {
    let mut guest = Guest::new(OPEN, &[], guest::ALL_TAKES[0]);
    let host = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = SocketAddr::new(GATEWAY4.into(), host.local_addr().unwrap().port());
    guest.udp_send(4000, to, b"ping");
    let mut buffer = [0; 100];
    let (len, from) = host.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..len], b"ping");
    host.send_to(b"pong", from).unwrap();
    assert_eq!(guest.udp_recv(), (b"pong".to_vec(), to));
}

#[test]
fn forwarded_ports_lead_in_even_where_nothing_leads_out() {
    let policy = Policy {
        restrict: true,
        host_loopback: true,
    };
    let mut guest = Guest::new(policy, &["0:80", "udp:0:53", "0:81"], guest::ALL_TAKES[1]);
    let ports = guest.ports.clone();
    let mut client = TcpStream::connect(ports[0]).unwrap();
    client.write_all(b"GET").unwrap();
    let socket = guest.listen(80);
    guest.wait("a question", |guest| guest.tcp(socket).recv_queue() == 3);
    let peer = guest.tcp(socket).remote_endpoint().unwrap();
    assert_eq!(peer.addr, GATEWAY4.into());
    guest.send_all(socket, b"answer");
    guest.tcp(socket).close();
    let mut answer = Vec::new();
    let reader = thread::spawn(move || client.read_to_end(&mut answer).map(|_| answer));
    guest.wait("the answer", |_| reader.is_finished());
    assert_eq!(reader.join().unwrap().unwrap(), b"answer");

    // Nobody listens there.
    let mut client = TcpStream::connect(ports[2]).unwrap();
    let reader = thread::spawn(move || client.read(&mut [0; 10]).map_err(|error| error.kind()));
    guest.wait("a reset", |_| reader.is_finished());
    assert_eq!(reader.join().unwrap(), Err(ErrorKind::ConnectionReset));

    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    guest.udp_bind(53);
    client.send_to(b"who?", ports[1]).unwrap();
    let (question, from) = guest.udp_recv();
    assert_eq!((&question[..], from.ip()), (&b"who?"[..], GATEWAY4.into()));
    guest.udp_send(53, from, b"me");
    let reader = thread::spawn(move || {
        let mut buffer = [0; 10];
        client.recv(&mut buffer).map(|len| buffer[..len].to_vec())
    });
    guest.wait("an answer", |_| reader.is_finished());
    assert_eq!(reader.join().unwrap().unwrap(), b"me");
    let _ = GUEST4;
}
