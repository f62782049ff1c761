//! The block device (virtio 1.2, section 5.2): read, write, flush, discard,
//! write zeroes, identity. Left out: several queues, topology, secure erase,
//! zones, lifetime.

use ruse_bus::Ram;
use ruse_disk::{Disk, DiskError, SECTOR};

use super::{Chain, Queue, QueueError, Reader, VirtioDevice, Writer, copy_config};

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
/// How much is moved at a time: some of a cache, many of a system call.
const BUFFER: usize = 256 << 10;
const ID_LEN: usize = 20;

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
    disk: Box<dyn Disk>,
    features: u64,
    /// The guest flushes; otherwise each write is flushed.
    writeback: bool,
    buffer: Vec<u8>,
}

impl Blk {
    /// A device in front of `disk`.
    pub fn new(disk: Box<dyn Disk>) -> Self {
        Self {
            disk,
            features: 0,
            writeback: true,
            buffer: vec![0; BUFFER],
        }
    }

    /// The disk behind it.
    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

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

    /// Without a promise to flush, the guest expects that writes last.
    fn wrote(&mut self) -> Result<(), Failure> {
        if !self.writeback {
            self.disk.flush()?;
        }
        Ok(())
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

    fn write(&mut self, sector: u64, from: &mut Reader) -> Result<(), Failure> {
        let mut offset = self.range(sector, from.remaining() as u64)?;
        self.writable()?;
        loop {
            let part = from.read(&mut self.buffer)?;
            if part == 0 {
                return self.wrote();
            }
            self.disk.write_at(offset, &self.buffer[..part])?;
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
    fn clear(&mut self, zero: bool, from: &mut Reader) -> Result<(), Failure> {
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
            if zero {
                self.disk
                    .write_zeroes(offset, len, flags & RANGE_UNMAP != 0)?;
            } else {
                self.disk.discard(offset, len)?;
            }
        }
        self.wrote()
    }

    fn perform(&mut self, header: &[u8; 16], chain: &mut Parts) -> Result<(), Failure> {
        let sector = le64(&header[8..]);
        match le32(header) {
            T_IN => self.read(sector, &mut chain.writer, chain.room),
            T_OUT => self.write(sector, &mut chain.reader),
            T_FLUSH => Ok(self.disk.flush()?),
            T_GET_ID => self.identify(&mut chain.writer, chain.room),
            T_DISCARD => self.clear(false, &mut chain.reader),
            T_WRITE_ZEROES => self.clear(true, &mut chain.reader),
            _ => Err(Failure::Unsupported),
        }
    }

    /// Answers one request and says how many bytes that wrote.
    fn request(&mut self, chain: &Chain, ram: &Ram) -> Result<u32, QueueError> {
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
        let status = match self.perform(&header, &mut parts) {
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
    fn device_id(&self) -> u32 {
        2
    }

    fn features(&self) -> u64 {
        let kind = if self.disk.read_only() {
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
        put(0, &(self.disk.size() / SECTOR).to_le_bytes());
        put(12, &SEG_MAX.to_le_bytes());
        put(20, &(SECTOR as u32).to_le_bytes());
        put(32, &[self.writeback.into()]);
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
            self.writeback = bytes[0] & 1 != 0;
        }
    }

    fn negotiated(&mut self, features: u64) {
        self.features = features;
        // Who cannot flush gets a disk without a cache (section 5.2.5.2).
        self.writeback = features & (F_FLUSH | F_CONFIG_WCE) != 0;
    }

    fn notify(&mut self, index: usize, queues: &mut [Queue], ram: &Ram) -> Result<(), QueueError> {
        queues[index].serve(ram, |chain| self.request(chain, ram))
    }

    fn reset(&mut self) {
        self.features = 0;
        self.writeback = true;
    }
}
