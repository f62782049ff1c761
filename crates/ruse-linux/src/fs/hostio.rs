//! Standard input, output and error of the host, without ever blocking on
//! them. On Unix the host is asked before each read and write; elsewhere a
//! thread reads when a guest wants input, and writes are taken to be quick.

use std::fs::File as HostFile;
use std::io::{self, IsTerminal, Read, Write};
use std::rc::Rc;

use crate::errno::Errno;
use crate::fs::{Interest, POLLIN, POLLOUT, S_IFCHR, S_IFIFO, S_IFREG, S_IFSOCK};
use crate::wait::{Hub, Io, Source};

/// What a host pipe takes at once when it says that it is ready.
const CHUNK: usize = 4096;

/// A standard stream of the host.
pub(crate) struct HostStream {
    source: Rc<Source>,
    /// `S_IFREG`, ...
    kind: u32,
    terminal: bool,
    #[cfg(not(unix))]
    reader: reader::Reader,
}

/// Another handle of standard stream 0, 1 or 2, and whether it is a terminal.
fn duplicate(number: usize) -> io::Result<(HostFile, bool)> {
    #[cfg(unix)]
    use std::os::fd::AsFd as AsIt;
    #[cfg(windows)]
    use std::os::windows::io::AsHandle as AsIt;

    fn own(stream: &(impl AsIt + IsTerminal)) -> io::Result<(HostFile, bool)> {
        #[cfg(unix)]
        let handle = stream.as_fd().try_clone_to_owned()?;
        #[cfg(windows)]
        let handle = stream.as_handle().try_clone_to_owned()?;
        Ok((handle.into(), stream.is_terminal()))
    }
    match number {
        0 => own(&io::stdin()),
        1 => own(&io::stdout()),
        _ => own(&io::stderr()),
    }
}

impl HostStream {
    /// Standard stream 0, 1 or 2.
    pub(crate) fn new(hub: &Hub, number: usize) -> io::Result<Self> {
        let (file, terminal) = duplicate(number)?;
        Ok(Self::from_file(hub, file, terminal))
    }

    fn from_file(hub: &Hub, file: HostFile, terminal: bool) -> Self {
        let kind = kind(&file, terminal);
        #[cfg(not(unix))]
        let reader = reader::Reader::new(hub, &file);
        let source = hub.watch(Io::File(file), 0);
        // Only what somebody was refused is waited for.
        source.ignore(POLLIN | POLLOUT);
        Self {
            source,
            kind,
            terminal,
            #[cfg(not(unix))]
            reader,
        }
    }

    /// Another handle of the same stream.
    pub(crate) fn again(&self, hub: &Hub) -> io::Result<Self> {
        Ok(Self::from_file(
            hub,
            self.file()?.try_clone()?,
            self.terminal,
        ))
    }

    /// Its kind: `S_IFREG` and the like.
    pub(crate) fn kind(&self) -> u32 {
        self.kind
    }

    /// Whether it is a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// The size of a regular file.
    pub(crate) fn size(&self) -> u64 {
        match self.file().and_then(HostFile::metadata) {
            Ok(meta) if meta.is_file() => meta.len(),
            _ => 0,
        }
    }

