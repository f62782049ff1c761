/* A hash map with open addressing (Robin Hood, backward-shift removal) under a
   mix of inserts, finds and removals: dependent loads over a megabyte. */
#define BENCH_NAME "hashmap"
#define BENCH_ITERATIONS 300
#define BENCH_ARENA (SLOTS * 16)
#define SLOTS 65536
#include "bench.h"

struct slot {
    uint64_t key; /* 0: free */
    uint64_t value;
};

struct map {
    struct slot *slots;
    size_t used;
};

static inline size_t home(uint64_t key)
{
    return (size_t)(key * 0x9e3779b97f4a7c15ULL >> 48) & (SLOTS - 1);
}

static inline size_t distance(uint64_t key, size_t at)
{
    return (at - home(key)) & (SLOTS - 1);
}

static NOINLINE struct slot *find(struct map *map, uint64_t key)
{
    size_t at = home(key);

    for (size_t far = 0;; far++, at = (at + 1) & (SLOTS - 1)) {
        struct slot *slot = &map->slots[at];

        if (slot->key == key)
            return slot;
        if (!slot->key || distance(slot->key, at) < far)
            return NULL;
    }
}

static NOINLINE void add(struct map *map, uint64_t key, uint64_t value)
{
    struct slot *there = find(map, key);
    size_t at = home(key);

    if (there) {
        there->value += value;
        return;
    }
    if (map->used == SLOTS * 3 / 4)
        return;
    map->used++;
    for (size_t far = 0;; far++, at = (at + 1) & (SLOTS - 1)) {
        struct slot *slot = &map->slots[at];
        size_t theirs;

        if (!slot->key) {
            slot->key = key;
            slot->value = value;
            return;
        }
        theirs = distance(slot->key, at);
        if (theirs < far) {
            struct slot evicted = *slot;
            slot->key = key;
            slot->value = value;
            key = evicted.key;
            value = evicted.value;
            far = theirs;
        }
    }
}

static NOINLINE int drop(struct map *map, uint64_t key)
{
    struct slot *slot = find(map, key);

    if (!slot)
        return 0;
    for (size_t at = (size_t)(slot - map->slots);;) {
        size_t next = (at + 1) & (SLOTS - 1);

        if (!map->slots[next].key || distance(map->slots[next].key, next) == 0) {
            map->slots[at].key = 0;
            break;
        }
        map->slots[at] = map->slots[next];
        at = next;
    }
    map->used--;
    return 1;
}

static uint64_t run(uint64_t iterations)
{
    struct map map = { bench_alloc(SLOTS * sizeof(struct slot)), 0 };
    uint64_t seed = 11, sum = 0;

    for (uint64_t i = 0; i < iterations; i++) {
        memset(map.slots, 0, SLOTS * sizeof(struct slot));
        map.used = 0;
        for (int k = 0; k < 100000; k++) {
            uint64_t bits = bench_random(&seed), key = (bits >> 40 & 0xffff) + 1;

            switch (bits & 7) {
            case 0 ... 3:
                add(&map, key, bits >> 56);
                break;
            case 4:
                sum += (unsigned)drop(&map, key);
                break;
            default: {
                struct slot *slot = find(&map, key);
                sum += slot ? slot->value : 1;
            }
            }
        }
        sum = bench_mix(sum, map.used);
    }
    return sum;
}
