//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::engine::Kind;

/// Runs the same programs under Ruse and its peers, in turns, and compares.
#[derive(Debug, Parser)]
#[command(name = "peers", bin_name = "cargo bench --bench peers --")]
pub struct Args {
    /// Only programs whose names contain one of these.
    pub filter: Vec<String>,

    /// Which engines run. ckb-vm's and libriscv's are built at first use.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "LIST",
        default_value = "native,qemu,ruse,libriscv,ckb-asm,ckb-rust"
    )]
    pub engines: Vec<Kind>,

    /// The ruse to measure, instead of that of this workspace. Several are compared.
    #[arg(long, value_name = "[NAME=]PATH", value_parser = named_path)]
    pub ruse: Vec<(String, PathBuf)>,

    /// Samples of each engine on each program [default: 5; 3 if quick].
    #[arg(long, value_name = "N")]
    pub rounds: Option<usize>,

    /// Least time of one sample [default: 0.5; 0.1 if quick].
    #[arg(long, value_name = "S")]
    pub seconds: Option<f64>,

    /// Few and short samples: two minutes or so, for a first impression.
    #[arg(long)]
    pub quick: bool,

    /// A riscv64 Debian, whose python3, sqlite3 and zstd run too.
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/roms/debian/out/tree"))]
    pub root: PathBuf,

    /// Writes everything measured to a file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Also counts host instructions for each guest instruction, by `perf stat`.
    #[arg(long)]
    pub count: bool,

    /// A run that takes longer has failed.
    #[arg(long, value_name = "S", default_value_t = 60)]
    pub limit: u64,

    /// Installs the Debian packages that are missing (as root or by sudo).
    #[arg(long)]
    pub install: bool,

    /// Names the programs and leaves.
    #[arg(long)]
    pub list: bool,

    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    pub bench: bool,
}

impl Args {
    pub fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 3 } else { 5 }).max(1)
    }

    pub fn seconds(&self) -> f64 {
        self.seconds
            .unwrap_or(if self.quick { 0.1 } else { 0.5 })
            .clamp(0.01, 60.0)
    }

    pub fn wants(&self, program: &str) -> bool {
        self.filter.is_empty()
            || self
                .filter
                .iter()
                .any(|part| program.contains(part.as_str()))
    }
}

fn named_path(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').unwrap_or(("ruse", text));
    if name.is_empty() || path.is_empty() {
        return Err("expected PATH or NAME=PATH".to_owned());
    }
    Ok((name.to_owned(), PathBuf::from(path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn as_cargo_calls_it() {
        Args::command().debug_assert();
        let args = Args::parse_from(["peers", "--quick", "sha", "fib", "--bench"]);
        assert_eq!((args.rounds(), args.seconds()), (3, 0.1));
        assert!(args.wants("sha256") && args.wants("fib") && !args.wants("vm"));
        assert_eq!(args.engines.len(), 6);
        assert!(args.wants("fib"));
    }

    #[test]
    fn several_builds_of_ruse() {
        let args = Args::parse_from([
            "peers",
            "--ruse",
            "old=/a/ruse",
            "--ruse",
            "/b/ruse",
            "--engines",
            "ruse,native",
        ]);
        assert_eq!(args.ruse[0], ("old".to_owned(), PathBuf::from("/a/ruse")));
        assert_eq!(args.ruse[1], ("ruse".to_owned(), PathBuf::from("/b/ruse")));
        assert_eq!(args.engines, [Kind::Ruse, Kind::Native]);
        assert!(Args::try_parse_from(["peers", "--ruse", "old="]).is_err());
        assert!(Args::try_parse_from(["peers", "--engines", "abacus"]).is_err());
    }
}
