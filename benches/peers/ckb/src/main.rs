//! Runs one bare RISC-V program in ckb-vm: `peer-ckb asm|rust PROGRAM ARGUMENTS...`
//!
//! The program may call `write` and `exit`, as Linux numbers them. At the end
//! `instructions: N` goes to standard error.

use std::env;
use std::error::Error as StdError;
use std::fs;
use std::io::Write;
use std::process::ExitCode;

use ckb_vm::machine::asm::AsmMachine;
use ckb_vm::machine::{DefaultMachineRunner, VERSION2};
use ckb_vm::registers::{A0, A1, A2, A7};
use ckb_vm::{
    Bytes, DefaultCoreMachine, DefaultMachineBuilder, Error, FlatMemory, ISA_A, ISA_B, ISA_IMC,
    ISA_MOP, Memory, Register, SupportMachine, Syscalls, TraceMachine,
};

const ISA: u8 = ISA_IMC | ISA_A | ISA_B | ISA_MOP;
const USAGE: &str = "usage: peer-ckb asm|rust PROGRAM ARGUMENTS...";

/// Linux's `write`, to standard output whatever the descriptor.
struct Output;

impl<M: SupportMachine> Syscalls<M> for Output {
    fn initialize(&mut self, _: &mut M) -> Result<(), Error> {
        Ok(())
    }

    fn ecall(&mut self, machine: &mut M) -> Result<bool, Error> {
        if machine.registers()[A7].to_u64() != 64 {
            return Ok(false);
        }
        let address = machine.registers()[A1].to_u64();
        let length = machine.registers()[A2].to_u64();
        let text = machine.memory_mut().load_bytes(address, length)?;
        std::io::stdout()
            .write_all(&text)
            .map_err(|e| Error::External(e.to_string()))?;
        machine.set_register(A0, M::REG::from_u64(length));
        Ok(true)
    }
}

/// Runs in one kind of machine. A cycle is an instruction here.
fn run<R: DefaultMachineRunner>(program: &Bytes, arguments: Vec<Bytes>) -> Result<i8, Error>
where
    R::Inner: 'static,
{
    let core = R::Inner::new(ISA, VERSION2, u64::MAX);
    let machine = DefaultMachineBuilder::new(core)
        .instruction_cycle_func(Box::new(|_| 1))
        .syscall(Box::new(Output))
        .build();
    let mut machine = R::new(machine);
    machine.load_program(program, arguments.into_iter().map(Ok))?;
    let code = machine.run()?;
    eprintln!("instructions: {}", machine.machine().cycles());
    Ok(code)
}

fn main() -> Result<ExitCode, Box<dyn StdError>> {
    let mut arguments = env::args().skip(1);
    let engine = arguments.next().ok_or(USAGE)?;
    let arguments: Vec<String> = arguments.collect();
    let program = Bytes::from(fs::read(arguments.first().ok_or(USAGE)?)?);
    let arguments = arguments.into_iter().map(Bytes::from).collect();
    let code = match engine.as_str() {
        "asm" => run::<AsmMachine>(&program, arguments)?,
        "rust" => {
            run::<TraceMachine<DefaultCoreMachine<u64, FlatMemory<u64>>>>(&program, arguments)?
        }
        _ => return Err(USAGE.into()),
    };
    Ok(ExitCode::from(code as u8))
}
