//! The SSD that a machine has when nobody says which: one sparse host file
//! that stays from run to run.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use ruse_disk::{RawDisk, SECTOR, create_sparse};

use crate::error::HostError;

/// 50 GB as it says on the box, in whole sectors.
const SIZE: u64 = 50_000_000_000 / SECTOR * SECTOR;

/// Opens the SSD, after making it if there is none. Says on stderr which file
/// it is and how much of it the host really holds.
///
/// # Errors
/// [`HostError`] if there is no place for it or it cannot be opened.
pub fn open() -> Result<RawDisk, HostError> {
    let path = path(|name| std::env::var_os(name)).ok_or(HostError::NoHome)?;
    if !path.exists() {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|source| HostError::Write {
                path: parent.into(),
                source,
            })?;
        }
        match create_sparse(&path, SIZE) {
            // Somebody else was faster.
            Err(_) if path.exists() => {}
            made => made?,
        }
    }
    let disk = RawDisk::open(&path, false)?.with_id("ruse-ssd");
    eprintln!("ruse: {}", describe(&path));
    Ok(disk)
}

/// Where the SSD is: in `RUSE_HOME`, or in the user's data directory.
fn path(var: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let dir = |name: &str| {
        var(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let home = dir("RUSE_HOME").or_else(|| {
        let data = if cfg!(windows) {
            dir("LOCALAPPDATA")
        } else if cfg!(target_os = "macos") {
            dir("HOME").map(|home| home.join("Library/Application Support"))
        } else {
            dir("XDG_DATA_HOME").or_else(|| dir("HOME").map(|home| home.join(".local/share")))
        };
        data.map(|data| data.join("ruse"))
    })?;
    Some(home.join("ssd.img"))
}

fn describe(path: &Path) -> String {
    let what = path.display();
    match std::fs::metadata(path) {
        Ok(metadata) => match held(&metadata) {
            Some(held) => format!(
                "the SSD is {what}: {}, of which the host holds {}",
                decimal(metadata.len()),
                decimal(held)
            ),
            None => format!("the SSD is {what}: {}", decimal(metadata.len())),
        },
        Err(_) => format!("the SSD is {what}"),
    }
}

/// The bytes that the file takes up on the host.
#[cfg(unix)]
pub fn held(metadata: &std::fs::Metadata) -> Option<u64> {
    // In units of 512 bytes, whatever the file system's block size (stat(2)).
    Some(std::os::unix::fs::MetadataExt::blocks(metadata) * 512)
}

#[cfg(not(unix))]
pub fn held(_: &std::fs::Metadata) -> Option<u64> {
    None
}

/// Sizes as on the box of a drive: in powers of 1000.
fn decimal(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    for (unit, size) in UNITS {
        if bytes >= size {
            // In tenths, rounded to the nearest.
            let tenths = (bytes + size / 20) / (size / 10);
            return match tenths % 10 {
                0 => format!("{} {unit}", tenths / 10),
                tenth => format!("{}.{tenth} {unit}", tenths / 10),
            };
        }
    }
    format!("{bytes} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_like_the_box() {
        assert_eq!(decimal(SIZE), "50 GB");
        assert_eq!(decimal(0), "0 bytes");
        assert_eq!(decimal(12_288), "12.3 kB");
        assert_eq!(decimal(1_049_000), "1 MB");
    }

    #[test]
    fn ruse_home_goes_before_the_data_directory() {
        let vars = |name: &str| match name {
            "RUSE_HOME" => Some("/r".into()),
            "HOME" | "LOCALAPPDATA" => Some("/h".into()),
            _ => None,
        };
        assert_eq!(path(vars), Some(Path::new("/r").join("ssd.img")));
        let home = path(|name| vars(name).filter(|value: &OsString| value != "/r")).unwrap();
        assert!(home.starts_with("/h") && home.ends_with("ruse/ssd.img"));
        assert_eq!(path(|_| None), None);
        assert_eq!(path(|_| Some(OsString::new())), None);
    }
}
