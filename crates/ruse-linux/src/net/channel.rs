//! One direction of a connection within the box, or the letter box of a
//! datagram socket: a bounded queue of messages.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use super::addr::Address;
use super::rights::{InFlight, Rights};
use super::{MSG_PEEK, Received};
use crate::errno::Errno;
use crate::fs::{Description, News};
use crate::wait::Hub;

/// What a socket buffer holds unless told otherwise.
pub(crate) const BUFFER: usize = 212_992;
/// The most datagrams that wait, however small (as `max_dgram_qlen`, but for
/// UDP, too).
const DATAGRAMS: usize = 512;
/// What a message costs besides its bytes: empty ones are not free.
const OVERHEAD: usize = 256;
/// Bytes of a stream are put together up to this size.
const MERGE: usize = 65536;

/// A process as its peer sees it (`struct ucred`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub pid: u32,
    pub uid: u32,
    pub gid: u32,
}

/// A message on its way.
struct Message {
    data: Vec<u8>,
    /// How much of it was read.
    at: usize,
    from: Option<Address>,
    rights: Option<Rights>,
    sender: Credentials,
}

/// A queue with one reading socket.
pub(crate) struct Channel {
    queue: RefCell<VecDeque<Message>>,
    used: Cell<usize>,
    limit: Cell<usize>,
    /// Whether messages keep their bounds.
    packets: bool,
    /// Nothing more will come.
    finished: Cell<bool>,
    /// Nobody will read.
    unread: Cell<bool>,
    /// A writer was told that there is no room.
    refused: Cell<bool>,
    pub for_reader: News,
    pub for_writers: News,
    all: Rc<InFlight>,
}

impl Channel {
    pub(crate) fn new(hub: &Hub, all: &Rc<InFlight>, packets: bool) -> Rc<Self> {
        Rc::new(Self {
            queue: RefCell::default(),
            used: Cell::new(0),
            limit: Cell::new(BUFFER),
            packets,
            finished: Cell::new(false),
            unread: Cell::new(false),
            refused: Cell::new(false),
            for_reader: News::new(hub),
            for_writers: News::new(hub),
            all: Rc::clone(all),
        })
    }

