//! A console's log: two files of bounded size, so that a guest that prints
//! for ever does not fill the host's disk.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::HostError;

/// How large each file gets.
const LIMIT: u64 = 8 << 20;

/// A log that is open.
pub struct Log {
    path: PathBuf,
    file: File,
    /// Where what is older goes; opened beforehand, since this process gives
    /// up opening files.
    older: File,
    len: u64,
    limit: u64,
}

impl Log {
    /// Starts a log anew. What is older than fits goes to `PATH.old`.
    ///
    /// # Errors
    /// [`HostError`] if it cannot be written.
    pub fn create(path: &Path) -> Result<Self, HostError> {
        let open = |path: &Path| {
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .open(path)
        };
        let mut old = path.as_os_str().to_owned();
        old.push(".old");
        let opened = |path: &Path| {
            open(path).map_err(|source| HostError::Write {
                path: path.into(),
                source,
            })
        };
        Ok(Self {
            path: path.into(),
            file: opened(path)?,
            older: opened(Path::new(&old))?,
            len: 0,
            limit: LIMIT,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds `bytes`.
    ///
    /// # Errors
    /// What the host said.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.len >= self.limit {
            self.turn()?;
        }
        self.file.write_all(bytes)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Moves what there is to the older file.
    fn turn(&mut self) -> io::Result<()> {
        self.older.set_len(0)?;
        self.older.seek(SeekFrom::Start(0))?;
        self.file.seek(SeekFrom::Start(0))?;
        io::copy(&mut (&self.file).take(self.len), &mut self.older)?;
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.len = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_the_latest_in_two_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/web.log");
        let mut log = Log::create(&path).unwrap();
        log.limit = 10;
        for n in 0..7 {
            log.write(format!("{n}{n}{n}\n").as_bytes()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "666\n");
        let old = dir.path().join("new/web.log.old");
        assert_eq!(std::fs::read_to_string(old).unwrap(), "333\n444\n555\n");
        Log::create(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
    }
}
