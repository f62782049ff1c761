//! Runs a static riscv64 Linux program on the hart alone, for profiling it:
//! `cargo run --release -p ruse-hart --example program -- PROGRAM ARGUMENT...`

#[path = "../../../benches/guest/program.rs"]
#[allow(dead_code, reason = "shared with others")]
mod program;

use std::io::Write;
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let path = arguments
        .first()
        .ok_or("usage: program PROGRAM ARGUMENT...")?;
    let mut program = program::Program::load(Path::new(path), &arguments)?;
    let start = Instant::now();
    let status = program.run()?;
    let seconds = start.elapsed().as_secs_f64();
    std::io::stdout().write_all(&program.output)?;
    let retired = program.hart.retired();
    eprintln!(
        "{retired} instructions in {seconds:.3} s: {:.0} MIPS",
        retired as f64 / seconds / 1e6
    );
    std::process::exit(status)
}
