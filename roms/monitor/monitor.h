/* Everything that the parts of the monitor know of one another.
 * Also read by start.S, which sees the constants only. */
#ifndef MONITOR_H
#define MONITOR_H

#define MAX_HARTS       64
#define HART_STACK_BITS 11          /* 2 KiB each; they only fill in a form */

#define MSTATUS_MIE     (1 << 3)
#define MSTATUS_MPIE    (1 << 7)
#define MSTATUS_MPP     (3 << 11)

#define FRAME_MEPC      (32 * 8)
#define FRAME_MCAUSE    (33 * 8)
#define FRAME_MTVAL     (34 * 8)
#define FRAME_MSTATUS   (35 * 8)
#define FRAME_SIZE      (36 * 8)

#ifndef __ASSEMBLER__

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

/* ---- text.c: strings and printing --------------------------------------- */

void *memset(void *to, int byte, size_t n);
void *memcpy(void *to, const void *from, size_t n);
size_t strlen(const char *s);
bool same(const char *a, const char *b);
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Print words, broken at spaces to fit 80 columns, each line indented. */
void print_wrapped(int indent, const char *text);
/* A hex and ASCII dump as hexdump -C prints it; `label` is the first address. */
void print_dump(u64 label, const u8 *bytes, u64 n);
/* 50000000000 as "50 GB": decimal units, as on the box of a drive. */
void print_decimal_size(u64 bytes);
/* 134217728 as "128 MiB": binary units, as memory is sold. */
void print_binary_size(u64 bytes);
/* Take the next word off *line; an empty string when there is none. */
char *next_word(char **line);
bool parse_number(const char *word, u64 *value);

/* ---- fdt.c: the device tree, and what we believe because of it ----------- */

struct cells {                      /* a property: big-endian 32-bit cells */
    const u8 *bytes;
    u32 length;
};

u32 cell(struct cells p, u32 index);

struct device {
    const char *name;               /* node name, such as serial@10000000 */
    struct cells compatible;        /* NUL-separated names, best first */
    u64 base, size;
    u32 irq;                        /* 0: none */
    u32 reg_shift;
    struct cells interrupts_extended;
    u32 virtio_id;                  /* of a virtio,mmio slot; 0: empty slot */
};

struct hart {
    u64 id;
    const char *isa;                /* riscv,isa, or riscv,isa-base */
    struct cells isa_extensions;    /* riscv,isa-extensions, if riscv,isa is absent */
    u32 intc_phandle;
};

struct range {
    u64 base, size;
};

struct beliefs {
    const void *tree;
    u32 tree_size;
    const char *model;
    const char *arguments;          /* /chosen bootargs */
    struct hart harts[MAX_HARTS];
    u32 hart_count;                 /* those that we have room for */
    u32 harts_named;                /* those that the tree names */
    struct range memory[8];
    u32 memory_count;
    u64 timebase;                   /* ticks a second; 0: the tree does not say */
    struct device devices[96];
    u32 device_count;
};

extern struct beliefs beliefs;

/* False if there is no device tree at that address. */
bool fdt_read(u64 address);
/* The first device that calls itself compatible with `name`, from *from on. */
struct device *device_find(const char *name);
bool device_is(const struct device *d, const char *name);
bool is_memory(u64 address, u64 length);
u64 memory_total(void);

/* ---- mmio: device registers ---------------------------------------------- */

static inline u8 read8(u64 a) { return *(volatile u8 *)a; }
static inline u16 read16(u64 a) { return *(volatile u16 *)a; }
static inline u32 read32(u64 a) { return *(volatile u32 *)a; }
static inline u64 read64(u64 a) { return *(volatile u64 *)a; }
static inline void write8(u64 a, u8 v) { *(volatile u8 *)a = v; }
static inline void write16(u64 a, u16 v) { *(volatile u16 *)a = v; }
static inline void write32(u64 a, u32 v) { *(volatile u32 *)a = v; }
static inline void write64(u64 a, u64 v) { *(volatile u64 *)a = v; }
static inline void fence(void) { __asm__ volatile("fence iorw, iorw" ::: "memory"); }

