//! From images to guest memory: what goes where, decided once and checked
//! before the first instruction, done at every boot.

mod claims;
mod elf;
mod kernel;

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::ops::Range;
use std::sync::Arc;

use ruse_bus::{AccessFault, Ram};
use ruse_hart::Xlen;

pub(crate) use claims::Claims;

use crate::config::Boot;
use crate::error::LoadError;
use crate::image::Image;
use crate::layout;

/// Room after the device tree for what firmware adds to it in place.
const DTB_SLACK: u64 = 64 << 10;
/// Alignment of the device tree where RAM is large: kernels map whole huge
/// pages to reach it.
const DTB_ALIGN: u64 = 2 << 20;
/// What "large" means.
const LARGE_RAM: u64 = 16 << 20;
/// Kernels reach the device tree and the initial RAM disk at first through
/// what 32-bit pointers and early page tables cover.
const HIGH_LIMIT: u64 = 3 << 30;

/// Images of more bytes than that don't stay in memory.
const SPILL: usize = 1 << 20;
/// Bytes read back at a time.
const SPILL_BUFFER: usize = 1 << 20;

/// A part of an image, and where in guest memory it belongs.
#[derive(Clone)]
pub(crate) struct Piece {
    /// What to call it: `segment 1`, `kernel`.
    what: String,
    at: u64,
    image: Image,
    from: Range<usize>,
    /// Bytes in memory; those beyond the image's are zeroes.
    size: u64,
    /// The bytes, once they are not in `image` any more: see [`Plan::spill`].
    spilled: Option<Arc<File>>,
}

impl Piece {
    fn whole(what: &str, at: u64, image: &Image) -> Self {
        let len = image.bytes().len();
        Self {
            what: what.into(),
            at,
            image: image.clone(),
            from: 0..len,
            size: len as u64,
            spilled: None,
        }
    }

    /// Copies the bytes to guest memory.
    fn copy_to(&self, ram: &Ram) -> Result<(), LoadError> {
        let no_room = |_: AccessFault| LoadError::NoRoom {
            name: self.image.name().into(),
            size: self.size,
        };
        let Some(file) = &self.spilled else {
            let bytes = &self.image.bytes()[self.from.clone()];
            return ram.write(self.at, bytes).map_err(no_room);
        };
        let failed = |source| LoadError::Read {
            path: self.image.name().into(),
            source,
        };
        let mut file = file.as_ref();
        file.rewind().map_err(failed)?;
        let mut buffer = vec![0; SPILL_BUFFER.min(self.from.len())];
        let mut done = 0;
        while done < self.from.len() {
            let part = SPILL_BUFFER.min(self.from.len() - done);
            file.read_exact(&mut buffer[..part]).map_err(failed)?;
            ram.write(self.at + done as u64, &buffer[..part])
                .map_err(no_room)?;
            done += part;
        }
        Ok(())
    }

    /// Moves the bytes to a temporary file without a name.
    fn spill(&mut self) -> io::Result<()> {
        let mut file = tempfile::tempfile()?;
        file.write_all(&self.image.bytes()[self.from.clone()])?;
        self.spilled = Some(Arc::new(file));
        self.image = Image::new(self.image.name(), []);
        Ok(())
    }

    fn claim(&self, claims: &mut Claims, hint: &'static str) -> Result<(), LoadError> {
        claims.claim(self.image.name(), &self.what, self.at, self.size, hint)
    }
}

/// Something that starts at an address.
struct Program {
    pieces: Vec<Piece>,
    entry: u64,
}

/// What a boot puts into memory, and what the harts are told.
pub(crate) struct Plan {
    pieces: Vec<Piece>,
    /// Where the first hart starts.
    pub(crate) entry: u64,
    /// Where firmware finds what it is to start.
    pub(crate) next: u64,
    /// Where the device tree goes.
    pub(crate) dtb: u64,
    /// Where the initial RAM disk is.
    pub(crate) initrd: Option<Range<u64>>,
}

