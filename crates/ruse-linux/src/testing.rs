//! Guests for tests: C programs, compiled when a test runs and executed in
//! this process.
//!
//! ```ignore
//! let Some(guest) = Guest::c("int main(void) { return 7; }") else { return };
//! guest.run().exits(7);
//! ```

use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::{Config, Limits, Linux, LinuxError, Outcome, StdHost, Stdio};

const COMPILER: &str = "riscv64-linux-gnu-gcc";

/// What every program begins with: headers, and a check that reports its line.
const PRELUDE: &str = "\
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#define CHECK(x) do { if (!(x)) { \\
    dprintf(2, \"line %d: %s (errno %d)\\n\", __LINE__, #x, errno); _exit(99); } } while (0)
#define FAILS(x, e) do { errno = 0; if ((long)(x) != -1 || errno != (e)) { \\
    dprintf(2, \"line %d: %s: errno %d\\n\", __LINE__, #x, errno); _exit(99); } } while (0)
#line 1
";

/// A guest to be run.
pub(crate) struct Guest {
    pub config: Config,
    out: Arc<Mutex<Vec<u8>>>,
    err: Arc<Mutex<Vec<u8>>>,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub outcome: Outcome,
    pub out: String,
    pub err: String,
    pub peak_memory: u64,
}

/// Compiles a C program, statically linked unless `options` say otherwise;
/// `None` without a compiler.
pub(crate) fn compile(source: &str, options: &[&str]) -> Option<PathBuf> {
    let mut hasher = DefaultHasher::new();
    (PRELUDE, source, options).hash(&mut hasher);
    let dir = std::env::temp_dir().join("ruse-linux-tests");
    let program = dir.join(format!("{:016x}", hasher.finish()));
    if program.exists() {
        return Some(program);
    }
    std::fs::create_dir_all(&dir).unwrap();
    let unique = tempfile::tempdir_in(&dir).unwrap();
    let (code, out) = (
        unique.path().join("program.c"),
        unique.path().join("program"),
    );
    std::fs::write(&code, format!("{PRELUDE}{source}")).unwrap();
    let linking: &[&str] = if options.contains(&"-pie") {
        &[]
    } else {
        &["-static"]
    };
    let compiled = Command::new(COMPILER)
        .args(["-O1", "-w", "-pthread"])
        .args(linking)
        .args(options)
        .arg("-o")
        .args([&out, &code])
        .output();
    match compiled {
        Ok(output) if output.status.success() => {
            // Another test may have been faster; both are the same.
            std::fs::rename(&out, &program).unwrap();
            Some(program)
        }
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "CI needs {COMPILER}");
            eprintln!("skipped: {COMPILER}: {error}");
            None
        }
    }
}

impl Guest {
    /// A C program, statically linked.
    pub(crate) fn c(source: &str) -> Option<Self> {
        Some(Self::program(&compile(source, &[])?))
    }

    /// A program of the host's file system.
    pub(crate) fn program(path: &Path) -> Self {
        let (out, err) = (Arc::default(), Arc::default());
        let config = Config {
            program: path.into(),
            args: vec!["test".into()],
            stdio: [
                Stdio::Null,
                Stdio::Capture(Arc::clone(&out)),
                Stdio::Capture(Arc::clone(&err)),
            ],
            limits: Limits {
                // Nothing here takes so long but a hang.
                time: Some(Duration::from_secs(600)),
                ..Limits::default()
            },
            ..Config::default()
        };
        Self { config, out, err }
    }

    /// Adds an argument.
    pub(crate) fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.config.args.push(arg.into());
        self
    }

    /// Adds a variable, `NAME=value`.
    pub(crate) fn env(mut self, variable: &str) -> Self {
        self.config.env.push(variable.into());
        self
    }

    /// What it reads from standard input.
    pub(crate) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.config.stdio[0] = Stdio::Input(bytes.into());
        self
    }

    /// Runs it until it ends.
    pub(crate) fn run(self) -> Ran {
        self.try_run().unwrap()
    }

    /// Runs it until it ends, if it can be run at all.
    pub(crate) fn try_run(self) -> Result<Ran, LinuxError> {
        let mut linux = Linux::new(self.config, Box::new(StdHost::new()))?;
        let outcome = linux.run()?;
        let peak_memory = linux.peak_memory();
        drop(linux);
        let text = |bytes: &Mutex<Vec<u8>>| {
            let bytes = bytes.lock().unwrap_or_else(|e| e.into_inner());
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Ok(Ran {
            outcome,
            out: text(&self.out),
            err: text(&self.err),
            peak_memory,
        })
    }
}

impl Ran {
    /// It exited with `code`.
    #[track_caller]
    pub(crate) fn exits(&self, code: u8) -> &Self {
        assert_eq!(self.outcome, Outcome::Exited(code), "{self:#?}");
        self
    }

    /// It exited with 0 and printed this, and no error.
    #[track_caller]
    pub(crate) fn prints(&self, expected: &str) -> &Self {
        self.exits(0);
        assert_eq!(self.out, expected);
        assert_eq!(self.err, "");
        self
    }
}

#[test]
fn a_program_runs_and_its_output_is_seen() {
    let Some(guest) = Guest::c(
        "int main(int n, char **v) { puts(v[1]); puts(getenv(\"A\")); \
        char b[9]; b[read(0, b, 8)] = 0; fputs(b, stderr); return n; }",
    ) else {
        return;
    };
    let ran = guest.arg("one").env("A=b").input("in").run();
    ran.exits(2);
    assert_eq!((&ran.out[..], &ran.err[..]), ("one\nb\n", "in"));
}
