/* Reading a line: echo, backspace, ctrl-U, ctrl-W, ctrl-C and the lines before. */

#include "monitor.h"

#define CTRL(c)     ((c) - 'A' + 1)
#define ESCAPE      27
#define DELETE      127
#define HISTORY     16

static char history[HISTORY][LINE_MAX];
static u32 remembered;              /* lines ever entered */
static bool last_was_return;

static void show(const char *s)
{
    while (*s)
        uart_put(*s++);
}

/* Remove one character, which may be several bytes of UTF-8. */
static int erase(const char *line, int n)
{
    do
        n--;
    while (n > 0 && (line[n] & 0xc0) == 0x80);
    show("\b \b");
    return n;
}

static int erase_all(const char *line, int n)
{
    while (n > 0)
        n = erase(line, n);
    return 0;
}

/* The cursor keys send ESC [ A and so on; returns the final letter. */
static int escape_sequence(void)
{
    int c = uart_wait();
    if (c != '[' && c != 'O')
        return c;
    do
        c = uart_wait();
    while (c >= 0x20 && c < 0x40);
    return c;
}

static void remember(const char *line)
{
    if (!*line || (remembered && same(history[(remembered - 1) % HISTORY], line)))
        return;
    memcpy(history[remembered++ % HISTORY], line, strlen(line) + 1);
}

bool read_line(const char *prompt, char line[LINE_MAX])
{
    int n = 0, c;
    bool too_long = false;
    u32 look = remembered;          /* which line of the history is shown */
    /* A ctrl-C that ended a command has done its work: it must not end a line too. */
    if (uart_cancelled())
        while ((c = uart_get()) >= 0 && c != CTRL('C'))
            ;
    uart_clear_cancel();
    show(prompt);
    for (;;) {
        c = uart_wait();
        bool after_return = last_was_return;
        last_was_return = c == '\r';
        if (c == '\n' && after_return)
            continue;               /* the second half of a CR LF */
        switch (c) {
        case '\r':
        case '\n':
            show("\r\n");
            line[n] = 0;
            if (too_long) {
                print("That line had more than %d bytes. I did nothing with it.\n",
                      LINE_MAX - 1);
                return false;
            }
            remember(line);
            return true;
        case CTRL('C'):
            uart_clear_cancel();
            show("^C\r\n");
            return false;
        case CTRL('H'):
        case DELETE:
            if (n)
                n = erase(line, n);
            break;
        case CTRL('U'):
            n = erase_all(line, n);
            too_long = false;
            break;
        case CTRL('W'):
            while (n && line[n - 1] == ' ')
                n = erase(line, n);
            while (n && line[n - 1] != ' ')
                n = erase(line, n);
            break;
        case ESCAPE:
            c = escape_sequence();
            if (c == CTRL('C')) {
                uart_clear_cancel();
                show("^C\r\n");
                return false;
            }
            if (c == 'A' && look && remembered - look < HISTORY - 1)
                look--;
            else if (c == 'B' && look < remembered)
                look++;
            else
                break;
            erase_all(line, n);
            line[0] = 0;
            if (look < remembered)
                memcpy(line, history[look % HISTORY], LINE_MAX);
            n = strlen(line);
            show(line);
            break;
        case '\t':
            c = ' ';
            /* fall through */
        default:
            if (c < 0x20)
                break;
            if (n == LINE_MAX - 1) {
                too_long = true;
                uart_put('\a');
                break;
            }
            line[n++] = (char)c;
            if ((c & 0xc0) != 0x80 || n > 1)
                uart_put((char)c);
        }
    }
}
