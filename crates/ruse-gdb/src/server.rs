//! The guest runs, and debuggers come and go.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use gdbstub::common::{Signal, Tid};
use gdbstub::conn::Connection;
use gdbstub::stub::state_machine::GdbStubStateMachine;
use gdbstub::stub::{DisconnectReason, GdbStubBuilder, MultiThreadStopReason};
use gdbstub::target::ext::base::reverse_exec::ReplayLogPosition;

use crate::guest::{Guest, Halt, Plan, Thread};
use crate::listen::{Event, Server, Stream};
use crate::target::{Debugged, watch_kind};

/// Bytes of the longest packet.
const PACKET: usize = 16 << 10;
/// How often somebody who waits for a debugger looks whether to go on waiting.
const GLANCE: Duration = Duration::from_millis(100);

/// How a session ended.
enum End<O> {
    /// The debugger left; the guest is to run on.
    Left,
    /// The connection is lost, or made no sense; whether the guest was told to go on.
    Lost(bool),
    /// The guest is to end.
    Kill,
    /// It has ended.
    Over(O),
}

/// The way to the debugger: what belongs together is sent together.
struct Wire {
    stream: Stream,
    bytes: Vec<u8>,
}

impl Connection for Wire {
    type Error = io::Error;

    fn write(&mut self, byte: u8) -> io::Result<()> {
        self.bytes.push(byte);
        Ok(())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let sent = self.stream.write_all(&self.bytes);
        self.bytes.clear();
        sent
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // The last words.
        let _ = self.flush();
        self.stream.hang_up();
    }
}

/// What the debugger says, byte by byte.
struct Inbox<'a> {
    events: &'a Receiver<Event>,
    bytes: std::vec::IntoIter<u8>,
}

/// What there is to hear.
enum Heard {
    Byte(u8),
    Nothing,
    Gone,
}

impl Inbox<'_> {
    fn next(&mut self, wait: bool) -> Heard {
        loop {
            if let Some(byte) = self.bytes.next() {
                return Heard::Byte(byte);
            }
            let event = if wait {
                match self.events.recv_timeout(GLANCE) {
                    Ok(event) => event,
                    Err(RecvTimeoutError::Timeout) => return Heard::Nothing,
                    Err(RecvTimeoutError::Disconnected) => return Heard::Gone,
                }
            } else {
                match self.events.try_recv() {
                    Ok(event) => event,
                    Err(TryRecvError::Empty) => return Heard::Nothing,
                    Err(TryRecvError::Disconnected) => return Heard::Gone,
                }
            };
            match event {
                Event::Said(bytes) => self.bytes = bytes.into_iter(),
                Event::Gone | Event::Connected(_) => return Heard::Gone,
            }
        }
    }
}

impl Server {
    /// Runs a guest to its end, or until it is asked to stop, with whatever debuggers
    /// come. `wait`: not before the first of them said so.
    ///
    /// # Errors
    /// What the guest cannot go on for.
    ///
    /// # Panics
    /// If the host has no thread to spare.
    pub fn serve<G: Guest>(self, guest: &mut G, wait: bool) -> Result<G::Outcome, G::Error> {
        let events = self
            .hear(guest.interrupter())
            .expect("a thread to listen on");
        let mut runs = !wait;
        loop {
            let event = if runs {
                match guest.resume(&Plan::run())? {
                    Halt::Over(outcome) => return Ok(outcome),
                    _ => events.try_recv().ok(),
                }
            } else if guest.is_stopping() {
                return Ok(guest.stopped());
            } else {
                events.recv_timeout(GLANCE).ok()
            };
            let Some(Event::Connected(stream)) = event else {
                continue;
            };
            log::info!("gdb: connected");
            match session(guest, stream, &events)? {
                End::Left => {
                    log::info!("gdb: detached; the guest runs on");
                    runs = true;
                }
                End::Lost(went) => {
                    runs |= went;
                    let then = if runs { "runs on" } else { "waits for another" };
                    log::warn!("gdb: the connection is lost; the guest {then}");
                }
                End::Kill => return Ok(guest.stopped()),
                End::Over(outcome) => return Ok(outcome),
            }
        }
    }
}

