/* The order of things: find the console, find the rest, greet, then obey. */

#include "monitor.h"

int main(u64 hart_id, u64 device_tree)
{
    (void)hart_id;
    /* Without a tree we know of no device, not even of one to complain through. */
    if (!fdt_read(device_tree) || !uart_init())
        return 1;
    finisher_init();
    clint_init();
    plic_init();
    rtc_init();
    uart_listen();
    interrupts_on();
    virtio_scan();
    disk_init();
    show_banner();

    static char line[LINE_MAX];
    checkpoint();                   /* a trap that cannot be mended continues here */
    csr_write(mtvec, (u64)trap_entry);
    interrupts_on();
    for (;;)
        if (read_line("ruse> ", line))
            run_command(line);
}
