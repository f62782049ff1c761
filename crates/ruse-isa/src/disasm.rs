//! From [`Inst`] to text, in the syntax of the standard assembler as `objdump` spaces it.

use std::fmt;

use crate::compressed::CompressedInfo;
use crate::{ImmKind, Inst, Opcode, RegClass, csr_name};

/// Integer registers by their ABI names.
const X_NAMES: [&str; 32] = [
    "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4",
    "a5", "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4",
    "t5", "t6",
];

/// Floating-point registers by their ABI names.
const F_NAMES: [&str; 32] = [
    "ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1", "fa0", "fa1", "fa2",
    "fa3", "fa4", "fa5", "fa6", "fa7", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9",
    "fs10", "fs11", "ft8", "ft9", "ft10", "ft11",
];

const RM_NAMES: [&str; 8] = ["rne", "rtz", "rdn", "rup", "rmm", "rm5", "rm6", "dyn"];

/// The constants that `fli` loads, by index (Zfa).
const FLI_NAMES: [&str; 32] = [
    "-1.0", "min", "0x1p-16", "0x1p-15", "0x1p-8", "0x1p-7", "0.0625", "0.125", "0.25", "0.3125",
    "0.375", "0.4375", "0.5", "0.625", "0.75", "0.875", "1.0", "1.25", "1.5", "1.75", "2.0", "2.5",
    "3.0", "4.0", "8.0", "16.0", "128.0", "256.0", "0x1p15", "0x1p16", "inf", "nan",
];

/// The ABI name of an integer register, such as `a0` for 10. Only the low five bits count.
pub const fn x_name(register: u8) -> &'static str {
    X_NAMES[register as usize & 31]
}

/// The ABI name of a floating-point register, such as `fa0` for 10. Only the low five bits count.
pub const fn f_name(register: u8) -> &'static str {
    F_NAMES[register as usize & 31]
}

/// An instruction as text. Made by [`disasm`].
///
/// Pseudo-instructions are not used, and a compressed instruction is shown as what it stands for.
#[derive(Clone, Copy, Debug)]
pub struct Disasm<'a> {
    inst: &'a Inst,
    pc: Option<u64>,
    numeric: bool,
}

/// The text of `inst`. When its address is given, branches and jumps show where they go, else how far.
pub fn disasm(inst: &Inst, pc: Option<u64>) -> Disasm<'_> {
    Disasm {
        inst,
        pc,
        numeric: false,
    }
}

impl Disasm<'_> {
    /// Names registers `x10` and `f10` instead of `a0` and `fa0`.
    pub fn numeric(mut self) -> Self {
        self.numeric = true;
        self
    }

    fn register(&self, f: &mut fmt::Formatter<'_>, class: RegClass, number: u8) -> fmt::Result {
        match class {
            RegClass::X if self.numeric => write!(f, "x{number}"),
            RegClass::F if self.numeric => write!(f, "f{number}"),
            RegClass::X => f.write_str(x_name(number)),
            RegClass::F => f.write_str(f_name(number)),
            RegClass::None => Ok(()),
        }
    }

    fn mnemonic(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = self.inst.op.info();
        if self.is_fence_tso() {
            return f.write_str("fence.tso");
        }
        f.write_str(info.mnemonic)?;
        if info.imm == ImmKind::Ordering {
            f.write_str(["", ".rl", ".aq", ".aqrl"][self.inst.imm as usize & 3])?;
        }
        Ok(())
    }

    fn is_fence_tso(&self) -> bool {
        self.inst.op == Opcode::Fence && self.inst.imm == 0x833
    }

    /// The immediate, when it is not part of a memory operand.
    fn immediate(
        &self,
        f: &mut fmt::Formatter<'_>,
        list: &mut Separator,
        kind: ImmKind,
    ) -> fmt::Result {
        let imm = self.inst.imm;
        if matches!(kind, ImmKind::None | ImmKind::Ordering) || self.is_fence_tso() {
            return Ok(());
        }
        list.next(f)?;
        match kind {
            ImmKind::None | ImmKind::Ordering => Ok(()),
            ImmKind::Signed | ImmKind::Unsigned => write!(f, "{imm}"),
            ImmKind::Shamt => write!(f, "{imm:#x}"),
            ImmKind::Upper => write!(f, "{:#x}", imm as u32 >> 12),
            ImmKind::Target => self.target(f),
            ImmKind::Csr => match csr_name(imm as u16) {
                Some(name) => f.write_str(name),
                None => write!(f, "{imm:#x}"),
            },
            ImmKind::Fence => {
                fence_set(f, imm >> 4)?;
                f.write_str(",")?;
                fence_set(f, imm)
            }
        }
    }

    /// Where a jump goes.
    fn target(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let imm = self.inst.imm;
        match self.pc {
            Some(pc) => write!(f, "{:#x}", pc.wrapping_add_signed(imm.into())),
            None => write!(f, ".{imm:+}"),
        }
    }

    /// Whether the rounding mode goes without saying: the dynamic one always does, and conversions
    /// that cannot round are written without when they bear the assembler's default.
    fn rm_is_implied(&self) -> bool {
        use Opcode::*;
        let cannot_round = matches!(self.inst.op, FcvtDS | FcvtDW | FcvtDWu | FcvtSH | FcvtDH);
        if cannot_round {
            self.inst.rm == 0
        } else {
            self.inst.rm == 7
        }
    }
}

