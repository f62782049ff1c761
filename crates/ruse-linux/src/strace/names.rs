//! Names of flags and numbers (`include/uapi` of Linux).

use std::fmt::Write as _;

use crate::errno::Errno;
use crate::signal::{self, SIGRTMIN, SigInfo, SigSet};

/// Values and their names.
pub(super) type Table = &'static [(u64, &'static str)];

pub(super) const PROT: Table = &[
    (1, "PROT_READ"),
    (2, "PROT_WRITE"),
    (4, "PROT_EXEC"),
    (0x0100_0000, "PROT_GROWSDOWN"),
];
const MAP: Table = &[
    (0x10, "MAP_FIXED"),
    (0x20, "MAP_ANONYMOUS"),
    (0x100, "MAP_GROWSDOWN"),
    (0x800, "MAP_DENYWRITE"),
    (0x1000, "MAP_EXECUTABLE"),
    (0x2000, "MAP_LOCKED"),
    (0x4000, "MAP_NORESERVE"),
    (0x8000, "MAP_POPULATE"),
    (0x1_0000, "MAP_NONBLOCK"),
    (0x2_0000, "MAP_STACK"),
    (0x4_0000, "MAP_HUGETLB"),
    (0x10_0000, "MAP_FIXED_NOREPLACE"),
];
const OPEN: Table = &[
    (0o100, "O_CREAT"),
    (0o200, "O_EXCL"),
    (0o400, "O_NOCTTY"),
    (0o1000, "O_TRUNC"),
    (0o2000, "O_APPEND"),
    (0o4000, "O_NONBLOCK"),
    (0o4_010_000, "O_SYNC"),
    (0o10_000, "O_DSYNC"),
    (0o20_000, "O_ASYNC"),
    (0o40_000, "O_DIRECT"),
    (0o20_200_000, "O_TMPFILE"),
    (0o200_000, "O_DIRECTORY"),
    (0o400_000, "O_NOFOLLOW"),
    (0o1_000_000, "O_NOATIME"),
    (0o2_000_000, "O_CLOEXEC"),
    (0o10_000_000, "O_PATH"),
];
pub(super) const CLOCKS: Table = &[
    (0, "CLOCK_REALTIME"),
    (1, "CLOCK_MONOTONIC"),
    (2, "CLOCK_PROCESS_CPUTIME_ID"),
    (3, "CLOCK_THREAD_CPUTIME_ID"),
    (4, "CLOCK_MONOTONIC_RAW"),
    (5, "CLOCK_REALTIME_COARSE"),
    (6, "CLOCK_MONOTONIC_COARSE"),
    (7, "CLOCK_BOOTTIME"),
    (8, "CLOCK_REALTIME_ALARM"),
    (9, "CLOCK_BOOTTIME_ALARM"),
    (11, "CLOCK_TAI"),
];
const FUTEX: Table = &[
    (0, "FUTEX_WAIT"),
    (1, "FUTEX_WAKE"),
    (3, "FUTEX_REQUEUE"),
    (4, "FUTEX_CMP_REQUEUE"),
    (5, "FUTEX_WAKE_OP"),
    (6, "FUTEX_LOCK_PI"),
    (7, "FUTEX_UNLOCK_PI"),
    (8, "FUTEX_TRYLOCK_PI"),
    (9, "FUTEX_WAIT_BITSET"),
    (10, "FUTEX_WAKE_BITSET"),
    (11, "FUTEX_WAIT_REQUEUE_PI"),
    (12, "FUTEX_CMP_REQUEUE_PI"),
    (13, "FUTEX_LOCK_PI2"),
];
pub(super) const ACTION: Table = &[
    (1, "SA_NOCLDSTOP"),
    (2, "SA_NOCLDWAIT"),
    (4, "SA_SIGINFO"),
    (0x0400_0000, "SA_RESTORER"),
    (0x0800_0000, "SA_ONSTACK"),
    (0x1000_0000, "SA_RESTART"),
    (0x4000_0000, "SA_NODEFER"),
    (0x8000_0000, "SA_RESETHAND"),
];
pub(super) const MASK_HOW: Table = &[(0, "SIG_BLOCK"), (1, "SIG_UNBLOCK"), (2, "SIG_SETMASK")];
const CLONE: Table = &[
    (0x100, "CLONE_VM"),
    (0x200, "CLONE_FS"),
    (0x400, "CLONE_FILES"),
    (0x800, "CLONE_SIGHAND"),
    (0x1000, "CLONE_PIDFD"),
    (0x2000, "CLONE_PTRACE"),
    (0x4000, "CLONE_VFORK"),
    (0x8000, "CLONE_PARENT"),
    (0x1_0000, "CLONE_THREAD"),
    (0x2_0000, "CLONE_NEWNS"),
    (0x4_0000, "CLONE_SYSVSEM"),
    (0x8_0000, "CLONE_SETTLS"),
    (0x10_0000, "CLONE_PARENT_SETTID"),
    (0x20_0000, "CLONE_CHILD_CLEARTID"),
    (0x40_0000, "CLONE_DETACHED"),
    (0x80_0000, "CLONE_UNTRACED"),
    (0x100_0000, "CLONE_CHILD_SETTID"),
    (0x200_0000, "CLONE_NEWCGROUP"),
    (0x400_0000, "CLONE_NEWUTS"),
    (0x800_0000, "CLONE_NEWIPC"),
    (0x1000_0000, "CLONE_NEWUSER"),
    (0x2000_0000, "CLONE_NEWPID"),
    (0x4000_0000, "CLONE_NEWNET"),
    (0x8000_0000, "CLONE_IO"),
];
pub(super) const WAIT_OPTIONS: Table = &[
    (1, "WNOHANG"),
    (2, "WUNTRACED"),
    (4, "WEXITED"),
    (8, "WCONTINUED"),
    (0x0100_0000, "WNOWAIT"),
    (0x2000_0000, "__WNOTHREAD"),
    (0x4000_0000, "__WALL"),
    (0x8000_0000, "__WCLONE"),
];
pub(super) const RESOURCES: Table = &[
    (0, "RLIMIT_CPU"),
    (1, "RLIMIT_FSIZE"),
    (2, "RLIMIT_DATA"),
    (3, "RLIMIT_STACK"),
    (4, "RLIMIT_CORE"),
    (5, "RLIMIT_RSS"),
    (6, "RLIMIT_NPROC"),
    (7, "RLIMIT_NOFILE"),
    (8, "RLIMIT_MEMLOCK"),
    (9, "RLIMIT_AS"),
    (10, "RLIMIT_LOCKS"),
    (11, "RLIMIT_SIGPENDING"),
    (12, "RLIMIT_MSGQUEUE"),
    (13, "RLIMIT_NICE"),
    (14, "RLIMIT_RTPRIO"),
    (15, "RLIMIT_RTTIME"),
];
pub(super) const FILE_TYPES: Table = &[
    (0o010_000, "S_IFIFO"),
    (0o020_000, "S_IFCHR"),
    (0o040_000, "S_IFDIR"),
    (0o060_000, "S_IFBLK"),
    (0o100_000, "S_IFREG"),
    (0o120_000, "S_IFLNK"),
    (0o140_000, "S_IFSOCK"),
];
pub(super) const POLL: Table = &[
    (0x1, "POLLIN"),
    (0x2, "POLLPRI"),
    (0x4, "POLLOUT"),
    (0x8, "POLLERR"),
    (0x10, "POLLHUP"),
    (0x20, "POLLNVAL"),
    (0x40, "POLLRDNORM"),
    (0x80, "POLLRDBAND"),
    (0x100, "POLLWRNORM"),
    (0x200, "POLLWRBAND"),
    (0x2000, "POLLRDHUP"),
];
pub(super) const FCNTL: Table = &[
    (0, "F_DUPFD"),
    (1, "F_GETFD"),
    (2, "F_SETFD"),
    (3, "F_GETFL"),
    (4, "F_SETFL"),
    (5, "F_GETLK"),
    (6, "F_SETLK"),
    (7, "F_SETLKW"),
    (8, "F_SETOWN"),
    (9, "F_GETOWN"),
    (36, "F_OFD_GETLK"),
    (37, "F_OFD_SETLK"),
    (38, "F_OFD_SETLKW"),
    (1030, "F_DUPFD_CLOEXEC"),
    (1031, "F_SETPIPE_SZ"),
    (1032, "F_GETPIPE_SZ"),
    (1033, "F_ADD_SEALS"),
    (1034, "F_GET_SEALS"),
];
pub(super) const IOCTLS: Table = &[
    (0x5401, "TCGETS"),
    (0x5402, "TCSETS"),
    (0x5403, "TCSETSW"),
    (0x5404, "TCSETSF"),
    (0x540b, "TCFLSH"),
    (0x540e, "TIOCSCTTY"),
    (0x540f, "TIOCGPGRP"),
    (0x5410, "TIOCSPGRP"),
    (0x5413, "TIOCGWINSZ"),
    (0x5414, "TIOCSWINSZ"),
    (0x541b, "FIONREAD"),
    (0x5421, "FIONBIO"),
    (0x5422, "TIOCNOTTY"),
    (0x5429, "TIOCGSID"),
    (0x5450, "FIONCLEX"),
    (0x5451, "FIOCLEX"),
    (0x8004_5430, "TIOCGPTN"),
    (0x4004_5431, "TIOCSPTLCK"),
    (0x4004_9409, "FICLONE"),
];
pub(super) const WHENCE: Table = &[
    (0, "SEEK_SET"),
    (1, "SEEK_CUR"),
    (2, "SEEK_END"),
    (3, "SEEK_DATA"),
    (4, "SEEK_HOLE"),
];
pub(super) const PRCTL: Table = &[
    (1, "PR_SET_PDEATHSIG"),
    (3, "PR_GET_DUMPABLE"),
    (4, "PR_SET_DUMPABLE"),
    (15, "PR_SET_NAME"),
    (16, "PR_GET_NAME"),
    (23, "PR_CAPBSET_READ"),
    (24, "PR_CAPBSET_DROP"),
    (36, "PR_SET_CHILD_SUBREAPER"),
    (38, "PR_SET_NO_NEW_PRIVS"),
    (0x5356_4d41, "PR_SET_VMA"),
];

