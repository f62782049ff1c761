//! Pseudoterminals (pty(7)): a master, opened as /dev/ptmx, and a slave under
//! /dev/pts, with a line discipline between.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use super::ldisc::Line;
use super::news::News;
use super::pipe::anonymous;
use super::termios::{ICANON, Termios, VMIN, WinSize};
use super::tty::{self, Control, Patience, Tty};
use super::{
    Ask, Description, File, Interest, O_NOCTTY, POLLERR, POLLHUP, POLLIN, POLLOUT, S_IFCHR, Stat,
};
use crate::errno::Errno;
use crate::kernel::Kernel;
use crate::signal::{SIGCONT, SIGHUP, SIGWINCH};
use crate::syscall::{Answer, Cx, Stop, install};
use crate::thread::Tid;
use crate::wait::{Deferred, Hub};

/// As many as a box may have (`/proc/sys/kernel/pty/max`).
const MOST: u32 = 4096;
const FIONREAD: u32 = 0x541b;
const TIOCGPTN: u32 = 0x8004_5430;
const TIOCSPTLCK: u32 = 0x4004_5431;
const TIOCGPTLCK: u32 = 0x8004_5439;
const TIOCGPTPEER: u32 = 0x5441;
const TIOCSIG: u32 = 0x4004_5436;
/// `st_dev` of files in /dev/pts.
pub(crate) const DEVPTS_DEVICE: u64 = 22;

/// What both sides have in common.
pub(crate) struct Pty {
    number: u32,
    me: Weak<Pty>,
    line: RefCell<Line>,
    control: Control,
    window: Cell<WinSize>,
    locked: Cell<bool>,
    master: Cell<bool>,
    slaves: Cell<usize>,
    /// Whether a slave was ever open.
    used: Cell<bool>,
    for_master: News,
    for_slaves: News,
    patience: Patience,
}

/// The side of the keyboard and screen.
pub(crate) struct Master(Rc<Pty>);

/// The side of the program.
pub(crate) struct Slave(Rc<Pty>);

/// Opens /dev/ptmx: a new pseudoterminal.
pub(crate) fn open_master(kernel: &Kernel) -> Result<Rc<dyn File>, Errno> {
    let mut ptys = kernel.ttys.ptys.borrow_mut();
    ptys.retain(|_, pty| pty.strong_count() > 0);
    let number = (0..MOST)
        .find(|number| !ptys.contains_key(number))
        .ok_or(Errno::ENOSPC)?;
    let hub: &Hub = &kernel.hub;
    let pty = Rc::new_cyclic(|me| Pty {
        number,
        me: me.clone(),
        line: RefCell::default(),
        control: Control::default(),
        window: Cell::default(),
        locked: Cell::new(true),
        master: Cell::new(true),
        slaves: Cell::new(0),
        used: Cell::new(false),
        for_master: News::new(hub),
        for_slaves: News::new(hub),
        patience: Patience::new(hub),
    });
    ptys.insert(number, Rc::downgrade(&pty));
    Ok(Rc::new(Master(pty)))
}

/// Opens /dev/pts/`number`; it may become the caller's controlling terminal.
pub(crate) fn open_slave(
    kernel: &Kernel,
    tid: Option<Tid>,
    number: u32,
    flags: u32,
) -> Result<Rc<dyn File>, Errno> {
    let pty = kernel
        .ttys
        .ptys
        .borrow()
        .get(&number)
        .and_then(Weak::upgrade)
        .filter(|pty| pty.master.get())
        .ok_or(Errno::ENOENT)?;
    if pty.locked.get() {
        return Err(Errno::EIO);
    }
    let process = tid
        .and_then(|tid| kernel.threads.get(&tid))
        .and_then(|thread| kernel.processes.get(&thread.pid));
    if let Some(process) = process
        && flags & O_NOCTTY == 0
        && process.session == process.pid
        && pty.control.session.get() == 0
        && kernel.ttys.foreground(process.session).is_none()
    {
        pty.control.session.set(process.session);
        pty.control.foreground.set(process.group);
    }
    Ok(pty.slave())
}

/// The numbers of the pseudoterminals there are: /dev/pts as a directory.
pub(crate) fn numbers(kernel: &Kernel) -> Vec<u32> {
    let ptys = kernel.ttys.ptys.borrow();
    ptys.iter()
        .filter(|(_, pty)| pty.upgrade().is_some_and(|pty| pty.master.get()))
        .map(|(&number, _)| number)
        .collect()
}

