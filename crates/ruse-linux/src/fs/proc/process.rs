//! /proc/PID and /proc/PID/task/TID.

use std::fmt::Write;
use std::rc::Rc;
use std::time::Duration;

use super::system::HERTZ;
use super::{Kind, Maker, Node, Writer};
use crate::errno::Errno;
use crate::fs::walk::Target;
use crate::fs::{Description, S_IFDIR, S_IFLNK, S_IFREG};
use crate::kernel::Kernel;
use crate::process::{Process, rlimit};
use crate::thread::{State, Thread, Tid};

type Make = fn(&Kernel, Tid) -> Option<Vec<u8>>;

const FILES: &[(&str, Make, Option<Writer>)] = &[
    ("auxv", |k, t| Some(process(k, t)?.auxv.clone()), None),
    ("cgroup", |_, _| Some(b"0::/\n".to_vec()), None),
    ("cmdline", |k, t| Some(process(k, t)?.cmdline.clone()), None),
    ("comm", comm, Some(set_comm)),
    (
        "coredump_filter",
        |_, _| Some(b"00000033\n".to_vec()),
        Some(number_only),
    ),
    ("environ", |k, t| Some(process(k, t)?.environ.clone()), None),
    ("gid_map", id_map, None),
    ("io", io, None),
    ("limits", limits, None),
    ("loginuid", |_, _| Some(b"4294967295".to_vec()), None),
    ("maps", maps, None),
    ("mountinfo", mount_info, None),
    (
        "mounts",
        |k, _| Some(k.vfs.mounts_text().into_bytes()),
        None,
    ),
    ("oom_adj", |_, _| Some(b"0\n".to_vec()), Some(number_only)),
    ("oom_score", |_, _| Some(b"0\n".to_vec()), None),
    (
        "oom_score_adj",
        |_, _| Some(b"0\n".to_vec()),
        Some(number_only),
    ),
    ("personality", |_, _| Some(b"00000000\n".to_vec()), None),
    ("sessionid", |_, _| Some(b"4294967295".to_vec()), None),
    ("setgroups", |_, _| Some(b"allow\n".to_vec()), None),
    ("smaps", smaps, None),
    ("stat", stat, None),
    ("statm", statm, None),
    ("status", status, None),
    (
        "timerslack_ns",
        |k, t| Some(format!("{}\n", thread(k, t)?.slack).into_bytes()),
        None,
    ),
    ("uid_map", id_map, None),
    ("wchan", |_, _| Some(b"0".to_vec()), None),
];

/// The thread that a directory is about: of a process whose first thread is
/// gone, any other.
fn thread(kernel: &Kernel, tid: Tid) -> Option<&Thread> {
    kernel.threads.get(&tid).or_else(|| {
        let process = kernel.processes.get(&tid)?;
        kernel.threads.get(process.threads.first()?)
    })
}

fn process(kernel: &Kernel, tid: Tid) -> Option<&Process> {
    kernel
        .processes
        .get(&tid)
        .or_else(|| kernel.processes.get(&kernel.threads.get(&tid)?.pid))
}

/// An entry of the directory of `tid`.
pub(super) fn entry(kernel: &Kernel, tid: Tid, of_thread: bool, name: &str) -> Option<Node> {
    let place = |root: bool| {
        let place = thread(kernel, tid)?.place.borrow();
        let path = if root { &place.root } else { &place.cwd };
        Some(Node::Link(Target::Place(path.path.borrow().clone())))
    };
    match name {
        "cwd" => place(false),
        "root" => place(true),
        "exe" => {
            let exe = &process(kernel, tid)?.exe;
            (!exe.is_empty()).then(|| Node::Link(Target::Text(exe.clone())))
        }
        "fd" => Some(Node::Dir(Kind::Fds(tid))),
        "fdinfo" => Some(Node::Dir(Kind::FdInfos(tid))),
        "task" if !of_thread => Some(Node::Dir(Kind::Tasks(tid))),
        "net" => Some(Node::Dir(Kind::Net)),
        _ => {
            let (_, make, write) = FILES.iter().find(|(other, ..)| *other == name)?;
            Some(Node::Text(Maker::Thread(*make, tid), *write))
        }
    }
}

/// The names in the directory of `tid`.
pub(super) fn names(kernel: &Kernel, tid: Tid, of_thread: bool) -> Option<Vec<(String, u32)>> {
    process(kernel, tid)?;
    let mut names: Vec<(String, u32)> = FILES
        .iter()
        .map(|(name, ..)| (name.to_string(), S_IFREG))
        .collect();
    for (name, kind) in [
        ("cwd", S_IFLNK),
        ("root", S_IFLNK),
        ("exe", S_IFLNK),
        ("fd", S_IFDIR),
        ("fdinfo", S_IFDIR),
        ("net", S_IFDIR),
    ] {
        names.push((name.to_string(), kind));
    }
    if !of_thread {
        names.push(("task".to_string(), S_IFDIR));
    }
    Some(names)
}

