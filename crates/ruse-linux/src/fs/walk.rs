//! From a path to what it names (path_resolution(7)).
//!
//! A place in the box is a *canonical* path: absolute, without dots and
//! symbolic links. So `..` needs no look at the host: it takes the last name
//! off, and stops at the caller's root. Names are looked up in runs, as many
//! at a time as hold no `..`; the tree says where the first symbolic link is,
//! if there is one, and the walk goes on from what it says.

use std::rc::Rc;

use super::{Description, Stat};
use crate::errno::Errno;

/// `SYMLOOP_MAX` of Linux (`MAXSYMLINKS`).
const MAX_LINKS: usize = 40;
/// The longest name (`NAME_MAX`).
pub(super) const NAME_MAX: usize = 255;

/// What a tree has at a canonical path, no link followed.
pub(crate) enum Found {
    /// The thing itself, no symbolic link.
    Node(Stat),
    /// A symbolic link: the name that ends at byte `end` of the path.
    Link {
        end: usize,
        target: Target,
        stat: Stat,
    },
    /// Nothing: the last name, or one on the way, is not there.
    Missing,
}

/// Where a symbolic link leads.
#[derive(Clone)]
pub(crate) enum Target {
    /// To this text, as it stands in the link.
    Text(Vec<u8>),
    /// To the directory at this canonical path, whatever its text says
    /// (/proc/self/cwd).
    Place(Vec<u8>),
    /// To an open file, whatever its text says (/proc/self/fd/3).
    File(Rc<Description>),
}

/// What is walked through.
pub(crate) trait Tree {
    /// What is at a canonical path.
    fn look(&self, path: &[u8]) -> Result<Found, Errno>;
    /// Whether every directory on the way must be asked for permission.
    fn careful(&self) -> bool {
        false
    }
    /// Whether two paths are on the same mount.
    fn same_mount(&self, _one: &[u8], _other: &[u8]) -> bool {
        true
    }
    /// Whether the caller may look up names in this directory.
    fn may_search(&self, _dir: &Stat) -> bool {
        true
    }
}

/// What openat2(2) forbids a walk.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Rules {
    /// No symbolic link (`RESOLVE_NO_SYMLINKS`).
    pub no_links: bool,
    /// No link of /proc that leads elsewhere than its text
    /// (`RESOLVE_NO_MAGICLINKS`).
    pub no_magic: bool,
    /// Not above where it starts, also by absolute links
    /// (`RESOLVE_BENEATH`): an error, while `..` at the root is none.
    pub beneath: bool,
    /// Not into another mount (`RESOLVE_NO_XDEV`).
    pub one_mount: bool,
}

/// What the last name of a path was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Last {
    Name,
    Dot,
    DotDot,
    /// There was none: the path was `/`.
    Root,
}

/// Where a walk ended.
pub(crate) struct Walked {
    /// The canonical path.
    pub path: Vec<u8>,
    /// What is there; `None` if nothing is: the last name is free, or a
    /// directory on the way is missing.
    pub stat: Option<Stat>,
    /// The text of the symbolic link that it ended at.
    pub link: Option<Target>,
    /// The open file that a link in /proc led to.
    pub file: Option<Rc<Description>>,
    pub last: Last,
    /// Whether the path asks for a directory: it ended in a slash.
    pub slash: bool,
}

/// `dir/name`, canonical.
pub(crate) fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(dir.len() + name.len() + 1);
    if dir != b"/" {
        path.extend_from_slice(dir);
    }
    path.push(b'/');
    path.extend_from_slice(name);
    path
}

/// The directory and the name of a canonical path.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&b| b == b'/') {
        Some(0) => (b"/", &path[1..]),
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"/", path),
    }
}