/// A compressed instruction as text, in its own form. Made by [`disasm_compressed`].
#[derive(Clone, Copy, Debug)]
pub struct CompressedDisasm<'a> {
    row: &'static CompressedInfo,
    as_whole: Disasm<'a>,
}

/// The text of the compressed instruction that `row` describes and that stands for `inst`, both as
/// [`expand`](crate::compressed::expand) gives them.
pub fn disasm_compressed<'a>(
    row: &'static CompressedInfo,
    inst: &'a Inst,
    pc: Option<u64>,
) -> CompressedDisasm<'a> {
    CompressedDisasm {
        row,
        as_whole: disasm(inst, pc),
    }
}

impl CompressedDisasm<'_> {
    /// Names registers `x10` and `f10` instead of `a0` and `fa0`.
    pub fn numeric(mut self) -> Self {
        self.as_whole = self.as_whole.numeric();
        self
    }
}

impl fmt::Display for CompressedDisasm<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, name) = (&self.as_whole, self.row.mnemonic);
        let inst = whole.inst;
        let info = inst.op.info();
        let kind = info.imm;
        let mut list = Separator::default();
        match name {
            "c.ebreak" => return f.write_str(name),
            // As binutils calls two hints: adding to x0, and shifting by nothing.
            "c.nop" if inst.imm == 0 => return f.write_str(name),
            "c.nop" => f.write_str("c.addi")?,
            "c.slli" | "c.srli" | "c.srai" if inst.imm == 0 => write!(f, "{name}64")?,
            _ => f.write_str(name)?,
        }
        list.next(f)?;
        // Jumps: where to. (Of `c.beqz` the second register is x0.)
        if matches!(
            name,
            "c.j" | "c.jal" | "c.beqz" | "c.bnez" | "c.jr" | "c.jalr"
        ) {
            if matches!(name, "c.j" | "c.jal") {
                return whole.target(f);
            }
            whole.register(f, RegClass::X, inst.rs1)?;
            if matches!(name, "c.jr" | "c.jalr") {
                return Ok(());
            }
            list.next(f)?;
            return whole.target(f);
        }
        if info.memory {
            let (class, data) = match info.rd {
                RegClass::None => (info.rs2, inst.rs2),
                class => (class, inst.rd),
            };
            whole.register(f, class, data)?;
            write!(f, ",{}(", inst.imm)?;
            whole.register(f, RegClass::X, inst.rs1)?;
            return f.write_str(")");
        }
        whole.register(f, info.rd, inst.rd)?;
        match name {
            // What these do to their register goes without saying.
            "c.zext.b" | "c.not" | "c.zext.w" => return Ok(()),
            "c.slli" | "c.srli" | "c.srai" if inst.imm == 0 => return Ok(()),
            "c.addi4spn" => {
                list.next(f)?;
                whole.register(f, RegClass::X, inst.rs1)?;
            }
            _ => {}
        }
        if info.rs2 != RegClass::None {
            list.next(f)?;
            whole.register(f, info.rs2, inst.rs2)?;
        }
        match kind {
            // Of 20 bits, as it is encoded.
            ImmKind::Upper => write!(f, ",{:#x}", inst.imm as u32 >> 12),
            _ => whole.immediate(f, &mut list, kind),
        }
    }
}

