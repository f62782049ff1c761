//! Signals: masks, queues, frames, interrupted and restarted calls.

use crate::testing::Guest;

fn passes(source: &str) {
    if let Some(guest) = Guest::c(source) {
        guest.run().prints("");
    }
}

/// Notes what arrived.
const HANDLER: &str = r"
#include <ucontext.h>
#include <sys/time.h>
static volatile int got; static siginfo_t last;
static void note(int s, siginfo_t *i, void *u) { got++; last = *i; }
static void on(int s, int flags) {
    struct sigaction a = {0}; a.sa_sigaction = note; a.sa_flags = SA_SIGINFO | flags;
    CHECK(!sigaction(s, &a, 0)); }
static sigset_t set(int s) { sigset_t x; sigemptyset(&x); if (s) sigaddset(&x, s); return x; }
";

fn with_handler(body: &str) {
    passes(&format!("{HANDLER}\nint main() {{ {body} return 0; }}"));
}

#[test]
fn a_blocked_signal_waits_and_is_delivered_once() {
    with_handler(
        r"on(SIGUSR1, 0); sigset_t s = set(SIGUSR1), old, p;
        CHECK(!sigprocmask(SIG_BLOCK, &s, &old));
        for (int i = 0; i < 3; i++) CHECK(!kill(getpid(), SIGUSR1));
        CHECK(got == 0); sigpending(&p); CHECK(sigismember(&p, SIGUSR1) && !sigismember(&p, SIGUSR2));
        CHECK(!sigprocmask(SIG_SETMASK, &old, 0)); CHECK(got == 1);
        CHECK(last.si_signo == SIGUSR1 && last.si_code == SI_USER && last.si_pid == getpid());
        sigpending(&p); CHECK(!sigismember(&p, SIGUSR1));",
    );
}

#[test]
fn real_time_signals_queue_in_order_with_their_values() {
    with_handler(
        r"on(SIGRTMIN + 1, 0); sigset_t s = set(SIGRTMIN + 1), old; sigprocmask(SIG_BLOCK, &s, &old);
        union sigval v; for (int i = 0; i < 5; i++) { v.sival_int = i; CHECK(!sigqueue(getpid(), SIGRTMIN + 1, v)); }
        siginfo_t i; struct timespec none = {0};
        for (int n = 0; n < 4; n++) { CHECK(sigtimedwait(&s, &i, &none) == SIGRTMIN + 1);
            CHECK(i.si_value.sival_int == n && i.si_code == SI_QUEUE && i.si_pid == getpid()); }
        sigprocmask(SIG_SETMASK, &old, 0); CHECK(got == 1 && last.si_value.sival_int == 4);
        FAILS(sigtimedwait(&s, &i, &none), EAGAIN);
        struct rlimit few = {3, 3}; CHECK(!setrlimit(RLIMIT_SIGPENDING, &few));
        sigprocmask(SIG_BLOCK, &s, 0);
        for (int n = 0; n < 3; n++) CHECK(!sigqueue(getpid(), SIGRTMIN + 1, v));
        FAILS(sigqueue(getpid(), SIGRTMIN + 1, v), EAGAIN);",
    );
}

#[test]
fn a_handler_interrupts_a_call_unless_it_is_to_restart() {
    with_handler(
        r#"int fd[2]; char c; CHECK(!pipe(fd)); struct itimerval often = {{0, 20000}, {0, 20000}}, never = {0};
        on(SIGALRM, 0); setitimer(ITIMER_REAL, &often, 0); FAILS(read(fd[0], &c, 1), EINTR); CHECK(got >= 1);
        setitimer(ITIMER_REAL, &never, 0); got = 0; on(SIGALRM, SA_RESTART); pid_t child = fork();
        if (!child) { usleep(20000); kill(getppid(), SIGALRM); usleep(20000); write(fd[1], "x", 1); _exit(0); }
        CHECK(read(fd[0], &c, 1) == 1 && c == 'x' && got == 1);
        CHECK(waitpid(child, 0, 0) == child);
        setitimer(ITIMER_REAL, &often, 0); struct timespec t = {100, 0}, left = {0};
        FAILS(nanosleep(&t, &left), EINTR); CHECK(got >= 2);
        CHECK(left.tv_sec > 50 && left.tv_sec < 100);"#,
    );
}

#[test]
fn a_stop_does_not_end_a_sleep() {
    with_handler(
        r"for (int s = 0, st = 0; !WIFSTOPPED(st); s = 3 * s + 1) { CHECK(st == 0);
            /* If the sleep was over before it was stopped, a longer one. */
            pid_t child = fork(); if (!child) { struct timespec t = {s, 150000000}; _exit(nanosleep(&t, 0) ? 1 : 0); }
            usleep(10000); kill(child, SIGSTOP); CHECK(waitpid(child, &st, WUNTRACED) == child); if (!WIFSTOPPED(st)) continue;
            int end; kill(child, SIGCONT); CHECK(waitpid(child, &end, 0) == child && end == 0); }",
    );
}