/// The name of a number.
pub(super) fn one_of(value: u64, table: Table) -> String {
    match table.iter().find(|&&(n, _)| n == value) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("{value:#x}"),
    }
}

/// The names of flags, joined; `none` if there are none.
pub(super) fn flags(mut value: u64, table: Table, none: &str) -> String {
    if value == 0 {
        return none.to_owned();
    }
    let mut out = String::new();
    let mut add = |text: &str| {
        if !out.is_empty() {
            out.push('|');
        }
        out.push_str(text);
    };
    for &(bits, name) in table {
        if value & bits == bits {
            add(name);
            value &= !bits;
        }
    }
    if value != 0 {
        add(&format!("{value:#x}"));
    }
    out
}

/// Flags of open(2).
pub(super) fn open_flags(value: u32) -> String {
    let mode = ["O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"][(value & 3) as usize];
    match u64::from(value & !3) {
        0 => mode.to_owned(),
        rest => format!("{mode}|{}", flags(rest, OPEN, "")),
    }
}

/// Flags of pipe2(2) and dup3(2).
pub(super) fn descriptor_flags(value: u32) -> String {
    flags(u64::from(value), OPEN, "0")
}

/// Flags of mmap(2).
pub(super) fn map_flags(value: u64) -> String {
    let kind = match value & 15 {
        1 => "MAP_SHARED".to_owned(),
        2 => "MAP_PRIVATE".to_owned(),
        3 => "MAP_SHARED_VALIDATE".to_owned(),
        other => format!("{other:#x}"),
    };
    match value & !15 {
        0 => kind,
        rest => format!("{kind}|{}", flags(rest, MAP, "")),
    }
}

