// Where the kernel enters, and what the compiler takes for granted.
#include "bench.h"

int main_(int argc, char **argv);

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n"
        "xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call entry\n ud2\n");
#elif defined(__riscv)
__asm__(".globl _start\n_start:\n"
        ".option push\n.option norelax\n la gp, __global_pointer$\n.option pop\n"
        "mv a0, sp\n andi sp, sp, -16\n call entry\n ebreak\n");
#else
__asm__(".globl _start\n_start:\n"
        "mov x29, #0\n mov x30, #0\n mov x0, sp\n bl entry\n brk #0\n");
#endif

// The stack begins with the count of arguments, and then they are there.
__attribute__((used)) NORETURN void entry(i64 *stack) {
    leave(main_((int)stack[0], (char **)(stack + 1)));
}

NORETURN void leave(int code) {
    for (;;)
        sys(SYS_exit_group, code);
}

__attribute__((used)) void *memset(void *to, int value, u64 len) {
    for (u8 *at = to; len; len--)
        *at++ = (u8)value;
    return to;
}

__attribute__((used)) void *memcpy(void *to, const void *from, u64 len) {
    const u8 *source = from;
    for (u8 *at = to; len; len--)
        *at++ = *source++;
    return to;
}
