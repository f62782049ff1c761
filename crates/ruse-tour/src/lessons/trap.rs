//! The lesson `trap`.

use ruse_event::Class;

use super::{Lesson, Scene};

pub(super) const LESSON: Lesson = Lesson {
    name: "trap",
    title: "A trap: the CPU that does not exist changes its mind",
    text: "\
A CPU executes one instruction after the other. When one cannot be executed, or asks for \
help, the CPU drops everything, notes where it was and why, and goes on in a piece of code \
called the trap handler. All protection in a computer rests on this, and so does every \
virtual machine.

Here there is no CPU. Ruse reads each instruction from an array of bytes and calls a Rust \
function for it. A trap is that function saying: I cannot.

The guest below puts the address of its handler into `mtvec`, does something that traps, and \
the handler prints the reason, `mcause`, as a letter: A is 0, B is 1, C is 2, and so on.",
    code: "\
start:  la    t0, handler
        csrw  mtvec, t0         # where to go on after a trap
        {KNOB}
        j     start             # never reached
        .align 4
handler:
        csrr  a0, mcause        # why
        addi  a0, a0, 'A'
        li    t1, 0x10000000    # the serial port
        sb    a0, 0(t1)
        li    t0, 0x100000      # the power switch
        li    t1, 0x5555
        sw    t1, 0(t0)
hang:   j     hang
",
    knob: "an instruction that traps",
    first: "ecall",
    then: (
        ".word 0",
        "the bits of no instruction: the reason is 2, illegal instruction, letter C",
    ),
    after: "\
The letter L is 11: `ecall` from M-mode. The handler ran in the same CPU, knew nothing of Rust, \
and read the reason from a register that is a field of a struct. An operating system finds out \
in this way what its programs want, and a hypervisor what its operating systems want.",
    classes: &[Class::Trap, Class::Mmio],
    words: &["trap to the handler", "THR"],
    scene: Scene::Bare,
};
