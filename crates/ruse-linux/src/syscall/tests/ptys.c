// Pseudoterminals: job control, line discipline, hanging up.
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

static volatile int interrupts;

static void interrupted(int signal) { interrupts++; }

int main(void) {
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    CHECK(master >= 0);
    int slave_number = -1;
    CHECK(ioctl(master, TIOCGPTN, &slave_number) == 0 && slave_number == 0);
    FAILS(open("/dev/pts/0", O_RDWR), EIO); // locked
    CHECK(grantpt(master) == 0 && unlockpt(master) == 0);
    CHECK(strcmp(ptsname(master), "/dev/pts/0") == 0);
    struct winsize size = {33, 44};
    CHECK(ioctl(master, TIOCSWINSZ, &size) == 0);
    int to_parent[2];
    CHECK(pipe(to_parent) == 0);
    pid_t child = fork();
    if (child == 0) {
        close(master);
        close(to_parent[0]);
        CHECK(setsid() == getpid());
        FAILS(open("/dev/tty", O_RDWR), ENXIO);
        int slave = open("/dev/pts/0", O_RDWR); // becomes its terminal
        CHECK(slave >= 0 && isatty(slave));
        CHECK(strcmp(ttyname(slave), "/dev/pts/0") == 0);
        CHECK(tcgetpgrp(slave) == getpgrp() && tcgetsid(slave) == getsid(0));
        int tty = open("/dev/tty", O_RDWR);
        CHECK(tty >= 0);
        close(tty);
        struct sigaction action = {.sa_handler = interrupted};
        sigaction(SIGINT, &action, 0);
        sigaction(SIGHUP, &action, 0);
        struct winsize size;
        CHECK(ioctl(slave, TIOCGWINSZ, &size) == 0 && size.ws_row == 33);
        CHECK(write(to_parent[1], "r", 1) == 1);
        char line[64];
        CHECK(read(slave, line, sizeof line) == 4 && memcmp(line, "abd\n", 4) == 0);
        CHECK(write(slave, "ok\n", 3) == 3);
        FAILS(read(slave, line, sizeof line), EINTR); // Ctrl-C
        CHECK(interrupts == 1);
        // A background child that reads is stopped.
        pid_t background = fork();
        if (background == 0) {
            setpgid(0, 0);
            read(slave, line, 1);
            _exit(0);
        }
        setpgid(background, background);
        int status;
        CHECK(waitpid(background, &status, WUNTRACED) == background);
        CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTTIN);
        kill(background, SIGKILL);
        waitpid(background, &status, 0);
        struct termios raw;
        CHECK(tcgetattr(slave, &raw) == 0);
        cfmakeraw(&raw);
        raw.c_cc[VMIN] = 0;
        raw.c_cc[VTIME] = 1;
        CHECK(tcsetattr(slave, TCSANOW, &raw) == 0);
        CHECK(read(slave, line, 1) == 0); // a tenth of a second
        CHECK(write(to_parent[1], "w", 1) == 1);
        interrupts = 0;
        while (!interrupts)
            usleep(1000);
        CHECK(read(slave, line, 1) == 0);
        FAILS(write(slave, "x", 1), EIO);
        _exit(0);
    }
    close(to_parent[1]);
    char c, text[64];
    CHECK(read(to_parent[0], &c, 1) == 1);
    CHECK(write(master, "abc\x7f" "d\n", 6) == 6);
    int len = 0;
    while (len < 64 && !memmem(text, len, "ok\r\n", 4)) {
        int got = read(master, text + len, sizeof text - len);
        CHECK(got > 0);
        len += got;
    }
    CHECK(memmem(text, len, "abc\b \bd\r\n", 9) != 0);
    usleep(20000);
    CHECK(write(master, "\x03", 1) == 1);
    CHECK(read(to_parent[0], &c, 1) == 1 && c == 'w');
    close(master);
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    FAILS(open("/dev/pts/0", O_RDWR), ENOENT);
    return 0;
}
