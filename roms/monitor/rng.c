/* Random numbers: virtio-entropy (specification 1.2, section 5.4), which has no
 * registers at all: it fills whatever buffer it is given. */

#include "monitor.h"

extern struct virtq virtio_spare_queue;
static struct virtio rng;

const char *rng_read(void *to, u32 n, u32 *got)
{
    struct device *d = NULL;
    for (u32 i = 0; i < beliefs.device_count && !d; i++)
        if (beliefs.devices[i].virtio_id == 4)
            d = &beliefs.devices[i];
    if (!d)
        return "no such device is plugged in";
    if (!rng.ready) {
        const char *error = virtio_begin(&rng, d, 0, &virtio_spare_queue);
        if (error)
            return error;
    }
    struct virtio_buffer buffer = { to, n, true };
    const char *error = virtio_transfer(&rng, &buffer, 1, got);
    if (!error && (!*got || *got > n))
        return "it gave back a length that makes no sense";
    return error;
}
