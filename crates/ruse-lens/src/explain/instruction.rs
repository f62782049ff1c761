//! One instruction.

use std::fmt;

use ruse_isa::compressed::{self, CompressedInfo};
use ruse_isa::{
    Extension, ImmKind, Inst, RegClass, Xlen, csr_name, decode, disasm, disasm_compressed, f_name,
    x_name,
};

use super::fields::{self, Field};
use super::meaning;

/// An instruction, taken apart.
#[derive(Clone, Debug)]
pub struct Instruction {
    /// The bits; of a compressed one the low 16.
    pub word: u32,
    /// What it is, if it is one.
    pub inst: Option<Inst>,
    /// The row that describes a compressed one.
    pub short: Option<&'static CompressedInfo>,
    /// The fields of its encoding, from the highest bit on.
    pub fields: Vec<Field>,
    /// The width that it was looked at for.
    pub xlen: Xlen,
    /// Its address, if that is known.
    pub pc: Option<u64>,
}

/// Takes the instruction that `word` begins with apart. With an address `pc`
/// it is said where it jumps.
pub fn instruction(word: u32, xlen: Xlen, pc: Option<u64>) -> Instruction {
    let word = if word & 3 == 3 { word } else { word & 0xffff };
    let inst = decode(word, xlen);
    let row = (word & 3 != 3)
        .then(|| compressed::expand(word as u16, xlen))
        .flatten()
        .map(|(row, _)| row);
    let encoding = match (&inst, row) {
        (_, Some(row)) => row.encoding,
        (Some(inst), None) => inst.op.info().encoding,
        (None, None) => "",
    };
    Instruction {
        word,
        inst,
        short: row,
        fields: take_apart(word, encoding, inst.as_ref()),
        xlen,
        pc,
    }
}

/// How many bits a field of the notation of `ruse-isa`'s tables takes.
fn width(field: &str) -> u32 {
    let Some((_, ranges)) = field.split_once('[') else {
        return match field {
            "rm" => 3,
            _ if field.ends_with('\'') => 3,
            _ if field.starts_with(['0', '1', '-']) => field.len() as u32,
            _ => 5,
        };
    };
    let range = |range: &str| match range.split_once(':') {
        Some((high, low)) => {
            high.parse()
                .unwrap_or(0u32)
                .abs_diff(low.parse().unwrap_or(0))
                + 1
        }
        None => 1,
    };
    ranges.trim_end_matches(']').split('|').map(range).sum()
}

fn take_apart(word: u32, encoding: &str, inst: Option<&Inst>) -> Vec<Field> {
    let mut high = if word & 3 == 3 { 32 } else { 16 };
    let mut fields = Vec::new();
    for name in encoding.split_whitespace() {
        let low = high - width(name).min(high);
        if low == high {
            break;
        }
        let value = fields::bits(word.into(), high - 1, low);
        let fixed = name.starts_with(['0', '1', '-']);
        let says = match inst {
            Some(inst) if !fixed => say(name, value, inst),
            _ => String::new(),
        };
        let shown = if fixed { "" } else { name };
        fields.push(Field::of(word.into(), shown, high - 1, low, says));
        high = low;
    }
    fields
}

/// What the field `name` with this value means.
fn say(name: &str, value: u64, inst: &Inst) -> String {
    let info = inst.op.info();
    let plain = name.trim_end_matches('\'');
    let number = if name.ends_with('\'') {
        value + 8
    } else {
        value
    } as u8;
    let class = match plain {
        "rd" | "fd" | "rd/rs1" | "rdpair" => info.rd,
        "rs1" | "fs1" | "base" => info.rs1,
        "rs2" | "fs2" | "rs2pair" => info.rs2,
        "fs3" => info.rs3,
        "rm" => {
            let modes = [
                "to nearest, ties to even",
                "towards zero",
                "down",
                "up",
                "to nearest, ties away from zero",
                "reserved",
                "reserved",
                "as frm says",
            ];
            return format!("rounding: {}", modes[value as usize & 7]);
        }
        "zimm" => return format!("the number {value}"),
        _ => RegClass::None,
    };
    match class {
        RegClass::X => format!("{} (x{number})", x_name(number)),
        RegClass::F => format!("{} (f{number})", f_name(number)),
        RegClass::None if plain.starts_with("csr") => csr_name(value as u16)
            .unwrap_or("no standard register")
            .into(),
        RegClass::None if plain.contains('[') => "part of the number".into(),
        RegClass::None => String::new(),
    }
}

impl Instruction {
    /// What it does, with its operands in place.
    pub fn meaning(&self) -> Option<String> {
        let inst = self.inst?;
        let info = inst.op.info();
        let register = |class, number| match class {
            RegClass::F => f_name(number).to_owned(),
            RegClass::X if number == 0 => "0".into(),
            RegClass::X => x_name(number).into(),
            RegClass::None => number.to_string(),
        };
        let imm = match info.imm {
            ImmKind::Upper => format!("{:#x}", inst.imm),
            _ => inst.imm.to_string(),
        };
        let to = match self.pc {
            Some(pc) => format!("{:#x}", pc.wrapping_add_signed(inst.imm.into())),
            None => format!(
                "pc {} {}",
                if inst.imm < 0 { '-' } else { '+' },
                inst.imm.unsigned_abs()
            ),
        };
        let csr =
            csr_name(inst.imm as u16).map_or_else(|| format!("CSR {:#x}", inst.imm), Into::into);
        let mut text = meaning::of(inst.op)
            .replace("{rs1}", &register(info.rs1, inst.rs1))
            .replace("{rs2}", &register(info.rs2, inst.rs2))
            .replace("{rs3}", &register(info.rs3, inst.rs3))
            .replace("{csr}", &csr)
            .replace("{to}", &to)
            .replace(" + {imm}", &signed(inst.imm, &imm))
            .replace("{imm}", &imm);
        let nowhere = info.rd == RegClass::X && inst.rd == 0;
        if nowhere && text.starts_with("{rd} = ") {
            // What is said of x0 is for nobody.
            text = match text.split_once("; ") {
                Some((_, rest)) => rest.to_owned(),
                None => "nothing: x0 stays 0".into(),
            };
        }
        Some(text.replace("{rd}", &register(info.rd, inst.rd)))
    }
}

