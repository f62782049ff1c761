//! A guest that does its worst, against a made-up host and a clock of the
//! test's own.

use std::net::{Ipv4Addr, SocketAddr};

use proptest::prelude::*;
use ruse_devices::backend::{Frame, Offload};
use ruse_net::testing::{EchoHost, feed};
use ruse_net::{DNS4, GATEWAY_MAC, GUEST4, Instant, MAX_CONNECTIONS, Policy, Stack};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::time::Duration;
use smoltcp::wire::{
    Icmpv4Packet, Icmpv4Repr, IpAddress, IpProtocol, IpRepr, Ipv4Packet, TcpControl, TcpPacket,
    TcpRepr, TcpSeqNumber, UdpPacket, UdpRepr,
};

const MAC: [u8; 6] = [0x52, 0x54, 0, 0, 0, 1];
const WEB: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 80);

struct Rig {
    stack: Stack<EchoHost>,
    now: Instant,
}

impl Rig {
    fn new(host: EchoHost, forwards: &[&str]) -> Self {
        let forwards: Vec<_> = forwards.iter().map(|text| text.parse().unwrap()).collect();
        let now = Instant::ZERO;
        let mut stack = Stack::new(host, Policy::default(), &forwards, MAC, now);
        stack.work(now);
        stack.frames().clear();
        stack.taken();
        Self { stack, now }
    }

    fn input(&mut self, packet: &[u8]) {
        let bytes = [&GATEWAY_MAC[..], &MAC, &[8, 0], packet].concat();
        let offload = Offload::default();
        self.stack.input(Frame { bytes, offload }, self.now);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.stack.work(self.now);
    }

    /// The packets for the guest.
    fn output(&mut self) -> Vec<Vec<u8>> {
        for _ in 0..3 {
            self.stack.work(self.now);
        }
        let frames = self.stack.frames().drain(..);
        let packets = frames.map(|frame| frame.bytes[14..].to_vec()).collect();
        self.stack.taken();
        packets
    }

    fn waiting(&mut self) -> usize {
        let frames = self.stack.frames().iter();
        frames.map(|frame| frame.bytes.len()).sum()
    }
}

fn ip(to: IpAddress, protocol: IpProtocol, len: usize, fill: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let repr = IpRepr::new(GUEST4.into(), to, protocol, len, 64);
    let mut packet = vec![0; repr.buffer_len()];
    repr.emit(&mut packet, &ChecksumCapabilities::default());
    fill(&mut packet[repr.header_len()..]);
    packet
}

fn segment(control: TcpControl, from: u16, to: SocketAddr, seq: i32, ack: Option<i32>) -> Vec<u8> {
    let repr = TcpRepr {
        src_port: from,
        dst_port: to.port(),
        control,
        seq_number: TcpSeqNumber(seq),
        ack_number: ack.map(TcpSeqNumber),
        window_len: 64_000,
        window_scale: None,
        max_seg_size: (control == TcpControl::Syn).then_some(1460),
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    };
    let (from, to) = (IpAddress::from(GUEST4), IpAddress::from(to.ip()));
    ip(to, IpProtocol::Tcp, repr.buffer_len(), |bytes| {
        let caps = ChecksumCapabilities::default();
        repr.emit(&mut TcpPacket::new_unchecked(bytes), &from, &to, &caps);
    })
}

fn datagram(from: u16, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let repr = UdpRepr {
        src_port: from,
        dst_port: to.port(),
    };
    let (source, target) = (IpAddress::from(GUEST4), IpAddress::from(to.ip()));
    ip(target, IpProtocol::Udp, 8 + payload.len(), |bytes| {
        repr.emit(
            &mut UdpPacket::new_unchecked(bytes),
            &source,
            &target,
            payload.len(),
            |out| out.copy_from_slice(payload),
            &ChecksumCapabilities::default(),
        );
    })
}

fn control(packet: &[u8]) -> (bool, bool) {
    let ip = Ipv4Packet::new_checked(packet).unwrap();
    assert_eq!(ip.next_header(), IpProtocol::Tcp);
    let tcp = TcpPacket::new_checked(ip.payload()).unwrap();
    assert!(tcp.verify_checksum(&ip.src_addr().into(), &ip.dst_addr().into()));
    (tcp.syn(), tcp.rst())
}

