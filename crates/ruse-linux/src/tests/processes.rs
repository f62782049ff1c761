//! Processes: fork, exec, wait, groups, limits.

use crate::testing::Guest;

fn passes(source: &str) {
    if let Some(guest) = Guest::c(&source.replace('`', "\"")) {
        guest.run().prints("");
    }
}

#[test]
fn wait_tells_how_children_ended() {
    passes(
        r"int main() { int st; pid_t p = fork(); if (!p) _exit(300); CHECK(wait(&st) == p && WIFEXITED(st) && WEXITSTATUS(st) == 44);
        p = fork(); if (!p) { for (;;) pause(); } CHECK(waitpid(p, &st, WNOHANG) == 0); kill(p, SIGTERM);
        CHECK(waitpid(p, &st, 0) == p && WIFSIGNALED(st) && WTERMSIG(st) == SIGTERM);
        FAILS(wait(0), ECHILD); FAILS(waitpid(12345, 0, 0), ECHILD); FAILS(waitpid(-1, 0, 0x10), EINVAL);
        p = fork(); if (!p) { raise(SIGSTOP); _exit(9); }
        CHECK(waitpid(p, &st, WUNTRACED) == p && WIFSTOPPED(st) && WSTOPSIG(st) == SIGSTOP); CHECK(waitpid(p, &st, WUNTRACED | WNOHANG) == 0);
        kill(p, SIGCONT); CHECK(waitpid(p, &st, WCONTINUED) == p && WIFCONTINUED(st));
        siginfo_t i; CHECK(!waitid(P_PID, p, &i, WEXITED | WNOWAIT) && i.si_pid == p && i.si_status == 9 && i.si_code == CLD_EXITED);
        CHECK(!waitid(P_ALL, 0, &i, WEXITED) && i.si_pid == p); FAILS(waitid(P_ALL, 0, &i, WEXITED), ECHILD);
        FAILS(waitid(P_ALL, 0, &i, 0), EINVAL); return 0; }",
    );
}

#[test]
fn the_parent_is_told_or_does_not_care() {
    passes(
        r"static volatile int got; static siginfo_t last; static void note(int s, siginfo_t *i, void *u) { got++; last = *i; }
        int main() { struct sigaction a = {0}; a.sa_sigaction = note; a.sa_flags = SA_SIGINFO | SA_RESTART; sigaction(SIGCHLD, &a, 0);
        pid_t p = fork(); if (!p) _exit(5); int st; CHECK(waitpid(p, &st, 0) == p); CHECK(got == 1 && last.si_pid == p && last.si_status == 5 && last.si_code == CLD_EXITED);
        p = fork(); if (!p) for (;;) pause(); kill(p, SIGSTOP); waitpid(p, &st, WUNTRACED); CHECK(got == 2 && last.si_code == CLD_STOPPED && last.si_status == SIGSTOP);
        kill(p, SIGCONT); waitpid(p, &st, WCONTINUED); CHECK(got == 3 && last.si_code == CLD_CONTINUED);
        a.sa_flags |= SA_NOCLDSTOP; sigaction(SIGCHLD, &a, 0); kill(p, SIGSTOP); waitpid(p, &st, WUNTRACED); CHECK(got == 3);
        kill(p, SIGKILL); waitpid(p, &st, 0); CHECK(got == 4 && last.si_code == CLD_KILLED && last.si_status == SIGKILL);
        signal(SIGCHLD, SIG_IGN); p = fork(); if (!p) _exit(0); FAILS(waitpid(p, &st, 0), ECHILD); return 0; }",
    );
}

#[test]
fn orphans_get_another_parent() {
    passes(
        r"#include <sys/prctl.h>
        int main() { int fd[2]; pipe(fd); int me = getpid(); pid_t p = fork();
        if (!p) { if (!fork()) { while (getppid() == getpid() - 1) usleep(100); int pp = getppid(); write(fd[1], &pp, 4); _exit(0); } _exit(0); }
        waitpid(p, 0, 0); int pp; CHECK(read(fd[0], &pp, 4) == 4 && pp == 1); FAILS(wait(0), ECHILD);
        CHECK(!prctl(PR_SET_CHILD_SUBREAPER, 1)); p = fork();
        if (!p) { int was = getpid(); if (!fork()) { while (getppid() == was) usleep(100); _exit(getppid() == me ? 7 : 8); } _exit(0); }
        int st; waitpid(p, 0, 0); CHECK(wait(&st) > 0 && WEXITSTATUS(st) == 7); return 0; }",
    );
}

#[test]
fn groups_and_sessions() {
    passes(
        r"int main() { int me = getpid(), st; CHECK(getpgid(0) == me && getsid(0) == me); FAILS(setsid(), EPERM); FAILS(setpgid(0, 0), EPERM);
        pid_t a = fork(); if (!a) for (;;) pause(); pid_t b = fork(); if (!b) for (;;) pause();
        CHECK(getpgid(a) == me); CHECK(!setpgid(a, a) && !setpgid(b, a)); CHECK(getpgid(b) == a); FAILS(setpgid(b, 9999), EPERM); FAILS(setpgid(9999, 0), ESRCH);
        CHECK(!kill(-a, SIGSTOP)); CHECK(waitpid(-a, &st, WUNTRACED) > 0 && waitpid(-a, &st, WUNTRACED) > 0);
        CHECK(!kill(-a, SIGCONT) && !kill(-a, SIGTERM)); CHECK(waitpid(-a, &st, 0) > 0 && waitpid(-a, &st, 0) > 0); FAILS(kill(-a, 0), ESRCH);
        pid_t c = fork(); if (!c) { CHECK(setsid() == getpid() && getpgid(0) == getpid() && getsid(0) == getpid()); FAILS(setpgid(0, 0), EPERM); _exit(0); }
        waitpid(c, &st, 0); CHECK(st == 0); FAILS(kill(c, 0), ESRCH); FAILS(getpgid(c), ESRCH); return 0; }",
    );
}

