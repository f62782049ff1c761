//! The memory of a process: areas, demand paging, access for system calls.
//!
//! An address space begins with no page present: the [`Space`] lets the hart
//! do nothing, so the first touch of a page faults, and [`Mm::fault`] fills it
//! as its [`Area`] says and lets the hart do what the area allows. The pages
//! that are present are remembered, because those, and only those, have
//! contents: fork copies them, munmap gives them back, mprotect changes what
//! the hart may do with them.

mod advice;
mod area;
mod fork;
mod map;
mod maps;
mod object;
mod pages;
mod recycle;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use ruse_bus::{PAGE_SIZE, Prot, RamError, Space};
use ruse_hart::{Cause, Trap};

pub(crate) use advice::Advice;
pub(crate) use area::{Area, Backing, Kind};
pub(crate) use map::{Placement, Remap, page_range, round_up};
pub(crate) use object::{Memory, Object, read_fully};

use crate::errno::Errno;
use crate::fs::Description;
use crate::signal::{self, SigInfo};
use crate::thread::Tid;
use area::Areas;
use pages::PageSet;
pub(crate) use recycle::{Engine, FileId};
use recycle::{Hidden, Parts};

/// The end of what mmap(2) places by itself, and the page of [`Mm::trampoline`].
pub(crate) const MMAP_TOP: u64 = STACK_TOP - (128 << 20);
/// Where mmap(2) begins to look: lower addresses are for those who ask.
pub(crate) const MMAP_BOTTOM: u64 = 0x1_0000;
/// The end of the first thread's stack. The last page stays free, as on Sv39
/// hardware.
pub(crate) const STACK_TOP: u64 = Space::SIZE - PAGE_SIZE;
/// What stays free below a stack that grows.
const STACK_GUARD: u64 = 256 * PAGE_SIZE;
/// Most areas of one address space (`vm.max_map_count`).
const MAX_AREAS: usize = 65530;

/// `li a7, 139; ecall`: where a signal handler returns to. Unwinders know a
/// signal frame by exactly these instructions.
const SIGRETURN: [u32; 2] = [0x08b0_0893, 0x0000_0073];

/// What an access does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    Load,
    Store,
    Fetch,
}

impl Access {
    /// What the hart must be allowed.
    fn needs(self) -> Prot {
        match self {
            Self::Load => Prot::READ,
            Self::Store => Prot::WRITE,
            Self::Fetch => Prot::EXEC,
        }
    }
}

/// Why a page cannot be touched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    /// No area is there.
    Unmapped,
    /// The area does not allow it.
    Denied,
    /// A file that ends before, or cannot be read.
    Beyond,
    /// The memory limit.
    Exhausted,
}

/// `SEGV_MAPERR`, `SEGV_ACCERR`, and other values of `si_code`.
const SEGV_MAPERR: i32 = 1;
const SEGV_ACCERR: i32 = 2;
const BUS_ADRALN: i32 = 1;
const BUS_ADRERR: i32 = 2;
const ILL_ILLOPC: i32 = 1;
const TRAP_BRKPT: i32 = 1;
const SI_KERNEL: i32 = 0x80;

/// An address space and the hart that executes its threads in turns.
pub(crate) struct Mm {
    pub space: Arc<Space>,
    pub hart: Engine,
    /// The thread whose registers are in the hart.
    pub loaded: Option<Tid>,
    pub memory: Rc<Memory>,
    areas: Areas,
    /// The pages that have contents.
    present: PageSet,
    /// The page that would continue the last fault, and how many pages that
    /// one filled.
    ahead: (u64, u64),
    /// Where `brk` begins, and where it is.
    brk: Range<u64>,
    /// How far a stack may grow, in bytes (`RLIMIT_STACK`).
    pub stack_limit: u64,
    /// The program that it executes: another process of the same program may
    /// have the address space after this one.
    program: Option<FileId>,
    /// Program text that an earlier process left.
    hidden: Hidden,
    /// Files of program text, as they were when it was first read; `None` if
    /// it may change.
    texts: Vec<(Rc<Description>, Option<FileId>)>,
}

/// The numbers of the pages of a range of addresses.
fn pages(range: &Range<u64>) -> Range<u64> {
    range.start / PAGE_SIZE..range.end / PAGE_SIZE
}

/// What the hart may do where the guest asked for `prot`: RISC-V has no pages
/// to be written to but not read.
fn effective(prot: Prot) -> Prot {
    if prot.contains(Prot::WRITE) {
        prot | Prot::READ
    } else {
        prot
    }
}

