# The first instructions of a kernel in the Linux Image format, and those of each further
# hart. Supervisor mode: a0 = hart id, a1 = device tree or, for a hart that HSM
# hart_start sends to hart_entry or echo_entry, our opaque value.

    .section .text.start, "ax"
    .globl _start
_start:
    j       begin                   # code0, code1
    .balign 8
    .dword  0x200000                # text_offset
    .dword  __image_end - _start    # image_size
    .dword  0                       # flags: little-endian
    .word   2                       # version 0.2
    .word   0
    .dword  0
    .ascii  "RISCV\0\0\0"
    .ascii  "RSC\005"
    .word   0

    .macro  enter
    .option push
    .option norelax
    la      gp, __global_pointer$
    .option pop
    csrw    sie, zero
    la      t0, trap_entry
    csrw    stvec, t0
    .endm

begin:
    enter
    csrw    satp, zero
    la      t0, __bss_start
    la      t1, __bss_end
1:  sd      zero, 0(t0)
    addi    t0, t0, 8
    bltu    t0, t1, 1b
    la      sp, boot_stack_top
    call    boot
2:  wfi
    j       2b

# a1: the top of the stack, right above it the hart's number.
    .globl hart_entry
hart_entry:
    enter
    mv      sp, a1
    ld      tp, 0(a1)
    mv      a0, tp
    call    hart_main
1:  wfi
    j       1b

# Adds one to the word at a1 and stops again, without a stack.
    .globl echo_entry
echo_entry:
    li      t0, 1
    amoadd.d zero, t0, (a1)
    li      a7, 0x48534d
    li      a6, 1
    ecall
1:  j       1b

    .section .text
    .balign 4
trap_entry:
    addi    sp, sp, -144
    sd      ra, 0(sp)
    sd      t0, 8(sp)
    sd      t1, 16(sp)
    sd      t2, 24(sp)
    sd      t3, 32(sp)
    sd      t4, 40(sp)
    sd      t5, 48(sp)
    sd      t6, 56(sp)
    sd      a0, 64(sp)
    sd      a1, 72(sp)
    sd      a2, 80(sp)
    sd      a3, 88(sp)
    sd      a4, 96(sp)
    sd      a5, 104(sp)
    sd      a6, 112(sp)
    sd      a7, 120(sp)
    csrr    a0, scause
    csrr    a1, sepc
    csrr    a2, stval
    call    trap
    csrw    sepc, a0
    ld      ra, 0(sp)
    ld      t0, 8(sp)
    ld      t1, 16(sp)
    ld      t2, 24(sp)
    ld      t3, 32(sp)
    ld      t4, 40(sp)
    ld      t5, 48(sp)
    ld      t6, 56(sp)
    ld      a0, 64(sp)
    ld      a1, 72(sp)
    ld      a2, 80(sp)
    ld      a3, 88(sp)
    ld      a4, 96(sp)
    ld      a5, 104(sp)
    ld      a6, 112(sp)
    ld      a7, 120(sp)
    addi    sp, sp, 144
    sret

# u64 probe(u64 *at): what is there, or -1 if that faults: the handler goes on at the
# label after the load.
    .balign 4
    .option push
    .option norvc
    .globl probe, probe_load, probe_fault
probe:
probe_load:
    ld      a0, 0(a0)
    ret
probe_fault:
    li      a0, -1
    ret
    .option pop

    .section .stack, "aw", @nobits
    .balign 16
    .space  8192
boot_stack_top:
