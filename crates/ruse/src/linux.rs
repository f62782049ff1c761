//! Linux programs: their options, and running one.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use ruse_confine::Needs;
use ruse_linux::{Config, Limits, Linux, Outcome, Share, StdHost};

use crate::args::Program;
use crate::confine::Confine;
use crate::error::HostError;
use crate::gdb::Gdb;
use crate::watch::Watching;
use crate::{exit, size};

/// Options for Linux programs only, by clap's names for them.
pub const OPTIONS: &[&str] = &[
    "root",
    "net",
    "max_memory",
    "max_instructions",
    "max_time",
    "env",
    "cwd",
    "strace",
];

#[derive(Args)]
#[command(next_help_heading = "Linux programs")]
pub struct LinuxArgs {
    /// Directory that the program sees as `/`; with `:ro` it can only read
    #[arg(long, value_name = "DIR[:ro]")]
    root: Option<Sharing>,

    /// Let the program use the host's network
    #[arg(long)]
    net: bool,

    /// Most memory, with K, M, G or T
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    max_memory: Option<u64>,

    /// Most instructions, with K, M, G or T for thousands and so on
    #[arg(long, value_name = "N", value_parser = size::count)]
    max_instructions: Option<u64>,

    /// Most time, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    max_time: Option<Duration>,

    /// Set an environment variable, or pass on the host's. Repeat for more
    #[arg(long, value_name = "NAME[=VALUE]")]
    env: Vec<OsString>,

    /// Working directory, as the program sees it
    #[arg(long, value_name = "DIR")]
    cwd: Option<String>,

    /// Print every system call to standard error
    #[arg(long)]
    strace: bool,

    /// Machines have this option too.
    #[arg(skip)]
    pub stats: bool,
}

impl LinuxArgs {
    /// Whether `program` is to be run as a Linux program.
    pub fn is_for_linux(&self, program: &OsStr) -> bool {
        self.root.is_some() || is_program(Path::new(program))
    }
}

/// A host path, perhaps another name for it inside, perhaps read-only.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sharing {
    host: PathBuf,
    guest: Option<String>,
    read_only: bool,
}

impl From<OsString> for Sharing {
    fn from(text: OsString) -> Self {
        // A path that is no text has neither `:ro` nor `=` that we could find.
        let Some(text) = text.to_str() else {
            return Self {
                host: text.into(),
                guest: None,
                read_only: false,
            };
        };
        let (path, read_only) = match text.strip_suffix(":ro") {
            Some(path) => (path, true),
            None => (text, false),
        };
        let (host, guest) = match path.split_once('=') {
            Some((host, guest)) => (host, Some(guest.to_owned())),
            None => (path, None),
        };
        Self {
            host: host.into(),
            guest,
            read_only,
        }
    }
}

impl Sharing {
    /// What the guest sees of it, and where.
    fn share(self) -> Result<Share, HostError> {
        let at = match self.guest {
            Some(guest) if guest.starts_with('/') => guest,
            Some(guest) => return Err(HostError::GuestPath(guest)),
            None => guest_path(&self.host)?,
        };
        Ok(Share {
            host: self.host,
            at,
            read_only: self.read_only,
        })
    }
}

/// The path under which the guest sees a file of the host's: the same, without
/// a drive.
fn guest_path(host: &Path) -> Result<String, HostError> {
    use std::path::Component;
    let absolute = std::path::absolute(host).map_err(|source| HostError::Read {
        path: host.into(),
        source,
    })?;
    let mut out = String::new();
    for part in absolute.components() {
        match part {
            Component::Normal(name) => {
                let name = name
                    .to_str()
                    .ok_or_else(|| HostError::NotText(host.into()))?;
                out.push('/');
                out.push_str(name);
            }
            Component::ParentDir => out.truncate(out.rfind('/').unwrap_or(0)),
            _ => {}
        }
    }
    if out.is_empty() {
        out.push('/');
    }
    Ok(out)
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .filter(|&seconds| seconds > 0.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "not a number of seconds; try 10 or 0.5".into())
}

