//! Numbers and layouts of the riscv64 Linux ABI: asm-generic, little-endian,
//! 64 bits (`include/uapi` of Linux).

/// `struct timespec`, as 16 bytes.
pub(crate) fn timespec(time: std::time::Duration) -> [u8; 16] {
    let mut out = [0; 16];
    out[..8].copy_from_slice(&time.as_secs().to_le_bytes());
    out[8..].copy_from_slice(&u64::from(time.subsec_nanos()).to_le_bytes());
    out
}

/// What uname(2) and /proc call this kernel.
pub(crate) const SYSNAME: &str = "Linux";
/// Its version, by which programs look for features.
pub(crate) const RELEASE: &str = "6.6.0-ruse";
/// How it was built.
pub(crate) const VERSION: &str = "#1 SMP Ruse";

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
