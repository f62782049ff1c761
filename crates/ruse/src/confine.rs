//! Whether and how far this process gives up what its guest must not have.

use clap::ValueEnum;
use ruse_confine::{Level, Needs};

use crate::error::HostError;

/// How strictly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Confine {
    /// As far as this host knows how to
    Best,
    /// In full, or not run at all
    Require,
    /// Not at all
    Off,
}

impl Confine {
    /// Gives up all files that are not open or needed. Threads that run
    /// already keep them.
    ///
    /// # Errors
    /// [`HostError`] if the host refuses, or knows less than is required.
    pub fn files(self, needs: &Needs) -> Result<(), HostError> {
        match self {
            Self::Off => Ok(()),
            _ => self.check("files", ruse_confine::files(needs)?),
        }
    }

    /// Gives up what system calls are not needed, in all threads.
    ///
    /// # Errors
    /// As [`Confine::files`].
    pub fn calls(self, needs: &Needs) -> Result<(), HostError> {
        match self {
            Self::Off => Ok(()),
            _ => self.check("system calls", ruse_confine::calls(needs)?),
        }
    }

    fn check(self, what: &'static str, level: Level) -> Result<(), HostError> {
        let how = match level {
            Level::Full => "in full",
            Level::Partial => "in part: the kernel is too old for more",
            Level::None => "not at all: this host cannot",
        };
        log::info!("confined to its {what} {how}");
        if self == Self::Require && level != Level::Full {
            return Err(HostError::Unconfined { what, how });
        }
        Ok(())
    }
}
