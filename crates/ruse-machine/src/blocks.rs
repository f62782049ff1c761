//! Files that are a header and then a row of blocks, each with its length and a checksum
//! in front.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A kind of such files.
pub(crate) struct Kind {
    /// What they start with, before their version.
    pub(crate) magic: &'static [u8; 7],
    /// Of the format. Others are refused.
    pub(crate) version: u8,
    /// What one is called.
    pub(crate) name: &'static str,
    /// What one does with it.
    pub(crate) verb: &'static str,
    /// The longest block.
    pub(crate) longest: u32,
}

/// Why such a file cannot be used.
#[derive(Debug, Error)]
pub enum FileError {
    /// The host.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// It is something else.
    #[error("{}: no {name} of Ruse's", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it should be.
        name: &'static str,
    },
    /// It is of another version.
    #[error("{}: a {name} of format {found}, and this Ruse reads format {version}; {verb} it with the Ruse that made it", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// What it is.
        name: &'static str,
        /// What one does with it.
        verb: &'static str,
        /// Its version.
        found: u8,
        /// The one that is read.
        version: u8,
    },
    /// It is damaged.
    #[error("{}: damaged at offset {offset:#x}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
}

impl Kind {
    /// How such a file starts: with a block that says what it is of.
    pub(crate) fn start(&self, header: &[u8]) -> Vec<u8> {
        let mut start = self.magic.to_vec();
        start.push(self.version);
        start.extend(pack(header));
        start
    }
}

/// A block.
pub(crate) fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + bytes.len());
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend(crc32fast::hash(bytes).to_le_bytes());
    out.extend(bytes);
    out
}

/// Such a file, being read.
pub(crate) struct Blocks {
    input: Box<dyn Read + Send>,
    path: PathBuf,
    offset: u64,
    longest: u32,
}

impl Blocks {
    /// Opens a file, to be called `path` in messages; its header is its first block.
    ///
    /// # Errors
    /// [`FileError`] if it is of another kind or version.
    pub(crate) fn open(
        kind: &Kind,
        mut input: Box<dyn Read + Send>,
        path: &Path,
    ) -> Result<Self, FileError> {
        let path = path.to_owned();
        let mut start = [0; 8];
        let found = match fill(&mut *input, &mut start) {
            Ok(true) if start.starts_with(kind.magic) => start[7],
            Ok(_) => {
                let name = kind.name;
                return Err(FileError::Foreign { path, name });
            }
            Err(source) => return Err(FileError::Io { path, source }),
        };
        if found != kind.version {
            return Err(FileError::Version {
                path,
                name: kind.name,
                verb: kind.verb,
                found,
                version: kind.version,
            });
        }
        Ok(Self {
            input,
            path,
            offset: 8,
            longest: kind.longest,
        })
    }

    /// Its name.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// That something is wrong where it is.
    pub(crate) fn damaged(&self, what: impl Into<String>) -> FileError {
        FileError::Damaged {
            path: self.path.clone(),
            offset: self.offset,
            what: what.into(),
        }
    }

    /// Reads a block; `None` at the end, or where it was cut off.
    ///
    /// # Errors
    /// [`FileError`] if it is damaged, or cannot be read.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, FileError> {
        let failed = |source| FileError::Io {
            path: self.path.clone(),
            source,
        };
        let mut head = [0; 8];
        if !fill(&mut *self.input, &mut head).map_err(failed)? {
            return Ok(None);
        }
        let [a, b, c, d, e, f, g, h] = head;
        let len = u32::from_le_bytes([a, b, c, d]);
        if len > self.longest {
            return Err(self.damaged("a length that cannot be"));
        }
        let mut bytes = Vec::new();
        // What is not there takes no memory.
        let mut rest = (&mut self.input).take(len.into());
        if rest.read_to_end(&mut bytes).map_err(failed)? < len as usize {
            return Ok(None);
        }
        if crc32fast::hash(&bytes) != u32::from_le_bytes([e, f, g, h]) {
            return Err(self.damaged("the checksum is wrong"));
        }
        self.offset += 8 + u64::from(len);
        Ok(Some(bytes))
    }
}

/// Reads exactly as much; false if there is less.
fn fill(input: &mut dyn Read, bytes: &mut [u8]) -> io::Result<bool> {
    match input.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
