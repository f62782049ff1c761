//! A session in a snapshot: what the guest calls by which number.

use serde::{Deserialize, Serialize};

use crate::errno::Errno;
use crate::fid::{MAX_PATH, Open};
use crate::listing::Listing;
use crate::os::Opening;
use crate::server::{MAX_MESSAGE, MIN_MESSAGE, Server};

#[derive(Clone, Copy, Serialize, Deserialize)]
enum How {
    Closed,
    File { read: bool, write: bool },
    Dir,
}

#[derive(Serialize, Deserialize)]
struct Session {
    msize: Option<u32>,
    /// Numbers, paths, and what they were opened as.
    fids: Vec<(u32, Option<Vec<u8>>, How)>,
}

/// Whether this is a path as the server makes them.
fn is_path(path: &[u8]) -> bool {
    let is_name = |name: &[u8]| !matches!(name, b"" | b"." | b"..") && !name.contains(&0);
    path.is_empty() || path.len() <= MAX_PATH && path.split(|&b| b == b'/').all(is_name)
}

impl Server {
    /// What it knows of its guest.
    pub fn save(&self) -> Vec<u8> {
        let fids = self.fids.all().map(|(number, fid)| {
            let how = match &fid.open {
                None => How::Closed,
                Some(Open::File { read, write, .. }) => How::File {
                    read: *read,
                    write: *write,
                },
                Some(Open::Dir(_)) => How::Dir,
            };
            (number, fid.path().ok().map(<[u8]>::to_vec), how)
        });
        let session = Session {
            msize: self.msize,
            fids: fids.collect(),
        };
        postcard::to_allocvec(&session).unwrap_or_default()
    }

    /// Goes on with a session. What is not there any more, the guest will find to be so.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn load(&mut self, session: &[u8]) -> Result<(), &'static str> {
        let nonsense = "a session that makes no sense";
        let session: Session = postcard::from_bytes(session).map_err(|_| nonsense)?;
        self.fids.clear();
        let longest = MAX_MESSAGE as u32;
        self.msize = session.msize.map(|msize| msize.clamp(MIN_MESSAGE, longest));
        for (number, path, how) in session.fids {
            let known = path.as_deref().unwrap_or_default();
            if !is_path(known) || self.fids.check_new(number).is_err() {
                return Err(nonsense);
            }
            let room = self.fids.put(number, known.to_vec());
            room.map_err(|_| "more files than there is room for")?;
            if path.is_none() {
                self.fids.lose(number);
            } else if let Err(error) = self.open_again(number, known, how) {
                log::warn!(
                    "{}: the guest had it open, and it cannot be opened again: {error:?}",
                    String::from_utf8_lossy(known)
                );
                self.fids.lose(number);
            }
        }
        Ok(())
    }

    fn open_again(&mut self, number: u32, path: &[u8], how: How) -> Result<(), Errno> {
        let open = match how {
            How::Closed => return Ok(()),
            How::Dir => Open::Dir(Listing::new(&*self.tree.dir(path)?)?),
            How::File { read, write } => {
                if write {
                    self.tree.writable()?;
                }
                let opening = Opening {
                    read,
                    write,
                    create: None,
                };
                let file = self.open_file(path, opening)?;
                Open::File { file, read, write }
            }
        };
        self.fids.check_open(number)?;
        self.fids.open(number, open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_nowhere_else() {
        for good in [&b""[..], b"a", b"a/b", b"..a"] {
            assert!(is_path(good), "{good:?}");
        }
        for bad in [
            &b"/"[..],
            b"/a",
            b"a/",
            b"a//b",
            b"..",
            b"a/../b",
            b".",
            b"a\0",
        ] {
            assert!(!is_path(bad), "{bad:?}");
        }
        assert!(!is_path(&[b'a'; MAX_PATH + 1]));
    }

    #[test]
    fn open_files_are_open_again() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("d")).unwrap();
        std::fs::write(folder.path().join("d/f"), "here").unwrap();
        std::fs::write(folder.path().join("gone"), "").unwrap();
        let mut one = Server::open(folder.path(), false).unwrap();
        one.msize = Some(8192);
        for (number, path) in [(1, &b""[..]), (7, b"d/f"), (9, b"gone"), (10, b"d")] {
            one.fids.put(number, path.to_vec()).unwrap();
        }
        let file = |write| How::File { read: true, write };
        one.open_again(7, b"d/f", file(true)).unwrap();
        one.open_again(9, b"gone", file(false)).unwrap();
        one.open_again(10, b"d", How::Dir).unwrap();
        let saved = one.save();
        std::fs::remove_file(folder.path().join("gone")).unwrap();
        let mut other = Server::open(folder.path(), false).unwrap();
        other.load(&saved).unwrap();
        assert_eq!(other.msize, Some(8192));
        assert_eq!(other.fids.get(7).unwrap().path().unwrap(), b"d/f");
        let mut text = String::new();
        let mut open = other.fids.get(7).unwrap().file().unwrap();
        std::io::Read::read_to_string(&mut open, &mut text).unwrap();
        assert_eq!(text, "here");
        assert_eq!(other.fids.get(9).unwrap().path(), Err(Errno::ESTALE));
        assert!(matches!(
            other.fids.get(10).unwrap().open,
            Some(Open::Dir(_))
        ));
        assert!(other.fids.get(2).is_err());
        // A share that has become read-only.
        let mut third = Server::open(folder.path(), true).unwrap();
        third.load(&saved).unwrap();
        assert_eq!(third.fids.get(7).unwrap().path(), Err(Errno::ESTALE));
        assert!(
            third
                .load(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
                .is_err()
        );
    }
}
