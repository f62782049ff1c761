//! Who a process is: user and group ids, capabilities, groups and sessions.

use super::process::named;
use super::{Answer, Cx};
use crate::errno::Errno;
use crate::kernel::INIT;
use crate::process::{CAPABILITIES, Credentials};
use crate::thread::Tid;

/// An id argument that leaves the id as it is.
const KEEP: u32 = u32::MAX;
/// Most supplementary groups.
const GROUPS: u64 = 65536;

/// getuid(2) and the like.
pub(crate) fn getuid(cx: &mut Cx) -> Answer {
    Ok(cx.process().credentials.ruid.into())
}

/// geteuid(2).
pub(crate) fn geteuid(cx: &mut Cx) -> Answer {
    Ok(cx.process().credentials.euid.into())
}

/// getgid(2).
pub(crate) fn getgid(cx: &mut Cx) -> Answer {
    Ok(cx.process().credentials.rgid.into())
}

/// getegid(2).
pub(crate) fn getegid(cx: &mut Cx) -> Answer {
    Ok(cx.process().credentials.egid.into())
}

/// Three ids, of users or groups: real, effective, saved.
type Ids = [u32; 3];

fn uids(c: &Credentials) -> Ids {
    [c.ruid, c.euid, c.suid]
}

fn gids(c: &Credentials) -> Ids {
    [c.rgid, c.egid, c.sgid]
}

/// Sets ids to `new`, of which [`KEEP`] leaves one as it is; without
/// privileges only to ids that are among the old ones.
fn set(cx: &mut Cx, groups: bool, new: Ids) -> Answer {
    let c = &mut cx.process().credentials;
    let privileged = c.euid == 0;
    let old = if groups { gids(c) } else { uids(c) };
    if !privileged && new.iter().any(|id| *id != KEEP && !old.contains(id)) {
        return Err(Errno::EPERM.into());
    }
    let [r, e, s] = [0, 1, 2].map(|n| if new[n] == KEEP { old[n] } else { new[n] });
    if groups {
        (c.rgid, c.egid, c.sgid) = (r, e, s);
    } else {
        (c.ruid, c.euid, c.suid) = (r, e, s);
        if ![r, e, s].contains(&0) && old.contains(&0) {
            if !c.keep {
                c.permitted = 0;
            }
            c.effective = 0;
        } else if e != 0 {
            c.effective = 0;
        } else {
            c.effective = c.permitted;
        }
    }
    Ok(0)
}

/// setuid(2), setgid(2): all three with privileges, else the effective one.
fn set_one(cx: &mut Cx, groups: bool, id: u32) -> Answer {
    if id == KEEP {
        return Err(Errno::EINVAL.into());
    }
    if cx.process().credentials.euid == 0 {
        set(cx, groups, [id; 3])
    } else {
        set(cx, groups, [KEEP, id, KEEP])
    }
}

/// setreuid(2), setregid(2).
fn set_two(cx: &mut Cx, groups: bool, real: u32, effective: u32) -> Answer {
    let c = &cx.process().credentials;
    let old = if groups { gids(c) } else { uids(c) };
    // The saved id follows if the real one is set, or the effective one to
    // what the real one was not.
    let changes = real != KEEP || effective != KEEP && effective != old[0];
    let saved = match (changes, effective) {
        (false, _) => KEEP,
        (true, KEEP) => old[1],
        (true, id) => id,
    };
    if cx.process().credentials.euid != 0 {
        let allowed = |id: u32, ids: &[u32]| id == KEEP || ids.contains(&id);
        if !allowed(real, &old[..2]) || !allowed(effective, &old) {
            return Err(Errno::EPERM.into());
        }
    }
    set(cx, groups, [real, effective, saved])
}

/// setuid(2).
pub(crate) fn setuid(cx: &mut Cx) -> Answer {
    let id = cx.args[0] as u32;
    set_one(cx, false, id)
}

/// setgid(2).
pub(crate) fn setgid(cx: &mut Cx) -> Answer {
    let id = cx.args[0] as u32;
    set_one(cx, true, id)
}

