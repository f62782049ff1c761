# A kernel's first instructions, behind the 64-byte header of a RISC-V Linux Image
# (Linux, Documentation/riscv/boot-image-header): a boot loader recognises it and puts
# the file 2 MiB above the start of memory. Then, in supervisor mode: a0 = hart id,
# a1 = address of the device tree.

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

begin:
    .option push
    .option norelax
    la      gp, __global_pointer$
    .option pop
    csrw    sie, zero
    csrw    satp, zero
    la      t0, __bss_start
    la      t1, __bss_end
1:  sd      zero, 0(t0)
    addi    t0, t0, 8
    bltu    t0, t1, 1b
    la      sp, stack_top
    la      tp, boot_worker
    la      t0, trap_entry
    csrw    stvec, t0
    call    main
1:  wfi
    j       1b

# Where a hart begins that HSM hart_start or a non-retentive suspend sends here: a0 is
# its id and a1 our opaque value, its struct worker, whose first word is its stack.
    .globl worker_entry
worker_entry:
    .option push
    .option norelax
    la      gp, __global_pointer$
    .option pop
    ld      sp, 0(a1)
    mv      tp, a1
    la      t0, trap_entry
    csrw    stvec, t0
    csrr    a2, sstatus
    csrr    a3, satp
    call    worker_begin
1:  wfi
    j       1b

    .section .text
    .balign 4
trap_entry:
    addi    sp, sp, -128
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
    addi    sp, sp, 128
    sret

# int lesson(void): answers 1, until someone rewrites its first instruction.
    .balign 4
    .option push
    .option norvc
    .globl lesson
lesson:
    li      a0, 1
    ret
    .option pop

    .section .stack, "aw", @nobits
    .balign 16
    .space  8192
stack_top:
