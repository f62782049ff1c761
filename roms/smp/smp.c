/* A tiny kernel for several harts that checks what they are promised about each other:
 * the memory model (RISC-V unprivileged manual, "RVWMO"), atomic operations, code that
 * one hart writes and another executes, page tables that one changes under another, and
 * SBI's IPI, RFENCE and HSM. Every test runs on all harts at once. Nothing is asserted
 * that a correct machine may fail to show: forbidden outcomes must not be seen, and
 * nothing may be lost or hang. One line a test; it ends in a system reset of type
 * shutdown, whose reason is "system failure" if a test failed. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t u64;
typedef int64_t i64;
typedef uint32_t u32;

#define EID_LEGACY_PUTCHAR 0x01
#define EID_BASE   0x10
#define EID_TIME   0x54494d45
#define EID_IPI    0x735049
#define EID_RFENCE 0x52464e43
#define EID_HSM    0x48534d
#define EID_SRST   0x53525354
#define EID_DBCN   0x4442434e

#define INVALID_PARAM     (-3)
#define ALREADY_AVAILABLE (-6)
enum { STARTED, STOPPED };

#define SSIE (1ul << 1)
#define STIE (1ul << 5)
#define SIE  (1ul << 1)

#define MAX_HARTS 16
#define LINE      64

#define csr_read(name) ({ u64 v; __asm__ volatile("csrr %0, " #name : "=r"(v) :: "memory"); v; })
#define csr_write(name, v) __asm__ volatile("csrw " #name ", %0" :: "r"((u64)(v)) : "memory")
#define csr_set(name, v) __asm__ volatile("csrs " #name ", %0" :: "r"((u64)(v)) : "memory")
#define csr_clear(name, v) __asm__ volatile("csrc " #name ", %0" :: "r"((u64)(v)) : "memory")
#define FENCE(p, s) __asm__ volatile("fence " #p ", " #s ::: "memory")
#define fence_tso() __asm__ volatile("fence.tso" ::: "memory")
#define fence_i() __asm__ volatile("fence.i" ::: "memory")
#define wfi() __asm__ volatile("wfi" ::: "memory")
#define pause() __asm__ volatile(".4byte 0x0100000f" ::: "memory")

/* Exactly one access each, in this order as far as the compiler is concerned. */
static inline u64 load(volatile u64 *at) { return *at; }
static inline void store(volatile u64 *at, u64 value) { *at = value; }

#define AMO(name, op) \
    static inline u64 name(volatile u64 *at, u64 v) \
    { \
        u64 old; \
        __asm__ volatile(op " %0, %2, (%1)" : "=r"(old) : "r"(at), "r"(v) : "memory"); \
        return old; \
    }
AMO(amo_add, "amoadd.d")
AMO(amo_add_aqrl, "amoadd.d.aqrl")
AMO(amo_swap_acquire, "amoswap.d.aq")
AMO(amo_swap_release, "amoswap.d.rl")
AMO(amo_swap_aqrl, "amoswap.d.aqrl")

static inline u64 load_reserved(volatile u64 *at)
{
    u64 v;
    __asm__ volatile("lr.d.aq %0, (%1)" : "=r"(v) : "r"(at) : "memory");
    return v;
}

/* 0: it stored. */
static inline u64 store_conditional(volatile u64 *at, u64 v)
{
    u64 failed;
    __asm__ volatile("sc.d.rl %0, %2, (%1)" : "=&r"(failed) : "r"(at), "r"(v) : "memory");
    return failed;
}

static inline u64 now(void)
{
    u64 t;
    __asm__ volatile("rdtime %0" : "=r"(t));
    return t;
}

static inline u64 me(void)
{
    u64 n;
    __asm__("mv %0, tp" : "=r"(n));
    return n;
}

void *memset(void *to, int byte, size_t n)
{
    char *p = to;
    while (n--)
        *p++ = (char)byte;
    return to;
}

