//! RISC-V as GDB sees it: the registers, their numbers, and the target description (GDB
//! manual, "RISC-V Features").

use std::fmt::Write;
use std::num::NonZeroUsize;

use gdbstub::arch::{Arch, RegId, Registers};
use ruse_hart::Xlen;
use ruse_isa::{csr, csr_name};

/// The names of the integer registers that GDB knows them by.
const X: [&str; 32] = [
    "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "fp", "s1", "a0", "a1", "a2", "a3", "a4",
    "a5", "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4",
    "t5", "t6",
];
/// And of the floating-point registers.
const F: [&str; 32] = [
    "ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1", "fa0", "fa1", "fa2",
    "fa3", "fa4", "fa5", "fa6", "fa7", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9",
    "fs10", "fs11", "ft8", "ft9", "ft10", "ft11",
];

/// Where the numbers of the kinds of registers start: those of GDB's own.
const PC: usize = 32;
const FIRST_F: usize = 33;
const FIRST_CSR: usize = 65;
const PRIV: usize = FIRST_CSR + 0x1000;

/// A register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Register {
    /// An integer register.
    X(u8),
    /// The program counter.
    Pc,
    /// A floating-point register.
    F(u8),
    /// A control and status register.
    Csr(u16),
    /// The privilege mode.
    Priv,
}

impl Register {
    /// Its size in bytes.
    pub fn size(self, xlen: Xlen) -> usize {
        match self {
            Self::F(_) => 8,
            Self::Csr(csr::FFLAGS | csr::FRM | csr::FCSR) => 4,
            Self::Priv => 1,
            _ if xlen == Xlen::Rv32 => 4,
            _ => 8,
        }
    }
}

impl RegId for Register {
    fn from_raw_id(id: usize) -> Option<(Self, Option<NonZeroUsize>)> {
        let register = match id {
            0..PC => Self::X(id as u8),
            PC => Self::Pc,
            FIRST_F..FIRST_CSR => Self::F((id - FIRST_F) as u8),
            FIRST_CSR..PRIV => Self::Csr((id - FIRST_CSR) as u16),
            PRIV => Self::Priv,
            _ => return None,
        };
        Some((register, None))
    }
}

/// The registers that are transferred together: all others are asked for one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Core {
    /// Their width.
    pub xlen: Xlen,
    /// The integer registers.
    pub x: [u64; 32],
    /// The program counter.
    pub pc: u64,
}

impl Default for Core {
    fn default() -> Self {
        Self {
            xlen: Xlen::Rv64,
            x: [0; 32],
            pc: 0,
        }
    }
}

impl Registers for Core {
    type ProgramCounter = u64;

    fn pc(&self) -> u64 {
        self.pc
    }

    fn gdb_serialize(&self, mut write_byte: impl FnMut(Option<u8>)) {
        let size = Register::Pc.size(self.xlen);
        for value in self.x.iter().chain([&self.pc]) {
            for byte in &value.to_le_bytes()[..size] {
                write_byte(Some(*byte));
            }
        }
    }

    fn gdb_deserialize(&mut self, bytes: &[u8]) -> Result<(), ()> {
        let size = match bytes.len() / 33 {
            0..4 => return Err(()),
            4..8 => 4,
            _ => 8,
        };
        self.xlen = if size == 4 { Xlen::Rv32 } else { Xlen::Rv64 };
        let registers = self.x.iter_mut().chain([&mut self.pc]);
        for (register, bytes) in registers.zip(bytes.chunks_exact(size)) {
            *register = little_endian(bytes);
        }
        Ok(())
    }
}

/// The number in at most eight bytes.
pub(crate) fn little_endian(bytes: &[u8]) -> u64 {
    let mut value = [0; 8];
    let len = bytes.len().min(8);
    value[..len].copy_from_slice(&bytes[..len]);
    u64::from_le_bytes(value)
}

/// RISC-V, of either width.
pub enum Riscv {}

impl Arch for Riscv {
    type Usize = u64;
    type Registers = Core;
    type BreakpointKind = usize;
    type RegId = Register;
}

