//! What an image takes on the host, of what was written to it.

use std::path::Path;

use ruse_disk::{Disk, DiskError, DiskSpec};
use serde::Serialize;

/// How data got into an image.
#[derive(Clone, Debug, Serialize)]
pub struct Image {
    /// Its format and how it was filled.
    pub title: String,
    /// Bytes that were written.
    pub data: u64,
    /// Bytes that it takes on the host, if the host tells.
    pub held: Option<u64>,
}

impl Image {
    /// What it takes beyond its data, as a share of them.
    pub fn overhead(&self) -> Option<f64> {
        let held = self.held? as f64;
        (self.data > 0).then(|| held / self.data as f64 - 1.0)
    }
}

/// The size of the disk that data are scattered over.
const SCATTER: u64 = 16;
const PIECE: usize = 4096;

/// Fills images of both formats in a directory, which are gone afterwards.
///
/// # Errors
/// [`DiskError`] when the host fails.
pub fn images(dir: &Path, data: u64) -> Result<Vec<Image>, DiskError> {
    let mut images = Vec::new();
    for (format, name) in [("raw", "overhead.raw"), ("qcow2", "overhead.qcow2")] {
        for scattered in [false, true] {
            let path = dir.join(name);
            let size = if scattered { data * SCATTER } else { data };
            match format {
                "raw" => ruse_disk::create_sparse(&path, size)?,
                _ => ruse_disk::create(&path, &ruse_disk::qcow2::CreateOptions::new(size))?,
            }
            let mut spec = DiskSpec::new(&path);
            spec.format = Some(match format {
                "raw" => ruse_disk::Format::Raw,
                _ => ruse_disk::Format::Qcow2,
            });
            let mut disk = ruse_disk::open(&spec)?;
            let written = match scattered {
                false => in_order(&mut *disk, data)?,
                true => anywhere(&mut *disk, data, size)?,
            };
            disk.flush()?;
            let how = match scattered {
                false => "written in order",
                true => "4 KiB pieces anywhere in 16 times the space",
            };
            images.push(Image {
                title: format!("{format}, {how}"),
                data: written,
                held: disk.held(),
            });
            drop(disk);
            // Its directory goes in the end, too.
            let _ = std::fs::remove_file(&path);
        }
    }
    Ok(images)
}

fn in_order(disk: &mut dyn Disk, data: u64) -> Result<u64, DiskError> {
    let piece = vec![0xa5; 1 << 20];
    let mut at = 0;
    while at < data {
        let len = piece.len().min((data - at) as usize);
        disk.write_at(at, &piece[..len])?;
        at += len as u64;
    }
    Ok(data)
}

/// Each piece somewhere else: a step that has no common divisor with the number of places.
fn anywhere(disk: &mut dyn Disk, data: u64, size: u64) -> Result<u64, DiskError> {
    let places = size / PIECE as u64;
    let count = data / PIECE as u64;
    // Odd, and the number of places is a power of two times few.
    let step = (places / 2 + places / 8 + 1) | 1;
    let mut place = 0;
    for _ in 0..count {
        disk.write_at(place * PIECE as u64, &[0x5a; PIECE])?;
        place = (place + step) % places;
    }
    Ok(count * PIECE as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_hold_at_least_their_data() {
        let dir = tempfile::tempdir().unwrap();
        let images = images(dir.path(), 4 << 20).unwrap();
        assert_eq!(images.len(), 4);
        for image in images {
            assert_eq!(image.data, 4 << 20);
            let Some(held) = image.held else { continue };
            assert!(held >= image.data, "{image:?}");
            assert!(image.overhead().unwrap() >= 0.0);
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
