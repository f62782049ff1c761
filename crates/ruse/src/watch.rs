//! Watching a machine: what to tell, to whom, and by which names.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use ruse_event::{Classes, Tap, Watch};
use ruse_lens::profile::{self, Profile};
use ruse_lens::stats::Stats;
use ruse_lens::story::{LIVELY, Medium, Scene};
use ruse_lens::symbols::Symbols;
use ruse_lens::trace::{Format, Trace};
use ruse_machine::{Hart, Machine, MachineError, Outcome, Sample, Xlen, layout};
use ruse_tui::{Feed, Screen, Show};

use crate::error::HostError;
use crate::machines::Facts;
use crate::{size, terminal};

/// The most that is read to find symbols in.
const MAX_SYMBOLS: u64 = 2 << 30;

#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Watching")]
pub struct WatchArgs {
    /// Tell what happens, and what the host does: `all`, or some of
    /// trap (exceptions, interrupts), call (firmware and system calls), mmio (device
    /// registers), irq (interrupt lines), walk (page-table walks), tlb, queue
    /// (virtqueues), dma, disk, net, sleep; with commas in between
    #[arg(long, value_name = "EVENTS")]
    pub trace: Option<Classes>,

    /// Show it live, on the terminal: the console on one side and the lies on the
    /// other, with panes for harts, memory, page tables, devices, disks and the network;
    /// `?` explains each. Ctrl-A gives the keyboard to the guest and takes it back
    #[arg(long, conflicts_with_all = ["trace_out", "trace_format"])]
    pub lies: bool,

    /// With --lies: stand still before the first instruction
    #[arg(long, requires = "lies")]
    pub paused: bool,

    /// With --lies: where the key `i` puts a picture of the screen, in SVG
    #[arg(long, value_name = "FILE", requires = "lies")]
    pub shot: Option<PathBuf>,

    /// Write that to a file instead of to standard error. FILE.jsonl gets JSON lines,
    /// FILE.json what Perfetto and Chrome show, any other name text
    #[arg(long, value_name = "FILE", requires = "trace")]
    pub trace_out: Option<PathBuf>,

    /// Write it in this format, whatever the file's name: text, json or chrome
    #[arg(long, value_name = "FORMAT", requires = "trace")]
    pub trace_format: Option<Format>,

    /// End the trace at this size
    #[arg(long, value_name = "SIZE", requires = "trace", default_value = "1G",
        value_parser = size::parse)]
    pub trace_limit: u64,

    /// At the end, say on standard error what was executed: of a machine which
    /// instructions and blocks how often, and how often the TLB and the decoded code did
    /// not serve; of a Linux program how much
    #[arg(long)]
    pub stats: bool,

    /// At the end, write where the guest's time went: FILE.svg gets a flame graph, any
    /// other name stacks and their counts (folded, for other tools)
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,

    /// Names of the guest's code: an ELF file such as vmlinux, or a list such as
    /// System.map. Repeat for more. An ELF file that is booted has them already
    #[arg(long = "symbols", value_name = "FILE")]
    pub symbols: Vec<PathBuf>,
}

impl WatchArgs {
    /// Whether anything is to be watched.
    pub fn is_given(&self) -> bool {
        self.trace.is_some() || self.lies || self.stats || self.profile.is_some()
    }
}

impl WatchArgs {
    /// The same, wherever this process goes.
    pub fn absolute(mut self) -> Self {
        let files = [&mut self.shot, &mut self.trace_out, &mut self.profile];
        for path in files.into_iter().flatten().chain(&mut self.symbols) {
            *path = std::path::absolute(&*path).unwrap_or_else(|_| std::mem::take(path));
        }
        self
    }
}

