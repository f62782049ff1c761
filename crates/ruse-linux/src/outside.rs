//! Signals that the host sends to this process, on behalf of the guest: those
//! of the keyboard go to the foreground of its terminal, others to the first
//! process. Being stopped stops the guest, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::fs::tty::{Tty, raise};
use crate::kernel::Kernel;
use crate::signal::{
    self, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH, SigInfo,
};
use crate::thread::Tid;
use crate::wait::Hub;

/// What arrived and was not yet passed on.
pub(crate) struct HostSignals {
    arrived: Vec<(u32, Arc<AtomicBool>)>,
    any: Arc<AtomicBool>,
    #[cfg_attr(not(unix), allow(dead_code))]
    host: host::Registration,
}

impl HostSignals {
    /// From now on the host's signals are the guest's.
    pub(crate) fn new(hub: &Hub) -> std::io::Result<Self> {
        let any = Arc::new(AtomicBool::new(false));
        let arrived: Vec<_> = host::SIGNALS
            .iter()
            .map(|&(signal, _)| (signal, Arc::new(AtomicBool::new(false))))
            .collect();
        let host = host::Registration::new(hub, &arrived, &any)?;
        Ok(Self { arrived, any, host })
    }

    fn take(&self) -> Vec<u32> {
        if !self.any.swap(false, Ordering::SeqCst) {
            return Vec::new();
        }
        self.host.drain();
        self.arrived
            .iter()
            .filter(|(_, flag)| flag.swap(false, Ordering::SeqCst))
            .map(|&(signal, _)| signal)
            .collect()
    }
}

impl Kernel {
    /// Passes on what arrived, and stops with the guest.
    pub(crate) fn host_signals(&mut self) {
        let Some(signals) = &self.signals else {
            return;
        };
        for signal in signals.take() {
            self.pass_on(signal);
        }
        if self.first_is_stopped() {
            self.suspend();
        }
    }

    fn pass_on(&mut self, signal: u32) {
        let Some(group) = self.processes.get(&self.first).map(|first| first.group) else {
            return;
        };
        let console = self.ttys.console.clone();
        let foreground = console.as_ref().map(|c| c.control().foreground.get());
        let foreground = foreground.filter(|&group| group != 0).unwrap_or(group);
        match signal {
            SIGINT | SIGQUIT | SIGTSTP => raise(self, foreground, signal),
            SIGWINCH => {
                if let Some(console) = console {
                    console.resized();
                    raise(self, foreground, signal);
                }
            }
            // We were stopped, by a signal that cannot be passed on, and the
            // terminal may have been changed meanwhile.
            SIGCONT => {
                if let Some(console) = console {
                    console.resume();
                }
                signal::send(self, self.first, SigInfo::kernel(SIGCONT));
            }
            _ => {
                signal::send(self, self.first, SigInfo::kernel(signal));
            }
        }
    }

    fn first_is_stopped(&self) -> bool {
        self.processes
            .get(&self.first)
            .is_some_and(|first| first.stopped.is_some())
    }

    /// Whether there is somebody outside of the box who lets `group` go on
    /// when it is stopped: the shell that started this process.
    pub(crate) fn outside_continues(&self, group: Tid) -> bool {
        let first = self.processes.get(&self.first);
        self.signals.is_some() && first.is_some_and(|first| first.group == group)
    }

    /// The first process is stopped: so is this one, until it goes on.
    fn suspend(&mut self) {
        let console = self.ttys.console.clone();
        if let Some(console) = &console {
            console.restore();
        }
        if !host::stop() {
            return;
        }
        if let Some(console) = &console {
            console.resume();
        }
        if let Some(group) = self.processes.get(&self.first).map(|first| first.group) {
            raise(self, group, SIGCONT);
        }
    }
}

#[cfg(unix)]
mod host {
    use std::fs::File;
    use std::io::{self, Read};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::rc::Rc;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use rustix::process::Signal;
    use signal_hook::SigId;

    use super::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH};
    use crate::fs::POLLOUT;
    use crate::wait::{Hub, Io, Source};

    /// What is passed on: the guest's number, and the host's signal.
    pub(super) const SIGNALS: &[(u32, Signal)] = &[
        (SIGINT, Signal::INT),
        (SIGQUIT, Signal::QUIT),
        (SIGTERM, Signal::TERM),
        (SIGHUP, Signal::HUP),
        (SIGTSTP, Signal::TSTP),
        (SIGCONT, Signal::CONT),
        (SIGWINCH, Signal::WINCH),
        (SIGUSR1, Signal::USR1),
        (SIGUSR2, Signal::USR2),
    ];

    pub(super) struct Registration {
        ids: Vec<SigId>,
        /// Becomes readable when a signal arrives.
        wake: Rc<Source>,
    }

    impl Registration {
        pub(super) fn new(
            hub: &Hub,
            arrived: &[(u32, Arc<AtomicBool>)],
            any: &Arc<AtomicBool>,
        ) -> io::Result<Self> {
            let (reader, writer) = UnixStream::pair()?;
            reader.set_nonblocking(true)?;
            let reader = File::from(OwnedFd::from(reader));
            let wake = hub.watch(Io::File(reader), POLLOUT);
            wake.ignore(POLLOUT);
            let mut ids = Vec::new();
            for ((_, flag), (_, signal)) in arrived.iter().zip(SIGNALS) {
                let number = signal.as_raw();
                // In this order: who sees the byte sees the flags, too.
                ids.push(signal_hook::flag::register(number, Arc::clone(flag))?);
                ids.push(signal_hook::flag::register(number, Arc::clone(any))?);
                let writer = writer.try_clone()?;
                ids.push(signal_hook::low_level::pipe::register(number, writer)?);
            }
            Ok(Self { ids, wake })
        }

        /// Forgets the bytes that woke us.
        pub(super) fn drain(&self) {
            let Io::File(reader) = self.wake.io() else {
                return;
            };
            let mut reader: &File = reader;
            let mut bytes = [0; 64];
            while reader.read(&mut bytes).is_ok_and(|len| len == bytes.len()) {}
            self.wake.blocked(crate::fs::POLLIN);
        }
    }

    impl Drop for Registration {
        fn drop(&mut self) {
            for id in self.ids.drain(..) {
                signal_hook::low_level::unregister(id);
            }
        }
    }

    /// Stops this process until the host lets it go on.
    pub(super) fn stop() -> bool {
        let me = rustix::process::getpid();
        rustix::process::kill_process(me, Signal::STOP).is_ok()
    }
}

#[cfg(not(unix))]
mod host {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::SIGINT;
    use crate::wait::Hub;

    /// Ctrl-C is all there is.
    pub(super) const SIGNALS: &[(u32, ())] = &[(SIGINT, ())];

    pub(super) struct Registration;

    impl Registration {
        pub(super) fn new(
            hub: &Hub,
            arrived: &[(u32, Arc<AtomicBool>)],
            any: &Arc<AtomicBool>,
        ) -> io::Result<Self> {
            let flags: Vec<_> = arrived.iter().map(|(_, flag)| Arc::clone(flag)).collect();
            let (any, notifier) = (Arc::clone(any), hub.notifier());
            ctrlc::set_handler(move || {
                for flag in flags.iter().chain([&any]) {
                    flag.store(true, Ordering::SeqCst);
                }
                if let Some(notifier) = &notifier {
                    // It is seen at the next look then.
                    drop(notifier.notify());
                }
            })
            .map_err(io::Error::other)?;
            Ok(Self)
        }

        pub(super) fn drain(&self) {}
    }

    /// Processes are not stopped here.
    pub(super) fn stop() -> bool {
        false
    }
}
