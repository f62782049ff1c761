//! Snapshots: all that a machine is, so that another one of the same make goes on from
//! there.
//!
//! A snapshot is a header and then blocks, each with its length and a checksum in front
//! ([`crate::blocks`]):
//!
//! | bytes | |
//! |---|---|
//! | 8 | `RUSESNP` and a version |
//! | block | how to make the machine again (the runner's) |
//! | block | `S`, harts, devices, time and disks (postcard) |
//! | blocks | `M`, guest-physical address (8 bytes), length (4), that much memory (LZ4) |
//! | blocks | `D`, disk (4), offset (8), length (4), what was written there (LZ4) |
//! | block | `E`; or `F` and why it ends too early |
//!
//! Memory that is not there is zero. Of a disk there is only what would be gone with the
//! process that made the snapshot; of the rest, by what its files are known.
//!
//! A connection does not outlive its process: networks start anew, and the guest finds
//! out. The time of day is the host's and goes on; the guest's other clocks stood still.

use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ruse_bus::state::{self, BadState};
use ruse_bus::{Ram, TIMEBASE_HZ};
use ruse_devices::Entropy;
use ruse_disk::{Disk, DiskError, Extent, Stamp};
use ruse_isa::Xlen;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::blocks::{Blocks, FileError, Kind, pack};
use crate::config::Time;
use crate::lock;
use crate::machine::Machine;
use crate::seat::State as Seated;

const KIND: Kind = Kind {
    magic: b"RUSESNP",
    version: 1,
    name: "snapshot",
    verb: "load",
    // A large directory of a share's files is the largest thing there is.
    longest: 96 << 20,
};
/// Memory and disks are looked at in units of this.
const PAGE: usize = 4096;
/// How many bytes are compressed together at most.
const PIECE: usize = 1 << 20;
/// How long a disk or share has to finish what it is at.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a snapshot cannot be made or used.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// It cannot be written to where it is to go.
    #[error("the snapshot cannot be written: {0}")]
    Write(io::Error),
    /// Who made it could not finish it.
    #[error("{}: it could not be finished: {why}", path.display())]
    Unfinished {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// It is of another machine.
    #[error("{}: of a machine with {then}, and this one has {now}", path.display())]
    Machine {
        /// The file.
        path: PathBuf,
        /// What it had.
        then: String,
        /// What this one has.
        now: String,
    },
    /// A disk is not what it was.
    #[error(
        "{}: {disk} is not what it was when the snapshot was made, so that the guest would \
         damage it; put the file back as it was (with its time), or give --trust-disks if it is the same",
        path.display()
    )]
    Changed {
        /// The snapshot.
        path: PathBuf,
        /// The disk's file.
        disk: String,
    },
    /// A part of the machine does not take its state.
    #[error("{}: the state of {part} does not fit: {source}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What.
        part: String,
        /// What is wrong.
        source: BadState,
    },
    /// Something of the machine's would be lost.
    #[error("a machine that is recorded or replayed cannot be saved")]
    Recorded,
    /// Something is at work and does not end.
    #[error("the {part} is still at work after a while; is there room on the host?")]
    Busy {
        /// What.
        part: String,
    },
    /// A disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// What has to be the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Make {
    rv32: bool,
    harts: usize,
    memory: u64,
    sbi: bool,
    virtual_time: bool,
    /// Names and addresses.
    devices: Vec<(String, u64)>,
}

impl Make {
    fn of(machine: &Machine) -> Self {
        let places = machine.places.iter();
        Self {
            rv32: machine.facts.xlen == Xlen::Rv32,
            harts: machine.harts.len(),
            memory: machine.bus.ram().size(),
            sbi: machine.facts.sbi,
            virtual_time: machine.time != Time::Host,
            devices: places
                .map(|place| (place.name.into(), place.base))
                .collect(),
        }
    }

    /// What of it is not the same, in words.
    fn differs(&self, now: &Self) -> Option<(String, String)> {
        let words = |make: &Self| {
            let devices: Vec<_> = make.devices.iter().map(|(name, _)| name.as_str()).collect();
            [
                format!("{}-bit harts", if make.rv32 { 32 } else { 64 }),
                format!("{} harts", make.harts),
                format!("{:#x} bytes of RAM", make.memory),
                (if make.sbi { "SBI built in" } else { "firmware" }).into(),
                (if make.virtual_time {
                    "a virtual clock"
                } else {
                    "the host's clock"
                })
                .into(),
                devices.join(", "),
            ]
        };
        let (then, now) = (words(self), words(now));
        then.into_iter().zip(now).find(|(then, now)| then != now)
    }
}

