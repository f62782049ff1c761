//! Recordings: everything that comes from outside while a guest runs under the virtual
//! clock, and when; so that the same machine, given the same again, does the same, bit for
//! bit.
//!
//! What comes from outside is what is typed, breaks, and frames of networks. It enters
//! between rounds of the run loop, at a position: instructions retired, and the time. The
//! machine's quanta are exact then ([`ruse_hart::Hart::run_exact`]), so that positions do
//! not depend on how code was cut into blocks, or whether somebody watches.
//!
//! A recording is a header and then entries, each with its length and a checksum, so that
//! one that was cut off is good up to there:
//!
//! | bytes | |
//! |---|---|
//! | 8 | `RUSEREC` and a version |
//! | 4, 4, n | length and CRC-32 of what describes the machine, and that (the runner's) |
//! | 4, 4, n | length and CRC-32 of an entry, and that (postcard); and so on |

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use ruse_bus::Ram;
use ruse_devices::backend::{Frame, Offload, Segments};
use ruse_hart::Hart;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::blocks::{Blocks, FileError, Kind, pack};
use crate::board::Parts;
use crate::console::Handle;
use crate::lock;
use crate::run::Outcome;

const KIND: Kind = Kind {
    magic: b"RUSEREC",
    version: 2,
    name: "recording",
    verb: "replay",
    // A frame, and a bit.
    longest: 1 << 20,
};
/// Instructions between two checks that a run is still the same.
const CHECK: u64 = 50_000_000;

/// Why a recording cannot be made or used.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The machine did something else than when it was recorded.
    #[error(
        "{}: after {retired} instructions the machine does not do what was recorded ({what}): is it another Ruse, or were its files changed?",
        path.display()
    )]
    Diverged {
        /// The file.
        path: PathBuf,
        /// Instructions retired by then.
        retired: u64,
        /// How one knows.
        what: &'static str,
    },
}

/// When something comes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Instructions retired by all harts.
    pub retired: u64,
    /// `mtime`.
    pub ticks: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum What {
    /// The console device took these bytes.
    Typed(Vec<u8>),
    /// The serial port took a break.
    Break,
    /// A frame was offered to a card.
    Frame {
        card: u32,
        bytes: Vec<u8>,
        checksum: Option<(u16, u16)>,
        segments: Option<(bool, u16, u16)>,
        /// There was room for it.
        given: bool,
    },
    /// What the harts were like.
    Check(u32),
    /// It was ended: by the guest with a code, or from outside. What the harts and
    /// memory were like.
    End { code: Option<u32>, state: u32 },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    at: Position,
    what: What,
}

/// A recording that is being made.
pub struct Recorder {
    out: Box<dyn Write + Send>,
    path: PathBuf,
    check: u64,
    broken: bool,
}

impl Recorder {
    /// Begins a recording of the machine that `header` describes, to be called `path` in
    /// messages.
    ///
    /// # Errors
    /// [`JournalError`] if it cannot be written.
    pub fn new(
        mut out: Box<dyn Write + Send>,
        path: &Path,
        header: &[u8],
    ) -> Result<Self, JournalError> {
        let start = KIND.start(header);
        let written = out.write_all(&start).and_then(|()| out.flush());
        written.map_err(|source| FileError::Io {
            path: path.into(),
            source,
        })?;
        Ok(Self {
            out,
            path: path.into(),
            check: CHECK,
            broken: false,
        })
    }

    /// One that is for going back, and kept nowhere.
    pub fn nowhere() -> Self {
        Self {
            out: Box::new(io::sink()),
            path: "what came in".into(),
            check: CHECK,
            broken: false,
        }
    }

    fn put(&mut self, entry: &Entry) {
        if self.broken {
            return;
        }
        let entry = postcard::to_allocvec(entry).unwrap_or_default();
        // Whatever comes next, this has been recorded.
        let written = self.out.write_all(&pack(&entry));
        if let Err(error) = written.and_then(|()| self.out.flush()) {
            self.broken = true;
            log::error!(
                "{}: {error}; the recording ends here, the guest goes on",
                self.path.display()
            );
        }
    }
}

/// A recording that is being followed.
pub struct Player {
    blocks: Blocks,
    next: Option<Entry>,
    /// It ends without an end.
    cut: bool,
}

