/* Strings and printing: the few functions that a C library would have brought. */

#include "monitor.h"

void *memset(void *to, int byte, size_t n)
{
    u8 *p = to;
    while (n--)
        *p++ = (u8)byte;
    return to;
}

void *memcpy(void *to, const void *from, size_t n)
{
    u8 *p = to;
    const u8 *q = from;
    while (n--)
        *p++ = *q++;
    return to;
}

size_t strlen(const char *s)
{
    size_t n = 0;
    while (s[n])
        n++;
    return n;
}

bool same(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

static void put(char c)
{
    if (c == '\n')
        uart_put('\r');
    uart_put(c);
}

static void put_padded(const char *s, int length, int width, bool left)
{
    if (!left)
        for (int i = length; i < width; i++)
            put(' ');
    for (int i = 0; i < length; i++)
        put(s[i]);
    if (left)
        for (int i = length; i < width; i++)
            put(' ');
}

static void put_number(u64 v, u32 base, int width, char fill, bool left, bool negative)
{
    char digits[24];
    int at = sizeof digits;
    do {
        digits[--at] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v);
    while (fill == '0' && (int)sizeof digits - at < width && at > 1)
        digits[--at] = '0';
    if (negative)
        digits[--at] = '-';
    put_padded(digits + at, sizeof digits - at, width, left);
}

/* The subset of printf that this program uses: - 0 width .* and c s d u x, with l. */
void print(const char *f, ...)
{
    va_list args;
    va_start(args, f);
    for (; *f; f++) {
        if (*f != '%') {
            put(*f);
            continue;
        }
        bool left = false, is_long = false;
        char fill = ' ';
        int width = 0, limit = -1;
        f++;
        for (; *f == '-' || *f == '0'; f++) {
            left |= *f == '-';
            fill = *f == '0' ? '0' : fill;
        }
        if (*f == '*') {
            width = va_arg(args, int);
            f++;
        }
        for (; *f >= '0' && *f <= '9'; f++)
            width = width * 10 + (*f - '0');
        if (f[0] == '.' && f[1] == '*') {
            limit = va_arg(args, int);
            f += 2;
        }
        for (; *f == 'l'; f++)
            is_long = true;
        switch (*f) {
        case 'c': {
            char c = (char)va_arg(args, int);
            put_padded(&c, 1, width, left);
            break;
        }
        case 's': {
            const char *s = va_arg(args, const char *);
            int n = 0;
            while ((limit < 0 || n < limit) && s[n])
                n++;
            put_padded(s, n, width, left);
            break;
        }
        case 'd': {
            int64_t v = is_long ? va_arg(args, int64_t) : va_arg(args, int);
            put_number(v < 0 ? -(u64)v : (u64)v, 10, width, fill, left, v < 0);
            break;
        }
        case 'u':
        case 'x': {
            u64 v = is_long ? va_arg(args, u64) : va_arg(args, u32);
            put_number(v, *f == 'x' ? 16 : 10, width, fill, left, false);
            break;
        }
        case '%':
            put('%');
            break;
        default:                    /* a mistake of ours: show it */
            put('%');
            f--;
        }
    }
    va_end(args);
}

void print_wrapped(int indent, const char *s)
{
    int column = 0;
    while (*s) {
        int n = 0;
        while (s[n] && s[n] != ' ' && s[n] != '\n')
            n++;
        if (column && column + 1 + n > 79) {
            put('\n');
            column = 0;
        }
        if (!column) {
            put_padded("", 0, indent, false);
            column = indent;
        } else {
            put(' ');
            column++;
        }
        while (n > 79 - indent && column == indent) {   /* a word wider than a line */
            put_padded(s, 79 - indent, 0, false);
            put('\n');
            put_padded("", 0, indent, false);
            s += 79 - indent;
            n -= 79 - indent;
        }
        put_padded(s, n, 0, false);
        column += n;
        s += n;
        if (*s == '\n') {
            put('\n');
            column = 0;
        }
        if (*s)
            s++;
    }
    if (column)
        put('\n');
}

void print_dump(u64 label, const u8 *bytes, u64 n)
{
    bool skipping = false;
    for (u64 at = 0; at < n; at += 16) {
        /* A line equal to the one above becomes one '*', except the last. */
        if (at >= 16 && at + 16 < n) {
            bool equal = true;
            for (int i = 0; i < 16; i++)
                equal &= bytes[at + i] == bytes[at + i - 16];
            if (equal) {
                if (!skipping)
                    print("*\n");
                skipping = true;
                continue;
            }
        }
        skipping = false;
        print("%08lx ", label + at);
        for (u64 i = at; i < at + 16; i++) {
            if (i % 8 == 0)
                put(' ');
            if (i < n)
                print("%02x ", bytes[i]);
            else
                print("   ");
        }
        print(" |");
        for (u64 i = at; i < at + 16 && i < n; i++)
            put(bytes[i] >= 32 && bytes[i] < 127 ? (char)bytes[i] : '.');
        print("|\n");
    }
}

static void print_size(u64 bytes, u64 step, const char *const units[5])
{
    u64 unit = 1;
    int which = 0;
    while (which < 4 && bytes / unit >= step) {
        unit *= step;
        which++;
    }
    u64 tenths = bytes % unit * 10 / unit;
    print("%lu", bytes / unit);
    if (tenths)
        print(".%lu", tenths);
    print(" %s", units[which]);
}

void print_decimal_size(u64 bytes)
{
    static const char *const units[5] = { "bytes", "kB", "MB", "GB", "TB" };
    print_size(bytes, 1000, units);
}

void print_binary_size(u64 bytes)
{
    static const char *const units[5] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
    print_size(bytes, 1024, units);
}

char *next_word(char **line)
{
    char *p = *line;
    while (*p == ' ' || *p == '\t')
        p++;
    char *word = p;
    while (*p && *p != ' ' && *p != '\t')
        p++;
    if (*p)
        *p++ = 0;
    *line = p;
    return word;
}

bool parse_number(const char *s, u64 *value)
{
    u64 base = 10, v = 0;
    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
        base = 16;
        s += 2;
    }
    if (!*s)
        return false;
    for (; *s; s++) {
        if (*s == '_')              /* 0x8000_0000 reads better */
            continue;
        u64 digit = *s >= '0' && *s <= '9' ? (u64)(*s - '0')
                  : *s >= 'a' && *s <= 'f' ? (u64)(*s - 'a' + 10)
                  : *s >= 'A' && *s <= 'F' ? (u64)(*s - 'A' + 10) : 99;
        if (digit >= base || __builtin_mul_overflow(v, base, &v)
            || __builtin_add_overflow(v, digit, &v))
            return false;
    }
    *value = v;
    return true;
}