impl Plan {
    /// Finds a place for everything. `dtb_size` is the size of the device
    /// tree, whose contents depend on the result.
    pub(crate) fn new(
        boot: &Boot,
        xlen: Xlen,
        ram: &Ram,
        dtb_size: u64,
    ) -> Result<Self, LoadError> {
        let mut claims = Claims::new(ram.base(), ram.size());
        let next_stage = ram.base() + layout::next_stage_offset(xlen == Xlen::Rv32);
        let limit = ram.size();
        let mut pieces = Vec::new();
        let entry;
        let mut next = next_stage;
        let mut initrd = None;
        match boot {
            Boot::Bare { image } => {
                let program = first_stage(image, xlen, ram.base())?;
                entry = program.entry;
                pieces.extend(program.pieces);
            }
            Boot::Firmware {
                firmware,
                kernel,
                initrd: disk,
                ..
            } => {
                let program = first_stage(firmware, xlen, ram.base())?;
                entry = program.entry;
                pieces.extend(program.pieces);
                if let Some(kernel) = kernel {
                    let program = kernel::program(kernel, xlen, ram.base(), next_stage, limit)?;
                    next = program.entry;
                    pieces.extend(program.pieces);
                }
                initrd = disk.clone();
            }
            Boot::Sbi {
                kernel,
                initrd: disk,
                ..
            } => {
                let program = kernel::program(kernel, xlen, ram.base(), next_stage, limit)?;
                entry = program.entry;
                pieces.extend(program.pieces);
                initrd = disk.clone();
            }
        }
        for piece in &pieces {
            let hint = match boot {
                Boot::Bare { .. } => "link it for addresses in RAM, or give the guest more memory",
                _ => {
                    "give the guest more memory, or use the flat binary instead of the ELF file \
                     (Linux: arch/riscv/boot/Image)"
                }
            };
            piece.claim(&mut claims, hint)?;
        }
        let align = if ram.size() >= LARGE_RAM {
            DTB_ALIGN
        } else {
            ruse_bus::PAGE_SIZE
        };
        let limit = ram.base().saturating_add(HIGH_LIMIT);
        // Slack is for firmware only; a tiny machine may do without.
        let dtb = claims
            .claim_high("device tree", dtb_size + DTB_SLACK, align, limit)
            .or_else(|_| claims.claim_high("device tree", dtb_size, 8, limit))?;
        let initrd = match initrd {
            Some(image) => {
                let size = image.bytes().len() as u64;
                let at = claims.claim_high(image.name(), size, ruse_bus::PAGE_SIZE, limit)?;
                pieces.push(Piece::whole("initial RAM disk", at, &image));
                Some(at..at + size)
            }
            None => None,
        };
        Ok(Self {
            pieces,
            entry,
            next,
            dtb,
            initrd,
        })
    }

    /// After the first boot: large images wait for a reboot in temporary
    /// files, so that they don't take memory twice while the guest runs, and a
    /// reboot still loads what the first boot loaded. Where that fails they
    /// stay in memory.
    pub(crate) fn spill(&mut self) {
        for piece in &mut self.pieces {
            if piece.image.bytes().len() > SPILL
                && let Err(error) = piece.spill()
            {
                log::info!("{}: stays in memory: {error}", piece.image.name());
            }
        }
    }

    /// Fills guest memory.
    pub(crate) fn load(&self, ram: &Ram, dtb: &[u8]) -> Result<(), LoadError> {
        for piece in &self.pieces {
            let len = piece.from.len() as u64;
            log::debug!(
                "{}: {} at {:#x}, {:#x} bytes",
                piece.image.name(),
                piece.what,
                piece.at,
                piece.size
            );
            piece.copy_to(ram)?;
            ram.fill(piece.at + len, piece.size - len, 0)
                .map_err(|_| LoadError::NoRoom {
                    name: piece.image.name().into(),
                    size: piece.size,
                })?;
        }
        ram.write(self.dtb, dtb).map_err(|_| LoadError::NoRoom {
            name: "device tree".into(),
            size: dtb.len() as u64,
        })
    }
}

/// An ELF file, or raw bytes for the start of RAM.
fn first_stage(image: &Image, xlen: Xlen, ram: u64) -> Result<Program, LoadError> {
    if elf::is_elf(image.bytes()) {
        return elf::program(image, xlen, ram);
    }
    kernel::reject_foreign(image)?;
    Ok(Program {
        pieces: vec![Piece::whole("image", ram, image)],
        entry: ram,
    })
}

/// The register width that a boot image asks for, if it says.
pub(crate) fn xlen_of(boot: &Boot) -> Result<Option<Xlen>, LoadError> {
    let images = match boot {
        Boot::Bare { image } => [Some(image), None],
        Boot::Firmware {
            firmware, kernel, ..
        } => [Some(firmware), kernel.as_ref()],
        Boot::Sbi { kernel, .. } => [Some(kernel), None],
    };
    for image in images.into_iter().flatten() {
        if elf::is_elf(image.bytes()) {
            return elf::xlen(image).map(Some);
        }
    }
    Ok(None)
}
