//! epoll(7): level and edge triggered, one-shot, nested.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::rc::{Rc, Weak};

use super::pipe::anonymous;
use super::{Ask, Description, File, Interest, POLLERR, POLLHUP, POLLIN, Stat};
use crate::errno::Errno;
use crate::kernel::Kernel;
use crate::syscall::{Stop, widen};
use crate::thread::Tid;
use crate::wait::Hub;

pub(crate) const EPOLLEXCLUSIVE: u32 = 1 << 28;
const EPOLLONESHOT: u32 = 1 << 30;
const EPOLLET: u32 = 1 << 31;
/// Flags, which are no events.
const FLAGS: u32 = EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | 1 << 29;
/// How deep epolls may be nested (`EP_MAX_NESTS`, and the first).
const DEPTH_MAX: u32 = 5;

/// A descriptor, and which open file it stood for.
type Key = (i32, usize);

/// What is known of a file in the interest list.
struct Item {
    file: Weak<Description>,
    events: u32,
    data: u64,
    /// [`File::edges`] when it was last reported, if it was.
    reported: Option<u64>,
    /// Reported under `EPOLLONESHOT`.
    spent: bool,
}

/// An epoll instance.
pub(crate) struct Epoll {
    hub: Hub,
    items: RefCell<BTreeMap<Key, Item>>,
    /// Where the last report ended: the next begins after it, so that every
    /// file has its turn.
    last: Cell<Key>,
    /// How deep it is nested in others, at most.
    level: Cell<u32>,
    /// The round in which it was last polled, with the answer: many paths may
    /// lead to it.
    polled: Cell<(u64, Interest)>,
    /// The round in which its files were last asked.
    asked: Cell<u64>,
    changes: Cell<u64>,
}

fn key(fd: i32, file: &Rc<Description>) -> Key {
    (fd, Rc::as_ptr(file) as usize)
}

impl Epoll {
    pub(crate) fn new(hub: &Hub) -> Self {
        Self {
            hub: hub.clone(),
            items: RefCell::default(),
            last: Cell::new((0, 0)),
            level: Cell::new(0),
            polled: Cell::new((0, 0)),
            asked: Cell::new(0),
            changes: Cell::new(0),
        }
    }

    fn changed(&self) {
        self.changes.set(self.changes.get().wrapping_add(1));
        self.polled.set((0, 0));
        self.hub.ring();
    }

    /// Adds a file. `me` is this epoll's own.
    pub(crate) fn add(
        &self,
        fd: i32,
        file: &Rc<Description>,
        events: u32,
        data: u64,
    ) -> Result<(), Errno> {
        if !file.file.pollable() {
            return Err(Errno::EPERM);
        }
        self.purge();
        if self.items.borrow().contains_key(&key(fd, file)) {
            return Err(Errno::EEXIST);
        }
        if let Some(inner) = file.file.as_any().downcast_ref::<Self>() {
            if events & EPOLLEXCLUSIVE != 0 {
                return Err(Errno::EINVAL);
            }
            let depth = inner.depth(self, DEPTH_MAX).ok_or(Errno::ELOOP)?;
            if self.level.get() + 1 + depth > DEPTH_MAX {
                return Err(Errno::ELOOP);
            }
            inner.lower(self.level.get() + 1);
        }
        self.items.borrow_mut().insert(
            key(fd, file),
            Item {
                file: Rc::downgrade(file),
                events,
                data,
                reported: None,
                spent: false,
            },
        );
        self.changed();
        Ok(())
    }

    /// Changes what is wanted of a file.
    pub(crate) fn modify(
        &self,
        fd: i32,
        file: &Rc<Description>,
        events: u32,
        data: u64,
    ) -> Result<(), Errno> {
        let mut items = self.items.borrow_mut();
        let item = items.get_mut(&key(fd, file)).ok_or(Errno::ENOENT)?;
        if (item.events | events) & EPOLLEXCLUSIVE != 0 {
            return Err(Errno::EINVAL);
        }
        (item.events, item.data) = (events, data);
        (item.reported, item.spent) = (None, false);
        drop(items);
        self.changed();
        Ok(())
    }

    /// Takes a file out.
    pub(crate) fn remove(&self, fd: i32, file: &Rc<Description>) -> Result<(), Errno> {
        let item = self.items.borrow_mut().remove(&key(fd, file));
        item.map(drop).ok_or(Errno::ENOENT)
    }

    /// Forgets files that are closed.
    fn purge(&self) {
        self.items
            .borrow_mut()
            .retain(|_, item| item.file.strong_count() > 0);
    }

