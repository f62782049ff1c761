//! Sv32, Sv39, Sv48 and Sv57; Svade, Svadu, Svnapot, Svpbmt.

use ruse_hart::{Access, Privilege};
use ruse_isa::Opcode::{FenceI, Lw, SfenceVma, Sw};
use ruse_isa::{Xlen, csr};

use crate::common::board::{Board, RAM};
use crate::{CODE, MPP_SHIFT, MPRV, board, get, load, trapped, with_svadu};

const V: u64 = 1;
const R: u64 = 2;
const W: u64 = 4;
const X: u64 = 8;
const U: u64 = 16;
const G: u64 = 32;
const A: u64 = 64;
const D: u64 = 128;
const ALL: u64 = V | R | W | X | A | D;
const SUM: u64 = 1 << 18;
const MXR: u64 = 1 << 19;
const NOP: u32 = 0x13;
/// One page of tables a level, the root first.
const TABLES: u64 = RAM + 0x10_0000;
const DATA: u64 = RAM + 0x20_0000;

const ACCESSES: [Access; 3] = [Access::Fetch, Access::Load, Access::Store];

fn page_fault(access: Access) -> u64 {
    [12, 13, 15][access as usize]
}

fn access_fault(access: Access) -> u64 {
    [1, 5, 7][access as usize]
}

#[derive(Clone, Copy, Debug)]
struct Scheme {
    xlen: Xlen,
    mode: u64,
    levels: u32,
    bits: u32,
}

const fn scheme(xlen: Xlen, mode: u64, levels: u32, bits: u32) -> Scheme {
    Scheme {
        xlen,
        mode,
        levels,
        bits,
    }
}

const SV32: Scheme = scheme(Xlen::Rv32, 1, 2, 10);
const SV39: Scheme = scheme(Xlen::Rv64, 8, 3, 9);
const SCHEMES: [Scheme; 4] = [
    SV32,
    SV39,
    scheme(Xlen::Rv64, 9, 4, 9),
    scheme(Xlen::Rv64, 10, 5, 9),
];

impl Scheme {
    fn shift(self) -> u32 {
        if self.xlen == Xlen::Rv32 { 31 } else { 60 }
    }

    fn satp(self, asid: u64) -> u64 {
        let asid_shift = if self.xlen == Xlen::Rv32 { 22 } else { 44 };
        self.mode << self.shift() | asid << asid_shift | TABLES >> 12
    }

    /// An entry's address, of those that lead to `va`.
    fn slot(self, va: u64, level: u32) -> u64 {
        let table = TABLES + (u64::from(self.levels - 1 - level) << 12);
        let size = if self.xlen == Xlen::Rv32 { 4 } else { 8 };
        let vpn = va >> (12 + level * self.bits) & ((1 << self.bits) - 1);
        table + vpn * size
    }

    fn set(self, board: &Board, va: u64, level: u32, entry: u64) {
        match self.xlen {
            Xlen::Rv32 => board.set_u32(self.slot(va, level), entry as u32),
            Xlen::Rv64 => board.set_u64(self.slot(va, level), entry),
        }
    }

    fn entry(self, board: &Board, va: u64, level: u32) -> u64 {
        match self.xlen {
            Xlen::Rv32 => board.u32(self.slot(va, level)).into(),
            Xlen::Rv64 => board.u64(self.slot(va, level)),
        }
    }

    /// The pointers to the table that holds the leaf, and the leaf.
    fn map(self, board: &Board, va: u64, level: u32, leaf: u64) {
        for l in level + 1..self.levels {
            let next = TABLES + (u64::from(self.levels - l) << 12);
            self.set(board, va, l, next >> 12 << 10 | V);
        }
        self.set(board, va, level, leaf);
    }

    fn start(self, svadu: bool) -> Board {
        let mut board = with_svadu(self.xlen, svadu);
        assert!(board.hart.set_csr(csr::SATP, self.satp(0)));
        assert_eq!(get(&mut board.hart, csr::SATP) & 0x3f_ffff, TABLES >> 12);
        load(&mut board, |a| {
            a.i(Lw, 6, 5, 0).s(Sw, 6, 5, 0);
        });
        board
    }
}

