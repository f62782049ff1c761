//! Counters as files: eventfd(2) and timerfd_create(2).

use std::any::Any;
use std::cell::Cell;
use std::time::Duration;

use super::news::News;
use super::pipe::anonymous;
use super::{File, Interest, POLLERR, POLLIN, POLLOUT, Stat};
use crate::errno::Errno;
use crate::wait::{Alarm, Hub};

/// `eventfd`.
pub(crate) struct EventFd {
    count: Cell<u64>,
    semaphore: bool,
    news: News,
}

impl EventFd {
    pub(crate) fn new(hub: &Hub, count: u32, semaphore: bool) -> Self {
        Self {
            count: Cell::new(count.into()),
            semaphore,
            news: News::new(hub),
        }
    }
}

fn word(bytes: &[u8]) -> Result<u64, Errno> {
    match bytes.first_chunk() {
        Some(word) => Ok(u64::from_le_bytes(*word)),
        None => Err(Errno::EINVAL),
    }
}

fn put(out: &mut [u8], value: u64) -> Result<usize, Errno> {
    let place = out.first_chunk_mut().ok_or(Errno::EINVAL)?;
    *place = value.to_le_bytes();
    Ok(8)
}

impl File for EventFd {
    fn read(&self, _offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
        if out.len() < 8 {
            return Err(Errno::EINVAL);
        }
        let count = self.count.get();
        if count == 0 {
            self.news.watch();
            return Err(Errno::EAGAIN);
        }
        let taken = if self.semaphore { 1 } else { count };
        self.count.set(count - taken);
        self.news.happened();
        put(out, taken)
    }

    fn write(&self, _offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        let added = word(bytes)?;
        if added == u64::MAX {
            return Err(Errno::EINVAL);
        }
        match self.count.get().checked_add(added) {
            Some(sum) if sum < u64::MAX => {
                self.count.set(sum);
                self.news.happened();
                Ok(8)
            }
            _ => {
                self.news.watch();
                Err(Errno::EAGAIN)
            }
        }
    }

    fn stat(&self) -> Result<Stat, Errno> {
        Ok(anonymous(0o600, 1))
    }

    fn poll(&self) -> Interest {
        self.news.watch();
        match self.count.get() {
            0 => POLLOUT,
            u64::MAX => POLLIN | POLLERR,
            count if count == u64::MAX - 1 => POLLIN,
            _ => POLLIN | POLLOUT,
        }
    }

    fn pollable(&self) -> bool {
        true
    }

    fn edges(&self) -> u64 {
        self.news.count()
    }

    fn label(&self) -> Option<String> {
        Some("anon_inode:[eventfd]".into())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `timerfd`: counts how often it expired.
pub(crate) struct TimerFd {
    hub: Hub,
    alarm: Alarm,
    /// The clock shows `monotonic + offset` (in nanoseconds), or, for an
    /// offset of `None`, monotonic time itself.
    pub(crate) clock: TimerClock,
    next: Cell<Option<Duration>>,
    interval: Cell<Duration>,
    expired: Cell<u64>,
    edges: Cell<u64>,
}

/// Which clock a timer goes by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TimerClock {
    Monotonic,
    Realtime,
}

impl TimerFd {
    pub(crate) fn new(hub: &Hub, clock: TimerClock) -> Self {
        Self {
            hub: hub.clone(),
            alarm: hub.alarm(),
            clock,
            next: Cell::new(None),
            interval: Cell::default(),
            expired: Cell::new(0),
            edges: Cell::new(0),
        }
    }

    /// Sets it to expire at `next`, in monotonic time.
    pub(crate) fn set(&self, next: Option<Duration>, interval: Duration) {
        self.expired.set(0);
        self.next.set(next);
        self.interval.set(interval);
        self.alarm.set(next);
    }

    /// Time left, and the interval.
    pub(crate) fn get(&self) -> (Duration, Duration) {
        self.update();
        let left = self.next.get().map_or(Duration::ZERO, |next| {
            next.saturating_sub(self.hub.now())
                // Set, so not zero.
                .max(Duration::from_nanos(1))
        });
        (left, self.interval.get())
    }

    /// Counts what expired since it was last looked at.
    fn update(&self) {
        let (now, interval) = (self.hub.now(), self.interval.get());
        let Some(next) = self.next.get().filter(|&next| next <= now) else {
            return;
        };
        let mut times = 1;
        let mut after = None;
        if !interval.is_zero() {
            let more = (now - next).as_nanos() / interval.as_nanos();
            times += u64::try_from(more).unwrap_or(u64::MAX - 1);
            let late = (now - next).as_nanos() % interval.as_nanos();
            let left = interval.as_nanos() - late;
            after = Some(now + Duration::from_nanos(u64::try_from(left).unwrap_or(u64::MAX)));
        }
        self.expired.set(self.expired.get().saturating_add(times));
        self.edges.set(self.edges.get().wrapping_add(1));
        self.next.set(after);
        self.alarm.set(after);
    }
}

impl File for TimerFd {
    fn read(&self, _offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
        if out.len() < 8 {
            return Err(Errno::EINVAL);
        }
        self.update();
        match self.expired.replace(0) {
            0 => Err(Errno::EAGAIN),
            times => put(out, times),
        }
    }

    fn stat(&self) -> Result<Stat, Errno> {
        Ok(anonymous(0o600, 1))
    }

    fn poll(&self) -> Interest {
        self.update();
        if self.expired.get() > 0 { POLLIN } else { 0 }
    }

    fn pollable(&self) -> bool {
        true
    }

    fn edges(&self) -> u64 {
        self.update();
        self.edges.get()
    }

    fn label(&self) -> Option<String> {
        Some("anon_inode:[timerfd]".into())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
