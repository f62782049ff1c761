//! Threads and what they wait on.

use crate::testing::Guest;

fn passes(source: &str) {
    if let Some(guest) = Guest::c(&format!("#include <pthread.h>\n{source}")) {
        guest.run().prints("");
    }
}

#[test]
fn fifty_threads_hammer_a_mutex_and_pass_a_token() {
    passes(
        r"static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER; static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
        static long n; static int turn;
        static void *work(void *a) { for (int i = 0; i < 2000; i++) { pthread_mutex_lock(&m); n++; pthread_mutex_unlock(&m); }
            for (int i = 0; i < 20; i++) { pthread_mutex_lock(&m); while (turn != (long)a) pthread_cond_wait(&c, &m);
                turn = (turn + 1) % 50; pthread_cond_broadcast(&c); pthread_mutex_unlock(&m); } return a; }
        int main() { pthread_t t[50]; for (long i = 0; i < 50; i++) CHECK(!pthread_create(&t[i], 0, work, (void *)i));
            for (long i = 0; i < 50; i++) { void *r; CHECK(!pthread_join(t[i], &r)); CHECK(r == (void *)i); }
            CHECK(n == 100000 && turn == 0); return 0; }",
    );
}

#[test]
fn a_robust_mutex_passes_on_when_its_owner_dies() {
    passes(
        r"static pthread_mutex_t *m; static void *die(void *a) { pthread_mutex_lock(m); return 0; }
        int main() { m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
            pthread_mutexattr_t a; pthread_mutexattr_init(&a); pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
            pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED); pthread_mutex_init(m, &a);
            pthread_t t; pthread_create(&t, 0, die, 0); pthread_join(t, 0);
            CHECK(pthread_mutex_lock(m) == EOWNERDEAD); CHECK(!pthread_mutex_consistent(m)); pthread_mutex_unlock(m);
            volatile int *locked = (int *)(m + 1);
            pid_t p = fork(); if (!p) { pthread_mutex_lock(m); *locked = 1; usleep(20000); kill(getpid(), SIGKILL); }
            while (!*locked) usleep(100); CHECK(pthread_mutex_lock(m) == EOWNERDEAD); pthread_mutex_consistent(m); pthread_mutex_unlock(m);
            CHECK(waitpid(p, 0, 0) == p); CHECK(!pthread_mutex_lock(m)); return 0; }",
    );
}

#[test]
fn a_priority_inheriting_mutex_is_handed_over() {
    passes(
        r"static pthread_mutex_t m; static int n;
        static void *work(void *a) { for (int i = 0; i < 200; i++) { pthread_mutex_lock(&m); int o = n; if (i % 10 == 0) sched_yield(); n = o + 1; pthread_mutex_unlock(&m); } return 0; }
        int main() { pthread_mutexattr_t a; pthread_mutexattr_init(&a); pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT);
            CHECK(!pthread_mutex_init(&m, &a)); pthread_t t[4]; pthread_mutex_lock(&m);
            for (int i = 0; i < 4; i++) pthread_create(&t[i], 0, work, 0); usleep(2000); pthread_mutex_unlock(&m);
            for (int i = 0; i < 4; i++) pthread_join(t[i], 0); CHECK(n == 800); return 0; }",
    );
}

