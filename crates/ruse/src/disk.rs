//! `ruse disk`: images made, described, checked and converted.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ruse_disk::qcow2::{Access, Backing, Check, Compression, CreateOptions, Repair};
use ruse_disk::{
    Disk, DiskError, DiskSpec, FileStorage, Format, Qcow2, RawDisk, Storage, create_sparse,
};
use serde_json::json;

use crate::error::HostError;
use crate::size;

/// How much is copied at a time.
const PART: u64 = 2 << 20;

const HELP: &str = "\
Examples:
  ruse disk create disk.qcow2 50G           takes no space before it is used
  ruse disk overlay debian.img web.qcow2    what differs from debian.img
  ruse disk convert web.qcow2 web.img       one raw image of both
  ruse disk check --repair leaks web.qcow2

Exit codes: 0; of `check` 1 if the image is damaged, 2 if only space is lost;
120 and 125 as always.";

/// What to do with images.
#[derive(Args)]
#[command(after_help = HELP)]
pub struct DiskArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Make an image
    Create {
        /// The new file
        file: PathBuf,
        /// Its size to a machine, with K, M, G or T
        #[arg(value_parser = size::parse, required_unless_present = "backing")]
        size: Option<u64>,
        /// What it is [default: qcow2 if its name ends so, else raw]
        #[arg(long, value_enum)]
        format: Option<Kind>,
        /// What it reads as where it has not been written to
        #[arg(long, value_name = "FILE[,format=...]")]
        backing: Option<DiskSpec>,
        /// The unit of a qcow2 image: 512 to 2M
        #[arg(long, value_name = "SIZE", value_parser = cluster_size)]
        cluster_size: Option<u64>,
    },
    /// Describe an image
    Info {
        /// The image
        file: DiskSpec,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Look for damage in a qcow2 image
    Check {
        /// The image
        file: PathBuf,
        /// What to repair
        #[arg(long, value_enum)]
        repair: Option<What>,
    },
    /// Make an image longer or shorter
    Resize {
        /// The image
        file: DiskSpec,
        /// Its new size
        #[arg(value_parser = size::parse)]
        size: u64,
        /// Cut off what is beyond the new size
        #[arg(long)]
        shrink: bool,
    },
    /// Make an image that holds what differs from another one
    Overlay {
        /// The image that stays as it is
        base: DiskSpec,
        /// The new file
        file: PathBuf,
    },
    /// Copy an image to a new one, of another format perhaps
    Convert {
        /// The image; with `,snapshot-id=NAME` a snapshot in it
        from: DiskSpec,
        /// The new file
        to: PathBuf,
        /// What it is [default: qcow2 if its name ends so, else raw]
        #[arg(long, value_enum)]
        format: Option<Kind>,
        /// Compress its clusters
        #[arg(long, value_enum)]
        compress: Option<Method>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// The sectors, one after the other
    Raw,
    /// QEMU's format
    Qcow2,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// Give back space that is lost
    Leaks,
    /// All that can be
    All,
}

#[derive(Clone, Copy, ValueEnum)]
enum Method {
    /// Deflate
    Zlib,
}

fn cluster_size(text: &str) -> Result<u64, String> {
    let small = [("512", 512), ("1024", 1024), ("1k", 1024), ("1K", 1024)];
    let small = small
        .into_iter()
        .chain([("2048", 2048), ("2k", 2048), ("2K", 2048)]);
    match small.into_iter().find(|(name, _)| *name == text) {
        Some((_, size)) => Ok(size),
        None => size::parse(text),
    }
}

fn kind_of(path: &Path, said: Option<Kind>) -> Kind {
    let named = path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("qcow2"));
    said.unwrap_or(if named { Kind::Qcow2 } else { Kind::Raw })
}

fn refused(path: &Path, problem: impl Into<String>) -> HostError {
    HostError::Disk(DiskError::Refused {
        path: path.to_path_buf(),
        problem: problem.into(),
    })
}

