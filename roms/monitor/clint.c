/* The core-local interruptor: the one clock that all harts share (mtime), an alarm
 * for each hart (mtimecmp), and a bell with which a hart can wake another (msip).
 * Without it we still work: then time is the cycle counter and waiting is polling. */

#include "monitor.h"

#define MSIP        0x0000
#define MTIMECMP    0x4000
#define MTIME       0xbff8

#define MIE_MSIE    (1 << 3)
#define MIE_MTIE    (1 << 7)
#define IRQ_M_SOFT  3

struct device *clint;

/* The tree lists a pair (hart's interrupt controller, 3) for each msip register, in
 * order; so a hart's place in that list, not its id, selects its registers. */
static u32 place_of(const struct hart *h)
{
    u32 place = 0;
    for (u32 i = 0; (i + 2) * 4 <= clint->interrupts_extended.length; i += 2) {
        if (cell(clint->interrupts_extended, i + 1) != IRQ_M_SOFT)
            continue;
        if (cell(clint->interrupts_extended, i) == h->intc_phandle)
            return place;
        place++;
    }
    return (u32)h->id;
}

static u32 place_of_id(u64 id)
{
    for (u32 i = 0; i < beliefs.hart_count; i++)
        if (beliefs.harts[i].id == id)
            return place_of(&beliefs.harts[i]);
    return (u32)id;
}

static u64 my_mtimecmp;

void clint_init(void)
{
    clint = device_find("riscv,clint0");
    if (!clint)
        clint = device_find("sifive,clint0");
    if (!clint)
        return;
    my_mtimecmp = clint->base + MTIMECMP + 8 * place_of_id(csr_read(mhartid));
    write64(my_mtimecmp, ~0ul);
    csr_set(mie, MIE_MTIE | MIE_MSIE);
}

u64 now(void)
{
    return clint ? read64(clint->base + MTIME) : csr_read(mcycle);
}

u64 ticks_per_second(void)
{
    return beliefs.timebase && clint ? beliefs.timebase : 10000000;
}

void timer_set(u64 deadline)
{
    if (clint)
        write64(my_mtimecmp, deadline);
}

void timer_interrupt(void)
{
    timer_set(~0ul);                /* it keeps ringing until the alarm is in the future */
}

void doze(u64 deadline)
{
    if (!clint && deadline != ~0ul)
        return;                     /* nothing would wake us in time */
    timer_set(deadline);
    __asm__ volatile("wfi" ::: "memory");
    timer_set(~0ul);
}

void hart_call(u64 id)
{
    fence();
    write32(clint->base + MSIP + 4 * place_of_id(id), 1);
}

void hart_hang_up(u64 id)
{
    write32(clint->base + MSIP + 4 * place_of_id(id), 0);
    fence();
}
