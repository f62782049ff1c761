//! Seccomp (Linux's `Documentation/userspace-api/seccomp_filter.rst`): two
//! filters, of which the stricter answer counts.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use crate::{ConfineError, Level, Needs};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// What any machine does: files that are open or shared, memory, threads,
/// time, the terminal, signals of its own, connections that it has.
const ALWAYS: &[i64] = &[
    // Files.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_preadv,
    libc::SYS_pwritev,
    libc::SYS_preadv2,
    libc::SYS_pwritev2,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    libc::SYS_fcntl,
    libc::SYS_flock,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_fstatfs,
    libc::SYS_statfs,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_getdents64,
    libc::SYS_readlinkat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_symlinkat,
    libc::SYS_linkat,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync_file_range,
    libc::SYS_copy_file_range,
    libc::SYS_fadvise64,
    libc::SYS_getcwd,
    libc::SYS_umask,
    libc::SYS_memfd_create,
    // Waiting.
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_timerfd_gettime,
    libc::SYS_futex,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_restart_syscall,
    // Memory.
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_membarrier,
    // Threads and signals.
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_rseq,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_tgkill,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_times,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getpgid,
    libc::SYS_getsid,
    // Connections that it has, or gets on a socket that listens already.
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_recvmmsg,
    libc::SYS_sendmmsg,
    libc::SYS_shutdown,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_socketpair,
];

/// The older forms that this architecture has besides.
#[cfg(target_arch = "x86_64")]
const OLD: &[i64] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_chmod,
    libc::SYS_dup2,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_time,
    libc::SYS_getpgrp,
    libc::SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[i64] = &[];

/// What a network takes besides.
const NETWORK: &[i64] = &[
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
];

/// What no machine ever does, and an intruder would like to.
const HOSTILE: &[i64] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kcmp,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_by_handle_at,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_personality,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
    libc::SYS_swapon,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_seccomp,
];

/// `ioctl` requests: the terminal's, what sockets and files are asked, and
/// what block devices are told to discard.
// C libraries do not agree on the type of a request.
#[allow(clippy::unnecessary_cast)]
const IOCTLS: &[u64] = &[
    libc::TCGETS as u64,
    libc::TCSETS as u64,
    libc::TCSETSW as u64,
    libc::TCSETSF as u64,
    libc::TIOCGWINSZ as u64,
    libc::TIOCSWINSZ as u64,
    libc::TIOCGPGRP as u64,
    libc::TIOCSPGRP as u64,
    libc::TIOCGSID as u64,
    libc::TIOCOUTQ as u64,
    libc::FIONREAD as u64,
    libc::FIONBIO as u64,
    libc::FIOCLEX as u64,
    // BLKDISCARD, BLKZEROOUT, BLKSSZGET, BLKGETSIZE64.
    0x1277,
    0x127f,
    0x1268,
    0x8008_1272,
    // TCGETS2 and its like, which newer C libraries use.
    0x802c_542a,
    0x402c_542b,
    0x402c_542c,
    0x402c_542d,
];

pub(crate) fn confine(needs: &Needs) -> Result<Level, ConfineError> {
    let programs = programs(needs).map_err(|error| ConfineError::Calls(error.to_string()))?;
    for program in programs {
        match seccompiler::apply_filter_all_threads(&program) {
            Ok(()) => {}
            // A kernel, or a sandbox around us, without it.
            Err(seccompiler::Error::Seccomp(error) | seccompiler::Error::Prctl(error))
                if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) =>
            {
                log::debug!("no seccomp: {error}");
                return Ok(Level::None);
            }
            Err(error) => return Err(ConfineError::Calls(error.to_string())),
        }
    }
    Ok(Level::Full)
}

fn programs(needs: &Needs) -> Result<[BpfProgram; 2], seccompiler::BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let compile =
        |rules, otherwise, then| SeccompFilter::new(rules, otherwise, then, arch)?.try_into();
    // The first one allows `seccomp` itself, by which the second is set up.
    let allowed = SeccompAction::Errno(libc::ENOSYS as u32);
    Ok([
        compile(allow(needs)?, allowed, SeccompAction::Allow)?,
        compile(
            any(HOSTILE),
            SeccompAction::Allow,
            SeccompAction::KillProcess,
        )?,
    ])
}

/// Calls whatever their arguments.
fn any(calls: &[i64]) -> Rules {
    calls.iter().map(|&call| (call, Vec::new())).collect()
}

/// A rule that asks argument `index`, but for bits outside `mask`, to be
/// `value`.
fn when(index: u8, mask: u64, value: u64) -> Result<SeccompRule, seccompiler::BackendError> {
    let operator = SeccompCmpOp::MaskedEq(mask);
    let condition = SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value)?;
    SeccompRule::new(vec![condition])
}

fn allow(needs: &Needs) -> Result<Rules, seccompiler::BackendError> {
    const DWORD: u64 = 0xffff_ffff;
    let mut rules = any(ALWAYS);
    rules.extend(any(OLD));
    // Both filters are set up through it; the second then forbids it.
    rules.extend(any(&[libc::SYS_seccomp]));
    if needs.network {
        rules.extend(any(NETWORK));
    }
    // Memory, but not to execute.
    let data = || when(2, libc::PROT_EXEC as u64, 0);
    rules.insert(libc::SYS_mmap, vec![data()?]);
    rules.insert(libc::SYS_mprotect, vec![data()?]);
    // Threads, but not processes. (`clone3` hides its flags in memory: C
    // libraries fall back to `clone` when it is missing.)
    let thread = (libc::CLONE_THREAD | libc::CLONE_VM) as u64;
    rules.insert(libc::SYS_clone, vec![when(0, thread, thread)?]);
    // A thread's name; and no new privileges, as seccomp wants it.
    let names = [
        libc::PR_SET_NAME,
        libc::PR_GET_NAME,
        libc::PR_SET_NO_NEW_PRIVS,
    ];
    let prctl = names
        .into_iter()
        .map(|option| when(0, DWORD, option as u64));
    rules.insert(libc::SYS_prctl, prctl.collect::<Result<_, _>>()?);
    // Limits to look at: the new ones are at a null pointer.
    let (low, high) = (SeccompCmpArgLen::Qword, SeccompCmpOp::Eq);
    let look = SeccompRule::new(vec![SeccompCondition::new(2, low, high, 0)?])?;
    rules.insert(libc::SYS_prlimit64, vec![look]);
    let ioctls = IOCTLS.iter().map(|&request| when(1, DWORD, request));
    rules.insert(libc::SYS_ioctl, ioctls.collect::<Result<_, _>>()?);
    // Signals to itself only.
    let pid = u64::from(std::process::id());
    rules.insert(libc::SYS_kill, vec![when(0, DWORD, pid)?]);
    Ok(rules)
}
