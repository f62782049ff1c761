// What the processor does by itself.
#include "bench.h"

// The state starts where the compiler does not know it.
static volatile u64 seed = 0x9e3779b97f4a7c15;

static u64 integer_batch(void) {
    u64 x = seed, sum = 0;
    for (int i = 0; i < 100000; i++) {
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        sum += x * 0x2545f4914f6cdd1d;
    }
    return sum;
}
const struct workload integer = {.name = "integer", .ops = 100000, .batch = integer_batch};

static volatile double start_x = 0.37;

static double root(double x) {
#if defined(__x86_64__)
    __asm__("sqrtsd %0, %0" : "+x"(x));
#elif defined(__riscv)
    __asm__("fsqrt.d %0, %0" : "+f"(x));
#else
    __asm__("fsqrt %d0, %d0" : "+w"(x));
#endif
    return x;
}

// Eight operations on doubles, a division and a root among them.
static u64 float_batch(void) {
    double x = start_x, y = 1.0, sum = 0.0;
    for (int i = 0; i < 30000; i++) {
        x = 3.9 * x * (1.0 - x);
        y = y * 0.75 + x / (1.0 + y);
        sum += root(y);
    }
    union {
        double number;
        u64 bits;
    } result = {sum};
    return result.bits;
}
const struct workload floating = {.name = "float", .ops = 30000, .batch = float_batch};

enum { SORTED = 4096 };
static u32 numbers[SORTED];

static void NOINLINE quicksort(u32 *from, u32 *to) {
    while (to - from > 8) {
        u32 pivot = from[(to - from) / 2];
        u32 *low = from, *high = to - 1;
        while (low <= high) {
            while (*low < pivot)
                low++;
            while (*high > pivot)
                high--;
            if (low <= high) {
                u32 other = *low;
                *low++ = *high;
                *high-- = other;
            }
        }
        quicksort(from, high + 1);
        from = low;
    }
    for (u32 *at = from + 1; at < to; at++) {
        u32 number = *at, *hole = at;
        for (; hole > from && hole[-1] > number; hole--)
            *hole = hole[-1];
        *hole = number;
    }
}

// Sorting: each branch depends on data that no predictor has seen.
static u64 branch_batch(void) {
    u32 x = (u32)seed;
    for (int i = 0; i < SORTED; i++)
        numbers[i] = x = x * 1664525 + 1013904223;
    quicksort(numbers, numbers + SORTED);
    u64 sum = 0;
    for (int i = 0; i < SORTED; i++)
        sum = sum * 31 + numbers[i];
    return sum;
}
const struct workload branch = {.name = "branch", .ops = SORTED, .batch = branch_batch};
