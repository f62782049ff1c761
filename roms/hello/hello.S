# Print a line on the serial port, then switch off with success.
# The smallest program that shows a machine to be alive. The addresses are those of
# the `virt` board; a program that wants to run elsewhere reads the device tree.

#define UART            0x10000000      /* ns16550a */
#define FINISHER        0x00100000      /* sifive,test0 */
#define LINE_STATUS     5
#define ROOM            0x20
#define PASS            0x5555

    .section .text.start, "ax"
    .globl _start
_start:
    csrr    t0, mhartid
    bnez    t0, rest                # one greeting is enough
    li      s0, UART
    la      s1, message
1:  lbu     a0, 0(s1)
    beqz    a0, 3f
2:  lbu     t0, LINE_STATUS(s0)
    andi    t0, t0, ROOM
    beqz    t0, 2b
    sb      a0, 0(s0)
    addi    s1, s1, 1
    j       1b
3:  li      t0, FINISHER
    li      t1, PASS
    sw      t1, 0(t0)
rest:
    wfi
    j       rest

    .section .rodata
message:
#if __riscv_xlen == 64
    .asciz  "hello from RV64\r\n"
#else
    .asciz  "hello from RV32\r\n"
#endif
