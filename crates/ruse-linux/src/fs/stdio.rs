//! The standard streams that the first process of a box starts with.

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use super::console::{CONSOLE_DEVICE, Console};
use super::hostio::HostStream;
use super::pipe::{anonymous, take};
use super::tty::{self, Tty};
use super::{
    Ask, Description, Fd, File, Files, Interest, O_RDWR, POLLIN, POLLOUT, S_IFCHR, S_IFIFO,
    S_IFREG, Stat,
};
use crate::config::Stdio;
use crate::errno::Errno;
use crate::kernel::Kernel;
use crate::syscall::{Answer, Cx, Stop};
use crate::thread::Tid;

/// `/dev/null`.
const NULL_DEVICE: u64 = 1 << 8 | 3;

/// A standard stream.
pub(crate) struct Standard {
    end: End,
    console: Option<Rc<Console>>,
    ino: u64,
}

enum End {
    Host(HostStream),
    /// The terminal itself.
    Console,
    Null,
    Input(RefCell<std::collections::VecDeque<u8>>),
    Capture(Arc<Mutex<Vec<u8>>>),
}

/// Descriptors 0, 1 and 2, as the configuration wants them. What is the
/// host's terminal becomes the terminal of the box.
pub(crate) fn standard_files(kernel: &mut Kernel) -> Files {
    let mut files = Files::default();
    let wanted = std::mem::take(&mut kernel.config.stdio);
    for (number, stdio) in wanted.into_iter().enumerate() {
        let file = Rc::new(Standard::new(kernel, number, stdio));
        let path = file.path();
        let description = Description::new(file, O_RDWR, path.to_vec());
        files.fds.push(Some(Fd {
            description,
            cloexec: false,
        }));
    }
    files
}

impl Standard {
    fn new(kernel: &mut Kernel, number: usize, stdio: Stdio) -> Self {
        let mut console = None;
        let end = match stdio {
            Stdio::Null => End::Null,
            Stdio::Input(bytes) => End::Input(RefCell::new(bytes.into())),
            Stdio::Capture(to) => End::Capture(to),
            Stdio::Host => match HostStream::new(&kernel.hub, number) {
                Ok(stream) => {
                    console = console_of(kernel, &stream);
                    End::Host(stream)
                }
                Err(error) => {
                    log::debug!("standard stream {number} is closed: {error}");
                    End::Null
                }
            },
        };
        Self {
            end,
            console,
            ino: kernel.hub.new_inode(),
        }
    }

    /// The terminal itself.
    pub(crate) fn console(console: &Rc<Console>) -> Rc<Self> {
        Rc::new(Self {
            end: End::Console,
            console: Some(Rc::clone(console)),
            ino: CONSOLE_DEVICE,
        })
    }

    fn path(&self) -> &'static [u8] {
        match (&self.end, &self.console) {
            (_, Some(_)) => b"/dev/console",
            (End::Null, _) => b"/dev/null",
            _ => b"",
        }
    }

    fn host(&self) -> Option<&HostStream> {
        match (&self.end, &self.console) {
            (End::Host(stream), _) => Some(stream),
            (End::Console, Some(console)) => Some(console.stream()),
            _ => None,
        }
    }
}

/// The console, if a stream is a terminal.
fn console_of(kernel: &mut Kernel, stream: &HostStream) -> Option<Rc<Console>> {
    if !stream.is_terminal() {
        return None;
    }
    if kernel.ttys.console.is_none() {
        let console = stream
            .again(&kernel.hub)
            .and_then(|again| Console::new(&kernel.hub, again));
        match console {
            Ok(console) => kernel.ttys.console = Some(console),
            Err(error) => log::warn!("the terminal cannot be used as one: {error}"),
        }
    }
    kernel.ttys.console.clone()
}

impl File for Standard {
    fn read(&self, _offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
        if out.is_empty() {
            return Ok(0);
        }
        match &self.end {
            End::Null => Ok(0),
            End::Input(bytes) => Ok(take(&mut bytes.borrow_mut(), out)),
            End::Capture(_) => Err(Errno::EBADF),
            End::Host(_) | End::Console => {
                let stream = self.host().ok_or(Errno::EIO)?;
                let result = stream.read(out);
                if let Some(console) = &self.console {
                    match result {
                        Err(Errno::EAGAIN) if console.patience.over(&console.termios()) => {
                            return Ok(0);
                        }
                        Err(_) => {}
                        Ok(_) => console.patience.done(),
                    }
                }
                result
            }
        }
    }

    fn write(&self, _offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        match &self.end {
            End::Null => Ok(bytes.len()),
            End::Input(_) => Err(Errno::EBADF),
            End::Capture(to) => {
                to.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend_from_slice(bytes);
                Ok(bytes.len())
            }
            End::Host(_) | End::Console => {
                if self.console.as_ref().is_some_and(|c| c.is_stopped()) {
                    return Err(Errno::EAGAIN);
                }
                let stream = self.host().ok_or(Errno::EIO)?;
                if bytes.is_empty() {
                    return Ok(0);
                }
                stream.write(bytes)
            }
        }
    }

    fn stat(&self) -> Result<Stat, Errno> {
        // The same as under its name, by which ttyname(3) looks for it.
        if self.console.is_some()
            && let Some(stat) = super::dev::stat(b"console")
        {
            return Ok(stat);
        }
        let (mode, rdev) = match (&self.end, &self.console) {
            (_, Some(_)) => (S_IFCHR | 0o620, CONSOLE_DEVICE),
            (End::Null, _) => (S_IFCHR | 0o666, NULL_DEVICE),
            (End::Host(stream), _) => match stream.kind() {
                S_IFCHR => (S_IFCHR | 0o666, NULL_DEVICE),
                S_IFREG => (S_IFREG | 0o600, 0),
                kind => (kind | 0o600, 0),
            },
            _ => (S_IFIFO | 0o600, 0),
        };
        let size = match &self.end {
            End::Host(stream) => stream.size(),
            _ => 0,
        };
        Ok(Stat {
            rdev,
            size,
            blocks: size.div_ceil(512),
            blksize: 4096,
            ..anonymous(mode, self.ino)
        })
    }

    fn poll(&self) -> Interest {
        match (&self.end, self.host()) {
            (End::Capture(_), _) => POLLOUT,
            (End::Input(_), _) => POLLIN,
            (_, Some(stream)) => {
                let mut ready = 0;
                if stream.ready(POLLIN) {
                    ready |= POLLIN;
                }
                if stream.ready(POLLOUT) {
                    ready |= POLLOUT;
                }
                ready
            }
            _ => POLLIN | POLLOUT,
        }
    }

    fn ask(&self, kernel: &mut Kernel, tid: Tid, what: Ask) -> Result<(), Stop> {
        match &self.console {
            Some(console) => tty::ask(&**console, kernel, tid, what),
            None => Ok(()),
        }
    }

    fn ioctl(&self, cx: &mut Cx, _file: &Description, request: u32, argument: u64) -> Answer {
        match &self.console {
            Some(console) => tty::ioctl(&**console, cx, request, argument),
            None => Err(Errno::ENOTTY.into()),
        }
    }

    fn pollable(&self) -> bool {
        match &self.end {
            End::Host(stream) => stream.kind() != S_IFREG,
            End::Null => false,
            _ => true,
        }
    }

    fn edges(&self) -> u64 {
        self.host().map_or(0, HostStream::edges)
    }

    fn label(&self) -> Option<String> {
        match (&self.end, &self.console) {
            (_, Some(_)) | (End::Null, _) => None,
            _ => Some(format!("pipe:[{}]", self.ino)),
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
