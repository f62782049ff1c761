//! Terminal settings: `struct termios` and `termios2` of asm-generic
//! (`include/uapi/asm-generic/termbits.h`).

// Input modes.
pub(crate) const IGNBRK: u32 = 0o1;
pub(crate) const BRKINT: u32 = 0o2;
pub(crate) const IGNPAR: u32 = 0o4;
pub(crate) const PARMRK: u32 = 0o10;
pub(crate) const INPCK: u32 = 0o20;
pub(crate) const ISTRIP: u32 = 0o40;
pub(crate) const INLCR: u32 = 0o100;
pub(crate) const IGNCR: u32 = 0o200;
pub(crate) const ICRNL: u32 = 0o400;
pub(crate) const IXON: u32 = 0x400;
pub(crate) const IXANY: u32 = 0x800;
pub(crate) const IXOFF: u32 = 0x1000;
pub(crate) const IMAXBEL: u32 = 0x2000;
pub(crate) const IUTF8: u32 = 0x4000;
// Output modes.
pub(crate) const OPOST: u32 = 0o1;
pub(crate) const ONLCR: u32 = 0o4;
pub(crate) const OCRNL: u32 = 0o10;
pub(crate) const ONOCR: u32 = 0o20;
pub(crate) const ONLRET: u32 = 0o40;
pub(crate) const TABDLY: u32 = 0x1800;
pub(crate) const XTABS: u32 = 0x1800;
// Control modes: 8 bits, reading, 38400 baud.
const CONTROL: u32 = 0o60 | 0o200 | 0o17;
const CBAUD: u32 = 0x100f;
const BOTHER: u32 = 0x1000;
// Local modes.
pub(crate) const ISIG: u32 = 0o1;
pub(crate) const ICANON: u32 = 0o2;
pub(crate) const ECHO: u32 = 0o10;
pub(crate) const ECHOE: u32 = 0o20;
pub(crate) const ECHOK: u32 = 0o40;
pub(crate) const ECHONL: u32 = 0o100;
pub(crate) const NOFLSH: u32 = 0o200;
pub(crate) const TOSTOP: u32 = 0o400;
pub(crate) const ECHOCTL: u32 = 0o1000;
pub(crate) const ECHOKE: u32 = 0o4000;
pub(crate) const IEXTEN: u32 = 0o100000;
// Special characters.
pub(crate) const VINTR: usize = 0;
pub(crate) const VQUIT: usize = 1;
pub(crate) const VERASE: usize = 2;
pub(crate) const VKILL: usize = 3;
pub(crate) const VEOF: usize = 4;
pub(crate) const VTIME: usize = 5;
pub(crate) const VMIN: usize = 6;
pub(crate) const VSTART: usize = 8;
pub(crate) const VSTOP: usize = 9;
pub(crate) const VSUSP: usize = 10;
pub(crate) const VEOL: usize = 11;
pub(crate) const VREPRINT: usize = 12;
pub(crate) const VDISCARD: usize = 13;
pub(crate) const VWERASE: usize = 14;
pub(crate) const VLNEXT: usize = 15;
pub(crate) const VEOL2: usize = 16;

/// A terminal's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Termios {
    pub input: u32,
    pub output: u32,
    pub control: u32,
    pub local: u32,
    pub line: u8,
    pub chars: [u8; 19],
    pub input_speed: u32,
    pub output_speed: u32,
}

impl Default for Termios {
    /// Of a terminal just made (`tty_std_termios`).
    fn default() -> Self {
        let mut chars = [0; 19];
        for (index, char) in [
            (VINTR, 3),
            (VQUIT, 0x1c),
            (VERASE, 0x7f),
            (VKILL, 0x15),
            (VEOF, 4),
            (VMIN, 1),
            (VSTART, 0x11),
            (VSTOP, 0x13),
            (VSUSP, 0x1a),
            (VREPRINT, 0x12),
            (VDISCARD, 0xf),
            (VWERASE, 0x17),
            (VLNEXT, 0x16),
        ] {
            chars[index] = char;
        }
        Self {
            input: ICRNL | IXON,
            output: OPOST | ONLCR,
            control: CONTROL,
            local: ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
            line: 0,
            chars,
            input_speed: 38400,
            output_speed: 38400,
        }
    }
}

impl Termios {
    /// Bytes of `struct termios`.
    pub(crate) const SIZE: usize = 36;
    /// Bytes of `struct termios2`, which goes on with two speeds.
    pub(crate) const SIZE2: usize = 44;

    /// As `struct termios2`, of which `struct termios` is the beginning.
    pub(crate) fn to_bytes(self) -> [u8; Self::SIZE2] {
        let mut out = [0; Self::SIZE2];
        let words = [self.input, self.output, self.control, self.local];
        for (place, word) in out.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        out[16] = self.line;
        out[17..36].copy_from_slice(&self.chars);
        out[36..40].copy_from_slice(&self.input_speed.to_le_bytes());
        out[40..].copy_from_slice(&self.output_speed.to_le_bytes());
        out
    }

    /// Changed to what `struct termios` says, or with `speeds` `struct termios2`.
    pub(crate) fn changed(self, bytes: &[u8; Self::SIZE2], speeds: bool) -> Self {
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let mut new = Self {
            input: word(0),
            output: word(4),
            control: word(8),
            local: word(12),
            line: bytes[16],
            ..self
        };
        new.chars.copy_from_slice(&bytes[17..36]);
        if speeds && new.control & CBAUD == BOTHER {
            (new.input_speed, new.output_speed) = (word(36), word(40));
        } else if let Some(speed) = baud(new.control & CBAUD) {
            (new.input_speed, new.output_speed) = (speed, speed);
        }
        new
    }

    /// Whether any of these local modes is on.
    pub(crate) fn local(&self, modes: u32) -> bool {
        self.local & modes != 0
    }
}

/// The speed that the bits of `c_cflag` name (`B9600`, ...).
fn baud(bits: u32) -> Option<u32> {
    const LOW: [u32; 16] = [
        0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400,
    ];
    const HIGH: [u32; 15] = [
        57600, 115_200, 230_400, 460_800, 500_000, 576_000, 921_600, 1_000_000, 1_152_000,
        1_500_000, 2_000_000, 2_500_000, 3_000_000, 3_500_000, 4_000_000,
    ];
    match bits {
        BOTHER => None,
        _ if bits & BOTHER != 0 => HIGH.get((bits & 15).wrapping_sub(1) as usize).copied(),
        _ => LOW.get(bits as usize).copied(),
    }
}

/// `struct winsize`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WinSize {
    pub rows: u16,
    pub columns: u16,
    pub x_pixels: u16,
    pub y_pixels: u16,
}

impl WinSize {
    pub(crate) fn to_bytes(self) -> [u8; 8] {
        let mut out = [0; 8];
        let fields = [self.rows, self.columns, self.x_pixels, self.y_pixels];
        for (place, field) in out.chunks_exact_mut(2).zip(fields) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        out
    }

    pub(crate) fn from_bytes(bytes: [u8; 8]) -> Self {
        let field = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        Self {
            rows: field(0),
            columns: field(2),
            x_pixels: field(4),
            y_pixels: field(6),
        }
    }
}
