//! The table of snapshots ("Snapshots").

use super::header::{Header, u16_at, u32_at, u64_at};
use super::medium::Medium;
use crate::DiskError;

/// The longest table of snapshots, in bytes.
const MAX_TABLE: u64 = 16 << 20;
/// The most data about a snapshot that later versions may add, as in QEMU.
const MAX_EXTRA: u32 = 1024;

/// A state of the disk that was kept in the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// A name that nobody chose: mostly a number.
    pub id: String,
    /// The name that somebody gave.
    pub name: String,
    /// When it was taken, in seconds since 1970.
    pub seconds: u32,
    /// The size of the disk then, if it is known.
    pub disk_size: Option<u64>,
    /// How much of a machine's memory is kept too, in bytes.
    pub machine_state: u64,
    pub(super) l1_offset: u64,
    pub(super) l1_size: u32,
    /// The length of its entry in the table.
    len: u64,
}

/// The length of the table that these were read from.
pub fn table_len(snapshots: &[Snapshot]) -> u64 {
    snapshots.iter().map(|snapshot| snapshot.len).sum()
}

/// Reads the table.
pub fn read(medium: &mut Medium, header: &Header) -> Result<Vec<Snapshot>, DiskError> {
    let mut all = Vec::new();
    let mut at = header.snapshots_offset;
    let end = at.saturating_add(MAX_TABLE);
    let file_end = medium.end();
    for _ in 0..header.snapshots {
        if at >= end || at >= file_end {
            return Err(medium.damaged(at, "the snapshot table does not end"));
        }
        let mut fixed = [0; 40];
        medium.read(at, &mut fixed)?;
        let (id_len, name_len) = (u16_at(&fixed, 12), u16_at(&fixed, 14));
        let extra_len = u32_at(&fixed, 36);
        if extra_len > MAX_EXTRA {
            return Err(medium.damaged(at + 36, "a snapshot with too much extra data"));
        }
        let extra = extra_len as usize;
        let mut rest = vec![0; extra + usize::from(id_len) + usize::from(name_len)];
        medium.read(at + 40, &mut rest)?;
        let (l1_offset, l1_size) = (u64_at(&fixed, 0), u32_at(&fixed, 8));
        if u64::from(l1_size) > super::header::MAX_L1
            || (l1_size != 0 && (header.in_cluster(l1_offset) != 0 || l1_offset >> 56 != 0))
        {
            return Err(medium.damaged(at, "the snapshot's L1 table cannot be there"));
        }
        let disk_size = (extra >= 16).then(|| u64_at(&rest, 8));
        if disk_size.is_some_and(|size| size > i64::MAX as u64) {
            return Err(medium.damaged(at + 48, "a size that no disk has"));
        }
        let (id, name) = rest[extra..].split_at(id_len.into());
        let len = (40 + rest.len() as u64).next_multiple_of(8);
        all.push(Snapshot {
            id: String::from_utf8_lossy(id).into_owned(),
            name: String::from_utf8_lossy(name).into_owned(),
            seconds: u32_at(&fixed, 16),
            disk_size,
            machine_state: match extra >= 8 {
                true => u64_at(&rest, 0),
                false => u32_at(&fixed, 32).into(),
            },
            l1_offset,
            l1_size,
            len,
        });
        at += len;
    }
    Ok(all)
}