struct ret {
    i64 error, value;
};

static struct ret sbi(u64 eid, u64 fid, u64 x0, u64 x1, u64 x2, u64 x3, u64 x4)
{
    register u64 a0 __asm__("a0") = x0, a1 __asm__("a1") = x1, a2 __asm__("a2") = x2;
    register u64 a3 __asm__("a3") = x3, a4 __asm__("a4") = x4;
    register u64 a6 __asm__("a6") = fid, a7 __asm__("a7") = eid;
    __asm__ volatile("ecall"
                     : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a3), "r"(a4), "r"(a6), "r"(a7)
                     : "memory");
    return (struct ret){ (i64)a0, (i64)a1 };
}

static bool have_dbcn;

static void put(u64 c)
{
    if (have_dbcn)
        sbi(EID_DBCN, 2, c, 0, 0, 0, 0);
    else
        sbi(EID_LEGACY_PUTCHAR, 0, c, 0, 0, 0, 0);
}

static void say(const char *s)
{
    for (; *s; s++)
        put((u64)*s);
}

static void say_number(u64 v)
{
    if (v > 9)
        say_number(v / 10);
    put('0' + v % 10);
}

/* A pointer out of a table, which the linker took for another place. */
extern char _start[];
static char *volatile linked = _start;
#define HERE(p) ((__typeof__(p))((u64)(p) + ((u64)_start - (u64)linked)))

/* --- the harts --- */

/* A word with a cache line of its own. */
struct word {
    volatile u64 v;
    char space[LINE - 8];
} __attribute__((aligned(LINE)));

struct stack {
    char space[4096];
    u64 number; /* what tp will be */
} __attribute__((aligned(16)));

static struct stack stacks[MAX_HARTS];
static u64 ids[MAX_HARTS]; /* hart ids by number */
static u64 harts;          /* how many take part */
static u64 mask;           /* their ids, as SBI wants them */
static struct word arrived, phase, wrong;
static volatile u64 ipis[MAX_HARTS * 8];   /* taken, by number; a line each */
static volatile u64 timers[MAX_HARTS * 8];
static u64 tests, failures;

extern char hart_entry[], echo_entry[], probe_load[], probe_fault[];
extern u64 probe(volatile u64 *at);

u64 trap(u64 cause, u64 pc, u64 value)
{
    if (cause == (1ul << 63 | 1)) {
        csr_clear(sip, SSIE);
        ipis[me() * 8]++;
        return pc;
    }
    if (cause == (1ul << 63 | 5)) {
        sbi(EID_TIME, 0, -1ul, 0, 0, 0, 0);
        timers[me() * 8]++;
        return pc;
    }
    if (cause == 13 && pc == (u64)probe_load)
        return (u64)probe_fault;
    say("unexpected trap ");
    say_number(cause);
    say(" at ");
    say_number(pc);
    say(" value ");
    say_number(value);
    say("\n");
    sbi(EID_SRST, 0, 0, 1, 0, 0, 0);
    for (;;)
        wfi();
}

/* All harts meet here. */
static void meet(void)
{
    u64 before = load(&phase.v);
    if (amo_add_aqrl(&arrived.v, 1) == harts - 1) {
        store(&arrived.v, 0);
        FENCE(rw, rw);
        store(&phase.v, before + 1);
    } else {
        while (load(&phase.v) == before)
            pause();
    }
    FENCE(rw, rw);
}

/* How often something is done that needs all harts, on a host that may have fewer
 * cores: then each time takes some of its time slices. */
static u64 times(u64 two)
{
    u64 n = two * 4 / (harts * harts);
    return n > 50 ? n : 50;
}

static void blame(bool bad)
{
    if (bad)
        amo_add(&wrong.v, 1);
}

/* --- the memory model --- */

#define CELLS  256
#define ROUNDS 60

