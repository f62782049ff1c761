//! What can be done to the tree by path: the system calls above decode their
//! arguments, the file systems below do the work, and here stands what Linux
//! checks in between.

use std::rc::Rc;

use super::mount::{Opening, StatFs};
use super::vfs::{Mount, Vfs, View, Who};
use super::walk::{Last, Target, Walked, split, walk, within};
use super::*;

/// What a relative path is relative to.
pub(crate) enum Base {
    /// The working directory (`AT_FDCWD`).
    Cwd,
    /// An open directory.
    File(Rc<Description>),
}

/// Flags of renameat2(2).
pub(crate) const RENAME_NOREPLACE: u32 = 1;
pub(crate) const RENAME_EXCHANGE: u32 = 2;

impl Vfs {
    /// Follows a path.
    pub(crate) fn walk(
        &self,
        who: &Who,
        base: &Base,
        path: &[u8],
        follow: bool,
    ) -> Result<Walked, Errno> {
        let place = match base {
            Base::Cwd => &who.cwd,
            // Not asked for if the path is absolute.
            Base::File(_) if path.first() == Some(&b'/') => &who.cwd,
            Base::File(file) => &file.file.directory().ok_or(Errno::ENOTDIR)?.place,
        };
        let absolute = path.first() == Some(&b'/');
        // A directory that was removed has nothing in it, but it still knows
        // the one above.
        if !absolute && place.gone.get() && path.split(|&b| b == b'/').next() != Some(b"..") {
            return Err(Errno::ENOENT);
        }
        let start = place.path.borrow().clone();
        let root = if who.rules.beneath {
            start.clone()
        } else {
            who.root.path.borrow().clone()
        };
        walk(
            &View { vfs: self, who },
            &root,
            &start,
            path,
            follow,
            who.rules,
        )
    }

    /// The mount of what is about to be made or removed, and its directory's
    /// permission.
    fn change_in(&self, who: &Who, walked: &Walked) -> Result<(), Errno> {
        if who.uid == 0 {
            return Ok(());
        }
        let dir = self.directory(who, Self::parent(&walked.path))?;
        if !who.may(&dir, 3) {
            return Err(Errno::EACCES);
        }
        // The sticky bit: only owners remove.
        if let Some(stat) = walked.stat
            && dir.mode & 0o1000 != 0
            && who.uid != stat.uid
            && who.uid != dir.uid
        {
            return Err(Errno::EPERM);
        }
        Ok(())
    }

    fn directory(&self, who: &Who, path: &[u8]) -> Result<Stat, Errno> {
        use super::walk::{Found, Tree};
        match (View { vfs: self, who }).look(path)? {
            Found::Node(stat) => Ok(stat),
            _ => Err(Errno::ENOENT),
        }
    }

    /// Opens or creates a file: open(2).
    ///
    /// # Errors
    /// What open(2) says; EAGAIN if a FIFO has no other end yet.
    pub(crate) fn open(
        &self,
        who: &Who,
        base: &Base,
        path: &[u8],
        mut flags: u32,
        mode: u32,
    ) -> Result<Rc<Description>, Errno> {
        if flags & O_PATH != 0 {
            flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
        }
        // What the description keeps of the flags (F_GETFL).
        let keep = flags & !(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC);
        if flags & O_TMPFILE == O_TMPFILE {
            return self.open_unnamed(who, base, path, flags, keep, mode);
        }
        let create = flags & O_CREAT != 0;
        let exclusive = create && flags & O_EXCL != 0;
        let follow = flags & O_NOFOLLOW == 0 && !exclusive;
        let writes = flags & O_ACCMODE != O_RDONLY;
        let walked = self.walk(who, base, path, follow)?;
        let Some(stat) = walked.stat else {
            return if create {
                self.open_new(who, &walked, flags, keep, mode)
            } else {
                Err(Errno::ENOENT)
            };
        };
        if exclusive {
            return Err(Errno::EEXIST);
        }
        if let Some(link) = walked.link {
            return if flags & O_PATH == 0 {
                Err(Errno::ELOOP)
            } else if flags & O_DIRECTORY != 0 {
                Err(Errno::ENOTDIR)
            } else {
                let file = PathOnly {
                    stat,
                    link: Some(link),
                };
                Ok(Description::new(Rc::new(file), keep, walked.path))
            };
        }
        if stat.is_dir() && (create || (writes && flags & O_PATH == 0)) {
            return Err(Errno::EISDIR);
        }
        if !stat.is_dir() && flags & O_DIRECTORY != 0 {
            return Err(Errno::ENOTDIR);
        }
        if flags & O_PATH == 0 {
            self.check_open(who, &stat, flags)?;
        }
        if let Some(file) = walked.file {
            return self.reopen(who, &file, flags, keep);
        }
        if flags & O_PATH != 0 && !stat.is_dir() {
            let file = PathOnly { stat, link: None };
            return Ok(Description::new(Rc::new(file), keep, walked.path));
        }
        let read_only = self.find(&walked.path).0.fs.read_only();
        match stat.kind() {
            S_IFIFO => return self.open_fifo(who, &stat, keep, walked.path),
            S_IFSOCK => return Err(Errno::ENXIO),
            S_IFREG if read_only && (writes || flags & O_TRUNC != 0) => return Err(Errno::EROFS),
            _ => {}
        }
        self.open_at(who, &walked.path, &stat, flags & !O_CREAT, keep)
    }

