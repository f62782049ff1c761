//! The line discipline between the two sides of a pseudoterminal: editing,
//! echo, signals, flow control, output processing (termios(3), N_TTY).

use std::collections::VecDeque;

use super::pipe::take;
use super::termios::{
    ECHO, ECHOCTL, ECHOE, ECHOK, ECHOKE, ECHONL, ICANON, ICRNL, IEXTEN, IGNCR, IMAXBEL, INLCR,
    ISIG, ISTRIP, IUTF8, IXANY, IXON, NOFLSH, OCRNL, ONLCR, ONLRET, ONOCR, OPOST, TABDLY, Termios,
    VEOF, VEOL, VEOL2, VERASE, VINTR, VKILL, VLNEXT, VQUIT, VREPRINT, VSTART, VSTOP, VSUSP,
    VWERASE, XTABS,
};
use crate::signal::{SIGINT, SIGQUIT, SIGTSTP};

/// The most of a line, and of input that nobody reads.
const INPUT_MAX: usize = 4096;
/// The most output that nobody takes.
const OUTPUT_MAX: usize = 65536;
/// A character that is switched off.
const DISABLED: u8 = 0;

/// The state of a line.
#[derive(Default)]
pub(crate) struct Line {
    pub termios: Termios,
    /// What can be read.
    input: VecDeque<u8>,
    /// In canonical mode: how the input divides into lines. An end-of-file
    /// character ends one without being in it.
    lines: VecDeque<usize>,
    /// The line being edited.
    edit: Vec<u8>,
    /// The next character is taken literally.
    literal: bool,
    /// What goes to the terminal's screen.
    output: VecDeque<u8>,
    column: usize,
    /// By VSTOP or TCOOFF.
    pub stopped: bool,
}

impl Line {
    fn is(&self, c: u8, index: usize) -> bool {
        c != DISABLED && self.termios.chars[index] == c
    }

    /// Whether a read would get something.
    pub(crate) fn readable(&self) -> bool {
        if self.termios.local(ICANON) {
            !self.lines.is_empty()
        } else {
            !self.input.is_empty()
        }
    }

    /// Bytes to read.
    pub(crate) fn input_len(&self) -> usize {
        self.input.len()
    }

    /// Bytes for the screen.
    pub(crate) fn output_len(&self) -> usize {
        self.output.len()
    }

    /// Whether the keyboard's side may write.
    pub(crate) fn accepts_input(&self) -> bool {
        self.input.len() < INPUT_MAX
    }

    /// Whether the program's side may write.
    pub(crate) fn accepts_output(&self) -> bool {
        !self.stopped && self.output.len() < OUTPUT_MAX
    }

    /// New settings. What was typed stays, whatever it is now called.
    pub(crate) fn set_termios(&mut self, new: Termios) {
        let (was, is) = (self.termios.local(ICANON), new.local(ICANON));
        self.termios = new;
        if was && !is {
            self.lines.clear();
            self.input.extend(self.edit.drain(..));
        } else if is && !was && !self.input.is_empty() {
            self.lines.push_back(self.input.len());
        }
        if new.input & IXON == 0 && self.stopped {
            self.stopped = false;
        }
    }

    /// Drops input, and the line being edited.
    pub(crate) fn flush_input(&mut self) {
        self.input.clear();
        self.lines.clear();
        self.edit.clear();
    }

    /// Drops output.
    pub(crate) fn flush_output(&mut self) {
        self.output.clear();
    }

    /// The program reads; `None` if there is nothing yet. A line at a time in
    /// canonical mode; 0 bytes at an end-of-file character.
    pub(crate) fn read(&mut self, out: &mut [u8]) -> Option<usize> {
        if !self.termios.local(ICANON) {
            return (!self.input.is_empty()).then(|| take(&mut self.input, out));
        }
        let line = self.lines.front_mut()?;
        let most = (*line).min(out.len());
        let len = take(&mut self.input, &mut out[..most]);
        *line -= len;
        if *line == 0 {
            self.lines.pop_front();
        }
        Some(len)
    }