static struct word xs[CELLS], ys[CELLS];
static u64 seen[4][CELLS], seen2[4][CELLS];

/* Each litmus test: what hart n does in cell i, and whether the outcome is forbidden. */
#define X (&xs[i].v)
#define Y (&ys[i].v)
#define SEE(a) (seen[n][i] = (a))
#define SEE2(a) (seen2[n][i] = (a))

struct litmus {
    const char *name;
    u64 needs;
    void (*part)(u64 n, u64 i);
    bool (*forbidden)(u64 i);
};

#define MESSAGE(name, writer_order, reader_order) \
    static void name(u64 n, u64 i) \
    { \
        if (n == 0) { \
            store(X, 1); \
            writer_order; \
            store(Y, 1); \
        } else { \
            u64 y = load(Y); \
            reader_order; \
            SEE(y); \
            SEE2(load(X)); \
        } \
    }
MESSAGE(mp, FENCE(w, w), FENCE(r, r))
MESSAGE(mp_rw, FENCE(rw, w), FENCE(r, rw))
MESSAGE(mp_tso, fence_tso(), fence_tso())

static void mp_amo(u64 n, u64 i)
{
    if (n == 0) {
        store(X, 1);
        amo_swap_release(Y, 1);
    } else {
        SEE(load_reserved(Y));
        SEE2(load(X));
    }
}

static void mp_address(u64 n, u64 i)
{
    if (n == 0) {
        store(X, 1);
        FENCE(w, w);
        store(Y, 1);
    } else {
        u64 y = load(Y), zero;
        __asm__ volatile("xor %0, %1, %1" : "=r"(zero) : "r"(y));
        SEE(y);
        SEE2(load(X + zero));
    }
}

static bool mp_forbidden(u64 i) { return seen[1][i] == 1 && seen2[1][i] == 0; }

#define DEKKER(name, announce, order) \
    static void name(u64 n, u64 i) \
    { \
        volatile u64 *mine = n ? Y : X, *other = n ? X : Y; \
        announce; \
        order; \
        SEE(load(other)); \
    }
DEKKER(sb, store(mine, 1), FENCE(rw, rw))
DEKKER(sb_wr, store(mine, 1), FENCE(w, r))
DEKKER(sb_amo, amo_swap_aqrl(mine, 1), (void)0)
DEKKER(sb_between, store(mine, 1), amo_add_aqrl(&ys[(i + 1) % CELLS].v + 2, 1))
static bool sb_forbidden(u64 i) { return seen[0][i] == 0 && seen[1][i] == 0; }

static void lb(u64 n, u64 i)
{
    u64 old = load(n ? Y : X);
    FENCE(r, w);
    store(n ? X : Y, 1);
    SEE(old);
}
static void lb_data(u64 n, u64 i)
{
    u64 old = load(n ? Y : X), one;
    __asm__ volatile("xor %0, %1, %1\n\tori %0, %0, 1" : "=r"(one) : "r"(old));
    store(n ? X : Y, one);
    SEE(old);
}
static void lb_control(u64 n, u64 i)
{
    u64 old = load(n ? Y : X);
    __asm__ volatile("beqz %0, 1f\n1:" ::"r"(old));
    store(n ? X : Y, 1);
    SEE(old);
}
static bool lb_forbidden(u64 i) { return seen[0][i] == 1 && seen[1][i] == 1; }

static void corr(u64 n, u64 i)
{
    if (n == 0) {
        store(X, 1);
    } else {
        SEE(load(X));
        SEE2(load(X));
    }
}

static void two_writes(u64 n, u64 i)
{
    store(n ? Y : X, 1);
    FENCE(w, w);
    store(n ? X : Y, 2);
}
static bool two_writes_forbidden(u64 i) { return load(X) == 1 && load(Y) == 1; }

