//! Fids: what the guest calls the files that it has to do with.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;

use crate::errno::Errno;
use crate::listing::Listing;

/// The longest path from the shared directory on.
pub(crate) const MAX_PATH: usize = 4000;
/// The most bytes of paths together.
const MAX_BYTES: usize = 32 << 20;

/// One of them.
pub(crate) struct Fid {
    /// From the shared directory on, without a slash in front; empty for
    /// itself. `None`: moved to where it cannot be followed.
    path: Option<Box<[u8]>>,
    /// What it was opened as.
    pub(crate) open: Option<Open>,
}

/// An open file or directory.
pub(crate) enum Open {
    File { file: File, read: bool, write: bool },
    Dir(Listing),
}

impl Fid {
    /// Where it is.
    pub(crate) fn path(&self) -> Result<&[u8], Errno> {
        self.path.as_deref().ok_or(Errno::ESTALE)
    }

    /// It as an open file.
    pub(crate) fn file(&self) -> Option<&File> {
        match &self.open {
            Some(Open::File { file, .. }) => Some(file),
            _ => None,
        }
    }

    fn len(&self) -> usize {
        self.path.as_ref().map_or(0, |path| path.len())
    }
}

/// All of them, and what they take up.
pub(crate) struct Fids {
    fids: HashMap<u32, Fid>,
    most: usize,
    bytes: usize,
    open: usize,
    most_open: usize,
}

impl Fids {
    /// At most so many, and so many open.
    pub(crate) fn new(most: usize, most_open: usize) -> Self {
        Self {
            fids: HashMap::new(),
            most,
            bytes: 0,
            open: 0,
            most_open,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.fids = HashMap::new();
        (self.bytes, self.open) = (0, 0);
    }

    /// Each with its number.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u32, &Fid)> {
        self.fids.iter().map(|(number, fid)| (*number, fid))
    }

    /// It is nowhere that is known.
    pub(crate) fn lose(&mut self, fid: u32) {
        if let Some(fid) = self.fids.get_mut(&fid) {
            self.bytes -= fid.len();
            fid.path = None;
        }
    }

    pub(crate) fn get(&self, fid: u32) -> Result<&Fid, Errno> {
        self.fids.get(&fid).ok_or(Errno::EBADF)
    }

    pub(crate) fn get_mut(&mut self, fid: u32) -> Result<&mut Fid, Errno> {
        self.fids.get_mut(&fid).ok_or(Errno::EBADF)
    }

    /// Whether another one of this number would be a mistake.
    pub(crate) fn check_new(&self, fid: u32) -> Result<(), Errno> {
        match self.fids.contains_key(&fid) {
            true => Err(Errno::EBADF),
            false => Ok(()),
        }
    }

    /// Adds one, or has it be at another place.
    pub(crate) fn put(&mut self, fid: u32, path: Vec<u8>) -> Result<(), Errno> {
        let count = self.fids.len();
        let bytes = self.bytes + path.len();
        let new = Fid {
            path: Some(path.into()),
            open: None,
        };
        match self.fids.entry(fid) {
            Entry::Occupied(mut old) => {
                if old.get().open.is_some() {
                    return Err(Errno::EBUSY);
                }
                let bytes = bytes - old.get().len();
                if bytes > MAX_BYTES {
                    return Err(Errno::ENFILE);
                }
                self.bytes = bytes;
                old.insert(new);
            }
            Entry::Vacant(place) => {
                if count >= self.most || bytes > MAX_BYTES {
                    return Err(Errno::ENFILE);
                }
                self.bytes = bytes;
                place.insert(new);
            }
        }
        Ok(())
    }

    /// Whether there is room for another open one, and this is not open yet.
    pub(crate) fn check_open(&self, fid: u32) -> Result<&Fid, Errno> {
        let fid = self.get(fid)?;
        if fid.open.is_some() {
            return Err(Errno::EBUSY);
        }
        if self.open >= self.most_open {
            return Err(Errno::EMFILE);
        }
        Ok(fid)
    }

    /// It is open now.
    pub(crate) fn open(&mut self, fid: u32, open: Open) -> Result<(), Errno> {
        let old = &mut self.get_mut(fid)?.open;
        if old.replace(open).is_none() {
            self.open += 1;
        }
        Ok(())
    }

    pub(crate) fn remove(&mut self, fid: u32) -> Result<Fid, Errno> {
        let fid = self.fids.remove(&fid).ok_or(Errno::EBADF)?;
        self.bytes -= fid.len();
        self.open -= usize::from(fid.open.is_some());
        Ok(fid)
    }

    /// What was at `from` and beneath is at `to` now.
    pub(crate) fn rename(&mut self, from: &[u8], to: &[u8]) {
        for fid in self.fids.values_mut() {
            let Some(path) = &fid.path else { continue };
            let Some(rest) = path.strip_prefix(from) else {
                continue;
            };
            if !matches!(rest, [] | [b'/', ..]) {
                continue;
            }
            let new = [to, rest].concat();
            self.bytes -= path.len();
            fid.path = (new.len() <= MAX_PATH && self.bytes + new.len() <= MAX_BYTES).then(|| {
                self.bytes += new.len();
                new.into()
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_books_balance() {
        let mut fids = Fids::new(3, 1);
        fids.put(1, b"a/b".to_vec()).unwrap();
        fids.put(2, b"a/bc".to_vec()).unwrap();
        fids.put(3, b"a".to_vec()).unwrap();
        assert_eq!(fids.put(4, vec![]), Err(Errno::ENFILE));
        fids.put(3, b"a/b/c/d".to_vec()).unwrap();
        assert_eq!(fids.bytes, 14);
        fids.rename(b"a/b", b"x");
        let path = |fids: &Fids, fid| fids.get(fid).unwrap().path().unwrap().to_vec();
        assert_eq!(path(&fids, 1), b"x");
        assert_eq!(path(&fids, 2), b"a/bc");
        assert_eq!(path(&fids, 3), b"x/c/d");
        assert_eq!(fids.bytes, 10);
        // Out of sight.
        fids.rename(b"x", &[b'y'; MAX_PATH]);
        assert_eq!(path(&fids, 1).len(), MAX_PATH);
        assert_eq!(fids.get(3).unwrap().path(), Err(Errno::ESTALE));
        for fid in 1..=3 {
            fids.remove(fid).unwrap();
        }
        assert_eq!((fids.bytes, fids.open), (0, 0));
        assert!(fids.remove(1).is_err());
    }
}
