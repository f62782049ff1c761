/* A tiny kernel that asks its firmware for everything that the Supervisor Binary
 * Interface offers (RISC-V SBI specification 2.0) and checks each answer: one line a
 * check. It ends in a system reset of type shutdown, whose reason is "system failure"
 * if a check failed. It contains no absolute address, so it may be loaded anywhere. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t u64;
typedef int64_t i64;

#define EID_LEGACY_PUTCHAR  0x01
#define EID_BASE            0x10
#define EID_TIME            0x54494d45
#define EID_IPI             0x735049
#define EID_RFENCE          0x52464e43
#define EID_HSM             0x48534d
#define EID_SRST            0x53525354
#define EID_DBCN            0x4442434e

#define NOT_SUPPORTED       (-2)
#define INVALID_PARAM       (-3)
#define ALREADY_AVAILABLE   (-6)

enum { STARTED, STOPPED, START_PENDING, STOP_PENDING, SUSPENDED };

#define SSIE                (1 << 1)
#define STIE                (1 << 5)
#define SIE                 (1 << 1)
#define INTERRUPT           (1ul << 63)

#define MAX_HARTS           64
/* In ticks; on a board that ticks slower than 10 MHz, patience grows. */
#define SECOND              10000000

#define csr_read(name) ({ u64 v_; \
    __asm__ volatile("csrr %0, " #name : "=r"(v_) :: "memory"); v_; })
#define csr_set(name, v) __asm__ volatile("csrs " #name ", %0" :: "r"((u64)(v)) : "memory")
#define csr_clear(name, v) __asm__ volatile("csrc " #name ", %0" :: "r"((u64)(v)) : "memory")
#define fence() __asm__ volatile("fence iorw, iorw" ::: "memory")

/* What a hart knows of itself; tp points to it. start.S loads `stack`. */
enum command { IDLE, CALL_LESSON, SUSPEND, SUSPEND_AND_LOSE_ALL, SLEEP_AND_LOSE_ALL, STOP };

struct worker {
    char *stack;
    volatile u64 id, begun, sstatus, satp, ipis, timers, done;
    volatile enum command command;
    volatile i64 result;
    char space[4080] __attribute__((aligned(16)));
};

struct worker boot_worker;
static struct worker worker;
static bool have_dbcn;
static int failures, checks;

extern int lesson(void);
extern uint32_t lesson_code[] __asm__("lesson");
extern char worker_entry[];

/* The compiler calls this one by itself. */
void *memset(void *to, int byte, size_t n)
{
    char *p = to;
    while (n--)
        *p++ = (char)byte;
    return to;
}

static inline struct worker *me(void)
{
    struct worker *w;
    __asm__("mv %0, tp" : "=r"(w));
    return w;
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

/* --- saying what happened --- */

static void put(char c)
{
    if (have_dbcn)
        sbi(EID_DBCN, 2, (u64)c, 0, 0, 0, 0);
    else
        sbi(EID_LEGACY_PUTCHAR, 0, (u64)c, 0, 0, 0, 0);
}

static void say(const char *s)
{
    for (; *s; s++) {
        if (*s == '\n')
            put('\r');
        put(*s);
    }
}

static void say_hex(u64 v)
{
    say("0x");
    int shift = 60;
    while (shift && !(v >> shift & 15))
        shift -= 4;
    for (; shift >= 0; shift -= 4) {
        u64 d = v >> shift & 15;
        put((char)(d < 10 ? '0' + d : 'a' + d - 10));
    }
}

static void say_number(i64 v)
{
    if (v < 0) {
        put('-');
        v = -v;
    }
    if (v > 9)
        say_number(v / 10);
    put((char)('0' + v % 10));
}

static void check(bool ok, const char *what)
{
    checks++;
    failures += !ok;
    say(ok ? "PASS " : "FAIL ");
    say(what);
    say("\n");
}

/* A check of an error code, which is shown if it is not the one expected. */
static void expect(i64 got, i64 wanted, const char *what)
{
    check(got == wanted, what);
    if (got != wanted) {
        say("     expected ");
        say_number(wanted);
        say(", got ");
        say_number(got);
        say("\n");
    }
}

static void skip(const char *what)
{
    say("SKIP ");
    say(what);
    say("\n");
}

static void shut_down(void)
{
    sbi(EID_SRST, 0, 0, failures ? 1 : 0, 0, 0, 0);
}

/* Called by trap_entry on any hart. */
void trap(u64 cause, u64 pc, u64 value)
{
    if (cause == (INTERRUPT | 1)) {
        csr_clear(sip, SSIE);
        me()->ipis++;
    } else if (cause == (INTERRUPT | 5)) {
        csr_clear(sie, STIE);
        me()->timers++;
    } else {
        say("FAIL unexpected trap: scause ");
        say_hex(cause);
        say(" sepc ");
        say_hex(pc);
        say(" stval ");
        say_hex(value);
        say("\n");
        failures++;
        shut_down();
        for (;;)
            ;
    }
}

/* Wait until the condition holds; on a busy host a hart may have to wait for its turn. */
#define PATIENCE (20 * SECOND)
#define soon(condition) ({ u64 start_ = csr_read(time); \
    while (!(condition) && csr_read(time) - start_ < PATIENCE) \
        ; \
    (bool)(condition); })

