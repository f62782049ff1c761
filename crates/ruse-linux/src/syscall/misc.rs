//! What the kernel tells about itself, randomness, prctl(2), and what a box
//! does not have.

use std::time::Duration;

use super::{Answer, Cx};
use crate::abi::SYSNAME;
pub(crate) use crate::abi::{RELEASE, VERSION};
use crate::errno::Errno;
use crate::process::CAPABILITIES;
use crate::signal::SIGMAX;

/// What sysinfo(2) calls the size of the memory if there is no limit.
const MEMORY: u64 = 8 << 30;

/// uname(2).
pub(crate) fn uname(cx: &mut Cx) -> Answer {
    let at = cx.args[0];
    let mut out = [0; 65 * 6];
    let texts = [SYSNAME, "ruse", RELEASE, VERSION, "riscv64", "(none)"];
    for (field, text) in out.chunks_exact_mut(65).zip(texts) {
        field[..text.len()].copy_from_slice(text.as_bytes());
    }
    cx.write(at, &out)?;
    Ok(0)
}

/// sysinfo(2).
pub(crate) fn sysinfo(cx: &mut Cx) -> Answer {
    let at = cx.args[0];
    let uptime = cx.kernel.now().as_secs();
    let total = cx.kernel.memory.limit().unwrap_or(MEMORY);
    let free = total.saturating_sub(cx.kernel.memory.used());
    let mut out = [0; 112];
    let mut put = |at: usize, value: u64| out[at..at + 8].copy_from_slice(&value.to_le_bytes());
    put(0, uptime);
    put(32, total);
    put(40, free);
    put(80, cx.kernel.threads.len().min(0xffff) as u64);
    put(104, 1);
    cx.write(at, &out)?;
    Ok(0)
}

/// getrandom(2).
pub(crate) fn getrandom(cx: &mut Cx) -> Answer {
    const KNOWN: u64 = 7;
    const RANDOM: u64 = 2;
    const INSECURE: u64 = 4;
    let [at, len, flags, ..] = cx.args;
    let flags = flags & 0xffff_ffff;
    if flags & !KNOWN != 0 || flags & (RANDOM | INSECURE) == RANDOM | INSECURE {
        return Err(Errno::EINVAL.into());
    }
    let len = len.min(i32::MAX as u64);
    let mut chunk = [0; 4096];
    let mut done = 0;
    while done < len {
        let n = (len - done).min(chunk.len() as u64);
        let part = &mut chunk[..n as usize];
        cx.kernel.host.entropy(part);
        if let Err(errno) = cx.write(at.wrapping_add(done), part) {
            return if done == 0 {
                Err(errno.into())
            } else {
                Ok(done)
            };
        }
        done += n;
    }
    Ok(done)
}

/// getcpu(2): there is one.
pub(crate) fn getcpu(cx: &mut Cx) -> Answer {
    let [cpu, node, ..] = cx.args;
    for at in [cpu, node] {
        if at != 0 {
            cx.write(at, &0_u32.to_le_bytes())?;
        }
    }
    Ok(0)
}

