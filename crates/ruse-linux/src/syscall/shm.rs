//! System V shared memory (shmget(2), shmop(2), shmctl(2)).

use std::collections::BTreeMap;
use std::rc::Rc;

use ruse_bus::{PAGE_SIZE, Prot};

use super::{Answer, Cx};
use crate::errno::Errno;
use crate::mm::{Backing, Kind, Object, Placement, round_up};
use crate::thread::Tid;

const IPC_PRIVATE: u32 = 0;
const IPC_CREAT: u64 = 0o1000;
const IPC_EXCL: u64 = 0o2000;
const SHM_HUGETLB: u64 = 0o4000;
const IPC_RMID: u64 = 0;
const IPC_SET: u64 = 1;
const IPC_STAT: u64 = 2;
const SHM_LOCK: u64 = 11;
const SHM_UNLOCK: u64 = 12;
/// Set in glibc's calls for 64-bit structures; the kernel ignores it here.
const IPC_64: u64 = 0x100;

const SHM_RDONLY: u64 = 0o10000;
const SHM_RND: u64 = 0o20000;
const SHM_REMAP: u64 = 0o40000;
const SHM_EXEC: u64 = 0o100000;

/// Most segments (`SHMMNI`).
const SEGMENTS: usize = 4096;

/// A segment.
struct Segment {
    key: u32,
    size: u64,
    mode: u32,
    object: Rc<Object>,
    creator: Tid,
    last: Tid,
    attached: i64,
    detached: i64,
    changed: i64,
}

/// All segments of a box, by their ids. One that is removed while it is
/// attached lives on in its mappings, without an id.
#[derive(Default)]
pub(crate) struct Segments {
    by_id: BTreeMap<u32, Segment>,
    next: u32,
}

impl Segment {
    /// How often it is mapped, but for the table's own reference.
    fn attachments(&self) -> u64 {
        (Rc::strong_count(&self.object) as u64).saturating_sub(1)
    }

    /// `struct shmid64_ds` of asm-generic.
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        // struct ipc64_perm: key, uid, gid, cuid, cgid, mode, pad, seq, pad.
        for word in [self.key, 0, 0, 0, 0, self.mode, 0, 0] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&[0; 16]);
        for word in [
            self.size,
            self.attached as u64,
            self.detached as u64,
            self.changed as u64,
        ] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&self.creator.to_le_bytes());
        out.extend_from_slice(&self.last.to_le_bytes());
        out.extend_from_slice(&self.attachments().to_le_bytes());
        out.extend_from_slice(&[0; 16]);
        out
    }
}

fn now(cx: &Cx) -> i64 {
    cx.kernel.host.realtime().as_secs() as i64
}

pub(crate) fn shmget(cx: &mut Cx) -> Answer {
    let [key, size, flags, ..] = cx.args;
    let key = key as u32;
    let found = cx
        .kernel
        .segments
        .by_id
        .iter()
        .find(|(_, segment)| key != IPC_PRIVATE && segment.key == key);
    if let Some((id, segment)) = found {
        if flags & IPC_CREAT != 0 && flags & IPC_EXCL != 0 {
            return Err(Errno::EEXIST.into());
        }
        if size > segment.size {
            return Err(Errno::EINVAL.into());
        }
        return Ok(u64::from(*id));
    }
    if key != IPC_PRIVATE && flags & IPC_CREAT == 0 {
        return Err(Errno::ENOENT.into());
    }
    if size == 0 {
        return Err(Errno::EINVAL.into());
    }
    let len = round_up(size).map_err(|_| Errno::EINVAL)?;
    if flags & SHM_HUGETLB != 0 || !cx.kernel.memory.has(len / PAGE_SIZE) {
        return Err(Errno::ENOMEM.into());
    }
    if cx.kernel.segments.by_id.len() >= SEGMENTS {
        return Err(Errno::ENOSPC.into());
    }
    let name = format!("/SYSV{key:08x} (deleted)");
    let object = cx.kernel.memory.anonymous(len, name.as_bytes())?;
    let (creator, changed) = (cx.process().pid, now(cx));
    let segments = &mut cx.kernel.segments;
    let id = loop {
        let id = segments.next;
        segments.next = (id + 1) & 0x7fff_ffff;
        if !segments.by_id.contains_key(&id) {
            break id;
        }
    };
    segments.by_id.insert(
        id,
        Segment {
            key,
            size,
            mode: flags as u32 & 0o777,
            object,
            creator,
            last: 0,
            attached: 0,
            detached: 0,
            changed,
        },
    );
    Ok(u64::from(id))
}

