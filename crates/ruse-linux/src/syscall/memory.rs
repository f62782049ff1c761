//! Memory: mmap and its kin, and what a thread may ask of the hart.

use std::rc::Rc;

use ruse_bus::{PAGE_SIZE, Prot, Space};

use super::{Answer, Cx};
use crate::errno::Errno;
use crate::fs::{Description, O_ACCMODE, O_PATH, O_RDWR, O_WRONLY, S_IFCHR, S_IFDIR, S_IFREG};
use crate::mm::{Access, Advice, Backing, Kind, Placement, Remap, page_range, round_up};
use crate::process::rlimit;

const PROT_GROWSDOWN: u64 = 0x0100_0000;
const PROT_GROWSUP: u64 = 0x0200_0000;

const MAP_SHARED: u64 = 1;
const MAP_PRIVATE: u64 = 2;
const MAP_SHARED_VALIDATE: u64 = 3;
const MAP_TYPE: u64 = 0xf;
const MAP_FIXED: u64 = 0x10;
const MAP_ANONYMOUS: u64 = 0x20;
const MAP_GROWSDOWN: u64 = 0x100;
const MAP_LOCKED: u64 = 0x2000;
const MAP_NORESERVE: u64 = 0x4000;
const MAP_POPULATE: u64 = 0x8000;
const MAP_HUGETLB: u64 = 0x4_0000;
const MAP_FIXED_NOREPLACE: u64 = 0x10_0000;
/// The flags that `MAP_SHARED_VALIDATE` accepts.
const MAP_KNOWN: u64 = 0x1f_ff3f;

const MREMAP_MAYMOVE: u64 = 1;
const MREMAP_FIXED: u64 = 2;
const MREMAP_DONTUNMAP: u64 = 4;

const MS_ASYNC: u64 = 1;
const MS_SYNC: u64 = 4;
const MS_INVALIDATE: u64 = 2;

/// Pages that mincore looks at in one piece.
const MINCORE: u64 = 1 << 16;

/// `PROT_*` as the hart knows it; other bits are ignored, as on Linux.
fn prot_of(bits: u64) -> Prot {
    let mut prot = Prot::NONE;
    for (bit, what) in [(1, Prot::READ), (2, Prot::WRITE), (4, Prot::EXEC)] {
        if bits & bit != 0 {
            prot = prot | what;
        }
    }
    prot
}

impl Cx<'_> {
    /// Bytes that `RLIMIT_AS` leaves to the caller.
    pub(super) fn room(&mut self) -> u64 {
        let limit = self.process().rlimit(rlimit::AS).0;
        limit.saturating_sub(self.mm().borrow().size())
    }
}

pub(crate) fn brk(cx: &mut Cx) -> Answer {
    let to = cx.args[0];
    let limit = cx.process().rlimit(rlimit::DATA).0;
    let room = cx.room();
    Ok(cx.mm().borrow_mut().set_brk(to, limit, room))
}

pub(crate) fn mmap(cx: &mut Cx) -> Answer {
    let [addr, len, prot, flags, fd, offset] = cx.args;
    if len == 0 || !offset.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL.into());
    }
    let len = round_up(len)?;
    if offset.checked_add(len).is_none() {
        return Err(Errno::EOVERFLOW.into());
    }
    let shared = match flags & MAP_TYPE {
        MAP_PRIVATE => false,
        MAP_SHARED => true,
        MAP_SHARED_VALIDATE if flags & !MAP_KNOWN != 0 => return Err(Errno::EOPNOTSUPP.into()),
        MAP_SHARED_VALIDATE => true,
        _ => return Err(Errno::EINVAL.into()),
    };
    if flags & MAP_HUGETLB != 0 {
        // There are none, as on a Linux whose pool of them is empty.
        return Err(Errno::ENOMEM.into());
    }
    let wanted = prot_of(prot);
    let mut kind = Kind {
        may_write: true,
        grows_down: flags & MAP_GROWSDOWN != 0,
        ..Kind::default()
    };
    let mm = cx.mm();
    let memory = Rc::clone(&mm.borrow().memory);
    let backing = if flags & MAP_ANONYMOUS != 0 {
        match shared {
            true => Backing::Shared(memory.anonymous(len, b"/dev/zero (deleted)")?, 0),
            false => Backing::Anonymous,
        }
    } else {
        let description = cx.file(fd)?;
        if description.flags.get() & O_PATH != 0 {
            return Err(Errno::EBADF.into());
        }
        if kind.grows_down {
            return Err(Errno::EINVAL.into());
        }
        let access = description.flags.get() & O_ACCMODE;
        if access == O_WRONLY {
            return Err(Errno::EACCES.into());
        }
        kind.may_write = !shared || access == O_RDWR;
        if wanted.contains(Prot::WRITE) && !kind.may_write {
            return Err(Errno::EACCES.into());
        }
        file_backing(&memory, &description, offset, len, shared, kind.may_write)?
    };
    let placement = if flags & MAP_FIXED_NOREPLACE != 0 {
        Placement::Free(addr)
    } else if flags & MAP_FIXED != 0 {
        Placement::Fixed(addr)
    } else {
        Placement::Hint(addr)
    };
    if len > cx.room() {
        return Err(Errno::ENOMEM.into());
    }
    let reserved = !shared && wanted.contains(Prot::WRITE) && flags & MAP_NORESERVE == 0;
    if reserved && !memory.has(len / PAGE_SIZE) {
        return Err(Errno::ENOMEM.into());
    }
    let va = mm.borrow_mut().map(placement, len, wanted, kind, backing)?;
    if flags & (MAP_POPULATE | MAP_LOCKED) != 0 {
        // What cannot be there yet will fault when it is touched.
        let _ = mm.borrow_mut().populate(va..va + len);
    }
    Ok(va)
}

