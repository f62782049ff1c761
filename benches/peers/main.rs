//! The same programs under Ruse and its peers, in turns on one host:
//! `cargo bench --bench peers -- --help`.
//!
//! Every engine runs every program as a process of its own, for a number of
//! iterations that suits its speed; time is CPU time an iteration; ratios are of the
//! samples of one round. What the engines print is compared. README.md beside this
//! folder says how to read the tables.

// Cargo sets cfg(test) for benches too, but without the harness nothing calls tests.
#![cfg_attr(test, allow(dead_code, unused_imports))]

mod args;
mod engine;
mod measure;
mod program;
mod report;
mod run;
mod setup;
mod stats;

use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser;

use args::Args;
use measure::Measurement;
use report::{Host, Report};

fn main() -> ExitCode {
    let args = Args::parse();
    match peers(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all that Ruse ran was right.
fn peers(args: &Args) -> Result<bool, String> {
    let programs = setup::programs(args)?;
    if args.list {
        programs
            .iter()
            .for_each(|program| println!("{}", program.name));
        return Ok(true);
    }
    let host = Host::read();
    let setup = setup::set_up(args, programs)?;
    setup
        .skipped
        .iter()
        .for_each(|line| eprintln!("left out: {line}"));

    // Ctrl-C ends the measurement, not the report; a second one ends that too.
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if seen.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })
    .map_err(|e| e.to_string())?;
    let mut measurement = Measurement::new(&setup, args, &stop);
    measurement.go();
    let report = Report::new(host, args, &setup, measurement.results);
    report.print(&setup.programs);
    if let Some(path) = &args.json {
        let json = report.to_json().map_err(|e| e.to_string())?;
        fs::write(path, json + "\n").map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(!report.is_bad())
}
