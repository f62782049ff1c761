// Runs workloads for a while each and prints what an operation takes, in lines that begin
// with `ruse-bench`:
//
//   start NANOS              first of all; the monotonic clock
//   kernel RELEASE           of the kernel under this program
//   meminfo NAME KIB         of the kernel under this program
//   status NAME KIB          of this program
//   result NAME OPS NANOS CHECKSUM INSTRUCTIONS
//   skip NAME WHY
//   end NANOS                last of all
//
//   bench ms=100 run=integer,disk-read raw=FILE qcow2=FILE size=BYTES peer=127.0.0.1:80
//   bench boot ...           the same, as the first program of an operating system
//   bench serve              the other end of the network
#include "bench.h"

static const struct workload *const workloads[] = {
    &integer, &floating, &branch, &memory_seq, &memory_random,
    &syscall_, &context, &timer, &fault, &process,
    &disk_write, &disk_read, &disk_latency, &disk_sync,
    &qcow2_write, &qcow2_read, &qcow2_latency, &qcow2_sync,
    &net_send, &net_receive, &net_round,
};

struct options options = {.ms = 100, .size = 32 * MIB, .run = "", .raw = "", .qcow2 = "", .peer = ""};

const char *failure;
i64 failure_code;

void fail(const char *why, i64 code) {
    if (!failure) {
        failure = why;
        failure_code = code;
    }
}

static char line[256];
static u64 used;

void out(const char *text) {
    while (*text && used < sizeof line - 1)
        line[used++] = *text++;
}

void out_number(u64 number) {
    char digits[24], *at = digits + sizeof digits;
    *--at = 0;
    do
        *--at = (char)('0' + number % 10);
    while (number /= 10);
    out(" ");
    out(at);
}

void out_end(void) {
    line[used++] = '\n';
    write_all(1, line, used);
    used = 0;
}

i64 write_all(int fd, const void *bytes, u64 len) {
    const u8 *at = bytes;
    while (len) {
        i64 done = sys(SYS_write, fd, at, len);
        if (done == -EINTR)
            continue;
        if (done <= 0)
            return done ? done : -1;
        at += done;
        len -= (u64)done;
    }
    return 0;
}

i64 read_all(int fd, void *bytes, u64 len) {
    u8 *at = bytes;
    while (len) {
        i64 done = sys(SYS_read, fd, at, len);
        if (done == -EINTR)
            continue;
        if (done <= 0)
            return done ? done : -1;
        at += done;
        len -= (u64)done;
    }
    return 0;
}

u64 now(void) {
    struct timespec time = {0, 0};
    sys(SYS_clock_gettime, CLOCK_MONOTONIC, &time);
    return (u64)time.seconds * 1000000000 + (u64)time.nanos;
}

i64 fork_(void) {
    return sys(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static u64 instructions(void) {
    u64 count = 0;
#ifdef __riscv
    if (options.instret)
        __asm__ volatile("rdinstret %0" : "=r"(count));
#endif
    return count;
}

i64 starts_with(const char *text, const char *with) {
    i64 len = 0;
    for (; *with; with++, len++)
        if (*text++ != *with)
            return 0;
    return len;
}

u64 parse(const char **text) {
    u64 number = 0;
    for (; **text >= '0' && **text <= '9'; ++*text)
        number = number * 10 + (u64)(**text - '0');
    return number;
}

// Whether `name` is among the names that are to be run.
static int wanted(const char *name) {
    for (const char *at = options.run; *at;) {
        i64 len = starts_with(at, name);
        if (len && (at[len] == 0 || at[len] == ','))
            return 1;
        while (*at && *at != ',')
            at++;
        at += *at == ',';
    }
    return 0;
}

static void measure(const struct workload *it) {
    failure = 0;
    if (it->setup)
        it->setup();
    // Once for caches, translations and first touches.
    u64 checksum = failure ? 0 : it->batch();
    u64 ops = 0, spent = 0, counted = 0;
    u64 start = now(), retired = instructions();
    while (!failure) {
        if (it->batch() != checksum)
            fail("its checksum changes from batch to batch", 0);
        ops += it->ops;
        spent = now() - start;
        if (spent >= options.ms * 1000000)
            break;
    }
    counted = instructions() - retired;
    if (it->finish)
        it->finish();
    out(failure ? "ruse-bench skip " : "ruse-bench result ");
    out(it->name);
    if (failure) {
        out(" ");
        out(failure);
        if (failure_code < 0) {
            out(" (error");
            out_number((u64)-failure_code);
            out(")");
        }
    } else {
        u64 asked = ops * it->asked;
        out_number(ops);
        out_number(spent > asked ? spent - asked : 0);
        out_number(checksum);
        out_number(counted);
    }
    out_end();
}

int main_(int argc, char **argv) {
    int booted = 0;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        i64 at;
        if (starts_with(arg, "serve"))
            serve();
        else if (starts_with(arg, "boot"))
            booted = 1;
        else if ((at = starts_with(arg, "run=")))
            options.run = arg + at;
        else if ((at = starts_with(arg, "raw=")))
            options.raw = arg + at;
        else if ((at = starts_with(arg, "qcow2=")))
            options.qcow2 = arg + at;
        else if ((at = starts_with(arg, "peer=")))
            options.peer = arg + at;
        else if ((at = starts_with(arg, "ms=")))
            arg += at, options.ms = parse(&arg);
        else if ((at = starts_with(arg, "size=")))
            arg += at, options.size = parse(&arg);
        else if ((at = starts_with(arg, "instret=")))
            arg += at, options.instret = parse(&arg);
    }
    out("ruse-bench start");
    out_number(now());
    out_end();
    if (booted)
        boot();
    kernel();
    memory();
    for (u64 i = 0; i < sizeof workloads / sizeof *workloads; i++)
        if (wanted(workloads[i]->name))
            measure(workloads[i]);
    out("ruse-bench end");
    out_number(now());
    out_end();
    if (booted)
        power_off();
    return 0;
}
