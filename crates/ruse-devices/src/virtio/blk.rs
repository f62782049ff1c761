//! The block device (virtio 1.2, section 5.2): read, write, flush, discard,
//! write zeroes, identity. Left out: several queues, topology, secure erase,
//! zones, lifetime.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ruse_bus::{BadState, Ram, state};
use ruse_disk::{Disk, DiskError, SECTOR};
use ruse_event::{Class, Operation, Tap, What};

use super::{
    Chain, Patience, Queue, QueueError, Reader, Requests, Served, Server, VirtioDevice, Writer,
    copy_config,
};

const F_SEG_MAX: u64 = 1 << 2;
const F_RO: u64 = 1 << 5;
const F_BLK_SIZE: u64 = 1 << 6;
const F_FLUSH: u64 = 1 << 9;
const F_CONFIG_WCE: u64 = 1 << 11;
const F_DISCARD: u64 = 1 << 13;
const F_WRITE_ZEROES: u64 = 1 << 14;

const T_IN: u32 = 0;
const T_OUT: u32 = 1;
const T_FLUSH: u32 = 4;
const T_GET_ID: u32 = 8;
const T_DISCARD: u32 = 11;
const T_WRITE_ZEROES: u32 = 13;

const S_OK: u8 = 0;
const S_IOERR: u8 = 1;
const S_UNSUPP: u8 = 2;

const CONFIG_WRITEBACK: u64 = 32;

const QUEUE_SIZE: u16 = 256;
/// A request's header and status take a descriptor each.
const SEG_MAX: u32 = QUEUE_SIZE as u32 - 2;
/// The most ranges of one discard or write-zeroes request.
const MAX_RANGES: usize = 64;
/// The most sectors of one range, which the host may have to write: 128 MiB.
const MAX_RANGE_SECTORS: u32 = 1 << 18;
const RANGE_SIZE: usize = 16;
const RANGE_UNMAP: u32 = 1;
/// How much is moved at a time: many pages a system call, yet little enough to
/// be still in the host's cache when it is copied on.
const BUFFER: usize = 64 << 10;
const ID_LEN: usize = 20;
/// How long a write waits before it looks for room on the host again.
const RETRY: Duration = Duration::from_millis(500);

/// Why a request fails, as its status says.
enum Failure {
    /// [`S_IOERR`].
    Io,
    /// [`S_UNSUPP`].
    Unsupported,
    /// The driver broke the rules.
    Queue(QueueError),
}

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Self {
        Self::Queue(error)
    }
}

impl From<DiskError> for Failure {
    fn from(error: DiskError) -> Self {
        log::warn!("{error}");
        Self::Io
    }
}

/// A block device.
pub struct Blk {
    requests: Requests<Sectors>,
    sectors: u64,
    read_only: bool,
    features: u64,
    /// The guest flushes; otherwise each write is flushed.
    writeback: Arc<AtomicBool>,
}

/// What answers its requests.
pub struct Sectors {
    disk: Box<dyn Disk>,
    writeback: Arc<AtomicBool>,
    buffer: Vec<u8>,
    tap: Tap,
}

impl Blk {
    /// A device in front of `disk`.
    pub fn new(disk: Box<dyn Disk>) -> Self {
        let writeback = Arc::new(AtomicBool::new(true));
        Self {
            sectors: disk.size() / SECTOR,
            read_only: disk.read_only(),
            features: 0,
            writeback: writeback.clone(),
            requests: Requests::Here(Sectors {
                disk,
                writeback,
                buffer: vec![0; BUFFER],
                tap: Tap::NONE,
            }),
        }
    }
}

impl Blk {
    /// Does something with the disk while no request is at work; `None` if it is gone.
    pub fn with_disk<T>(&mut self, work: impl FnOnce(&mut dyn Disk) -> T) -> Option<T> {
        self.requests.with(|sectors| work(&mut *sectors.disk))
    }
}