/// An open file of a thread.
pub(super) fn open_file(kernel: &Kernel, tid: Tid, fd: usize) -> Option<Rc<Description>> {
    let files = thread(kernel, tid)?.files.borrow();
    let fd = files.fds.get(fd)?.as_ref()?;
    Some(Rc::clone(&fd.description))
}

/// The descriptors of a thread.
pub(super) fn fds(kernel: &Kernel, tid: Tid) -> Vec<usize> {
    let Some(thread) = thread(kernel, tid) else {
        return Vec::new();
    };
    let files = thread.files.borrow();
    let used = |(fd, slot): (usize, &Option<_>)| slot.as_ref().map(|_| fd);
    files.fds.iter().enumerate().filter_map(used).collect()
}

/// /proc/PID/fdinfo/N.
pub(super) fn fd_info(kernel: &Kernel, tid: Tid, fd: usize) -> Option<Vec<u8>> {
    let file = open_file(kernel, tid, fd)?;
    let cloexec = {
        let files = thread(kernel, tid)?.files.borrow();
        files.fds.get(fd)?.as_ref()?.cloexec
    };
    let flags = file.flags.get() | if cloexec { crate::fs::O_CLOEXEC } else { 0 };
    let ino = file.file.stat().map_or(0, |stat| stat.ino);
    let pos = file.offset.get();
    Some(format!("pos:\t{pos}\nflags:\t0{flags:o}\nmnt_id:\t1\nino:\t{ino}\n").into_bytes())
}

/// The state letter of a thread.
fn state(process: &Process, thread: Option<&Thread>) -> (char, &'static str) {
    match thread.map(|thread| &thread.state) {
        Some(_) if process.stopped.is_some() => ('T', "stopped"),
        Some(State::Ready) => ('R', "running"),
        Some(State::Blocked(_)) => ('S', "sleeping"),
        _ => ('Z', "zombie"),
    }
}

fn name(kernel: &Kernel, tid: Tid) -> String {
    match thread(kernel, tid) {
        Some(thread) => String::from_utf8_lossy(&thread.name).into_owned(),
        None => process(kernel, tid).map_or_else(String::new, |process| {
            let exe = String::from_utf8_lossy(crate::fs::name_of(&process.exe)).into_owned();
            exe.chars().take(15).collect()
        }),
    }
}

fn comm(kernel: &Kernel, tid: Tid) -> Option<Vec<u8>> {
    process(kernel, tid)?;
    Some(format!("{}\n", name(kernel, tid)).into_bytes())
}

fn set_comm(kernel: &mut Kernel, tid: Tid, text: &[u8]) -> Result<(), Errno> {
    let thread = kernel.threads.get_mut(&tid).ok_or(Errno::ESRCH)?;
    let end = text.iter().position(|&b| b == 0 || b == b'\n');
    let text = &text[..end.unwrap_or(text.len())];
    thread.name = text[..text.len().min(15)].to_vec();
    Ok(())
}

/// Settings that are of no consequence here, but must be numbers.
fn number_only(_kernel: &mut Kernel, _tid: Tid, text: &[u8]) -> Result<(), Errno> {
    let text = std::str::from_utf8(text).map_err(|_| Errno::EINVAL)?.trim();
    let digits = text.strip_prefix("0x").unwrap_or(text);
    i64::from_str_radix(digits, if digits.len() < text.len() { 16 } else { 10 })
        .map_err(|_| Errno::EINVAL)?;
    Ok(())
}

fn id_map(_kernel: &Kernel, _tid: Tid) -> Option<Vec<u8>> {
    Some(format!("{:>10} {:>10} {:>10}\n", 0, 0, u32::MAX).into_bytes())
}

fn io(kernel: &Kernel, tid: Tid) -> Option<Vec<u8>> {
    process(kernel, tid)?;
    let rows = [
        "rchar",
        "wchar",
        "syscr",
        "syscw",
        "read_bytes",
        "write_bytes",
    ];
    let mut out: String = rows.iter().map(|row| format!("{row}: 0\n")).collect();
    out.push_str("cancelled_write_bytes: 0\n");
    Some(out.into_bytes())
}

