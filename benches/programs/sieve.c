/* The sieve of Eratosthenes over bytes: strided stores and short loops. */
#define BENCH_NAME "sieve"
#define BENCH_ITERATIONS 600
#define BENCH_ARENA (LIMIT / 2)
#define LIMIT (1u << 20)
#include "bench.h"

/* Odd numbers only: flags[i] stands for 2i+1. Returns how many primes there are
   below LIMIT, mixed with the largest. */
static NOINLINE uint64_t sieve(unsigned char *flags, uint64_t seed)
{
    uint64_t count = 1, last = 2;

    memset(flags, 1, LIMIT / 2);
    for (uint32_t i = 1; i < LIMIT / 2; i++) {
        uint32_t prime = 2 * i + 1;

        if (!flags[i])
            continue;
        count++;
        last = prime;
        if (prime < 1u << 10)
            for (uint32_t j = prime * prime / 2; j < LIMIT / 2; j += prime)
                flags[j] = 0;
    }
    return bench_mix(seed, count << 32 | last);
}

static uint64_t run(uint64_t iterations)
{
    unsigned char *flags = bench_alloc(LIMIT / 2);
    uint64_t sum = 0;

    for (uint64_t i = 0; i < iterations; i++)
        sum = sieve(flags, sum);
    return sum;
}
