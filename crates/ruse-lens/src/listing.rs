//! A program as text: its code by symbol, an instruction a line.

use std::fmt::Write as _;
use std::io;

use goblin::elf::{Elf, header, section_header};
use ruse_isa::{ImmKind, Inst, Xlen, compressed, decode, disasm, disasm_compressed};
use thiserror::Error;

use crate::symbols::Symbols;

/// Why a file cannot be listed.
#[derive(Debug, Error)]
pub enum ListingError {
    /// It is no ELF file, or a broken one.
    #[error("no ELF file: {0}")]
    Elf(#[from] goblin::error::Error),
    /// It is for another machine.
    #[error("an ELF file for machine {0}, not for RISC-V (243)")]
    Machine(u16),
    /// It says where code is, and has nothing there.
    #[error("section {name}: its {len} bytes at offset {offset:#x} are not in the file")]
    Section {
        /// The section.
        name: String,
        /// Where it is to be.
        offset: u64,
        /// How long.
        len: u64,
    },
    /// It has no code.
    #[error("no section with code in it")]
    NoCode,
    /// The text could not be written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Writes the code of the ELF file `bytes` to `out`, as `objdump -d` does without
/// its aliases: a heading for each symbol, and for each instruction its
/// address, bits, text, and where a jump goes.
///
/// # Errors
/// [`ListingError`] if it is no such file, or `out` fails.
pub fn write(bytes: &[u8], out: &mut impl io::Write) -> Result<(), ListingError> {
    let elf = Elf::parse(bytes)?;
    if elf.header.e_machine != header::EM_RISCV {
        return Err(ListingError::Machine(elf.header.e_machine));
    }
    let xlen = if elf.is_64 { Xlen::Rv64 } else { Xlen::Rv32 };
    let symbols = Symbols::of_elf(&elf);
    let mut any = false;
    for section in &elf.section_headers {
        let flags = u64::from(section_header::SHF_EXECINSTR);
        if section.sh_flags & flags == 0 || section.sh_type == section_header::SHT_NOBITS {
            continue;
        }
        any = true;
        let name = elf.shdr_strtab.get_at(section.sh_name).unwrap_or("?");
        let (from, len) = (section.sh_offset, section.sh_size);
        let code = usize::try_from(from)
            .ok()
            .zip(usize::try_from(len).ok())
            .and_then(|(from, len)| bytes.get(from..from.checked_add(len)?))
            .ok_or_else(|| ListingError::Section {
                name: name.into(),
                offset: from,
                len,
            })?;
        writeln!(out, "\nDisassembly of section {name}:")?;
        let section = Section {
            code,
            base: section.sh_addr,
            xlen,
            symbols: &symbols,
        };
        section.write(out)?;
    }
    if any {
        Ok(())
    } else {
        Err(ListingError::NoCode)
    }
}

/// The instruction `inst`, which is encoded as `word`, in assembly.
fn spell(inst: &Inst, word: u32, xlen: Xlen, pc: u64) -> String {
    let half = word as u16;
    match compressed::expand(half, xlen).filter(|_| half & 3 != 3) {
        Some((row, inst)) => disasm_compressed(row, &inst, Some(pc)).to_string(),
        None => disasm(inst, Some(pc)).to_string(),
    }
}

/// One instruction at `pc` in assembly, if it is one.
pub fn text(word: u32, xlen: Xlen, pc: u64) -> Option<String> {
    decode(word, xlen).map(|inst| spell(&inst, word, xlen, pc))
}

/// A section with code.
struct Section<'a> {
    code: &'a [u8],
    base: u64,
    xlen: Xlen,
    symbols: &'a Symbols,
}

impl Section<'_> {
    fn write(&self, out: &mut impl io::Write) -> Result<(), ListingError> {
        let mut text = String::new();
        let mut at = 0;
        while let Some(half) = self.half(at) {
            let pc = self.base.wrapping_add(at as u64);
            if let Some(name) = self.symbols.at(pc) {
                writeln!(out, "\n{pc:016x} <{name}>:")?;
            }
            text.clear();
            let len = self.line(&mut text, at, half, pc);
            out.write_all(text.as_bytes())?;
            at += len;
        }
        Ok(())
    }

    fn half(&self, at: usize) -> Option<u16> {
        let bytes = self.code.get(at..at + 2)?;
        Some(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    /// Writes the line of what is at `at` and says how long that is.
    fn line(&self, text: &mut String, at: usize, half: u16, pc: u64) -> usize {
        let upper = if half & 3 == 3 {
            self.half(at + 2)
        } else {
            None
        };
        let word = u32::from(half) | u32::from(upper.unwrap_or(0)) << 16;
        let inst = match (half & 3, upper) {
            (3, None) => None,
            _ => decode(word, self.xlen),
        };
        // Writing to a string does not fail.
        let _ = match (&inst, upper) {
            (_, Some(_)) => write!(text, "{pc:8x}:\t{word:08x}          \t"),
            (_, None) => write!(text, "{pc:8x}:\t{half:04x}                \t"),
        };
        let Some(inst) = inst else {
            let len = 2 + 2 * usize::from(upper.is_some());
            let _ = match word {
                // Reserved for being none.
                0 => writeln!(text, "c.unimp"),
                _ => writeln!(text, ".{len}byte\t{word:#x}"),
            };
            return len;
        };
        let line = spell(&inst, word, self.xlen, pc);
        match line.split_once(' ') {
            Some((mnemonic, operands)) => {
                let _ = write!(text, "{mnemonic}\t{operands}");
            }
            None => text.push_str(&line),
        }
        if inst.op.info().imm == ImmKind::Target {
            let to = pc.wrapping_add_signed(inst.imm.into());
            if let Some((name, offset)) = self.symbols.find(to) {
                let _ = match offset {
                    0 => write!(text, " <{name}>"),
                    more => write!(text, " <{name}+{more:#x}>"),
                };
            }
        }
        text.push('\n');
        inst.len.into()
    }
}
