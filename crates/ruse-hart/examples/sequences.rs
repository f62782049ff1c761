//! What a program executes, as straight runs of instructions with how often
//! each was executed: what `src/fuse.rs` is chosen from.
//! `sequences SKIP COUNT PROGRAM ARGUMENT...`
//!
//! Instructions have the names of their kinds there. Each is followed by the
//! source register that the last result is in: 0 for none, else 1 or 2.

#[path = "../../../benches/guest/program.rs"]
#[expect(dead_code, reason = "shared with the benches")]
mod program;

use std::collections::HashMap;
use std::path::Path;

use ruse_hart::{Exit, Xlen};
use ruse_isa::{Inst, Opcode, RegClass, decode};

fn kind(inst: &Inst) -> String {
    use Opcode::*;
    let name = match inst.op {
        Lui => "Li",
        Addi if inst.rs1 == 0 => "Li",
        Addi if inst.imm == 0 => "Mv",
        Addi if inst.rs1 == inst.rd => "Inc",
        Add if inst.rs1 == 0 => "Mv",
        Beq if inst.rs2 == 0 => "Beqz",
        Bne if inst.rs2 == 0 => "Bnez",
        Jal if inst.rd == 0 => "Jump",
        Jal => "Call",
        Fld => "Ld",
        Fsd => "Sd",
        other => return format!("{other:?}"),
    };
    name.into()
}

fn source(last: Option<(RegClass, u8)>, inst: &Inst) -> u8 {
    let info = inst.op.info();
    match last {
        Some(last) if last == (info.rs1, inst.rs1) => 1,
        Some(last) if last == (info.rs2, inst.rs2) => 2,
        _ => 0,
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [skip, count, rest @ ..] = arguments.as_slice() else {
        return Err("usage: sequences SKIP COUNT PROGRAM ARGUMENT...".into());
    };
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let path = rest.first().ok_or("no program")?;
    let mut program = program::Program::load(Path::new(path), &rest)?;
    let (skip, count): (u64, u64) = (skip.parse()?, count.parse()?);
    program.skip(skip)?;
    let mut runs: HashMap<String, u64> = HashMap::new();
    let mut decoded: HashMap<u64, Option<Inst>> = HashMap::new();
    let mut run = String::new();
    let mut last = None;
    for _ in 0..count {
        let pc = program.hart.pc();
        let inst = *decoded.entry(pc).or_insert_with(|| {
            let mut bytes = [0; 4];
            program.space.read(pc, &mut bytes).ok()?;
            decode(u32::from_le_bytes(bytes), Xlen::Rv64)
        });
        let Some(inst) = inst else { break };
        let info = inst.op.info();
        run += &format!("{}.{} ", kind(&inst), source(last, &inst));
        if info.rd != RegClass::None {
            last = ((info.rd, inst.rd) != (RegClass::X, 0)).then_some((info.rd, inst.rd));
        }
        match program.hart.step() {
            Exit::Quantum => {}
            _ if program.answer()?.is_some() => break,
            _ => {}
        }
        if program.hart.pc() != pc + u64::from(inst.len) {
            *runs.entry(std::mem::take(&mut run)).or_default() += 1;
            last = None;
        }
    }
    let mut runs: Vec<_> = runs.into_iter().collect();
    runs.sort_by_key(|(run, times)| (std::cmp::Reverse(*times), run.clone()));
    for (run, times) in runs {
        println!("{times} {run}");
    }
    Ok(())
}
