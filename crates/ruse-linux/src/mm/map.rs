//! mmap, munmap, mprotect, mremap and brk, as operations on areas.

use std::ops::Range;
use std::rc::Rc;

use ruse_bus::{PAGE_SIZE, Prot, Space};

use super::area::{Area, Backing, Kind};
use super::object::Object;
use super::{Access, MAX_AREAS, MMAP_BOTTOM, MMAP_TOP, Mm, effective, pages, unwritable};
use crate::errno::Errno;

/// Gaps of this many pages between pages that go are worth a call to the host
/// each.
const GAP: u64 = 64;

/// Where a mapping goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Placement {
    /// There if it is free, else anywhere; 0 is anywhere.
    Hint(u64),
    /// There, instead of what is there.
    Fixed(u64),
    /// There, if it is free.
    Free(u64),
}

/// `len` rounded up to whole pages.
pub(crate) fn round_up(len: u64) -> Result<u64, Errno> {
    len.checked_next_multiple_of(PAGE_SIZE)
        .filter(|&len| len <= Space::SIZE)
        .ok_or(Errno::ENOMEM)
}

/// The range of `len` bytes at `va`, if that can be addresses of pages.
pub(crate) fn page_range(va: u64, len: u64) -> Result<Range<u64>, Errno> {
    if !va.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    let end = va.checked_add(round_up(len)?).ok_or(Errno::ENOMEM)?;
    if end > Space::SIZE {
        return Err(Errno::ENOMEM);
    }
    Ok(va..end)
}

impl Mm {
    /// Maps `len` bytes, not 0. Returns where.
    pub(crate) fn map(
        &mut self,
        placement: Placement,
        len: u64,
        prot: Prot,
        mut kind: Kind,
        backing: Backing,
    ) -> Result<u64, Errno> {
        let len = round_up(len)?;
        kind.written |= prot.contains(Prot::WRITE) && matches!(backing, Backing::File(..));
        if self.areas.count() >= MAX_AREAS {
            return Err(Errno::ENOMEM);
        }
        let start = self.place(placement, len)?;
        let range = start..start + len;
        self.unmap(range.clone());
        if let Backing::Shared(object, offset) = &backing {
            object.grow(offset.checked_add(len).ok_or(Errno::EOVERFLOW)?)?;
            self.space.map_shared(start, &object.shared, *offset, len)?;
            self.hidden.forget(pages(&range));
        }
        self.areas.insert(Area {
            start,
            end: range.end,
            prot,
            kind,
            backing,
        });
        Ok(start)
    }

    /// Finds the place for a mapping. What is there is still there.
    fn place(&mut self, placement: Placement, len: u64) -> Result<u64, Errno> {
        match placement {
            Placement::Fixed(va) => {
                page_range(va, len)?;
                Ok(va)
            }
            Placement::Free(va) => {
                let range = page_range(va, len)?;
                if !self.areas.is_free(range) {
                    return Err(Errno::EEXIST);
                }
                Ok(va)
            }
            Placement::Hint(va) => {
                let va = va & !(PAGE_SIZE - 1);
                if va >= MMAP_BOTTOM
                    && let Ok(range) = page_range(va, len)
                    && self.areas.is_free(range)
                {
                    return Ok(va);
                }
                self.areas
                    .gap(len, MMAP_BOTTOM..MMAP_TOP)
                    .ok_or(Errno::ENOMEM)
            }
        }
    }

    /// Where mmap(2) would put `len` bytes.
    pub(crate) fn find_gap(&mut self, len: u64) -> Result<u64, Errno> {
        self.place(Placement::Hint(0), round_up(len)?)
    }

    /// Takes away whatever is mapped in `range`.
    pub(crate) fn unmap(&mut self, range: Range<u64>) {
        let gone = self.areas.remove(range);
        for area in &gone {
            self.flush_area(area, area.start..area.end, false);
            self.drop_pages(area, area.start..area.end);
        }
        self.sync_code_of(&gone);
    }