/// What a mapping of a file shows.
fn file_backing(
    memory: &Rc<crate::mm::Memory>,
    description: &Rc<Description>,
    offset: u64,
    len: u64,
    shared: bool,
    may_write: bool,
) -> Result<Backing, Errno> {
    let stat = description.file.stat()?;
    match stat.kind() {
        S_IFREG => {}
        S_IFDIR => return Err(Errno::ENODEV),
        // /dev/zero: character device 1, 5.
        S_IFCHR if stat.rdev == 0x105 => {
            return Ok(match shared {
                true => Backing::Shared(memory.anonymous(len, b"/dev/zero")?, 0),
                false => Backing::Anonymous,
            });
        }
        _ => return Err(Errno::ENODEV),
    }
    // Hosts that cannot share memory can show a file that nobody changes.
    if !shared || cfg!(not(unix)) && !may_write {
        return Ok(Backing::File(Rc::clone(description), offset));
    }
    let object = memory.of_file(description)?;
    if may_write {
        object.add_writer(description);
    }
    Ok(Backing::Shared(object, offset))
}

pub(crate) fn munmap(cx: &mut Cx) -> Answer {
    let [va, len, ..] = cx.args;
    if len == 0 {
        return Err(Errno::EINVAL.into());
    }
    let range = page_range(va, len).map_err(|_| Errno::EINVAL)?;
    cx.mm().borrow_mut().unmap(range);
    Ok(0)
}

pub(crate) fn mprotect(cx: &mut Cx) -> Answer {
    let [va, len, prot, ..] = cx.args;
    let mut range = page_range(va, len)?;
    if prot & PROT_GROWSUP != 0 {
        // Nothing grows upwards here.
        return Err(Errno::EINVAL.into());
    }
    let mm = cx.mm();
    let mut mm = mm.borrow_mut();
    if prot & PROT_GROWSDOWN != 0 {
        range.start = mm.stack_start(va).ok_or(Errno::EINVAL)?;
    }
    mm.protect(range, prot_of(prot))?;
    Ok(0)
}

/// pkey_mprotect(2) without a key is mprotect(2); there are no keys.
pub(crate) fn pkey_mprotect(cx: &mut Cx) -> Answer {
    if cx.args[3] as i32 != -1 {
        return Err(Errno::EINVAL.into());
    }
    mprotect(cx)
}

pub(crate) fn mremap(cx: &mut Cx) -> Answer {
    let [old, old_len, new_len, flags, to, _] = cx.args;
    let known = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
    let may_move = flags & MREMAP_MAYMOVE != 0;
    if flags & !known != 0 || flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) != 0 && !may_move {
        return Err(Errno::EINVAL.into());
    }
    let range = page_range(old, old_len).map_err(|_| Errno::EINVAL)?;
    let new_len = round_up(new_len).map_err(|_| Errno::EINVAL)?;
    if new_len == 0 {
        return Err(Errno::EINVAL.into());
    }
    let how = Remap {
        may_move,
        to: (flags & MREMAP_FIXED != 0).then_some(to),
        keep_old: flags & MREMAP_DONTUNMAP != 0,
    };
    let room = cx.room();
    Ok(cx.mm().borrow_mut().remap(range, new_len, how, room)?)
}