fn limits(kernel: &Kernel, tid: Tid) -> Option<Vec<u8>> {
    const ROWS: [(&str, u32, &str); 16] = [
        ("Max cpu time", rlimit::CPU, "seconds"),
        ("Max file size", rlimit::FSIZE, "bytes"),
        ("Max data size", rlimit::DATA, "bytes"),
        ("Max stack size", rlimit::STACK, "bytes"),
        ("Max core file size", rlimit::CORE, "bytes"),
        ("Max resident set", rlimit::RSS, "bytes"),
        ("Max processes", rlimit::NPROC, "processes"),
        ("Max open files", rlimit::NOFILE, "files"),
        ("Max locked memory", rlimit::MEMLOCK, "bytes"),
        ("Max address space", rlimit::AS, "bytes"),
        ("Max file locks", rlimit::LOCKS, "locks"),
        ("Max pending signals", rlimit::SIGPENDING, "signals"),
        ("Max msgqueue size", rlimit::MSGQUEUE, "bytes"),
        ("Max nice priority", rlimit::NICE, ""),
        ("Max realtime priority", rlimit::RTPRIO, ""),
        ("Max realtime timeout", rlimit::RTTIME, "us"),
    ];
    let process = process(kernel, tid)?;
    let mut out = format!(
        "{:<25} {:<20} {:<20} {:<10}\n",
        "Limit", "Soft Limit", "Hard Limit", "Units"
    );
    let text = |value: u64| match value {
        rlimit::INFINITY => "unlimited".to_string(),
        value => value.to_string(),
    };
    for (title, resource, unit) in ROWS {
        let (soft, hard) = process.rlimit(resource);
        let _ = writeln!(
            out,
            "{title:<25} {:<20} {:<20} {unit:<10}",
            text(soft),
            text(hard)
        );
    }
    Some(out.into_bytes())
}

fn maps(kernel: &Kernel, tid: Tid) -> Option<Vec<u8>> {
    process(kernel, tid)?;
    Some(thread(kernel, tid).map_or_else(Vec::new, |thread| thread.mm.borrow().maps()))
}

fn smaps(kernel: &Kernel, tid: Tid) -> Option<Vec<u8>> {
    process(kernel, tid)?;
    Some(thread(kernel, tid).map_or_else(Vec::new, |thread| thread.mm.borrow().smaps()))
}

fn mount_info(kernel: &Kernel, _tid: Tid) -> Option<Vec<u8>> {
    let mut out = String::new();
    for (id, line) in kernel.vfs.mounts_text().lines().enumerate() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [source, at, kind, options, ..] = fields[..] else {
            continue;
        };
        let id = id + 1;
        let _ = writeln!(
            out,
            "{id} {} 0:{id} / {at} {options} - {kind} {source} {options}",
            if id == 1 { 0 } else { 1 }
        );
    }
    Some(out.into_bytes())
}

fn ticks(time: Duration) -> u64 {
    (time.as_millis() as u64).saturating_mul(HERTZ) / 1000
}

/// Time that a process's threads ran for.
fn cpu(kernel: &Kernel, process: &Process) -> Duration {
    process
        .threads
        .iter()
        .filter_map(|tid| kernel.threads.get(tid))
        .map(|thread| thread.cpu)
        .sum::<Duration>()
        + process.cpu
}

fn stat(kernel: &Kernel, tid: Tid) -> Option<Vec<u8>> {
    let process = process(kernel, tid)?;
    let thread = thread(kernel, tid);
    let (letter, _) = state(process, thread);
    let usage = thread.map_or_else(Default::default, |thread| thread.mm.borrow().usage());
    let tty = kernel.ttys.device(process.session);
    let foreground = kernel
        .ttys
        .foreground(process.session)
        .map_or(-1, i64::from);
    let (pending, blocked) = thread.map_or((0, 0), |thread| {
        (
            signal_set(thread.pending.queue.iter().map(|info| info.signal)),
            thread.mask,
        )
    });
    let (ignored, caught) = thread.map_or((0, 0), dispositions);
    let nice = thread.map_or(0, |thread| thread.nice);
    let mut out = format!(
        "{tid} ({}) {letter} {} {} {} {tty} {foreground} 4194304 0 0 0 0 {} 0 {} 0 {} {nice} {} 0 {} \
         {} {} {} 0 0 0 0 0 ",
        name(kernel, tid),
        process.parent,
        process.group,
        process.session,
        ticks(cpu(kernel, process)),
        ticks(process.children_cpu),
        20 + nice,
        process.threads.len(),
        ticks(process.started),
        usage.size,
        usage.resident >> 12,
        process.rlimit(rlimit::RSS).0,
    );
    let _ = writeln!(
        out,
        "{} {} {} {} 0 0 0 {} 0 0 {} 0 0 0 0 0 0 0 0 0 0 {}",
        pending & 0x7fff_ffff,
        blocked & 0x7fff_ffff,
        ignored & 0x7fff_ffff,
        caught & 0x7fff_ffff,
        process.exit_signal,
        thread.map_or(0, |thread| thread.policy.0),
        process.exit.map_or(0, |exit| exit.status()),
    );
    Some(out.into_bytes())
}

