//! The user's running machines: a directory with three files for each.
//!
//! `NAME.lock` is locked for as long as the machine's process lives, however
//! it ends, and so tells the living from the dead; `NAME.pid` says which
//! process it is; `NAME.sock` is where it listens. Whoever finds a lock free
//! removes what is left. `.lock` is held while entries come and go.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::place;
use crate::error::HostError;

/// The longest name.
const LONGEST: usize = 40;

/// A machine's name: letters, digits, `.`, `_` and `-`, the first a letter or
/// a digit, so that it makes a file's name anywhere.
///
/// # Errors
/// What is wrong with it, as a sentence.
pub fn name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if text.is_empty() {
        return Err("a name is not empty".into());
    }
    if text.len() > LONGEST {
        return Err(format!("a name has {LONGEST} characters at most"));
    }
    if !text.chars().all(fits) || !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(
            "a name has letters, digits, `.`, `_` and `-`, and starts with a letter or digit"
                .into(),
        );
    }
    Ok(text.into())
}

/// The directory of the user's machines.
pub struct Registry {
    dir: PathBuf,
}

/// This process's own entry.
pub struct Entry {
    /// Where to listen.
    pub socket: PathBuf,
    pid: PathBuf,
    // Locked until it is closed.
    _lock: File,
}

/// A running machine as its entry has it.
#[derive(Debug)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// Its process.
    pub pid: u32,
    /// Where it listens.
    pub socket: PathBuf,
}

impl Registry {
    /// The user's, which is made if it is not there.
    ///
    /// # Errors
    /// [`HostError`] if there is no place for it.
    pub fn open() -> Result<Self, HostError> {
        Self::at(place::runtime()?)
    }

    fn at(dir: PathBuf) -> Result<Self, HostError> {
        private(&dir).map_err(|source| HostError::Write {
            path: dir.clone(),
            source,
        })?;
        Ok(Self { dir })
    }

    fn path(&self, name: &str, extension: &str) -> PathBuf {
        self.dir.join(format!("{name}.{extension}"))
    }

    /// Keeps all others from changing entries.
    fn hold(&self) -> io::Result<File> {
        let file = lock_file(&self.dir.join(".lock"))?;
        file.lock()?;
        Ok(file)
    }