#[test]
fn a_stopped_orphaned_group_is_hung_up() {
    passes(
        r"int main() { int fd[2]; pipe(fd); pid_t p = fork();
        if (!p) { pid_t q = fork(); if (!q) { setpgid(0, 0); kill(getpid(), SIGSTOP); for (;;) pause(); }
            int st; waitpid(q, &st, WUNTRACED); CHECK(WIFSTOPPED(st)); _exit(0); }
        close(fd[1]); CHECK(waitpid(p, 0, 0) == p); char c; CHECK(read(fd[0], &c, 1) == 0); return 0; }",
    );
}

#[test]
fn vfork_runs_the_child_first_and_shares_memory() {
    passes(
        r"static volatile int n; int main(int c, char **v) { if (c > 1 && v[1][0] == 'x') return 6;
        pid_t p = vfork(); if (!p) { n = 5; _exit(3); } CHECK(n == 5); int st; CHECK(waitpid(p, &st, 0) == p && WEXITSTATUS(st) == 3);
        p = vfork(); if (!p) { execl(`/proc/self/exe`, `a`, `x`, (char *)0); _exit(1); } CHECK(waitpid(p, &st, 0) == p && WEXITSTATUS(st) == 6); return 0; }",
    );
}

#[test]
fn fork_bombs_are_bounded_and_leave_the_rest_alive() {
    passes(
        r"int main() { int n = 0; static pid_t kids[5000]; while (n < 5000) { pid_t p = fork(); if (p < 0) { CHECK(errno == EAGAIN || errno == ENOMEM); break; }
            if (!p) for (;;) pause(); kids[n++] = p; } CHECK(n > 50 && n < 5000);
        for (int i = 0; i < n; i++) kill(kids[i], SIGKILL); for (int i = 0; i < n; i++) CHECK(waitpid(kids[i], 0, 0) == kids[i]);
        pid_t p = fork(); if (!p) _exit(0); CHECK(waitpid(p, 0, 0) == p); return 0; }",
    );
}

#[test]
fn a_pidfd_is_readable_when_its_process_ended() {
    passes(
        r"#include <poll.h>
        int main() { pid_t p = fork(); if (!p) for (;;) pause(); int fd = syscall(SYS_pidfd_open, p, 0); CHECK(fd >= 0);
        CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC); struct pollfd q = {fd, POLLIN, 0}; CHECK(poll(&q, 1, 0) == 0);
        CHECK(!syscall(SYS_pidfd_send_signal, fd, SIGTERM, 0, 0)); CHECK(poll(&q, 1, 5000) == 1 && q.revents == POLLIN);
        siginfo_t i; CHECK(!waitid(3, fd, &i, WEXITED) && i.si_pid == p && i.si_status == SIGTERM);
        FAILS(syscall(SYS_pidfd_send_signal, fd, 0, 0, 0), ESRCH); FAILS(syscall(SYS_pidfd_open, p, 0), ESRCH); FAILS(syscall(SYS_pidfd_open, -1, 0), EINVAL); return 0; }",
    );
}

#[test]
fn ids_limits_and_names() {
    passes(
        r"#include <sys/prctl.h>
        #include <sys/utsname.h>
        #include <sched.h>
        int main() { struct utsname u; CHECK(!uname(&u) && !strcmp(u.machine, `riscv64`) && !strcmp(u.sysname, `Linux`));
        struct rlimit r; CHECK(!getrlimit(RLIMIT_NOFILE, &r) && r.rlim_cur > 0); r.rlim_cur = 50; CHECK(!setrlimit(RLIMIT_NOFILE, &r)); int d, n = 0;
        while ((d = dup(0)) >= 0) n++; CHECK(errno == EMFILE && d < 0 && n == 47); r.rlim_cur = r.rlim_max + 1; FAILS(setrlimit(RLIMIT_NOFILE, &r), EINVAL); FAILS(getrlimit(99, &r), EINVAL);
        char b[17] = {0}; CHECK(!prctl(PR_SET_NAME, `a long name of a thread`) && !prctl(PR_GET_NAME, b) && !strcmp(b, `a long name of `));
        cpu_set_t s; CHECK(!sched_getaffinity(0, sizeof s, &s) && CPU_COUNT(&s) == 1); CPU_ZERO(&s); CPU_SET(3, &s); FAILS(sched_setaffinity(0, sizeof s, &s), EINVAL);
        CHECK(!setresuid(1000, 1000, 0)); CHECK(geteuid() == 1000); CHECK(!setresuid(-1, 0, -1) && geteuid() == 0); CHECK(!setresuid(7, 7, 7)); FAILS(setuid(0), EPERM); FAILS(setgroups(0, 0), EPERM);
        FAILS(kill(1, 15), EPERM); return 0; }"
            .replace("#include <sched.h>", "#include <sched.h>\n#include <grp.h>")
            .as_str(),
    );
}
