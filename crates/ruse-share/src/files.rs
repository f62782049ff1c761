//! Open files, and what is known of any.

use crate::decode::Decoder;
use crate::encode::Encoder;
use crate::errno::Errno;
use crate::fid::Open;
use crate::listing::Listing;
use crate::message::{mode, open, set};
use crate::os::{self, Opening, Time};
use crate::server::Server;
use crate::stat::{Qid, Stat};
use crate::tree::join;

/// What of a mode is put on the host: no program becomes set-user-id there.
pub(crate) fn host_mode(mode: u32, is_dir: bool) -> u32 {
    mode & if is_dir { 0o3777 } else { 0o1777 }
}

/// Does it again if a signal came in between.
fn again(mut act: impl FnMut() -> std::io::Result<usize>) -> Result<usize, Errno> {
    loop {
        match act() {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            result => return Ok(result?),
        }
    }
}

/// Whether to read and to write.
fn access(flags: u32) -> Result<(bool, bool), Errno> {
    match flags & open::ACCESS {
        open::READ_ONLY => Ok((true, false)),
        open::WRITE_ONLY => Ok((false, true)),
        open::READ_WRITE => Ok((true, true)),
        _ => Err(Errno::EINVAL),
    }
}

impl Server {
    /// What a fid is about: as it is open, or as it is called.
    fn stat(&self, fid: u32) -> Result<Stat, Errno> {
        let fid = self.fids.get(fid)?;
        match fid.file() {
            Some(file) => Ok(os::stat_file(file, fid.path().unwrap_or_default())?),
            None => self.tree.stat(fid.path()?),
        }
    }

    pub(crate) fn getattr(
        &mut self,
        body: &mut Decoder<'_>,
        out: &mut Encoder<'_>,
    ) -> Result<(), Errno> {
        let (fid, _wanted) = (body.u32()?, body.u64()?);
        let stat = self.stat(fid)?;
        stat.encode(&self.tree.qid(&stat), out);
        Ok(())
    }

    pub(crate) fn setattr(&mut self, body: &mut Decoder<'_>) -> Result<(), Errno> {
        let (number, valid, mode) = (body.u32()?, body.u32()?, body.u32()?);
        let (uid, gid, size) = (body.u32()?, body.u32()?, body.u64()?);
        let mut time = |bit: u32, given: u32| {
            let (seconds, nanos) = (body.u64()?, body.u64()?);
            Ok(match (valid & bit != 0, valid & given != 0) {
                (false, _) => Time::Keep,
                (true, false) => Time::Now,
                (true, true) if nanos < 1_000_000_000 => Time::At(seconds as i64, nanos as u32),
                (true, true) => return Err(Errno::EINVAL),
            })
        };
        let atime = time(set::ATIME, set::ATIME_SET)?;
        let mtime = time(set::MTIME, set::MTIME_SET)?;
        self.tree.writable()?;
        let stat = self.stat(number)?;
        // First what may take a set-user-id bit away, then what sets it.
        let owner = [(set::UID, uid), (set::GID, gid)]
            .map(|(bit, id)| (valid & bit != 0 && id != u32::MAX).then_some(id));
        if owner != [None, None] {
            self.set_owner(number, owner)?;
        }
        if valid & set::MODE != 0 {
            self.set_mode(number, &stat, mode)?;
        }
        if valid & set::SIZE != 0 {
            self.set_size(number, &stat, size)?;
        }
        if !matches!((atime, mtime), (Time::Keep, Time::Keep)) {
            self.set_times(number, atime, mtime)?;
        }
        Ok(())
    }

    fn set_owner(&self, fid: u32, [uid, gid]: [Option<u32>; 2]) -> Result<(), Errno> {
        let fid = self.fids.get(fid)?;
        if let Some(file) = fid.file() {
            return Ok(os::set_owner(file, uid, gid)?);
        }
        let (dir, name) = self.tree.place(fid.path()?)?;
        Ok(os::set_owner_at(&dir, &name, uid, gid)?)
    }

    fn set_mode(&self, fid: u32, stat: &Stat, mode: u32) -> Result<(), Errno> {
        let mode = host_mode(mode, stat.is_dir());
        let fid = self.fids.get(fid)?;
        if let Some(file) = fid.file() {
            return Ok(os::set_mode(file, mode)?);
        }
        if stat.kind() == mode::LINK {
            return Err(Errno::EOPNOTSUPP);
        }
        let (dir, name) = self.tree.place(fid.path()?)?;
        Ok(os::set_mode_at(&dir, &name, mode)?)
    }