/// ` + 8`, ` - 8`, or nothing for zero.
fn signed(value: i32, text: &str) -> String {
    match value {
        0 => String::new(),
        ..0 => format!(" - {}", text.trim_start_matches('-')),
        1.. => format!(" + {text}"),
    }
}

/// The extension's name, and what it is about.
fn about(extension: Extension) -> &'static str {
    match extension {
        Extension::I => "I, the base instruction set (with Zifencei, Zihintpause)",
        Extension::M => "M, multiplication and division",
        Extension::A => "A, atomics (Zalrsc, Zaamo)",
        Extension::F => "F, single-precision floating point",
        Extension::D => "D, double-precision floating point",
        Extension::Zicsr => "Zicsr, control and status registers",
        Extension::Privileged => "the privileged architecture",
        Extension::Zba => "Zba, address generation",
        Extension::Zbb => "Zbb, bit manipulation",
        Extension::Zbs => "Zbs, single bits",
        Extension::Zbc => "Zbc, carry-less multiplication",
        Extension::Zicond => "Zicond, conditional operations",
        Extension::Zfh => "Zfh, half-precision floating point",
        Extension::Zfa => "Zfa, additional floating-point instructions",
        Extension::Zicbo => "Zicbom, Zicboz, Zicbop, cache blocks",
        Extension::Zacas => "Zacas, compare and swap",
        Extension::Zawrs => "Zawrs, waiting for a reservation",
        _ => "an extension",
    }
}

impl fmt::Display for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.word & 3 == 3 { 8 } else { 4 };
        write!(f, "{:0digits$x}  ", self.word)?;
        let Some(inst) = &self.inst else {
            let why = match self.word {
                0 => "all zeroes are an illegal instruction on purpose",
                _ => {
                    "no instruction that this machine knows: it raises an illegal-instruction exception"
                }
            };
            return writeln!(f, "{why}");
        };
        match self.short {
            Some(row) => {
                let short = disasm_compressed(row, inst, self.pc);
                writeln!(f, "{short}, two bytes for: {}", disasm(inst, self.pc))?;
            }
            None => writeln!(f, "{}", disasm(inst, self.pc))?,
        }
        if let Some(meaning) = self.meaning() {
            writeln!(f, "\n  {meaning}")?;
        }
        writeln!(f)?;
        fields::list(f, &self.fields)?;
        if !matches!(
            inst.op.info().imm,
            ImmKind::None | ImmKind::Csr | ImmKind::Ordering | ImmKind::Fence
        ) {
            writeln!(
                f,
                "  the number, put together: {} ({:#x})",
                inst.imm, inst.imm
            )?;
        }
        let info = inst.op.info();
        writeln!(f, "\n  from {}", about(info.extension))
    }
}

#[cfg(test)]
mod tests {
    use ruse_isa::Opcode;

    use super::*;

    fn says(word: u32) -> String {
        instruction(word, Xlen::Rv64, Some(0x8000_0000))
            .meaning()
            .unwrap()
    }

    #[test]
    fn operands_are_in_place() {
        assert_eq!(says(0x00c5_8533), "a0 = a1 + a2");
        assert_eq!(
            says(0x0081_2503),
            "a0 = the 4 bytes at sp + 8, sign-extended"
        );
        assert_eq!(says(0xfea1_3c23), "store the 8 bytes of a0 at sp - 8");
        assert_eq!(says(0xfe05_0ee3), "if a0 == 0, go to 0x7ffffffc");
        assert_eq!(says(0x3005_1573), "a0 = mstatus; mstatus = a0");
        assert_eq!(says(0x3004_6073), "mstatus = mstatus or 8");
        assert_eq!(says(0x0000_0013), "nothing: x0 stays 0");
        assert_eq!(says(0x0000_006f), "go to 0x80000000");
        assert_eq!(says(0x4505), "a0 = 0 + 1");
    }

    #[test]
    fn every_encoding_is_taken_apart_whole() {
        for op in Opcode::ALL {
            let encoding = op.info().encoding;
            let total: u32 = encoding.split_whitespace().map(width).sum();
            assert_eq!(total, 32, "{encoding}");
            assert!(!meaning::of(*op).is_empty());
        }
        for row in compressed::COMPRESSED {
            let total: u32 = row.encoding.split_whitespace().map(width).sum();
            assert_eq!(total, 16, "{}", row.encoding);
        }
    }

    #[test]
    fn any_word_at_all_is_explained() {
        let mut word = 1u32;
        for _ in 0..200_000 {
            word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            for xlen in [Xlen::Rv32, Xlen::Rv64] {
                let instruction = instruction(word ^ word >> 16, xlen, None);
                let text = instruction.to_string();
                assert!(!text.contains('{'), "{text}");
                let bits: u32 = instruction.fields.iter().map(|f| f.high - f.low + 1).sum();
                let len = instruction.inst.map_or(0, |inst| u32::from(inst.len) * 8);
                assert_eq!(bits, len);
            }
        }
    }
}