/// Whether canonical `path` is `dir` or beneath it.
pub(crate) fn within(path: &[u8], dir: &[u8]) -> bool {
    dir == b"/"
        || path
            .strip_prefix(dir)
            .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// Follows `path` from the canonical path `start`, or from `root` if it is
/// absolute.
///
/// # Errors
/// What Linux says; that the last name is missing is no error here.
pub(crate) fn walk(
    tree: &impl Tree,
    root: &[u8],
    start: &[u8],
    path: &[u8],
    follow: bool,
    rules: Rules,
) -> Result<Walked, Errno> {
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    if path.contains(&0) {
        return Err(Errno::EINVAL);
    }
    let mut at = if path[0] == b'/' { root } else { start }.to_vec();
    if rules.beneath && path[0] == b'/' {
        return Err(Errno::EXDEV);
    }
    let from = at.clone();
    let mut rest = path.to_vec();
    let mut links = 0;
    let mut last = if path[0] == b'/' {
        Last::Root
    } else {
        Last::Dot
    };
    loop {
        let run = Run::take(&rest, tree.careful())?;
        let (slash, up, used) = (run.slash, run.up, run.used);
        let end = used == rest.len();
        last = run.last.unwrap_or(last);
        let full = run
            .names
            .iter()
            .fold(at.clone(), |at, name| join(&at, name));
        if run.names.is_empty() {
            if up {
                // The directory that is left must be one, and be open to us.
                directory(tree, &at)?;
                if at == root && rules.beneath {
                    return Err(Errno::EXDEV);
                }
                if at != root {
                    at = split(&at).0.to_vec();
                }
                last = Last::DotDot;
            }
            if rules.one_mount && !tree.same_mount(&from, &at) {
                return Err(Errno::EXDEV);
            }
            if !end {
                rest.drain(..used);
                continue;
            }
            let stat = match tree.look(&at)? {
                Found::Node(stat) => Some(stat),
                _ => None,
            };
            return Ok(Walked {
                path: at,
                stat,
                link: None,
                file: None,
                last,
                slash: false,
            });
        }
        if tree.careful() {
            directory(tree, &at)?;
        }
        if rules.one_mount && !tree.same_mount(&from, &full) {
            return Err(Errno::EXDEV);
        }
        match tree.look(&full)? {
            Found::Node(stat) => {
                if (slash || up || !end) && !stat.is_dir() {
                    return Err(Errno::ENOTDIR);
                }
                if end && !up {
                    return Ok(Walked {
                        path: full,
                        stat: Some(stat),
                        link: None,
                        file: None,
                        last,
                        slash,
                    });
                }
                at = full;
                if up {
                    if tree.careful() && !tree.may_search(&stat) {
                        return Err(Errno::EACCES);
                    }
                    rest.drain(..used);
                    // Again with what is left, the `..` first.
                    rest.splice(..0, *b"../");
                } else {
                    rest.drain(..used);
                }
            }
            Found::Missing => {
                if up || !end {
                    return Err(Errno::ENOENT);
                }
                return Ok(Walked {
                    path: full,
                    stat: None,
                    link: None,
                    file: None,
                    last,
                    slash,
                });
            }
            Found::Link {
                end: link_end,
                target,
                stat,
            } => {
                let here = link_end.min(full.len());
                let is_last = here == full.len() && end && !up;
                if is_last && !follow && !slash {
                    return Ok(Walked {
                        path: full,
                        stat: Some(stat),
                        link: Some(target),
                        file: None,
                        last,
                        slash,
                    });
                }
                links += 1;
                let magic = !matches!(target, Target::Text(_));
                if rules.no_links || (magic && rules.no_magic) {
                    return Err(Errno::ELOOP);
                }
                if magic && rules.beneath {
                    return Err(Errno::EXDEV);
                }
                if links > MAX_LINKS {
                    return Err(Errno::ELOOP);
                }
                // What comes after the link: the rest of the run, and of all.
                let mut after = full[here..].to_vec();
                if up {
                    after.extend_from_slice(b"/..");
                }
                if !end || slash {
                    after.push(b'/');
                }
                after.extend_from_slice(&rest[used..]);
                match target {
                    Target::Text(text) => {
                        if text.is_empty() {
                            return Err(Errno::ENOENT);
                        }
                        if text[0] == b'/' && rules.beneath {
                            return Err(Errno::EXDEV);
                        }
                        at = if text[0] == b'/' {
                            root.to_vec()
                        } else {
                            split(&full[..here]).0.to_vec()
                        };
                        rest = text;
                        rest.extend_from_slice(&after);
                    }
                    Target::Place(place) => {
                        at = place;
                        rest = after;
                    }
                    Target::File(file) => match file.file.directory() {
                        Some(directory) => {
                            if directory.place.gone.get() {
                                return Err(Errno::ENOENT);
                            }
                            at = directory.place.path.borrow().clone();
                            rest = after;
                        }
                        None if is_last && !slash => {
                            return Ok(Walked {
                                path: full,
                                stat: Some(file.file.stat()?),
                                link: None,
                                file: Some(file),
                                last,
                                slash,
                            });
                        }
                        None => return Err(Errno::ENOTDIR),
                    },
                }
            }
        }
    }
}

/// Fails unless a searchable directory is at `path`.
fn directory(tree: &impl Tree, path: &[u8]) -> Result<(), Errno> {
    if !tree.careful() {
        return Ok(());
    }
    match tree.look(path)? {
        Found::Node(stat) if !stat.is_dir() => Err(Errno::ENOTDIR),
        Found::Node(stat) if !tree.may_search(&stat) => Err(Errno::EACCES),
        Found::Node(_) => Ok(()),
        _ => Err(Errno::ENOENT),
    }
}

/// The next names of a path that can be looked up at once.
struct Run<'a> {
    names: Vec<&'a [u8]>,
    /// How many bytes it took.
    used: usize,
    /// Whether a `..` ends it.
    up: bool,
    /// Whether the path ends here in a slash or a dot, after a name.
    slash: bool,
    last: Option<Last>,
}

