//! The network card (virtio 1.2, section 5.1): one pair of queues, merged
//! receive buffers, checksums and TCP segmentation left to the other side.
//! Left out: the control queue, several queue pairs, receive coalescing, UDP
//! segmentation.
//!
//! The card does nothing by itself. A doorbell wakes the network, whose thread
//! takes frames out of the transmit queue and puts others into the receive
//! queue ([`NetCard`]), while the hart goes on.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ruse_bus::{BadState, Ram, Wake};
use ruse_event::{Class, Tap, What};

use super::{Chain, Queue, QueueError, VirtioDevice, VirtioMmio, copy_config};
use crate::backend::{Frame, Given, NetCard, Offload, Segments, Takes};

const F_CSUM: u64 = 1 << 0;
const F_GUEST_CSUM: u64 = 1 << 1;
const F_MAC: u64 = 1 << 5;
const F_GUEST_TSO4: u64 = 1 << 7;
const F_GUEST_TSO6: u64 = 1 << 8;
const F_HOST_TSO4: u64 = 1 << 11;
const F_HOST_TSO6: u64 = 1 << 12;
const F_MRG_RXBUF: u64 = 1 << 15;
const F_STATUS: u64 = 1 << 16;

const S_LINK_UP: u16 = 1;

const HDR_NEEDS_CSUM: u8 = 1;
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
/// Congestion was experienced: for who cuts segments to care about.
const GSO_ECN: u8 = 0x80;

/// The header in front of each frame (section 5.1.6). Modern devices have the
/// number of buffers in it whether or not these are merged.
const HEADER: usize = 12;
/// The longest frame: the longest IP packet behind an Ethernet header, with
/// room for a VLAN's tag.
const MAX_FRAME: usize = 65_535 + 18;
const MIN_FRAME: usize = 14;

/// How much of a frame is told: Ethernet, IP and TCP with all options.
const HEAD: usize = 134;

const RX: usize = 0;
const TX: usize = 1;
/// A long segment takes tens of receive buffers.
const QUEUE_SIZE: u16 = 1024;

/// A network card.
pub struct Net {
    mac: [u8; 6],
    up: bool,
    offloads: bool,
    features: u64,
    bell: Arc<dyn Wake>,
    /// Receive buffers taken from the queue, but too few for the next frame.
    held: Vec<Chain>,
    /// Chains to reuse.
    spare: Vec<Chain>,
    tap: Tap,
}

impl Net {
    /// A card with this address. `bell` is woken when the driver sends or
    /// makes room; `offloads` says whether the network takes frames with work
    /// left to do.
    pub fn new(mac: [u8; 6], offloads: bool, up: bool, bell: Arc<dyn Wake>) -> Self {
        Self {
            mac,
            up,
            offloads,
            features: 0,
            bell,
            held: Vec::new(),
            spare: Vec::new(),
            tap: Tap::NONE,
        }
    }

    fn has(&self, feature: u64) -> bool {
        self.features & feature != 0
    }

    fn tell(&self, frame: &Frame, to_guest: bool) {
        self.tap.tell(Class::Net, || What::Frame {
            to_guest,
            len: frame.bytes.len() as u32,
            head: frame.bytes[..frame.bytes.len().min(HEAD)].to_vec(),
        });
    }

    fn takes(&self) -> Takes {
        Takes {
            checksum: self.has(F_GUEST_CSUM),
            tcp4: self.has(F_GUEST_TSO4),
            tcp6: self.has(F_GUEST_TSO6),
        }
    }

