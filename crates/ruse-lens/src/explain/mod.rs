//! What bits mean, field by field.

mod csr;
mod fields;
mod instruction;
mod meaning;
mod pte;

pub use csr::{Csr, CsrError, csr, csr_number, exception, interrupt, known};
pub use fields::Field;
pub use instruction::{Instruction, instruction};
pub use pte::{Mode, Pte, pte};
