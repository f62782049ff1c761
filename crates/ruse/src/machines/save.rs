//! `ruse save`: has a machine written to a file.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::HumanBytes;
use ruse_machine::{Snapshot, SnapshotError};

use super::client::{self, Asked};
use super::registry::Registry;
use super::shutdown::seconds;
use super::wire::{self, Reply, Request};
use crate::error::HostError;

/// How long a machine may take to finish what its disks are at, or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Saves the machine `name` to `path`, and ends it if that is wanted.
///
/// # Errors
/// [`HostError`] if there is no such machine, it cannot be saved, or the file cannot be
/// written.
pub fn save(name: &str, path: &Path, stop: bool) -> Result<ExitCode, HostError> {
    let registry = Registry::open()?;
    let found = client::find(&registry, name)?;
    let failed = |source| HostError::Write {
        path: path.into(),
        source,
    };
    refuse_other_files(path)?;
    // Beside it, so that there is never half a snapshot under its name.
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
    let silent = |source| HostError::Silent {
        name: name.into(),
        pid: found.pid,
        source,
    };
    let start = Instant::now();
    let mut asked = Asked::new(&found, &Request::Save { stop }).map_err(silent)?;
    asked
        .stream
        .set_read_timeout(Some(PATIENCE))
        .map_err(silent)?;
    match asked.answer() {
        Ok(Some(Reply::Snapshot)) => {}
        Ok(_) => return Err(silent(io::ErrorKind::UnexpectedEof.into())),
        Err(error) if error.kind() == io::ErrorKind::Other => {
            return Err(HostError::Recording(format!("{name}: {error}")));
        }
        Err(error) => return Err(silent(error)),
    }
    let Asked { reader, mut stream } = asked;
    // Its name in what is said of its contents.
    let (snapshot, note) = Snapshot::new(Box::new(reader), Path::new(name))?;
    let mut out = BufWriter::with_capacity(1 << 20, file.as_file_mut());
    let summary = match snapshot.copy(&note, &mut out) {
        Err(SnapshotError::Write(error)) => return Err(failed(error)),
        summary => summary?,
    };
    out.flush().map_err(failed)?;
    drop(out);
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    let what = format!(
        "{name}: {} of memory{} in {} of {}, after {}",
        HumanBytes(summary.memory),
        match summary.disks {
            0 => String::new(),
            disks => format!(" and {} of disks", HumanBytes(disks)),
        },
        HumanBytes(summary.bytes),
        path.display(),
        seconds(start)
    );
    if !stop {
        println!("{what}; it runs on");
        return Ok(ExitCode::SUCCESS);
    }
    let request = Request::Stop {
        timeout: 0,
        kill: true,
    };
    wire::send(&mut stream, &request).map_err(silent)?;
    while registry.find(name)?.is_some() {
        if start.elapsed() > 2 * PATIENCE {
            return Err(silent(io::ErrorKind::TimedOut.into()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("{what}; it has ended");
    Ok(ExitCode::SUCCESS)
}

/// Refuses to replace a file that is no snapshot.
fn refuse_other_files(path: &Path) -> Result<(), HostError> {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| {
        if !file.metadata()?.is_file() {
            return Ok(false);
        }
        file.take(Snapshot::MAGIC.len() as u64)
            .read_to_end(&mut start)?;
        Ok(true)
    });
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(true) if start == Snapshot::MAGIC => Ok(()),
        Ok(_) => Err(HostError::Recording(format!(
            "{}: is there, and is no snapshot; give another name",
            path.display()
        ))),
        Err(source) => Err(HostError::Read {
            path: path.into(),
            source,
        }),
    }
}
