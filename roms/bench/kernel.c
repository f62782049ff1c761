// What a program asks of the kernel: calls, switches, timers, pages, processes.
#include "bench.h"

static u64 syscall_batch(void) {
    u64 calls = 0;
    for (int i = 0; i < 500; i++)
        calls += sys(SYS_getppid) >= 0;
    return calls;
}
const struct workload syscall_ = {.name = "syscall", .ops = 500, .batch = syscall_batch};

static int there[2], back[2];
static i64 other;
static u64 mask[16];
static i64 mask_len;

// Two processes on one processor pass a byte to and fro.
static void context_setup(void) {
    i64 code = sys(SYS_pipe2, there, 0);
    if (code == 0)
        code = sys(SYS_pipe2, back, 0);
    mask_len = sys(SYS_sched_getaffinity, 0, sizeof mask, mask);
    for (i64 i = 0; i < mask_len / 8; i++) {
        static u64 one[16];
        if (!mask[i])
            continue;
        one[i] = mask[i] & -mask[i];
        sys(SYS_sched_setaffinity, 0, mask_len, one);
        one[i] = 0;
        break;
    }
    if (code == 0)
        code = other = fork_();
    if (code < 0) {
        fail("no pipes or no process", code);
        return;
    }
    if (other == 0) {
        u8 byte;
        sys(SYS_close, there[1]);
        sys(SYS_close, back[0]);
        while (read_all(there[0], &byte, 1) == 0)
            if (write_all(back[1], &byte, 1))
                break;
        leave(0);
    }
    sys(SYS_close, there[0]);
    sys(SYS_close, back[1]);
}

static u64 context_batch(void) {
    u64 sum = 0;
    for (u8 i = 0; i < 50; i++) {
        u8 byte = i;
        if (write_all(there[1], &byte, 1) || read_all(back[0], &byte, 1))
            fail("the other process is gone", 0);
        sum += byte;
    }
    return sum;
}

static void context_finish(void) {
    if (other <= 0)
        return;
    sys(SYS_close, there[1]);
    sys(SYS_close, back[0]);
    sys(SYS_wait4, other, 0, 0, 0);
    sys(SYS_sched_setaffinity, 0, mask_len, mask);
}
// Each round trip is two switches.
const struct workload context = {.name = "context", .ops = 100, .setup = context_setup,
                                 .batch = context_batch, .finish = context_finish};

enum { WISH = 100000 };

static void timer_setup(void) {
    sys(SYS_prctl, PR_SET_TIMERSLACK, 1);
}

// A sleep sets a timer, whose interrupt wakes up. What counts is how much too long it is.
static u64 timer_batch(void) {
    struct timespec wish = {0, WISH};
    u64 slept = 0;
    for (int i = 0; i < 20; i++)
        slept += sys(SYS_nanosleep, &wish, 0) == 0;
    return slept;
}
const struct workload timer = {
    .name = "timer", .ops = 20, .setup = timer_setup, .batch = timer_batch, .asked = WISH};

enum { TOUCHED = 256 };

static u64 fault_batch(void) {
    i64 at = sys(SYS_mmap, 0, TOUCHED * PAGE, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at < 0 && at > -4096) {
        fail("no memory", at);
        return 0;
    }
    sys(SYS_madvise, at, TOUCHED * PAGE, MADV_NOHUGEPAGE);
    u64 sum = 0;
    for (u64 i = 0; i < TOUCHED; i++) {
        volatile u8 *byte = (u8 *)at + i * PAGE;
        *byte = (u8)i;
        sum += *byte;
    }
    sys(SYS_munmap, at, TOUCHED * PAGE);
    return sum;
}
const struct workload fault = {.name = "fault", .ops = TOUCHED, .batch = fault_batch};

static u64 process_batch(void) {
    u64 sum = 0;
    for (int i = 0; i < 4; i++) {
        i64 child = fork_();
        if (child == 0)
            leave(i);
        int status = 0;
        if (child < 0 || sys(SYS_wait4, child, &status, 0, 0) != child)
            fail("no process", child);
        sum += (u64)(status >> 8);
    }
    return sum;
}
const struct workload process = {.name = "process", .ops = 4, .batch = process_batch};