#[test]
fn sigsuspend_has_no_window_between_unblocking_and_waiting() {
    with_handler(
        r"on(SIGUSR1, 0); sigset_t s = set(SIGUSR1), old, now; sigprocmask(SIG_BLOCK, &s, &old);
        pid_t me = getpid(), child = fork();
        if (!child) { for (int i = 0; i < 500; i++) { kill(me, SIGUSR1); char b[2]; if (i % 7 == 0) usleep(1); }
            for (;;) { if (kill(me, SIGUSR1)) _exit(0); usleep(100); } }
        for (int i = 1; i <= 200; i++) { FAILS(sigsuspend(&old), EINTR); CHECK(got == i);
            sigprocmask(SIG_BLOCK, 0, &now); CHECK(sigismember(&now, SIGUSR1)); }
        kill(child, SIGKILL); CHECK(waitpid(child, 0, 0) == child);",
    );
}

#[test]
fn the_alternate_stack_is_used_once_and_its_end_noticed() {
    with_handler(
        r"static char stack[65536]; stack_t s = {0}, now; s.ss_sp = stack; s.ss_size = sizeof stack;
        CHECK(!sigaltstack(&s, 0)); static volatile int where[4]; 
        void handler(int n) { char c; int on = &c >= stack && &c < stack + sizeof stack;
            stack_t t; sigaltstack(0, &t); where[got++] = on + 2 * !!(t.ss_flags & SS_ONSTACK);
            if (got == 1) { FAILS(sigaltstack(&s, 0), EPERM); raise(SIGUSR2); } }
        struct sigaction a = {0}; a.sa_handler = handler; a.sa_flags = SA_ONSTACK;
        sigaction(SIGUSR1, &a, 0); sigaction(SIGUSR2, &a, 0); raise(SIGUSR1);
        CHECK(got == 2 && where[0] == 3 && where[1] == 3);
        a.sa_flags = 0; sigaction(SIGUSR2, &a, 0); got = 2; raise(SIGUSR2); CHECK(where[2] == 0);
        sigaltstack(0, &now); CHECK(now.ss_sp == stack && now.ss_flags == 0);
        s.ss_size = 100; FAILS(sigaltstack(&s, 0), ENOMEM); s.ss_flags = 77; FAILS(sigaltstack(&s, 0), EINVAL);
        s.ss_flags = SS_DISABLE; CHECK(!sigaltstack(&s, 0)); sigaltstack(0, &now); CHECK(now.ss_flags == SS_DISABLE);",
    );
}

#[test]
fn a_stack_overflow_is_caught_on_the_alternate_stack() {
    passes(
        r#"static int deep(volatile char *p) { volatile char b[4096]; b[0] = p[0]; return deep(b) + b[1]; }
        static void caught(int s, siginfo_t *i, void *u) { _exit(s == SIGSEGV && i->si_addr ? 0 : 1); }
        int main() { static char stack[32768]; stack_t s = {0}; s.ss_sp = stack; s.ss_size = sizeof stack;
        sigaltstack(&s, 0); struct sigaction a = {0}; a.sa_sigaction = caught; a.sa_flags = SA_SIGINFO | SA_ONSTACK;
        sigaction(SIGSEGV, &a, 0); char c = 1; return deep(&c); }"#,
    );
}

#[test]
fn the_frame_holds_all_registers_and_changes_to_it_count() {
    with_handler(
        r#"void skip(int s, siginfo_t *i, void *v) { ucontext_t *u = v; got++; last = *i;
            CHECK(u->uc_mcontext.__gregs[REG_PC + 11] == 0x1234); 
            CHECK(u->uc_mcontext.__fpregs.__d.__f[18] == 0x400c000000000000UL);
            u->uc_mcontext.__gregs[REG_PC] += 4; u->uc_mcontext.__gregs[10] = 77;
            u->uc_mcontext.__fpregs.__d.__f[18] = 0x4000000000000000UL; }
        struct sigaction a = {0}; a.sa_sigaction = skip; a.sa_flags = SA_SIGINFO; sigaction(SIGSEGV, &a, 0);
        char *page = mmap(0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); long r; double d;
        double three = 3.5;
        asm volatile(
            "fmv.d fs2, %3\n li a1, 0x1234\n"
            ".option push\n .option norvc\n lw a0, 8(%2)\n .option pop\n mv %0, a0\n fmv.d %1, fs2\n"
            : "=r"(r), "=&f"(d) : "r"(page), "f"(three) : "a0", "a1", "fs2");
        CHECK(r == 77 && d == 2.0 && got == 1 && last.si_addr == page + 8 && last.si_code == SEGV_ACCERR);"#,
    );
}

