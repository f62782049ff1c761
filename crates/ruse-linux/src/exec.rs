//! From an ELF file to a process image (execve(2); "System V ABI, RISC-V
//! processor supplement").

use crate::error::LinuxError;
use crate::kernel::Kernel;

/// Makes the first process.
pub(crate) fn first(_kernel: &mut Kernel) -> Result<(), LinuxError> {
    Ok(())
}