/// Executes one access in `mode`: the trap's cause and value, if one came.
fn access(board: &mut Board, kind: Access, mode: Privilege, va: u64) -> Option<(u64, u64)> {
    let hart = &mut board.hart;
    hart.set_privilege(Privilege::Machine);
    let status = get(hart, csr::MSTATUS) & !(3 << MPP_SHIFT | MPRV);
    let mprv = if kind == Access::Fetch { 0 } else { MPRV };
    hart.set_csr(csr::MSTATUS, status | mprv | (mode as u64) << MPP_SHIFT);
    hart.set_x(5, va);
    if kind == Access::Fetch {
        hart.set_privilege(mode);
        hart.set_pc(va);
    } else {
        hart.set_pc(CODE + if kind == Access::Load { 0 } else { 4 });
    }
    let before = hart.pc();
    hart.step();
    let trap = trapped(hart);
    if trap.is_none() {
        assert_eq!(hart.pc(), before + 4);
    }
    hart.set_privilege(Privilege::Machine);
    hart.set_csr(csr::MSTATUS, status);
    trap
}

/// Twice: by way of the tables, and of the TLB.
fn twice(board: &mut Board, kind: Access, mode: Privilege, va: u64) -> Option<(u64, u64)> {
    board.hart.flush_tlb();
    let first = access(board, kind, mode, va);
    assert_eq!(access(board, kind, mode, va), first, "{kind:?} again");
    first
}

/// "Virtual Address Translation Process", steps 3 to 9, for a leaf.
fn allowed(pte: u64, kind: Access, mode: Privilege, status: u64, svadu: bool) -> bool {
    let has = |bit| pte & bit != 0;
    if !has(V) || (has(W) && !has(R)) || !(has(R) || has(X)) {
        return false;
    }
    let reachable = match mode {
        Privilege::User => has(U),
        _ => !has(U) || (kind != Access::Fetch && status & SUM != 0),
    };
    let permitted = match kind {
        Access::Fetch => has(X),
        Access::Load => has(R) || (status & MXR != 0 && has(X)),
        Access::Store => has(W),
    };
    let fresh = svadu || (has(A) && (kind != Access::Store || has(D)));
    reachable && permitted && fresh
}

