//! The opcodes and what is known of each, made from the table.

use crate::format::{ImmKind, Pattern, RegClass};

/// The width of the integer registers that a hart runs with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Xlen {
    /// 32 bits.
    Rv32,
    /// 64 bits.
    Rv64,
}

/// The base architectures that have an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Availability {
    /// RV32 only.
    Rv32,
    /// RV64 only.
    Rv64,
    /// Both.
    Both,
}

impl Availability {
    /// Whether a hart of this width has the instruction.
    #[inline]
    pub const fn includes(self, xlen: Xlen) -> bool {
        match self {
            Availability::Rv32 => matches!(xlen, Xlen::Rv32),
            Availability::Rv64 => matches!(xlen, Xlen::Rv64),
            Availability::Both => true,
        }
    }
}

/// The group of the table that holds an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Extension {
    /// The base instruction set, with Zifencei and Zihintpause.
    I,
    /// Integer multiplication and division.
    M,
    /// Atomics: Zalrsc and Zaamo.
    A,
    /// Single precision.
    F,
    /// Double precision.
    D,
    /// CSR access.
    Zicsr,
    /// The privileged architecture, with Svinval.
    Privileged,
    /// Address generation.
    Zba,
    /// Basic bit manipulation.
    Zbb,
    /// Single bits.
    Zbs,
    /// Carry-less multiplication.
    Zbc,
    /// Integer conditional operations.
    Zicond,
    /// Half precision.
    Zfh,
    /// Additional floating-point instructions.
    Zfa,
    /// Cache-block operations: Zicbom, Zicboz and Zicbop.
    Zicbo,
    /// Compare and swap.
    Zacas,
    /// Wait on reservation set.
    Zawrs,
}

/// What the table says of one instruction.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// The instruction's name in assembly, such as `amoadd.w`.
    pub mnemonic: &'static str,
    /// The group it belongs to.
    pub extension: Extension,
    /// The base architectures that have it.
    pub xlen: Availability,
    /// The encoding's fields from its highest bit on, in the notation of the
    /// manual's tables: `0000000 rs2 rs1 000 rd 0110011`.
    pub encoding: &'static str,
    /// The bits of the encoding that are fixed, and
    pub mask: u32,
    /// their values.
    pub bits: u32,
    /// The destination register.
    pub rd: RegClass,
    /// The first source register.
    pub rs1: RegClass,
    /// The second source register.
    pub rs2: RegClass,
    /// The third source register.
    pub rs3: RegClass,
    /// What the immediate means.
    pub imm: ImmKind,
    /// Whether the encoding has a rounding-mode field.
    pub uses_rm: bool,
    /// Whether `rs1` is the base address of a memory operand (or of a jump).
    pub memory: bool,
    /// Whether `rd` and `rs2` name even/odd register pairs.
    pub pairs: bool,
    pub(crate) pattern: Pattern,
}

impl Info {
    const fn new(
        mnemonic: &'static str,
        extension: Extension,
        encoding: &'static str,
        xlen: Availability,
    ) -> Info {
        let pattern = Pattern::parse(encoding, 32);
        Info {
            mnemonic,
            extension,
            xlen,
            encoding,
            mask: pattern.mask,
            bits: pattern.bits,
            rd: pattern.rd.1,
            rs1: pattern.rs1.1,
            rs2: pattern.rs2.1,
            rs3: pattern.rs3.1,
            imm: pattern.imm.kind,
            uses_rm: pattern.uses_rm,
            memory: pattern.memory,
            pairs: pattern.pairs,
            pattern,
        }
    }
}

macro_rules! extension {
    (i) => {
        Extension::I
    };
    (m) => {
        Extension::M
    };
    (a) => {
        Extension::A
    };
    (f) => {
        Extension::F
    };
    (d) => {
        Extension::D
    };
    (zicsr) => {
        Extension::Zicsr
    };
    (privileged) => {
        Extension::Privileged
    };
    (zba) => {
        Extension::Zba
    };
    (zbb) => {
        Extension::Zbb
    };
    (zbs) => {
        Extension::Zbs
    };
    (zbc) => {
        Extension::Zbc
    };
    (zicond) => {
        Extension::Zicond
    };
    (zfh) => {
        Extension::Zfh
    };
    (zfa) => {
        Extension::Zfa
    };
    (zicbo) => {
        Extension::Zicbo
    };
    (zacas) => {
        Extension::Zacas
    };
    (zawrs) => {
        Extension::Zawrs
    };
}

macro_rules! define_opcodes {
    ($( [$module:ident]
        $( $variant:ident $function:ident $mnemonic:literal $pattern:literal $xlen:ident ; )* )*) => {
        /// Which instruction: one variant per row of [`for_each_instruction!`](crate::for_each_instruction).
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u16)]
        pub enum Opcode {
            $( $(
                #[doc = concat!("`", $mnemonic, "`: `", $pattern, "`")]
                $variant,
            )* )*
        }

        impl Opcode {
            /// Every opcode, in the order of the table and of the discriminants.
            pub const ALL: &[Opcode] = &[$( $( Opcode::$variant, )* )*];
        }

        pub(crate) static INFOS: [Info; Opcode::COUNT] = INFO_TABLE;

        pub(crate) const INFO_TABLE: [Info; Opcode::COUNT] = [
            $( $( Info::new($mnemonic, extension!($module), $pattern, Availability::$xlen), )* )*
        ];
    };
}

for_each_instruction!(define_opcodes);

impl Opcode {
    /// How many opcodes there are.
    pub const COUNT: usize = Opcode::ALL.len();

    /// What the table says of this instruction.
    #[inline]
    pub fn info(self) -> &'static Info {
        &INFOS[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_all_is_that_of_the_discriminants() {
        for (i, op) in Opcode::ALL.iter().enumerate() {
            assert_eq!(*op as usize, i);
        }
    }
}
