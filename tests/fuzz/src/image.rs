//! qcow2 images of any content: opened, read, written to, checked, repaired.

use ruse_disk::qcow2::{Access, Repair};
use ruse_disk::{Disk, MemoryStorage, Qcow2};

use crate::Bytes;

/// How long an image may become.
const ROOM: usize = 1 << 20;

/// Operations, and then the image.
pub(crate) fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let access = match bytes.u8() & 3 {
        0 => Access::Read,
        1 | 2 => Access::Write,
        _ => Access::Repair,
    };
    let mut deeds = Bytes::new(bytes.take(31));
    let storage = MemoryStorage::new(bytes.rest().to_vec(), ROOM);
    let Ok(mut image) = Qcow2::open(Box::new(storage), access) else {
        return;
    };
    if access == Access::Repair {
        let repair = [Repair::Nothing, Repair::Leaks, Repair::All][usize::from(deeds.u8() % 3)];
        let _ = image.check(repair, &mut |_, _| {});
    }
    let size = image.size();
    let mut buffer = vec![0; 8192];
    while !deeds.is_empty() {
        let what = deeds.u8();
        let offset = match what >> 6 {
            0 => u64::from(deeds.u8()) * 256,
            1 => u64::from(deeds.u16()),
            2 => size.wrapping_sub(deeds.u8().into()),
            _ => deeds.odd(),
        };
        let len = usize::from(what >> 3 & 7) * 1024 + usize::from(deeds.u8());
        let part = len.min(buffer.len());
        // What is refused or fails is told as an error, and that is all.
        let _ = match what & 7 {
            0..=2 => image.read_at(offset, &mut buffer[..part]),
            3 | 4 => image.write_at(offset, &buffer[..part]),
            5 => image.write_zeroes(offset, len as u64, what & 8 != 0),
            6 => image.discard(offset, len as u64),
            _ => image.flush(),
        };
    }
    let _ = image.flush();
}
