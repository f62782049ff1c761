//! What the guest set on files that the host cannot hold: owners, modes that
//! would lock ourselves out, special files. It lasts as long as the run.

use std::cell::RefCell;
use std::collections::HashMap;

use super::{S_IFMT, Stat};

/// A file on the host: device and inode number.
pub(super) type Key = (u64, u64);

/// What differs from what the host says about a file.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Own {
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    /// The lower 12 bits of the mode.
    pub mode: Option<u32>,
    /// `S_IFIFO` or `S_IFSOCK`, kept on the host as an empty file.
    pub kind: Option<u32>,
}

/// The files that have attributes of their own.
#[derive(Default)]
pub(super) struct Attributes {
    files: RefCell<HashMap<Key, Own>>,
}

impl Attributes {
    /// Puts what was set over what the host says.
    pub(super) fn apply(&self, stat: &mut Stat) {
        let files = self.files.borrow();
        if files.is_empty() {
            return;
        }
        let Some(own) = files.get(&(stat.dev, stat.ino)) else {
            return;
        };
        stat.uid = own.uid.unwrap_or(stat.uid);
        stat.gid = own.gid.unwrap_or(stat.gid);
        let permissions = own.mode.unwrap_or(stat.mode & !S_IFMT);
        stat.mode = own.kind.unwrap_or(stat.mode & S_IFMT) | permissions;
    }

    /// Changes what is set.
    pub(super) fn set(&self, key: Key, change: impl FnOnce(&mut Own)) {
        change(self.files.borrow_mut().entry(key).or_default());
    }

    /// The file is gone; the host may give its number to another.
    pub(super) fn forget(&self, key: Key) {
        self.files.borrow_mut().remove(&key);
    }

    /// What was set for a file.
    pub(super) fn get(&self, key: Key) -> Own {
        self.files.borrow().get(&key).copied().unwrap_or_default()
    }
}
