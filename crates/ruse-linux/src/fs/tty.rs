//! What all terminals have in common: their ioctls, sessions and job control
//! (tty_ioctl(4), termios(3), credentials(7)).

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use super::console::Console;
use super::pty::Pty;
use super::termios::{TOSTOP, Termios, WinSize};
use super::{Ask, File};
use crate::errno::Errno;
use crate::kernel::Kernel;
use crate::outside::HostSignals;
use crate::signal::{self, SIGCONT, SIGHUP, SIGTTIN, SIGTTOU, SIGWINCH, SigInfo};
use crate::syscall::{Answer, Cx, Stop};
use crate::thread::{Tid, Wait};
use crate::wait::{Alarm, Deferred, Hub};

pub(crate) const TCGETS: u32 = 0x5401;
const TCSETS: u32 = 0x5402;
const TCSETSW: u32 = 0x5403;
const TCSETSF: u32 = 0x5404;
const TCGETS2: u32 = 0x802c_542a;
const TCSETS2: u32 = 0x402c_542b;
const TCSETSW2: u32 = 0x402c_542c;
const TCSETSF2: u32 = 0x402c_542d;
const TCSBRK: u32 = 0x5409;
const TCXONC: u32 = 0x540a;
const TCFLSH: u32 = 0x540b;
const TIOCEXCL: u32 = 0x540c;
const TIOCNXCL: u32 = 0x540d;
const TIOCSCTTY: u32 = 0x540e;
const TIOCGPGRP: u32 = 0x540f;
const TIOCSPGRP: u32 = 0x5410;
const TIOCOUTQ: u32 = 0x5411;
const TIOCGWINSZ: u32 = 0x5413;
const TIOCSWINSZ: u32 = 0x5414;
const FIONREAD: u32 = 0x541b;
const TIOCNOTTY: u32 = 0x5422;
const TIOCGETD: u32 = 0x5424;
const TCSBRKP: u32 = 0x5425;
const TIOCGSID: u32 = 0x5429;

/// Whom a terminal controls.
#[derive(Default)]
pub(crate) struct Control {
    /// The session, or 0.
    pub session: Cell<Tid>,
    /// The foreground process group.
    pub foreground: Cell<Tid>,
}

/// A terminal: the host's, or the slave side of a pseudoterminal.
pub(crate) trait Tty {
    fn control(&self) -> &Control;
    fn termios(&self) -> Termios;
    /// Changes the settings; `flush` drops input that nobody has read.
    fn set_termios(&self, new: Termios, flush: bool) -> Result<(), Errno>;
    fn window(&self) -> WinSize;
    fn set_window(&self, size: WinSize);
    /// Drops what was not read, or not yet shown.
    fn flush(&self, input: bool, output: bool);
    /// Suspends output, or lets it go on.
    fn flow(&self, stop: bool);
    /// Bytes to read.
    fn input_len(&self) -> usize;
    /// Bytes not yet shown.
    fn output_len(&self) -> usize;
}

/// The terminals of a box.
#[derive(Default)]
pub(crate) struct Ttys {
    /// The host's terminal, if a standard stream is one.
    pub console: Option<Rc<Console>>,
    pub ptys: RefCell<BTreeMap<u32, Weak<Pty>>>,
}

impl Ttys {
    /// The terminal that controls a session, as a file for /dev/tty.
    pub(crate) fn controlling(&self, session: Tid) -> Result<Rc<dyn File>, Errno> {
        if let Some(console) = &self.console
            && console.control().session.get() == session
        {
            return Ok(console.file());
        }
        self.open_ptys()
            .find(|pty| pty.control().session.get() == session)
            .map(|pty| pty.slave() as Rc<dyn File>)
            .ok_or(Errno::ENXIO)
    }

    /// The pseudoterminals that are open.
    fn open_ptys(&self) -> impl Iterator<Item = Rc<Pty>> + use<> {
        let ptys: Vec<_> = self.ptys.borrow().values().cloned().collect();
        ptys.into_iter().filter_map(|pty| pty.upgrade())
    }

    fn with_control(&self, session: Tid, mut act: impl FnMut(&Control)) {
        if let Some(console) = &self.console
            && console.control().session.get() == session
        {
            act(console.control());
        }
        for pty in self.open_ptys() {
            if pty.control().session.get() == session {
                act(pty.control());
            }
        }
    }

    /// The foreground group of the terminal that controls `session`.
    pub(crate) fn foreground(&self, session: Tid) -> Option<Tid> {
        let mut found = None;
        self.with_control(session, |control| found = Some(control.foreground.get()));
        found
    }

    /// The device number of the terminal that controls `session`, or 0.
    pub(crate) fn device(&self, session: Tid) -> u64 {
        self.controlling(session)
            .and_then(|file| file.stat())
            .map_or(0, |stat| stat.rdev)
    }
}