/// An operation of futex(2).
pub(super) fn futex_op(value: u32) -> String {
    let mut out = one_of(u64::from(value & !(128 | 256)), FUTEX);
    if value & 128 != 0 {
        out.push_str("_PRIVATE");
    }
    if value & 256 != 0 {
        out.push_str("|FUTEX_CLOCK_REALTIME");
    }
    out
}

/// Flags of clone(2) with the signal of the child's end.
pub(super) fn clone_flags(value: u64) -> String {
    let end = value & 0xff;
    let end = if end == 0 {
        String::new()
    } else {
        signal(end as u32)
    };
    match value & !0xff {
        0 if end.is_empty() => "0".into(),
        0 => end,
        rest => {
            let text = flags(rest, CLONE, "");
            if end.is_empty() {
                text
            } else {
                format!("{text}|{end}")
            }
        }
    }
}

/// A signal's name.
pub(super) fn signal(number: u32) -> String {
    match signal::name(number) {
        Some(name) => name.to_owned(),
        None if number == SIGRTMIN => "SIGRTMIN".into(),
        None if number > SIGRTMIN && number <= 64 => format!("SIGRT_{}", number - SIGRTMIN),
        None => number.to_string(),
    }
}

/// A set of signals: `[INT CHLD]`, or `~[KILL STOP]` if most are in it.
pub(super) fn signals(set: SigSet) -> String {
    let inverted = set.count_ones() > 32;
    let shown = if inverted { !set } else { set };
    let mut out = String::from(if inverted { "~[" } else { "[" });
    for (n, number) in (1..=64)
        .filter(|&number| shown & signal::bit(number) != 0)
        .enumerate()
    {
        let name = signal(number);
        let space = if n > 0 { " " } else { "" };
        let _ = write!(out, "{space}{}", name.strip_prefix("SIG").unwrap_or(&name));
    }
    out + "]"
}

