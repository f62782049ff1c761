# The first instructions, the way into and out of a trap, and where the other
# harts wait. Everything that C cannot say is in this file.
#
# On entry (RISC-V boot convention): machine mode, a0 = hart id, a1 = address of
# the device tree. A board may start all harts at once; the privileged manual
# (section 3.1.5) promises that one of them has id 0, and that one runs the
# monitor, so a run does not depend on who was faster.

#include "monitor.h"

    .section .text.start, "ax"
    .globl _start
_start:
    .option push
    .option norelax
    la      gp, __global_pointer$
    .option pop
    csrci   mstatus, 8              # MIE off: no interrupt before we are ready
    csrw    mie, zero
    csrr    t0, mhartid
    bnez    t0, park

    la      t0, __bss_start         # C expects its zeroed variables to be zero
    la      t1, __bss_end
1:  sd      zero, 0(t0)
    addi    t0, t0, 8
    bltu    t0, t1, 1b

    la      sp, boot_stack_top
    la      t0, trap_stack_top
    csrw    mscratch, t0            # see trap_entry
    la      t0, trap_entry
    csrw    mtvec, t0
    call    main
1:  wfi
    j       1b

# A hart that is not hart 0 sleeps here until hart 0 sends it a software
# interrupt. Interrupts stay globally disabled: WFI wakes for a pending one all
# the same, and no trap is taken (privileged manual, section 3.3.3).
    .globl park
park:
    la      t0, park_trap
    csrw    mtvec, t0
    li      t0, 8                   # MSIE
    csrw    mie, t0
1:  wfi
    csrr    t0, mip
    andi    t0, t0, 8               # MSIP
    beqz    t0, 1b
    csrr    a0, mhartid
    li      t0, MAX_HARTS
    bgeu    a0, t0, 1b
    la      sp, hart_stacks
    addi    t0, a0, 1
    slli    t0, t0, HART_STACK_BITS
    add     sp, sp, t0
    call    hart_report
    j       1b

    .balign 4
park_trap:                          # a parked hart has nothing that can fail
    wfi
    j       park_trap

.macro SAVE_FRAME
    sd      x1, 1*8(sp)
    sd      x3, 3*8(sp)
    sd      x4, 4*8(sp)
    sd      x5, 5*8(sp)
    sd      x6, 6*8(sp)
    sd      x7, 7*8(sp)
    sd      x8, 8*8(sp)
    sd      x9, 9*8(sp)
    sd      x10, 10*8(sp)
    sd      x11, 11*8(sp)
    sd      x12, 12*8(sp)
    sd      x13, 13*8(sp)
    sd      x14, 14*8(sp)
    sd      x15, 15*8(sp)
    sd      x16, 16*8(sp)
    sd      x17, 17*8(sp)
    sd      x18, 18*8(sp)
    sd      x19, 19*8(sp)
    sd      x20, 20*8(sp)
    sd      x21, 21*8(sp)
    sd      x22, 22*8(sp)
    sd      x23, 23*8(sp)
    sd      x24, 24*8(sp)
    sd      x25, 25*8(sp)
    sd      x26, 26*8(sp)
    sd      x27, 27*8(sp)
    sd      x28, 28*8(sp)
    sd      x29, 29*8(sp)
    sd      x30, 30*8(sp)
    sd      x31, 31*8(sp)
    csrrw   t0, mscratch, zero      # the interrupted sp; 0 = handler is running
    sd      t0, 2*8(sp)
    csrr    t0, mepc
    sd      t0, FRAME_MEPC(sp)
    csrr    t0, mcause
    sd      t0, FRAME_MCAUSE(sp)
    csrr    t0, mtval
    sd      t0, FRAME_MTVAL(sp)
    csrr    t0, mstatus
    sd      t0, FRAME_MSTATUS(sp)
    .option push
    .option norelax
    la      gp, __global_pointer$   # the failed code may have lost it
    .option pop
.endm

# Trap entry. mscratch holds the top of the trap stack while ordinary code runs,
# and 0 while the handler runs: so the handler never trusts the stack of the code
# that failed, and a trap inside the handler is noticed.
    .section .text
    .balign 4
    .globl trap_entry