#[derive(Serialize, Deserialize)]
struct DiskState {
    volatile: bool,
    stamps: Vec<Stamp>,
}

#[derive(Serialize, Deserialize)]
struct State {
    make: Make,
    ticks: u64,
    phase: u64,
    entropy: Vec<u8>,
    harts: Vec<Vec<u8>>,
    seats: Vec<(Seated, bool)>,
    /// In the order of the board.
    devices: Vec<Vec<u8>>,
    disks: Vec<DiskState>,
}

/// What there is to say of a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Bytes in the file.
    pub bytes: u64,
    /// Bytes of guest memory in it.
    pub memory: u64,
    /// Bytes of disks in it.
    pub disks: u64,
}

/// Packs blocks of one kind.
struct Packer<'a> {
    out: &'a mut dyn Write,
    /// Bytes to be compressed.
    raw: Vec<u8>,
    block: Vec<u8>,
}

impl Packer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        self.out
            .write_all(&pack(bytes))
            .map_err(SnapshotError::Write)
    }

    /// Writes what was collected, behind `head`.
    fn flush(&mut self, head: &[u8]) -> Result<(), SnapshotError> {
        let most = lz4_flex::block::get_maximum_output_size(self.raw.len());
        self.block.clear();
        self.block.extend(head);
        self.block.extend((self.raw.len() as u32).to_le_bytes());
        let start = self.block.len();
        self.block.resize(start + most, 0);
        // There is room for the worst case.
        let len = lz4_flex::block::compress_into(&self.raw, &mut self.block[start..]).unwrap_or(0);
        self.block.truncate(start + len);
        self.raw.clear();
        let block = std::mem::take(&mut self.block);
        self.put(&block)?;
        self.block = block;
        Ok(())
    }

    fn memory(&mut self, ram: &Ram) -> Result<(), SnapshotError> {
        let mut page = [0; PAGE];
        let mut start = 0_u64;
        for piece in ram.touched() {
            for at in piece.step_by(PAGE) {
                // There are only whole pages.
                let zero = ram.read(at, &mut page).is_err() || is_zero(&page);
                let follows = at == start + self.raw.len() as u64;
                let full = self.raw.len() >= PIECE;
                if (zero || full || !follows) && !self.raw.is_empty() {
                    self.flush(&head(b'M', &[&start.to_le_bytes()]))?;
                }
                if !zero {
                    if self.raw.is_empty() {
                        start = at;
                    }
                    self.raw.extend_from_slice(&page);
                }
            }
        }
        match self.raw.is_empty() {
            true => Ok(()),
            false => self.flush(&head(b'M', &[&start.to_le_bytes()])),
        }
    }

    /// What is written to `disk`, the `index`th, alone.
    fn disk(&mut self, index: u32, disk: &mut dyn Disk) -> Result<(), SnapshotError> {
        let mut at = 0;
        while at < disk.size() {
            let Extent { len, own, .. } = disk.extent(at)?;
            let len = if own { len.min(PIECE as u64) } else { len };
            if own {
                // Zeroes too: there may be something else beneath.
                self.raw.resize(len as usize, 0);
                disk.read_at(at, &mut self.raw)?;
                self.flush(&head(b'D', &[&index.to_le_bytes(), &at.to_le_bytes()]))?;
            }
            at += len;
        }
        Ok(())
    }
}

fn head(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut head = vec![kind];
    parts.iter().for_each(|part| head.extend(*part));
    head
}

/// A snapshot that is being read.
pub struct Snapshot {
    blocks: Blocks,
}

impl Snapshot {
    /// What every snapshot starts with.
    pub const MAGIC: &[u8; 7] = KIND.magic;

    /// Opens a snapshot; also what its maker said of how to make the machine again.
    ///
    /// # Errors
    /// [`SnapshotError`] if it is none, of another version, or damaged.
    pub fn new(input: Box<dyn Read + Send>, path: &Path) -> Result<(Self, Vec<u8>), SnapshotError> {
        let mut snapshot = Self {
            blocks: Blocks::open(&KIND, input, path)?,
        };
        let note = snapshot.block()?;
        Ok((snapshot, note))
    }

