// What the files of this program have in common.
#pragma once
#include "sys.h"

#define NORETURN __attribute__((noreturn))
#define NOINLINE __attribute__((noinline))

enum { PAGE = 4096, MIB = 1 << 20 };

// A thing to measure. `batch` does `ops` operations and returns a checksum, which must be
// the same each time, on every processor. `setup` and `finish` may be missing.
struct workload {
    const char *name;
    u64 ops;
    void (*setup)(void);
    u64 (*batch)(void);
    void (*finish)(void);
    u64 asked; // nanoseconds of each operation that are its wish, not its cost
};

extern const struct workload integer, floating, branch;
extern const struct workload memory_seq, memory_random;
extern const struct workload syscall_, context, timer, fault, process;
extern const struct workload disk_read, disk_write, disk_latency, disk_sync;
extern const struct workload qcow2_read, qcow2_write, qcow2_latency, qcow2_sync;
extern const struct workload net_send, net_receive, net_round;

// Why the workload cannot be measured; the first reason stays.
extern const char *failure;
extern i64 failure_code;
void fail(const char *why, i64 code);

// What the command line says.
struct options {
    u64 ms;               // how long to repeat a batch
    u64 instret;          // whether the processor's count of instructions is to be read
    const char *run;      // names of workloads, between commas
    const char *raw;      // file or device
    const char *qcow2;    // another one
    u64 size;             // bytes of them to use
    const char *peer;     // ADDRESS:PORT, or `self`
};
extern struct options options;

// Standard output, a line at a time.
void out(const char *text);
void out_number(u64 number);
void out_end(void);

void *memset(void *to, int value, u64 len);
void *memcpy(void *to, const void *from, u64 len);
u64 now(void);
NORETURN void leave(int code);
u64 parse(const char **text);
i64 starts_with(const char *text, const char *with);
i64 fork_(void);
i64 write_all(int fd, const void *bytes, u64 len);
i64 read_all(int fd, void *bytes, u64 len);

// A peer on the loopback of this machine, for ever.
NORETURN void serve(void);
// Brings an interface up; with an address, unless that is null.
void interface_up(const char *name, const u8 address[4], u8 mask);
// What the first program of an operating system has to do, and the last.
void boot(void);
NORETURN void power_off(void);
// Prints which kernel this is.
void kernel(void);
// Prints the numbers of /proc/meminfo and /proc/self/status.
void memory(void);
