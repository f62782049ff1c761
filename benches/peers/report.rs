//! What was measured, as tables and as JSON.

use std::collections::BTreeMap;
use std::fs;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::args::Args;
use crate::engine::Kind;
use crate::measure::Outcome;
use crate::program::{Class, Program};
use crate::setup::Setup;
use crate::stats::{Summary, geometric_mean};

/// The programs that stand for integer code in published figures of interpreters.
const INT6: [&str; 6] = ["core", "dhry", "fib", "sha256", "sieve", "vm"];

#[derive(Serialize)]
pub struct Report {
    pub host: Host,
    pub rounds: usize,
    pub seconds_of_a_sample: f64,
    pub engines: Vec<EngineEntry>,
    pub skipped: Vec<String>,
    pub entries: Vec<Entry>,
}

#[derive(Serialize)]
pub struct Host {
    pub processor: String,
    pub processors: usize,
    pub load_at_start: Option<f64>,
    pub system: &'static str,
    pub architecture: &'static str,
}

#[derive(Serialize)]
pub struct EngineEntry {
    pub name: String,
    pub kind: Kind,
    pub version: String,
}

/// One engine on one program.
#[derive(Serialize)]
pub struct Entry {
    pub class: Class,
    #[serde(flatten)]
    pub result: Outcome,
    /// CPU seconds an iteration, starting not counted.
    pub seconds: Option<Summary>,
    /// CPU time over that of `native`, and of `qemu-user`, rounds paired.
    pub times_native: Option<Summary>,
    pub times_qemu: Option<Summary>,
    pub mips: Option<f64>,
    /// Host instructions for each guest instruction.
    pub expansion: Option<f64>,
}

/// One table: how a cell is written, and what its means are of.
struct Figure<'a> {
    title: &'a str,
    text: &'a dyn Fn(&Entry) -> Option<String>,
    value: &'a dyn Fn(&Entry) -> Option<f64>,
    columns: &'a dyn Fn(&EngineEntry) -> bool,
}

