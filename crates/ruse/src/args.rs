//! The command line, and the machine it describes.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand, ValueEnum};
use ruse_disk::{Disk, RawDisk};
use ruse_machine::{
    Boot, Cpu, Image, Machine, MachineConfig, Port, SeededEntropy, Time, Xlen, layout,
};

use crate::console::Stdout;
use crate::error::HostError;
use crate::host::HostEntropy;
use crate::{exit, size, ssd};

/// What `ruse` boots when it is told nothing.
const MONITOR: &[u8] = include_bytes!("../../../roms/monitor/monitor.elf");

/// Instructions in a tick of 100 ns under the virtual clock: 1 GIPS.
const PER_TICK: u64 = 100;
/// The time of day at which the virtual clock starts: 2026-01-01 00:00 UTC.
const EPOCH_NANOS: u64 = 1_767_225_600_000_000_000;

const EXAMPLES: &str = "\
Examples:
  ruse                            a monitor with a 50 GB SSD; type `help`
  ruse hello.elf                  a bare-metal program, 32 or 64 bits
  ruse boot --kernel Image --append 'root=/dev/vda console=ttyS0' --disk root.img
  ruse boot --bios fw_dynamic.bin --kernel u-boot.bin --disk disk.img --disk seed.iso,ro

Keys, when standard input is a terminal:
  Ctrl-A X leaves, Ctrl-A A sends a Ctrl-A, Ctrl-A H shows help

Exit codes:
  0       the guest switched the machine off
  1-99    the guest's own code (99 for larger ones)
  120     the command line makes no sense
  124     the guest cannot go on: it traps or waits for ever
  125     something on the host is missing or unsuitable: a file, memory
  130     stopped by Ctrl-A X, by a signal, or because nobody reads its output

Environment:
  RUSE_HOME   directory of the SSD of a machine without --disk
              (default: ruse in the user's data directory, such as ~/.local/share)
  RUST_LOG    what to log, instead of -v";

/// A RISC-V virtual machine.
#[derive(Parser)]
#[command(name = "ruse", version, after_help = EXAMPLES, max_term_width = 100)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,

    /// Bare-metal program to run in M-mode: an ELF file, or raw bytes for
    /// 0x80000000 [default: the monitor]
    #[arg(value_name = "FILE")]
    program: Option<PathBuf>,

    #[command(flatten)]
    machine: MachineArgs,
}

#[derive(Subcommand)]
enum Verb {
    /// Boot an operating system
    #[command(after_help = EXAMPLES)]
    Boot(BootArgs),
}

#[derive(Args)]
struct BootArgs {
    /// Firmware: `builtin`, or a file such as OpenSBI's fw_dynamic or fw_jump
    #[arg(long, value_name = "FILE|builtin", default_value = "builtin")]
    bios: PathBuf,

    /// Kernel: a Linux Image (also gzipped), an ELF file, or a flat binary
    /// such as u-boot.bin
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,

    /// Initial RAM disk
    #[arg(long, value_name = "FILE", requires = "kernel")]
    initrd: Option<PathBuf>,

    /// Kernel command line
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    append: String,

    #[command(flatten)]
    machine: MachineArgs,
}

#[derive(Args)]
struct MachineArgs {
    /// RAM, with K, M, G or T; the host gives only what the guest touches
    #[arg(short, long, value_name = "SIZE", default_value = "1G", value_parser = size::parse)]
    memory: u64,

    /// Disk image; with `,ro` read-only. Repeat for more disks
    #[arg(short, long = "disk", value_name = "FILE[,ro]")]
    disks: Vec<DiskArg>,

    /// Harts
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = harts)]
    harts: usize,

    /// Where time comes from
    #[arg(long, value_enum, default_value_t = Clock::Host)]
    clock: Clock,

    /// Device that input goes to
    #[arg(long, value_enum, default_value_t = Console::Uart)]
    console: Console,

    /// Have hardware update the A and D bits of page tables where the guest
    /// allows it
    #[arg(long)]
    svadu: bool,

    /// 32-bit harts; without it as the boot image says, else 64
    #[arg(long)]
    rv32: bool,

    /// Write the device tree to a file, and run nothing
    #[arg(long, value_name = "FILE")]
    dump_dtb: Option<PathBuf>,

    /// Say more about what happens; repeat for even more
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Clone, Copy, ValueEnum)]
enum Clock {
    /// A second is a second
    Host,
    /// Counts instructions: the same run every time
    Virtual,
}

#[derive(Clone, Copy, ValueEnum)]
enum Console {
    /// The serial port
    Uart,
    /// A virtio console besides
    Virtio,
}

/// A disk image and how to open it.
#[derive(Clone)]
struct DiskArg {
    path: PathBuf,
    read_only: bool,
}

impl From<std::ffi::OsString> for DiskArg {
    fn from(text: std::ffi::OsString) -> Self {
        // A path that is no text has no `,ro` that we could find.
        let stripped = text.to_str().and_then(|text| text.strip_suffix(",ro"));
        match stripped {
            Some(path) => Self {
                path: path.into(),
                read_only: true,
            },
            None => Self {
                path: text.into(),
                read_only: false,
            },
        }
    }
}

fn harts(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|harts| (1..=layout::MAX_HARTS).contains(harts))
        .ok_or_else(|| format!("not a number from 1 to {}", layout::MAX_HARTS))
}

