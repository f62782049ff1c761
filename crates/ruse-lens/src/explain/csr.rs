//! Control and status registers, field by field (privileged manual, chapters 3,
//! 10 and 12; unprivileged manual, "F" and "Zicsr").

use std::fmt;

use ruse_isa::{Xlen, csr_name};
use thiserror::Error;

use super::fields::{self, Field, bits};
use super::pte::Mode;

/// Why a CSR cannot be explained.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CsrError {
    /// There is none of that name.
    #[error("{0}: no CSR; try a name such as mstatus or a number such as 0x300")]
    Unknown(String),
}

/// A CSR and a value of it, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csr {
    /// Its number.
    pub number: u16,
    /// Its name.
    pub name: &'static str,
    /// The value.
    pub value: u64,
    /// Its fields; none if it is one number.
    pub fields: Vec<Field>,
}

/// The number of the CSR that `text` names or numbers.
///
/// # Errors
/// [`CsrError`] if there is none.
pub fn csr_number(text: &str) -> Result<u16, CsrError> {
    let unknown = || CsrError::Unknown(text.into());
    let number = match text.strip_prefix("0x") {
        Some(digits) => u16::from_str_radix(digits, 16).ok(),
        None => (0..0x1000).find(|&number| csr_name(number) == Some(text)),
    };
    number
        .filter(|&number| csr_name(number).is_some())
        .ok_or_else(unknown)
}

/// The CSRs that have fields to explain.
pub fn known() -> impl Iterator<Item = &'static str> {
    (0..0x1000)
        .filter_map(csr_name)
        .filter(|name| !fields_of(name, 0, Xlen::Rv64).is_empty())
}

/// Takes `value` of the CSR `number` apart, as it is in harts of that width.
///
/// # Errors
/// [`CsrError`] if there is no such CSR.
pub fn csr(number: u16, value: u64, xlen: Xlen) -> Result<Csr, CsrError> {
    let name = csr_name(number).ok_or_else(|| CsrError::Unknown(format!("{number:#x}")))?;
    let value = match xlen {
        Xlen::Rv32 => value & 0xffff_ffff,
        Xlen::Rv64 => value,
    };
    Ok(Csr {
        number,
        name,
        value,
        fields: fields_of(name, value, xlen),
    })
}

impl fmt::Display for Csr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let levels = ["user", "supervisor", "hypervisor", "machine"];
        let level = levels[usize::from(self.number >> 8 & 3)];
        let access = match self.number >> 10 & 3 {
            3 => "read-only",
            _ => "read and write",
        };
        writeln!(
            f,
            "{} ({:#05x}; {level} level, {access}) = {:#x}",
            self.name, self.number, self.value
        )?;
        if self.fields.is_empty() {
            return writeln!(f, "\n  one number, without fields");
        }
        writeln!(f)?;
        fields::list(f, &self.fields)
    }
}

/// A field with a meaning for 0 and one for 1.
fn flag(value: u64, name: &str, bit: u32, says: [&str; 2]) -> Field {
    Field::of(value, name, bit, bit, says[bits(value, bit, bit) as usize])
}

const PRIVILEGES: [&str; 4] = ["U", "S", "reserved", "M"];
const DIRTY: [&str; 4] = ["off", "initial", "clean", "dirty"];
const WIDTHS: [&str; 4] = ["", "32 bits", "64 bits", "128 bits"];
const OFF_ON: [&str; 2] = ["off", "on"];

/// The interrupts that have a number, and their letters.
const INTERRUPTS: [(u32, &str, &str); 7] = [
    (1, "SSI", "supervisor software interrupt"),
    (3, "MSI", "machine software interrupt"),
    (5, "STI", "supervisor timer interrupt"),
    (7, "MTI", "machine timer interrupt"),
    (9, "SEI", "supervisor external interrupt"),
    (11, "MEI", "machine external interrupt"),
    (13, "LCOFI", "counter-overflow interrupt"),
];

