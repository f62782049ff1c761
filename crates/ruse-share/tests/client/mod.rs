//! A client for tests: messages by hand, and replies taken apart.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::path::Path;

use ruse_share::{MAX_MESSAGE, Server};

/// The fid of the shared directory.
pub const ROOT: u32 = 0;
pub const NONE: u32 = u32::MAX;

pub const EPERM: u32 = 1;
pub const ENOENT: u32 = 2;
pub const EBADF: u32 = 9;
pub const EBUSY: u32 = 16;
pub const EEXIST: u32 = 17;
pub const ENOTDIR: u32 = 20;
pub const EISDIR: u32 = 21;
pub const EINVAL: u32 = 22;
pub const ENFILE: u32 = 23;
pub const EMFILE: u32 = 24;
pub const EROFS: u32 = 30;
pub const ENAMETOOLONG: u32 = 36;
pub const ENOTEMPTY: u32 = 39;
pub const ELOOP: u32 = 40;
pub const EPROTO: u32 = 71;
pub const EMSGSIZE: u32 = 90;
pub const EOPNOTSUPP: u32 = 95;

pub const DIR: u8 = 0x80;
pub const LINK: u8 = 0x02;

/// The fields of a message, one after the other.
#[derive(Default, Clone)]
pub struct Fields(pub Vec<u8>);

impl Fields {
    pub fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub fn u16(mut self, value: u16) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn string(self, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.u16(value.len() as u16).bytes(value)
    }

    pub fn bytes(mut self, value: &[u8]) -> Self {
        self.0.extend(value);
        self
    }

    /// The whole message.
    pub fn message(&self, kind: u8, tag: u16) -> Vec<u8> {
        let len = 7 + self.0.len() as u32;
        let head = fields().u32(len).u8(kind).u16(tag);
        [head.0, self.0.clone()].concat()
    }
}

pub fn fields() -> Fields {
    Fields::default()
}

/// The body of a reply.
pub struct Body(pub Vec<u8>);

impl Body {
    pub fn take(&mut self, len: usize) -> Vec<u8> {
        self.0.drain(..len).collect()
    }

    pub fn number(&mut self, len: usize) -> u64 {
        let bytes = self.take(len);
        bytes.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b))
    }

    pub fn string(&mut self) -> Vec<u8> {
        let len = self.number(2) as usize;
        self.take(len)
    }

    /// The type in a qid, and its path.
    pub fn qid(&mut self) -> (u8, u64) {
        let kind = self.number(1) as u8;
        self.number(4);
        (kind, self.number(8))
    }
}

/// What an `Rgetattr` says, in part.
#[derive(Debug, PartialEq, Eq)]
pub struct Attributes {
    pub kind: u8,
    pub path: u64,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub links: u64,
    pub size: u64,
    pub atime: u64,
    pub mtime: u64,
}

/// What a `Tsetattr` sets.
#[derive(Default)]
pub struct Set {
    pub valid: u32,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
    pub atime: (u64, u64),
    pub mtime: (u64, u64),
}

pub struct Client {
    pub server: Server,
    next: u32,
    reply: Vec<u8>,
}

impl Client {
    /// A session with the directory at `path` attached as [`ROOT`].
    pub fn new(path: &Path) -> Self {
        Self::attached(Server::open(path, false).unwrap())
    }

    /// One that can only read.
    pub fn read_only(path: &Path) -> Self {
        Self::attached(Server::open(path, true).unwrap())
    }

    fn attached(server: Server) -> Self {
        let mut client = Self::idle(server);
        let version = fields().u32(u32::MAX).string("9P2000.L");
        let mut body = client.ask(100, &version).unwrap();
        assert_eq!(body.number(4), MAX_MESSAGE as u64);
        assert_eq!(body.string(), b"9P2000.L");
        let mut body = client.ask(104, &attach(ROOT, "")).unwrap();
        assert_eq!(body.qid().0, DIR);
        client
    }

    /// One that has said nothing yet.
    pub fn idle(server: Server) -> Self {
        Self {
            server,
            next: 1,
            reply: vec![0xee; MAX_MESSAGE],
        }
    }

    /// Sends a message of any bytes.
    pub fn send(&mut self, message: &[u8]) -> Vec<u8> {
        let len = self.server.answer(message, &mut self.reply);
        self.reply[..len].to_vec()
    }

    /// The body of the reply, or the error in it.
    pub fn ask(&mut self, kind: u8, fields: &Fields) -> Result<Body, u32> {
        let reply = self.send(&fields.message(kind, 77));
        let mut head = Body(reply[..7].to_vec());
        assert_eq!(head.number(4), reply.len() as u64);
        let got = head.number(1) as u8;
        assert_eq!(head.number(2), 77);
        let mut body = Body(reply[7..].to_vec());
        if got == 7 {
            let error = body.number(4) as u32;
            assert!(body.0.is_empty() && error != 0);
            return Err(error);
        }
        assert_eq!(got, kind + 1);
        Ok(body)
    }

