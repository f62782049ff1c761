//! The command line, and the machine it describes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand, ValueEnum};
use ruse_confine::Needs;
use ruse_disk::{Disk, RawDisk};
use ruse_machine::{
    Boot, Cpu, Image, Machine, MachineConfig, Port, SeededEntropy, Time, Xlen, layout,
};

use crate::confine::Confine;
use crate::console::Stdout;
use crate::error::HostError;
use crate::host::HostEntropy;
use crate::linux::{self, LinuxArgs};
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
  ruse ./hello World              a static riscv64 Linux program
  ruse --root debian:ro bash -c 'uname -a'
                                  a Linux program with its libraries
  ruse boot --kernel Image --append 'root=/dev/vda console=ttyS0' --disk root.img
  ruse boot --bios fw_dynamic.bin --kernel u-boot.bin --disk disk.img --disk seed.iso,ro

Keys, when standard input is a terminal:
  Ctrl-A X leaves, Ctrl-A A sends a Ctrl-A, Ctrl-A H shows help

Exit codes:
  0       the guest switched the machine off
  1-99    the guest's own code (99 for larger ones)
  120     the command line makes no sense
  124     the guest cannot go on: it traps or waits for ever, or it reached a
          limit such as --max-time
  125     something on the host is missing or unsuitable: a file, memory
  130     stopped by Ctrl-A X, by a signal, or because nobody reads its output

Of a Linux program the code is its own, 0 to 255, or 128 plus the number of
the signal that killed it. It may coincide with the above; then only what is
printed to standard error tells.

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

    /// Program to run, and its arguments: a riscv64 Linux program, or a
    /// bare-metal one (an ELF file for 0x80000000 and above, or raw bytes)
    /// that runs in M-mode [default: the monitor]
    #[arg(value_name = "PROGRAM", trailing_var_arg = true)]
    program: Vec<OsString>,

    /// Say more about what happens; repeat for even more
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,

    /// Before the guest runs, have this process give up all files and system
    /// calls that it does not need (on Linux, by Landlock and seccomp)
    #[arg(long, value_enum, default_value_t = Confine::Best, global = true)]
    confine: Confine,

    #[command(flatten)]
    linux: LinuxArgs,

    #[command(flatten)]
    machine: MachineArgs,
}

/// Options for machines only, by clap's names for them.
const MACHINE_OPTIONS: &[&str] = &[
    "memory", "disks", "harts", "clock", "console", "svadu", "rv32", "dump_dtb",
];

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
#[command(next_help_heading = "Machines")]
struct MachineArgs {
    /// RAM, with K, M, G or T; the host gives only what the guest touches
    #[arg(short, long, value_name = "SIZE", default_value = "1G", value_parser = size::parse)]
    memory: u64,

    /// Disk image; with `,ro` read-only. Repeat for more disks
    #[arg(short, long = "disk", value_name = "FILE[,ro]")]
    disks: Vec<DiskArg>,

    /// Harts, each on a host thread of its own (in turns on one with `--clock virtual`)
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

impl From<OsString> for DiskArg {
    fn from(text: OsString) -> Self {
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
    /// What this process is to give up.
    pub confine: Confine,
}

enum What {
    /// A Linux program, with its arguments.
    Program(Box<LinuxArgs>, Vec<OsString>),
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
    read(std::env::args_os()).map_err(|error| {
        // Where printing fails there is nobody to tell.
        let _ = error.print();
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
            _ => exit::USAGE.into(),
        }
    })
}

/// Makes sense of a command line.
fn read(line: impl IntoIterator<Item = OsString>) -> Result<Command, clap::Error> {
    use clap::{CommandFactory, FromArgMatches};
    let matches = Cli::command().try_get_matches_from(line)?;
    let cli = Cli::from_arg_matches(&matches)?;
    let given = |options: &[&'static str]| {
        options.iter().copied().find(|option| {
            matches.value_source(option) == Some(clap::parser::ValueSource::CommandLine)
        })
    };
    command(cli, given(linux::OPTIONS), given(MACHINE_OPTIONS))
}

/// An option that is not for what is to be run.
fn misplaced(option: &str, takes: &str) -> clap::Error {
    use clap::CommandFactory;
    let command = Cli::command();
    let name = command
        .get_arguments()
        .find(|arg| arg.get_id() == option)
        .and_then(|arg| arg.get_long())
        .unwrap_or(option)
        .to_owned();
    Cli::command().error(
        ErrorKind::ArgumentConflict,
        format!("--{name} is for {takes}"),
    )
}

/// `linux` and `machine` are options that were given and are only for one or
/// the other.
fn command(
    cli: Cli,
    linux: Option<&'static str>,
    machine: Option<&'static str>,
) -> Result<Command, clap::Error> {
    let (verbose, confine) = (cli.verbose, cli.confine);
    let (what, mut machine) = match cli.verb {
        None => match cli.program.first() {
            None => match linux {
                None => (What::Monitor, cli.machine),
                Some(option) => return Err(misplaced(option, "Linux programs; name one")),
            },
            Some(path) if cli.linux.is_for_linux(path) => match machine {
                None => (What::Program(Box::new(cli.linux), cli.program), cli.machine),
                Some(option) => {
                    return Err(misplaced(option, "machines, and this is a Linux program"));
                }
            },
            Some(path) => {
                if let Some(option) = linux {
                    return Err(misplaced(
                        option,
                        "Linux programs, and this is a bare-metal one",
                    ));
                }
                if cli.program.len() > 1 {
                    return Err(<Cli as clap::CommandFactory>::command().error(
                        ErrorKind::TooManyValues,
                        "a bare-metal program takes no arguments: options go before it",
                    ));
                }
                (What::Bare(path.into()), cli.machine)
            }
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
        verbose,
        confine,
        machine,
    })
}

impl Command {
    /// The Linux program that is to be run, with its arguments.
    ///
    /// # Errors
    /// The command again, if it is about a machine.
    pub fn program(self) -> Result<(LinuxArgs, Vec<OsString>), Box<Self>> {
        match self.what {
            What::Program(args, program) => Ok((*args, program)),
            what => Err(Box::new(Self { what, ..self })),
        }
    }

