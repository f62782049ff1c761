//! `ruse up` in the background: the command again, as a process of its own
//! that no terminal and no parent ends.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::ValueEnum;

use super::file::Options;
use super::place;
use super::registry::Registry;
use crate::confine::Confine;
use crate::error::HostError;
use crate::exit;

/// What the background process says when its machine is about to run.
const READY: &str = "ready\n";
/// How much of what it says otherwise is passed on.
const LAST_WORDS: u64 = 16 << 10;

/// Where the console of a machine in the background is logged, if nobody says.
///
/// # Errors
/// [`HostError`] if there is no place for it.
pub fn console_log(name: &str) -> Result<PathBuf, HostError> {
    Ok(place::state()?.join(format!("{name}.console.log")))
}

/// Starts a machine in the background; returns when it runs.
///
/// # Errors
/// [`HostError`] if it runs already, or the host refuses.
pub fn detached(
    options: &Options,
    verbose: u8,
    confine: Option<Confine>,
) -> Result<ExitCode, HostError> {
    let verb = ["boot".into(), "--background".into()];
    let line: Vec<_> = verb.into_iter().chain(options.args.clone()).collect();
    in_background(&options.name, &line, options.directory(), verbose, confine)
}

/// Runs `ruse` with these arguments for a machine in the background; returns when it
/// runs.
///
/// # Errors
/// [`HostError`] if it runs already, or the host refuses.
pub fn in_background(
    name: &str,
    line: &[OsString],
    directory: &Path,
    verbose: u8,
    confine: Option<Confine>,
) -> Result<ExitCode, HostError> {
    if let Some(found) = Registry::open()?.find(name)? {
        return Err(HostError::Running {
            name: name.into(),
            pid: found.pid,
        });
    }
    let path = place::state()?.join(format!("{name}.log"));
    let failed = |source| HostError::Write {
        path: path.clone(),
        source,
    };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    let mut log = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)
        .map_err(failed)?;
    let exe = std::env::current_exe().map_err(|source| HostError::Read {
        path: "ruse".into(),
        source,
    })?;
    let mut args = line.to_vec();
    args.extend((0..verbose).map(|_| "-v".into()));
    if let Some(confine) = confine.and_then(|confine| confine.to_possible_value()) {
        args.push(format!("--confine={}", confine.get_name()).into());
    }
    let mut child = Command::new(exe)
        .args(args)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log.try_clone().map_err(failed)?)
        .spawn()
        .map_err(failed)?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        let limit = READY.len() as u64;
        // What ends it is as good as its last words.
        let _ = BufReader::new(stdout.take(limit)).read_line(&mut line);
    }
    if line == READY {
        println!(
            "{name}: runs as process {}; `ruse console {name}` talks to it",
            child.id()
        );
        return Ok(ExitCode::SUCCESS);
    }
    let status = child.wait().map_err(failed)?;
    let mut words = Vec::new();
    log.seek(SeekFrom::Start(0)).map_err(failed)?;
    log.take(LAST_WORDS)
        .read_to_end(&mut words)
        .map_err(failed)?;
    let _ = std::io::stderr().write_all(&words);
    Ok(match status.code().map(u8::try_from) {
        Some(Ok(code)) => code.into(),
        _ => exit::HOST.into(),
    })
}

/// Leaves the terminal and the session of whoever started this process.
#[cfg(unix)]
pub fn leave() {
    // Fails only for one who has left already.
    let _ = rustix::process::setsid();
}

/// There is nothing to leave.
#[cfg(not(unix))]
pub fn leave() {}

/// Tells whoever started this process that the machine is about to run.
pub fn ready() {
    let mut out = std::io::stdout();
    // Nobody may be there any more.
    let _ = out.write_all(READY.as_bytes()).and_then(|()| out.flush());
    // What is printed from now on goes where errors go.
    #[cfg(unix)]
    if let Err(error) = rustix::stdio::dup2_stdout(std::io::stderr()) {
        log::warn!("standard output stays as it is: {error}");
    }
}
