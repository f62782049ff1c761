//! Clocks and timers.

use std::time::{Duration, Instant};

use crate::testing::Guest;

const PRELUDE: &str = r"
#include <time.h>
#include <sys/time.h>
#include <sys/times.h>
static volatile int got; static siginfo_t last; static void note(int s, siginfo_t *i, void *u) { got++; last = *i; }
static void on(int s) { struct sigaction a = {0}; a.sa_sigaction = note; a.sa_flags = SA_SIGINFO; sigaction(s, &a, 0); }
static double at(int c) { struct timespec t; CHECK(!clock_gettime(c, &t)); return t.tv_sec + t.tv_nsec * 1e-9; }
";

fn passes(body: &str) {
    if let Some(guest) = Guest::c(&format!("{PRELUDE}\nint main() {{ {body} return 0; }}")) {
        guest.run().prints("");
    }
}

#[test]
fn clocks_go_on_and_sleeps_last() {
    passes(
        r"double a = at(CLOCK_MONOTONIC), r = at(CLOCK_REALTIME); CHECK(r > 1.6e9); usleep(20000); double b = at(CLOCK_MONOTONIC);
        CHECK(b - a >= 0.02 && at(CLOCK_REALTIME) - r >= 0.019); CHECK(at(CLOCK_BOOTTIME) >= b);
        struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); t.tv_nsec += 20000000; if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
        a = at(CLOCK_MONOTONIC); CHECK(!clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, 0)); CHECK(at(CLOCK_MONOTONIC) - a >= 0.019);
        t.tv_nsec = -1; FAILS(nanosleep(&t, 0), EINVAL); struct timespec x; FAILS(clock_gettime(77, &x), EINVAL); FAILS(clock_settime(CLOCK_REALTIME, &x), EPERM);
        clockid_t c; CHECK(!clock_getcpuclockid(0, &c)); double p = at(c); volatile long n = 0; while (at(c) - p < 0.01) n++; CHECK(at(CLOCK_PROCESS_CPUTIME_ID) >= 0.01);
        struct tms m; CHECK(times(&m) != -1 && m.tms_utime >= 1); struct rusage u; CHECK(!getrusage(RUSAGE_SELF, &u) && u.ru_utime.tv_usec + u.ru_utime.tv_sec > 0);",
    );
}

#[test]
fn timers_expire_once_again_and_tell_how_often() {
    passes(
        r"on(SIGRTMIN); timer_t t; struct sigevent e = {0}; e.sigev_notify = SIGEV_SIGNAL; e.sigev_signo = SIGRTMIN; e.sigev_value.sival_int = 42;
        CHECK(!timer_create(CLOCK_MONOTONIC, &e, &t)); struct itimerspec s = {{0, 5000000}, {0, 5000000}}, o;
        CHECK(!timer_settime(t, 0, &s, 0)); while (got < 3) pause(); CHECK(last.si_code == SI_TIMER && last.si_value.sival_int == 42);
        sigset_t b, old; sigemptyset(&b); sigaddset(&b, SIGRTMIN); sigprocmask(SIG_BLOCK, &b, &old); usleep(60000); int before = got; sigprocmask(SIG_SETMASK, &old, 0);
        CHECK(got >= before + 1 && last.si_overrun >= 0); CHECK(!timer_gettime(t, &o) && o.it_interval.tv_nsec == 5000000);
        s.it_value.tv_nsec = 0; timer_settime(t, 0, &s, 0); before = got; usleep(20000); CHECK(got == before); CHECK(!timer_delete(t)); FAILS(timer_delete(t), EINVAL);
        CHECK(!timer_create(CLOCK_REALTIME, &e, &t)); struct timespec now; clock_gettime(CLOCK_REALTIME, &now); s.it_interval.tv_nsec = 0; s.it_value = now; s.it_value.tv_sec += 100;
        timer_settime(t, TIMER_ABSTIME, &s, 0); timer_gettime(t, &o); CHECK(o.it_value.tv_sec > 50 && o.it_value.tv_sec < 100);",
    );
}

#[test]
fn a_timer_that_nobody_takes_counts_overruns() {
    passes(
        r"on(SIGRTMIN); timer_t t; struct sigevent e = {0}; e.sigev_notify = SIGEV_SIGNAL; e.sigev_signo = SIGRTMIN;
        CHECK(!timer_create(CLOCK_MONOTONIC, &e, &t)); sigset_t b, old; sigemptyset(&b); sigaddset(&b, SIGRTMIN); sigprocmask(SIG_BLOCK, &b, &old);
        struct itimerspec s = {{0, 2000000}, {0, 2000000}}; timer_settime(t, 0, &s, 0); usleep(50000); memset(&s, 0, sizeof s);
        siginfo_t i; CHECK(sigwaitinfo(&b, &i) == SIGRTMIN && i.si_overrun >= 10); CHECK(timer_getoverrun(t) == i.si_overrun);",
    );
}

#[test]
fn intervals_of_real_and_cpu_time() {
    passes(
        r"on(SIGALRM); on(SIGPROF); struct itimerval s = {{0, 3000}, {0, 3000}}, o; CHECK(!setitimer(ITIMER_REAL, &s, 0)); while (got < 3) pause();
        memset(&s, 0, sizeof s); CHECK(!setitimer(ITIMER_REAL, &s, &o) && o.it_interval.tv_usec == 3000 && (o.it_value.tv_usec || o.it_value.tv_sec));
        CHECK(!getitimer(ITIMER_REAL, &o) && !o.it_value.tv_usec); got = 0; alarm(100); int left = alarm(0); CHECK(left > 50 && left <= 100);
        s.it_value.tv_usec = s.it_interval.tv_usec = 2000; setitimer(ITIMER_PROF, &s, 0); volatile long n = 0; while (got < 3) n++; CHECK(last.si_signo == SIGPROF);
        s.it_value.tv_usec = 1000000; FAILS(setitimer(ITIMER_REAL, &s, 0), EINVAL); FAILS(setitimer(9, &s, 0), EINVAL);",
    );
}

#[test]
fn a_limit_of_cpu_time_ends_a_loop() {
    let source = "int main() { struct rlimit r = {0, 1}; setrlimit(RLIMIT_CPU, &r); signal(SIGXCPU, SIG_IGN); for (;;) ; }";
    if let Some(guest) = Guest::c(source) {
        assert_eq!(guest.run().outcome, crate::Outcome::Killed(9));
    }
}

#[test]
fn who_only_waits_uses_no_time_of_the_host() {
    let source = "#include <pthread.h>\nvoid *w(void *a) { int f[2]; pipe(f); read(f[0], f, 1); return 0; }\n\
        int main() { pthread_t t; pthread_create(&t, 0, w, 0); if (!fork()) for (;;) pause(); usleep(1000000); return 0; }";
    if let Some(guest) = Guest::c(source) {
        let start = Instant::now();
        let before = cpu();
        guest.run().exits(0);
        assert!(start.elapsed() >= Duration::from_secs(1));
        if let (Some(before), Some(after)) = (before, cpu()) {
            let used = after - before;
            assert!(used < Duration::from_millis(500), "{used:?}");
        }
    }
}

/// CPU time of this thread.
fn cpu() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanos = stat.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}