    fn set_times(&self, fid: u32, atime: Time, mtime: Time) -> Result<(), Errno> {
        let fid = self.fids.get(fid)?;
        if let Some(file) = fid.file() {
            return Ok(os::set_times(file, atime, mtime)?);
        }
        let (dir, name) = self.tree.place(fid.path()?)?;
        Ok(os::set_times_at(&dir, &name, atime, mtime)?)
    }

    fn set_size(&self, fid: u32, stat: &Stat, size: u64) -> Result<(), Errno> {
        let fid = self.fids.get(fid)?;
        if let Some(Open::File {
            file, write: true, ..
        }) = &fid.open
        {
            return Ok(file.set_len(size)?);
        }
        match stat.kind() {
            mode::FILE => {}
            mode::DIR => return Err(Errno::EISDIR),
            _ => return Err(Errno::EINVAL),
        }
        let opening = Opening {
            read: false,
            write: true,
            create: None,
        };
        let file = self.open_file(fid.path()?, opening)?;
        Ok(file.set_len(size)?)
    }

    /// Opens a regular file.
    pub(crate) fn open_file(&self, path: &[u8], how: Opening) -> Result<std::fs::File, Errno> {
        let (dir, name) = self.tree.parent(path)?;
        let file = os::open(&dir, &name, how)?;
        // It may have been exchanged since somebody looked.
        match os::stat_file(&file, path)?.kind() {
            mode::FILE => Ok(file),
            mode::DIR => Err(Errno::EISDIR),
            _ => Err(Errno::ENXIO),
        }
    }

    /// open(5), with the flags of open(2).
    pub(crate) fn lopen(
        &mut self,
        body: &mut Decoder<'_>,
        out: &mut Encoder<'_>,
    ) -> Result<(), Errno> {
        let (number, flags) = (body.u32()?, body.u32()?);
        let (read, write) = access(flags)?;
        let changes = write || flags & open::TRUNC != 0;
        let fid = self.fids.check_open(number)?;
        let path = fid.path()?;
        let stat = self.tree.stat(path)?;
        let opened = match stat.kind() {
            mode::DIR if changes => return Err(Errno::EISDIR),
            mode::DIR => Open::Dir(Listing::new(&*self.tree.dir(path)?)?),
            _ if flags & open::DIRECTORY != 0 => return Err(Errno::ENOTDIR),
            mode::LINK => return Err(Errno::ELOOP),
            // To open a device can do something, and FIFOs and sockets are the
            // guest kernel's own.
            mode::FILE => {
                if changes {
                    self.tree.writable()?;
                }
                let opening = Opening {
                    read,
                    write: changes,
                    create: None,
                };
                let file = self.open_file(path, opening)?;
                if flags & open::TRUNC != 0 {
                    file.set_len(0)?;
                }
                Open::File { file, read, write }
            }
            _ => return Err(Errno::ENXIO),
        };
        self.opened(number, opened, &stat, out)
    }

    fn opened(
        &mut self,
        fid: u32,
        open: Open,
        stat: &Stat,
        out: &mut Encoder<'_>,
    ) -> Result<(), Errno> {
        out.qid(&self.tree.qid(stat));
        // Any length of reads and writes is fine.
        out.u32(0);
        self.fids.open(fid, open)
    }

    /// create(5): the fid of the directory becomes that of the open file.
    pub(crate) fn lcreate(
        &mut self,
        body: &mut Decoder<'_>,
        out: &mut Encoder<'_>,
    ) -> Result<(), Errno> {
        let (number, name, flags, wanted) = (body.u32()?, body.name()?, body.u32()?, body.u32()?);
        self.tree.writable()?;
        let (read, write) = access(flags)?;
        let path = join(self.fids.check_open(number)?.path()?, name)?;
        let truncates = flags & open::TRUNC != 0;
        let wanted = host_mode(wanted, false) & 0o777;
        let how = |create| Opening {
            read,
            write: write || truncates,
            create,
        };
        let mut made = self.open_file(&path, how(Some(wanted)));
        if matches!(made, Err(Errno::EEXIST)) && flags & open::EXCL == 0 {
            // Opening a device can do something: ask first what it is.
            made = match self.tree.stat(&path)?.kind() {
                mode::FILE => self.open_file(&path, how(None)),
                mode::DIR => Err(Errno::EISDIR),
                mode::LINK => Err(Errno::ELOOP),
                _ => Err(Errno::ENXIO),
            };
            if let (Ok(file), true) = (&made, truncates) {
                file.set_len(0)?;
            }
        } else if let Ok(file) = &made
            && os::stat_file(file, &path)?.mode & 0o777 != wanted
        {
            // The guest's umask has been applied; the host's need not be.
            os::set_mode(file, wanted)?;
        }
        let file = made?;
        let stat = os::stat_file(&file, &path)?;
        self.fids.put(number, path)?;
        self.opened(number, Open::File { file, read, write }, &stat, out)
    }

