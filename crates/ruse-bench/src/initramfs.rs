//! What a kernel unpacks into its first file system (the `newc` format of cpio; Linux,
//! Documentation/driver-api/early-userspace/buffer-format.rst): the program as `/init`, and
//! drivers that the kernel has as modules.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use cpio::newc::{Builder, trailer};

/// Drivers, each after those that it needs. What is not there is in the kernel already.
const DRIVERS: &[&str] = &[
    "virtio_mmio",
    "virtio_blk",
    "failover",
    "net_failover",
    "virtio_net",
];

/// Folders below the one that was given; more than `lib/modules/VERSION/kernel` has.
const MAX_DEPTH: usize = 12;
/// Entries that are looked at.
const MAX_ENTRIES: usize = 100_000;

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const FILE: u32 = 0o100_644;
const CHARACTERS: u32 = 0o020_600;

/// Puts it together.
///
/// # Errors
/// What the host said to reading a module.
pub fn build(init: &[u8], modules: Option<&Path>) -> io::Result<Vec<u8>> {
    let mut archive = Archive::default();
    for name in ["dev", "proc", "sys", "modules"] {
        archive.add(name, DIRECTORY, &[])?;
    }
    // Standard output is there before anything is mounted.
    archive.console()?;
    archive.add("init", PROGRAM, init)?;
    let found = modules.map(drivers).transpose()?.unwrap_or_default();
    for (number, path) in found.iter().enumerate() {
        archive.add(&format!("modules/{number:02}"), FILE, &std::fs::read(path)?)?;
    }
    trailer(archive.bytes)
}

#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    count: u32,
}

impl Archive {
    fn entry(&mut self, name: &str, mode: u32) -> Builder {
        self.count += 1;
        let entry = Builder::new(name).ino(self.count).nlink(1);
        entry.mode(mode)
    }

    fn add(&mut self, name: &str, mode: u32, contents: &[u8]) -> io::Result<()> {
        let len = u32::try_from(contents.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut writer = self.entry(name, mode).write(&mut self.bytes, len);
        io::Write::write_all(&mut writer, contents)?;
        writer.finish().map(drop)
    }

    fn console(&mut self) -> io::Result<()> {
        let entry = self.entry("dev/console", CHARACTERS);
        let entry = entry.rdev_major(5).rdev_minor(1);
        entry.write(&mut self.bytes, 0).finish().map(drop)
    }
}

/// The files of [`DRIVERS`] that are somewhere below a directory.
fn drivers(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found: HashMap<String, PathBuf> = HashMap::new();
    let mut folders = vec![(dir.to_path_buf(), 0)];
    let mut seen = 0;
    while let Some((folder, depth)) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            seen += 1;
            if seen > MAX_ENTRIES {
                return Err(io::Error::other("too many files to look for modules in"));
            }
            if entry.file_type()?.is_dir() {
                if depth < MAX_DEPTH {
                    folders.push((entry.path(), depth + 1));
                }
                continue;
            }
            let name = entry.file_name();
            if let Some((stem, _)) = name.to_str().and_then(|name| name.split_once(".ko")) {
                found.insert(stem.replace('-', "_"), entry.path());
            }
        }
    }
    let paths = DRIVERS.iter().filter_map(|&name| found.remove(name));
    Ok(paths.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_holds_the_program_and_the_drivers_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("lib/modules/1/kernel/drivers/net");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(deep.join("virtio_net.ko.xz"), b"second").unwrap();
        std::fs::write(deep.join("e1000.ko"), b"no").unwrap();
        std::fs::write(dir.path().join("virtio_blk.ko"), b"first").unwrap();
        let bytes = build(b"program", Some(dir.path())).unwrap();
        let mut rest = &bytes[..];
        let mut entries = Vec::new();
        loop {
            let mut reader = cpio::newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            let (name, mode) = (reader.entry().name().to_owned(), reader.entry().mode());
            let mut contents = Vec::new();
            io::Read::read_to_end(&mut reader, &mut contents).unwrap();
            entries.push((name, mode, String::from_utf8(contents).unwrap()));
            rest = reader.finish().unwrap();
        }
        let entry = |name: &str| entries.iter().find(|entry| entry.0 == name).unwrap();
        assert_eq!(entry("init").1, PROGRAM);
        assert_eq!(entry("init").2, "program");
        assert_eq!(entry("dev/console").1, CHARACTERS);
        assert_eq!(entry("modules/00").2, "first");
        assert_eq!(entry("modules/01").2, "second");
        assert_eq!(entries.len(), 8);
    }
}
