/* Searching text three ways (Horspool, Knuth-Morris-Pratt, character by
   character), and splitting it into words. */
#define BENCH_NAME "strings"
#define BENCH_ITERATIONS 120
#define BENCH_ARENA (TEXT + 1)
#define TEXT (128 * 1024)
#include "bench.h"

static const char *const words[] = {
    "the", "trap", "of", "a", "hart", "register", "memory", "and", "page", "interrupt",
    "to", "virtual", "in", "physical", "address", "is", "block", "instruction", "decoded", "once",
    "machine", "guest", "host", "believes", "clock", "that", "disk", "it", "serial", "supervisor",
};

static size_t horspool(const unsigned char *text, size_t length, const char *word)
{
    size_t n = strlen(word), skip[256], found = 0;

    for (int i = 0; i < 256; i++)
        skip[i] = n;
    for (size_t i = 0; i + 1 < n; i++)
        skip[(unsigned char)word[i]] = n - 1 - i;
    for (size_t at = 0; at + n <= length; at += skip[text[at + n - 1]])
        found += memcmp(text + at, word, n) == 0;
    return found;
}

static NOINLINE size_t knuth_morris_pratt(const unsigned char *text, size_t length, const char *word)
{
    size_t n = strlen(word), border[64], found = 0;

    border[0] = 0;
    for (size_t i = 1, k = 0; i < n; border[i++] = k) {
        while (k && word[i] != word[k])
            k = border[k - 1];
        k += word[i] == word[k];
    }
    for (size_t i = 0, k = 0; i < length; i++) {
        while (k && text[i] != (unsigned char)word[k])
            k = border[k - 1];
        k += text[i] == (unsigned char)word[k];
        if (k == n) {
            found++;
            k = border[k - 1];
        }
    }
    return found;
}

static NOINLINE size_t naive(const char *text, const char *word)
{
    size_t found = 0;

    for (; *text; text++) {
        const char *a = text, *b = word;

        while (*b && *a == *b)
            a++, b++;
        found += !*b;
    }
    return found;
}

static NOINLINE uint64_t split(const char *text, uint64_t sum)
{
    while (*text) {
        uint32_t hash = 2166136261u;

        for (; *text && *text != ' '; text++)
            hash = (hash ^ (unsigned char)*text) * 16777619u;
        while (*text == ' ')
            text++;
        sum = bench_mix(sum, hash);
    }
    return sum;
}

static uint64_t run(uint64_t iterations)
{
    char *text = bench_alloc(TEXT + 1);
    const size_t count = sizeof words / sizeof *words;
    uint64_t seed = 5, sum = 0;
    size_t at = 0;

    for (;;) {
        const char *word = words[(bench_random(&seed) >> 33) % count];
        size_t n = strlen(word);

        if (at + n + 1 > TEXT)
            break;
        memcpy(text + at, word, n);
        at += n;
        text[at++] = ' ';
    }
    text[at] = 0;
    for (uint64_t i = 0; i < iterations; i++) {
        for (int k = 0; k < 4; k++) {
            const char *word = words[(bench_random(&seed) >> 33) % count];
            size_t found = horspool((const unsigned char *)text, at, word);

            if (found != knuth_morris_pratt((const unsigned char *)text, at, word) || found != naive(text, word))
                abort();
            sum = bench_mix(sum, found);
        }
        sum = split(text, sum);
    }
    return sum;
}
