//! What is said on a machine's socket: JSON, one value a line.
//!
//! A connection starts with one [`Request`]. After [`Reply::Attached`], what
//! the machine sends is the guest's output as it is, and what it gets is lines
//! of [`Typed`].

use std::io::{self, BufRead, Read, Write};
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The longest line that a machine reads.
pub const REQUEST: u64 = 64 << 10;
/// The longest line that a machine writes.
pub const REPLY: u64 = 1 << 20;

/// What a machine is asked.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// To describe itself.
    Status,
    /// To lend its console.
    Console,
    /// To send all that it is, and with `stop` to end when it gets [`Request::Stop`]
    /// after that, before the guest goes on.
    Save {
        /// Whether it is to end.
        stop: bool,
    },
    /// To switch off.
    Stop {
        /// How many seconds the guest has to do so by itself.
        timeout: u64,
        /// Whether not to ask the guest.
        kill: bool,
    },
}

/// What is typed at an attached console.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Typed {
    /// Bytes, each as the character of its number.
    Keys(String),
    /// A break on the serial line.
    Break,
}

/// What a machine answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// To [`Request::Status`].
    Status(Status),
    /// To [`Request::Console`].
    Attached,
    /// To [`Request::Save`]; a snapshot follows.
    Snapshot,
    /// To [`Request::Stop`], as it goes on.
    Step(Step),
    /// The machine has ended.
    Ended(End),
    /// To what makes no sense.
    Error(String),
}

/// A step on the way to being off.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The power button was pressed.
    PowerButton,
    /// The guest has no driver for the power button.
    NoPowerButton,
    /// The kernel is asked by SysRq.
    Sysrq,
    /// There is no sign of a kernel that knows SysRq.
    NoSysrq,
    /// The plug is pulled.
    Unplug,
}

/// How a machine ended.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The guest switched it off, with this code.
    Off(u32),
    /// Its plug was pulled.
    Stopped,
    /// The guest could not go on.
    Failed(String),
}

/// A running machine as it describes itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// Its process.
    pub pid: u32,
    /// `running` or `stopping`.
    pub state: String,
    /// Seconds since its start.
    pub uptime: u64,
    /// Bytes of RAM that the guest sees.
    pub memory: u64,
    /// Its harts.
    pub harts: usize,
    /// Its disks.
    pub disks: Vec<DiskFacts>,
    /// Ports of the host that lead into the guest.
    pub forwards: Vec<String>,
    /// Where its console is logged.
    pub log: Option<PathBuf>,
}

/// A disk of a machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DiskFacts {
    /// Its file.
    pub path: PathBuf,
    /// How large it is to the guest, in bytes.
    pub size: u64,
    /// Whether the guest cannot write to it.
    pub read_only: bool,
}

/// Sends a line.
///
/// # Errors
/// What the host said.
pub fn send(mut to: impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    to.write_all(&line)
}

/// Receives a line of at most `limit` bytes; `None` at the end.
///
/// # Errors
/// What the host said, or [`io::ErrorKind::InvalidData`] with what is wrong
/// with the line.
pub fn receive<T: DeserializeOwned>(from: &mut impl BufRead, limit: u64) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    from.take(limit).read_until(b'\n', &mut line)?;
    match line.last() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(serde_json::from_slice(&line)?)),
        Some(_) if line.len() as u64 == limit => {
            let what = format!("a line longer than {limit} bytes");
            Err(io::Error::new(io::ErrorKind::InvalidData, what))
        }
        Some(_) => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Bytes as characters.
pub fn keys(bytes: &[u8]) -> Typed {
    Typed::Keys(bytes.iter().map(|&byte| char::from(byte)).collect())
}

/// Characters as bytes, if they are some.
pub fn bytes(keys: &str) -> Option<Vec<u8>> {
    keys.chars().map(|c| u8::try_from(c).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &[u8]) -> io::Result<Option<Request>> {
        receive(&mut io::BufReader::new(text), 100)
    }

    #[test]
    fn lines_are_bounded_and_complete() {
        assert_eq!(request(b"").unwrap(), None);
        assert_eq!(
            request(b"{\"do\":\"status\"}\nmore").unwrap(),
            Some(Request::Status)
        );
        assert_eq!(
            request(b"{\"do\":\"stop\",\"timeout\":3,\"kill\":false}\n").unwrap(),
            Some(Request::Stop {
                timeout: 3,
                kill: false
            })
        );
        for wrong in [
            &b"{\"do\":\"status\"}"[..],
            b"\n",
            b"\0\xff\n",
            b"{\"do\":\"dance\"}\n",
            b"{\"do\":\"stop\"}\n",
            b"{\"do\":\"stop\",\"timeout\":-1,\"kill\":false}\n",
            b"{\"do\":\"stop\",\"timeout\":1,\"kill\":false,\"x\":1}\n",
            &[b'['; 100],
            &[b' '; 1000],
        ] {
            assert!(request(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn every_byte_can_be_typed() {
        let all: Vec<u8> = (0..=255).collect();
        let mut line = Vec::new();
        send(&mut line, &keys(&all)).unwrap();
        let typed = receive(&mut &line[..], 10_000).unwrap();
        let Some(Typed::Keys(keys)) = typed else {
            panic!("{typed:?}")
        };
        assert_eq!(bytes(&keys).unwrap(), all);
        assert_eq!(bytes("\u{100}"), None);
    }
}