    pub(crate) fn read(
        &mut self,
        body: &mut Decoder<'_>,
        out: &mut Encoder<'_>,
    ) -> Result<(), Errno> {
        let (fid, offset, count) = (body.u32()?, body.u64()?, body.u32()?);
        match &self.fids.get(fid)?.open {
            Some(Open::File {
                file, read: true, ..
            }) => out.counted(count as usize, |bytes| {
                again(|| os::read_at(file, bytes, offset))
            }),
            Some(Open::Dir(_)) => Err(Errno::EISDIR),
            _ => Err(Errno::EBADF),
        }
    }

    pub(crate) fn write(
        &mut self,
        body: &mut Decoder<'_>,
        out: &mut Encoder<'_>,
    ) -> Result<(), Errno> {
        let (fid, offset, count) = (body.u32()?, body.u64()?, body.u32()?);
        let bytes = body.bytes(count as usize)?;
        match &self.fids.get(fid)?.open {
            Some(Open::File {
                file, write: true, ..
            }) => {
                let written = again(|| os::write_at(file, bytes, offset))?;
                out.u32(written as u32);
                Ok(())
            }
            _ => Err(Errno::EBADF),
        }
    }

    pub(crate) fn readdir(
        &mut self,
        body: &mut Decoder<'_>,
        out: &mut Encoder<'_>,
    ) -> Result<(), Errno> {
        /// Of an entry, before its name.
        const FIXED: usize = 24;
        let (fid, offset, count) = (body.u32()?, body.u64()?, body.u32()?);
        let fid = self.fids.get_mut(fid)?;
        // What is above the shared directory is not the guest's to know.
        let is_root = fid.path().is_ok_and(<[u8]>::is_empty);
        let Some(Open::Dir(listing)) = &mut fid.open else {
            return Err(Errno::EBADF);
        };
        let itself = match is_root {
            true => Some(self.tree.stat(b"")?.ino),
            false => None,
        };
        let mut too_long = false;
        out.counted(count as usize, |bytes| {
            let mut len = 0;
            listing.read(offset, |entry| {
                let Some(out) = bytes.get_mut(len..len + FIXED + entry.name.len()) else {
                    too_long = len == 0;
                    return false;
                };
                let ino = match itself {
                    Some(ino) if entry.name == b".." => ino,
                    _ => entry.ino,
                };
                let qid = Qid::of_entry(ino, entry.kind);
                out[0] = qid.kind;
                out[1..5].copy_from_slice(&qid.version.to_le_bytes());
                out[5..13].copy_from_slice(&qid.path.to_le_bytes());
                out[13..21].copy_from_slice(&entry.next.to_le_bytes());
                // As in `d_type` of readdir(3).
                out[21] = (entry.kind >> 12) as u8;
                out[22..FIXED].copy_from_slice(&(entry.name.len() as u16).to_le_bytes());
                out[FIXED..].copy_from_slice(&entry.name);
                len += out.len();
                true
            })?;
            Ok(len)
        })?;
        // Nothing would be the end of the directory.
        match too_long {
            true => Err(Errno::EINVAL),
            false => Ok(()),
        }
    }

    pub(crate) fn fsync(&mut self, body: &mut Decoder<'_>) -> Result<(), Errno> {
        let fid = self.fids.get(body.u32()?)?;
        // Older guests do not say, and mean all.
        let only_data = body.u32().is_ok_and(|only_data| only_data != 0);
        match &fid.open {
            Some(Open::File { file, .. }) if only_data => Ok(file.sync_data()?),
            Some(Open::File { file, .. }) => Ok(file.sync_all()?),
            Some(Open::Dir(_)) => Ok(os::sync_dir(&*self.tree.dir(fid.path()?)?)?),
            None => Err(Errno::EBADF),
        }
    }
}
