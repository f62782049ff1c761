//! What runs the programs, and how each is called.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;
use serde::Serialize;

use crate::program::{Class, Program};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// This machine's own processor.
    Native,
    /// QEMU's user mode, which translates to host code.
    Qemu,
    /// Ruse's Linux programs.
    Ruse,
    /// libriscv's threaded interpreter.
    Libriscv,
    /// libriscv's translation through a C compiler, once warm. Minutes a program.
    LibriscvTranslation,
    /// ckb-vm's interpreter in assembly: integer programs without a C library.
    CkbAsm,
    /// ckb-vm's interpreter in Rust: the same programs.
    CkbRust,
}

impl Kind {
    /// The folder of `benches/programs/build` that holds its programs.
    pub fn flavour(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Qemu | Self::Ruse | Self::Libriscv | Self::LibriscvTranslation => "linux",
            Self::CkbAsm | Self::CkbRust => "bare",
        }
    }

    pub fn can_run(self, program: &Program) -> bool {
        match self {
            Self::Native | Self::Qemu | Self::Ruse => true,
            Self::Libriscv | Self::LibriscvTranslation => program.debian.is_none(),
            // No floating point, no C library.
            Self::CkbAsm | Self::CkbRust => program.class == Class::Integer,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Engine {
    /// Column heading; unique.
    pub name: String,
    pub kind: Kind,
    /// What is started, options included; nothing for `native`.
    pub start: Vec<OsString>,
    pub version: String,
}

/// Where programs are.
#[derive(Clone, Debug)]
pub struct Places {
    /// Made by `benches/programs/build`.
    pub programs: PathBuf,
    /// The riscv64 Debian.
    pub root: PathBuf,
}

impl Engine {
    /// The command that runs a program; `None` if this machine has no such program.
    pub fn command(&self, places: &Places, program: &Program, iterations: u64) -> Option<Command> {
        let mut words = self.start.clone();
        match program.debian {
            None => {
                let path = places
                    .programs
                    .join(self.kind.flavour())
                    .join(&program.name);
                if !path.exists() {
                    return None;
                }
                words.push(path.into());
                words.push(iterations.to_string().into());
            }
            Some(debian) => {
                let name = debian.command;
                if self.kind == Kind::Native {
                    words.push(on_host(name)?.into());
                } else {
                    let path = places.root.join("usr/bin").join(name);
                    if !path.exists() {
                        return None;
                    }
                    match self.kind {
                        Kind::Ruse => {
                            // Read-only: a measurement leaves nothing behind.
                            let mut root = OsString::from(&places.root);
                            root.push(":ro");
                            words.extend(["--root".into(), root]);
                            words.push(Path::new("/usr/bin").join(name).into());
                        }
                        Kind::Qemu => {
                            words.extend(["-L".into(), places.root.clone().into()]);
                            words.push(path.into());
                        }
                        _ => return None,
                    }
                }
                words.extend(
                    (debian.arguments)(iterations)
                        .into_iter()
                        .map(OsString::from),
                );
            }
        }
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        // The guest's start-up must not depend on who measures.
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C");
        Some(command)
    }
}

/// The same command with its host instructions counted.
pub fn counted(command: &Command) -> Command {
    let mut counted = Command::new("perf");
    counted.args(["stat", "-x,", "-e", "instructions:u"]);
    counted
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear();
    counted.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    counted
}

/// A command of the host, not through a wrapper script of the user's.
pub fn on_host(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    [PathBuf::from("/usr/bin"), PathBuf::from("/bin")]
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program;

    fn engine(kind: Kind, start: &[&str]) -> Engine {
        let start = start.iter().map(OsString::from).collect();
        Engine {
            name: "x".into(),
            kind,
            start,
            version: String::new(),
        }
    }

    fn words(command: &Command) -> Vec<String> {
        std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| word.to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn commands() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places {
            programs: folder.path().into(),
            root: folder.path().join("root"),
        };
        let fib = Program::listed("fib integer").unwrap();
        let qemu = engine(Kind::Qemu, &["qemu-riscv64"]);
        assert!(qemu.command(&places, &fib, 3).is_none());

        std::fs::create_dir_all(folder.path().join("linux")).unwrap();
        std::fs::write(folder.path().join("linux/fib"), "").unwrap();
        let path = folder.path().join("linux/fib").display().to_string();
        let command = qemu.command(&places, &fib, 3).unwrap();
        assert_eq!(words(&command), ["qemu-riscv64", &path, "3"]);
        let command = counted(&command);
        assert_eq!(words(&command)[5..], ["qemu-riscv64", &path, "3"]);
        assert_eq!(command.get_envs().count(), 2);

        std::fs::create_dir_all(places.root.join("usr/bin")).unwrap();
        std::fs::write(places.root.join("usr/bin/sqlite3"), "").unwrap();
        let sqlite = program::debian().remove(1);
        let root = places.root.display().to_string();
        let command = engine(Kind::Ruse, &["ruse", "--stats"])
            .command(&places, &sqlite, 1)
            .unwrap();
        assert_eq!(
            words(&command),
            [
                "ruse",
                "--stats",
                "--root",
                &format!("{root}:ro"),
                "/usr/bin/sqlite3",
                ":memory:"
            ]
        );
        let command = qemu.command(&places, &sqlite, 1).unwrap();
        assert_eq!(
            words(&command)[1..],
            ["-L", &root, &format!("{root}/usr/bin/sqlite3"), ":memory:"]
        );
    }

    #[test]
    fn who_runs_what() {
        let fib = Program::listed("fib integer").unwrap();
        let nbody = Program::listed("nbody double").unwrap();
        let python = program::debian().remove(0);
        for kind in Kind::value_variants() {
            assert!(kind.can_run(&fib), "{kind:?}");
        }
        assert!(Kind::Libriscv.can_run(&nbody) && !Kind::CkbAsm.can_run(&nbody));
        assert!(Kind::Ruse.can_run(&python) && !Kind::Libriscv.can_run(&python));
    }
}
