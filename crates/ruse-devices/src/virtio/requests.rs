//! Devices that answer one chain after the other, from queue 0: at once,
//! while the hart that rang the doorbell waits, or on a thread of their own,
//! while it goes on.
//!
//! The thread holds the device's lock only to take chains from the queue and
//! to give them back. The driver may take the queue away in between: then it
//! is waited for what is being answered, which no longer counts.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ruse_bus::{Activity, Ongoing, Ram};

use super::{Chain, Queue, QueueError, VirtioDevice, VirtioMmio};

/// The most chains that are taken from the queue together. They are given
/// back together too, with one interrupt.
const BATCH: usize = 32;

/// What answers a chain.
pub trait Server: Send + 'static {
    /// Answers `chain` and says how many bytes that wrote. What cannot be
    /// done now may be tried again after [`Patience::wait`].
    ///
    /// # Errors
    /// [`QueueError`] if the driver broke the rules.
    fn answer(
        &mut self,
        chain: &Chain,
        ram: &Ram,
        patience: &Patience<'_>,
    ) -> Result<u32, QueueError>;
}

/// A device whose only queue is for such requests.
pub trait Served: VirtioDevice + 'static {
    /// What answers them.
    type Server: Server;

    /// Its requests.
    fn requests(&mut self) -> &mut Requests<Self::Server>;
}

/// How long a request may take.
pub struct Patience<'a>(Option<&'a Shared>);

impl Patience<'_> {
    /// Waits for `time`. False, perhaps earlier, when there is nobody to wait
    /// for: a hart would stand still meanwhile, or the driver gave up.
    pub fn wait(&self, time: Duration) -> bool {
        let Some(shared) = self.0 else {
            return false;
        };
        let until = Instant::now() + time;
        let mut state = shared.lock();
        while !state.quit && !state.stop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            state = match shared.changed.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        false
    }
}

#[derive(Default)]
struct State {
    /// The doorbell rang.
    work: bool,
    /// Chains are being answered.
    busy: bool,
    /// They are no longer wanted.
    stop: bool,
    /// The device is gone.
    quit: bool,
    /// How often the queue was taken away.
    epoch: u64,
    /// For as long as the doorbell's work is not done.
    ongoing: Option<Ongoing>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(|e| e.into_inner())
    }
}

/// The requests of a device.
pub enum Requests<S> {
    /// Answered at once.
    Here(S),
    /// Answered by a thread.
    Thread(Worker<S>),
}

/// The device's end of the thread.
pub struct Worker<S> {
    shared: Arc<Shared>,
    activity: Activity,
    /// The thread's, which ends with it.
    server: Weak<Mutex<S>>,
}

/// A thread that answers requests. Dropping it waits for the thread to finish
/// what it is at and to let go of its server; later requests find nobody.
#[must_use = "the thread ends with it"]
pub struct ServerThread {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl<S: Server> Requests<S> {
    /// What a device does in [`VirtioDevice::notify`].
    ///
    /// # Errors
    /// [`QueueError`] if the driver broke the rules.
    pub fn notify(&mut self, queue: &mut Queue, ram: &Ram) -> Result<(), QueueError> {
        match self {
            Self::Here(server) => {
                queue.serve(ram, |chain| server.answer(chain, ram, &Patience(None)))
            }
            Self::Thread(worker) => {
                worker.ring();
                Ok(())
            }
        }
    }

    /// Has the thread, if there is one, look into the queue.
    pub fn look_again(&self) {
        if let Self::Thread(worker) = self {
            worker.ring();
        }
    }

    /// Does something with the server while it is not at work ([`ServerThread::settle`]).
    /// `None` if it is gone.
    pub fn with<T>(&mut self, work: impl FnOnce(&mut S) -> T) -> Option<T> {
        match self {
            Self::Here(server) => Some(work(server)),
            Self::Thread(worker) => {
                let server = worker.server.upgrade()?;
                let mut server = server.lock().unwrap_or_else(|e| e.into_inner());
                Some(work(&mut server))
            }
        }
    }

    /// What a device does in [`VirtioDevice::stop`].
    pub fn stop(&mut self) {
        if let Self::Thread(worker) = self {
            worker.stop();
        }
    }
}

impl<S> Worker<S> {
    fn ring(&self) {
        let mut state = self.shared.lock();
        if !state.work {
            state.work = true;
            state.ongoing.get_or_insert_with(|| self.activity.begin());
            self.shared.changed.notify_all();
        }
    }

    /// Returns when nothing is being answered any more.
    fn stop(&self) {
        let mut state = self.shared.lock();
        state.epoch += 1;
        state.stop = true;
        self.shared.changed.notify_all();
        while state.busy {
            state = self.shared.wait(state);
        }
        state.stop = false;
    }
}

impl ServerThread {
    /// What it is called.
    pub fn name(&self) -> &str {
        let thread = self.thread.as_ref();
        thread
            .and_then(|thread| thread.thread().name())
            .unwrap_or("")
    }

