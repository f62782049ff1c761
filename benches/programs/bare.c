/*
 * A start and a C library's beginnings for RISC-V without an operating system
 * worth the name: the machine loads the ELF, lays argc and argv on the stack as
 * Linux does, and answers two of Linux's calls, write (64) and exit (93).
 *
 * The memory functions go by words, as a library's would: their speed is part of
 * what is measured.
 */
#include <stdarg.h>
#include <stdint.h>

#include "bare.h"

int main(int argc, char **argv);

static long call(long number, long a, long b, long c)
{
    register long a0 __asm__("a0") = a;
    register long a1 __asm__("a1") = b;
    register long a2 __asm__("a2") = c;
    register long a7 __asm__("a7") = number;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a7) : "memory");
    return a0;
}

static __attribute__((noreturn)) void leave(int status)
{
    for (;;)
        call(93, status, 0, 0);
}

__attribute__((noreturn, used)) static void enter(long *stack)
{
    leave(main((int)stack[0], (char **)(stack + 1)));
}

__asm__(".globl _start\n"
        "_start:\n"
        "    .option push\n"
        "    .option norelax\n"
        "    la gp, __global_pointer$\n"
        "    .option pop\n"
        "    mv a0, sp\n"
        "    andi sp, sp, -16\n"
        "    call enter\n");

void abort(void)
{
    leave(134);
}

typedef uint64_t __attribute__((may_alias)) word;

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    unsigned char *d = to;
    const unsigned char *s = from;

    if ((((uintptr_t)d ^ (uintptr_t)s) & 7) == 0) {
        for (; n && ((uintptr_t)d & 7); n--)
            *d++ = *s++;
        for (; n >= 32; n -= 32, d += 32, s += 32) {
            word a = ((const word *)s)[0], b = ((const word *)s)[1];
            word c = ((const word *)s)[2], e = ((const word *)s)[3];
            ((word *)d)[0] = a;
            ((word *)d)[1] = b;
            ((word *)d)[2] = c;
            ((word *)d)[3] = e;
        }
        for (; n >= 8; n -= 8, d += 8, s += 8)
            *(word *)d = *(const word *)s;
    }
    while (n--)
        *d++ = *s++;
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    unsigned char *d = to;
    const unsigned char *s = from;

    if ((uintptr_t)d - (uintptr_t)s >= n)
        return memcpy(to, from, n);
    d += n;
    s += n;
    if ((((uintptr_t)d ^ (uintptr_t)s) & 7) == 0) {
        for (; n && ((uintptr_t)d & 7); n--)
            *--d = *--s;
        for (; n >= 8; n -= 8) {
            d -= 8;
            s -= 8;
            *(word *)d = *(const word *)s;
        }
    }
    while (n--)
        *--d = *--s;
    return to;
}

void *memset(void *to, int byte, size_t n)
{
    unsigned char *d = to;
    word pattern = (unsigned char)byte * 0x0101010101010101ULL;

    for (; n && ((uintptr_t)d & 7); n--)
        *d++ = (unsigned char)byte;
    for (; n >= 8; n -= 8, d += 8)
        *(word *)d = pattern;
    while (n--)
        *d++ = (unsigned char)byte;
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *p = a, *q = b;

    for (; n; n--, p++, q++)
        if (*p != *q)
            return *p - *q;
    return 0;
}

size_t strlen(const char *s)
{
    const char *end = s;

    while (*end)
        end++;
    return (size_t)(end - s);
}

char *strcpy(char *restrict to, const char *restrict from)
{
    char *d = to;

    while ((*d++ = *from++))
        ;
    return to;
}

int strcmp(const char *a, const char *b)
{
    for (; *a && *a == *b; a++, b++)
        ;
    return (unsigned char)*a - (unsigned char)*b;
}

unsigned long long strtoull(const char *text, char **end, int base)
{
    unsigned long long value = 0;

    for (; *text >= '0' && *text < '0' + base; text++)
        value = value * (unsigned)base + (unsigned)(*text - '0');
    if (end)
        *end = (char *)text;
    return value;
}

/* %s, %llu and %016llx: what bench.h prints. */
int printf(const char *format, ...)
{
    char line[128];
    size_t n = 0;
    va_list list;

    va_start(list, format);
    for (const char *f = format; *f; f++) {
        unsigned base = 10, width = 0;
        char digits[24];
        size_t count = 0;

        if (*f != '%') {
            if (n == sizeof line)
                abort();
            line[n++] = *f;
            continue;
        }
        for (f++; *f >= '0' && *f <= '9'; f++)
            width = width * 10 + (unsigned)(*f - '0');
        while (*f == 'l')
            f++;
        if (*f == 's') {
            const char *s = va_arg(list, const char *);
            size_t length = strlen(s);
            if (length > sizeof line - n)
                abort();
            memcpy(line + n, s, length);
            n += length;
            continue;
        }
        if (*f == 'x')
            base = 16;
        unsigned long long value = va_arg(list, unsigned long long);
        while (value || count < width || !count) {
            digits[count++] = "0123456789abcdef"[value % base];
            value /= base;
        }
        if (count > sizeof line - n)
            abort();
        while (count)
            line[n++] = digits[--count];
    }
    va_end(list);
    call(64, 1, (long)line, (long)n);
    return (int)n;
}
