//! Numbers and layouts of the riscv64 Linux ABI: asm-generic, little-endian,
//! 64 bits (`include/uapi` of Linux).

/// `struct timespec`, as 16 bytes.
pub(crate) fn timespec(time: std::time::Duration) -> [u8; 16] {
    let mut out = [0; 16];
    out[..8].copy_from_slice(&time.as_secs().to_le_bytes());
    out[8..].copy_from_slice(&u64::from(time.subsec_nanos()).to_le_bytes());
    out
}

/// `AT_FDCWD`.
pub(crate) const AT_FDCWD: i32 = -100;

/// `struct timeval`, as 16 bytes.
pub(crate) fn timeval(time: std::time::Duration) -> [u8; 16] {
    let mut out = [0; 16];
    out[..8].copy_from_slice(&time.as_secs().to_le_bytes());
    out[8..].copy_from_slice(&u64::from(time.subsec_micros()).to_le_bytes());
    out
}

/// `struct rusage`: time in user mode, and the most kilobytes that were
/// resident.
pub(crate) fn rusage(user: std::time::Duration, resident: u64) -> [u8; 144] {
    let mut out = [0; 144];
    out[..16].copy_from_slice(&timeval(user));
    out[32..40].copy_from_slice(&resident.to_le_bytes());
    out
}