/// setreuid(2).
pub(crate) fn setreuid(cx: &mut Cx) -> Answer {
    let [real, effective, ..] = cx.args;
    set_two(cx, false, real as u32, effective as u32)
}

/// setregid(2).
pub(crate) fn setregid(cx: &mut Cx) -> Answer {
    let [real, effective, ..] = cx.args;
    set_two(cx, true, real as u32, effective as u32)
}

/// setresuid(2).
pub(crate) fn setresuid(cx: &mut Cx) -> Answer {
    let [r, e, s, ..] = cx.args.map(|id| id as u32);
    set(cx, false, [r, e, s])
}

/// setresgid(2).
pub(crate) fn setresgid(cx: &mut Cx) -> Answer {
    let [r, e, s, ..] = cx.args.map(|id| id as u32);
    set(cx, true, [r, e, s])
}

fn write_ids(cx: &mut Cx, ids: Ids) -> Answer {
    let places = cx.args;
    for (at, id) in places.into_iter().zip(ids) {
        cx.write(at, &id.to_le_bytes())?;
    }
    Ok(0)
}

/// getresuid(2).
pub(crate) fn getresuid(cx: &mut Cx) -> Answer {
    let ids = uids(&cx.process().credentials);
    write_ids(cx, ids)
}

/// getresgid(2).
pub(crate) fn getresgid(cx: &mut Cx) -> Answer {
    let ids = gids(&cx.process().credentials);
    write_ids(cx, ids)
}

/// setfsuid(2): the id for files is the effective one; gives the old one.
pub(crate) fn setfsuid(cx: &mut Cx) -> Answer {
    Ok(cx.process().credentials.euid.into())
}

/// setfsgid(2).
pub(crate) fn setfsgid(cx: &mut Cx) -> Answer {
    Ok(cx.process().credentials.egid.into())
}

/// getgroups(2).
pub(crate) fn getgroups(cx: &mut Cx) -> Answer {
    let [size, at, ..] = cx.args;
    let groups = cx.process().credentials.groups.clone();
    let size = size as i32;
    if size == 0 {
        return Ok(groups.len() as u64);
    }
    if usize::try_from(size).map_or(true, |size| size < groups.len()) {
        return Err(Errno::EINVAL.into());
    }
    let bytes: Vec<u8> = groups.iter().flat_map(|id| id.to_le_bytes()).collect();
    cx.write(at, &bytes)?;
    Ok(groups.len() as u64)
}

/// setgroups(2).
pub(crate) fn setgroups(cx: &mut Cx) -> Answer {
    let [size, at, ..] = cx.args;
    if cx.process().credentials.euid != 0 {
        return Err(Errno::EPERM.into());
    }
    if size > GROUPS {
        return Err(Errno::EINVAL.into());
    }
    let bytes = cx.bytes(at, size * 4, GROUPS * 4)?;
    cx.process().credentials.groups = bytes
        .chunks_exact(4)
        .map(|id| u32::from_le_bytes([id[0], id[1], id[2], id[3]]))
        .collect();
    Ok(0)
}

/// The header of capget(2): how many words each set has, and of whom.
fn capability_header(cx: &mut Cx, at: u64) -> Result<(usize, Tid), Errno> {
    const VERSIONS: [(u32, usize); 3] = [(0x1998_0330, 1), (0x2007_1026, 2), (0x2008_0522, 2)];
    let version = cx.read_u32(at)?;
    let pid = cx.read_u32(at.wrapping_add(4))?;
    let Some((_, words)) = VERSIONS.into_iter().find(|&(v, _)| v == version) else {
        cx.write(at, &VERSIONS[2].0.to_le_bytes())?;
        return Err(Errno::EINVAL);
    };
    Ok((words, named(cx, pid.into())?))
}

