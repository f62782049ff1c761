//! FIFOs with a name (fifo(7)).

use super::vfs::Vfs;
use super::{Description, Stat};
use crate::errno::Errno;
use std::rc::Rc;

impl Vfs {
    /// Opens the FIFO that `stat` is of.
    pub(super) fn open_fifo(
        &self,
        _stat: &Stat,
        _flags: u32,
        _path: Vec<u8>,
    ) -> Result<Rc<Description>, Errno> {
        Err(Errno::ENXIO)
    }
}
