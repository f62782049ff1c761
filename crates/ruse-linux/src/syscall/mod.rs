//! The system calls: one table, one file a family.
//!
//! A line of the table gives number, name, function, and how strace shows the
//! arguments. Numbers are those of Linux's `asm-generic/unistd.h`.

mod dir;
mod event;
mod fd;
mod file;
mod futex;
mod hwprobe;
mod identity;
mod memory;
mod message;
pub(crate) mod misc;
mod pipe;
mod poll;
mod process;
mod resource;
mod shm;
mod signal;
mod socket;
mod splice;
mod stat;
#[cfg(test)]
mod tests;
mod time;
mod timer;
mod wait;

pub(crate) use pipe::install;
pub(crate) use poll::widen;
pub(crate) use shm::Segments;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::errno::Errno;
use crate::exec;
use crate::fs::{Description, Files};
use crate::kernel::Kernel;
use crate::mm::Mm;
use crate::process::Process;
use crate::thread::{Blocked, Thread, Tid, Wait};

/// Why a system call has no result.
pub(crate) enum Stop {
    /// It failed.
    Errno(Errno),
    /// It waits; it will be tried again from its start.
    Block(Wait),
    /// The thread does not go on after the ECALL (exit, exec, sigreturn): its
    /// registers are as they should be.
    Done,
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

/// What a system call gives.
pub(crate) type Answer = Result<u64, Stop>;

/// A system call being executed: the kernel, and who called.
pub(crate) struct Cx<'k> {
    pub kernel: &'k mut Kernel,
    pub tid: Tid,
    pub number: u64,
    pub args: [u64; 6],
    /// What it waited for, if it is tried again.
    pub earlier: Option<Blocked>,
}

impl<'k> Cx<'k> {
    pub(crate) fn new(
        kernel: &'k mut Kernel,
        tid: Tid,
        number: u64,
        args: [u64; 6],
        earlier: Option<Blocked>,
    ) -> Self {
        Self {
            kernel,
            tid,
            number,
            args,
            earlier,
        }
    }

    /// The calling thread.
    pub(crate) fn thread(&mut self) -> &mut Thread {
        let tid = self.tid;
        self.kernel
            .threads
            .get_mut(&tid)
            .unwrap_or_else(|| unreachable!("a caller is a thread"))
    }

    /// The calling process.
    pub(crate) fn process(&mut self) -> &mut Process {
        let pid = self.thread().pid;
        self.kernel
            .processes
            .get_mut(&pid)
            .unwrap_or_else(|| unreachable!("a thread has a process"))
    }

    /// The caller's memory. Its registers are in the hart.
    pub(crate) fn mm(&mut self) -> Rc<RefCell<Mm>> {
        Rc::clone(&self.thread().mm)
    }

    /// The caller's file descriptors.
    pub(crate) fn files(&mut self) -> Rc<RefCell<Files>> {
        Rc::clone(&self.thread().files)
    }

    /// The open file description behind a descriptor argument.
    pub(crate) fn file(&mut self, fd: u64) -> Result<Rc<Description>, Errno> {
        self.files().borrow().get(fd as i32)
    }

    pub(crate) fn read(&mut self, va: u64, out: &mut [u8]) -> Result<(), Errno> {
        self.mm().borrow_mut().read(va, out)
    }

    pub(crate) fn write(&mut self, va: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.mm().borrow_mut().write(va, bytes)
    }