/// What stat(2) says of /dev/pts/`number`.
pub(crate) fn slave_stat(number: u32) -> Stat {
    let (major, minor) = (136 + u64::from(number >> 8), u64::from(number & 0xff));
    Stat {
        dev: DEVPTS_DEVICE,
        rdev: major << 8 | minor,
        blksize: 1024,
        gid: 5,
        ..anonymous(S_IFCHR | 0o620, u64::from(number) + 3)
    }
}

impl Pty {
    /// A new open slave side.
    pub(crate) fn slave(&self) -> Rc<Slave> {
        let pty = self
            .me
            .upgrade()
            .unwrap_or_else(|| unreachable!("it is there while it is used"));
        pty.slaves.set(pty.slaves.get() + 1);
        pty.used.set(true);
        Rc::new(Slave(pty))
    }

    fn signal(&self, signal: u32) {
        let group = self.control.foreground.get();
        self.for_master
            .hub()
            .defer(Deferred::Group { group, signal });
    }
}

impl Tty for Pty {
    fn control(&self) -> &Control {
        &self.control
    }

    fn termios(&self) -> Termios {
        self.line.borrow().termios
    }

    fn set_termios(&self, new: Termios, flush: bool) -> Result<(), Errno> {
        let mut line = self.line.borrow_mut();
        if flush {
            line.flush_input();
        }
        line.set_termios(new);
        drop(line);
        self.for_slaves.happened();
        Ok(())
    }

    fn window(&self) -> WinSize {
        self.window.get()
    }

    fn set_window(&self, size: WinSize) {
        self.window.set(size);
    }

    fn flush(&self, input: bool, output: bool) {
        let mut line = self.line.borrow_mut();
        if input {
            line.flush_input();
        }
        if output {
            line.flush_output();
        }
        drop(line);
        self.for_slaves.happened();
        self.for_master.happened();
    }

    fn flow(&self, stop: bool) {
        self.line.borrow_mut().stopped = stop;
        self.for_slaves.happened();
    }

    fn input_len(&self) -> usize {
        self.line.borrow().input_len()
    }

    fn output_len(&self) -> usize {
        self.line.borrow().output_len()
    }
}

impl File for Master {
    fn read(&self, _offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
        let pty = &self.0;
        if out.is_empty() {
            return Ok(0);
        }
        let len = pty.line.borrow_mut().screen(out);
        if len > 0 {
            pty.for_slaves.happened();
            return Ok(len);
        }
        if pty.used.get() && pty.slaves.get() == 0 {
            return Err(Errno::EIO);
        }
        pty.for_master.watch();
        Err(Errno::EAGAIN)
    }

    fn write(&self, _offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        let pty = &self.0;
        let mut written = 0;
        for &byte in bytes {
            let mut line = pty.line.borrow_mut();
            // A full line can still be edited, interrupted and ended.
            if !line.accepts_input() && (line.readable() || !line.termios.local(ICANON)) {
                break;
            }
            let signal = line.typed(byte);
            drop(line);
            written += 1;
            if let Some(signal) = signal {
                pty.signal(signal);
            }
        }
        if written == 0 && !bytes.is_empty() {
            pty.for_master.watch();
            return Err(Errno::EAGAIN);
        }
        pty.for_slaves.happened();
        if pty.line.borrow().output_len() > 0 {
            pty.for_master.happened();
        }
        Ok(written)
    }

    fn stat(&self) -> Result<Stat, Errno> {
        Ok(Stat {
            rdev: 5 << 8 | 2,
            ..anonymous(S_IFCHR | 0o666, 2)
        })
    }

    fn poll(&self) -> Interest {
        let pty = &self.0;
        pty.for_master.watch();
        let line = pty.line.borrow();
        let mut ready = 0;
        if line.output_len() > 0 {
            ready |= POLLIN;
        }
        if line.accepts_input() {
            ready |= POLLOUT;
        }
        if pty.used.get() && pty.slaves.get() == 0 {
            ready |= POLLHUP;
        }
        ready
    }