    /// The host's file.
    pub(crate) fn file(&self) -> io::Result<&HostFile> {
        match self.source.io() {
            Io::File(file) => Ok(file),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Counts what the host told.
    pub(crate) fn edges(&self) -> u64 {
        self.source.edges()
    }

    /// Whether reading (writing) would not block now.
    pub(crate) fn ready(&self, what: Interest) -> bool {
        if self.kind == S_IFREG {
            return true;
        }
        let ready = self.ask_host(what);
        if !ready {
            self.source.blocked(what);
        }
        ready
    }

    #[cfg(unix)]
    fn ask_host(&self, what: Interest) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let flags = match what {
            POLLOUT => PollFlags::OUT,
            _ => PollFlags::IN,
        };
        let Ok(file) = self.file() else {
            return true;
        };
        let mut fds = [PollFd::new(file, flags)];
        match poll(&mut fds, Some(&Timespec::default())) {
            // Errors and ends are found by trying.
            Ok(_) => !fds[0].revents().is_empty(),
            Err(_) => true,
        }
    }

    #[cfg(not(unix))]
    fn ask_host(&self, what: Interest) -> bool {
        what == POLLOUT || self.reader.ready()
    }

    /// Reads what is there.
    pub(crate) fn read(&self, out: &mut [u8]) -> Result<usize, Errno> {
        if !self.ready(POLLIN) {
            return Err(Errno::EAGAIN);
        }
        #[cfg(not(unix))]
        let result = self.reader.read(out);
        #[cfg(unix)]
        let result = self.file().and_then(|mut file| file.read(out));
        self.settle(POLLIN, result)
    }

    /// Writes as much as goes without waiting.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        if !self.ready(POLLOUT) {
            return Err(Errno::EAGAIN);
        }
        let most = match self.kind {
            S_IFREG => bytes.len(),
            _ => bytes.len().min(CHUNK),
        };
        let result = self.file().and_then(|mut file| file.write(&bytes[..most]));
        self.settle(POLLOUT, result)
    }

    fn settle(&self, what: Interest, result: io::Result<usize>) -> Result<usize, Errno> {
        match result {
            Ok(len) => Ok(len),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock) => {
                self.source.blocked(what);
                Err(Errno::EAGAIN)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.source.took(what);
                Err(Errno::EAGAIN)
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn kind(file: &HostFile, terminal: bool) -> u32 {
    if terminal {
        return S_IFCHR;
    }
    let Ok(meta) = file.metadata() else {
        return S_IFIFO;
    };
    let kind = meta.file_type();
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_char_device() || kind.is_block_device() {
            return S_IFCHR;
        }
        if kind.is_socket() {
            return S_IFSOCK;
        }
    }
    if kind.is_file() { S_IFREG } else { S_IFIFO }
}

#[cfg(not(unix))]
mod reader {
    //! A thread that reads when a guest wants input, one chunk at a time.

    use std::fs::File as HostFile;
    use std::io::{self, Read};
    use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

    use crate::wait::Hub;

    pub(super) struct Reader {
        wants: SyncSender<()>,
        chunks: Receiver<io::Result<Vec<u8>>>,
        now: std::cell::RefCell<Option<io::Result<Vec<u8>>>>,
    }

    impl Reader {
        pub(super) fn new(hub: &Hub, file: &HostFile) -> Self {
            let (wants, wanted) = sync_channel::<()>(1);
            let (chunk, chunks) = sync_channel(1);
            let file = file.try_clone();
            let notifier = hub.notifier();
            std::thread::spawn(move || {
                let Ok(mut file) = file else { return };
                while wanted.recv().is_ok() {
                    let mut bytes = vec![0; 4096];
                    let result = file.read(&mut bytes).map(|len| {
                        bytes.truncate(len);
                        bytes
                    });
                    if chunk.send(result).is_err() {
                        return;
                    }
                    if let Some(notifier) = &notifier {
                        // Failing to notify only makes the guest wait longer.
                        drop(notifier.notify());
                    }
                }
            });
            Self {
                wants,
                chunks,
                now: std::cell::RefCell::default(),
            }
        }

        pub(super) fn ready(&self) -> bool {
            let mut now = self.now.borrow_mut();
            if now.is_none() {
                match self.chunks.try_recv() {
                    Ok(chunk) => *now = Some(chunk),
                    // Full: it was already told.
                    Err(TryRecvError::Empty) => drop(self.wants.try_send(())),
                    Err(TryRecvError::Disconnected) => *now = Some(Ok(Vec::new())),
                }
            }
            now.is_some()
        }

        pub(super) fn read(&self, out: &mut [u8]) -> io::Result<usize> {
            match self.now.borrow_mut().take() {
                None => Err(io::ErrorKind::WouldBlock.into()),
                Some(Err(error)) => Err(error),
                Some(Ok(mut bytes)) => {
                    let len = bytes.len().min(out.len());
                    out[..len].copy_from_slice(&bytes[..len]);
                    bytes.drain(..len);
                    if !bytes.is_empty() {
                        *self.now.borrow_mut() = Some(Ok(bytes));
                    }
                    Ok(len)
                }
            }
        }
    }
}