fn statm(kernel: &Kernel, tid: Tid) -> Option<Vec<u8>> {
    process(kernel, tid)?;
    let usage = thread(kernel, tid).map_or_else(Default::default, |t| t.mm.borrow().usage());
    Some(
        format!(
            "{} {} {} {} 0 {} 0\n",
            usage.size >> 12,
            usage.resident >> 12,
            usage.shared >> 12,
            usage.text >> 12,
            (usage.data + usage.stack) >> 12
        )
        .into_bytes(),
    )
}

fn signal_set(signals: impl Iterator<Item = u32>) -> u64 {
    signals.fold(0, |set, signal| set | crate::signal::bit(signal))
}

/// The sets of signals that a thread ignores, and that it catches.
fn dispositions(thread: &Thread) -> (u64, u64) {
    let actions = thread.actions.borrow();
    let (mut ignored, mut caught) = (0, 0);
    for (signal, action) in (1..).zip(&actions.0) {
        match action.handler {
            0 => {}
            1 => ignored |= crate::signal::bit(signal),
            _ => caught |= crate::signal::bit(signal),
        }
    }
    (ignored, caught)
}

fn status(kernel: &Kernel, tid: Tid) -> Option<Vec<u8>> {
    let process = process(kernel, tid)?;
    let thread = thread(kernel, tid);
    let (letter, word) = state(process, thread);
    let usage = thread.map_or_else(Default::default, |thread| thread.mm.borrow().usage());
    let who = &process.credentials;
    let umask = thread.map_or(0, |thread| thread.place.borrow().umask);
    let slots = thread.map_or(0, |thread| {
        thread.files.borrow().fds.len().next_power_of_two()
    });
    let mut out = format!(
        "Name:\t{}\nUmask:\t{umask:04o}\nState:\t{letter} ({word})\nTgid:\t{}\nNgid:\t0\nPid:\t{tid}\n\
         PPid:\t{}\nTracerPid:\t0\nUid:\t{}\t{}\t{}\t{}\nGid:\t{}\t{}\t{}\t{}\nFDSize:\t{}\nGroups:\t",
        name(kernel, tid),
        process.pid,
        process.parent,
        who.ruid,
        who.euid,
        who.suid,
        who.euid,
        who.rgid,
        who.egid,
        who.sgid,
        who.egid,
        slots.max(64),
    );
    for group in &who.groups {
        let _ = write!(out, "{group} ");
    }
    let _ = write!(
        out,
        "\nNStgid:\t{}\nNSpid:\t{tid}\nNSpgid:\t{}\nNSsid:\t{}\n",
        process.pid, process.group, process.session
    );
    if thread.is_some() {
        let rows = [
            ("VmPeak", usage.size),
            ("VmSize", usage.size),
            ("VmLck", 0),
            ("VmPin", 0),
            ("VmHWM", usage.resident),
            ("VmRSS", usage.resident),
            ("RssAnon", usage.resident.saturating_sub(usage.shared)),
            ("RssFile", usage.shared),
            ("RssShmem", 0),
            ("VmData", usage.data),
            ("VmStk", usage.stack),
            ("VmExe", usage.text),
            ("VmLib", 0),
            ("VmPTE", 0),
            ("VmSwap", 0),
        ];
        for (row, bytes) in rows {
            let _ = writeln!(out, "{row}:\t{:>8} kB", bytes >> 10);
        }
    }
    let own = thread.map_or(0, |t| {
        signal_set(t.pending.queue.iter().map(|info| info.signal))
    });
    let shared = signal_set(process.pending.queue.iter().map(|info| info.signal));
    let blocked = thread.map_or(0, |thread| thread.mask);
    let (ignored, caught) = thread.map_or((0, 0), dispositions);
    let _ = write!(
        out,
        "Threads:\t{}\nSigQ:\t0/4096\nSigPnd:\t{own:016x}\nShdPnd:\t{shared:016x}\nSigBlk:\t{blocked:016x}\n\
         SigIgn:\t{ignored:016x}\nSigCgt:\t{caught:016x}\nCapInh:\t{:016x}\nCapPrm:\t{:016x}\n\
         CapEff:\t{:016x}\nCapBnd:\t{:016x}\nCapAmb:\t{:016x}\nNoNewPrivs:\t{}\nSeccomp:\t0\n\
         Speculation_Store_Bypass:\tnot vulnerable\nCpus_allowed:\t1\nCpus_allowed_list:\t0\n\
         Mems_allowed:\t1\nMems_allowed_list:\t0\nvoluntary_ctxt_switches:\t0\n\
         nonvoluntary_ctxt_switches:\t0\n",
        process.threads.len().max(1),
        who.inheritable,
        who.permitted,
        who.effective,
        who.bounding,
        0,
        u8::from(process.no_new_privs),
    );
    Some(out.into_bytes())
}