/// The target description: `has` says which CSRs there are, `privileged` whether there
/// are modes.
pub fn description(xlen: Xlen, privileged: bool, mut has: impl FnMut(u16) -> bool) -> String {
    let bits = if xlen == Xlen::Rv32 { 32 } else { 64 };
    let mut xml = String::from(
        "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target version=\"1.0\">",
    );
    // Writing to a string cannot fail.
    let _ = write!(xml, "<architecture>riscv:rv{bits}</architecture>");
    xml.push_str("<feature name=\"org.gnu.gdb.riscv.cpu\">");
    for (n, name) in X.iter().enumerate() {
        let kind = match *name {
            "ra" => "code_ptr",
            "sp" | "gp" | "tp" | "fp" => "data_ptr",
            _ => "int",
        };
        let _ = write!(
            xml,
            "<reg name=\"{name}\" bitsize=\"{bits}\" regnum=\"{n}\" type=\"{kind}\"/>"
        );
    }
    let _ = write!(
        xml,
        "<reg name=\"pc\" bitsize=\"{bits}\" regnum=\"{PC}\" type=\"code_ptr\"/></feature>"
    );
    xml.push_str(
        "<feature name=\"org.gnu.gdb.riscv.fpu\"><union id=\"riscv_double\">\
         <field name=\"float\" type=\"ieee_single\"/><field name=\"double\" type=\"ieee_double\"/>\
         </union>",
    );
    for (n, name) in F.iter().enumerate() {
        let _ = write!(
            xml,
            "<reg name=\"{name}\" bitsize=\"64\" regnum=\"{}\" type=\"riscv_double\"/>",
            FIRST_F + n
        );
    }
    let float = [csr::FFLAGS, csr::FRM, csr::FCSR];
    for number in float {
        let _ = write!(
            xml,
            "<reg name=\"{}\" bitsize=\"32\" regnum=\"{}\" type=\"int\" group=\"float\"/>",
            csr_name(number).unwrap_or_default(),
            FIRST_CSR + usize::from(number)
        );
    }
    xml.push_str("</feature><feature name=\"org.gnu.gdb.riscv.csr\">");
    for number in 0..0x1000 {
        // Reading the entropy source has an effect.
        if float.contains(&number) || number == csr::SEED {
            continue;
        }
        if let Some(name) = csr_name(number)
            && has(number)
        {
            let _ = write!(
                xml,
                "<reg name=\"{name}\" bitsize=\"{bits}\" regnum=\"{}\" group=\"csr\" \
                 save-restore=\"no\"/>",
                FIRST_CSR + usize::from(number)
            );
        }
    }
    xml.push_str("</feature>");
    if privileged {
        let _ = write!(
            xml,
            "<feature name=\"org.gnu.gdb.riscv.virtual\">\
             <reg name=\"priv\" bitsize=\"8\" regnum=\"{PRIV}\" save-restore=\"no\"/></feature>"
        );
    }
    xml.push_str("</target>");
    xml
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_registers_come_back() {
        for xlen in [Xlen::Rv32, Xlen::Rv64] {
            let mut core = Core {
                xlen,
                pc: 0x8000_1234,
                ..Core::default()
            };
            for (n, x) in core.x.iter_mut().enumerate() {
                *x = n as u64 * 0x0101;
            }
            let mut bytes = Vec::new();
            core.gdb_serialize(|byte| bytes.extend(byte));
            assert_eq!(bytes.len(), 33 * Register::Pc.size(xlen));
            let mut again = Core::default();
            again.gdb_deserialize(&bytes).unwrap();
            assert_eq!(again, core);
            assert!(again.gdb_deserialize(&bytes[..100]).is_err());
        }
    }

    #[test]
    fn every_register_is_described_once() {
        let xml = description(Xlen::Rv64, true, |_| true);
        let mut numbers: Vec<usize> = xml
            .split("regnum=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap().parse().unwrap())
            .collect();
        let count = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), count);
        assert!(count > 65 + 100);
        for number in numbers {
            assert!(Register::from_raw_id(number).is_some());
        }
        assert_eq!(Register::from_raw_id(PRIV + 1), None);
    }
}
