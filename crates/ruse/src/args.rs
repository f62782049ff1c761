//! The command line, and the machine it describes.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand, ValueEnum};
use ruse_confine::Needs;
use ruse_disk::{Disk, DiskSpec};
use ruse_machine::{
    Boot, ConsoleOut, Cpu, Image, Journal, Machine, MachineConfig, Port, Recorder, SeededEntropy,
    Time, Xlen, layout,
};
use ruse_share::ShareSpec;
use ruse_tui::Screen;

use crate::bench::{self, BenchArgs};
use crate::confine::Confine;
use crate::disk::DiskArgs;
use crate::error::HostError;
use crate::explain::{DisasmArgs, ExplainArgs};
use crate::gdb::Gdb;
use crate::host::HostEntropy;
use crate::linux::{self, LinuxArgs};
use crate::machines::{self, DiskFacts, Facts, FileError, Options, Presence, Stop};
use crate::net::NetArgs;
use crate::record::{self, Booted, Recipe, ReplayArgs};
use crate::snapshot::{LOAD_HELP, LoadArgs, Note, Restore, SAVE_HELP, SaveArgs};
use crate::tour::TourArgs;
use crate::watch::{WatchArgs, Watching};
use crate::{exit, share, size, ssd};

/// What `ruse` boots when it is told nothing.
const MONITOR: &[u8] = include_bytes!("../../../roms/monitor/monitor.elf");

/// Instructions in a tick of 100 ns under the virtual clock: 1 GIPS.
const PER_TICK: u64 = 100;
/// The time of day at which the virtual clock starts: 2026-01-01 00:00 UTC.
const EPOCH_NANOS: u64 = 1_767_225_600_000_000_000;

const EXAMPLES: &str = "\
Examples:
  ruse                            a tour in seven lessons
  ruse monitor                    a small program with a 50 GB SSD; type `help`
  ruse hello.elf                  a bare-metal program, 32 or 64 bits
  ruse ./hello World              a static riscv64 Linux program
  ruse --root debian:ro bash -c 'uname -a'
                                  a Linux program with its libraries
  ruse boot --kernel Image --append 'root=/dev/vda console=ttyS0' --disk root.img
  ruse boot --kernel Image --append 'root=/dev/vda console=ttyS0' --disk root.img \
            --forward 8081:80   its web server is http://127.0.0.1:8081/
  ruse boot --bios fw_dynamic.bin --kernel u-boot.bin --disk disk.img --disk seed.iso,ro
  ruse up a.toml b.toml           two machines in the background
  ruse ps; ruse console a; ruse stop a b
  ruse save a a.snap --stop; ruse load a.snap
  ruse explain 0x00c58533         what an instruction's bits mean
  ruse explain csr mstatus=0xa00006820
  ruse bench --quick              what a virtual machine costs here

Keys, when standard input is a terminal:
  Ctrl-A X leaves, Ctrl-A B sends a break (SysRq), Ctrl-A A sends a Ctrl-A,
  Ctrl-A H shows help

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
  XDG_RUNTIME_DIR, XDG_STATE_HOME
              where machines with names have their sockets and logs
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

    /// Share a file or directory. A Linux program sees it under the same path
    /// or as GUEST; a machine mounts a directory by its tag (`ruse boot --help`
    /// says how). With `ro` it is read-only. Repeat for more
    #[arg(long = "share", value_name = "PATH[=GUEST][:ro]|DIR[,ro][,tag=TAG]")]
    shares: Vec<OsString>,

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
    "memory", "disks", "harts", "clock", "console", "svadu", "rv32", "dump_dtb", "lies", "paused",
    "shot", "profile", "record",
];