impl Sectors {
    /// The byte range of `len` bytes from `sector` on, if they are whole
    /// sectors on the disk.
    fn range(&self, sector: u64, len: u64) -> Result<u64, Failure> {
        let offset = sector.checked_mul(SECTOR).ok_or(Failure::Io)?;
        match offset.checked_add(len) {
            Some(end) if end <= self.disk.size() && len.is_multiple_of(SECTOR) => Ok(offset),
            _ => Err(Failure::Io),
        }
    }

    fn writable(&self) -> Result<(), Failure> {
        if self.disk.read_only() {
            return Err(Failure::Io);
        }
        Ok(())
    }

    /// Does something that may need room on the host, and while there is none
    /// has the guest wait, if that can be.
    fn change(
        &mut self,
        patience: &Patience<'_>,
        mut change: impl FnMut(&mut dyn Disk, &[u8]) -> Result<(), DiskError>,
    ) -> Result<(), Failure> {
        let mut waits = false;
        loop {
            let error = match change(&mut *self.disk, &self.buffer) {
                Ok(()) if waits => {
                    log::warn!("disk {}: there is room again", self.disk.id());
                    return Ok(());
                }
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if !error.is_no_room() {
                return Err(error.into());
            }
            if !waits {
                log::error!("{error}: the guest waits for room");
                waits = true;
            }
            if !patience.wait(RETRY) {
                return Err(error.into());
            }
        }
    }

    fn flush(&mut self, patience: &Patience<'_>) -> Result<(), Failure> {
        self.change(patience, |disk, _| disk.flush())
    }

    /// Without a promise to flush, the guest expects that writes last.
    fn wrote(&mut self, patience: &Patience<'_>) -> Result<(), Failure> {
        match self.writeback.load(Ordering::Relaxed) {
            true => Ok(()),
            false => self.flush(patience),
        }
    }

    fn read(&mut self, sector: u64, to: &mut Writer, mut left: usize) -> Result<(), Failure> {
        let mut offset = self.range(sector, left as u64)?;
        while left > 0 {
            let part = left.min(BUFFER);
            let buffer = &mut self.buffer[..part];
            self.disk.read_at(offset, buffer)?;
            to.write(buffer)?;
            offset += part as u64;
            left -= part;
        }
        Ok(())
    }

    fn write(
        &mut self,
        sector: u64,
        from: &mut Reader,
        patience: &Patience<'_>,
    ) -> Result<(), Failure> {
        let mut offset = self.range(sector, from.remaining() as u64)?;
        self.writable()?;
        loop {
            let part = from.read(&mut self.buffer)?;
            if part == 0 {
                return self.wrote(patience);
            }
            self.change(patience, |disk, buffer| {
                disk.write_at(offset, &buffer[..part])
            })?;
            offset += part as u64;
        }
    }

    fn identify(&mut self, to: &mut Writer, room: usize) -> Result<(), Failure> {
        let mut id = [0; ID_LEN];
        copy_config(self.disk.id().as_bytes(), 0, &mut id);
        to.write(&id[..room.min(ID_LEN)])?;
        Ok(())
    }

    /// Discard and write zeroes (section 5.2.6.2).
    fn clear(
        &mut self,
        zero: bool,
        from: &mut Reader,
        patience: &Patience<'_>,
    ) -> Result<(), Failure> {
        self.writable()?;
        let mut ranges = [0; RANGE_SIZE * MAX_RANGES];
        if from.remaining() > ranges.len() || !from.remaining().is_multiple_of(RANGE_SIZE) {
            return Err(Failure::Io);
        }
        let len = from.read(&mut ranges)?;
        for range in ranges[..len].chunks_exact(RANGE_SIZE) {
            let (sector, count, flags) = (le64(range), le32(&range[8..]), le32(&range[12..]));
            let allowed = if zero { RANGE_UNMAP } else { 0 };
            if flags & !allowed != 0 {
                return Err(Failure::Unsupported);
            }
            if count > MAX_RANGE_SECTORS {
                return Err(Failure::Io);
            }
            let len = u64::from(count) * SECTOR;
            let offset = self.range(sector, len)?;
            self.change(patience, |disk, _| match zero {
                true => disk.write_zeroes(offset, len, flags & RANGE_UNMAP != 0),
                false => disk.discard(offset, len),
            })?;
        }
        self.wrote(patience)
    }

    /// Tells of a request with `len` bytes of data.
    fn tell(&self, header: &[u8; 16], len: usize, failed: bool) {
        let operation = match le32(header) {
            T_IN => Operation::Read,
            T_OUT => Operation::Write,
            T_FLUSH => Operation::Flush,
            T_DISCARD => Operation::Discard,
            T_WRITE_ZEROES => Operation::Zero,
            _ => return,
        };
        self.tap.tell(Class::Disk, || {
            // Of the others the range is in their data, and in what becomes of it.
            let moves = matches!(operation, Operation::Read | Operation::Write);
            What::Disk {
                operation,
                sector: if moves { le64(&header[8..]) } else { 0 },
                count: if moves { len as u64 / SECTOR } else { 0 },
                failed,
            }
        });
    }

    fn perform(
        &mut self,
        header: &[u8; 16],
        chain: &mut Parts,
        patience: &Patience<'_>,
    ) -> Result<(), Failure> {
        let sector = le64(&header[8..]);
        match le32(header) {
            T_IN => self.read(sector, &mut chain.writer, chain.room),
            T_OUT => self.write(sector, &mut chain.reader, patience),
            T_FLUSH => self.flush(patience),
            T_GET_ID => self.identify(&mut chain.writer, chain.room),
            T_DISCARD => self.clear(false, &mut chain.reader, patience),
            T_WRITE_ZEROES => self.clear(true, &mut chain.reader, patience),
            _ => Err(Failure::Unsupported),
        }
    }
}

impl Server for Sectors {
    fn answer(
        &mut self,
        chain: &Chain,
        ram: &Ram,
        patience: &Patience<'_>,
    ) -> Result<u32, QueueError> {
        let mut header = [0; 16];
        let mut reader = chain.reader(ram);
        let writer = chain.writer(ram);
        // The status is the last byte, whatever the framing (2.7.4.2).
        let room = writer
            .remaining()
            .checked_sub(1)
            .ok_or(QueueError::Request)?;
        if reader.read(&mut header)? < header.len() {
            return Err(QueueError::Request);
        }
        let mut parts = Parts {
            reader,
            writer,
            room,
        };
        let asked = parts.reader.remaining();
        let result = self.perform(&header, &mut parts, patience);
        self.tell(&header, asked.max(room), result.is_err());
        let status = match result {
            Ok(()) => S_OK,
            Err(Failure::Io) => S_IOERR,
            Err(Failure::Unsupported) => S_UNSUPP,
            Err(Failure::Queue(error)) => return Err(error),
        };
        let Parts { mut writer, .. } = parts;
        let left = writer.remaining() - 1;
        writer.skip(left)?;
        writer.write(&[status])?;
        Ok((room - left + 1) as u32)
    }
}

/// The two sides of a request after its header.
struct Parts<'a> {
    reader: Reader<'a>,
    writer: Writer<'a>,
    /// What the writer has room for before the status.
    room: usize,
}