/// What to do.
pub struct Command {
    what: What,
    machine: MachineArgs,
    /// Where to write the device tree to, if that is all.
    pub dump_dtb: Option<PathBuf>,
    /// How much to say.
    pub verbose: u8,
}

enum What {
    /// The monitor.
    Monitor,
    /// A bare-metal program.
    Bare(PathBuf),
    /// An operating system, with its firmware unless that is built in.
    System {
        firmware: Option<PathBuf>,
        kernel: Option<PathBuf>,
        initrd: Option<PathBuf>,
        cmdline: String,
    },
}

/// Reads the command line. Help and errors are printed here.
///
/// # Errors
/// The exit code, when there is nothing to do.
pub fn parse() -> Result<Command, ExitCode> {
    Cli::try_parse().and_then(command).map_err(|error| {
        // Where printing fails there is nobody to tell.
        let _ = error.print();
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
            _ => exit::USAGE.into(),
        }
    })
}

fn command(cli: Cli) -> Result<Command, clap::Error> {
    let (what, mut machine) = match cli.verb {
        None => match cli.program {
            None => (What::Monitor, cli.machine),
            Some(path) => (What::Bare(path), cli.machine),
        },
        Some(Verb::Boot(boot)) => {
            let firmware = (boot.bios != Path::new("builtin")).then_some(boot.bios);
            if firmware.is_none() && boot.kernel.is_none() {
                return Err(<Cli as clap::CommandFactory>::command().error(
                    ErrorKind::MissingRequiredArgument,
                    "nothing to boot: give --kernel FILE, or firmware with --bios FILE",
                ));
            }
            let what = What::System {
                firmware,
                kernel: boot.kernel,
                initrd: boot.initrd,
                cmdline: boot.append,
            };
            (what, boot.machine)
        }
    };
    Ok(Command {
        what,
        dump_dtb: machine.dump_dtb.take(),
        verbose: machine.verbose,
        machine,
    })
}

impl Command {
    /// Opens the files and builds the machine.
    ///
    /// # Errors
    /// [`HostError`] if a file is missing or unsuitable, or they do not make
    /// a machine.
    pub fn machine(self) -> Result<Machine, HostError> {
        let args = self.machine;
        // No image larger than RAM is of use.
        let image = |path: &Path| Image::open(path, args.memory);
        let mut disks: Vec<Box<dyn Disk>> = Vec::new();
        for disk in &args.disks {
            disks.push(Box::new(RawDisk::open(&disk.path, disk.read_only)?));
        }
        let boot = match &self.what {
            What::Monitor => {
                if disks.is_empty() && self.dump_dtb.is_none() {
                    disks.push(Box::new(ssd::open()?));
                }
                let image = Image::new("monitor", MONITOR);
                Boot::Bare { image }
            }
            What::Bare(path) => Boot::Bare {
                image: image(path)?,
            },
            What::System {
                firmware,
                kernel,
                initrd,
                cmdline,
            } => {
                let kernel = kernel.as_deref().map(image).transpose()?;
                let initrd = initrd.as_deref().map(image).transpose()?;
                let cmdline = cmdline.clone();
                match (firmware, kernel) {
                    (None, Some(kernel)) => Boot::Sbi {
                        kernel,
                        initrd,
                        cmdline,
                    },
                    (firmware, kernel) => Boot::Firmware {
                        firmware: image(firmware.as_deref().unwrap_or(Path::new("builtin")))?,
                        kernel,
                        initrd,
                        cmdline,
                    },
                }
            }
        };
        let mut config = MachineConfig::new(boot);
        config.cpu = Cpu {
            xlen: args.rv32.then_some(Xlen::Rv32),
            harts: args.harts,
            svadu: args.svadu,
        };
        config.memory = args.memory;
        config.disks = disks;
        config.port = match args.console {
            Console::Uart => Port::Uart,
            Console::Virtio => Port::Virtio,
        };
        config.console = Box::new(Stdout::default());
        match args.clock {
            Clock::Host => config.entropy = Box::new(HostEntropy::new()?),
            Clock::Virtual => {
                config.entropy = Box::new(SeededEntropy::new(0));
                config.time = Time::Virtual {
                    instructions_per_tick: PER_TICK,
                    epoch_nanos: EPOCH_NANOS,
                };
            }
        }
        Ok(Machine::new(config)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn a_disk_is_writable_unless_it_says_ro() {
        let disk = DiskArg::from(std::ffi::OsString::from("a,b.img,ro"));
        assert!(disk.read_only && disk.path == Path::new("a,b.img"));
        let disk = DiskArg::from(std::ffi::OsString::from("a.img,rw"));
        assert!(!disk.read_only && disk.path == Path::new("a.img,rw"));
    }

    #[test]
    fn something_must_be_booted() {
        let parse = |line: &str| {
            Cli::try_parse_from(line.split(' '))
                .and_then(command)
                .map(|command| command.what)
        };
        assert!(matches!(parse("ruse"), Ok(What::Monitor)));
        assert!(matches!(parse("ruse a.elf -m 64M"), Ok(What::Bare(_))));
        assert!(parse("ruse boot").is_err());
        assert!(parse("ruse boot --initrd i --bios f").is_err());
        assert!(parse("ruse boot --bios f").is_ok());
        assert!(parse("ruse --memory lots").is_err());
        assert!(parse("ruse --harts 0").is_err());
    }
}