static void iriw(u64 n, u64 i)
{
    if (n < 2) {
        store(n ? Y : X, 1);
    } else {
        SEE(load(n == 2 ? X : Y));
        FENCE(rw, rw);
        SEE2(load(n == 2 ? Y : X));
    }
}
static bool iriw_forbidden(u64 i)
{
    return seen[2][i] == 1 && seen2[2][i] == 0 && seen[3][i] == 1 && seen2[3][i] == 0;
}

static const struct litmus litmus[] = {
    { "MP, fence w,w and r,r", 2, mp, mp_forbidden },
    { "MP, fence rw,w and r,rw", 2, mp_rw, mp_forbidden },
    { "MP, fence.tso", 2, mp_tso, mp_forbidden },
    { "MP, amoswap.rl and lr.aq", 2, mp_amo, mp_forbidden },
    { "MP, address dependency", 2, mp_address, mp_forbidden },
    { "SB, fence rw,rw", 2, sb, sb_forbidden },
    { "SB, fence w,r", 2, sb_wr, sb_forbidden },
    { "SB, amoswap.aqrl", 2, sb_amo, sb_forbidden },
    { "SB, amoadd.aqrl between", 2, sb_between, sb_forbidden },
    { "LB, fence r,w", 2, lb, lb_forbidden },
    { "LB, data dependency", 2, lb_data, lb_forbidden },
    { "LB, control dependency", 2, lb_control, lb_forbidden },
    { "CoRR", 2, corr, mp_forbidden },
    { "2+2W, fence w,w", 2, two_writes, two_writes_forbidden },
    { "IRIW, fence rw,rw", 4, iriw, iriw_forbidden },
};

static void run_litmus(const struct litmus *test)
{
    u64 n = me();
    if (test->needs > harts)
        return;
    for (u64 round = 0; round < ROUNDS; round++) {
        if (n == 0)
            for (u64 i = 0; i < CELLS; i++) {
                store(X, 0);
                store(Y, 0);
            }
        meet();
        if (n < test->needs) {
            /* Away from each other's pace: sometimes the one is ahead, sometimes the other. */
            for (u64 wait = (round * 7 + n * 13) % 61; wait; wait--)
                __asm__ volatile("");
            for (u64 i = 0; i < CELLS; i++)
                HERE(test->part)(n, i);
        }
        meet();
        if (n == 0)
            for (u64 i = 0; i < CELLS; i++)
                blame(HERE(test->forbidden)(i));
    }
}

/* --- atomic operations --- */

static struct word lock, total;
static volatile u64 plain;

static void spin_lock(void)
{
    while (amo_swap_acquire(&lock.v, 1))
        while (load(&lock.v))
            pause();
}

static void with_lock(void)
{
    enum { TIMES = 20000 };
    if (me() == 0)
        plain = 0;
    meet();
    for (int i = 0; i < TIMES; i++) {
        spin_lock();
        plain = plain + 1;
        amo_swap_release(&lock.v, 0);
    }
    meet();
    blame(plain != TIMES * harts);
}

static void with_dekker(void)
{
    /* Peterson's lock, of harts 0 and 1. */
    enum { TIMES = 20000 };
    u64 n = me();
    if (n == 0)
        plain = 0;
    meet();
    for (int i = 0; i < TIMES && n < 2; i++) {
        store(&xs[n].v, 1);
        store(&total.v, 1 - n);
        FENCE(rw, rw);
        while (load(&xs[1 - n].v) && load(&total.v) == 1 - n)
            pause();
        FENCE(r, rw);
        plain = plain + 1;
        FENCE(rw, w);
        store(&xs[n].v, 0);
    }
    meet();
    blame(plain != TIMES * 2);
}

static void with_reservations(void)
{
    enum { TIMES = 20000 };
    if (me() == 0)
        store(&total.v, 0);
    meet();
    for (int i = 0; i < TIMES; i++) {
        u64 old;
        do
            old = load_reserved(&total.v);
        while (store_conditional(&total.v, old + 1));
    }
    meet();
    blame(load(&total.v) != TIMES * harts);
}