#[test]
fn handlers_nest_and_reset_and_defer() {
    with_handler(
        r"static volatile int depth, most; void nest(int s) { if (++depth > most) most = depth; if (got++ < 3) raise(s); depth--; }
        struct sigaction a = {0}; a.sa_handler = nest; sigaction(SIGUSR1, &a, 0); raise(SIGUSR1);
        CHECK(most == 1 && got == 4); got = 0; a.sa_flags = SA_NODEFER; sigaction(SIGUSR1, &a, 0); raise(SIGUSR1);
        CHECK(most == 4 && got == 4);
        on(SIGUSR2, SA_RESETHAND); raise(SIGUSR2); struct sigaction now; sigaction(SIGUSR2, 0, &now);
        CHECK(now.sa_handler == SIG_DFL);
        FAILS(sigaction(SIGKILL, &a, 0), EINVAL); FAILS(sigaction(65, &a, 0), EINVAL); FAILS(kill(getpid(), 65), EINVAL);
        signal(SIGUSR1, SIG_IGN); raise(SIGUSR1); sigset_t s = set(SIGUSR1), p; sigprocmask(SIG_BLOCK, &s, 0);
        raise(SIGUSR1); sigpending(&p); CHECK(sigismember(&p, SIGUSR1));
        signal(SIGUSR1, SIG_IGN); sigpending(&p); CHECK(!sigismember(&p, SIGUSR1));",
    );
}

#[test]
fn signals_of_threads_reach_that_thread_and_those_of_the_process_one_that_lets_them() {
    passes(&format!(
        r"{HANDLER}
        #include <pthread.h>
        static volatile int where, stop; static void tell(int s) {{ where = gettid(); got++; }}
        static void *other(void *a) {{ sigset_t s = set(SIGUSR1); pthread_sigmask(SIG_UNBLOCK, &s, 0);
            *(int *)a = gettid(); while (!stop) usleep(200); return 0; }}
        int main() {{ struct sigaction a = {{0}}; a.sa_handler = tell; sigaction(SIGUSR1, &a, 0);
        sigset_t s = set(SIGUSR1); sigprocmask(SIG_BLOCK, &s, 0);
        pthread_t t; static volatile int tid; pthread_create(&t, 0, other, (void *)&tid); while (!tid) usleep(100);
        for (int i = 0; i < 20; i++) {{ where = 0; kill(getpid(), SIGUSR1); while (!where) usleep(50); CHECK(where == tid); }}
        pthread_kill(pthread_self(), SIGUSR1); sigset_t p; sigpending(&p); CHECK(sigismember(&p, SIGUSR1));
        int n; sigwait(&s, &n); CHECK(n == SIGUSR1); stop = 1; pthread_join(t, 0);
        FAILS(syscall(SYS_tgkill, getpid(), tid, 0), ESRCH); FAILS(syscall(SYS_tgkill, -1, 5, 0), EINVAL); return 0; }}"
    ));
}

#[test]
fn preemption_by_signals_disturbs_no_register() {
    passes(
        r"#include <pthread.h>
        static volatile int stop; static volatile long hits;
        static void h(int s, siginfo_t *i, void *u) { __atomic_fetch_add(&hits, 1, 0); volatile double x = 1; for (int k = 0; k < 20; k++) x = x * 1.5 + s; }
        static void *work(void *a) { stack_t ss = {0}; ss.ss_sp = malloc(65536); ss.ss_size = 65536; CHECK(!sigaltstack(&ss, 0));
            unsigned long h0 = 0; double f0 = 0; for (long n = 0; !stop; n++) { unsigned long h = 1469598103934665603UL; double f = 0;
            for (int i = 0; i < 3000; i++) { h = (h ^ i) * 1099511628211UL; f += 1.0 / (1 + i); }
            if (!n) { h0 = h; f0 = f; } CHECK(h == h0 && f == f0); } return 0; }
        int main() { struct sigaction a = {0}; a.sa_sigaction = h; a.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
            sigfillset(&a.sa_mask); sigaction(SIGURG, &a, 0); pthread_t t[3];
            for (long i = 0; i < 3; i++) pthread_create(&t[i], 0, work, 0);
            for (int i = 0; i < 600; i++) { pthread_kill(t[i % 3], SIGURG); if (i % 5 == 0) sched_yield(); }
            stop = 1; for (int i = 0; i < 3; i++) pthread_join(t[i], 0); CHECK(hits > 10); return 0; }",
    );
}

#[test]
fn what_kills_is_the_outcome() {
    use crate::Outcome;
    for (source, signal) in [
        ("int main() { raise(15); return 0; }", 15),
        ("int main() { *(volatile int *)8 = 1; return 0; }", 11),
        ("int main() { asm volatile(\".word 0\"); return 0; }", 4),
        (
            "int main() { sigset_t s; sigfillset(&s); sigprocmask(0, &s, 0); *(volatile int *)8 = 1; return 0; }",
            11,
        ),
        ("int main() { abort(); }", 6),
    ] {
        let Some(guest) = Guest::c(source) else {
            return;
        };
        assert_eq!(guest.run().outcome, Outcome::Killed(signal), "{source}");
    }
}