impl Player {
    /// Opens a recording; also what its header says of the machine.
    ///
    /// # Errors
    /// [`JournalError`] if it is none, of another version, or damaged.
    pub fn new(input: Box<dyn Read + Send>, path: &Path) -> Result<(Self, Vec<u8>), JournalError> {
        let mut blocks = Blocks::open(&KIND, input, path)?;
        let header = blocks.next()?;
        let header = header.ok_or_else(|| blocks.damaged("it ends within its header"))?;
        let mut player = Self {
            blocks,
            next: None,
            cut: false,
        };
        player.advance()?;
        Ok((player, header))
    }

    fn advance(&mut self) -> Result<(), JournalError> {
        self.next = match self.blocks.next()? {
            Some(bytes) => {
                let entry = postcard::from_bytes(&bytes);
                Some(entry.map_err(|_| self.blocks.damaged("an entry that makes no sense"))?)
            }
            None => {
                self.cut = true;
                None
            }
        };
        Ok(())
    }

    fn diverged(&self, at: Position, what: &'static str) -> JournalError {
        diverged(self.blocks.path(), at, what)
    }
}

fn diverged(path: &Path, at: Position, what: &'static str) -> JournalError {
    JournalError::Diverged {
        path: path.into(),
        retired: at.retired,
        what,
    }
}

/// What a machine's inputs are recorded to, or come from.
pub struct Journal {
    source: Source,
    /// All that came in so far, if somebody may go back to it.
    history: Option<Vec<Entry>>,
    /// How much of that has come in where the machine is now.
    at: usize,
    /// Until where the machine has ever come.
    frontier: Position,
    /// It went back, and has not come there again.
    again: bool,
}

enum Source {
    /// They are recorded.
    Record(Recorder),
    /// They come from a recording, and nothing else comes in.
    Replay(Player),
}

/// The state of harts in one number.
fn state_of(harts: &mut [Hart]) -> crc32fast::Hasher {
    use ruse_isa::csr;
    const CSRS: [u16; 8] = [
        csr::MSTATUS,
        csr::SATP,
        csr::SEPC,
        csr::SCAUSE,
        csr::MEPC,
        csr::MCAUSE,
        csr::STVAL,
        csr::FCSR,
    ];
    let mut hash = crc32fast::Hasher::new();
    for hart in harts {
        let numbers = (0..32).flat_map(|n| [hart.x(n), hart.f(n)]);
        let mut numbers: Vec<u64> = numbers.collect();
        numbers.extend([hart.pc(), hart.privilege() as u64, hart.retired()]);
        numbers.extend(CSRS.iter().filter_map(|number| hart.csr(*number)));
        for number in numbers {
            hash.update(&number.to_le_bytes());
        }
    }
    hash
}

/// The same with memory.
fn state_of_all(harts: &mut [Hart], ram: &Ram) -> u32 {
    let mut hash = state_of(harts);
    let mut page = vec![0; 4096];
    for at in (ram.base()..ram.base() + ram.size()).step_by(page.len()) {
        // Most of it was never touched.
        if ram.read(at, &mut page).is_ok() && page.iter().any(|byte| *byte != 0) {
            hash.update(&at.to_le_bytes());
            hash.update(&page);
        }
    }
    hash.finalize()
}

impl Journal {
    /// Inputs are recorded.
    pub fn record(recorder: Recorder) -> Self {
        Self::new(Source::Record(recorder))
    }

    /// Inputs come from a recording, and nothing else comes in.
    pub fn replay(player: Player) -> Self {
        Self::new(Source::Replay(player))
    }

    fn new(source: Source) -> Self {
        Self {
            source,
            history: None,
            at: 0,
            frontier: Position::default(),
            again: false,
        }
    }

    /// Whether nothing comes in that has not come in before.
    pub(crate) fn is_replay(&self) -> bool {
        matches!(self.source, Source::Replay(_))
    }

    /// From now on remembers what comes in.
    pub(crate) fn remember(&mut self) {
        self.history.get_or_insert_default();
    }

    /// How much has come in.
    pub(crate) fn cursor(&self) -> usize {
        self.at
    }

    /// The machine is where so much had come in.
    pub(crate) fn go_back(&mut self, cursor: usize) {
        self.at = cursor;
        self.again = true;
    }

    fn path(&self) -> &Path {
        match &self.source {
            Source::Record(recorder) => &recorder.path,
            Source::Replay(player) => player.blocks.path(),
        }
    }