#define csr_read(name) ({ u64 v_; \
    __asm__ volatile("csrr %0, " #name : "=r"(v_) :: "memory"); v_; })
#define csr_write(name, v) __asm__ volatile("csrw " #name ", %0" :: "r"((u64)(v)) : "memory")
#define csr_set(name, v) __asm__ volatile("csrs " #name ", %0" :: "r"((u64)(v)) : "memory")
#define csr_clear(name, v) __asm__ volatile("csrc " #name ", %0" :: "r"((u64)(v)) : "memory")

static inline void interrupts_on(void) { csr_set(mstatus, MSTATUS_MIE); }
static inline void interrupts_off(void) { csr_clear(mstatus, MSTATUS_MIE); }

/* ---- uart.c: the console --------------------------------------------------- */

bool uart_init(void);
void uart_listen(void);             /* ask for receive interrupts, if they can reach us */
void uart_interrupt(void);
void uart_put(char c);
int uart_get(void);                 /* the next byte, or -1; does not wait */
int uart_wait(void);                /* the next byte; sleeps until there is one */
bool uart_cancelled(void);          /* has ctrl-C arrived since the last prompt? */
void uart_clear_cancel(void);
extern struct device *uart;

/* ---- line.c: reading a line -------------------------------------------------- */

#define LINE_MAX 256
/* False if the line was cancelled or too long to trust. */
bool read_line(const char *prompt, char line[LINE_MAX]);

/* ---- clint.c: timer and calls between harts ---------------------------------- */

extern struct device *clint;
void clint_init(void);
u64 now(void);                      /* mtime, in ticks */
u64 ticks_per_second(void);
void timer_set(u64 deadline);
void timer_interrupt(void);
/* Sleep until an interrupt, or until `deadline`. Call with interrupts off, after
 * checking that there is nothing to do; comes back with interrupts off. */
void doze(u64 deadline);
void hart_call(u64 id);             /* send a software interrupt to that hart */
void hart_hang_up(u64 id);          /* and take it back */

/* ---- plic.c: interrupts from devices ------------------------------------------ */

extern struct device *plic;
void plic_init(void);
bool plic_enable(const struct device *d);
void plic_interrupt(void);

/* ---- rtc.c, finisher.c ---------------------------------------------------------- */

extern struct device *rtc, *finisher;
void rtc_init(void);
u64 rtc_nanoseconds(void);
void print_date(u64 unix_seconds);
void finisher_init(void);
void power_off(u32 code);           /* these return if nothing happens */
void power_reset(void);

/* ---- virtio.c: the transport; disk.c and rng.c: two devices ---------------------- */

#define QUEUE_SIZE 8

struct virtio_buffer {
    void *data;
    u32 length;
    bool device_writes;
};

struct virtio {
    struct device *device;
    bool ready;
    bool has_irq;
    u64 features;                   /* those that both sides agreed on */
    u16 size, used_seen;
    struct virtq *queue;
};

const char *virtio_name(u32 id);
void virtio_scan(void);
/* Reset the device and agree on features; NULL on success, or what went wrong. */
const char *virtio_begin(struct virtio *v, struct device *d, u64 wanted, struct virtq *q);
/* Hand over a chain of buffers and wait for it to come back. */
const char *virtio_transfer(struct virtio *v, const struct virtio_buffer *b, u32 n, u32 *written);
void virtio_interrupt(struct device *d);
u64 virtio_config64(struct device *d, u32 offset);
u32 virtio_config32(struct device *d, u32 offset);
u8 virtio_config8(struct device *d, u32 offset);

#define SECTOR 512
struct disk {
    struct virtio v;
    const char *trouble;            /* why there is no usable disk */
    u64 sectors;
    u32 block_size;
    bool read_only, can_flush;
    char serial[21];
    u64 reads, writes, flushes;
};
extern struct disk disk;
void disk_init(void);
/* NULL on success, or what went wrong. */
const char *disk_read(u64 sector, void *to);
const char *disk_write(u64 sector, const void *from);
const char *disk_flush(void);

const char *rng_read(void *to, u32 n, u32 *got);

/* ---- trap.c: what happens when something happens ----------------------------------- */

struct frame {
    u64 x[32];
    u64 mepc, mcause, mtval, mstatus;
};

/* A lesson may look at a trap first; true: it has dealt with it. */
extern bool (*volatile trap_hook)(struct frame *f);
const char *cause_name(u64 cause);
const char *privilege_name(u64 mstatus);
/* Try something that may trap: set, do it, ask. */
void probe_begin(void);
bool probe_failed(void);

#define csr_try(name, value) ({ u64 v_ = 0; probe_begin(); \
    __asm__ volatile("csrr %0, " #name : "+r"(v_) :: "memory"); \
    (value) = v_; !probe_failed(); })

int checkpoint(void) __attribute__((returns_twice));
void recover(void);
void trap_entry(void);
void trap_entry_without_c(void);
void jump_misaligned(void);
void leave_handler(u64 pc) __attribute__((noreturn));
void enter_user(u64 pc, u64 sp) __attribute__((noreturn));
extern char trap_stack_top[], __image_start[], __text_end[], __bss_start[], __bss_end[],
    __image_end[];

/* ---- harts.c, csrs.c, lessons.c, beliefs.c, commands.c ------------------------------- */

void print_misa(u64 misa);
void show_harts(void);
void show_csrs(void);
void lesson_trap(void);
void lesson_crash(const char *kind);
u64 nowhere(void);                  /* an address at which nothing should answer */
void show_banner(void);
void show_beliefs(void);
void show_memory(void);
void show_devices(void);
void show_disk(void);
void show_time(void);
void run_command(char *line);

#endif
#endif
