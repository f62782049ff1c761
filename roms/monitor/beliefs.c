/* What the monitor believes, in words. All of it is hearsay: from the device tree, and
 * from what the devices answered. */

#include "monitor.h"

static void print_isa_short(const struct hart *h)
{
    if (!h->isa) {
        print("unknown kind");
        return;
    }
    size_t n = strlen(h->isa);
    print("%.*s%s", (int)(n > 40 ? 37 : n), h->isa, n > 40 ? "..." : "");
}

static void print_ticks(u64 hertz)
{
    if (hertz >= 1000000 && hertz % 1000000 == 0)
        print("%lu MHz", hertz / 1000000);
    else
        print("%lu Hz", hertz);
}

static void line_harts(void)
{
    print("  harts    %u", beliefs.hart_count);
    if (beliefs.hart_count) {
        print(", ");
        print_isa_short(&beliefs.harts[0]);
    }
    print("\n");
}

static void line_memory(void)
{
    print("  memory   ");
    print_binary_size(memory_total());
    if (beliefs.memory_count)
        print(" at 0x%lx", beliefs.memory[0].base);
    if (beliefs.memory_count > 1)
        print(" and in %u more places", beliefs.memory_count - 1);
    print("\n");
}

static void line_disk(void)
{
    print("  disk     ");
    if (disk.trouble && disk.v.device) {
        print("one that I cannot use: %s\n", disk.trouble);
        return;
    }
    if (disk.trouble) {
        print("none\n");
        return;
    }
    print_decimal_size(disk.sectors * SECTOR);
    print(" SSD, %lu sectors of %d bytes%s\n", disk.sectors, SECTOR,
          disk.read_only ? ", read-only" : "");
}

static void line_clock(void)
{
    print("  clock    ");
    if (rtc)
        print_date(rtc_nanoseconds() / 1000000000);
    else
        print("no date");
    if (clint && beliefs.timebase) {
        print("; timer at ");
        print_ticks(beliefs.timebase);
    } else {
        print("; no timer");
    }
    print("\n");
}

static void line_devices(void)
{
    u32 slots = 0, used = 0;
    for (u32 i = 0; i < beliefs.device_count; i++) {
        slots += device_is(&beliefs.devices[i], "virtio,mmio");
        used += beliefs.devices[i].virtio_id != 0;
    }
    print("  devices  %u in the device tree", beliefs.device_count);
    if (slots)
        print(", %u of them virtio slots: %u in use", slots, used);
    print("\n");
    if (!used)
        return;
    const char *before = "  virtio   ";
    for (u32 i = 0; i < beliefs.device_count; i++) {
        if (beliefs.devices[i].virtio_id) {
            print("%s%s", before, virtio_name(beliefs.devices[i].virtio_id));
            before = ", ";
        }
    }
    print("\n");
}

static void short_version(void)
{
    line_harts();
    line_memory();
    line_disk();
    line_clock();
    line_devices();
}

void show_banner(void)
{
    print("\n  The ruse monitor: a small program, alone on a RISC-V machine.\n\n"
          "  There is no operating system here. I run in machine mode on hart %lu, and as\n"
          "  far as I can tell this is a real computer. What I believe I have:\n\n",
          csr_read(mhartid));
    short_version();
    print("\n  Try `help`, `info`, `crash load`, `trap`, `off`.\n\n");
}

