//! ELF files (System V ABI; "RISC-V ELF psABI"): headers, and segments into
//! memory. As `fs/binfmt_elf.c` of Linux does, section headers are not looked
//! at, and file contents are read when they are touched.

use std::ops::Range;
use std::rc::Rc;

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::header::{EI_CLASS, ELFCLASS64, ELFMAG, EM_RISCV, ET_DYN, ET_EXEC, Header};
use goblin::elf::program_header::{
    PF_R, PF_W, PF_X, PT_GNU_STACK, PT_INTERP, PT_LOAD, PT_PHDR, ProgramHeader,
};
use ruse_bus::{PAGE_SIZE, Prot};
use thiserror::Error;

use crate::errno::Errno;
use crate::fs::Description;
use crate::mm::{Backing, Kind, MMAP_BOTTOM, MMAP_TOP, Mm, Placement, read_fully};

/// Size of an ELF header, and of a program header.
const HEADER: usize = 64;
const PHENT: usize = 56;
/// Most bytes of program headers, as Linux has it.
const PHDRS_MAX: usize = 65536;
/// Longest name of an interpreter, its NUL included.
const INTERP_MAX: u64 = 4096;
/// `EF_RISCV_RVE`: only 16 registers.
const RVE: u32 = 8;
const CTX: Ctx = Ctx {
    container: Container::Big,
    le: Endian::Little,
};

/// Why a file cannot be executed.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum ElfError {
    /// It is no ELF file at all.
    #[error("not an ELF file, nor a script that begins with #!")]
    NotElf,
    /// An ELF file for another machine, or not a program.
    #[error("{0}")]
    Foreign(String),
    /// A header is wrong.
    #[error("malformed ELF file: at offset {offset:#x}: {what}")]
    Malformed {
        /// Where in the file.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The file cannot be read.
    #[error("cannot read it: {0:?}")]
    Read(Errno),
    /// The address space cannot take it.
    #[error("cannot map it: {0:?}")]
    Map(Errno),
}

impl ElfError {
    /// As execve(2) reports it.
    pub(crate) fn errno(&self) -> Errno {
        match self {
            Self::NotElf | Self::Foreign(_) | Self::Malformed { .. } => Errno::ENOEXEC,
            Self::Read(errno) | Self::Map(errno) => *errno,
        }
    }

    fn at(offset: u64, what: impl Into<String>) -> Self {
        Self::Malformed {
            offset,
            what: what.into(),
        }
    }
}

/// The headers of an ELF file.
#[derive(Debug)]
pub(crate) struct Elf {
    header: Header,
    segments: Vec<ProgramHeader>,
    /// The path of the dynamic linker.
    pub interpreter: Option<Vec<u8>>,
}

/// A loaded ELF file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Loaded {
    /// What was added to the addresses in the file.
    pub bias: u64,
    pub entry: u64,
    /// Where its program headers are in memory; 0 if nowhere.
    pub phdrs: u64,
    pub phnum: u64,
    /// The end of its last segment.
    pub end: u64,
}

