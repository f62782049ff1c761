/* The little of a C library that the programs call: see bare.c. */
#ifndef BARE_H
#define BARE_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
char *strcpy(char *restrict to, const char *restrict from);
int strcmp(const char *a, const char *b);
void abort(void) __attribute__((noreturn));
unsigned long long strtoull(const char *text, char **end, int base);
int printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
