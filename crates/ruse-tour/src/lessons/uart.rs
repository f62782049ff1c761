//! The lesson `uart`.

use ruse_event::Class;

use super::{Lesson, Scene};

pub(super) const LESSON: Lesson = Lesson {
    name: "uart",
    title: "A serial port: a chip is an address",
    text: "\
A computer talks to its chips by loads and stores to addresses where no memory is. A chip \
listens there: what is stored at 0x10000000 the serial port sends down a wire, and at 0x10000005 \
one reads whether it is ready for more. This is called memory-mapped I/O.

In Ruse a load or store that finds no memory looks up which device owns the address, and calls \
its `read` or `write` function in Rust. The wire is standard output.

The guest below waits until the chip is ready, sends a letter, and so on to the end of the text.",
    code: "\
start:  la    s0, text
        li    s1, 0x10000000    # the serial port
next:   lbu   a0, 0(s0)
        beqz  a0, off
wait:   lbu   t0, 5(s1)         # LSR: line status
        andi  t0, t0, 0x20      # bit 5: ready for a byte
        beqz  t0, wait
        sb    a0, 0(s1)         # THR: transmit
        addi  s0, s0, 1
        j     next
off:    li    t0, 0x100000
        li    t1, 0x5555
        sw    t1, 0(t0)
hang:   j     hang
text:   .ascii \"{KNOB}\\n\\0\"
",
    knob: "the text",
    first: "hi",
    then: (
        "wires",
        "five letters, each a load and a store, each a call of a Rust function",
    ),
    after: "\
The guest cannot tell. The chip is ready each time, because calling a function takes no time on \
the guest's clock: the only thing about it that a real serial port could not do.",
    classes: &[Class::Mmio],
    words: &["uart"],
    scene: Scene::Bare,
};