fn le32(bytes: &[u8]) -> u32 {
    let mut value = [0; 4];
    value.copy_from_slice(&bytes[..4]);
    u32::from_le_bytes(value)
}

fn le64(bytes: &[u8]) -> u64 {
    u64::from(le32(bytes)) | u64::from(le32(&bytes[4..])) << 32
}

impl VirtioDevice for Blk {
    fn watch(&mut self, tap: &Tap) {
        if let Requests::Here(sectors) = &mut self.requests {
            sectors.disk.watch(tap.clone());
            sectors.tap = tap.clone();
        }
    }

    fn device_id(&self) -> u32 {
        2
    }

    fn features(&self) -> u64 {
        let kind = if self.read_only {
            F_RO
        } else {
            F_CONFIG_WCE | F_DISCARD | F_WRITE_ZEROES
        };
        F_SEG_MAX | F_BLK_SIZE | F_FLUSH | kind
    }

    fn queue_sizes(&self) -> &[u16] {
        &[QUEUE_SIZE]
    }

    fn read_config(&self, offset: u64, out: &mut [u8]) {
        let mut space = [0; 60];
        let mut put = |at: usize, bytes: &[u8]| space[at..at + bytes.len()].copy_from_slice(bytes);
        let ranges = (MAX_RANGES as u32).to_le_bytes();
        let range_sectors = MAX_RANGE_SECTORS.to_le_bytes();
        put(0, &self.sectors.to_le_bytes());
        put(12, &SEG_MAX.to_le_bytes());
        put(20, &(SECTOR as u32).to_le_bytes());
        put(32, &[self.writeback.load(Ordering::Relaxed).into()]);
        put(34, &1u16.to_le_bytes());
        put(36, &range_sectors);
        put(40, &ranges);
        // Host file systems free blocks of 4 KiB.
        put(44, &8u32.to_le_bytes());
        put(48, &range_sectors);
        put(52, &ranges);
        put(56, &[1]);
        copy_config(&space, offset, out);
    }

