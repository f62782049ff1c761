//! The other side of a machine's socket.

use std::io::{self, BufReader};
use std::time::Duration;

use super::registry::{Found, Registry};
use super::socket::Stream;
use super::wire::{self, Reply, Request, Status};
use crate::error::HostError;

/// How long a machine has to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection to a machine that has been asked something.
pub struct Asked {
    /// For what it answers.
    pub reader: BufReader<Stream>,
    /// For more.
    pub stream: Stream,
}

impl Asked {
    /// Asks a machine.
    ///
    /// # Errors
    /// What the host said.
    pub fn new(found: &Found, request: &Request) -> io::Result<Self> {
        let mut stream = Stream::connect(&found.socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        wire::send(&mut stream, request)?;
        Ok(Self {
            reader: BufReader::new(stream.try_clone()?),
            stream,
        })
    }

    /// The next answer; `None` when the machine has nothing more to say.
    ///
    /// # Errors
    /// What the host said, or what is wrong with the answer.
    pub fn answer(&mut self) -> io::Result<Option<Reply>> {
        match wire::receive(&mut self.reader, wire::REPLY)? {
            Some(Reply::Error(what)) => Err(io::Error::other(what)),
            reply => Ok(reply),
        }
    }
}

/// Asks a machine to describe itself.
///
/// # Errors
/// What the host said, or that the answer makes no sense.
pub fn status(found: &Found) -> io::Result<Status> {
    match Asked::new(found, &Request::Status)?.answer()? {
        Some(Reply::Status(status)) => Ok(status),
        _ => Err(io::Error::other("no description")),
    }
}

/// The running machine `name`.
///
/// # Errors
/// [`HostError::NotRunning`] if there is none.
pub fn find(registry: &Registry, name: &str) -> Result<Found, HostError> {
    registry
        .find(name)?
        .ok_or_else(|| HostError::NotRunning(name.into()))
}
