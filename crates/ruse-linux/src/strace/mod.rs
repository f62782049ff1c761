//! System calls as text, in the manner of strace(1), to standard error: the
//! host's, unless the guest's is captured.
//!
//! A call is printed when it begins, up to the arguments that it will write
//! to; the rest when it ends. If something else is to be printed meanwhile,
//! its line is left `<unfinished ...>` and taken up again by
//! `<... name resumed>`. So what a hanging program waits for can be seen.

mod args;
mod names;

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use crate::config::{Config, Stdio};
use crate::errno::Errno;
use crate::kernel::Kernel;
use crate::process::Exit;
use crate::signal::{Detail, SigInfo, code};
use crate::syscall;
use crate::thread::Tid;
use args::Printer;

/// A system call that is going on.
#[derive(Debug)]
pub(crate) struct Line {
    number: u64,
    args: [u64; 6],
    /// How many arguments were printed.
    printed: usize,
}

/// What was printed last.
#[derive(Default, Debug)]
pub(crate) struct Tracer {
    /// Whose line has no end yet.
    open: Option<Tid>,
    /// Several threads were seen: lines tell whose they are.
    several: bool,
    /// Where to, if not to the host's standard error.
    capture: Option<Arc<Mutex<Vec<u8>>>>,
}

impl Tracer {
    /// Prints to where the guest's standard error goes if that is captured.
    pub(crate) fn new(config: &Config) -> Self {
        let capture = match &config.stdio[2] {
            Stdio::Capture(to) => Some(Arc::clone(to)),
            _ => None,
        };
        Self {
            capture,
            ..Self::default()
        }
    }
}

impl Kernel {
    /// Prints something of `tid`: the beginning of its line if `begins`, and
    /// its end if `ends`.
    fn trace(&mut self, tid: Tid, begins: bool, text: &str, ends: bool) {
        let mut out = String::new();
        self.tracer.several |= self.threads.len() > 1;
        let own = self.tracer.open == Some(tid);
        if self.tracer.open.is_some() && (!own || begins) {
            out.push_str(" <unfinished ...>\n");
        }
        if self.tracer.several && (begins || !own) {
            let _ = write!(out, "[pid {tid:5}] ");
        }
        if !begins && !own {
            let name = self
                .threads
                .get(&tid)
                .and_then(|thread| thread.trace.as_ref())
                .map_or_else(String::new, |line| name(line.number));
            let _ = write!(out, "<... {name} resumed>");
        }
        out.push_str(text);
        if ends {
            out.push('\n');
        }
        self.tracer.open = (!ends).then_some(tid);
        match &self.tracer.capture {
            Some(to) => to
                .lock()
                .unwrap_or_else(|e| e.into_inner())
                .extend_from_slice(out.as_bytes()),
            None => {
                // Nobody is left to be told if that fails.
                let _ = std::io::stderr().lock().write_all(out.as_bytes());
            }
        }
    }
}

fn name(number: u64) -> String {
    match syscall::find(number) {
        Some((name, _, _)) => name.to_owned(),
        None => format!("syscall_{number:#x}"),
    }
}

fn shape(number: u64) -> &'static str {
    syscall::find(number).map_or("xxxxxx", |(_, _, shape)| shape)
}

/// A system call begins.
pub(crate) fn enter(kernel: &mut Kernel, tid: Tid, number: u64, args: [u64; 6]) {
    let printer = Printer::new(kernel, tid, &args);
    let mut text = name(number);
    text.push('(');
    let mut printed = 0;
    let shape = shape(number);
    for (n, letter) in shape.chars().enumerate() {
        if !printer.counts(shape, n) {
            break;
        }
        let Some(argument) = printer.before(letter, n) else {
            break;
        };
        if n > 0 {
            text.push_str(", ");
        }
        text.push_str(&argument);
        printed += 1;
    }
    if let Some(thread) = kernel.threads.get_mut(&tid) {
        thread.trace = Some(Box::new(Line {
            number,
            args,
            printed,
        }));
    }
    kernel.trace(tid, true, &text, false);
}

