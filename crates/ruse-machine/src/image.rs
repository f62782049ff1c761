//! A file's worth of bytes on their way into guest memory.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use crate::error::LoadError;

/// A program, kernel or initial RAM disk, and what to call it in messages.
///
/// The bytes are read once, so that a reboot loads what the first boot loaded,
/// whatever happened to the file. Copies are cheap.
#[derive(Clone)]
pub struct Image {
    name: String,
    bytes: Arc<[u8]>,
}

impl Image {
    /// An image of these bytes.
    pub fn new(name: impl Into<String>, bytes: impl Into<Arc<[u8]>>) -> Self {
        Self {
            name: name.into(),
            bytes: bytes.into(),
        }
    }

    /// Reads a file of at most `limit` bytes.
    ///
    /// # Errors
    /// [`LoadError`] if it cannot be read, is empty, or is larger.
    pub fn open(path: impl AsRef<Path>, limit: u64) -> Result<Self, LoadError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let mut bytes = Vec::new();
        // Not more than that: the file may be a device that never ends.
        File::open(path)
            .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes))
            .map_err(|source| LoadError::Read {
                path: path.into(),
                source,
            })?;
        if bytes.is_empty() {
            return Err(LoadError::Empty { name });
        }
        if bytes.len() as u64 > limit {
            return Err(LoadError::TooLarge { name, limit });
        }
        Ok(Self::new(name, bytes))
    }

    /// What to call it in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Image({:?}, {} bytes)", self.name, self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_up_to_a_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        std::fs::write(&path, [7; 100]).unwrap();
        assert_eq!(Image::open(&path, 100).unwrap().bytes(), [7; 100]);
        let error = Image::open(&path, 99).unwrap_err().to_string();
        assert!(error.contains("more than the 0x63 bytes"), "{error}");
        std::fs::write(&path, []).unwrap();
        let error = Image::open(&path, 99).unwrap_err().to_string();
        assert!(error.ends_with("image: it is empty"), "{error}");
        let error = Image::open(dir.path(), 99).unwrap_err().to_string();
        assert!(error.contains("cannot read it"), "{error}");
    }
}