fn port(n: u32) -> u16 {
    1024 + (n % 60_000) as u16
}

#[test]
fn a_flood_of_connections_is_bounded_and_over_when_they_time_out() {
    // The host never answers.
    let host = EchoHost {
        silent: true,
        ..EchoHost::default()
    };
    let mut rig = Rig::new(host.clone(), &[]);
    let mut resets = 0;
    for n in 0..10_000u32 {
        let to = SocketAddr::from(([192, 0, 2, (n >> 10) as u8], 80));
        rig.input(&segment(TcpControl::Syn, port(n), to, 1, None));
        if n % 100 == 0 {
            resets += rig.output().iter().filter(|p| control(p).1).count();
        }
    }
    assert_eq!(rig.stack.connections(), MAX_CONNECTIONS);
    assert_eq!(host.seen.lock().unwrap().connected.len(), MAX_CONNECTIONS);
    resets += rig.output().iter().filter(|p| control(p).1).count();
    assert_eq!(resets, 10_000 - MAX_CONNECTIONS);
    rig.pass(Duration::from_secs(61));
    rig.output();
    assert_eq!(rig.stack.connections(), 0);
}

#[test]
fn connections_that_the_guest_does_not_complete_end() {
    let mut rig = Rig::new(EchoHost::default(), &[]);
    for n in 0..100 {
        rig.input(&segment(TcpControl::Syn, port(n), WEB, 1, None));
    }
    let answers = rig.output();
    assert_eq!(answers.len(), 100);
    assert!(
        answers
            .iter()
            .all(|packet| control(packet) == (true, false))
    );
    for _ in 0..130 {
        rig.pass(Duration::from_secs(1));
        rig.output();
    }
    assert_eq!(rig.stack.connections(), 0);
}

#[test]
fn what_the_guest_does_not_take_is_bounded() {
    let mut rig = Rig::new(EchoHost::default(), &[]);
    let echo = Icmpv4Repr::EchoRequest {
        ident: 1,
        seq_no: 1,
        data: &[7; 1400],
    };
    let ping = ip(
        ruse_net::GATEWAY4.into(),
        IpProtocol::Icmp,
        echo.buffer_len(),
        |bytes| {
            let caps = ChecksumCapabilities::default();
            echo.emit(&mut Icmpv4Packet::new_unchecked(bytes), &caps);
        },
    );
    for n in 0..20_000u32 {
        rig.input(&ping);
        rig.input(&datagram(port(n), WEB, &[1; 1000]));
        rig.input(&segment(TcpControl::None, port(n), WEB, 1, Some(1)));
        rig.stack.work(rig.now);
    }
    assert!(rig.waiting() <= 3 << 20, "{}", rig.waiting());
    assert!(rig.stack.conversations() <= 256);
    rig.output();
    rig.pass(Duration::from_secs(121));
    assert_eq!(rig.stack.conversations(), 0);
}

#[test]
fn refused_and_unreachable_hosts_are_told_apart() {
    let mut rig = Rig::new(EchoHost::default(), &[]);
    let closed = SocketAddr::new(WEB.ip(), 1);
    rig.input(&segment(TcpControl::Syn, 5000, closed, 1, None));
    let answers = rig.output();
    assert_eq!(answers.len(), 1);
    assert_eq!(control(&answers[0]), (false, true));
    let away = SocketAddr::new(WEB.ip(), 2);
    rig.input(&segment(TcpControl::Syn, 5000, away, 1, None));
    let answers = rig.output();
    assert_eq!(answers.len(), 1);
    let packet = Ipv4Packet::new_checked(&answers[0][..]).unwrap();
    let icmp = Icmpv4Packet::new_checked(packet.payload()).unwrap();
    assert_eq!((icmp.msg_type(), icmp.msg_code()), (3.into(), 1));
    assert_eq!(rig.stack.connections(), 0);
}