/// `prot` without stores.
fn unwritable(prot: Prot) -> Prot {
    let mut out = Prot::NONE;
    for bit in [Prot::READ, Prot::EXEC] {
        if prot.contains(bit) {
            out = out | bit;
        }
    }
    out
}

impl Mm {
    /// An empty address space, but for the trampoline, to execute `program`.
    ///
    /// # Errors
    /// [`RamError`] when the host has no such address space left.
    pub(crate) fn new(memory: &Rc<Memory>, program: Option<FileId>) -> Result<Self, RamError> {
        let mut mm = Self::empty(memory, program)?;
        mm.areas.insert(Area {
            start: MMAP_TOP,
            end: MMAP_TOP + PAGE_SIZE,
            prot: Prot::READ | Prot::EXEC,
            kind: Kind {
                name: "[vdso]",
                ..Kind::default()
            },
            backing: Backing::Anonymous,
        });
        let code = SIGRETURN.map(u32::to_le_bytes).concat();
        if mm.poke(MMAP_TOP, &code).is_err() {
            log::debug!("no memory for the signal trampoline");
        }
        Ok(mm)
    }

    fn empty(memory: &Rc<Memory>, program: Option<FileId>) -> Result<Self, RamError> {
        let Parts {
            space,
            hart,
            hidden,
        } = memory.parts(program)?;
        Ok(Self {
            space,
            hart,
            loaded: None,
            memory: Rc::clone(memory),
            areas: Areas::default(),
            present: PageSet::default(),
            ahead: (0, 0),
            brk: 0..0,
            stack_limit: 8 << 20,
            program,
            hidden,
            texts: Vec::new(),
        })
    }

    /// The address that a signal handler returns to: it calls `rt_sigreturn`.
    pub(crate) fn trampoline(&self) -> u64 {
        MMAP_TOP
    }

    /// Copies guest memory, as a load of the guest would see it.
    pub(crate) fn read(&mut self, va: u64, out: &mut [u8]) -> Result<(), Errno> {
        self.reach(va, out.len() as u64, Access::Load)?;
        self.space.read(va, out).map_err(|_| Errno::EFAULT)
    }

    /// Copies to guest memory, as a store of the guest would.
    pub(crate) fn write(&mut self, va: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.reach(va, bytes.len() as u64, Access::Store)?;
        self.space.write(va, bytes).map_err(|_| Errno::EFAULT)
    }

    /// Makes sure that `len` bytes at `va` may be accessed and are there, so
    /// that [`Mm::space`] can be used on them.
    pub(crate) fn reach(&mut self, va: u64, len: u64, access: Access) -> Result<(), Errno> {
        if len == 0 {
            return Ok(());
        }
        let end = va
            .checked_add(len)
            .filter(|&end| end <= Space::SIZE)
            .ok_or(Errno::EFAULT)?;
        for page in va / PAGE_SIZE..end.div_ceil(PAGE_SIZE) {
            if !self
                .space
                .prot(page * PAGE_SIZE)
                .contains(effective(access.needs()))
            {
                let at = va.max(page * PAGE_SIZE);
                self.touch(at, access).map_err(|_| Errno::EFAULT)?;
            }
        }
        Ok(())
    }

    /// How many of `len` bytes at `va` can be accessed before the first one
    /// that cannot.
    pub(crate) fn reachable(&mut self, va: u64, len: u64, access: Access) -> u64 {
        let mut done = 0;
        while done < len {
            let at = va.wrapping_add(done);
            let part = (PAGE_SIZE - at % PAGE_SIZE).min(len - done);
            if self.reach(at, part, access).is_err() {
                break;
            }
            done += part;
        }
        done
    }

    /// Writes whatever the guest may do there: for the kernel's own setup.
    /// The pages become present.
    pub(crate) fn poke(&mut self, va: u64, bytes: &[u8]) -> Result<(), Errno> {
        let end = va
            .checked_add(bytes.len() as u64)
            .filter(|&end| end <= Space::SIZE)
            .ok_or(Errno::EFAULT)?;
        for page in va / PAGE_SIZE..end.div_ceil(PAGE_SIZE) {
            let area = self.areas.find(page * PAGE_SIZE).ok_or(Errno::EFAULT)?;
            let area = area.clone();
            self.fill(&area, page, Access::Store)
                .map_err(|_| Errno::EFAULT)?;
        }
        self.space.write(va, bytes).map_err(|_| Errno::EFAULT)
    }

