//! The log of lies, live: a terminal UI with the guest's console on one side and, on
//! the other, what the guest believes next to what the host did; and behind that all
//! that can be looked at: registers, page tables, devices, disks, connections.
//!
//! [`run`] takes a machine over: it runs on a thread of its own, and
//! stands still for a moment whenever something is to be looked at. What happens comes
//! through a [`Feed`], which forgets the oldest events rather than hold the guest up.

mod app;
mod control;
mod feed;
mod help;
mod panes;
mod shot;
mod view;

use std::fs::File;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ratatui::crossterm::terminal;
use ruse_lens::story::Scene;
use ruse_machine::{Machine, MachineError, Outcome};
use thiserror::Error;

pub use feed::{Feed, Screen};

/// The smallest terminal that there is room in: columns and rows.
pub const SMALLEST: (u16, u16) = (80, 24);

/// Why there is no UI.
#[derive(Debug, Error)]
pub enum TuiError {
    /// Standard input or output is no terminal.
    #[error("--lies draws on a terminal, and {0} is none; --trace writes to a file or a pipe")]
    NoTerminal(&'static str),
    /// The terminal is too small.
    #[error("the terminal has {columns} columns and {rows} rows: --lies needs {} and {}", SMALLEST.0, SMALLEST.1)]
    Small {
        /// Its columns.
        columns: u16,
        /// Its rows.
        rows: u16,
    },
    /// The host's terminal refuses.
    #[error("cannot draw on the terminal: {0}")]
    Io(#[from] std::io::Error),
}

/// Whether the terminal is one that can be drawn on.
///
/// # Errors
/// [`TuiError`] if not.
pub fn check() -> Result<(), TuiError> {
    if !std::io::stdin().is_terminal() {
        return Err(TuiError::NoTerminal("standard input"));
    }
    if !std::io::stdout().is_terminal() {
        return Err(TuiError::NoTerminal("standard output"));
    }
    let (columns, rows) = terminal::size()?;
    if columns < SMALLEST.0 || rows < SMALLEST.1 {
        return Err(TuiError::Small { columns, rows });
    }
    Ok(())
}

/// What there is to show.
pub struct Show {
    /// The machine.
    pub machine: Machine,
    /// Where its events come.
    pub feed: Feed,
    /// What its guest prints.
    pub screen: Screen,
    /// What is known of it.
    pub scene: Scene,
    /// Set when it is to end.
    pub quit: Arc<AtomicBool>,
    /// Whether it stands still at first.
    pub paused: bool,
    /// Where pictures of the screen go.
    pub shot: Option<File>,
}

/// Shows a machine until somebody leaves, also when its guest has switched off. `ready`
/// is called once the terminal is set up, before the guest's first instruction. Returns
/// the machine, for what is to be done with it at the end, and how the guest ended.
///
/// # Errors
/// [`TuiError`], and what `ready` says; the terminal is then as it was.
pub fn run<E: From<TuiError>>(
    show: Show,
    ready: impl FnOnce() -> Result<(), E>,
) -> Result<(Machine, Result<Outcome, MachineError>), E> {
    check()?;
    let mut terminal = ratatui::try_init().map_err(TuiError::from)?;
    let outcome = ready().and_then(|()| app::run(&mut terminal, show).map_err(E::from));
    ratatui::restore();
    outcome
}
