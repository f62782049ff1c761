//! How a shared directory is written down.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use thiserror::Error;

use crate::Server;

/// The longest tag, in bytes.
pub const MAX_TAG: usize = 32;
/// The tag where none is given and the directory's name is none.
const DEFAULT_TAG: &str = "share";

/// Why there is nothing to share.
#[derive(Debug, Error)]
pub enum ShareError {
    /// The tag cannot be one.
    #[error("{0:?}: a tag has 1 to {MAX_TAG} bytes, none of them a comma, a space or a slash")]
    Tag(String),
    /// Two directories with one tag.
    #[error("two shared directories with the tag {0}: give one of them `,tag=OTHER`")]
    Twice(String),
    /// No directory.
    #[error("no directory to share: write DIR[,ro][,tag=NAME]")]
    Empty,
    /// The host does not open it.
    #[error("{}: cannot share this directory: {source}", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
}

/// A directory to share, as in `DIR[,ro][,tag=NAME]`: `ro` refuses all writes,
/// and the tag is what the guest mounts it by. Without one it is the
/// directory's own name, or `share` if that cannot be a tag.
///
/// ```
/// use ruse_share::ShareSpec;
///
/// let spec: ShareSpec = "src,ro,tag=code".parse()?;
/// assert_eq!((spec.tag(), spec.read_only), ("code".into(), true));
/// # Ok::<(), ruse_share::ShareError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareSpec {
    /// The directory.
    pub path: PathBuf,
    /// Whether the guest can only read.
    pub read_only: bool,
    /// What the guest calls it, if that was given.
    pub given_tag: Option<String>,
}

impl ShareSpec {
    /// A directory with the tag that it has by default.
    pub fn new(path: impl Into<PathBuf>, read_only: bool) -> Self {
        Self {
            path: path.into(),
            read_only,
            given_tag: None,
        }
    }

    /// What the guest calls it.
    pub fn tag(&self) -> String {
        match &self.given_tag {
            Some(tag) => tag.clone(),
            None => default_tag(&self.path),
        }
    }

    /// Reads `DIR[,ro][,tag=NAME]`. A path that is no text has no options.
    ///
    /// # Errors
    /// [`ShareError`] if there is no directory or the tag is none.
    pub fn parse(text: impl Into<OsString>) -> Result<Self, ShareError> {
        let text = text.into();
        match text.to_str() {
            Some(text) => text.parse(),
            None => Ok(Self::new(text, false)),
        }
    }

    /// Opens the directory.
    ///
    /// # Errors
    /// [`ShareError`] if the host does not, or it is no directory.
    pub fn open(&self) -> Result<Server, ShareError> {
        Server::open(&self.path, self.read_only).map_err(|source| ShareError::Open {
            path: self.path.clone(),
            source,
        })
    }
}

impl FromStr for ShareSpec {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        let (mut path, mut read_only, mut tag) = (text, false, None);
        // Options are found from the end: the path may have commas itself.
        while let Some((rest, option)) = path.rsplit_once(',') {
            if option == "ro" {
                read_only = true;
            } else if let Some(name) = option.strip_prefix("tag=") {
                if !is_tag(name) {
                    return Err(ShareError::Tag(name.into()));
                }
                tag = Some(name.to_owned());
            } else {
                break;
            }
            path = rest;
        }
        if path.is_empty() {
            return Err(ShareError::Empty);
        }
        Ok(Self {
            path: path.into(),
            read_only,
            given_tag: tag,
        })
    }
}

/// What can be given to mount(8) as it is.
fn is_tag(text: &str) -> bool {
    let bad = |c: char| c.is_control() || c.is_whitespace() || matches!(c, ',' | '/' | '\\');
    (1..=MAX_TAG).contains(&text.len()) && !text.contains(bad)
}

fn default_tag(path: &Path) -> String {
    // `.` and `..` have a name too.
    let full = path.canonicalize();
    let name = full.as_deref().unwrap_or(path).file_name();
    name.and_then(OsStr::to_str)
        .filter(|name| is_tag(name))
        .unwrap_or(DEFAULT_TAG)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (String, bool, String) {
        let spec: ShareSpec = text.parse().unwrap();
        let tag = spec.tag();
        (spec.path.to_str().unwrap().into(), spec.read_only, tag)
    }

    #[test]
    fn directories_and_options() {
        let is = |path: &str, ro, tag: &str| (path.to_owned(), ro, tag.to_owned());
        assert_eq!(parse("/a/b"), is("/a/b", false, "b"));
        assert_eq!(parse("/a/b/"), is("/a/b/", false, "b"));
        assert_eq!(parse("a,b,ro"), is("a,b", true, "share"));
        assert_eq!(parse("a,b"), is("a,b", false, "share"));
        assert_eq!(parse("x,ro,tag=t"), is("x", true, "t"));
        assert_eq!(parse("x,tag=t,ro"), is("x", true, "t"));
        assert_eq!(parse("x,rw"), is("x,rw", false, "share"));
        assert_eq!(parse("/"), is("/", false, "share"));
        let long = "n".repeat(MAX_TAG + 1);
        assert_eq!(parse(&long).2, "share");
        for bad in ["", ",ro", "x,tag=", "x,tag=a b", "x,tag=a/b"] {
            assert!(bad.parse::<ShareSpec>().is_err(), "{bad}");
        }
        assert!(format!("x,tag={long}").parse::<ShareSpec>().is_err());
    }

    #[test]
    fn only_directories_are_shared() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(ShareSpec::new(folder.path(), true).open().is_ok());
        assert!(ShareSpec::new(file, true).open().is_err());
        assert!(
            ShareSpec::new(folder.path().join("no"), true)
                .open()
                .is_err()
        );
    }
}
