// The first program of an operating system: file systems, drivers, the network; and off.
#include "bench.h"

static void mount(const char *type, const char *at) {
    sys(SYS_mkdirat, AT_FDCWD, at, 0755);
    sys(SYS_mount, type, at, type, 0, 0);
}

// Drivers are /modules/00, /modules/01 and so on, in the order in which they must go in.
static void load_modules(void) {
    for (int i = 0; i < 100; i++) {
        char path[] = "/modules/00";
        path[9] = (char)('0' + i / 10);
        path[10] = (char)('0' + i % 10);
        i64 file = sys(SYS_openat, AT_FDCWD, path, O_RDONLY, 0);
        if (file < 0)
            return;
        // Compressed, or as it is.
        if (sys(SYS_finit_module, file, "", MODULE_INIT_COMPRESSED_FILE) < 0)
            sys(SYS_finit_module, file, "", 0);
        sys(SYS_close, file);
    }
}

// Devices appear a moment after their driver.
static void wait_for(const char *path) {
    for (int i = 0; *path && i < 100; i++) {
        i64 file = sys(SYS_openat, AT_FDCWD, path, O_RDONLY, 0);
        if (file >= 0) {
            sys(SYS_close, file);
            return;
        }
        struct timespec a_while = {0, 20000000};
        sys(SYS_nanosleep, &a_while, 0);
    }
}

void boot(void) {
    static const u8 address[4] = {10, 0, 2, 15};
    mount("proc", "/proc");
    mount("devtmpfs", "/dev");
    mount("sysfs", "/sys");
    // What the kernel has taken before anything else happens.
    memory();
    load_modules();
    wait_for(options.raw);
    wait_for(options.qcow2);
    if (*options.peer) {
        wait_for("/sys/class/net/eth0");
        interface_up("lo", 0, 0);
        interface_up("eth0", address, 24);
    }
}

void power_off(void) {
    enum { MAGIC1 = (int)0xfee1dead, MAGIC2 = 672274793, POWER_OFF = 0x4321fedc };
    for (;;)
        sys(SYS_reboot, MAGIC1, MAGIC2, POWER_OFF, 0);
}
