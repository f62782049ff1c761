/*
 * The frame of every program here: `run` does the work of N iterations and
 * returns a checksum; main prints one line, `NAME N CHECKSUM`, which must be the
 * same whatever ran the program.
 *
 * Built with a C library, or with -DBENCH_BARE and bare.c for machines that know
 * only the calls `write` and `exit`. Before including this, a program defines
 * BENCH_NAME, BENCH_ITERATIONS (one to two seconds under qemu-user) and, if it
 * calls bench_alloc, BENCH_ARENA in bytes, rounding not counted. All iterations of
 * a program cost the same, within a few percent.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>

#ifdef BENCH_BARE
#include "bare.h"
#else
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#endif

#define NOINLINE __attribute__((noinline))

static uint64_t run(uint64_t iterations);

#ifdef BENCH_ARENA
/* Memory is static: small, the same on every machine, and never given back. */
static unsigned char bench_arena[BENCH_ARENA + 256] __attribute__((aligned(16)));
static size_t bench_arena_used;

static inline void *bench_alloc(size_t bytes)
{
    void *p = bench_arena + bench_arena_used;
    bench_arena_used += (bytes + 15) & ~(size_t)15;
    if (bench_arena_used > sizeof bench_arena)
        abort();
    return p;
}
#endif

/* Marsaglia's xorshift64*, so that every build draws the same numbers. */
static inline uint64_t bench_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545f4914f6cdd1dULL;
}

static inline uint64_t bench_mix(uint64_t sum, uint64_t value)
{
    sum = (sum ^ value) * 0x9e3779b97f4a7c15ULL;
    return sum ^ (sum >> 29);
}

int main(int argc, char **argv)
{
    uint64_t iterations = argc > 1 ? strtoull(argv[1], NULL, 10) : BENCH_ITERATIONS;
    uint64_t sum = run(iterations);
    printf("%s %llu %016llx\n", BENCH_NAME, (unsigned long long)iterations,
           (unsigned long long)sum);
    return 0;
}

#endif