#[derive(Subcommand)]
enum Verb {
    /// Boot an operating system
    #[command(after_help = EXAMPLES)]
    Boot(Box<BootArgs>),
    /// Start machines that files describe
    #[command(after_help = UP_HELP)]
    Up(UpArgs),
    /// Seven short lessons on how a machine is faked (what `ruse` alone does)
    Tour(TourArgs),
    /// A small program alone on a machine with a 50 GB SSD; type `help`
    Monitor(Box<MachineArgs>),
    /// Write all that a running machine is to a file
    #[command(after_help = SAVE_HELP)]
    Save(SaveArgs),
    /// Have a machine that was saved go on
    #[command(after_help = LOAD_HELP)]
    Load(Box<LoadArgs>),
    /// Do a recorded run again
    Replay(Box<ReplayArgs>),
    /// Make, describe, check and convert disk images
    Disk(DiskArgs),
    /// List this user's running machines that have names
    #[command(after_help = PS_HELP)]
    Ps(PsArgs),
    /// Connect the terminal to a machine's console
    #[command(after_help = CONSOLE_HELP)]
    Console(ConsoleArgs),
    /// Have machines switch off: by the power button, then by SysRq, then by
    /// pulling the plug
    #[command(after_help = STOP_HELP)]
    Stop(StopArgs),
    /// Say what the bits of an instruction, a CSR or a page-table entry mean
    Explain(ExplainArgs),
    /// List the code of an ELF file
    Disasm(DisasmArgs),
    /// Measure what a virtual machine costs here
    #[command(after_help = bench::HELP)]
    Bench(Box<BenchArgs>),
}

const UP_HELP: &str = "\
A file is in TOML and gives the options of `ruse boot`, by their long names.
Those that may be repeated have a plural name and take a list. Relative paths
start at the file's directory, and the name is the file's if it gives none.

  name = \"web\"
  memory = \"1G\"
  harts = 2
  kernel = \"Image\"
  initrd = \"initrd.img\"
  append = \"root=/dev/vda rw console=ttyS0 quiet\"
  disks = [\"debian.img\", \"data.img,ro\"]

A machine in the background writes its console to ruse/NAME.console.log in the
user's state directory (such as ~/.local/state), unless the file gives a
`console-log`, and what else there is to say to NAME.log there.";

const PS_HELP: &str = "\
MEMORY and DISKS are what the host holds, of what the guest sees; CPU is the
process's time on all cores. A machine that does not answer is `silent`.";

const CONSOLE_HELP: &str = "\
Keys: Ctrl-A X leaves, and the machine runs on; Ctrl-A B sends a break (SysRq);
Ctrl-A A sends a Ctrl-A; Ctrl-A H shows help.";

const STOP_HELP: &str = "\
Exit codes: 0 if the guests switched off (or with --kill); 124 if the plug of
one had to be pulled; 125 if one does not run.";

#[derive(Args)]
struct UpArgs {
    /// Files that describe a machine each
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// In the background; several always are
    #[arg(short, long)]
    detach: bool,
}

#[derive(Args)]
struct PsArgs {
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct ConsoleArgs {
    /// The machine
    #[arg(value_name = "NAME", value_parser = machines::name)]
    machine_name: String,
}

#[derive(Args)]
struct StopArgs {
    /// The machines
    #[arg(value_name = "NAME", required = true, value_parser = machines::name)]
    names: Vec<String>,

    /// How long a guest may take to react to its power button
    #[arg(long, value_name = "SECONDS", default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(..=86_400))]
    timeout: u64,

    /// Pull the plug at once, without asking the guest
    #[arg(long)]
    kill: bool,
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

    /// Name under which `ruse ps`, `console` and `stop` find the machine
    #[arg(long, value_name = "NAME", value_parser = machines::name)]
    name: Option<String>,

    /// Write what the guest prints to a file too, and what is older than the
    /// last 8 MiB to FILE.old
    #[arg(long, value_name = "FILE")]
    console_log: Option<PathBuf>,

    /// This is what `ruse up --detach` runs
    #[arg(long, hide = true, requires = "name")]
    background: bool,

    /// Share a directory, which the guest mounts by its tag: the directory's
    /// name, or the given one. `mount -t 9p -o trans=virtio,version=9p2000.L
    /// TAG /mnt`. With `ro` it is read-only. Repeat for more
    #[arg(long = "share", value_name = "DIR[,ro][,tag=TAG]")]
    shares: Vec<OsString>,

    #[command(flatten)]
    net: NetArgs,

    #[command(flatten)]
    machine: MachineArgs,
}

#[derive(Args)]
#[command(next_help_heading = "Machines")]
struct MachineArgs {
    /// RAM, with K, M, G or T; the host gives only what the guest touches
    #[arg(short, long, value_name = "SIZE", default_value = "1G", value_parser = size::parse)]
    memory: u64,

    /// Disk image, raw or qcow2. Repeat for more disks. Options after it:
    /// `,ro` read-only; `,overlay` writes go to FILE.overlay.qcow2, which is
    /// made on first use and stays; `,snapshot` writes go to a temporary file
    /// and are gone in the end; `,format=raw` or `,format=qcow2` instead of by
    /// the name; `,snapshot-id=NAME` shows a snapshot in a qcow2 image
    #[arg(short, long = "disk", value_name = "FILE[,OPTIONS]",
        value_parser = clap::builder::OsStringValueParser::new().try_map(DiskSpec::try_from))]
    disks: Vec<DiskSpec>,

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

    /// Under the virtual clock, write all that comes from outside to a file: what is
    /// typed, and frames of networks. `ruse replay FILE` does the same run again, bit for
    /// bit. Disks must be `,snapshot` or `,ro`
    #[arg(long, value_name = "FILE", conflicts_with = "dump_dtb")]
    record: Option<PathBuf>,

    /// Have GDB debug the guest, which waits for it before its first instruction;
    /// `monitor help` in GDB says what there is besides. Without ADDRESS at
    /// 127.0.0.1:1234; else `[HOST:]PORT` or `unix:PATH`; with `,nowait` the guest runs
    /// until somebody connects
    #[arg(long, value_name = "ADDRESS[,nowait]", num_args = 0..=1, require_equals = true,
        conflicts_with_all = ["lies", "dump_dtb"])]
    gdb: Option<Option<Gdb>>,

    #[command(flatten)]
    watch: WatchArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum Clock {
    /// A second is a second
    Host,
    /// Counts instructions: the same run every time. Who sleeps need not wait, unless
    /// there is a terminal or a network
    Virtual,
}

