/* An interpreter of a small register machine's byte code, running a program of
   nested loops: an indirect jump for each instruction, as every scripting
   language has. */
#define BENCH_NAME "vm"
#define BENCH_ITERATIONS 60
#include "bench.h"

enum operation {
    HALT, LOAD_IMMEDIATE, MOVE, ADD, SUBTRACT, MULTIPLY, REMAINDER, XOR, AND, SHIFT_RIGHT,
    ADD_IMMEDIATE, FETCH, STORE, JUMP, JUMP_IF_ZERO, JUMP_IF_LESS, CALL, RETURN,
};

/* op, a, b, c; a branch goes to the instruction numbered by its last byte. */
struct instruction {
    uint8_t op, a, b, c;
};

/*
 * r1 = sum over n < r15 of the length of n's Collatz sequence, and on the way
 * the greatest common divisor of n and what has been summed, by a subroutine;
 * lengths are kept in memory.
 */
static const struct instruction program[] = {
    /* 0 */ { LOAD_IMMEDIATE, 1, 0, 0 },
    /* 1 */ { LOAD_IMMEDIATE, 2, 0, 1 }, /* n */
    /* 2 */ { LOAD_IMMEDIATE, 9, 0, 1 }, /* the constant 1 */
    /* 3 */ { LOAD_IMMEDIATE, 10, 0, 3 }, /* the constant 3 */
    /* 4 */ { MOVE, 3, 2, 0 }, /* for each n */
    /* 5 */ { LOAD_IMMEDIATE, 4, 0, 0 }, /* length */
    /* 6 */ { SUBTRACT, 5, 3, 9 }, /* while it is not 1 */
    /* 7 */ { JUMP_IF_ZERO, 5, 0, 16 },
    /* 8 */ { ADD_IMMEDIATE, 4, 4, 1 },
    /* 9 */ { AND, 6, 3, 9 },
    /* 10 */ { JUMP_IF_ZERO, 6, 0, 14 },
    /* 11 */ { MULTIPLY, 3, 3, 10 }, /* odd: 3n + 1 */
    /* 12 */ { ADD_IMMEDIATE, 3, 3, 1 },
    /* 13 */ { JUMP, 0, 0, 6 },
    /* 14 */ { SHIFT_RIGHT, 3, 3, 9 }, /* even: n / 2 */
    /* 15 */ { JUMP, 0, 0, 6 },
    /* 16 */ { STORE, 4, 2, 0 },
    /* 17 */ { SHIFT_RIGHT, 7, 2, 9 },
    /* 18 */ { FETCH, 8, 7, 0 },
    /* 19 */ { ADD, 1, 1, 4 },
    /* 20 */ { XOR, 1, 1, 8 },
    /* 21 */ { MOVE, 11, 1, 0 },
    /* 22 */ { MOVE, 12, 2, 0 },
    /* 23 */ { CALL, 0, 0, 28 },
    /* 24 */ { ADD, 1, 1, 11 },
    /* 25 */ { ADD_IMMEDIATE, 2, 2, 1 },
    /* 26 */ { JUMP_IF_LESS, 2, 15, 4 },
    /* 27 */ { HALT, 0, 0, 0 },
    /* 28 */ { JUMP_IF_ZERO, 12, 0, 33 }, /* gcd(r11, r12) into r11 */
    /* 29 */ { REMAINDER, 13, 11, 12 },
    /* 30 */ { MOVE, 11, 12, 0 },
    /* 31 */ { MOVE, 12, 13, 0 },
    /* 32 */ { JUMP, 0, 0, 28 },
    /* 33 */ { RETURN, 0, 0, 0 },
};

static NOINLINE uint64_t interpret(const struct instruction *code, uint64_t limit)
{
    static uint64_t memory[1024];
    uint64_t r[16] = { 0 };
    uint8_t stack[16];
    unsigned pc = 0, depth = 0;

    r[15] = limit;
    for (;;) {
        struct instruction i = code[pc++];

        switch ((enum operation)i.op) {
        case HALT:
            return r[1];
        case LOAD_IMMEDIATE:
            r[i.a & 15] = (uint64_t)i.b << 8 | i.c;
            break;
        case MOVE:
            r[i.a & 15] = r[i.b & 15];
            break;
        case ADD:
            r[i.a & 15] = r[i.b & 15] + r[i.c & 15];
            break;
        case SUBTRACT:
            r[i.a & 15] = r[i.b & 15] - r[i.c & 15];
            break;
        case MULTIPLY:
            r[i.a & 15] = r[i.b & 15] * r[i.c & 15];
            break;
        case REMAINDER:
            r[i.a & 15] = r[i.c & 15] ? r[i.b & 15] % r[i.c & 15] : r[i.b & 15];
            break;
        case XOR:
            r[i.a & 15] = r[i.b & 15] ^ r[i.c & 15];
            break;
        case AND:
            r[i.a & 15] = r[i.b & 15] & r[i.c & 15];
            break;
        case SHIFT_RIGHT:
            r[i.a & 15] = r[i.b & 15] >> (r[i.c & 15] & 63);
            break;
        case ADD_IMMEDIATE:
            r[i.a & 15] = r[i.b & 15] + i.c;
            break;
        case FETCH:
            r[i.a & 15] = memory[r[i.b & 15] & 1023];
            break;
        case STORE:
            memory[r[i.b & 15] & 1023] = r[i.a & 15];
            break;
        case JUMP:
            pc = i.c;
            break;
        case JUMP_IF_ZERO:
            pc = r[i.a & 15] ? pc : i.c;
            break;
        case JUMP_IF_LESS:
            pc = r[i.a & 15] < r[i.b & 15] ? i.c : pc;
            break;
        case CALL:
            stack[depth++ & 15] = (uint8_t)pc;
            pc = i.c;
            break;
        case RETURN:
            pc = stack[--depth & 15];
            break;
        default:
            abort();
        }
    }
}

static uint64_t run(uint64_t iterations)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < iterations; i++)
        sum = bench_mix(sum, interpret(program, 4000 + (i & 7)));
    return sum;
}
