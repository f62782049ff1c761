//! The measurement: how many iterations suit each engine, then rounds in turns.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::args::Args;
use crate::engine::{Engine, Kind, counted};
use crate::program::Program;
use crate::run::{Run, Usage, run};
use crate::setup::{Setup, work_folder};

/// What one engine did with one program.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    pub program: String,
    pub engine: String,
    /// CPU seconds of no iterations at all: starting, and translating what starts.
    pub startup: f64,
    /// Iterations of each sample.
    pub iterations: u64,
    /// By round; none where the run was broken off or failed.
    pub samples: Vec<Option<Usage>>,
    /// Guest instructions of an iteration, as the engine counts them.
    pub guest_instructions: Option<f64>,
    /// Host instructions of an iteration, if they were to be counted.
    pub host_instructions: Option<f64>,
    /// Why there is nothing, or not all.
    pub failure: Option<String>,
    /// It printed something else than the reference.
    pub mismatch: bool,
}

impl Outcome {
    /// CPU seconds an iteration, by round; starting not counted.
    pub fn seconds(&self) -> Vec<Option<f64>> {
        let of = |usage: &Usage| (usage.cpu() - self.startup).max(1e-6) / self.iterations as f64;
        self.samples
            .iter()
            .map(|usage| usage.as_ref().map(of))
            .collect()
    }
}

pub struct Measurement<'a> {
    setup: &'a Setup,
    args: &'a Args,
    stop: &'a AtomicBool,
    bar: ProgressBar,
    /// What the reference printed, by program and iterations.
    expected: HashMap<(String, u64), String>,
    pub results: Vec<Outcome>,
}

impl<'a> Measurement<'a> {
    pub fn new(setup: &'a Setup, args: &'a Args, stop: &'a AtomicBool) -> Self {
        let pairs = setup
            .programs
            .iter()
            .flat_map(|p| setup.engines.iter().filter(|e| e.kind.can_run(p)));
        let steps = pairs.count() * (1 + args.rounds());
        let bar = ProgressBar::new(steps as u64);
        let style = ProgressStyle::with_template("{elapsed_precise} {bar:30} {pos}/{len} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self {
            setup,
            args,
            stop,
            bar,
            expected: HashMap::new(),
            results: Vec::new(),
        }
    }

