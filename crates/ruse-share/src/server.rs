//! The session: versions, fids, and which message is for whom.

use std::io;
use std::path::Path;

use crate::decode::Decoder;
use crate::encode::Encoder;
use crate::errno::Errno;
use crate::fid::{Fids, Open};
use crate::message::*;
use crate::os;
use crate::stat::Qid;
use crate::tree::{Tree, above, join};

/// The longest message, in either direction.
pub const MAX_MESSAGE: usize = 512 << 10;
/// The most fids.
pub const MAX_FIDS: usize = 1 << 16;
/// The shortest message length that can be agreed on.
pub(crate) const MIN_MESSAGE: u32 = 4096;
/// The most open files, if the host allows twice as many.
const MAX_OPEN: u64 = 8192;
const VERSION: &[u8] = b"9P2000.L";

/// What serves one directory to one guest.
pub struct Server {
    pub(crate) tree: Tree,
    pub(crate) fids: Fids,
    /// The agreed length of messages; none before `Tversion`.
    pub(crate) msize: Option<u32>,
}

impl Server {
    /// Opens the directory at `path`.
    ///
    /// # Errors
    /// The host's.
    pub fn open(path: &Path, read_only: bool) -> io::Result<Self> {
        let most_open = (os::raise_open_limit() / 2).min(MAX_OPEN);
        Ok(Self {
            tree: Tree::open(path, read_only)?,
            fids: Fids::new(MAX_FIDS, most_open as usize),
            msize: None,
        })
    }

    /// Answers `message` in `reply` and says how long that is: never longer
    /// than `reply`. Where nothing fits, not even an error (of 11 bytes), it is
    /// 0.
    pub fn answer(&mut self, message: &[u8], reply: &mut [u8]) -> usize {
        if reply.len() < HEADER {
            return 0;
        }
        let most = self.msize.map_or(MIN_MESSAGE, |msize| msize) as usize;
        let len = reply.len().min(most);
        let mut out = Encoder::new(&mut reply[..len]);
        match self.header(message) {
            Ok((kind, tag, mut body)) => {
                let result = self.dispatch(kind, &mut body, &mut out);
                log::trace!("9p: message {kind} of {} bytes: {result:?}", message.len());
                out.finish(kind | 1, tag, result)
            }
            Err((tag, error)) => out.finish(RLERROR, tag, Err(error)),
        }
    }