    fn write_config(&mut self, offset: u64, bytes: &[u8]) {
        if offset == CONFIG_WRITEBACK && self.features & F_CONFIG_WCE != 0 {
            self.writeback.store(bytes[0] & 1 != 0, Ordering::Relaxed);
        }
    }

    fn negotiated(&mut self, features: u64) {
        self.features = features;
        // Who cannot flush gets a disk without a cache (section 5.2.5.2).
        let writeback = features & (F_FLUSH | F_CONFIG_WCE) != 0;
        self.writeback.store(writeback, Ordering::Relaxed);
    }

    fn notify(&mut self, index: usize, queues: &mut [Queue], ram: &Ram) -> Result<(), QueueError> {
        self.requests.notify(&mut queues[index], ram)
    }

    fn stop(&mut self) {
        self.requests.stop();
    }

    fn reset(&mut self) {
        self.features = 0;
        self.writeback.store(true, Ordering::Relaxed);
    }

    fn save(&mut self) -> Vec<u8> {
        state::pack(&(self.sectors, self.writeback.load(Ordering::Relaxed)))
    }

    fn load(&mut self, state: &[u8]) -> Result<(), BadState> {
        let (sectors, writeback): (u64, bool) = state::unpack(state)?;
        if sectors != self.sectors {
            return Err(BadState::new(format!(
                "it had {sectors} sectors, and has {}",
                self.sectors
            )));
        }
        self.writeback.store(writeback, Ordering::Relaxed);
        self.requests.look_again();
        Ok(())
    }
}

impl Served for Blk {
    type Server = Sectors;