    /// Enters this process as the machine `name`.
    ///
    /// # Errors
    /// [`HostError::Running`] if a machine of that name runs, others if the
    /// host refuses.
    pub fn enter(&self, name: &str) -> Result<Entry, HostError> {
        let (lock, pid) = (self.path(name, "lock"), self.path(name, "pid"));
        let failed = |source| HostError::Write {
            path: lock.clone(),
            source,
        };
        let _held = self.hold().map_err(failed)?;
        let file = lock_file(&lock).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(HostError::Running {
                    name: name.into(),
                    pid: read_pid(&pid).unwrap_or_default(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let socket = self.path(name, "sock");
        // Of one that was killed.
        remove(&socket).map_err(failed)?;
        std::fs::write(&pid, std::process::id().to_string()).map_err(failed)?;
        Ok(Entry {
            socket,
            pid,
            _lock: file,
        })
    }

    /// The running machine `name`. Removes what a dead one has left.
    ///
    /// # Errors
    /// [`HostError`] if the host refuses.
    pub fn find(&self, name: &str) -> Result<Option<Found>, HostError> {
        self.look(name).map_err(|source| HostError::Read {
            path: self.path(name, "lock"),
            source,
        })
    }

    fn look(&self, name: &str) -> io::Result<Option<Found>> {
        let _held = self.hold()?;
        let lock = self.path(name, "lock");
        let file = match File::options().read(true).write(true).open(&lock) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let (pid, socket) = (self.path(name, "pid"), self.path(name, "sock"));
        match file.try_lock() {
            Ok(()) => {
                for path in [&socket, &pid, &lock] {
                    remove(path)?;
                }
                Ok(None)
            }
            Err(TryLockError::WouldBlock) => Ok(Some(Found {
                name: name.into(),
                pid: read_pid(&pid).unwrap_or_default(),
                socket,
            })),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// All that run, by name.
    ///
    /// # Errors
    /// [`HostError`] if the host refuses.
    pub fn all(&self) -> Result<Vec<Found>, HostError> {
        let failed = |source| HostError::Read {
            path: self.dir.clone(),
            source,
        };
        let mut names = Vec::new();
        for file in std::fs::read_dir(&self.dir).map_err(failed)? {
            let file = file.map_err(failed)?.file_name();
            // What is no entry's is not touched.
            let stem = file.to_str().and_then(|file| file.strip_suffix(".lock"));
            names.extend(stem.and_then(|stem| name(stem).ok()));
        }
        names.sort();
        let mut found = Vec::new();
        for name in names {
            found.extend(self.find(&name)?);
        }
        Ok(found)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // Where this process gave up its files, whoever looks next does it.
        let _ = std::fs::remove_file(&self.socket);
        let _ = std::fs::remove_file(&self.pid);
    }
}

fn lock_file(path: &Path) -> io::Result<File> {
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

fn read_pid(path: &Path) -> Option<u32> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes a directory that only its user can enter.
pub fn private(dir: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let metadata = std::fs::metadata(dir)?;
        if metadata.permissions().mode() & 0o077 != 0 {
            std::fs::set_permissions(dir, PermissionsExt::from_mode(0o700))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry() -> (tempfile::TempDir, Registry) {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::at(dir.path().join("ruse")).unwrap();
        (dir, registry)
    }

    fn files(registry: &Registry) -> Vec<String> {
        let mut files: Vec<_> = std::fs::read_dir(&registry.dir)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        files
    }

    #[test]
    fn a_name_makes_a_file_name() {
        for good in ["web", "web-a", "a.b_c", "7", &"x".repeat(LONGEST)] {
            assert_eq!(name(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            ".",
            "..",
            "-a",
            "a/b",
            "a b",
            "a\n",
            "ä",
            &"x".repeat(LONGEST + 1),
        ] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn there_is_one_of_each_name() {
        let (_dir, registry) = registry();
        let entry = registry.enter("web").unwrap();
        let again = registry.enter("web").map(|_| ()).unwrap_err();
        let pid = std::process::id();
        assert!(matches!(&again, HostError::Running { pid: p, .. } if *p == pid));
        let other = registry.enter("db").unwrap();
        let all = registry.all().unwrap();
        let names: Vec<_> = all
            .iter()
            .map(|found| (found.name.as_str(), found.pid))
            .collect();
        assert_eq!(names, [("db", pid), ("web", pid)]);
        drop(entry);
        assert!(registry.find("web").unwrap().is_none());
        assert!(registry.enter("web").is_ok());
        drop(other);
        assert_eq!(registry.all().unwrap().len(), 0);
        assert_eq!(files(&registry), [".lock"]);
    }

    #[test]
    fn what_the_dead_leave_is_removed_and_nothing_else() {
        let (_dir, registry) = registry();
        for file in [
            "web.lock", "web.pid", "web.sock", "a b.lock", "note", "db.pid",
        ] {
            std::fs::write(registry.dir.join(file), "1").unwrap();
        }
        assert_eq!(registry.all().unwrap().len(), 0);
        assert_eq!(files(&registry), [".lock", "a b.lock", "db.pid", "note"]);
        std::fs::write(registry.dir.join("db.sock"), "").unwrap();
        let entry = registry.enter("db").unwrap();
        assert!(!entry.socket.exists());
        assert_eq!(
            registry.find("db").unwrap().unwrap().pid,
            std::process::id()
        );
        std::fs::write(registry.dir.join("db.pid"), "no number").unwrap();
        assert_eq!(registry.find("db").unwrap().unwrap().pid, 0);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_user_gets_in() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("open");
        std::fs::create_dir(&open).unwrap();
        std::fs::set_permissions(&open, PermissionsExt::from_mode(0o755)).unwrap();
        for path in [open, dir.path().join("deep/down")] {
            Registry::at(path.clone()).unwrap();
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
        }
    }
}