#[derive(Clone, Copy, ValueEnum)]
enum Console {
    /// The serial port
    Uart,
    /// A virtio console besides
    Virtio,
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
    /// Directories that a machine mounts.
    shares: Vec<ShareSpec>,
    /// Where to write the device tree to, if that is all.
    pub dump_dtb: Option<PathBuf>,
    /// How much to say.
    pub verbose: u8,
    /// What this process is to give up.
    pub confine: Confine,
    /// By which others find the machine.
    pub name: Option<String>,
    console_log: Option<PathBuf>,
    /// What is to be done again.
    replay: Option<(Recipe, Journal)>,
    /// What the machine is to become.
    restore: Option<Restore>,
    /// The command line, but for the program's name.
    pub line: Vec<OsString>,
    /// Whether this process has no terminal, and somebody waits to hear that
    /// its machine runs.
    pub background: bool,
}

/// What to do with machines that have names.
pub enum Manage {
    /// Start them.
    Up {
        /// Their files.
        files: Vec<PathBuf>,
        /// Whether in the background.
        detach: bool,
        /// As on the command line.
        verbose: u8,
        /// As on the command line, if it says something.
        confine: Option<Confine>,
    },
    /// List them, perhaps as JSON.
    List(bool),
    /// Attach to one.
    Attach(String),
    /// Stop them.
    Stop(Stop),
    /// Write one to a file.
    Save(SaveArgs),
}

/// A snapshot that is to go on.
pub struct Load {
    args: LoadArgs,
    verbose: u8,
    /// As on the command line, if it says something.
    confine: Option<Confine>,
}

/// A Linux program that is to be run.
pub struct Program {
    /// How.
    pub options: LinuxArgs,
    /// How it is watched.
    pub watch: WatchArgs,
    /// Where a debugger connects.
    pub gdb: Option<Gdb>,
    /// What it sees of the host.
    pub shares: Vec<OsString>,
    /// Its path and arguments.
    pub command: Vec<OsString>,
}

/// What there is to do.
pub enum Task {
    /// Show the tour.
    Tour(TourArgs),
    /// Run a Linux program.
    Program(Box<Program>),
    /// Do something with disk images.
    Disk(DiskArgs),
    /// Measure what machines cost.
    Bench(Box<BenchArgs>),
    /// Explain bits.
    Explain(ExplainArgs),
    /// List a program.
    Disasm(DisasmArgs),
    /// Do something with machines that have names.
    Manage(Manage),
    /// Have a saved machine go on.
    Load(Box<Load>),
    /// Run a machine in this process.
    Machine(Box<Command>),
}

