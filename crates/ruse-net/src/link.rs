//! A cable between two machines: a Unix stream socket that carries frames,
//! each after its length in four bytes, most significant first, as QEMU's
//! `-netdev stream` and `-netdev socket` have it.
//!
//! Who comes first listens, who comes second connects. When the other machine
//! goes, the cable is pulled; when it comes back, it is plugged in again.

use std::any::Any;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::{UnixListener, UnixStream};
use mio::{Events, Interest, Poll, Token};
use ruse_bus::Wake;
use ruse_devices::backend::{Frame, Given, NetCard, Network, Offload};

use crate::user::{Bell, NetError, Running};

const LISTENER: Token = Token(0);
const PEER: Token = Token(1);
/// Until the other machine is looked for again.
const RETRY: Duration = Duration::from_millis(250);
/// A frame's length.
const PREFIX: usize = 4;
/// The longest frame of a peer's. (QEMU's may be long segments; ours are not.)
const LONGEST: usize = 65_535 + 18;
const SHORTEST: usize = 14;
/// Bytes that wait for the peer, or for the guest, before no more are taken.
const LIMIT: usize = 512 << 10;

/// A cable to another machine.
pub struct Link {
    path: PathBuf,
    poll: Poll,
    bell: Arc<Bell>,
    /// If this end came first.
    listener: Option<UnixListener>,
    peer: Option<UnixStream>,
    retry: Option<Instant>,
    /// From the peer: bytes of frames that are not complete.
    input: Vec<u8>,
    readable: bool,
    frames: VecDeque<Frame>,
    /// For the peer.
    output: VecDeque<u8>,
    writable: bool,
}

impl Link {
    /// The cable of that path.
    ///
    /// # Errors
    /// [`NetError::Socket`] if there can be no such socket.
    pub fn new(path: &Path) -> Result<Self, NetError> {
        let poll = Poll::new()?;
        let bell = Arc::new(Bell::new(&poll)?);
        let mut link = Self {
            path: path.into(),
            poll,
            bell,
            listener: None,
            peer: None,
            retry: None,
            input: Vec::new(),
            readable: false,
            frames: VecDeque::new(),
            output: VecDeque::new(),
            writable: false,
        };
        link.open().map_err(|source| NetError::Socket {
            path: path.into(),
            source,
        })?;
        Ok(link)
    }