#[test]
fn a_silent_name_server_makes_way_for_the_next() {
    let resolvers: Vec<SocketAddr> =
        vec![([192, 0, 2, 53], 53).into(), ([192, 0, 2, 54], 53).into()];
    let host = EchoHost {
        resolvers: resolvers.clone(),
        silent: true,
        ..EchoHost::default()
    };
    let mut rig = Rig::new(host.clone(), &[]);
    let server = SocketAddr::new(DNS4.into(), 53);
    for _ in 0..6 {
        rig.input(&datagram(5000, server, b"question"));
        rig.pass(Duration::from_secs(5));
    }
    let sent = &host.seen.lock().unwrap().sent;
    let asked: Vec<_> = sent.iter().map(|(to, _)| *to).collect();
    let (first, second) = (resolvers[0], resolvers[1]);
    assert_eq!(asked, [first, first, first, second, second, second]);
}

#[test]
fn answers_come_from_who_was_asked() {
    let host = EchoHost {
        resolvers: vec![([192, 0, 2, 53], 53).into()],
        ..EchoHost::default()
    };
    let mut rig = Rig::new(host, &[]);
    let long = vec![9; 4000];
    for (to, payload) in [
        (SocketAddr::new(DNS4.into(), 53), &b"who is it?"[..]),
        (WEB, &long),
    ] {
        rig.input(&datagram(5000, to, payload));
        // The numbers of its sockets are small.
        for id in 0..4 {
            rig.stack.ready(id, true, false);
        }
        let mut seen = Vec::new();
        for packet in rig.output() {
            let ip = Ipv4Packet::new_checked(&packet[..]).unwrap();
            assert!(ip.verify_checksum() && packet.len() <= 1500);
            assert_eq!((ip.src_addr(), ip.dst_addr()), (to_v4(to), GUEST4));
            assert_eq!(usize::from(ip.frag_offset()), seen.len());
            seen.extend_from_slice(ip.payload());
            assert_eq!(ip.more_frags(), seen.len() < 8 + payload.len());
        }
        let udp = UdpPacket::new_checked(&seen[..]).unwrap();
        assert_eq!((udp.src_port(), udp.dst_port()), (to.port(), 5000));
        assert_eq!(udp.payload(), payload);
        assert!(udp.verify_checksum(&to.ip().into(), &GUEST4.into()));
    }
}

fn to_v4(to: SocketAddr) -> Ipv4Addr {
    match to {
        SocketAddr::V4(to) => *to.ip(),
        SocketAddr::V6(_) => unreachable!(),
    }
}

#[test]
fn a_flood_of_callers_is_bounded() {
    let host = EchoHost::default();
    for n in 0..5000u16 {
        let from = SocketAddr::from(([198, 51, 100, (n >> 8) as u8], 1024 + n));
        host.callers.borrow_mut().push_back(from);
    }
    let mut rig = Rig::new(host.clone(), &["8081:80"]);
    rig.stack.called(0);
    for _ in 0..400 {
        rig.pass(Duration::from_millis(1));
        rig.output();
    }
    assert_eq!(rig.stack.connections(), MAX_CONNECTIONS);
    assert_eq!(host.seen.lock().unwrap().resets, 5000 - MAX_CONNECTIONS);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn anything_at_all_does_no_harm(data in proptest::collection::vec(any::<u8>(), 0..2000)) {
        feed(&data);
    }

    #[test]
    fn segments_of_any_kind_do_no_harm(
        list in proptest::collection::vec(
            (0..4u8, 5000..5004u16, 0..4i32, proptest::option::of(0..4i32), any::<u32>()),
            0..200,
        ),
    ) {
        let mut rig = Rig::new(EchoHost::default(), &[]);
        for (kind, from, seq, ack, more) in list {
            let control = [
                TcpControl::Syn,
                TcpControl::None,
                TcpControl::Fin,
                TcpControl::Rst,
            ][usize::from(kind)];
            let mut packet = segment(control, from, WEB, seq, ack);
            if more % 5 == 0 {
                // Any options, any flags.
                let at = 20 + (more as usize >> 8) % (packet.len() - 20);
                packet[at] = (more >> 24) as u8;
            }
            rig.input(&packet);
            rig.pass(Duration::from_millis(u64::from(more % 2000)));
            prop_assert!(rig.stack.connections() <= 4);
            rig.output();
        }
    }
}