/// Does it.
///
/// # Errors
/// [`HostError`] if a file is missing or unsuitable.
pub fn run(args: DiskArgs) -> Result<ExitCode, HostError> {
    match args.verb {
        Verb::Create {
            file,
            size,
            format,
            backing,
            cluster_size,
        } => create(&file, size, format, backing, cluster_size)?,
        Verb::Info { file, json } => info(&file, json)?,
        Verb::Check { file, repair } => return check(&file, repair),
        Verb::Resize { file, size, shrink } => resize(&file, size, shrink)?,
        Verb::Overlay { base, file } => {
            ruse_disk::create_overlay(&file, &base.path, base.format)?;
        }
        Verb::Convert {
            from,
            to,
            format,
            compress,
        } => convert(&from, &to, format, compress)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn create(
    file: &Path,
    size: Option<u64>,
    format: Option<Kind>,
    backing: Option<DiskSpec>,
    cluster_size: Option<u64>,
) -> Result<(), HostError> {
    if kind_of(file, format) == Kind::Raw {
        if backing.is_some() || cluster_size.is_some() {
            return Err(refused(
                file,
                "only qcow2 images have clusters and backing files; name it .qcow2",
            ));
        }
        return Ok(create_sparse(file, size.unwrap_or(0))?);
    }
    let beneath = match &backing {
        None => None,
        Some(spec) => {
            let mut spec = spec.clone();
            spec.read_only = true;
            let format = ruse_disk::format_of(&spec)?;
            Some((ruse_disk::open(&spec)?, spec.path, format))
        }
    };
    let whole = beneath.as_ref().map_or(0, |(disk, ..)| disk.size());
    let mut options = CreateOptions::new(size.unwrap_or(whole));
    if let Some(cluster_size) = cluster_size {
        options.cluster_size = cluster_size;
    }
    if let Some((_, path, format)) = &beneath {
        // The name is taken from where the new file is, not from here.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        options.backing = Some(Backing {
            name: path.display().to_string(),
            format: Some(format.name().into()),
        });
    }
    Ok(ruse_disk::create(file, &options)?)
}

/// An image as it is, with nothing under it.
fn open_qcow2(path: &Path, read_only: bool, access: Access) -> Result<Qcow2, DiskError> {
    Qcow2::open(Box::new(FileStorage::open(path, read_only)?), access)
}

fn info(spec: &DiskSpec, as_json: bool) -> Result<(), HostError> {
    let mut chain = Vec::new();
    let mut next = Some(spec.clone());
    while let Some(spec) = next.take() {
        if chain.len() == 64 {
            return Err(refused(&spec.path, "too many images lie on one another"));
        }
        let path = spec.path.display().to_string();
        let format = ruse_disk::format_of(&spec)?;
        chain.push(match format {
            Format::Raw => {
                let disk = RawDisk::open(&spec.path, true)?;
                json!({
                    "file": path, "format": "raw",
                    "virtual-size": disk.size(), "host-size": disk.held(),
                })
            }
            Format::Qcow2 => {
                let image = open_qcow2(&spec.path, true, Access::Read)?;
                next = match image.backing() {
                    None => None,
                    Some(backing) => Some(ruse_disk::backing_spec(&spec.path, backing)?),
                };
                let snapshots: Vec<_> = image
                    .snapshots()
                    .iter()
                    .map(|snapshot| {
                        json!({
                            "id": snapshot.id, "name": snapshot.name,
                            "seconds": snapshot.seconds, "virtual-size": snapshot.disk_size,
                            "machine-state": snapshot.machine_state,
                        })
                    })
                    .collect();
                json!({
                    "file": path, "format": "qcow2",
                    "virtual-size": image.size(), "host-size": image.held(),
                    "cluster-size": image.cluster_size(), "version": image.version(),
                    "refcount-bits": image.refcount_bits(),
                    "compression": match image.compression() {
                        Compression::Zlib => "zlib",
                        Compression::Zstd => "zstd",
                    },
                    "features": image.features(),
                    "backing": image.backing().map(|backing| &*backing.name),
                    "snapshots": snapshots,
                })
            }
        });
    }
    let text = if as_json {
        format!("{:#}\n", json!({ "chain": chain }))
    } else {
        chain
            .iter()
            .map(describe)
            .collect::<Vec<_>>()
            .join("\nover\n\n")
    };
    // Nobody reading is no failure.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}

/// An image in words.
fn describe(image: &serde_json::Value) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &serde_json::Value| {
        let value = match value {
            serde_json::Value::Null => return,
            serde_json::Value::String(text) => text.escape_debug().to_string(),
            serde_json::Value::Array(list) if list.is_empty() => return,
            serde_json::Value::Array(list) => list
                .iter()
                .map(|item| match item.get("name") {
                    Some(name) => format!("{} (id {})", name, item["id"]),
                    None => item.as_str().unwrap_or_default().into(),
                })
                .collect::<Vec<_>>()
                .join(", "),
            number if name.ends_with("size") => {
                let bytes = number.as_u64().unwrap_or(0);
                format!("{} ({bytes} bytes)", indicatif::BinaryBytes(bytes))
            }
            other => other.to_string(),
        };
        text += &format!("{:14} {value}\n", format!("{}:", name.replace('-', " ")));
    };
    for name in [
        "file",
        "format",
        "virtual-size",
        "host-size",
        "cluster-size",
        "version",
        "refcount-bits",
        "features",
        "snapshots",
        "backing",
    ] {
        line(name, &image[name]);
    }
    text
}

fn bar(len: u64, what: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::with_draw_target(Some(len), ProgressDrawTarget::hidden());
    }
    let style = ProgressStyle::with_template("{msg} [{wide_bar}] {percent}% {eta}");
    ProgressBar::new(len)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_message(what)
}

