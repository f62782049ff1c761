//! FIFOs with a name (fifo(7)): a pipe in memory for each file of that kind
//! that somebody has open.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use super::pipe::{Pipe, PipeEnd};
use super::vfs::{Vfs, Who};
use super::{Description, O_ACCMODE, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY, Stat};
use crate::errno::Errno;
use crate::thread::{State, Tid};

/// An end that its opener still waits with for another.
struct Waiting {
    tid: Tid,
    pipe: Rc<Pipe>,
    file: Rc<Description>,
    /// How many ends of the other kind were ever opened when it began.
    seen: u64,
}

/// The FIFOs that are open, by device and inode number.
#[derive(Default)]
pub(super) struct Fifos {
    pipes: RefCell<HashMap<(u64, u64), Fifo>>,
    waiting: RefCell<Vec<Waiting>>,
}

struct Fifo {
    pipe: Weak<Pipe>,
    /// Ends opened for reading and for writing, ever.
    opened: [u64; 2],
}

impl Vfs {
    /// Opens the FIFO that `stat` is of. Its opener waits (EAGAIN) until the
    /// other end was opened too, and meanwhile holds its own end open.
    pub(super) fn open_fifo(
        &self,
        who: &Who,
        stat: &Stat,
        flags: u32,
        path: Vec<u8>,
    ) -> Result<Rc<Description>, Errno> {
        let access = flags & O_ACCMODE;
        let (reads, writes) = (access != O_WRONLY, access != O_RDONLY);
        let mut waiting = self.fifos.waiting.borrow_mut();
        // Those that a signal or their death took out of the wait are gone.
        waiting.retain(|wait| {
            Some(wait.tid) == who.tid
                || who
                    .kernel
                    .threads
                    .get(&wait.tid)
                    .is_some_and(|thread| matches!(thread.state, State::Blocked(_)))
        });
        let mut pipes = self.fifos.pipes.borrow_mut();
        pipes.retain(|_, fifo| fifo.pipe.strong_count() > 0);
        let key = (stat.dev, stat.ino);
        let mine = waiting.iter().position(|wait| Some(wait.tid) == who.tid);
        if let Some(mine) = mine {
            let wait = waiting.swap_remove(mine);
            if let Some(fifo) = pipes.get(&key)
                && Weak::ptr_eq(&fifo.pipe, &Rc::downgrade(&wait.pipe))
                && wait.file.flags.get() == flags
            {
                let other = usize::from(reads);
                if fifo.opened[other] != wait.seen {
                    return Ok(wait.file);
                }
                // Asked again so that the pipe knows of somebody who looks.
                let _ = if reads {
                    wait.pipe.writers()
                } else {
                    wait.pipe.readers()
                };
                waiting.push(wait);
                return Err(Errno::EAGAIN);
            }
        }
        let pipe = pipes.get(&key).and_then(|fifo| fifo.pipe.upgrade());
        let pipe = pipe.unwrap_or_else(|| Pipe::new(&who.kernel.hub));
        let others = if reads {
            pipe.writers()
        } else {
            pipe.readers()
        };
        if access == O_WRONLY && others == 0 && flags & O_NONBLOCK != 0 {
            return Err(Errno::ENXIO);
        }
        // An end that was given up may have been the last of an older pipe.
        pipes.retain(|_, fifo| fifo.pipe.strong_count() > 0);
        let fifo = pipes.entry(key).or_insert_with(|| Fifo {
            pipe: Rc::downgrade(&pipe),
            opened: [0; 2],
        });
        fifo.opened[0] += u64::from(reads);
        fifo.opened[1] += u64::from(writes);
        let seen = fifo.opened[usize::from(reads)];
        let end = PipeEnd::named(&pipe, reads, writes, *stat);
        let file = Description::new(end, flags, path);
        if access == O_RDWR || flags & O_NONBLOCK != 0 || others > 0 {
            return Ok(file);
        }
        let tid = who.tid.ok_or(Errno::ENXIO)?;
        waiting.push(Waiting {
            tid,
            pipe,
            file,
            seen,
        });
        Err(Errno::EAGAIN)
    }
}
