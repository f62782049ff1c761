/* Control and status registers: the hart's own settings and its diary. */

#include "monitor.h"

static void show(const char *name, bool there, u64 value, const char *meaning)
{
    if (there)
        print("  %-11s 0x%016lx  %s\n", name, value, meaning);
    else
        print("  %-11s (this hart has none)  %s\n", name, meaning);
}

#define SHOW(name, meaning) do { u64 v; bool ok = csr_try(name, v); \
        show(#name, ok, v, meaning); } while (0)

static void show_mstatus(u64 v)
{
    print("  mstatus     0x%016lx\n", v);
    print("              MIE %lu  interrupts are %s; MPIE %lu  after an mret, %s\n",
          v >> 3 & 1, v >> 3 & 1 ? "on" : "off", v >> 7 & 1, v >> 7 & 1 ? "on" : "off");
    print("              MPP %lu  an mret now would go to %s mode\n", v >> 11 & 3,
          privilege_name(v));
    static const char *const states[] = { "off", "initial", "clean", "dirty" };
    print("              FS %s  floating point; VS %s  vectors\n", states[v >> 13 & 3],
          states[v >> 9 & 3]);
    print("              MPRV %lu SUM %lu MXR %lu TVM %lu TW %lu TSR %lu  MMU and traps\n",
          v >> 17 & 1, v >> 18 & 1, v >> 19 & 1, v >> 20 & 1, v >> 21 & 1, v >> 22 & 1);
}

static void show_misa(u64 v)
{
    print("  misa        0x%016lx  ", v);
    print_misa(v);
    print("\n");
}

void show_csrs(void)
{
    SHOW(mhartid, "which hart am I");
    SHOW(mvendorid, "who made it");
    SHOW(marchid, "which design");
    SHOW(mimpid, "which version of it");
    show_misa(csr_read(misa));
    show_mstatus(csr_read(mstatus));
    SHOW(mtvec, "where traps go: my handler");
    SHOW(mepc, "where the last trap came from");
    SHOW(mcause, "its cause; top bit set: an interrupt");
    SHOW(mtval, "its detail");
    SHOW(mscratch, "mine to use: top of my trap stack");
    SHOW(mie, "interrupts I want: 3 bell, 7 timer, 11 devices");
    SHOW(mip, "interrupts that wait now");
    SHOW(mcycle, "cycles since the start");
    SHOW(minstret, "instructions since the start");
    SHOW(mcounteren, "counters that lower modes may read");
    SHOW(medeleg, "exceptions handed to supervisor mode");
    SHOW(mideleg, "interrupts handed to supervisor mode");
    SHOW(satp, "page table of supervisor mode; 0: none");
    SHOW(pmpcfg0, "who may touch which memory");
    SHOW(menvcfg, "extras for lower modes");
}
