//! How a disk is named: `FILE,ro,overlay,snapshot,format=...`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

/// What the bytes of an image mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The sectors, one after the other.
    Raw,
    /// A qcow2 image.
    Qcow2,
}

impl Format {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
        }
    }
}

impl FromStr for Format {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        match text {
            "raw" => Ok(Self::Raw),
            "qcow2" => Ok(Self::Qcow2),
            _ => Err(SpecError::Format(text.into())),
        }
    }
}

/// Where writes go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layer {
    /// Into the image.
    #[default]
    Image,
    /// Into `FILE.overlay.qcow2` beside it, which is made if need be.
    Overlay,
    /// Into a temporary file, gone with the machine.
    Snapshot,
}

/// An image, and how to open it. Made from `FILE` and options after it, each
/// with a comma before it: `ro`, `overlay`, `snapshot`, `format=raw|qcow2`,
/// `snapshot-id=NAME`. What is no option is part of the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskSpec {
    /// The file.
    pub path: PathBuf,
    /// No writes.
    pub read_only: bool,
    /// Where writes go.
    pub layer: Layer,
    /// What the file is, if somebody said so.
    pub format: Option<Format>,
    /// The snapshot in the image to look at.
    pub snapshot_id: Option<String>,
}

/// Why a text names no disk.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SpecError {
    /// There is no such format.
    #[error("{0:?} is no format of disk images; raw and qcow2 are")]
    Format(String),
    /// No file.
    #[error("no file is named")]
    NoFile,
    /// Options that exclude each other.
    #[error("`{0}` and `{1}` cannot both be")]
    Conflict(&'static str, &'static str),
}

impl DiskSpec {
    /// A disk that is all of a file, and may be written to.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            read_only: false,
            layer: Layer::Image,
            format: None,
            snapshot_id: None,
        }
    }

    fn parse(text: &str) -> Result<Self, SpecError> {
        let mut spec = Self::new("");
        let mut rest = text;
        while let Some((before, option)) = rest.rsplit_once(',') {
            match option.split_once('=') {
                None if option == "ro" => spec.read_only = true,
                None if option == "overlay" => spec.set_layer(Layer::Overlay)?,
                None if option == "snapshot" => spec.set_layer(Layer::Snapshot)?,
                Some(("format", format)) => spec.format = Some(format.parse()?),
                Some(("snapshot-id", name)) => spec.snapshot_id = Some(name.into()),
                _ => break,
            }
            rest = before;
        }
        if rest.is_empty() {
            return Err(SpecError::NoFile);
        }
        if spec.read_only && spec.layer != Layer::Image {
            return Err(SpecError::Conflict("ro", "overlay or snapshot"));
        }
        if spec.snapshot_id.is_some() && spec.layer == Layer::Overlay {
            return Err(SpecError::Conflict("snapshot-id", "overlay"));
        }
        spec.path = rest.into();
        Ok(spec)
    }

    fn set_layer(&mut self, layer: Layer) -> Result<(), SpecError> {
        if self.layer != Layer::Image && self.layer != layer {
            return Err(SpecError::Conflict("overlay", "snapshot"));
        }
        self.layer = layer;
        Ok(())
    }
}

impl FromStr for DiskSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        Self::parse(text)
    }
}

impl TryFrom<OsString> for DiskSpec {
    type Error = SpecError;

    fn try_from(text: OsString) -> Result<Self, SpecError> {
        // A path that is no text has no options that we could find.
        match text.to_str() {
            Some(text) => Self::parse(text),
            None => Ok(Self::new(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_follow_the_name() {
        let parse = |text: &str| text.parse::<DiskSpec>();
        assert_eq!(parse("a.img,rw"), Ok(DiskSpec::new("a.img,rw")));
        let spec = parse("a,b.img,ro,format=qcow2,snapshot-id=x").unwrap();
        assert_eq!(spec.path, PathBuf::from("a,b.img"));
        assert!(spec.read_only && spec.format == Some(Format::Qcow2));
        assert_eq!(spec.snapshot_id.as_deref(), Some("x"));
        assert_eq!(parse("a,snapshot").unwrap().layer, Layer::Snapshot);
        assert_eq!(parse("a,overlay").unwrap().layer, Layer::Overlay);
        for wrong in [
            "",
            ",ro",
            "a,format=vmdk",
            "a,ro,overlay",
            "a,snapshot,overlay",
            "a,overlay,snapshot-id=x",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
