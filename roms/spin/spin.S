# Jump to this very instruction, for ever. For tests of limits: a time limit, an
# instruction limit, a person with ctrl-C.

    .section .text.start, "ax"
    .globl _start
_start:
    j       _start
