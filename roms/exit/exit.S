# Switch off at once, with exit code 42.

#define FINISHER        0x00100000      /* sifive,test0, where `virt` has it */
#define FAIL            0x3333
#define CODE            42

    .section .text.start, "ax"
    .globl _start
_start:
    li      t0, FINISHER
    li      t1, CODE << 16 | FAIL
    sw      t1, 0(t0)
1:  wfi
    j       1b