    /// The screen takes output.
    pub(crate) fn screen(&mut self, out: &mut [u8]) -> usize {
        take(&mut self.output, out)
    }

    /// The program writes: as much as there is room for.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> usize {
        let mut len = 0;
        for &byte in bytes {
            if !self.accepts_output() {
                break;
            }
            self.put(byte);
            len += 1;
        }
        len
    }

    /// Output processing (`OPOST`).
    fn put(&mut self, byte: u8) {
        let modes = self.termios.output;
        if modes & OPOST == 0 {
            return self.output.push_back(byte);
        }
        match byte {
            b'\n' => {
                if modes & ONLCR != 0 {
                    self.output.push_back(b'\r');
                }
                if modes & (ONLCR | ONLRET) != 0 {
                    self.column = 0;
                }
                self.output.push_back(b'\n');
            }
            b'\r' => {
                if modes & ONOCR != 0 && self.column == 0 {
                    return;
                }
                self.column = 0;
                self.output
                    .push_back(if modes & OCRNL != 0 { b'\n' } else { b'\r' });
            }
            b'\t' => {
                let spaces = 8 - self.column % 8;
                self.column += spaces;
                if modes & TABDLY == XTABS {
                    self.output.extend(std::iter::repeat_n(b' ', spaces));
                } else {
                    self.output.push_back(b'\t');
                }
            }
            8 => {
                self.column = self.column.saturating_sub(1);
                self.output.push_back(byte);
            }
            _ => {
                // Continuation bytes of UTF-8 take no room.
                if byte >= b' ' && (self.termios.input & IUTF8 == 0 || byte & 0xc0 != 0x80) {
                    self.column = self.column.wrapping_add(1);
                }
                self.output.push_back(byte);
            }
        }
    }

    fn echo(&mut self, byte: u8) {
        // A guest that types without looking does not fill memory.
        if self.output.len() > OUTPUT_MAX + INPUT_MAX {
            return;
        }
        let control = byte.is_ascii_control() && byte != b'\t' && byte != b'\n';
        if self.termios.local(ECHOCTL) && control {
            self.put(b'^');
            self.put(byte ^ 0x40);
        } else {
            self.put(byte);
        }
    }

    /// The keyboard types a byte; gives the signal that it raises.
    pub(crate) fn typed(&mut self, byte: u8) -> Option<u32> {
        let modes = self.termios;
        let mut c = byte;
        if modes.input & ISTRIP != 0 {
            c &= 0x7f;
        }
        if self.literal {
            self.literal = false;
            self.insert(c);
            return None;
        }
        if modes.input & IXON != 0 {
            if self.is(c, VSTART) {
                self.stopped = false;
                return None;
            }
            if self.is(c, VSTOP) {
                self.stopped = true;
                return None;
            }
            if modes.input & IXANY != 0 {
                self.stopped = false;
            }
        }
        if modes.local(ISIG)
            && let Some(signal) = self.signal(c)
        {
            self.stopped = false;
            if !modes.local(NOFLSH) {
                self.flush_input();
                self.flush_output();
            }
            if modes.local(ECHO) {
                self.echo(c);
            }
            return Some(signal);
        }
        match c {
            b'\r' if modes.input & IGNCR != 0 => return None,
            b'\r' if modes.input & ICRNL != 0 => c = b'\n',
            b'\n' if modes.input & INLCR != 0 => c = b'\r',
            _ => {}
        }
        if modes.local(ICANON) {
            self.edit(c);
        } else {
            self.insert(c);
        }
        None
    }

    fn signal(&self, c: u8) -> Option<u32> {
        match c {
            _ if self.is(c, VINTR) => Some(SIGINT),
            _ if self.is(c, VQUIT) => Some(SIGQUIT),
            _ if self.is(c, VSUSP) => Some(SIGTSTP),
            _ => None,
        }
    }

    /// An ordinary character.
    fn insert(&mut self, c: u8) {
        let canonical = self.termios.local(ICANON);
        let used = self.input.len() + self.edit.len();
        // One place stays for the end of the line.
        if used >= INPUT_MAX - usize::from(canonical) {
            if self.termios.input & IMAXBEL != 0 {
                self.put(7);
            }
            return;
        }
        if self.termios.local(ECHO) {
            self.echo(c);
        }
        if canonical {
            self.edit.push(c);
        } else {
            self.input.push_back(c);
        }
    }

    /// A character in canonical mode.
    fn edit(&mut self, c: u8) {
        let modes = self.termios;
        let extended = modes.local(IEXTEN);
        if self.is(c, VERASE) {
            self.erase_char();
        } else if self.is(c, VKILL) {
            if modes.local(ECHO)
                && modes.local(ECHOK)
                && !(modes.local(ECHOKE) && modes.local(ECHOE))
            {
                self.edit.clear();
                self.echo(c);
                self.put(b'\n');
            } else {
                while !self.edit.is_empty() {
                    self.erase_char();
                }
            }
        } else if extended && self.is(c, VWERASE) {
            let word = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c >= 0x80;
            while self.edit.last().is_some_and(|&c| !word(c)) {
                self.erase_char();
            }
            while self.edit.last().is_some_and(|&c| word(c)) {
                self.erase_char();
            }
        } else if extended && self.is(c, VLNEXT) {
            self.literal = true;
            if modes.local(ECHO) && modes.local(ECHOCTL) {
                self.put(b'^');
                self.put(8);
            }
        } else if extended && modes.local(ECHO) && self.is(c, VREPRINT) {
            self.echo(c);
            self.put(b'\n');
            for c in self.edit.clone() {
                self.echo(c);
            }
        } else if self.is(c, VEOF) {
            self.finish(None);
        } else if c == b'\n' || self.is(c, VEOL) || (extended && self.is(c, VEOL2)) {
            if modes.local(ECHO) || (c == b'\n' && modes.local(ECHONL)) {
                self.echo(c);
            }
            self.finish(Some(c));
        } else {
            self.insert(c);
        }
    }

    fn finish(&mut self, end: Option<u8>) {
        self.edit.extend(end);
        self.lines.push_back(self.edit.len());
        self.input.extend(self.edit.drain(..));
    }

    /// Takes back the last character, of one byte or in UTF-8, and wipes it
    /// off the screen.
    fn erase_char(&mut self) {
        let Some(mut c) = self.edit.pop() else {
            return;
        };
        if self.termios.input & IUTF8 != 0 {
            while c & 0xc0 == 0x80 {
                match self.edit.pop() {
                    Some(before) => c = before,
                    None => break,
                }
            }
        }
        if !self.termios.local(ECHO) {
            return;
        }
        if !self.termios.local(ECHOE) {
            let erase = self.termios.chars[VERASE];
            return self.echo(erase);
        }
        let width = match c {
            b'\t' => self.tab_width(),
            _ if c.is_ascii_control() && self.termios.local(ECHOCTL) => 2,
            _ if c.is_ascii_control() => 0,
            _ => 1,
        };
        for _ in 0..width {
            self.put(8);
            self.put(b' ');
            self.put(8);
        }
    }

    /// How wide the tab was that just left the end of the line.
    fn tab_width(&self) -> usize {
        let mut columns = 0;
        for &c in self.edit.iter().rev() {
            match c {
                b'\t' => break,
                _ if c.is_ascii_control() => columns += 2,
                _ if self.termios.input & IUTF8 != 0 && c & 0xc0 == 0x80 => {}
                _ => columns += 1,
            }
        }
        8 - columns % 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn type_all(line: &mut Line, text: &[u8]) -> Vec<u32> {
        text.iter().filter_map(|&c| line.typed(c)).collect()
    }

    fn screen(line: &mut Line) -> String {
        let mut out = vec![0; 1 << 17];
        let len = line.screen(&mut out);
        String::from_utf8_lossy(&out[..len]).into_owned()
    }

    fn read(line: &mut Line) -> Option<Vec<u8>> {
        let mut out = [0; 9000];
        line.read(&mut out).map(|len| out[..len].to_vec())
    }

    #[test]
    fn a_line_can_be_edited_and_is_read_at_its_end() {
        let mut line = Line::default();
        type_all(&mut line, b"ab\x7fc");
        assert_eq!(read(&mut line), None);
        type_all(&mut line, b" word\x17d\r");
        assert_eq!(read(&mut line), Some(b"ac d\n".to_vec()));
        assert_eq!(read(&mut line), None);
        assert!(screen(&mut line).starts_with("ab\u{8} \u{8}c word"));
    }

    #[test]
    fn lines_are_read_one_at_a_time_and_in_parts() {
        let mut line = Line::default();
        type_all(&mut line, b"one\rtwo\r\x04");
        let mut two = [0; 2];
        assert_eq!(line.read(&mut two), Some(2));
        assert_eq!(read(&mut line), Some(b"e\n".to_vec()));
        assert_eq!(read(&mut line), Some(b"two\n".to_vec()));
        assert_eq!(read(&mut line), Some(vec![]), "end of file");
        assert_eq!(read(&mut line), None);
    }

    #[test]
    fn signals_flush_and_show_themselves() {
        let mut line = Line::default();
        assert_eq!(type_all(&mut line, b"x\x03y\x1az\x1c"), [2, 20, 3]);
        assert!(!line.readable());
        assert_eq!(screen(&mut line), "^\\");
        line.termios.local &= !ISIG;
        assert_eq!(type_all(&mut line, b"\x03\r"), []);
        assert_eq!(read(&mut line), Some(b"\x03\n".to_vec()));
    }

    #[test]
    fn raw_mode_passes_everything() {
        let mut line = Line::default();
        type_all(&mut line, b"half");
        let mut raw = line.termios;
        raw.local = 0;
        raw.input = 0;
        raw.output = 0;
        line.set_termios(raw);
        assert_eq!(read(&mut line), Some(b"half".to_vec()));
        screen(&mut line);
        assert_eq!(type_all(&mut line, b"\x03\x04\r\x7f"), []);
        assert_eq!(read(&mut line), Some(b"\x03\x04\r\x7f".to_vec()));
        line.write(b"a\nb");
        assert_eq!(screen(&mut line), "a\nb");
    }

    #[test]
    fn output_is_processed_and_suspended() {
        let mut line = Line::default();
        assert_eq!(line.write(b"a\nb\tc"), 5);
        assert_eq!(screen(&mut line), "a\r\nb\tc");
        type_all(&mut line, b"\x13");
        assert_eq!(line.write(b"x"), 0);
        type_all(&mut line, b"\x11");
        assert_eq!(line.write(b"x"), 1);
        line.termios.output |= XTABS;
        screen(&mut line);
        line.write(b"\r\t|");
        assert_eq!(screen(&mut line), "\r        |");
    }

    #[test]
    fn neither_side_fills_memory() {
        let mut line = Line::default();
        type_all(&mut line, &[b'a'; 100_000]);
        assert!(line.edit.len() < INPUT_MAX && line.output.len() < 200_000);
        type_all(&mut line, b"\r");
        assert_eq!(read(&mut line).map(|line| line.len()), Some(INPUT_MAX));
        line.flush_output();
        assert!(line.write(&[b'\n'; 200_000]) < 70_000);
    }

    #[test]
    fn characters_of_many_bytes_are_erased_whole() {
        let mut line = Line::default();
        line.termios.input |= IUTF8;
        type_all(&mut line, "aé漢\x7f\x7f\r".as_bytes());
        assert_eq!(read(&mut line), Some(b"a\n".to_vec()));
    }
}