/// What wait(2) tells of a child.
pub(super) fn wait_status(status: u32) -> String {
    let (low, high) = (status & 0x7f, status >> 8 & 0xff);
    match low {
        0 => format!("[{{WIFEXITED(s) && WEXITSTATUS(s) == {high}}}]"),
        0x7f if status == 0xffff => "[{WIFCONTINUED(s)}]".into(),
        0x7f => format!("[{{WIFSTOPPED(s) && WSTOPSIG(s) == {}}}]", signal(high)),
        _ => format!("[{{WIFSIGNALED(s) && WTERMSIG(s) == {}}}]", signal(low)),
    }
}

/// `si_code`, whose meaning depends on the signal.
pub(super) fn si_code(info: &SigInfo) -> String {
    use crate::signal::{SIGBUS, SIGCHLD, SIGFPE, SIGILL, SIGSEGV, SIGTRAP};
    let name = match (info.signal, info.code) {
        (_, 0) => "SI_USER",
        (_, 0x80) => "SI_KERNEL",
        (_, -1) => "SI_QUEUE",
        (_, -2) => "SI_TIMER",
        (_, -6) => "SI_TKILL",
        (SIGCHLD, 1) => "CLD_EXITED",
        (SIGCHLD, 2) => "CLD_KILLED",
        (SIGCHLD, 3) => "CLD_DUMPED",
        (SIGCHLD, 5) => "CLD_STOPPED",
        (SIGCHLD, 6) => "CLD_CONTINUED",
        (SIGSEGV, 1) => "SEGV_MAPERR",
        (SIGSEGV, 2) => "SEGV_ACCERR",
        (SIGBUS, 1) => "BUS_ADRALN",
        (SIGBUS, 2) => "BUS_ADRERR",
        (SIGILL, 1) => "ILL_ILLOPC",
        (SIGTRAP, 1) => "TRAP_BRKPT",
        (SIGFPE, 1) => "FPE_INTDIV",
        (_, code) => return code.to_string(),
    };
    name.to_owned()
}