/// capget(2).
pub(crate) fn capget(cx: &mut Cx) -> Answer {
    let [header, data, ..] = cx.args;
    let header = capability_header(cx, header);
    if data == 0 {
        // That asks for the version alone.
        return match header {
            Err(Errno::EINVAL) | Ok(_) => Ok(0),
            Err(errno) => Err(errno.into()),
        };
    }
    let (words, pid) = header?;
    let process = cx.kernel.processes.get(&pid).ok_or(Errno::ESRCH)?;
    let c = &process.credentials;
    let sets = [c.effective, c.permitted, c.inheritable];
    let mut out = Vec::new();
    for word in 0..words {
        for set in sets {
            out.extend_from_slice(&((set >> (32 * word)) as u32).to_le_bytes());
        }
    }
    cx.write(data, &out)?;
    Ok(0)
}

/// capset(2): capabilities can only be given up.
pub(crate) fn capset(cx: &mut Cx) -> Answer {
    let [header, data, ..] = cx.args;
    let (words, pid) = capability_header(cx, header)?;
    if pid != cx.thread().pid {
        return Err(Errno::EPERM.into());
    }
    let mut sets = [0_u64; 3];
    for word in 0..words as u64 {
        for (n, set) in sets.iter_mut().enumerate() {
            let at = data.wrapping_add(12 * word + 4 * n as u64);
            *set |= u64::from(cx.read_u32(at)?) << (32 * word);
        }
    }
    let [effective, permitted, inheritable] = sets.map(|set| set & CAPABILITIES);
    let c = &mut cx.process().credentials;
    if permitted & !c.permitted != 0
        || effective & !permitted != 0
        || inheritable & !(c.inheritable | c.permitted) != 0
    {
        return Err(Errno::EPERM.into());
    }
    (c.effective, c.permitted, c.inheritable) = (effective, permitted, inheritable);
    Ok(0)
}

/// setpgid(2).
pub(crate) fn setpgid(cx: &mut Cx) -> Answer {
    let [pid, group, ..] = cx.args;
    let own = cx.thread().pid;
    let group = group as i32;
    let pid = if pid as u32 == 0 { own } else { pid as Tid };
    let group = match Tid::try_from(group) {
        Err(_) => return Err(Errno::EINVAL.into()),
        Ok(0) => pid,
        Ok(group) => group,
    };
    let session = cx.process().session;
    let target = cx.kernel.processes.get(&pid).ok_or(Errno::ESRCH)?;
    if target.ended.get() || pid != own && target.parent != own {
        return Err(Errno::ESRCH.into());
    }
    if target.session != session || target.session == pid {
        return Err(Errno::EPERM.into());
    }
    if pid != own && target.execed {
        return Err(Errno::EACCES.into());
    }
    let joins = cx
        .kernel
        .processes
        .values()
        .any(|p| p.group == group && p.session == session);
    if group != pid && !joins {
        return Err(Errno::EPERM.into());
    }
    if let Some(target) = cx.kernel.processes.get_mut(&pid) {
        target.group = group;
    }
    Ok(0)
}

/// getpgid(2).
pub(crate) fn getpgid(cx: &mut Cx) -> Answer {
    let pid = cx.args[0];
    let pid = named(cx, pid)?;
    let process = cx.kernel.processes.get(&pid).ok_or(Errno::ESRCH)?;
    Ok(process.group.into())
}

/// getsid(2).
pub(crate) fn getsid(cx: &mut Cx) -> Answer {
    let pid = cx.args[0];
    if pid as Tid == INIT {
        return Ok(INIT.into());
    }
    let pid = named(cx, pid)?;
    let process = cx.kernel.processes.get(&pid).ok_or(Errno::ESRCH)?;
    Ok(process.session.into())
}

/// setsid(2).
pub(crate) fn setsid(cx: &mut Cx) -> Answer {
    let pid = cx.thread().pid;
    let leads = cx.kernel.processes.values().any(|p| p.group == pid);
    if leads {
        return Err(Errno::EPERM.into());
    }
    let process = cx.process();
    process.session = pid;
    process.group = pid;
    Ok(pid.into())
}
