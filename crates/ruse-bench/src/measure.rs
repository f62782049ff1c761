//! The measurement: all contenders in turns, round after round.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::claims;
use crate::contender::{self, Contender, Kind, Order, Place};
use crate::debian::{self, Installed};
use crate::facts::Facts;
use crate::report::{Participant, Report, Row, Settings};
use crate::run::{Run, Server, run};
use crate::workload::{self, By, Group, Workload};
use crate::{BenchError, storage};

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// The runner of Ruse.
    pub ruse: PathBuf,
    /// Workloads or groups; all, if there are no names.
    pub only: Vec<String>,
    /// Contenders; all, if there are no names.
    pub contenders: Vec<String>,
    /// How often everybody has a turn.
    pub rounds: Option<usize>,
    /// Be done within a minute.
    pub quick: bool,
    /// The kernel of machines.
    pub kernel: Option<PathBuf>,
    /// Where its modules are.
    pub modules: Option<PathBuf>,
    /// Where files of the measurement go.
    pub dir: Option<PathBuf>,
    /// RAM of machines, in bytes.
    pub memory: u64,
    /// An installed system, with its initramfs, to be started once.
    pub debian: Option<PathBuf>,
    /// The initramfs of that.
    pub initrd: Option<PathBuf>,
}

/// Who wants to know how far it is.
pub trait Watch {
    /// So many steps are done, of so many, and this one begins.
    fn step(&self, done: usize, all: usize, what: &str);
}

/// No run of any workloads takes longer.
const LIMIT: Duration = Duration::from_secs(600);
/// After that, `--quick` begins no other round.
const ENOUGH: Duration = Duration::from_secs(25);

impl Options {
    fn settings(&self) -> Settings {
        let (ms, rounds, disk) = match self.quick {
            true => (25, 3, 8 << 20),
            false => (200, 5, 64 << 20),
        };
        Settings {
            quick: self.quick,
            rounds: self.rounds.unwrap_or(rounds),
            ms,
            disk,
            memory: self.memory,
        }
    }
}

/// Measures. `stop` ends it, and what there is by then is in the report.
///
/// # Errors
/// [`BenchError`] if nothing could be measured.
pub fn measure(
    options: &Options,
    stop: &AtomicBool,
    watch: &dyn Watch,
) -> Result<Report, BenchError> {
    let begin = Instant::now();
    let unknown = |name| BenchError::NoWorkload {
        name,
        known: workload::names(),
    };
    let workloads = workload::chosen(&options.only).map_err(unknown)?;
    let unknown = |name| BenchError::NoContender {
        name,
        known: contender::names(),
    };
    let contenders = contender::chosen(&options.contenders).map_err(unknown)?;
    let (_files, dir) = directory(options)?;
    let place = Place::new(
        &dir,
        &options.ruse,
        options.kernel.as_deref(),
        options.modules.as_deref(),
        options.memory,
    )?;
    let mut this = Measurement::new(options, workloads, place, stop, watch);
    this.prepare(&contenders)?;
    this.rounds(begin);
    let has_storage = options.only.is_empty() || options.only.iter().any(|name| name == "storage");
    if has_storage && !this.stopped() {
        match storage::images(&dir, this.report.settings.disk) {
            Ok(images) => this.report.images = images,
            Err(error) => this.report.problems.push(error.to_string()),
        }
    }
    if let Some(image) = &options.debian
        && !this.stopped()
    {
        this.installed(&Installed {
            image: image.clone(),
            initrd: options.initrd.clone(),
        });
    }
    let mut report = this.report;
    report.stopped = stop.load(Ordering::Relaxed);
    report.seconds = begin.elapsed().as_secs_f64();
    report.sum_up();
    report.claims = claims::answers(&report);
    Ok(report)
}

/// A directory for files, which goes when the first of these goes.
fn directory(options: &Options) -> Result<(tempfile::TempDir, PathBuf), BenchError> {
    let parent = options.dir.clone().unwrap_or_else(std::env::temp_dir);
    let failed = |source| BenchError::Directory {
        path: parent.clone(),
        source,
    };
    let files = tempfile::Builder::new()
        .prefix("ruse-bench-")
        .tempdir_in(&parent)
        .map_err(failed)?;
    let dir = files.path().canonicalize().map_err(failed)?;
    Ok((files, dir))
}

struct Measurement<'a> {
    place: Place,
    order: Order,
    /// Those who can run.
    contenders: Vec<&'static Contender>,
    server: Option<Server>,
    /// The right checksums: those of the first who gave one.
    checksums: Vec<(String, u64, &'static str)>,
    stop: &'a AtomicBool,
    watch: &'a dyn Watch,
    report: Report,
}

