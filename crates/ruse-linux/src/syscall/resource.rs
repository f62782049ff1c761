//! Limits, priorities and scheduling: prlimit(2), sched_setaffinity(2), ...
//!
//! Policies and priorities are remembered, so that programs find what they
//! set, but all threads get the same turns. There is one CPU.

use super::process::named;
use super::{Answer, Cx};
use crate::errno::Errno;
use crate::kernel::INIT;
use crate::process::rlimit;
use crate::thread::Tid;

/// Scheduling policies.
const OTHER: u32 = 0;
const FIFO: u32 = 1;
const ROUND_ROBIN: u32 = 2;
const BATCH: u32 = 3;
const IDLE: u32 = 5;
/// Most descriptors of one process (`fs.nr_open`).
const NR_OPEN: u64 = 1 << 20;
/// Bytes of the kernel's CPU sets.
const SET: u64 = 8;

fn limit(
    cx: &mut Cx,
    pid: Tid,
    resource: u64,
    new: Option<(u64, u64)>,
) -> Result<(u64, u64), Errno> {
    let resource = resource as u32;
    if resource >= rlimit::COUNT {
        return Err(Errno::EINVAL);
    }
    let privileged = cx.process().credentials.euid == 0;
    let process = cx.kernel.processes.get_mut(&pid).ok_or(Errno::ESRCH)?;
    let old = process.rlimit(resource);
    if let Some((soft, hard)) = new {
        if soft > hard {
            return Err(Errno::EINVAL);
        }
        let too_many = resource == rlimit::NOFILE && hard > NR_OPEN;
        if hard > old.1 && !privileged || too_many {
            return Err(Errno::EPERM);
        }
        process.rlimits.insert(resource, (soft, hard));
    }
    Ok(old)
}

fn read_limit(cx: &mut Cx, at: u64) -> Result<(u64, u64), Errno> {
    Ok((cx.read_u64(at)?, cx.read_u64(at.wrapping_add(8))?))
}

fn write_limit(cx: &mut Cx, at: u64, (soft, hard): (u64, u64)) -> Result<(), Errno> {
    let mut out = [0; 16];
    out[..8].copy_from_slice(&soft.to_le_bytes());
    out[8..].copy_from_slice(&hard.to_le_bytes());
    cx.write(at, &out)
}

/// The process of whoever a limit is of, if the caller may know.
fn owner(cx: &mut Cx, pid: u64) -> Result<Tid, Errno> {
    let own = cx.process().credentials.clone();
    let pid = named(cx, pid)?;
    let process = cx.kernel.processes.get(&pid).ok_or(Errno::ESRCH)?;
    if own.euid != 0 && own.ruid != process.credentials.ruid {
        return Err(Errno::EPERM);
    }
    Ok(pid)
}

/// prlimit64(2).
pub(crate) fn prlimit64(cx: &mut Cx) -> Answer {
    let [pid, resource, new, old, ..] = cx.args;
    let pid = owner(cx, pid)?;
    let new = if new == 0 {
        None
    } else {
        Some(read_limit(cx, new)?)
    };
    let before = limit(cx, pid, resource, new)?;
    if old != 0 {
        write_limit(cx, old, before)?;
    }
    Ok(0)
}

/// getrlimit(2).
pub(crate) fn getrlimit(cx: &mut Cx) -> Answer {
    let [resource, at, ..] = cx.args;
    let pid = cx.thread().pid;
    let value = limit(cx, pid, resource, None)?;
    write_limit(cx, at, value)?;
    Ok(0)
}

/// setrlimit(2).
pub(crate) fn setrlimit(cx: &mut Cx) -> Answer {
    let [resource, at, ..] = cx.args;
    let pid = cx.thread().pid;
    let new = read_limit(cx, at)?;
    limit(cx, pid, resource, Some(new))?;
    Ok(0)
}