enum What {
    /// The tour.
    Tour(TourArgs),
    /// A recording.
    Replay(PathBuf),
    /// A snapshot.
    Load(Box<Load>),
    /// Costs are to be measured.
    Bench(Box<BenchArgs>),
    /// Bits are to be explained.
    Explain(ExplainArgs),
    /// A program is to be listed.
    Disasm(DisasmArgs),
    /// Something about machines with names.
    Manage(Manage),
    /// Something about disk images.
    Disk(DiskArgs),
    /// A Linux program.
    Program(Box<Program>),
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
        net: NetArgs,
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
    let line: Vec<OsString> = line.into_iter().collect();
    let matches = Cli::command().try_get_matches_from(&line)?;
    let cli = Cli::from_arg_matches(&matches)?;
    let given = |options: &[&'static str]| {
        options.iter().copied().find(|option| {
            matches.value_source(option) == Some(clap::parser::ValueSource::CommandLine)
        })
    };
    let mut command = command(cli, given(linux::OPTIONS), given(MACHINE_OPTIONS))?;
    command.line = line.into_iter().skip(1).collect();
    Ok(command)
}

/// The command whose options describe a machine.
pub fn boot_command() -> clap::Command {
    use clap::CommandFactory;
    let mut command = Cli::command();
    // Hands down the options that all commands have.
    command.build();
    match command.find_subcommand("boot") {
        Some(boot) => boot.clone(),
        None => command,
    }
}

