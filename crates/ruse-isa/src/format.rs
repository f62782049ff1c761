//! The notation of the tables: one string per encoding, read at compile time.
//!
//! A pattern lists an encoding's fields from its highest bit to its lowest, separated by blanks, the
//! way the manual draws them:
//!
//! | text | meaning |
//! |---|---|
//! | `0` `1` | a fixed bit |
//! | `-` | a bit that the hart ignores (and that is encoded as 0) |
//! | `rd` `rs1` `rs2` `rs3` | an integer register, 5 bits |
//! | `fd` `fs1` `fs2` `fs3` | a floating-point register, 5 bits |
//! | `base` | `rs1` as the address of a memory operand: printed `imm(rs1)` or `(rs1)` |
//! | `rdpair` `rs2pair` | an even/odd pair of integer registers, of which the even one is encoded |
//! | `zimm` `index` | a number in the place of `rs1` |
//! | `rm` | rounding mode, 3 bits |
//! | `rd/rs1` | one field that is both (compressed instructions) |
//! | `rd'` ... | a 3-bit field for the registers 8 to 15 (compressed instructions) |
//! | `imm[11:5]` | these bits of the immediate, in this order; `\|` separates ranges |
//!
//! The immediate's name tells how it is extended and printed: see [`ImmKind`]. A pattern that does
//! not fill its word is an error of compilation, not of a test.

/// The register file that an operand names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RegClass {
    /// No register: the operand is absent, or is a plain number.
    None,
    /// An integer register.
    X,
    /// A floating-point register.
    F,
}

/// What the immediate of an instruction means.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ImmKind {
    /// There is none.
    None,
    /// `imm`: a sign-extended number, or offset from `base`.
    Signed,
    /// `uimm`: a zero-extended number or offset (compressed instructions only).
    Unsigned,
    /// `shamt`: a shift amount, less than XLEN.
    Shamt,
    /// `target`: a sign-extended offset from the instruction's own address.
    Target,
    /// `upper`: the upper bits of a sign-extended number whose low twelve bits are zero.
    Upper,
    /// `csr`: the number of a control and status register.
    Csr,
    /// `aqrl`: acquire in bit 1, release in bit 0.
    Ordering,
    /// `fence`: `fm` in bits 11 to 8, predecessors in 7 to 4, successors in 3 to 0.
    Fence,
}

impl ImmKind {
    /// Whether the highest bit of the field is a sign.
    pub const fn is_signed(self) -> bool {
        matches!(self, ImmKind::Signed | ImmKind::Target | ImmKind::Upper)
    }
}

/// A register field of an encoding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RegField {
    /// Lowest bit.
    at: u8,
    /// 5, 3 for the compressed registers 8 to 15, or 0 when the encoding lacks the field.
    width: u8,
}

impl RegField {
    const ABSENT: RegField = RegField { at: 0, width: 0 };

    pub(crate) const fn is_present(self) -> bool {
        self.width != 0
    }

    #[inline]
    pub(crate) const fn get(self, word: u32) -> u8 {
        match self.width {
            5 => (word >> self.at & 31) as u8,
            3 => (word >> self.at & 7) as u8 + 8,
            _ => 0,
        }
    }

    /// The field holding `register`; only 5-bit fields are ever encoded.
    pub(crate) const fn put(self, register: u8) -> u32 {
        match self.width {
            5 => (register as u32 & 31) << self.at,
            _ => 0,
        }
    }
}

/// A run of consecutive immediate bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Segment {
    /// Lowest bit in the instruction word.
    word: u8,
    /// Lowest bit in the immediate.
    imm: u8,
    width: u8,
}

/// `c.j` scatters its immediate most: eight runs.
const MAX_SEGMENTS: usize = 8;

/// The immediate of an encoding: where its bits lie and how they extend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ImmField {
    pub(crate) kind: ImmKind,
    /// One more than the highest bit present.
    width: u8,
    len: u8,
    segments: [Segment; MAX_SEGMENTS],
}

