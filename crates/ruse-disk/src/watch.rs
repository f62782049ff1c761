//! What a disk tells of where requests end up.

use ruse_event::{Class, Operation, Tap, What};

/// Where a piece of a request ended up.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// The byte of the disk.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
    /// The byte of the file, if it is there.
    pub host: Option<u64>,
    /// The size of a cluster, if there are any.
    pub cluster: Option<u64>,
    /// Clusters were allocated for it.
    pub allocated: bool,
}

impl Place {
    /// In a file without clusters.
    pub(crate) fn raw(offset: u64, len: u64) -> Self {
        Self {
            offset,
            len,
            host: Some(offset),
            cluster: None,
            allocated: false,
        }
    }
}

/// Tells of a piece of a request.
#[inline]
pub(crate) fn tell(tap: &Tap, operation: Operation, place: impl FnOnce() -> Place) {
    tap.tell(Class::Disk, || {
        let place = place();
        What::Image {
            operation,
            offset: place.offset,
            len: place.len,
            host: place.host,
            cluster: place.cluster,
            allocated: place.allocated,
        }
    });
}
