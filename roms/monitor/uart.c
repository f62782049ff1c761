/* The console: a 16550 serial port, the chip of the IBM PC that every board still
 * imitates. Bytes go out by asking "room?" and storing; bytes come in by interrupt. */

#include "monitor.h"

#define RBR 0   /* read: received byte         THR: write: byte to send */
#define IER 1   /* interrupt enable */
#define LCR 3   /* line control */
#define MCR 4   /* modem control */
#define LSR 5   /* line status */

#define IER_RECEIVED    0x01
#define LCR_8N1         0x03
#define MCR_READY       0x0b    /* DTR, RTS, OUT2 */
#define LSR_DATA        0x01
#define LSR_ROOM        0x20

#define CTRL_C          3
#define RING            1024    /* a power of two */

struct device *uart;

static volatile u8 ring[RING];
static volatile u32 ring_in, ring_out;
static volatile bool listening, paused, cancelled;

static u64 reg(u32 r)
{
    return uart->base + ((u64)r << uart->reg_shift);
}

bool uart_init(void)
{
    uart = device_find("ns16550a");
    if (!uart)
        uart = device_find("ns16550");
    if (!uart)
        return false;
    write8(reg(IER), 0);
    write8(reg(LCR), LCR_8N1);      /* the speed is the board's business */
    /* FCR stays as it is: switching the FIFOs on empties them, and what somebody
     * typed (or piped) before we were ready would be lost. */
    write8(reg(MCR), MCR_READY);
    return true;
}

void uart_listen(void)
{
    if (plic_enable(uart)) {
        listening = true;
        write8(reg(IER), IER_RECEIVED);
    }
}

void uart_put(char c)
{
    if (!uart)
        return;
    while (!(read8(reg(LSR)) & LSR_ROOM))
        ;
    write8(reg(RBR), (u8)c);
}

/* Move what has arrived into the ring. When the ring is full we leave the rest in
 * the chip and stop its interrupt: then the chip stays full, and the sender waits. */
static void drain(void)
{
    while (read8(reg(LSR)) & LSR_DATA) {
        if (ring_in - ring_out == RING) {
            paused = true;
            write8(reg(IER), 0);
            return;
        }
        u8 c = read8(reg(RBR));
        if (c == CTRL_C) {          /* forget what was typed ahead, as terminals do */
            ring_out = ring_in;
            cancelled = true;
        }
        ring[ring_in % RING] = c;
        ring_in++;
    }
}

void uart_interrupt(void)
{
    drain();
}

int uart_get(void)
{
    u64 enabled = csr_read(mstatus) & MSTATUS_MIE;
    interrupts_off();
    if (!listening || (paused && ring_in - ring_out < RING / 2)) {
        drain();
        if (listening && ring_in - ring_out < RING) {
            paused = false;
            write8(reg(IER), IER_RECEIVED);
        }
    }
    int c = -1;
    if (ring_in != ring_out) {
        c = ring[ring_out % RING];
        ring_out++;
    }
    csr_set(mstatus, enabled);
    return c;
}

int uart_wait(void)
{
    for (;;) {
        int c = uart_get();
        if (c >= 0)
            return c;
        interrupts_off();
        if (ring_in == ring_out)    /* without interrupts, look again 50 times a second */
            doze(listening ? ~0ul : now() + ticks_per_second() / 50);
        interrupts_on();
    }
}

bool uart_cancelled(void)
{
    if (!listening) {
        interrupts_off();
        drain();
        interrupts_on();
    }
    return cancelled;
}

void uart_clear_cancel(void)
{
    cancelled = false;
}
