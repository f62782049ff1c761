/* The commands, one table line each. */

#include "monitor.h"

#define LONGEST_SLEEP   86400
#define MOST_SECTORS    1024
#define MOST_BYTES      65536

static u8 sector_buffer[SECTOR] __attribute__((aligned(16)));

/* Take a number off the line; complain if it is none. */
static bool number(char **args, const char *what, u64 *value)
{
    char *word = next_word(args);
    if (*word && parse_number(word, value))
        return true;
    if (*word)
        print("%s should be a number like 12 or 0x1f, not \"%s\".\n", what, word);
    else
        print("%s is missing.\n", what);
    return false;
}

/* The same, if there is one: `value` keeps its default otherwise. */
static bool optional(char **args, const char *what, u64 *value)
{
    char *p = *args;
    while (*p == ' ' || *p == '\t')
        p++;
    return !*p || number(args, what, value);
}

/* --- the disk --- */

static bool disk_range(u64 sector, u64 count)
{
    if (disk.trouble) {
        print("I have no disk to use: %s.\n", disk.trouble);
        return false;
    }
    if (sector >= disk.sectors || count > disk.sectors - sector) {
        print("That is beyond the end: the last sector is %lu.\n", disk.sectors - 1);
        return false;
    }
    if (count == 0 || count > MOST_SECTORS) {
        print("From 1 to %d sectors at a time, please.\n", MOST_SECTORS);
        return false;
    }
    return true;
}

static bool disk_ok(const char *error)
{
    if (error)
        print("The disk refused: %s.\n", error);
    return !error;
}

static bool disk_writable(u64 sector, u64 count)
{
    if (!disk_range(sector, count))
        return false;
    if (disk.read_only)
        print("The disk says that it is read-only.\n");
    return !disk.read_only;
}

static void do_disk(char *args)
{
    (void)args;
    show_disk();
}

static void do_read(char *args)
{
    u64 sector, count = 1;
    if (!number(&args, "SECTOR", &sector) || !optional(&args, "COUNT", &count)
        || !disk_range(sector, count))
        return;
    for (u64 i = 0; i < count && !uart_cancelled(); i++) {
        if (!disk_ok(disk_read(sector + i, sector_buffer)))
            return;
        if (count > 1)
            print("sector %lu\n", sector + i);
        print_dump((sector + i) * SECTOR, sector_buffer, SECTOR);
    }
}

static void do_flush(char *args)
{
    (void)args;
    if (disk_ok(disk_flush()))
        print(disk.can_flush ? "Flushed: what was written is safe now.\n"
                             : "Nothing to do: this disk makes every write final at once.\n");
}

static void do_write(char *args)
{
    u64 sector;
    if (!number(&args, "SECTOR", &sector) || !disk_writable(sector, 1))
        return;
    size_t n = strlen(args);
    if (!n) {
        print("TEXT is missing.\n");
        return;
    }
    memset(sector_buffer, 0, SECTOR);
    memcpy(sector_buffer, args, n);     /* a line is shorter than a sector */
    if (disk_ok(disk_write(sector, sector_buffer)) && disk_ok(disk_flush()))
        print("Sector %lu now holds your %lu byte%s and then zeros, flushed.\n", sector, n,
              n == 1 ? "" : "s");
}

static void do_fill(char *args)
{
    u64 sector, count, byte;
    if (!number(&args, "SECTOR", &sector) || !number(&args, "COUNT", &count)
        || !number(&args, "BYTE", &byte) || !disk_writable(sector, count))
        return;
    if (byte > 255) {
        print("A BYTE is at most 255.\n");
        return;
    }
    memset(sector_buffer, (int)byte, SECTOR);
    for (u64 i = 0; i < count; i++)
        if (!disk_ok(disk_write(sector + i, sector_buffer)))
            return;
    if (disk_ok(disk_flush()))
        print("%lu sector%s from %lu on filled with 0x%02lx, flushed.\n", count,
              count == 1 ? "" : "s", sector, byte);
}

/* --- time --- */