impl ImmField {
    #[inline]
    pub(crate) fn get(&self, word: u32) -> i32 {
        let mut value = 0u32;
        for s in &self.segments[..self.len as usize] {
            value |= (word >> s.word & mask_of(s.width)) << s.imm;
        }
        if self.kind.is_signed() {
            let unused = 32 - u32::from(self.width);
            ((value << unused) as i32) >> unused
        } else {
            value as i32
        }
    }

    pub(crate) fn put(&self, value: i32) -> u32 {
        let mut word = 0;
        for s in &self.segments[..self.len as usize] {
            word |= (value as u32 >> s.imm & mask_of(s.width)) << s.word;
        }
        word
    }
}

const fn mask_of(width: u8) -> u32 {
    ((1u64 << width) - 1) as u32
}

/// A parsed encoding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pattern {
    /// The bits that are fixed, and
    pub(crate) mask: u32,
    /// their values.
    pub(crate) bits: u32,
    pub(crate) rd: (RegField, RegClass),
    pub(crate) rs1: (RegField, RegClass),
    pub(crate) rs2: (RegField, RegClass),
    pub(crate) rs3: (RegField, RegClass),
    pub(crate) imm: ImmField,
    pub(crate) uses_rm: bool,
    pub(crate) memory: bool,
    pub(crate) pairs: bool,
}

/// Lowest bit of the rounding-mode field.
pub(crate) const RM_AT: u8 = 12;

impl Pattern {
    /// Reads the notation described at the top of this file. `width` is 32 or 16.
    pub(crate) const fn parse(text: &str, width: u8) -> Pattern {
        let none = (RegField::ABSENT, RegClass::None);
        let mut p = Pattern {
            mask: 0,
            bits: 0,
            rd: none,
            rs1: none,
            rs2: none,
            rs3: none,
            imm: ImmField {
                kind: ImmKind::None,
                width: 0,
                len: 0,
                segments: [Segment {
                    word: 0,
                    imm: 0,
                    width: 0,
                }; MAX_SEGMENTS],
            },
            uses_rm: false,
            memory: false,
            pairs: false,
        };
        let text = text.as_bytes();
        let mut left = width;
        let mut i = 0;
        while i < text.len() {
            match text[i] {
                b' ' => i += 1,
                b'-' => {
                    left -= 1;
                    i += 1;
                }
                b'0' | b'1' => {
                    left -= 1;
                    p.mask |= 1 << left;
                    p.bits |= ((text[i] - b'0') as u32) << left;
                    i += 1;
                }
                _ => {
                    let start = i;
                    while i < text.len() && text[i] != b' ' && text[i] != b'[' {
                        i += 1;
                    }
                    let name = Slice {
                        text,
                        start,
                        end: i,
                    };
                    left = if i < text.len() && text[i] == b'[' {
                        p.set_imm_kind(name);
                        let (end, left) = p.parse_segments(text, i + 1, left);
                        i = end;
                        left
                    } else {
                        p.add_field(name, left)
                    };
                }
            }
        }
        assert!(left == 0, "a pattern must fill its word");
        p
    }

    const fn set_imm_kind(&mut self, name: Slice<'_>) {
        self.imm.kind = if name.is("imm") {
            ImmKind::Signed
        } else if name.is("uimm") {
            ImmKind::Unsigned
        } else if name.is("shamt") {
            ImmKind::Shamt
        } else if name.is("target") {
            ImmKind::Target
        } else if name.is("upper") {
            ImmKind::Upper
        } else if name.is("csr") {
            ImmKind::Csr
        } else if name.is("aqrl") {
            ImmKind::Ordering
        } else if name.is("fence") {
            ImmKind::Fence
        } else {
            panic!("unknown name of an immediate")
        };
    }

    /// Reads `11:5|4]`, whose first character is at `i`; returns the place behind it and the bits left.
    const fn parse_segments(&mut self, text: &[u8], mut i: usize, mut left: u8) -> (usize, u8) {
        loop {
            let (after, high) = number(text, i);
            let (after, low) = if text[after] == b':' {
                number(text, after + 1)
            } else {
                (after, high)
            };
            assert!(high >= low, "ranges run downwards");
            let width = high - low + 1;
            left -= width;
            self.imm.segments[self.imm.len as usize] = Segment {
                word: left,
                imm: low,
                width,
            };
            self.imm.len += 1;
            if high + 1 > self.imm.width {
                self.imm.width = high + 1;
            }
            match text[after] {
                b'|' => i = after + 1,
                b']' => return (after + 1, left),
                _ => panic!("expected | or ]"),
            }
        }
    }

