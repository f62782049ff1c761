//! Threads, processes, signals and time, by guests compiled from C.

mod processes;
mod signals;
mod strace;
mod threads;
mod timers;