/// The first process starts: the host's terminal is its own, if there is one,
/// and so are the host's signals, if standard input is the host's.
pub(crate) fn adopt(kernel: &mut Kernel, pid: Tid, signals: bool) {
    if let Some(console) = &kernel.ttys.console {
        console.control().session.set(pid);
        console.control().foreground.set(pid);
    }
    if signals {
        match HostSignals::new(&kernel.hub) {
            Ok(signals) => kernel.signals = Some(signals),
            Err(error) => log::warn!("the host's signals do not reach the guest: {error}"),
        }
    }
}

/// A session leader is gone: its terminal is free, and the foreground hears
/// that it hung up.
pub(crate) fn session_ended(kernel: &mut Kernel, session: Tid) {
    let mut groups = Vec::new();
    kernel.ttys.with_control(session, |control| {
        groups.push(control.foreground.replace(0));
        control.session.set(0);
    });
    for group in groups {
        raise(kernel, group, SIGHUP);
        raise(kernel, group, SIGCONT);
    }
}

/// Does what files asked for that could not reach the kernel.
pub(crate) fn deferred(kernel: &mut Kernel) {
    for what in kernel.hub.take_deferred() {
        match what {
            Deferred::Group { group, signal } => raise(kernel, group, signal),
        }
    }
}

/// Sends a signal of the kernel's to a process group.
pub(crate) fn raise(kernel: &mut Kernel, group: Tid, signal: u32) {
    if group != 0 {
        signal::send_group(kernel, group, SigInfo::kernel(signal));
    }
}

/// A terminal may be read and written by the foreground only: before it is,
/// others are sent SIGTTIN or SIGTTOU.
pub(crate) fn ask(tty: &dyn Tty, kernel: &mut Kernel, tid: Tid, what: Ask) -> Result<(), Stop> {
    match what {
        Ask::Poll => Ok(()),
        Ask::Read => background(tty, kernel, tid, SIGTTIN),
        Ask::Write if tty.termios().local(TOSTOP) => background(tty, kernel, tid, SIGTTOU),
        Ask::Write => Ok(()),
    }
}

fn background(tty: &dyn Tty, kernel: &mut Kernel, tid: Tid, signal: u32) -> Result<(), Stop> {
    let control = tty.control();
    let Some(thread) = kernel.threads.get(&tid) else {
        return Ok(());
    };
    let Some(process) = kernel.processes.get(&thread.pid) else {
        return Ok(());
    };
    let (group, session) = (process.group, process.session);
    let foreground = control.foreground.get();
    if control.session.get() != session || foreground == 0 || group == foreground {
        return Ok(());
    }
    let bit = 1 << (signal - 1);
    if signal::ignored(thread, signal) || thread.mask & bit != 0 {
        return match signal {
            // Nobody could stop it: writing is allowed, reading fails.
            SIGTTOU => Ok(()),
            _ => Err(Errno::EIO.into()),
        };
    }
    if kernel.orphaned(group) {
        return Err(Errno::EIO.into());
    }
    raise(kernel, group, signal);
    // The signal stops or interrupts it; then it is tried again.
    Err(Stop::Block(Wait::default()))
}

/// The ioctls that every terminal answers.
pub(crate) fn ioctl(tty: &dyn Tty, cx: &mut Cx, request: u32, argument: u64) -> Answer {
    let control = tty.control();
    match request {
        TCGETS => cx.write(argument, &tty.termios().to_bytes()[..Termios::SIZE])?,
        TCGETS2 => cx.write(argument, &tty.termios().to_bytes())?,
        TCSETS | TCSETSW | TCSETSF | TCSETS2 | TCSETSW2 | TCSETSF2 => {
            set_termios(tty, cx, request, argument)?;
        }
        TCSBRK | TCSBRKP => {
            let tid = cx.tid;
            background(tty, cx.kernel, tid, SIGTTOU)?;
        }
        TCXONC => match argument {
            0 => tty.flow(true),
            1 => tty.flow(false),
            2 | 3 => {}
            _ => return Err(Errno::EINVAL.into()),
        },
        TCFLSH => {
            let tid = cx.tid;
            background(tty, cx.kernel, tid, SIGTTOU)?;
            match argument {
                0 => tty.flush(true, false),
                1 => tty.flush(false, true),
                2 => tty.flush(true, true),
                _ => return Err(Errno::EINVAL.into()),
            }
        }
        TIOCEXCL | TIOCNXCL => {}
        TIOCGWINSZ => cx.write(argument, &tty.window().to_bytes())?,
        TIOCSWINSZ => {
            let mut bytes = [0; 8];
            cx.read(argument, &mut bytes)?;
            let size = WinSize::from_bytes(bytes);
            if size != tty.window() {
                tty.set_window(size);
                raise(cx.kernel, control.foreground.get(), SIGWINCH);
            }
        }
        FIONREAD => cx.write(argument, &(tty.input_len() as u32).to_le_bytes())?,
        TIOCOUTQ => cx.write(argument, &(tty.output_len() as u32).to_le_bytes())?,
        TIOCGETD => cx.write(argument, &0u32.to_le_bytes())?,
        TIOCSCTTY => take_control(tty, cx, argument)?,
        TIOCNOTTY => {
            let (pid, session) = (cx.process().pid, cx.process().session);
            if control.session.get() != session || session == 0 {
                return Err(Errno::ENOTTY.into());
            }
            if pid == session {
                session_ended(cx.kernel, session);
            }
        }
        TIOCGPGRP => {
            let session = cx.process().session;
            if control.session.get() != session {
                return Err(Errno::ENOTTY.into());
            }
            cx.write(argument, &control.foreground.get().to_le_bytes())?;
        }
        TIOCSPGRP => set_foreground(tty, cx, argument)?,
        TIOCGSID => {
            let session = cx.process().session;
            if control.session.get() != session {
                return Err(Errno::ENOTTY.into());
            }
            cx.write(argument, &session.to_le_bytes())?;
        }
        _ => return Err(Errno::ENOTTY.into()),
    }
    Ok(0)
}

