//! Directories of the host in the box.
//!
//! Nothing is ever opened by a host path: all goes from the handle of the
//! mounted directory downwards, following no symbolic link, to the directory
//! that holds the name in question, and the operation then takes this one
//! name in that directory. A link that appears in between makes it fail.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use cap_fs_ext::DirExt;
use cap_std::fs::{Dir, OpenOptions};

use super::attributes::Attributes;
use super::dirent::Directory;
use super::hostfile::{HostDirectory, HostFile, HostSource};
use super::mount::{FileSystem, Opening, StatFs};
use super::walk::{Found, Target};
use super::*;
use crate::errno::Errno;

/// A mounted host directory.
pub(super) struct HostFs {
    root: Dir,
    attributes: Rc<Attributes>,
    read_only: bool,
    #[cfg(not(unix))]
    number: u64,
}

impl HostFs {
    /// Mounts an open directory.
    pub(super) fn new(root: Dir, attributes: Rc<Attributes>, read_only: bool) -> Self {
        Self {
            root,
            attributes,
            read_only,
            #[cfg(not(unix))]
            number: {
                use std::sync::atomic::{AtomicU64, Ordering};
                static NEXT: AtomicU64 = AtomicU64::new(1);
                NEXT.fetch_add(1, Ordering::Relaxed)
                    .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            },
        }
    }

    /// The directory that holds the last name of `path`, and that name.
    fn parent(&self, path: &[u8]) -> Result<(Dir, PathBuf), Errno> {
        let (dir, name) = match path.iter().rposition(|&b| b == b'/') {
            Some(at) => (&path[..at], &path[at + 1..]),
            None => (&b""[..], path),
        };
        // Of a canonical path; to be sure, as a name must not lead anywhere.
        if matches!(name, b"" | b"." | b"..") {
            return Err(Errno::EBUSY);
        }
        Ok((os::open_dir(&self.root, dir)?, os::path(name)?))
    }

    /// [`parent`](Self::parent) of what is about to change.
    fn change_in(&self, path: &[u8]) -> Result<(Dir, PathBuf), Errno> {
        if self.read_only {
            return Err(Errno::EROFS);
        }
        self.parent(path)
    }

    /// What the host says of a name.
    fn raw_stat(&self, dir: &Dir, name: &Path, _path: &[u8]) -> Result<Stat, Errno> {
        let meta = dir.symlink_metadata(name)?;
        #[allow(unused_mut)]
        let mut stat = os::stat(&meta);
        #[cfg(not(unix))]
        {
            stat.ino = os::number(self.number, _path);
        }
        Ok(stat)
    }

    fn node(&self, mut stat: Stat) -> Stat {
        self.attributes.apply(&mut stat);
        stat
    }

    /// Finds the first symbolic link in `path`, or what else is wrong with it.
    fn first_obstacle(&self, path: &[u8]) -> Result<Found, Errno> {
        let mut dir = self.root.try_clone()?;
        let mut start = 0;
        loop {
            let len = path[start..].iter().position(|&b| b == b'/');
            let end = len.map_or(path.len(), |len| start + len);
            let name = os::path(&path[start..end])?;
            let stat = match self.raw_stat(&dir, &name, &path[..end]) {
                Ok(stat) => stat,
                Err(Errno::ENOENT) => return Ok(Found::Missing),
                Err(error) => return Err(error),
            };
            if stat.kind() == S_IFLNK {
                return self.link_at(&dir, &name, end, stat);
            }
            if end == path.len() {
                return Ok(Found::Node(self.node(stat)));
            }
            if !stat.is_dir() {
                return Err(Errno::ENOTDIR);
            }
            dir = dir.open_dir_nofollow(&name)?;
            start = end + 1;
        }
    }

    /// A symbolic link that was just seen. That it is none any more is
    /// ESTALE: the host was faster.
    fn link_at(&self, dir: &Dir, name: &Path, end: usize, stat: Stat) -> Result<Found, Errno> {
        match dir.read_link_contents(name) {
            Ok(text) => Ok(Found::Link {
                end,
                target: Target::Text(os::bytes(text.as_os_str())),
                stat: self.node(stat),
            }),
            Err(error) if error.kind() == ErrorKind::InvalidInput => Err(Errno::ESTALE),
            Err(error) => Err(error.into()),
        }
    }

