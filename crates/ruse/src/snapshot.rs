//! Snapshots: how the machine in one is made again (`ruse load FILE`).

use std::ffi::OsString;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::Args;
use ruse_machine::Snapshot;
use serde::{Deserialize, Serialize};

use crate::error::HostError;
use crate::machines;
use crate::record::Recipe;
use crate::watch::WatchArgs;

pub const SAVE_HELP: &str = "\
The guest stands still meanwhile and notices nothing. The file holds its harts,
devices and memory (what is not zero, compressed), and what it wrote to disks
that are `,snapshot`. Other disks it does not hold: it can be loaded only while
they are what they are now. So with disks that the guest writes to, --stop.

A machine that `ruse boot` runs can be saved if it has a --name.";

pub const LOAD_HELP: &str = "\
The machine is made again as it was, with the same files at the same places,
and goes on. Its network connections are gone, and its clocks stood still but
for the time of day of its real-time clock.";

#[derive(Args)]
pub struct SaveArgs {
    /// The machine
    #[arg(value_name = "NAME", value_parser = machines::name)]
    pub machine_name: String,

    /// Where to; an older snapshot there is replaced
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Then end the machine, before it executes another instruction
    #[arg(long)]
    pub stop: bool,
}

#[derive(Args)]
pub struct LoadArgs {
    /// A snapshot that `ruse save` made
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// In the background
    #[arg(short, long)]
    pub detach: bool,

    /// Another name than it had
    #[arg(long = "name", value_name = "NAME", value_parser = machines::name)]
    pub new_name: Option<String>,

    /// Take its disks to be the same, whatever their files' times say
    #[arg(long)]
    pub trust_disks: bool,

    /// This is what --detach runs
    #[arg(long, hide = true)]
    pub background: bool,

    #[command(flatten)]
    pub watch: WatchArgs,
}

/// What is needed to make a machine again.
#[derive(Clone, Serialize, Deserialize)]
pub struct Note {
    /// What it is called, if that is not in its arguments.
    pub name: Option<String>,
    /// Where the paths start.
    pub directory: PathBuf,
    /// The arguments.
    pub line: Vec<String>,
    /// What it booted.
    pub recipe: Recipe,
}

impl Note {
    /// Of a machine of this process, which was told `line`.
    ///
    /// # Errors
    /// [`HostError`] if there is no telling it again.
    pub fn new(name: Option<String>, line: &[OsString], recipe: Recipe) -> Result<Self, HostError> {
        let text = |arg: &OsString| match arg.to_str() {
            Some(arg) => Ok(arg.to_owned()),
            None => Err(HostError::NotText(arg.into())),
        };
        let directory = std::env::current_dir().map_err(|source| HostError::Read {
            path: ".".into(),
            source,
        })?;
        Ok(Self {
            name,
            directory,
            line: line.iter().map(text).collect::<Result<_, _>>()?,
            recipe,
        })
    }

    /// As bytes.
    pub fn pack(&self) -> Vec<u8> {
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// Opens a snapshot.
    ///
    /// # Errors
    /// [`HostError`] if it is none, or of another version.
    pub fn open(path: &Path) -> Result<(Self, Snapshot), HostError> {
        let file = File::open(path).map_err(|source| HostError::Read {
            path: path.into(),
            source,
        })?;
        let (snapshot, note) = Snapshot::new(Box::new(BufReader::new(file)), path)?;
        let note = postcard::from_bytes(&note).map_err(|_| {
            HostError::Recording(format!(
                "{}: its description of the machine makes no sense to this Ruse",
                path.display()
            ))
        })?;
        Ok((note, snapshot))
    }
}

/// What a machine that is made is to become.
pub struct Restore {
    /// This.
    pub snapshot: Snapshot,
    /// From these files.
    pub recipe: Recipe,
    /// Whether its disks are taken to be the same.
    pub trust: bool,
}
