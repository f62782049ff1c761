//! What a RISC-V instruction is: encodings, operands, disassembly; no state, no I/O.
//!
//! One table, [`for_each_instruction!`], describes every instruction once. The opcodes, the decoder,
//! the encoder, the disassembler and the hart's handlers are made from it, so an instruction is added
//! by one row and one function. Compressed instructions have a table of their own, whose rows say
//! what they stand for.
//!
//! ```
//! use ruse_isa::{Opcode, Xlen, decode, disasm};
//!
//! let inst = decode(0x0081_2503, Xlen::Rv64).unwrap();
//! assert_eq!((inst.op, inst.rd, inst.rs1, inst.imm), (Opcode::Lw, 10, 2, 8));
//! assert_eq!(disasm(&inst, None).to_string(), "lw a0,8(sp)");
//! ```

#[macro_use]
mod table;

pub mod compressed;
pub mod csr;
mod decode;
mod disasm;
mod encode;
mod format;
mod inst;
mod opcode;

pub use csr::csr_name;
pub use decode::decode;
pub use disasm::{CompressedDisasm, Disasm, disasm, disasm_compressed, f_name, x_name};
pub use encode::encode;
pub use format::{ImmKind, RegClass};
pub use inst::Inst;
pub use opcode::{Availability, Extension, Info, Opcode, Xlen};