    /// What the driver says of a frame of `len` bytes; `None` makes no sense.
    fn offload(&self, header: &[u8; HEADER], len: usize) -> Option<Offload> {
        let le16 = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let mut offload = Offload::default();
        if header[0] & HDR_NEEDS_CSUM != 0 {
            let (start, offset) = (le16(6), le16(8));
            let end = usize::from(start) + usize::from(offset) + 2;
            if !self.has(F_CSUM) || end > len {
                return None;
            }
            offload.checksum = Some((start, offset));
        }
        let (feature, v6) = match header[1] & !GSO_ECN {
            GSO_NONE => return Some(offload),
            GSO_TCPV4 => (F_HOST_TSO4, false),
            GSO_TCPV6 => (F_HOST_TSO6, true),
            _ => return None,
        };
        let size = le16(4);
        if !self.has(feature) || size == 0 || offload.checksum.is_none() {
            return None;
        }
        let header = le16(2);
        offload.segments = Some(Segments { v6, size, header });
        Some(offload)
    }

    /// A frame that the driver sends; `None` is not worth sending.
    fn frame(&self, chain: &Chain, ram: &Ram) -> Result<Option<Frame>, QueueError> {
        let mut header = [0; HEADER];
        let mut reader = chain.reader(ram);
        if reader.read(&mut header)? < HEADER {
            return Err(QueueError::Request);
        }
        let len = reader.remaining();
        if !(MIN_FRAME..=MAX_FRAME).contains(&len) {
            return Ok(None);
        }
        let Some(offload) = self.offload(&header, len) else {
            return Ok(None);
        };
        let mut bytes = vec![0; len];
        reader.read(&mut bytes)?;
        Ok(Some(Frame { bytes, offload }))
    }

    /// Takes about `limit` bytes out of the transmit queue. True if there may
    /// be more.
    fn take(
        &mut self,
        queue: &mut Queue,
        ram: &Ram,
        limit: usize,
        each: &mut dyn FnMut(Frame),
    ) -> Result<bool, QueueError> {
        let mut left = limit;
        let mut chain = self.spare.pop().unwrap_or_default();
        let result = loop {
            if left == 0 {
                break Ok(true);
            }
            match queue.pop(ram, &mut chain) {
                Ok(true) => {}
                Ok(false) => match queue.publish(ram).and_then(|()| queue.arm(ram)) {
                    Ok(true) => continue,
                    other => break other,
                },
                Err(error) => break Err(error),
            }
            match self.frame(&chain, ram) {
                Ok(frame) => {
                    // So that a flood of nothing has an end, too.
                    left = left.saturating_sub(64);
                    if let Some(frame) = frame {
                        self.tell(&frame, false);
                        left = left.saturating_sub(frame.bytes.len());
                        each(frame);
                    }
                }
                Err(error) => break Err(error),
            }
            if let Err(error) = queue.push(ram, chain.head(), 0) {
                break Err(error);
            }
        };
        self.spare.push(chain);
        queue.publish(ram)?;
        result
    }

    /// Puts frames into the receive queue.
    fn give(
        &mut self,
        queue: &mut Queue,
        ram: &Ram,
        frames: &mut VecDeque<Frame>,
    ) -> Result<Given, QueueError> {
        while let Some(frame) = frames.front() {
            let total = HEADER + frame.bytes.len();
            if self.gather(queue, ram, total)? {
                self.put(queue, ram, frame)?;
                self.tell(frame, true);
                frames.pop_front();
            } else if self.held.len() >= queue.max().into()
                || !self.has(F_MRG_RXBUF) && !self.held.is_empty()
            {
                log::debug!("a frame of {total} bytes does not fit the guest's buffers");
                frames.pop_front();
            } else {
                queue.publish(ram)?;
                if !queue.arm(ram)? {
                    return Ok(Given::Full);
                }
            }
        }
        queue.publish(ram)?;
        Ok(Given::All)
    }

    /// Holds buffers for `total` bytes. False: there are too few.
    fn gather(&mut self, queue: &mut Queue, ram: &Ram, total: usize) -> Result<bool, QueueError> {
        let most = match self.has(F_MRG_RXBUF) {
            true => usize::from(queue.max()),
            false => 1,
        };
        let mut room: usize = self
            .held
            .iter()
            .map(|chain| chain.writer(ram).remaining())
            .sum();
        while room < total {
            if self.held.len() >= most {
                return Ok(false);
            }
            let mut chain = self.spare.pop().unwrap_or_default();
            if !queue.pop(ram, &mut chain)? {
                self.spare.push(chain);
                return Ok(false);
            }
            let len = chain.writer(ram).remaining();
            if len < HEADER {
                return Err(QueueError::Request);
            }
            room = room.saturating_add(len);
            self.held.push(chain);
        }
        Ok(true)
    }

