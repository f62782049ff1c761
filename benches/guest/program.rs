//! Loads a static Linux program into a space and answers the few system calls
//! that the programs of `benches/programs` make. What runs any program is
//! `ruse-linux`; this is for measuring the hart alone.

use std::path::Path;
use std::sync::Arc;

use ruse_bus::{Prot, Space, VirtualClock, Width};
use ruse_hart::{Cause, Exit, Hart};

const PAGE: u64 = 4096;
const STACK_TOP: u64 = 0x3f_ff00_0000;
const STACK_SIZE: u64 = 8 << 20;
const ENOSYS: u64 = -38i64 as u64;

/// A program that has started, or is about to.
pub struct Program {
    pub space: Arc<Space>,
    pub hart: Hart,
    /// What it wrote to its standard output and standard error.
    pub output: Vec<u8>,
    heap: (u64, u64),
}

fn field<const N: usize>(file: &[u8], at: usize) -> Option<[u8; N]> {
    file.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u16_at(file: &[u8], at: usize) -> Option<u64> {
    field(file, at).map(u16::from_le_bytes).map(u64::from)
}

fn u32_at(file: &[u8], at: usize) -> Option<u64> {
    field(file, at).map(u32::from_le_bytes).map(u64::from)
}

fn u64_at(file: &[u8], at: usize) -> Option<u64> {
    field(file, at).map(u64::from_le_bytes)
}

impl Program {
    /// Loads the ELF file at `path`, to run with these arguments.
    pub fn load(path: &Path, arguments: &[&str]) -> std::io::Result<Self> {
        let file = std::fs::read(path)?;
        Self::from_elf(&file, arguments).ok_or_else(|| std::io::ErrorKind::InvalidData.into())
    }

    fn from_elf(file: &[u8], arguments: &[&str]) -> Option<Self> {
        let space = Arc::new(Space::new().ok()?);
        let (entry, headers) = (u64_at(file, 24)?, u64_at(file, 32)?);
        let (size, count) = (u16_at(file, 54)?, u16_at(file, 56)?);
        let (mut end, mut table) = (0, 0);
        for n in 0..count {
            let at = (headers + n * size) as usize;
            if u32_at(file, at)? != 1 {
                continue;
            }
            let flags = u32_at(file, at + 4)?;
            let (offset, va) = (u64_at(file, at + 8)?, u64_at(file, at + 16)?);
            let (stored, length) = (u64_at(file, at + 32)?, u64_at(file, at + 40)?);
            let bytes = file.get(offset as usize..(offset + stored) as usize)?;
            space.write(va, bytes).ok()?;
            let mut prot = Prot::READ;
            for (bit, allowed) in [(1, Prot::EXEC), (2, Prot::WRITE)] {
                if flags & bit != 0 {
                    prot = prot | allowed;
                }
            }
            space.protect(va, length, prot);
            end = end.max((va + length).next_multiple_of(PAGE));
            if offset <= headers && headers < offset + stored {
                table = va + headers - offset;
            }
        }
        let stack = STACK_TOP - STACK_SIZE;
        space.protect(stack, STACK_SIZE, Prot::READ | Prot::WRITE);
        let mut hart = Hart::user(space.clone(), Arc::new(VirtualClock::new(1)));
        // Strings and random bytes, then argc, argv, envp and the auxiliary
        // vector, lowest first.
        let mut top = STACK_TOP - 64;
        let random = top;
        let mut argv = Vec::new();
        for argument in arguments {
            top -= argument.len() as u64 + 1;
            space.write(top, argument.as_bytes()).ok()?;
            argv.push(top);
        }
        let mut words = vec![arguments.len() as u64];
        words.extend(argv);
        words.extend([0, 0]);
        // AT_PHDR, AT_PHENT, AT_PHNUM, AT_PAGESZ, AT_ENTRY, AT_RANDOM, AT_NULL.
        words.extend([3, table, 4, size, 5, count, 6, PAGE, 9, entry, 25, random]);
        words.extend([0, 0]);
        let sp = (top - 8 * words.len() as u64) & !15;
        for (n, word) in words.into_iter().enumerate() {
            space.store(sp + 8 * n as u64, Width::B8, word).ok()?;
        }
        hart.set_x(2, sp);
        hart.set_pc(entry);
        Some(Self {
            space,
            hart,
            output: Vec::new(),
            heap: (end, end),
        })
    }

    /// Runs to the end; the exit status, or what the program did wrong.
    pub fn run(&mut self) -> Result<i32, String> {
        loop {
            if let Some(status) = self.turn(1 << 40)? {
                return Ok(status);
            }
        }
    }

    /// Runs about this many instructions.
    #[allow(dead_code, reason = "not all of its users need it")]
    pub fn skip(&mut self, instructions: u64) -> Result<(), String> {
        let end = self.hart.retired() + instructions;
        while self.hart.retired() < end && self.turn(end - self.hart.retired())?.is_none() {}
        Ok(())
    }

    fn turn(&mut self, instructions: u64) -> Result<Option<i32>, String> {
        match self.hart.run(instructions) {
            Exit::Quantum => Ok(None),
            Exit::Trap(trap) if trap.cause == Cause::EcallFromUser => self.answer(),
            other => Err(format!("{other:?} at {:#x}", self.hart.pc())),
        }
    }

    /// Answers the system call at hand; the exit status if it was the last.
    pub fn answer(&mut self) -> Result<Option<i32>, String> {
        let status = self.call()?;
        if status.is_none() {
            let pc = self.hart.pc();
            self.hart.set_pc(pc + 4);
        }
        Ok(status)
    }

    fn call(&mut self) -> Result<Option<i32>, String> {
        let [a0, a1, a2] = [10, 11, 12].map(|n| self.hart.x(n));
        let result = match self.hart.x(17) {
            // write
            64 => {
                let mut bytes = vec![0; a2 as usize];
                self.space
                    .read(a1, &mut bytes)
                    .map_err(|_| "write: bad address")?;
                self.output.extend(bytes);
                a2
            }
            // exit, exit_group
            93 | 94 => return Ok(Some(a0 as i32)),
            // set_tid_address, set_robust_list, mprotect, prlimit64, munmap
            96 => 1,
            99 | 226 | 261 | 215 => 0,
            // brk
            214 => {
                let (start, end) = self.heap;
                if a0 >= start {
                    let rights = Prot::READ | Prot::WRITE;
                    self.space.protect(end, a0.saturating_sub(end), rights);
                    self.heap.1 = end.max(a0.next_multiple_of(PAGE));
                    a0
                } else {
                    end
                }
            }
            // mmap of anonymous memory
            222 if a0 == 0 => {
                let at = self.heap.1.max(1 << 36);
                self.heap.1 = at + a1.next_multiple_of(PAGE);
                self.space.protect(at, a1, Prot::READ | Prot::WRITE);
                at
            }
            // getrandom
            278 => {
                self.space
                    .fill(a0, a1, 7)
                    .map_err(|_| "getrandom: bad address")?;
                a1
            }
            _ => ENOSYS,
        };
        self.hart.set_x(10, result);
        Ok(None)
    }
}