    /// Permission to open what is there.
    fn check_open(&self, who: &Who, stat: &Stat, flags: u32) -> Result<(), Errno> {
        let want = match flags & O_ACCMODE {
            O_RDONLY => 4,
            O_WRONLY => 2,
            _ => 6,
        };
        let want = want | if flags & O_TRUNC != 0 { 2 } else { 0 };
        if who.may(stat, want) {
            Ok(())
        } else {
            Err(Errno::EACCES)
        }
    }

    /// Opens what is at a canonical path.
    fn open_at(
        &self,
        who: &Who,
        path: &[u8],
        stat: &Stat,
        flags: u32,
        keep: u32,
    ) -> Result<Rc<Description>, Errno> {
        let (mount, rest) = self.find(path);
        let place = stat.is_dir().then(|| self.place(path));
        let opening = Opening {
            path: rest,
            flags,
            mode: 0,
            place: place.clone(),
        };
        let file = match (mount.fs.open(who, &opening), place) {
            // A directory that only leads to a mount.
            (Err(Errno::ENOENT | Errno::ENOTDIR), Some(place)) if self.leads_to_mount(path) => {
                Rc::new(KernelDirectory {
                    directory: Directory::new(place, Box::new(dirent::Nothing)),
                    stat: *stat,
                })
            }
            (result, _) => result?,
        };
        Ok(Description::new(file, keep, path.to_vec()))
    }

    /// Creates a file.
    fn open_new(
        &self,
        who: &Who,
        walked: &Walked,
        flags: u32,
        keep: u32,
        mode: u32,
    ) -> Result<Rc<Description>, Errno> {
        if walked.slash || walked.last != Last::Name {
            return Err(Errno::EISDIR);
        }
        if flags & O_DIRECTORY != 0 {
            return Err(Errno::EINVAL);
        }
        self.change_in(who, walked)?;
        let (mount, rest) = self.find(&walked.path);
        let opening = Opening {
            path: rest,
            flags,
            mode: mode & 0o7777 & !who.umask,
            place: None,
        };
        let file = self.fixed_above(&walked.path, mount.fs.open(who, &opening))?;
        Ok(Description::new(file, keep, walked.path.clone()))
    }

    /// A name cannot be made in a directory that is there only because of what
    /// is mounted beneath it.
    fn fixed_above<T>(&self, path: &[u8], made: Result<T, Errno>) -> Result<T, Errno> {
        match made {
            Err(Errno::ENOENT) if self.leads_to_mount(Self::parent(path)) => Err(Errno::EROFS),
            made => made,
        }
    }

    /// `O_TMPFILE`: a file in a directory, without a name.
    fn open_unnamed(
        &self,
        who: &Who,
        base: &Base,
        path: &[u8],
        flags: u32,
        keep: u32,
        mode: u32,
    ) -> Result<Rc<Description>, Errno> {
        if flags & O_ACCMODE == O_RDONLY {
            return Err(Errno::EINVAL);
        }
        let walked = self.walk_dir(who, base, path, 3)?;
        let (mount, rest) = self.find(&walked.path);
        let opening = Opening {
            path: rest,
            flags,
            mode: mode & 0o7777 & !who.umask,
            place: None,
        };
        let file = mount.fs.open(who, &opening)?;
        let name = [
            &walked.path[..],
            b"/#",
            self.number().to_string().as_bytes(),
        ]
        .concat();
        Ok(Description::new(file, keep, name))
    }