/// A system call ends.
pub(crate) fn leave(kernel: &mut Kernel, tid: Tid, result: Result<u64, Errno>) {
    let Some(thread) = kernel.threads.get_mut(&tid) else {
        return;
    };
    let Some(line) = thread.trace.as_ref() else {
        return;
    };
    let (number, args, printed) = (line.number, line.args, line.printed);
    let mut text = String::new();
    let printer = Printer::new(kernel, tid, &args);
    let shape = shape(number);
    for (n, letter) in shape.chars().enumerate().skip(printed) {
        if !printer.counts(shape, n) {
            break;
        }
        if n > 0 {
            text.push_str(", ");
        }
        text.push_str(&printer.after(letter, n, result));
    }
    text.push_str(") = ");
    let call = name(number);
    let _ = match result {
        Ok(value) if matches!(call.as_str(), "mmap" | "brk" | "mremap") => {
            write!(text, "{value:#x}")
        }
        Ok(value) => write!(text, "{}", value as i64),
        Err(Errno(512)) => write!(text, "? ERESTARTSYS (To be restarted if SA_RESTART is set)"),
        Err(errno) => write!(text, "-1 {} ({})", errno.name(), names::explain(errno)),
    };
    kernel.trace(tid, false, &text, true);
    if let Some(thread) = kernel.threads.get_mut(&tid) {
        thread.trace = None;
    }
}

/// A signal is acted on.
pub(crate) fn signal(kernel: &mut Kernel, tid: Tid, info: &SigInfo) {
    let name = names::signal(info.signal);
    let mut text = format!("--- {name} {{si_signo={name}, si_code=");
    text.push_str(&names::si_code(info));
    let _ = match info.detail {
        Detail::Fault { address } => write!(text, ", si_addr={address:#x}"),
        Detail::Child {
            pid,
            uid,
            status,
            user,
            system,
        } => {
            let status = match info.code {
                code::CLD_EXITED => status.to_string(),
                _ => names::signal(status),
            };
            write!(
                text,
                ", si_pid={pid}, si_uid={uid}, si_status={status}, si_utime={user}, si_stime={system}"
            )
        }
        Detail::Timer { id, overrun, value } => write!(
            text,
            ", si_timerid={id:#x}, si_overrun={overrun}, si_value={{int={}, ptr={value:#x}}}",
            value as i32
        ),
        Detail::Poll { band, fd } => write!(text, ", si_band={band}, si_fd={fd}"),
        Detail::From { .. } if info.code == code::KERNEL => Ok(()),
        Detail::From { pid, uid, .. } => write!(text, ", si_pid={pid}, si_uid={uid}"),
        Detail::Raw(_) => Ok(()),
    };
    text.push_str("} ---");
    // The call that it interrupts, if any, is told of when it ends.
    let line = kernel
        .threads
        .get_mut(&tid)
        .and_then(|thread| thread.trace.take());
    kernel.trace(tid, true, &text, true);
    if let Some(thread) = kernel.threads.get_mut(&tid) {
        thread.trace = line;
    }
}

/// A process stops.
pub(crate) fn stopped(kernel: &mut Kernel, tid: Tid, signal: u32) {
    let text = format!("--- stopped by {} ---", names::signal(signal));
    kernel.trace(tid, true, &text, true);
}

/// A thread ends.
pub(crate) fn ended(kernel: &mut Kernel, tid: Tid, exit: Exit) {
    let waiting = kernel
        .threads
        .get(&tid)
        .is_some_and(|thread| thread.trace.is_some());
    if waiting {
        kernel.trace(tid, false, ") = ?", true);
    }
    let text = match exit {
        Exit::Code(code) => format!("+++ exited with {code} +++"),
        Exit::Signal(signal) => format!("+++ killed by {} +++", names::signal(signal)),
    };
    kernel.trace(tid, true, &text, true);
}