static bool probe(u64 eid)
{
    struct ret r = sbi(EID_BASE, 3, eid, 0, 0, 0, 0);
    return r.error == 0 && r.value != 0;
}

/* --- the checks --- */

static void check_base(void)
{
    struct ret version = sbi(EID_BASE, 0, 0, 0, 0, 0, 0);
    struct ret id = sbi(EID_BASE, 1, 0, 0, 0, 0, 0);
    struct ret release = sbi(EID_BASE, 2, 0, 0, 0, 0, 0);
    say("SBI version ");
    say_number(version.value >> 24 & 0x7f);
    say(".");
    say_number(version.value & 0xffffff);
    say(", implementation ");
    say_number(id.value);
    say(", its version ");
    say_hex((u64)release.value);
    say("\n");
    check(version.error == 0 && !(version.value >> 31) && version.value >= 2,
          "base: specification version 0.2 or later");
    expect(id.error, 0, "base: implementation id");
    expect(release.error, 0, "base: implementation version");
    check(probe(EID_BASE), "base: probe finds the base extension");
    check(!probe(0x0a00dead), "base: probe does not find what does not exist");
    expect(sbi(EID_BASE, 4, 0, 0, 0, 0, 0).error, 0, "base: mvendorid");
    expect(sbi(EID_BASE, 5, 0, 0, 0, 0, 0).error, 0, "base: marchid");
    expect(sbi(EID_BASE, 6, 0, 0, 0, 0, 0).error, 0, "base: mimpid");
    expect(sbi(EID_BASE, 99, 0, 0, 0, 0, 0).error, NOT_SUPPORTED, "base: unknown function");
    expect(sbi(0x0a00dead, 0, 0, 0, 0, 0, 0).error, NOT_SUPPORTED, "unknown extension");
}

static void check_console(void)
{
    static const char text[] = "     (this line was written by DBCN)\r\n";
    if (!have_dbcn) {
        skip("dbcn: this firmware has none; speaking through legacy putchar");
        return;
    }
    u64 done = 0;
    i64 error = 0;
    while (done < sizeof text - 1 && !error) {      /* it may take less than all at once */
        struct ret r = sbi(EID_DBCN, 0, sizeof text - 1 - done, (u64)text + done, 0, 0, 0);
        error = r.error;
        if (!error && (r.value <= 0 || (u64)r.value > sizeof text - 1 - done))
            error = 1;
        else if (!error)
            done += (u64)r.value;
    }
    expect(error, 0, "dbcn: write");
    struct ret none = sbi(EID_DBCN, 0, 0, (u64)text, 0, 0, 0);
    check(none.error == 0 && none.value == 0, "dbcn: write of no bytes");
    expect(sbi(EID_DBCN, 2, ' ', 0, 0, 0, 0).error, 0, "dbcn: write byte");
    char byte;
    struct ret in = sbi(EID_DBCN, 1, 1, (u64)&byte, 0, 0, 0);
    check(in.error == 0 && (in.value == 0 || in.value == 1), "dbcn: read does not wait");
    expect(sbi(EID_DBCN, 99, 0, 0, 0, 0, 0).error, NOT_SUPPORTED, "dbcn: unknown function");
}

static void check_timer(void)
{
    if (!probe(EID_TIME)) {
        check(false, "time: extension present");
        return;
    }
    u64 deadline = csr_read(time) + SECOND / 100;
    expect(sbi(EID_TIME, 0, deadline, 0, 0, 0, 0).error, 0, "time: set_timer");
    csr_set(sie, STIE);
    csr_set(sstatus, SIE);
    check(soon(boot_worker.timers), "time: the interrupt comes");
    check(csr_read(time) >= deadline, "time: and not too early");
    csr_clear(sstatus, SIE);
    sbi(EID_TIME, 0, ~0ul, 0, 0, 0, 0);
    check(!(csr_read(sip) & STIE), "time: a timer in the far future clears the interrupt");
    sbi(EID_TIME, 0, csr_read(time) + SECOND / 1000, 0, 0, 0, 0);
    csr_set(sie, STIE);
    u64 before = csr_read(time);
    __asm__ volatile("wfi");                        /* wakes although interrupts are off */
    check(csr_read(time) - before < PATIENCE, "time: the timer ends a wfi");
    csr_clear(sie, STIE);
    sbi(EID_TIME, 0, ~0ul, 0, 0, 0, 0);
}

