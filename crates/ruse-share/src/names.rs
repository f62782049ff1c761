//! What changes directories: names come, go and move.

use crate::decode::Decoder;
use crate::encode::Encoder;
use crate::errno::Errno;
use crate::files::host_mode;
use crate::message::{REMOVE_DIR, mode};
use crate::os;
use crate::server::Server;
use crate::tree::join;

/// The longest text of a symbolic link, as on Linux.
const MAX_LINK: usize = 4095;

impl Server {
    /// The path of `name` in a directory that is about to change.
    fn change_in(&self, fid: u32, name: &[u8]) -> Result<Vec<u8>, Errno> {
        self.tree.writable()?;
        join(self.fids.get(fid)?.path()?, name)
    }

    /// Tells of what was just made.
    fn made(&self, path: &[u8], out: &mut Encoder<'_>) -> Result<(), Errno> {
        out.qid(&self.tree.qid(&self.tree.stat(path)?));
        Ok(())
    }

    /// Gives what was just made the mode that was wanted, which the host's
    /// umask may have cut: the guest's has been applied.
    fn settle(&self, path: &[u8], wanted: u32) -> Result<(), Errno> {
        let stat = self.tree.stat(path)?;
        if stat.mode & 0o777 != wanted & 0o777 && stat.kind() != mode::LINK {
            let (dir, name) = self.tree.parent(path)?;
            // What the directory above gave it stays.
            let inherited = stat.mode & if stat.is_dir() { 0o2000 } else { 0 };
            os::set_mode_at(&dir, &name, inherited | wanted)?;
        }
        Ok(())
    }

    pub(crate) fn mkdir(
        &mut self,
        body: &mut Decoder<'_>,
        out: &mut Encoder<'_>,
    ) -> Result<(), Errno> {
        let (fid, name, mode) = (body.u32()?, body.name()?, body.u32()?);
        let path = self.change_in(fid, name)?;
        let mode = host_mode(mode, true);
        let (dir, name) = self.tree.parent(&path)?;
        os::make_dir(&dir, &name, mode)?;
        drop(dir);
        self.settle(&path, mode)?;
        self.made(&path, out)
    }

    /// Files, FIFOs and names of sockets, but no devices.
    pub(crate) fn mknod(
        &mut self,
        body: &mut Decoder<'_>,
        out: &mut Encoder<'_>,
    ) -> Result<(), Errno> {
        let (fid, name, wanted) = (body.u32()?, body.name()?, body.u32()?);
        let path = self.change_in(fid, name)?;
        let mode = host_mode(wanted, false) & 0o777;
        let (dir, name) = self.tree.parent(&path)?;
        match wanted & mode::KIND {
            0 | mode::FILE => {
                let opening = os::Opening {
                    read: false,
                    write: true,
                    create: Some(mode),
                };
                os::open(&dir, &name, opening)?;
            }
            kind @ (mode::FIFO | mode::SOCKET) => os::make_node(&dir, &name, kind | mode)?,
            _ => return Err(Errno::EPERM),
        }
        drop(dir);
        self.settle(&path, mode)?;
        self.made(&path, out)
    }

    pub(crate) fn symlink(
        &mut self,
        body: &mut Decoder<'_>,
        out: &mut Encoder<'_>,
    ) -> Result<(), Errno> {
        let (fid, name, text) = (body.u32()?, body.name()?, body.string()?);
        if text.is_empty() {
            return Err(Errno::ENOENT);
        }
        if text.contains(&0) {
            return Err(Errno::EINVAL);
        }
        if text.len() > MAX_LINK {
            return Err(Errno::ENAMETOOLONG);
        }
        let path = self.change_in(fid, name)?;
        let (dir, name) = self.tree.parent(&path)?;
        os::symlink(&dir, text, &name)?;
        drop(dir);
        self.made(&path, out)
    }

    pub(crate) fn readlink(
        &mut self,
        body: &mut Decoder<'_>,
        out: &mut Encoder<'_>,
    ) -> Result<(), Errno> {
        let fid = self.fids.get(body.u32()?)?;
        let (dir, name) = self.tree.parent(fid.path()?)?;
        let text = dir.read_link_contents(name)?;
        out.string(&os::bytes(text.as_os_str()));
        Ok(())
    }

    pub(crate) fn link(&mut self, body: &mut Decoder<'_>) -> Result<(), Errno> {
        let (to, fid, name) = (body.u32()?, body.u32()?, body.name()?);
        let to = self.change_in(to, name)?;
        let (to_dir, to_name) = self.tree.parent(&to)?;
        let (dir, name) = self.tree.parent(self.fids.get(fid)?.path()?)?;
        Ok(dir.hard_link(name, &to_dir, to_name)?)
    }

    pub(crate) fn rename(&mut self, body: &mut Decoder<'_>) -> Result<(), Errno> {
        let (fid, to, name) = (body.u32()?, body.u32()?, body.name()?);
        let to = self.change_in(to, name)?;
        let from = self.fids.get(fid)?.path()?.to_vec();
        self.rename_to(&from, &to)
    }

    pub(crate) fn renameat(&mut self, body: &mut Decoder<'_>) -> Result<(), Errno> {
        let (from, name) = (body.u32()?, body.name()?);
        let (to, to_name) = (body.u32()?, body.name()?);
        let from = self.change_in(from, name)?;
        let to = self.change_in(to, to_name)?;
        self.rename_to(&from, &to)
    }

    fn rename_to(&mut self, from: &[u8], to: &[u8]) -> Result<(), Errno> {
        let (dir, name) = self.tree.parent(from)?;
        let (to_dir, to_name) = self.tree.parent(to)?;
        // Two links of one file both stay, and so do their fids.
        let (stat, target) = (self.tree.stat(from)?, self.tree.stat(to));
        let same = target.is_ok_and(|to| (to.dev, to.ino) == (stat.dev, stat.ino));
        dir.rename(name, &to_dir, to_name)?;
        drop((dir, to_dir));
        if !same || self.tree.stat(from) == Err(Errno::ENOENT) {
            self.fids.rename(from, to);
        }
        Ok(())
    }

    pub(crate) fn unlinkat(&mut self, body: &mut Decoder<'_>) -> Result<(), Errno> {
        let (fid, name, flags) = (body.u32()?, body.name()?, body.u32()?);
        if flags & !REMOVE_DIR != 0 {
            return Err(Errno::EINVAL);
        }
        let path = self.change_in(fid, name)?;
        self.remove_at(&path, flags & REMOVE_DIR != 0)
    }

    fn remove_at(&self, path: &[u8], is_dir: bool) -> Result<(), Errno> {
        let (dir, name) = self.tree.parent(path)?;
        if is_dir {
            dir.remove_dir(name)?;
        } else if cfg!(windows) {
            use cap_fs_ext::DirExt;
            dir.remove_file_or_symlink(name)?;
        } else {
            dir.remove_file(name)?;
        }
        Ok(())
    }

    /// remove(5): the fid is gone whatever becomes of the file.
    pub(crate) fn remove(&mut self, body: &mut Decoder<'_>) -> Result<(), Errno> {
        let fid = self.fids.remove(body.u32()?)?;
        self.tree.writable()?;
        let path = fid.path()?;
        let is_dir = self.tree.stat(path)?.is_dir();
        self.remove_at(path, is_dir)
    }
}