    fn damaged(&self, what: impl Into<String>) -> SnapshotError {
        self.blocks.damaged(what).into()
    }

    fn block(&mut self) -> Result<Vec<u8>, SnapshotError> {
        let block = self.blocks.next()?;
        block.ok_or_else(|| self.damaged("it ends here, and should go on"))
    }

    fn path(&self) -> PathBuf {
        self.blocks.path().into()
    }

    /// Reads the rest as it is and writes it to `out`.
    ///
    /// # Errors
    /// [`SnapshotError`] if it is damaged or not finished, or cannot be written.
    pub fn copy(mut self, note: &[u8], out: &mut dyn Write) -> Result<Summary, SnapshotError> {
        let mut summary = Summary::default();
        let mut bytes = KIND.start(note);
        let mut ended = false;
        loop {
            summary.bytes += bytes.len() as u64;
            out.write_all(&bytes).map_err(SnapshotError::Write)?;
            if ended {
                return Ok(summary);
            }
            let block = self.block()?;
            match block.first() {
                Some(b'E') => ended = true,
                Some(b'F') => return Err(self.unfinished(&block)),
                Some(b'M') => summary.memory += u64::from(length(&block, 9)),
                Some(b'D') => summary.disks += u64::from(length(&block, 13)),
                _ => {}
            }
            bytes = pack(&block);
        }
    }

    fn unfinished(&self, block: &[u8]) -> SnapshotError {
        SnapshotError::Unfinished {
            path: self.path(),
            why: String::from_utf8_lossy(&block[1..]).into_owned(),
        }
    }

    /// What is compressed in a block, from its length on.
    fn inflate(&self, block: &[u8], raw: &mut Vec<u8>) -> Result<(), SnapshotError> {
        let (len, packed) = match block.split_first_chunk() {
            Some((len, packed)) => (u32::from_le_bytes(*len) as usize, packed),
            None => return Err(self.damaged("a block that is too short")),
        };
        if len > PIECE + PAGE {
            return Err(self.damaged("a block that is too long"));
        }
        raw.resize(len, 0);
        match lz4_flex::block::decompress_into(packed, raw) {
            Ok(there) if there == len => Ok(()),
            _ => Err(self.damaged("what is compressed in it makes no sense")),
        }
    }
}