static void with_amos(void)
{
    enum { TIMES = 20000 };
    static volatile u32 small[2] __attribute__((aligned(8)));
    if (me() == 0) {
        store(&total.v, 0);
        small[0] = small[1] = 0;
    }
    meet();
    for (int i = 0; i < TIMES; i++) {
        amo_add(&total.v, 3);
        __asm__ volatile("amoadd.w zero, %0, (%1)" ::"r"(1), "r"(&small[1]) : "memory");
    }
    meet();
    blame(load(&total.v) != 3 * TIMES * harts || small[0] != 0 || small[1] != TIMES * harts);
}

/* A stack whose elements come back at once: an SC that only looked at the value would
 * now and then take a stale successor for the new top. */
struct node {
    volatile u64 next, owner;
};
static struct node nodes[4];
static struct word top;

static struct node *pop(void)
{
    for (;;) {
        struct node *node = (struct node *)load_reserved(&top.v);
        if (!node)
            return NULL;
        if (!store_conditional(&top.v, node->next))
            return node;
    }
}

static void push(struct node *node)
{
    u64 old;
    do {
        old = load_reserved(&top.v);
        node->next = old;
    } while (store_conditional(&top.v, (u64)node));
}

static void with_stack(void)
{
    enum { TIMES = 20000 };
    if (me() == 0) {
        store(&top.v, 0);
        for (int i = 0; i < 4; i++) {
            nodes[i].owner = 0;
            push(&nodes[i]);
        }
    }
    meet();
    for (int i = 0; i < TIMES; i++) {
        struct node *first = pop(), *second = pop();
        for (int k = 0; k < 2; k++) {
            struct node *node = k ? second : first;
            if (node)
                blame(amo_add_aqrl(&node->owner, 1) != 0);
        }
        for (int k = 0; k < 2; k++) {
            struct node *node = k ? second : first;
            if (node) {
                amo_add_aqrl(&node->owner, -1ul);
                push(node);
            }
        }
    }
    meet();
    if (me() == 0) {
        int left = 0;
        while (left < 9 && pop())
            left++;
        blame(left != 4);
    }
}

/* --- code --- */

#define CODE_PAGES 4
static u32 code[CODE_PAGES][1024] __attribute__((aligned(4096)));
static struct word made;

/* `li a0, value; ret` with data all around. */
static void write_code(u64 value, u64 page)
{
    volatile u32 *at = &code[page][64];
    at[-64] = (u32)value;
    at[0] = 0x00000537 | (u32)(value & 0xfffff) << 12; /* lui a0 */
    at[1] = 0x00008067;                                /* ret */
    at[900] = (u32)value;
}

static u64 call_code(u64 page)
{
    u64 (*f)(void) = (u64(*)(void)) & code[page][64];
    return f() >> 12;
}

/* Hart 0 writes code and makes all others see it; the others never look back. `by_sbi`:
 * it has the firmware fence; else each fences by itself. */
static void change_code(bool by_sbi)
{
    const u64 rounds = times(3000);
    if (me() == 0) {
        store(&made.v, 0);
        for (int page = 0; page < CODE_PAGES; page++)
            write_code(0, page);
        fence_i();
        sbi(EID_RFENCE, 0, mask, 0, 0, 0, 0);
    }
    meet();
    if (me() == 0) {
        for (u64 value = 1; value <= rounds; value++) {
            write_code(value, value % CODE_PAGES);
            FENCE(rw, rw);
            if (by_sbi)
                sbi(EID_RFENCE, 0, mask, 0, 0, 0, 0);
            store(&made.v, value);
            /* The others are to have decoded it, or not. */
            for (u64 wait = value * 37 % 1500; wait; wait--)
                __asm__ volatile("");
            if (value % 8 == 0)
                blame(call_code(value % CODE_PAGES) != value && by_sbi);
        }
    } else {
        u64 value, got;
        do {
            value = load(&made.v);
            FENCE(r, rw);
            if (!by_sbi)
                fence_i();
            got = call_code(value % CODE_PAGES);
            /* Hart 0 may be on to the page's next contents. */
            blame(got < value || got % CODE_PAGES != value % CODE_PAGES);
        } while (value < rounds);
    }
    meet();
}

