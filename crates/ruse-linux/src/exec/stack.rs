//! The first stack of a program: arguments, environment, and the auxiliary
//! vector (System V ABI, "Process Initialization"; `include/uapi/linux/auxvec.h`).

use ruse_bus::{PAGE_SIZE, Prot};

use super::elf::Loaded;
use crate::errno::Errno;
use crate::mm::{Backing, Kind, Mm, Placement, STACK_TOP};
use crate::process::Credentials;

/// Longest argument or environment string, its NUL included.
pub(crate) const STRING_MAX: u64 = 128 << 10;
/// Stack that is there at least, besides the strings.
const ROOM: u64 = 128 << 10;

const AT_NULL: u64 = 0;
const AT_PHDR: u64 = 3;
const AT_PHENT: u64 = 4;
const AT_PHNUM: u64 = 5;
const AT_PAGESZ: u64 = 6;
const AT_BASE: u64 = 7;
const AT_FLAGS: u64 = 8;
const AT_ENTRY: u64 = 9;
const AT_UID: u64 = 11;
const AT_EUID: u64 = 12;
const AT_GID: u64 = 13;
const AT_EGID: u64 = 14;
const AT_HWCAP: u64 = 16;
const AT_CLKTCK: u64 = 17;
const AT_SECURE: u64 = 23;
const AT_RANDOM: u64 = 25;
const AT_EXECFN: u64 = 31;

/// What goes onto the stack.
pub(crate) struct Start<'a> {
    pub args: &'a [Vec<u8>],
    pub env: &'a [Vec<u8>],
    /// The path that was executed.
    pub name: &'a [u8],
    pub program: Loaded,
    /// Where the dynamic linker is; 0 for none.
    pub interpreter: u64,
    pub credentials: &'a Credentials,
    pub random: [u8; 16],
    pub executable: bool,
}

/// The single-letter extensions that programs may use, a bit each.
fn hwcap() -> u64 {
    "imafdc".bytes().map(|letter| 1 << (letter - b'a')).sum()
}

/// Whether so many strings fit: a quarter of the stack, at most 6 MiB.
pub(crate) fn fits(args: &[Vec<u8>], env: &[Vec<u8>], stack_limit: u64) -> bool {
    let all = || args.iter().chain(env);
    let bytes: u64 = all().map(|text| text.len() as u64 + 1 + 8).sum();
    all().all(|text| (text.len() as u64) < STRING_MAX)
        && bytes <= (stack_limit / 4).clamp(128 << 10, 6 << 20)
}

/// Makes the stack. Returns the stack pointer and the auxiliary vector.
pub(crate) fn build(mm: &mut Mm, start: &Start) -> Result<(u64, Vec<u8>), Errno> {
    // The strings, from the top: a null word, the program's name, then the
    // environment and the arguments, each in order of addresses.
    let mut strings = Vec::new();
    let mut offsets = Vec::new();
    for text in start.args.iter().chain(start.env) {
        offsets.push(strings.len() as u64);
        strings.extend_from_slice(text);
        strings.push(0);
    }
    let name = strings.len() as u64;
    strings.extend_from_slice(start.name);
    strings.extend_from_slice(&[0; 9]);
    let at = STACK_TOP - strings.len() as u64;
    let random = (at - 16) & !15;

    let credentials = start.credentials;
    let auxv: Vec<u8> = [
        (AT_HWCAP, hwcap()),
        (AT_PAGESZ, PAGE_SIZE),
        (AT_CLKTCK, 100),
        (AT_PHDR, start.program.phdrs),
        (AT_PHENT, 56),
        (AT_PHNUM, start.program.phnum),
        (AT_BASE, start.interpreter),
        (AT_FLAGS, 0),
        (AT_ENTRY, start.program.entry),
        (AT_UID, credentials.ruid.into()),
        (AT_EUID, credentials.euid.into()),
        (AT_GID, credentials.rgid.into()),
        (AT_EGID, credentials.egid.into()),
        (AT_SECURE, 0),
        (AT_RANDOM, random),
        (AT_EXECFN, at + name),
        (AT_NULL, 0),
    ]
    .iter()
    .flat_map(|(kind, value)| [*kind, *value])
    .flat_map(u64::to_le_bytes)
    .collect();

    let mut words = vec![start.args.len() as u64];
    let (args, env) = offsets.split_at(start.args.len());
    words.extend(args.iter().map(|offset| at + offset));
    words.push(0);
    words.extend(env.iter().map(|offset| at + offset));
    words.push(0);
    let mut table: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    table.extend_from_slice(&auxv);
    let sp = (random - table.len() as u64) & !15;

    let bottom = (sp - ROOM) & !(PAGE_SIZE - 1);
    let mut prot = Prot::READ | Prot::WRITE;
    if start.executable {
        prot = prot | Prot::EXEC;
    }
    let kind = Kind {
        grows_down: true,
        may_write: true,
        name: "[stack]",
        ..Kind::default()
    };
    let placement = Placement::Free(bottom);
    mm.map(
        placement,
        STACK_TOP - bottom,
        prot,
        kind,
        Backing::Anonymous,
    )?;
    mm.poke(at, &strings)?;
    mm.poke(random, &start.random)?;
    mm.poke(sp, &table)?;
    Ok((sp, auxv))
}