    /// What is at a path that is not the root's.
    fn look_once(&self, path: &[u8]) -> Result<Found, Errno> {
        let found = self
            .parent(path)
            .and_then(|(dir, name)| Ok((self.raw_stat(&dir, &name, path)?, dir, name)));
        match found {
            Ok((stat, dir, name)) if stat.kind() == S_IFLNK => {
                self.link_at(&dir, &name, path.len(), stat)
            }
            Ok((stat, ..)) => Ok(Found::Node(self.node(stat))),
            Err(Errno::ENOENT) => Ok(Found::Missing),
            Err(_) => self.first_obstacle(path),
        }
    }

    /// Options for a host file that a guest opens.
    fn options(&self, flags: u32) -> (OpenOptions, bool, bool) {
        let access = flags & O_ACCMODE;
        let (read, write) = (access != O_WRONLY, access != O_RDONLY);
        let mut options = OpenOptions::new();
        options.read(read).write(write);
        os::careful(&mut options);
        (options, read, write)
    }

    fn file(&self, file: std::fs::File, read: bool, write: bool, _path: &[u8]) -> HostFile {
        HostFile {
            file,
            attributes: Rc::clone(&self.attributes),
            read,
            write,
            fixed: self.read_only,
            #[cfg(not(unix))]
            number: os::number(self.number, _path),
        }
    }

    /// Puts the wanted mode on something just made: what the host can hold on
    /// the host, the rest beside it.
    fn settle(&self, stat: &Stat, mode: u32, set: impl FnOnce(u32) -> std::io::Result<()>) {
        let wanted = host_mode(mode, stat.is_dir());
        if stat.mode & 0o7777 != wanted
            && let Err(error) = set(wanted)
        {
            log::debug!("the host does not take mode {wanted:o}: {error}");
        }
        self.attributes.forget((stat.dev, stat.ino));
        if wanted != mode & 0o7777 {
            self.attributes
                .set((stat.dev, stat.ino), |own| own.mode = Some(mode & 0o7777));
        }
    }

    fn create(&self, who: &Who, opening: &Opening) -> Result<Rc<dyn File>, Errno> {
        let (dir, name) = self.change_in(opening.path)?;
        let (mut options, read, write) = self.options(opening.flags);
        // Creation needs write access on the host, whatever the guest asked.
        options.write(true).create_new(true);
        set_create_mode(&mut options, host_mode(opening.mode, false));
        let file = dir.open_with(&name, &options)?.into_std();
        let file = self.file(file, read, write, opening.path);
        let stat = os::stat(&cap_std::fs::Metadata::from_just_metadata(
            file.file.metadata()?,
        ));
        self.settle(&stat, opening.mode, |mode| os::set_mode(&file.file, mode));
        self.own(who, &stat);
        Ok(Rc::new(file))
    }

    /// A new file belongs to who made it.
    fn own(&self, who: &Who, stat: &Stat) {
        if (who.uid, who.gid) != (0, 0) {
            self.attributes.set((stat.dev, stat.ino), |own| {
                own.uid = Some(who.uid);
                own.gid = Some(who.gid);
            });
        }
    }

    /// What is known of a name that was just made.
    fn made(
        &self,
        who: &Who,
        dir: &Dir,
        name: &Path,
        path: &[u8],
        mode: u32,
    ) -> Result<Stat, Errno> {
        let stat = self.raw_stat(dir, name, path)?;
        self.settle(&stat, mode, |mode| os::set_mode_at(dir, name, mode));
        self.own(who, &stat);
        Ok(stat)
    }

    fn open_directory(&self, opening: &Opening) -> Result<Rc<dyn File>, Errno> {
        let place = opening.place.clone().ok_or(Errno::EISDIR)?;
        let dir = Rc::new(os::open_dir(&self.root, opening.path)?);
        let dev = os::stat(&dir.dir_metadata()?).dev;
        let source = HostSource {
            dir: Rc::clone(&dir),
            attributes: Rc::clone(&self.attributes),
            dev,
        };
        Ok(Rc::new(HostDirectory {
            dir,
            directory: Directory::new(place, Box::new(source)),
            attributes: Rc::clone(&self.attributes),
            fixed: self.read_only,
            #[cfg(not(unix))]
            number: os::number(self.number, opening.path),
        }))
    }
}

impl FileSystem for HostFs {
    fn look(&self, _who: &Who, path: &[u8]) -> Result<Found, Errno> {
        if path.is_empty() {
            #[allow(unused_mut)]
            let mut stat = os::stat(&self.root.dir_metadata()?);
            #[cfg(not(unix))]
            {
                stat.ino = os::number(self.number, path);
            }
            return Ok(Found::Node(self.node(stat)));
        }
        let mut tries = 0;
        loop {
            match self.look_once(path) {
                Err(Errno::ESTALE) if tries < 8 => tries += 1,
                Err(Errno::ESTALE) => return Ok(Found::Missing),
                found => return found,
            }
        }
    }

