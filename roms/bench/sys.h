// What a program needs of Linux when it has no C library: types, system calls, and the
// structures that they take. The same source runs on the host and in every guest.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long i64;
typedef int i32;

_Static_assert(sizeof(u64) == 8, "64-bit processors only");

#if defined(__x86_64__)
enum {
    SYS_read = 0, SYS_write = 1, SYS_close = 3, SYS_lseek = 8, SYS_mmap = 9, SYS_munmap = 11,
    SYS_ioctl = 16, SYS_pread64 = 17, SYS_pwrite64 = 18, SYS_madvise = 28, SYS_nanosleep = 35,
    SYS_socket = 41, SYS_connect = 42, SYS_bind = 49, SYS_listen = 50, SYS_getsockname = 51,
    SYS_setsockopt = 54, SYS_clone = 56, SYS_wait4 = 61, SYS_kill = 62, SYS_fdatasync = 75,
    SYS_getppid = 110, SYS_prctl = 157, SYS_mount = 165, SYS_reboot = 169,
    SYS_sched_setaffinity = 203, SYS_sched_getaffinity = 204, SYS_clock_gettime = 228,
    SYS_exit_group = 231, SYS_openat = 257, SYS_mkdirat = 258, SYS_accept4 = 288, SYS_pipe2 = 293,
    SYS_finit_module = 313, O_DIRECT = 040000,
};
#elif defined(__riscv) || defined(__aarch64__)
enum {
    SYS_ioctl = 29, SYS_mkdirat = 34, SYS_mount = 40, SYS_openat = 56, SYS_close = 57,
    SYS_pipe2 = 59, SYS_lseek = 62, SYS_read = 63, SYS_write = 64, SYS_pread64 = 67,
    SYS_pwrite64 = 68, SYS_fdatasync = 83, SYS_exit_group = 94, SYS_nanosleep = 101,
    SYS_clock_gettime = 113, SYS_sched_setaffinity = 122, SYS_sched_getaffinity = 123,
    SYS_kill = 129, SYS_reboot = 142, SYS_prctl = 167, SYS_getppid = 173, SYS_socket = 198,
    SYS_bind = 200, SYS_listen = 201, SYS_connect = 203, SYS_getsockname = 204,
    SYS_setsockopt = 208, SYS_munmap = 215, SYS_clone = 220, SYS_mmap = 222, SYS_madvise = 233,
    SYS_accept4 = 242, SYS_wait4 = 260, SYS_finit_module = 273,
#ifdef __riscv
    O_DIRECT = 040000,
#else
    O_DIRECT = 0200000,
#endif
};
#else
#error "no system calls known for this processor"
#endif

static inline i64 sys6(i64 number, i64 a, i64 b, i64 c, i64 d, i64 e, i64 f) {
#if defined(__x86_64__)
    i64 result;
    register i64 r10 __asm__("r10") = d;
    register i64 r8 __asm__("r8") = e;
    register i64 r9 __asm__("r9") = f;
    __asm__ volatile("syscall" : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__riscv)
    register i64 a0 __asm__("a0") = a;
    register i64 a1 __asm__("a1") = b;
    register i64 a2 __asm__("a2") = c;
    register i64 a3 __asm__("a3") = d;
    register i64 a4 __asm__("a4") = e;
    register i64 a5 __asm__("a5") = f;
    register i64 a7 __asm__("a7") = number;
    __asm__ volatile("ecall" : "+r"(a0)
                     : "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5), "r"(a7) : "memory");
    return a0;
#else
    register i64 x0 __asm__("x0") = a;
    register i64 x1 __asm__("x1") = b;
    register i64 x2 __asm__("x2") = c;
    register i64 x3 __asm__("x3") = d;
    register i64 x4 __asm__("x4") = e;
    register i64 x5 __asm__("x5") = f;
    register i64 x8 __asm__("x8") = number;
    __asm__ volatile("svc 0" : "+r"(x0)
                     : "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5), "r"(x8) : "memory");
    return x0;
#endif
}

#define SYS_N(number, a, b, c, d, e, f, ...) \
    sys6(number, (i64)(a), (i64)(b), (i64)(c), (i64)(d), (i64)(e), (i64)(f))
#define sys(...) SYS_N(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

enum {
    AT_FDCWD = -100,
    O_RDONLY = 0, O_RDWR = 2, O_CREAT = 0100,
    EINTR = 4, EINVAL = 22,
    SIGCHLD = 17, SIGKILL = 9,
    PROT_READ = 1, PROT_WRITE = 2, MAP_PRIVATE = 2, MAP_ANONYMOUS = 0x20,
    MADV_NOHUGEPAGE = 15,
    PR_SET_PDEATHSIG = 1, PR_SET_TIMERSLACK = 29,
    AF_INET = 2, SOCK_STREAM = 1, SOCK_DGRAM = 2, IPPROTO_TCP = 6, TCP_NODELAY = 1,
    SIOCSIFFLAGS = 0x8914, SIOCSIFADDR = 0x8916, SIOCSIFNETMASK = 0x891c, IFF_UP = 1,
    CLOCK_MONOTONIC = 1,
    MODULE_INIT_COMPRESSED_FILE = 4,
};

struct timespec {
    i64 seconds, nanos;
};

struct sockaddr_in {
    u16 family, port; // The port's bytes are in the network's order, as are the address's.
    u8 address[4], zero[8];
};

struct ifreq {
    char name[16];
    union {
        struct sockaddr_in address;
        u16 flags;
        u8 room[24];
    };
};