void show_beliefs(void)
{
    print("I read this in a device tree of %u bytes at 0x%lx, and asked the devices.\n",
          beliefs.tree_size, (u64)beliefs.tree);
    if (beliefs.model)
        print("  board    %s\n", beliefs.model);
    short_version();
    if (uart)
        print("  console  %s, irq %u, %s\n", uart->name, uart->irq,
              plic ? "I sleep until it calls" : "I ask it again and again");
    if (finisher)
        print("  power    a switch at 0x%lx\n", finisher->base);
    else
        print("  power    no switch that I know of\n");
    if (beliefs.arguments && *beliefs.arguments)
        print("  told     \"%s\"\n", beliefs.arguments);
    for (u32 i = 0; i < beliefs.hart_count; i++) {
        const struct hart *h = &beliefs.harts[i];
        bool first = true;          /* the first hart of its kind speaks for the others */
        for (u32 j = 0; j < i; j++)
            first &= !(h->isa && beliefs.harts[j].isa && same(h->isa, beliefs.harts[j].isa));
        if (!first || !h->isa)
            continue;
        print("  hart %lu speaks:\n", h->id);
        /* The names in the list are separated by NULs; the isa string by underscores.
         * Both are shown as words, so that they can be wrapped. */
        static char words[2048];
        u32 n = 0;
        for (const char *c = h->isa; *c && n < sizeof words - 2; c++)
            words[n++] = *c == '_' ? ' ' : *c;
        for (u32 k = 0; k < h->isa_extensions.length && n < sizeof words - 2; k++) {
            u8 c = h->isa_extensions.bytes[k];
            if (k == 0)
                words[n++] = ' ';
            words[n++] = c ? (char)c : ' ';
        }
        while (n && words[n - 1] == ' ')
            n--;
        words[n] = 0;
        print_wrapped(11, words);
    }
}

static void region(const char *what, u64 from, u64 to)
{
    if (from >= to)
        return;
    print("  0x%010lx .. 0x%010lx  %s, ", from, to - 1, what);
    print_binary_size(to - from);
    print("\n");
}

void show_memory(void)
{
    if (!beliefs.memory_count)
        print("The device tree names no memory. And yet I run in some.\n");
    for (u32 i = 0; i < beliefs.memory_count; i++)
        region("RAM", beliefs.memory[i].base, beliefs.memory[i].base + beliefs.memory[i].size);
    region("  my code and texts", (u64)__image_start, (u64)__text_end);
    region("  my variables", (u64)__text_end, (u64)__bss_end);
    region("  my stacks", (u64)__bss_end, (u64)__image_end);
    region("  device tree", (u64)beliefs.tree, (u64)beliefs.tree + beliefs.tree_size);
    print("All the rest of the RAM is free: `peek` and `poke` as you like.\n");
}

void show_devices(void)
{
    print("  address       irq  name                     what it says it is\n");
    for (u32 i = 0; i < beliefs.device_count; i++) {
        const struct device *d = &beliefs.devices[i];
        print("  0x%010lx  ", d->base);
        if (d->irq)
            print("%3u  ", d->irq);
        else
            print("  -  ");
        print("%-24.*s %.*s", 24, d->name, 26, (const char *)d->compatible.bytes);
        if (d->virtio_id)
            print(": %s", virtio_name(d->virtio_id));
        else if (device_is(d, "virtio,mmio"))
            print(": empty");
        print("\n");
    }
    if (!beliefs.device_count)
        print("  none\n");
}

void show_disk(void)
{
    line_disk();
    if (disk.trouble)
        return;
    print("  found    %s at 0x%lx, irq %u, a virtio block device\n", disk.v.device->name,
          disk.v.device->base, disk.v.device->irq);
    if (disk.serial[0])
        print("  serial   %s\n", disk.serial);
    print("  size     %lu bytes, in blocks of %u\n", disk.sectors * SECTOR, disk.block_size);
    print("  flush    %s\n", disk.can_flush ? "yes: it says when a write is safe"
                                            : "not offered: every write is final at once");
    print("  so far   %lu sectors read, %lu written, %lu flushes\n", disk.reads, disk.writes,
          disk.flushes);
    print("Whether it is flash, a spinning plate or a file, I have no way to know.\n");
}

void show_time(void)
{
    if (rtc) {
        u64 t = rtc_nanoseconds();
        print("  date     ");
        print_date(t / 1000000000);
        print(" (%lu ns since 1970)\n", t);
    } else {
        print("  date     unknown: no clock that I know\n");
    }
    if (!clint) {
        print("  uptime   unknown: no timer that I know\n");
        return;
    }
    u64 t = now(), hz = ticks_per_second();
    print("  uptime   %lu.%06lu s (mtime %lu, ", t / hz, t % hz * 1000000 / hz, t);
    print_ticks(hz);
    print("%s)\n", beliefs.timebase ? "" : ", a guess: the tree does not say");
}
