//! A machine's presence among those of its user: its entry, the socket on
//! which it is asked, and the log of its console.

use std::io::{self, BufReader, BufWriter};
use std::net::Shutdown as Direction;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use ruse_machine::{Handle, Machine};

use super::hub::Hub;
use super::logfile::Log;
use super::registry::{Entry, Registry};
use super::shutdown::Shutdown;
use super::socket::{Listener, Stream};
use super::wire::{self, DiskFacts, End, Reply, Request, Status, Typed};
use crate::error::HostError;
use crate::record::Recipe;

/// How many connections there are at a time.
const CONNECTIONS: usize = 32;
/// How long one may take to say what it wants, or to read what it is told.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long who gets a snapshot may take to put it onto a disk.
const KEEPING: Duration = Duration::from_secs(60);
/// How often a console without output looks whether anybody is left.
const PULSE: Duration = Duration::from_millis(200);

/// What a machine says of itself that does not change.
#[derive(Clone, Default)]
pub struct Facts {
    /// Bytes of RAM.
    pub memory: u64,
    /// Harts.
    pub harts: usize,
    /// Disks.
    pub disks: Vec<DiskFacts>,
    /// Ports of the host that lead into the guest.
    pub forwards: Vec<String>,
    /// What it booted.
    pub recipe: Recipe,
}

/// A machine's presence before there is the machine: what is to be opened
/// while files can be.
pub struct Presence {
    listener: Option<(Listener, Entry)>,
    log: Option<PathBuf>,
    hub: Hub,
}

/// A machine's presence while it runs.
pub struct Control {
    /// The end of the machine.
    pub shutdown: Shutdown,
    _entry: Option<Entry>,
}

impl Presence {
    /// Of a machine that may have a name and a log.
    ///
    /// # Errors
    /// [`HostError`] if the name is taken, or the host refuses.
    pub fn new(name: Option<&str>, log: Option<&Path>) -> Result<Self, HostError> {
        let listener = match name {
            Some(_) if cfg!(not(unix)) => return Err(HostError::NoNames),
            Some(name) => {
                let entry = Registry::open()?.enter(name)?;
                let listener =
                    Listener::bind(&entry.socket).map_err(|source| HostError::Write {
                        path: entry.socket.clone(),
                        source,
                    })?;
                Some((listener, entry))
            }
            None => None,
        };
        let path = log.map(|log| std::path::absolute(log).unwrap_or_else(|_| log.into()));
        let log = log.map(Log::create).transpose()?;
        Ok(Self {
            listener,
            log: path,
            hub: Hub::new(log),
        })
    }

    /// Where the guest's output is to go.
    pub fn hub(&self) -> Hub {
        self.hub.clone()
    }

    /// Starts to answer for `machine`, which can be made again as `note` says.
    pub fn start(self, machine: &Machine, facts: Facts, note: Vec<u8>) -> Control {
        let handle = machine.handle();
        let shutdown = Shutdown::new(handle.clone(), machine.buttons(), self.hub.clone());
        let mut kept = None;
        if let Some((listener, entry)) = self.listener {
            kept = Some(entry);
            let desk = Arc::new(Desk {
                handle,
                hub: self.hub,
                shutdown: shutdown.clone(),
                started: Instant::now(),
                facts,
                log: self.log,
                note,
            });
            std::thread::spawn(move || desk.accept(&listener));
        }
        Control {
            shutdown,
            _entry: kept,
        }
    }
}

/// Who answers.
struct Desk {
    handle: Handle,
    hub: Hub,
    shutdown: Shutdown,
    started: Instant,
    facts: Facts,
    log: Option<PathBuf>,
    /// How to make the machine again.
    note: Vec<u8>,
}

impl Desk {
    fn accept(self: Arc<Self>, listener: &Listener) {
        let open = Arc::new(());
        loop {
            let Ok((stream, _)) = listener.accept() else {
                // Such as too many open files: it may pass.
                std::thread::sleep(PULSE);
                continue;
            };
            let ticket = open.clone();
            if Arc::strong_count(&ticket) > CONNECTIONS + 1 {
                turn_away(stream);
                continue;
            }
            let this = self.clone();
            std::thread::spawn(move || {
                if let Err(error) = this.serve(stream) {
                    log::debug!("a connection ended: {error}");
                }
                drop(ticket);
            });
        }
    }