fn check(file: &Path, repair: Option<What>) -> Result<ExitCode, HostError> {
    let mut image = open_qcow2(file, repair.is_none(), Access::Repair)?;
    let repair = match repair {
        None => Repair::Nothing,
        Some(What::Leaks) => Repair::Leaks,
        Some(What::All) => Repair::All,
    };
    let bar = bar(0, "checking");
    let found = image.check(repair, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    let mut text = String::new();
    for message in &found.messages {
        text += &format!("{message}\n");
    }
    let Check {
        leaks,
        corruptions,
        leaks_fixed,
        corruptions_fixed,
        allocated,
        clusters,
        ..
    } = found;
    if leaks_fixed + corruptions_fixed > 0 {
        text += &format!("repaired: {leaks_fixed} leaks, {corruptions_fixed} corruptions\n");
    }
    text += &match (corruptions, leaks) {
        (0, 0) => "no damage\n".to_owned(),
        (0, _) => format!("{leaks} clusters of space are lost; `--repair leaks` gives them back\n"),
        _ => format!(
            "damaged: {corruptions} corruptions, {leaks} leaks; copy the image, then try \
             `--repair all`\n"
        ),
    };
    text += &format!("{allocated} of {clusters} clusters are in use\n");
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(match (corruptions, leaks) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => 2.into(),
        _ => 1.into(),
    })
}

fn resize(spec: &DiskSpec, size: u64, shrink: bool) -> Result<(), HostError> {
    let format = ruse_disk::format_of(spec)?;
    let fits = |old: u64| match size < old && !shrink {
        true => Err(refused(
            &spec.path,
            format!("would lose all from {size} to {old}; add --shrink if that is meant"),
        )),
        false => Ok(()),
    };
    match format {
        Format::Raw => {
            let mut storage = FileStorage::open(&spec.path, false)?;
            let io = |source| DiskError::Io {
                path: spec.path.clone(),
                what: "resize",
                offset: size,
                source,
            };
            fits(storage.len().map_err(io)?)?;
            storage.set_len(size).map_err(io)?;
            storage.sync().map_err(io)?;
        }
        Format::Qcow2 => {
            let mut image = open_qcow2(&spec.path, false, Access::Write)?;
            fits(image.size())?;
            if let Some(backing) = image.backing().cloned() {
                let mut beneath = ruse_disk::backing_spec(&spec.path, &backing)?;
                beneath.read_only = true;
                image.set_backing(ruse_disk::open(&beneath)?);
            }
            image.resize(size)?;
        }
    }
    Ok(())
}

fn convert(
    from: &DiskSpec,
    to: &Path,
    format: Option<Kind>,
    compress: Option<Method>,
) -> Result<(), HostError> {
    let mut from = from.clone();
    from.read_only = true;
    let mut source = ruse_disk::open(&from)?;
    let kind = kind_of(to, format);
    if compress.is_some() && kind == Kind::Raw {
        return Err(refused(
            to,
            "raw images cannot be compressed; name it .qcow2",
        ));
    }
    let result = match kind {
        Kind::Raw => {
            create_sparse(to, source.size())?;
            RawDisk::open(to, false)
                .and_then(|mut disk| copy(&mut *source, &mut disk, |d, at, b| d.write_at(at, b)))
        }
        Kind::Qcow2 => {
            ruse_disk::create(to, &CreateOptions::new(source.size()))?;
            open_qcow2(to, false, Access::Write).and_then(|mut disk| match compress {
                None => copy(&mut *source, &mut disk, |d, at, b| d.write_at(at, b)),
                Some(Method::Zlib) => copy(&mut *source, &mut disk, Qcow2::write_compressed),
            })
        }
    };
    if let Err(error) = result {
        // Half a copy is of no use to anybody.
        let _ = std::fs::remove_file(to);
        return Err(error.into());
    }
    Ok(())
}

/// Copies what is not zeroes, a cluster at a time.
fn copy<D: Disk>(
    from: &mut dyn Disk,
    to: &mut D,
    write: impl Fn(&mut D, u64, &[u8]) -> Result<(), DiskError>,
) -> Result<(), DiskError> {
    const UNIT: u64 = 64 << 10;
    let size = from.size();
    let bar = bar(size, "copying");
    let mut bytes = vec![0; PART as usize];
    let mut at = 0;
    while at < size {
        let extent = from.extent(at)?;
        let end = at + extent.len;
        if extent.zero && (end == size || end / UNIT > at / UNIT) {
            // Whole units at most, so that writes stay aligned.
            at = if end == size { end } else { end / UNIT * UNIT };
        } else {
            let len = extent.len.next_multiple_of(UNIT).min(PART).min(size - at) as usize;
            from.read_at(at, &mut bytes[..len])?;
            for part in bytes[..len].chunks(UNIT as usize) {
                if part.iter().any(|&byte| byte != 0) {
                    write(to, at, part)?;
                }
                at += part.len() as u64;
            }
        }
        bar.set_position(at);
    }
    to.flush()?;
    bar.finish_and_clear();
    Ok(())
}
