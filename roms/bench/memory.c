// Memory, in order and anywhere; and how much of it there is.
#include "bench.h"

enum { WORDS = 8 * MIB / 8, RING = 16 * MIB / 4 };

static u64 words[WORDS];
static u32 ring[RING];

static void seq_setup(void) {
    for (u64 i = 0; i < WORDS; i++)
        words[i] = i;
}

// Reads and writes back, so that each batch finds the same.
static u64 seq_batch(void) {
    u64 sum = 0;
    for (u64 i = 0; i < WORDS; i++) {
        u64 word = words[i];
        sum += word;
        *(volatile u64 *)&words[i] = word;
    }
    return sum;
}
const struct workload memory_seq = {
    .name = "memory-seq", .ops = WORDS, .setup = seq_setup, .batch = seq_batch};

// One cycle through all places: a linear congruential generator of full period.
static void random_setup(void) {
    for (u32 i = 0; i < RING; i++)
        ring[i] = (i * 1664525 + 1013904223) % RING;
}

// Each load has to wait for the one before it.
static u64 random_batch(void) {
    u32 at = 0;
    u64 sum = 0;
    for (int i = 0; i < 20000; i++)
        sum += at = ring[at];
    return sum;
}
const struct workload memory_random = {
    .name = "memory-random", .ops = 20000, .setup = random_setup, .batch = random_batch};

// Prints what a line such as `MemTotal:   1024 kB` says.
static void print_fields(const char *kind, const char *path, const char *const *fields) {
    static char text[8192];
    i64 fd = sys(SYS_openat, AT_FDCWD, path, O_RDONLY, 0);
    if (fd < 0)
        return;
    i64 len = 0;
    for (i64 more; (more = sys(SYS_read, fd, text + len, (i64)sizeof text - 1 - len)) > 0;)
        len += more;
    sys(SYS_close, fd);
    text[len] = 0;
    for (const char *at = text; *at;) {
        for (const char *const *field = fields; *field; field++) {
            i64 name = starts_with(at, *field);
            if (!name || at[name] != ':')
                continue;
            const char *value = at + name + 1;
            while (*value == ' ' || *value == '\t')
                value++;
            out("ruse-bench ");
            out(kind);
            out(" ");
            out(*field);
            out_number(parse(&value));
            out_end();
        }
        while (*at && *at++ != '\n') {
        }
    }
}

void kernel(void) {
    char text[64];
    i64 fd = sys(SYS_openat, AT_FDCWD, "/proc/sys/kernel/osrelease", O_RDONLY, 0);
    i64 len = fd < 0 ? 0 : sys(SYS_read, fd, text, (i64)sizeof text - 1);
    sys(SYS_close, fd);
    if (len <= 1)
        return;
    text[text[len - 1] == '\n' ? len - 1 : len] = 0;
    out("ruse-bench kernel ");
    out(text);
    out_end();
}

void memory(void) {
    static const char *const system[] = {"MemTotal", "MemFree", "MemAvailable", "Slab",
                                         "PageTables", "KernelStack", "Percpu", 0};
    static const char *const own[] = {"VmHWM", "VmRSS", 0};
    print_fields("meminfo", "/proc/meminfo", system);
    print_fields("status", "/proc/self/status", own);
}