static void do_sleep(char *args)
{
    u64 seconds, thousandths = 0;
    char *word = next_word(&args), *dot = word;
    while (*dot && *dot != '.')
        dot++;
    if (*dot) {
        *dot++ = 0;
        for (u64 unit = 100; *dot >= '0' && *dot <= '9'; dot++, unit /= 10)
            thousandths += (u64)(*dot - '0') * unit;
        if (!*word)
            word = "0";
    }
    if (*dot || !parse_number(word, &seconds) || seconds > LONGEST_SLEEP) {
        print("How many seconds? 2 or 0.5, but no more than %d.\n", LONGEST_SLEEP);
        return;
    }
    if (!clint) {
        print("I have no timer to wake me.\n");
        return;
    }
    u64 start = now(), hz = ticks_per_second(), naps = 0;
    u64 deadline = start + seconds * hz + thousandths * hz / 1000;
    while (now() < deadline && !uart_cancelled()) {
        interrupts_off();
        if (now() < deadline && !uart_cancelled()) {
            doze(deadline);
            naps++;
        }
        interrupts_on();
    }
    u64 slept = now() - start;
    print("%s after %lu.%06lu s; I executed wfi %lu time%s meanwhile.\n",
          now() < deadline ? "Woken by ctrl-C" : "Awake", slept / hz,
          slept % hz * 1000000 / hz, naps, naps == 1 ? "" : "s");
}

static void do_time(char *args)
{
    (void)args;
    show_time();
}

/* --- memory --- */

static bool width_of(char **args, u64 *width)
{
    if (!optional(args, "WIDTH", width))
        return false;
    if (*width == 8 || *width == 16 || *width == 32 || *width == 64)
        return true;
    print("WIDTH is 8, 16, 32 or 64 bits.\n");
    return false;
}

static void do_peek(char *args)
{
    u64 address, n = 64, width = 0;
    if (!number(&args, "ADDR", &address) || !optional(&args, "LEN", &n))
        return;
    bool whole = address % 4 == 0 && n % 4 == 0;
    width = is_memory(address, n) || !whole ? 8 : 32;   /* most device registers are 32 bits */
    if (!width_of(&args, &width))
        return;
    u64 step = width / 8;
    if (!n || n > MOST_BYTES || n - 1 > ~address) {
        print("From 1 to %d bytes at a time, please.\n", MOST_BYTES);
        return;
    }
    n = (n + step - 1) / step * step;
    /* Read a line at a time, so that what can be read is shown before a trap. */
    for (u64 at = 0; at < n && !uart_cancelled(); at += 16) {
        u8 bytes[16];
        u64 part = n - at < 16 ? n - at : 16;
        for (u64 i = 0; i < part; i += step) {
            u64 a = address + at + i;
            u64 v = width == 8 ? read8(a) : width == 16 ? read16(a)
                  : width == 32 ? read32(a) : read64(a);
            memcpy(bytes + i, &v, step);
        }
        print_dump(address + at, bytes, part);
    }
}

static void do_poke(char *args)
{
    u64 address, value, width = 32;
    if (!number(&args, "ADDR", &address) || !number(&args, "VALUE", &value))
        return;
    if (value > 0xffffffff)
        width = 64;
    if (!width_of(&args, &width))
        return;
    if (width < 64 && value >> width) {
        print("That VALUE needs more than %lu bits.\n", width);
        return;
    }
    switch (width) {
    case 8: write8(address, (u8)value); break;
    case 16: write16(address, (u16)value); break;
    case 32: write32(address, (u32)value); break;
    default: write64(address, value);
    }
    fence();
    __asm__ volatile("fence.i" ::: "memory");   /* in case it was code */
    print("Stored %lu bits at 0x%lx.\n", width, address);
}

/* --- the rest --- */

static void do_rng(char *args)
{
    (void)args;
    static u8 bytes[16] __attribute__((aligned(16)));
    u32 got = 0;
    const char *error = rng_read(bytes, sizeof bytes, &got);
    if (error) {
        print("No random numbers: %s.\n", error);
        return;
    }
    for (u32 i = 0; i < got; i++)
        print("%s%02x", i ? " " : "  ", bytes[i]);
    print("\n");
}

static void do_off(char *args)
{
    u64 code = 0;
    if (!optional(&args, "CODE", &code))
        return;
    if (code > 255) {
        print("CODE is at most 255.\n");
        return;
    }
    if (disk.v.ready && disk.writes)
        disk_ok(disk_flush());
    print("Goodbye.\n");
    power_off((u32)code);
    print("But there is no power switch, or it does nothing.\n");
}

static void do_reboot(char *args)
{
    (void)args;
    print("See you in a moment.\n");
    power_reset();
    print("But there is no power switch, or it does nothing.\n");
}

