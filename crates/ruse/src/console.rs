//! The guest's console on standard input and output.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::OnceLock;

use ruse_machine::{ConsoleOut, Handle};

use crate::escape::{Action, Escape};
use crate::terminal;

/// The machine that prints, for when nobody reads it any more.
static MACHINE: OnceLock<Handle> = OnceLock::new();

const HELP: &str = "\r
Ctrl-A X  leave: switches the machine off as by pulling the plug\r
Ctrl-A B  sends a break, which Linux takes for SysRq\r
Ctrl-A A  sends Ctrl-A to the guest\r
Ctrl-A H  shows this\r
";

/// Names the machine whose guest prints to [`Stdout`].
pub fn connect(handle: &Handle) {
    // Only ever one machine a process.
    let _ = MACHINE.set(handle.clone());
}

/// Standard output as the guest's console. The machine collects what is
/// printed and passes it on whenever the guest pauses, so that it is written
/// through at once here.
#[derive(Default)]
pub struct Stdout {
    translate: Newlines,
    closed: bool,
}

impl Stdout {
    /// Whether nobody reads it any more.
    pub fn is_closed(&self) -> bool {
        self.closed
    }
}

impl ConsoleOut for Stdout {
    fn write(&mut self, bytes: &[u8]) {
        if self.closed {
            return;
        }
        let mut out = io::stdout().lock();
        let result = if terminal::is_raw() {
            out.write_all(&self.translate.apply(bytes))
        } else {
            out.write_all(bytes)
        };
        if let Err(error) = result.and_then(|()| out.flush()) {
            self.closed = true;
            // A reader that has seen enough is no error.
            if error.kind() != ErrorKind::BrokenPipe {
                log::error!("cannot write to standard output: {error}");
            }
            if let Some(machine) = MACHINE.get() {
                machine.stop();
            }
        }
    }
}

/// Line feeds for a raw terminal, which takes them literally: "\n" without a
/// "\r" before it becomes "\r\n".
#[derive(Default)]
struct Newlines {
    after_return: bool,
}

impl Newlines {
    fn apply(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len() + 16);
        for &byte in bytes {
            if byte == b'\n' && !self.after_return {
                out.push(b'\r');
            }
            self.after_return = byte == b'\r';
            out.push(byte);
        }
        out
    }
}

/// Starts to pass standard input on to the guest. `keys` tells whether the
/// escape key is for us; a pipe's bytes are all for the guest.
pub fn read_stdin(handle: Handle, keys: bool) {
    std::thread::spawn(move || {
        let mut escape = Escape::default();
        let mut bytes = [0; 4096];
        loop {
            let len = match io::stdin().lock().read(&mut bytes) {
                Ok(0) => break,
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    log::warn!("cannot read standard input: {error}");
                    break;
                }
            };
            let actions = match keys {
                true => escape.parse(&bytes[..len]),
                false => vec![Action::Send(bytes[..len].to_vec())],
            };
            for action in actions {
                match action {
                    Action::Send(bytes) => {
                        if !handle.send(&bytes) {
                            return;
                        }
                    }
                    Action::Break => handle.send_break(),
                    Action::Quit => handle.stop(),
                    Action::Help => eprint!("{HELP}"),
                }
            }
        }
        handle.close_input();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_feed_alone_gets_its_return() {
        let mut newlines = Newlines::default();
        assert_eq!(newlines.apply(b"a\nb\r\nc\r"), b"a\r\nb\r\nc\r");
        assert_eq!(newlines.apply(b"\n\n"), b"\n\r\n");
    }
}