/// The command that a machine file stands for. What the command line says
/// goes before what the file does.
///
/// # Errors
/// [`FileError`] if its options make no sense.
pub fn boot(
    options: &Options,
    verbose: u8,
    confine: Option<Confine>,
) -> Result<Command, FileError> {
    let mut line: Vec<OsString> = vec!["ruse".into(), "boot".into()];
    line.extend(options.args.iter().cloned());
    let mut command = read(line).map_err(|error| options.wrong(&error))?;
    command.verbose = verbose;
    command.confine = confine.unwrap_or(command.confine);
    Ok(command)
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
    let (mut name, mut console_log, mut background) = (None, None, false);
    let mut shares = cli.shares;
    let (what, mut machine) = match cli.verb {
        None => match cli.program.first() {
            None => match linux {
                // Who wants a machine says something about it.
                None if machine.is_none() && !cli.machine.watch.is_given() && shares.is_empty() => {
                    (What::Tour(TourArgs::default()), cli.machine)
                }
                None => (What::Monitor, cli.machine),
                Some(option) => return Err(misplaced(option, "Linux programs; name one")),
            },
            Some(path) if cli.linux.is_for_linux(path) => match machine {
                None => {
                    let mut options = cli.linux;
                    options.stats = cli.machine.watch.stats;
                    let program = Program {
                        options,
                        watch: cli.machine.watch.clone(),
                        gdb: cli.machine.gdb.clone().map(Option::unwrap_or_default),
                        shares: std::mem::take(&mut shares),
                        command: cli.program,
                    };
                    (What::Program(Box::new(program)), cli.machine)
                }
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
        Some(Verb::Tour(args)) => (What::Tour(args), cli.machine),
        Some(Verb::Monitor(machine)) => (What::Monitor, *machine),
        Some(Verb::Replay(args)) => {
            let mut machine = cli.machine;
            machine.clock = Clock::Virtual;
            machine.watch = args.watch;
            machine.gdb = args.gdb;
            (What::Replay(args.recording), machine)
        }
        Some(Verb::Save(args)) => (What::Manage(Manage::Save(args)), cli.machine),
        Some(Verb::Load(args)) => {
            let load = Load {
                args: *args,
                verbose,
                confine: (confine != Confine::Best).then_some(confine),
            };
            (What::Load(Box::new(load)), cli.machine)
        }
        Some(Verb::Bench(args)) => (What::Bench(args), cli.machine),
        Some(Verb::Explain(args)) => (What::Explain(args), cli.machine),
        Some(Verb::Disasm(args)) => (What::Disasm(args), cli.machine),
        Some(Verb::Boot(boot)) => {
            let boot = *boot;
            let firmware = (boot.bios != Path::new("builtin")).then_some(boot.bios);
            if firmware.is_none() && boot.kernel.is_none() {
                return Err(<Cli as clap::CommandFactory>::command().error(
                    ErrorKind::MissingRequiredArgument,
                    "nothing to boot: give --kernel FILE, or firmware with --bios FILE",
                ));
            }
            (name, console_log, background) = (boot.name, boot.console_log, boot.background);
            let what = What::System {
                firmware,
                kernel: boot.kernel,
                initrd: boot.initrd,
                cmdline: boot.append,
                net: boot.net,
            };
            shares = boot.shares;
            (what, boot.machine)
        }
        Some(Verb::Up(up)) => {
            let manage = Manage::Up {
                detach: up.detach || up.files.len() > 1,
                files: up.files,
                verbose,
                confine: (confine != Confine::Best).then_some(confine),
            };
            (What::Manage(manage), cli.machine)
        }
        Some(Verb::Disk(disk)) => (What::Disk(disk), cli.machine),
        Some(Verb::Ps(ps)) => (What::Manage(Manage::List(ps.json)), cli.machine),
        Some(Verb::Console(console)) => {
            let manage = Manage::Attach(console.machine_name);
            (What::Manage(manage), cli.machine)
        }
        Some(Verb::Stop(stop)) => {
            let manage = Manage::Stop(Stop {
                names: stop.names,
                timeout: stop.timeout,
                kill: stop.kill,
            });
            (What::Manage(manage), cli.machine)
        }
    };
    if machine.record.is_some() {
        machine.clock = Clock::Virtual;
    }
    Ok(Command {
        what,
        shares: share_specs(shares)?,
        dump_dtb: machine.dump_dtb.take(),
        verbose,
        confine,
        name,
        console_log,
        replay: None,
        restore: None,
        line: Vec::new(),
        background,
        machine,
    })
}

/// Directories for a machine.
fn share_specs(shares: Vec<OsString>) -> Result<Vec<ShareSpec>, clap::Error> {
    let spec = |share| {
        ShareSpec::parse(share).map_err(|error| {
            let text = format!("--share: {error}");
            <Cli as clap::CommandFactory>::command().error(ErrorKind::ValueValidation, text)
        })
    };
    shares.into_iter().map(spec).collect()
}

impl Manage {
    /// Does it. `run` is for a machine of this process's own.
    ///
    /// # Errors
    /// [`HostError`] of the first machine with which something is wrong.
    pub fn run(
        self,
        run: impl FnOnce(Command) -> Result<ExitCode, HostError>,
    ) -> Result<ExitCode, HostError> {
        match self {
            Self::List(json) => machines::list(json),
            Self::Attach(name) => machines::attach(&name),
            Self::Stop(stop) => machines::stop(&stop),
            Self::Save(args) => machines::save(&args.machine_name, &args.file, args.stop),
            Self::Up {
                files,
                detach,
                verbose,
                confine,
            } => {
                // All of them are read before one is started.
                let command = boot_command();
                let mut described = Vec::new();
                for file in &files {
                    let options = Options::read(file, &command)?;
                    let command = boot(&options, verbose, confine)?;
                    described.push((options, command));
                }
                if detach {
                    return up(&described, verbose, confine);
                }
                let Some((options, command)) = described.pop() else {
                    return Ok(ExitCode::SUCCESS);
                };
                let in_file = |source| HostError::Described {
                    file: options.path.clone(),
                    source: Box::new(source),
                };
                let directory = options.directory();
                std::env::set_current_dir(directory).map_err(|source| {
                    in_file(HostError::Read {
                        path: directory.into(),
                        source,
                    })
                })?;
                run(command).map_err(in_file)
            }
        }
    }
}

impl Load {
    /// Makes the machine again and has it go on. `run` is for this process.
    ///
    /// # Errors
    /// [`HostError`] if the snapshot is none, or its machine cannot be made.
    pub fn run(
        self,
        run: impl FnOnce(Command) -> Result<ExitCode, HostError>,
    ) -> Result<ExitCode, HostError> {
        let Self {
            args,
            verbose,
            confine,
        } = self;
        let (note, snapshot) = Note::open(&args.file)?;
        let nonsense = |error: &clap::Error| {
            HostError::Recording(format!(
                "{}: its description of the machine makes no sense to this Ruse: {}",
                args.file.display(),
                error.to_string().trim_end()
            ))
        };
        let line = std::iter::once("ruse".into());
        let line = line.chain(note.line.iter().map(OsString::from));
        let mut command = read(line).map_err(|error| nonsense(&error))?;
        command.name = args.new_name.or(note.name).or(command.name);
        if args.detach && !args.background {
            let Some(name) = command.name else {
                return Err(HostError::Recording(
                    "a machine in the background needs a --name".into(),
                ));
            };
            let file = std::path::absolute(&args.file).unwrap_or(args.file);
            let mut line: Vec<OsString> = vec!["load".into(), "--background".into()];
            line.extend(["--name".into(), OsString::from(&name), file.into()]);
            line.extend(args.trust_disks.then(|| "--trust-disks".into()));
            let here = Path::new(".");
            return machines::in_background(&name, &line, here, verbose, confine);
        }
        let watch = args.watch.absolute();
        std::env::set_current_dir(&note.directory).map_err(|source| HostError::Read {
            path: note.directory.clone(),
            source,
        })?;
        command.verbose = verbose;
        command.confine = confine.unwrap_or(command.confine);
        command.background = args.background;
        command.dump_dtb = None;
        command.machine.watch = watch;
        command.machine.gdb = None;
        command.machine.record = None;
        command.restore = Some(Restore {
            snapshot,
            recipe: note.recipe,
            trust: args.trust_disks,
        });
        if !matches!(
            command.what,
            What::System { .. } | What::Bare(_) | What::Monitor
        ) {
            return Err(HostError::Recording(format!(
                "{}: not of a machine",
                args.file.display()
            )));
        }
        if !args.background && std::io::stdin().is_terminal() {
            eprintln!(
                "ruse: {}: goes on; its prompt comes with Enter",
                args.file.display()
            );
        }
        run(command)
    }
}

/// Starts machines in the background.
fn up(
    described: &[(Options, Command)],
    verbose: u8,
    confine: Option<Confine>,
) -> Result<ExitCode, HostError> {
    for (options, _) in described {
        let code = machines::detached(options, verbose, confine)?;
        if code != ExitCode::SUCCESS {
            return Ok(code);
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Command {
    /// What is to be done, by who is to do it.
    pub fn task(self) -> Task {
        match self.what {
            What::Tour(args) => Task::Tour(args),
            What::Program(program) => Task::Program(program),
            What::Disk(args) => Task::Disk(args),
            What::Bench(args) => Task::Bench(args),
            What::Explain(args) => Task::Explain(args),
            What::Disasm(args) => Task::Disasm(args),
            What::Manage(manage) => Task::Manage(manage),
            What::Load(load) => Task::Load(load),
            what => Task::Machine(Box::new(Self { what, ..self })),
        }
    }

    /// What of the machine others can find, if it is to run.
    ///
    /// # Errors
    /// [`HostError`] if its name is taken, or the host refuses.
    pub fn presence(&self) -> Result<Option<Presence>, HostError> {
        let (name, log) = (self.name.as_deref(), self.console_log.clone());
        let log = match (log, name) {
            (None, Some(name)) if self.background => Some(machines::console_log(name)?),
            (log, _) => log,
        };
        if self.dump_dtb.is_some() || (name.is_none() && log.is_none()) {
            return Ok(None);
        }
        Presence::new(name, log.as_deref()).map(Some)
    }

    /// Where a debugger is to connect, if one may.
    pub fn gdb(&self) -> Option<Gdb> {
        self.machine.gdb.clone().map(Option::unwrap_or_default)
    }

    /// What a machine needs of the host once its files are open.
    pub fn needs(&self) -> Needs {
        let paths = |read_only| {
            let shares = self.shares.iter();
            let shares = shares.filter(move |share| share.read_only == read_only);
            shares.map(|share| share.path.clone()).collect()
        };
        Needs {
            reads: paths(true),
            writes: paths(false),
            network: !self.cards().is_empty(),
            ..Needs::default()
        }
    }

    /// The machine's network cards.
    fn cards(&self) -> Vec<ruse_net::NetSpec> {
        match (&self.what, self.machine.clock) {
            (What::System { net, .. }, clock) => net.cards(matches!(clock, Clock::Host)),
            _ => Vec::new(),
        }
    }

    /// Opens the files, gives up all others, and builds the machine. Its guest prints to
    /// what `console` makes, perhaps of a screen that is shown.
    ///
    /// # Errors
    /// [`HostError`] if a file is missing or unsuitable, or they do not make
    /// a machine.
    pub fn machine(
        self,
        console: impl FnOnce(Option<Screen>) -> Box<dyn ConsoleOut>,
    ) -> Result<(Machine, Facts, Watching), HostError> {
        if let What::Replay(recording) = &self.what {
            let (recipe, journal) = Recipe::open(recording)?;
            return self.replayed(recipe, journal)?.build(console);
        }
        self.build(console)
    }

    /// The command that was recorded.
    fn replayed(self, recipe: Recipe, journal: Journal) -> Result<Self, HostError> {
        let path = |booted: &Option<Booted>| booted.as_ref().map(|booted| booted.path.clone());
        let what = match &recipe.bare {
            Some(None) => What::Monitor,
            Some(Some(booted)) => What::Bare(booted.path.clone()),
            None => What::System {
                firmware: path(&recipe.firmware),
                kernel: path(&recipe.kernel),
                initrd: path(&recipe.initrd),
                cmdline: recipe.append.clone(),
                net: NetArgs::none(),
            },
        };
        let machine = MachineArgs {
            memory: recipe.memory,
            disks: recipe.disks()?,
            harts: recipe.harts,
            clock: Clock::Virtual,
            console: match recipe.virtio_console {
                true => Console::Virtio,
                false => Console::Uart,
            },
            svadu: recipe.svadu,
            rv32: recipe.rv32,
            ..self.machine
        };
        Ok(Self {
            what,
            machine,
            replay: Some((recipe, journal)),
            ..self
        })
    }

    fn build(
        self,
        console: impl FnOnce(Option<Screen>) -> Box<dyn ConsoleOut>,
    ) -> Result<(Machine, Facts, Watching), HostError> {
        let (needs, cards) = (self.needs(), self.cards());
        let runs = self.dump_dtb.is_none();
        let args = self.machine;
        let closely = args.watch.lies || args.gdb.is_some();
        let looks_closely = runs && closely && matches!(args.clock, Clock::Virtual);
        if args.record.is_some() {
            record::check(&args.disks, &self.shares, &cards)?;
        }
        let mut recipe = Recipe {
            memory: args.memory,
            harts: args.harts,
            rv32: args.rv32,
            svadu: args.svadu,
            virtio_console: matches!(args.console, Console::Virtio),
            ..Recipe::default()
        };
        // No image larger than RAM is of use.
        let image = |path: &Path| Image::open(path, args.memory);
        let mut disks: Vec<Box<dyn Disk>> = Vec::new();
        let mut facts = Facts {
            memory: args.memory,
            harts: args.harts,
            ..Facts::default()
        };
        for arg in &args.disks {
            let disk = ruse_disk::open(arg)?;
            facts.disks.push(DiskFacts {
                path: std::path::absolute(&arg.path).unwrap_or_else(|_| arg.path.clone()),
                size: disk.size(),
                read_only: disk.read_only(),
            });
            disks.push(disk);
        }
        let shares = share::open(&self.shares)?;
        let mut nics = Vec::new();
        let booted: Vec<&Path> = match &self.what {
            What::Bare(path) => vec![path],
            What::System {
                firmware, kernel, ..
            } => firmware
                .iter()
                .chain(kernel)
                .map(PathBuf::as_path)
                .collect(),
            _ => Vec::new(),
        };
        let boot = match &self.what {
            What::Monitor
            | What::Program(..)
            | What::Replay(_)
            | What::Load(_)
            | What::Tour(_)
            | What::Manage(_)
            | What::Disk(_)
            | What::Bench(_)
            | What::Explain(_)
            | What::Disasm(_) => {
                recipe.bare = Some(None);
                let plain = args.record.is_none() && self.replay.is_none();
                if disks.is_empty() && self.dump_dtb.is_none() && plain {
                    disks.push(Box::new(ssd::open()?));
                }
                let image = Image::new("monitor", MONITOR);
                Boot::Bare { image }
            }
            What::Bare(path) => {
                let image = image(path)?;
                recipe.bare = Some(Some(Booted::new(path, &image)));
                Boot::Bare { image }
            }
            What::System {
                firmware,
                kernel,
                initrd,
                cmdline,
                net,
            } => {
                nics = match &self.replay {
                    Some((then, _)) => then.nics(),
                    None => net.open(&cards)?,
                };
                facts.forwards = net.ways_in();
                let open = |path: &Option<PathBuf>, booted: &mut Option<Booted>| {
                    let Some(path) = path else {
                        return Ok(None);
                    };
                    let image = image(path)?;
                    *booted = Some(Booted::new(path, &image));
                    Ok::<_, HostError>(Some(image))
                };
                let kernel = open(kernel, &mut recipe.kernel)?;
                let initrd = open(initrd, &mut recipe.initrd)?;
                let firmware = open(firmware, &mut recipe.firmware)?;
                let cmdline = cmdline.clone();
                recipe.append = cmdline.clone();
                match (firmware, kernel) {
                    (None, Some(kernel)) => Boot::Sbi {
                        kernel,
                        initrd,
                        cmdline,
                    },
                    (firmware, kernel) => Boot::Firmware {
                        firmware: match firmware {
                            Some(firmware) => firmware,
                            None => image(Path::new("builtin"))?,
                        },
                        kernel,
                        initrd,
                        cmdline,
                    },
                }
            }
        };
        let journal = match (self.replay, &args.record) {
            (Some((then, journal)), _) => {
                then.check(&recipe)?;
                Some(journal)
            }
            (None, Some(path)) => {
                recipe.note(&args.disks, &nics)?;
                Some(recipe.record(path)?)
            }
            // Whoever looks closely may want to go back.
            (None, None) if looks_closely => {
                match record::check(&args.disks, &self.shares, &cards) {
                    Ok(()) => Some(Journal::record(Recorder::nowhere())),
                    Err(error) => {
                        log::info!("there is no way back: {error}");
                        None
                    }
                }
            }
            (None, None) => None,
        };
        let watching = Watching::open(&args.watch, &booted)?;
        let mut config = MachineConfig::new(boot);
        config.journal = journal;
        config.watch = watching.watch();
        config.sample = watching.sample();
        config.cpu = Cpu {
            xlen: args.rv32.then_some(Xlen::Rv32),
            harts: args.harts,
            svadu: args.svadu,
        };
        config.memory = args.memory;
        config.disks = disks;
        config.shares = shares;
        config.nics = nics;
        config.port = match args.console {
            Console::Uart => Port::Uart,
            Console::Virtio => Port::Virtio,
        };
        config.console = console(watching.screen());
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
        let mut machine = Machine::new(config)?;
        if let Some(restore) = self.restore {
            restore.recipe.check(&recipe)?;
            machine.load(restore.snapshot, restore.trust)?;
        }
        facts.recipe = recipe;
        Ok((machine, facts, watching))
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
        let spec = |text: &str| DiskSpec::try_from(OsString::from(text)).unwrap();
        let disk = spec("a,b.img,ro");
        assert!(disk.read_only && disk.path == Path::new("a,b.img"));
        let disk = spec("a.img,rw");
        assert!(!disk.read_only && disk.path == Path::new("a.img,rw"));
    }

    #[test]
    fn shares_are_for_both_kinds_of_guests() {
        let parse = |line: &str| read(line.split(' ').map(OsString::from));
        let tags = |line| {
            let command = parse(line).ok().unwrap();
            let tags = command.shares.iter().map(ShareSpec::tag);
            tags.collect::<Vec<_>>()
        };
        assert_eq!(tags("ruse --share /a/b --share c,ro,tag=d"), ["b", "d"]);
        assert_eq!(tags("ruse --share x,tag=y a.elf"), ["y"]);
        assert_eq!(tags("ruse boot --bios f --share /a/b,ro"), ["b"]);
        for wrong in [
            "ruse boot --bios f --share x,tag=",
            "ruse --share x boot --bios f",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        let needs = parse("ruse boot --bios f --share a --share b,ro")
            .ok()
            .unwrap();
        let needs = needs.needs();
        assert_eq!(needs.reads, [PathBuf::from("b")]);
        assert_eq!(needs.writes, [PathBuf::from("a")]);
        match parse("ruse --root / --share a=/b:ro sh").map(Command::task) {
            Ok(Task::Program(program)) => assert_eq!(program.shares, ["a=/b:ro"]),
            _ => panic!("no program"),
        }
    }

    #[test]
    fn something_must_be_booted() {
        let parse = |line: &str| {
            let line = line.split(' ').map(OsString::from);
            read(line).map(|command| command.what)
        };
        assert!(matches!(parse("ruse"), Ok(What::Tour(_))));
        assert!(matches!(parse("ruse -m 64M"), Ok(What::Monitor)));
        assert!(matches!(parse("ruse monitor"), Ok(What::Monitor)));
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
        let program = |line| match parse(line).map(Command::task) {
            Ok(Task::Program(program)) => program
                .command
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
