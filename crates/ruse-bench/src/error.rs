//! Why there is no measurement at all. What only one contender lacks is in the report.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why nothing was measured.
#[derive(Debug, Error)]
pub enum BenchError {
    /// A place for the files of the measurement.
    #[error("{}: cannot make a directory for the measurement in it: {source}; give --dir DIR", path.display())]
    Directory {
        /// Where.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// A file of the measurement.
    #[error("{}: cannot write it: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// A name in `--only`.
    #[error("{name}: nothing of this name is measured; there are {known}")]
    NoWorkload {
        /// As given.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// A name in `--contenders`.
    #[error("{name}: nobody of this name is compared; there are {known}")]
    NoContender {
        /// As given.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// Nobody can run.
    #[error("none of the contenders can run here: {0}")]
    Nobody(String),
}
