// signalfd: signals are read, polled, and woken by.
#include <poll.h>
#include <sys/signalfd.h>

int main(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, 0);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    CHECK(fd >= 0);
    struct signalfd_siginfo info;
    FAILS(read(fd, &info, sizeof info), EAGAIN);
    FAILS(read(fd, &info, sizeof info - 1), EINVAL);
    struct pollfd poll_fd = {fd, POLLIN};
    CHECK(poll(&poll_fd, 1, 0) == 0);
    kill(getpid(), SIGUSR1);
    CHECK(poll(&poll_fd, 1, -1) == 1);
    CHECK(read(fd, &info, sizeof info) == sizeof info);
    CHECK(info.ssi_signo == SIGUSR1 && info.ssi_pid == getpid());
    pid_t child = fork();
    if (child == 0) {
        usleep(10000);
        _exit(7);
    }
    CHECK(poll(&poll_fd, 1, 5000) == 1);
    CHECK(read(fd, &info, sizeof info) == sizeof info);
    CHECK(info.ssi_signo == SIGCHLD && info.ssi_pid == child && info.ssi_status == 7);
    int pipe_fds[2];
    CHECK(pipe(pipe_fds) == 0);
    FAILS(signalfd(pipe_fds[0], &set, 0), EINVAL);
    FAILS(syscall(74, -1, &set, 4, 0), EINVAL);
    return 0;
}