    fn open(&self, who: &Who, opening: &Opening) -> Result<Rc<dyn File>, Errno> {
        if opening.place.is_some() && opening.flags & O_TMPFILE != O_TMPFILE {
            return self.open_directory(opening);
        }
        let writes = opening.flags & O_ACCMODE != O_RDONLY || opening.flags & O_TRUNC != 0;
        if writes && self.read_only {
            return Err(Errno::EROFS);
        }
        if opening.flags & O_TMPFILE == O_TMPFILE {
            let dir = os::open_dir(&self.root, opening.path)?;
            let read = opening.flags & O_ACCMODE != O_WRONLY;
            let file = os::unnamed(&dir, read, host_mode(opening.mode, false))?;
            let file = self.file(file, read, true, opening.path);
            let stat = file.stat()?;
            self.settle(&stat, opening.mode, |mode| os::set_mode(&file.file, mode));
            self.own(who, &stat);
            return Ok(Rc::new(file));
        }
        if opening.flags & O_CREAT != 0 {
            return self.create(who, opening);
        }
        let (dir, name) = self.parent(opening.path)?;
        // Opening a device can do something: ask first what it is.
        if self.raw_stat(&dir, &name, opening.path)?.kind() != S_IFREG {
            return Err(Errno::ENXIO);
        }
        let (options, read, write) = self.options(opening.flags);
        let file = dir.open_with(&name, &options)?.into_std();
        // It may have been exchanged since.
        if !file.metadata()?.is_file() {
            return Err(Errno::ENXIO);
        }
        if opening.flags & O_TRUNC != 0 {
            if write {
                file.set_len(0)?;
            } else {
                let (options, ..) = self.options(O_RDWR);
                dir.open_with(&name, &options)?.set_len(0)?;
            }
        }
        Ok(Rc::new(self.file(file, read, write, opening.path)))
    }

    fn change(&self, path: &[u8], change: &Change) -> Result<(), Errno> {
        if self.read_only {
            return Err(Errno::EROFS);
        }
        let (dir, name) = if path.is_empty() {
            (self.root.try_clone()?, PathBuf::from("."))
        } else {
            self.parent(path)?
        };
        let stat = if path.is_empty() {
            os::stat(&dir.dir_metadata()?)
        } else {
            self.raw_stat(&dir, &name, path)?
        };
        apply_change(&self.attributes, &stat, change, |mode, times| {
            if let Some(mode) = mode {
                if stat.kind() == S_IFLNK {
                    return Err(ErrorKind::Unsupported.into());
                }
                os::set_mode_at(&dir, &name, mode)?;
            }
            if let Some(times) = times {
                os::set_times_at(&dir, &name, times)?;
            }
            Ok(())
        })
    }

    fn truncate(&self, path: &[u8], size: u64) -> Result<(), Errno> {
        let (dir, name) = self.change_in(path)?;
        if self.raw_stat(&dir, &name, path)?.kind() != S_IFREG {
            return Err(Errno::EINVAL);
        }
        let (options, ..) = self.options(O_WRONLY);
        let file = dir.open_with(&name, &options)?.into_std();
        if !file.metadata()?.is_file() {
            return Err(Errno::EINVAL);
        }
        Ok(file.set_len(size)?)
    }

    fn make_dir(&self, who: &Who, path: &[u8], mode: u32) -> Result<(), Errno> {
        let (dir, name) = self.change_in(path)?;
        os::make_dir(&dir, &name, host_mode(mode, true) & 0o777)?;
        self.made(who, &dir, &name, path, mode)?;
        Ok(())
    }

    fn make_node(&self, who: &Who, path: &[u8], mode: u32) -> Result<(), Errno> {
        let (dir, name) = self.change_in(path)?;
        let (mut options, ..) = self.options(O_WRONLY);
        options.create_new(true);
        set_create_mode(&mut options, host_mode(mode, false));
        dir.open_with(&name, &options)?;
        let stat = self.made(who, &dir, &name, path, mode)?;
        let kind = mode & S_IFMT;
        if kind != S_IFREG {
            self.attributes
                .set((stat.dev, stat.ino), |own| own.kind = Some(kind));
        }
        Ok(())
    }

