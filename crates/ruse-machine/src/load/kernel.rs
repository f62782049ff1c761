//! Kernels: Linux's boot image (its `Documentation/arch/riscv/boot-image-
//! header.rst`), plain, gzipped or wrapped as an EFI zboot image; ELF files;
//! and flat binaries such as U-Boot.

use std::io::Read;

use flate2::read::GzDecoder;
use ruse_hart::Xlen;

use super::{Piece, Program, elf};
use crate::error::LoadError;
use crate::image::Image;

const GZIP: &[u8] = &[0x1f, 0x8b];

/// Fields of the boot image header.
const TEXT_OFFSET: usize = 0x08;
const IMAGE_SIZE: usize = 0x10;
const MAGIC: usize = 0x38;
const RISCV_MAGIC: &[u8] = b"RSC\x05";
const HEADER: usize = 0x40;

/// Fields of the zboot header (`drivers/firmware/efi/libstub/zboot-header.S`).
const ZBOOT: usize = 0x04;
const ZBOOT_MAGIC: &[u8] = b"zimg";
const ZBOOT_OFFSET: usize = 0x08;
const ZBOOT_SIZE: usize = 0x0c;
const ZBOOT_COMPRESSION: usize = 0x18;

/// What a file that this loader cannot use starts with or has inside, what it
/// is, and what to do.
const FOREIGN: &[(usize, &[u8], &str)] = &[
    (
        0,
        b"\x28\xb5\x2f\xfd",
        "compressed with zstd; unpack it with `zstd -d`",
    ),
    (
        0,
        b"\xfd7zXZ\0",
        "compressed with xz; unpack it with `xz -d`",
    ),
    (0, b"BZh", "compressed with bzip2; unpack it with `bunzip2`"),
    (
        0,
        b"\x04\x22\x4d\x18",
        "compressed with lz4; unpack it with `lz4 -d`",
    ),
    (
        0,
        b"\x02\x21\x4c\x18",
        "compressed with lz4; unpack it with `lz4 -d`",
    ),
    (
        0,
        b"\x27\x05\x19\x56",
        "a U-Boot uImage; unpack it with `dumpimage`",
    ),
    (
        0,
        b"\xd0\x0d\xfe\xed",
        "a device tree or FIT image, not a kernel; unpack it with `dumpimage`",
    ),
    (0, b"!<arch>\n", "an archive, not a program; link it first"),
    (0, b"#!", "a script, not a program"),
    (0, b"QFI\xfb", "a disk image, not a program"),
    (
        0x38,
        b"ARM\x64",
        "a kernel for another machine (64-bit ARM)",
    ),
    (0x202, b"HdrS", "a kernel for another machine (x86)"),
];

fn bad(image: &Image, reason: impl Into<String>) -> LoadError {
    LoadError::Kernel {
        name: image.name().into(),
        reason: reason.into(),
    }
}

/// Refuses what is recognisably something else than a flat binary.
pub(super) fn reject_foreign(image: &Image) -> Result<(), LoadError> {
    let found = FOREIGN
        .iter()
        .find(|(at, magic, _)| has(image.bytes(), *at, magic));
    match found {
        Some((_, _, what)) => Err(bad(image, *what)),
        None => Ok(()),
    }
}

fn has(bytes: &[u8], at: usize, magic: &[u8]) -> bool {
    bytes.get(at..at + magic.len()) == Some(magic)
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

/// Unpacks gzip data of at most `limit` bytes.
fn gunzip(image: &Image, offset: usize, packed: &[u8], limit: u64) -> Result<Image, LoadError> {
    let mut bytes = Vec::new();
    GzDecoder::new(packed)
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|source| LoadError::Gzip {
            name: image.name().into(),
            offset: offset as u64,
            source,
        })?;
    let name = format!("{} (unpacked)", image.name());
    if bytes.len() as u64 > limit {
        return Err(LoadError::TooLarge { name, limit });
    }
    if bytes.is_empty() {
        return Err(LoadError::Empty { name });
    }
    Ok(Image::new(name, bytes))
}

/// The kernel inside, if it is compressed.
fn unpack(image: &Image, limit: u64) -> Result<Option<Image>, LoadError> {
    let bytes = image.bytes();
    if bytes.starts_with(GZIP) {
        return gunzip(image, 0, bytes, limit).map(Some);
    }
    if !has(bytes, ZBOOT, ZBOOT_MAGIC) {
        return Ok(None);
    }
    let word = |at| field(bytes, at).map(|word| u32::from_le_bytes(word) as usize);
    let payload = word(ZBOOT_OFFSET)
        .zip(word(ZBOOT_SIZE))
        .and_then(|(from, size)| Some((from, bytes.get(from..from.checked_add(size)?)?)));
    let Some((from, payload)) = payload else {
        return Err(bad(
            image,
            format!(
                "truncated: the payload of an EFI zboot image, which the header at {ZBOOT_OFFSET:#x} describes, lies beyond the end; fetch it again"
            ),
        ));
    };
    let compression = bytes
        .get(ZBOOT_COMPRESSION..)
        .and_then(|rest| rest.split(|byte| *byte == 0).next())
        .unwrap_or_default();
    if compression != b"gzip" {
        let compression: String = String::from_utf8_lossy(compression)
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(16)
            .collect();
        return Err(bad(
            image,
            format!(
                "an EFI zboot image compressed with {compression}; only gzip is understood: unpack its payload at {from:#x}, or use arch/riscv/boot/Image"
            ),
        ));
    }
    gunzip(image, from, payload, limit).map(Some)
}

/// A kernel for RAM at `ram`; one that does not say where it wants to be goes
/// to `next_stage`.
pub(super) fn program(
    image: &Image,
    xlen: Xlen,
    ram: u64,
    next_stage: u64,
    limit: u64,
) -> Result<Program, LoadError> {
    let mut image = image.clone();
    // A zboot image in a gzip file is as deep as it gets.
    for _ in 0..2 {
        match unpack(&image, limit)? {
            Some(inner) => image = inner,
            None => break,
        }
    }
    let bytes = image.bytes();
    if elf::is_elf(bytes) {
        return elf::program(&image, xlen, next_stage);
    }
    reject_foreign(&image)?;
    let mut piece = Piece::whole("kernel", next_stage, &image);
    if has(bytes, MAGIC, RISCV_MAGIC) {
        let (Some(offset), Some(size), true) = (
            field(bytes, TEXT_OFFSET).map(u64::from_le_bytes),
            field(bytes, IMAGE_SIZE).map(u64::from_le_bytes),
            bytes.len() >= HEADER,
        ) else {
            return Err(bad(
                &image,
                "truncated: shorter than its boot image header; fetch it again",
            ));
        };
        // The size in memory includes what the kernel zeroes by itself.
        piece.size = piece.size.max(size);
        if offset != 0 {
            piece.at = ram
                .checked_add(offset)
                .ok_or_else(|| bad(&image, format!("its text offset {offset:#x} is nonsense")))?;
        }
    }
    Ok(Program {
        entry: piece.at,
        pieces: vec![piece],
    })
}