/// The exceptions by number.
const EXCEPTIONS: [(u32, &str); 16] = [
    (0, "instruction address misaligned"),
    (1, "instruction access fault"),
    (2, "illegal instruction"),
    (3, "breakpoint"),
    (4, "load address misaligned"),
    (5, "load access fault"),
    (6, "store/AMO address misaligned"),
    (7, "store/AMO access fault"),
    (8, "environment call from U-mode"),
    (9, "environment call from S-mode"),
    (11, "environment call from M-mode"),
    (12, "instruction page fault"),
    (13, "load page fault"),
    (15, "store/AMO page fault"),
    (18, "software check"),
    (19, "hardware error"),
];

/// What an exception with this code is called.
pub fn exception(code: u64) -> String {
    let found = EXCEPTIONS
        .iter()
        .find(|(known, _)| u64::from(*known) == code);
    found.map_or_else(|| format!("exception {code}"), |(_, name)| (*name).into())
}

/// What the interrupt with this number is called.
pub fn interrupt(number: u32) -> String {
    let found = INTERRUPTS.iter().find(|(known, ..)| *known == number);
    found.map_or_else(
        || format!("interrupt {number}"),
        |(.., name)| (*name).into(),
    )
}

fn fields_of(name: &str, v: u64, xlen: Xlen) -> Vec<Field> {
    let wide = xlen == Xlen::Rv64;
    match name {
        "mstatus" | "sstatus" => status(name == "mstatus", v, wide),
        "mstatush" => vec![
            flag(
                v,
                "SBE",
                4,
                ["S-mode data is little-endian", "S-mode data is big-endian"],
            ),
            flag(
                v,
                "MBE",
                5,
                ["M-mode data is little-endian", "M-mode data is big-endian"],
            ),
        ],
        "misa" => misa(v, wide),
        "mie" | "sie" => interrupts(v, "E", name == "mie", OFF_ON),
        "mip" | "sip" => interrupts(v, "P", name == "mip", ["", "pending"]),
        "mideleg" => interrupts(v, "", true, ["M-mode's", "delegated to S-mode"]),
        "medeleg" => EXCEPTIONS
            .iter()
            .map(|&(bit, what)| {
                let mut field = flag(v, "", bit, ["M-mode's", "delegated to S-mode"]);
                field.says = format!("{what}: {}", field.says);
                field
            })
            .collect(),
        "mcause" | "scause" => cause(v, wide),
        "mtvec" | "stvec" => {
            let base = bits(v, if wide { 63 } else { 31 }, 2) << 2;
            let mode = [
                "all traps go there",
                "interrupts go there + 4 * number",
                "reserved",
                "reserved",
            ];
            vec![
                Field::of(
                    v,
                    "BASE",
                    if wide { 63 } else { 31 },
                    2,
                    format!("the handler is at {base:#x}"),
                ),
                Field::of(v, "MODE", 1, 0, mode[(v & 3) as usize]),
            ]
        }
        "satp" => satp(v, wide),
        "fcsr" | "frm" | "fflags" => float(name, v),
        "menvcfg" | "senvcfg" => envcfg(wide && name == "menvcfg", v),
        "mcounteren" | "scounteren" | "mcountinhibit" => {
            let says = match name {
                "mcountinhibit" => ["counts", "stands still"],
                _ => [
                    "a lower privilege may not read it",
                    "a lower privilege may read it",
                ],
            };
            let mut out = vec![
                flag(v, "CY", 0, says),
                flag(v, "TM", 1, says),
                flag(v, "IR", 2, says),
            ];
            out.push(Field::of(
                v,
                "HPM31..3",
                31,
                3,
                "the other counters, a bit each",
            ));
            out
        }
        _ if name.starts_with("pmpcfg") => {
            let count = if wide { 8 } else { 4 };
            (0..count).rev().map(|n| pmp(name, v, n)).collect()
        }
        _ if name.starts_with("pmpaddr") => vec![Field::of(
            v,
            "address",
            if wide { 53 } else { 31 },
            0,
            format!(
                "bits 55:2 of an address: {:#x}; or a power of two by its low ones",
                v << 2
            ),
        )],
        _ => Vec::new(),
    }
}