    pub(crate) fn read_u64(&mut self, va: u64) -> Result<u64, Errno> {
        let mut bytes = [0; 8];
        self.read(va, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    pub(crate) fn read_u32(&mut self, va: u64) -> Result<u32, Errno> {
        let mut bytes = [0; 4];
        self.read(va, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// `len` bytes, of which there may be up to `most`.
    pub(crate) fn bytes(&mut self, va: u64, len: u64, most: u64) -> Result<Vec<u8>, Errno> {
        if len > most {
            return Err(Errno::EINVAL);
        }
        let mut bytes = vec![0; len as usize];
        self.read(va, &mut bytes)?;
        Ok(bytes)
    }

    /// A NUL-terminated string of fewer than `most` bytes.
    pub(crate) fn string(&mut self, va: u64, most: usize) -> Result<Vec<u8>, Errno> {
        let mut text = Vec::new();
        let mut at = va;
        while text.len() < most {
            // Not across pages: the next one may be out of bounds.
            let mut chunk = [0; 64];
            let len = 64.min(4096 - (at & 4095)) as usize;
            self.read(at, &mut chunk[..len])?;
            if let Some(end) = chunk[..len].iter().position(|&b| b == 0) {
                text.extend_from_slice(&chunk[..end]);
                return if text.len() < most {
                    Ok(text)
                } else {
                    Err(Errno::ENAMETOOLONG)
                };
            }
            text.extend_from_slice(&chunk[..len]);
            at = at.wrapping_add(len as u64);
        }
        Err(Errno::ENAMETOOLONG)
    }

    /// A path argument.
    pub(crate) fn path(&mut self, va: u64) -> Result<Vec<u8>, Errno> {
        self.string(va, 4096)
    }

    /// A `struct timespec` argument.
    pub(crate) fn timespec(&mut self, va: u64) -> Result<Duration, Errno> {
        let (secs, nanos) = (self.read_u64(va)?, self.read_u64(va.wrapping_add(8))?);
        if secs > i64::MAX as u64 || nanos >= 1_000_000_000 {
            return Err(Errno::EINVAL);
        }
        Ok(Duration::new(secs, nanos as u32))
    }

    /// When a wait of `timeout` ends that began when the call was first
    /// tried; `None` waits for ever.
    pub(crate) fn deadline(&self, timeout: Option<Duration>) -> Option<Duration> {
        match &self.earlier {
            Some(earlier) => earlier.wait.deadline,
            None => timeout.map(|timeout| self.kernel.host.monotonic().saturating_add(timeout)),
        }
    }

    /// Whether `deadline` has passed.
    pub(crate) fn expired(&self, deadline: Option<Duration>) -> bool {
        deadline.is_some_and(|at| at <= self.kernel.host.monotonic())
    }

    /// Whether the call waited in a queue and was let go.
    pub(crate) fn woken(&self) -> bool {
        self.earlier.as_ref().is_some_and(|earlier| earlier.woken)
    }
}

/// The number of wait4(2).
pub(crate) const WAIT4: u64 = 260;
/// The number of waitid(2).
pub(crate) const WAITID: u64 = 95;

type Call = fn(&mut Cx) -> Answer;

macro_rules! calls {
    ($( $number:literal $name:ident $module:ident::$function:ident $shape:literal; )*) => {
        /// Name, function and argument shape of a system call.
        pub(crate) fn find(number: u64) -> Option<(&'static str, Call, &'static str)> {
            match number {
                $( $number => Some((stringify!($name), $module::$function, $shape)), )*
                _ => None,
            }
        }
    };
}

// Shapes, one letter an argument. Plain: i int, u unsigned, x hexadecimal,
// p pointer, f descriptor, d directory descriptor (AT_FDCWD), m mode.
// Read by the call: s string, b bytes whose length is the next argument,
// t timespec, v iovec and k socket address with their lengths next, L pollfd
// likewise, V strings and E how many, G signal set, A sigaction, R limit.
// Written by the call: B bytes as many as the result, T timespec, Z stat,
// 2 two descriptors, g signal set, a sigaction, W wait status, q limit.
// Names: o open flags, D descriptor flags, P protection, M mmap flags,
// S signal, c clock, F futex operation, H how a mask changes, K clone flags,
// w wait options, r resource, C fcntl, I ioctl, 0 whence, O prctl.
calls! {
    // Files.
    5 setxattr stat::xattr "ssxui";
    6 lsetxattr stat::xattr "ssxui";
    7 fsetxattr stat::xattr "fsxui";
    8 getxattr stat::xattr "sspu";
    9 lgetxattr stat::xattr "sspu";
    10 fgetxattr stat::xattr "fspu";
    11 listxattr stat::listxattr "spu";
    12 llistxattr stat::listxattr "spu";
    13 flistxattr stat::listxattr "fpu";
    14 removexattr stat::xattr "ss";
    15 lremovexattr stat::xattr "ss";
    16 fremovexattr stat::xattr "fs";
    17 getcwd dir::getcwd "Bu";
    23 dup fd::dup "f";
    24 dup3 fd::dup3 "ffD";
    25 fcntl fd::fcntl "fCx";
    29 ioctl fd::ioctl "fIx";
    32 flock fd::flock "fi";
    33 mknodat dir::mknodat "dsmx";
    34 mkdirat dir::mkdirat "dsm";
    35 unlinkat dir::unlinkat "dsx";
    36 symlinkat dir::symlinkat "sds";
    37 linkat dir::linkat "dsdsx";
    39 umount2 stat::mount "sx";
    40 mount stat::mount "sssxp";
    41 pivot_root stat::mount "ss";
    43 statfs stat::statfs "sp";
    44 fstatfs stat::fstatfs "fp";
    45 truncate dir::truncate "si";
    46 ftruncate file::ftruncate "fi";
    47 fallocate file::fallocate "fxuu";
    48 faccessat stat::faccessat "dsi";
    49 chdir dir::chdir "s";
    50 fchdir dir::fchdir "f";
    51 chroot dir::chroot "s";
    52 fchmod dir::fchmod "fm";
    53 fchmodat dir::fchmodat "dsm";
    54 fchownat dir::fchownat "dsiix";
    55 fchown dir::fchown "fii";
    56 openat dir::openat "dsom";
    57 close fd::close "f";
    60 quotactl misc::not_there "xsup";
    61 getdents64 dir::getdents64 "fpu";
    62 lseek file::lseek "fi0";
    63 read file::read "fBu";
    64 write file::write "fbu";
    65 readv file::readv "fpu";
    66 writev file::writev "fvu";
    67 pread64 file::pread64 "fBui";
    68 pwrite64 file::pwrite64 "fbui";
    69 preadv file::preadv "fpui";
    70 pwritev file::pwritev "fvui";
    71 sendfile file::sendfile "ffpu";
    75 vmsplice splice::refused "fpux";
    76 splice splice::splice "fpfpux";
    77 tee splice::refused "ffux";
    78 readlinkat dir::readlinkat "dsBu";
    79 newfstatat stat::newfstatat "dsZx";
    80 fstat stat::fstat "fZ";
    81 sync file::sync "";
    82 fsync file::fsync "f";
    83 fdatasync file::fdatasync "f";
    84 sync_file_range file::sync_file_range "fuux";
    88 utimensat dir::utimensat "dspx";
    166 umask dir::umask "m";
    213 readahead file::readahead "fuu";
    223 fadvise64 file::fadvise64 "fuui";
    262 fanotify_init misc::not_there "xx";
    263 fanotify_mark misc::not_there "fxxds";
    264 name_to_handle_at stat::handle "dsppx";
    265 open_by_handle_at stat::mount "fpo";
    267 syncfs file::syncfs "f";
    276 renameat2 dir::renameat2 "dsdsx";
    279 memfd_create fd::memfd_create "sx";
    285 copy_file_range file::copy_file_range "fpfpux";
    286 preadv2 file::preadv2 "fpuiix";
    287 pwritev2 file::pwritev2 "fpuiix";
    291 statx stat::statx "dsxxp";
    428 open_tree stat::mount "dsx";
    429 move_mount stat::mount "dsdsx";
    430 fsopen stat::mount "sx";
    436 close_range fd::close_range "uux";
    437 openat2 dir::openat2 "dspu";
    439 faccessat2 stat::faccessat2 "dsix";
    452 fchmodat2 dir::fchmodat2 "dsmx";
    // Memory and exec.
    194 shmget shm::shmget "xux";
    195 shmctl shm::shmctl "iip";
    196 shmat shm::shmat "ipx";
    197 shmdt shm::shmdt "p";
    214 brk memory::brk "p";
    215 munmap memory::munmap "pu";
    216 mremap memory::mremap "puuxp";
    221 execve exec::execve "sVE";
    222 mmap memory::mmap "puPMfx";
    226 mprotect memory::mprotect "puP";
    227 msync memory::msync "pux";
    228 mlock memory::mlock "pu";
    229 munlock memory::munlock "pu";
    230 mlockall memory::mlockall "x";
    231 munlockall memory::munlockall "";
    232 mincore memory::mincore "pup";
    233 madvise memory::madvise "pui";
    258 riscv_hwprobe hwprobe::riscv_hwprobe "puupx";
    259 riscv_flush_icache memory::riscv_flush_icache "ppx";
    281 execveat exec::execveat "dsVEx";
    283 membarrier memory::membarrier "ixi";
    284 mlock2 memory::mlock2 "pux";
    288 pkey_mprotect memory::pkey_mprotect "puPi";

    // Pipes, terminals, waiting for files.
    19 eventfd2 event::eventfd2 "ux";
    20 epoll_create1 event::epoll_create1 "x";
    21 epoll_ctl event::epoll_ctl "fifp";
    22 epoll_pwait event::epoll_pwait "fpiixu";
    59 pipe2 pipe::pipe2 "2D";
    72 pselect6 poll::pselect6 "ipppt";
    73 ppoll poll::ppoll "Lutpu";
    74 signalfd4 event::signalfd4 "fpux";
    85 timerfd_create event::timerfd_create "ix";
    86 timerfd_settime event::timerfd_settime "fxpp";
    87 timerfd_gettime event::timerfd_gettime "fp";
    198 socket socket::socket "ixi";
    199 socketpair socket::socketpair "ixi2";
    200 bind socket::bind "fku";
    201 listen socket::listen "fi";
    202 accept socket::accept "fpp";
    203 connect socket::connect "fku";
    204 getsockname socket::getsockname "fpp";
    205 getpeername socket::getpeername "fpp";
    206 sendto message::sendto "fbuxku";
    207 recvfrom message::recvfrom "fBuxpp";
    208 setsockopt socket::setsockopt "fiipu";
    209 getsockopt socket::getsockopt "fiipp";
    210 shutdown socket::shutdown "fi";
    211 sendmsg message::sendmsg "fpx";
    212 recvmsg message::recvmsg "fpx";
    242 accept4 socket::accept4 "fppx";
    243 recvmmsg message::recvmmsg "fpuxt";
    269 sendmmsg message::sendmmsg "fpux";
    441 epoll_pwait2 event::epoll_pwait2 "fpitpu";

    // Processes, signals, time.
    90 capget identity::capget "pp";
    91 capset identity::capset "pp";
    92 personality misc::personality "x";
    93 exit process::exit "i";
    94 exit_group process::exit_group "i";
    95 waitid wait::waitid "iipwp";
    96 set_tid_address process::set_tid_address "p";
    97 unshare misc::unshare "x";
    98 futex futex::futex "pFuppx";
    99 set_robust_list futex::set_robust_list "pu";
    100 get_robust_list futex::get_robust_list "ipp";
    101 nanosleep time::nanosleep "tp";
    102 getitimer timer::getitimer "ip";
    103 setitimer timer::setitimer "ipp";
    107 timer_create timer::timer_create "cpp";
    108 timer_gettime timer::timer_gettime "ip";
    109 timer_getoverrun timer::timer_getoverrun "i";
    110 timer_settime timer::timer_settime "ixpp";
    111 timer_delete timer::timer_delete "i";
    112 clock_settime time::not_permitted "ct";
    113 clock_gettime time::clock_gettime "cT";
    114 clock_getres time::clock_getres "cT";
    115 clock_nanosleep time::clock_nanosleep "cxtp";
    116 syslog misc::syslog "ipi";
    117 ptrace misc::not_permitted "iixx";
    118 sched_setparam resource::sched_setparam "ip";
    119 sched_setscheduler resource::sched_setscheduler "iip";
    120 sched_getscheduler resource::sched_getscheduler "i";
    121 sched_getparam resource::sched_getparam "ip";
    122 sched_setaffinity resource::sched_setaffinity "iup";
    123 sched_getaffinity resource::sched_getaffinity "iup";
    124 sched_yield resource::sched_yield "";
    125 sched_get_priority_max resource::sched_get_priority_max "i";
    126 sched_get_priority_min resource::sched_get_priority_min "i";
    127 sched_rr_get_interval misc::sched_rr_get_interval "ip";
    128 restart_syscall signal::restart_syscall "";
    129 kill signal::kill "iS";
    130 tkill signal::tkill "iS";
    131 tgkill signal::tgkill "iiS";
    132 sigaltstack signal::sigaltstack "pp";
    133 rt_sigsuspend signal::rt_sigsuspend "Gu";
    134 rt_sigaction signal::rt_sigaction "SAau";
    135 rt_sigprocmask signal::rt_sigprocmask "HGgu";
    136 rt_sigpending signal::rt_sigpending "gu";
    137 rt_sigtimedwait signal::rt_sigtimedwait "Gptu";
    138 rt_sigqueueinfo signal::rt_sigqueueinfo "iSp";
    139 rt_sigreturn signal::rt_sigreturn "";
    140 setpriority resource::setpriority "iii";
    141 getpriority resource::getpriority "ii";
    142 reboot misc::not_permitted "xxxp";
    143 setregid identity::setregid "ii";
    144 setgid identity::setgid "i";
    145 setreuid identity::setreuid "ii";
    146 setuid identity::setuid "i";
    147 setresuid identity::setresuid "iii";
    148 getresuid identity::getresuid "ppp";
    149 setresgid identity::setresgid "iii";
    150 getresgid identity::getresgid "ppp";
    151 setfsuid identity::setfsuid "i";
    152 setfsgid identity::setfsgid "i";
    153 times time::times "p";
    154 setpgid identity::setpgid "ii";
    155 getpgid identity::getpgid "i";
    156 getsid identity::getsid "i";
    157 setsid identity::setsid "";
    158 getgroups identity::getgroups "ip";
    159 setgroups identity::setgroups "up";
    160 uname misc::uname "p";
    161 sethostname misc::not_permitted "su";
    162 setdomainname misc::not_permitted "su";
    163 getrlimit resource::getrlimit "rp";
    164 setrlimit resource::setrlimit "rR";
    165 getrusage time::getrusage "ip";
    167 prctl misc::prctl "Oxxxx";
    168 getcpu misc::getcpu "ppp";
    169 gettimeofday time::gettimeofday "pp";
    170 settimeofday time::not_permitted "pp";
    171 adjtimex time::not_permitted "p";
    172 getpid process::getpid "";
    173 getppid process::getppid "";
    174 getuid identity::getuid "";
    175 geteuid identity::geteuid "";
    176 getgid identity::getgid "";
    177 getegid identity::getegid "";
    178 gettid process::gettid "";
    179 sysinfo misc::sysinfo "p";
    30 ioprio_set resource::ioprio_set "iix";
    31 ioprio_get resource::ioprio_get "ii";
    104 kexec_load misc::not_permitted "uupx";
    105 init_module misc::not_permitted "pus";
    106 delete_module misc::not_permitted "sx";
    217 add_key misc::not_there "sspui";
    218 request_key misc::not_there "sssi";
    219 keyctl misc::not_there "ixxxx";
    220 clone process::clone "Kpppp";
    224 swapon misc::not_permitted "sx";
    225 swapoff misc::not_permitted "s";
    240 rt_tgsigqueueinfo signal::rt_tgsigqueueinfo "iiSp";
    241 perf_event_open misc::not_there "piifx";
    260 wait4 wait::wait4 "iWwp";
    261 prlimit64 resource::prlimit64 "irRq";
    266 clock_adjtime time::not_permitted "cp";
    268 setns misc::not_permitted "fx";
    272 kcmp misc::not_there "iiixx";
    274 sched_setattr resource::sched_setattr "ipx";
    275 sched_getattr resource::sched_getattr "ipux";
    277 seccomp misc::seccomp "xxp";
    278 getrandom misc::getrandom "Bux";
    280 bpf misc::not_permitted "ipu";
    282 userfaultfd misc::not_permitted "x";
    293 rseq misc::not_there "puxx";
    424 pidfd_send_signal process::pidfd_send_signal "fSpx";
    425 io_uring_setup misc::not_there "up";
    434 pidfd_open process::pidfd_open "ix";
    435 clone3 process::clone3 "pu";
    438 pidfd_getfd process::pidfd_getfd "fix";
    449 futex_waitv misc::not_there "puxti";
}

/// Executes a system call.
pub(crate) fn dispatch(cx: &mut Cx) -> Answer {
    match find(cx.number) {
        Some((_, call, _)) => call(cx),
        None => {
            if cx.kernel.unknown.insert(cx.number) {
                log::warn!("system call {} is unknown: ENOSYS", cx.number);
            }
            Err(Errno::ENOSYS.into())
        }
    }
}
