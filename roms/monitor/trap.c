/* What happens when something happens. A trap is the only thing that a hart does on
 * its own: it writes down where it was (mepc), why it stopped (mcause), a detail
 * (mtval) and how things stood (mstatus), and jumps to the address in mtvec.
 * (Privileged manual, section 3.1.) */

#include "monitor.h"

#define INTERRUPT       (1ul << 63)
#define IRQ_SOFTWARE    3
#define IRQ_TIMER       7
#define IRQ_EXTERNAL    11

bool (*volatile trap_hook)(struct frame *f);

static volatile bool probing, probe_hit;
static volatile u32 nested;

void probe_begin(void)
{
    probe_hit = false;
    probing = true;
}

bool probe_failed(void)
{
    probing = false;
    return probe_hit;
}

const char *cause_name(u64 cause)
{
    static const char *const names[] = {
        "instruction address misaligned", "instruction access fault", "illegal instruction",
        "breakpoint", "load address misaligned", "load access fault",
        "store or atomic address misaligned", "store or atomic access fault",
        "call from user mode", "call from supervisor mode", "reserved", "call from machine mode",
        "instruction page fault", "load page fault", "reserved", "store or atomic page fault",
    };
    if (cause & INTERRUPT)
        return "an interrupt";
    return cause < sizeof names / sizeof *names ? names[cause] : "a cause that I do not know";
}

const char *privilege_name(u64 mstatus)
{
    static const char *const names[] = { "user", "supervisor", "reserved", "machine" };
    return names[mstatus >> 11 & 3];
}

static u32 instruction_length(u64 pc)
{
    return (*(volatile u16 *)pc & 3) == 3 ? 4 : 2;
}

/* Can the instruction at pc be shown without trapping again? */
static bool readable_code(u64 pc)
{
    return pc % 2 == 0 && is_memory(pc, 4);
}

static void say_what(const struct frame *f)
{
    u64 address = f->mtval;
    switch (f->mcause) {
    case 0:
        print("I jumped to 0x%lx, where no instruction may begin.\n", address);
        break;
    case 1:
        print("I jumped to 0x%lx, and nothing there answers with instructions.\n", address);
        break;
    case 2:
        print("The bits at mepc are no instruction that I may execute in %s mode.\n",
              privilege_name(f->mstatus));
        break;
    case 3:
        print("I executed ebreak, the instruction that calls the debugger.\n");
        break;
    case 4:
        print("I read at 0x%lx, which is no multiple of the size I asked for.\n", address);
        break;
    case 5:
        print("I read at address 0x%lx, and nothing there would answer.\n", address);
        break;
    case 6:
        print("I wrote at 0x%lx, which is no multiple of the size I used.\n", address);
        break;
    case 7:
        print("I wrote at address 0x%lx, and nothing there would take it.\n", address);
        break;
    case 8:
    case 9:
    case 11:
        print("I executed ecall, the instruction that asks the level above for help.\n");
        break;
    case 12:
    case 13:
    case 15:
        print("The page tables do not allow that access to 0x%lx.\n", address);
        break;
    default:
        print("I know no more about it than the numbers below.\n");
    }
}

static void explain(const struct frame *f, const char *title)
{
    print("\n*** %s: %s\n    ", title, cause_name(f->mcause));
    say_what(f);
    print("    What the hart did about it, all on its own:\n");
    print("    mepc    <- 0x%016lx  where it was", f->mepc);
    if (readable_code(f->mepc)) {
        if (instruction_length(f->mepc) == 4)
            print(" (bits %08x)", (u32)*(u16 *)f->mepc | (u32)*(u16 *)(f->mepc + 2) << 16);
        else
            print(" (bits %04x)", (u32)*(u16 *)f->mepc);
    }
    print("\n    mcause  <- 0x%016lx  why: %s\n", f->mcause, cause_name(f->mcause));
    print("    mtval   <- 0x%016lx  %s\n", f->mtval,
          f->mcause == 2 ? "the bits of the instruction, or 0"
          : f->mcause == 3 || (f->mcause >= 8 && f->mcause <= 11) ? "no detail for this cause"
          : "the address in question");
    print("    mstatus <- 0x%016lx  it was in %s mode%s\n", f->mstatus,
          privilege_name(f->mstatus), f->mstatus & MSTATUS_MPIE ? ", interrupts on" : "");
    print("    pc      <- 0x%016lx  the address in mtvec: my trap handler\n",
          csr_read(mtvec));
}

/* Make the frame return to the prompt instead of to the code that failed. */
static void back_to_prompt(struct frame *f)
{
    probing = false;
    trap_hook = NULL;
    f->mepc = (u64)recover;
    f->mstatus |= MSTATUS_MPP | MSTATUS_MPIE;
}

void trap_handler(struct frame *f)
{
    if (f->mcause & INTERRUPT) {
        switch (f->mcause & ~INTERRUPT) {
        case IRQ_TIMER:
            timer_interrupt();
            break;
        case IRQ_EXTERNAL:
            plic_interrupt();
            break;
        case IRQ_SOFTWARE:
            hart_hang_up(csr_read(mhartid));
            break;
        default:                    /* nobody asked for it: do not ask again */
            csr_clear(mie, 1ul << (f->mcause & 63));
        }
        return;
    }
    if (probing) {
        probe_hit = true;
        f->mepc += instruction_length(f->mepc);
        return;
    }
    bool (*hook)(struct frame *) = trap_hook;
    if (hook && hook(f))
        return;
    explain(f, "trap");
    print("    Nothing is lost: I return to the prompt.\n");
    back_to_prompt(f);
}

void nested_trap_handler(struct frame *f)
{
    /* If even this goes wrong, there is nobody left to tell. */
    if (nested++) {
        power_off(4);
        for (;;)
            __asm__ volatile("wfi");
    }
    explain(f, "a trap inside the trap handler");
    print("    The first trap's mepc, mcause and mtval are gone: the hart has one set of\n"
          "    them. I have a third stack for this, so I can still return to the prompt.\n");
    nested = 0;
    probing = false;
    trap_hook = NULL;
    leave_handler((u64)recover);
}