fn set_termios(tty: &dyn Tty, cx: &mut Cx, request: u32, argument: u64) -> Result<(), Stop> {
    let speeds = matches!(request, TCSETS2 | TCSETSW2 | TCSETSF2);
    let mut bytes = [0; Termios::SIZE2];
    let len = if speeds {
        Termios::SIZE2
    } else {
        Termios::SIZE
    };
    cx.read(argument, &mut bytes[..len])?;
    let tid = cx.tid;
    background(tty, cx.kernel, tid, SIGTTOU)?;
    let flush = matches!(request, TCSETSF | TCSETSF2);
    tty.set_termios(tty.termios().changed(&bytes, speeds), flush)?;
    Ok(())
}

fn take_control(tty: &dyn Tty, cx: &mut Cx, argument: u64) -> Result<(), Stop> {
    let control = tty.control();
    let process = cx.process();
    let (pid, group, session) = (process.pid, process.group, process.session);
    if control.session.get() == session && pid == session {
        return Ok(());
    }
    if pid != session || cx.kernel.ttys.foreground(session).is_some() {
        return Err(Errno::EPERM.into());
    }
    let taken = control.session.get();
    // Root may steal it from another session.
    if taken != 0 && argument != 1 && cx.kernel.processes.contains_key(&taken) {
        return Err(Errno::EPERM.into());
    }
    control.session.set(session);
    control.foreground.set(group);
    Ok(())
}

fn set_foreground(tty: &dyn Tty, cx: &mut Cx, argument: u64) -> Result<(), Stop> {
    let control = tty.control();
    let session = cx.process().session;
    if control.session.get() != session {
        return Err(Errno::ENOTTY.into());
    }
    let tid = cx.tid;
    background(tty, cx.kernel, tid, SIGTTOU)?;
    let group = cx.read_u32(argument)?;
    if group as i32 <= 0 {
        return Err(Errno::EINVAL.into());
    }
    let mut members = cx
        .kernel
        .processes
        .values()
        .filter(|process| process.group == group)
        .peekable();
    if members.peek().is_none() {
        return Err(Errno::ESRCH.into());
    }
    if !members.any(|process| process.session == session) {
        return Err(Errno::EPERM.into());
    }
    control.foreground.set(group);
    cx.kernel.stir();
    Ok(())
}

/// Reads with `VMIN` 0 that give up after `VTIME` tenths of a second.
pub(crate) struct Patience {
    since: Cell<Option<std::time::Duration>>,
    alarm: Alarm,
    hub: Hub,
}

impl Patience {
    pub(crate) fn new(hub: &Hub) -> Self {
        Self {
            since: Cell::new(None),
            alarm: hub.alarm(),
            hub: hub.clone(),
        }
    }

    /// There was nothing to read: whether that is to be the answer.
    pub(crate) fn over(&self, termios: &Termios) -> bool {
        use super::termios::{ICANON, VMIN, VTIME};
        if termios.local(ICANON) || termios.chars[VMIN] != 0 {
            return false;
        }
        let now = self.hub.now();
        let time = std::time::Duration::from_millis(100) * u32::from(termios.chars[VTIME]);
        match self.since.get() {
            _ if time.is_zero() => true,
            Some(since) if now >= since + time => {
                self.since.set(None);
                true
            }
            Some(_) => false,
            None => {
                self.since.set(Some(now));
                self.alarm.set(Some(now + time));
                false
            }
        }
    }

    /// There was something to read.
    pub(crate) fn done(&self) {
        if self.since.take().is_some() {
            self.alarm.set(None);
        }
    }
}
