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