    fn ioctl(&self, cx: &mut Cx, _file: &Description, request: u32, argument: u64) -> Answer {
        let pty = &self.0;
        match request {
            TIOCGPTN => cx.write(argument, &pty.number.to_le_bytes())?,
            TIOCSPTLCK => {
                let lock = cx.read_u32(argument)?;
                pty.locked.set(lock != 0);
            }
            TIOCGPTLCK => cx.write(argument, &u32::from(pty.locked.get()).to_le_bytes())?,
            TIOCGPTPEER => {
                let (tid, flags) = (cx.tid, argument as u32);
                let was = pty.locked.replace(false);
                let slave = open_slave(cx.kernel, Some(tid), pty.number, flags | O_NOCTTY);
                pty.locked.set(was);
                let path = format!("/dev/pts/{}", pty.number).into_bytes();
                return Ok(install(cx, slave?, flags, path)? as u64);
            }
            TIOCSIG => pty.signal((argument as u32).clamp(1, 64)),
            FIONREAD => {
                let len = pty.output_len() as u32;
                cx.write(argument, &len.to_le_bytes())?;
            }
            // The foreground of the slave's session, also for outsiders.
            0x540f => {
                let group = pty.control.foreground.get();
                cx.write(argument, &group.to_le_bytes())?;
            }
            0x5429 => {
                let session = pty.control.session.get();
                if session == 0 {
                    return Err(Errno::ENOTTY.into());
                }
                cx.write(argument, &session.to_le_bytes())?;
            }
            0x5414 => {
                let mut bytes = [0; 8];
                cx.read(argument, &mut bytes)?;
                let size = WinSize::from_bytes(bytes);
                if pty.window.replace(size) != size {
                    pty.signal(SIGWINCH);
                }
            }
            0x540e | 0x5410 | 0x5422 => return Err(Errno::ENOTTY.into()),
            _ => return tty::ioctl(&**pty, cx, request, argument),
        }
        Ok(0)
    }

    fn pollable(&self) -> bool {
        true
    }

    fn edges(&self) -> u64 {
        self.0.for_master.count()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        let pty = &self.0;
        pty.master.set(false);
        pty.for_slaves.happened();
        let (session, group) = (
            pty.control.session.replace(0),
            pty.control.foreground.replace(0),
        );
        let hub = pty.for_master.hub();
        if session != 0 {
            for (group, signal) in [(session, SIGHUP), (group, SIGHUP), (group, SIGCONT)] {
                hub.defer(Deferred::Group { group, signal });
            }
        }
    }
}

impl File for Slave {
    fn read(&self, _offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
        let pty = &self.0;
        if out.is_empty() {
            return Ok(0);
        }
        let mut line = pty.line.borrow_mut();
        let enough = match line.termios.chars[VMIN] as usize {
            _ if line.termios.local(ICANON) => 0,
            // With VTIME, bytes are not waited for together here.
            _ if line.termios.chars[super::termios::VTIME] != 0 => 0,
            min => min.min(out.len()),
        };
        let result = (line.input_len() >= enough)
            .then(|| line.read(out))
            .flatten();
        let termios = line.termios;
        drop(line);
        match result {
            Some(len) => {
                pty.patience.done();
                pty.for_master.happened();
                Ok(len)
            }
            // The master hung up.
            None if !pty.master.get() => Ok(0),
            None if pty.patience.over(&termios) => Ok(0),
            None => {
                pty.for_slaves.watch();
                Err(Errno::EAGAIN)
            }
        }
    }

    fn write(&self, _offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        let pty = &self.0;
        if !pty.master.get() {
            return Err(Errno::EIO);
        }
        let len = pty.line.borrow_mut().write(bytes);
        if len == 0 && !bytes.is_empty() {
            pty.for_slaves.watch();
            return Err(Errno::EAGAIN);
        }
        pty.for_master.happened();
        Ok(len)
    }

    fn stat(&self) -> Result<Stat, Errno> {
        Ok(slave_stat(self.0.number))
    }

    fn poll(&self) -> Interest {
        let pty = &self.0;
        pty.for_slaves.watch();
        if !pty.master.get() {
            return POLLIN | POLLOUT | POLLERR | POLLHUP;
        }
        let line = pty.line.borrow();
        let mut ready = 0;
        let enough = match line.termios.chars[VMIN] as usize {
            _ if line.termios.local(ICANON) => 0,
            min => min,
        };
        if line.readable() && line.input_len() >= enough {
            ready |= POLLIN;
        }
        if line.accepts_output() {
            ready |= POLLOUT;
        }
        ready
    }

    fn ask(&self, kernel: &mut Kernel, tid: Tid, what: Ask) -> Result<(), Stop> {
        tty::ask(&*self.0, kernel, tid, what)
    }

    fn ioctl(&self, cx: &mut Cx, _file: &Description, request: u32, argument: u64) -> Answer {
        if !self.0.master.get() {
            return Err(Errno::EIO.into());
        }
        tty::ioctl(&*self.0, cx, request, argument)
    }

    fn pollable(&self) -> bool {
        true
    }

    fn edges(&self) -> u64 {
        self.0.for_slaves.count()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for Slave {
    fn drop(&mut self) {
        let pty = &self.0;
        pty.slaves.set(pty.slaves.get() - 1);
        if pty.slaves.get() == 0 {
            pty.for_master.happened();
        }
    }
}