    /// How many levels of epolls are below; `None` if `top` is among them, or
    /// they are more than `most`.
    fn depth(&self, top: &Self, most: u32) -> Option<u32> {
        if std::ptr::eq(self, top) || most == 0 {
            return None;
        }
        let mut depth = 0;
        for inner in self.nested() {
            if let Some(inner) = inner.file.as_any().downcast_ref::<Self>() {
                depth = depth.max(1 + inner.depth(top, most - 1)?);
            }
        }
        Some(depth)
    }

    /// Says that it is nested this deep, and what is in it deeper.
    fn lower(&self, level: u32) {
        if self.level.get() < level && level <= DEPTH_MAX {
            self.level.set(level);
            for inner in self.nested() {
                if let Some(inner) = inner.file.as_any().downcast_ref::<Self>() {
                    inner.lower(level + 1);
                }
            }
        }
    }

    fn nested(&self) -> Vec<Rc<Description>> {
        let items = self.items.borrow();
        items
            .values()
            .filter_map(|item| item.file.upgrade())
            .filter(|file| file.file.as_any().is::<Self>())
            .collect()
    }

    /// Up to `most` files that are ready, as their events and data.
    pub(crate) fn collect(&self, kernel: &mut Kernel, tid: Tid, most: usize) -> Vec<(u32, u64)> {
        self.hub.new_round();
        self.purge();
        let last = self.last.get();
        let keys: Vec<Key> = {
            let items = self.items.borrow();
            let after = items.range((Bound::Excluded(last), Bound::Unbounded));
            let before = items.range(..=last);
            after.chain(before).map(|(&key, _)| key).collect()
        };
        let mut found = Vec::new();
        for key in keys {
            if found.len() >= most {
                break;
            }
            if let Some(report) = self.look(kernel, tid, key) {
                found.push(report);
                self.last.set(key);
            }
        }
        found
    }

    fn look(&self, kernel: &mut Kernel, tid: Tid, key: Key) -> Option<(u32, u64)> {
        let file = self.items.borrow().get(&key)?.file.upgrade()?;
        drop(file.file.ask(kernel, tid, Ask::Poll));
        let mut items = self.items.borrow_mut();
        let item = items.get_mut(&key)?;
        let ready = item.ready(&file)?;
        item.reported = Some(file.file.edges());
        item.spent = item.events & EPOLLONESHOT != 0;
        let data = item.data;
        drop(items);
        Some((ready, data))
    }
}

impl Item {
    /// What is to be reported of it.
    fn ready(&self, file: &Description) -> Option<u32> {
        if self.spent {
            return None;
        }
        let wanted = self.events & !FLAGS | u32::from(POLLERR | POLLHUP);
        let ready = u32::from(widen(file.file.poll())) & wanted;
        let old = self.events & EPOLLET != 0 && self.reported == Some(file.file.edges());
        (ready != 0 && !old).then_some(ready)
    }
}

impl File for Epoll {
    fn stat(&self) -> Result<Stat, Errno> {
        Ok(anonymous(0o600, 1))
    }

    fn poll(&self) -> Interest {
        let (round, answer) = self.polled.get();
        if round == self.hub.round() {
            return answer;
        }
        // For those who come here again meanwhile.
        self.polled.set((self.hub.round(), 0));
        let items = self.items.borrow();
        let ready = items.values().any(|item| {
            item.file
                .upgrade()
                .is_some_and(|file| item.ready(&file).is_some())
        });
        let answer = if ready { POLLIN } else { 0 };
        self.polled.set((self.hub.round(), answer));
        answer
    }

    fn ask(&self, kernel: &mut Kernel, tid: Tid, what: Ask) -> Result<(), Stop> {
        if what != Ask::Poll || self.asked.replace(self.hub.round()) == self.hub.round() {
            return Ok(());
        }
        let files: Vec<_> = {
            let items = self.items.borrow();
            items
                .values()
                .filter_map(|item| item.file.upgrade())
                .collect()
        };
        for file in files {
            // What it is ready for is asked in either case.
            drop(file.file.ask(kernel, tid, what));
        }
        Ok(())
    }

    fn pollable(&self) -> bool {
        true
    }

    fn edges(&self) -> u64 {
        let items = self.items.borrow();
        let files = items.values().filter_map(|item| item.file.upgrade());
        files.fold(self.changes.get(), |sum, file| {
            match file.file.as_any().is::<Self>() {
                // Not further down: paths may be many.
                true => sum,
                false => sum.wrapping_add(file.file.edges()),
            }
        })
    }

    fn label(&self) -> Option<String> {
        Some("anon_inode:[eventpoll]".into())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