    /// Fills held buffers with a frame for which there are enough.
    fn put(&mut self, queue: &mut Queue, ram: &Ram, frame: &Frame) -> Result<(), QueueError> {
        let mut left = HEADER + frame.bytes.len();
        let needed = self
            .held
            .iter()
            .take_while(|chain| {
                let more = left > 0;
                left = left.saturating_sub(chain.writer(ram).remaining());
                more
            })
            .count();
        let mut header = header(&frame.offload);
        header[10..].copy_from_slice(&(needed as u16).to_le_bytes());
        let mut rest = &frame.bytes[..];
        for (n, chain) in self.held.drain(..needed).enumerate() {
            let mut writer = chain.writer(ram);
            let mut written = 0;
            if n == 0 {
                written = writer.write(&header)?;
            }
            let part = writer.write(rest)?;
            rest = &rest[part..];
            queue.push(ram, chain.head(), (written + part) as u32)?;
            self.spare.push(chain);
        }
        Ok(())
    }
}

/// The header of a frame with that left to do, but for the number of buffers.
fn header(offload: &Offload) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let mut put = |at: usize, value: u16| {
        header[at..at + 2].copy_from_slice(&value.to_le_bytes());
    };
    let (mut flags, mut kind) = (0, GSO_NONE);
    if let Some((start, offset)) = offload.checksum {
        flags = HDR_NEEDS_CSUM;
        put(6, start);
        put(8, offset);
    }
    if let Some(segments) = offload.segments {
        kind = if segments.v6 { GSO_TCPV6 } else { GSO_TCPV4 };
        put(2, segments.header);
        put(4, segments.size);
    }
    (header[0], header[1]) = (flags, kind);
    header
}

impl VirtioDevice for Net {
    fn watch(&mut self, tap: &Tap) {
        self.tap = tap.clone();
    }

    fn device_id(&self) -> u32 {
        1
    }

    fn features(&self) -> u64 {
        const OFFLOADS: u64 =
            F_CSUM | F_GUEST_CSUM | F_GUEST_TSO4 | F_GUEST_TSO6 | F_HOST_TSO4 | F_HOST_TSO6;
        F_MAC | F_STATUS | F_MRG_RXBUF | if self.offloads { OFFLOADS } else { 0 }
    }

    fn queue_sizes(&self) -> &[u16] {
        &[QUEUE_SIZE, QUEUE_SIZE]
    }

    fn read_config(&self, offset: u64, out: &mut [u8]) {
        let mut space = [0; 8];
        space[..6].copy_from_slice(&self.mac);
        let status = if self.up { S_LINK_UP } else { 0 };
        space[6..].copy_from_slice(&status.to_le_bytes());
        copy_config(&space, offset, out);
    }

    fn negotiated(&mut self, features: u64) {
        self.features = features;
        // Who does not take partial checksums takes no segments (5.1.3.1).
        if !self.has(F_GUEST_CSUM) {
            self.features &= !(F_GUEST_TSO4 | F_GUEST_TSO6);
        }
        if !self.has(F_CSUM) {
            self.features &= !(F_HOST_TSO4 | F_HOST_TSO6);
        }
    }

    fn notify(&mut self, _: usize, _: &mut [Queue], _: &Ram) -> Result<(), QueueError> {
        self.bell.wake();
        Ok(())
    }

    fn stop(&mut self) {
        // They belong to the queue that goes away.
        self.spare.append(&mut self.held);
    }

    fn reset(&mut self) {
        self.features = 0;
    }

    fn put_back(&mut self, queues: &mut [Queue]) {
        queues[RX].put_back(self.held.len() as u16);
        self.spare.append(&mut self.held);
    }

    fn save(&mut self) -> Vec<u8> {
        self.mac.to_vec()
    }

