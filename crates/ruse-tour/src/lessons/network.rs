//! The lesson `network`.

use ruse_event::Class;

use super::{Lesson, Scene};

pub(super) const LESSON: Lesson = Lesson {
    name: "network",
    title: "A network: a cable that ends in the same process",
    text: "\
A network card works as the disk does, with two queues: one of buffers to be filled with what \
comes in, one of what goes out. What goes out here is a question that every computer asks before \
it can talk to a neighbour: who has this address? (ARP.)

There is no cable. A thread of Ruse takes the frame from the guest's memory and plays the whole \
neighbourhood: 10.0.2.2 is a router, 10.0.2.3 a name server. When the guest makes a connection \
to the outside, Ruse opens an ordinary socket for it, as a browser would; no privilege is needed.

The guest below asks who has 10.0.2.N, waits a while, and prints `!` if somebody answered, `?` if \
nobody did.",
    code: "\
start:  la    s0, setup
        li    s1, 0x10001000    # the card's registers
set:    lw    t0, 0(s0)
        lw    t1, 4(s0)
        bltz  t0, go
        add   t0, t0, s1
        sw    t1, 0(t0)
        addi  s0, s0, 8
        j     set
go:     sw    zero, 0x50(s1)    # queue 0 has buffers for what comes in
        li    t0, 1
        sw    t0, 0x50(s1)      # queue 1 has a frame to send
        li    s2, 20000000      # patience
        la    s3, used0
        li    s4, 0             # frames looked at
wait:   lhu   t1, 2(s3)         # how many buffers have been used?
        beq   t1, s4, none
        la    t2, into
        slli  t3, s4, 9
        add   t2, t2, t3
        addi  s4, s4, 1
        lhu   t2, 24(t2)        # which kind of frame is it?
        li    t3, 0x608         # an ARP frame
        beq   t2, t3, yes
none:   addi  s2, s2, -1
        bnez  s2, wait
        li    a0, '?'
        j     print
yes:    li    a0, '!'
print:  li    t1, 0x10000000
        sb    a0, 0(t1)
        li    t0, 0x100000
        li    t1, 0x5555
        sw    t1, 0(t0)
hang:   j     hang
        .align 8
setup:  .word 0x70, 0, 0x70, 1, 0x70, 3
        .word 0x24, 0, 0x20, 0, 0x24, 1, 0x20, 1, 0x70, 11
        .word 0x30, 0, 0x38, 4, 0x80, desc0, 0x90, avail0, 0xa0, used0, 0x44, 1
        .word 0x30, 1, 0x38, 4, 0x80, desc1, 0x90, avail1, 0xa0, used1, 0x44, 1
        .word 0x70, 15, -1, 0
        .align 16
desc0:  .dword into                           # four buffers to be filled
        .word 512, 2
        .dword into+512
        .word 512, 2
        .dword into+1024
        .word 512, 2
        .dword into+1536
        .word 512, 2
desc1:  .dword frame
        .word 54
        .half 0, 0
        .zero 48
avail0: .half 0, 4, 0, 1, 2, 3, 0, 0
avail1: .half 0, 1, 0, 0, 0, 0, 0, 0
used0:  .zero 40
used1:  .zero 40
frame:  .zero 12                              # virtio's header: nothing special
        .byte 255, 255, 255, 255, 255, 255    # to everybody
        .byte 0x52, 0x54, 0, 0x12, 0x34, 0x56 # from this card
        .byte 8, 6, 0, 1, 8, 0, 6, 4, 0, 1    # ARP: who has an IPv4 address?
        .byte 0x52, 0x54, 0, 0x12, 0x34, 0x56, 10, 0, 2, 15
        .byte 0, 0, 0, 0, 0, 0, 10, 0, 2, {KNOB}
into:   .zero 2048
",
    knob: "N, the last number of the address",
    first: "2",
    then: (
        "77",
        "nobody is there, and nobody answers: silence is an answer too",
    ),
    after: "\
Both frames were copied from one piece of memory to another. Nothing left the process, and \
nothing could have told the guest.",
    classes: &[Class::Net, Class::Queue],
    words: &["sent", "received", "takes chain", "gives chain"],
    scene: Scene::Network,
};
