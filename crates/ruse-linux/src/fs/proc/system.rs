//! /proc about the whole box: the machine, its memory, its settings.

use std::fmt::Write;

use super::{Kind, Maker, Node};
use crate::abi::{RELEASE, VERSION};
use crate::fs::{S_IFDIR, S_IFREG};
use crate::kernel::Kernel;
use crate::thread::State;

/// `USER_HZ`.
pub(super) const HERTZ: u64 = 100;

const FILES: &[(&str, Maker)] = &[
    ("cmdline", Maker::Fixed("\n")),
    ("cpuinfo", Maker::System(cpuinfo)),
    (
        "devices",
        Maker::Fixed(
            "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n136 pts\n\n\
             Block devices:\n",
        ),
    ),
    (
        "filesystems",
        Maker::Fixed(
            "nodev\tproc\nnodev\ttmpfs\nnodev\tdevtmpfs\nnodev\tpipefs\nnodev\tsockfs\n\text4\n",
        ),
    ),
    ("interrupts", Maker::Fixed("           CPU0       \n")),
    ("loadavg", Maker::System(loadavg)),
    ("meminfo", Maker::System(meminfo)),
    ("modules", Maker::Fixed("")),
    ("partitions", Maker::Fixed("major minor  #blocks  name\n\n")),
    ("stat", Maker::System(stat)),
    (
        "swaps",
        Maker::Fixed("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"),
    ),
    ("uptime", Maker::System(uptime)),
    ("version", Maker::System(version)),
    ("vmstat", Maker::System(vmstat)),
];

/// A file right in /proc.
pub(super) fn file(name: &str) -> Option<Node> {
    let (_, maker) = FILES.iter().find(|(other, _)| *other == name)?;
    Some(Node::Text(*maker, None))
}

/// The files right in /proc.
pub(super) fn names() -> Vec<(String, u32)> {
    FILES
        .iter()
        .map(|(name, _)| (name.to_string(), S_IFREG))
        .collect()
}

fn cpuinfo(_kernel: &Kernel) -> Vec<u8> {
    let isa = ruse_hart::isa_string(ruse_hart::Xlen::Rv64, false);
    format!(
        "processor\t: 0\nhart\t\t: 0\nisa\t\t: {isa}\nmmu\t\t: sv39\n\
         uarch\t\t: ruse\nmvendorid\t: 0x0\nmarchid\t\t: 0x0\nmimpid\t\t: 0x0\n\n"
    )
    .into_bytes()
}

fn loadavg(kernel: &Kernel) -> Vec<u8> {
    let running = kernel
        .threads
        .values()
        .filter(|thread| matches!(thread.state, State::Ready))
        .count();
    let last = kernel.threads.keys().last().copied().unwrap_or_default();
    let load = format!("{running}.00");
    format!(
        "{load} {load} {load} {running}/{} {last}\n",
        kernel.threads.len()
    )
    .into_bytes()
}

/// Bytes of memory of the machine, and of these free.
pub(super) fn memory(kernel: &Kernel) -> (u64, u64) {
    let total = kernel.memory.limit().unwrap_or(8 << 30);
    let used = kernel.memory.used();
    (total, total.saturating_sub(used))
}

fn meminfo(kernel: &Kernel) -> Vec<u8> {
    let (total, free) = memory(kernel);
    let mut out = String::new();
    let rows = [
        ("MemTotal", total),
        ("MemFree", free),
        ("MemAvailable", free),
        ("Buffers", 0),
        ("Cached", 0),
        ("SwapCached", 0),
        ("Active", total - free),
        ("Inactive", 0),
        ("Dirty", 0),
        ("Writeback", 0),
        ("AnonPages", total - free),
        ("Mapped", 0),
        ("Shmem", 0),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("CommitLimit", total),
        ("Committed_AS", total - free),
        ("VmallocTotal", 1 << 38),
        ("VmallocUsed", 0),
    ];
    for (name, bytes) in rows {
        let _ = writeln!(out, "{:<15} {:>8} kB", format!("{name}:"), bytes >> 10);
    }
    out.push_str(
        "HugePages_Total:       0\nHugePages_Free:        0\nHugepagesize:       2048 kB\n",
    );
    out.into_bytes()
}

