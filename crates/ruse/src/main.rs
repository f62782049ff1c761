//! The `ruse` command: arguments, terminal and exit codes. The machine is
//! made by `ruse-machine`, Linux programs are run by `ruse-linux`.

mod args;
mod bench;
mod confine;
mod console;
mod disk;
mod error;
mod escape;
mod exit;
mod explain;
mod gdb;
mod host;
mod linux;
mod machines;
mod net;
mod record;
mod share;
mod size;
mod snapshot;
mod ssd;
mod terminal;
mod tour;
mod watch;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use args::{Command, Task};
use console::Stdout;
use error::HostError;
use machines::{End, Tee};
use ruse_machine::{ConsoleOut, Outcome};
use snapshot::Note;

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
            let line = format!("ruse: {}: {}", record.level(), record.args());
            match terminal::kept(line) {
                None => Ok(()),
                Some(line) => write!(out, "{line}{}", terminal::line_end()),
            }
        })
        .init();
}

fn run(command: Command) -> Result<ExitCode, HostError> {
    let confine = command.confine;
    match command.task() {
        Task::Program(program) => linux::run(*program, confine),
        Task::Disk(args) => disk::run(args),
        Task::Bench(args) => bench::run(*args),
        Task::Explain(args) => Ok(explain::explain(args)),
        Task::Disasm(args) => explain::disasm(args),
        Task::Tour(args) => tour::run(&args),
        Task::Manage(manage) => manage.run(machine),
        Task::Load(load) => load.run(machine),
        Task::Machine(command) => machine(*command),
    }
}

/// Builds a machine and runs it to its end.
fn machine(command: Command) -> Result<ExitCode, HostError> {
    let (confine, background) = (command.confine, command.background);
    let (dump_dtb, needs) = (command.dump_dtb.clone(), command.needs());
    if background {
        machines::leave();
    }
    let presence = command.presence()?;
    let (name, line) = (command.name.clone(), command.line.clone());
    // Before this process gives up what listening takes.
    let gdb = match command.gdb() {
        Some(gdb) if dump_dtb.is_none() => Some(gdb.open()?),
        _ => None,
    };
    let console = |screen| -> Box<dyn ConsoleOut> {
        match (&presence, screen) {
            (None, None) => Box::new(Stdout::default()),
            (None, Some(screen)) => Box::new(screen),
            (Some(presence), _) if background => Box::new(presence.hub()),
            (Some(presence), None) => Box::new(Tee(Stdout::default(), presence.hub())),
            (Some(presence), Some(screen)) => Box::new(Tee(screen, presence.hub())),
        }
    };
    let (mut machine, facts, mut watching) = command.machine(console)?;
    if let Some(path) = dump_dtb {
        std::fs::write(&path, machine.dtb()).map_err(|source| HostError::Write { path, source })?;
        return Ok(ExitCode::SUCCESS);
    }
    watching.begin(&mut machine, &facts);
    if gdb.is_some() || watching.is_live() {
        machine.remember();
    }
    let handle = machine.handle();
    let live = watching.is_live();
    let quit = Arc::<AtomicBool>::default();
    let shown = facts.clone();
    let control = match presence {
        Some(presence) => {
            let note = Note::new(name, &line, facts.recipe.clone())?;
            Some(presence.start(&machine, facts, note.pack()))
        }
        None => None,
    };
    match &control {
        _ if live => terminal::quit_on_signals(quit.clone())?,
        Some(control) => terminal::shut_down_on_signals(control.shutdown.clone())?,
        None => terminal::stop_on_signals(handle.clone())?,
    }
    let outcome;
    if live {
        handle.pace();
        let calls = || confine.calls(&needs);
        (machine, outcome) = watching.show(machine, &shown, quit, calls)?;
    } else {
        let mut raw = None;
        if background {
            handle.pace();
        } else {
            console::connect(&handle);
            raw = terminal::Raw::enter();
            if raw.is_some() {
                handle.pace();
            }
            console::read_stdin(handle, raw.is_some());
        }
        confine.calls(&needs)?;
        if background {
            machines::ready();
        }
        outcome = match gdb {
            Some(gdb) => {
                gdb.announce("VMLINUX");
                gdb.serve(&mut machine)
            }
            None => machine.run(),
        };
        drop(raw);
    }
    let outcome = outcome.and_then(|outcome| machine.end(outcome).map(|()| outcome));
    let watched = watching.finish(&machine);
    // What the guest printed last.
    drop(machine);
    if let Some(control) = control {
        control.end(match &outcome {
            Ok(Outcome::Off { code }) => End::Off(*code),
            Ok(Outcome::Stopped) => End::Stopped,
            Err(error) => End::Failed(error.to_string()),
        });
    }
    watched?;
    Ok(exit::of_outcome(outcome?))
}
