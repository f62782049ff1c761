/* The device tree: how a program learns what machine it is on. The board leaves a
 * flattened tree in memory and its address in a1 (Devicetree Specification v0.4,
 * chapter 5). We read it once, from start to end, and believe every word. */

#include "monitor.h"

#define FDT_MAGIC       0xd00dfeed
#define FDT_BEGIN_NODE  1
#define FDT_END_NODE    2
#define FDT_PROP        3
#define FDT_NOP         4
#define MAX_DEPTH       16

struct beliefs beliefs;

/* What we need to remember of each node between the root and the current one. */
struct level {
    const char *name;
    struct cells compatible, reg, ranges, interrupts, interrupts_extended, isa_extensions;
    const char *isa, *isa_base, *device_type;
    bool has_ranges, disabled, is_cpu, told;
    u32 address_cells, size_cells, phandle, reg_shift;
};

static struct level levels[MAX_DEPTH];

static u32 be32(const u8 *p)
{
    return (u32)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

u32 cell(struct cells p, u32 index)
{
    return (u64)index * 4 + 4 <= p.length ? be32(p.bytes + index * 4) : 0;
}

/* A number made of `n` cells; more than two cells keep the lowest two. */
static u64 wide(struct cells p, u32 index, u32 n)
{
    u64 v = 0;
    while (n--)
        v = v << 32 | cell(p, index++);
    return v;
}

static bool in_list(struct cells list, const char *name)
{
    u32 at = 0;
    while (at < list.length) {
        if (same((const char *)list.bytes + at, name))
            return true;
        at += strlen((const char *)list.bytes + at) + 1;
    }
    return false;
}

/* A string property must end in a NUL inside the property, or we ignore it. */
static bool is_text(struct cells p)
{
    return p.length && p.bytes[p.length - 1] == 0;
}

/* From an address as the children of level `depth` see it to one as the CPU does:
 * each bus on the way to the root may move it (specification, section 2.3.8). */
static bool to_physical(int depth, u64 *address)
{
    for (; depth > 0; depth--) {
        const struct level *bus = &levels[depth], *parent = &levels[depth - 1];
        if (!bus->has_ranges)
            return false;
        if (!bus->ranges.length)
            continue;
        u32 entry = bus->address_cells + parent->address_cells + bus->size_cells;
        bool found = false;
        for (u32 i = 0; (u64)(i + entry) * 4 <= bus->ranges.length && entry; i += entry) {
            u64 child = wide(bus->ranges, i, bus->address_cells);
            u64 to = wide(bus->ranges, i + bus->address_cells, parent->address_cells);
            u64 size = wide(bus->ranges, i + bus->address_cells + parent->address_cells,
                            bus->size_cells);
            if (*address >= child && *address - child < size) {
                *address = to + (*address - child);
                found = true;
                break;
            }
        }
        if (!found)
            return false;
    }
    return true;
}

static void learn_cpu(struct level *n)
{
    n->is_cpu = true;
    beliefs.harts_named++;
    if (n->disabled || beliefs.hart_count == MAX_HARTS)
        return;
    struct hart *h = &beliefs.harts[beliefs.hart_count++];
    h->id = wide(n->reg, 0, n->reg.length / 4);
    h->isa = n->isa ? n->isa : n->isa_base;
    if (!n->isa)
        h->isa_extensions = n->isa_extensions;
}

static void learn_memory(struct level *n, const struct level *parent)
{
    u32 entry = parent->address_cells + parent->size_cells;
    for (u32 i = 0; entry && (u64)(i + entry) * 4 <= n->reg.length; i += entry) {
        u64 size = wide(n->reg, i + parent->address_cells, parent->size_cells);
        if (!size || beliefs.memory_count == sizeof beliefs.memory / sizeof *beliefs.memory)
            continue;
        struct range *r = &beliefs.memory[beliefs.memory_count++];
        r->base = wide(n->reg, i, parent->address_cells);
        r->size = size;
    }
}

static void learn_device(struct level *n, int depth)
{
    const struct level *parent = &levels[depth - 1];
    u64 base = wide(n->reg, 0, parent->address_cells);
    if (!to_physical(depth - 1, &base)
        || beliefs.device_count == sizeof beliefs.devices / sizeof *beliefs.devices)
        return;
    struct device new = {
        .name = n->name,
        .compatible = n->compatible,
        .base = base,
        .size = wide(n->reg, parent->address_cells, parent->size_cells),
        .irq = n->interrupts.length ? cell(n->interrupts, 0) : cell(n->interrupts_extended, 1),
        .reg_shift = n->reg_shift,
        .interrupts_extended = n->interrupts_extended,
    };
    if (!n->interrupts.length && n->interrupts_extended.length != 8)
        new.irq = 0;                /* an interrupt controller, not a source */
    /* Keep them in the order of their addresses; trees are in any order. */
    u32 at = beliefs.device_count++;
    for (; at && beliefs.devices[at - 1].base > base; at--)
        beliefs.devices[at] = beliefs.devices[at - 1];
    beliefs.devices[at] = new;
}

/* All properties of a node come before its children: here we have them all. */
static void learn(int depth)
{
    struct level *n = &levels[depth];
    if (n->told)
        return;
    n->told = true;
    if (depth == 0)
        return;
    struct level *parent = &levels[depth - 1];
    if (n->device_type && same(n->device_type, "cpu"))
        learn_cpu(n);
    else if (n->device_type && same(n->device_type, "memory"))
        learn_memory(n, parent);
    else if (parent->is_cpu && in_list(n->compatible, "riscv,cpu-intc")) {
        if (beliefs.hart_count && !parent->disabled)
            beliefs.harts[beliefs.hart_count - 1].intc_phandle = n->phandle;
    } else if (n->compatible.length && n->reg.length && !n->disabled)
        learn_device(n, depth);
}

static void property(int depth, const char *name, struct cells p)
{
    struct level *n = &levels[depth];
    const char *text = is_text(p) ? (const char *)p.bytes : NULL;
    if (same(name, "#address-cells"))
        n->address_cells = cell(p, 0);
    else if (same(name, "#size-cells"))
        n->size_cells = cell(p, 0);
    else if (same(name, "compatible") && text)
        n->compatible = p;
    else if (same(name, "reg"))
        n->reg = p;
    else if (same(name, "ranges")) {
        n->has_ranges = true;
        n->ranges = p;
    } else if (same(name, "interrupts"))
        n->interrupts = p;
    else if (same(name, "interrupts-extended"))
        n->interrupts_extended = p;
    else if (same(name, "phandle"))
        n->phandle = cell(p, 0);
    else if (same(name, "reg-shift"))
        n->reg_shift = cell(p, 0) & 7;
    else if (same(name, "device_type"))
        n->device_type = text;
    else if (same(name, "status"))
        n->disabled = text && !same(text, "okay") && !same(text, "ok");
    else if (same(name, "riscv,isa"))
        n->isa = text;
    else if (same(name, "riscv,isa-base"))
        n->isa_base = text;
    else if (same(name, "riscv,isa-extensions") && text)
        n->isa_extensions = p;
    else if (same(name, "timebase-frequency"))  /* in /cpus, in older trees in each cpu */
        beliefs.timebase = wide(p, 0, p.length / 4);
    else if (same(name, "model") && depth == 0)
        beliefs.model = text;
    else if (same(name, "bootargs") && depth == 1 && same(n->name, "chosen"))
        beliefs.arguments = text;
}

bool fdt_read(u64 address)
{
    if (!address || address % 4)
        return false;
    const u8 *tree = (const u8 *)address;
    if (be32(tree) != FDT_MAGIC)
        return false;
    u32 total = be32(tree + 4), at = be32(tree + 8), strings = be32(tree + 12);
    int depth = -1;
    while ((u64)at + 4 <= total) {
        u32 token = be32(tree + at);
        at += 4;
        if (token == FDT_BEGIN_NODE) {
            if (depth >= 0)
                learn(depth);
            if (++depth == MAX_DEPTH)
                return false;
            /* The defaults are those of section 2.3.5. */
            levels[depth] = (struct level){ .name = (const char *)tree + at,
                                            .address_cells = 2, .size_cells = 1 };
            while (at < total && tree[at])
                at++;
            at = (at + 4) & ~3u;
        } else if (token == FDT_END_NODE) {
            if (depth < 0)
                return false;
            learn(depth--);
            if (depth < 0)
                break;              /* the root is complete */
        } else if (token == FDT_PROP) {
            if (depth < 0 || (u64)at + 8 > total)
                return false;
            u32 length = be32(tree + at);
            u64 name = (u64)strings + be32(tree + at + 4);
            at += 8;
            if ((u64)at + length > total || name >= total)
                return false;
            property(depth, (const char *)tree + name, (struct cells){ tree + at, length });
            at += (length + 3) & ~3u;
        } else if (token != FDT_NOP) {
            break;
        }
    }
    beliefs.tree = tree;
    beliefs.tree_size = total;
    return true;
}

bool device_is(const struct device *d, const char *name)
{
    return in_list(d->compatible, name);
}

struct device *device_find(const char *name)
{
    for (u32 i = 0; i < beliefs.device_count; i++)
        if (device_is(&beliefs.devices[i], name))
            return &beliefs.devices[i];
    return NULL;
}

bool is_memory(u64 address, u64 length)
{
    for (u32 i = 0; i < beliefs.memory_count; i++) {
        const struct range *r = &beliefs.memory[i];
        if (address >= r->base && address - r->base < r->size
            && length <= r->size - (address - r->base))
            return true;
    }
    return false;
}

u64 memory_total(void)
{
    u64 total = 0;
    for (u32 i = 0; i < beliefs.memory_count; i++)
        total += beliefs.memory[i].size;
    return total;
}
