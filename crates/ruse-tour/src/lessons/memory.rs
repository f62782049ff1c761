//! The lesson `memory`.

use ruse_event::Class;

use super::{Lesson, Scene};

pub(super) const LESSON: Lesson = Lesson {
    name: "memory",
    title: "Memory: an address is a question",
    text: "\
Programs use virtual addresses. Which byte of memory one means is looked up in tables that the \
operating system wrote, by a part of the CPU called the MMU. An entry of such a table says \
where the page is and what may be done with it: bit 0 valid, 1 read, 2 write, 3 execute, 6 and 7 \
used and written to.

The guest's memory itself is one array of the host's. Physical address 0x80000000 is its first \
byte. So a load is two lookups: the guest's table, walked in Rust, and an index into the array.

The guest below has a table with one entry of interest: it says that the gigabyte of virtual \
addresses from 0x40000000 on is the memory from 0x80000000 on. Then it stores a letter by its \
virtual address, loads it by its physical one, and prints it. (0x20000000 in the entry is the \
physical address, shifted right by two; 0xcf is all seven bits that matter.)",
    code: "\
start:  la    t0, handler
        csrw  mtvec, t0
        li    t0, -1            # let everybody have all physical memory (PMP)
        csrw  pmpaddr0, t0
        li    t0, 0x1f
        csrw  pmpcfg0, t0
        la    t0, table         # satp: mode 8 (Sv39), and the table's page
        srli  t0, t0, 12
        li    t1, 8
        slli  t1, t1, 60
        or    t0, t0, t1
        csrw  satp, t0
        sfence.vma zero, zero
        li    t0, 0x20800       # MPRV, MPP=S: from here loads and stores are translated
        csrs  mstatus, t0
        li    t0, 0x40003000    # the virtual address
        li    t1, 'm'
        sb    t1, 0(t0)         # the store that asks the tables
        li    t0, 0x20800
        csrc  mstatus, t0
        la    t0, page          # the same place by its physical address
        lb    a0, 0(t0)
print:  li    t1, 0x10000000
        sb    a0, 0(t1)
        li    t0, 0x100000
        li    t1, 0x5555
        sw    t1, 0(t0)
hang:   j     hang
        .align 4
handler:
        li    t0, 0x20800
        csrc  mstatus, t0
        csrr  a0, mcause        # 15, a store page fault, is letter P
        addi  a0, a0, 'A'
        j     print
        .align 4096
table:  .dword 0, {KNOB}, 0x200000cf
        .align 4096
        .zero 4096
page:   .zero 4096
",
    knob: "the page-table entry",
    first: "0x200000cf",
    then: (
        "0x200000c3",
        "readable, but not writable: the store is refused, and the handler prints P",
    ),
    after: "\
One store, and the MMU read one entry, by one load from the array. Ruse then keeps the answer at \
hand in a small table of its own (the TLB), so that the next store to that page costs a \
comparison. Real CPUs do the same for the same reason.",
    classes: &[Class::Walk, Class::Tlb, Class::Trap],
    words: &["0x40003000", "0x4000", "page fault"],
    scene: Scene::Bare,
};