    /// Waits until everything that was asked of the thread is done, and given back. False
    /// if it is not after `limit`, as when the host has no room for what is written.
    pub fn settle(&self, limit: Duration) -> bool {
        let state = self.shared.lock();
        let busy = |state: &mut State| state.work || state.ongoing.is_some();
        match self.shared.changed.wait_timeout_while(state, limit, busy) {
            Ok((_, timeout)) => !timeout.timed_out(),
            Err(poisoned) => !poisoned.into_inner().1.timed_out(),
        }
    }
}

impl Drop for ServerThread {
    fn drop(&mut self) {
        self.shared.lock().quit = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // Whether it panicked was told on stderr.
            let _ = thread.join();
        }
    }
}

/// Has the requests of `device` answered by a thread called `name` from now
/// on. `activity` hears of work in flight.
///
/// # Errors
/// The host's, if it gives no thread; the device then works as before.
pub fn serve_on_thread<D: Served>(
    device: &Arc<Mutex<VirtioMmio<D>>>,
    name: &str,
    activity: &Activity,
) -> std::io::Result<ServerThread> {
    let shared = Arc::new(Shared::default());
    let (sender, receiver) = std::sync::mpsc::channel();
    let thread = thread::Builder::new().name(name.into()).spawn({
        let (shared, device) = (shared.clone(), Arc::downgrade(device));
        move || {
            if let Ok(server) = receiver.recv() {
                work::<D>(server, &shared, &device);
            }
        }
    })?;
    let mut worker = Requests::Thread(Worker {
        shared: shared.clone(),
        activity: activity.clone(),
        server: Weak::new(),
    });
    let mut device = device.lock().unwrap_or_else(|e| e.into_inner());
    let requests = device.device_mut().requests();
    std::mem::swap(requests, &mut worker);
    if let (Requests::Here(server), Requests::Thread(worker)) = (worker, requests) {
        let server = Arc::new(Mutex::new(server));
        worker.server = Arc::downgrade(&server);
        // It waits for it.
        let _ = sender.send(server);
    }
    Ok(ServerThread {
        shared,
        thread: Some(thread),
    })
}

/// While chains are being answered, and not longer, come what may.
struct Busy<'a>(&'a Shared);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.lock().busy = false;
        self.0.changed.notify_all();
    }
}

/// Chains on their way through the thread.
#[derive(Default)]
struct Batch {
    chains: Vec<Chain>,
    /// How many of them are in use.
    len: usize,
    /// What each answer wrote.
    written: Vec<u32>,
    /// What the driver did wrong after those.
    error: Option<QueueError>,
    epoch: u64,
}

fn work<D: Served>(
    server: Arc<Mutex<D::Server>>,
    shared: &Shared,
    device: &Weak<Mutex<VirtioMmio<D>>>,
) {
    let mut batch = Batch::default();
    loop {
        let mut state = shared.lock();
        while !state.work && !state.quit {
            // Whoever looks whether anything is going on sees the interrupts
            // that it led to first.
            if state.ongoing.take().is_some() {
                shared.changed.notify_all();
            }
            state = shared.wait(state);
        }
        if state.quit {
            return;
        }
        state.work = false;
        drop(state);
        while let Some(device) = device.upgrade() {
            let ram = {
                let mut device = device.lock().unwrap_or_else(|e| e.into_inner());
                batch.take(&mut device, shared);
                device.ram().clone()
            };
            if batch.len == 0 && batch.error.is_none() {
                break;
            }
            {
                let _busy = Busy(shared);
                let mut server = server.lock().unwrap_or_else(|e| e.into_inner());
                batch.answer(&mut *server, &ram, shared);
            }
            let mut device = device.lock().unwrap_or_else(|e| e.into_inner());
            batch.give_back(&mut device, shared);
        }
    }
}

impl Batch {
    /// Takes what waits in the queue.
    fn take<D: Served>(&mut self, device: &mut VirtioMmio<D>, shared: &Shared) {
        self.len = 0;
        self.written.clear();
        self.error = None;
        device.drive(|_, queues, ram| {
            let Some(queue) = queues.first_mut() else {
                return Ok(());
            };
            while self.len < BATCH {
                if self.chains.len() == self.len {
                    self.chains.push(Chain::default());
                }
                let more = queue
                    .pop(ram, &mut self.chains[self.len])
                    .and_then(|popped| {
                        self.len += usize::from(popped);
                        // One may have come without a ring of the doorbell.
                        Ok(popped || self.len == 0 && queue.arm(ram)?)
                    });
                match more {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        self.error = Some(error);
                        break;
                    }
                }
            }
            Ok(())
        });
        let mut state = shared.lock();
        state.busy = self.len > 0;
        self.epoch = state.epoch;
    }

    fn answer(&mut self, server: &mut impl Server, ram: &Ram, shared: &Shared) {
        let patience = Patience(Some(shared));
        for chain in &self.chains[..self.len] {
            match server.answer(chain, ram, &patience) {
                Ok(written) => self.written.push(written),
                Err(error) => {
                    self.error = Some(error);
                    return;
                }
            }
        }
    }

    fn give_back<D: Served>(&mut self, device: &mut VirtioMmio<D>, shared: &Shared) {
        if shared.lock().epoch != self.epoch {
            return;
        }
        device.drive(|_, queues, ram| {
            let Some(queue) = queues.first_mut() else {
                return Ok(());
            };
            for (chain, &written) in self.chains.iter().zip(&self.written) {
                queue.push(ram, chain.head(), written)?;
            }
            queue.publish(ram)?;
            self.error.map_or(Ok(()), Err)
        });
    }
}