    /// What a machine needs of the host once its files are open.
    pub fn needs(&self) -> Needs {
        Needs::default()
    }

    /// Opens the files, gives up all others, and builds the machine.
    ///
    /// # Errors
    /// [`HostError`] if a file is missing or unsuitable, or they do not make
    /// a machine.
    pub fn machine(self) -> Result<Machine, HostError> {
        let needs = self.needs();
        let runs = self.dump_dtb.is_none();
        let args = self.machine;
        // No image larger than RAM is of use.
        let image = |path: &Path| Image::open(path, args.memory);
        let mut disks: Vec<Box<dyn Disk>> = Vec::new();
        for disk in &args.disks {
            disks.push(Box::new(RawDisk::open(&disk.path, disk.read_only)?));
        }
        let boot = match &self.what {
            What::Monitor | What::Program(..) => {
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
        // Before there are threads, which would keep what this one gives up.
        if runs {
            self.confine.files(&needs)?;
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
        let disk = DiskArg::from(OsString::from("a,b.img,ro"));
        assert!(disk.read_only && disk.path == Path::new("a,b.img"));
        let disk = DiskArg::from(OsString::from("a.img,rw"));
        assert!(!disk.read_only && disk.path == Path::new("a.img,rw"));
    }

    #[test]
    fn something_must_be_booted() {
        let parse = |line: &str| {
            let line = line.split(' ').map(OsString::from);
            read(line).map(|command| command.what)
        };
        assert!(matches!(parse("ruse"), Ok(What::Monitor)));
        assert!(matches!(parse("ruse -m 64M a.elf"), Ok(What::Bare(_))));
        assert!(parse("ruse a.elf -m 64M").is_err());
        assert!(parse("ruse boot").is_err());
        assert!(parse("ruse boot --initrd i --bios f").is_err());
        assert!(parse("ruse boot --bios f").is_ok());
        assert!(parse("ruse --memory lots").is_err());
        assert!(parse("ruse --harts 0").is_err());
    }

    #[test]
    fn what_follows_a_program_is_its_own() {
        let parse = |line: &str| read(line.split(' ').map(OsString::from));
        let program = |line| match parse(line).map(Command::program) {
            Ok(Ok((_, program))) => program
                .iter()
                .map(|arg| arg.to_str().unwrap().to_owned())
                .collect::<Vec<_>>(),
            _ => Vec::new(),
        };
        for (line, expected) in [
            ("ruse --root / sh -c exit", "sh -c exit"),
            (
                "ruse --root / -v --net sh --root -v --strace -- -m",
                "sh --root -v --strace -- -m",
            ),
            ("ruse --root / boot --help", "boot --help"),
            ("ruse --root / -- sh -m", "sh -m"),
        ] {
            assert_eq!(program(line).join(" "), expected, "{line}");
        }
        for wrong in [
            "ruse --root / --bogus sh",
            "ruse --root / -m 1G sh",
            "ruse --root / --disk x sh",
            "ruse --root /",
            "ruse --strace",
            "ruse --net a.elf",
            "ruse --root / --max-time 0 sh",
            "ruse --root / --max-memory 1 sh",
            "ruse boot --root / --kernel k",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        for line in ["ruse boot -v --bios f", "ruse boot --bios f -v"] {
            assert_eq!(parse(line).map_or(0, |c| c.verbose), 1, "{line}");
        }
    }
}
