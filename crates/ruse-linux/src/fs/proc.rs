//! /proc.

use std::rc::Rc;

use super::mount::{FileSystem, Opening, StatFs};
use super::walk::Found;
use super::*;

/// The file system of processes.
pub(super) struct ProcFs;

impl FileSystem for ProcFs {
    fn look(&self, _who: &Who, path: &[u8]) -> Result<Found, Errno> {
        Ok(if path.is_empty() {
            Found::Node(Stat {
                dev: 4,
                ino: 1,
                mode: S_IFDIR | 0o555,
                nlink: 2,
                blksize: 1024,
                ..Stat::default()
            })
        } else {
            Found::Missing
        })
    }

    fn open(&self, _who: &Who, _opening: &Opening) -> Result<Rc<dyn File>, Errno> {
        Err(Errno::ENOENT)
    }

    fn statfs(&self) -> StatFs {
        StatFs {
            magic: 0x9fa0,
            block: 4096,
            ..StatFs::default()
        }
    }

    fn name(&self) -> &'static str {
        "proc"
    }

    fn read_only(&self) -> bool {
        false
    }
}