    fn open(&mut self) -> io::Result<()> {
        match UnixStream::connect(&self.path) {
            Ok(peer) => return self.connected(peer),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            // A socket that nobody listens on any more. Anything else that
            // lies there is no socket, and not to be deleted.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                use std::os::unix::fs::FileTypeExt;
                let kind = std::fs::symlink_metadata(&self.path)?.file_type();
                if !kind.is_socket() {
                    return Err(error);
                }
                std::fs::remove_file(&self.path)?;
            }
            Err(error) => return Err(error),
        }
        let mut listener = UnixListener::bind(&self.path)?;
        let registry = self.poll.registry();
        registry.register(&mut listener, LISTENER, Interest::READABLE)?;
        self.listener = Some(listener);
        Ok(())
    }

    fn connected(&mut self, mut peer: UnixStream) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut peer, PEER, both)?;
        log::info!("{}: connected", self.path.display());
        self.peer = Some(peer);
        (self.readable, self.writable) = (true, true);
        Ok(())
    }

    /// The peer is gone: what was on its way is lost.
    fn disconnect(&mut self, why: &dyn std::fmt::Display) {
        log::info!("{}: disconnected: {why}", self.path.display());
        self.peer = None;
        self.input.clear();
        self.output.clear();
        self.retry = Some(Instant::now());
    }

    /// Looks for a peer.
    fn seek(&mut self) {
        if self.peer.is_some() {
            return;
        }
        let found = match &self.listener {
            Some(listener) => listener.accept().map(|(peer, _)| peer),
            None if self.retry.is_some_and(|at| Instant::now() < at) => return,
            None => UnixStream::connect(&self.path),
        };
        self.retry = Some(Instant::now() + RETRY);
        if let Ok(peer) = found
            && let Err(error) = self.connected(peer)
        {
            log::warn!("{}: {error}", self.path.display());
        }
    }

    fn receive(&mut self) {
        let mut bytes = [0; 64 << 10];
        while self.readable && self.waiting() < LIMIT {
            let Some(peer) = &mut self.peer else { return };
            match peer.read(&mut bytes) {
                Ok(0) => return self.disconnect(&"the other machine went"),
                Ok(len) => {
                    self.input.extend_from_slice(&bytes[..len]);
                    if let Err(len) = unpack(&mut self.input, &mut self.frames) {
                        return self.disconnect(&format_args!("a frame of {len} bytes"));
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.disconnect(&error),
            }
        }
    }

    fn waiting(&self) -> usize {
        self.frames.iter().map(|frame| frame.bytes.len()).sum()
    }

    fn send(&mut self) {
        while self.writable && !self.output.is_empty() {
            let Some(peer) = &mut self.peer else { return };
            let (first, second) = self.output.as_slices();
            let slices = [io::IoSlice::new(first), io::IoSlice::new(second)];
            match peer.write_vectored(&slices) {
                Ok(len) => drop(self.output.drain(..len)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.disconnect(&error),
            }
        }
    }

    fn run(mut self, card: &dyn NetCard) {
        let mut events = Events::with_capacity(8);
        let (mut taking, mut giving) = (true, true);
        card.set_link(self.peer.is_some());
        while !self.bell.is_stopped() {
            let busy = taking && (self.peer.is_none() || self.output.len() < LIMIT)
                || giving && self.readable && self.peer.is_some();
            let timeout = match (busy, self.peer.is_some()) {
                (true, _) => Some(Duration::ZERO),
                (false, true) => None,
                (false, false) => Some(RETRY),
            };
            if let Err(error) = self.poll.poll(&mut events, timeout)
                && error.kind() != ErrorKind::Interrupted
            {
                log::error!("{}: {error}", self.path.display());
                return;
            }
            for event in &events {
                if event.token() == PEER {
                    self.readable |= event.is_readable() || event.is_read_closed();
                    self.writable |= event.is_writable() || event.is_write_closed();
                }
            }
            if self.bell.heard() {
                (taking, giving) = (true, true);
            }
            let was = self.peer.is_some();
            self.seek();
            self.receive();
            while taking && self.output.len() < LIMIT {
                let (output, there) = (&mut self.output, self.peer.is_some());
                taking = card.take(LIMIT, &mut |frame| {
                    // Without a cable, frames go nowhere.
                    if there {
                        output.extend((frame.bytes.len() as u32).to_be_bytes());
                        output.extend(&frame.bytes);
                    }
                });
                self.send();
            }
            self.send();
            if self.peer.is_some() != was {
                card.set_link(!was);
            }
            if !self.frames.is_empty() {
                match card.give(&mut self.frames) {
                    Given::All => giving = true,
                    Given::Full => giving = false,
                    Given::Down => {
                        self.frames.clear();
                        giving = true;
                    }
                }
            }
        }
    }
}

impl Network for Link {
    fn offloads(&self) -> bool {
        // Nobody on the way could do what is left to do.
        false
    }

    fn link(&self) -> bool {
        self.peer.is_some()
    }

    fn bell(&self) -> Arc<dyn Wake> {
        self.bell.clone()
    }

    fn start(self: Box<Self>, card: Arc<dyn NetCard>) -> io::Result<Box<dyn Any + Send + Sync>> {
        Running::start(self.bell.clone(), move || self.run(&*card))
    }
}

/// Takes complete frames out of `input`.
///
/// # Errors
/// The length of a frame that cannot be.
fn unpack(input: &mut Vec<u8>, frames: &mut VecDeque<Frame>) -> Result<(), usize> {
    let mut rest = &input[..];
    while let Some((prefix, after)) = rest.split_first_chunk::<PREFIX>() {
        let len = u32::from_be_bytes(*prefix) as usize;
        if !(SHORTEST..=LONGEST).contains(&len) {
            return Err(len);
        }
        let Some((bytes, after)) = after.split_at_checked(len) else {
            break;
        };
        frames.push_back(Frame {
            bytes: bytes.into(),
            offload: Offload::default(),
        });
        rest = after;
    }
    let done = input.len() - rest.len();
    input.drain(..done);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_cut() {
        let packed: Vec<u8> = (0..20u32)
            .flat_map(|n| {
                let len = SHORTEST as u32 + n * 97;
                [len.to_be_bytes().to_vec(), vec![n as u8; len as usize]].concat()
            })
            .collect();
        for part in [1, 3, 4, 5, 1000, packed.len()] {
            let (mut input, mut frames) = (Vec::new(), VecDeque::new());
            for bytes in packed.chunks(part) {
                input.extend_from_slice(bytes);
                unpack(&mut input, &mut frames).unwrap();
            }
            assert!(input.is_empty());
            assert_eq!(frames.len(), 20);
            for (n, frame) in frames.iter().enumerate() {
                assert_eq!(frame.bytes, vec![n as u8; SHORTEST + n * 97]);
            }
        }
    }

    #[test]
    fn lengths_that_cannot_be_end_the_connection() {
        for len in [0, 13, LONGEST as u32 + 1, u32::MAX] {
            let mut input = len.to_be_bytes().to_vec();
            assert_eq!(unpack(&mut input, &mut VecDeque::new()), Err(len as usize));
        }
    }
}
