//! The lesson `system`.

use ruse_event::Class;

use super::{Lesson, Scene};

pub(super) const LESSON: Lesson = Lesson {
    name: "system",
    title: "Another operating system: all of it, together",
    text: "\
Firmware is the program that is there before the operating system. On RISC-V it runs in M-mode, \
the system in S-mode, and the system asks it for what only M-mode can do: by `ecall`, with a \
number in a7 that says what (the SBI). Ruse has such firmware built in, and here is the smallest \
operating system: it prints a greeting through the firmware, and asks it to switch off.

Debian does nothing else, only more of it. With its kernel and a disk (see the README):

    ruse boot --kernel Image --initrd initrd.img --disk debian.img \\
        --append 'root=/dev/vda rw console=ttyS0'

    ruse boot ... --lies        # the same, and everything that you have seen, live",
    code: "\
start:  la    s0, text
next:   lbu   a0, 0(s0)
        beqz  a0, off
        li    a7, 0x4442434e    # DBCN, the debug console
        li    a6, 2             # write a byte
        ecall
        addi  s0, s0, 1
        j     next
off:    li    a7, 0x53525354    # SRST, system reset
        li    a6, 0
        li    a0, 0             # shut down
        li    a1, 0
        ecall
hang:   j     hang
text:   .ascii \"{KNOB}\\n\\0\"
",
    knob: "what it says",
    first: "An operating system.",
    then: (
        "Yours.",
        "each letter is a call to firmware that does not exist",
    ),
    after: "\
There is no M-mode below this system: `ecall` leaves the guest, a function in Rust answers, and \
the guest goes on behind it. You have now seen all the lies there are. Two machines are two of \
these processes; two programs called /usr/bin/python are two files on two disks; and what it \
costs is what `ruse bench` measures.",
    classes: &[Class::Call],
    words: &[],
    scene: Scene::System,
};