impl<'a> Run<'a> {
    fn take(rest: &'a [u8], single: bool) -> Result<Self, Errno> {
        let mut run = Run {
            names: Vec::new(),
            used: 0,
            up: false,
            slash: false,
            last: None,
        };
        while run.used < rest.len() {
            if rest[run.used] == b'/' {
                run.slash = !run.names.is_empty();
                run.used += 1;
                continue;
            }
            let len = rest[run.used..]
                .iter()
                .position(|&b| b == b'/')
                .unwrap_or(rest.len() - run.used);
            let name = &rest[run.used..run.used + len];
            match name {
                b"." => {
                    run.last = Some(Last::Dot);
                    run.slash = !run.names.is_empty();
                }
                b".." => {
                    run.used += len;
                    run.up = true;
                    run.last = Some(Last::DotDot);
                    return Ok(run);
                }
                _ if len > NAME_MAX => return Err(Errno::ENAMETOOLONG),
                _ if single && !run.names.is_empty() => return Ok(run),
                _ => {
                    run.names.push(name);
                    run.last = Some(Last::Name);
                    run.slash = false;
                }
            }
            run.used += len;
        }
        Ok(run)
    }
}

/// A directory of the host, to find out once where a mount point is before
/// the guest runs.
pub(super) struct PlainTree<'a>(pub &'a std::path::Path);

impl Tree for PlainTree<'_> {
    fn look(&self, path: &[u8]) -> Result<Found, Errno> {
        let mut host = self.0.to_path_buf();
        let mut end = 0;
        while end < path.len() {
            let start = end + 1;
            let len = path[start..].iter().position(|&b| b == b'/');
            end = len.map_or(path.len(), |len| start + len);
            if start == end {
                break;
            }
            host.push(super::os::path(&path[start..end])?);
            let Ok(meta) = std::fs::symlink_metadata(&host) else {
                // Not there: the mount point is where it was said to be.
                return Ok(Found::Missing);
            };
            if meta.file_type().is_symlink() {
                return Ok(Found::Link {
                    end,
                    target: Target::Text(super::os::bytes(std::fs::read_link(&host)?.as_os_str())),
                    stat: Stat::default(),
                });
            }
        }
        Ok(Found::Node(Stat {
            mode: super::S_IFDIR,
            ..Stat::default()
        }))
    }
}