    /// A name for the futex word at `va` that other processes that map the
    /// same memory find too: an object and an offset. `None` if it is private.
    pub(crate) fn shared_key(&self, va: u64) -> Option<(u64, u64)> {
        let area = self.areas.find(va)?;
        match area.backing_at(va) {
            Backing::Shared(object, offset) => Some((object.id, offset)),
            _ => None,
        }
    }

    /// Bytes in all areas, as `RLIMIT_AS` counts them.
    pub(crate) fn size(&self) -> u64 {
        self.areas.total()
    }

    /// Bytes of the pages that are present.
    pub(crate) fn resident(&self) -> u64 {
        self.present.len() * PAGE_SIZE
    }

    /// Answers an exception of the thread that is running: maps the page, or
    /// says which signal it raises.
    pub(crate) fn fault(&mut self, trap: Trap) -> Result<(), SigInfo> {
        let pc = self.hart.pc();
        let access = match trap.cause {
            Cause::LoadPageFault => Access::Load,
            Cause::StorePageFault => Access::Store,
            Cause::InstructionPageFault => Access::Fetch,
            Cause::IllegalInstruction => {
                return Err(SigInfo::fault(signal::SIGILL, ILL_ILLOPC, pc));
            }
            Cause::Breakpoint => return Err(SigInfo::fault(signal::SIGTRAP, TRAP_BRKPT, pc)),
            Cause::InstructionAddressMisaligned
            | Cause::LoadAddressMisaligned
            | Cause::StoreAddressMisaligned => {
                return Err(SigInfo::fault(signal::SIGBUS, BUS_ADRALN, trap.tval));
            }
            _ => return Err(SigInfo::fault(signal::SIGSEGV, SEGV_ACCERR, trap.tval)),
        };
        self.touch(trap.tval, access).map_err(|fault| match fault {
            Fault::Unmapped => SigInfo::fault(signal::SIGSEGV, SEGV_MAPERR, trap.tval),
            Fault::Denied => SigInfo::fault(signal::SIGSEGV, SEGV_ACCERR, trap.tval),
            Fault::Beyond => SigInfo::fault(signal::SIGBUS, BUS_ADRERR, trap.tval),
            Fault::Exhausted => {
                let limit = self.memory.limit().unwrap_or_default() >> 20;
                log::error!("the guest is out of memory ({limit} MiB): a process is killed");
                SigInfo::fault(signal::SIGKILL, SI_KERNEL, 0)
            }
        })
    }

    /// Lets an access to the page of `va` succeed.
    fn touch(&mut self, va: u64, access: Access) -> Result<(), Fault> {
        if va >= Space::SIZE {
            return Err(Fault::Unmapped);
        }
        let area = match self.areas.find(va) {
            Some(area) => area.clone(),
            None => self.grow_stack(va)?,
        };
        if !effective(area.prot).contains(access.needs()) {
            return Err(Fault::Denied);
        }
        self.fill(&area, va / PAGE_SIZE, access)
    }

    /// Extends the stack above `va` down to it.
    fn grow_stack(&mut self, va: u64) -> Result<Area, Fault> {
        let to = va & !(PAGE_SIZE - 1);
        let area = self
            .areas
            .at_or_above(va)
            .filter(|area| area.kind.grows_down && area.end - to <= self.stack_limit)
            .ok_or(Fault::Unmapped)?;
        let start = area.start;
        let below = self.areas.at_or_below(va);
        if below.is_some_and(|area| {
            area.prot != Prot::NONE
                && !area.kind.grows_down
                && to.saturating_sub(area.end) < STACK_GUARD
        }) {
            return Err(Fault::Unmapped);
        }
        self.areas.grow_down(start, to);
        self.areas.find(va).cloned().ok_or(Fault::Unmapped)
    }

    /// Makes a page of `area` present, and some around it if that looks
    /// worthwhile.
    fn fill(&mut self, area: &Area, page: u64, access: Access) -> Result<(), Fault> {
        if self.present.contains(page) {
            self.open(area, page..page + 1, access);
            return Ok(());
        }
        let around = self.around(area, page);
        for gap in self.present.gaps(around) {
            // Where memory is scarce, only what was asked for.
            match self.make_present(area, gap.clone(), access) {
                Err(Fault::Beyond) if gap.contains(&page) => return Err(Fault::Beyond),
                _ => {}
            }
        }
        if !self.present.contains(page) {
            if let Err(fault) = self.make_present(area, page..page + 1, access) {
                self.memory.exhausted.set(fault == Fault::Exhausted);
                return Err(fault);
            }
            if !self.present.contains(page) {
                return Err(Fault::Beyond);
            }
        }
        if access == Access::Store && area.is_shared() {
            self.open(area, page..page + 1, access);
        }
        Ok(())
    }