pub(crate) fn shmat(cx: &mut Cx) -> Answer {
    let [id, addr, flags, ..] = cx.args;
    let segment = cx.kernel.segments.by_id.get(&(id as u32));
    let segment = segment.ok_or(Errno::EINVAL)?;
    let (object, size) = (Rc::clone(&segment.object), segment.size);
    let addr = match addr % PAGE_SIZE {
        0 => addr,
        odd if flags & SHM_RND != 0 => addr - odd,
        _ => return Err(Errno::EINVAL.into()),
    };
    let placement = match addr {
        0 if flags & SHM_REMAP != 0 => return Err(Errno::EINVAL.into()),
        0 => Placement::Hint(0),
        at if flags & SHM_REMAP != 0 => Placement::Fixed(at),
        at => Placement::Free(at),
    };
    let mut prot = Prot::READ;
    if flags & SHM_RDONLY == 0 {
        prot = prot | Prot::WRITE;
    }
    if flags & SHM_EXEC != 0 {
        prot = prot | Prot::EXEC;
    }
    let kind = Kind {
        may_write: flags & SHM_RDONLY == 0,
        segment: true,
        ..Kind::default()
    };
    if size > cx.room() {
        return Err(Errno::ENOMEM.into());
    }
    let va = cx
        .mm()
        .borrow_mut()
        .map(placement, size, prot, kind, Backing::Shared(object, 0))
        .map_err(|errno| match errno {
            // Something is there already.
            Errno::EEXIST => Errno::EINVAL,
            errno => errno,
        })?;
    let (pid, time) = (cx.process().pid, now(cx));
    if let Some(segment) = cx.kernel.segments.by_id.get_mut(&(id as u32)) {
        segment.last = pid;
        segment.attached = time;
    }
    Ok(va)
}

pub(crate) fn shmdt(cx: &mut Cx) -> Answer {
    let object = cx.mm().borrow_mut().detach(cx.args[0])?;
    let (pid, time) = (cx.process().pid, now(cx));
    let segments = &mut cx.kernel.segments.by_id;
    if let Some(segment) = segments
        .values_mut()
        .find(|segment| Rc::ptr_eq(&segment.object, &object))
    {
        segment.last = pid;
        segment.detached = time;
    }
    Ok(0)
}

pub(crate) fn shmctl(cx: &mut Cx) -> Answer {
    let [id, command, buffer, ..] = cx.args;
    let id = id as u32;
    let bytes = match cx.kernel.segments.by_id.get(&id) {
        Some(segment) => segment.encode(),
        None => return Err(Errno::EINVAL.into()),
    };
    match command & !IPC_64 {
        IPC_STAT => cx.write(buffer, &bytes)?,
        IPC_SET => {
            // Of `ipc_perm` only the mode means anything to the one user here.
            let mode = cx.read_u32(buffer.wrapping_add(20))?;
            let time = now(cx);
            if let Some(segment) = cx.kernel.segments.by_id.get_mut(&id) {
                segment.mode = segment.mode & !0o777 | mode & 0o777;
                segment.changed = time;
            }
        }
        IPC_RMID => {
            cx.kernel.segments.by_id.remove(&id);
        }
        SHM_LOCK | SHM_UNLOCK => {}
        _ => return Err(Errno::EINVAL.into()),
    }
    Ok(0)
}
