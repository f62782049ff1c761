//! ELF files (System V ABI, chapters 4 and 5; RISC-V ELF psABI).

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::Elf;
use goblin::elf::header::{self, Header};
use goblin::elf::program_header::{PT_LOAD, ProgramHeader};
use ruse_hart::Xlen;

use super::{Piece, Program};
use crate::error::LoadError;
use crate::image::Image;

/// Whether the bytes claim to be an ELF file.
pub(super) fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(header::ELFMAG)
}

fn bad(image: &Image, reason: impl Into<String>) -> LoadError {
    LoadError::Elf {
        name: image.name().into(),
        reason: reason.into(),
    }
}

/// The header, if it is one of a RISC-V program.
fn header_of(image: &Image) -> Result<(Header, Xlen), LoadError> {
    let header = Elf::parse_header(image.bytes())
        .map_err(|error| bad(image, format!("truncated or bad ELF header: {error}")))?;
    let xlen = match header.e_ident[header::EI_CLASS] {
        header::ELFCLASS32 => Xlen::Rv32,
        header::ELFCLASS64 => Xlen::Rv64,
        class => {
            return Err(bad(
                image,
                format!("ELF class {class} is neither 32 nor 64 bits"),
            ));
        }
    };
    if header.e_ident[header::EI_DATA] != header::ELFDATA2LSB {
        return Err(bad(
            image,
            "a big-endian program; this machine is little-endian",
        ));
    }
    if header.e_machine != header::EM_RISCV {
        let machine = header::machine_to_str(header.e_machine);
        return Err(bad(
            image,
            format!(
                "a program for another machine ({}, number {}); this one needs RISC-V (number {})",
                machine.trim_start_matches("EM_"),
                header.e_machine,
                header::EM_RISCV
            ),
        ));
    }
    if !matches!(header.e_type, header::ET_EXEC | header::ET_DYN) {
        return Err(bad(image, "not an executable; link it first"));
    }
    Ok((header, xlen))
}

/// The register width that the file is for.
pub(super) fn xlen(image: &Image) -> Result<Xlen, LoadError> {
    header_of(image).map(|(_, xlen)| xlen)
}

/// The segments by their physical addresses. A position-independent file
/// linked at address 0 goes to `base`.
pub(super) fn program(image: &Image, xlen: Xlen, base: u64) -> Result<Program, LoadError> {
    let (header, class) = header_of(image)?;
    if class != xlen {
        let (is, wants) = match class {
            Xlen::Rv32 => (32, 64),
            Xlen::Rv64 => (64, 32),
        };
        return Err(bad(
            image,
            format!("a {is}-bit program, but the harts have {wants} bits"),
        ));
    }
    let bytes = image.bytes();
    let container = match class {
        Xlen::Rv32 => Container::Little,
        Xlen::Rv64 => Container::Big,
    };
    let segments = usize::try_from(header.e_phoff)
        .map_err(|error| error.to_string())
        .and_then(|offset| {
            let context = Ctx::new(container, Endian::Little);
            ProgramHeader::parse(bytes, offset, header.e_phnum.into(), context)
                .map_err(|error| error.to_string())
        })
        .map_err(|error| {
            bad(
                image,
                format!(
                    "truncated: no program headers at file offset {:#x}: {error}",
                    header.e_phoff
                ),
            )
        })?;
    let loads = || {
        segments
            .iter()
            .enumerate()
            .filter(|(_, segment)| segment.p_type == PT_LOAD && segment.p_memsz > 0)
    };
    let lowest = loads().map(|(_, segment)| segment.p_paddr).min();
    let bias = match lowest {
        None => return Err(bad(image, "no segment to load; is it a debug file?")),
        Some(lowest) if header.e_type == header::ET_DYN && lowest < 0x1000 => base,
        Some(_) => 0,
    };
    let mut pieces = Vec::new();
    let mut entry = None;
    for (index, segment) in loads() {
        let len = bytes.len() as u64;
        let (offset, size) = (segment.p_offset, segment.p_filesz);
        let end = offset.checked_add(size).filter(|end| *end <= len);
        let Some(end) = end else {
            return Err(LoadError::Truncated {
                name: image.name().into(),
                index,
                offset,
                size,
                len,
            });
        };
        if size > segment.p_memsz {
            return Err(bad(
                image,
                format!(
                    "segment {index} has {size:#x} bytes in the file and only {:#x} in memory",
                    segment.p_memsz
                ),
            ));
        }
        let at = segment.p_paddr.checked_add(bias).ok_or_else(|| {
            bad(
                image,
                format!("segment {index} has the address {:#x}", segment.p_paddr),
            )
        })?;
        // The entry point is a virtual address; we start without translation.
        for start in [segment.p_paddr, segment.p_vaddr] {
            let inside = header.e_entry.wrapping_sub(start);
            if inside < segment.p_memsz && entry.is_none() {
                entry = Some(at.wrapping_add(inside));
            }
        }
        pieces.push(Piece {
            what: format!("segment {index}"),
            at,
            image: image.clone(),
            from: offset as usize..end as usize,
            size: segment.p_memsz,
            spilled: None,
        });
    }
    let entry = entry.ok_or_else(|| {
        bad(
            image,
            format!("the entry point {:#x} is in no segment", header.e_entry),
        )
    })?;
    Ok(Program { pieces, entry })
}
