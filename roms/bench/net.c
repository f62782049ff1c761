// TCP to a peer: this program again, on the host, or beside where there is no way out.
//
// A connection begins with a byte that says what it is for: `e`, bytes come back one by one;
// `s`, after each BURST a byte comes back; `g`, for each byte a BURST comes back.
#include "bench.h"

enum { BURST = 2 * MIB, PIECE = 64 * 1024, ROUNDS = 20 };

static u8 piece[PIECE];
static i64 fd = -1, server;

void interface_up(const char *name, const u8 address[4], u8 ones) {
    i64 socket = sys(SYS_socket, AF_INET, SOCK_DGRAM, 0);
    struct ifreq request = {.room = {0}};
    for (int i = 0; name[i]; i++)
        request.name[i] = name[i];
    if (address) {
        request.address.family = AF_INET;
        for (int i = 0; i < 4; i++)
            request.address.address[i] = address[i];
        sys(SYS_ioctl, socket, SIOCSIFADDR, &request);
    }
    memset(&request.room, 0, sizeof request.room);
    request.flags = IFF_UP;
    sys(SYS_ioctl, socket, SIOCSIFFLAGS, &request);
    if (address) {
        request.flags = 0;
        request.address.family = AF_INET;
        for (int i = 0; i < 4; i++, ones = ones > 8 ? ones - 8 : 0)
            request.address.address[i] = ones >= 8 ? 255 : (u8)(0xff00 >> ones);
        sys(SYS_ioctl, socket, SIOCSIFNETMASK, &request);
    }
    sys(SYS_close, socket);
}

static u16 swapped(u64 port) {
    return (u16)(port >> 8 | port << 8);
}

static void without_delay(i64 socket) {
    int yes = 1;
    sys(SYS_setsockopt, socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

static i64 receive(i64 from) {
    i64 code = 0;
    for (u64 done = 0; done < BURST && !code; done += PIECE)
        code = read_all((int)from, piece, PIECE);
    return code;
}

static i64 send(i64 to) {
    i64 code = 0;
    for (u64 done = 0; done < BURST && !code; done += PIECE)
        code = write_all((int)to, piece, PIECE);
    return code;
}

NORETURN static void answer(int client) {
    u8 kind = 0, byte = 0;
    i64 code = read_all(client, &kind, 1);
    while (!code) {
        code = kind == 's' ? receive(client) : read_all(client, &byte, 1);
        if (!code)
            code = kind == 'g' ? send(client) : write_all(client, &byte, 1);
    }
    leave(0);
}

static i64 listening(u64 *port) {
    struct sockaddr_in address = {.family = AF_INET, .address = {127, 0, 0, 1}};
    u32 len = sizeof address;
    i64 socket = sys(SYS_socket, AF_INET, SOCK_STREAM, 0);
    if (socket < 0 || sys(SYS_bind, socket, &address, len) || sys(SYS_listen, socket, 16) ||
        sys(SYS_getsockname, socket, &address, &len))
        return -1;
    *port = swapped(address.port);
    return socket;
}

NORETURN static void accept_all(i64 socket) {
    for (;;) {
        i64 client = sys(SYS_accept4, socket, 0, 0, 0);
        if (client < 0)
            leave(1);
        if (fork_() == 0) {
            // An end of the server is the end of what it began.
            sys(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
            sys(SYS_close, socket);
            without_delay(client);
            answer((int)client);
        }
        sys(SYS_close, client);
        // Those that have ended.
        while (sys(SYS_wait4, -1, 0, 1, 0) > 0) {
        }
    }
}

void serve(void) {
    u64 port = 0;
    i64 socket = listening(&port);
    if (socket < 0)
        leave(1);
    sys(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
    out("ruse-bench port");
    out_number(port);
    out_end();
    accept_all(socket);
}

// `10.0.2.2:80`, or a server of our own where nobody else can be reached.
static void find_peer(struct sockaddr_in *peer) {
    *peer = (struct sockaddr_in){.family = AF_INET, .address = {127, 0, 0, 1}};
    const char *text = options.peer;
    u64 port = 0;
    if (starts_with(text, "self")) {
        interface_up("lo", 0, 0);
        i64 socket = listening(&port);
        if (socket >= 0)
            server = fork_();
        if (socket < 0 || server < 0)
            fail("cannot listen on the loopback", socket < 0 ? socket : server);
        else if (server == 0)
            accept_all(socket);
        sys(SYS_close, socket);
    } else {
        for (int i = 0; i < 4; i++, text += *text != 0)
            peer->address[i] = (u8)parse(&text);
        port = parse(&text);
    }
    peer->port = swapped(port);
}

static void begin(u8 kind) {
    fd = -1;
    server = 0;
    if (!*options.peer) {
        fail("nobody to talk to", 0);
        return;
    }
    struct sockaddr_in peer;
    find_peer(&peer);
    if (failure)
        return;
    fd = sys(SYS_socket, AF_INET, SOCK_STREAM, 0);
    i64 code = fd < 0 ? fd : sys(SYS_connect, fd, &peer, sizeof peer);
    if (code == 0) {
        without_delay(fd);
        code = write_all((int)fd, &kind, 1);
    }
    if (code)
        fail("cannot connect", code);
}

static void finish(void) {
    if (fd >= 0)
        sys(SYS_close, fd);
    if (server > 0) {
        sys(SYS_kill, server, SIGKILL);
        sys(SYS_wait4, server, 0, 0, 0);
    }
}

static void lost(i64 code) {
    if (code)
        fail("the connection broke", code);
}

static void send_setup(void) {
    begin('s');
}

static u64 send_batch(void) {
    u8 byte;
    i64 code = send(fd);
    lost(code ? code : read_all((int)fd, &byte, 1));
    return BURST;
}

static void receive_setup(void) {
    begin('g');
}

static u64 receive_batch(void) {
    u8 byte = 0;
    i64 code = write_all((int)fd, &byte, 1);
    lost(code ? code : receive(fd));
    return BURST;
}

static void round_setup(void) {
    begin('e');
}

static u64 round_batch(void) {
    u64 sum = 0;
    for (u8 i = 0; i < ROUNDS; i++) {
        u8 byte = i;
        i64 code = write_all((int)fd, &byte, 1);
        lost(code ? code : read_all((int)fd, &byte, 1));
        sum += byte;
    }
    return sum;
}

const struct workload net_send = {.name = "net-send", .ops = BURST / MIB, .setup = send_setup,
                                  .batch = send_batch, .finish = finish};
const struct workload net_receive = {.name = "net-receive", .ops = BURST / MIB,
                                     .setup = receive_setup, .batch = receive_batch,
                                     .finish = finish};
const struct workload net_round = {.name = "net-round", .ops = ROUNDS, .setup = round_setup,
                                   .batch = round_batch, .finish = finish};