/// The threads that `PRIO_PROCESS`, `PRIO_PGRP` or `PRIO_USER` name.
fn prioritized(cx: &mut Cx, which: u64, who: u64) -> Result<Vec<Tid>, Errno> {
    let who = who as u32;
    let (tid, group, uid) = (cx.tid, cx.process().group, cx.process().credentials.ruid);
    let threads: Vec<Tid> = match which as u32 {
        0 => {
            let tid = if who == 0 { tid } else { who };
            let there = cx.kernel.threads.contains_key(&tid);
            there.then_some(tid).into_iter().collect()
        }
        1 => {
            let group = if who == 0 { group } else { who };
            let members = cx.kernel.processes.values().filter(|p| p.group == group);
            members.flat_map(|p| p.threads.clone()).collect()
        }
        2 => {
            let uid = if who == 0 { uid } else { who };
            let theirs = |ruid: u32| ruid == uid;
            let processes = cx.kernel.processes.values();
            processes
                .filter(|p| theirs(p.credentials.ruid))
                .flat_map(|p| p.threads.clone())
                .collect()
        }
        _ => return Err(Errno::EINVAL),
    };
    if threads.is_empty() {
        return Err(Errno::ESRCH);
    }
    Ok(threads)
}

/// getpriority(2): 20 - nice.
pub(crate) fn getpriority(cx: &mut Cx) -> Answer {
    let [which, who, ..] = cx.args;
    let threads = prioritized(cx, which, who)?;
    let nices = threads
        .iter()
        .filter_map(|tid| cx.kernel.threads.get(tid))
        .map(|thread| thread.nice);
    let nice = nices.min().ok_or(Errno::ESRCH)?;
    Ok((20 - nice) as u64)
}

/// setpriority(2).
pub(crate) fn setpriority(cx: &mut Cx) -> Answer {
    let [which, who, nice, ..] = cx.args;
    let nice = (nice as i32).clamp(-20, 19);
    let privileged = cx.process().credentials.euid == 0;
    for tid in prioritized(cx, which, who)? {
        if let Some(thread) = cx.kernel.threads.get_mut(&tid) {
            if nice < thread.nice && !privileged {
                return Err(Errno::EACCES.into());
            }
            thread.nice = nice;
        }
    }
    Ok(0)
}

/// A thread argument, 0 for the caller.
fn thread(cx: &mut Cx, tid: u64) -> Result<Tid, Errno> {
    let tid = tid as i32;
    match Tid::try_from(tid) {
        Err(_) => Err(Errno::EINVAL),
        // Of the box's own process only the defaults can be asked.
        Ok(0 | INIT) => Ok(cx.tid),
        Ok(tid) if cx.kernel.threads.contains_key(&tid) => Ok(tid),
        Ok(_) => Err(Errno::ESRCH),
    }
}

/// sched_yield(2): the turn ends.
pub(crate) fn sched_yield(cx: &mut Cx) -> Answer {
    cx.kernel.yielded = true;
    Ok(0)
}

/// A thread argument of the calls on affinity, where a negative one is just
/// nobody's.
fn affine(cx: &mut Cx, tid: u64) -> Result<Tid, Errno> {
    if (tid as i32) < 0 {
        return Err(Errno::ESRCH);
    }
    thread(cx, tid)
}

/// sched_getaffinity(2): gives the size of the set.
pub(crate) fn sched_getaffinity(cx: &mut Cx) -> Answer {
    let [tid, size, at, ..] = cx.args;
    if size < SET || size & 7 != 0 {
        return Err(Errno::EINVAL.into());
    }
    affine(cx, tid)?;
    cx.write(at, &1_u64.to_le_bytes())?;
    Ok(SET)
}

/// sched_setaffinity(2): the one CPU must be in it.
pub(crate) fn sched_setaffinity(cx: &mut Cx) -> Answer {
    let [tid, size, at, ..] = cx.args;
    affine(cx, tid)?;
    let mut set = [0; SET as usize];
    let size = size.min(SET) as usize;
    cx.read(at, &mut set[..size])?;
    if set[0] & 1 == 0 {
        return Err(Errno::EINVAL.into());
    }
    Ok(0)
}

/// The highest and lowest priority of a policy.
fn priorities(policy: u64) -> Result<(u64, u64), Errno> {
    match policy as u32 {
        OTHER | BATCH | IDLE => Ok((0, 0)),
        FIFO | ROUND_ROBIN => Ok((99, 1)),
        _ => Err(Errno::EINVAL),
    }
}

/// sched_get_priority_max(2).
pub(crate) fn sched_get_priority_max(cx: &mut Cx) -> Answer {
    Ok(priorities(cx.args[0])?.0)
}

/// sched_get_priority_min(2).
pub(crate) fn sched_get_priority_min(cx: &mut Cx) -> Answer {
    Ok(priorities(cx.args[0])?.1)
}