impl<'a> Measurement<'a> {
    fn new(
        options: &Options,
        workloads: Vec<&'static Workload>,
        place: Place,
        stop: &'a AtomicBool,
        watch: &'a dyn Watch,
    ) -> Self {
        let settings = options.settings();
        let run: Vec<_> = workloads
            .iter()
            .filter(|it| it.by == By::Program)
            .map(|it| it.id)
            .collect();
        let has = |group| {
            let mut of_it = workloads.iter().filter(|it| it.group == group);
            of_it.any(|it| it.by == By::Program)
        };
        let order = Order {
            ms: settings.ms,
            run: run.join(","),
            port: None,
            disk: if has(Group::Disk) { settings.disk } else { 0 },
        };
        let mut report = Report::new(settings, Facts::new());
        report.rows = workloads.iter().map(|it| Row::new(it)).collect();
        let server = match (has(Group::Network), &place.native) {
            (true, Ok(native)) => match Server::start(native) {
                Ok(server) => Some(server),
                Err(error) => {
                    report.problems.push(format!("network: no server: {error}"));
                    None
                }
            },
            _ => None,
        };
        Self {
            order: Order {
                port: server.as_ref().map(|server| server.port),
                ..order
            },
            place,
            contenders: Vec::new(),
            server,
            checksums: Vec::new(),
            stop,
            watch,
            report,
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Finds out who can run.
    fn prepare(&mut self, chosen: &[&'static Contender]) -> Result<(), BenchError> {
        let begun = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        self.report.begun = begun.map_or(0, |since| since.as_secs());
        for &contender in chosen {
            let refused = contender.prepare(&self.place, &self.order).err();
            if refused.is_none() {
                self.contenders.push(contender);
            }
            self.report.participants.push(Participant {
                contender: *contender,
                version: contender.version(),
                kernel: None,
                refused,
            });
        }
        if self.contenders.is_empty() {
            let why = self.report.participants.iter();
            let why =
                why.filter_map(|it| Some(format!("{}: {}", it.contender.id, it.refused.as_ref()?)));
            return Err(BenchError::Nobody(why.collect::<Vec<_>>().join("; ")));
        }
        for row in &mut self.report.rows {
            row.cells = self
                .report
                .participants
                .iter()
                .map(|it| row.cell_for(it))
                .collect();
        }
        Ok(())
    }

    /// The rounds: another contender goes first each time.
    fn rounds(&mut self, begin: Instant) {
        // Only what is made without a run was asked for.
        if self.report.rows.is_empty() {
            return;
        }
        let settings = self.report.settings;
        let count = self.contenders.len();
        for round in 0..settings.rounds {
            // The next would take as long as those before it have taken.
            let spent = begin.elapsed();
            let next = spent + spent / (round.max(1) as u32);
            if settings.quick && round > 0 && next > 2 * ENOUGH {
                break;
            }
            for i in 0..count {
                if self.stopped() {
                    return;
                }
                let contender = self.contenders[(i + round) % count];
                let what = format!("round {}: {}", round + 1, contender.title);
                let done = round * count + i;
                self.watch.step(done, settings.rounds * count, &what);
                self.turn(contender, round);
            }
            self.report.rounds = round + 1;
        }
    }

    /// One run of one contender, into the report.
    fn turn(&mut self, contender: &'static Contender, round: usize) {
        let mut command = match contender.command(&self.place, &self.order) {
            Ok(command) => command,
            Err(problem) => return self.problem(contender, problem),
        };
        let run = run(&mut command, self.stop, LIMIT);
        if self.stopped() {
            return;
        }
        if let Some(failure) = &run.failure {
            self.problem(contender, failure.clone());
        }
        let participants = &mut self.report.participants;
        if let Some(it) = participants
            .iter_mut()
            .find(|it| it.contender.id == contender.id)
        {
            it.kernel = it.kernel.take().or(run.log.kernel.clone());
        }
        self.check(contender, &run);
        let ram = self.place.memory;
        for row in &mut self.report.rows {
            let value = figure(row.id, contender.kind, &run, ram);
            let instructions = instructions(row.id, &run);
            let why = run.log.skipped.iter().find(|(id, _)| id == row.id);
            if let Some(cell) = row.cells.iter_mut().find(|it| it.contender == contender.id) {
                cell.samples.resize(round, None);
                cell.samples.push(value);
                cell.skipped = cell.skipped.take().or(why.map(|(_, why)| why.clone()));
                cell.instructions = cell.instructions.or(instructions);
            }
        }
    }

    fn problem(&mut self, contender: &Contender, problem: String) {
        let problem = format!("{}: {problem}", contender.title);
        log::info!("{problem}");
        if !self.report.problems.contains(&problem) {
            self.report.problems.push(problem);
        }
    }

    /// Compares checksums with what the others had.
    fn check(&mut self, contender: &'static Contender, run: &Run) {
        for it in &run.log.measured {
            let known = self.checksums.iter().find(|(id, ..)| *id == it.id);
            let Some((_, right, who)) = known else {
                let checksum = (it.id.clone(), it.checksum, contender.title);
                self.checksums.push(checksum);
                continue;
            };
            if *right != it.checksum {
                let wrong = format!(
                    "{}: {} computes {:#x}, where {who} has {right:#x}",
                    it.id, contender.title, it.checksum
                );
                if !self.report.wrong.contains(&wrong) {
                    self.report.wrong.push(wrong);
                }
            }
        }
    }

    /// Starts an installed system in both kinds of machines.
    fn installed(&mut self, installed: &Installed) {
        for contender in self.contenders.clone() {
            if !contender.kind.is_machine() || self.stopped() {
                continue;
            }
            let what = format!("{}: {}", contender.title, installed.image.display());
            self.watch.step(1, 2, &what);
            match debian::start(contender.kind, &self.place, installed, self.stop) {
                Ok(found) => self.report.installed.push(found),
                Err(problem) => self.problem(contender, problem),
            }
        }
        self.server = None;
    }
}

/// What a run says to a line of the report.
fn figure(id: &str, kind: Kind, run: &Run, ram: u64) -> Option<f64> {
    let measured = run.log.measured.iter().find(|it| it.id == id);
    if let Some(it) = measured {
        return (it.ops > 0).then(|| it.nanos as f64 / it.ops as f64);
    }
    let bytes = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64);
    let machine = |name: &str| {
        let left = kind.is_machine().then(|| run.log.meminfo(name)).flatten()?;
        Some(ram.saturating_sub(left) as f64)
    };
    match id {
        "boot" => run.boot.map(|time| time.as_nanos() as f64),
        "memory-host" if kind.is_program() => bytes(run.log.status("VmRSS")),
        "memory-host" => bytes(run.resident),
        // Of the program in name spaces only its parent is known.
        "memory-peak" if kind == Kind::Namespaces => None,
        "memory-peak" => bytes(run.peak),
        "memory-kernel" => machine("MemAvailable"),
        "memory-reserved" => machine("MemTotal"),
        "clock" => {
            let inside = run.log.end?.checked_sub(run.log.start?)? as f64;
            let outside = run.between?.as_nanos() as f64;
            (outside > 0.0).then(|| (inside / outside - 1.0) * 1e6)
        }
        _ => None,
    }
}

/// Guest instructions an operation.
fn instructions(id: &str, run: &Run) -> Option<f64> {
    let it = run.log.measured.iter().find(|it| it.id == id)?;
    (it.ops > 0 && it.instructions > 0).then(|| it.instructions as f64 / it.ops as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Log;

    fn said(lines: &str) -> Run {
        let mut log = Log::default();
        for line in lines.lines() {
            log.take(line);
        }
        Run {
            log,
            boot: Some(Duration::from_millis(3)),
            between: Some(Duration::from_secs(2)),
            resident: Some(7 << 20),
            ..Run::default()
        }
    }

    #[test]
    fn figures_come_from_the_program_or_the_host() {
        let run = said(
            "ruse-bench start 1000\nruse-bench meminfo MemTotal 1024\n\
             ruse-bench meminfo MemAvailable 512\nruse-bench status VmRSS 4\n\
             ruse-bench result float 4 100 1 60\nruse-bench result integer 0 1 1 0\n\
             ruse-bench end 2000201000",
        );
        let figure = |id, kind| figure(id, kind, &run, 4 << 20);
        assert_eq!(figure("float", Kind::Native), Some(25.0));
        assert_eq!(figure("integer", Kind::Native), None);
        assert_eq!(figure("disk-read", Kind::Native), None);
        assert_eq!(figure("boot", Kind::RuseUser), Some(3e6));
        assert_eq!(figure("memory-host", Kind::Native), Some(4096.0));
        assert_eq!(figure("memory-host", Kind::RuseUser), Some(7.0 * 1048576.0));
        assert_eq!(figure("memory-kernel", Kind::Native), None);
        assert_eq!(
            figure("memory-kernel", Kind::RuseSystem),
            Some(3.5 * 1048576.0)
        );
        assert_eq!(
            figure("memory-reserved", Kind::RuseSystem),
            Some(3.0 * 1048576.0)
        );
        let drift = figure("clock", Kind::RuseSystem).unwrap();
        assert!((drift - 100.0).abs() < 1e-3, "{drift}");
        assert_eq!(instructions("float", &run), Some(15.0));
        assert_eq!(instructions("integer", &run), None);
    }
}