    /// Opens once more what a descriptor refers to (/proc/self/fd/3).
    fn reopen(
        &self,
        who: &Who,
        old: &Rc<Description>,
        flags: u32,
        keep: u32,
    ) -> Result<Rc<Description>, Errno> {
        let stat = old.file.stat()?;
        if flags & O_PATH != 0 {
            let file = PathOnly { stat, link: None };
            return Ok(Description::new(Rc::new(file), keep, old.path.clone()));
        }
        if stat.kind() == S_IFSOCK {
            return Err(Errno::ENXIO);
        }
        // Under its name, if that is still the same file: only so can it get
        // an access that the old descriptor has not.
        if stat.kind() == S_IFREG {
            let (mount, _) = self.find(&old.path);
            if let Ok(now) = self.walk(who, &Base::Cwd, &old.path, false)
                && now
                    .stat
                    .is_some_and(|now| (now.dev, now.ino) == (stat.dev, stat.ino))
                && !mount.fs.read_only()
            {
                return self.open_at(who, &old.path, &stat, flags & !O_CREAT, keep);
            }
        }
        let access = flags & O_ACCMODE;
        let enough = match old.flags.get() & O_ACCMODE {
            _ if old.flags.get() & O_PATH != 0 => false,
            O_RDWR => true,
            had => had == access,
        };
        // Terminals and devices are the same whatever they were opened for.
        if !enough && stat.kind() != S_IFCHR {
            return Err(Errno::EACCES);
        }
        if flags & O_TRUNC != 0 && stat.kind() == S_IFREG {
            match old.file.truncate(0) {
                // A standard stream: it only looks like a file.
                Err(Errno::EINVAL) if old.writable() => {}
                result => result?,
            }
        }
        Ok(Description::new(
            Rc::clone(&old.file),
            keep,
            old.path.clone(),
        ))
    }

    /// What is at a path: stat(2), or lstat(2) if not `follow`.
    pub(crate) fn stat(
        &self,
        who: &Who,
        base: &Base,
        path: &[u8],
        follow: bool,
    ) -> Result<Stat, Errno> {
        self.walk(who, base, path, follow)?
            .stat
            .ok_or(Errno::ENOENT)
    }

    /// readlink(2): the text of a symbolic link.
    pub(crate) fn read_link(&self, who: &Who, base: &Base, path: &[u8]) -> Result<Vec<u8>, Errno> {
        let walked = self.walk(who, base, path, false)?;
        match walked.link {
            Some(link) => Ok(self.link_text(who, &link)),
            None if walked.stat.is_some() => Err(Errno::EINVAL),
            None => Err(Errno::ENOENT),
        }
    }

    /// What a symbolic link says.
    pub(crate) fn link_text(&self, who: &Who, link: &Target) -> Vec<u8> {
        match link {
            Target::Text(text) => text.clone(),
            Target::Place(path) => path.clone(),
            Target::File(file) => self.open_path(who, file),
        }
    }

    /// The path of an open file as /proc/PID/fd shows it.
    pub(crate) fn open_path(&self, who: &Who, file: &Description) -> Vec<u8> {
        if let Some(label) = file.file.label() {
            return label.into_bytes();
        }
        let (mut path, gone) = match file.file.directory() {
            Some(directory) => (
                directory.place.path.borrow().clone(),
                directory.place.gone.get(),
            ),
            None => {
                let gone = match file.file.stat() {
                    Ok(stat) if stat.kind() == S_IFREG => self
                        .stat(who, &Base::Cwd, &file.path, false)
                        .is_ok_and(|now| (now.dev, now.ino) == (stat.dev, stat.ino))
                        .eq(&false),
                    _ => false,
                };
                (file.path.clone(), gone)
            }
        };
        if gone {
            path.extend_from_slice(b" (deleted)");
        }
        path
    }

    /// A walk to a directory, in which `who` must have these permissions.
    fn walk_dir(&self, who: &Who, base: &Base, path: &[u8], wanted: u32) -> Result<Walked, Errno> {
        let walked = self.walk(who, base, path, true)?;
        let stat = walked.stat.ok_or(Errno::ENOENT)?;
        if !stat.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        if !who.may(&stat, wanted) {
            return Err(Errno::EACCES);
        }
        Ok(walked)
    }

