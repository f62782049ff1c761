//! A decoded instruction.

use crate::Opcode;

/// One decoded instruction. A field that the instruction lacks is zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Inst {
    /// Which instruction. A compressed one bears the opcode of the instruction it stands for.
    pub op: Opcode,
    /// The destination register.
    pub rd: u8,
    /// The first source register; the number itself for `csrr*i` and `fli.*`.
    pub rs1: u8,
    /// The second source register.
    pub rs2: u8,
    /// The third source register.
    pub rs3: u8,
    /// The rounding-mode field as encoded: 5 and 6 are reserved, 7 is dynamic.
    pub rm: u8,
    /// The encoding's length in bytes: 2 or 4.
    pub len: u8,
    /// The immediate, extended; see [`ImmKind`](crate::ImmKind) for what else is kept here. For `lui` and `auipc` it
    /// is the value added, its low twelve bits zero.
    pub imm: i32,
}

impl Inst {
    /// An instruction of four bytes with every operand zero.
    pub const fn new(op: Opcode) -> Inst {
        Inst {
            op,
            rd: 0,
            rs1: 0,
            rs2: 0,
            rs3: 0,
            rm: 0,
            len: 4,
            imm: 0,
        }
    }
}
