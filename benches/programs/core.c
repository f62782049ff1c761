/* What small processors are measured by: a linked list sorted and searched,
   matrices of 16-bit integers, a state machine over text, and a CRC that binds
   the results. */
#define BENCH_NAME "core"
#define BENCH_ITERATIONS 24000
#define BENCH_ARENA 4096
#define NODES 64
#define SIZE 12
#include "bench.h"

struct node {
    struct node *next;
    int16_t value, index;
};

/* CRC-16 (polynomial 0x8005, reflected), bit by bit. */
static uint16_t crc_byte(uint16_t crc, uint8_t byte)
{
    for (int i = 0; i < 8; i++, byte >>= 1)
        crc = (uint16_t)(crc >> 1 ^ (((crc ^ byte) & 1) ? 0xa001 : 0));
    return crc;
}

static NOINLINE uint16_t crc_word(uint16_t crc, uint32_t word)
{
    for (int i = 0; i < 4; i++, word >>= 8)
        crc = crc_byte(crc, (uint8_t)word);
    return crc;
}

static int by_value(const struct node *a, const struct node *b)
{
    return a->value - b->value;
}

static int by_index(const struct node *a, const struct node *b)
{
    return a->index - b->index;
}

/* Bottom-up merge sort: runs of one, of two, of four, until one run is left. */
static NOINLINE struct node *sort(struct node *list, int (*compare)(const struct node *, const struct node *))
{
    for (size_t width = 1;; width *= 2) {
        struct node *left = list, **tail = &list;
        size_t merges = 0;

        while (left) {
            struct node *right = left;
            size_t lefts = 0, rights = width;

            merges++;
            while (lefts < width && right) {
                lefts++;
                right = right->next;
            }
            while (lefts || (rights && right)) {
                struct node **from = &right;

                if (lefts && (!rights || !right || compare(left, right) <= 0)) {
                    from = &left;
                    lefts--;
                } else {
                    rights--;
                }
                *tail = *from;
                tail = &(*tail)->next;
                *from = (*from)->next;
            }
            left = right;
        }
        *tail = NULL;
        if (merges <= 1)
            return list;
    }
}

static NOINLINE struct node *reverse(struct node *list)
{
    struct node *done = NULL;

    while (list) {
        struct node *next = list->next;
        list->next = done;
        done = list;
        list = next;
    }
    return done;
}

static NOINLINE uint16_t lists(struct node *nodes, uint64_t *seed, uint16_t crc)
{
    struct node *list = nodes;

    for (int i = 0; i < NODES; i++) {
        nodes[i].next = i + 1 < NODES ? &nodes[i + 1] : NULL;
        nodes[i].value = (int16_t)(bench_random(seed) >> 52);
        nodes[i].index = (int16_t)i;
    }
    for (int round = 0; round < 8; round++) {
        int wanted = nodes[round * 5].value;
        int steps = 0;

        list = reverse(list);
        for (struct node *n = list; n && n->value != wanted; n = n->next)
            steps++;
        crc = crc_word(crc, (uint32_t)steps);
    }
    list = sort(list, by_value);
    for (struct node *n = list; n->next; n = n->next)
        if (n->value > n->next->value)
            abort();
    crc = crc_word(crc, (uint32_t)list->value);
    list = sort(list, by_index);
    return crc_word(crc, (uint32_t)list->value);
}

static NOINLINE uint16_t matrices(int16_t a[SIZE][SIZE], int16_t b[SIZE][SIZE], uint64_t *seed, uint16_t crc)
{
    int32_t total = 0;
    int16_t offset = (int16_t)(bench_random(seed) >> 56);

    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++) {
            a[i][j] = (int16_t)(a[i][j] + offset);
            b[i][j] = (int16_t)(b[i][j] ^ (i * j));
        }
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++) {
            int32_t sum = 0;

            for (int k = 0; k < SIZE; k++) {
                int32_t product = a[i][k] * b[k][j];
                sum += ((product >> 2) & 0xf) * ((product >> 5) & 0x7f);
            }
            total = sum > 5000 ? total + 10 : total + (sum > total ? 1 : 0);
        }
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++)
            a[i][j] = (int16_t)(a[i][j] - offset);
    return crc_word(crc, (uint32_t)total);
}

enum state { START, SIGN, INTEGER, POINT, FRACTION, EXPONENT, POWER_SIGN, POWER, INVALID, STATES };

/* Reads one number up to a comma; says in which state it ended. */
static enum state number(const char **text)
{
    enum state state = START;
    const char *p = *text;

    for (; *p && *p != ','; p++) {
        int digit = *p >= '0' && *p <= '9', sign = *p == '+' || *p == '-';

        switch (state) {
        case START:
            state = digit ? INTEGER : sign ? SIGN : *p == '.' ? POINT : INVALID;
            break;
        case SIGN:
            state = digit ? INTEGER : *p == '.' ? POINT : INVALID;
            break;
        case INTEGER:
            state = digit ? INTEGER : *p == '.' ? FRACTION : *p == 'e' ? EXPONENT : INVALID;
            break;
        case POINT:
        case FRACTION:
            state = digit ? FRACTION : *p == 'e' && state == FRACTION ? EXPONENT : INVALID;
            break;
        case EXPONENT:
            state = digit ? POWER : sign ? POWER_SIGN : INVALID;
            break;
        case POWER_SIGN:
        case POWER:
            state = digit ? POWER : INVALID;
            break;
        default:
            break;
        }
    }
    *text = *p ? p + 1 : p;
    return state;
}

static NOINLINE uint16_t states(char *text, size_t length, uint64_t *seed, uint16_t crc)
{
    uint32_t seen[STATES] = { 0 };
    size_t at = (size_t)(bench_random(seed) % length);
    char kept = text[at];

    /* One character spoilt, then mended. */
    text[at] = kept == ',' ? ',' : 'x';
    for (const char *p = text; *p;)
        seen[number(&p)]++;
    text[at] = kept;
    for (int i = 0; i < STATES; i++)
        crc = crc_word(crc, seen[i]);
    return crc;
}

static uint64_t run(uint64_t iterations)
{
    static const char sample[] = "5012,+714,-42.5e+3,.337,8.125,T0.3e-1F,1.25e12,-.9,1e,77e+,0x1f,+-5,35,6.02e23,";
    struct node *nodes = bench_alloc(NODES * sizeof *nodes);
    char *text = bench_alloc(4 * sizeof sample);
    static int16_t a[SIZE][SIZE], b[SIZE][SIZE];
    uint64_t seed = 3, sum = 0;
    size_t length = 4 * (sizeof sample - 1);

    for (size_t i = 0; i < length; i++)
        text[i] = sample[i % (sizeof sample - 1)];
    text[length] = 0;
    for (int i = 0; i < SIZE * SIZE; i++) {
        a[i / SIZE][i % SIZE] = (int16_t)(bench_random(&seed) >> 56);
        b[i / SIZE][i % SIZE] = (int16_t)(bench_random(&seed) >> 57);
    }
    for (uint64_t i = 0; i < iterations; i++) {
        uint16_t crc = 0xffff;

        crc = lists(nodes, &seed, crc);
        crc = matrices(a, b, &seed, crc);
        crc = states(text, length, &seed, crc);
        sum = bench_mix(sum, crc);
    }
    return sum;
}