    /// Lets in what comes in at this position. How the run ends here, if the recording
    /// says so.
    pub(crate) fn exchange(
        &mut self,
        at: Position,
        harts: &mut [Hart],
        parts: &Parts,
        handle: &Handle,
    ) -> Result<Option<Outcome>, JournalError> {
        let remembered = self.history.as_ref().map_or(0, Vec::len);
        let past = self.at < remembered || at < self.frontier || at == self.frontier && self.again;
        if past {
            // What the guest sends has been sent.
            parts.gates.iter().for_each(|gate| gate.send(|_| {}));
        }
        // What came in here when the machine was here before.
        while let Some(entry) = self.history.as_ref().and_then(|all| all.get(self.at)) {
            if entry.at != at {
                break;
            }
            if let Err(what) = entry.what.apply(harts, parts) {
                return Err(diverged(self.path(), at, what));
            }
            self.at += 1;
        }
        if past {
            self.again &= at < self.frontier;
            return Ok(None);
        }
        self.frontier = at;
        match &mut self.source {
            Source::Record(recorder) => {
                let new = recorder.exchange(at, harts, parts, handle);
                if let Some(history) = &mut self.history {
                    history.extend(new);
                    self.at = history.len();
                }
                Ok(None)
            }
            Source::Replay(player) => {
                // What somebody types now was not typed then.
                handle.deliver(<[u8]>::len, || true);
                parts.gates.iter().for_each(|gate| gate.send(|_| {}));
                let mut keep = |entry| {
                    if let Some(history) = &mut self.history {
                        history.push(entry);
                        self.at = history.len();
                    }
                };
                player.exchange(at, harts, parts, &mut keep)
            }
        }
    }

    /// Nobody has anything to do, and nothing is to come: what is wrong, if that is.
    pub(crate) fn idle(&self, at: Position) -> Result<(), JournalError> {
        match &self.source {
            Source::Record(_) => Ok(()),
            Source::Replay(player) => Err(player.diverged(at, "it waits for what did not come")),
        }
    }

    /// The run is over.
    pub(crate) fn end(
        &mut self,
        at: Position,
        harts: &mut [Hart],
        ram: &Ram,
        outcome: Outcome,
    ) -> Result<(), JournalError> {
        let code = match outcome {
            Outcome::Off { code } => Some(code),
            Outcome::Stopped => None,
        };
        let state = state_of_all(harts, ram);
        match &mut self.source {
            Source::Record(recorder) => recorder.put(&Entry {
                at,
                what: What::End { code, state },
            }),
            Source::Replay(player) => match &player.next {
                Some(Entry {
                    at: then,
                    what:
                        What::End {
                            code: was,
                            state: there,
                        },
                }) => {
                    // Somebody stopped it before its end.
                    if code.is_none() && (was.is_some() || *then != at) {
                        return Ok(());
                    }
                    if *then != at || *was != code {
                        return Err(player.diverged(at, "it ends otherwise"));
                    }
                    if *there != state {
                        return Err(player.diverged(at, "registers or memory differ at the end"));
                    }
                }
                // Somebody stopped it before, or it was cut off.
                _ if code.is_none() => {}
                _ => return Err(player.diverged(at, "it ends too early")),
            },
        }
        Ok(())
    }
}

impl Recorder {
    /// Lets in what comes in, and records it; what that was.
    fn exchange(
        &mut self,
        at: Position,
        harts: &mut [Hart],
        parts: &Parts,
        handle: &Handle,
    ) -> Vec<Entry> {
        let mut taken = Vec::new();
        if at.retired >= self.check {
            self.check = (at.retired / CHECK + 1) * CHECK;
            taken.push(What::Check(state_of(harts).finalize()));
        }
        let checks = taken.len();
        handle.deliver(
            |bytes| {
                let len = lock(&parts.input).receive(bytes);
                if len > 0 {
                    taken.push(What::Typed(bytes[..len].to_vec()));
                }
                len
            },
            || false,
        );
        if taken.len() == checks {
            let mut breaks = 0;
            handle.deliver(
                |_| 0,
                || {
                    let sent = breaks == 0 && lock(&parts.uart).receive_break();
                    breaks += usize::from(sent);
                    sent
                },
            );
            taken.extend((0..breaks).map(|_| What::Break));
        }
        for (card, gate) in (0..).zip(&parts.gates) {
            gate.exchange(|frame, given| {
                let Offload { checksum, segments } = frame.offload;
                taken.push(What::Frame {
                    card,
                    bytes: frame.bytes.clone(),
                    checksum,
                    segments: segments.map(|s: Segments| (s.v6, s.size, s.header)),
                    given,
                });
            });
        }
        let entries: Vec<_> = taken.into_iter().map(|what| Entry { at, what }).collect();
        entries.iter().for_each(|entry| self.put(entry));
        entries
    }
}

