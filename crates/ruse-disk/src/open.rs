//! Opening images with all that is under them.

use std::io;
use std::path::{Path, PathBuf};

use crate::qcow2::{Access, Backing, CreateOptions, MAGIC};
use crate::spec::{DiskSpec, Format, Layer};
use crate::{Disk, DiskError, FileStorage, Qcow2, RawDisk, Storage};

/// So many images may lie on one another.
const MAX_CHAIN: usize = 64;

/// Opens a disk as its spec says. The files under overlays are locked for
/// reading.
///
/// # Errors
/// [`DiskError`] if a file is missing, in use, or unsuitable.
pub fn open(spec: &DiskSpec) -> Result<Box<dyn Disk>, DiskError> {
    match spec.layer {
        Layer::Image => open_image(spec, spec.read_only),
        Layer::Overlay => {
            let path = overlay_path(&spec.path);
            if !path.exists() {
                match create_overlay(&path, &spec.path, spec.format) {
                    // Somebody else was faster.
                    Err(DiskError::Create { source, .. })
                        if source.kind() == io::ErrorKind::AlreadyExists => {}
                    made => made?,
                }
            }
            let storage = FileStorage::open(&path, false)?;
            let image = Qcow2::open(Box::new(storage), Access::Write)?;
            let base = image.backing().map(|backing| beside(&path, &backing.name));
            let same = |base: PathBuf| base.canonicalize().ok() == spec.path.canonicalize().ok();
            if !base.is_some_and(same) {
                return Err(DiskError::Refused {
                    path,
                    problem: format!("is no overlay of {}", spec.path.display()),
                });
            }
            let beneath = open_image(spec, true)?;
            with_backing(image, beneath)
        }
        Layer::Snapshot => {
            let base = open_image(spec, true)?;
            let mut options = CreateOptions::new(base.size());
            options.backing = Some(Backing {
                name: spec.path.display().to_string().chars().take(255).collect(),
                format: None,
            });
            let storage = options.write(Box::new(FileStorage::temporary()?))?;
            let id = base.id().to_owned();
            let image = Qcow2::open(storage, Access::Write)?.with_id(&id);
            with_backing(image, base)
        }
    }
}

/// Where the overlay of an image is.
pub fn overlay_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".overlay.qcow2");
    name.into()
}

/// Makes a new qcow2 image at `path` that reads as `base` does, until it is
/// written to. The base must not be written to any more.
///
/// # Errors
/// [`DiskError`] if the base is unsuitable, or there is a file already.
pub fn create_overlay(path: &Path, base: &Path, format: Option<Format>) -> Result<(), DiskError> {
    let mut spec = DiskSpec::new(base);
    spec.format = format;
    let format = format_of(&spec)?;
    let size = open_image(&spec, true)?.size();
    // Relative, so that both can be moved together, where that can be.
    let name = match base.parent().map(Path::canonicalize) {
        Some(_) if same_dir(path, base) => base.file_name().map(PathBuf::from),
        _ => None,
    };
    let name = match name {
        Some(name) => name,
        None => base.canonicalize().map_err(|source| DiskError::Open {
            path: base.to_path_buf(),
            writable: false,
            source,
        })?,
    };
    let Some(name) = name.to_str() else {
        return Err(DiskError::Refused {
            path: base.to_path_buf(),
            problem: "its name is no UTF-8, as it must be under an overlay".into(),
        });
    };
    let mut options = CreateOptions::new(size);
    options.backing = Some(Backing {
        name: name.into(),
        format: Some(format.name().into()),
    });
    create(path, &options)
}

/// Makes a new qcow2 image at `path`.
///
/// # Errors
/// [`DiskError`] if there is a file already, or there can be no such image.
pub fn create(path: &Path, options: &CreateOptions) -> Result<(), DiskError> {
    let storage = FileStorage::create(path)?;
    match options.write(Box::new(storage)) {
        Ok(_) => Ok(()),
        Err(error) => {
            // Best effort: the error that matters is the first one.
            let _ = std::fs::remove_file(path);
            Err(error)
        }
    }
}

fn same_dir(one: &Path, other: &Path) -> bool {
    let dir = |path: &Path| match path.parent() {
        Some(dir) if dir != Path::new("") => dir.canonicalize().ok(),
        _ => Path::new(".").canonicalize().ok(),
    };
    dir(one) == dir(other)
}

/// The file that an image at `path` calls `name`.
fn beside(path: &Path, name: &str) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).join(name)
}

