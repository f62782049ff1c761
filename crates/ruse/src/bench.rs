//! `ruse bench`: what a virtual machine costs.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use ruse_bench::{Options, Report, Watch, contender, report};

use crate::error::HostError;
use crate::{exit, size};

pub const HELP: &str = "\
The same program runs natively, in name spaces of its own, under `ruse PROGRAM`
and QEMU's user mode, and as the first program of a Linux kernel in `ruse boot`
and in QEMU without KVM; one at a time, in turns. Who or what cannot be measured
here is left out, and the report says why. Machines need a riscv64 kernel:
`roms/debian/build kernel` makes one where it is found.

Exit codes: 1 if a result differs from the others'; 125 if nothing could be
measured; 130 if Ctrl-C broke it off, with what there was by then.";

/// What to measure, and where to put it.
#[derive(Args)]
pub struct BenchArgs {
    /// Be done within a minute, with coarser figures
    #[arg(long)]
    quick: bool,

    /// Measure these only, between commas: cpu, kernel, disk, network, boot,
    /// memory, clock, storage, or single workloads
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,

    /// Compare these only, with the native program: namespaces, ruse,
    /// qemu-user, ruse-boot, qemu-system
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    contenders: Vec<String>,

    /// How often everybody has a turn [default: 5; with --quick as often as
    /// there is time for, at most 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,

    /// Write all samples and what they say to a file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write the report to a file, as one page with plots
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Linux kernel of the machines
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,

    /// Directory in which the kernel's virtio drivers are, if they are modules
    #[arg(long, value_name = "DIR")]
    modules: Option<PathBuf>,

    /// RAM of the machines
    #[arg(short, long, value_name = "SIZE", default_value = "256M", value_parser = ram)]
    memory: u64,

    /// Where files of the measurement go, until its end; its disk is the one
    /// that is measured [default: the system's temporary directory]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Start an installed system too, which lets root in without a password,
    /// and say what it takes [default FILE: the minimal image of
    /// roms/debian/build]. Nothing is written to it
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "")]
    debian: Option<PathBuf>,

    /// Initramfs of that system [default: initrd.img beside the image]
    #[arg(long, value_name = "FILE", requires = "debian")]
    initrd: Option<PathBuf>,
}

/// Linux and our disks' drivers fit into the least.
fn ram(text: &str) -> Result<u64, String> {
    let bytes = size::parse(text)?;
    match (128 << 20..=64 << 30).contains(&bytes) && bytes.is_multiple_of(1 << 20) {
        true => Ok(bytes),
        false => Err("not whole MiB from 128M to 64G".into()),
    }
}

struct Bar(ProgressBar);

impl Watch for Bar {
    fn step(&self, done: usize, all: usize, what: &str) {
        self.0.set_length(all as u64);
        self.0.set_position(done as u64);
        self.0.set_message(what.to_owned());
    }
}

/// Measures, prints, writes.
///
/// # Errors
/// [`HostError`] if nothing could be measured, or a file not be written.
pub fn run(args: BenchArgs) -> Result<ExitCode, HostError> {
    let ruse = std::env::current_exe().map_err(HostError::OwnPath)?;
    // Before minutes of work: whether their outcome has a place.
    for path in [&args.json, &args.html].into_iter().flatten() {
        write(path, "")?;
    }
    let debian = args.debian.map(|path| match path.as_os_str().is_empty() {
        true => {
            contender::debian("debian-minimal.img", &ruse).unwrap_or("debian-minimal.img".into())
        }
        false => path,
    });
    let beside = debian
        .as_ref()
        .map(|image| image.with_file_name("initrd.img"));
    let options = Options {
        initrd: args.initrd.or(beside.filter(|path| path.is_file())),
        ruse,
        only: args.only,
        contenders: args.contenders,
        rounds: args.rounds.map(|rounds| rounds as usize),
        quick: args.quick,
        kernel: args.kernel,
        modules: args.modules,
        dir: args.dir,
        memory: args.memory,
        debian,
    };
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))?;
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{elapsed_precise} {bar:30} {pos}/{len} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(std::time::Duration::from_millis(500));
    let bar = Bar(bar);
    let measured = ruse_bench::measure(&options, &stop, &bar);
    bar.0.finish_and_clear();
    let report = measured?;
    if let Some(path) = &args.json {
        let json = serde_json::to_string_pretty(&report).map_err(|error| HostError::Write {
            path: path.clone(),
            source: error.into(),
        })?;
        write(path, &(json + "\n"))?;
    }
    if let Some(path) = &args.html {
        write(path, &report::html::page(&report))?;
    }
    let width = crossterm::terminal::size().map_or(120, |(columns, _)| columns.clamp(60, 160));
    // Nobody reading is no failure.
    let _ = std::io::stdout().write_all(report::text::show(&report, width).as_bytes());
    Ok(code(&report))
}

fn code(report: &Report) -> ExitCode {
    match report {
        it if !it.wrong.is_empty() => ExitCode::FAILURE,
        it if it.stopped => exit::STOPPED.into(),
        it if it.is_empty() => exit::HOST.into(),
        _ => ExitCode::SUCCESS,
    }
}

fn write(path: &Path, text: &str) -> Result<(), HostError> {
    std::fs::write(path, text).map_err(|source| HostError::Write {
        path: path.into(),
        source,
    })
}