impl Elf {
    /// Reads the headers of a file that begins with `head`.
    pub(crate) fn read(file: &Description, head: &[u8]) -> Result<Self, ElfError> {
        if head.get(..4) != Some(ELFMAG) {
            return Err(ElfError::NotElf);
        }
        let bytes: &[u8; HEADER] = head
            .first_chunk()
            .ok_or_else(|| ElfError::at(head.len() as u64, "the header is cut short"))?;
        if bytes[EI_CLASS] != ELFCLASS64 {
            return Err(ElfError::Foreign("not a 64-bit program".into()));
        }
        if bytes[5] != 1 {
            return Err(ElfError::Foreign("not a little-endian program".into()));
        }
        let header =
            goblin::elf::Elf::parse_header(bytes).map_err(|e| ElfError::at(0, e.to_string()))?;
        if header.e_machine != EM_RISCV {
            let name = goblin::elf::header::machine_to_str(header.e_machine);
            return Err(ElfError::Foreign(format!(
                "a program for another machine ({name}), not for RISC-V"
            )));
        }
        if header.e_type != ET_EXEC && header.e_type != ET_DYN {
            let what = goblin::elf::header::et_to_str(header.e_type);
            return Err(ElfError::Foreign(format!("not a program (type {what})")));
        }
        if header.e_flags & RVE != 0 {
            return Err(ElfError::Foreign(
                "a program for RV64E, which Linux does not run".into(),
            ));
        }
        if usize::from(header.e_phentsize) != PHENT {
            let size = header.e_phentsize;
            return Err(ElfError::at(
                0x36,
                format!("program headers of {size} bytes"),
            ));
        }
        let count = usize::from(header.e_phnum);
        if count == 0 || count * PHENT > PHDRS_MAX {
            return Err(ElfError::at(0x38, format!("{count} program headers")));
        }
        let mut table = vec![0; count * PHENT];
        let got = if header.e_phoff > i64::MAX as u64 {
            0
        } else {
            read_fully(file, header.e_phoff, &mut table).map_err(ElfError::Read)?
        };
        if got < table.len() {
            return Err(ElfError::at(
                header.e_phoff,
                "the program headers are cut short",
            ));
        }
        let segments = ProgramHeader::parse(&table, 0, count, CTX)
            .map_err(|e| ElfError::at(header.e_phoff, e.to_string()))?;
        let mut elf = Self {
            header,
            segments,
            interpreter: None,
        };
        elf.check()?;
        if let Some(segment) = elf.find(PT_INTERP) {
            let (offset, len) = (segment.p_offset, segment.p_filesz);
            if !(2..=INTERP_MAX).contains(&len) {
                let what = format!("an interpreter's name of {len} bytes");
                return Err(ElfError::at(offset, what));
            }
            let mut name = vec![0; len as usize];
            let got = read_fully(file, offset, &mut name).map_err(ElfError::Read)?;
            if got < name.len() || name.pop() != Some(0) {
                return Err(ElfError::at(offset, "the interpreter's name has no end"));
            }
            if let Some(end) = name.iter().position(|&byte| byte == 0) {
                name.truncate(end);
            }
            elf.interpreter = Some(name);
        }
        Ok(elf)
    }

    fn find(&self, kind: u32) -> Option<&ProgramHeader> {
        self.segments.iter().find(|segment| segment.p_type == kind)
    }

    /// The segments that have memory.
    fn loads(&self) -> impl Iterator<Item = &ProgramHeader> {
        self.segments
            .iter()
            .filter(|segment| segment.p_type == PT_LOAD && segment.p_memsz != 0)
    }

    /// Where in the file the header of a segment is.
    fn place(&self, segment: &ProgramHeader) -> u64 {
        let index = self.segments.iter().position(|s| std::ptr::eq(s, segment));
        self.header
            .e_phoff
            .wrapping_add((index.unwrap_or(0) * PHENT) as u64)
    }

    fn check(&self) -> Result<(), ElfError> {
        for segment in self.segments.iter().filter(|s| s.p_type == PT_LOAD) {
            let wrong = |what: &str| Err(ElfError::at(self.place(segment), what));
            if segment.p_filesz > segment.p_memsz {
                return wrong("a segment with more in the file than in memory");
            }
            if segment.p_memsz == 0 {
                continue;
            }
            if segment.p_vaddr % PAGE_SIZE != segment.p_offset % PAGE_SIZE {
                return wrong("a segment whose offset does not match its address");
            }
            let end = segment.p_vaddr.checked_add(segment.p_memsz);
            if end.is_none_or(|end| end > MMAP_TOP) {
                return wrong("a segment beyond the addresses of a program");
            }
            let file_end = segment.p_offset.checked_add(segment.p_filesz);
            if file_end.is_none_or(|end| end > i64::MAX as u64) {
                return wrong("a segment beyond the end of any file");
            }
        }
        if self.loads().next().is_none() {
            return Err(ElfError::at(self.header.e_phoff, "nothing to load"));
        }
        Ok(())
    }

    /// Whether it can be loaded anywhere.
    pub(crate) fn is_relocatable(&self) -> bool {
        self.header.e_type == ET_DYN
    }

    /// Whether its stack is to be executable.
    pub(crate) fn executable_stack(&self) -> bool {
        self.find(PT_GNU_STACK)
            .is_some_and(|segment| segment.p_flags & PF_X != 0)
    }

