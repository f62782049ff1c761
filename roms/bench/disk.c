// A file, or a disk: in order and anywhere, around the page cache of the kernel under this
// program. What is written says where it is, so that what is read can be checked.
#include "bench.h"

enum { CHUNK = MIB, CHUNKS = 4, REQUESTS = 16, SYNCS = 2 };

static u8 buffer[CHUNK] __attribute__((aligned(PAGE)));
static i64 fd;
static u64 position;
static u32 state;

static u64 mark(u64 block) {
    return (block + 1) * 0x9e3779b97f4a7c15;
}

// Puts into the buffer what belongs at `offset`.
static void fill(u64 offset, u64 len) {
    for (u64 at = 0; at < len; at += PAGE)
        *(u64 *)(buffer + at) = mark((offset + at) / PAGE);
}

// Blocks that are what they should be.
static u64 right(u64 offset, u64 len) {
    u64 count = 0;
    for (u64 at = 0; at < len; at += PAGE)
        count += *(u64 *)(buffer + at) == mark((offset + at) / PAGE);
    return count;
}

static void transfer(i64 call, u64 len, u64 offset) {
    i64 done = sys(call, fd, buffer, len, offset);
    if (done != (i64)len)
        fail(call == SYS_pread64 ? "cannot read it" : "cannot write it", done);
}

static void sync(void) {
    i64 code = sys(SYS_fdatasync, fd);
    if (code)
        fail("cannot flush it", code);
}

static void open_it(const char *path) {
    fd = -1;
    if (!*path) {
        fail("no such disk", 0);
        return;
    }
    fd = sys(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_DIRECT, 0600);
    if (fd < 0)
        fail("cannot open it with O_DIRECT", fd);
    position = 0;
    state = 1;
}

// All of it has been written before anything is measured: a first write also allocates.
static void setup(const char *path) {
    open_it(path);
    u8 *first = buffer;
    if (!failure && sys(SYS_pread64, fd, first, PAGE, options.size - PAGE) == PAGE &&
        right(options.size - PAGE, PAGE))
        return;
    for (u64 at = 0; at < options.size && !failure; at += CHUNK) {
        fill(at, CHUNK);
        transfer(SYS_pwrite64, CHUNK, at);
    }
    if (!failure)
        sync();
}

static void raw_setup(void) {
    setup(options.raw);
}

static void qcow2_setup(void) {
    setup(options.qcow2);
}

static void finish(void) {
    if (fd >= 0)
        sys(SYS_close, fd);
}

static u64 in_order(i64 call) {
    u64 count = 0;
    for (int i = 0; i < CHUNKS && !failure; i++) {
        if (call == SYS_pwrite64)
            fill(position, CHUNK);
        transfer(call, CHUNK, position);
        count += right(position, CHUNK);
        position = (position + CHUNK) % options.size;
    }
    return count;
}

static u64 read_batch(void) {
    return in_order(SYS_pread64);
}

static u64 write_batch(void) {
    u64 count = in_order(SYS_pwrite64);
    sync();
    return count;
}

static u64 anywhere(void) {
    state = state * 1664525 + 1013904223;
    return (state >> 8) % (options.size / PAGE) * PAGE;
}

static u64 latency_batch(void) {
    u64 count = 0;
    for (int i = 0; i < REQUESTS && !failure; i++) {
        u64 offset = anywhere();
        transfer(SYS_pread64, PAGE, offset);
        count += right(offset, PAGE);
    }
    return count;
}

static u64 sync_batch(void) {
    u64 count = 0;
    for (int i = 0; i < SYNCS && !failure; i++) {
        u64 offset = anywhere();
        fill(offset, PAGE);
        transfer(SYS_pwrite64, PAGE, offset);
        sync();
        count++;
    }
    return count;
}

#define WORKLOAD(id, text, count, prepare, function) \
    const struct workload id = {.name = text, .ops = count, .setup = prepare, \
                                .batch = function, .finish = finish}

WORKLOAD(disk_read, "disk-read", CHUNKS, raw_setup, read_batch);
WORKLOAD(disk_write, "disk-write", CHUNKS, raw_setup, write_batch);
WORKLOAD(disk_latency, "disk-latency", REQUESTS, raw_setup, latency_batch);
WORKLOAD(disk_sync, "disk-sync", SYNCS, raw_setup, sync_batch);
WORKLOAD(qcow2_read, "qcow2-read", CHUNKS, qcow2_setup, read_batch);
WORKLOAD(qcow2_write, "qcow2-write", CHUNKS, qcow2_setup, write_batch);
WORKLOAD(qcow2_latency, "qcow2-latency", REQUESTS, qcow2_setup, latency_batch);
WORKLOAD(qcow2_sync, "qcow2-sync", SYNCS, qcow2_setup, sync_batch);