    /// shmdt(2): takes away what shmat(2) put at `va`, and tells what it was.
    pub(crate) fn detach(&mut self, va: u64) -> Result<Rc<Object>, Errno> {
        let area = self.areas.find(va).cloned().ok_or(Errno::EINVAL)?;
        let Backing::Shared(object, 0) = area.backing_at(va) else {
            return Err(Errno::EINVAL);
        };
        if !area.kind.segment || !va.is_multiple_of(PAGE_SIZE) {
            return Err(Errno::EINVAL);
        }
        let len = object.shared.len()?;
        self.unmap(va..va.saturating_add(len).min(Space::SIZE));
        Ok(object)
    }

    /// Decoded code of areas that changed is not to be used any more.
    fn sync_code_of(&mut self, areas: &[Area]) {
        if areas.iter().any(|area| area.prot.contains(Prot::EXEC)) {
            self.hart.sync_code();
        }
    }

    /// Writes what was written through a file's shared mapping to the file.
    pub(super) fn flush_area(
        &mut self,
        area: &Area,
        range: Range<u64>,
        sync: bool,
    ) -> Option<Errno> {
        let Backing::Shared(object, _) = &area.backing else {
            return None;
        };
        object.file.as_ref()?;
        let Backing::Shared(_, offset) = area.backing_at(range.start) else {
            return None;
        };
        let first = offset / PAGE_SIZE;
        let within = first..first + (range.end - range.start) / PAGE_SIZE;
        // Where nobody else can store to the pages unnoticed, they are clean
        // afterwards: the next store is to be noticed again.
        let alone = self
            .areas
            .iter()
            .filter(|area| matches!(&area.backing, Backing::Shared(o, _) if Rc::ptr_eq(o, object)))
            .count()
            + usize::from(!sync);
        let clean = sync && Rc::strong_count(object) <= alone + 1;
        if clean {
            for run in self.present.runs(pages(&range)) {
                let len = (run.end - run.start) * PAGE_SIZE;
                let prot = unwritable(effective(area.prot));
                self.space.protect(run.start * PAGE_SIZE, len, prot);
            }
        }
        object.flush(within, clean).err()
    }

    /// Forgets the contents of pages of an area that is gone, or whose
    /// contents are to be anew.
    pub(super) fn drop_pages(&mut self, area: &Area, range: Range<u64>) {
        let pages = pages(&range);
        self.drop_contents(area, pages.clone());
        self.memory.give(self.present.remove(pages));
    }

    /// Makes pages zero, and lets the hart do nothing with them.
    pub(super) fn drop_contents(&mut self, area: &Area, pages: Range<u64>) {
        let runs = self.present.runs(pages.clone());
        for run in &runs {
            let len = (run.end - run.start) * PAGE_SIZE;
            self.space.protect(run.start * PAGE_SIZE, len, Prot::NONE);
        }
        if area.is_shared() {
            // The window on the object goes, whether it was used or not.
            return self.discard(pages);
        }
        let mut group: Option<Range<u64>> = None;
        for run in runs {
            match &mut group {
                Some(group) if run.start - group.end <= GAP => group.end = run.end,
                _ => {
                    if let Some(group) = group.replace(run) {
                        self.discard(group);
                    }
                }
            }
        }
        if let Some(group) = group {
            self.discard(group);
        }
    }

    /// Makes pages zero.
    pub(super) fn discard(&mut self, pages: Range<u64>) {
        let len = (pages.end - pages.start) * PAGE_SIZE;
        self.space.discard(pages.start * PAGE_SIZE, len);
        self.hidden.forget(pages);
    }