    /// `SO_SNDBUF` of the writer (of a datagram socket: `SO_RCVBUF`).
    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.set(limit);
        self.for_writers.happened();
    }

    /// The writer has finished.
    pub(crate) fn finish(&self) {
        if !self.finished.replace(true) {
            self.for_reader.happened();
            self.for_writers.happened();
        }
    }

    /// The reader will not read any more; whether it leaves something unread.
    pub(crate) fn abandon(&self) -> bool {
        let left = self.used.get() > 0;
        if !self.unread.replace(true) {
            self.for_writers.happened();
            self.for_reader.happened();
        }
        left
    }

    /// Drops what is in the queue.
    pub(crate) fn clear(&self) {
        // With the queue free, as files that are closed may lead back here.
        let queue = std::mem::take(&mut *self.queue.borrow_mut());
        self.used.set(0);
        drop(queue);
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finished.get()
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.unread.get()
    }

    /// Whether there is something to read.
    pub(crate) fn readable(&self) -> bool {
        !self.queue.borrow().is_empty()
    }

    /// Whether a writer should try.
    pub(crate) fn writable(&self) -> bool {
        let room = self.limit.get().saturating_sub(self.used.get());
        let writable = if self.packets {
            room > 0 && self.queue.borrow().len() < DATAGRAMS
        } else {
            room >= self.limit.get() / 3
        };
        self.for_writers.watch();
        if !writable {
            self.refused.set(true);
        }
        writable
    }

    /// Bytes of the stream, or of the next message (`FIONREAD`).
    pub(crate) fn next_len(&self) -> usize {
        let queue = self.queue.borrow();
        let mut sizes = queue.iter().map(|message| message.data.len() - message.at);
        if self.packets {
            sizes.next().unwrap_or(0)
        } else {
            sizes.sum()
        }
    }

    /// Bytes that wait (`SIOCOUTQ`).
    pub(crate) fn used(&self) -> usize {
        self.used.get()
    }

    /// Writes: a message as a whole, or of a stream as much as there is room
    /// for. EAGAIN if there is none; `rights` are taken with the first byte.
    pub(crate) fn write(
        self: &Rc<Self>,
        data: &[u8],
        from: Option<Address>,
        rights: &mut Option<Rights>,
        sender: Credentials,
    ) -> Result<usize, Errno> {
        if self.unread.get() || self.finished.get() {
            return Err(Errno::EPIPE);
        }
        let room = self.limit.get().saturating_sub(self.used.get());
        let mut queue = self.queue.borrow_mut();
        let len = if self.packets {
            if data.len() > self.limit.get() {
                return Err(Errno::EMSGSIZE);
            }
            if !queue.is_empty() && (room < data.len() + OVERHEAD || queue.len() >= DATAGRAMS) {
                return self.refuse();
            }
            data.len()
        } else {
            if data.is_empty() {
                return Ok(0);
            }
            if room == 0 {
                return self.refuse();
            }
            if room < data.len() {
                self.refused.set(true);
            }
            data.len().min(room)
        };
        let rights = rights.take().filter(|rights| rights.len() > 0);
        if rights.is_some() {
            self.all.queued(self);
        }
        let cost = len + if self.packets { OVERHEAD } else { 0 };
        self.used.set(self.used.get() + cost);
        match queue.back_mut() {
            Some(last)
                if !self.packets
                    && rights.is_none()
                    && last.rights.is_none()
                    && last.sender == sender
                    && last.data.len() + len <= MERGE =>
            {
                last.data.extend_from_slice(&data[..len]);
            }
            _ => queue.push_back(Message {
                data: data[..len].to_vec(),
                at: 0,
                from,
                rights,
                sender,
            }),
        }
        drop(queue);
        self.for_reader.happened();
        Ok(len)
    }

    fn refuse(&self) -> Result<usize, Errno> {
        self.for_writers.watch();
        self.refused.set(true);
        Err(Errno::EAGAIN)
    }

    /// Reads into `out`: a message, or of a stream as much as there is, but
    /// not beyond a message with files. EAGAIN if there is nothing.
    pub(crate) fn read(&self, out: &mut [u8], flags: u32) -> Result<Received, Errno> {
        let peek = flags & MSG_PEEK != 0;
        let mut queue = self.queue.borrow_mut();
        if queue.is_empty() {
            self.for_reader.watch();
            return if self.finished.get() || self.unread.get() {
                Ok(Received::default())
            } else {
                Err(Errno::EAGAIN)
            };
        }
        let mut received = Received::default();
        let mut gone = Vec::new();
        let mut index = 0;
        while let Some(message) = queue.get_mut(index) {
            if index > 0 || !gone.is_empty() {
                let joins = !self.packets
                    && message.rights.is_none()
                    && received.rights.is_empty()
                    && received.sender == Some(message.sender)
                    && received.len < out.len();
                if !joins {
                    break;
                }
            }
            let rest = &message.data[message.at..];
            let len = rest.len().min(out.len() - received.len);
            out[received.len..received.len + len].copy_from_slice(&rest[..len]);
            received.len += len;
            received.full_len += rest.len();
            received.sender = Some(message.sender);
            if received.from.is_none() {
                received.from.clone_from(&message.from);
            }
            if let Some(rights) = &message.rights {
                received.rights = rights.files().to_vec();
            }
            if peek {
                index += 1;
            } else if self.packets || len == rest.len() {
                let cost = if self.packets {
                    message.data.len() + OVERHEAD
                } else {
                    len
                };
                self.used.set(self.used.get().saturating_sub(cost));
                gone.extend(queue.pop_front());
            } else {
                message.at += len;
                self.used.set(self.used.get().saturating_sub(len));
                if let Some(rights) = message.rights.take() {
                    drop(rights.take());
                }
                break;
            }
            if self.packets {
                break;
            }
        }
        received.truncated = self.packets && received.full_len > received.len;
        drop(queue);
        for message in gone {
            if let Some(rights) = message.rights {
                // The receiver has them.
                drop(rights.take());
            }
        }
        // A stream's writer goes on when there is room worth while.
        let room = self.packets || self.used.get() <= self.limit.get() / 2;
        if !peek && room && self.refused.replace(false) {
            self.for_writers.happened();
        }
        Ok(received)
    }

    /// Whether files are in it.
    pub(crate) fn has_rights(&self) -> bool {
        self.queue
            .borrow()
            .iter()
            .any(|message| message.rights.is_some())
    }

    /// The files in it.
    pub(crate) fn for_each_right(&self, act: &mut dyn FnMut(&Rc<Description>)) {
        for message in self.queue.borrow().iter() {
            for file in message.rights.iter().flat_map(Rights::files) {
                act(file);
            }
        }
    }

    /// Drops the files in it.
    pub(crate) fn drop_rights(&self) {
        let rights: Vec<_> = self
            .queue
            .borrow_mut()
            .iter_mut()
            .filter_map(|message| message.rights.take())
            .collect();
        drop(rights);
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.clear();
    }
}
