//! Memory, as guests see it.

use crate::Outcome;
use crate::testing::Guest;

/// Runs a C program that exits with 0 if all is well.
#[track_caller]
fn ok(source: &str) {
    if let Some(guest) = Guest::c(source) {
        guest.run().prints("");
    }
}

#[test]
fn anonymous_memory_is_zero_and_protected_as_asked() {
    ok(r#"
static volatile int faults, code; static char *volatile where;
static void handler(int s, siginfo_t *i, void *c) {
    faults++; code = i->si_code; where = i->si_addr;
    mprotect((void *)((uintptr_t)where & ~4095), 4096, PROT_READ | PROT_WRITE);
}
int main(void) {
    struct sigaction a = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    CHECK(!sigaction(SIGSEGV, &a, 0));
    char *p = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    for (int i = 0; i < 1 << 20; i += 1000) { CHECK(!p[i]); p[i] = i; }
    CHECK(!mprotect(p + 8192, 4096, PROT_READ));
    p[8192 + 5] = 1;
    CHECK(faults == 1 && code == SEGV_ACCERR && where == p + 8192 + 5);
    CHECK(!mprotect(p + 8192, 4096, PROT_NONE));
    CHECK(((volatile char *)p)[8192 + 5] == 1);
    CHECK(faults == 2);
    // An access across two pages: the address is that of the second.
    CHECK(!mprotect(p + 8192, 4096, PROT_NONE));
    *(volatile uint64_t *)(p + 8192 - 3) = ~0ull;
    CHECK(faults == 3 && where == p + 8192);
    CHECK(*(uint64_t *)(p + 8192 - 3) == ~0ull);
    CHECK(!munmap(p, 1 << 20));
    FAILS(mprotect(p, 4096, PROT_READ), ENOMEM);
    FAILS(mprotect(p + 1, 4096, PROT_READ), EINVAL);
    FAILS(munmap(p + 1, 4096), EINVAL);
    FAILS(munmap(p, 0), EINVAL);
    FAILS(mmap(0, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), EINVAL);
    FAILS(mmap(0, 4096, PROT_READ, MAP_ANONYMOUS, -1, 0), EINVAL);
    FAILS(mmap(0, 1ull << 40, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
    FAILS(mmap(0, -1ul, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
    FAILS(mmap(0, 4096, PROT_READ, MAP_PRIVATE, 77, 0), EBADF);
    // The kernel's accesses obey the same rules.
    char *none = mmap(0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    FAILS(write(1, none, 1), EFAULT);
    FAILS(stat((void *)(1ull << 38), (void *)p), EFAULT);
    char *read_only = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    FAILS(stat("/", (void *)read_only), EFAULT);
    FAILS(stat("/", (void *)-8), EFAULT);
    return 0;
}"#);
}

#[test]
fn large_reservations_are_free_and_filled_in_place() {
    // As Go's runtime does it.
    ok(r#"
int main(void) {
    size_t size = 128ull << 30;
    char *p = mmap(0, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(p != MAP_FAILED);
    CHECK((uintptr_t)p + size <= 1ull << 38);
    for (size_t at = 0; at < size; at += 1ull << 30) {
        char *q = mmap(p + at, 1 << 16, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        CHECK(q == p + at);
        q[5] = 1;
    }
    for (size_t at = 0; at < size; at += 1ull << 30) CHECK(p[at + 5] == 1 && p[at + 6] == 0);
    CHECK(!madvise(p, 1 << 16, MADV_DONTNEED));
    CHECK(p[5] == 0);
    CHECK(mmap(p, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p);
    CHECK(!mprotect(p + (64ull << 30), 4096, PROT_READ));
    CHECK(p[(64ull << 30) + 5] == 0);
    CHECK(!munmap(p, size));
    FAILS(mmap(p, 1 << 16, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
        -1, 0) == p ? -1 : 0, EEXIST - EEXIST);
    FAILS(mmap(p, 1 << 16, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
        -1, 0), EEXIST);
    // Hints are taken where that is possible.
    CHECK(mmap((void *)0x1234567000, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        == (void *)0x1234567000);
    CHECK(mmap((void *)0x1234567000, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        != (void *)0x1234567000);
    return 0;
}"#);
}

#[test]
fn files_private_and_shared() {
    ok(r#"
static volatile int bus;
static void handler(int s, siginfo_t *i, void *c) {
    bus += i->si_code == BUS_ADRERR;
    mmap((void *)((uintptr_t)i->si_addr & ~4095), 4096, PROT_READ | PROT_WRITE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}
int main(void) {
    struct sigaction a = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    CHECK(!sigaction(SIGBUS, &a, 0));
    int fd = open("/tmp/file", O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0);
    char page[4096];
    for (int i = 0; i < 5; i++) { memset(page, 'a' + i, 4096); CHECK(write(fd, page, 4096) == 4096); }
    CHECK(write(fd, "tail", 4) == 4);
    // Private: stores stay here, the end of the last page is zero.
    char *p = mmap(0, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 4096);
    CHECK(p[0] == 'b' && p[4095] == 'b' && p[4096] == 'c');
    CHECK(!memcmp(p + 4 * 4096, "tail\0\0\0\0", 8) && p[5 * 4096 - 1] == 0);
    p[0] = 'X';
    CHECK(pread(fd, page, 1, 4096) == 1 && page[0] == 'b');
    CHECK(!madvise(p, 4096, MADV_DONTNEED) && p[0] == 'b');
    ((volatile char *)p)[5 * 4096] = 1;
    CHECK(bus == 1);
    // Shared: two mappings and the file are one.
    char *s = mmap(0, 6 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *t = mmap(0, 6 * 4096, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(s != MAP_FAILED && t != MAP_FAILED && t[4096] == 'b');
    s[4096] = 'Y'; s[4097] = 'Z';
    CHECK(t[4096] == 'Y' && t[4097] == 'Z');
    CHECK(pread(fd, page, 2, 4096) == 2 && page[0] == 'Y' && page[1] == 'Z');
    CHECK(pwrite(fd, "Q", 1, 4098) == 1);
    CHECK(s[4098] == 'Q' && t[4098] == 'Q');
    if (!fork()) { s[3 * 4096] = 'f'; _exit(0); }
    int status; CHECK(wait(&status) > 0 && status == 0);
    CHECK(t[3 * 4096] == 'f');
    CHECK(!msync(s, 6 * 4096, MS_SYNC));
    s[2 * 4096] = 'm';
    CHECK(!munmap(s, 6 * 4096));
    CHECK(pread(fd, page, 1, 2 * 4096) == 1 && page[0] == 'm');
    CHECK(pread(fd, page, 1, 3 * 4096) == 1 && page[0] == 'f');
    // Beyond the last page there is nothing, until the file grows.
    s = mmap(0, 8 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(!ftruncate(fd, 7 * 4096));
    s[6 * 4096] = 'g';
    CHECK(bus == 1);
    ((volatile char *)s)[7 * 4096] = 1;
    CHECK(bus == 2);
    struct stat st; CHECK(!fstat(fd, &st) && st.st_size == 7 * 4096);
    close(fd);
    // What may not be written to stays so.
    fd = open("/tmp/file", O_RDONLY);
    FAILS(mmap(0, 4096, PROT_WRITE, MAP_SHARED, fd, 0), EACCES);
    s = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
    FAILS(mprotect(s, 4096, PROT_READ | PROT_WRITE), EACCES);
    CHECK(mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0) != MAP_FAILED);
    FAILS(mmap(0, 4096, PROT_READ, MAP_PRIVATE, fd, 1), EINVAL);
    FAILS(mmap(0, 4096, PROT_READ, MAP_PRIVATE, open("/tmp", O_RDONLY), 0), ENODEV);
    int w = open("/tmp/file", O_WRONLY);
    FAILS(mmap(0, 4096, PROT_WRITE, MAP_SHARED, w, 0), EACCES);
    return 0;
}"#);
}

#[test]
fn what_fork_shares_and_what_it_copies() {
    ok(r#"
int main(void) {
    int flags = MAP_ANONYMOUS, rw = PROT_READ | PROT_WRITE;
    char *private = mmap(0, 1 << 20, rw, flags | MAP_PRIVATE, -1, 0);
    char *shared = mmap(0, 1 << 20, rw, flags | MAP_SHARED, -1, 0);
    char *wiped = mmap(0, 4096, rw, flags | MAP_PRIVATE, -1, 0);
    char *gone = mmap(0, 4096, rw, flags | MAP_PRIVATE, -1, 0);
    private[0] = shared[0] = wiped[0] = gone[0] = 1;
    private[999999] = 7;
    CHECK(!madvise(wiped, 4096, MADV_WIPEONFORK));
    CHECK(!madvise(gone, 4096, MADV_DONTFORK));
    pid_t child = fork();
    if (!child) {
        CHECK(private[0] == 1 && private[999999] == 7 && shared[0] == 1 && wiped[0] == 0);
        unsigned char there;
        FAILS(mincore(gone, 4096, &there), ENOMEM);
        private[0] = 2; private[500000] = 2; shared[0] = 2; shared[500000] = 3;
        _exit(0);
    }
    int status;
    CHECK(wait(&status) == child && status == 0);
    CHECK(private[0] == 1 && private[500000] == 0 && shared[0] == 2 && shared[500000] == 3);
    CHECK(wiped[0] == 1 && gone[0] == 1);
    // vfork: one memory.
    if (!vfork()) { private[0] = 9; _exit(0); }
    CHECK(wait(&status) > 0 && private[0] == 9);
    // A grandchild shares with us as well.
    if (!fork()) { if (!fork()) { shared[1] = 42; _exit(0); } wait(0); _exit(0); }
    CHECK(wait(&status) > 0 && shared[1] == 42);
    return 0;
}"#);
}

#[test]
fn mremap_grows_shrinks_and_moves() {
    ok(r#"
int main(void) {
    int flags = MAP_ANONYMOUS | MAP_PRIVATE, rw = PROT_READ | PROT_WRITE;
    char *p = mmap(0, 64 << 12, rw, flags, -1, 0);
    for (int i = 0; i < 64; i++) p[i << 12] = i + 1;
    CHECK(mremap(p, 64 << 12, 32 << 12, 0) == p);
    CHECK(mremap(p, 32 << 12, 48 << 12, 0) == p);
    CHECK(p[31 << 12] == 32 && p[32 << 12] == 0);
    CHECK(mmap(p + (48 << 12), 4096, PROT_NONE, flags | MAP_FIXED, -1, 0) == p + (48 << 12));
    FAILS(mremap(p, 48 << 12, 64 << 12, 0), ENOMEM);
    char *q = mremap(p, 48 << 12, 1 << 30, MREMAP_MAYMOVE);
    CHECK(q != MAP_FAILED && q != p && q[0] == 1 && q[31 << 12] == 32 && q[1 << 29] == 0);
    FAILS(write(1, p, 1), EFAULT);
    char *to = mmap(0, 8 << 12, rw, flags, -1, 0);
    to[0] = 99;
    CHECK(mremap(q, 4 << 12, 4 << 12, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
    CHECK(to[0] == 1 && to[3 << 12] == 4 && to[4 << 12] == 0);
    FAILS(mremap(to, 4096, 8192, MREMAP_FIXED, q), EINVAL);
    FAILS(mremap(to, 8 << 12, 8 << 12, MREMAP_MAYMOVE | MREMAP_FIXED, to + 4096), EINVAL);
    FAILS(mremap((void *)0x10000000, 4096, 8192, MREMAP_MAYMOVE), EFAULT);
    FAILS(mremap(to + 1, 4096, 8192, MREMAP_MAYMOVE), EINVAL);
    FAILS(mremap(to, 4096, 0, MREMAP_MAYMOVE), EINVAL);
    // Shared memory moves with all its windows; of size 0 it is doubled.
    char *s = mmap(0, 4 << 12, rw, MAP_ANONYMOUS | MAP_SHARED, -1, 0);
    s[3 << 12] = 5;
    char *twice = mremap(s, 0, 4 << 12, MREMAP_MAYMOVE);
    CHECK(twice != MAP_FAILED && twice != s && twice[3 << 12] == 5);
    twice[0] = 6;
    CHECK(s[0] == 6);
    char *moved = mremap(s, 4 << 12, 16 << 12, MREMAP_MAYMOVE);
    CHECK(moved != MAP_FAILED && moved[3 << 12] == 5);
    moved[1] = 8;
    CHECK(twice[1] == 8);
    char *kept = mmap(0, 4096, rw, flags, -1, 0);
    kept[0] = 3;
    char *other = mremap(kept, 4096, 4096, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
    CHECK(other != MAP_FAILED && other[0] == 3 && kept[0] == 0);
    return 0;
}"#);
}

#[test]
fn the_heap_and_its_limits() {
    ok(r#"
int main(void) {
    char *start = sbrk(0);
    CHECK(sbrk(1 << 20) == start);
    start[0] = start[(1 << 20) - 1] = 1;
    CHECK(sbrk(-(1 << 20)) == start + (1 << 20));
    CHECK(sbrk(4096) == start && start[0] == 0);
    FAILS(sbrk(1l << 40), ENOMEM);
    struct rlimit limit = {64 << 20, 64 << 20};
    CHECK(!setrlimit(RLIMIT_AS, &limit));
    FAILS(mmap(0, 128 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
    FAILS(sbrk(128 << 20), ENOMEM);
    CHECK(!malloc(128 << 20));
    char *p = malloc(16 << 20);
    CHECK(p);
    FAILS(mremap(p, 0, 1, 0), EINVAL);
    return 0;
}"#);
}

#[test]
fn stacks_grow_until_their_limit() {
    let source = r#"
static int deep(int n) { volatile char room[65536]; room[0] = n; return n ? deep(n - 1) + room[0] : 0; }
int main(int n, char **v) { deep(atoi(v[1])); puts("deep"); return 0; }"#;
    let Some(guest) = Guest::c(source) else {
        return;
    };
    guest.arg("100").run().prints("deep\n");
    let Some(guest) = Guest::c(source) else {
        return;
    };
    assert_eq!(guest.arg("200").run().outcome, Outcome::Killed(11));
}

#[test]
fn code_that_is_written_at_run_time_is_executed() {
    ok(r#"
int main(void) {
    size_t size = 4096;
    uint32_t *code = mmap(0, size, PROT_READ | PROT_WRITE | PROT_EXEC,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int (*f)(void) = (void *)code;
    for (int n = 0; n < 100; n++) {
        code[0] = n << 20 | 0x513;                  // li a0, n
        code[1] = 0x8067;                           // ret
        __builtin___clear_cache((char *)code, (char *)code + 8);
        CHECK(f() == n);
    }
    // Replaced by other code at the same address, without any flush.
    for (int n = 0; n < 20; n++) {
        CHECK(mmap(code, size, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == code);
        code[0] = n << 20 | 0x513;
        code[1] = 0x8067;
        CHECK(!mprotect(code, size, PROT_READ | PROT_EXEC));
        CHECK(f() == n);
    }
    pid_t child = fork();
    if (!child) _exit(f());
    int status;
    CHECK(wait(&status) == child && WEXITSTATUS(status) == 19);
    CHECK(!mprotect(code, size, PROT_READ));
    child = fork();
    if (!child) _exit(f());
    CHECK(wait(&status) == child && WTERMSIG(status) == SIGSEGV);
    return 0;
}"#);
}

#[test]
fn the_memory_limit_holds() {
    let greedy = r#"
int main(void) {
    // Far beyond the limit: refused at once.
    CHECK(!malloc(1ul << 30));
    // Bit by bit: killed.
    for (;;) { char *p = malloc(1 << 20); if (!p) return 3; memset(p, 1, 1 << 20); }
}"#;
    let Some(mut guest) = Guest::c(greedy) else {
        return;
    };
    guest.config.limits.memory = Some(32 << 20);
    let ran = guest.run();
    assert!(ran.peak_memory <= 32 << 20, "{ran:?}");
    // Each allocation is refused once there is no room for it.
    ran.exits(3);

    let sly = r#"
int main(void) {
    char *p = mmap(0, 1ul << 30, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(p != MAP_FAILED);
    pid_t child = fork();
    if (!child) { memset(p, 1, 1ul << 30); _exit(0); }
    int status;
    CHECK(wait(&status) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    memset(p, 1, 1ul << 30);
    return 0;
}"#;
    let Some(mut guest) = Guest::c(sly) else {
        return;
    };
    guest.config.limits.memory = Some(32 << 20);
    let ran = guest.run();
    assert_eq!(ran.outcome, Outcome::Limit("memory"), "{ran:?}");
    assert!(ran.peak_memory <= 32 << 20, "{ran:?}");
}

#[test]
fn calls_that_ask_about_memory() {
    ok(r#"
int main(void) {
    char *p = mmap(0, 8 << 12, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    p[7 << 12] = 1;
    unsigned char there[8];
    CHECK(!mincore(p, 8 << 12, there) && !there[0] && there[7]);
    CHECK(!mlock(p, 8 << 12) && !mincore(p, 8 << 12, there) && there[0]);
    CHECK(!munlock(p, 8 << 12));
    FAILS(mlock((void *)0x10000000, 4096), ENOMEM);
    FAILS(madvise(p, 4096, 12345), EINVAL);
    FAILS(madvise((void *)0x10000000, 4096, MADV_WILLNEED), ENOMEM);
    CHECK(!madvise(p, 4096, MADV_HUGEPAGE));
    FAILS(msync(p, 4096, MS_SYNC | MS_ASYNC), EINVAL);
    FAILS(msync((void *)0x10000000, 4096, MS_SYNC), ENOMEM);
    CHECK(syscall(283, 0, 0, 0) > 0 && syscall(283, 8, 0, 0) == 0);
    // riscv_hwprobe: unknown keys are marked as such.
    struct { int64_t key; uint64_t value; } pairs[] = {{3, 0}, {4, 0}, {9, 0}, {7777, 5}};
    CHECK(!syscall(258, pairs, 4, 0, 0, 0));
    CHECK(pairs[0].value == 1 && (pairs[1].value & 0x3b) == 0x3b && pairs[2].value == 3);
    CHECK(pairs[3].key == -1 && pairs[3].value == 0);
    uint64_t cpus[2] = {1, 0};
    CHECK(!syscall(258, pairs, 2, 16, cpus, 1) && cpus[0] == 1);
    pairs[1].value = 4;
    CHECK(!syscall(258, pairs, 2, 16, cpus, 1) && cpus[0] == 0);
    cpus[0] = 2;
    FAILS(syscall(258, pairs, 1, 16, cpus, 0), EINVAL);
    return 0;
}"#);
}

#[test]
fn system_v_segments() {
    ok(r#"
#include <sys/shm.h>
int main(void) {
    FAILS(shmget(77, 100, 0600), ENOENT);
    FAILS(shmget(IPC_PRIVATE, 0, 0600), EINVAL);
    int id = shmget(77, 10000, IPC_CREAT | 0640);
    CHECK(id >= 0 && shmget(77, 100, 0) == id);
    FAILS(shmget(77, 100, IPC_CREAT | IPC_EXCL), EEXIST);
    FAILS(shmget(77, 10001, 0), EINVAL);
    char *p = shmat(id, 0, 0), *q = shmat(id, 0, SHM_RDONLY);
    CHECK(p != (void *)-1 && q != (void *)-1);
    p[9999] = 4;
    CHECK(q[9999] == 4);
    FAILS(mprotect(q, 4096, PROT_READ | PROT_WRITE), EACCES);
    FAILS(shmat(id, p, 0), EINVAL);
    FAILS(shmat(id, p + 1, 0), EINVAL);
    FAILS(shmat(id + 1, 0, 0), EINVAL);
    if (!fork()) { p[0] = 5; shmdt(p); _exit(0); }
    wait(0);
    CHECK(q[0] == 5);
    struct shmid_ds ds;
    CHECK(!shmctl(id, IPC_STAT, &ds) && ds.shm_segsz == 10000 && ds.shm_nattch == 2);
    CHECK((ds.shm_perm.mode & 0777) == 0640 && ds.shm_perm.__key == 77 && ds.shm_cpid == getpid());
    CHECK(!shmctl(id, IPC_RMID, 0));
    FAILS(shmctl(id, IPC_STAT, &ds), EINVAL);
    CHECK(q[0] == 5 && !shmdt(q));
    FAILS(shmdt(q), EINVAL);
    FAILS(shmdt(p + 4096), EINVAL);
    FAILS(write(1, q, 1), EFAULT);
    CHECK(p[0] == 5 && !shmdt(p));
    FAILS(shmdt(p), EINVAL);
    return 0;
}"#);
}