/// What a file is: as its spec says, or else by its name. Contents alone are
/// not to be trusted, since a guest may have written them: a raw image taken
/// for qcow2 would have it read any file of the host as its "backing file".
///
/// # Errors
/// [`DiskError::Ambiguous`] if the contents contradict the name.
pub fn format_of(spec: &DiskSpec) -> Result<Format, DiskError> {
    if let Some(format) = spec.format {
        return Ok(format);
    }
    let extension = spec.path.extension().and_then(|e| e.to_str());
    if extension.is_some_and(|e| e.eq_ignore_ascii_case("qcow2") || e.eq_ignore_ascii_case("qcow"))
    {
        return Ok(Format::Qcow2);
    }
    let mut storage = FileStorage::open(&spec.path, true)?;
    let mut magic = [0; 4];
    match storage.read_at(0, &mut magic) {
        Ok(4) if magic == MAGIC => Err(DiskError::Ambiguous {
            path: spec.path.clone(),
        }),
        Ok(_) => Ok(Format::Raw),
        Err(source) => Err(DiskError::Io {
            path: spec.path.clone(),
            what: "read",
            offset: 0,
            source,
        }),
    }
}

fn open_image(spec: &DiskSpec, read_only: bool) -> Result<Box<dyn Disk>, DiskError> {
    open_link(spec, read_only, &mut Vec::new())
}

/// Opens an image that lies over those in `above`.
fn open_link(
    spec: &DiskSpec,
    read_only: bool,
    above: &mut Vec<(u64, u64)>,
) -> Result<Box<dyn Disk>, DiskError> {
    let refused = |problem: &str| DiskError::Refused {
        path: spec.path.clone(),
        problem: problem.into(),
    };
    // Looked at under the lock, so that nobody else changes it meanwhile.
    let read_only = read_only || spec.snapshot_id.is_some();
    let format = match spec.format {
        Some(format) => format,
        None => format_of(spec)?,
    };
    let storage = FileStorage::open(&spec.path, read_only)?;
    if let Some(identity) = storage.identity() {
        if above.contains(&identity) {
            return Err(refused("lies under itself as a backing file"));
        }
        above.push(identity);
    }
    if above.len() > MAX_CHAIN {
        return Err(refused("too many images lie on one another"));
    }
    if format == Format::Raw {
        if spec.snapshot_id.is_some() {
            return Err(refused("raw images have no snapshots"));
        }
        return Ok(Box::new(RawDisk::over(storage, read_only)?));
    }
    let access = if read_only {
        Access::Read
    } else {
        Access::Write
    };
    let mut image = Qcow2::open(Box::new(storage), access)?;
    if let Some(name) = &spec.snapshot_id {
        image.select_snapshot(name)?;
    }
    if image.size() == 0 || !image.size().is_multiple_of(crate::SECTOR) {
        return Err(DiskError::Size {
            path: spec.path.clone(),
            size: image.size(),
        });
    }
    let Some(backing) = image.backing().cloned() else {
        return Ok(Box::new(image));
    };
    let beneath = backing_spec(&spec.path, &backing)
        .and_then(|beneath| open_link(&beneath, true, above))
        .map_err(|source| DiskError::Backing {
            path: spec.path.clone(),
            source: Box::new(source),
        })?;
    with_backing(image, beneath)
}

/// What an image at `path` says is under it.
///
/// # Errors
/// [`DiskError`] if that is no file, or of an unknown format.
pub fn backing_spec(path: &Path, backing: &Backing) -> Result<DiskSpec, DiskError> {
    let name = backing.name.strip_prefix("file:").unwrap_or(&backing.name);
    let place = beside(path, name);
    let refused = |problem: String| DiskError::Refused {
        path: place.clone(),
        problem,
    };
    // What QEMU takes for the name of a protocol.
    let protocol = name.split_once(':').is_some_and(|(protocol, _)| {
        !protocol.is_empty() && !protocol.contains('/') && !place.exists()
    });
    if protocol {
        return Err(refused("only files can be under an image".into()));
    }
    let mut spec = DiskSpec::new(place.clone());
    spec.format = match backing.format.as_deref() {
        None => None,
        Some(format) => Some(
            format
                .parse()
                .map_err(|error| refused(format!("{error}")))?,
        ),
    };
    Ok(spec)
}

fn with_backing(mut image: Qcow2, beneath: Box<dyn Disk>) -> Result<Box<dyn Disk>, DiskError> {
    image.set_backing(beneath);
    Ok(Box::new(image))
}