/// What an error number means, as strerror(3) says it.
pub(super) fn explain(errno: Errno) -> &'static str {
    match errno {
        Errno::EPERM => "Operation not permitted",
        Errno::ENOENT => "No such file or directory",
        Errno::ESRCH => "No such process",
        Errno::EINTR => "Interrupted system call",
        Errno::EIO => "Input/output error",
        Errno::ENXIO => "No such device or address",
        Errno::E2BIG => "Argument list too long",
        Errno::ENOEXEC => "Exec format error",
        Errno::EBADF => "Bad file descriptor",
        Errno::ECHILD => "No child processes",
        Errno::EAGAIN => "Resource temporarily unavailable",
        Errno::ENOMEM => "Cannot allocate memory",
        Errno::EACCES => "Permission denied",
        Errno::EFAULT => "Bad address",
        Errno::ENOTBLK => "Block device required",
        Errno::EBUSY => "Device or resource busy",
        Errno::EEXIST => "File exists",
        Errno::EXDEV => "Invalid cross-device link",
        Errno::ENODEV => "No such device",
        Errno::ENOTDIR => "Not a directory",
        Errno::EISDIR => "Is a directory",
        Errno::EINVAL => "Invalid argument",
        Errno::ENFILE => "Too many open files in system",
        Errno::EMFILE => "Too many open files",
        Errno::ENOTTY => "Inappropriate ioctl for device",
        Errno::ETXTBSY => "Text file busy",
        Errno::EFBIG => "File too large",
        Errno::ENOSPC => "No space left on device",
        Errno::ESPIPE => "Illegal seek",
        Errno::EROFS => "Read-only file system",
        Errno::EMLINK => "Too many links",
        Errno::EPIPE => "Broken pipe",
        Errno::EDOM => "Numerical argument out of domain",
        Errno::ERANGE => "Numerical result out of range",
        Errno::EDEADLK => "Resource deadlock avoided",
        Errno::ENAMETOOLONG => "File name too long",
        Errno::ENOLCK => "No locks available",
        Errno::ENOSYS => "Function not implemented",
        Errno::ENOTEMPTY => "Directory not empty",
        Errno::ELOOP => "Too many levels of symbolic links",
        Errno::ENODATA => "No data available",
        Errno::ETIME => "Timer expired",
        Errno::EPROTO => "Protocol error",
        Errno::EOVERFLOW => "Value too large for defined data type",
        Errno::ENOTSOCK => "Socket operation on non-socket",
        Errno::EDESTADDRREQ => "Destination address required",
        Errno::EMSGSIZE => "Message too long",
        Errno::EPROTOTYPE => "Protocol wrong type for socket",
        Errno::ENOPROTOOPT => "Protocol not available",
        Errno::EPROTONOSUPPORT => "Protocol not supported",
        Errno::ESOCKTNOSUPPORT => "Socket type not supported",
        Errno::EOPNOTSUPP => "Operation not supported",
        Errno::EPFNOSUPPORT => "Protocol family not supported",
        Errno::EAFNOSUPPORT => "Address family not supported by protocol",
        Errno::EADDRINUSE => "Address already in use",
        Errno::EADDRNOTAVAIL => "Cannot assign requested address",
        Errno::ENETDOWN => "Network is down",
        Errno::ENETUNREACH => "Network is unreachable",
        Errno::ENETRESET => "Network dropped connection on reset",
        Errno::ECONNABORTED => "Software caused connection abort",
        Errno::ECONNRESET => "Connection reset by peer",
        Errno::ENOBUFS => "No buffer space available",
        Errno::EISCONN => "Transport endpoint is already connected",
        Errno::ENOTCONN => "Transport endpoint is not connected",
        Errno::ESHUTDOWN => "Cannot send after transport endpoint shutdown",
        Errno::ETIMEDOUT => "Connection timed out",
        Errno::ECONNREFUSED => "Connection refused",
        Errno::EHOSTDOWN => "Host is down",
        Errno::EHOSTUNREACH => "No route to host",
        Errno::EALREADY => "Operation already in progress",
        Errno::EINPROGRESS => "Operation now in progress",
        Errno::ESTALE => "Stale file handle",
        Errno::EDQUOT => "Disk quota exceeded",
        Errno::ECANCELED => "Operation canceled",
        Errno::EOWNERDEAD => "Owner died",
        _ => "Unknown error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_joined_and_what_has_no_name_is_shown() {
        assert_eq!(open_flags(0), "O_RDONLY");
        assert_eq!(open_flags(0o2_000_001), "O_WRONLY|O_CLOEXEC");
        assert_eq!(
            flags(0x1_0003, PROT, "PROT_NONE"),
            "PROT_READ|PROT_WRITE|0x10000"
        );
        assert_eq!(flags(0, PROT, "PROT_NONE"), "PROT_NONE");
        assert_eq!(map_flags(0x22), "MAP_PRIVATE|MAP_ANONYMOUS");
        assert_eq!(
            futex_op(128 | 256 | 9),
            "FUTEX_WAIT_BITSET_PRIVATE|FUTEX_CLOCK_REALTIME"
        );
        assert_eq!(clone_flags(0x4111), "CLONE_VM|CLONE_VFORK|SIGCHLD");
    }

    #[test]
    fn sets_of_signals() {
        assert_eq!(signals(0), "[]");
        assert_eq!(signals(signal::bit(2) | signal::bit(17)), "[INT CHLD]");
        assert_eq!(signals(!signal::bit(9)), "~[KILL]");
        assert_eq!(signals(signal::bit(33)), "[RT_1]");
    }
}
