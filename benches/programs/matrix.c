/* Products of matrices of doubles, then solving a linear system by Gaussian
   elimination: loads, multiply-adds, divisions. */
#define BENCH_NAME "matrix"
#define BENCH_ITERATIONS 100
#define BENCH_ARENA (3 * SIZE * SIZE * sizeof(double) + 2 * SIZE * sizeof(double))
#define SIZE 96
#include "bench.h"

static NOINLINE void multiply(double *c, const double *a, const double *b)
{
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++) {
            double sum = 0;

            for (int k = 0; k < SIZE; k++)
                sum += a[i * SIZE + k] * b[k * SIZE + j];
            c[i * SIZE + j] = sum;
        }
}

static inline double size_of(double x)
{
    return x < 0 ? -x : x;
}

/* Solves a x = b by elimination with partial pivoting; destroys a and b. */
static NOINLINE void solve(double *a, double *b, double *x)
{
    for (int column = 0; column < SIZE; column++) {
        int pivot = column;

        for (int row = column + 1; row < SIZE; row++)
            if (size_of(a[row * SIZE + column]) > size_of(a[pivot * SIZE + column]))
                pivot = row;
        for (int k = column; k < SIZE && pivot != column; k++) {
            double t = a[column * SIZE + k];
            a[column * SIZE + k] = a[pivot * SIZE + k];
            a[pivot * SIZE + k] = t;
        }
        double t = b[column];
        b[column] = b[pivot];
        b[pivot] = t;
        for (int row = column + 1; row < SIZE; row++) {
            double factor = a[row * SIZE + column] / a[column * SIZE + column];

            for (int k = column; k < SIZE; k++)
                a[row * SIZE + k] -= factor * a[column * SIZE + k];
            b[row] -= factor * b[column];
        }
    }
    for (int row = SIZE - 1; row >= 0; row--) {
        double sum = b[row];

        for (int k = row + 1; k < SIZE; k++)
            sum -= a[row * SIZE + k] * x[k];
        x[row] = sum / a[row * SIZE + row];
    }
}

static uint64_t run(uint64_t iterations)
{
    double *a = bench_alloc(SIZE * SIZE * sizeof *a);
    double *b = bench_alloc(SIZE * SIZE * sizeof *b);
    double *c = bench_alloc(SIZE * SIZE * sizeof *c);
    double *x = bench_alloc(SIZE * sizeof *x);
    double *y = bench_alloc(SIZE * sizeof *y);
    uint64_t seed = 7, sum = 0;

    for (uint64_t i = 0; i < iterations; i++) {
        for (int k = 0; k < SIZE * SIZE; k++) {
            uint64_t bits = bench_random(&seed);

            a[k] = (double)(int32_t)bits / 4294967296.0 + (k % (SIZE + 1) == 0 ? 4.0 : 0.0);
            b[k] = (double)(int32_t)(bits >> 32) / 4294967296.0;
        }
        multiply(c, a, b);
        for (int k = 0; k < SIZE; k++)
            y[k] = c[k * SIZE + (int)(i % SIZE)];
        /* The column of a*b, solved for, is the column of b. */
        solve(a, y, x);
        for (int k = 0; k < SIZE; k++) {
            double wanted = b[k * SIZE + (int)(i % SIZE)];

            if (!(size_of(x[k] - wanted) < 1e-9))
                abort();
        }
        /* Compilers differ in what they fuse, so the last bits don't count. */
        sum = bench_mix(sum, (uint64_t)(int64_t)(c[i % (SIZE * SIZE)] * 1e6));
    }
    return sum;
}