    const fn add_field(&mut self, mut name: Slice<'_>, left: u8) -> u8 {
        if name.is("rm") {
            assert!(left - 3 == RM_AT, "the rounding mode lies in bits 14 to 12");
            self.uses_rm = true;
            return left - 3;
        }
        let width = if name.text[name.end - 1] == b'\'' {
            name.end -= 1;
            3
        } else {
            5
        };
        let at = left - width;
        let field = RegField { at, width };
        let x = (field, RegClass::X);
        let f = (field, RegClass::F);
        if name.is("rd") {
            self.rd = x;
        } else if name.is("rs1") {
            self.rs1 = x;
        } else if name.is("rs2") {
            self.rs2 = x;
        } else if name.is("fd") {
            self.rd = f;
        } else if name.is("fs1") {
            self.rs1 = f;
        } else if name.is("fs2") {
            self.rs2 = f;
        } else if name.is("fs3") {
            self.rs3 = f;
        } else if name.is("base") {
            self.rs1 = x;
            self.memory = true;
        } else if name.is("rdpair") {
            self.rd = x;
            self.pairs = true;
        } else if name.is("rs2pair") {
            self.rs2 = x;
            self.pairs = true;
        } else if name.is("zimm") || name.is("index") {
            self.rs1 = (field, RegClass::None);
        } else if name.is("rd/rs1") {
            self.rd = x;
            self.rs1 = x;
        } else {
            panic!("unknown name of a field")
        }
        at
    }
}

/// A piece of a pattern. (Slicing a `str` is not possible in a `const fn` yet.)
#[derive(Clone, Copy)]
struct Slice<'a> {
    text: &'a [u8],
    start: usize,
    end: usize,
}

impl Slice<'_> {
    const fn is(self, other: &str) -> bool {
        let other = other.as_bytes();
        if self.end - self.start != other.len() {
            return false;
        }
        let mut i = 0;
        while i < other.len() {
            if self.text[self.start + i] != other[i] {
                return false;
            }
            i += 1;
        }
        true
    }
}

/// A decimal number at `i`, and the place behind it.
pub(crate) const fn number(text: &[u8], mut i: usize) -> (usize, u8) {
    let mut value = 0;
    while i < text.len() && text[i].is_ascii_digit() {
        value = value * 10 + (text[i] - b'0');
        i += 1;
    }
    (i, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_yields_mask_bits_and_fields() {
        let p = Pattern::parse("imm[11:5] rs2 base 010 imm[4:0] 0100011", 32);
        assert_eq!((p.mask, p.bits), (0x707f, 0x2023));
        assert_eq!(
            (p.rs1.1, p.rs2.1, p.rd.1),
            (RegClass::X, RegClass::X, RegClass::None)
        );
        assert!(p.memory && !p.uses_rm);
        // sw x5, -4(x6)
        let word = 0xfe53_2e23;
        assert_eq!(
            (p.rs1.0.get(word), p.rs2.0.get(word), p.imm.get(word)),
            (6, 5, -4)
        );
        assert_eq!(
            p.bits | p.rs1.0.put(6) | p.rs2.0.put(5) | p.imm.put(-4),
            word
        );
    }

    #[test]
    fn scattered_bits_are_gathered_and_extended() {
        let p = Pattern::parse("101 target[11|4|9:8|10|6|7|3:1|5] 01", 16);
        assert_eq!(p.mask, 0xe003);
        // c.j of -2 has every immediate bit set but the lowest.
        assert_eq!(p.imm.get(0xbffd), -2);
        assert_eq!(p.imm.put(-2), 0x1ffc);
    }

    #[test]
    fn primed_fields_name_registers_8_to_15() {
        let p = Pattern::parse("100 0 11 rd/rs1' 00 rs2' 01", 16);
        assert_eq!(
            (p.rd.0.get(0x8d05), p.rs1.0.get(0x8d05), p.rs2.0.get(0x8d05)),
            (10, 10, 9)
        );
    }
}