static void do_crash(char *args) { lesson_crash(next_word(&args)); }
static void do_info(char *args) { (void)args; show_beliefs(); }
static void do_harts(char *args) { (void)args; show_harts(); }
static void do_mem(char *args) { (void)args; show_memory(); }
static void do_devices(char *args) { (void)args; show_devices(); }
static void do_csr(char *args) { (void)args; show_csrs(); }
static void do_trap(char *args) { (void)args; lesson_trap(); }
static void do_echo(char *args) { print("%s\n", args); }
static void do_clear(char *args) { (void)args; print("\033[2J\033[H"); }
static void do_help(char *args);

static const struct command {
    const char *name, *usage, *summary, *more;
    void (*run)(char *args);
} commands[] = {
    { "info", "", "what I believe about this machine",
      "Everything here is hearsay: the board put a device tree into memory and told me its "
      "address; I read it, and asked the devices that it names.", do_info },
    { "harts", "", "wake the other harts and ask them who they are",
      "Each hart but this one sleeps in wfi. I store 1 to its msip register in the CLINT, "
      "which makes its software interrupt pending, and that ends the wfi.", do_harts },
    { "mem", "", "what is where in memory", "", do_mem },
    { "devices", "", "every device in the device tree",
      "A virtio slot is a place where a virtual device may be plugged in; I asked each one "
      "what it is.", do_devices },
    { "csr", "", "the hart's control and status registers, decoded", "", do_csr },
    { "disk", "", "about the disk", "", do_disk },
    { "read", "SECTOR [COUNT]", "show sectors of the disk",
      "In hexadecimal and ASCII. A line equal to the one above it is shown as one *.",
      do_read },
    { "write", "SECTOR TEXT...", "write text to a sector, and flush",
      "The rest of the sector becomes zeros. What was there is gone: if the disk holds "
      "files, this can damage them.", do_write },
    { "fill", "SECTOR COUNT BYTE", "fill sectors with a byte, and flush", "", do_fill },
    { "flush", "", "ask the disk to make all writes safe", "", do_flush },
    { "time", "", "the date, and the time since the start", "", do_time },
    { "sleep", "SECONDS", "sleep in wfi until the timer wakes me",
      "I set mtimecmp, the alarm, and execute wfi; the hart does nothing until then. A "
      "fraction such as 0.25 is fine. ctrl-C wakes me early.", do_sleep },
    { "rng", "", "16 random bytes", "From a virtio entropy device, if there is one.", do_rng },
    { "peek", "ADDR [LEN [WIDTH]]", "look at memory or device registers",
      "LEN is in bytes, 64 if not given. WIDTH is how many bits to read at once: 8, 16, 32 or "
      "64; 8 for RAM and 32 elsewhere if not given. Reading some registers changes them. If "
      "nothing answers, I trap, explain, and come back.", do_peek },
    { "poke", "ADDR VALUE [WIDTH]", "change memory or a device register",
      "WIDTH is 8, 16, 32 or 64 bits; 32 if not given and VALUE fits. You may overwrite me: "
      "nothing here protects me from you.", do_poke },
    { "trap", "", "a trap, step by step", "", do_trap },
    { "crash", "[KIND]", "fail on purpose, and explain",
      "`crash` alone lists the kinds.", do_crash },
    { "off", "[CODE]", "switch the machine off",
      "With a CODE other than 0, tell whoever runs the machine that it failed.", do_off },
    { "reboot", "", "reset the machine", "", do_reboot },
    { "echo", "TEXT...", "print text", "", do_echo },
    { "clear", "", "clear the screen", "", do_clear },
    { "help", "[COMMAND]", "this list, or more about a command", "", do_help },
};

#define COMMANDS (sizeof commands / sizeof *commands)

static const struct command *find(const char *name)
{
    for (u32 i = 0; i < COMMANDS; i++)
        if (same(commands[i].name, name))
            return &commands[i];
    return NULL;
}

static void do_help(char *args)
{
    char *word = next_word(&args);
    if (!*word) {
        for (u32 i = 0; i < COMMANDS; i++)
            print("  %-7s %-18s  %s\n", commands[i].name, commands[i].usage,
                  commands[i].summary);
        return;
    }
    const struct command *c = find(word);
    if (!c) {
        print("I know no command \"%s\".\n", word);
        return;
    }
    print("%s %s: %s.\n", c->name, c->usage, c->summary);
    if (*c->more)
        print_wrapped(0, c->more);
}

void run_command(char *line)
{
    char *word = next_word(&line);
    if (!*word)
        return;
    const struct command *c = find(word);
    if (c)
        c->run(line);
    else
        print("I know no command \"%s\". Try `help`.\n", word);
}
