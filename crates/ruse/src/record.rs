//! Recordings: `--record FILE` and `ruse replay FILE`.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use clap::Args;
use ruse_disk::{DiskSpec, Format, Layer};
use ruse_machine::{Image, Journal, Nic, Player, Recorder, Unplugged};
use ruse_net::{NetSpec, Wire};
use ruse_share::ShareSpec;
use serde::{Deserialize, Serialize};

use crate::error::HostError;
use crate::gdb::Gdb;
use crate::watch::WatchArgs;

#[derive(Args)]
pub struct ReplayArgs {
    /// A recording that `--record` made
    #[arg(value_name = "FILE")]
    pub recording: PathBuf,

    /// Have GDB look at it, forwards and backwards (`ruse boot --help` says how)
    #[arg(long, value_name = "ADDRESS[,nowait]", num_args = 0..=1, require_equals = true,
        conflicts_with = "lies")]
    pub gdb: Option<Option<Gdb>>,

    #[command(flatten)]
    pub watch: WatchArgs,
}

/// A file that a machine booted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Booted {
    pub path: PathBuf,
    len: u64,
    sum: u32,
}

/// A disk, as it was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DiskRecipe {
    path: PathBuf,
    read_only: bool,
    qcow2: Option<bool>,
    snapshot_id: Option<String>,
    len: u64,
    /// Nanoseconds since 1970.
    modified: u128,
}

/// What has to be the same again.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Recipe {
    /// The version of Ruse that made it.
    pub ruse: String,
    /// The one program, if it is one; without a path the monitor.
    pub bare: Option<Option<Booted>>,
    pub firmware: Option<Booted>,
    pub kernel: Option<Booted>,
    pub initrd: Option<Booted>,
    pub append: String,
    pub memory: u64,
    pub harts: usize,
    pub rv32: bool,
    pub svadu: bool,
    pub virtio_console: bool,
    pub drives: Vec<DiskRecipe>,
    pub macs: Vec<[u8; 6]>,
}

fn refused(what: String) -> HostError {
    HostError::Recording(what)
}

/// A file as it is now.
fn stamp(path: &Path) -> Result<(u64, u128), HostError> {
    let facts = std::fs::metadata(path).map_err(|source| HostError::Read {
        path: path.into(),
        source,
    })?;
    let modified = facts.modified().ok();
    let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Ok((facts.len(), since.map_or(0, |since| since.as_nanos())))
}

impl Booted {
    /// What was read from `path`.
    pub fn new(path: &Path, image: &Image) -> Self {
        Self {
            path: std::path::absolute(path).unwrap_or_else(|_| path.into()),
            len: image.bytes().len() as u64,
            sum: crc32fast::hash(image.bytes()),
        }
    }

    /// Refuses another file than was recorded.
    fn check(&self, now: &Self) -> Result<(), HostError> {
        match (self.len, self.sum) == (now.len, now.sum) {
            true => Ok(()),
            false => Err(refused(format!(
                "{}: not what it was when the recording was made",
                self.path.display()
            ))),
        }
    }
}

/// What a recording cannot have.
///
/// # Errors
/// [`HostError`] that names it.
pub fn check(disks: &[DiskSpec], shares: &[ShareSpec], cards: &[NetSpec]) -> Result<(), HostError> {
    if let Some(disk) = disks
        .iter()
        .find(|disk| !disk.read_only && disk.layer != Layer::Snapshot)
    {
        return Err(refused(format!(
            "{}: --record needs disks that are the same for the replay: add `,snapshot` or `,ro`",
            disk.path.display()
        )));
    }
    if !shares.is_empty() {
        return Err(refused(
            "--share: what is in a directory of the host cannot be recorded".into(),
        ));
    }
    if cards
        .iter()
        .any(|card| matches!(card.wire, Wire::Socket(_)))
    {
        return Err(refused(
            "--net socket: cannot be recorded, --net user can".into(),
        ));
    }
    Ok(())
}