/// The variables that a program finds, besides those it is given.
fn default_env() -> [(&'static str, OsString); 5] {
    // Only what is about the terminal is the host's.
    let terminal = std::env::var_os("TERM").unwrap_or_else(|| "dumb".into());
    [
        (
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into(),
        ),
        ("HOME", "/root".into()),
        ("USER", "root".into()),
        ("LANG", "C.UTF-8".into()),
        ("TERM", terminal),
    ]
}

/// The environment: the default, with what `given` sets or passes on.
fn environment(given: &[OsString]) -> Vec<OsString> {
    let mut all: Vec<OsString> = default_env()
        .into_iter()
        .map(|(name, value)| join(name.as_ref(), &value))
        .collect();
    for text in given {
        let bytes = text.as_encoded_bytes();
        let entry = match bytes.contains(&b'=') {
            true => text.clone(),
            false => match std::env::var_os(text) {
                Some(value) => join(text, &value),
                // Not set here: not set there.
                None => continue,
            },
        };
        let name = |entry: &OsString| {
            let bytes = entry.as_encoded_bytes();
            let end = bytes.iter().position(|&byte| byte == b'=');
            bytes[..end.unwrap_or(bytes.len())].to_vec()
        };
        let new = name(&entry);
        all.retain(|old| name(old) != new);
        all.push(entry);
    }
    all
}

fn join(name: &OsStr, value: &OsStr) -> OsString {
    let mut entry = name.to_owned();
    entry.push("=");
    entry.push(value);
    entry
}

/// Whether a file is a Linux program rather than a bare-metal one: a script,
/// or a riscv64 ELF file that needs a dynamic linker or has nothing where the
/// machine's RAM is. What cannot be read is for the other loader to report.
fn is_program(path: &Path) -> bool {
    let mut head = Vec::new();
    // Linkers put the program headers right behind the header.
    let read = std::fs::File::open(path).and_then(|file| {
        // A directory or a device is no program.
        if !file.metadata()?.is_file() {
            return Ok(0);
        }
        file.take(1 << 16).read_to_end(&mut head)
    });
    read.is_ok() && (head.starts_with(b"#!") || is_linux_elf(&head))
}

/// The fields looked at are those of the System V ABI, chapter 4.
fn is_linux_elf(head: &[u8]) -> bool {
    const RAM: u64 = 0x8000_0000;
    let field = |at: usize, len: usize| -> Option<u64> {
        let bytes = head.get(at..at.checked_add(len)?)?;
        Some(bytes.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b)))
    };
    // 64 bits, little-endian, RISC-V, executable or shared object.
    let riscv64 = head.starts_with(b"\x7fELF\x02\x01")
        && field(18, 2) == Some(243)
        && matches!(field(16, 2), Some(2 | 3));
    let (Some(table), Some(count)) = (field(32, 8), field(56, 2)) else {
        return false;
    };
    if !riscv64 || field(54, 2) != Some(56) {
        return false;
    }
    let mut loads = false;
    for n in 0..count as usize {
        let at = usize::try_from(table)
            .ok()
            .and_then(|at| at.checked_add(n * 56))
            .filter(|&at| at <= head.len());
        let Some(at) = at else {
            return false;
        };
        match (field(at, 4), field(at + 16, 8), field(at + 24, 8)) {
            // PT_INTERP
            (Some(3), ..) => return true,
            // PT_LOAD
            (Some(1), Some(virt), Some(phys)) => {
                if virt >= RAM || phys >= RAM {
                    return false;
                }
                loads = true;
            }
            (Some(_), ..) => {}
            (None, ..) => return false,
        }
    }
    loads
}

