//! The host's terminal as the guest's.
//!
//! The host keeps the line discipline (echo, editing, Ctrl-C): what a guest
//! sets is set on the host as far as it knows it, and put back when the box
//! ends. So a guest looks and feels like a program of the host's own, in a
//! pipeline and under job control, too.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use super::hostio::HostStream;
use super::stdio::Standard;
use super::termios::{Termios, WinSize};
use super::tty::{Control, Patience, Tty};
use super::{File, POLLIN};
use crate::errno::Errno;
use crate::wait::Hub;

/// `/dev/console`: where the guest believes to be.
pub(crate) const CONSOLE_DEVICE: u64 = 5 << 8 | 1;

/// What a host can do with its terminal.
trait HostTerminal {
    /// The settings, as far as the guest may know them.
    fn get(&self) -> Termios;
    /// Sets what the host knows of `new`.
    fn set(&self, new: &Termios, flush: bool) -> io::Result<()>;
    fn window(&self) -> Option<WinSize>;
    fn flush(&self, input: bool, output: bool);
    /// Puts back how it was.
    fn restore(&self);
}

/// The host's terminal.
pub(crate) struct Console {
    stream: HostStream,
    control: Control,
    termios: Cell<Termios>,
    /// Set by the guest, until the host's window changes.
    window: Cell<Option<WinSize>>,
    host: Box<dyn HostTerminal>,
    changed: Cell<bool>,
    /// Output is suspended (`TCOOFF`).
    stopped: Cell<bool>,
    pub(crate) patience: Patience,
    file: RefCell<std::rc::Weak<Standard>>,
}

impl Console {
    /// The terminal that `stream` is.
    pub(crate) fn new(hub: &Hub, stream: HostStream) -> io::Result<Rc<Self>> {
        let host = terminal(stream.file()?)?;
        Ok(Rc::new(Self {
            control: Control::default(),
            termios: Cell::new(host.get()),
            window: Cell::new(None),
            host,
            changed: Cell::new(false),
            stopped: Cell::new(false),
            patience: Patience::new(hub),
            file: RefCell::default(),
            stream,
        }))
    }

    /// It as a file of its own, for /dev/tty and /dev/console.
    pub(crate) fn file(self: &Rc<Self>) -> Rc<dyn File> {
        if let Some(file) = self.file.borrow().upgrade() {
            return file;
        }
        let file = Standard::console(self);
        *self.file.borrow_mut() = Rc::downgrade(&file);
        file
    }

    /// The host's terminal to read from and write to.
    pub(crate) fn stream(&self) -> &HostStream {
        &self.stream
    }

    /// Whether the guest suspended its output.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.get()
    }

    /// The host's window has changed.
    pub(crate) fn resized(&self) {
        self.window.set(None);
    }

    /// Puts the host's terminal back to how it was: the box ends, or is
    /// stopped.
    pub(crate) fn restore(&self) {
        if self.changed.replace(false) {
            self.host.restore();
        }
    }

    /// After [`restore`](Self::restore): as the guest had it.
    #[cfg_attr(not(unix), allow(dead_code))]
    pub(crate) fn resume(&self) {
        let now = self.termios.get();
        if self.host.get() != now && self.host.set(&now, false).is_ok() {
            self.changed.set(true);
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.restore();
    }
}

impl Tty for Console {
    fn control(&self) -> &Control {
        &self.control
    }

    fn termios(&self) -> Termios {
        self.termios.get()
    }

    fn set_termios(&self, new: Termios, flush: bool) -> Result<(), Errno> {
        if new != self.termios.get() {
            self.changed.set(true);
        }
        self.host.set(&new, flush)?;
        self.termios.set(new);
        Ok(())
    }

    fn window(&self) -> WinSize {
        self.window
            .get()
            .or_else(|| self.host.window())
            .unwrap_or_default()
    }

    fn set_window(&self, size: WinSize) {
        self.window.set(Some(size));
    }

    fn flush(&self, input: bool, output: bool) {
        self.host.flush(input, output);
    }

    fn flow(&self, stop: bool) {
        self.stopped.set(stop);
    }

