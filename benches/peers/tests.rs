//! Tests of what the bench `peers` computes and how it calls its engines; a bench
//! without the standard harness can't hold them itself.

// The bench's main function, which uses everything, is not among these modules.
#![allow(dead_code)]

mod args;
mod engine;
mod measure;
mod program;
mod report;
mod run;
mod setup;
mod stats;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use engine::{Engine, Kind, Places};
use program::Program;

/// Our programs print the same under Ruse as on this machine, and bare as with a C
/// library.
#[test]
fn programs_print_the_same_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/programs/build");
    let built = Command::new(&script).arg(folder.path()).status().unwrap();
    assert!(built.success());
    let places = Places {
        programs: folder.path().into(),
        root: folder.path().into(),
    };
    if !folder.path().join("linux/fib").exists() {
        eprintln!("skipped: riscv64-linux-gnu-gcc is missing");
        return;
    }
    let engine = |kind, start: &[&str]| Engine {
        name: String::new(),
        kind,
        start: start.iter().map(Into::into).collect(),
        version: String::new(),
    };
    let ruse = [env!("CARGO_BIN_EXE_ruse"), "--stats"];
    let list = Command::new(&script).arg("--list").output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    assert_eq!(list.lines().count(), 12);
    for program in list.lines().map(|line| Program::listed(line).unwrap()) {
        let run = |engine: Engine| {
            let mut command = engine.command(&places, &program, 3).unwrap();
            run::run(&mut command, None, Duration::from_secs(120)).unwrap()
        };
        let right = run(engine(Kind::Native, &[])).output;
        assert!(
            right.starts_with(&format!("{} 3 ", program.name)),
            "{right}"
        );
        let linux = run(engine(Kind::Ruse, &ruse));
        assert_eq!(linux.output, right);
        assert!(
            linux.instructions.is_some_and(|count| count > 10_000),
            "{}",
            program.name
        );
        if Kind::CkbAsm.can_run(&program) {
            // The bare ones call what Linux calls write and exit, so Ruse runs them too.
            assert_eq!(run(engine(Kind::CkbAsm, &ruse)).output, right);
        }
    }
}