trap_entry:
    csrrw   sp, mscratch, sp
    beqz    sp, nested_entry
    addi    sp, sp, -FRAME_SIZE
    SAVE_FRAME
    mv      a0, sp
    call    trap_handler

    ld      t0, FRAME_MEPC(sp)
    csrw    mepc, t0
    ld      t0, FRAME_MSTATUS(sp)
    csrw    mstatus, t0
    addi    t0, sp, FRAME_SIZE
    csrw    mscratch, t0
    ld      x1, 1*8(sp)
    ld      x3, 3*8(sp)
    ld      x4, 4*8(sp)
    ld      x5, 5*8(sp)
    ld      x6, 6*8(sp)
    ld      x7, 7*8(sp)
    ld      x8, 8*8(sp)
    ld      x9, 9*8(sp)
    ld      x10, 10*8(sp)
    ld      x11, 11*8(sp)
    ld      x12, 12*8(sp)
    ld      x13, 13*8(sp)
    ld      x14, 14*8(sp)
    ld      x15, 15*8(sp)
    ld      x16, 16*8(sp)
    ld      x17, 17*8(sp)
    ld      x18, 18*8(sp)
    ld      x19, 19*8(sp)
    ld      x20, 20*8(sp)
    ld      x21, 21*8(sp)
    ld      x22, 22*8(sp)
    ld      x23, 23*8(sp)
    ld      x24, 24*8(sp)
    ld      x25, 25*8(sp)
    ld      x26, 26*8(sp)
    ld      x27, 27*8(sp)
    ld      x28, 28*8(sp)
    ld      x29, 29*8(sp)
    ld      x30, 30*8(sp)
    ld      x31, 31*8(sp)
    ld      sp, 2*8(sp)
    mret

# A trap while the handler runs. The trap stack is in use and mepc, mcause and
# mtval of the first trap are overwritten: there is only one set of them.
nested_entry:
    la      sp, emergency_stack_top
    addi    sp, sp, -FRAME_SIZE
    SAVE_FRAME
    mv      a0, sp
    call    nested_trap_handler     # does not return
1:  j       1b

# For the lesson in misaligned jumps, which switches compressed instructions off:
# our code is full of them, so switch them on again first.
    .balign 4
    .globl trap_entry_without_c
    .option push
    .option norvc
trap_entry_without_c:
    csrsi   misa, 4                 # misa.C
    j       trap_entry

# void jump_misaligned(void): switch C off, then jump to an address that is a
# multiple of 2 but not of 4. Returns if misa.C cannot be switched off.
    .balign 4
    .globl jump_misaligned
jump_misaligned:
    csrci   misa, 4
    csrr    t0, misa
    andi    t0, t0, 4
    bnez    t0, 1f
    la      t0, jump_misaligned
    addi    t0, t0, 2
    jr      t0
1:  ret
    .option pop

# int checkpoint(void): remember this place; returns 0 now, and 1 each time that
# the trap handler gives up on what was running and comes back here.
    .globl checkpoint
checkpoint:
    la      t0, checkpoint_registers
    sd      ra, 0*8(t0)
    sd      sp, 1*8(t0)
    sd      s0, 2*8(t0)
    sd      s1, 3*8(t0)
    sd      s2, 4*8(t0)
    sd      s3, 5*8(t0)
    sd      s4, 6*8(t0)
    sd      s5, 7*8(t0)
    sd      s6, 8*8(t0)
    sd      s7, 9*8(t0)
    sd      s8, 10*8(t0)
    sd      s9, 11*8(t0)
    sd      s10, 12*8(t0)
    sd      s11, 13*8(t0)
    li      a0, 0
    ret

    .globl recover
recover:
    la      t0, checkpoint_registers
    ld      ra, 0*8(t0)
    ld      sp, 1*8(t0)
    ld      s0, 2*8(t0)
    ld      s1, 3*8(t0)
    ld      s2, 4*8(t0)
    ld      s3, 5*8(t0)
    ld      s4, 6*8(t0)
    ld      s5, 7*8(t0)
    ld      s6, 8*8(t0)
    ld      s7, 9*8(t0)
    ld      s8, 10*8(t0)
    ld      s9, 11*8(t0)
    ld      s10, 12*8(t0)
    ld      s11, 13*8(t0)
    li      a0, 1
    ret

# void leave_handler(u64 pc): from the depths of a nested trap, go on at pc in
# machine mode as if nothing had happened.
    .globl leave_handler
leave_handler:
    la      t0, trap_stack_top
    csrw    mscratch, t0
    csrw    mepc, a0
    li      t0, MSTATUS_MPP | MSTATUS_MPIE
    csrs    mstatus, t0
    mret

# void enter_user(u64 pc, u64 sp): go on at pc in user mode. Only a trap leads back.
    .globl enter_user
enter_user:
    csrw    mepc, a0
    mv      sp, a1
    li      t0, MSTATUS_MPP
    csrc    mstatus, t0
    li      t0, MSTATUS_MPIE
    csrs    mstatus, t0
    mret

    .section .bss
    .balign 8
checkpoint_registers:
    .space  14*8

    .section .stack, "aw", @nobits
    .balign 16
    .space  16384
boot_stack_top:
    .space  8192
    .globl trap_stack_top
trap_stack_top:
    .space  4096
emergency_stack_top:
hart_stacks:
    .space  MAX_HARTS << HART_STACK_BITS
