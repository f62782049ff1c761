//! Finds or makes what is to run: packages, programs, engines. What can't be had
//! is left out, and said.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::args::Args;
use crate::engine::{Engine, Kind, Places, counted, on_host};
use crate::program::{self, Program};
use crate::run::run;

/// Commands and the Debian packages that hold them.
const PACKAGES: [(&str, &str); 7] = [
    ("gcc", "gcc"),
    ("g++", "g++"),
    ("riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu"),
    ("qemu-riscv64", "qemu-user"),
    ("python3", "python3"),
    ("sqlite3", "sqlite3"),
    ("zstd", "zstd"),
];

pub struct Setup {
    pub places: Places,
    pub engines: Vec<Engine>,
    pub programs: Vec<Program>,
    /// Whether host instructions are wanted and this host counts them.
    pub count: bool,
    /// What is missing, a line each.
    pub skipped: Vec<String>,
}

/// The programs of the filter, found without building anything.
pub fn programs(args: &Args) -> Result<Vec<Program>, String> {
    let list = Command::new(build_script())
        .arg("--list")
        .output()
        .map_err(|e| format!("benches/programs/build: {e}"))?;
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    let mut programs: Vec<Program> = list.lines().filter_map(Program::listed).collect();
    programs.extend(program::debian());
    programs.retain(|program| args.wants(&program.name));
    if programs.is_empty() {
        return Err(format!(
            "no program is called like {}",
            args.filter.join(", ")
        ));
    }
    Ok(programs)
}

pub fn set_up(args: &Args, mut programs: Vec<Program>) -> Result<Setup, String> {
    let work = work_folder();
    let places = Places {
        programs: work.join("programs"),
        root: args.root.clone(),
    };
    let mut skipped = Vec::new();

    packages(args.install, &mut skipped);
    eprintln!("building the programs");
    let built = Command::new(build_script())
        .arg(&places.programs)
        .status()
        .map_err(|e| e.to_string())?;
    if !built.success() {
        return Err("benches/programs/build failed".to_owned());
    }
    if !args.root.join("usr/bin").is_dir()
        && programs.iter().any(|program| program.debian.is_some())
    {
        programs.retain(|program| program.debian.is_none());
        skipped.push(format!(
            "Debian's programs: there is no {}; `roms/debian/build tree` makes it",
            args.root.display()
        ));
    }

    let mut engines = Vec::new();
    for &kind in &args.engines {
        for engine in make(kind, args, &work) {
            match engine.and_then(|engine| probe(engine, &places)) {
                Ok(engine) => engines.push(engine),
                // A peer may be missing; what all this is for may not.
                Err(reason) if kind == Kind::Ruse => return Err(reason),
                Err(reason) => skipped.push(reason),
            }
        }
    }
    if engines.is_empty() {
        return Err(format!("no engine runs:\n  {}", skipped.join("\n  ")));
    }
    let mut count = args.count;
    if count {
        let run = run(
            &mut counted(&Command::new("true")),
            None,
            Duration::from_secs(10),
        );
        count = run.is_ok_and(|run| run.host_instructions.is_some());
        if !count {
            skipped.push("host instructions: `perf stat` doesn't count them here".to_owned());
        }
    }
    Ok(Setup {
        count,
        places,
        engines,
        programs,
        skipped,
    })
}

/// Cargo's folder for what benches leave.
pub fn work_folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers")
}

fn here() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/benches"))
}

fn build_script() -> PathBuf {
    here().join("programs/build")
}

fn packages(install: bool, skipped: &mut Vec<String>) {
    let missing = || -> Vec<&str> {
        PACKAGES
            .iter()
            .filter(|(command, _)| on_host(command).is_none())
            .map(|&(_, package)| package)
            .collect()
    };
    if !install || missing().is_empty() {
        if !missing().is_empty() {
            skipped.push(format!(
                "for more: apt-get install {} (or --install)",
                missing().join(" ")
            ));
        }
        return;
    }
    for step in [
        vec!["update", "-q"],
        [
            vec!["install", "-y", "-q", "--no-install-recommends"],
            missing(),
        ]
        .concat(),
    ] {
        // Of the two, only root's own needs no sudo; try without first.
        let done = |mut command: Command| {
            command
                .args(&step)
                .status()
                .is_ok_and(|status| status.success())
        };
        let mut by_sudo = Command::new("sudo");
        by_sudo.arg("apt-get");
        if !done(Command::new("apt-get")) && !done(by_sudo) {
            skipped.push(format!("apt-get {} failed", step.join(" ")));
            return;
        }
    }
}