    /// The pages from its first segment to its last.
    fn span(&self) -> Range<u64> {
        let start = self.loads().map(|s| s.p_vaddr).min().unwrap_or(0);
        let end = self.loads().map(|s| s.p_vaddr + s.p_memsz).max();
        start & !(PAGE_SIZE - 1)..end.unwrap_or(0).next_multiple_of(PAGE_SIZE)
    }

    /// The largest alignment that a segment wants, within reason.
    fn alignment(&self) -> u64 {
        self.loads()
            .map(|segment| segment.p_align)
            .filter(|align| align.is_power_of_two() && *align <= 1 << 30)
            .max()
            .unwrap_or(0)
            .max(PAGE_SIZE)
    }

    /// Maps its segments. One that can be anywhere goes to `base`, or to where
    /// mmap(2) would put it.
    pub(crate) fn load(
        &self,
        mm: &mut Mm,
        file: &Rc<Description>,
        base: Option<u64>,
    ) -> Result<Loaded, ElfError> {
        let span = self.span();
        let bias = if self.is_relocatable() {
            let align = self.alignment();
            let start = match base {
                Some(base) => base,
                None => mm
                    .find_gap((span.end - span.start).saturating_add(align))
                    .map_err(ElfError::Map)?,
            };
            let first = span.start % align;
            start
                .wrapping_sub(first)
                .checked_next_multiple_of(align)
                .unwrap_or(start)
                .wrapping_add(first)
                .wrapping_sub(span.start)
        } else {
            0
        };
        let end = span.end.wrapping_add(bias);
        if span.start.wrapping_add(bias) < MMAP_BOTTOM || end > MMAP_TOP {
            return Err(ElfError::at(
                self.header.e_phoff,
                format!(
                    "segments from {:#x} to {:#x}: addresses that no program may have",
                    span.start, span.end
                ),
            ));
        }
        for segment in self.loads() {
            self.map(mm, file, segment, bias)?;
        }
        Ok(Loaded {
            bias,
            entry: self.header.e_entry.wrapping_add(bias),
            phdrs: self.phdrs().map_or(0, |va| va.wrapping_add(bias)),
            phnum: self.segments.len() as u64,
            end,
        })
    }

    /// The address of the program headers.
    fn phdrs(&self) -> Option<u64> {
        if let Some(segment) = self.find(PT_PHDR) {
            return Some(segment.p_vaddr);
        }
        let at = self.header.e_phoff;
        self.loads()
            .find(|s| (s.p_offset..s.p_offset + s.p_filesz).contains(&at))
            .map(|s| s.p_vaddr.wrapping_add(at - s.p_offset))
    }

    fn map(
        &self,
        mm: &mut Mm,
        file: &Rc<Description>,
        segment: &ProgramHeader,
        bias: u64,
    ) -> Result<(), ElfError> {
        let mut prot = Prot::NONE;
        for (flag, bit) in [(PF_R, Prot::READ), (PF_W, Prot::WRITE), (PF_X, Prot::EXEC)] {
            if segment.p_flags & flag != 0 {
                prot = prot | bit;
            }
        }
        let kind = Kind {
            may_write: true,
            ..Kind::default()
        };
        let va = segment.p_vaddr.wrapping_add(bias);
        let skip = va % PAGE_SIZE;
        let (file_end, end) = (va + segment.p_filesz, va + segment.p_memsz);
        let mut zero_from = va - skip;
        if segment.p_filesz != 0 {
            let backing = Backing::File(Rc::clone(file), segment.p_offset - skip);
            let len = skip + segment.p_filesz;
            mm.map(Placement::Fixed(va - skip), len, prot, kind, backing)
                .map_err(ElfError::Map)?;
            zero_from = file_end.next_multiple_of(PAGE_SIZE);
            let tail = zero_from.min(end.next_multiple_of(PAGE_SIZE)) - file_end;
            if segment.p_memsz > segment.p_filesz && prot.contains(Prot::WRITE) && tail != 0 {
                mm.poke(file_end, &vec![0; tail as usize]).map_err(|_| {
                    ElfError::at(segment.p_offset, "a segment beyond the end of the file")
                })?;
            }
        }
        if end > zero_from {
            let len = end - zero_from;
            mm.map(
                Placement::Fixed(zero_from),
                len,
                prot,
                kind,
                Backing::Anonymous,
            )
            .map_err(ElfError::Map)?;
        }
        Ok(())
    }
}
