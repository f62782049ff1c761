//! Page-table entries (privileged manual, chapter "Supervisor-Level ISA",
//! "Sv32" to "Sv57", "Svnapot" and "Svpbmt").

use std::fmt;

use super::fields::{self, Field, bits};

/// How addresses are translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// 32-bit virtual addresses, 2 levels.
    Sv32,
    /// 39-bit virtual addresses, 3 levels.
    Sv39,
    /// 48-bit virtual addresses, 4 levels.
    Sv48,
    /// 57-bit virtual addresses, 5 levels.
    Sv57,
}

impl Mode {
    /// What the MODE field of `satp` selects, if it is a translation.
    pub fn of_satp(mode: u64, wide: bool) -> Option<Self> {
        match (mode, wide) {
            (1, false) => Some(Self::Sv32),
            (8, true) => Some(Self::Sv39),
            (9, true) => Some(Self::Sv48),
            (10, true) => Some(Self::Sv57),
            _ => None,
        }
    }

    /// How many levels of page tables there are.
    pub fn levels(self) -> u32 {
        match self {
            Self::Sv32 => 2,
            Self::Sv39 => 3,
            Self::Sv48 => 4,
            Self::Sv57 => 5,
        }
    }

    /// The bits of a page number that one level translates.
    fn step(self) -> u32 {
        if self == Self::Sv32 { 10 } else { 9 }
    }
}

/// A page-table entry, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pte {
    /// Its bits.
    pub value: u64,
    /// Where it is.
    pub mode: Mode,
    /// What it is for the walk.
    pub verdict: String,
    /// Its fields.
    pub fields: Vec<Field>,
}

/// Takes an entry apart that a walk in this mode found at some level; 0 is the
/// last one, whose leaves are pages of 4 KiB.
pub fn pte(value: u64, mode: Mode, level: u32) -> Pte {
    let narrow = mode == Mode::Sv32;
    let value = if narrow { value & 0xffff_ffff } else { value };
    let flag = |name, bit: u32, says: [&str; 2]| {
        Field::of(value, name, bit, bit, says[bits(value, bit, bit) as usize])
    };
    let high = if narrow { 31 } else { 53 };
    let address = bits(value, high, 10) << 12;
    let mut fields = Vec::new();
    if !narrow {
        let kinds = [
            "as the platform says",
            "non-cacheable memory",
            "I/O",
            "reserved",
        ];
        fields.push(flag(
            "N",
            63,
            ["", "one of 16 pages that are one (Svnapot)"],
        ));
        fields.push(Field::of(
            value,
            "PBMT",
            62,
            61,
            kinds[bits(value, 62, 61) as usize],
        ));
        fields.push(Field::of(value, "reserved", 60, 54, ""));
    }
    fields.push(Field::of(
        value,
        "PPN",
        high,
        10,
        format!("physical address {address:#x}"),
    ));
    fields.push(Field::of(value, "RSW", 9, 8, "free for the kernel"));
    fields.push(flag("D", 7, ["not written to yet", "written to"]));
    fields.push(flag("A", 6, ["not used yet", "used"]));
    fields.push(flag(
        "G",
        5,
        ["of one address space", "of all address spaces"],
    ));
    fields.push(flag("U", 4, ["not for U-mode", "for U-mode"]));
    fields.push(flag("X", 3, ["", "may be executed"]));
    fields.push(flag("W", 2, ["", "may be written"]));
    fields.push(flag("R", 1, ["", "may be read"]));
    fields.push(flag(
        "V",
        0,
        ["not valid: the rest is the kernel's", "valid"],
    ));
    Pte {
        value,
        mode,
        verdict: verdict(value, mode, level, address),
        fields,
    }
}

