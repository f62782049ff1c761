//! The copy of an address space that fork(2) makes.

use std::ops::Range;

use ruse_bus::PAGE_SIZE;

use super::area::Backing;
use super::{Access, Mm};
use crate::errno::Errno;

/// Pages that are copied at once.
const BATCH: u64 = 16;

impl Mm {
    /// A copy: private pages that were touched are copied, shared ones are
    /// shared. The registers of its hart are to be set by the caller.
    ///
    /// # Errors
    /// `ENOMEM` when guest or host have no memory for it.
    pub(crate) fn fork(&self) -> Result<Self, Errno> {
        let mut child = Self::empty(&self.memory, self.program).map_err(|error| {
            log::warn!("fork: {error}");
            Errno::ENOMEM
        })?;
        child.brk = self.brk.clone();
        child.stack_limit = self.stack_limit;
        child.texts.clone_from(&self.texts);
        let mut bytes = vec![0; (BATCH * PAGE_SIZE) as usize];
        for area in self.areas.iter().filter(|area| !area.kind.dont_fork) {
            child.areas.insert(area.clone());
            if let Backing::Shared(object, offset) = &area.backing {
                child
                    .space
                    .map_shared(area.start, &object.shared, *offset, area.len())?;
            }
            if area.kind.wipe_on_fork {
                continue;
            }
            for run in self.present.runs(area.pages()) {
                if !self.memory.take(run.end - run.start) {
                    return Err(Errno::ENOMEM);
                }
                child.present.insert(run.clone());
                if !area.is_shared() {
                    let mut at = run.start;
                    let good = child.unhide(area, &run);
                    for good in good.into_iter().chain(std::iter::once(run.end..run.end)) {
                        self.copy_pages(&child, at..good.start, &mut bytes)?;
                        at = good.end;
                    }
                }
                child.open(area, run, Access::Load);
            }
        }
        Ok(child)
    }

    /// Copies pages to a child, where they are zero.
    fn copy_pages(
        &self,
        child: &Self,
        mut pages: Range<u64>,
        bytes: &mut [u8],
    ) -> Result<(), Errno> {
        while pages.start < pages.end {
            let n = (pages.end - pages.start).min(BATCH);
            let part = &mut bytes[..(n * PAGE_SIZE) as usize];
            let va = pages.start * PAGE_SIZE;
            self.space.read(va, part).map_err(|_| Errno::ENOMEM)?;
            for (i, page) in part.chunks_exact(PAGE_SIZE as usize).enumerate() {
                if page.iter().any(|&byte| byte != 0) {
                    child
                        .space
                        .write(va + i as u64 * PAGE_SIZE, page)
                        .map_err(|_| Errno::ENOMEM)?;
                }
            }
            pages.start += n;
        }
        Ok(())
    }
}