    fn symlink(&self, who: &Who, target: &[u8], path: &[u8]) -> Result<(), Errno> {
        let (dir, name) = self.change_in(path)?;
        os::symlink(&dir, target, &name)?;
        let stat = self.raw_stat(&dir, &name, path)?;
        self.attributes.forget((stat.dev, stat.ino));
        self.own(who, &stat);
        Ok(())
    }

    fn link(&self, from: &[u8], to: &[u8]) -> Result<(), Errno> {
        let (to_dir, to_name) = self.change_in(to)?;
        let (from_dir, from_name) = self.parent(from)?;
        Ok(from_dir.hard_link(from_name, &to_dir, to_name)?)
    }

    fn link_file(&self, file: &dyn File, to: &[u8]) -> Result<(), Errno> {
        let file = file
            .as_any()
            .downcast_ref::<HostFile>()
            .ok_or(Errno::EXDEV)?;
        let (dir, name) = self.change_in(to)?;
        os::link_unnamed(&file.file, &dir, &name)
    }

    fn remove(&self, path: &[u8], is_dir: bool) -> Result<(), Errno> {
        let (dir, name) = self.change_in(path)?;
        let stat = self.raw_stat(&dir, &name, path)?;
        if is_dir {
            dir.remove_dir(&name)?;
        } else if cfg!(windows) {
            dir.remove_file_or_symlink(&name)?;
        } else {
            dir.remove_file(&name)?;
        }
        if is_dir || stat.nlink <= 1 {
            self.attributes.forget((stat.dev, stat.ino));
        }
        Ok(())
    }

    fn rename(&self, from: &[u8], to: &[u8], flags: u32) -> Result<(), Errno> {
        let (from_dir, from_name) = self.change_in(from)?;
        let (to_dir, to_name) = self.change_in(to)?;
        let source = self.raw_stat(&from_dir, &from_name, from)?;
        let replaced = self.raw_stat(&to_dir, &to_name, to).ok();
        os::rename(&from_dir, &from_name, &to_dir, &to_name, flags)?;
        if let Some(old) = replaced
            && flags == 0
            && (old.is_dir() || old.nlink <= 1)
            && (old.dev, old.ino) != (source.dev, source.ino)
        {
            self.attributes.forget((old.dev, old.ino));
        }
        Ok(())
    }

    fn statfs(&self) -> StatFs {
        StatFs {
            read_only: self.read_only,
            ..os::statfs(&self.root)
        }
    }

    fn name(&self) -> &'static str {
        "ext4"
    }

    fn read_only(&self) -> bool {
        self.read_only
    }
}

/// What of a mode is put on the host: its owner (we) can always use it, and
/// no program becomes set-user-id on the host.
fn host_mode(mode: u32, dir: bool) -> u32 {
    mode & 0o777 | if dir { 0o700 } else { 0o600 }
}

#[cfg(unix)]
fn set_create_mode(options: &mut OpenOptions, mode: u32) {
    use cap_std::fs::OpenOptionsExt;
    options.mode(mode);
}

#[cfg(not(unix))]
fn set_create_mode(_options: &mut OpenOptions, _mode: u32) {}

/// Makes a change: what the host can hold by `set` (mode, times), the rest in
/// `attributes`.
pub(super) fn apply_change(
    attributes: &Attributes,
    stat: &Stat,
    change: &Change,
    set: impl FnOnce(Option<u32>, Option<&Times>) -> std::io::Result<()>,
) -> Result<(), Errno> {
    let key = (stat.dev, stat.ino);
    match change {
        Change::Mode(mode) => {
            let mode = mode & 0o7777;
            let wanted = host_mode(mode, stat.is_dir());
            let host = if stat.mode & 0o7777 == wanted {
                Ok(())
            } else {
                set(Some(wanted), None)
            };
            // A host that does not let us: it is remembered for this run.
            let kept = host.is_ok() && wanted == mode;
            if let Err(error) = host
                && error.kind() != ErrorKind::PermissionDenied
            {
                return Err(error.into());
            }
            let before = attributes.get(key);
            if !kept || before.mode.is_some() {
                attributes.set(key, |own| own.mode = (!kept).then_some(mode));
            }
            Ok(())
        }
        Change::Owner(uid, gid) => {
            attributes.set(key, |own| {
                own.uid = uid.or(own.uid);
                own.gid = gid.or(own.gid);
                // A program does not stay set-user-id for its new owner.
                if !stat.is_dir()
                    && let Some(mode) = &mut own.mode
                {
                    *mode &= !(0o4000 | if *mode & 0o010 != 0 { 0o2000 } else { 0 });
                }
            });
            Ok(())
        }
        Change::Times(times) => Ok(set(None, Some(times))?),
    }
}