static void change_code_by_sbi(void) { change_code(true); }
static void change_code_by_fence(void) { change_code(false); }

/* --- page tables --- */

static u64 root[512] __attribute__((aligned(4096)));
static u64 middle[512] __attribute__((aligned(4096)));
static u64 leaves[512] __attribute__((aligned(4096)));
static u64 pages[2][512] __attribute__((aligned(4096)));

#define WINDOW ((volatile u64 *)0x2000000000ul)

static void translate(bool on)
{
    if (on) {
        __asm__ volatile("sfence.vma" ::: "memory");
        csr_write(satp, 8ul << 60 | (u64)root >> 12);
    } else {
        csr_write(satp, 0);
    }
    __asm__ volatile("sfence.vma" ::: "memory");
}

/* Hart 0 moves a page or takes it away, and has the others forget where it was. */
static void shoot_down(void)
{
    enum { V = 1, RWX = 0xe, AD = 0xc0 };
    const u64 rounds = times(3000);
    volatile u64 *leaf = &leaves[0];
    if (me() == 0) {
        /* RAM as it is, in pages of 1 GiB. */
        for (u64 n = 0; n < 256; n++)
            root[n] = n << 28 | V | RWX | AD;
        u64 top_index = (u64)WINDOW >> 30 & 511;
        root[top_index] = (u64)middle >> 2 | V;
        middle[0] = (u64)leaves >> 2 | V;
        store(leaf, 0);
        store(&made.v, 0);
        pages[0][0] = 0;
    }
    meet();
    translate(true);
    meet();
    if (me() == 0) {
        for (u64 value = 1; value <= rounds; value++) {
            FENCE(w, w);
            /* Every third time there is no page. */
            u64 *page = pages[value & 1];
            page[0] = value;
            FENCE(w, w);
            store(leaf, value % 3 ? (u64)page >> 2 | V | RWX | AD : 0);
            u64 size = value & 4 ? 4096 : -1ul;
            sbi(EID_RFENCE, 1 + (value >> 3 & 1), mask, 0, (u64)WINDOW, size, 0);
            store(&made.v, value);
            for (u64 wait = value * 41 % 1500; wait; wait--)
                __asm__ volatile("");
        }
    } else {
        u64 before, after, got;
        do {
            before = load(&made.v);
            FENCE(r, r);
            got = probe(WINDOW);
            FENCE(r, r);
            after = load(&made.v);
            if (got != -1ul)
                blame(got < before || got > after + 1);
            else
                /* Nothing is there at multiples of three. */
                blame(before % 3 && before == after && (before + 1) % 3);
            if (before == after && before % 3 == 0 && got != -1ul)
                /* Only if hart 0 was on its way to the next. */
                blame(got <= before);
        } while (before < rounds);
    }
    meet();
    translate(false);
    meet();
}

/* --- calls to other harts --- */

static void fence_each_other(void)
{
    meet();
    for (u64 i = 0; i < times(1000); i++) {
        struct ret ret = sbi(EID_RFENCE, i % 3, mask, 0, (u64)code, i & 8 ? 4096 : -1ul, 0);
        blame(ret.error != 0);
    }
    meet();
}

static void send_ipi(u64 n) { sbi(EID_IPI, 0, 1, ids[n], 0, 0, 0); }

/* Sleeps until `at` is `value`; no wake-up may be lost. */
static void sleep_until(volatile u64 *at, u64 value)
{
    csr_set(sie, SSIE);
    for (;;) {
        csr_clear(sip, SSIE);
        FENCE(rw, rw);
        if (load(at) >= value)
            break;
        wfi();
    }
    csr_clear(sie, SSIE);
}