impl What {
    /// Has it come in, or compares.
    ///
    /// # Errors
    /// What is not as it was.
    fn apply(&self, harts: &mut [Hart], parts: &Parts) -> Result<(), &'static str> {
        let same = match self {
            Self::Typed(bytes) => lock(&parts.input).receive(bytes) == bytes.len(),
            Self::Break => lock(&parts.uart).receive_break(),
            Self::Frame {
                card,
                bytes,
                checksum,
                segments,
                given,
            } => {
                let frame = Frame {
                    bytes: bytes.clone(),
                    offload: Offload {
                        checksum: *checksum,
                        segments: segments.map(|(v6, size, header)| Segments { v6, size, header }),
                    },
                };
                let gate = parts.gates.get(*card as usize);
                gate.is_some_and(|gate| gate.offer(frame) == *given)
            }
            Self::Check(state) => state_of(harts).finalize() == *state,
            Self::End { .. } => true,
        };
        match (same, self) {
            (true, _) => Ok(()),
            (false, Self::Typed(_)) => Err("it does not take what was typed"),
            (false, Self::Break) => Err("it does not take a break"),
            (false, Self::Frame { .. }) => Err("it does not take a frame as it did"),
            (false, _) => Err("registers differ"),
        }
    }
}

impl Player {
    /// `keep` gets what came in.
    fn exchange(
        &mut self,
        at: Position,
        harts: &mut [Hart],
        parts: &Parts,
        keep: &mut dyn FnMut(Entry),
    ) -> Result<Option<Outcome>, JournalError> {
        loop {
            let Some(entry) = &self.next else {
                log::warn!(
                    "{}: the recording was cut off after about {} instructions",
                    self.blocks.path().display(),
                    at.retired
                );
                return Ok(Some(Outcome::Stopped));
            };
            if entry.at != at {
                return match entry.at.retired < at.retired {
                    true => Err(self.diverged(at, "it is past what was to come")),
                    false => Ok(None),
                };
            }
            match &entry.what {
                // The guest switches off by itself.
                What::End { code: Some(_), .. } => return Ok(None),
                What::End { code: None, .. } => return Ok(Some(Outcome::Stopped)),
                what => {
                    if let Err(what) = what.apply(harts, parts) {
                        return Err(self.diverged(at, what));
                    }
                }
            }
            self.next.take().into_iter().for_each(&mut *keep);
            self.advance()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording() -> Vec<u8> {
        let mut bytes = KIND.start(b"header");
        for n in 0..3 {
            let entry = Entry {
                at: Position {
                    retired: 100 * n,
                    ticks: n,
                },
                what: What::Typed(vec![n as u8; 5]),
            };
            bytes.extend(pack(&postcard::to_allocvec(&entry).unwrap()));
        }
        bytes
    }

    fn open(bytes: Vec<u8>) -> Result<(Player, Vec<u8>), JournalError> {
        Player::new(Box::new(io::Cursor::new(bytes)), Path::new("r"))
    }

    #[test]
    fn a_recording_reads_as_it_was_written() {
        let (mut player, header) = open(recording()).unwrap();
        assert_eq!(header, b"header");
        for n in 0..3 {
            assert_eq!(player.next.as_ref().unwrap().at.ticks, n);
            player.advance().unwrap();
        }
        assert!(player.next.is_none() && player.cut);
    }

    #[test]
    fn what_is_cut_off_is_good_up_to_there_and_what_is_damaged_says_where() {
        let whole = recording();
        for len in 0..whole.len() {
            if let Ok((mut player, _)) = open(whole[..len].to_vec()) {
                while player.next.is_some() {
                    player.advance().unwrap();
                }
            }
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x40;
            let mut result = open(bytes).map(|(player, _)| player);
            while let Ok(player) = &mut result
                && player.next.is_some()
            {
                if let Err(error) = player.advance() {
                    result = Err(error);
                }
            }
            match result {
                Err(error) => assert!(error.to_string().starts_with("r: "), "{error}"),
                // A length that reaches behind the end is an end.
                Ok(player) => assert!(player.cut),
            }
        }
        let mut newer = whole;
        newer[7] = 9;
        let error = open(newer).err().unwrap().to_string();
        assert!(error.contains("format 9"), "{error}");
        assert!(
            open(b"#!/bin/sh\n".to_vec())
                .err()
                .unwrap()
                .to_string()
                .contains("no recording")
        );
    }
}
