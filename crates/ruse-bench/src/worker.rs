//! The program that measures, on the host's disk.

use std::path::{Path, PathBuf};

use crate::BenchError;

/// For riscv64 Linux, static.
pub const GUEST: &[u8] = include_bytes!("../../../roms/bench/bench-riscv64.elf");
/// For x86-64 Linux, static.
const X86_64: &[u8] = include_bytes!("../../../roms/bench/bench-x86_64.elf");

macro_rules! sources {
    ($( $name:literal )*) => {
        &[$( ($name, include_str!(concat!("../../../roms/bench/", $name))) ),*]
    };
}

/// What they were built from, for hosts with other processors.
pub const SOURCES: &[(&str, &str)] = sources! {
    "bench.h" "sys.h" "start.c" "main.c" "cpu.c" "memory.c" "kernel.c" "disk.c" "net.c" "guest.c"
};

/// Those of `roms/build`.
const FLAGS: &[&str] = &[
    "-std=gnu11",
    "-O2",
    "-ffreestanding",
    "-nostdlib",
    "-static",
    "-fno-pie",
    "-no-pie",
    "-fno-builtin",
    "-fno-common",
    "-fno-stack-protector",
    "-ffunction-sections",
    "-fno-tree-vectorize",
    "-fno-tree-loop-distribute-patterns",
    "-ffp-contract=off",
    "-fno-asynchronous-unwind-tables",
];

/// Puts the riscv64 program into a directory.
///
/// # Errors
/// [`BenchError::Write`].
pub fn guest(dir: &Path) -> Result<PathBuf, BenchError> {
    put(dir, "bench-riscv64", GUEST)
}

/// Puts the host's own program into a directory, compiling it where none is at hand.
///
/// # Errors
/// Why there is none.
pub fn native(dir: &Path) -> Result<PathBuf, String> {
    let at_hand = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => Some(X86_64),
        ("linux", "riscv64") => Some(GUEST),
        ("linux", _) => None,
        _ => return Err("the program is for Linux only".into()),
    };
    match at_hand {
        Some(bytes) => put(dir, "bench-native", bytes).map_err(|error| error.to_string()),
        None => compile(dir),
    }
}

fn compile(dir: &Path) -> Result<PathBuf, String> {
    let sources = dir.join("source");
    std::fs::create_dir_all(&sources).map_err(|error| error.to_string())?;
    let program = dir.join("bench-native");
    let mut command = std::process::Command::new("cc");
    command.args(FLAGS).arg("-o").arg(&program);
    for (name, text) in SOURCES {
        let path = put(&sources, name, text.as_bytes()).map_err(|error| error.to_string())?;
        if name.ends_with(".c") {
            command.arg(path);
        }
    }
    let missing = "none was built for this processor, and compiling it here fails";
    match command.output() {
        Ok(output) if output.status.success() => Ok(program),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let line = said.lines().next().unwrap_or_default();
            Err(format!("{missing}: {line}"))
        }
        Err(error) => Err(format!("{missing}: cc: {error}")),
    }
}

fn put(dir: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf, BenchError> {
    let path = dir.join(name);
    let written = std::fs::write(&path, bytes);
    #[cfg(unix)]
    let written = written.and_then(|()| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
    });
    match written {
        Ok(()) => Ok(path),
        Err(source) => Err(BenchError::Write { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sources_are_embedded_and_built_as_here() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../roms");
        let mut there: Vec<_> = std::fs::read_dir(folder.join("bench"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.ends_with(".elf"))
            .collect();
        there.sort();
        let mut known: Vec<_> = SOURCES.iter().map(|(name, _)| *name).collect();
        known.sort_unstable();
        assert_eq!(there, known);
        let recipe = std::fs::read_to_string(folder.join("build")).unwrap();
        for flag in FLAGS {
            assert!(recipe.contains(flag), "roms/build has no {flag}");
        }
    }

    #[test]
    fn sources_compile_for_this_host() {
        if std::env::consts::OS != "linux" {
            eprintln!("skipped: the program is for Linux");
            return;
        }
        if std::process::Command::new("cc")
            .arg("--version")
            .output()
            .is_err()
        {
            assert!(std::env::var_os("CI").is_none(), "CI needs a C compiler");
            eprintln!("skipped: no C compiler");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let program = compile(dir.path()).unwrap();
        let output = std::process::Command::new(program)
            .args(["ms=1", "run=integer"])
            .output()
            .unwrap();
        let mut log = crate::log::Log::default();
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            log.take(line);
        }
        assert_eq!(log.measured.len(), 1);
        assert_eq!(log.measured[0].checksum, 13_458_957_424_318_157_283);
    }
}
