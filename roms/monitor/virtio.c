/* virtio over MMIO: how a guest and its host pass buffers, without the pretence of
 * being old hardware. (Virtual I/O Device specification 1.2: 2.7 split virtqueues,
 * 4.2 MMIO transport.) We keep one queue of 8 entries and one request in flight. */

#include "monitor.h"

#define MAGIC               0x000
#define VERSION             0x004
#define DEVICE_ID           0x008
#define DEVICE_FEATURES     0x010
#define DEVICE_FEATURES_SEL 0x014
#define DRIVER_FEATURES     0x020
#define DRIVER_FEATURES_SEL 0x024
#define QUEUE_SEL           0x030
#define QUEUE_NUM_MAX       0x034
#define QUEUE_NUM           0x038
#define QUEUE_READY         0x044
#define QUEUE_NOTIFY        0x050
#define INTERRUPT_STATUS    0x060
#define INTERRUPT_ACK       0x064
#define STATUS              0x070
#define QUEUE_DESC          0x080
#define QUEUE_DRIVER        0x090
#define QUEUE_DEVICE        0x0a0
#define CONFIG_GENERATION   0x0fc
#define CONFIG              0x100

#define ACKNOWLEDGE         1
#define DRIVER              2
#define DRIVER_OK           4
#define FEATURES_OK         8

#define F_VERSION_1         (1ul << 32)

#define DESC_NEXT           1
#define DESC_WRITE          2

#define TIMEOUT_SECONDS     10

struct virtq {
    struct { u64 address; u32 length; u16 flags, next; } desc[QUEUE_SIZE];
    struct { u16 flags, index, ring[QUEUE_SIZE], used_event; } avail __attribute__((aligned(2)));
    struct { u16 flags, index; struct { u32 id, length; } ring[QUEUE_SIZE]; u16 avail_event; }
        used __attribute__((aligned(4)));
} __attribute__((aligned(16)));

/* One queue for the disk, one for everything that is used now and then. */
struct virtq virtio_disk_queue, virtio_spare_queue;

const char *virtio_name(u32 id)
{
    static const char *const names[] = {
        "empty", "network", "disk", "console", "entropy", "balloon", "io memory",
        "rpmsg", "scsi", "9p files", "wlan", "serial", "caif", "balloon", "?", "?", "gpu",
        "clock", "input", "socket", "crypto", "?", "pstore", "iommu", "memory", "sound",
        "shared files", "persistent memory",
    };
    return id < sizeof names / sizeof *names ? names[id] : "?";
}

/* Look into each slot: what is plugged in? */
void virtio_scan(void)
{
    for (u32 i = 0; i < beliefs.device_count; i++) {
        struct device *d = &beliefs.devices[i];
        if (device_is(d, "virtio,mmio") && read32(d->base + MAGIC) == 0x74726976)
            d->virtio_id = read32(d->base + DEVICE_ID);
    }
}

static const char *give_up(struct virtio *v, const char *why)
{
    write32(v->device->base + STATUS, 0);
    v->ready = false;
    return why;
}

const char *virtio_begin(struct virtio *v, struct device *d, u64 wanted, struct virtq *q)
{
    u64 base = d->base;
    memset(v, 0, sizeof *v);
    v->device = d;
    v->queue = q;
    if (read32(base + VERSION) != 2)
        return "it speaks virtio from before 1.0, which I do not";
    write32(base + STATUS, 0);      /* reset */
    while (read32(base + STATUS))
        ;
    write32(base + STATUS, ACKNOWLEDGE);
    write32(base + STATUS, ACKNOWLEDGE | DRIVER);

    write32(base + DEVICE_FEATURES_SEL, 0);
    u64 offered = read32(base + DEVICE_FEATURES);
    write32(base + DEVICE_FEATURES_SEL, 1);
    offered |= (u64)read32(base + DEVICE_FEATURES) << 32;
    if (!(offered & F_VERSION_1))
        return give_up(v, "it does not offer the feature VERSION_1");
    v->features = offered & (wanted | F_VERSION_1);
    write32(base + DRIVER_FEATURES_SEL, 0);
    write32(base + DRIVER_FEATURES, (u32)v->features);
    write32(base + DRIVER_FEATURES_SEL, 1);
    write32(base + DRIVER_FEATURES, (u32)(v->features >> 32));
    write32(base + STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
    if (!(read32(base + STATUS) & FEATURES_OK))
        return give_up(v, "it refused the features that it had offered");

    write32(base + QUEUE_SEL, 0);
    u32 most = read32(base + QUEUE_NUM_MAX);
    if (most < 4)                   /* a disk request needs three */
        return give_up(v, "its queue is too small");
    v->size = most < QUEUE_SIZE ? 4 : QUEUE_SIZE;
    memset(q, 0, sizeof *q);
    write32(base + QUEUE_NUM, v->size);
    u64 parts[3] = { (u64)&q->desc, (u64)&q->avail, (u64)&q->used };
    static const u16 where[3] = { QUEUE_DESC, QUEUE_DRIVER, QUEUE_DEVICE };
    for (int i = 0; i < 3; i++) {
        write32(base + where[i], (u32)parts[i]);
        write32(base + where[i] + 4, (u32)(parts[i] >> 32));
    }
    write32(base + QUEUE_READY, 1);
    v->has_irq = plic_enable(d);
    write32(base + STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    v->ready = true;
    return NULL;
}

const char *virtio_transfer(struct virtio *v, const struct virtio_buffer *b, u32 n, u32 *written)
{
    struct virtq *q = v->queue;
    volatile u16 *used_index = &q->used.index;
    for (u32 i = 0; i < n; i++) {
        q->desc[i].address = (u64)b[i].data;
        q->desc[i].length = b[i].length;
        q->desc[i].flags = (b[i].device_writes ? DESC_WRITE : 0) | (i + 1 < n ? DESC_NEXT : 0);
        q->desc[i].next = (u16)(i + 1);
    }
    q->avail.ring[q->avail.index % v->size] = 0;    /* the chain starts at descriptor 0 */
    fence();
    q->avail.index++;
    fence();
    write32(v->device->base + QUEUE_NOTIFY, 0);

    u64 deadline = now() + TIMEOUT_SECONDS * ticks_per_second();
    while (*used_index == v->used_seen) {
        if (now() > deadline)
            return give_up(v, "no answer within 10 seconds");
        if (!v->has_irq)
            continue;
        interrupts_off();
        if (*used_index == v->used_seen)
            doze(deadline);
        interrupts_on();
    }
    fence();
    u32 length = q->used.ring[v->used_seen % v->size].length;
    v->used_seen++;
    if (written)
        *written = length;
    return NULL;
}

void virtio_interrupt(struct device *d)
{
    write32(d->base + INTERRUPT_ACK, read32(d->base + INTERRUPT_STATUS));
}

u32 virtio_config32(struct device *d, u32 offset)
{
    return read32(d->base + CONFIG + offset);
}

u8 virtio_config8(struct device *d, u32 offset)
{
    return read8(d->base + CONFIG + offset);
}

/* Two reads are not one: repeat them until the device did not change in between. */
u64 virtio_config64(struct device *d, u32 offset)
{
    u32 before, after;
    u64 value;
    do {
        before = read32(d->base + CONFIG_GENERATION);
        value = virtio_config32(d, offset) | (u64)virtio_config32(d, offset + 4) << 32;
        after = read32(d->base + CONFIG_GENERATION);
    } while (before != after);
    return value;
}