    /// mprotect(2).
    pub(crate) fn protect(&mut self, range: Range<u64>, prot: Prot) -> Result<(), Errno> {
        if range.is_empty() {
            return Ok(());
        }
        if !self.areas.covers(range.clone()) {
            return Err(Errno::ENOMEM);
        }
        let before: Vec<Area> = self.areas.overlapping(range.clone()).cloned().collect();
        if prot.contains(Prot::WRITE) && before.iter().any(|area| !area.kind.may_write) {
            return Err(Errno::EACCES);
        }
        if self.areas.count() + 2 > MAX_AREAS {
            return Err(Errno::ENOMEM);
        }
        self.areas.update(range.clone(), |area| {
            area.prot = prot;
            area.kind.written |=
                prot.contains(Prot::WRITE) && matches!(area.backing, Backing::File(..));
        });
        for area in &before {
            let part = range.start.max(area.start)..range.end.min(area.end);
            let mut now = effective(prot);
            if let Backing::Shared(object, _) = &area.backing
                && object.file.is_some()
            {
                now = unwritable(now);
            }
            for run in self.present.runs(pages(&part)) {
                let len = (run.end - run.start) * PAGE_SIZE;
                self.space.protect(run.start * PAGE_SIZE, len, now);
            }
        }
        if prot.contains(Prot::EXEC) {
            self.hart.sync_code();
        } else {
            self.sync_code_of(&before);
        }
        Ok(())
    }

    /// Where mprotect with `PROT_GROWSDOWN` begins: at the stack's lowest page.
    pub(crate) fn stack_start(&self, va: u64) -> Option<u64> {
        self.areas
            .find(va)
            .filter(|area| area.kind.grows_down)
            .map(|area| area.start)
    }

    /// Sets where `brk` begins: after the program's last segment.
    pub(crate) fn set_brk_start(&mut self, va: u64) {
        self.brk = va..va;
    }

    /// brk(2): moves the end of the heap if that is possible, and returns
    /// where it is. `limit` is `RLIMIT_DATA`, `room` what `RLIMIT_AS` leaves.
    pub(crate) fn set_brk(&mut self, to: u64, limit: u64, room: u64) -> u64 {
        let Range { start, end } = self.brk;
        let top = |va: u64| va.next_multiple_of(PAGE_SIZE);
        if to < start || to >= MMAP_TOP || to - start > limit {
            return end;
        }
        let (old, new) = (top(end), top(to));
        if new < old {
            self.unmap(new..old);
        } else if new > old {
            let more = new - old;
            let kind = Kind {
                may_write: true,
                name: "[heap]",
                ..Kind::default()
            };
            // A page stays free above, so that an overrun faults.
            let free = self.areas.is_free(old..new.saturating_add(PAGE_SIZE));
            let prot = Prot::READ | Prot::WRITE;
            if more > room
                || !free
                || !self.memory.has(more / PAGE_SIZE)
                || self
                    .map(Placement::Free(old), more, prot, kind, Backing::Anonymous)
                    .is_err()
            {
                return end;
            }
        }
        self.brk.end = to;
        to
    }