    /// A walk to a name that is to be made.
    fn walk_new(&self, who: &Who, base: &Base, path: &[u8], dir: bool) -> Result<Walked, Errno> {
        let walked = self.walk(who, base, path, false)?;
        if walked.stat.is_some() {
            return Err(Errno::EEXIST);
        }
        if walked.last != Last::Name {
            return Err(if dir { Errno::EEXIST } else { Errno::ENOENT });
        }
        if walked.slash && !dir {
            return Err(Errno::ENOENT);
        }
        // That a directory on the way is missing comes before that we may not.
        if who.uid != 0 || self.find(&walked.path).0.fs.read_only() {
            self.directory(who, Self::parent(&walked.path))?;
        }
        self.change_in(who, &walked)?;
        Ok(walked)
    }

    /// mkdir(2).
    pub(crate) fn make_dir(
        &self,
        who: &Who,
        base: &Base,
        path: &[u8],
        mode: u32,
    ) -> Result<(), Errno> {
        let walked = self.walk_new(who, base, path, true)?;
        let (mount, rest) = self.find(&walked.path);
        let made = mount.fs.make_dir(who, rest, mode & 0o1777 & !who.umask);
        self.fixed_above(&walked.path, made)
    }

    /// mknod(2): files, FIFOs and sockets; there are no devices in a box.
    pub(crate) fn make_node(
        &self,
        who: &Who,
        base: &Base,
        path: &[u8],
        mode: u32,
    ) -> Result<(), Errno> {
        let kind = match mode & S_IFMT {
            0 => S_IFREG,
            kind @ (S_IFREG | S_IFIFO | S_IFSOCK) => kind,
            S_IFCHR | S_IFBLK => return Err(Errno::EPERM),
            _ => return Err(Errno::EINVAL),
        };
        let walked = self.walk_new(who, base, path, false)?;
        let (mount, rest) = self.find(&walked.path);
        let made = mount
            .fs
            .make_node(who, rest, kind | mode & 0o7777 & !who.umask);
        self.fixed_above(&walked.path, made)
    }

    /// symlink(2).
    pub(crate) fn symlink(
        &self,
        who: &Who,
        target: &[u8],
        base: &Base,
        path: &[u8],
    ) -> Result<(), Errno> {
        if target.is_empty() {
            return Err(Errno::ENOENT);
        }
        let walked = self.walk_new(who, base, path, false)?;
        let (mount, rest) = self.find(&walked.path);
        self.fixed_above(&walked.path, mount.fs.symlink(who, target, rest))
    }

    /// link(2); `follow` as `AT_SYMLINK_FOLLOW`.
    pub(crate) fn link(
        &self,
        who: &Who,
        from: (&Base, &[u8]),
        to: (&Base, &[u8]),
        follow: bool,
    ) -> Result<(), Errno> {
        let source = self.walk(who, from.0, from.1, follow)?;
        let stat = source.stat.ok_or(Errno::ENOENT)?;
        if stat.is_dir() {
            return Err(Errno::EPERM);
        }
        let target = self.walk_new(who, to.0, to.1, false)?;
        self.directory(who, Self::parent(&target.path))?;
        if let Some(file) = source.file {
            return self.link_open(&file, &target.path);
        }
        let (mount, from) = self.same_mount(&source.path, &target.path)?;
        mount.fs.link(from, self.find(&target.path).1)
    }

    /// Links an open file (`AT_EMPTY_PATH`) to a new name.
    pub(crate) fn link_file(
        &self,
        who: &Who,
        file: &Rc<Description>,
        base: &Base,
        path: &[u8],
    ) -> Result<(), Errno> {
        if file.file.directory().is_some() {
            return Err(Errno::EPERM);
        }
        let target = self.walk_new(who, base, path, false)?;
        self.directory(who, Self::parent(&target.path))?;
        self.link_open(file, &target.path)
    }

    fn link_open(&self, file: &Rc<Description>, to: &[u8]) -> Result<(), Errno> {
        let (mount, rest) = self.find(to);
        if !std::ptr::eq(mount, self.find(&file.path).0) {
            return Err(Errno::EXDEV);
        }
        if file.file.stat()?.nlink > 0 && file.flags.get() & O_PATH != 0 {
            return mount.fs.link(self.find(&file.path).1, rest);
        }
        mount.fs.link_file(&*file.file, rest)
    }