#[test]
fn every_combination_of_permissions() {
    for (scheme, svadu) in [(SV32, false), (SV39, false), (SV39, true)] {
        let mut board = scheme.start(svadu);
        if svadu {
            board.hart.set_csr(csr::MENVCFG, 1 << 61);
        }
        board.set_u32(DATA + 0x123 * 4, NOP);
        let va = 0x40_0000 + 0x123 * 4;
        for pte in (0..256).filter(|pte| pte & G == 0) {
            for status in [0, SUM, MXR, SUM | MXR] {
                board.hart.set_csr(csr::MSTATUS, status);
                for mode in [Privilege::User, Privilege::Supervisor] {
                    for kind in ACCESSES {
                        let leaf = DATA >> 12 << 10 | pte;
                        scheme.map(&board, va, 0, leaf);
                        board.set_u32(DATA + 0x123 * 4, NOP);
                        board.hart.sync_code();
                        let trap = twice(&mut board, kind, mode, va);
                        let ok = allowed(pte, kind, mode, status, svadu);
                        let expected = (!ok).then(|| (page_fault(kind), va));
                        let what = format!("{scheme:?} {pte:#x} {status:#x} {mode:?} {kind:?}");
                        assert_eq!(trap, expected, "{what}");
                        let dirty = if kind == Access::Store { D } else { 0 };
                        let set = if svadu && ok { A | dirty } else { 0 };
                        assert_eq!(scheme.entry(&board, va, 0), leaf | set, "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn superpages_of_every_level() {
    for scheme in SCHEMES {
        let mut board = scheme.start(false);
        let va = 0x1_2345_6788u64
            & if scheme.xlen == Xlen::Rv32 {
                0x7fff_fffc
            } else {
                u64::MAX
            };
        for level in 0..scheme.levels {
            let low = (1u64 << (12 + level * scheme.bits)) - 1;
            // Only some of these are RAM: the walk alone tells the address.
            let base = (RAM + 0x20_0000) & !low;
            scheme.map(&board, va, level, base >> 12 << 10 | ALL);
            board.hart.flush_tlb();
            board.hart.set_privilege(Privilege::Supervisor);
            let at = board.hart.translate(va, Access::Load);
            assert_eq!(at, Ok(base | va & low), "{scheme:?} {level}");
            board.hart.set_privilege(Privilege::Machine);
            if level > 0 {
                // Misaligned: any bit of the lower parts of the page number.
                for bit in 0..level * scheme.bits {
                    let entry = (base >> 12 | 1 << bit) << 10 | ALL;
                    scheme.map(&board, va, level, entry);
                    let trap = twice(&mut board, Access::Load, Privilege::Supervisor, va);
                    assert_eq!(trap, Some((13, va)), "{scheme:?} {level} {bit}");
                }
            }
        }
    }
}

#[test]
fn reserved_bits_fault() {
    for scheme in SCHEMES {
        let mut board = scheme.start(false);
        let va = 0x40_0000;
        let leaf = DATA >> 12 << 10 | ALL;
        let mut check = |entry: u64, level: u32, what: &str| {
            scheme.map(&board, va, 0, leaf);
            scheme.set(&board, va, level, entry);
            for kind in [Access::Load, Access::Store] {
                let trap = twice(&mut board, kind, Privilege::Supervisor, va);
                assert_eq!(trap, Some((page_fault(kind), va)), "{scheme:?} {what}");
            }
        };
        if scheme.xlen == Xlen::Rv64 {
            for bit in 54..63 {
                check(leaf | 1 << bit, 0, "reserved or PBMT without PBMTE");
            }
            // NAPOT: of the sizes, only 64 KiB.
            for low in (0..16).filter(|low| *low != 8) {
                check(leaf & !(0xf << 10) | low << 10 | 1 << 63, 0, "NAPOT size");
            }
            check(TABLES >> 12 << 10 | ALL | 1 << 63, 1, "NAPOT superpage");
        }
        let pointer = (TABLES + (u64::from(scheme.levels - 1) << 12)) >> 12 << 10 | V;
        for bit in [U, A, D] {
            check(pointer | bit, 1, "A, D or U in a pointer");
        }
        check(pointer & !V, 1, "an invalid pointer");
        check(pointer | W, 1, "writable, not readable");
    }
}

#[test]
fn addresses_must_be_canonical() {
    for scheme in SCHEMES.into_iter().filter(|s| s.xlen == Xlen::Rv64) {
        let mut board = scheme.start(false);
        let bits = 12 + scheme.levels * scheme.bits;
        let top = 1u64 << (bits - 1);
        let low = top - 0x1000;
        let high = !(top - 1);
        board.set_u32(DATA, NOP);
        for (va, fine) in [
            (low, true),
            (high, true),
            (top, false),
            (high - 0x1000, false),
            (low | 1 << 63, false),
            (low | 1 << bits, false),
            (high ^ 1 << 63, false),
        ] {
            scheme.map(&board, va, 0, DATA >> 12 << 10 | ALL);
            for kind in ACCESSES {
                let trap = twice(&mut board, kind, Privilege::Supervisor, va);
                let expected = (!fine).then(|| (page_fault(kind), va));
                assert_eq!(trap, expected, "{scheme:?} {va:#x} {kind:?}");
            }
        }
    }
}

#[test]
fn napot_ranges_and_memory_types() {
    let scheme = SV39;
    let mut board = scheme.start(false);
    let va = 0x40_0000;
    for page in 0..16 {
        let leaf = (DATA >> 12 | 8) << 10 | ALL | 1 << 63;
        scheme.map(&board, va + (page << 12), 0, leaf);
    }
    for page in 0..16u64 {
        board.set_u32(DATA + (page << 12) + 4, page as u32);
        let at = va + (page << 12) + 4;
        assert_eq!(
            twice(&mut board, Access::Load, Privilege::Supervisor, at),
            None
        );
        assert_eq!(board.hart.x(6), page);
    }
    for (menvcfg, pbmt, fine) in [
        (0, 1, false),
        (1 << 62, 1, true),
        (1 << 62, 2, true),
        (1 << 62, 3, false),
    ] {
        board.hart.set_csr(csr::MENVCFG, menvcfg);
        scheme.map(&board, va, 0, DATA >> 12 << 10 | ALL | pbmt << 61);
        let trap = twice(&mut board, Access::Load, Privilege::Supervisor, va);
        assert_eq!(trap.is_none(), fine, "PBMT {pbmt}");
    }
}

#[test]
fn tables_outside_ram_are_access_faults_of_the_access() {
    for scheme in SCHEMES {
        let mut board = scheme.start(false);
        let va = 0x40_0000;
        scheme.map(&board, va, 0, DATA >> 12 << 10 | ALL);
        scheme.set(&board, va, 1, 0x1000_0000 >> 12 << 10 | V);
        for kind in ACCESSES {
            let trap = twice(&mut board, kind, Privilege::Supervisor, va);
            assert_eq!(trap, Some((access_fault(kind), va)), "{scheme:?}");
        }
    }
}

#[test]
fn a_crossing_access_reports_the_page_that_faults() {
    let scheme = SV39;
    let mut board = scheme.start(false);
    let va = 0x40_0000;
    scheme.map(&board, va, 0, DATA >> 12 << 10 | ALL);
    scheme.map(&board, va + 0x1000, 0, 0);
    board.set_u64(DATA + 0xff8, 0x1111_2222_3333_4444);
    for kind in [Access::Load, Access::Store] {
        board.hart.set_x(6, u64::MAX);
        let trap = twice(&mut board, kind, Privilege::Supervisor, va + 0xffe);
        assert_eq!(trap, Some((page_fault(kind), va + 0x1000)));
        assert_eq!(
            board.u64(DATA + 0xff8),
            0x1111_2222_3333_4444,
            "nothing stored"
        );
        assert_eq!(board.hart.x(6), u64::MAX, "nothing loaded");
    }
    scheme.map(&board, va + 0x1000, 0, (DATA + 0x5000) >> 12 << 10 | ALL);
    board.set_u32(DATA + 0x5000, 0x7777_6666);
    assert_eq!(
        twice(&mut board, Access::Load, Privilege::Supervisor, va + 0xffe),
        None
    );
    assert_eq!(board.hart.x(6), 0x6666_1111);
    board.hart.set_x(6, 0x0123_4567);
    assert_eq!(
        twice(&mut board, Access::Store, Privilege::Supervisor, va + 0xffe),
        None
    );
    assert_eq!(board.u64(DATA + 0xff8), 0x4567_2222_3333_4444);
    assert_eq!(board.u32(DATA + 0x5000), 0x7777_0123);
}

#[test]
fn a_fence_makes_new_entries_count_also_for_code() {
    let scheme = SV39;
    let va = 0x40_0000u64;
    // Which fence, with which operands: the old code, then the new.
    for (rs1, rs2, asid, global) in [
        (0, 0, 0, 0),
        (5, 0, 0, 0),
        (0, 7, 0, 0),
        (5, 7, 3, 0),
        (0, 0, 3, G),
        (5, 0, 3, G),
    ] {
        let mut board = scheme.start(false);
        assert!(board.hart.set_csr(csr::SATP, scheme.satp(asid)));
        let code = |n: i32| {
            let mut a = crate::common::asm::Asm::new(Xlen::Rv64, va);
            a.li(10, n as u64);
            a.finish()
        };
        board.load(DATA, &code(1));
        board.load(DATA + 0x1000, &code(2));
        let identity = RAM >> 12 << 10 | ALL;
        // The fence itself lies in a gigapage, which is its own.
        scheme.map(&board, RAM, 2, identity);
        load(&mut board, |a| {
            a.r(SfenceVma, 0, rs1, rs2);
        });
        for (page, expected) in [(0, 1), (1, 2), (0, 1)] {
            let leaf = (DATA >> 12 | page) << 10 | ALL | global;
            scheme.map(&board, va, 0, leaf);
            let hart = &mut board.hart;
            hart.set_privilege(Privilege::Supervisor);
            hart.set_x(5, va);
            hart.set_x(7, asid);
            hart.set_pc(CODE);
            hart.run(1);
            hart.set_pc(va);
            // Past the code are zeros: an illegal instruction ends it.
            while trapped(hart).is_none() {
                hart.run(1);
            }
            assert_eq!(hart.x(10), expected, "sfence.vma x{rs1}, x{rs2}");
        }
    }
}

#[test]
fn stores_through_another_mapping_reach_code() {
    let scheme = SV39;
    let mut board = scheme.start(false);
    let (code, alias) = (0x40_0000u64, 0x40_5000u64);
    scheme.map(&board, code, 0, DATA >> 12 << 10 | ALL);
    scheme.map(&board, alias, 0, DATA >> 12 << 10 | ALL);
    let mut a = crate::common::asm::Asm::new(Xlen::Rv64, code);
    // Add one; then make that add two, by the other address; and again.
    let again = a.bind_new();
    a.i(ruse_isa::Opcode::Addi, 10, 10, 1);
    a.li(5, alias).li(6, 0x0025_0513).s(Sw, 6, 5, 0).op(FenceI);
    a.i(ruse_isa::Opcode::Addi, 11, 11, -1);
    a.b(ruse_isa::Opcode::Bne, 11, 0, again);
    let bytes = a.finish();
    for quantum in [1, 1000] {
        board.load(DATA, &bytes);
        let hart = &mut board.hart;
        hart.flush_tlb();
        hart.set_privilege(Privilege::Supervisor);
        hart.set_pc(code);
        hart.set_x(10, 0);
        hart.set_x(11, 5);
        while trapped(hart).is_none() {
            hart.run(quantum);
        }
        assert_eq!(hart.x(10), 1 + 4 * 2);
    }
}

#[test]
fn a_satp_of_an_unknown_mode_is_not_written() {
    let mut board = board(Xlen::Rv64);
    let satp = SV39.satp(5);
    for mode in (0..16u64).filter(|m| ![0, 8, 9, 10].contains(m)) {
        assert!(board.hart.set_csr(csr::SATP, satp));
        assert!(board.hart.set_csr(csr::SATP, mode << 60 | 0x1234));
        assert_eq!(get(&mut board.hart, csr::SATP), satp);
    }
}
