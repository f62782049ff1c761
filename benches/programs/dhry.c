/* What business programs of old did, and much C still does: records copied and
   compared, fixed strings, enumerations, small procedures with pointer
   arguments, an array of two dimensions. */
#define BENCH_NAME "dhry"
#define BENCH_ITERATIONS 120
#define BENCH_ARENA 4096
#include "bench.h"

enum kind { CURRENT, SAVINGS, CREDIT, CLOSED };

struct account {
    struct account *next;
    enum kind kind;
    int number, balance;
    char owner[31];
};

struct ledger {
    int row[20], grid[20][20];
    int posted, refused;
    char grade;
};

static struct ledger ledger;
static struct account *first, *second;

static NOINLINE enum kind promote(enum kind kind, int balance)
{
    switch (kind) {
    case CURRENT:
        return balance > 100 ? SAVINGS : CURRENT;
    case SAVINGS:
        return balance > 1000 ? CREDIT : SAVINGS;
    case CREDIT:
        return balance < 0 ? CLOSED : CREDIT;
    default:
        return CURRENT;
    }
}

static NOINLINE int same_initial(char a, char b)
{
    char held = a;

    if (held != b)
        return 0;
    ledger.grade = held;
    return 1;
}

/* Whether `a` comes after `b`, looked at the way a clerk does: initials first. */
static NOINLINE int after(const char *a, const char *b)
{
    int at = 2, letter = 'A';

    while (at <= 2)
        if (!same_initial(a[at], b[at + 1])) {
            letter = 'B';
            at++;
        }
    if (letter >= 'W' && letter < 'Z')
        at = 7;
    if (letter == 'R')
        return 1;
    if (strcmp(a, b) > 0) {
        ledger.posted = at + 7;
        return 1;
    }
    return 0;
}

static NOINLINE void add_offset(int base, int offset, int *result)
{
    *result = offset + base + 2;
}

static NOINLINE void post(struct ledger *book, int row, int value)
{
    int at = row + 5;

    book->row[at] = value;
    book->row[at + 1] = book->row[at];
    book->row[at + 9] = at;
    for (int i = at; i <= at + 1; i++)
        book->grid[at][i] = at;
    book->grid[at][at - 1]++;
    book->grid[at + 10 > 19 ? 19 : at + 10][at] = book->row[at];
}

static NOINLINE void settle(struct account *account)
{
    struct account *next = account->next;

    *next = *first;
    account->balance += 5;
    next->balance = account->balance;
    next->next = account->next;
    next->kind = promote(account->kind, account->balance);
    if (next->kind == CURRENT) {
        next->number = 6;
        add_offset(next->number, 10, &next->number);
    } else {
        *account = *next;
        account->next = next;
    }
    if (account->balance > 1500)
        account->balance = 0;
}

static NOINLINE int transact(int turn)
{
    static char name[31] = "HOLDER OF ACCOUNT, THE FIRST  ", other[31];
    int a = 2, b = 3, c = 0;

    strcpy(other, "HOLDER OF ACCOUNT, THE SECOND ");
    other[28] = (char)('A' + turn % 26);
    if (!after(name, other))
        ledger.refused++;
    while (a < b) {
        c = 5 * a - b;
        add_offset(a, b, &c);
        a++;
    }
    post(&ledger, a, c + (turn & 7));
    settle(first);
    for (char grade = 'A'; grade <= ledger.grade && grade <= 'D'; grade++)
        if (same_initial(grade, 'C')) {
            strcpy(second->owner, other);
            b = turn;
        }
    b *= a;
    a = b / (c | 1);
    b = 7 * (b - c) - a;
    if (first->kind == CLOSED)
        first->kind = CURRENT;
    return b;
}

static uint64_t run(uint64_t iterations)
{
    uint64_t sum = 0;

    first = bench_alloc(sizeof *first);
    second = bench_alloc(sizeof *second);
    first->next = second;
    first->kind = CURRENT;
    first->balance = 40;
    strcpy(first->owner, "HOLDER OF ACCOUNT, SOMEBODY   ");
    for (uint64_t i = 0; i < iterations; i++) {
        for (int turn = 0; turn < 50000; turn++)
            sum += (uint64_t)(int64_t)transact(turn);
        sum = bench_mix(sum, (uint64_t)(unsigned)first->balance << 8 | (uint64_t)second->kind);
        sum = bench_mix(sum, (uint64_t)(unsigned)ledger.grid[8][7] ^ (unsigned)ledger.refused);
    }
    return sum;
}
