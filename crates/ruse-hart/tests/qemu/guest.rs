//! The guest image around the random bodies: a driver in M-mode that starts
//! each body in its privilege mode and address space, logs its traps, and
//! keeps its final state in memory.

use ruse_isa::Opcode::*;
use ruse_isa::{Xlen, csr};

use crate::common::asm::Asm;
use crate::common::board::{FINISHER, RAM};
use crate::common::rng::Rng;
use crate::generate::{self, Body};

/// The most bodies of one image.
pub const MAX_BODIES: usize = 512;
/// RAM of the machine.
pub const RAM_SIZE: u64 = 32 << 20;

const CONTEXT: u64 = RAM + 0x2000;
const DESCRIPTORS: u64 = RAM + 0x3000;
const DESCRIPTOR: u64 = 64;
/// What the data window holds at the start of each body, and a page that can
/// only be read.
const TEMPLATE: u64 = RAM + 0x1_0000;
const READ_ONLY: u64 = TEMPLATE + 0x2000;
/// Two pages that bodies may write.
const DATA: u64 = RAM + 0x2_1000;
const CODE: u64 = RAM + 0x20_0000;
/// Code of one body, at most.
pub const CODE_SIZE: u64 = 0x4000;
const INITIAL: u64 = RAM + 0xb0_0000;
const INITIAL_SIZE: u64 = 0x400;
const TABLES: u64 = RAM + 0x100_0000;
const RESULTS: u64 = RAM + 0x140_0000;
/// A body's record: x at 0, f at 0x100, fcsr at 0x200, the number of traps at
/// 0x208, the last traps from 0x210, the data window from 0x1000.
pub const RESULT_SIZE: u64 = 0x3000;
const LOGGED: u64 = 64;
/// Nothing is there.
const HOLE: u64 = 0x9000_0000;
const MSTATUS_FS: u64 = 3 << 13;
const MSTATUS_MPRV: u64 = 1 << 17;

/// The mode a body runs in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    Machine,
    /// M-mode whose loads and stores go by the user's page tables (MPRV).
    Borrowed,
    Supervisor,
    User,
}

/// A scheme of address translation: `satp` mode, levels, bits a level, bytes
/// an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scheme(pub u64, u32, u32, u64);

pub const SCHEMES_64: [Scheme; 3] = [Scheme(8, 3, 9, 8), Scheme(9, 4, 9, 8), Scheme(10, 5, 9, 8)];
pub const SCHEMES_32: [Scheme; 1] = [Scheme(1, 2, 10, 4)];

/// Virtual addresses of a body's address space.
#[derive(Clone, Copy)]
struct Space {
    code: u64,
    /// Where code can be written.
    alias: u64,
    data: u64,
}

fn spaces(xlen: Xlen) -> [Space; 2] {
    let at = |base: u64, step: u64| Space {
        code: base,
        alias: base + step,
        data: base + 2 * step + 0x1000,
    };
    match xlen {
        Xlen::Rv32 => [at(0xc000_0000, 0x400_0000), at(0xe000_0000, 0x400_0000)],
        Xlen::Rv64 => [
            at(0x10_0000_0000, 0x4000_0000),
            at(0xffff_ffd0_0000_0000, 0x4000_0000),
        ],
    }
}

/// Where a body stands and what it may rely on.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    pub xlen: Xlen,
    pub mode: Mode,
    pub scheme: Scheme,
    pub index: usize,
    /// The address of the first instruction.
    pub entry: u64,
    /// `x27`: what to add to an address of code to write to it.
    pub alias: u64,
    /// `x29`: an address that faults; pages before it can be read.
    pub fault: u64,
    /// `x30`: the middle of the data window.
    pub data: u64,
}

impl Placement {
    pub fn new(xlen: Xlen, index: usize, rng: &mut Rng) -> Self {
        let mode = rng.pick(&[Mode::Machine, Mode::Borrowed, Mode::Supervisor, Mode::User]);
        let scheme = match xlen {
            Xlen::Rv32 => SCHEMES_32[0],
            Xlen::Rv64 => rng.pick(&SCHEMES_64),
        };
        let space = match mode {
            Mode::Borrowed => 0,
            _ => rng.below(2) as usize,
        };
        Self::of(xlen, index, mode, scheme, space)
    }

    /// A place for U-mode that a process could have.
    pub fn process(index: usize) -> Self {
        Self::of(Xlen::Rv64, index, Mode::User, SCHEMES_64[0], 0)
    }