/// Three digits that count, at least.
fn short(value: f64) -> String {
    let decimals = match value.abs() {
        x if x >= 99.95 => 0,
        x if x >= 9.995 => 1,
        x if x >= 0.9995 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

/// Marked with ~ where the samples disagree.
fn spread(summary: &Summary) -> String {
    let mark = if summary.noisy() { "~" } else { "" };
    format!(
        "{mark}{} [{}-{}]",
        short(summary.median),
        short(summary.min),
        short(summary.max)
    )
}

impl Host {
    pub fn read() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let load = fs::read_to_string("/proc/loadavg").ok();
        Self {
            processor: model
                .map_or("unknown", |(_, model)| model)
                .trim()
                .to_owned(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            load_at_start: load.and_then(|text| text.split(' ').next()?.parse().ok()),
            system: std::env::consts::OS,
            architecture: std::env::consts::ARCH,
        }
    }
}

impl Report {
    pub fn new(host: Host, args: &Args, setup: &Setup, results: Vec<Outcome>) -> Self {
        let kind_of = |name: &str| {
            setup
                .engines
                .iter()
                .find(|engine| engine.name == name)
                .map(|engine| engine.kind)
        };
        let seconds_of = |program: &str, kind: Kind| {
            let of_kind = results
                .iter()
                .find(|r| r.program == program && kind_of(&r.engine) == Some(kind));
            of_kind.map(Outcome::seconds).unwrap_or_default()
        };
        // One flavour of a program is the same code for all engines, so one count
        // serves those that don't count themselves.
        let counted = |program: &str, flavour: &str| {
            let same = results.iter().filter(|r| r.program == program);
            same.filter(|r| kind_of(&r.engine).is_some_and(|kind| kind.flavour() == flavour))
                .find_map(|r| r.guest_instructions)
        };
        let mut entries = Vec::new();
        for result in &results {
            let Some(program) = setup
                .programs
                .iter()
                .find(|program| program.name == result.program)
            else {
                continue;
            };
            let Some(kind) = kind_of(&result.engine) else {
                continue;
            };
            let samples = result.seconds();
            let seconds = Summary::of(&samples.iter().flatten().copied().collect::<Vec<_>>());
            let guest = result
                .guest_instructions
                .or_else(|| counted(&program.name, kind.flavour()));
            let guest = guest.filter(|_| kind != Kind::Native);
            entries.push(Entry {
                class: program.class,
                seconds,
                times_native: Summary::of_ratios(
                    &samples,
                    &seconds_of(&program.name, Kind::Native),
                ),
                times_qemu: Summary::of_ratios(&samples, &seconds_of(&program.name, Kind::Qemu)),
                mips: seconds.and_then(|seconds| Some(guest? / seconds.median / 1e6)),
                expansion: result
                    .host_instructions
                    .and_then(|host| Some(host / guest?)),
                result: result.clone(),
            });
        }
        let engines = setup.engines.iter().map(|engine| EngineEntry {
            name: engine.name.clone(),
            kind: engine.kind,
            version: engine.version.clone(),
        });
        Self {
            host,
            rounds: args.rounds(),
            seconds_of_a_sample: args.seconds(),
            engines: engines.collect(),
            skipped: setup.skipped.clone(),
            entries,
        }
    }

    /// Whether outputs differed, or Ruse failed.
    pub fn is_bad(&self) -> bool {
        let ours = |name: &str| {
            self.engines
                .iter()
                .any(|engine| engine.name == name && engine.kind == Kind::Ruse)
        };
        self.entries
            .iter()
            .any(|e| e.result.mismatch || (e.result.failure.is_some() && ours(&e.result.engine)))
    }

    pub fn print(&self, programs: &[Program]) {
        println!(
            "{}, {} processors, {} rounds",
            self.host.processor, self.host.processors, self.rounds
        );
        for engine in &self.engines {
            println!("  {:12} {}", engine.name, engine.version);
        }
        if self.host.load_at_start.is_some_and(|load| load > 0.3) {
            println!("The host was not idle: expect wider spreads.");
        }
        let of = |kind: Kind| move |name: &EngineEntry| name.kind != kind;
        self.table(programs, &Figure {
            title: "CPU time as a multiple of the host's own processor's: median [least-greatest]",
            text: &|e| e.times_native.as_ref().map(spread),
            value: &|e| e.times_native.map(|s| s.median),
            columns: &of(Kind::Native),
        });
        self.table(
            programs,
            &Figure {
                title: "CPU time as a multiple of qemu-user's: median [least-greatest]",
                text: &|e| e.times_qemu.as_ref().map(spread),
                value: &|e| e.times_qemu.map(|s| s.median),
                columns: &of(Kind::Qemu),
            },
        );
        self.table(
            programs,
            &Figure {
                title: "million guest instructions a second of CPU time",
                text: &|e| e.mips.map(short),
                value: &|e| e.mips,
                columns: &|_| true,
            },
        );
        self.table(
            programs,
            &Figure {
                title: "host instructions for each guest instruction",
                text: &|e| e.expansion.map(short),
                value: &|e| e.expansion,
                columns: &|_| true,
            },
        );
        self.table(
            programs,
            &Figure {
                title: "starting, in milliseconds of CPU time; not part of the above",
                text: &|e| Some(short(e.result.startup * 1e3)),
                value: &|e| Some(e.result.startup * 1e3).filter(|&ms| ms > 0.0),
                columns: &|_| true,
            },
        );
        for line in &self.skipped {
            println!("left out: {line}");
        }
        for entry in &self.entries {
            if let Some(failure) = &entry.result.failure {
                let what = if entry.result.mismatch {
                    "WRONG"
                } else {
                    "failed"
                };
                println!(
                    "{what}: {} on {}: {failure}",
                    entry.result.engine, entry.result.program
                );
            }
        }
    }

    /// Programs down, engines across; below, geometric means over those sets that
    /// the engine ran whole. Nothing if there is no such figure.
    fn table(&self, programs: &[Program], figure: &Figure) {
        let mut by: BTreeMap<(&str, &str), &Entry> = BTreeMap::new();
        for entry in &self.entries {
            by.insert((&entry.result.program, &entry.result.engine), entry);
        }
        let has_any = |name: &str| {
            self.entries
                .iter()
                .any(|e| e.result.engine == name && (figure.value)(e).is_some())
        };
        let columns: Vec<&str> = self
            .engines
            .iter()
            .filter(|engine| (figure.columns)(engine) && has_any(&engine.name))
            .map(|engine| engine.name.as_str())
            .collect();
        if columns.is_empty() {
            return;
        }
        let mut table = Table::new();
        table
            .load_style(presets::ASCII_MARKDOWN)
            .set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(std::iter::once("").chain(columns.iter().copied()));
        for program in programs {
            let cell = |engine: &&str| match by.get(&(program.name.as_str(), *engine)) {
                Some(entry) if entry.result.mismatch => "WRONG".to_owned(),
                Some(entry) if entry.result.failure.is_some() => "failed".to_owned(),
                Some(entry) => (figure.text)(entry).unwrap_or_else(|| "-".to_owned()),
                None => "-".to_owned(),
            };
            table.add_row(std::iter::once(program.name.clone()).chain(columns.iter().map(cell)));
        }
        for (label, members) in sets(programs) {
            let cell = |engine: &&str| {
                let values: Option<Vec<f64>> = members
                    .iter()
                    .map(|p| by.get(&(*p, *engine)).and_then(|e| (figure.value)(e)))
                    .collect();
                values
                    .and_then(|values| geometric_mean(&values))
                    .map_or("-".to_owned(), short)
            };
            table.add_row(std::iter::once(label).chain(columns.iter().map(cell)));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        println!("\n{}\n{table}", figure.title);
    }

    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}

/// The sets whose geometric means are given, of more than one program each.
fn sets(programs: &[Program]) -> Vec<(String, Vec<&str>)> {
    let class = |class: Class| -> Vec<&str> {
        programs
            .iter()
            .filter(|p| p.class == class)
            .map(|p| p.name.as_str())
            .collect()
    };
    let int6 = programs
        .iter()
        .map(|p| p.name.as_str())
        .filter(|name| INT6.contains(name))
        .collect();
    [
        ("INT6", int6),
        ("integer", class(Class::Integer)),
        ("double", class(Class::Double)),
        ("Debian", class(Class::Debian)),
    ]
    .into_iter()
    .filter(|(name, members)| {
        if *name == "INT6" {
            members.len() == INT6.len()
        } else {
            members.len() > 1
        }
    })
    .map(|(name, members)| (format!("mean, {name} ({})", members.len()), members))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Engine, Places};
    use crate::run::Usage;
    use clap::Parser;

    fn usage(user: f64) -> Option<Usage> {
        Some(Usage {
            user,
            system: 0.0,
            wall: user,
            max_resident_bytes: 1,
        })
    }

    fn result(engine: &str, iterations: u64, samples: [Option<Usage>; 2]) -> Outcome {
        Outcome {
            program: "fib".into(),
            engine: engine.into(),
            startup: 0.0,
            iterations,
            samples: samples.to_vec(),
            guest_instructions: None,
            host_instructions: None,
            failure: None,
            mismatch: false,
        }
    }

    fn report(results: Vec<Outcome>) -> Report {
        let engine = |name: &str, kind| Engine {
            name: name.into(),
            kind,
            start: Vec::new(),
            version: "1".into(),
        };
        let setup = Setup {
            places: Places {
                programs: "p".into(),
                root: "r".into(),
            },
            engines: vec![
                engine("native", Kind::Native),
                engine("qemu-user", Kind::Qemu),
                engine("ruse", Kind::Ruse),
                engine("ckb", Kind::CkbAsm),
            ],
            programs: vec![Program::listed("fib integer").unwrap()],
            count: false,
            skipped: Vec::new(),
        };
        Report::new(Host::read(), &Args::parse_from(["peers"]), &setup, results)
    }

    #[test]
    fn ratios_and_speeds_are_of_one_iteration() {
        let native = result("native", 1000, [usage(1.0), usage(2.0)]);
        let qemu = result("qemu-user", 100, [usage(0.5), usage(1.0)]);
        let mut ruse = result("ruse", 10, [usage(0.2), usage(0.4)]);
        ruse.guest_instructions = Some(3e6);
        ruse.host_instructions = Some(12e6);
        let ckb = result("ckb", 10, [usage(0.2), None]);
        let report = report(vec![native, qemu, ruse, ckb]);
        let [native, qemu, ruse, ckb] = &report.entries[..] else {
            panic!()
        };
        // The second round was half as fast for all, which the pairs don't see.
        let ratio = ruse.times_native.unwrap();
        assert!((ratio.min - 20.0).abs() < 1e-9 && (ratio.max - 20.0).abs() < 1e-9);
        assert!((ruse.times_qemu.unwrap().median - 4.0).abs() < 1e-9);
        assert!((qemu.times_native.unwrap().median - 5.0).abs() < 1e-9);
        // 3 million instructions in a median of 30 ms; QEMU runs the same code.
        assert!((ruse.mips.unwrap() - 100.0).abs() < 1e-6);
        assert!((qemu.mips.unwrap() - 400.0).abs() < 1e-6);
        assert_eq!(ruse.expansion, Some(4.0));
        // Other code, of which nobody said how many instructions it has.
        assert_eq!((native.mips, ckb.mips), (None, None));
        assert_eq!(ckb.times_native.unwrap().count, 1);
        assert!(!report.is_bad());
        let json: serde_json::Value = serde_json::from_str(&report.to_json().unwrap()).unwrap();
        assert_eq!(json["entries"][2]["engine"], "ruse");
        assert_eq!(json["entries"][2]["samples"][1]["user"], 0.4);
    }

    #[test]
    fn a_wrong_answer_is_never_overlooked() {
        let mut wrong = result("qemu-user", 1, [None, None]);
        wrong.mismatch = true;
        assert!(report(vec![wrong]).is_bad());
        let mut failed = result("qemu-user", 1, [None, None]);
        failed.failure = Some("exit status: 1".into());
        assert!(!report(vec![failed.clone()]).is_bad());
        failed.engine = "ruse".into();
        assert!(report(vec![failed]).is_bad());
    }

    #[test]
    fn three_digits() {
        let shown = [1234.5, 99.96, 45.32, 4.8, 0.9996, 0.0238].map(short);
        assert_eq!(shown, ["1234", "100", "45.3", "4.80", "1.00", "0.024"]);
        let steady = Summary::of(&[4.8, 4.7, 5.1]).unwrap();
        assert_eq!(spread(&steady), "4.80 [4.70-5.10]");
        assert_eq!(
            spread(&Summary::of(&[1.0, 2.0]).unwrap()),
            "~1.50 [1.00-2.00]"
        );
    }

    #[test]
    fn starting_is_not_work() {
        let mut qemu = result("qemu-user", 10, [usage(0.7), usage(0.7)]);
        qemu.startup = 0.2;
        let report = report(vec![result("native", 100, [usage(1.0), usage(1.0)]), qemu]);
        assert!((report.entries[1].times_native.unwrap().median - 5.0).abs() < 1e-9);
    }

    #[test]
    fn means_are_of_whole_sets() {
        let of = |names: &[&str]| -> Vec<Program> {
            names
                .iter()
                .map(|name| Program::listed(&format!("{name} integer")).unwrap())
                .collect()
        };
        let all = of(&["core", "dhry", "fib", "sha256", "sieve", "vm", "copy"]);
        let labels: Vec<String> = sets(&all).into_iter().map(|(label, _)| label).collect();
        assert_eq!(labels, ["mean, INT6 (6)", "mean, integer (7)"]);
        assert_eq!(sets(&all[..2]).len(), 1);
        assert!(sets(&all[..1]).is_empty());
    }
}