impl fmt::Display for Disasm<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inst = self.inst;
        let info = inst.op.info();
        let mut list = Separator::default();

        self.mnemonic(f)?;
        if info.rd != RegClass::None {
            list.next(f)?;
            self.register(f, info.rd, inst.rd)?;
        }
        if info.memory {
            if info.rs2 != RegClass::None {
                list.next(f)?;
                self.register(f, info.rs2, inst.rs2)?;
            }
            list.next(f)?;
            if info.imm == ImmKind::Signed {
                write!(f, "{}", inst.imm)?;
            }
            f.write_str("(")?;
            self.register(f, info.rs1, inst.rs1)?;
            return f.write_str(")");
        }
        // A CSR comes before the source, every other immediate behind.
        if info.imm == ImmKind::Csr {
            self.immediate(f, &mut list, info.imm)?;
        }
        if info.pattern.rs1.0.is_present() {
            list.next(f)?;
            match info.rs1 {
                RegClass::None if info.imm == ImmKind::Csr => write!(f, "{}", inst.rs1)?,
                RegClass::None => f.write_str(FLI_NAMES[inst.rs1 as usize & 31])?,
                class => self.register(f, class, inst.rs1)?,
            }
        }
        for (class, number) in [(info.rs2, inst.rs2), (info.rs3, inst.rs3)] {
            if class != RegClass::None {
                list.next(f)?;
                self.register(f, class, number)?;
            }
        }
        if info.imm != ImmKind::Csr {
            self.immediate(f, &mut list, info.imm)?;
        }
        if inst.op == Opcode::FcvtmodWD {
            f.write_str(",rtz")?;
        } else if info.uses_rm && !self.rm_is_implied() {
            list.next(f)?;
            f.write_str(RM_NAMES[inst.rm as usize & 7])?;
        }
        Ok(())
    }
}

/// Writes a blank before the first operand and commas before the others.
#[derive(Default)]
struct Separator {
    begun: bool,
}

impl Separator {
    fn next(&mut self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if std::mem::replace(&mut self.begun, true) {
            ","
        } else {
            " "
        })
    }
}

/// The accesses that a fence orders: device input and output, memory reads and writes.
fn fence_set(f: &mut fmt::Formatter<'_>, set: i32) -> fmt::Result {
    if set & 15 == 0 {
        return f.write_str("0");
    }
    for (bit, letter) in [(8, "i"), (4, "o"), (2, "r"), (1, "w")] {
        if set & bit != 0 {
            f.write_str(letter)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Xlen, decode};

    fn text(word: u32) -> String {
        disasm(&decode(word, Xlen::Rv64).unwrap(), Some(0x8000_0000)).to_string()
    }

    #[test]
    fn operands_stand_in_the_order_of_the_assembler() {
        assert_eq!(text(0x0081_2503), "lw a0,8(sp)");
        assert_eq!(text(0xfea1_3c23), "sd a0,-8(sp)");
        assert_eq!(text(0x00c5_8533), "add a0,a1,a2");
        assert_eq!(text(0x1234_5537), "lui a0,0x12345");
        assert_eq!(text(0xfe05_0ee3), "beq a0,zero,0x7ffffffc");
        assert_eq!(text(0x3005_1573), "csrrw a0,mstatus,a0");
        assert_eq!(text(0x3004_6073), "csrrsi zero,mstatus,8");
        assert_eq!(text(0x06b6_252f), "amoadd.w.aqrl a0,a1,(a2)");
        assert_eq!(text(0x1005_252f), "lr.w a0,(a0)");
        assert_eq!(text(0x0ff0_000f), "fence iorw,iorw");
        assert_eq!(text(0x8330_000f), "fence.tso");
        assert_eq!(text(0x0100_000f), "pause");
        assert_eq!(text(0x00c5_f553), "fadd.s fa0,fa1,fa2");
        assert_eq!(text(0xc005_9553), "fcvt.w.s a0,fa1,rtz");
        assert_eq!(text(0xf018_0553), "fli.s fa0,1.0");
        assert_eq!(text(0x4505), "addi a0,zero,1");
    }

    #[test]
    fn a_branch_without_an_address_shows_its_distance() {
        let inst = decode(0xfe05_0ee3, Xlen::Rv64).unwrap();
        assert_eq!(disasm(&inst, None).to_string(), "beq a0,zero,.-4");
        assert_eq!(disasm(&inst, None).numeric().to_string(), "beq x10,x0,.-4");
    }
}
