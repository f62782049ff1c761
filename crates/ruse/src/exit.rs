//! Exit codes. `ruse --help` documents them.

use std::process::ExitCode;

use ruse_machine::{MachineError, Outcome};

use crate::error::HostError;
use crate::machines::FileError;

/// The highest code that a guest of its own gives.
pub const GUEST_MAX: u8 = 99;
/// The command line makes no sense.
pub const USAGE: u8 = 120;
/// The guest cannot go on.
pub const STUCK: u8 = 124;
/// Something on the host is missing or unsuitable.
pub const HOST: u8 = 125;
/// Somebody stopped the machine.
pub const STOPPED: u8 = 130;

/// The code for how a run ended.
pub fn of_outcome(outcome: Outcome) -> ExitCode {
    match outcome {
        Outcome::Off { code } => {
            let clipped = code.min(u32::from(GUEST_MAX)) as u8;
            if u32::from(clipped) != code {
                eprintln!("ruse: the guest's exit code is {code}");
            }
            clipped.into()
        }
        Outcome::Stopped => STOPPED.into(),
    }
}

/// The code for how a Linux program ended, as a shell gives it.
pub fn of_program(outcome: ruse_linux::Outcome) -> ExitCode {
    use ruse_linux::Outcome;
    match outcome {
        Outcome::Exited(code) => code.into(),
        Outcome::Killed(signal) => (128 + (signal & 0x7f) as u8).into(),
        Outcome::Limit(_) => STUCK.into(),
    }
}

/// The code for why there was no run, or none to its end.
pub fn of_error(error: &HostError) -> ExitCode {
    match error {
        HostError::Machine(MachineError::Lockup { .. } | MachineError::WaitsForEver) => {
            STUCK.into()
        }
        HostError::File(FileError::Content { .. }) => USAGE.into(),
        HostError::Described { source, .. } => of_error(source),
        _ => HOST.into(),
    }
}
