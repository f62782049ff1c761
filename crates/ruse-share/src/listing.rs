//! Reading a directory from where the guest left off.

use cap_std::fs::Dir;

use crate::errno::Errno;

/// An entry of a directory.
pub(crate) struct Entry {
    pub(crate) name: Vec<u8>,
    pub(crate) ino: u64,
    /// The bits of its mode that say what it is; 0: unknown.
    pub(crate) kind: u32,
    /// Where the one after it is.
    pub(crate) next: u64,
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
pub(crate) use host::Listing;
#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
pub(crate) use plain::Listing;

/// By the host's own offsets: nothing is kept but a buffer.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod host {
    use super::*;

    pub(crate) struct Listing {
        dir: rustix::fs::Dir,
        /// Where it is.
        at: u64,
        /// What was read and not taken.
        waiting: Option<Entry>,
    }

    impl Listing {
        /// Of an open directory.
        pub(crate) fn new(dir: &Dir) -> Result<Self, Errno> {
            use rustix::fs::{Mode, OFlags};
            // The handle itself may be one that cannot be read from.
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let dir = rustix::fs::openat(dir, ".", flags, Mode::empty())?;
            Ok(Self {
                dir: rustix::fs::Dir::new(dir)?,
                at: 0,
                waiting: None,
            })
        }

        /// Gives `take` the entries from `offset` on until it is false, which
        /// leaves that one for the next time.
        pub(crate) fn read(
            &mut self,
            offset: u64,
            mut take: impl FnMut(&Entry) -> bool,
        ) -> Result<(), Errno> {
            if offset != self.at || offset == 0 {
                self.waiting = None;
                let offset = i64::try_from(offset).map_err(|_| Errno::EINVAL)?;
                self.dir.seek(offset)?;
                self.at = offset as u64;
            }
            loop {
                let entry = match self.waiting.take() {
                    Some(entry) => entry,
                    None => match self.dir.read() {
                        Some(entry) => convert(&entry?),
                        None => return Ok(()),
                    },
                };
                if !take(&entry) {
                    self.waiting = Some(entry);
                    return Ok(());
                }
                self.at = entry.next;
            }
        }
    }

    fn convert(entry: &rustix::fs::DirEntry) -> Entry {
        Entry {
            name: entry.file_name().to_bytes().to_vec(),
            ino: entry.ino(),
            kind: entry.file_type().as_raw_mode(),
            next: entry.offset() as u64,
        }
    }
}

/// By counting, from the start each time.
#[cfg(any(test, not(all(target_os = "linux", target_pointer_width = "64"))))]
mod plain {
    #![cfg_attr(
        all(target_os = "linux", target_pointer_width = "64"),
        allow(dead_code, reason = "tests compare with it")
    )]
    use super::*;
    use crate::message::mode;
    use crate::os;

    pub(crate) struct Listing(Dir);

    impl Listing {
        /// Of an open directory.
        pub(crate) fn new(dir: &Dir) -> Result<Self, Errno> {
            Ok(Self(dir.open_dir(".")?))
        }

        /// Gives `take` the entries from `offset` on until it is false, which
        /// leaves that one for the next time.
        pub(crate) fn read(
            &mut self,
            offset: u64,
            mut take: impl FnMut(&Entry) -> bool,
        ) -> Result<(), Errno> {
            let itself = os::stat_file(&self.0, b"")?.ino;
            let dots = [".", ".."].map(|name| Entry {
                name: name.into(),
                ino: itself,
                kind: mode::DIR,
                next: 0,
            });
            let entries = self.0.entries()?.map(|entry| {
                let entry = entry?;
                let name = os::bytes(&entry.file_name());
                let kind = entry.file_type().map_or(0, |kind| match () {
                    () if kind.is_dir() => mode::DIR,
                    () if kind.is_symlink() => mode::LINK,
                    () if kind.is_file() => mode::FILE,
                    () => 0,
                });
                Ok(Entry {
                    ino: os::entry_ino(&entry, &name),
                    name,
                    kind,
                    next: 0,
                })
            });
            let all = dots.into_iter().map(Ok::<_, Errno>).chain(entries);
            for (index, entry) in (1..).zip(all) {
                if index <= offset {
                    continue;
                }
                let mut entry = entry?;
                entry.next = index;
                if !take(&entry) {
                    break;
                }
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// All names, `some` at a time.
    fn names(
        mut read: impl FnMut(u64, &mut dyn FnMut(&Entry) -> bool),
        some: usize,
    ) -> Vec<String> {
        let (mut out, mut offset) = (Vec::new(), 0);
        loop {
            let before = out.len();
            read(offset, &mut |entry| {
                if out.len() == before + some {
                    return false;
                }
                out.push(String::from_utf8(entry.name.clone()).unwrap());
                offset = entry.next;
                true
            });
            if out.len() == before {
                return out;
            }
        }
    }

    #[test]
    fn every_entry_comes_once_however_few_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let mut expected: BTreeSet<_> = (0..500).map(|n| format!("file-{n}")).collect();
        for name in &expected {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        expected.extend([".".into(), "..".into()]);
        let dir = Dir::open_ambient_dir(folder.path(), cap_std::ambient_authority()).unwrap();
        let mut host = Listing::new(&dir).unwrap();
        let mut plain = plain::Listing::new(&dir).unwrap();
        for some in [1, 7, 1000] {
            let by_host = names(|at, take| host.read(at, take).unwrap(), some);
            assert_eq!(by_host.len(), 502);
            assert_eq!(by_host.into_iter().collect::<BTreeSet<_>>(), expected);
            let counted = names(|at, take| plain.read(at, take).unwrap(), some);
            assert_eq!(counted.len(), 502);
            assert_eq!(counted.into_iter().collect::<BTreeSet<_>>(), expected);
        }
        assert!(host.read(u64::MAX, |_| true).is_err() || cfg!(not(target_os = "linux")));
    }
}