/* Pairs of harts wake each other. */
static void ping_pong(void)
{
    const u64 rounds = times(20000);
    u64 n = me(), other = n ^ 1;
    store(&xs[n].v, 0);
    meet();
    if (other < harts) {
        for (u64 i = 1; i <= rounds; i++) {
            if (n & 1)
                sleep_until(&xs[n].v, i);
            store(&xs[other].v, i);
            FENCE(rw, rw);
            send_ipi(other);
            if (!(n & 1))
                sleep_until(&xs[n].v, i);
        }
    }
    meet();
}

/* Everybody interrupts everybody. */
static struct word sent[MAX_HARTS];

static void storm(void)
{
    enum { TIMES = 500 };
    u64 n = me();
    store(&sent[n].v, 0);
    ipis[n * 8] = 0;
    meet();
    csr_set(sie, SSIE);
    csr_set(sstatus, SIE);
    for (int i = 0; i < TIMES; i++)
        for (u64 other = 0; other < harts; other++)
            if (other != n) {
                amo_add(&sent[other].v, 1);
                sbi(EID_IPI, 0, 1, ids[other], 0, 0, 0);
            }
    /* The last one comes, and wakes. */
    csr_clear(sstatus, SIE);
    while (load(&sent[n].v) < (harts - 1) * TIMES) {
        wfi();
        csr_clear(sip, SSIE);
        FENCE(rw, rw);
    }
    csr_clear(sie, SSIE);
    blame(ipis[n * 8] > (harts - 1) * TIMES);
    meet();
}

static void sleep_for_timers(void)
{
    enum { TIMES = 50, TICKS = 1000 };
    u64 n = me();
    timers[n * 8] = 0;
    meet();
    csr_set(sie, STIE);
    for (u64 i = 1; i <= TIMES; i++) {
        u64 start = now();
        sbi(EID_TIME, 0, start + TICKS, 0, 0, 0, 0);
        wfi();
        csr_set(sstatus, SIE);
        while (timers[n * 8] < i)
            ;
        csr_clear(sstatus, SIE);
        blame(now() - start < TICKS);
    }
    csr_clear(sie, STIE);
    meet();
}

/* Harts 0 and 1 start the last hart, which stops at once: as often as a call says that
 * it started. */
static struct word begun, echoes;
static volatile u64 next_test; /* after the one that runs */
static volatile u64 resume_at; /* where a hart goes on that starts anew; 0 at first */

static void start_and_stop(void)
{
    enum { TIMES = 500 };
    u64 last = harts - 1;
    if (me() == 0) {
        store(&begun.v, 0);
        store(&echoes.v, 0);
    }
    meet();
    if (me() == last) {
        sbi(EID_HSM, 1, 0, 0, 0, 0, 0);
        blame(true);
    }
    if (me() < 2 && me() < last) {
        for (int i = 0; i < TIMES; i++) {
            struct ret ret =
                sbi(EID_HSM, 0, ids[last], (u64)echo_entry, (u64)&echoes.v, 0, 0);
            if (ret.error == 0)
                amo_add(&begun.v, 1);
            else /* Some firmware has the other for a hart that is about to stop. */
                blame(ret.error != ALREADY_AVAILABLE && ret.error != INVALID_PARAM);
            if (i % 4 == 0)
                while (sbi(EID_HSM, 2, ids[last], 0, 0, 0, 0).value != STOPPED)
                    pause();
        }
        amo_add_aqrl(&arrived.v, 1 << 16);
    }
    if (me() == 0) {
        u64 starters = last < 2 ? 1 : 2;
        while (load(&arrived.v) >> 16 < starters)
            pause();
        amo_add_aqrl(&arrived.v, -(starters << 16));
        while (sbi(EID_HSM, 2, ids[last], 0, 0, 0, 0).value != STOPPED)
            pause();
        blame(load(&begun.v) == 0 || load(&begun.v) != load(&echoes.v));
        /* Back into the company. */
        resume_at = next_test;
        FENCE(rw, rw);
        sbi(EID_HSM, 0, ids[last], (u64)hart_entry, (u64)&stacks[last].number, 0, 0);
    }
    meet();
}