impl Recipe {
    /// Notes the disks and cards.
    ///
    /// # Errors
    /// [`HostError`] if a disk's file cannot be looked at.
    pub fn note(&mut self, disks: &[DiskSpec], nics: &[Nic]) -> Result<(), HostError> {
        for disk in disks {
            let (len, modified) = stamp(&disk.path)?;
            self.drives.push(DiskRecipe {
                path: std::path::absolute(&disk.path).unwrap_or_else(|_| disk.path.clone()),
                read_only: disk.read_only,
                qcow2: disk.format.map(|format| format == Format::Qcow2),
                snapshot_id: disk.snapshot_id.clone(),
                len,
                modified,
            });
        }
        self.macs = nics.iter().map(|nic| nic.mac).collect();
        self.ruse = env!("CARGO_PKG_VERSION").into();
        Ok(())
    }

    /// The disks, none of which is written to.
    ///
    /// # Errors
    /// [`HostError`] if one has changed since.
    pub fn disks(&self) -> Result<Vec<DiskSpec>, HostError> {
        self.drives
            .iter()
            .map(|disk| {
                if stamp(&disk.path)? != (disk.len, disk.modified) {
                    return Err(refused(format!(
                        "{}: has been written to since the recording was made",
                        disk.path.display()
                    )));
                }
                let mut spec = DiskSpec::new(disk.path.clone());
                spec.read_only = disk.read_only;
                if !disk.read_only {
                    spec.layer = Layer::Snapshot;
                }
                spec.format = disk.qcow2.map(|qcow2| match qcow2 {
                    true => Format::Qcow2,
                    false => Format::Raw,
                });
                spec.snapshot_id = disk.snapshot_id.clone();
                Ok(spec)
            })
            .collect()
    }

    /// The cards, which are connected to nothing.
    pub fn nics(&self) -> Vec<Nic> {
        let nic = |mac: &[u8; 6]| Nic {
            mac: *mac,
            network: Box::new(Unplugged),
        };
        self.macs.iter().map(nic).collect()
    }

    /// Refuses other files than were recorded.
    ///
    /// # Errors
    /// [`HostError`] that names the first.
    pub fn check(&self, now: &Self) -> Result<(), HostError> {
        let pairs = [
            (self.bare.as_ref(), now.bare.as_ref()),
            (Some(&self.firmware), Some(&now.firmware)),
            (Some(&self.kernel), Some(&now.kernel)),
            (Some(&self.initrd), Some(&now.initrd)),
        ];
        for pair in pairs {
            if let (Some(Some(then)), Some(Some(now))) = pair {
                then.check(now)?;
            }
        }
        Ok(())
    }

    /// Begins a recording of this machine.
    ///
    /// # Errors
    /// [`HostError`] if the file cannot be written.
    pub fn record(&self, path: &Path) -> Result<Journal, HostError> {
        let file = File::create(path).map_err(|source| HostError::Write {
            path: path.into(),
            source,
        })?;
        let header = postcard::to_allocvec(self).unwrap_or_default();
        let recorder = Recorder::new(Box::new(BufWriter::new(file)), path, &header);
        Ok(Journal::record(
            recorder.map_err(ruse_machine::MachineError::from)?,
        ))
    }

    /// Opens a recording.
    ///
    /// # Errors
    /// [`HostError`] if it is none, or of another version.
    pub fn open(path: &Path) -> Result<(Self, Journal), HostError> {
        let file = File::open(path).map_err(|source| HostError::Read {
            path: path.into(),
            source,
        })?;
        let player = Player::new(Box::new(BufReader::new(file)), path);
        let (player, header) = player.map_err(ruse_machine::MachineError::from)?;
        let recipe: Self = postcard::from_bytes(&header).map_err(|_| {
            refused(format!(
                "{}: its description of the machine makes no sense to this Ruse",
                path.display()
            ))
        })?;
        let this = env!("CARGO_PKG_VERSION");
        if recipe.ruse != this {
            return Err(refused(format!(
                "{}: made by Ruse {}, and this is {this}; replay it with that one",
                path.display(),
                recipe.ruse
            )));
        }
        Ok((recipe, Journal::replay(player)))
    }
}