/// The engines of one kind: several if several ruses are compared.
fn make(kind: Kind, args: &Args, work: &Path) -> Vec<Result<Engine, String>> {
    let engine = |name: &str, start: Vec<OsString>, version: String| Engine {
        name: name.to_owned(),
        kind,
        start,
        version,
    };
    match kind {
        Kind::Native => vec![Ok(engine(
            "native",
            Vec::new(),
            first_line("gcc", &["--version"]),
        ))],
        Kind::Qemu => vec![match on_host("qemu-riscv64") {
            Some(path) => {
                let version = first_line("qemu-riscv64", &["--version"]);
                Ok(engine("qemu-user", vec![path.into()], version))
            }
            None => Err(
                "qemu-user: no qemu-riscv64; apt-get install qemu-user (or --install)".to_owned(),
            ),
        }],
        Kind::Ruse => {
            let ours = [("ruse".to_owned(), PathBuf::from(env!("CARGO_BIN_EXE_ruse")))];
            let builds = if args.ruse.is_empty() {
                &ours[..]
            } else {
                &args.ruse[..]
            };
            builds
                .iter()
                .map(|(name, path)| {
                    let version = path.display().to_string();
                    Ok(engine(
                        name,
                        vec![path.clone().into(), "--stats".into()],
                        version,
                    ))
                })
                .collect()
        }
        Kind::Libriscv => vec![build(work, "libriscv", &[]).map(|path| {
            engine(
                "libriscv",
                vec![path.into()],
                "libriscv 0.3.0, threaded".into(),
            )
        })],
        Kind::LibriscvTranslation => vec![
            build(work, "libriscv", &["--features", "translation"]).map(|path| {
                engine(
                    "libriscv-tr",
                    vec![path.into()],
                    "libriscv 0.3.0, binary translation by the C compiler".into(),
                )
            }),
        ],
        Kind::CkbAsm | Kind::CkbRust => vec![build(work, "ckb", &[]).map(|path| {
            let (name, word) = if kind == Kind::CkbAsm {
                ("ckb-vm asm", "asm")
            } else {
                ("ckb-vm rust", "rust")
            };
            engine(
                name,
                vec![path.into(), word.into()],
                "ckb-vm 0.24.15".into(),
            )
        })],
    }
}

/// Builds one of the runners beside this file; answers where it is.
fn build(work: &Path, package: &str, options: &[&str]) -> Result<PathBuf, String> {
    let target = work.join(format!(
        "{package}{}",
        if options.is_empty() { "" } else { "-more" }
    ));
    eprintln!("building the runner of {package}; a minute or two at first");
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--release", "--locked", "--manifest-path"])
        .arg(here().join("peers").join(package).join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .args(options)
        .env_remove("RUSTFLAGS")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{package}: cargo: {e}"))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let reason = errors
            .lines()
            .find(|line| line.starts_with("error"))
            .unwrap_or("cargo build failed");
        return Err(format!("{package}: {reason}"));
    }
    Ok(target.join("release").join(format!("peer-{package}")))
}

/// Runs the smallest program once.
fn probe(engine: Engine, places: &Places) -> Result<Engine, String> {
    let fib = Program::listed("fib integer").ok_or("no fib")?;
    let Some(mut command) = engine.command(places, &fib, 1) else {
        return Err(format!("{}: its programs could not be built", engine.name));
    };
    // A translation by the C compiler takes minutes the first time.
    match run(&mut command, None, Duration::from_secs(1200)) {
        Ok(run) if run.output.starts_with("fib 1 ") => Ok(engine),
        Ok(run) => Err(format!("{}: fib prints {:?}", engine.name, run.output)),
        Err(failure) => Err(format!("{}: fib: {failure}", engine.name)),
    }
}

fn first_line(command: &str, arguments: &[&str]) -> String {
    let output = Command::new(command).args(arguments).output();
    let text = output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}
