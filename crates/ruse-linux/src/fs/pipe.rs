//! Pipes and FIFOs (pipe(7)).

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use super::news::News;
use super::{Description, File, Interest, POLLERR, POLLHUP, POLLIN, POLLOUT, S_IFIFO, Stat};
use crate::errno::Errno;
use crate::syscall::{Answer, Cx};
use crate::wait::Hub;

/// Writes of up to this many bytes are not mixed with others'.
pub(crate) const PIPE_BUF: usize = 4096;
const CAPACITY: usize = 65536;
/// The most that `F_SETPIPE_SZ` gives (`/proc/sys/fs/pipe-max-size`).
const CAPACITY_MAX: u64 = 1 << 20;

const FIONREAD: u32 = 0x541b;

/// What its ends have in common.
pub(crate) struct Pipe {
    bytes: RefCell<VecDeque<u8>>,
    capacity: Cell<usize>,
    readers: Cell<usize>,
    writers: Cell<usize>,
    /// How often it was opened for writing: a FIFO that never was does not
    /// hang up.
    opened: Cell<u64>,
    for_readers: News,
    for_writers: News,
    ino: u64,
}

impl Pipe {
    /// An empty pipe without ends.
    pub(crate) fn new(hub: &Hub) -> Rc<Self> {
        Rc::new(Self {
            bytes: RefCell::default(),
            capacity: Cell::new(CAPACITY),
            readers: Cell::new(0),
            writers: Cell::new(0),
            opened: Cell::new(0),
            for_readers: News::new(hub),
            for_writers: News::new(hub),
            ino: hub.new_inode(),
        })
    }

    /// An end to read from, write to, or (FIFOs) both.
    pub(crate) fn end(self: &Rc<Self>, reads: bool, writes: bool) -> Rc<PipeEnd> {
        let opened_before = match self.writers.get() {
            0 => self.opened.get(),
            _ => u64::MAX,
        };
        if reads {
            self.readers.set(self.readers.get() + 1);
            self.for_writers.happened();
        }
        if writes {
            self.writers.set(self.writers.get() + 1);
            self.opened.set(self.opened.get().wrapping_add(1));
            self.for_readers.happened();
        }
        Rc::new(PipeEnd {
            pipe: Rc::clone(self),
            reads,
            writes,
            opened_before,
            stat: None,
        })
    }

    /// Ends that read.
    pub(crate) fn readers(&self) -> usize {
        self.for_writers.watch();
        self.readers.get()
    }

    /// Ends that write.
    pub(crate) fn writers(&self) -> usize {
        self.for_readers.watch();
        self.writers.get()
    }

    fn len(&self) -> usize {
        self.bytes.borrow().len()
    }
}

/// One end of a pipe.
pub(crate) struct PipeEnd {
    pipe: Rc<Pipe>,
    reads: bool,
    writes: bool,
    /// [`Pipe::opened`] when this end was opened before any that writes.
    opened_before: u64,
    stat: Option<Stat>,
}

impl PipeEnd {
    /// `F_GETPIPE_SZ`.
    pub(crate) fn capacity(&self) -> usize {
        self.pipe.capacity.get()
    }

    /// Whether both are ends of one pipe.
    pub(crate) fn same_pipe(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.pipe, &other.pipe)
    }

    /// How many bytes it takes now.
    pub(crate) fn room(&self) -> usize {
        self.pipe.for_writers.watch();
        self.pipe.capacity.get().saturating_sub(self.pipe.len())
    }

    /// Whether somebody can read what is written.
    pub(crate) fn has_readers(&self) -> bool {
        self.pipe.readers.get() > 0
    }

    /// Puts back what was just read.
    pub(crate) fn unread(&self, data: &[u8]) {
        let mut bytes = self.pipe.bytes.borrow_mut();
        for &byte in data.iter().rev() {
            bytes.push_front(byte);
        }
        drop(bytes);
        self.pipe.for_readers.happened();
    }

    /// `F_SETPIPE_SZ`: gives what it has become.
    pub(crate) fn set_capacity(&self, wanted: u64) -> Result<usize, Errno> {
        if wanted > i32::MAX as u64 {
            return Err(Errno::EINVAL);
        }
        if wanted > CAPACITY_MAX {
            return Err(Errno::EPERM);
        }
        let capacity = (wanted.max(PIPE_BUF as u64) as usize).next_power_of_two();
        if capacity < self.pipe.len() {
            return Err(Errno::EBUSY);
        }
        self.pipe.capacity.set(capacity);
        self.pipe.for_writers.happened();
        Ok(capacity)
    }

    /// The same end of a pipe that has a name, and this status.
    pub(crate) fn named(pipe: &Rc<Pipe>, reads: bool, writes: bool, stat: Stat) -> Rc<Self> {
        let mut end = pipe.end(reads, writes);
        if let Some(end) = Rc::get_mut(&mut end) {
            end.stat = Some(stat);
        }
        end
    }

    fn hung_up(&self) -> bool {
        self.pipe.writers.get() == 0 && self.pipe.opened.get() != self.opened_before
    }
}

