//! The escape key of the terminal: Ctrl-A, then a letter.

/// Ctrl-A.
const ESCAPE: u8 = 0x01;

/// What to do with what was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// These bytes are for the guest.
    Send(Vec<u8>),
    /// Send a break.
    Break,
    /// Leave.
    Quit,
    /// Show what the escape key can do.
    Help,
}

/// Tells keys for the guest from keys for us, byte by byte.
#[derive(Debug, Default)]
pub struct Escape {
    escaped: bool,
}

impl Escape {
    /// What `bytes` ask for, in order.
    pub fn parse(&mut self, bytes: &[u8]) -> Vec<Action> {
        let mut actions = Vec::new();
        let mut send = Vec::new();
        for &byte in bytes {
            if !self.escaped {
                match byte {
                    ESCAPE => self.escaped = true,
                    _ => send.push(byte),
                }
                continue;
            }
            self.escaped = false;
            let action = match byte {
                b'x' | b'X' => Action::Quit,
                b'b' | b'B' => Action::Break,
                b'h' | b'H' | b'?' => Action::Help,
                // Twice, or with the letter: Ctrl-A itself.
                ESCAPE | b'a' | b'A' => {
                    send.push(ESCAPE);
                    continue;
                }
                _ => {
                    send.extend([ESCAPE, byte]);
                    continue;
                }
            };
            if !send.is_empty() {
                actions.push(Action::Send(std::mem::take(&mut send)));
            }
            actions.push(action);
        }
        if !send.is_empty() {
            actions.push(Action::Send(send));
        }
        actions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(bytes: &[u8]) -> Action {
        Action::Send(bytes.to_vec())
    }

    #[test]
    fn the_escape_key_works_across_reads() {
        let mut escape = Escape::default();
        assert_eq!(escape.parse(b"ls\r"), [send(b"ls\r")]);
        assert_eq!(escape.parse(b"a\x01"), [send(b"a")]);
        assert_eq!(escape.parse(b"x"), [Action::Quit]);
        assert_eq!(
            escape.parse(b"\x01hb\x01X"),
            [Action::Help, send(b"b"), Action::Quit]
        );
        assert_eq!(
            escape.parse(b"a\x01bs"),
            [send(b"a"), Action::Break, send(b"s")]
        );
        assert_eq!(escape.parse(b""), []);
    }

    #[test]
    fn the_guest_can_get_every_byte() {
        let mut escape = Escape::default();
        assert_eq!(escape.parse(b"\x01\x01\x01a\x01A"), [send(b"\x01\x01\x01")]);
        assert_eq!(escape.parse(b"\x01e"), [send(b"\x01e")]);
        let others: Vec<u8> = (0..=255).filter(|byte| *byte != ESCAPE).collect();
        assert_eq!(escape.parse(&others), [send(&others)]);
    }
}
