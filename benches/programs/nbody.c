/* Planets under gravity, leapfrog integration: square roots and divisions of
   doubles, arrays of structures. */
#define BENCH_NAME "nbody"
#define BENCH_ITERATIONS 200
#include "bench.h"

#define BODIES 6
#define STEPS 2000

struct body {
    double position[3], velocity[3], mass;
};

static double square_root(double x)
{
    return __builtin_sqrt(x);
}

static double energy(const struct body *bodies)
{
    double sum = 0;

    for (int i = 0; i < BODIES; i++) {
        const struct body *a = &bodies[i];

        for (int k = 0; k < 3; k++)
            sum += 0.5 * a->mass * a->velocity[k] * a->velocity[k];
        for (int j = i + 1; j < BODIES; j++) {
            double square = 0;

            for (int k = 0; k < 3; k++) {
                double d = a->position[k] - bodies[j].position[k];
                square += d * d;
            }
            sum -= a->mass * bodies[j].mass / square_root(square);
        }
    }
    return sum;
}

static NOINLINE void advance(struct body *bodies, double dt)
{
    for (int i = 0; i < BODIES; i++) {
        struct body *a = &bodies[i];

        for (int j = i + 1; j < BODIES; j++) {
            struct body *b = &bodies[j];
            double d[3], square = 0;

            for (int k = 0; k < 3; k++) {
                d[k] = a->position[k] - b->position[k];
                square += d[k] * d[k];
            }
            double pull = dt / (square * square_root(square));
            for (int k = 0; k < 3; k++) {
                a->velocity[k] -= d[k] * b->mass * pull;
                b->velocity[k] += d[k] * a->mass * pull;
            }
        }
    }
    for (int i = 0; i < BODIES; i++)
        for (int k = 0; k < 3; k++)
            bodies[i].position[k] += dt * bodies[i].velocity[k];
}

/* A heavy sun, and planets on nearly circular orbits at doubling distances. */
static void place(struct body *bodies)
{
    memset(bodies, 0, BODIES * sizeof *bodies);
    bodies[0].mass = 40.0;
    for (int i = 1; i < BODIES; i++) {
        double distance = (double)(1 << i), speed = square_root(40.0 / distance);

        bodies[i].mass = 0.001 * i;
        bodies[i].position[i & 1] = distance;
        bodies[i].position[2] = 0.01 * distance;
        bodies[i].velocity[!(i & 1)] = i & 1 ? -speed : speed;
        for (int k = 0; k < 3; k++)
            bodies[0].velocity[k] -= bodies[i].velocity[k] * bodies[i].mass / 40.0;
    }
}

static uint64_t run(uint64_t iterations)
{
    struct body bodies[BODIES];
    uint64_t sum = 0;

    for (uint64_t i = 0; i < iterations; i++) {
        place(bodies);
        double before = energy(bodies);
        for (int step = 0; step < STEPS; step++)
            advance(bodies, 0.001 + 0.000001 * (double)(i % 100));
        double drift = (energy(bodies) - before) / before;
        if (!(drift > -1e-2 && drift < 1e-2))
            abort();
        /* Compilers differ in what they fuse, so the last bits don't count. */
        sum = bench_mix(sum, (uint64_t)(int64_t)(energy(bodies) * 1e7));
    }
    return sum;
}
