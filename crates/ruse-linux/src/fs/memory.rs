//! Files in memory (memfd_create(2)).

use std::cell::{Cell, RefCell};

use super::*;

/// Seals (`F_ADD_SEALS`).
pub(crate) const F_SEAL_SEAL: u32 = 1;
pub(crate) const F_SEAL_SHRINK: u32 = 2;
pub(crate) const F_SEAL_GROW: u32 = 4;
pub(crate) const F_SEAL_WRITE: u32 = 8;
pub(crate) const F_SEAL_FUTURE_WRITE: u32 = 16;
/// All of them.
pub(crate) const F_SEALS: u32 = 31;
/// The largest file: a guest must not take the host's memory without end.
const LARGEST: u64 = 1 << 32;

/// A file without a name that lives as long as somebody holds it.
pub(crate) struct MemoryFile {
    bytes: RefCell<Vec<u8>>,
    pub seals: Cell<u32>,
    stat: RefCell<Stat>,
    name: Vec<u8>,
}

impl MemoryFile {
    /// An empty file.
    pub(crate) fn new(name: Vec<u8>, ino: u64, seals: u32, now: (i64, u32)) -> Self {
        Self {
            bytes: RefCell::default(),
            seals: Cell::new(seals),
            stat: RefCell::new(Stat {
                dev: 1,
                ino,
                mode: S_IFREG | 0o777,
                nlink: 0,
                blksize: 4096,
                atime: now,
                mtime: now,
                ctime: now,
                ..Stat::default()
            }),
            name,
        }
    }

    fn resize(&self, size: u64) -> Result<(), Errno> {
        if size > LARGEST {
            return Err(Errno::EFBIG);
        }
        let mut bytes = self.bytes.borrow_mut();
        let (old, size) = (bytes.len(), size as usize);
        if size > old {
            bytes.try_reserve(size - old).map_err(|_| Errno::ENOSPC)?;
        }
        bytes.resize(size, 0);
        Ok(())
    }
}

impl File for MemoryFile {
    fn read(&self, offset: u64, out: &mut [u8]) -> Result<usize, Errno> {
        let bytes = self.bytes.borrow();
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let len = out.len().min(bytes.len() - start);
        out[..len].copy_from_slice(&bytes[start..start + len]);
        Ok(len)
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<usize, Errno> {
        if self.seals.get() & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE) != 0 {
            return Err(Errno::EPERM);
        }
        let end = offset.checked_add(data.len() as u64).ok_or(Errno::EFBIG)?;
        if end > self.bytes.borrow().len() as u64 {
            if self.seals.get() & F_SEAL_GROW != 0 {
                return Err(Errno::EPERM);
            }
            self.resize(end)?;
        }
        self.bytes.borrow_mut()[offset as usize..end as usize].copy_from_slice(data);
        Ok(data.len())
    }

    fn seekable(&self) -> bool {
        true
    }

    fn stat(&self) -> Result<Stat, Errno> {
        let size = self.bytes.borrow().len() as u64;
        Ok(Stat {
            size,
            blocks: size.div_ceil(4096) * 8,
            ..*self.stat.borrow()
        })
    }

    fn truncate(&self, size: u64) -> Result<(), Errno> {
        let old = self.bytes.borrow().len() as u64;
        let seals = self.seals.get();
        if (size < old && seals & F_SEAL_SHRINK != 0) || (size > old && seals & F_SEAL_GROW != 0) {
            return Err(Errno::EPERM);
        }
        self.resize(size)
    }

    fn sync(&self, _only_data: bool) -> Result<(), Errno> {
        Ok(())
    }

    fn allocate(&self, mode: u32, offset: u64, len: u64) -> Result<(), Errno> {
        const KEEP_SIZE: u32 = 1;
        const PUNCH_HOLE: u32 = 2;
        let end = offset.checked_add(len).ok_or(Errno::EFBIG)?;
        let size = self.bytes.borrow().len() as u64;
        match mode {
            0 if end > size && self.seals.get() & F_SEAL_GROW != 0 => Err(Errno::EPERM),
            0 if end > size => self.resize(end),
            0 | KEEP_SIZE => Ok(()),
            _ if mode == KEEP_SIZE | PUNCH_HOLE => {
                if self.seals.get() & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE) != 0 {
                    return Err(Errno::EPERM);
                }
                let (start, end) = (offset.min(size) as usize, end.min(size) as usize);
                self.bytes.borrow_mut()[start..end].fill(0);
                Ok(())
            }
            _ => Err(Errno::EOPNOTSUPP),
        }
    }

    fn change(&self, change: &Change) -> Result<(), Errno> {
        let mut stat = self.stat.borrow_mut();
        match *change {
            Change::Mode(mode) => stat.mode = S_IFREG | mode & 0o7777,
            Change::Owner(uid, gid) => {
                stat.uid = uid.unwrap_or(stat.uid);
                stat.gid = gid.unwrap_or(stat.gid);
            }
            Change::Times(times) => {
                let now = os::since_epoch(std::time::SystemTime::now());
                let set = |old: &mut (i64, u32), time| match time {
                    Time::Keep => {}
                    Time::Now => *old = now,
                    Time::At(secs, nanos) => *old = (secs, nanos),
                };
                set(&mut stat.atime, times.access);
                set(&mut stat.mtime, times.modification);
            }
        }
        Ok(())
    }

    fn label(&self) -> Option<String> {
        let name = String::from_utf8_lossy(&self.name);
        Some(format!("/memfd:{name} (deleted)"))
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