/// Runs a Linux program.
///
/// # Errors
/// [`HostError`] if it is missing or unsuitable, or the host fails.
pub fn run(program: Program, confine: Confine) -> Result<ExitCode, HostError> {
    let Program {
        options: args,
        watch,
        gdb,
        shares,
        command,
    } = program;
    // Before this process gives up what listening takes.
    let gdb = gdb.map(Gdb::open).transpose()?;
    let name = command.first().cloned().unwrap_or_default();
    let program = command.first().map(Path::new);
    let watching = Watching::open(&watch, &program.into_iter().collect::<Vec<_>>())?;
    let start = Instant::now();
    let stats = args.stats;
    let limits = Limits {
        memory: args.max_memory,
        instructions: args.max_instructions,
        time: args.max_time,
    };
    let shares = shares.into_iter().map(|share| Sharing::from(share).share());
    let config = Config {
        program: command.first().cloned().unwrap_or_default(),
        args: command,
        env: environment(&args.env),
        cwd: args.cwd,
        shares: shares.collect::<Result<_, _>>()?,
        root_read_only: args.root.as_ref().is_some_and(|root| root.read_only),
        root: match args.root {
            Some(Sharing {
                guest: Some(guest), ..
            }) => return Err(HostError::RootElsewhere(guest)),
            Some(root) => Some(root.host),
            None => None,
        },
        net: args.net,
        limits: limits.clone(),
        strace: args.strace,
        tap: watching.begin_program(start),
        ..Config::default()
    };
    let mut needs = needs(&config);
    let mut linux = Linux::new(config, Box::new(StdHost::new()))?;
    needs.writes.push(linux.private_dir().into());
    needs
        .empties
        .extend(linux.private_dir().parent().map(Path::to_owned));
    confine.files(&needs)?;
    confine.calls(&needs)?;
    let outcome = match gdb {
        Some(gdb) => {
            gdb.announce(&name.to_string_lossy());
            gdb.serve(&mut linux)?
        }
        None => linux.run()?,
    };
    if let Outcome::Limit(which) = outcome {
        eprintln!("ruse: {}", over(which, &limits));
    }
    if stats {
        let seconds = start.elapsed().as_secs_f64();
        let instructions = linux.retired();
        eprintln!("instructions: {instructions}");
        eprintln!("seconds: {seconds:.3}");
        eprintln!("mips: {:.0}", instructions as f64 / seconds / 1e6);
        eprintln!("peak memory: {} KiB", linux.peak_memory() >> 10);
    }
    // What the guest printed last, and the terminal as it was.
    drop(linux);
    watching.finish_program();
    Ok(exit::of_program(outcome))
}

/// What a program needs of the host.
fn needs(config: &Config) -> Needs {
    let mut needs = Needs {
        network: config.net,
        ..Needs::default()
    };
    let root = config.root.iter().map(|root| (root, config.root_read_only));
    let shares = config
        .shares
        .iter()
        .map(|share| (&share.host, share.read_only));
    for (path, read_only) in root.chain(shares) {
        match read_only {
            true => needs.reads.push(path.clone()),
            false => needs.writes.push(path.clone()),
        }
    }
    needs
}

