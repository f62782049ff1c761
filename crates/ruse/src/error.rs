//! What can be wrong on the host's side.

use std::io;
use std::path::PathBuf;

use ruse_disk::DiskError;
use ruse_linux::LinuxError;
use ruse_machine::{LoadError, MachineError};
use thiserror::Error;

use crate::machines::FileError;

/// Why there is nothing to run, or it cannot go on.
#[derive(Debug, Error)]
pub enum HostError {
    /// An image.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A disk.
    #[error("{0}{hint}", hint = hint(.0))]
    Disk(#[from] DiskError),
    /// A directory to share.
    #[error(transparent)]
    Share(#[from] ruse_share::ShareError),
    /// A measurement.
    #[error(transparent)]
    Bench(#[from] ruse_bench::BenchError),
    /// Where this program is.
    #[error("cannot find out where this program is, to run it again: {0}")]
    OwnPath(io::Error),
    /// The machine.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// A snapshot.
    #[error(transparent)]
    Snapshot(#[from] ruse_machine::SnapshotError),
    /// What cannot be recorded, or replayed.
    #[error("{0}")]
    Recording(String),
    /// A lesson.
    #[error(transparent)]
    Tour(#[from] ruse_tour::run::TourError),
    /// The live view.
    #[error(transparent)]
    Tui(#[from] ruse_tui::TuiError),
    /// A debugger's way in.
    #[error(transparent)]
    Gdb(#[from] ruse_gdb::ListenError),
    /// A network.
    #[error(transparent)]
    Net(#[from] ruse_net::NetError),
    /// A file that is to be written.
    #[error("{}: cannot write it: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// No place for the SSD.
    #[error(
        "no directory for the SSD: neither RUSE_HOME nor a home directory is set; give --disk FILE"
    )]
    NoHome,
    /// A file without symbols.
    #[error("{}: no symbols in it; give an ELF file that is not stripped, or a list such as System.map", path.display())]
    NoSymbols {
        /// The file.
        path: PathBuf,
    },
    /// A Linux program.
    #[error(transparent)]
    Linux(#[from] LinuxError),
    /// A file or directory that is to be shared.
    #[error("{}: cannot read it: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// A share whose path is no text.
    #[error("{}: not a path in UTF-8; give --share PATH=GUEST", .0.display())]
    NotText(PathBuf),
    /// A share whose place in the guest makes no sense.
    #[error("{0}: where the program sees a share must be an absolute path, such as /data")]
    GuestPath(String),
    /// The root at another place than the root.
    #[error("{0}: --root is always at /; use --share for other places")]
    RootElsewhere(String),
    /// No place for what running machines leave.
    #[error(
        "no directory for running machines: neither XDG_RUNTIME_DIR nor XDG_STATE_HOME nor HOME is an absolute path"
    )]
    NoState,
    /// A host without the sockets that it takes.
    #[cfg_attr(unix, allow(dead_code, reason = "Unix has them"))]
    #[error("machines with names, in the background, are not there yet on this host")]
    NoNames,
    /// A name that is taken.
    #[error(
        "{name}: a machine of this name runs already, as process {pid}; `ruse stop {name}` ends it"
    )]
    Running {
        /// The machine.
        name: String,
        /// Its process.
        pid: u32,
    },
    /// A name that is not.
    #[error("{0}: no machine of this name runs; `ruse ps` lists those that do")]
    NotRunning(String),
    /// A machine that does not answer.
    #[error("{name}: process {pid} does not answer: {source}; `ruse stop {name}` ends it")]
    Silent {
        /// The machine.
        name: String,
        /// Its process.
        pid: u32,
        /// What the host said.
        source: io::Error,
    },
    /// A machine file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A machine that is described by a file.
    #[error("{}: {source}", file.display())]
    Described {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: Box<HostError>,
    },
    /// The host refuses to confine this process.
    #[error("{0}; to run without, give --confine off")]
    Confine(#[from] ruse_confine::ConfineError),
    /// The host cannot confine this process as required.
    #[error("confined to its {what} {how}; to run all the same, leave out --confine require")]
    Unconfined {
        /// Files or system calls.
        what: &'static str,
        /// How far it went.
        how: &'static str,
    },
    /// A program that cannot be listed.
    #[error("{}: {source}", path.display())]
    Listing {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ruse_lens::listing::ListingError,
    },
    /// Signals.
    #[error("cannot handle signals: {0}")]
    Signals(#[from] ctrlc::Error),
    /// Randomness.
    #[error("the host gives no randomness: {0}")]
    Randomness(getrandom::Error),
}

/// What to do about a disk that cannot be opened.
fn hint(error: &DiskError) -> &'static str {
    match error {
        DiskError::Open {
            writable: true,
            source,
            ..
        } if matches!(
            source.kind(),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
        ) =>
        {
            "; add `,ro` to use it read-only"
        }
        _ => "",
    }
}