pub(crate) fn madvise(cx: &mut Cx) -> Answer {
    let [va, len, advice, ..] = cx.args;
    let advice = match advice as i32 {
        // NORMAL, RANDOM, SEQUENTIAL, WILLNEED; MERGEABLE, UNMERGEABLE,
        // HUGEPAGE, NOHUGEPAGE, DONTDUMP, DODUMP; COLD, PAGEOUT.
        0..=3 | 12..=17 | 20 | 21 => Advice::Nothing,
        4 | 8 => Advice::Drop,
        9 => Advice::Remove,
        10 => Advice::DontFork(true),
        11 => Advice::DontFork(false),
        18 => Advice::WipeOnFork(true),
        19 => Advice::WipeOnFork(false),
        22 => Advice::Populate(Access::Load),
        23 => Advice::Populate(Access::Store),
        _ => return Err(Errno::EINVAL.into()),
    };
    let range = page_range(va, len).map_err(|errno| match errno {
        Errno::ENOMEM if len > Space::SIZE => Errno::EINVAL,
        errno => errno,
    })?;
    cx.mm().borrow_mut().advise(range, advice)?;
    Ok(0)
}

pub(crate) fn msync(cx: &mut Cx) -> Answer {
    let [va, len, flags, ..] = cx.args;
    let both = MS_ASYNC | MS_SYNC;
    if flags & !(both | MS_INVALIDATE) != 0 || flags & both == both {
        return Err(Errno::EINVAL.into());
    }
    let range = page_range(va, len)?;
    cx.mm().borrow_mut().sync(range)?;
    Ok(0)
}

/// mlock(2) and mlock2(2): memory is never swapped out here, but it is there
/// afterwards.
pub(crate) fn mlock(cx: &mut Cx) -> Answer {
    let [va, len, ..] = cx.args;
    let start = va & !(PAGE_SIZE - 1);
    let range = page_range(start, len.saturating_add(va - start))?;
    let mm = cx.mm();
    let mut mm = mm.borrow_mut();
    mm.advise(range.clone(), Advice::Nothing)?;
    mm.populate(range)?;
    Ok(0)
}

pub(crate) fn mlock2(cx: &mut Cx) -> Answer {
    match cx.args[2] {
        0 => mlock(cx),
        // MLOCK_ONFAULT
        1 => munlock(cx),
        _ => Err(Errno::EINVAL.into()),
    }
}

pub(crate) fn munlock(cx: &mut Cx) -> Answer {
    let [va, len, ..] = cx.args;
    let start = va & !(PAGE_SIZE - 1);
    let range = page_range(start, len.saturating_add(va - start))?;
    cx.mm().borrow_mut().advise(range, Advice::Nothing)?;
    Ok(0)
}

pub(crate) fn mlockall(cx: &mut Cx) -> Answer {
    // MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT, the last not alone.
    match cx.args[0] {
        1..=3 | 5..=7 => Ok(0),
        _ => Err(Errno::EINVAL.into()),
    }
}

pub(crate) fn munlockall(_: &mut Cx) -> Answer {
    Ok(0)
}

pub(crate) fn mincore(cx: &mut Cx) -> Answer {
    let [va, len, to, ..] = cx.args;
    let mut range = page_range(va, len)?;
    let mut to = to;
    while !range.is_empty() {
        let part = range.start..range.end.min(range.start + MINCORE * PAGE_SIZE);
        let bytes = cx.mm().borrow().residency(part.clone())?;
        cx.write(to, &bytes)?;
        to = to.wrapping_add(bytes.len() as u64);
        range.start = part.end;
    }
    Ok(0)
}

/// membarrier(2): all threads run on one host thread, so each switch between
/// them is a barrier.
pub(crate) fn membarrier(cx: &mut Cx) -> Answer {
    /// Query's answer: all commands but those for rseq.
    const SUPPORTED: u64 = 0x7f;
    let [command, flags, ..] = cx.args;
    if flags != 0 {
        return Err(Errno::EINVAL.into());
    }
    match command {
        0 => Ok(SUPPORTED),
        // PRIVATE_EXPEDITED_SYNC_CORE: whoever runs next sees new code.
        32 => {
            cx.mm().borrow_mut().hart.sync_code();
            Ok(0)
        }
        1 | 2 | 4 | 8 | 16 | 64 => Ok(0),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// `riscv_flush_icache`: one hart executes all threads of an address space.
pub(crate) fn riscv_flush_icache(cx: &mut Cx) -> Answer {
    // SYS_RISCV_FLUSH_ICACHE_LOCAL
    if cx.args[2] & !1 != 0 {
        return Err(Errno::EINVAL.into());
    }
    cx.mm().borrow_mut().hart.sync_code();
    Ok(0)
}