    fn of(xlen: Xlen, index: usize, mode: Mode, scheme: Scheme, space: usize) -> Self {
        let at = spaces(xlen)[space];
        let offset = index as u64 * CODE_SIZE;
        let physical = matches!(mode, Mode::Machine | Mode::Borrowed);
        Self {
            xlen,
            mode,
            scheme,
            index,
            entry: offset + if physical { CODE } else { at.code },
            alias: if physical { 0 } else { at.alias - at.code },
            fault: if mode == Mode::Machine {
                HOLE
            } else {
                at.data + 0x3000
            },
            data: 0x1000 + if mode == Mode::Machine { DATA } else { at.data },
        }
    }
}

/// The permutation of a body's code pages under translation.
fn physical_page(page: u64) -> u64 {
    page ^ 1
}

struct Image {
    bytes: Vec<u8>,
    next_table: u64,
}

impl Image {
    fn put(&mut self, pa: u64, bytes: &[u8]) {
        let at = (pa - RAM) as usize;
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn put64(&mut self, pa: u64, value: u64) {
        self.put(pa, &value.to_le_bytes());
    }

    fn entry(&self, pa: u64, size: u64) -> u64 {
        let at = (pa - RAM) as usize;
        let mut bytes = [0; 8];
        bytes[..size as usize].copy_from_slice(&self.bytes[at..at + size as usize]);
        u64::from_le_bytes(bytes)
    }

    fn table(&mut self) -> u64 {
        self.next_table += 0x1000;
        assert!(self.next_table <= RESULTS, "room for page tables");
        self.next_table - 0x1000
    }

    fn map(&mut self, root: u64, scheme: Scheme, va: u64, pa: u64, flags: u64) {
        let Scheme(_, levels, bits, size) = scheme;
        let mut table = root;
        for level in (0..levels).rev() {
            let vpn = va >> (12 + level * bits) & ((1 << bits) - 1);
            let at = table + vpn * size;
            if level == 0 {
                let entry = (pa >> 12 << 10) | flags;
                self.put(at, &entry.to_le_bytes()[..size as usize]);
                return;
            }
            let found = self.entry(at, size);
            table = if found == 0 {
                let new = self.table();
                let entry = (new >> 12 << 10) | 1;
                self.put(at, &entry.to_le_bytes()[..size as usize]);
                new
            } else {
                found >> 10 << 12
            };
        }
    }

    /// A root that maps both spaces, for user or supervisor pages.
    fn root(&mut self, xlen: Xlen, scheme: Scheme, user: bool, bodies: usize) -> u64 {
        const READ: u64 = 0xc3;
        const WRITE: u64 = 4;
        const EXECUTE: u64 = 8;
        let u = if user { 0x10 } else { 0 };
        let root = self.table();
        for space in spaces(xlen) {
            for page in 0..bodies as u64 * (CODE_SIZE >> 12) {
                let pa = CODE + (physical_page(page) << 12);
                let va = page << 12;
                self.map(root, scheme, space.code + va, pa, READ | EXECUTE | u);
                self.map(root, scheme, space.alias + va, pa, READ | WRITE | u);
            }
            for (page, pa, flags) in [
                (0, DATA + 0x1000, READ | WRITE),
                (1, DATA, READ | WRITE),
                (2, READ_ONLY, READ),
            ] {
                let va = space.data + (page << 12);
                self.map(root, scheme, va, pa, flags | u);
            }
        }
        root
    }
}

/// The image of RAM, from its first byte.
pub fn image(xlen: Xlen, bodies: &[Body], seed: u64) -> Vec<u8> {
    assert!(bodies.len() <= MAX_BODIES, "too many bodies");
    let mut image = Image {
        bytes: vec![0; (RESULTS - RAM) as usize],
        next_table: TABLES,
    };
    image.put(RAM, &driver(xlen));
    let mut rng = Rng::new(seed ^ 0xda7a);
    for at in (0..0x3000).step_by(8) {
        image.put64(TEMPLATE + at, generate::interesting(&mut rng));
    }
    let mut roots = Vec::new();
    for scheme in match xlen {
        Xlen::Rv32 => &SCHEMES_32[..],
        Xlen::Rv64 => &SCHEMES_64[..],
    } {
        for user in [false, true] {
            let root = image.root(xlen, *scheme, user, bodies.len());
            roots.push((*scheme, user, root));
        }
    }
    for (index, body) in bodies.iter().enumerate() {
        let place = &body.place;
        for (page, code) in body.code().chunks(0x1000).enumerate() {
            let page = match place.mode {
                Mode::Machine | Mode::Borrowed => page as u64,
                _ => physical_page(page as u64),
            };
            let pa = CODE + index as u64 * CODE_SIZE + (page << 12);
            image.put(pa, code);
        }
        let initial = INITIAL + index as u64 * INITIAL_SIZE;
        for (n, value) in body.x.iter().chain(&body.f).enumerate() {
            image.put64(initial + 8 * n as u64, *value);
        }
        let user = matches!(place.mode, Mode::User | Mode::Borrowed);
        let mpp = match place.mode {
            Mode::Machine => 3 << 11,
            Mode::Borrowed => 3 << 11 | MSTATUS_MPRV,
            Mode::Supervisor => 1 << 11,
            Mode::User => 0,
        };
        let (.., root) = roots
            .iter()
            .find(|(scheme, u, _)| *scheme == place.scheme && *u == user)
            .expect("every root is there");
        let shift = if xlen == Xlen::Rv32 { 31 } else { 60 };
        let satp = match place.mode {
            Mode::Machine => 0,
            _ => place.scheme.0 << shift | root >> 12,
        };
        let result = RESULTS + index as u64 * RESULT_SIZE;
        let descriptor = DESCRIPTORS + index as u64 * DESCRIPTOR;
        for (n, value) in [place.entry, initial, mpp | MSTATUS_FS, satp, result]
            .into_iter()
            .enumerate()
        {
            image.put64(descriptor + 8 * n as u64, value);
        }
    }
    image.bytes
}

/// Where in RAM, from its start, the record of a body is.
pub fn result_offset(index: usize) -> usize {
    (RESULTS - RAM) as usize + index * RESULT_SIZE as usize
}

/// Where in RAM, from its start, the data window's first contents are, with
/// the page that can only be read.
pub fn template_offset() -> usize {
    (TEMPLATE - RAM) as usize
}

/// The code at the start of RAM.
fn driver(xlen: Xlen) -> Vec<u8> {
    let (load, store, word) = match xlen {
        Xlen::Rv32 => (Lw, Sw, 4),
        Xlen::Rv64 => (Ld, Sd, 8),
    };
    let mut a = Asm::new(xlen, RAM);
    let (handler, next, finish) = (a.label(), a.label(), a.label());
    let after_handler = a.label();
    a.jal(5, after_handler);
    a.bind(handler);
    trap_handler(&mut a, load, store, finish);

    a.bind(after_handler);
    // x5 is the handler's address.
    a.csrw(csr::MTVEC, 5);
    a.li(5, u64::MAX).csrw(csr::PMPADDR0, 5);
    a.li(5, 0x1f).csrw(csr::PMPCFG0, 5);
    a.csrw(csr::MEDELEG, 0).csrw(csr::MIDELEG, 0);
    a.csrw(csr::MIE, 0).csrw(csr::MCOUNTEREN, 0);
    a.li(5, DESCRIPTORS).li(6, CONTEXT).s(store, 5, 6, 40);

    a.bind(next);
    let (go, copy) = (a.label(), a.label());
    a.li(8, CONTEXT).i(load, 9, 8, 40).i(load, 10, 9, 0);
    a.b(Bne, 10, 0, go);
    a.li(5, 0x5555).li(6, FINISHER).s(Sw, 5, 6, 0);
    let stop = a.bind_new();
    a.jal(0, stop);
    a.bind(go);
    a.li(5, TEMPLATE).li(6, DATA).li(7, DATA + 0x2000);
    a.bind(copy);
    a.i(load, 11, 5, 0).s(store, 11, 6, 0);
    a.i(Addi, 5, 5, word).i(Addi, 6, 6, word);
    a.b(Bltu, 6, 7, copy);
    a.csrw(csr::MEPC, 10).csrw(csr::MSCRATCH, 8);
    a.i(load, 10, 9, 32).s(store, 10, 8, 24).s(store, 0, 8, 32);
    a.i(load, 10, 9, 24).csrw(csr::SATP, 10);
    a.r(SfenceVma, 0, 0, 0).op(FenceI);
    a.i(load, 10, 9, 16).csrw(csr::MSTATUS, 10);
    a.csrw(csr::FCSR, 0);
    a.i(load, 5, 9, 8);
    for n in 0..32 {
        a.i(Fld, n, 5, 0x100 + 8 * i32::from(n));
    }
    for n in (1..32).filter(|n| *n != 5).chain([5]) {
        a.i(load, n, 5, 8 * i32::from(n));
    }
    a.op(Mret);

    a.bind(finish);
    a.i(load, 5, 2, 24);
    for n in (1..32).filter(|n| ![2, 5, 6, 7].contains(n)) {
        a.s(store, n, 5, 8 * i32::from(n));
    }
    a.csrr(6, csr::MSCRATCH).s(store, 6, 5, 16);
    for n in 5..8 {
        a.i(load, 6, 2, 8 * (n - 5)).s(store, 6, 5, 8 * n);
    }
    a.li(6, MSTATUS_FS).csr(Csrrs, 0, csr::MSTATUS, 6);
    for n in 0..32 {
        a.s(Fsd, n, 5, 0x100 + 8 * i32::from(n));
    }
    a.csrr(6, csr::FCSR).s(store, 6, 5, 0x200);
    a.li(6, 0x1000)
        .r(Add, 6, 6, 5)
        .li(7, DATA)
        .li(8, DATA + 0x2000);
    let copy = a.bind_new();
    a.i(load, 9, 7, 0).s(store, 9, 6, 0);
    a.i(Addi, 7, 7, word).i(Addi, 6, 6, word);
    a.b(Bltu, 7, 8, copy);
    a.i(load, 9, 2, 40).i(Addi, 9, 9, DESCRIPTOR as i32);
    a.s(store, 9, 2, 40);
    a.jal(0, next);
    a.finish()
}

/// Logs the trap and goes on after the instruction, or at `x31` after a wild
/// jump; ECALL with `x31` zero ends the body.
fn trap_handler(
    a: &mut Asm,
    load: ruse_isa::Opcode,
    store: ruse_isa::Opcode,
    finish: crate::common::asm::Label,
) {
    let (go_on, leave, recover) = (a.label(), a.label(), a.label());
    a.csr(Csrrw, 2, csr::MSCRATCH, 2);
    a.s(store, 5, 2, 0).s(store, 6, 2, 8).s(store, 7, 2, 16);
    a.i(load, 5, 2, 24).i(load, 6, 2, 32);
    a.i(Addi, 7, 6, 1).s(store, 7, 2, 32).s(store, 7, 5, 0x208);
    a.i(Andi, 6, 6, LOGGED as i32 - 1);
    a.i(Slli, 7, 6, 4).i(Slli, 6, 6, 3).r(Add, 6, 6, 7);
    a.r(Add, 5, 5, 6);
    a.csrr(6, csr::MCAUSE).s(store, 6, 5, 0x210);
    a.csrr(7, csr::MTVAL);
    // The manual leaves open what a breakpoint writes to mtval.
    let other = a.label();
    a.i(Addi, 6, 6, -3).b(Bne, 6, 0, other).li(7, 0);
    a.bind(other);
    a.s(store, 7, 5, 0x218);
    a.csrr(6, csr::MEPC).s(store, 6, 5, 0x220);
    a.b(Bne, 31, 0, go_on);
    a.csrr(7, csr::MCAUSE)
        .i(Addi, 7, 7, -8)
        .i(Sltiu, 7, 7, 4)
        .b(Bne, 7, 0, finish);
    a.bind(go_on);
    a.i(load, 7, 2, 32).i(Slti, 7, 7, 2000).b(Beq, 7, 0, finish);
    a.csrr(7, csr::MCAUSE).b(Beq, 7, 0, recover);
    a.i(Addi, 7, 7, -1).b(Beq, 7, 0, recover);
    a.i(Addi, 7, 7, -11).b(Beq, 7, 0, recover);
    // The instruction's length, read as the body would read it.
    a.li(7, MSTATUS_MPRV).csr(Csrrs, 5, csr::MSTATUS, 7);
    a.i(Lhu, 7, 6, 0).csrw(csr::MSTATUS, 5);
    let short = a.label();
    a.i(Andi, 7, 7, 3)
        .i(Addi, 7, 7, -3)
        .i(Addi, 6, 6, 2)
        .b(Bne, 7, 0, short);
    a.i(Addi, 6, 6, 2);
    a.bind(short);
    a.csrw(csr::MEPC, 6);
    a.bind(leave);
    a.i(load, 5, 2, 0).i(load, 6, 2, 8).i(load, 7, 2, 16);
    a.csr(Csrrw, 2, csr::MSCRATCH, 2).op(Mret);
    a.bind(recover);
    a.csrw(csr::MEPC, 31).jal(0, leave);
}