/// What to say of a limit that ended the program.
fn over(which: &str, limits: &Limits) -> String {
    match (which, limits) {
        (
            "memory",
            Limits {
                memory: Some(bytes),
                ..
            },
        ) => format!(
            "the program needs more memory than the {} MiB of --max-memory",
            bytes >> 20
        ),
        (
            "instructions",
            Limits {
                instructions: Some(count),
                ..
            },
        ) => format!("the program used up the {count} instructions of --max-instructions"),
        (
            "time",
            Limits {
                time: Some(time), ..
            },
        ) => format!(
            "the program used up the {} seconds of --max-time",
            time.as_secs_f64()
        ),
        _ => format!("the program reached its limit of {which}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_roots() {
        let sharing = |text: &str| {
            let Sharing {
                host,
                guest,
                read_only,
            } = Sharing::from(OsString::from(text));
            (host.to_str().unwrap().to_owned(), guest, read_only)
        };
        assert_eq!(sharing("/a"), ("/a".into(), None, false));
        assert_eq!(sharing("/a:ro"), ("/a".into(), None, true));
        assert_eq!(sharing("a:rw"), ("a:rw".into(), None, false));
        let data = Some("/data".to_owned());
        assert_eq!(sharing("a=/data:ro"), ("a".into(), data, true));
        let share = |text: &str| Sharing::from(OsString::from(text)).share();
        assert!(matches!(share("a=data"), Err(HostError::GuestPath(_))));
        assert_eq!(share("a=/data").unwrap().at, "/data");
        if cfg!(unix) {
            assert_eq!(share("/x/../y/./z").unwrap().at, "/y/z");
            assert_eq!(share("/..").unwrap().at, "/");
        }
    }

    #[test]
    fn the_environment_is_clean() {
        let names = |env: &[OsString]| -> Vec<String> {
            env.iter()
                .map(|e| e.to_str().unwrap().split('=').next().unwrap().to_owned())
                .collect()
        };
        let env = environment(&[]);
        assert_eq!(names(&env), ["PATH", "HOME", "USER", "LANG", "TERM"]);
        let env = environment(&["HOME=/x=y".into(), "A=".into(), "NOT_SET_ANYWHERE_".into()]);
        assert_eq!(names(&env), ["PATH", "USER", "LANG", "TERM", "HOME", "A"]);
        assert!(env.contains(&"HOME=/x=y".into()));
        assert!(env.contains(&"A=".into()));
        // Every test runs with a PATH of the host's.
        let host = std::env::var("PATH").unwrap();
        assert!(environment(&["PATH".into()]).contains(&format!("PATH={host}").into()));
    }

    /// An ELF file of these segments: type, virtual and physical address.
    fn elf(kind: u16, segments: &[(u32, u64, u64)]) -> Vec<u8> {
        let mut out = vec![0; 64];
        out[..6].copy_from_slice(b"\x7fELF\x02\x01");
        out[16..18].copy_from_slice(&kind.to_le_bytes());
        out[18..20].copy_from_slice(&243u16.to_le_bytes());
        out[32..40].copy_from_slice(&64u64.to_le_bytes());
        out[54..56].copy_from_slice(&56u16.to_le_bytes());
        out[56..58].copy_from_slice(&(segments.len() as u16).to_le_bytes());
        for (kind, virt, phys) in segments {
            let mut header = [0; 56];
            header[..4].copy_from_slice(&kind.to_le_bytes());
            header[16..24].copy_from_slice(&virt.to_le_bytes());
            header[24..32].copy_from_slice(&phys.to_le_bytes());
            out.extend_from_slice(&header);
        }
        out
    }

    #[test]
    fn bare_metal_is_told_from_linux() {
        let ram = 0x8000_0000;
        for (what, bytes, linux) in [
            ("static", elf(2, &[(1, 0x10000, 0x10000)]), true),
            (
                "static PIE",
                elf(3, &[(1, 0, 0), (1, 0x2000, 0x2000)]),
                true,
            ),
            (
                "dynamic",
                elf(3, &[(6, 64, 64), (3, 1, 1), (1, 0, 0)]),
                true,
            ),
            ("dynamic, high", elf(2, &[(3, 1, 1), (1, ram, ram)]), true),
            ("bare", elf(2, &[(1, ram, ram)]), false),
            ("bare, data low", elf(2, &[(1, 0x1000, ram)]), false),
            ("bare, odd", elf(2, &[(1, ram, 0x1000)]), false),
            ("nothing", elf(2, &[]), false),
            ("an object", elf(1, &[(1, 0, 0)]), false),
        ] {
            assert_eq!(is_linux_elf(&bytes), linux, "{what}");
            // Cut short it is not taken for one, unless the interpreter shows.
            for len in 0..bytes.len() {
                assert!(!is_linux_elf(&bytes[..len]) || linux, "{what} {len}");
            }
        }
        let mut other = elf(2, &[(1, 0x10000, 0x10000)]);
        other[18] = 62;
        assert!(!is_linux_elf(&other));
        other = elf(2, &[(1, 0x10000, 0x10000)]);
        other[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(!is_linux_elf(&other));
    }

    #[test]
    fn times() {
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        for text in ["0", "-1", "x", "", "nan", "inf", "1e300"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