    /// The type, the tag and the body of a message.
    fn header<'a>(&self, message: &'a [u8]) -> Result<(u8, u16, Decoder<'a>), (u16, Errno)> {
        let mut header = Decoder::new(message);
        let mut fields = || Ok((header.u32()?, header.u8()?, header.u16()?));
        let (len, kind, tag) = fields().map_err(|error: Errno| (NO_TAG, error))?;
        let most = self.msize.map_or(MIN_MESSAGE, |msize| msize);
        if len > most {
            return Err((tag, Errno::EMSGSIZE));
        }
        match message.get(HEADER..len as usize) {
            Some(body) => Ok((kind, tag, Decoder::new(body))),
            None => Err((tag, Errno::EPROTO)),
        }
    }

    fn dispatch(
        &mut self,
        kind: u8,
        body: &mut Decoder<'_>,
        out: &mut Encoder<'_>,
    ) -> Result<(), Errno> {
        if self.msize.is_none() && kind != TVERSION {
            return Err(Errno::EPROTO);
        }
        match kind {
            TVERSION => self.version(body, out),
            TAUTH => Err(Errno::EOPNOTSUPP),
            TATTACH => self.attach(body, out),
            // What is to be flushed was answered before this was read.
            TFLUSH => body.u16().map(drop),
            TWALK => self.walk(body, out),
            TCLUNK => self.fids.remove(body.u32()?).map(drop),
            TSTATFS => self.statfs(body, out),
            TGETATTR => self.getattr(body, out),
            TSETATTR => self.setattr(body),
            TLOPEN => self.lopen(body, out),
            TLCREATE => self.lcreate(body, out),
            TREAD => self.read(body, out),
            TWRITE => self.write(body, out),
            TREADDIR => self.readdir(body, out),
            TFSYNC => self.fsync(body),
            TLOCK => self.lock(body, out),
            TGETLOCK => self.getlock(body, out),
            TMKDIR => self.mkdir(body, out),
            TMKNOD => self.mknod(body, out),
            TSYMLINK => self.symlink(body, out),
            TLINK => self.link(body),
            TREADLINK => self.readlink(body, out),
            TRENAME => self.rename(body),
            TRENAMEAT => self.renameat(body),
            TUNLINKAT => self.unlinkat(body),
            TREMOVE => self.remove(body),
            // There are no extended attributes.
            TXATTRWALK | TXATTRCREATE => Err(Errno::EOPNOTSUPP),
            _ => Err(Errno::EOPNOTSUPP),
        }
    }

    /// version(5): a new session, in which nothing of the last one is left.
    fn version(&mut self, body: &mut Decoder<'_>, out: &mut Encoder<'_>) -> Result<(), Errno> {
        let (msize, version) = (body.u32()?, body.string()?);
        if msize < MIN_MESSAGE {
            return Err(Errno::EMSGSIZE);
        }
        self.fids.clear();
        let msize = msize.min(MAX_MESSAGE as u32);
        out.u32(msize);
        if version == VERSION {
            self.msize = Some(msize);
            out.string(VERSION);
        } else {
            self.msize = None;
            out.string(b"unknown");
        }
        Ok(())
    }

    /// attach(5): of the shared directory or one beneath it.
    fn attach(&mut self, body: &mut Decoder<'_>, out: &mut Encoder<'_>) -> Result<(), Errno> {
        let (fid, auth) = (body.u32()?, body.u32()?);
        let (_user, beneath) = (body.string()?, body.string()?);
        if auth != NO_FID {
            return Err(Errno::EOPNOTSUPP);
        }
        self.fids.check_new(fid)?;
        let mut path = Vec::new();
        for name in beneath
            .split(|&b| b == b'/')
            .filter(|name| !name.is_empty())
        {
            if name == b".." || name == b"." || name.contains(&0) {
                return Err(Errno::EINVAL);
            }
            path = join(&path, name)?;
        }
        let dir = self.tree.dir(&path)?;
        let stat = os::stat_file(&*dir, &path)?;
        drop(dir);
        out.qid(&self.tree.qid(&stat));
        self.fids.put(fid, path)
    }

    /// walk(5): as far as it goes, from one name to the next.
    fn walk(&mut self, body: &mut Decoder<'_>, out: &mut Encoder<'_>) -> Result<(), Errno> {
        let (fid, new, count) = (body.u32()?, body.u32()?, body.u16()?);
        if count > MAX_WALK {
            return Err(Errno::EINVAL);
        }
        let old = self.fids.get(fid)?;
        if new != fid {
            self.fids.check_new(new)?;
        } else if old.open.is_some() && count > 0 {
            return Err(Errno::EBUSY);
        }
        let mut path = old.path()?.to_vec();
        let mut qids = Vec::new();
        for _ in 0..count {
            let name = body.string()?;
            match self.step(&mut path, name) {
                Ok(qid) => qids.push(qid),
                Err(error) if qids.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        out.u16(qids.len() as u16);
        qids.iter().for_each(|qid| out.qid(qid));
        if qids.len() < count.into() || new == fid && count == 0 {
            return Ok(());
        }
        self.fids.put(new, path)
    }

    /// One name further.
    fn step(&self, path: &mut Vec<u8>, name: &[u8]) -> Result<Qid, Errno> {
        if name == b".." {
            path.truncate(above(path).len());
        } else {
            let refused = name.is_empty() || name == b"." || name.contains(&b'/');
            if refused || name.contains(&0) {
                return Err(Errno::ENOENT);
            }
            *path = join(path, name)?;
        }
        let stat = self.tree.stat(path)?;
        Ok(self.tree.qid(&stat))
    }

    fn statfs(&mut self, body: &mut Decoder<'_>, out: &mut Encoder<'_>) -> Result<(), Errno> {
        let fid = self.fids.get(body.u32()?)?;
        let fs = self.tree.statfs(fid.path()?)?;
        out.u32(MAGIC);
        out.u32(fs.block);
        for value in [fs.blocks, fs.free, fs.available, fs.files, fs.files_free] {
            out.u64(value);
        }
        // A number of this file system: the guest has its own.
        out.u64(0);
        out.u32(fs.longest_name);
        Ok(())
    }

    /// Like fcntl(2), which asks after it settled the matter among the guest's
    /// processes.
    fn lock(&mut self, body: &mut Decoder<'_>, out: &mut Encoder<'_>) -> Result<(), Errno> {
        let fid = self.fids.get(body.u32()?)?;
        let (kind, flags) = (body.u8()?, body.u32()?);
        if fid.open.is_none() {
            return Err(Errno::EBADF);
        }
        if kind > UNLOCKED || flags & !LOCK_FLAGS != 0 {
            return Err(Errno::EINVAL);
        }
        out.u8(0);
        Ok(())
    }

    /// There is never a lock in the way.
    fn getlock(&mut self, body: &mut Decoder<'_>, out: &mut Encoder<'_>) -> Result<(), Errno> {
        let fid = self.fids.get(body.u32()?)?;
        let (_kind, start, len) = (body.u8()?, body.u64()?, body.u64()?);
        let (process, client) = (body.u32()?, body.string()?);
        if !matches!(fid.open, Some(Open::File { .. })) {
            return Err(Errno::EBADF);
        }
        out.u8(UNLOCKED);
        out.u64(start);
        out.u64(len);
        out.u32(process);
        out.string(client);
        Ok(())
    }
}
