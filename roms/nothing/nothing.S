# Read from where nothing is, with a trap handler where nothing is: the hart traps,
# fails to fetch the handler's first instruction, traps, fails, for ever. No guest can
# end this; whoever runs the guest should notice.

    .section .text.start, "ax"
    .globl _start
_start:
    li      t0, 0x01000000          # `virt` has nothing between its RTC and its CLINT
    csrw    mtvec, t0
    lw      t1, 0(t0)
1:  j       1b                          # not reached
