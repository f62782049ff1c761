//! The sockets that machines listen on: Unix ones. Windows has them too, but
//! Rust's standard library does not; there, a machine cannot be given a name.

#[cfg(unix)]
pub use std::os::unix::net::{UnixListener as Listener, UnixStream as Stream};

#[cfg(not(unix))]
pub use none::{Listener, Stream};

#[cfg(not(unix))]
mod none {
    use std::io::{self, Read, Write};
    use std::net::Shutdown;
    use std::path::Path;
    use std::time::Duration;

    /// No socket.
    pub enum Listener {}
    /// No connection.
    pub enum Stream {}

    impl Listener {
        pub fn bind(_: impl AsRef<Path>) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }
        pub fn accept(&self) -> io::Result<(Stream, ())> {
            match *self {}
        }
    }

    impl Stream {
        pub fn connect(_: impl AsRef<Path>) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }
        pub fn try_clone(&self) -> io::Result<Self> {
            match *self {}
        }
        pub fn set_read_timeout(&self, _: Option<Duration>) -> io::Result<()> {
            match *self {}
        }
        pub fn set_write_timeout(&self, _: Option<Duration>) -> io::Result<()> {
            match *self {}
        }
        pub fn shutdown(&self, _: Shutdown) -> io::Result<()> {
            match *self {}
        }
    }

    impl Read for Stream {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            match *self {}
        }
    }

    impl Write for Stream {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            match *self {}
        }
        fn flush(&mut self) -> io::Result<()> {
            match *self {}
        }
    }
}
