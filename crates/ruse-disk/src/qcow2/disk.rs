//! The image as a disk.

use ruse_event::{Operation, Tap};

use super::entry::Kind;
use super::{Access, Beneath, Qcow2};
use crate::{Disk, DiskError, Extent, Stamp, check_range};

impl Qcow2 {
    fn check_range(&self, offset: u64, len: u64) -> Result<(), DiskError> {
        check_range(|| self.path().display().to_string(), self.size, offset, len)
    }

    pub(super) fn check_write(&self, offset: u64, len: u64) -> Result<(), DiskError> {
        if self.access != Access::Write {
            return Err(DiskError::ReadOnly {
                name: self.path().display().to_string(),
                offset,
            });
        }
        if let Beneath::Missing = self.beneath {
            return Err(self.no_backing());
        }
        self.check_range(offset, len)
    }
}

impl Disk for Qcow2 {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_only(&self) -> bool {
        self.access != Access::Write
    }

    fn id(&self) -> &str {
        &self.name
    }

    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> Result<(), DiskError> {
        self.check_range(offset, out.len() as u64)?;
        self.read(offset, out)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.check_write(offset, bytes.len() as u64)?;
        self.write(offset, bytes)
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        match self.access {
            Access::Write => self.commit(),
            _ => Ok(()),
        }
    }

    fn discard(&mut self, offset: u64, len: u64) -> Result<(), DiskError> {
        self.check_write(offset, len)?;
        self.tell(Operation::Discard, offset, len, None, false);
        self.drop_clusters(offset, len)
    }

    fn write_zeroes(&mut self, offset: u64, len: u64, may_unmap: bool) -> Result<(), DiskError> {
        self.check_write(offset, len)?;
        self.tell(Operation::Zero, offset, len, None, false);
        self.zero(offset, len, may_unmap)
    }

    fn extent(&mut self, offset: u64) -> Result<Extent, DiskError> {
        self.check_range(offset, 1)?;
        let run = self.map(offset, self.size - offset)?;
        let zero = match (run.kind, &mut self.beneath) {
            (Kind::Zero, _) => true,
            (Kind::Data | Kind::Compressed, _) | (Kind::Absent, Beneath::Missing) => false,
            (Kind::Absent, Beneath::Nothing) => true,
            (Kind::Absent, Beneath::Disk(disk)) if offset >= disk.size() => true,
            (Kind::Absent, Beneath::Disk(disk)) => {
                let extent = disk.extent(offset)?;
                return Ok(Extent {
                    len: extent.len.min(run.len),
                    zero: extent.zero,
                    own: false,
                });
            }
        };
        Ok(Extent {
            len: run.len,
            zero,
            own: run.kind != Kind::Absent,
        })
    }

    fn volatile(&self) -> bool {
        self.temporary && self.access == Access::Write
    }

    fn revert(&mut self) -> Result<(), DiskError> {
        self.empty()
    }

    fn stamps(&mut self) -> Result<Vec<Stamp>, DiskError> {
        let stamp = self.medium.stamp()?;
        let mut stamps: Vec<_> = stamp.into_iter().collect();
        if let Beneath::Disk(disk) = &mut self.beneath {
            stamps.extend(disk.stamps()?);
        }
        Ok(stamps)
    }

    fn watch(&mut self, tap: Tap) {
        self.tap = tap;
    }

    fn held(&self) -> Option<u64> {
        self.medium.storage().held()
    }
}