/* --- in order --- */

static const struct {
    const char *name;
    void (*run)(void);
} works[] = {
    { "a spin lock", with_lock },
    { "Peterson's lock", with_dekker },
    { "counting by LR and SC", with_reservations },
    { "counting by AMOs", with_amos },
    { "a stack by LR and SC", with_stack },
    { "code changed, remote FENCE.I", change_code_by_sbi },
    { "code changed, own FENCE.I", change_code_by_fence },
    { "pages moved, remote SFENCE.VMA", shoot_down },
    { "all fence all", fence_each_other },
    { "IPIs there and back", ping_pong },
    { "IPIs from all to all", storm },
    { "timers", sleep_for_timers },
    { "start and stop", start_and_stop },
};

#define LITMUS (sizeof litmus / sizeof *litmus)
#define WORKS  (sizeof works / sizeof *works)

static void run_from(u64 test)
{
    for (; test < LITMUS + WORKS; test++) {
        bool is_litmus = test < LITMUS;
        if (me() == 0) {
            store(&wrong.v, 0);
            next_test = test + 1;
        }
        meet();
        if (is_litmus)
            run_litmus(&litmus[test]);
        else
            HERE(works[test - LITMUS].run)();
        meet();
        if (me() == 0) {
            u64 bad = load(&wrong.v);
            if (is_litmus && litmus[test].needs > harts)
                continue;
            tests++;
            failures += bad != 0;
            say(bad ? "FAIL " : "PASS ");
            say(HERE(is_litmus ? litmus[test].name : works[test - LITMUS].name));
            if (bad) {
                say(": ");
                say_number(bad);
                say(" times");
            }
            say("\r\n");
        }
    }
}

void hart_main(u64 n)
{
    /* A hart that was stopped in a test comes back into the middle of it. */
    u64 test = resume_at;
    if (test) {
        meet(); /* in start_and_stop */
        meet(); /* in run_from */
    }
    (void)n;
    run_from(test);
    for (;;)
        wfi();
}

void boot(u64 hartid)
{
    have_dbcn = sbi(EID_BASE, 3, EID_DBCN, 0, 0, 0, 0).value != 0;
    ids[0] = hartid;
    harts = 1;
    mask = 1ul << hartid;
    for (u64 id = 0; id < 64 && harts < MAX_HARTS; id++)
        if (id != hartid && sbi(EID_HSM, 2, id, 0, 0, 0, 0).error == 0) {
            mask |= 1ul << id;
            ids[harts++] = id;
        }
    say_number(harts);
    say(" harts\r\n");
    if (harts < 2) {
        say("FAIL this takes two\r\n");
        sbi(EID_SRST, 0, 0, 1, 0, 0, 0);
    }
    for (u64 n = 0; n < harts; n++)
        stacks[n].number = n;
    FENCE(rw, rw);
    for (u64 n = 1; n < harts; n++)
        if (sbi(EID_HSM, 0, ids[n], (u64)hart_entry, (u64)&stacks[n].number, 0, 0).error) {
            say("FAIL a hart does not start\r\n");
            sbi(EID_SRST, 0, 0, 1, 0, 0, 0);
        }
    __asm__ volatile("mv tp, zero");
    run_from(0);
    say_number(tests);
    say(" tests, ");
    say_number(failures);
    say(" failed\r\n");
    sbi(EID_SRST, 0, 0, failures != 0, 0, 0, 0);
    for (;;)
        wfi();
}
