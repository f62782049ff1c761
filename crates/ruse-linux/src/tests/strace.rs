//! What --strace prints.

use crate::testing::Guest;

fn traced(source: &str) -> Option<String> {
    let mut guest = Guest::c(source)?;
    guest.config.strace = true;
    Some(guest.run().err)
}

#[track_caller]
fn holds(text: &str, line: &str) {
    assert!(
        text.lines().any(|l| l.contains(line)),
        "no `{line}` in:\n{text}"
    );
}

#[test]
fn calls_are_shown_with_arguments_and_results() {
    let Some(text) = traced(
        r#"int main() { open("/none", O_RDONLY | O_CLOEXEC); int f[2]; pipe(f); write(f[1], "a\tb\n", 4);
        char b[9]; read(f[0], b, 9); signal(SIGUSR1, SIG_IGN); raise(SIGUSR1); syscall(450, 1, 2); return 4; }"#,
    ) else {
        return;
    };
    for line in [
        "openat(AT_FDCWD, \"/none\", O_RDONLY|O_CLOEXEC) = -1 ENOENT (No such file or directory)",
        "pipe2([3, 4], 0) = 0",
        "write(4, \"a\\tb\\n\", 4) = 4",
        "read(3, \"a\\tb\\n\", 9) = 4",
        "rt_sigaction(SIGUSR1, {sa_handler=SIG_IGN, sa_mask=[USR1], sa_flags=SA_RESTART}, \
         {sa_handler=SIG_DFL, sa_mask=[], sa_flags=0}, 8) = 0",
        "syscall_0x1c2(0x1, 0x2",
        "= -1 ENOSYS (Function not implemented)",
        "exit_group(4) = ?",
        "+++ exited with 4 +++",
    ] {
        holds(&text, line);
    }
    assert!(!text.contains("[pid"), "{text}");
}

#[test]
fn processes_signals_and_unfinished_calls_are_told_apart() {
    let Some(text) = traced(
        r#"static void h(int s) {} int main() { signal(SIGCHLD, h); pid_t p = fork();
        if (!p) { for (volatile int i = 0; i < 1000; i++) ; _exit(3); } int st; wait(&st);
        p = fork(); if (!p) for (;;) pause(); usleep(1000); kill(p, SIGKILL); wait(&st); return 0; }"#,
    ) else {
        return;
    };
    for line in [
        "wait4(-1 <unfinished ...>",
        "<... wait4 resumed>, [{WIFEXITED(s) && WEXITSTATUS(s) == 3}], 0, NULL) = 3",
        "[pid     3] +++ exited with 3 +++",
        "--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=3, si_uid=0, si_status=3,",
        "[pid     4] +++ killed by SIGKILL +++",
    ] {
        holds(&text, line);
    }
}