    /// mremap(2) of the pages of `old` to `new_len` bytes.
    pub(crate) fn remap(
        &mut self,
        old: Range<u64>,
        new_len: u64,
        how: Remap,
        room: u64,
    ) -> Result<u64, Errno> {
        let area = self.areas.find(old.start).ok_or(Errno::EFAULT)?.clone();
        let old_len = old.end - old.start;
        let Remap {
            may_move,
            to,
            keep_old,
        } = how;
        if keep_old && (!may_move || old_len != new_len || area.is_shared()) {
            return Err(Errno::EINVAL);
        }
        if to.is_none() && new_len <= old_len && old_len != 0 && !keep_old {
            self.unmap(old.start + new_len..old.end);
            return Ok(old.start);
        }
        if old_len == 0 && !(area.is_shared() && may_move) {
            return Err(Errno::EINVAL);
        }
        if let Some(to) = to {
            let target = page_range(to, new_len).map_err(|_| Errno::EINVAL)?;
            if target.start < old.end && old.start < target.end {
                return Err(Errno::EINVAL);
            }
        }
        // Only one area may grow or move at once.
        let keep = old_len.min(new_len);
        if old.start + old_len > area.end {
            return Err(Errno::EFAULT);
        }
        let more = new_len.saturating_sub(old_len);
        if more > room || !self.memory.has(more / PAGE_SIZE) && area.prot.contains(Prot::WRITE) {
            return Err(Errno::ENOMEM);
        }
        if self.areas.count() + 3 > MAX_AREAS {
            return Err(Errno::ENOMEM);
        }
        if to.is_none() && old_len != 0 && !keep_old && old.end == area.end {
            let end = old.end.saturating_add(more);
            let fits = end <= MMAP_TOP || old.end > MMAP_TOP && end <= Space::SIZE;
            if fits && self.areas.is_free(old.end..end) {
                self.map(
                    Placement::Free(old.end),
                    more,
                    area.prot,
                    area.kind,
                    area.backing_at(old.end),
                )?;
                return Ok(old.start);
            }
        }
        if !may_move {
            return Err(Errno::ENOMEM);
        }
        let target = match to {
            Some(to) => Placement::Fixed(to),
            None => Placement::Hint(0),
        };
        let backing = area.backing_at(old.start);
        let new = self.map(target, new_len, area.prot, area.kind, backing)?;
        if old_len != 0 {
            self.move_pages(&area, old.start..old.start + keep, new)?;
            if keep_old {
                self.drop_pages(&area, old);
            } else {
                self.unmap(old);
            }
        }
        Ok(new)
    }

    /// Gives the contents of `from` to the mapping at `to`.
    fn move_pages(&mut self, area: &Area, from: Range<u64>, to: u64) -> Result<(), Errno> {
        let runs = self.present.runs(pages(&from));
        let mut bytes = vec![0; 16 * PAGE_SIZE as usize];
        for run in runs {
            let count = run.end - run.start;
            let target = to / PAGE_SIZE + (run.start - from.start / PAGE_SIZE);
            if !self.memory.take(count) {
                return Err(Errno::ENOMEM);
            }
            if !area.is_shared() {
                for hidden in self.hidden.among(target..target + count) {
                    self.discard(hidden);
                }
                let mut page = run.start;
                while page < run.end {
                    let n = (run.end - page).min(16);
                    let part = &mut bytes[..(n * PAGE_SIZE) as usize];
                    let dest = (target + page - run.start) * PAGE_SIZE;
                    self.space
                        .read(page * PAGE_SIZE, part)
                        .and_then(|()| self.space.write(dest, part))
                        .map_err(|_| Errno::EFAULT)?;
                    // What has moved is not needed twice.
                    self.discard(page..page + n);
                    page += n;
                }
            }
            self.present.insert(target..target + count);
            let moved = self.areas.find(to).cloned().ok_or(Errno::EFAULT)?;
            self.open(&moved, target..target + count, Access::Load);
        }
        self.sync_code_of(std::slice::from_ref(area));
        Ok(())
    }

    /// Makes as many pages of `range` present as can be: `MAP_POPULATE`,
    /// mlock. Tells whether all are.
    pub(crate) fn populate(&mut self, range: Range<u64>) -> Result<(), Errno> {
        let areas: Vec<Area> = self.areas.overlapping(range.clone()).cloned().collect();
        for area in areas {
            if area.prot == Prot::NONE {
                continue;
            }
            let part = area.start.max(range.start)..area.end.min(range.end);
            for gap in self.present.gaps(pages(&part)) {
                for page in gap {
                    self.fill(&area, page, Access::Load)
                        .map_err(|_| Errno::ENOMEM)?;
                }
            }
        }
        Ok(())
    }
}

/// How mremap(2) may go about it.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Remap {
    /// `MREMAP_MAYMOVE`.
    pub may_move: bool,
    /// `MREMAP_FIXED`: there.
    pub to: Option<u64>,
    /// `MREMAP_DONTUNMAP`.
    pub keep_old: bool,
}