    pub fn fid(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    /// A new fid for a path from the shared directory on.
    pub fn walk(&mut self, path: &str) -> Result<u32, u32> {
        let fid = self.fid();
        let names: Vec<_> = path.split('/').filter(|name| !name.is_empty()).collect();
        let mut message = fields().u32(ROOT).u32(fid).u16(names.len() as u16);
        for name in &names {
            message = message.string(name);
        }
        let mut body = self.ask(110, &message)?;
        match body.number(2) == names.len() as u64 {
            true => Ok(fid),
            false => Err(ENOENT),
        }
    }

    pub fn clunk(&mut self, fid: u32) -> Result<(), u32> {
        self.ask(120, &fields().u32(fid)).map(drop)
    }

    /// A fid for an open file or directory.
    pub fn open(&mut self, path: &str, flags: u32) -> Result<u32, u32> {
        let fid = self.walk(path)?;
        match self.ask(12, &fields().u32(fid).u32(flags)) {
            Ok(_) => Ok(fid),
            Err(error) => {
                self.clunk(fid).unwrap();
                Err(error)
            }
        }
    }

    /// A fid for a new file in the shared directory.
    pub fn create(&mut self, name: &str, flags: u32, mode: u32) -> Result<u32, u32> {
        let fid = self.walk("")?;
        let message = fields().u32(fid).string(name).u32(flags).u32(mode).u32(0);
        match self.ask(14, &message) {
            Ok(_) => Ok(fid),
            Err(error) => {
                self.clunk(fid).unwrap();
                Err(error)
            }
        }
    }

    pub fn read(&mut self, fid: u32, offset: u64, count: u32) -> Result<Vec<u8>, u32> {
        let mut body = self.ask(116, &fields().u32(fid).u64(offset).u32(count))?;
        let len = body.number(4) as usize;
        assert_eq!(body.0.len(), len);
        Ok(body.0)
    }

    pub fn write(&mut self, fid: u32, offset: u64, bytes: &[u8]) -> Result<usize, u32> {
        let message = fields().u32(fid).u64(offset).u32(bytes.len() as u32);
        let mut body = self.ask(118, &message.bytes(bytes))?;
        Ok(body.number(4) as usize)
    }

    pub fn attributes(&mut self, fid: u32) -> Result<Attributes, u32> {
        let mut body = self.ask(24, &fields().u32(fid).u64(0x7ff))?;
        assert_eq!(body.number(8), 0x7ff);
        let (kind, path) = body.qid();
        let mode = body.number(4) as u32;
        let (uid, gid) = (body.number(4) as u32, body.number(4) as u32);
        let (links, _rdev, size) = (body.number(8), body.number(8), body.number(8));
        body.take(16);
        let atime = (body.number(8), body.number(8)).0;
        let mtime = (body.number(8), body.number(8)).0;
        body.take(16 + 32);
        assert!(body.0.is_empty());
        Ok(Attributes {
            kind,
            path,
            mode,
            uid,
            gid,
            links,
            size,
            atime,
            mtime,
        })
    }

    pub fn set(&mut self, fid: u32, set: &Set) -> Result<(), u32> {
        let message = fields().u32(fid).u32(set.valid).u32(set.mode);
        let message = message.u32(set.uid).u32(set.gid).u64(set.size);
        let message = message.u64(set.atime.0).u64(set.atime.1);
        let message = message.u64(set.mtime.0).u64(set.mtime.1);
        self.ask(26, &message).map(drop)
    }

    /// Names in an open directory, with their types, read in replies of so many bytes.
    pub fn list(&mut self, fid: u32, count: u32) -> Result<Vec<(String, u8)>, u32> {
        let (mut out, mut offset) = (Vec::new(), 0);
        loop {
            let mut body = self.ask(40, &fields().u32(fid).u64(offset).u32(count))?;
            assert!(body.number(4) as usize == body.0.len() && body.0.len() <= count as usize);
            if body.0.is_empty() {
                return Ok(out);
            }
            while !body.0.is_empty() {
                let (kind, _) = body.qid();
                offset = body.number(8);
                body.number(1);
                out.push((String::from_utf8(body.string()).unwrap(), kind));
            }
        }
    }

    pub fn mkdir(&mut self, dir: u32, name: &str) -> Result<(), u32> {
        let message = fields().u32(dir).string(name).u32(0o755).u32(0);
        self.ask(72, &message).map(drop)
    }

    pub fn mknod(&mut self, dir: u32, name: &str, mode: u32) -> Result<(), u32> {
        let message = fields().u32(dir).string(name).u32(mode);
        self.ask(18, &message.u32(1).u32(3).u32(0)).map(drop)
    }

    pub fn symlink(&mut self, dir: u32, name: &str, text: &str) -> Result<(), u32> {
        let message = fields().u32(dir).string(name).string(text).u32(0);
        self.ask(16, &message).map(drop)
    }

    pub fn readlink(&mut self, fid: u32) -> Result<String, u32> {
        let mut body = self.ask(22, &fields().u32(fid))?;
        Ok(String::from_utf8(body.string()).unwrap())
    }

    pub fn link(&mut self, dir: u32, fid: u32, name: &str) -> Result<(), u32> {
        let message = fields().u32(dir).u32(fid).string(name);
        self.ask(70, &message).map(drop)
    }

    pub fn rename(&mut self, fid: u32, dir: u32, name: &str) -> Result<(), u32> {
        let message = fields().u32(fid).u32(dir).string(name);
        self.ask(20, &message).map(drop)
    }

    pub fn renameat(&mut self, from: u32, name: &str, to: u32, new: &str) -> Result<(), u32> {
        let message = fields().u32(from).string(name).u32(to).string(new);
        self.ask(74, &message).map(drop)
    }

    pub fn unlink(&mut self, dir: u32, name: &str, flags: u32) -> Result<(), u32> {
        let message = fields().u32(dir).string(name).u32(flags);
        self.ask(76, &message).map(drop)
    }

    pub fn remove(&mut self, fid: u32) -> Result<(), u32> {
        self.ask(122, &fields().u32(fid)).map(drop)
    }
}

pub fn attach(fid: u32, beneath: &str) -> Fields {
    let message = fields().u32(fid).u32(NONE);
    message.string("root").string(beneath).u32(0)
}