static void check_ipi(void)
{
    if (!probe(EID_IPI)) {
        check(false, "ipi: extension present");
        return;
    }
    csr_set(sie, SSIE);
    csr_set(sstatus, SIE);
    u64 before = boot_worker.ipis;
    expect(sbi(EID_IPI, 0, 1, boot_worker.id, 0, 0, 0).error, 0, "ipi: to myself");
    check(soon(boot_worker.ipis > before), "ipi: arrives");
    csr_clear(sstatus, SIE);
}

static void check_rfence(void)
{
    if (!probe(EID_RFENCE)) {
        check(false, "rfence: extension present");
        return;
    }
    expect(sbi(EID_RFENCE, 0, 0, ~0ul, 0, 0, 0).error, 0, "rfence: fence.i on all harts");
    expect(sbi(EID_RFENCE, 1, 0, ~0ul, 0, ~0ul, 0).error, 0, "rfence: sfence.vma, all");
    expect(sbi(EID_RFENCE, 1, 1, boot_worker.id, 0x1000, 0x1000, 0).error, 0,
           "rfence: sfence.vma, one page, one hart");
    expect(sbi(EID_RFENCE, 2, 0, ~0ul, 0, ~0ul, 1).error, 0, "rfence: sfence.vma with ASID");
}

static i64 status_of(u64 id)
{
    struct ret r = sbi(EID_HSM, 2, id, 0, 0, 0, 0);
    return r.error ? r.error : r.value;
}

/* Take the interrupt that is pending, if there is one. */
static void take_interrupt(void)
{
    csr_set(sstatus, SIE);
    csr_clear(sstatus, SIE);
}

/* What a started hart does: wait for commands. It waits for the interrupt, not for the
 * command alone, and takes what ended a suspend before it is done with it: an interrupt
 * left pending would end the next suspend at once. */
static void obey(struct worker *w)
{
    u64 seen = w->ipis;
    for (;;) {
        while (w->ipis == seen) {
            __asm__ volatile("wfi");
            take_interrupt();
        }
        seen = w->ipis;
        fence();
        if (w->command == IDLE)
            continue;
        enum command command = w->command;
        w->command = IDLE;
        switch (command) {
        case CALL_LESSON:
            w->result = lesson();
            break;
        case SUSPEND:                               /* retentive: returns */
            w->result = sbi(EID_HSM, 3, 0, 0, 0, 0, 0).error;
            break;
        case SLEEP_AND_LOSE_ALL:
            sbi(EID_TIME, 0, csr_read(time) + SECOND / 100, 0, 0, 0, 0);
            csr_set(sie, STIE);
            /* fall through */
        case SUSPEND_AND_LOSE_ALL:                  /* non-retentive: comes to worker_entry */
            w->result = sbi(EID_HSM, 3, 0x80000000, (u64)worker_entry, (u64)w, 0, 0).error;
            break;
        case STOP:
            w->result = sbi(EID_HSM, 1, 0, 0, 0, 0, 0).error;
            break;
        default:
            break;
        }
        take_interrupt();
        seen = w->ipis;
        fence();
        w->done++;
    }
}

void worker_begin(u64 id, struct worker *w, u64 sstatus, u64 satp)
{
    w->id = id;
    w->sstatus = sstatus;
    w->satp = satp;
    csr_set(sie, SSIE | STIE);                      /* the trap handler takes STIE away */
    take_interrupt();
    csr_clear(sie, STIE);
    fence();
    w->begun++;
    obey(w);
}

static void order(u64 id, enum command command)
{
    fence();
    worker.command = command;
    fence();
    sbi(EID_IPI, 0, 1, id, 0, 0, 0);
}