    fn input_len(&self) -> usize {
        // Hosts have no portable way to count: what matters is none or some.
        usize::from(self.stream.ready(POLLIN))
    }

    fn output_len(&self) -> usize {
        0
    }
}

#[cfg(unix)]
fn terminal(file: &std::fs::File) -> io::Result<Box<dyn HostTerminal>> {
    Ok(Box::new(unix::UnixTerminal::new(file)?))
}

#[cfg(not(unix))]
fn terminal(_file: &std::fs::File) -> io::Result<Box<dyn HostTerminal>> {
    Ok(Box::new(other::OtherTerminal))
}

#[cfg(unix)]
mod unix {
    use std::fs::File;
    use std::io;

    use rustix::termios::{
        InputModes, LocalModes, OptionalActions, OutputModes, QueueSelector, SpecialCodeIndex,
        tcflush, tcgetattr, tcgetwinsize, tcsetattr,
    };

    use super::super::termios as guest;
    use super::super::termios::{Termios, WinSize};
    use super::HostTerminal;

    const INPUT: [(u32, InputModes); 14] = [
        (guest::IGNBRK, InputModes::IGNBRK),
        (guest::BRKINT, InputModes::BRKINT),
        (guest::IGNPAR, InputModes::IGNPAR),
        (guest::PARMRK, InputModes::PARMRK),
        (guest::INPCK, InputModes::INPCK),
        (guest::ISTRIP, InputModes::ISTRIP),
        (guest::INLCR, InputModes::INLCR),
        (guest::IGNCR, InputModes::IGNCR),
        (guest::ICRNL, InputModes::ICRNL),
        (guest::IXON, InputModes::IXON),
        (guest::IXANY, InputModes::IXANY),
        (guest::IXOFF, InputModes::IXOFF),
        (guest::IMAXBEL, InputModes::IMAXBEL),
        #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
        (guest::IUTF8, InputModes::IUTF8),
        #[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
        (0, InputModes::empty()),
    ];
    const OUTPUT: [(u32, OutputModes); 5] = [
        (guest::OPOST, OutputModes::OPOST),
        (guest::ONLCR, OutputModes::ONLCR),
        (guest::OCRNL, OutputModes::OCRNL),
        (guest::ONOCR, OutputModes::ONOCR),
        (guest::ONLRET, OutputModes::ONLRET),
    ];
    // Not TOSTOP: the guest's background groups are not the host's.
    const LOCAL: [(u32, LocalModes); 10] = [
        (guest::ISIG, LocalModes::ISIG),
        (guest::ICANON, LocalModes::ICANON),
        (guest::ECHO, LocalModes::ECHO),
        (guest::ECHOE, LocalModes::ECHOE),
        (guest::ECHOK, LocalModes::ECHOK),
        (guest::ECHONL, LocalModes::ECHONL),
        (guest::NOFLSH, LocalModes::NOFLSH),
        (guest::ECHOCTL, LocalModes::ECHOCTL),
        (guest::ECHOKE, LocalModes::ECHOKE),
        (guest::IEXTEN, LocalModes::IEXTEN),
    ];
    const CHARS: [(usize, SpecialCodeIndex); 14] = [
        (guest::VINTR, SpecialCodeIndex::VINTR),
        (guest::VQUIT, SpecialCodeIndex::VQUIT),
        (guest::VERASE, SpecialCodeIndex::VERASE),
        (guest::VKILL, SpecialCodeIndex::VKILL),
        (guest::VEOF, SpecialCodeIndex::VEOF),
        (guest::VSTART, SpecialCodeIndex::VSTART),
        (guest::VSTOP, SpecialCodeIndex::VSTOP),
        (guest::VSUSP, SpecialCodeIndex::VSUSP),
        (guest::VEOL, SpecialCodeIndex::VEOL),
        (guest::VREPRINT, SpecialCodeIndex::VREPRINT),
        (guest::VDISCARD, SpecialCodeIndex::VDISCARD),
        (guest::VWERASE, SpecialCodeIndex::VWERASE),
        (guest::VLNEXT, SpecialCodeIndex::VLNEXT),
        (guest::VEOL2, SpecialCodeIndex::VEOL2),
    ];