    /// Fills `pages` of `area`, none of which is present, as far as they have
    /// contents.
    fn make_present(
        &mut self,
        area: &Area,
        pages: Range<u64>,
        access: Access,
    ) -> Result<(), Fault> {
        let count = pages.end - pages.start;
        if !self.memory.take(count) {
            return Err(Fault::Exhausted);
        }
        let end = match self.load(area, pages.clone()) {
            Ok(end) => end,
            Err(fault) => {
                self.memory.give(count);
                return Err(fault);
            }
        };
        self.memory.give(pages.end - end);
        if end > pages.start {
            self.present.insert(pages.start..end);
            self.open(area, pages.start..end, access);
        }
        Ok(())
    }

    /// The pages to fill when `page` is touched: ever more of them as long as
    /// a program goes through its memory in order.
    fn around(&mut self, area: &Area, page: u64) -> Range<u64> {
        let (expected, last) = self.ahead;
        let file = !matches!(area.backing, Backing::Anonymous);
        let most = if file { object::BATCH } else { 64 };
        let width = if page == expected { last * 2 } else { 4 }.min(most);
        let (start, end) = if area.kind.grows_down {
            ((page + 1).saturating_sub(width), page + 1)
        } else if file {
            (page - page % width, page - page % width + width)
        } else {
            (page, page + width)
        };
        let pages = area.pages();
        let range = start.max(pages.start)..end.min(pages.end);
        let next = if area.kind.grows_down {
            range.start.wrapping_sub(1)
        } else {
            range.end
        };
        self.ahead = (next, width);
        range
    }

    /// Gives pages of `area` that are not present their contents. Returns
    /// where the pages that have some end.
    fn load(&mut self, area: &Area, pages: Range<u64>) -> Result<u64, Fault> {
        let good = self.unhide(area, &pages);
        match area.backing_at(pages.start * PAGE_SIZE) {
            Backing::Anonymous => Ok(pages.end),
            Backing::Shared(object, offset) => {
                let first = offset / PAGE_SIZE;
                let end = first.saturating_add(pages.end - pages.start);
                let valid = object.load(first..end).map_err(|_| Fault::Beyond)?;
                Ok(pages.start + valid.saturating_sub(first))
            }
            Backing::File(file, _) => {
                self.memory.before_read(&file).map_err(|_| Fault::Beyond)?;
                let mut at = pages.start;
                for run in good
                    .into_iter()
                    .chain(std::iter::once(pages.end..pages.end))
                {
                    if at < run.start {
                        let end = self.read_pages(area, at..run.start)?;
                        if end < run.start {
                            return Ok(end);
                        }
                    }
                    at = run.end;
                }
                Ok(pages.end)
            }
        }
    }

    /// Fills pages of an area from its file. Returns where the file ends.
    fn read_pages(&mut self, area: &Area, pages: Range<u64>) -> Result<u64, Fault> {
        let va = pages.start * PAGE_SIZE;
        let Backing::File(file, offset) = area.backing_at(va) else {
            return Ok(pages.end);
        };
        let len = (pages.end - pages.start) * PAGE_SIZE;
        let mut bytes = vec![0; len as usize];
        let got = read_fully(&file, offset, &mut bytes).map_err(|_| Fault::Beyond)?;
        let valid = (got as u64).div_ceil(PAGE_SIZE);
        let part = &bytes[..(valid * PAGE_SIZE) as usize];
        self.space.write(va, part).map_err(|_| Fault::Unmapped)?;
        Ok(pages.start + valid)
    }

    /// Lets the hart do with present pages what `area` allows. A file that is
    /// mapped shared must learn which pages are stored to.
    fn open(&mut self, area: &Area, pages: Range<u64>, access: Access) {
        let mut prot = effective(area.prot);
        if let Backing::Shared(object, offset) = area.backing_at(pages.start * PAGE_SIZE)
            && object.file.is_some()
        {
            if access == Access::Store && pages.end - pages.start == 1 {
                object.mark_dirty(offset / PAGE_SIZE);
            } else {
                prot = unwritable(prot);
            }
        }
        let len = (pages.end - pages.start) * PAGE_SIZE;
        self.space.protect(pages.start * PAGE_SIZE, len, prot);
    }
}
