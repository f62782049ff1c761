//! What the host process gives up before the guest's first instruction.
//!
//! A guest that finds a hole in the machine becomes this process. So this
//! process keeps only what the machine needs: the files it has open, the
//! directories that are shared, the network if there is a card.
//!
//! On Linux, in two steps, since the first holds for the calling thread and
//! those it starts later, and the second for all there are:
//!
//! 1. [`files`], by Landlock, once everything is open: no other file can be
//!    opened, made or run, no TCP port bound or connected to without a
//!    network, no process outside signalled.
//! 2. [`calls`], by seccomp, right before the guest runs: system calls that
//!    a machine does not make do not exist any more (`ENOSYS`), and those that
//!    only an intruder would make end the process. Memory cannot be made
//!    executable.
//!
//! Neither needs a privilege, and neither can be undone. A kernel that lacks
//! one of them (Landlock came with Linux 5.13) gives less: the [`Level`] says
//! how much. Other hosts have no such thing that works without privileges and
//! on a running process (macOS's is deprecated and undocumented, Windows's is
//! for the creator of a process): there both steps do nothing.

#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod files;

use std::path::PathBuf;

use thiserror::Error;

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Files and directories that are read, with all that is beneath.
    pub reads: Vec<PathBuf>,
    /// Those that are written to as well.
    pub writes: Vec<PathBuf>,
    /// Directories of which one that is empty may be removed.
    pub empties: Vec<PathBuf>,
    /// Whether sockets to anywhere are made.
    pub network: bool,
}

/// How much of it the host could do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// All.
    Full,
    /// What its kernel knows of.
    Partial,
    /// Nothing.
    None,
}

/// Why confinement failed on a host that knows it.
#[derive(Debug, Error)]
pub enum ConfineError {
    /// Landlock refused.
    #[error("cannot confine this process to its files: {0}")]
    Files(String),
    /// Seccomp refused.
    #[error("cannot confine this process to its system calls: {0}")]
    Calls(String),
}

/// Gives up all files but those of `needs` and those that are open, for this
/// thread and those it starts from now on.
///
/// # Errors
/// [`ConfineError::Files`] if the host knows Landlock and refuses.
pub fn files(needs: &Needs) -> Result<Level, ConfineError> {
    #[cfg(target_os = "linux")]
    return files::confine(needs);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = needs;
        Ok(Level::None)
    }
}

/// Gives up all system calls but those that a machine makes, for all threads.
///
/// # Errors
/// [`ConfineError::Calls`] if the host knows seccomp and refuses.
pub fn calls(needs: &Needs) -> Result<Level, ConfineError> {
    #[cfg(target_os = "linux")]
    return calls::confine(needs);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = needs;
        Ok(Level::None)
    }
}
