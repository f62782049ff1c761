//! Which pages of RAM the host has ever given: the others are zero.

#[cfg(target_os = "linux")]
pub(crate) use linux::Touched;
#[cfg(not(target_os = "linux"))]
pub(crate) use other::Touched;

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::ops::Range;
    use std::os::unix::fs::FileExt;

    /// Entries that are read at a time.
    const BATCH: usize = 8192;
    /// In memory, or swapped out (Linux, "pagemap").
    const GIVEN: u64 = 3 << 62;

    /// The kernel's list of this process's pages; without it all may have been given.
    #[derive(Default)]
    pub(crate) struct Touched(Option<File>);

    impl Touched {
        /// It is opened early: later the process may not have it any more.
        pub(crate) fn new() -> Self {
            Self(File::open("/proc/self/pagemap").ok())
        }

        /// The pieces of `len` bytes of anonymous memory at the host address `at` that may
        /// be something other than zeroes, as offsets, in order.
        pub(crate) fn pieces(&self, at: u64, len: u64) -> Vec<Range<u64>> {
            self.look(at, len)
                .unwrap_or_else(|| std::iter::once(0..len).collect())
        }

        fn look(&self, at: u64, len: u64) -> Option<Vec<Range<u64>>> {
            let file = self.0.as_ref()?;
            let page = rustix::param::page_size() as u64;
            let (first, last) = (at / page, (at + len).div_ceil(page));
            let mut pieces: Vec<Range<u64>> = Vec::new();
            let mut bytes = vec![0; 8 * BATCH];
            let mut next = first;
            while next < last {
                let count = (last - next).min(BATCH as u64);
                let bytes = &mut bytes[..8 * count as usize];
                file.read_exact_at(bytes, 8 * next).ok()?;
                for (entry, number) in bytes.chunks_exact(8).zip(next..) {
                    let entry = u64::from_le_bytes(entry.try_into().ok()?);
                    if entry & GIVEN == 0 {
                        continue;
                    }
                    let start = (number * page).saturating_sub(at);
                    let end = ((number + 1) * page - at).min(len);
                    match pieces.last_mut() {
                        Some(piece) if piece.end == start => piece.end = end,
                        _ => pieces.push(start..end),
                    }
                }
                next += count;
            }
            Some(pieces)
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use std::ops::Range;

    /// Nobody says.
    #[derive(Default)]
    pub(crate) struct Touched;

    impl Touched {
        pub(crate) fn new() -> Self {
            Self
        }

        /// All of it may be something other than zeroes.
        pub(crate) fn pieces(&self, _: u64, len: u64) -> Vec<Range<u64>> {
            std::iter::once(0..len).collect()
        }
    }
}