    pub(super) struct UnixTerminal {
        file: File,
        original: rustix::termios::Termios,
    }

    impl UnixTerminal {
        pub(super) fn new(file: &File) -> io::Result<Self> {
            Ok(Self {
                file: file.try_clone()?,
                original: tcgetattr(file)?,
            })
        }
    }

    impl HostTerminal for UnixTerminal {
        fn get(&self) -> Termios {
            let host = tcgetattr(&self.file).unwrap_or_else(|_| self.original.clone());
            let mut termios = Termios {
                input: 0,
                output: 0,
                local: 0,
                ..Termios::default()
            };
            for (guest, mode) in INPUT {
                if host.input_modes.contains(mode) {
                    termios.input |= guest;
                }
            }
            for (guest, mode) in OUTPUT {
                if host.output_modes.contains(mode) {
                    termios.output |= guest;
                }
            }
            for (guest, mode) in LOCAL {
                if host.local_modes.contains(mode) {
                    termios.local |= guest;
                }
            }
            for (guest, index) in CHARS {
                termios.chars[guest] = host.special_codes[index];
            }
            termios
        }

        fn set(&self, new: &Termios, flush: bool) -> io::Result<()> {
            let mut host = tcgetattr(&self.file)?;
            for (guest, mode) in INPUT {
                host.input_modes.set(mode, new.input & guest != 0);
            }
            for (guest, mode) in OUTPUT {
                host.output_modes.set(mode, new.output & guest != 0);
            }
            for (guest, mode) in LOCAL {
                host.local_modes.set(mode, new.local & guest != 0);
            }
            for (guest, index) in CHARS {
                host.special_codes[index] = new.chars[guest];
            }
            if !host.local_modes.contains(LocalModes::ICANON) {
                // Never blocks; how many bytes the guest waits for is its
                // own affair.
                host.special_codes[SpecialCodeIndex::VMIN] = 1;
                host.special_codes[SpecialCodeIndex::VTIME] = 0;
            }
            let when = if flush {
                OptionalActions::Flush
            } else {
                OptionalActions::Now
            };
            Ok(tcsetattr(&self.file, when, &host)?)
        }

        fn window(&self) -> Option<WinSize> {
            let size = tcgetwinsize(&self.file).ok()?;
            Some(WinSize {
                rows: size.ws_row,
                columns: size.ws_col,
                x_pixels: size.ws_xpixel,
                y_pixels: size.ws_ypixel,
            })
        }

        fn flush(&self, input: bool, output: bool) {
            let queue = match (input, output) {
                (true, true) => QueueSelector::IOFlush,
                (true, false) => QueueSelector::IFlush,
                _ => QueueSelector::OFlush,
            };
            if let Err(error) = tcflush(&self.file, queue) {
                log::debug!("flushing the terminal: {error}");
            }
        }

        fn restore(&self) {
            if let Err(error) = tcsetattr(&self.file, OptionalActions::Now, &self.original) {
                log::debug!("restoring the terminal: {error}");
            }
        }
    }
}

#[cfg(not(unix))]
mod other {
    use std::io;

    use super::super::termios::{ICANON, Termios, WinSize};
    use super::HostTerminal;

    /// A terminal that knows two modes: lines with echo, and raw.
    pub(super) struct OtherTerminal;

    impl HostTerminal for OtherTerminal {
        fn get(&self) -> Termios {
            Termios::default()
        }

        fn set(&self, new: &Termios, _flush: bool) -> io::Result<()> {
            if new.local(ICANON) {
                crossterm::terminal::disable_raw_mode()
            } else {
                crossterm::terminal::enable_raw_mode()
            }
        }

        fn window(&self) -> Option<WinSize> {
            let (columns, rows) = crossterm::terminal::size().ok()?;
            Some(WinSize {
                rows,
                columns,
                ..WinSize::default()
            })
        }

        fn flush(&self, _input: bool, _output: bool) {}

        fn restore(&self) {
            if let Err(error) = crossterm::terminal::disable_raw_mode() {
                log::debug!("restoring the terminal: {error}");
            }
        }
    }
}
