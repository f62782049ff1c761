//! Pipes, sockets and waiting, as C programs see them.

use crate::testing::Guest;

macro_rules! guests {
    ($( $(#[$doc:meta])* $name:ident = $file:literal; )*) => { $(
        $(#[$doc])*
        #[test]
        fn $name() {
            let Some(guest) = Guest::c(include_str!($file)) else { return };
            guest.run().exits(0);
        }
    )* };
}
guests! {
    pipes = "pipes.c";
    poll_and_select = "polls.c";
    epoll_and_counters = "epolls.c";
    unix_sockets = "unixes.c";
    loopback_network = "inets.c";
    pseudoterminals = "ptys.c";
    signals_as_files = "signalfd.c";
}