    /// The mount that both paths are on, and the first beneath it.
    fn same_mount<'a>(&self, one: &'a [u8], other: &[u8]) -> Result<(&Mount, &'a [u8]), Errno> {
        let (mount, rest) = self.find(one);
        if !std::ptr::eq(mount, self.find(other).0) {
            return Err(Errno::EXDEV);
        }
        Ok((mount, rest))
    }

    /// unlink(2), or rmdir(2) if `dir`.
    pub(crate) fn remove(
        &self,
        who: &Who,
        base: &Base,
        path: &[u8],
        dir: bool,
    ) -> Result<(), Errno> {
        let walked = self.walk_last(who, base, path)?;
        match (dir, walked.last) {
            (true, Last::Dot) => return Err(Errno::EINVAL),
            (true, Last::DotDot) => return Err(Errno::ENOTEMPTY),
            (true, Last::Root) => return Err(Errno::EBUSY),
            (false, Last::Dot | Last::DotDot | Last::Root) => return Err(Errno::EISDIR),
            _ => {}
        }
        let stat = walked.stat.ok_or(Errno::ENOENT)?;
        match (dir, stat.is_dir()) {
            (true, false) => return Err(Errno::ENOTDIR),
            (false, true) => return Err(Errno::EISDIR),
            (false, false) if walked.slash => return Err(Errno::ENOTDIR),
            _ => {}
        }
        self.change_in(who, &walked)?;
        if self.pinned(&walked.path) {
            return Err(Errno::EBUSY);
        }
        let (mount, rest) = self.find(&walked.path);
        mount.fs.remove(rest, dir)?;
        if dir {
            self.removed(&walked.path);
        }
        Ok(())
    }

    /// A walk to a name that is to be removed or renamed: a last symbolic
    /// link is not followed even before a slash.
    fn walk_last(&self, who: &Who, base: &Base, path: &[u8]) -> Result<Walked, Errno> {
        let trimmed = path
            .iter()
            .rposition(|&b| b != b'/')
            .map_or(path, |at| &path[..=at]);
        let mut walked = self.walk(who, base, trimmed, false)?;
        walked.slash = trimmed.len() < path.len();
        Ok(walked)
    }

    /// renameat2(2).
    pub(crate) fn rename(
        &self,
        who: &Who,
        from: (&Base, &[u8]),
        to: (&Base, &[u8]),
        flags: u32,
    ) -> Result<(), Errno> {
        if flags & !(RENAME_NOREPLACE | RENAME_EXCHANGE) != 0
            || flags == RENAME_NOREPLACE | RENAME_EXCHANGE
        {
            return Err(Errno::EINVAL);
        }
        let source = self.walk_last(who, from.0, from.1)?;
        let target = self.walk_last(who, to.0, to.1)?;
        if source.last != Last::Name || target.last != Last::Name {
            return Err(Errno::EBUSY);
        }
        let stat = source.stat.ok_or(Errno::ENOENT)?;
        if !stat.is_dir() && (source.slash || target.slash) {
            return Err(Errno::ENOTDIR);
        }
        if target.stat.is_none() {
            self.directory(who, Self::parent(&target.path))?;
        }
        let (mount, from) = self.same_mount(&source.path, &target.path)?;
        let to = self.find(&target.path).1;
        match (flags, &target.stat) {
            (RENAME_NOREPLACE, Some(_)) => return Err(Errno::EEXIST),
            (RENAME_EXCHANGE, None) => return Err(Errno::ENOENT),
            (0, Some(old)) if stat.is_dir() && !old.is_dir() => return Err(Errno::ENOTDIR),
            (0, Some(old)) if !stat.is_dir() && old.is_dir() => return Err(Errno::EISDIR),
            _ => {}
        }
        self.change_in(who, &source)?;
        self.change_in(who, &target)?;
        if self.pinned(&source.path) || self.pinned(&target.path) {
            return Err(Errno::EBUSY);
        }
        if source.path == target.path {
            return Ok(());
        }
        if stat.is_dir() && within(&target.path, &source.path) {
            return Err(Errno::EINVAL);
        }
        if within(&source.path, &target.path) {
            return Err(match flags {
                RENAME_EXCHANGE => Errno::EINVAL,
                _ => Errno::ENOTEMPTY,
            });
        }
        mount.fs.rename(from, to, flags)?;
        if flags == RENAME_EXCHANGE {
            self.exchanged(&source.path, &target.path);
        } else {
            if target.stat.is_some_and(|old| old.is_dir()) {
                self.removed(&target.path);
            }
            if stat.is_dir() {
                self.moved(&source.path, &target.path);
            }
        }
        Ok(())
    }

    /// chmod(2), chown(2), utimensat(2).
    pub(crate) fn change(
        &self,
        who: &Who,
        base: &Base,
        path: &[u8],
        follow: bool,
        change: &Change,
    ) -> Result<(), Errno> {
        let walked = self.walk(who, base, path, follow)?;
        let stat = walked.stat.ok_or(Errno::ENOENT)?;
        let change = allowed(who, &stat, change)?;
        if let Some(file) = walked.file {
            // A descriptor that only names (as C libraries use for fchmodat).
            if file.file.as_any().is::<PathOnly>() {
                return self.change(who, &Base::Cwd, &file.path, false, &change);
            }
            return file.file.change(&change);
        }
        if walked.link.is_some() && matches!(change, Change::Mode(_)) {
            return Err(Errno::EOPNOTSUPP);
        }
        let (mount, rest) = self.find(&walked.path);
        mount.fs.change(rest, &change)
    }

    /// truncate(2).
    pub(crate) fn truncate(&self, who: &Who, path: &[u8], size: u64) -> Result<(), Errno> {
        let walked = self.walk(who, &Base::Cwd, path, true)?;
        let stat = walked.stat.ok_or(Errno::ENOENT)?;
        match stat.kind() {
            S_IFDIR => return Err(Errno::EISDIR),
            S_IFREG => {}
            _ => return Err(Errno::EINVAL),
        }
        if !who.may(&stat, 2) {
            return Err(Errno::EACCES);
        }
        if let Some(file) = walked.file {
            return file.file.truncate(size);
        }
        let (mount, rest) = self.find(&walked.path);
        mount.fs.truncate(rest, size)
    }

    /// Whether a file cannot be written because of where it is.
    pub(crate) fn fixed(&self, path: &[u8], stat: &Stat) -> bool {
        matches!(stat.kind(), S_IFREG | S_IFDIR | S_IFLNK) && self.find(path).0.fs.read_only()
    }

    /// The entries of an open directory, `.` and `..` and mount points
    /// included.
    pub(crate) fn list(
        &self,
        who: &Who,
        directory: &Directory,
        file: &dyn File,
    ) -> Result<Vec<Entry>, Errno> {
        let path = directory.place.path.borrow().clone();
        let up = if path == *who.root.path.borrow() {
            path.clone()
        } else {
            Self::parent(&path).to_vec()
        };
        let number = |path: &[u8]| self.directory(who, path).map_or(1, |stat| stat.ino);
        let dots = [(&b"."[..], file.stat()?.ino), (b"..", number(&up))];
        let mut entries: Vec<Entry> = dots
            .into_iter()
            .map(|(name, ino)| Entry {
                ino,
                name: name.to_vec(),
                kind: S_IFDIR,
            })
            .collect();
        entries.extend(directory.source.list(who.kernel)?);
        for (name, _) in self.mounted_in(&path) {
            let Ok(stat) = self.directory(who, &super::walk::join(&path, &name)) else {
                continue;
            };
            let entry = Entry {
                ino: stat.ino,
                name,
                kind: stat.kind(),
            };
            match entries.iter_mut().find(|old| old.name == entry.name) {
                Some(old) => *old = entry,
                None => entries.push(entry),
            }
        }
        Ok(entries)
    }

    /// statfs(2) of a canonical path, and which mount it is.
    pub(crate) fn statfs(&self, path: &[u8]) -> (StatFs, u64) {
        let (mount, _) = self.find(path);
        let mut id = 0xcbf2_9ce4_u64;
        for &byte in &mount.at {
            id = (id ^ u64::from(byte)).wrapping_mul(0x0100_0193);
        }
        (mount.fs.statfs(), id)
    }

    /// The directory at a path, to stand in: chdir(2).
    pub(crate) fn enter(&self, who: &Who, base: &Base, path: &[u8]) -> Result<Rc<Where>, Errno> {
        let walked = self.walk_dir(who, base, path, 1)?;
        Ok(self.place(&walked.path))
    }
}

/// A descriptor that only stands for a place (`O_PATH`), of anything but a
/// directory.
pub(crate) struct PathOnly {
    pub stat: Stat,
    /// The symbolic link that it is.
    pub link: Option<Target>,
}

impl File for PathOnly {
    fn read(&self, _offset: u64, _out: &mut [u8]) -> Result<usize, Errno> {
        Err(Errno::EBADF)
    }

    fn write(&self, _offset: u64, _bytes: &[u8]) -> Result<usize, Errno> {
        Err(Errno::EBADF)
    }

    fn stat(&self) -> Result<Stat, Errno> {
        Ok(self.stat)
    }

    fn change(&self, _change: &Change) -> Result<(), Errno> {
        Err(Errno::EBADF)
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// The name of a canonical path.
pub(crate) fn name_of(path: &[u8]) -> &[u8] {
    split(path).1
}
