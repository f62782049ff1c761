//! From a decoded instruction back to its word: for tests, and for those who make programs.

use crate::Inst;
use crate::format::RM_AT;

/// Encodes `inst` in its four-byte form, whatever its `len`. Operands are cut to their fields; bits
/// that a hart ignores are zero.
pub fn encode(inst: &Inst) -> u32 {
    let p = &inst.op.info().pattern;
    let rm = if p.uses_rm {
        u32::from(inst.rm & 7) << RM_AT
    } else {
        0
    };
    p.bits
        | p.rd.0.put(inst.rd)
        | p.rs1.0.put(inst.rs1)
        | p.rs2.0.put(inst.rs2)
        | p.rs3.0.put(inst.rs3)
        | p.imm.put(inst.imm)
        | rm
}