/// The length in a block at this offset.
fn length(block: &[u8], at: usize) -> u32 {
    let bytes = block.get(at..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

impl Machine {
    /// Writes all that the machine is, for [`Machine::load`] on one that is made alike.
    /// `note` says how that is done. What goes wrong after the start is told in what is
    /// written, too. The machine may go on afterwards; but if it writes to disks that the
    /// snapshot does not hold, that is of no use any more.
    ///
    /// # Errors
    /// [`SnapshotError`] if it cannot be saved now, or written.
    pub fn save(&mut self, out: &mut dyn Write, note: &[u8]) -> Result<(), SnapshotError> {
        if self.journal.is_some() {
            return Err(SnapshotError::Recorded);
        }
        self.rest()?;
        let state = self.state()?;
        out.write_all(&KIND.start(note))
            .map_err(SnapshotError::Write)?;
        let written = self.write(&state, out);
        // However long that took, for the guest it was nothing.
        self.parts.clock.restore(state.ticks, state.phase);
        if let Err(error) = &written {
            let why = error.to_string();
            // Whoever reads it wants to know; if there is nobody, that is the error.
            let _ = out.write_all(&pack(&head(b'F', &[why.as_bytes()])));
        }
        let flushed = out.flush().map_err(SnapshotError::Write);
        written.and(flushed)
    }

    /// [`Machine::save`] without a note, for this same machine.
    pub(crate) fn write_all(&mut self, out: &mut Vec<u8>) -> Result<(), SnapshotError> {
        self.rest()?;
        let state = self.state()?;
        out.extend(KIND.start(&[]));
        self.write(&state, out)
    }

    /// Waits until nothing is at work, and everything is where it is going.
    fn rest(&mut self) -> Result<(), SnapshotError> {
        for thread in &self.parts.threads {
            if !thread.settle(PATIENCE) {
                let part = thread.name().into();
                return Err(SnapshotError::Busy { part });
            }
        }
        self.parts.out.flush();
        self.disks(|disk| disk.flush())
    }

    /// Does something with every disk.
    fn disks(
        &mut self,
        mut work: impl FnMut(&mut dyn Disk) -> Result<(), DiskError>,
    ) -> Result<(), SnapshotError> {
        for disk in &self.parts.disks {
            let done = lock(disk).device_mut().with_disk(&mut work);
            done.unwrap_or(Ok(()))?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<State, SnapshotError> {
        let mut disks = Vec::new();
        self.disks(|disk| {
            disks.push(DiskState {
                volatile: disk.volatile(),
                stamps: disk.stamps()?,
            });
            Ok(())
        })?;
        let places = self.places.iter();
        Ok(State {
            make: Make::of(self),
            ticks: self.parts.clock.now(),
            phase: self.parts.clock.phase(),
            entropy: self.parts.entropy.save(),
            devices: places.map(|place| lock(&place.device).save()).collect(),
            seats: self.seats.iter().map(crate::seat::Seat::save).collect(),
            harts: self.harts.iter_mut().map(ruse_hart::Hart::save).collect(),
            disks,
        })
    }

    fn write(&mut self, state: &State, out: &mut dyn Write) -> Result<(), SnapshotError> {
        let mut packer = Packer {
            out,
            raw: Vec::new(),
            block: Vec::new(),
        };
        packer.put(&head(b'S', &[&state::pack(state)]))?;
        packer.memory(self.bus.ram())?;
        for (index, disk) in (0..).zip(&self.parts.disks) {
            let volatile = |disk: &mut dyn Disk| match disk.volatile() {
                true => packer.disk(index, disk),
                false => Ok(()),
            };
            let done = lock(disk).device_mut().with_disk(volatile);
            done.unwrap_or(Ok(()))?;
        }
        packer.put(b"E")
    }

    /// Becomes what another machine, made alike, was at [`Machine::save`].
    /// `trust`: its disks are taken to be what they were.
    ///
    /// # Errors
    /// [`SnapshotError`] if that was another machine, or the snapshot is damaged; this one
    /// is of no use then.
    pub fn load(&mut self, mut snapshot: Snapshot, trust: bool) -> Result<(), SnapshotError> {
        let block = snapshot.block()?;
        let state = match block.split_first() {
            Some((b'S', state)) => state::unpack::<State>(state),
            Some((b'F', _)) => return Err(snapshot.unfinished(&block)),
            _ => Err(BadState::new("no state of a machine")),
        };
        let state = state.map_err(|error| snapshot.damaged(error.to_string()))?;
        if let Some((then, now)) = state.make.differs(&Make::of(self)) {
            let path = snapshot.path();
            return Err(SnapshotError::Machine { path, then, now });
        }
        self.rest()?;
        self.check_disks(&state, &snapshot, trust)?;
        self.contents(&state, &mut snapshot)?;
        self.become_what(state, snapshot.blocks.path())
    }

    fn check_disks(
        &mut self,
        state: &State,
        snapshot: &Snapshot,
        trust: bool,
    ) -> Result<(), SnapshotError> {
        let mut changed = None;
        let mut then = state.disks.iter();
        let mut all = true;
        self.disks(|disk| {
            let Some(then) = then.next() else {
                all = false;
                return Ok(());
            };
            all &= then.volatile == disk.volatile();
            let now = disk.stamps()?;
            let same = now.len() == then.stamps.len();
            let other = now.iter().zip(&then.stamps).find(|(now, then)| now != then);
            if !trust && (!same || other.is_some()) {
                let name = other.map_or(disk.id(), |(now, _)| &now.path);
                changed.get_or_insert(name.to_owned());
            }
            Ok(())
        })?;
        if !all || then.next().is_some() {
            return Err(snapshot.damaged("its disks are not this machine's"));
        }
        match changed {
            None => Ok(()),
            Some(disk) => Err(SnapshotError::Changed {
                path: snapshot.path(),
                disk,
            }),
        }
    }

    /// Memory and disks.
    fn contents(&mut self, state: &State, snapshot: &mut Snapshot) -> Result<(), SnapshotError> {
        self.disks(|disk| match disk.volatile() {
            true => disk.revert(),
            false => Ok(()),
        })?;
        let ram = self.bus.ram().clone();
        let touched = ram.touched();
        let mut raw = Vec::new();
        // All before is as it should be.
        let mut done = ram.base();
        loop {
            let block = snapshot.block()?;
            match block.split_first() {
                Some((b'E', [])) => break,
                Some((b'F', _)) => return Err(snapshot.unfinished(&block)),
                Some((b'M', rest)) => {
                    let Some((at, rest)) = rest.split_first_chunk() else {
                        return Err(snapshot.damaged("a block that is too short"));
                    };
                    let at = u64::from_le_bytes(*at);
                    snapshot.inflate(rest, &mut raw)?;
                    if at < done || !ram.contains(at, raw.len() as u64) {
                        return Err(snapshot.damaged("memory that is not in order"));
                    }
                    clear(&ram, &touched, done, at);
                    // It is in RAM.
                    let _ = ram.write(at, &raw);
                    done = at + raw.len() as u64;
                }
                Some((b'D', rest)) => {
                    let (index, rest) = rest.split_first_chunk().unwrap_or((&[255; 4], rest));
                    let Some((at, rest)) = rest.split_first_chunk() else {
                        return Err(snapshot.damaged("a block that is too short"));
                    };
                    snapshot.inflate(rest, &mut raw)?;
                    let index = u32::from_le_bytes(*index) as usize;
                    let at = u64::from_le_bytes(*at);
                    let volatile = state.disks.get(index).is_some_and(|disk| disk.volatile);
                    let Some(disk) = self.parts.disks.get(index).filter(|_| volatile) else {
                        return Err(snapshot.damaged("of a disk that is not in it"));
                    };
                    let write = |disk: &mut dyn Disk| match raw.iter().all(|byte| *byte == 0) {
                        true => disk.write_zeroes(at, raw.len() as u64, true),
                        false => disk.write_at(at, &raw),
                    };
                    let written = lock(disk).device_mut().with_disk(write);
                    written.unwrap_or(Ok(()))?;
                }
                _ => return Err(snapshot.damaged("a block of an unknown kind")),
            }
        }
        clear(&ram, &touched, done, ram.base() + ram.size());
        Ok(())
    }

    fn become_what(&mut self, state: State, path: &Path) -> Result<(), SnapshotError> {
        let wrong = |part: &str| {
            let (part, path) = (part.to_owned(), path.to_owned());
            |source| SnapshotError::State { path, part, source }
        };
        let count = |there: usize, wanted: usize, part: &str| match there == wanted {
            true => Ok(()),
            false => Err(wrong(part)(BadState::new(
                "there is another number of them",
            ))),
        };
        count(state.devices.len(), self.places.len(), "devices")?;
        count(state.harts.len(), self.harts.len(), "harts")?;
        count(state.seats.len(), self.seats.len(), "harts")?;
        // Before those that ask for the time.
        self.parts.clock.restore(state.ticks, state.phase);
        let entropy = &mut self.parts.entropy;
        entropy.load(&state.entropy).map_err(wrong("randomness"))?;
        for (hart, (state, seated)) in state.harts.iter().zip(&state.seats).enumerate() {
            let part = format!("hart {hart}");
            self.harts[hart].load(state).map_err(wrong(&part))?;
            self.seats[hart].load(*seated);
        }
        // The interrupt controller, which is the first, comes last: it remembers more
        // than the lines that lead to it show.
        for (place, state) in self.places.iter().zip(&state.devices).rev() {
            let loaded = lock(&place.device).load(state);
            loaded.map_err(wrong(place.name))?;
        }
        self.parts.power.take();
        log::info!("the machine is {} s old", state.ticks / TIMEBASE_HZ);
        Ok(())
    }
}

/// Makes memory zero where it is not. `touched`: where that may be.
fn clear(ram: &Ram, touched: &[Range<u64>], from: u64, to: u64) {
    let mut page = [0; PAGE];
    let first = touched.partition_point(|piece| piece.end <= from);
    for piece in touched[first..].iter().take_while(|piece| piece.start < to) {
        for at in (piece.start.max(from)..piece.end.min(to)).step_by(PAGE) {
            let page = &mut page[..PAGE.min((to - at) as usize)];
            if ram.read(at, page).is_ok() && !is_zero(page) {
                // It was just read.
                let _ = ram.fill(at, page.len() as u64, 0);
            }
        }
    }
}

/// Whether all bytes are zero, many at a time.
fn is_zero(bytes: &[u8]) -> bool {
    let mut pieces = bytes.chunks(64);
    pieces.all(|piece| piece.iter().fold(0, |all, byte| all | byte) == 0)
}