    /// Measures everything, or what there is time for before `stop`.
    pub fn go(&mut self) {
        let setup = self.setup;
        for program in &setup.programs {
            for engine in setup
                .engines
                .iter()
                .filter(|engine| engine.kind.can_run(program))
            {
                if self.stopped() {
                    break;
                }
                self.step(engine, program);
                let result = self.calibrate(engine, program);
                self.results.push(result);
            }
        }
        // All programs in each round, and all engines in turns: what disturbs the
        // host for a while disturbs one sample of many, and each engine alike.
        for round in 0..self.args.rounds() {
            if self.bar.is_hidden() {
                eprintln!("round {} of {}", round + 1, self.args.rounds());
            }
            for program in &setup.programs {
                // Another engine goes first each time.
                let count = setup.engines.len();
                for engine in (0..count).map(|i| &setup.engines[(i + round) % count]) {
                    if self.stopped() {
                        self.bar.finish_and_clear();
                        return;
                    }
                    self.sample(engine, program, round);
                }
            }
        }
        if setup.count {
            self.count();
        }
        self.bar.finish_and_clear();
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn step(&self, engine: &Engine, program: &Program) {
        self.bar
            .set_message(format!("{} {}", program.name, engine.name));
        self.bar.inc(1);
    }

    fn run(
        &self,
        engine: &Engine,
        program: &Program,
        iterations: u64,
        count: bool,
    ) -> Result<Run, String> {
        let Some(mut command) = engine.command(&self.setup.places, program, iterations) else {
            return Err("no such program here".to_owned());
        };
        if count {
            command = counted(&command);
        }
        let input = program
            .input(&work_folder().join("input"), iterations)
            .map_err(|e| e.to_string())?;
        let limit = match engine.kind {
            // The C compiler's share of its first run.
            Kind::LibriscvTranslation => self.args.limit.max(1200),
            _ => self.args.limit,
        };
        let limit = Duration::from_secs(limit);
        run(&mut command, input.as_deref(), limit).map_err(|failure| failure.to_string())
    }

    /// What `program` is to print: what the host's own processor makes of it, or,
    /// where another version would print something else, the first engine.
    fn expect(&mut self, program: &Program, iterations: u64, got: &str) -> Result<(), String> {
        let key = (program.name.clone(), iterations);
        if !self.expected.contains_key(&key) {
            let judge = self
                .setup
                .engines
                .iter()
                .find(|engine| engine.kind == Kind::Native && program.same_output);
            let judge = judge.or_else(|| {
                self.setup
                    .engines
                    .iter()
                    .find(|e| e.kind != Kind::Native && e.kind.can_run(program))
            });
            let output = match judge {
                Some(engine) => self
                    .run(engine, program, iterations, false)
                    .ok()
                    .map(|run| run.output),
                None => None,
            };
            self.expected
                .insert(key.clone(), output.unwrap_or_else(|| got.to_owned()));
        }
        let wanted = &self.expected[&key];
        if wanted == got {
            Ok(())
        } else {
            Err(format!("prints {got:?}, where {wanted:?} is right"))
        }
    }

    /// The number of iterations, a power of two, that takes about the time wanted.
    fn calibrate(&mut self, engine: &Engine, program: &Program) -> Outcome {
        let mut result = Outcome {
            program: program.name.clone(),
            engine: engine.name.clone(),
            startup: 0.0,
            iterations: 1,
            samples: vec![None; self.args.rounds()],
            guest_instructions: None,
            host_instructions: None,
            failure: None,
            mismatch: false,
        };
        let judged = program.same_output || engine.kind != Kind::Native;
        let mut start_instructions = None;
        // Twice no iterations: the first may wait for the disk.
        for iterations in [0, 0].into_iter().chain(std::iter::repeat(1)) {
            let idle = iterations == 0;
            let count = if idle { 0 } else { result.iterations };
            let run = match self.run(engine, program, count, false) {
                Ok(run) => run,
                Err(reason) => {
                    result.failure = Some(reason).filter(|_| !self.stopped());
                    return result;
                }
            };
            if judged && let Err(difference) = self.expect(program, count, &run.output) {
                // A run that Ctrl-C broke off judges nobody.
                result.mismatch = !self.stopped();
                result.failure = Some(difference).filter(|_| result.mismatch);
                return result;
            }
            if idle {
                result.startup = run.usage.cpu();
                start_instructions = run.instructions;
                continue;
            }
            if let (Some(all), Some(start)) = (run.instructions, start_instructions) {
                result.guest_instructions = Some(all.saturating_sub(start) as f64 / count as f64);
            }
            // So long that the jitter of starting doesn't matter.
            let wanted = self.args.seconds().max(2.0 * result.startup);
            match grow(run.usage.cpu() - result.startup, wanted) {
                Some(factor) if !self.stopped() => result.iterations = count.saturating_mul(factor),
                _ => break,
            }
        }
        result
    }

    fn sample(&mut self, engine: &Engine, program: &Program, round: usize) {
        let found = self
            .results
            .iter()
            .position(|r| r.program == program.name && r.engine == engine.name);
        let Some(at) = found else { return };
        self.step(engine, program);
        if self.results[at].failure.is_some() {
            return;
        }
        let iterations = self.results[at].iterations;
        let outcome = self.run(engine, program, iterations, false);
        if self.stopped() {
            return;
        }
        let judged = program.same_output || engine.kind != Kind::Native;
        let checked = outcome.and_then(|run| {
            if judged {
                self.expect(program, iterations, &run.output)
                    .inspect_err(|_| self.results[at].mismatch = true)?;
            }
            Ok(run)
        });
        let result = &mut self.results[at];
        match checked {
            Ok(run) => result.samples[round] = Some(run.usage),
            Err(reason) => result.failure = Some(reason),
        }
    }

    /// Host instructions of an iteration: two counts, so that starting drops out.
    fn count(&mut self) {
        let setup = self.setup;
        for at in 0..self.results.len() {
            let result = &self.results[at];
            let engine = setup
                .engines
                .iter()
                .find(|engine| engine.name == result.engine);
            let program = setup
                .programs
                .iter()
                .find(|program| program.name == result.program);
            let (Some(engine), Some(program), None) = (engine, program, &result.failure) else {
                continue;
            };
            self.bar
                .set_message(format!("counting {} {}", program.name, engine.name));
            let few = (result.iterations / 16).max(1);
            let count = |n| self.run(engine, program, n, true).ok()?.host_instructions;
            if self.stopped() {
                return;
            }
            if let (Some(less), Some(more)) = (count(few), count(2 * few)) {
                self.results[at].host_instructions =
                    Some(more.saturating_sub(less) as f64 / few as f64);
            }
        }
    }
}

/// By how much to multiply the iterations of a run that took `seconds`: a power of
/// two, carefully while so short a run says little; `None` if it is long enough.
fn grow(seconds: f64, wanted: f64) -> Option<u64> {
    if seconds >= wanted * 0.7 {
        return None;
    }
    let factor =
        (wanted / seconds.max(0.001)).clamp(2.0, if seconds < 0.02 { 16.0 } else { 1024.0 });
    Some(1 << (factor.log2().round() as u32).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Places;
    use clap::Parser;
    use std::fs;
    use std::path::Path;

    /// An engine that works `n` turns of a loop, says how many, and prints `line`.
    fn engine(folder: &Path, name: &str, kind: Kind, line: &str) -> Engine {
        let script = folder.join(format!("{name}.sh"));
        let text = format!(
            "i=0; while [ $i -lt $(($2 * 500)) ]; do i=$((i+1)); done\n\
             echo \"instructions: $((1000 + $2 * 70))\" >&2\n{line}\n"
        );
        fs::write(&script, text).unwrap();
        Engine {
            name: name.to_owned(),
            kind,
            start: vec!["sh".into(), script.into()],
            version: String::new(),
        }
    }

    fn measured(lines: [(&str, Kind, &str); 3], stop: bool) -> Vec<Outcome> {
        let folder = tempfile::tempdir().unwrap();
        let program = Program::listed("fib integer").unwrap();
        for flavour in ["native", "linux"] {
            fs::create_dir(folder.path().join(flavour)).unwrap();
            fs::write(folder.path().join(flavour).join("fib"), "").unwrap();
        }
        let setup = Setup {
            places: Places {
                programs: folder.path().into(),
                root: folder.path().into(),
            },
            engines: lines
                .map(|(name, kind, line)| engine(folder.path(), name, kind, line))
                .into(),
            programs: vec![program],
            count: false,
            skipped: Vec::new(),
        };
        let args = Args::parse_from(["peers", "--seconds", "0.02", "--rounds", "2"]);
        let stop = AtomicBool::new(stop);
        let mut measurement = Measurement::new(&setup, &args, &stop);
        measurement.go();
        measurement.results
    }

    #[test]
    fn engines_in_turns() {
        let right = "echo fib $2 $(($2 * 3))";
        let results = measured(
            [
                ("native", Kind::Native, right),
                // Right only of little work: calibration or a sample must see it.
                ("liar", Kind::Qemu, "echo fib $2 $(($2 > 3 ? 1 : $2 * 3))"),
                ("dead", Kind::Ruse, "echo no more >&2; exit 9"),
            ],
            false,
        );
        let [native, liar, dead] = &results[..] else {
            panic!("{results:?}")
        };
        assert_eq!((native.mismatch, &native.failure), (false, &None));
        assert!(native.iterations > 3 && native.samples.iter().all(Option::is_some));
        assert!(native.seconds().iter().all(|s| s.is_some_and(|s| s > 0.0)));
        // The 1000 of starting are taken off.
        assert_eq!(native.guest_instructions, Some(70.0));
        assert!(liar.mismatch && liar.failure.as_ref().unwrap().contains("is right"));
        assert!(!dead.mismatch);
        assert_eq!(dead.failure.as_deref(), Some("exit status: 9: no more"));
        assert!(dead.samples.iter().all(Option::is_none));
    }

    #[test]
    fn stopped_before_it_began() {
        let right = "echo fib $2";
        let kinds = [Kind::Native, Kind::Qemu, Kind::Ruse];
        assert!(measured(kinds.map(|kind| ("x", kind, right)), true).is_empty());
    }

    #[test]
    fn growing_ends_near_the_time_wanted() {
        assert_eq!(grow(0.5, 0.5), None);
        assert_eq!(grow(0.36, 0.5), None);
        assert_eq!(grow(0.25, 0.5), Some(2));
        assert_eq!(grow(0.1, 0.5), Some(4));
        // A run of a millisecond may be nothing but its start.
        assert_eq!(grow(0.0, 0.5), Some(16));
        for an_iteration in [1e-6, 3e-5, 0.001, 0.07, 0.9] {
            let mut n = 1;
            let mut runs = 1;
            while let Some(factor) = grow(an_iteration * n as f64, 0.5) {
                n *= factor;
                runs += 1;
            }
            let seconds = an_iteration * n as f64;
            assert!(
                seconds >= 0.35 && (seconds <= 1.0 || n == 1),
                "{an_iteration}: {seconds} s of {n}"
            );
            assert!(runs <= 9, "{an_iteration}: {runs} runs");
        }
    }
}