/// One debugger, from its first word to its last.
fn session<G: Guest>(
    guest: &mut G,
    stream: Stream,
    events: &Receiver<Event>,
) -> Result<End<G::Outcome>, G::Error> {
    let wire = Wire {
        stream,
        bytes: Vec::new(),
    };
    let mut inbox = Inbox {
        events,
        bytes: Vec::new().into_iter(),
    };
    let mut target = Debugged::new(guest);
    let lost = |went, error: &dyn std::fmt::Display| {
        log::warn!("gdb: what the debugger says makes no sense: {error}");
        Ok(End::Lost(went))
    };
    let stub = match GdbStubBuilder::new(wire).packet_buffer_size(PACKET).build() {
        Ok(stub) => stub,
        Err(error) => return lost(false, &error),
    };
    let mut gdb = match stub.run_state_machine(&mut target) {
        Ok(gdb) => gdb,
        Err(error) => return lost(false, &error),
    };
    let mut over = None;
    loop {
        let next = match gdb {
            GdbStubStateMachine::Idle(_) if target.quit => return Ok(End::Kill),
            GdbStubStateMachine::Idle(idle) => match inbox.next(true) {
                Heard::Byte(byte) => idle.incoming_data(&mut target, byte),
                Heard::Nothing if target.guest.is_stopping() => return Ok(End::Kill),
                Heard::Nothing => Ok(idle.into()),
                Heard::Gone => return Ok(End::Lost(target.went)),
            },
            GdbStubStateMachine::Running(running) => match inbox.next(false) {
                Heard::Byte(byte) => running.incoming_data(&mut target, byte),
                Heard::Gone => return Ok(End::Lost(target.went)),
                Heard::Nothing => match target.go() {
                    Ok(Halt::Interrupted) => Ok(running.into()),
                    Ok(Halt::Over(outcome)) => {
                        let reason = match G::code(&outcome) {
                            Ok(code) => MultiThreadStopReason::Exited(code),
                            Err(signal) => MultiThreadStopReason::Terminated(Signal(signal)),
                        };
                        over = Some(outcome);
                        running.report_stop(&mut target, reason)
                    }
                    Ok(halt) => {
                        let reason = reason(&mut target, &halt);
                        running.report_stop(&mut target, reason)
                    }
                    Err(error) => {
                        // Nothing is lost if the debugger does not hear it.
                        let reason = MultiThreadStopReason::Terminated(Signal::SIGABRT);
                        let _ = running.report_stop(&mut target, reason);
                        return Err(error);
                    }
                },
            },
            GdbStubStateMachine::CtrlCInterrupt(interrupted) => {
                let reason = signal(target.selected(), Signal::SIGINT);
                interrupted.interrupt_handled(&mut target, Some(reason))
            }
            GdbStubStateMachine::Disconnected(gone) => {
                return Ok(match (gone.get_reason(), over) {
                    (_, Some(outcome)) => End::Over(outcome),
                    (DisconnectReason::Kill, None) => End::Kill,
                    _ => End::Left,
                });
            }
        };
        gdb = match next {
            Ok(gdb) => gdb,
            Err(error) => {
                return match over {
                    Some(outcome) => Ok(End::Over(outcome)),
                    None => lost(target.went, &error),
                };
            }
        };
    }
}

type Reason = MultiThreadStopReason<u64>;

fn signal(thread: Thread, signal: Signal) -> Reason {
    match Tid::new(thread) {
        Some(tid) => MultiThreadStopReason::SignalWithThread { tid, signal },
        None => MultiThreadStopReason::Signal(signal),
    }
}

fn reason<G: Guest>(target: &mut Debugged<'_, G>, halt: &Halt<G::Outcome>) -> Reason {
    match *halt {
        Halt::Breakpoint(thread) => match Tid::new(thread) {
            Some(tid) if target.is_hard(thread) => MultiThreadStopReason::HwBreak(tid),
            Some(tid) => MultiThreadStopReason::SwBreak(tid),
            None => signal(thread, Signal::SIGTRAP),
        },
        Halt::Watch(thread, point) => match Tid::new(thread) {
            Some(tid) => MultiThreadStopReason::Watch {
                tid,
                kind: watch_kind(&point),
                addr: point.at,
            },
            None => signal(thread, Signal::SIGTRAP),
        },
        Halt::Signal(thread, number) => signal(thread, Signal(number)),
        Halt::Step(thread) => signal(thread, Signal::SIGTRAP),
        Halt::Beginning(thread) => MultiThreadStopReason::ReplayLog {
            tid: Tid::new(thread),
            pos: ReplayLogPosition::Begin,
        },
        Halt::Interrupted | Halt::Over(_) => signal(target.selected(), Signal::SIGINT),
    }
}
