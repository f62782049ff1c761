//! What a guest prints, for all who want it: a log, and whoever is attached.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ruse_machine::ConsoleOut;

use super::logfile::Log;

/// How much of what was printed can be searched.
const RECENT: usize = 64 << 10;
/// How many pieces of output wait for one who reads slowly.
const QUEUE: usize = 256;

/// The hub. Nobody on it ever keeps the guest waiting.
#[derive(Clone, Default)]
pub struct Hub(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    log: Option<Log>,
    recent: VecDeque<u8>,
    /// How many bytes were ever printed.
    total: u64,
    listeners: Vec<SyncSender<Arc<[u8]>>>,
}

impl Hub {
    /// A hub that writes `log`.
    pub fn new(log: Option<Log>) -> Self {
        let hub = Self::default();
        hub.lock().log = log;
        hub
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is printed from now on. One who reads too slowly misses some.
    pub fn listen(&self) -> Receiver<Arc<[u8]>> {
        let (sender, receiver) = sync_channel(QUEUE);
        self.lock().listeners.push(sender);
        receiver
    }

    /// How much was printed so far.
    pub fn total(&self) -> u64 {
        self.lock().total
    }

    /// Waits until the guest has printed `text` after the first `since` bytes.
    /// False if it did not within `limit`.
    pub fn wait_for(&self, text: &str, since: u64, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        let mut state = self.lock();
        loop {
            if state.has(text.as_bytes(), since) {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = match self.0.news.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}

impl State {
    fn has(&self, text: &[u8], since: u64) -> bool {
        let first = self.total - self.recent.len() as u64;
        let skip = since.saturating_sub(first).min(RECENT as u64) as usize;
        let recent: Vec<u8> = self.recent.iter().skip(skip).copied().collect();
        recent.windows(text.len()).any(|at| at == text)
    }
}

impl ConsoleOut for Hub {
    fn write(&mut self, bytes: &[u8]) {
        let mut state = self.lock();
        let written = state.log.as_mut().map(|log| log.write(bytes));
        if let Some(Err(error)) = written
            && let Some(log) = state.log.take()
        {
            log::error!(
                "{}: cannot write it any more: {error}",
                log.path().display()
            );
        }
        let kept = &bytes[bytes.len().saturating_sub(RECENT)..];
        let surplus = (state.recent.len() + kept.len()).saturating_sub(RECENT);
        state.recent.drain(..surplus);
        state.recent.extend(kept);
        state.total += bytes.len() as u64;
        if !state.listeners.is_empty() {
            let piece: Arc<[u8]> = bytes.into();
            state.listeners.retain(|listener| {
                let sent = listener.try_send(piece.clone());
                !matches!(sent, Err(TrySendError::Disconnected(_)))
            });
        }
        drop(state);
        self.0.news.notify_all();
    }
}

/// A console of its own, and the hub besides.
pub struct Tee<C>(pub C, pub Hub);

impl<C: ConsoleOut> ConsoleOut for Tee<C> {
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
        self.1.write(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_gets_it_and_who_is_slow_is_not_waited_for() {
        let mut hub = Hub::default();
        hub.write(b"before");
        let (quick, slow) = (hub.listen(), hub.listen());
        for n in 0..2 * QUEUE {
            hub.write(&[n as u8]);
            assert_eq!(quick.recv().unwrap()[..], [n as u8]);
        }
        drop(quick);
        hub.write(b"x");
        assert_eq!(slow.try_iter().count(), QUEUE);
        assert_eq!(hub.lock().listeners.len(), 1);
        hub.write(b"y");
        assert_eq!(slow.recv().unwrap()[..], b"y"[..]);
    }

    #[test]
    fn what_was_printed_can_be_waited_for() {
        let mut hub = Hub::default();
        hub.write(b"it is off");
        let since = hub.total();
        assert!(hub.wait_for("is off", 0, Duration::ZERO));
        assert!(!hub.wait_for("off", since, Duration::ZERO));
        hub.write(b"x");
        hub.write(&[b'.'; 2 * RECENT]);
        assert_eq!(hub.lock().recent.len(), RECENT);
        let mut printer = hub.clone();
        let thread = std::thread::spawn(move || {
            printer.write(b"..o");
            printer.write(b"ff..");
        });
        assert!(hub.wait_for("off", since, Duration::from_secs(600)));
        thread.join().unwrap();
        assert!(!hub.wait_for("off", u64::MAX, Duration::ZERO));
    }
}
