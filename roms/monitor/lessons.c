/* Lessons: failing on purpose, in every way that can be survived, and two that cannot. */

#include "monitor.h"

static u64 lesson_stack[128] __attribute__((aligned(16)));

/* An address beyond all memory and outside every device that we know of. */
u64 nowhere(void)
{
    u64 address = 0x1000;
    for (u32 i = 0; i < beliefs.memory_count; i++) {
        u64 end = beliefs.memory[i].base + beliefs.memory[i].size;
        address = end > address ? end : address;
    }
    for (bool moved = true; moved;) {
        moved = false;
        for (u32 i = 0; i < beliefs.device_count; i++) {
            const struct device *d = &beliefs.devices[i];
            if (address >= d->base && address - d->base < d->size) {
                address = d->base + d->size;
                moved = true;
            }
        }
    }
    return (address + 0xfff) & ~0xffful;
}

/* --- trap: an ecall, step by step --- */

static u64 seen_mepc, seen_mcause, seen_mstatus;

static bool answer_call(struct frame *f)
{
    if (f->mcause != 11)
        return false;
    seen_mepc = f->mepc;
    seen_mcause = f->mcause;
    seen_mstatus = f->mstatus;
    f->x[10] += 1;                  /* a0: the answer to the question */
    f->mepc += 4;                   /* go on after the ecall, not at it */
    trap_hook = NULL;
    return true;
}

void lesson_trap(void)
{
    u64 before = csr_read(mstatus), mtvec = csr_read(mtvec), call, after;
    trap_hook = answer_call;
    register u64 a0 __asm__("a0") = 41;
    __asm__ volatile("la %1, 1f\n1: .option push\n.option norvc\necall\n.option pop\nla %2, 1b\n"
                     "addi %2, %2, 4"
                     : "+r"(a0), "=&r"(call), "=&r"(after) :: "memory");
    u64 answer = a0;
    print("A trap, step by step. I put 41 into register a0 and executed ecall, the\n"
          "instruction that every operating system's system calls are made of.\n\n");
    print("1  Before: the ecall is at 0x%lx, traps go to 0x%lx (mtvec),\n", call, mtvec);
    print("   interrupts are %s (mstatus.MIE = %lu).\n", before & MSTATUS_MIE ? "on" : "off",
          before >> 3 & 1);
    print("2  The hart executes it. It does four things at once, and nothing else:\n");
    print("     mepc    <- 0x%lx   the address of the ecall itself\n", seen_mepc);
    print("     mcause  <- %lu           %s\n", seen_mcause, cause_name(seen_mcause));
    print("     mstatus <- MPP = %s mode, MPIE = %lu, MIE = %lu\n",
          privilege_name(seen_mstatus), seen_mstatus >> 7 & 1, seen_mstatus >> 3 & 1);
    print("     pc      <- 0x%lx   what mtvec says\n", mtvec);
    print("3  My handler runs, interrupts off. It saves the 31 registers to memory: the\n"
          "   hart saved none of them. It sees cause %lu, adds 1 to the saved a0, and adds\n"
          "   4 to mepc, or else mret would return to the ecall and trap for ever.\n",
          seen_mcause);
    print("4  It restores the registers and executes mret: pc <- mepc, the mode <- MPP,\n"
          "   MIE <- MPIE.\n");
    print("5  After: I go on at 0x%lx and find %lu in a0.\n", after, answer);
}

/* --- crash: one kind of failure each --- */

static void crash_illegal(void)
{
    print("I execute the bits 0000, which will never be an instruction...\n");
    __asm__ volatile(".option push\n.option rvc\nc.unimp\n.option pop");
}

static void crash_load(void)
{
    u64 a = nowhere();
    print("I read from 0x%lx, just past everything that I know of...\n", a);
    read64(a);
    print("Something answered. I did not expect that.\n");
}

static void crash_store(void)
{
    u64 a = nowhere();
    print("I write to 0x%lx, just past everything that I know of...\n", a);
    write64(a, 1);
    fence();
    print("It was swallowed without a word. I did not expect that.\n");
}

static void crash_fetch(void)
{
    u64 a = nowhere();
    print("I jump to 0x%lx, just past everything that I know of...\n", a);
    ((void (*)(void))a)();
}

static void crash_jump(void)
{
    print("I switch compressed instructions off (misa.C) and jump to an address that is a\n"
          "multiple of 2, but not of 4...\n");
    interrupts_off();               /* for now, only the lesson's own trap can be handled */
    csr_write(mtvec, (u64)trap_entry_without_c);
    jump_misaligned();
    csr_write(mtvec, (u64)trap_entry);
    interrupts_on();
    print("This hart does not let me switch them off. Then every even address may hold an\n"
          "instruction, a jump cannot even name an odd one, and this trap cannot happen.\n");
}

