//! What the guest may see and use.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use ruse_event::Tap;

/// A host directory inside the box.
#[derive(Debug, Clone)]
pub struct Share {
    /// The host's directory. The guest sees it under the same path, or under
    /// `at`.
    pub host: PathBuf,
    /// Where the guest sees it: an absolute guest path.
    pub at: String,
    /// Whether the guest may only read.
    pub read_only: bool,
}

/// Bounds on what the guest uses; `None` is unbounded.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// Guest memory in use by all processes together, in bytes.
    pub memory: Option<u64>,
    /// Instructions retired by all threads together.
    pub instructions: Option<u64>,
    /// Wall-clock time.
    pub time: Option<std::time::Duration>,
}

/// Where a standard stream of the guest leads.
#[derive(Debug, Clone, Default)]
pub enum Stdio {
    /// To the host's standard stream of the same number. If that is a
    /// terminal, it is the guest's controlling terminal.
    #[default]
    Host,
    /// Nowhere: reads find the end.
    Null,
    /// From these bytes.
    Input(Vec<u8>),
    /// To this buffer.
    Capture(Arc<Mutex<Vec<u8>>>),
}

/// One run of a guest program.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// The host directory that the guest sees as `/`; without it the guest
    /// sees nothing but its program, /dev, /proc and a private /tmp.
    pub root: Option<PathBuf>,
    /// Whether the guest may only read `root`.
    pub root_read_only: bool,
    /// The program: a path inside `root` (searched in PATH if it holds no
    /// slash), or without `root` a host file.
    pub program: OsString,
    /// `argv`, the program's name included.
    pub args: Vec<OsString>,
    /// `envp`, each `NAME=value`.
    pub env: Vec<OsString>,
    /// The working directory, a guest path.
    pub cwd: Option<String>,
    /// Further host directories.
    pub shares: Vec<Share>,
    /// Standard input, output and error. Signals that the host sends to this
    /// process (Ctrl-C, termination, a changed window) go to the guest if the
    /// first is [`Stdio::Host`].
    pub stdio: [Stdio; 3],
    /// Whether the guest may use the host's network.
    pub net: bool,
    /// What it may use up.
    pub limits: Limits,
    /// Whether to print every system call to standard error, as strace does.
    pub strace: bool,
    /// Who is told what happens.
    pub tap: Tap,
}
