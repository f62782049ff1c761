/* The disk: virtio-blk (specification 1.2, section 5.2). Sectors are 512 bytes. */

#include "monitor.h"

#define F_RO        (1ul << 5)
#define F_BLK_SIZE  (1ul << 6)
#define F_FLUSH     (1ul << 9)

#define T_IN        0
#define T_OUT       1
#define T_FLUSH     4
#define T_GET_ID    8

#define CONFIG_CAPACITY 0
#define CONFIG_BLK_SIZE 20

extern struct virtq virtio_disk_queue;
struct disk disk;

static struct { u32 type, reserved; u64 sector; } header;
static u8 status;

static const char *request(u32 type, u64 sector, void *data, u32 length, bool reading)
{
    if (disk.trouble)
        return disk.trouble;
    if (!disk.v.ready)
        return "it stopped answering earlier";
    header.type = type;
    header.reserved = 0;
    header.sector = sector;
    status = 0xff;
    struct virtio_buffer chain[3] = { { &header, sizeof header, false } };
    u32 n = 1;
    if (length)
        chain[n++] = (struct virtio_buffer){ data, length, reading };
    chain[n++] = (struct virtio_buffer){ &status, 1, true };
    const char *error = virtio_transfer(&disk.v, chain, n, NULL);
    if (error)
        return error;
    switch (*(volatile u8 *)&status) {
    case 0:
        return NULL;
    case 1:
        return "it reports an input/output error";
    case 2:
        return "it does not support that request";
    default:
        return "it gave back a status that does not exist";
    }
}

void disk_init(void)
{
    disk.trouble = "none is plugged in";
    struct device *d = NULL;
    for (u32 i = 0; i < beliefs.device_count && !d; i++)
        if (beliefs.devices[i].virtio_id == 2)
            d = &beliefs.devices[i];
    if (!d)
        return;
    disk.trouble = virtio_begin(&disk.v, d, F_RO | F_BLK_SIZE | F_FLUSH, &virtio_disk_queue);
    if (disk.trouble)
        return;
    disk.sectors = virtio_config64(d, CONFIG_CAPACITY);
    disk.read_only = disk.v.features & F_RO;
    disk.can_flush = disk.v.features & F_FLUSH;
    disk.block_size = disk.v.features & F_BLK_SIZE ? virtio_config32(d, CONFIG_BLK_SIZE) : SECTOR;
    char serial[20];                /* not NUL-terminated when all 20 bytes are used */
    memset(serial, 0, sizeof serial);
    if (!request(T_GET_ID, 0, serial, sizeof serial, true))
        for (int i = 0; i < 20 && serial[i] >= 32 && serial[i] < 127; i++)
            disk.serial[i] = serial[i];
}

const char *disk_read(u64 sector, void *to)
{
    const char *error = request(T_IN, sector, to, SECTOR, true);
    disk.reads += !error;
    return error;
}

const char *disk_write(u64 sector, const void *from)
{
    const char *error = request(T_OUT, sector, (void *)from, SECTOR, false);
    disk.writes += !error;
    return error;
}

const char *disk_flush(void)
{
    if (!disk.trouble && !disk.can_flush)
        return NULL;                /* without the feature, every write is final */
    const char *error = request(T_FLUSH, 0, NULL, 0, false);
    disk.flushes += !error;
    return error;
}