/// Ticks that all threads, past and present, ran for.
fn busy_ticks(kernel: &Kernel) -> u64 {
    let threads: std::time::Duration = kernel.threads.values().map(|thread| thread.cpu).sum();
    let gone: std::time::Duration = kernel.processes.values().map(|process| process.cpu).sum();
    (threads + gone).as_millis() as u64 * HERTZ / 1000
}

fn stat(kernel: &Kernel) -> Vec<u8> {
    let busy = busy_ticks(kernel);
    let idle = (kernel.now().as_millis() as u64 * HERTZ / 1000).saturating_sub(busy);
    let times = format!("{busy} 0 0 {idle} 0 0 0 0 0 0");
    let boot = kernel
        .host
        .realtime()
        .saturating_sub(kernel.host.monotonic())
        .as_secs();
    let ready = |state: &State| matches!(state, State::Ready);
    let running = kernel.threads.values().filter(|t| ready(&t.state)).count();
    format!(
        "cpu  {times}\ncpu0 {times}\nintr 0\nctxt 0\nbtime {boot}\nprocesses {}\n\
         procs_running {running}\nprocs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n",
        kernel.forks
    )
    .into_bytes()
}

fn uptime(kernel: &Kernel) -> Vec<u8> {
    let up = kernel.now();
    let idle = up.as_millis() as u64 / 10 - (busy_ticks(kernel)).min(up.as_millis() as u64 / 10);
    format!(
        "{}.{:02} {}.{:02}\n",
        up.as_secs(),
        up.subsec_millis() / 10,
        idle / 100,
        idle % 100
    )
    .into_bytes()
}

fn version(_kernel: &Kernel) -> Vec<u8> {
    format!("Linux version {RELEASE} (ruse) {VERSION}\n").into_bytes()
}

fn vmstat(kernel: &Kernel) -> Vec<u8> {
    let (_, free) = memory(kernel);
    format!("nr_free_pages {}\npgfault 0\npgmajfault 0\n", free >> 12).into_bytes()
}

/// /proc/sys: what programs read of it. None of it can be changed.
const SYS: &[(&str, Maker)] = &[
    ("fs/file-max", Maker::Fixed("1048576\n")),
    ("fs/file-nr", Maker::Fixed("64\t0\t1048576\n")),
    ("fs/nr_open", Maker::Fixed("1048576\n")),
    ("fs/pipe-max-size", Maker::Fixed("1048576\n")),
    ("fs/inotify/max_user_watches", Maker::Fixed("0\n")),
    ("fs/inotify/max_user_instances", Maker::Fixed("0\n")),
    ("kernel/cap_last_cap", Maker::Fixed("40\n")),
    ("kernel/core_pattern", Maker::Fixed("core\n")),
    ("kernel/domainname", Maker::Fixed("(none)\n")),
    ("kernel/hostname", Maker::Fixed("ruse\n")),
    ("kernel/ngroups_max", Maker::Fixed("65536\n")),
    (
        "kernel/osrelease",
        Maker::System(|_| format!("{RELEASE}\n").into_bytes()),
    ),
    ("kernel/ostype", Maker::Fixed("Linux\n")),
    ("kernel/overflowgid", Maker::Fixed("65534\n")),
    ("kernel/overflowuid", Maker::Fixed("65534\n")),
    ("kernel/pid_max", Maker::Fixed("4194304\n")),
    (
        "kernel/random/boot_id",
        Maker::Fixed("72757365-0000-4000-8000-000000000001\n"),
    ),
    ("kernel/random/entropy_avail", Maker::Fixed("256\n")),
    ("kernel/random/poolsize", Maker::Fixed("256\n")),
    ("kernel/random/uuid", Maker::System(uuid)),
    ("kernel/randomize_va_space", Maker::Fixed("2\n")),
    ("kernel/sched_child_runs_first", Maker::Fixed("0\n")),
    (
        "kernel/sem",
        Maker::Fixed("32000\t1024000000\t500\t32000\n"),
    ),
    ("kernel/shmall", Maker::Fixed("18446744073692774399\n")),
    ("kernel/shmmax", Maker::Fixed("18446744073692774399\n")),
    ("kernel/shmmni", Maker::Fixed("4096\n")),
    ("kernel/threads-max", Maker::Fixed("16384\n")),
    (
        "kernel/version",
        Maker::System(|_| format!("{VERSION}\n").into_bytes()),
    ),
    ("net/core/rmem_default", Maker::Fixed("212992\n")),
    ("net/core/rmem_max", Maker::Fixed("212992\n")),
    ("net/core/somaxconn", Maker::Fixed("4096\n")),
    ("net/core/wmem_default", Maker::Fixed("212992\n")),
    ("net/core/wmem_max", Maker::Fixed("212992\n")),
    (
        "net/ipv4/ip_local_port_range",
        Maker::Fixed("32768\t60999\n"),
    ),
    ("net/ipv4/ip_unprivileged_port_start", Maker::Fixed("0\n")),
    ("net/ipv4/tcp_fin_timeout", Maker::Fixed("60\n")),
    ("net/ipv4/tcp_keepalive_time", Maker::Fixed("7200\n")),
    ("net/ipv6/conf/all/disable_ipv6", Maker::Fixed("0\n")),
    ("vm/max_map_count", Maker::Fixed("65530\n")),
    ("vm/mmap_min_addr", Maker::Fixed("65536\n")),
    ("vm/nr_hugepages", Maker::Fixed("0\n")),
    ("vm/overcommit_memory", Maker::Fixed("1\n")),
    ("vm/overcommit_ratio", Maker::Fixed("50\n")),
    ("vm/swappiness", Maker::Fixed("60\n")),
];