    fn requests(&mut self) -> &mut Requests<Sectors> {
        &mut self.requests
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use ruse_bus::{Device, Width};
    use ruse_disk::MemoryDisk;

    use super::super::testing::{DATA, Driver, MODERN, Part, VERSION_1};
    use super::*;

    const HEADER: u64 = DATA - 0x1000;
    const STATUS: u64 = DATA - 0x800;
    const ALL: u64 = MODERN | 0xffff;

    /// A disk that tests keep a hand on, and that can be made to fail.
    #[derive(Clone)]
    struct Shared(Arc<Mutex<(MemoryDisk, bool)>>);

    impl Shared {
        fn new(disk: MemoryDisk) -> Self {
            Self(Arc::new(Mutex::new((disk, false))))
        }
        fn fail(&self, fails: bool) {
            self.0.lock().unwrap().1 = fails;
        }
        fn bytes(&self, at: usize, len: usize) -> Vec<u8> {
            self.0.lock().unwrap().0.bytes()[at..at + len].to_vec()
        }
        fn flushes(&self) -> u64 {
            self.0.lock().unwrap().0.flushes()
        }
        fn with<T>(
            &self,
            f: impl FnOnce(&mut MemoryDisk) -> Result<T, DiskError>,
        ) -> Result<T, DiskError> {
            let mut inner = self.0.lock().unwrap();
            if inner.1 {
                return Err(DiskError::ReadOnly {
                    name: "failing".into(),
                    offset: 0,
                });
            }
            f(&mut inner.0)
        }
    }

    impl Disk for Shared {
        fn size(&self) -> u64 {
            self.0.lock().unwrap().0.size()
        }
        fn read_only(&self) -> bool {
            self.0.lock().unwrap().0.read_only()
        }
        fn id(&self) -> &str {
            "a-serial-number-longer-than-it-may-be"
        }
        fn read_at(&mut self, offset: u64, out: &mut [u8]) -> Result<(), DiskError> {
            self.with(|d| d.read_at(offset, out))
        }
        fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
            self.with(|d| d.write_at(offset, bytes))
        }
        fn flush(&mut self) -> Result<(), DiskError> {
            self.with(Disk::flush)
        }
        fn discard(&mut self, offset: u64, len: u64) -> Result<(), DiskError> {
            self.with(|d| d.discard(offset, len))
        }
        fn write_zeroes(&mut self, offset: u64, len: u64, unmap: bool) -> Result<(), DiskError> {
            self.with(|d| d.write_zeroes(offset, len, unmap))
        }
    }

    struct Rig {
        driver: Driver<Blk>,
        disk: Shared,
    }

    impl Rig {
        /// A disk of 2048 sectors, each filled with its number, and a driver
        /// that accepts `features`.
        fn new(features: u64) -> Self {
            let bytes = (0..2048 * 512).map(|n| (n / 512) as u8).collect();
            Self::with(MemoryDisk::from_bytes(bytes), features)
        }

        fn with(disk: MemoryDisk, features: u64) -> Self {
            let disk = Shared::new(disk);
            let driver = Driver::new(Blk::new(Box::new(disk.clone())), features);
            Self { driver, disk }
        }

        /// Sends a request; returns its status and used length.
        fn request(&mut self, kind: u32, sector: u64, data: &[Part]) -> (u8, u32) {
            let mut header = [0; 16];
            header[..4].copy_from_slice(&kind.to_le_bytes());
            header[8..].copy_from_slice(&sector.to_le_bytes());
            self.driver.ram.write(HEADER, &header).unwrap();
            self.driver.ram.write(STATUS, &[0xee]).unwrap();
            let mut parts = vec![(HEADER, 16, false)];
            parts.extend_from_slice(data);
            parts.push((STATUS, 1, true));
            self.driver.send(0, &parts);
            assert!(!self.driver.needs_reset());
            let (_, len) = self.driver.used(0).expect("an answer");
            assert_eq!(self.driver.used(0), None);
            (self.driver.bytes(STATUS, 1)[0], len)
        }

        fn ranges(&mut self, kind: u32, ranges: &[(u64, u32, u32)]) -> u8 {
            let mut at = DATA;
            for &(sector, count, flags) in ranges {
                self.driver.ram.store(at, Width::B8, sector).unwrap();
                let rest = u64::from(flags) << 32 | u64::from(count);
                self.driver.ram.store(at + 8, Width::B8, rest).unwrap();
                at += 16;
            }
            self.request(kind, 0, &[(DATA, (at - DATA) as u32, false)])
                .0
        }
    }

