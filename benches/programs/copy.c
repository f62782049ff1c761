/* The C library's memcpy, memmove, memset and memcmp over a mix of sizes and
   alignments: mostly short, as programs call them, some of a page and more. */
#define BENCH_NAME "copy"
#define BENCH_ITERATIONS 12000
#define BENCH_ARENA (2 * AREA)
#define AREA (256 * 1024)
#include "bench.h"

static size_t draw_size(uint64_t bits)
{
    switch (bits & 15) {
    case 0 ... 7:
        return bits >> 4 & 31;
    case 8 ... 12:
        return bits >> 4 & 255;
    case 13 ... 14:
        return bits >> 4 & 4095;
    default:
        return bits >> 4 & 16383;
    }
}

static uint64_t run(uint64_t iterations)
{
    unsigned char *from = bench_alloc(AREA), *to = bench_alloc(AREA);
    uint64_t seed = 99, sum = 0;

    for (size_t i = 0; i < AREA; i++)
        from[i] = (unsigned char)bench_random(&seed);
    for (uint64_t i = 0; i < iterations; i++) {
        for (int k = 0; k < 500; k++) {
            uint64_t bits = bench_random(&seed);
            size_t size = draw_size(bits);
            /* Half of all calls are aligned as allocators align. */
            size_t mask = bits >> 63 ? ~(size_t)15 : ~(size_t)0;
            size_t a = (bits >> 20) % (AREA - 16384) & mask;
            size_t b = (bits >> 40) % (AREA - 16384) & mask;

            switch (bits >> 18 & 7) {
            case 0 ... 3:
                memcpy(to + a, from + b, size);
                break;
            case 4:
                memmove(to + a, to + a + (b & 63), size);
                break;
            case 5:
                memmove(to + a + (b & 63), to + a, size);
                break;
            case 6:
                memset(to + a, (int)(bits >> 32 & 255), size);
                break;
            default:
                sum += memcmp(to + a, from + b, size) > 0;
                break;
            }
            sum = bench_mix(sum, to[a]);
        }
    }
    return sum;
}