#[test]
fn futexes_by_the_book() {
    passes(
        r"#include <linux/futex.h>
        #include <time.h>
        static int w = 5, v; static volatile int ready; static long fx(int *a, int op, int val, void *t, int *b, int c) { return syscall(SYS_futex, a, op, val, t, b, c); }
        static void *wait1(void *bits) { __atomic_fetch_add(&ready, 1, 5); return (void *)fx(&w, FUTEX_WAIT_BITSET | 128, 5, 0, 0, (long)bits); }
        int main() { struct timespec t = {0, 5000000}, now;
            FAILS(fx(&w, FUTEX_WAIT, 4, 0, 0, 0), EAGAIN); FAILS(fx(&w, FUTEX_WAIT, 5, &t, 0, 0), ETIMEDOUT);
            FAILS(fx((int *)((char *)&w + 1), FUTEX_WAIT, 5, &t, 0, 0), EINVAL); FAILS(fx((int *)8, FUTEX_WAIT, 5, &t, 0, 0), EFAULT);
            FAILS(fx(&w, FUTEX_WAIT_BITSET, 5, &t, 0, 0), EINVAL); FAILS(fx(&w, 77, 0, 0, 0, 0), ENOSYS);
            clock_gettime(CLOCK_REALTIME, &now); FAILS(fx(&w, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 5, &now, 0, -1), ETIMEDOUT);
            t.tv_nsec = 2000000000; FAILS(fx(&w, FUTEX_WAIT, 5, &t, 0, 0), EINVAL);
            CHECK(fx(&w, FUTEX_WAKE, 1, 0, 0, 0) == 0); pthread_t a, b, c;
            pthread_create(&a, 0, wait1, (void *)1); pthread_create(&b, 0, wait1, (void *)2); pthread_create(&c, 0, wait1, (void *)2); while (ready < 3) usleep(100); usleep(20000);
            CHECK(fx(&w, FUTEX_WAKE_BITSET | 128, 9, 0, 0, 4) == 0); CHECK(fx(&w, FUTEX_WAKE_BITSET | 128, 9, 0, 0, 1) == 1); pthread_join(a, 0);
            FAILS(fx(&w, FUTEX_CMP_REQUEUE | 128, 1, (void *)1, &v, 4), EAGAIN);
            CHECK(fx(&w, FUTEX_CMP_REQUEUE | 128, 1, (void *)1, &v, 5) == 2);
            CHECK(fx(&w, FUTEX_WAKE | 128, 9, 0, 0, 0) == 0); CHECK(fx(&v, FUTEX_WAKE | 128, 9, 0, 0, 0) == 1);
            pthread_join(b, 0); pthread_join(c, 0);
            v = 7; CHECK(fx(&w, FUTEX_WAKE_OP | 128, 1, (void *)1, &v, FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 7)) == 0 && v == 10); return 0; }",
    );
}

#[test]
fn a_futex_in_shared_memory_is_one_for_both_processes() {
    passes(
        r"#include <semaphore.h>
        int main() { sem_t *s = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
            sem_init(s, 1, 0); sem_init(s + 1, 1, 0); pid_t p = fork();
            if (!p) { for (int i = 0; i < 300; i++) { sem_wait(s); sem_post(s + 1); } _exit(0); }
            for (int i = 0; i < 300; i++) { sem_post(s); sem_wait(s + 1); } int st; waitpid(p, &st, 0); CHECK(st == 0); return 0; }",
    );
}

#[test]
fn a_thread_that_execs_becomes_the_process() {
    passes(
        r"static int pid; static void *run(void *a) { char *v[] = {(char *)a, (char *)0}; char b[16], e[32]; sprintf(e, `P=%d`, pid);
            char *env[] = {e, 0}; CHECK(gettid() != pid); execve(`/proc/self/exe`, v, env); CHECK(0); }
        static void *spin(void *a) { for (;;) usleep(1000); }
        int main(int n, char **v) { pid = getpid(); if (getenv(`P`)) { CHECK(atoi(getenv(`P`)) == pid && gettid() == pid); return 0; }
            pthread_t t; pthread_create(&t, 0, spin, 0); pthread_create(&t, 0, run, `again`); for (;;) pause(); }"
            .replace('`', "\"")
            .as_str(),
    );
}

#[test]
fn the_first_thread_may_end_before_others() {
    let source = r"#include <pthread.h>
        static void *later(void *a) { usleep(3000); exit(5); }
        int main() { pthread_t t; pthread_create(&t, 0, later, 0); pthread_exit(0); }";
    if let Some(guest) = Guest::c(source) {
        guest.run().exits(5);
    }
}

#[test]
fn threads_that_compute_leave_turns_to_those_that_wake() {
    passes(
        r"#include <time.h>
        static volatile int stop; static void *spin(void *a) { while (!stop) ; return 0; }
        int main() { pthread_t t[3]; for (int i = 0; i < 3; i++) pthread_create(&t[i], 0, spin, 0);
            double s = 9; for (int tries = 0; s > 2 && tries < 9; tries++) { /* The host may be busy. */
                struct timespec a, b; clock_gettime(CLOCK_MONOTONIC, &a);
                for (int i = 0; i < 20; i++) usleep(1000);
                clock_gettime(CLOCK_MONOTONIC, &b); s = b.tv_sec - a.tv_sec + (b.tv_nsec - a.tv_nsec) * 1e-9; }
            stop = 1; for (int i = 0; i < 3; i++) pthread_join(t[i], 0);
            /* Behind three full turns each time it would be far more. */
            CHECK(s < 2.0); return 0; }",
    );
}
