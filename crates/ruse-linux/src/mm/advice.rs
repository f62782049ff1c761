//! madvise, msync and mincore.

use std::ops::Range;

use ruse_bus::PAGE_SIZE;

use super::area::{Area, Backing};
use super::{Access, Mm};
use crate::errno::Errno;

/// What madvise(2) may be told to do here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Advice {
    /// Nothing that could be told from doing nothing.
    Nothing,
    /// `MADV_DONTNEED` and `MADV_FREE`: private contents are anew.
    Drop,
    /// `MADV_REMOVE`: shared contents are zero.
    Remove,
    /// `MADV_POPULATE_READ`, `MADV_POPULATE_WRITE`.
    Populate(Access),
    /// `MADV_DONTFORK`, `MADV_DOFORK`.
    DontFork(bool),
    /// `MADV_WIPEONFORK`, `MADV_KEEPONFORK`.
    WipeOnFork(bool),
}

impl Mm {
    /// Does it in all areas of `range`; `ENOMEM` if there are gaps.
    pub(crate) fn advise(&mut self, range: Range<u64>, advice: Advice) -> Result<(), Errno> {
        let areas: Vec<Area> = self.areas.overlapping(range.clone()).cloned().collect();
        for area in &areas {
            let part = area.start.max(range.start)..area.end.min(range.end);
            match advice {
                Advice::Nothing => {}
                Advice::Drop if area.is_shared() => {}
                Advice::Drop => self.drop_pages(area, part),
                Advice::Remove => match area.backing_at(part.start) {
                    Backing::Shared(object, _) if object.file.is_none() => {
                        self.space
                            .fill(part.start, part.end - part.start, 0)
                            .map_err(|_| Errno::EFAULT)?;
                    }
                    Backing::Shared(..) => return Err(Errno::EOPNOTSUPP),
                    _ => return Err(Errno::EINVAL),
                },
                Advice::Populate(access) => {
                    for page in part.start / PAGE_SIZE..part.end / PAGE_SIZE {
                        self.touch(page * PAGE_SIZE, access)
                            .map_err(|_| Errno::EFAULT)?;
                    }
                }
                Advice::DontFork(yes) => self.areas.update(part, |area| area.kind.dont_fork = yes),
                Advice::WipeOnFork(yes) => {
                    if yes && !matches!(area.backing, Backing::Anonymous) {
                        return Err(Errno::EINVAL);
                    }
                    self.areas.update(part, |area| area.kind.wipe_on_fork = yes);
                }
            }
        }
        if self.areas.covers(range) {
            Ok(())
        } else {
            Err(Errno::ENOMEM)
        }
    }

    /// msync(2): writes what was written through shared mappings to their
    /// files.
    pub(crate) fn sync(&mut self, range: Range<u64>) -> Result<(), Errno> {
        let areas: Vec<Area> = self.areas.overlapping(range.clone()).cloned().collect();
        for area in &areas {
            let part = area.start.max(range.start)..area.end.min(range.end);
            if let Some(errno) = self.flush_area(area, part, true) {
                return Err(errno);
            }
        }
        if self.areas.covers(range) {
            Ok(())
        } else {
            Err(Errno::ENOMEM)
        }
    }

    /// mincore(2): a byte a page, 1 if it is present.
    pub(crate) fn residency(&self, range: Range<u64>) -> Result<Vec<u8>, Errno> {
        if !self.areas.covers(range.clone()) {
            return Err(Errno::ENOMEM);
        }
        let first = range.start / PAGE_SIZE;
        let mut out = vec![0; (range.end / PAGE_SIZE - first) as usize];
        for run in self.present.runs(first..range.end / PAGE_SIZE) {
            out[(run.start - first) as usize..(run.end - first) as usize].fill(1);
        }
        Ok(out)
    }
}
