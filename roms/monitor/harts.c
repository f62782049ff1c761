/* The other harts. They sleep in `park` (start.S) until hart 0 rings; then each fills
 * in a form about itself and goes back to sleep. */

#include "monitor.h"

struct form {
    volatile bool done;
    u64 id, misa, vendor, architecture, implementation;
};

static struct form forms[MAX_HARTS];

static void fill_in(struct form *f)
{
    f->id = csr_read(mhartid);
    f->misa = csr_read(misa);
    f->vendor = csr_read(mvendorid);
    f->architecture = csr_read(marchid);
    f->implementation = csr_read(mimpid);
    fence();
    f->done = true;
}

/* Called on the parked hart itself, on a stack of its own, when its bell rings. */
void hart_report(u64 id)
{
    hart_hang_up(id);
    fill_in(&forms[id]);
}

void print_misa(u64 misa)
{
    if (!misa) {
        print("0 (this hart keeps it to itself)");
        return;
    }
    print("RV%d", 16 << (misa >> 62));
    static const char order[] = "IEMAFDQCBVH";      /* the customary order, then the rest */
    for (const char *c = order; *c; c++)
        if (misa >> (*c - 'A') & 1)
            print("%c", *c);
    for (int i = 0; i < 26; i++) {
        bool listed = false;
        for (const char *c = order; *c; c++)
            listed |= *c == 'A' + i;
        if (!listed && misa >> i & 1)
            print("%c", 'A' + i);
    }
}

static void show_form(const struct form *f, const char *remark)
{
    print("  hart %-4lu misa 0x%016lx  ", f->id, f->misa);
    print_misa(f->misa);
    print("  %s\n", remark);
    print("            vendor 0x%lx, architecture 0x%lx, implementation 0x%lx\n", f->vendor,
          f->architecture, f->implementation);
}

static void call_and_wait(const struct hart *h)
{
    struct form *f = &forms[h->id];
    f->done = false;
    hart_call(h->id);
    u64 deadline = now() + 10 * ticks_per_second();
    while (!f->done && now() < deadline)
        ;
    if (!f->done) {
        print("  hart %-4lu does not answer\n", h->id);
        hart_hang_up(h->id);
        return;
    }
    fence();
    show_form(f, "awoke and answered");
}

void show_harts(void)
{
    u64 me = csr_read(mhartid);
    print("A hart is a hardware thread: something that executes instructions. The device\n"
          "tree names %u. I ring each one's bell (a store to msip in the CLINT); it wakes,\n"
          "fills in a form in memory, and goes back to sleep.\n", beliefs.harts_named);
    for (u32 i = 0; i < beliefs.hart_count; i++) {
        const struct hart *h = &beliefs.harts[i];
        if (h->id == me) {
            struct form mine;
            fill_in(&mine);
            show_form(&mine, "this one runs me");
        } else if (!clint) {
            print("  hart %-4lu I have no CLINT to call it with\n", h->id);
        } else if (h->id >= MAX_HARTS) {
            print("  hart %-4lu I have no stack for an id that high\n", h->id);
        } else {
            call_and_wait(h);
        }
        if (uart_cancelled())
            return;
    }
    if (beliefs.harts_named > beliefs.hart_count)
        print("  and %u that are disabled or too many for me\n",
              beliefs.harts_named - beliefs.hart_count);
}
