//! The `ruse` command: arguments, terminal and exit codes. The machine is
//! made by `ruse-machine`, Linux programs are run by `ruse-linux`.

mod args;
mod confine;
mod console;
mod error;
mod escape;
mod exit;
mod host;
mod linux;
mod size;
mod ssd;
mod terminal;

use std::process::ExitCode;

use args::Command;
use error::HostError;

fn main() -> ExitCode {
    let command = match args::parse() {
        Ok(command) => command,
        Err(code) => return code,
    };
    terminal::restore_on_panic();
    init_log(&command);
    match run(command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("ruse: {error}");
            exit::of_error(&error)
        }
    }
}

fn init_log(command: &Command) {
    use std::io::Write;
    let level = match command.verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(level))
        .format(|out, record| {
            // The terminal may be raw, and then needs to be told to go left.
            let end = terminal::line_end();
            write!(out, "ruse: {}: {}{end}", record.level(), record.args())
        })
        .init();
}

fn run(command: Command) -> Result<ExitCode, HostError> {
    let confine = command.confine;
    let command = match command.program() {
        Ok((args, program)) => return linux::run(args, program, confine),
        Err(command) => *command,
    };
    let (dump_dtb, needs) = (command.dump_dtb.clone(), command.needs());
    let mut machine = command.machine()?;
    if let Some(path) = dump_dtb {
        std::fs::write(&path, machine.dtb()).map_err(|source| HostError::Write { path, source })?;
        return Ok(ExitCode::SUCCESS);
    }
    let handle = machine.handle();
    console::connect(&handle);
    let raw = terminal::Raw::enter();
    terminal::stop_on_signals(handle.clone())?;
    console::read_stdin(handle, raw.is_some());
    confine.calls(&needs)?;
    let outcome = machine.run();
    drop(raw);
    // What the guest printed last.
    drop(machine);
    Ok(exit::of_outcome(outcome?))
}