    #[test]
    fn reads_and_writes_in_pieces() {
        let mut rig = Rig::new(ALL);
        let data = [(DATA, 100, true), (DATA + 100, 924, true)];
        assert_eq!(rig.request(T_IN, 9, &data), (S_OK, 1025));
        let seen = rig.driver.bytes(DATA, 1025);
        assert!(seen[..512].iter().all(|&b| b == 9) && seen[512..1024].iter().all(|&b| b == 10));
        assert_eq!(seen[1024], 0);
        rig.driver.ram.fill(DATA, 1536, 0x77).unwrap();
        let data = [(DATA, 1, false), (DATA + 1, 1535, false)];
        assert_eq!(rig.request(T_OUT, 100, &data), (S_OK, 1));
        assert_eq!(rig.disk.bytes(100 * 512 - 1, 2), [99, 0x77]);
        assert_eq!(rig.disk.bytes(103 * 512 - 1, 2), [0x77, 103]);
        assert_eq!(rig.disk.flushes(), 0);
        assert_eq!(rig.request(T_FLUSH, 0, &[]), (S_OK, 1));
        assert_eq!(rig.disk.flushes(), 1);
    }

    #[test]
    fn a_large_request_goes_through_the_buffer_many_times() {
        let mut rig = Rig::new(ALL);
        let len = 1 << 20;
        assert_eq!(rig.request(T_IN, 0, &[(DATA, len, true)]), (S_OK, len + 1));
        assert_eq!(
            rig.driver.bytes(DATA, len as usize),
            rig.disk.bytes(0, len as usize)
        );
        let pattern: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
        rig.driver.ram.write(DATA, &pattern).unwrap();
        assert_eq!(rig.request(T_OUT, 0, &[(DATA, len, false)]), (S_OK, 1));
        assert_eq!(rig.disk.bytes(0, len as usize), pattern);
    }

    #[test]
    fn framing_is_the_drivers_choice() {
        // Header split, status in the data's descriptor.
        let mut rig = Rig::new(ALL);
        let mut header = [0; 16];
        header[8] = 5;
        rig.driver.ram.write(HEADER, &header).unwrap();
        rig.driver.send(
            0,
            &[
                (HEADER, 3, false),
                (HEADER + 3, 13, false),
                (DATA, 513, true),
            ],
        );
        assert_eq!(rig.driver.used(0), Some((0, 513)));
        let mut expected = vec![5; 512];
        expected.push(S_OK);
        assert_eq!(rig.driver.bytes(DATA, 513), expected);
    }

    #[test]
    fn the_end_and_half_sectors_are_io_errors() {
        let mut rig = Rig::new(ALL);
        for (sector, len) in [
            (2047, 1024),
            (2048, 512),
            (u64::MAX, 512),
            (1 << 55, 512),
            (0, 511),
        ] {
            for write in [true, false] {
                let kind = if write { T_IN } else { T_OUT };
                let data = [(DATA, len, write)];
                assert_eq!(rig.request(kind, sector, &data).0, S_IOERR, "{sector}");
            }
        }
        assert_eq!(rig.request(T_IN, 2047, &[(DATA, 512, true)]).0, S_OK);
    }

    #[test]
    fn the_hosts_errors_become_the_guests_and_pass() {
        let mut rig = Rig::new(ALL);
        rig.disk.fail(true);
        assert_eq!(rig.request(T_IN, 0, &[(DATA, 512, true)]), (S_IOERR, 1));
        assert_eq!(rig.request(T_OUT, 0, &[(DATA, 512, false)]).0, S_IOERR);
        assert_eq!(rig.request(T_FLUSH, 0, &[]).0, S_IOERR);
        assert_eq!(rig.ranges(T_DISCARD, &[(0, 1, 0)]), S_IOERR);
        rig.disk.fail(false);
        assert_eq!(rig.request(T_IN, 0, &[(DATA, 512, true)]).0, S_OK);
    }

    #[test]
    fn identity_and_the_unknown() {
        let mut rig = Rig::new(ALL);
        assert_eq!(rig.request(T_GET_ID, 0, &[(DATA, 20, true)]), (S_OK, 21));
        assert_eq!(rig.driver.bytes(DATA, 21), b"a-serial-number-long\0");
        assert_eq!(rig.request(99, 0, &[(DATA, 20, true)]), (S_UNSUPP, 1));
    }

