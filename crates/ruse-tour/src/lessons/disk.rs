//! The lesson `disk`.

use ruse_event::Class;

use super::{Lesson, Scene};

pub(super) const LESSON: Lesson = Lesson {
    name: "disk",
    title: "A disk: a 50 GB SSD in a file of a few kilobytes",
    text: "\
A disk is too slow to be waited for. So the guest writes down what it wants in its own memory, \
in a form that both sides know (virtio: a descriptor for each piece, a ring of those that are \
available, a ring of those that have been used), rings a doorbell, and the disk reads and writes \
the guest's memory by itself. That is DMA.

The SSD is a sparse file: it is as long as the disk is large, but the host keeps only the pieces \
that were ever written. Byte n of the disk is byte n of the file.

The guest below sets the device up from a list of registers and values, and asks for one thing: \
write the sector (512 bytes) at `data`.",
    code: "\
start:  la    s0, setup
        li    s1, 0x10001000    # the disk's registers
set:    lw    t0, 0(s0)         # which register
        lw    t1, 4(s0)         # what to put there
        bltz  t0, go
        add   t0, t0, s1
        sw    t1, 0(t0)
        addi  s0, s0, 8
        j     set
go:     sw    zero, 0x50(s1)    # QueueNotify: the doorbell
wait:   la    t0, used
        lhu   t1, 2(t0)         # has it been used?
        beqz  t1, wait
        li    t0, 0x100000
        li    t1, 0x5555
        sw    t1, 0(t0)
hang:   j     hang
        .align 8
setup:  .word 0x70, 0, 0x70, 1, 0x70, 3      # Status: reset, seen, driver
        .word 0x24, 0, 0x20, 0, 0x24, 1, 0x20, 1 # features: version 1
        .word 0x70, 11                       # Status: features OK
        .word 0x30, 0, 0x38, 8               # queue 0 has 8 places
        .word 0x80, desc, 0x90, avail, 0xa0, used
        .word 0x44, 1, 0x70, 15              # ready; driver OK
        .word -1, 0
        .align 16
desc:   .dword head                          # what is wanted
        .word 16
        .half 1, 1
        .dword data                          # the sector
        .word 512
        .half 1, 2
        .dword status                        # how it went
        .word 1
        .half 2, 0
        .align 8
avail:  .half 0, 1, 0, 0
        .align 8
used:   .zero 72
        .align 8
head:   .word 1, 0                           # write
        .dword {KNOB}                        # which sector
status: .byte 255
        .align 8
data:   .ascii \"a sector, as the guest sees it\"
        .zero 482
",
    knob: "the sector",
    first: "2048",
    then: (
        "97656249",
        "the last sector of 50 GB: the file is no larger on the host than before",
    ),
    after: "\
The disk took three descriptors from memory, read 512 bytes, and stored two words in the used \
ring. On the host that was one write to a file. Try a sector that the disk does not have \
(97656250): it says no in the status byte, and the file is not touched.",
    classes: &[Class::Queue, Class::Dma, Class::Disk],
    words: &[],
    scene: Scene::Disk,
};
