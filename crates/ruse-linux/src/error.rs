//! What can go wrong on the host's side.

use std::path::PathBuf;

use thiserror::Error;

/// Why a program could not be run, or not to its end.
#[derive(Debug, Error)]
pub enum LinuxError {
    /// The program is not there, or is not a riscv64 Linux program.
    #[error("{program}: {reason}")]
    Program {
        /// As it was given.
        program: String,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// A directory for the box cannot be used.
    #[error("{}: cannot use this directory: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the host said.
        source: std::io::Error,
    },
    /// Memory for the guest.
    #[error(transparent)]
    Memory(#[from] ruse_bus::RamError),
    /// Another thing that the host refused.
    #[error("{what}: {source}")]
    Host {
        /// What was wanted.
        what: &'static str,
        /// What the host said.
        source: std::io::Error,
    },
}