static void check_other_hart(u64 id)
{
    say("     with hart ");
    say_number((i64)id);
    say(":\n");
    worker = (struct worker){ .id = ~0ul };
    worker.stack = worker.space + sizeof worker.space;
    expect(status_of(id), STOPPED, "hsm: it is stopped at first");
    expect(sbi(EID_HSM, 0, id, (u64)worker_entry, (u64)&worker, 0, 0).error, 0, "hsm: start");
    if (!soon(worker.begun == 1)) {
        check(false, "hsm: it begins");
        return;
    }
    check(worker.id == id, "hsm: it begins with its id in a0 and our value in a1");
    check(worker.satp == 0 && !(worker.sstatus & SIE),
          "hsm: it begins without paging, interrupts off");
    check(soon(status_of(id) == STARTED), "hsm: it is started now");
    expect(sbi(EID_HSM, 0, id, (u64)worker_entry, 0, 0, 0).error, ALREADY_AVAILABLE,
           "hsm: it cannot be started twice");

    order(id, CALL_LESSON);
    check(soon(worker.done == 1) && worker.result == 1, "ipi: wakes it");
    lesson_code[0] = 0x00200513;                    /* li a0, 2 */
    fence();
    sbi(EID_RFENCE, 0, 1, id, 0, 0, 0);
    order(id, CALL_LESSON);
    check(soon(worker.done == 2) && worker.result == 2,
          "rfence: it sees the instruction that I changed");
    lesson_code[0] = 0x00100513;
    fence();
    sbi(EID_RFENCE, 0, 0, ~0ul, 0, 0, 0);

    order(id, SUSPEND);
    check(soon(status_of(id) == SUSPENDED), "hsm: it suspends itself");
    check(worker.done == 2, "hsm: and stays suspended");
    sbi(EID_IPI, 0, 1, id, 0, 0, 0);
    check(soon(worker.done == 3) && worker.result == 0,
          "hsm: an interrupt resumes it where it was");
    order(id, SUSPEND_AND_LOSE_ALL);
    bool heard = soon(status_of(id) == SUSPENDED || worker.done == 4);
    if (heard && worker.done == 3) {
        u64 ipis = worker.ipis;
        sbi(EID_IPI, 0, 1, id, 0, 0, 0);
        check(soon(worker.begun == 2), "hsm: non-retentive: it resumes at its entry");
        check(worker.ipis == ipis + 1, "hsm: non-retentive: what woke it is still pending");
        order(id, SLEEP_AND_LOSE_ALL);
        check(soon(worker.begun == 3) && worker.timers == 1,
              "hsm: non-retentive: its timer resumes it");
    } else if (heard && worker.result == NOT_SUPPORTED) {
        skip("hsm: non-retentive suspend: this firmware has none");
    } else {
        check(false, "hsm: non-retentive suspend");
    }

    order(id, STOP);
    check(soon(status_of(id) == STOPPED), "hsm: it stops itself");
    u64 begun = worker.begun;
    expect(sbi(EID_HSM, 0, id, (u64)worker_entry, (u64)&worker, 0, 0).error, 0,
           "hsm: start it again");
    check(soon(worker.begun == begun + 1), "hsm: it begins again");
    order(id, STOP);
    check(soon(status_of(id) == STOPPED), "hsm: it stops again");
}

static void check_hsm(void)
{
    if (!probe(EID_HSM)) {
        check(false, "hsm: extension present");
        return;
    }
    expect(status_of(boot_worker.id), STARTED, "hsm: I am started");
    expect(status_of(0xdead), INVALID_PARAM, "hsm: status of a hart that does not exist");
    expect(sbi(EID_HSM, 0, 0xdead, (u64)worker_entry, 0, 0, 0).error, INVALID_PARAM,
           "hsm: start of a hart that does not exist");
    expect(sbi(EID_HSM, 3, 0x0bad, 0, 0, 0, 0).error, INVALID_PARAM,
           "hsm: suspend of a reserved type");
    bool alone = true;
    for (u64 id = 0; id < MAX_HARTS; id++) {
        if (id == boot_worker.id || status_of(id) < 0)
            continue;
        alone = false;
        check_other_hart(id);
    }
    if (alone)
        skip("hsm: start, suspend and stop of another hart: there is none");
}

void main(u64 id, u64 device_tree)
{
    boot_worker.id = id;
    have_dbcn = probe(EID_DBCN);
    say("\nsbi: a kernel that only asks questions. hart ");
    say_number((i64)id);
    say(", device tree at ");
    say_hex(device_tree);
    say("\n");
    const uint8_t *t = (const uint8_t *)device_tree;
    check(t && t[0] == 0xd0 && t[1] == 0x0d && t[2] == 0xfe && t[3] == 0xed,
          "boot: a1 points to a device tree");
    check(!(csr_read(sstatus) & SIE), "boot: interrupts are off");
    check_base();
    check_console();
    check_timer();
    check_ipi();
    check_rfence();
    check_hsm();
    check(probe(EID_SRST), "srst: extension present");
    i64 error = sbi(EID_SRST, 0, 0x0bad, 0, 0, 0, 0).error;
    check(error == INVALID_PARAM || error == NOT_SUPPORTED, "srst: reserved type is refused");
    say_number(checks);
    say(" checks, ");
    say_number(failures);
    say(" failed\n");
    shut_down();
    check(false, "srst: shutdown (we are still here)");
}