/// Standard error, as a terminal that may be raw needs it.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let text = text.replace('\n', terminal::line_end());
        io::stderr().write_all(text.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is to be known of a machine that is watched.
#[derive(Default)]
pub struct Watching {
    trace: Option<(Trace, Classes)>,
    symbols: Symbols,
    stats: bool,
    profile: Option<(PathBuf, File, Arc<Sampler>)>,
    start: Option<Instant>,
    /// What is shown live, and what of it at first.
    live: Option<(Feed, Screen, Classes)>,
    paused: bool,
    shot: Option<File>,
}

/// Notes what harts are at.
#[derive(Default)]
struct Sampler(Mutex<Profile>);

/// s0, which is the frame pointer.
const FP: u8 = 8;

impl Sample for Sampler {
    fn sample(&self, hart: &Hart) {
        let width = match hart.xlen() {
            Xlen::Rv32 => 4,
            Xlen::Rv64 => 8,
        };
        let read = |at| {
            let mut word = [0; 8];
            let there = hart.peek(at, &mut word[..width as usize]);
            there.then(|| u64::from_le_bytes(word))
        };
        let fp = match hart.xlen() {
            Xlen::Rv32 => u64::from(hart.x(FP) as u32),
            Xlen::Rv64 => hart.x(FP),
        };
        let stack = profile::unwind(hart.pc(), fp, width, read);
        let mut profile = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        profile.add(hart.privilege() as u8, stack);
    }
}

impl Watching {
    /// Opens the files that `args` and what is booted (`images`) name.
    ///
    /// # Errors
    /// [`HostError`] if one cannot be read or written.
    pub fn open(args: &WatchArgs, images: &[&Path]) -> Result<Self, HostError> {
        let mut watching = Self::default();
        for path in &args.symbols {
            let found = read_symbols(path)?;
            if found.is_empty() {
                return Err(HostError::NoSymbols { path: path.clone() });
            }
            watching.symbols.add(found);
        }
        watching.stats = args.stats;
        if let Some(path) = &args.profile {
            let file = create(path)?;
            watching.profile = Some((path.clone(), file, Arc::default()));
        }
        if args.lies {
            ruse_tui::check()?;
            let classes = args.trace.unwrap_or_else(|| LIVELY.into_iter().collect());
            watching.live = Some((Feed::default(), Screen::default(), classes));
            watching.paused = args.paused;
            watching.shot = args.shot.as_deref().map(create).transpose()?;
        }
        if !args.lies && !args.stats && args.profile.is_none() && args.trace.is_none() {
            return Ok(watching);
        }
        for path in images {
            // What is wrong with it will be told by who loads it.
            if let Ok(found) = read_symbols(path) {
                watching.symbols.add(found);
            }
        }
        let classes = match args.trace {
            Some(classes) if !args.lies => classes,
            _ => return Ok(watching),
        };
        let (path, out): (_, Box<dyn Write + Send>) = match &args.trace_out {
            None => (Path::new("standard error"), Box::new(Stderr)),
            Some(path) => {
                let file = create(path)?;
                (path, Box::new(BufWriter::with_capacity(1 << 18, file)))
            }
        };
        let format = args.trace_format.unwrap_or_else(|| Format::of(path));
        let trace = Trace::new(out, path, format, args.trace_limit);
        watching.trace = Some((trace, classes));
        Ok(watching)
    }

    /// Who is to be told what.
    pub fn watch(&self) -> Option<(Arc<dyn Watch>, Classes)> {
        if let Some((feed, _, classes)) = &self.live {
            return Some((Arc::new(feed.clone()), *classes));
        }
        let (trace, classes) = self.trace.as_ref()?;
        Some((Arc::new(trace.clone()), *classes))
    }

    /// Who is to take samples.
    pub fn sample(&self) -> Option<Arc<dyn Sample>> {
        let (.., sampler) = self.profile.as_ref()?;
        Some(sampler.clone())
    }

    /// Says where it happens. What the harts execute from here on is told, and counted.
    pub fn begin(&mut self, machine: &mut Machine, facts: &Facts) {
        self.start = Some(Instant::now());
        if self.stats {
            machine.harts_mut().iter_mut().for_each(Hart::count);
        }
        if let Some((trace, _)) = &self.trace {
            trace.set_scene(scene(machine, facts, self.symbols.clone()));
        }
    }

    /// Where the guest prints to instead of standard output, if it is shown live.
    pub fn screen(&self) -> Option<Screen> {
        self.live.as_ref().map(|(_, screen, _)| screen.clone())
    }

    /// Shows the machine live if that is wanted. `ready` is called before the guest's
    /// first instruction.
    ///
    /// # Errors
    /// [`HostError`] of the terminal, the machine, or `ready`.
    pub fn show(
        &mut self,
        machine: Machine,
        facts: &Facts,
        quit: Arc<AtomicBool>,
        ready: impl FnOnce() -> Result<(), HostError>,
    ) -> Result<(Machine, Result<Outcome, MachineError>), HostError> {
        let (feed, screen, _) = self.live.take().unwrap_or_default();
        let show = Show {
            scene: scene(&machine, facts, self.symbols.clone()),
            machine,
            feed,
            screen,
            quit,
            paused: self.paused,
            shot: self.shot.take(),
        };
        terminal::keep_log(true);
        let shown = ruse_tui::run(show, ready);
        terminal::keep_log(false);
        shown
    }

    /// Whether the machine is to be shown live.
    pub fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// The same for a Linux program, which began at `start`: whom it is to tell.
    pub fn begin_program(&self, start: Instant) -> Tap {
        let Some((trace, classes)) = &self.trace else {
            return Tap::NONE;
        };
        let mut scene = Scene::new(0, 0);
        scene.syscall = Some(ruse_linux::syscall_name);
        trace.set_scene(scene.with_symbols(self.symbols.clone()));
        let now = move || start.elapsed().as_nanos() as u64;
        Tap::new(Arc::new(trace.clone()), *classes, now)
    }

    /// Writes what there is to write when the program has ended.
    pub fn finish_program(&self) {
        if let Some((trace, _)) = &self.trace {
            log::info!("the trace has {} events", trace.finish());
        }
    }

    /// Writes what there is to write at the end.
    ///
    /// # Errors
    /// [`HostError`] if that cannot be written.
    pub fn finish(self, machine: &Machine) -> Result<(), HostError> {
        self.finish_program();
        if self.stats {
            let tallies: Vec<_> = machine.harts().iter().filter_map(Hart::tally).collect();
            let stats = Stats {
                tallies: &tallies,
                xlen: machine.harts().first().map_or(Xlen::Rv64, Hart::xlen),
                elapsed: self.start.map_or(Duration::ZERO, |start| start.elapsed()),
                symbols: &self.symbols,
            };
            eprint!("\n{}", stats.report());
        }
        if let Some((path, file, sampler)) = self.profile {
            let profile = sampler.0.lock().unwrap_or_else(PoisonError::into_inner);
            let lines = profile.folded(&self.symbols);
            write_profile(&path, file, &lines, profile.samples())
                .map_err(|source| HostError::Write { path, source })?;
        }
        Ok(())
    }
}

fn create(path: &Path) -> Result<File, HostError> {
    File::create(path).map_err(|source| HostError::Write {
        path: path.into(),
        source,
    })
}

fn write_profile(path: &Path, file: File, lines: &[String], samples: u64) -> io::Result<()> {
    let mut out = BufWriter::new(file);
    let svg = path.extension().is_some_and(|extension| extension == "svg");
    if !svg {
        for line in lines {
            writeln!(out, "{line}")?;
        }
        return out.flush();
    }
    if lines.is_empty() {
        return Err(io::Error::other(
            "the guest ended before a sample was taken",
        ));
    }
    let mut options = inferno::flamegraph::Options::default();
    options.title = "Where the guest's instructions went".into();
    options.subtitle = Some(format!("{samples} samples, one a quantum of each hart"));
    options.count_name = "samples".into();
    options.no_sort = true;
    inferno::flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), &mut out)
        .map_err(io::Error::other)?;
    out.flush()
}

/// What somebody who tells of a machine has to know.
pub fn scene(machine: &Machine, facts: &Facts, symbols: Symbols) -> Scene {
    let mut scene = Scene::new(layout::RAM, facts.memory);
    for placed in machine.board() {
        let name = placed.name.trim_end_matches(char::is_numeric);
        scene.place(name, placed.base, placed.size, placed.source, placed.names);
    }
    // What the guest is not told of.
    for region in machine.bus().regions() {
        if scene.at(region.base).is_none() {
            scene.place(&region.name, region.base, region.size, None, |_, _| None);
        }
    }
    scene.set_media(facts.disks.iter().map(|disk| Medium {
        path: disk.path.clone(),
        size: disk.size,
    }));
    scene.syscall = Some(ruse_linux::syscall_name);
    scene.with_symbols(symbols)
}

/// The symbols in a file: those of an ELF file, or a list.
fn read_symbols(path: &Path) -> Result<Symbols, HostError> {
    let failed = |source| HostError::Read {
        path: path.into(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    let mut limited = io::Read::take(file, MAX_SYMBOLS);
    io::Read::read_to_end(&mut limited, &mut bytes).map_err(failed)?;
    Ok(Symbols::of_file(&bytes))
}
