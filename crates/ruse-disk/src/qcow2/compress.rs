//! Compressed clusters ("Compressed Clusters Descriptor").

use std::io::Read;

use flate2::{Compress, Decompress, FlushCompress, FlushDecompress, Status};

use super::entry::{Entry, Kind};
use super::header::Compression;
use super::{Inflated, Qcow2, refcount};
use crate::DiskError;

impl Qcow2 {
    /// Decompresses the cluster that an L2 entry describes, into
    /// `self.inflated`.
    pub(super) fn inflate(&mut self, word: u64) -> Result<(), DiskError> {
        if self.inflated.entry == Some(word) {
            return Ok(());
        }
        let (at, len) = Entry { word, parts: 0 }.compressed(&self.header);
        let cluster = self.header.cluster();
        let Inflated { mut bytes, .. } = std::mem::take(&mut self.inflated);
        bytes.resize(cluster as usize, 0);
        self.deflated.resize(len as usize, 0);
        self.medium.read(at, &mut self.deflated)?;
        let whole = match self.header.compression {
            Compression::Zlib => inflate_zlib(&self.deflated, &mut bytes),
            Compression::Zstd => inflate_zstd(&self.deflated, &mut bytes),
        };
        if !whole {
            return Err(self
                .medium
                .damaged(at, "a cluster that cannot be decompressed"));
        }
        self.inflated = Inflated {
            entry: Some(word),
            bytes,
        };
        Ok(())
    }

    /// Stores the cluster at `offset`, which nothing was written to yet,
    /// compressed if that makes it smaller.
    ///
    /// # Errors
    /// [`DiskError`] when read-only, out of range, or when the host fails.
    pub fn write_compressed(&mut self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let cluster = self.header.cluster();
        let small = match self.header.compression {
            Compression::Zlib if bytes.len() as u64 == cluster => deflate(bytes),
            _ => None,
        };
        let (Some(small), 0) = (small, self.header.in_cluster(offset)) else {
            return crate::Disk::write_at(self, offset, bytes);
        };
        self.check_write(offset, cluster)?;
        if self.map(offset, 1)?.kind == Kind::Compressed || self.map(offset, 1)?.own {
            return crate::Disk::write_at(self, offset, bytes);
        }
        let l2 = self.own_l2(offset)?;
        let len = small.len() as u64;
        let at = self.pack(len)?;
        let entry = Entry::of_compressed(at, len, &self.header);
        let written = match entry {
            Some(_) => self.medium.write(at, &small),
            None => Ok(()),
        };
        let (Some(entry), Ok(())) = (entry, &written) else {
            let bits = self.header.cluster_bits;
            for host in at >> bits..=(at + len - 1) >> bits {
                self.lower(host)?;
            }
            written?;
            return crate::Disk::write_at(self, offset, bytes);
        };
        let slot = self.l2_table(l2)?;
        let place = self.entry_at(offset);
        let old = self.entry(slot, place);
        self.set_entry(slot, place, entry);
        self.unlink(old);
        let end = at + len;
        self.packed = (self.header.in_cluster(end) != 0).then_some(end);
        Ok(())
    }

    /// Room for `len` bytes, less than a cluster, behind the last such bytes
    /// if possible. Each piece counts in every cluster that it touches.
    fn pack(&mut self, len: u64) -> Result<u64, DiskError> {
        let bits = self.header.cluster_bits;
        let max = refcount::max(self.header.refcount_order);
        let Some(at) = self.packed.take() else {
            return Ok(self.allocate(1)?.at);
        };
        let begun = at >> bits;
        let left = self.header.cluster() - self.header.in_cluster(at);
        let count = self.refcount(begun)?;
        if count == 0 || count >= max {
            return Ok(self.allocate(1)?.at);
        }
        if len > left {
            let next = self.allocate(1)?.at;
            if next != at + left {
                return Ok(next);
            }
        }
        if let Some((slot, number)) = self.block(begun)? {
            self.set_count(slot, number, count + 1);
        }
        Ok(at)
    }
}

/// Fills `out` from a raw deflate stream. False if it does not yield as much.
fn inflate_zlib(bytes: &[u8], out: &mut [u8]) -> bool {
    // Without the header that names the window's size, which is 4 KiB here
    // and never more than the largest.
    let mut stream = Decompress::new(false);
    match stream.decompress(bytes, out, FlushDecompress::Finish) {
        // What follows the stream belongs to others.
        Ok(Status::StreamEnd | Status::BufError | Status::Ok) => {
            stream.total_out() == out.len() as u64
        }
        Err(_) => false,
    }
}

/// Fills `out` from a Zstandard frame. False if it does not yield as much.
fn inflate_zstd(bytes: &[u8], out: &mut [u8]) -> bool {
    ruzstd::decoding::StreamingDecoder::new(bytes)
        .is_ok_and(|mut stream| stream.read_exact(out).is_ok())
}

/// A raw deflate stream of `bytes`, if it is shorter.
fn deflate(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len() - 1);
    // Distances may be longer than the window that QEMU decompresses with,
    // but it takes a cluster in one go, in which zlib needs no window.
    let mut stream = Compress::new(flate2::Compression::default(), false);
    let status = stream.compress_vec(bytes, &mut out, FlushCompress::Finish);
    matches!(status, Ok(Status::StreamEnd)).then_some(out)
}