/// Takes up to `out.len()` bytes from the front of a queue.
pub(crate) fn take(queue: &mut VecDeque<u8>, out: &mut [u8]) -> usize {
    let len = peek(queue, out);
    queue.drain(..len);
    if queue.is_empty() && queue.capacity() > CAPACITY {
        queue.shrink_to(CAPACITY);
    }
    len
}

/// Copies up to `out.len()` bytes from the front of a queue.
pub(crate) fn peek(queue: &VecDeque<u8>, out: &mut [u8]) -> usize {
    let len = out.len().min(queue.len());
    let (front, back) = queue.as_slices();
    let first = len.min(front.len());
    out[..first].copy_from_slice(&front[..first]);
    out[first..len].copy_from_slice(&back[..len - first]);
    len
}

impl File for PipeEnd {
    fn read(&self, _offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
        if !self.reads {
            return Err(Errno::EBADF);
        }
        if out.is_empty() {
            return Ok(0);
        }
        let pipe = &self.pipe;
        let mut bytes = pipe.bytes.borrow_mut();
        if bytes.is_empty() {
            // A FIFO that nobody has opened for writing yet is at its end, too.
            if pipe.writers.get() == 0 {
                return Ok(0);
            }
            pipe.for_readers.watch();
            return Err(Errno::EAGAIN);
        }
        let len = take(&mut bytes, out);
        drop(bytes);
        pipe.for_writers.happened();
        Ok(len)
    }

    fn write(&self, _offset: u64, data: &[u8]) -> Result<usize, Errno> {
        if !self.writes {
            return Err(Errno::EBADF);
        }
        if data.is_empty() {
            return Ok(0);
        }
        let pipe = &self.pipe;
        if pipe.readers.get() == 0 {
            return Err(Errno::EPIPE);
        }
        let mut bytes = pipe.bytes.borrow_mut();
        let room = pipe.capacity.get().saturating_sub(bytes.len());
        if room == 0 || (data.len() <= PIPE_BUF && room < data.len()) {
            pipe.for_writers.watch();
            return Err(Errno::EAGAIN);
        }
        let len = data.len().min(room);
        bytes.extend(&data[..len]);
        drop(bytes);
        pipe.for_readers.happened();
        Ok(len)
    }

    fn stat(&self) -> Result<Stat, Errno> {
        Ok(self.stat.unwrap_or_else(|| Stat {
            blksize: 4096,
            ..anonymous(S_IFIFO | 0o600, self.pipe.ino)
        }))
    }

    fn poll(&self) -> Interest {
        let mut ready = 0;
        if self.reads {
            self.pipe.for_readers.watch();
            if self.pipe.len() > 0 {
                ready |= POLLIN;
            }
            if self.hung_up() {
                ready |= POLLHUP;
            }
        }
        if self.writes {
            self.pipe.for_writers.watch();
            if self.pipe.capacity.get().saturating_sub(self.pipe.len()) >= PIPE_BUF {
                ready |= POLLOUT;
            }
            if self.pipe.readers.get() == 0 {
                ready |= POLLERR;
            }
        }
        ready
    }

    fn ioctl(&self, cx: &mut Cx, _file: &Description, request: u32, argument: u64) -> Answer {
        match request {
            FIONREAD => {
                let len = self.pipe.len() as u32;
                cx.write(argument, &len.to_le_bytes())?;
                Ok(0)
            }
            _ => Err(Errno::ENOTTY.into()),
        }
    }

    fn pollable(&self) -> bool {
        true
    }

    fn edges(&self) -> u64 {
        let pipe = &self.pipe;
        match (self.reads, self.writes) {
            (true, false) => pipe.for_readers.count(),
            (false, true) => pipe.for_writers.count(),
            _ => pipe
                .for_readers
                .count()
                .wrapping_add(pipe.for_writers.count()),
        }
    }

    fn label(&self) -> Option<String> {
        self.stat
            .is_none()
            .then(|| format!("pipe:[{}]", self.pipe.ino))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        let pipe = &self.pipe;
        if self.reads {
            pipe.readers.set(pipe.readers.get() - 1);
            if pipe.readers.get() == 0 {
                pipe.for_writers.happened();
            }
        }
        if self.writes {
            pipe.writers.set(pipe.writers.get() - 1);
            if pipe.writers.get() == 0 {
                pipe.for_readers.happened();
            }
        }
        if pipe.readers.get() == 0 && pipe.writers.get() == 0 {
            // A FIFO forgets what nobody has read.
            pipe.bytes.borrow_mut().clear();
        }
    }
}

/// The status of a file without a name: pipes, sockets, counters.
pub(crate) fn anonymous(mode: u32, ino: u64) -> Stat {
    Stat {
        dev: 12,
        ino,
        mode,
        nlink: 1,
        blksize: 4096,
        ..Stat::default()
    }
}
