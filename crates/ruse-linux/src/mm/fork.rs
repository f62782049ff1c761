//! The copy of an address space that fork(2) makes.

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
        let mut child = Self::empty(&self.memory).map_err(|error| {
            log::warn!("fork: {error}");
            Errno::ENOMEM
        })?;
        child.brk = self.brk.clone();
        child.stack_limit = self.stack_limit;
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
                child.open(area, run.clone(), Access::Load);
                if area.is_shared() {
                    continue;
                }
                let mut page = run.start;
                while page < run.end {
                    let n = (run.end - page).min(BATCH);
                    let part = &mut bytes[..(n * PAGE_SIZE) as usize];
                    self.space
                        .read(page * PAGE_SIZE, part)
                        .map_err(|_| Errno::ENOMEM)?;
                    for (i, bytes) in part.chunks_exact(PAGE_SIZE as usize).enumerate() {
                        // The child's pages are zero already.
                        if bytes.iter().any(|&byte| byte != 0) {
                            child
                                .space
                                .write((page + i as u64) * PAGE_SIZE, bytes)
                                .map_err(|_| Errno::ENOMEM)?;
                        }
                    }
                    page += n;
                }
            }
        }
        Ok(child)
    }
}
