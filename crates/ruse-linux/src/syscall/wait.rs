//! Waiting for children: wait4(2), waitid(2).

use super::process::process_of;
use super::{Answer, Cx, Stop};
use crate::abi;
use crate::errno::Errno;
use crate::process::{Exit, Process, Report};
use crate::signal::{Detail, SIGCHLD, SIGCONT, SigInfo, code};
use crate::thread::{Tid, Wait};

const WNOHANG: u32 = 1;
const WUNTRACED: u32 = 2;
const WEXITED: u32 = 4;
const WCONTINUED: u32 = 8;
const WNOWAIT: u32 = 0x0100_0000;
const WNOTHREAD: u32 = 0x2000_0000;
const WALL: u32 = 0x4000_0000;
const WCLONE: u32 = 0x8000_0000;

/// Which children are waited for.
#[derive(Clone, Copy)]
enum Which {
    Any,
    Pid(Tid),
    Group(Tid),
}

/// What became of a child.
#[derive(Clone, Copy)]
enum News {
    Ended(Exit),
    Reported(Report),
}

impl Which {
    fn takes(self, child: &Process, options: u32) -> bool {
        let named = match self {
            Self::Any => true,
            Self::Pid(pid) => child.pid == pid,
            Self::Group(group) => child.group == group,
        };
        let clone = child.exit_signal != SIGCHLD;
        named && (options & WALL != 0 || clone == (options & WCLONE != 0))
    }
}

/// Finds a child of which there are news that `options` asks for.
fn find(cx: &mut Cx, which: Which, options: u32) -> Result<Option<(Tid, News)>, Errno> {
    let mut any = false;
    let children = cx.process().children.clone();
    for pid in children {
        let Some(child) = cx.kernel.processes.get(&pid) else {
            continue;
        };
        if !which.takes(child, options) {
            continue;
        }
        any = true;
        if child.ended.get() {
            if options & WEXITED != 0 {
                let exit = child.exit.unwrap_or(Exit::Code(0));
                return Ok(Some((pid, News::Ended(exit))));
            }
            continue;
        }
        let wanted = match child.report {
            Some(Report::Stopped(_)) => WUNTRACED,
            Some(Report::Continued) => WCONTINUED,
            None => 0,
        };
        if let Some(report) = child.report
            && options & wanted != 0
        {
            return Ok(Some((pid, News::Reported(report))));
        }
    }
    if any { Ok(None) } else { Err(Errno::ECHILD) }
}

/// The news are taken note of.
fn consume(cx: &mut Cx, pid: Tid, news: News) {
    match news {
        News::Ended(_) => cx.kernel.reap(pid),
        News::Reported(_) => {
            if let Some(child) = cx.kernel.processes.get_mut(&pid) {
                child.report = None;
            }
        }
    }
}

/// `struct rusage` of a child with its own children.
fn usage(cx: &Cx, pid: Tid) -> [u8; 144] {
    let time = cx
        .kernel
        .processes
        .get(&pid)
        .map_or_else(Default::default, |child| child.cpu + child.children_cpu);
    abi::rusage(time, 0)
}

fn waits() -> Answer {
    Err(Stop::Block(Wait {
        queued: true,
        ..Wait::default()
    }))
}

/// wait4(2).
pub(crate) fn wait4(cx: &mut Cx) -> Answer {
    let [pid, status_at, options, usage_at, ..] = cx.args;
    let options = options as u32;
    if options & !(WNOHANG | WUNTRACED | WCONTINUED | WNOTHREAD | WALL | WCLONE) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let which = match pid as i32 {
        i32::MIN => return Err(Errno::ESRCH.into()),
        -1 => Which::Any,
        0 => Which::Group(cx.process().group),
        pid if pid < 0 => Which::Group(pid.unsigned_abs()),
        pid => Which::Pid(pid as Tid),
    };
    let Some((pid, news)) = find(cx, which, options | WEXITED)? else {
        return if options & WNOHANG != 0 {
            Ok(0)
        } else {
            waits()
        };
    };
    let status = match news {
        News::Ended(exit) => exit.status(),
        News::Reported(Report::Stopped(signal)) => signal << 8 | 0x7f,
        News::Reported(Report::Continued) => 0xffff,
    };
    let usage = usage(cx, pid);
    consume(cx, pid, news);
    if status_at != 0 {
        cx.write(status_at, &status.to_le_bytes())?;
    }
    if usage_at != 0 {
        cx.write(usage_at, &usage)?;
    }
    Ok(u64::from(pid))
}

/// waitid(2).
pub(crate) fn waitid(cx: &mut Cx) -> Answer {
    let [kind, id, info_at, options, usage_at, _] = cx.args;
    let options = options as u32;
    let known = WNOHANG | WUNTRACED | WEXITED | WCONTINUED | WNOWAIT | WNOTHREAD | WALL | WCLONE;
    if options & !known != 0 || options & (WUNTRACED | WEXITED | WCONTINUED) == 0 {
        return Err(Errno::EINVAL.into());
    }
    let id = id as i32;
    let mut nonblocking = false;
    let which = match kind as u32 {
        0 => Which::Any,
        1 if id > 0 => Which::Pid(id as Tid),
        2 if id == 0 => Which::Group(cx.process().group),
        2 if id > 0 => Which::Group(id as Tid),
        3 if id >= 0 => {
            let description = cx.file(id as u64)?;
            nonblocking = description.flags.get() & 0o4000 != 0;
            Which::Pid(process_of(cx, id as u64)?)
        }
        _ => return Err(Errno::EINVAL.into()),
    };
    let Some((pid, news)) = find(cx, which, options)? else {
        if options & WNOHANG != 0 {
            if info_at != 0 {
                write_info(cx, info_at, &[0; 128])?;
            }
            return Ok(0);
        }
        return if nonblocking {
            Err(Errno::EAGAIN.into())
        } else {
            waits()
        };
    };
    let (code, status) = match news {
        News::Ended(Exit::Code(code)) => (code::CLD_EXITED, u32::from(code)),
        News::Ended(Exit::Signal(signal)) => (code::CLD_KILLED, signal),
        News::Reported(Report::Stopped(signal)) => (code::CLD_STOPPED, signal),
        News::Reported(Report::Continued) => (code::CLD_CONTINUED, SIGCONT),
    };
    let uid = cx
        .kernel
        .processes
        .get(&pid)
        .map_or(0, |child| child.credentials.ruid);
    let info = SigInfo {
        signal: SIGCHLD,
        code,
        detail: Detail::Child {
            pid,
            uid,
            status,
            user: 0,
            system: 0,
        },
    };
    let usage = usage(cx, pid);
    if options & WNOWAIT == 0 {
        consume(cx, pid, news);
    }
    if info_at != 0 {
        write_info(cx, info_at, &info.encode())?;
    }
    if usage_at != 0 {
        cx.write(usage_at, &usage)?;
    }
    Ok(0)
}

/// Only the fields that waitid(2) sets.
fn write_info(cx: &mut Cx, at: u64, info: &[u8; 128]) -> Result<(), Errno> {
    cx.write(at, &info[..12])?;
    cx.write(at.wrapping_add(16), &info[16..28])
}