static void crash_misaligned(void)
{
    u8 *p = (u8 *)lesson_stack + 1;
    u64 v;
    print("I read 8 bytes at 0x%lx, an odd address...\n", (u64)p);
    __asm__ volatile("ld %0, 0(%1)" : "=r"(v) : "r"(p) : "memory");
    print("It worked: this hart does such reads itself. Others trap, and firmware does it.\n");
}

static void crash_atomic(void)
{
    u8 *p = (u8 *)lesson_stack + 2;
    u64 v;
    print("I add to 4 bytes at 0x%lx in one indivisible step, across a boundary...\n", (u64)p);
    __asm__ volatile("amoadd.w %0, zero, (%1)" : "=r"(v) : "r"(p) : "memory");
    print("It worked: this hart has misaligned atomics. Most trap.\n");
}

static void crash_csr(void)
{
    print("I try to change mhartid, this hart's number, which is read-only...\n");
    __asm__ volatile(".insn i 0x73, 1, x0, x0, -236");     /* csrrw x0, 0xf14, x0 */
}

static void crash_ecall(void)
{
    print("I ask the level above me for help. I am in machine mode: I am that level...\n");
    __asm__ volatile("ecall" ::: "memory");
}

static void crash_ebreak(void)
{
    print("I call a debugger that is not there...\n");
    __asm__ volatile("ebreak" ::: "memory");
}

static void crash_stack(void)
{
    u64 a = nowhere();
    print("I point the stack pointer to 0x%lx and push something. My handler survives\n"
          "this because it has a stack of its own...\n", a);
    __asm__ volatile("mv sp, %0\nsd ra, 0(sp)" :: "r"(a) : "memory");
}

static void user_program(void)
{
    /* No function may be called here that prints: user mode should touch no device. */
    __asm__ volatile("csrr a0, mhartid" ::: "a0");
}

static void crash_user(void)
{
    if (!(csr_read(misa) >> ('U' - 'A') & 1)) {
        print("This hart has no user mode.\n");
        return;
    }
    print("I open all memory to user mode (PMP), drop into user mode, and there try to read\n"
          "mhartid, a register of machine mode...\n");
    u64 was;
    if (csr_try(pmpcfg0, was) && !(was & 0x80)) {   /* 0x80: locked */
        csr_write(pmpaddr0, ~0ul >> 10);
        csr_write(pmpcfg0, 0x1f);   /* entry 0: NAPOT, read, write, execute */
    }
    enter_user((u64)user_program, (u64)(lesson_stack + 128));
}

static bool fail_again(struct frame *f)
{
    trap_hook = NULL;
    print("(First trap: %s. In the handler, I now do the same again.)\n",
          cause_name(f->mcause));
    read64(nowhere());
    return false;
}

static void crash_double(void)
{
    print("I read from nowhere, and my trap handler does so too...\n");
    trap_hook = fail_again;
    read64(nowhere());
    trap_hook = NULL;
}

static void crash_hard(void)
{
    print("I tell the machine that I have failed, with code 3. Goodbye.\n");
    power_off(3);
    print("But there is no power switch, or it does nothing.\n");
}

static void crash_void(void)
{
    u64 a = nowhere();
    print("I point mtvec to 0x%lx, where nothing is, and trap. The hart will jump\n"
          "there, fault on that, jump there, fault, for ever: nothing in here can help.\n"
          "Look at it from outside.\n", a);
    interrupts_off();
    csr_write(mtvec, a);
    __asm__ volatile("ecall" ::: "memory");
}

static const struct {
    const char *name, *what;
    void (*run)(void);
} kinds[] = {
    { "illegal", "execute something that is no instruction", crash_illegal },
    { "load", "read where nothing is", crash_load },
    { "store", "write where nothing is", crash_store },
    { "fetch", "jump to where nothing is", crash_fetch },
    { "jump", "jump to a misaligned address", crash_jump },
    { "misaligned", "read across a boundary", crash_misaligned },
    { "atomic", "do atomic arithmetic across a boundary", crash_atomic },
    { "csr", "write a read-only register", crash_csr },
    { "ecall", "ask for help at the highest level", crash_ecall },
    { "ebreak", "call the debugger", crash_ebreak },
    { "stack", "lose the stack", crash_stack },
    { "user", "touch machine mode from user mode", crash_user },
    { "double", "trap inside the trap handler", crash_double },
    { "hard", "no way back: power off with exit code 3", crash_hard },
    { "void", "no way back: trap into nothing, for ever", crash_void },
};

void lesson_crash(const char *kind)
{
    for (u32 i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (*kind && same(kind, kinds[i].name)) {
            kinds[i].run();
            return;
        }
    }
    if (*kind)
        print("I cannot crash in that way. ");
    print("I can crash like this:\n");
    for (u32 i = 0; i < sizeof kinds / sizeof *kinds; i++)
        print("  crash %-11s %s\n", kinds[i].name, kinds[i].what);
}