fn verdict(value: u64, mode: Mode, level: u32, address: u64) -> String {
    let (read, write, execute) = (value >> 1 & 1, value >> 2 & 1, value >> 3 & 1);
    if value & 1 == 0 {
        return "a page fault: there is nothing here".into();
    }
    if read == 0 && write == 1 {
        return "a page fault: writable without readable is reserved".into();
    }
    if mode != Mode::Sv32 && bits(value, 60, 54) != 0 {
        return "a page fault: reserved bits are set".into();
    }
    if read + write + execute == 0 {
        let attributes = value >> 4 & 1
            | value >> 6 & 3
            | if mode == Mode::Sv32 {
                0
            } else {
                bits(value, 63, 61)
            };
        if attributes != 0 {
            return "a page fault: U, A, D, PBMT and N are reserved in a pointer".into();
        }
        return match level {
            0 => "a page fault: a pointer at the last level".into(),
            _ => format!(
                "a pointer to the page table of level {} at {address:#x}",
                level - 1
            ),
        };
    }
    let size = 1u64 << (12 + mode.step() * level);
    let napot = mode != Mode::Sv32 && value >> 63 != 0;
    if address & (size - 1) != 0 {
        return format!(
            "a page fault: a page of {} must begin at a multiple of that",
            words(size)
        );
    }
    let letters: String = [(read, 'r'), (write, 'w'), (execute, 'x')]
        .iter()
        .map(|&(set, letter)| if set == 1 { letter } else { '-' })
        .collect();
    match napot {
        true if level != 0 || bits(value, 13, 10) != 8 => {
            "a page fault: N is for 64 KiB at the last level only".into()
        }
        true => format!("a leaf: 64 KiB at {:#x}, {letters}", address & !0xffff),
        false => format!(
            "a leaf: a page of {} at {address:#x}, {letters}",
            words(size)
        ),
    }
}

/// A power of two in the largest unit.
fn words(size: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    for (shift, unit) in units {
        if size >> shift != 0 {
            return format!("{} {unit}", size >> shift);
        }
    }
    format!("{size} bytes")
}

impl fmt::Display for Pte {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:#x} in {:?}: {}\n",
            self.value, self.mode, self.verdict
        )?;
        fields::list(f, &self.fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_those_of_the_walk() {
        for (value, mode, level, verdict) in [
            (0, Mode::Sv39, 2, "a page fault: there is nothing here"),
            (
                0x2004_8c01,
                Mode::Sv39,
                2,
                "a pointer to the page table of level 1 at 0x80123000",
            ),
            (
                0x2004_8c01,
                Mode::Sv39,
                0,
                "a page fault: a pointer at the last level",
            ),
            (
                0x2000_00cf,
                Mode::Sv39,
                1,
                "a leaf: a page of 2 MiB at 0x80000000, rwx",
            ),
            (
                0x2000_00cf,
                Mode::Sv39,
                2,
                "a leaf: a page of 1 GiB at 0x80000000, rwx",
            ),
            (
                0x2004_8ccf,
                Mode::Sv39,
                1,
                "a page fault: a page of 2 MiB must begin at a multiple of that",
            ),
            (
                0x2004_8cc3,
                Mode::Sv48,
                0,
                "a leaf: a page of 4 KiB at 0x80123000, r--",
            ),
            (
                0x2004_8cc5,
                Mode::Sv48,
                0,
                "a page fault: writable without readable is reserved",
            ),
            (
                1 << 54 | 0xcf,
                Mode::Sv57,
                0,
                "a page fault: reserved bits are set",
            ),
            (
                1 << 63 | 0x2000_20c7,
                Mode::Sv39,
                0,
                "a leaf: 64 KiB at 0x80000000, rw-",
            ),
            (
                1 << 63 | 0x2000_10c7,
                Mode::Sv39,
                0,
                "a page fault: N is for 64 KiB at the last level only",
            ),
            (
                0x2000_00cf,
                Mode::Sv32,
                1,
                "a leaf: a page of 4 MiB at 0x80000000, rwx",
            ),
            (
                0x2000_0041,
                Mode::Sv39,
                1,
                "a page fault: U, A, D, PBMT and N are reserved in a pointer",
            ),
        ] {
            assert_eq!(pte(value, mode, level).verdict, verdict, "{value:#x}");
        }
    }
}
