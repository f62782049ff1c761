//! The file under an image, and which of its bytes a power failure may take.

use std::io;

use crate::{DiskError, Stamp, Storage};

/// Storage that knows whether it needs a sync.
pub struct Medium {
    storage: Box<dyn Storage>,
    /// Written to since the last sync.
    unsynced: bool,
    /// Nothing was ever written from here on.
    end: u64,
}

impl Medium {
    pub fn new(mut storage: Box<dyn Storage>) -> Result<Self, DiskError> {
        let end = storage.len().map_err(|source| DiskError::Io {
            path: storage.path().to_path_buf(),
            what: "measure",
            offset: 0,
            source,
        })?;
        Ok(Self {
            storage,
            unsynced: false,
            end,
        })
    }

    pub fn storage(&self) -> &dyn Storage {
        &*self.storage
    }

    pub fn into_storage(self) -> Box<dyn Storage> {
        self.storage
    }

    /// The file as it is now; `None` if it is gone with this process.
    pub fn stamp(&mut self) -> Result<Option<Stamp>, DiskError> {
        let stamp = self.storage.stamp();
        stamp.map_err(|source| self.io("stat", 0, source))
    }

    /// Where the file ends. What is written later reads as zeroes until then.
    pub fn end(&self) -> u64 {
        self.end
    }

    #[cold]
    fn io(&self, what: &'static str, offset: u64, source: io::Error) -> DiskError {
        DiskError::Io {
            path: self.storage.path().to_path_buf(),
            what,
            offset,
            source,
        }
    }

    #[cold]
    pub fn damaged(&self, offset: u64, problem: impl Into<String>) -> DiskError {
        DiskError::Damaged {
            path: self.storage.path().to_path_buf(),
            offset,
            problem: problem.into(),
        }
    }

    /// Fills `out`; past the end of the file there are zeroes.
    pub fn read(&mut self, offset: u64, out: &mut [u8]) -> Result<(), DiskError> {
        match self.storage.read_at(offset, out) {
            Ok(n) => {
                out[n..].fill(0);
                Ok(())
            }
            Err(error) => Err(self.io("read", offset, error)),
        }
    }

    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.unsynced = true;
        // Even if it fails, for part of it may have been written.
        self.end = self.end.max(offset.saturating_add(bytes.len() as u64));
        self.storage
            .write_at(offset, bytes)
            .map_err(|error| self.io("write", offset, error))
    }

    /// Sees to it that what was written so far outlives a power failure.
    pub fn sync(&mut self) -> Result<(), DiskError> {
        if self.unsynced {
            self.storage
                .sync()
                .map_err(|error| self.io("flush", 0, error))?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// Gives space back. Whether the host took it does not matter: nobody
    /// reads free clusters.
    pub fn punch(&mut self, offset: u64, len: u64) {
        // Past the end there is nothing, and a file must not grow by this.
        let len = len.min(self.end.saturating_sub(offset));
        if len == 0 {
            return;
        }
        self.unsynced = true;
        if let Err(error) = self.storage.punch(offset, len) {
            log::warn!("{}", self.io("discard", offset, error));
        }
    }

    pub fn set_len(&mut self, len: u64) -> Result<(), DiskError> {
        self.unsynced = true;
        self.storage
            .set_len(len)
            .map_err(|error| self.io("resize", len, error))?;
        self.end = len;
        Ok(())
    }
}
