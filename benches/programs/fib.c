/* Recursion: little but calls, returns and the stack. */
#define BENCH_NAME "fib"
#define BENCH_ITERATIONS 900
#include "bench.h"

static NOINLINE uint64_t fib(uint64_t n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static uint64_t run(uint64_t iterations)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < iterations; i++)
        sum = bench_mix(sum, fib(24 + (i & 1)));
    return sum;
}
