//! How a guest is asked to switch off, ever more firmly.
//!
//! 1. The power button, which an operating system with a driver for it takes
//!    as from a person: it stops its services first.
//! 2. SysRq over the serial line, for which Linux needs nothing but its
//!    kernel: write back what is cached, remount file systems read-only,
//!    power off.
//! 3. The plug.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ruse_machine::{Buttons, Handle};

use super::hub::Hub;
use super::wire::{End, Reply, Step};
use crate::terminal;

/// How long the guest has when a signal asks for the end.
const AT_A_SIGNAL: Duration = Duration::from_secs(30);
/// How long a kernel has for the first sign that it takes SysRq.
const SIGN: Duration = Duration::from_secs(5);
/// How long it has for each of its steps.
const SYSRQ: Duration = Duration::from_secs(15);
/// How long who watches has to learn of the end.
const FAREWELL: Duration = Duration::from_secs(1);

/// The end of a machine, for those who bring it about and those who wait for
/// it.
#[derive(Clone)]
pub struct Shutdown(Arc<Shared>);

struct Shared {
    buttons: Buttons,
    handle: Handle,
    hub: Hub,
    progress: Mutex<Progress>,
    news: Condvar,
}

#[derive(Default)]
struct Progress {
    begun: bool,
    steps: Vec<Step>,
    end: Option<End>,
    watchers: usize,
}

/// One who is told of the end before the process goes.
pub struct Watcher(Shutdown);

impl Shutdown {
    /// Of the machine with this handle and these buttons, whose output goes to
    /// `hub`.
    pub fn new(handle: Handle, buttons: Buttons, hub: Hub) -> Self {
        Self(Arc::new(Shared {
            buttons,
            handle,
            hub,
            progress: Mutex::default(),
            news: Condvar::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.0
            .progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `done`, at most for `limit`, and says whether it is.
    fn wait(&self, limit: Duration, done: impl Fn(&Progress) -> bool) -> bool {
        let undone = |progress: &mut Progress| !done(progress);
        match self.0.news.wait_timeout_while(self.lock(), limit, undone) {
            Ok((progress, _)) => done(&progress),
            Err(poisoned) => done(&poisoned.into_inner().0),
        }
    }

    fn step(&self, step: Step) {
        log::info!("on the way to the end: {step:?}");
        self.lock().steps.push(step);
        self.0.news.notify_all();
    }

    /// Whether the guest has been asked to switch off.
    pub fn has_begun(&self) -> bool {
        self.lock().begun
    }

    /// Whether the machine has ended.
    pub fn is_over(&self) -> bool {
        self.lock().end.is_some()
    }

    /// Asks the guest, if that has not happened yet; it has `timeout` to react
    /// to the power button.
    pub fn begin(&self, timeout: Duration) {
        if !std::mem::replace(&mut self.lock().begun, true) {
            let this = self.clone();
            std::thread::spawn(move || this.escalate(timeout));
        }
    }

    /// A signal asks the guest, and the next one pulls the plug.
    pub fn signal(&self) {
        if self.has_begun() {
            self.unplug();
        } else {
            self.begin(AT_A_SIGNAL);
        }
    }

    fn escalate(&self, timeout: Duration) {
        let over = |limit| self.wait(limit, |progress| progress.end.is_some());
        if self.0.buttons.press_power() {
            self.step(Step::PowerButton);
            if over(timeout) {
                return;
            }
        } else {
            self.step(Step::NoPowerButton);
        }
        self.step(Step::Sysrq);
        if self.sysrq() && over(SYSRQ) {
            return;
        }
        self.unplug();
    }

    /// Has the kernel go through its own emergency shutdown. False if there is
    /// no sign of one that would.
    fn sysrq(&self) -> bool {
        let (buttons, hub) = (&self.0.buttons, &self.0.hub);
        let since = hub.total();
        // To be told when it is done, whatever `quiet` says. Each key is waited
        // for: of two in one interrupt, Linux takes the second only.
        if !buttons.sysrq(b'9') || !hub.wait_for("sysrq: ", since, SIGN) {
            self.step(Step::NoSysrq);
            return false;
        }
        for (key, done) in [
            (b's', "Emergency Sync complete"),
            (b'u', "Emergency Remount complete"),
        ] {
            buttons.sysrq(key);
            hub.wait_for(done, since, SYSRQ);
        }
        buttons.sysrq(b'o')
    }

    /// Pulls the plug. A machine that does not even notice that is abandoned
    /// with its process.
    pub fn unplug(&self) {
        self.lock().begun = true;
        self.step(Step::Unplug);
        let this = self.clone();
        std::thread::spawn(move || {
            this.0.handle.stop();
            if !this.wait(terminal::PATIENCE, |progress| progress.end.is_some()) {
                terminal::abandon();
            }
        });
    }

    /// The machine has ended. Returns when all who watch know, or soon.
    pub fn end(&self, end: End) {
        self.lock().end = Some(end);
        self.0.news.notify_all();
        self.wait(FAREWELL, |progress| progress.watchers == 0);
    }

    /// Has the process wait at its end for as long as the watcher lives.
    pub fn watch(&self) -> Watcher {
        self.lock().watchers += 1;
        Watcher(self.clone())
    }
}

impl Watcher {
    /// Tells of every step and of the end, as they come.
    ///
    /// # Errors
    /// What `tell` gives.
    pub fn follow(&self, mut tell: impl FnMut(&Reply) -> io::Result<()>) -> io::Result<()> {
        let Shared { news, .. } = &*self.0.0;
        let mut told = 0;
        let mut progress = self.0.lock();
        loop {
            if let Some(&step) = progress.steps.get(told) {
                told += 1;
                drop(progress);
                tell(&Reply::Step(step))?;
                progress = self.0.lock();
            } else if let Some(end) = &progress.end {
                let end = end.clone();
                drop(progress);
                return tell(&Reply::Ended(end));
            } else {
                progress = news.wait(progress).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.lock().watchers -= 1;
        self.0.0.news.notify_all();
    }
}

/// How long it took, as people say it.
pub fn seconds(since: Instant) -> String {
    format!("{:.1} s", since.elapsed().as_secs_f64())
}
