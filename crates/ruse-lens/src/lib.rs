//! Looking at guests: what an instruction, a register or a page-table entry
//! says ([`explain`]), what a program consists of ([`listing`]), what its addresses
//! are called ([`symbols`]), what an event means to the guest and to the host
//! ([`story`]), and files of such ([`trace`]).
//!
//! ```
//! use ruse_isa::Xlen;
//!
//! let text = ruse_lens::explain::instruction(0x00c5_8533, Xlen::Rv64, None).to_string();
//! assert!(text.contains("a0 = a1 + a2"));
//! ```

pub mod explain;
pub mod kallsyms;
pub mod listing;
pub mod profile;
pub mod stats;
pub mod story;
pub mod symbols;
pub mod trace;
