//! An address space as /proc/PID shows it (proc_pid_maps(5)).

use std::io::Write;

use ruse_bus::{PAGE_SIZE, Prot};

use super::Mm;
use super::area::{Area, Backing};

/// Numbers for /proc/PID/statm and status, in bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Usage {
    pub size: u64,
    pub resident: u64,
    /// Resident pages of files and shared memory.
    pub shared: u64,
    /// Areas that may be executed.
    pub text: u64,
    /// Private areas that may be written to.
    pub data: u64,
    pub stack: u64,
}

impl Mm {
    /// The text of /proc/PID/maps.
    pub(crate) fn maps(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for area in self.areas.iter() {
            line(&mut out, area);
        }
        out
    }

    /// The text of /proc/PID/smaps, as far as it makes sense here.
    pub(crate) fn smaps(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for area in self.areas.iter() {
            line(&mut out, area);
            let resident = (self.present.count(area.pages()) * PAGE_SIZE) >> 10;
            let (shared, private) = match area.is_shared() {
                true => (resident, 0),
                false => (0, resident),
            };
            // Writing to a vector does not fail.
            let _ = write!(
                out,
                "Size:           {:8} kB\n\
                 KernelPageSize: {:8} kB\n\
                 MMUPageSize:    {:8} kB\n\
                 Rss:            {resident:8} kB\n\
                 Pss:            {resident:8} kB\n\
                 Shared_Clean:   {:8} kB\n\
                 Shared_Dirty:   {shared:8} kB\n\
                 Private_Clean:  {:8} kB\n\
                 Private_Dirty:  {private:8} kB\n\
                 Swap:           {:8} kB\n",
                area.len() >> 10,
                4,
                4,
                0,
                0,
                0
            );
        }
        out
    }

    /// What it uses.
    pub(crate) fn usage(&self) -> Usage {
        let mut usage = Usage {
            size: self.size(),
            resident: self.resident(),
            ..Usage::default()
        };
        for area in self.areas.iter() {
            if !matches!(area.backing, Backing::Anonymous) {
                usage.shared += self.present.count(area.pages()) * PAGE_SIZE;
            }
            if area.kind.grows_down {
                usage.stack += area.len();
            } else if area.prot.contains(Prot::EXEC) {
                usage.text += area.len();
            } else if area.prot.contains(Prot::WRITE) && !area.is_shared() {
                usage.data += area.len();
            }
        }
        usage
    }
}

fn line(out: &mut Vec<u8>, area: &Area) {
    let flag = |bit, letter| if area.prot.contains(bit) { letter } else { '-' };
    let (description, offset, name) = match &area.backing {
        Backing::Anonymous => (None, 0, area.kind.name.as_bytes()),
        Backing::File(file, offset) => (Some(file), *offset, file.path.as_slice()),
        Backing::Shared(object, offset) => (
            object.file.as_ref().map(|side| &side.reader),
            *offset,
            object.name.as_slice(),
        ),
    };
    let stat = description.and_then(|d| d.file.stat().ok());
    let (dev, ino) = stat.map_or((0, 0), |stat| (stat.dev, stat.ino));
    let start = out.len();
    let _ = write!(
        out,
        "{:08x}-{:08x} {}{}{}{} {offset:08x} {:02x}:{:02x} {ino} ",
        area.start,
        area.end,
        flag(Prot::READ, 'r'),
        flag(Prot::WRITE, 'w'),
        flag(Prot::EXEC, 'x'),
        if area.is_shared() { 's' } else { 'p' },
        dev >> 8 & 0xfff,
        dev & 0xff,
    );
    if !name.is_empty() {
        let column = (start + 73).max(out.len());
        out.resize(column, b' ');
        for &byte in name {
            // As the kernel does: a newline must not make a line.
            match byte {
                b'\n' => out.extend_from_slice(b"\\012"),
                _ => out.push(byte),
            }
        }
    }
    out.push(b'\n');
}