fn status(machine: bool, v: u64, wide: bool) -> Vec<Field> {
    let pick = |names: [&'static str; 4], high, low| names[bits(v, high, low) as usize];
    let mut out = Vec::new();
    let top = if wide { 63 } else { 31 };
    out.push(flag(
        v,
        "SD",
        top,
        ["FS, VS and XS are not dirty", "FS, VS or XS is dirty"],
    ));
    if wide {
        if machine {
            out.push(flag(
                v,
                "MBE",
                37,
                ["M-mode data is little-endian", "M-mode data is big-endian"],
            ));
            out.push(flag(
                v,
                "SBE",
                36,
                ["S-mode data is little-endian", "S-mode data is big-endian"],
            ));
            out.push(Field::of(
                v,
                "SXL",
                35,
                34,
                format!("S-mode has {}", pick(WIDTHS, 35, 34)),
            ));
        }
        out.push(Field::of(
            v,
            "UXL",
            33,
            32,
            format!("U-mode has {}", pick(WIDTHS, 33, 32)),
        ));
    }
    if machine {
        out.push(flag(
            v,
            "TSR",
            22,
            ["S-mode may SRET", "SRET in S-mode traps"],
        ));
        out.push(flag(
            v,
            "TW",
            21,
            ["WFI waits", "WFI traps unless it ends soon"],
        ));
        out.push(flag(
            v,
            "TVM",
            20,
            ["S-mode may use satp", "satp and SFENCE.VMA in S-mode trap"],
        ));
    }
    out.push(flag(
        v,
        "MXR",
        19,
        [
            "only readable pages can be read",
            "executable pages can be read too",
        ],
    ));
    out.push(flag(
        v,
        "SUM",
        18,
        [
            "S-mode may not touch U-mode's pages",
            "S-mode may touch U-mode's pages",
        ],
    ));
    if machine {
        out.push(flag(
            v,
            "MPRV",
            17,
            ["", "loads and stores have the privilege of MPP"],
        ));
    }
    out.push(Field::of(
        v,
        "XS",
        16,
        15,
        format!("extensions' state: {}", pick(DIRTY, 16, 15)),
    ));
    out.push(Field::of(
        v,
        "FS",
        14,
        13,
        format!("floating-point state: {}", pick(DIRTY, 14, 13)),
    ));
    if machine {
        let says = format!(
            "the last trap to M-mode came from {}",
            pick(PRIVILEGES, 12, 11)
        );
        out.push(Field::of(v, "MPP", 12, 11, says));
    }
    out.push(Field::of(
        v,
        "VS",
        10,
        9,
        format!("vector state: {}", pick(DIRTY, 10, 9)),
    ));
    out.push(flag(
        v,
        "SPP",
        8,
        [
            "the last trap to S-mode came from U",
            "the last trap to S-mode came from S",
        ],
    ));
    if machine {
        out.push(flag(
            v,
            "MPIE",
            7,
            [
                "before it M-mode's interrupts were off",
                "before it M-mode's interrupts were on",
            ],
        ));
    }
    out.push(flag(
        v,
        "UBE",
        6,
        ["U-mode data is little-endian", "U-mode data is big-endian"],
    ));
    out.push(flag(
        v,
        "SPIE",
        5,
        [
            "before it S-mode's interrupts were off",
            "before it S-mode's interrupts were on",
        ],
    ));
    if machine {
        out.push(flag(
            v,
            "MIE",
            3,
            [
                "in M-mode interrupts are off",
                "in M-mode interrupts are on",
            ],
        ));
    }
    out.push(flag(
        v,
        "SIE",
        1,
        [
            "in S-mode interrupts are off",
            "in S-mode interrupts are on",
        ],
    ));
    out
}

fn misa(v: u64, wide: bool) -> Vec<Field> {
    let (high, low) = if wide { (63, 62) } else { (31, 30) };
    let letters: String = (0..26u8)
        .filter(|&n| v >> n & 1 != 0)
        .map(|n| char::from(b'A' + n))
        .collect();
    vec![
        Field::of(v, "MXL", high, low, WIDTHS[bits(v, high, low) as usize]),
        Field::of(v, "Extensions", 25, 0, letters),
    ]
}

fn interrupts(v: u64, suffix: &str, machine: bool, says: [&str; 2]) -> Vec<Field> {
    INTERRUPTS
        .iter()
        .rev()
        .filter(|(_, letters, _)| machine || !letters.starts_with('M'))
        .map(|&(bit, letters, what)| {
            let letters = match suffix {
                "" => letters.to_owned(),
                _ if letters == "LCOFI" => format!("LCOFI{suffix}"),
                _ => format!("{}{suffix}", &letters[..2]),
            };
            let mut field = flag(v, &letters, bit, says);
            field.says = match field.says.is_empty() {
                true => what.into(),
                false => format!("{what}: {}", field.says),
            };
            field
        })
        .collect()
}

fn cause(v: u64, wide: bool) -> Vec<Field> {
    let top = if wide { 63 } else { 31 };
    let code = bits(v, top - 1, 0);
    let interrupt = bits(v, top, top) == 1;
    let found = match interrupt {
        true => INTERRUPTS
            .iter()
            .find(|(number, ..)| u64::from(*number) == code)
            .map(|(.., what)| *what),
        false => EXCEPTIONS
            .iter()
            .find(|(number, _)| u64::from(*number) == code)
            .map(|(_, what)| *what),
    };
    vec![
        flag(v, "Interrupt", top, ["an exception", "an interrupt"]),
        Field::of(
            v,
            "Code",
            top - 1,
            0,
            found.unwrap_or("reserved, or the platform's own"),
        ),
    ]
}

fn satp(v: u64, wide: bool) -> Vec<Field> {
    let (mode_bits, asid_bits, ppn_high) = match wide {
        true => ((63, 60), (59, 44), 43),
        false => ((31, 31), (30, 22), 21),
    };
    let mode = Mode::of_satp(bits(v, mode_bits.0, mode_bits.1), wide);
    let says = match (mode, bits(v, mode_bits.0, mode_bits.1)) {
        (Some(mode), _) => format!("{mode:?}: {} levels of page tables", mode.levels()),
        (None, 0) => "Bare: no translation".into(),
        _ => "reserved".into(),
    };
    let root = bits(v, ppn_high, 0) << 12;
    vec![
        Field::of(v, "MODE", mode_bits.0, mode_bits.1, says),
        Field::of(
            v,
            "ASID",
            asid_bits.0,
            asid_bits.1,
            "the address space's number",
        ),
        Field::of(
            v,
            "PPN",
            ppn_high,
            0,
            format!("the root page table is at {root:#x}"),
        ),
    ]
}

fn float(name: &str, v: u64) -> Vec<Field> {
    let modes = [
        "to nearest, ties to even",
        "towards zero",
        "down",
        "up",
        "to nearest, ties away from zero",
        "reserved",
        "reserved",
        "reserved",
    ];
    let mut out = Vec::new();
    let at = if name == "fcsr" { 5 } else { 0 };
    if name != "fflags" {
        out.push(Field::of(
            v,
            "frm",
            at + 2,
            at,
            modes[bits(v, at + 2, at) as usize],
        ));
    }
    if name != "frm" {
        for (bit, letters, what) in [
            (4, "NV", "invalid operation"),
            (3, "DZ", "division by zero"),
            (2, "OF", "overflow"),
            (1, "UF", "underflow"),
            (0, "NX", "inexact"),
        ] {
            let mut field = flag(v, letters, bit, ["has not happened", "has happened"]);
            field.says = format!("{what} {}", field.says);
            out.push(field);
        }
    }
    out
}

fn envcfg(machine: bool, v: u64) -> Vec<Field> {
    let mut out = Vec::new();
    if machine {
        out.push(flag(
            v,
            "STCE",
            63,
            ["S-mode has no stimecmp", "S-mode has stimecmp"],
        ));
        out.push(flag(
            v,
            "PBMTE",
            62,
            ["no page-based memory types", "page-based memory types"],
        ));
        out.push(flag(
            v,
            "ADUE",
            61,
            ["A and D bits fault", "hardware updates A and D bits"],
        ));
    }
    let lower = ["illegal in lower modes", "allowed in lower modes"];
    out.push(flag(v, "CBZE", 7, lower));
    out.push(flag(v, "CBCFE", 6, lower));
    let inval = [
        "illegal in lower modes",
        "CBO.INVAL flushes",
        "reserved",
        "CBO.INVAL invalidates",
    ];
    out.push(Field::of(v, "CBIE", 5, 4, inval[bits(v, 5, 4) as usize]));
    out.push(flag(v, "FIOM", 0, ["", "fences of memory order I/O too"]));
    out
}

fn pmp(name: &str, v: u64, n: u32) -> Field {
    let low = n * 8;
    let entry = bits(v, low + 7, low);
    let first: u32 = name["pmpcfg".len()..].parse().unwrap_or(0);
    let kinds = ["off", "top of range", "4 bytes", "power of two"];
    let letter = |bit: u32, letter| if entry >> bit & 1 != 0 { letter } else { '-' };
    let says = format!(
        "{}{}{} {}{}",
        letter(0, 'r'),
        letter(1, 'w'),
        letter(2, 'x'),
        kinds[(entry >> 3 & 3) as usize],
        if entry & 0x80 != 0 { ", locked" } else { "" }
    );
    Field::of(v, &format!("pmp{}cfg", first * 4 + n), low + 7, low, says)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, value: u64, field: &str) -> String {
        let csr = csr(csr_number(name).unwrap(), value, Xlen::Rv64).unwrap();
        let found = csr.fields.iter().find(|f| f.name == field);
        found.unwrap_or_else(|| panic!("{csr}")).says.clone()
    }

    #[test]
    fn values_say_what_the_manual_says() {
        let status = 0x8000_000a_0000_6820;
        assert_eq!(
            field("mstatus", status, "MPP"),
            "the last trap to M-mode came from S"
        );
        assert_eq!(
            field("mstatus", status, "FS"),
            "floating-point state: dirty"
        );
        assert_eq!(field("mstatus", status, "UXL"), "U-mode has 64 bits");
        assert_eq!(field("mcause", 13, "Code"), "load page fault");
        assert_eq!(
            field("scause", 1 << 63 | 5, "Code"),
            "supervisor timer interrupt"
        );
        assert_eq!(field("scause", 5, "Code"), "load access fault");
        assert_eq!(
            field("satp", 8 << 60 | 0x8_1234, "MODE"),
            "Sv39: 3 levels of page tables"
        );
        assert_eq!(
            field("satp", 8 << 60 | 0x8_1234, "PPN"),
            "the root page table is at 0x81234000"
        );
        assert_eq!(
            field("misa", 0x8000_0000_0014_112d, "Extensions"),
            "ACDFIMSU"
        );
        assert_eq!(
            field("sie", 1 << 5, "STE"),
            "supervisor timer interrupt: on"
        );
        assert_eq!(field("pmpcfg0", 0x1f, "pmp0cfg"), "rwx power of two");
        assert_eq!(
            field("pmpcfg2", 0x99 << 8, "pmp9cfg"),
            "r-- power of two, locked"
        );
        assert_eq!(
            field("stvec", 0x8020_0001, "BASE"),
            "the handler is at 0x80200000"
        );
        assert_eq!(field("fcsr", 0x31, "frm"), "towards zero");
    }

    #[test]
    fn names_and_numbers_mean_the_same() {
        assert_eq!(csr_number("0x300"), csr_number("mstatus"));
        for wrong in ["0x5ff", "0x10000", "mstatux", "", "0x"] {
            assert!(csr_number(wrong).is_err(), "{wrong}");
        }
        assert!(known().any(|name| name == "medeleg"));
    }

    #[test]
    fn any_value_is_explained_and_fields_are_inside() {
        for number in (0..0x1000).filter(|&n| csr_name(n).is_some()) {
            for value in [0, u64::MAX, 0x5555_5555_5555_5555, 1 << 63] {
                for (xlen, width) in [(Xlen::Rv32, 32), (Xlen::Rv64, 64)] {
                    let csr = csr(number, value, xlen).unwrap();
                    assert!(
                        csr.fields.iter().all(|f| f.high < width && f.low <= f.high),
                        "{csr}"
                    );
                }
            }
        }
    }
}
