//! The terminal: raw while the guest has it, and as it was on every way out.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossterm::terminal;
use ruse_machine::Handle;

use crate::error::HostError;
use crate::exit;
use crate::machines::Shutdown;

/// Whether the terminal is raw.
static RAW: AtomicBool = AtomicBool::new(false);

/// How long a machine may take to stop before it is abandoned.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// The terminal in raw mode, until dropped.
pub struct Raw(());

impl Raw {
    /// Makes the terminal raw, if standard input is one.
    pub fn enter() -> Option<Self> {
        if !std::io::stdin().is_terminal() {
            return None;
        }
        match terminal::enable_raw_mode() {
            Ok(()) => {
                RAW.store(true, Ordering::Relaxed);
                Some(Self(()))
            }
            Err(error) => {
                log::warn!("the terminal stays in line mode: {error}");
                None
            }
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    if RAW.swap(false, Ordering::Relaxed)
        && let Err(error) = terminal::disable_raw_mode()
    {
        log::warn!("cannot restore the terminal: {error}");
    }
}

/// Whether the terminal is raw: it then does not move left at a line feed.
pub fn is_raw() -> bool {
    RAW.load(Ordering::Relaxed)
}

/// What ends a line on the terminal as it is.
pub fn line_end() -> &'static str {
    if is_raw() { "\r\n" } else { "\n" }
}

/// What is to be logged while something is drawn on the terminal, and whether that is so.
static KEPT: Mutex<(bool, Vec<String>)> = Mutex::new((false, Vec::new()));
/// The most lines that are kept.
const KEEP: usize = 1000;

/// Keeps what is logged from now on, or no longer, and then prints it.
pub fn keep_log(keep: bool) {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.0 = keep;
    if !keep {
        for line in kept.1.drain(..) {
            eprintln!("{line}");
        }
    }
}

/// Keeps a line of the log if that is wanted, or gives it back.
pub fn kept(line: String) -> Option<String> {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if !kept.0 {
        return Some(line);
    }
    if kept.1.len() < KEEP {
        kept.1.push(line);
    }
    None
}

/// Has a panic find the terminal as it was, so that its message can be read.
pub fn restore_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        restore();
        report(info);
    }));
}

/// Ends the process of a machine that does not stop.
pub fn abandon() -> ! {
    restore();
    std::process::exit(exit::STOPPED.into());
}

/// Has the signals of [`stop_on_signals`] set `quit`.
///
/// # Errors
/// [`HostError`] if the host does not let us.
pub fn quit_on_signals(quit: Arc<AtomicBool>) -> Result<(), HostError> {
    ctrlc::set_handler(move || quit.store(true, Ordering::Relaxed))?;
    Ok(())
}

/// Has the signals of [`stop_on_signals`] ask the guest to switch off, and a
/// second one stop the machine.
///
/// # Errors
/// [`HostError`] if the host does not let us.
pub fn shut_down_on_signals(shutdown: Shutdown) -> Result<(), HostError> {
    ctrlc::set_handler(move || shutdown.signal())?;
    Ok(())
}

/// Has SIGINT, SIGTERM and SIGHUP (on Windows Ctrl-C and the like) stop the
/// machine in good order. One that does not stop in time is abandoned.
///
/// # Errors
/// [`HostError`] if the host does not let us.
pub fn stop_on_signals(handle: Handle) -> Result<(), HostError> {
    ctrlc::set_handler(move || {
        handle.stop();
        std::thread::sleep(PATIENCE);
        abandon();
    })?;
    Ok(())
}