    #[test]
    fn clearing() {
        let mut rig = Rig::new(ALL);
        assert_eq!(rig.ranges(T_WRITE_ZEROES, &[(10, 2, 1), (20, 1, 0)]), S_OK);
        assert_eq!(rig.disk.bytes(10 * 512 - 1, 2), [9, 0]);
        assert_eq!(rig.disk.bytes(12 * 512 - 1, 2), [0, 12]);
        assert_eq!(rig.disk.bytes(20 * 512, 1), [0]);
        assert_eq!(rig.ranges(T_DISCARD, &[(0, 8, 0)]), S_OK);
        assert_eq!(rig.ranges(T_DISCARD, &[(0, 8, 1)]), S_UNSUPP);
        assert_eq!(rig.ranges(T_WRITE_ZEROES, &[(0, 8, 2)]), S_UNSUPP);
        assert_eq!(rig.ranges(T_WRITE_ZEROES, &[(2047, 2, 0)]), S_IOERR);
        assert_eq!(rig.ranges(T_DISCARD, &[(0, u32::MAX, 0)]), S_IOERR);
        assert_eq!(rig.ranges(T_DISCARD, &[(0, 1, 0); 65]), S_IOERR);
        assert_eq!(rig.request(T_DISCARD, 0, &[(DATA, 15, false)]).0, S_IOERR);
    }

    #[test]
    fn a_read_only_disk_says_so_and_stays_so() {
        let mut rig = Rig::with(MemoryDisk::new(8).into_read_only(), ALL);
        assert_eq!(
            rig.driver.offered() & 0xffff,
            F_SEG_MAX | F_RO | F_BLK_SIZE | F_FLUSH
        );
        assert_eq!(rig.request(T_OUT, 0, &[(DATA, 512, false)]).0, S_IOERR);
        assert_eq!(rig.ranges(T_WRITE_ZEROES, &[(0, 1, 0)]), S_IOERR);
        assert_eq!(rig.request(T_IN, 0, &[(DATA, 512, true)]).0, S_OK);
    }

    #[test]
    fn writes_last_without_flushes_where_none_were_promised() {
        let mut rig = Rig::new(VERSION_1);
        assert_eq!(rig.request(T_OUT, 0, &[(DATA, 512, false)]).0, S_OK);
        assert_eq!(rig.disk.flushes(), 1);
        let mut rig = Rig::new(ALL);
        assert_eq!(rig.driver.mmio.read(0x120, Width::B1), Ok(1));
        rig.driver.mmio.write(0x120, Width::B1, 0).unwrap();
        assert_eq!(rig.driver.mmio.read(0x120, Width::B1), Ok(0));
        assert_eq!(rig.request(T_OUT, 0, &[(DATA, 512, false)]).0, S_OK);
        assert_eq!(rig.disk.flushes(), 1);
    }

    #[test]
    fn its_configuration() {
        let mut rig = Rig::new(ALL);
        assert_eq!(rig.driver.get(0x100), 2048);
        assert_eq!(rig.driver.get(0x104), 0);
        assert_eq!(rig.driver.get(0x10c), 254);
        assert_eq!(rig.driver.get(0x114), 512);
        assert_eq!(rig.driver.mmio.read(0x100, Width::B8), Ok(2048));
        assert_eq!(rig.driver.mmio.read(0x138, Width::B8), Ok(1));
        assert_eq!(rig.driver.mmio.read(0xff8, Width::B8), Ok(0));
    }

    #[test]
    fn a_request_without_header_or_status_breaks_the_queue() {
        for parts in [
            vec![(HEADER, 16, false)],
            vec![(HEADER, 15, false), (STATUS, 1, true)],
            vec![(STATUS, 1, true)],
        ] {
            let mut rig = Rig::new(ALL);
            rig.driver.send(0, &parts);
            assert!(rig.driver.needs_reset());
            assert_eq!(rig.driver.used(0), None);
        }
    }
}
