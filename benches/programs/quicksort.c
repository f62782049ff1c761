/* Quicksort of 64-bit keys: compares that no predictor can learn. */
#define BENCH_NAME "quicksort"
#define BENCH_ITERATIONS 240
#define BENCH_ARENA (COUNT * sizeof(int64_t))
#define COUNT 65536
#include "bench.h"

static inline void swap(int64_t *a, int64_t *b)
{
    int64_t t = *a;
    *a = *b;
    *b = t;
}

static void insertion_sort(int64_t *v, long low, long high)
{
    for (long i = low + 1; i <= high; i++) {
        int64_t key = v[i];
        long j = i - 1;

        for (; j >= low && v[j] > key; j--)
            v[j + 1] = v[j];
        v[j + 1] = key;
    }
}

static NOINLINE void quicksort(int64_t *v, long low, long high)
{
    while (high - low > 12) {
        long middle = low + (high - low) / 2, i = low, j = high;
        int64_t pivot;

        if (v[middle] < v[low])
            swap(&v[middle], &v[low]);
        if (v[high] < v[middle])
            swap(&v[high], &v[middle]);
        if (v[middle] < v[low])
            swap(&v[middle], &v[low]);
        pivot = v[middle];
        while (i <= j) {
            while (v[i] < pivot)
                i++;
            while (v[j] > pivot)
                j--;
            if (i <= j)
                swap(&v[i++], &v[j--]);
        }
        /* Recurse into the smaller half, so that the stack stays logarithmic. */
        if (j - low < high - i) {
            quicksort(v, low, j);
            low = i;
        } else {
            quicksort(v, i, high);
            high = j;
        }
    }
    insertion_sort(v, low, high);
}

static uint64_t run(uint64_t iterations)
{
    int64_t *v = bench_alloc(COUNT * sizeof *v);
    uint64_t seed = 42, sum = 0;

    for (uint64_t i = 0; i < iterations; i++) {
        for (long k = 0; k < COUNT; k++)
            v[k] = (int64_t)bench_random(&seed);
        quicksort(v, 0, COUNT - 1);
        for (long k = 1; k < COUNT; k++)
            if (v[k - 1] > v[k])
                abort();
        sum = bench_mix(sum, (uint64_t)v[0] ^ (uint64_t)v[COUNT / 2]);
    }
    return sum;
}
