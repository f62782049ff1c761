//! Runs one static RISC-V Linux program in libriscv: `peer-libriscv PROGRAM ARGUMENTS...`
//!
//! At the end `instructions: N` goes to standard error.

use std::env;
use std::error::Error;
use std::fs;
use std::process::ExitCode;

use libriscv::{Machine, Options, SyscallRegistry};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let program = fs::read(
        arguments
            .first()
            .ok_or("usage: peer-libriscv PROGRAM ARGUMENTS...")?,
    )?;
    let options = Options::builder()
        .max_memory(1 << 30)
        .args(&arguments)
        .build()?;
    let mut machine = Machine::new(program, options, &SyscallRegistry::empty())?;
    machine.run(u64::MAX)?;
    eprintln!("instructions: {}", machine.instruction_counter());
    Ok(ExitCode::from(machine.return_value() as u8))
}