/// personality(2): only `PER_LINUX`, and being asked.
pub(crate) fn personality(cx: &mut Cx) -> Answer {
    const ADDR_NO_RANDOMIZE: u32 = 0x0040_0000;
    match cx.args[0] as u32 {
        // Addresses are not random anyway.
        0 | ADDR_NO_RANDOMIZE | u32::MAX => Ok(0),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// syslog(2): there is no kernel log to read.
pub(crate) fn syslog(cx: &mut Cx) -> Answer {
    match cx.args[0] as u32 {
        // Open and close, sizes, and reading nothing.
        0 | 1 | 3 | 9 | 10 => Ok(0),
        2 | 4..=8 => Err(Errno::EPERM.into()),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// What needs privileges over the machine, which the box does not give:
/// ptrace(2), setns(2), sethostname(2), bpf(2), ...
pub(crate) fn not_permitted(_: &mut Cx) -> Answer {
    Err(Errno::EPERM.into())
}

/// unshare(2): what is not a namespace can be unshared.
pub(crate) fn unshare(cx: &mut Cx) -> Answer {
    const CLONE_VM: u64 = 0x100;
    const CLONE_FS: u64 = 0x200;
    const CLONE_FILES: u64 = 0x400;
    const CLONE_SIGHAND: u64 = 0x800;
    const CLONE_THREAD: u64 = 0x1_0000;
    const CLONE_SYSVSEM: u64 = 0x4_0000;
    const NAMESPACES: u64 = 0x7e02_0080;
    let flags = cx.args[0];
    let known = CLONE_VM
        | CLONE_FS
        | CLONE_FILES
        | CLONE_SIGHAND
        | CLONE_THREAD
        | CLONE_SYSVSEM
        | NAMESPACES;
    if flags & !known != 0 {
        return Err(Errno::EINVAL.into());
    }
    if flags & NAMESPACES != 0 {
        return Err(Errno::EPERM.into());
    }
    if flags & (CLONE_VM | CLONE_SIGHAND | CLONE_THREAD) != 0 && cx.process().threads.len() > 1 {
        return Err(Errno::EINVAL.into());
    }
    let thread = cx.thread();
    if flags & CLONE_FS != 0 {
        let place = thread.place.borrow().clone();
        thread.place = std::rc::Rc::new(std::cell::RefCell::new(place));
    }
    if flags & CLONE_FILES != 0 {
        let files = thread.files.borrow().clone();
        thread.files = std::rc::Rc::new(std::cell::RefCell::new(files));
    }
    Ok(0)
}

/// What this kernel was built without, as Linux itself may be: io_uring(7),
/// kernel keys, System V message queues, ...
pub(crate) fn not_there(_: &mut Cx) -> Answer {
    Err(Errno::ENOSYS.into())
}

/// seccomp(2): no filters.
pub(crate) fn seccomp(_: &mut Cx) -> Answer {
    Err(Errno::EINVAL.into())
}

/// prctl(2).
pub(crate) fn prctl(cx: &mut Cx) -> Answer {
    let [option, a, b, c, d, _] = cx.args;
    match option as u32 {
        // PR_SET_PDEATHSIG, PR_GET_PDEATHSIG
        1 => {
            if a > u64::from(SIGMAX) {
                return Err(Errno::EINVAL.into());
            }
            cx.thread().death_signal = a as u32;
            Ok(0)
        }
        2 => {
            let signal = cx.thread().death_signal;
            cx.write(a, &signal.to_le_bytes())?;
            Ok(0)
        }
        // PR_GET_DUMPABLE, PR_SET_DUMPABLE
        3 => Ok(cx.process().dumpable.into()),
        4 => {
            if a > 1 {
                return Err(Errno::EINVAL.into());
            }
            cx.process().dumpable = a as u32;
            Ok(0)
        }
        // PR_GET_KEEPCAPS, PR_SET_KEEPCAPS
        7 => Ok(cx.process().credentials.keep.into()),
        8 => {
            if a > 1 {
                return Err(Errno::EINVAL.into());
            }
            cx.process().credentials.keep = a == 1;
            Ok(0)
        }
        // PR_GET_TIMING: statistical
        13 => Ok(0),
        // PR_SET_NAME, PR_GET_NAME
        15 => {
            let mut name = [0; 16];
            for (n, byte) in name.iter_mut().enumerate().take(15) {
                let mut one = [0];
                cx.read(a.wrapping_add(n as u64), &mut one)?;
                if one == [0] {
                    break;
                }
                *byte = one[0];
            }
            let end = name.iter().position(|&b| b == 0).unwrap_or(15);
            cx.thread().name = name[..end].to_vec();
            Ok(0)
        }
        16 => {
            let mut name = [0; 16];
            let own = &cx.thread().name;
            let len = own.len().min(15);
            name[..len].copy_from_slice(&own[..len]);
            cx.write(a, &name)?;
            Ok(0)
        }
        // PR_GET_SECCOMP
        21 => Ok(0),
        // PR_CAPBSET_READ, PR_CAPBSET_DROP
        23 | 24 if a >= 64 || CAPABILITIES >> a & 1 == 0 => Err(Errno::EINVAL.into()),
        23 => Ok(cx.process().credentials.bounding >> a & 1),
        24 => {
            cx.process().credentials.bounding &= !(1 << a);
            Ok(0)
        }
        // PR_GET_SECUREBITS
        27 => Ok(0),
        // PR_SET_TIMERSLACK, PR_GET_TIMERSLACK
        29 => {
            cx.thread().slack = if a == 0 { 50_000 } else { a };
            Ok(0)
        }
        30 => Ok(cx.thread().slack),
        // PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER
        36 => {
            cx.process().subreaper = a != 0;
            Ok(0)
        }
        37 => {
            let set = u32::from(cx.process().subreaper);
            cx.write(a, &set.to_le_bytes())?;
            Ok(0)
        }
        // PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS
        38 => {
            if (a, b, c, d) != (1, 0, 0, 0) {
                return Err(Errno::EINVAL.into());
            }
            cx.process().no_new_privs = true;
            Ok(0)
        }
        39 => {
            if (a, b, c, d) != (0, 0, 0, 0) {
                return Err(Errno::EINVAL.into());
            }
            Ok(cx.process().no_new_privs.into())
        }
        // PR_SET_THP_DISABLE, PR_GET_THP_DISABLE: there are no huge pages.
        41 | 42 => Ok(0),
        // PR_CAP_AMBIENT: nothing is raised, and nothing can be.
        47 => match a {
            1 | 4 => Ok(0),
            _ => Err(Errno::EPERM.into()),
        },
        // PR_SET_MM, PR_SET_PTRACER, PR_SET_VMA, ... as a kernel built
        // without them answers.
        _ => Err(Errno::EINVAL.into()),
    }
}

/// sched_rr_get_interval(2): how long a turn lasts.
pub(crate) fn sched_rr_get_interval(cx: &mut Cx) -> Answer {
    let at = cx.args[1];
    cx.write(at, &crate::abi::timespec(Duration::from_millis(1)))?;
    Ok(0)
}
