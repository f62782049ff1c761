//! Where debuggers connect, and the thread that hears them.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
#[cfg(unix)]
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use thiserror::Error;

/// What is listened on when nothing is said.
const DEFAULT: (&str, u16) = ("127.0.0.1", 1234);
/// How many pieces of what a debugger sends wait to be dealt with.
const PIECES: usize = 64;
/// Bytes of one piece.
const PIECE: usize = 4096;
/// How long a debugger may take to hear what it is told.
const DEAF: Duration = Duration::from_secs(10);

/// Where debuggers connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A host and a port.
    Tcp(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Default for Address {
    fn default() -> Self {
        Self::Tcp(DEFAULT.0.into(), DEFAULT.1)
    }
}

impl FromStr for Address {
    type Err = String;

    /// `HOST:PORT`, `:PORT`, `PORT` or `unix:PATH`.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err("no path after `unix:`".into()),
                path => Ok(Self::Unix(path.into())),
            };
        }
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        let port = port
            .parse()
            .map_err(|_| format!("`{text}` is not [HOST:]PORT or unix:PATH"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = if host.is_empty() { DEFAULT.0 } else { host };
        Ok(Self::Tcp(host.into(), port))
    }
}

impl fmt::Display for Address {
    /// As after GDB's `target remote`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if *host == DEFAULT.0 => write!(f, ":{port}"),
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Nobody can connect.
#[derive(Debug, Error)]
#[error("cannot listen for GDB at {address}: {source}")]
pub struct ListenError {
    /// Where.
    pub address: Address,
    /// What the host said.
    pub source: io::Error,
}

enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener, PathBuf),
}

impl Listener {
    fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => listener.accept().map(|(stream, _)| Stream::Tcp(stream)),
            #[cfg(unix)]
            Self::Unix(listener, _) => listener.accept().map(|(stream, _)| Stream::Unix(stream)),
        }
    }
}

/// A connection.
pub(crate) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Stream {
    fn prepare(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(stream) => {
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(DEAF))?;
                Ok(Self::Tcp(stream.try_clone()?))
            }
            #[cfg(unix)]
            Self::Unix(stream) => {
                stream.set_write_timeout(Some(DEAF))?;
                Ok(Self::Unix(stream.try_clone()?))
            }
        }
    }

    /// Ends it in both directions.
    pub(crate) fn hang_up(&self) {
        // That it is gone already is as good.
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
            #[cfg(unix)]
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

impl Read for Stream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(out),
            #[cfg(unix)]
            Self::Unix(stream) => stream.read(out),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            #[cfg(unix)]
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the thread that hears tells.
pub(crate) enum Event {
    /// Somebody connected.
    Connected(Stream),
    /// They said this.
    Said(Vec<u8>),
    /// They are gone.
    Gone,
}

/// A socket that debuggers connect to.
pub struct Server {
    listener: Listener,
    address: Address,
}

impl Server {
    /// Listens at `address`. A Unix socket that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// [`ListenError`] if the host refuses.
    pub fn open(address: Address) -> Result<Self, ListenError> {
        let opened = match &address {
            Address::Tcp(host, port) => (host.as_str(), *port)
                .to_socket_addrs()
                .and_then(|found| TcpListener::bind(&*found.collect::<Vec<SocketAddr>>()))
                .map(Listener::Tcp),
            Address::Unix(path) => open_unix(path),
        };
        let listener = match opened {
            Ok(listener) => listener,
            Err(source) => return Err(ListenError { address, source }),
        };
        let address = match (&listener, address) {
            // Port 0 is any.
            (Listener::Tcp(listener), Address::Tcp(host, 0)) => {
                Address::Tcp(host, listener.local_addr().map_or(0, |at| at.port()))
            }
            (_, address) => address,
        };
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Hears whoever connects, one after the other, on a thread of its own that lives as
    /// long as somebody wants to know. `interrupt` is called after each event.
    pub(crate) fn hear(self, interrupt: Box<dyn Fn() + Send>) -> io::Result<Receiver<Event>> {
        let (tell, told) = sync_channel(PIECES);
        std::thread::Builder::new()
            .name("gdb".into())
            .spawn(
                move || {
                    while let Some(()) = self.hear_one(&tell, &interrupt) {}
                },
            )?;
        Ok(told)
    }

    /// Hears one debugger, to its end. `None` if nobody wants to know any more.
    fn hear_one(&self, tell: &SyncSender<Event>, interrupt: &dyn Fn()) -> Option<()> {
        let tell = |event| {
            tell.send(event).ok()?;
            interrupt();
            Some(())
        };
        let accepted = self.listener.accept();
        let (mut stream, other) = match accepted.and_then(|s| Ok((s.prepare()?, s))) {
            Ok(streams) => streams,
            Err(error) => {
                log::warn!("gdb: a connection failed: {error}");
                // Such as that there are too many files: that may take a while.
                std::thread::sleep(Duration::from_millis(100));
                return Some(());
            }
        };
        tell(Event::Connected(other))?;
        let mut piece = [0; PIECE];
        loop {
            match stream.read(&mut piece) {
                Ok(0) => break,
                Ok(len) => tell(Event::Said(piece[..len].to_vec()))?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    log::debug!("gdb: {error}");
                    break;
                }
            }
        }
        tell(Event::Gone)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Listener::Unix(_, path) = &self.listener {
            // It may be gone, or not be ours to remove any more.
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(unix)]
fn open_unix(path: &std::path::Path) -> io::Result<Listener> {
    let bound = match UnixListener::bind(path) {
        Err(error)
            if error.kind() == io::ErrorKind::AddrInUse
                && UnixStream::connect(path)
                    .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) =>
        {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    };
    Ok(Listener::Unix(bound?, path.into()))
}

#[cfg(not(unix))]
fn open_unix(_: &std::path::Path) -> io::Result<Listener> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_what_target_remote_takes() {
        let parse = |text: &str| text.parse::<Address>();
        assert_eq!(parse("1234"), Ok(Address::default()));
        assert_eq!(parse(":1234").unwrap().to_string(), ":1234");
        assert_eq!(parse("[::1]:5").unwrap().to_string(), "[::1]:5");
        assert_eq!(parse("0.0.0.0:5").unwrap().to_string(), "0.0.0.0:5");
        assert_eq!(parse("unix:/a:1"), Ok(Address::Unix("/a:1".into())));
        assert_eq!(parse("unix:/a:1").unwrap().to_string(), "/a:1");
        for wrong in ["", "host", "host:", "unix:", ":70000"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