/// A new random UUID at each reading.
fn uuid(_kernel: &Kernel) -> Vec<u8> {
    let mut bytes = [0; 16];
    if let Err(error) = getrandom::fill(&mut bytes) {
        log::error!("the host gives no randomness: {error}");
    }
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut out = String::new();
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        let _ = write!(out, "{byte:02x}");
    }
    out.push('\n');
    out.into_bytes()
}

/// What is beneath directory `dir` of /proc/sys, by the names right in it.
fn beneath(dir: &'static str) -> impl Iterator<Item = (&'static str, &'static str, Maker)> {
    SYS.iter().filter_map(move |(path, maker)| {
        let rest = if dir.is_empty() {
            path
        } else {
            path.strip_prefix(dir)?.strip_prefix('/')?
        };
        Some((*path, rest, *maker))
    })
}

/// An entry of /proc/sys.
pub(super) fn sys(dir: &'static str, name: &str) -> Option<Node> {
    for (path, rest, maker) in beneath(dir) {
        if rest == name {
            return Some(Node::Text(maker, None));
        }
        if rest
            .strip_prefix(name)
            .is_some_and(|more| more.starts_with('/'))
        {
            let len = path.len() - rest.len() + name.len();
            return Some(Node::Dir(Kind::Sys(&path[..len])));
        }
    }
    None
}

/// The names in a directory of /proc/sys.
pub(super) fn sys_names(dir: &'static str) -> Vec<(String, u32)> {
    let mut names: Vec<(String, u32)> = Vec::new();
    for (_, rest, _) in beneath(dir) {
        let entry = match rest.split_once('/') {
            Some((name, _)) => (name.to_string(), S_IFDIR),
            None => (rest.to_string(), S_IFREG),
        };
        if !names.contains(&entry) {
            names.push(entry);
        }
    }
    names
}

/// /proc/net: the one interface that every box has.
const NET: &[(&str, Maker)] = &[
    (
        "dev",
        Maker::Fixed(
            "Inter-|   Receive                                                |  Transmit\n \
             face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets \
             errs drop fifo colls carrier compressed\n    \
             lo:       0       0    0    0    0     0          0         0        0       0    \
             0    0    0     0       0          0\n",
        ),
    ),
    (
        "if_inet6",
        Maker::Fixed("00000000000000000000000000000001 01 80 10 80       lo\n"),
    ),
    (
        "route",
        Maker::Fixed(
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n",
        ),
    ),
];

/// An entry of /proc/net.
pub(super) fn net(name: &str) -> Option<Node> {
    let (_, maker) = NET.iter().find(|(other, _)| *other == name)?;
    Some(Node::Text(*maker, None))
}

/// The names in /proc/net.
pub(super) fn net_names() -> Vec<(String, u32)> {
    NET.iter()
        .map(|(name, _)| (name.to_string(), S_IFREG))
        .collect()
}