    /// The network at its other end is a new one.
    fn load(&mut self, state: &[u8]) -> Result<(), BadState> {
        self.mac = state
            .try_into()
            .map_err(|_| BadState::new("no hardware address"))?;
        self.bell.wake();
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl VirtioMmio<Net> {
    /// As [`NetCard::take`].
    pub fn take_frames(&mut self, limit: usize, each: &mut dyn FnMut(Frame)) -> bool {
        let mut more = false;
        self.drive(|net, queues, ram| {
            more = net.take(&mut queues[TX], ram, limit, each)?;
            Ok(())
        });
        more
    }

    /// As [`NetCard::give`].
    pub fn give_frames(&mut self, frames: &mut VecDeque<Frame>) -> Given {
        let mut given = Given::Down;
        self.drive(|net, queues, ram| {
            if queues[RX].is_ready() && net.up {
                given = net.give(&mut queues[RX], ram, frames)?;
            }
            Ok(())
        });
        given
    }
}

impl NetCard for Mutex<VirtioMmio<Net>> {
    fn take(&self, limit: usize, each: &mut dyn FnMut(Frame)) -> bool {
        lock(self).take_frames(limit, each)
    }

    fn give(&self, frames: &mut VecDeque<Frame>) -> Given {
        lock(self).give_frames(frames)
    }

    fn takes(&self) -> Takes {
        lock(self).device().takes()
    }

    fn set_link(&self, up: bool) {
        let mut card = lock(self);
        if card.device().up != up {
            card.device_mut().up = up;
            card.config_changed();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use ruse_bus::{Device, Width};

    use super::super::testing::{self, DATA, Driver, MODERN, Part, SIZE, VERSION_1};
    use super::*;

    const MAC: [u8; 6] = [0x52, 0x54, 0, 1, 2, 3];
    const ALL: u64 = MODERN | 0xff_ffff;

    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct Rig {
        driver: Driver<Net>,
        bell: Arc<Bell>,
    }

    impl Rig {
        fn new(features: u64) -> Self {
            let bell = Arc::<Bell>::default();
            let net = Net::new(MAC, true, true, bell.clone());
            let driver = Driver::new(net, features);
            Self { driver, bell }
        }

        fn rings(&self) -> usize {
            self.bell.0.swap(0, Ordering::Relaxed)
        }

        /// Has the driver send `frame` behind `header`, in pieces.
        fn send(&mut self, header: [u8; HEADER], frame: &[u8], pieces: usize) {
            let all = [&header[..], frame].concat();
            self.driver.ram.write(DATA, &all).unwrap();
            let part = all.len().div_ceil(pieces);
            let parts: Vec<Part> = (0..all.len())
                .step_by(part)
                .map(|at| (DATA + at as u64, part.min(all.len() - at) as u32, false))
                .collect();
            self.driver.send(TX, &parts);
        }

        fn take(&mut self, limit: usize) -> (Vec<Frame>, bool) {
            let mut frames = Vec::new();
            let mmio = &mut self.driver.mmio;
            let more = mmio.take_frames(limit, &mut |frame| frames.push(frame));
            (frames, more)
        }

        fn give(&mut self, frames: &mut VecDeque<Frame>) -> Given {
            self.driver.mmio.give_frames(frames)
        }

        /// Makes receive buffer `n` of `len` bytes available.
        fn offer(&mut self, n: u16, len: u32) {
            let at = DATA + u64::from(n) * 0x1_0000;
            let parts = [(at, len, true)];
            self.driver.set_chain(testing::desc(RX), n, &parts);
            self.driver.make_available(RX, n);
        }

        fn buffer(&self, n: u16, len: usize) -> Vec<u8> {
            self.driver.bytes(DATA + u64::from(n) * 0x1_0000, len)
        }
    }

    fn frame(len: usize) -> Frame {
        Frame {
            bytes: (0..len).map(|n| (n % 251) as u8).collect(),
            offload: Offload::default(),
        }
    }

    fn gso(kind: u8, size: u16, start: u16) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        (header[0], header[1]) = (HDR_NEEDS_CSUM, kind);
        header[2..4].copy_from_slice(&54u16.to_le_bytes());
        header[4..6].copy_from_slice(&size.to_le_bytes());
        header[6..8].copy_from_slice(&start.to_le_bytes());
        header[8..10].copy_from_slice(&16u16.to_le_bytes());
        header
    }

    #[test]
    fn frames_wait_with_the_guest_until_they_are_taken() {
        let mut rig = Rig::new(ALL);
        rig.rings();
        for pieces in [1, 2, 7] {
            rig.send([0; HEADER], &frame(100).bytes, pieces);
            assert_eq!(rig.rings(), 1);
            assert_eq!(rig.driver.used(TX), None);
            assert_eq!(rig.take(1 << 20), (vec![frame(100)], false));
            assert_eq!(rig.driver.used(TX), Some((0, 0)));
        }
    }

    #[test]
    fn no_more_is_taken_than_there_is_room_for() {
        let mut rig = Rig::new(ALL);
        rig.send([0; HEADER], &frame(1000).bytes, 1);
        for _ in 1..SIZE {
            rig.driver.make_available(TX, 0);
        }
        let (frames, more) = rig.take(2500);
        assert_eq!((frames.len(), more), (3, true));
        let (frames, more) = rig.take(1 << 20);
        assert_eq!((frames.len(), more), (usize::from(SIZE) - 3, false));
    }

    #[test]
    fn what_is_no_frame_is_given_back_and_goes_nowhere() {
        let mut rig = Rig::new(ALL);
        for len in [0, 13, MAX_FRAME + 1] {
            rig.send([0; HEADER], &frame(len).bytes, 1);
            assert_eq!(rig.take(1 << 20), (vec![], false), "{len}");
            assert_eq!(rig.driver.used(TX), Some((0, 0)));
        }
        rig.send([0; HEADER], &frame(MAX_FRAME).bytes, 1);
        assert_eq!(rig.take(1 << 20).0, [frame(MAX_FRAME)]);
        // A buffer without a whole header is no request at all.
        rig.driver.send(TX, &[(DATA, 11, false)]);
        rig.take(1 << 20);
        assert!(rig.driver.needs_reset());
    }

    #[test]
    fn what_is_left_to_do_is_passed_on_if_it_was_agreed_on() {
        let mut rig = Rig::new(ALL);
        let good = gso(GSO_TCPV4 | GSO_ECN, 1460, 34);
        rig.send(good, &frame(4000).bytes, 1);
        let (frames, _) = rig.take(1 << 20);
        let offload = Offload {
            checksum: Some((34, 16)),
            segments: Some(Segments {
                v6: false,
                size: 1460,
                header: 54,
            }),
        };
        assert_eq!(frames[0].offload, offload);
        // Outside the frame; of no size; of no kind; without a checksum.
        let mut unsummed = good;
        unsummed[0] = 0;
        for wrong in [
            gso(GSO_NONE, 0, 3983),
            gso(GSO_NONE, 0, u16::MAX),
            gso(GSO_TCPV4, 0, 34),
            gso(3, 1460, 34),
            unsummed,
        ] {
            rig.send(wrong, &frame(4000).bytes, 1);
            assert_eq!(rig.take(1 << 20), (vec![], false), "{wrong:?}");
        }
        let mut plain = Rig::new(MODERN | F_MAC);
        plain.send(good, &frame(4000).bytes, 1);
        assert_eq!(plain.take(1 << 20), (vec![], false));
        assert_eq!(plain.driver.mmio.device().takes(), Takes::default());
    }

    #[test]
    fn segments_need_checksums() {
        let rig = Rig::new(MODERN | F_GUEST_TSO4 | F_HOST_TSO4);
        assert_eq!(rig.driver.mmio.device().takes(), Takes::default());
        let rig = Rig::new(ALL);
        let takes = Takes {
            checksum: true,
            tcp4: true,
            tcp6: true,
        };
        assert_eq!(rig.driver.mmio.device().takes(), takes);
        let bell = Arc::<Bell>::default();
        let mut idle = Driver::idle(Net::new(MAC, false, true, bell));
        assert_eq!(idle.offered() & 0xff_ffff, F_MAC | F_MRG_RXBUF | F_STATUS);
    }

    #[test]
    fn a_long_frame_is_spread_over_merged_buffers() {
        let mut rig = Rig::new(ALL);
        let mut long = frame(5000);
        long.offload.checksum = Some((34, 16));
        let mut frames = VecDeque::from([long.clone(), frame(60)]);
        rig.offer(0, 1500);
        rig.offer(1, 2000);
        // Too few: none is filled, and the bell rings when there are more.
        assert_eq!(rig.give(&mut frames), Given::Full);
        assert_eq!(rig.driver.used(RX), None);
        rig.offer(2, 3000);
        rig.offer(3, 72);
        rig.rings();
        rig.driver.notify(RX);
        assert_eq!(rig.rings(), 1);
        assert_eq!(rig.give(&mut frames), Given::All);
        for used in [(0, 1500), (1, 2000), (2, 1512), (3, 72)] {
            assert_eq!(rig.driver.used(RX), Some(used));
        }
        assert_eq!(rig.driver.interrupted(), 1);
        let mut header = header(&long.offload);
        header[10] = 3;
        let seen = [
            rig.buffer(0, 1500),
            rig.buffer(1, 2000),
            rig.buffer(2, 1512),
        ]
        .concat();
        assert_eq!(seen[..HEADER], header);
        assert_eq!(seen[HEADER..], long.bytes);
        let seen = rig.buffer(3, 72);
        assert_eq!((seen[10], &seen[HEADER..]), (1, &frame(60).bytes[..]));
    }

    #[test]
    fn without_merging_what_does_not_fit_is_dropped() {
        let mut rig = Rig::new(VERSION_1);
        rig.offer(0, 1526);
        let mut frames = VecDeque::from([frame(1515), frame(1514)]);
        assert_eq!(rig.give(&mut frames), Given::All);
        assert_eq!(rig.driver.used(RX), Some((0, 1526)));
        assert_eq!(rig.buffer(0, 1526)[HEADER..], frame(1514).bytes);
    }

    #[test]
    fn a_receive_buffer_too_small_for_a_header_breaks_the_queue() {
        let mut rig = Rig::new(ALL);
        rig.offer(0, 11);
        assert_eq!(rig.give(&mut VecDeque::from([frame(60)])), Given::Down);
        assert!(rig.driver.needs_reset());
    }

    #[test]
    fn held_buffers_are_forgotten_with_their_queue() {
        let mut rig = Rig::new(ALL);
        rig.offer(0, 1500);
        let mut frames = VecDeque::from([frame(5000)]);
        assert_eq!(rig.give(&mut frames), Given::Full);
        rig.driver.start(ALL);
        rig.offer(1, 6000);
        assert_eq!(rig.give(&mut frames), Given::All);
        assert_eq!(rig.driver.used(RX), Some((1, 5012)));
        assert_eq!(rig.driver.used(RX), None);
    }

    #[test]
    fn configuration_and_cable() {
        let bell = Arc::<Bell>::default();
        let driver = Driver::new(Net::new(MAC, true, false, bell), ALL);
        let (lines, card) = (driver.lines.clone(), Mutex::new(driver.mmio));
        let config = |at: u64| lock(&card).read(0x100 + at, Width::B1).unwrap() as u8;
        assert_eq!([0, 1, 2, 3, 4, 5].map(config), MAC);
        assert_eq!(config(6), 0);
        let mut frames = VecDeque::from([frame(60)]);
        assert_eq!(card.give(&mut frames), Given::Down);
        assert!(!lines.high(0));
        card.set_link(true);
        assert_eq!(config(6), 1);
        assert!(lines.high(0), "the driver is told");
        assert_eq!(card.give(&mut frames), Given::Full);
    }
}