    fn serve(&self, stream: Stream) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut stream = stream;
        match wire::receive(&mut reader, wire::REQUEST) {
            Ok(None) => Ok(()),
            Ok(Some(Request::Status)) => wire::send(stream, &Reply::Status(self.status())),
            Ok(Some(Request::Stop { timeout, kill })) => {
                let watcher = self.shutdown.watch();
                match kill {
                    true => self.shutdown.unplug(),
                    false => self.shutdown.begin(Duration::from_secs(timeout)),
                }
                watcher.follow(|reply| wire::send(&mut stream, reply))
            }
            Ok(Some(Request::Console)) => self.lend(stream, reader),
            Ok(Some(Request::Save { stop })) => self.save(stream, reader, stop),
            Err(error) => wire::send(stream, &Reply::Error(error.to_string())),
        }
    }

    fn status(&self) -> Status {
        let state = match self.shutdown.has_begun() {
            true => "stopping",
            false => "running",
        };
        Status {
            pid: std::process::id(),
            state: state.into(),
            uptime: self.started.elapsed().as_secs(),
            memory: self.facts.memory,
            harts: self.facts.harts,
            disks: self.facts.disks.clone(),
            forwards: self.facts.forwards.clone(),
            log: self.log.clone(),
        }
    }

    /// Sends the machine, while it stands still.
    fn save(&self, stream: Stream, reader: BufReader<Stream>, stop: bool) -> io::Result<()> {
        // Until the other side knows the end.
        let _watcher = self.shutdown.watch();
        let (done, over) = mpsc::channel();
        let note = self.note.clone();
        let shutdown = self.shutdown.clone();
        let mut out = Sending {
            stream: stream.try_clone()?,
            begun: false,
        };
        let asked = self.handle.errand(move |machine| {
            let saved = {
                let mut buffered = BufWriter::with_capacity(1 << 20, &mut out);
                machine.save(&mut buffered, &note)
            };
            match saved {
                Ok(()) if stop => match confirmed(reader) {
                    true => shutdown.unplug(),
                    false => log::warn!("nobody has kept the snapshot; the guest goes on"),
                },
                Ok(()) => {}
                Err(error) if out.begun => log::warn!("{error}"),
                Err(error) => {
                    let _ = wire::send(&mut out.stream, &Reply::Error(error.to_string()));
                }
            }
            let _ = done.send(());
        });
        if !asked {
            return wire::send(stream, &Reply::Error("it has ended".into()));
        }
        // An error if the machine is gone before it came to that.
        let _ = over.recv();
        stream.shutdown(Direction::Both)
    }

    /// Lends the console to the other side.
    fn lend(&self, mut stream: Stream, mut reader: BufReader<Stream>) -> io::Result<()> {
        use std::io::Write;
        let _watcher = self.shutdown.watch();
        let output = self.hub.listen();
        wire::send(&mut stream, &Reply::Attached)?;
        stream.set_read_timeout(None)?;
        let left = Arc::new(AtomicBool::new(false));
        let (handle, leaving) = (self.handle.clone(), left.clone());
        std::thread::spawn(move || {
            // Ends with the connection, or with what makes no sense.
            while let Ok(Some(typed)) = wire::receive(&mut reader, wire::REQUEST) {
                match typed {
                    Typed::Break => handle.send_break(),
                    Typed::Keys(keys) => match wire::bytes(&keys) {
                        Some(bytes) if handle.send(&bytes) => {}
                        _ => break,
                    },
                }
            }
            leaving.store(true, Ordering::Relaxed);
        });
        let result = loop {
            match output.recv_timeout(PULSE) {
                Ok(piece) => {
                    if let Err(error) = stream.write_all(&piece) {
                        break Err(error);
                    }
                }
                Err(RecvTimeoutError::Timeout)
                    if !left.load(Ordering::Relaxed) && !self.shutdown.is_over() => {}
                Err(_) => break Ok(()),
            }
        };
        // Ends the thread above.
        let _ = stream.shutdown(Direction::Both);
        result
    }
}

/// A snapshot on its way, behind the answer that it comes.
struct Sending {
    stream: Stream,
    begun: bool,
}

impl io::Write for Sending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !std::mem::replace(&mut self.begun, true) {
            wire::send(&mut self.stream, &Reply::Snapshot)?;
        }
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Whether the other side has kept what it was sent, so that the machine may end.
fn confirmed(mut reader: BufReader<Stream>) -> bool {
    let _ = reader.get_ref().set_read_timeout(Some(KEEPING));
    matches!(
        wire::receive(&mut reader, wire::REQUEST),
        Ok(Some(Request::Stop { .. }))
    )
}

/// Tells one too many so, and does not wait for its attention.
fn turn_away(stream: Stream) {
    let _ = stream.set_write_timeout(Some(PULSE));
    let _ = wire::send(stream, &Reply::Error("too many connections".into()));
}

impl Control {
    /// The machine has ended: tells all who are connected.
    pub fn end(self, end: End) {
        self.shutdown.end(end);
    }
}
