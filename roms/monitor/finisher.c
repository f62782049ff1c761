/* The power switch: a register made for test benches ("sifive,test"), that ends the
 * machine and tells whoever runs it how things went. */

#include "monitor.h"

#define PASS    0x5555
#define FAIL    0x3333      /* with a code in the upper half */
#define RESET   0x7777

struct device *finisher;

void finisher_init(void)
{
    finisher = device_find("sifive,test0");
    if (!finisher)
        finisher = device_find("sifive,test1");
}

static void finish(u32 word)
{
    if (!finisher)
        return;
    fence();
    write32(finisher->base, word);
    for (int i = 0; i < 1000000; i++)   /* it may take a moment */
        __asm__ volatile("");
}

void power_off(u32 code)
{
    finish(code ? code << 16 | FAIL : PASS);
}

void power_reset(void)
{
    finish(RESET);
}