/// Remembers policy and real-time priority of a thread.
fn set_policy(cx: &mut Cx, tid: Tid, policy: u32, priority: u32) -> Answer {
    const RESET_ON_FORK: u32 = 0x4000_0000;
    let (most, least) = priorities(u64::from(policy & !RESET_ON_FORK))?;
    if !(least..=most).contains(&u64::from(priority)) {
        return Err(Errno::EINVAL.into());
    }
    if most > 0 && cx.process().credentials.euid != 0 {
        return Err(Errno::EPERM.into());
    }
    if let Some(thread) = cx.kernel.threads.get_mut(&tid) {
        thread.policy = (policy & !RESET_ON_FORK, priority);
    }
    Ok(0)
}

/// sched_setscheduler(2).
pub(crate) fn sched_setscheduler(cx: &mut Cx) -> Answer {
    let [tid, policy, at, ..] = cx.args;
    let tid = thread(cx, tid)?;
    let priority = cx.read_u32(at)?;
    set_policy(cx, tid, policy as u32, priority)
}

/// sched_getscheduler(2).
pub(crate) fn sched_getscheduler(cx: &mut Cx) -> Answer {
    let tid = cx.args[0];
    let tid = thread(cx, tid)?;
    let thread = cx.kernel.threads.get(&tid).ok_or(Errno::ESRCH)?;
    Ok(thread.policy.0.into())
}

/// sched_setparam(2).
pub(crate) fn sched_setparam(cx: &mut Cx) -> Answer {
    let [tid, at, ..] = cx.args;
    let tid = thread(cx, tid)?;
    let priority = cx.read_u32(at)?;
    let policy = cx.kernel.threads.get(&tid).map_or(OTHER, |t| t.policy.0);
    set_policy(cx, tid, policy, priority)
}

/// sched_getparam(2).
pub(crate) fn sched_getparam(cx: &mut Cx) -> Answer {
    let [tid, at, ..] = cx.args;
    let tid = thread(cx, tid)?;
    let priority = cx.kernel.threads.get(&tid).map_or(0, |t| t.policy.1);
    cx.write(at, &priority.to_le_bytes())?;
    Ok(0)
}

/// `struct sched_attr` as it was first: size, policy, flags, nice, priority,
/// and three numbers for deadlines.
const ATTR: u64 = 48;

/// sched_setattr(2).
pub(crate) fn sched_setattr(cx: &mut Cx) -> Answer {
    let [tid, at, flags, ..] = cx.args;
    let tid = thread(cx, tid)?;
    let size = u64::from(cx.read_u32(at)?);
    if flags as u32 != 0 || size != 0 && size < ATTR {
        return Err(Errno::EINVAL.into());
    }
    let bytes = cx.bytes(at, ATTR, ATTR)?;
    let word = |n: usize| u32::from_le_bytes([bytes[n], bytes[n + 1], bytes[n + 2], bytes[n + 3]]);
    let (policy, nice, priority) = (word(4), word(16) as i32, word(20));
    set_policy(cx, tid, policy, priority)?;
    if let Some(thread) = cx.kernel.threads.get_mut(&tid)
        && matches!(policy, OTHER | BATCH)
    {
        thread.nice = nice.clamp(-20, 19);
    }
    Ok(0)
}

/// sched_getattr(2).
pub(crate) fn sched_getattr(cx: &mut Cx) -> Answer {
    let [tid, at, size, flags, ..] = cx.args;
    let tid = thread(cx, tid)?;
    if flags as u32 != 0 || !(ATTR..=4096).contains(&size) {
        return Err(Errno::EINVAL.into());
    }
    let thread = cx.kernel.threads.get(&tid).ok_or(Errno::ESRCH)?;
    let mut out = [0; ATTR as usize];
    out[..4].copy_from_slice(&(ATTR as u32).to_le_bytes());
    out[4..8].copy_from_slice(&thread.policy.0.to_le_bytes());
    out[16..20].copy_from_slice(&thread.nice.to_le_bytes());
    out[20..24].copy_from_slice(&thread.policy.1.to_le_bytes());
    cx.write(at, &out)?;
    Ok(0)
}

/// ioprio_get(2): best effort, of the middle level.
pub(crate) fn ioprio_get(_: &mut Cx) -> Answer {
    Ok(2 << 13 | 4)
}

/// ioprio_set(2): the host's disks are not the guest's to share out.
pub(crate) fn ioprio_set(cx: &mut Cx) -> Answer {
    match cx.args[2] >> 13 {
        0 | 2 | 3 => Ok(0),
        1 => Err(Errno::EPERM.into()),
        _ => Err(Errno::EINVAL.into()),
    }
}
