/* The platform-level interrupt controller: all devices pull at it, and it tells a
 * hart "somebody called"; the hart claims the interrupt to learn who, and completes
 * it afterwards. (RISC-V Platform-Level Interrupt Controller Specification 1.0.0) */

#include "monitor.h"

#define PRIORITY(irq)       (4ul * (irq))
#define ENABLE(context)     (0x2000ul + 0x80ul * (context))
#define THRESHOLD(context)  (0x200000ul + 0x1000ul * (context))
#define CLAIM(context)      (0x200004ul + 0x1000ul * (context))

#define MIE_MEIE            (1 << 11)
#define IRQ_M_EXTERNAL      11

struct device *plic;
static u32 context;

void plic_init(void)
{
    plic = device_find("riscv,plic0");
    if (!plic)
        plic = device_find("sifive,plic-1.0.0");
    if (!plic)
        return;
    /* A context is a place in the tree's list of (hart, interrupt) pairs. */
    u64 me = csr_read(mhartid);
    u32 phandle = 0;
    for (u32 i = 0; i < beliefs.hart_count; i++)
        if (beliefs.harts[i].id == me)
            phandle = beliefs.harts[i].intc_phandle;
    struct cells list = plic->interrupts_extended;
    u32 pairs = list.length / 8;
    for (context = 0; context < pairs; context++)
        if (cell(list, 2 * context) == phandle && cell(list, 2 * context + 1) == IRQ_M_EXTERNAL)
            break;
    if (context == pairs) {
        plic = NULL;                /* its wires do not lead to us */
        return;
    }
    for (u32 word = 0; word < 32; word++)
        write32(plic->base + ENABLE(context) + 4 * word, 0);
    write32(plic->base + THRESHOLD(context), 0);
    csr_set(mie, MIE_MEIE);
}

bool plic_enable(const struct device *d)
{
    if (!plic || !d->irq || d->irq >= 1024)
        return false;
    u64 word = plic->base + ENABLE(context) + 4 * (d->irq / 32);
    write32(plic->base + PRIORITY(d->irq), 1);
    write32(word, read32(word) | 1u << d->irq % 32);
    return true;
}

void plic_interrupt(void)
{
    u32 irq;
    while (plic && (irq = read32(plic->base + CLAIM(context)))) {
        if (uart && uart->irq == irq)
            uart_interrupt();
        for (u32 i = 0; i < beliefs.device_count; i++) {
            struct device *d = &beliefs.devices[i];
            if (d->virtio_id && d->irq == irq)
                virtio_interrupt(d);
        }
        write32(plic->base + CLAIM(context), irq);
    }
}
