//! The lesson `timer`.

use ruse_event::Class;

use super::{Lesson, Scene};

pub(super) const LESSON: Lesson = Lesson {
    name: "timer",
    title: "A timer interrupt: time is a comparison",
    text: "\
A clock chip counts, ten million ticks a second here. The guest writes into another register, \
`mtimecmp`, at which count it wants to be interrupted; meanwhile it sleeps, by the instruction \
`wfi`. This is how an operating system takes the CPU back from a program that does not give it \
away.

There is no clock chip. When the guest reads the count, Ruse asks the host what time it is (or, \
as in this tour, counts instructions: then every run is the same). When the guest sleeps, Ruse \
looks at what it waits for, and lets that moment come.

The guest below has itself interrupted three times, prints a dot each time, and switches off.",
    code: "\
start:  la    t0, handler
        csrw  mtvec, t0
        li    s0, 0x2004000     # mtimecmp
        li    s1, 0x200bff8     # mtime
        li    s2, {KNOB}
        li    s3, 3             # how often
        ld    t0, 0(s1)
        add   t0, t0, s2
        sd    t0, 0(s0)
        li    t0, 0x80          # the timer's interrupt may come (MTIE)
        csrs  mie, t0
        csrrsi zero, mstatus, 8 # interrupts may come (MIE)
sleep:  wfi
        j     sleep
        .align 4
handler:
        ld    t0, 0(s1)         # once more
        add   t0, t0, s2
        sd    t0, 0(s0)
        li    t1, 0x10000000
        li    t2, '.'
        sb    t2, 0(t1)
        addi  s3, s3, -1
        beqz  s3, off
        mret
off:    li    t0, 0x100000
        li    t1, 0x5555
        sw    t1, 0(t0)
hang:   j     hang
",
    knob: "ticks of 100 ns between two interrupts",
    first: "1000",
    then: (
        "5000000",
        "half a second each, and yet it is over at once: nobody waits for a clock that is counted",
    ),
    after: "\
The interrupt pin of the hart is one bit of a number. Ruse looks at it between blocks of guest \
code, never in the middle of an instruction, and calls the trap machinery of the first lesson.",
    classes: &[Class::Trap, Class::Irq, Class::Sleep, Class::Mmio],
    words: &["interrupt", "wfi", "wakes", "mtimecmp"],
    scene: Scene::Bare,
};
