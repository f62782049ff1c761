//! Address translation and the slow path of every memory access.
//!
//! Sv32, Sv39, Sv48 and Sv57 with Svnapot, Svpbmt, Svade and Svadu
//! (privileged manual, "Virtual-Memory System" chapters). Misaligned accesses
//! to RAM are carried out, also across pages; to devices they are access
//! faults.

use ruse_bus::{AccessFault, PAGE_SIZE, Prot, Width};
use ruse_event::{Class, Step, What};
use ruse_isa::Xlen;

use crate::csr::{envcfg, status};
use crate::engine::Cursor;
use crate::hart::Hart;
use crate::pmp::Verdict;
use crate::tlb::Mode;
use crate::trap::{Cause, Privilege, Trap};

/// The kinds of memory access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Access {
    /// Instruction fetch.
    Fetch = 0,
    /// Load.
    Load = 1,
    /// Store or AMO.
    Store = 2,
}

impl Access {
    fn page_fault(self, va: u64) -> Trap {
        let cause = match self {
            Self::Fetch => Cause::InstructionPageFault,
            Self::Load => Cause::LoadPageFault,
            Self::Store => Cause::StorePageFault,
        };
        Trap::new(cause, va)
    }

    fn access_fault(self, va: u64) -> Trap {
        let cause = match self {
            Self::Fetch => Cause::InstructionAccessFault,
            Self::Load => Cause::LoadAccessFault,
            Self::Store => Cause::StoreAccessFault,
        };
        Trap::new(cause, va)
    }
}

/// Bits of a page-table entry.
mod pte {
    pub const V: u64 = 1 << 0;
    pub const R: u64 = 1 << 1;
    pub const W: u64 = 1 << 2;
    pub const X: u64 = 1 << 3;
    pub const U: u64 = 1 << 4;
    pub const G: u64 = 1 << 5;
    pub const A: u64 = 1 << 6;
    pub const D: u64 = 1 << 7;
    pub const PBMT: u64 = 3 << 61;
    pub const PBMT_RESERVED: u64 = 3 << 61;
    pub const N: u64 = 1 << 63;
    /// Reserved for future standard use: must be zero.
    pub const RESERVED: u64 = 0x7f << 54;
}

/// Where a virtual address leads.
#[derive(Clone, Copy)]
struct Translation {
    pa: u64,
    /// Size in bytes of the mapping.
    leaf: u64,
    /// Whether all address spaces share it.
    global: bool,
}

/// A scheme of page tables.
struct Scheme {
    levels: u32,
    /// Bits of virtual page number a level.
    bits: u32,
    /// Bytes an entry.
    entry: u64,
}

impl Hart {
    /// The mode that loads and stores are checked against.
    pub(crate) fn data_privilege(&self) -> Privilege {
        if self.csrs.mstatus & status::MPRV != 0 && self.privilege == Privilege::Machine {
            Privilege::from_bits(self.csrs.mstatus >> status::MPP_SHIFT)
        } else {
            self.privilege
        }
    }

    /// The privilege an access is checked against.
    fn effective(&self, access: Access) -> Privilege {
        match access {
            Access::Fetch => self.privilege,
            _ => self.data_privilege(),
        }
    }

    /// The TLB arrays that fit the current state.
    pub(crate) fn tlb_mode(&self, privilege: Privilege) -> Mode {
        match privilege {
            Privilege::User => Mode::User,
            Privilege::Supervisor if self.csrs.mstatus & status::SUM != 0 => Mode::SupervisorUser,
            Privilege::Supervisor => Mode::Supervisor,
            Privilege::Machine => Mode::Machine,
        }
    }

    fn scheme(&self) -> Option<Scheme> {
        let (levels, bits, entry) = match self.xlen {
            Xlen::Rv32 if self.csrs.satp >> 31 & 1 == 1 => (2, 10, 4),
            Xlen::Rv32 => return None,
            Xlen::Rv64 => match self.csrs.satp >> 60 {
                8 => (3, 9, 8),
                9 => (4, 9, 8),
                10 => (5, 9, 8),
                _ => return None,
            },
        };
        Some(Scheme {
            levels,
            bits,
            entry,
        })
    }

    fn ppn_mask(&self) -> u64 {
        match self.xlen {
            Xlen::Rv32 => (1 << 22) - 1,
            Xlen::Rv64 => (1 << 44) - 1,
        }
    }

    /// The physical address of the root page table.
    pub(crate) fn root_table(&self) -> u64 {
        (self.csrs.satp & self.ppn_mask()) << 12
    }

    /// Where `va` leads for this access in the current mode.
    ///
    /// # Errors
    /// The page fault or access fault that the access would raise.
    pub fn translate(&mut self, va: u64, access: Access) -> Result<u64, Trap> {
        self.walk(va, access).map(|translation| translation.pa)
    }

    /// Where `va` leads for a look from outside: whatever the permissions, and
    /// without any effect, on the guest or on what is told of it.
    pub fn translate_debug(&self, va: u64) -> Option<u64> {
        self.walk_debug(va, &mut |_| {})
    }

    /// The same, with each entry that is read.
    pub fn walk_debug(&self, va: u64, each: &mut dyn FnMut(Step)) -> Option<u64> {
        if let Some(space) = self.memory.space() {
            return (space.prot(va) != Prot::NONE).then_some(va);
        }
        let scheme = match self.scheme() {
            Some(scheme) if self.privilege != Privilege::Machine => scheme,
            _ => return Some(va),
        };
        let width = if scheme.entry == 4 {
            Width::B4
        } else {
            Width::B8
        };
        let mut table = self.root_table();
        for level in (0..scheme.levels).rev() {
            let shift = 12 + level * scheme.bits;
            let vpn = va >> shift & ((1 << scheme.bits) - 1);
            let at = table + vpn * scheme.entry;
            let entry = self.bus.ram().load(at, width).ok()?;
            each(Step { at, pte: entry });
            if entry & pte::V == 0 {
                return None;
            }
            let mut base = (entry >> 10 & self.ppn_mask()) << 12;
            if entry & (pte::R | pte::X) != 0 {
                let mut bits = shift;
                if self.xlen == Xlen::Rv64 && entry & pte::N != 0 {
                    bits = 16;
                }
                let low = (1u64 << bits) - 1;
                base &= !low;
                return Some(base | va & low);
            }
            table = base;
        }
        None
    }

    /// Reads guest RAM at virtual address `va` from outside, without any effect. False
    /// if some of it is not there.
    pub fn peek(&self, va: u64, out: &mut [u8]) -> bool {
        let mut at = va;
        let mut rest = out;
        while !rest.is_empty() {
            let page = (PAGE_SIZE - (at & (PAGE_SIZE - 1))) as usize;
            let (now, later) = rest.split_at_mut(page.min(rest.len()));
            let there = self
                .translate_debug(at)
                .is_some_and(|pa| self.bus.ram().read(pa, now).is_ok());
            if !there {
                return false;
            }
            at = self.after(at, now.len() as u64);
            rest = later;
        }
        true
    }

    /// "Virtual Address Translation Process", with the permission checks.
    fn walk(&mut self, va: u64, access: Access) -> Result<Translation, Trap> {
        if let Some(space) = self.memory.space() {
            let needed = match access {
                Access::Fetch => Prot::EXEC,
                Access::Load => Prot::READ,
                Access::Store => Prot::WRITE,
            };
            return if space.prot(va).contains(needed) {
                Ok(Translation {
                    pa: va,
                    leaf: PAGE_SIZE,
                    global: true,
                })
            } else {
                Err(access.page_fault(va))
            };
        }
        let privilege = self.effective(access);
        let scheme = match self.scheme() {
            Some(scheme) if privilege != Privilege::Machine => scheme,
            _ => {
                return Ok(Translation {
                    pa: va,
                    leaf: PAGE_SIZE,
                    global: false,
                });
            }
        };
        self.note(|counters| counters.walks += 1);
        let mut steps = Vec::new();
        let found = self.walk_tables(va, access, privilege, &scheme, &mut steps);
        if !steps.is_empty() {
            self.tell_walk(va, access, steps, found.map(|found| found.pa));
        }
        found
    }

    /// Walks the tables of `scheme`. If somebody wants to know, `steps` are those
    /// it took.
    fn walk_tables(
        &mut self,
        va: u64,
        access: Access,
        privilege: Privilege,
        scheme: &Scheme,
        steps: &mut Vec<Step>,
    ) -> Result<Translation, Trap> {
        let fault = access.page_fault(va);
        let rv64 = self.xlen == Xlen::Rv64;
        if rv64 {
            let unused = 64 - (12 + scheme.levels * scheme.bits);
            if ((va << unused) as i64 >> unused) as u64 != va {
                return Err(fault);
            }
        }
        let ppn_mask = self.ppn_mask();
        let mut table = self.root_table();
        let mut level = scheme.levels;
        let mut napot = false;
        let mut global = false;
        let (at, entry) = loop {
            if level == 0 {
                return Err(fault);
            }
            level -= 1;
            let vpn = va >> (12 + level * scheme.bits) & ((1 << scheme.bits) - 1);
            let at = table + vpn * scheme.entry;
            let entry = self
                .load_pte(at, scheme.entry)
                .map_err(|AccessFault| access.access_fault(va))?;
            if self.tap.wants(Class::Walk) {
                steps.push(Step { at, pte: entry });
            }
            if entry & pte::V == 0 || entry & (pte::R | pte::W) == pte::W {
                return Err(fault);
            }
            if rv64 && entry & pte::RESERVED != 0 {
                return Err(fault);
            }
            global |= entry & pte::G != 0;
            if entry & (pte::R | pte::X) != 0 {
                if rv64 {
                    let pbmt = entry & pte::PBMT;
                    let pbmt_on = self.csrs.menvcfg & envcfg::PBMTE != 0;
                    if pbmt != 0 && (!pbmt_on || pbmt == pte::PBMT_RESERVED) {
                        return Err(fault);
                    }
                    napot = entry & pte::N != 0;
                }
                break (at, entry);
            }
            // A pointer to the next level: these bits are reserved there.
            if entry & (pte::A | pte::D | pte::U) != 0 || rv64 && entry & (pte::N | pte::PBMT) != 0
            {
                return Err(fault);
            }
            table = (entry >> 10 & ppn_mask) << 12;
        };
        if !self.permitted(entry, access, privilege) {
            return Err(fault);
        }
        let mut offset_bits = 12 + level * scheme.bits;
        let mut ppn = entry >> 10 & ppn_mask;
        if napot {
            // Svnapot: the only size defined is 64 KiB.
            if level != 0 || ppn & 0xf != 0x8 {
                return Err(fault);
            }
            ppn &= !0xf;
            offset_bits = 16;
        }
        let low = (1u64 << offset_bits) - 1;
        let base = ppn << 12;
        if base & low != 0 {
            return Err(fault);
        }
        let wanted = pte::A | if access == Access::Store { pte::D } else { 0 };
        if entry & wanted != wanted {
            if self.csrs.menvcfg & envcfg::ADUE == 0 {
                return Err(fault);
            }
            match self.update_pte(at, scheme.entry, entry, entry | wanted) {
                Ok(true) => {}
                // Somebody else changed it: look again.
                Ok(false) => {
                    steps.clear();
                    return self.walk_tables(va, access, privilege, scheme, steps);
                }
                Err(AccessFault) => return Err(access.access_fault(va)),
            }
        }
        Ok(Translation {
            pa: base | va & low,
            leaf: low + 1,
            global,
        })
    }

    fn permitted(&self, entry: u64, access: Access, privilege: Privilege) -> bool {
        let user_page = entry & pte::U != 0;
        let status = self.csrs.mstatus;
        let reachable = match privilege {
            Privilege::User => user_page,
            _ => !user_page || (access != Access::Fetch && status & status::SUM != 0),
        };
        reachable
            && match access {
                Access::Fetch => entry & pte::X != 0,
                Access::Store => entry & pte::W != 0,
                Access::Load => {
                    entry & pte::R != 0 || (status & status::MXR != 0 && entry & pte::X != 0)
                }
            }
    }

    fn pmp_allows(&self, pa: u64, len: u64, access: Access, privilege: Privilege) -> bool {
        self.csrs.pmp.check(pa, len, access, privilege) == Verdict::Uniform(true)
    }

    fn load_pte(&self, at: u64, size: u64) -> Result<u64, AccessFault> {
        if !self.pmp_allows(at, size, Access::Load, Privilege::Supervisor) {
            return Err(AccessFault);
        }
        let width = if size == 4 { Width::B4 } else { Width::B8 };
        self.bus.ram().load(at, width)
    }

    fn update_pte(&self, at: u64, size: u64, old: u64, new: u64) -> Result<bool, AccessFault> {
        if !self.pmp_allows(at, size, Access::Store, Privilege::Supervisor) {
            return Err(AccessFault);
        }
        let width = if size == 4 { Width::B4 } else { Width::B8 };
        Ok(self.bus.ram().compare_exchange(at, width, old, new)? == old)
    }

    /// Translates one access that stays within a page, checks it against PMP,
    /// and keeps the page in the TLB where that is allowed.
    fn locate(&mut self, va: u64, len: u64, access: Access) -> Result<u64, Trap> {
        let Translation { pa, leaf, global } = self.walk(va, access)?;
        if let Some(space) = self.memory.space() {
            if access == Access::Store {
                space.relax(va);
            }
            return Ok(pa);
        }
        let privilege = self.effective(access);
        let page = pa & !(PAGE_SIZE - 1);
        let whole_page = self.csrs.pmp.check(page, PAGE_SIZE, access, privilege);
        let allowed = match whole_page {
            Verdict::Uniform(allowed) => allowed,
            Verdict::Mixed => self.pmp_allows(pa, len, access, privilege),
        };
        if !allowed {
            return Err(access.access_fault(va));
        }
        if whole_page == Verdict::Uniform(true)
            && !self.is_watched(va, access)
            && let Some(host) = self.bus.ram().host_page(pa)
            && (access != Access::Store || self.writer.open(pa))
        {
            let to = match access {
                Access::Fetch => page,
                _ => host as u64,
            };
            self.tlb.fill(va, access, to, leaf, global);
            self.note(|counters| counters.fills += 1);
            self.tell(Class::Tlb, || What::Fill {
                va,
                pa,
                access: access.into(),
                size: leaf,
            });
        }
        Ok(pa)
    }

    /// The address of the byte `n` places after `va`.
    pub(crate) fn after(&self, va: u64, n: u64) -> u64 {
        match self.xlen {
            Xlen::Rv32 => u64::from((va as u32).wrapping_add(n as u32)),
            Xlen::Rv64 => va.wrapping_add(n),
        }
    }

    /// A load that missed the TLB, is misaligned, or reads a device.
    ///
    /// # Errors
    /// The exception to raise.
    pub(crate) fn load_slow(&mut self, c: Cursor, va: u64, size: u64) -> Result<u64, Trap> {
        self.check_watch(va, size, Access::Load)?;
        self.note(|counters| counters.slow_loads += 1);
        if va & (size - 1) == 0 && self.tlb.refill(va, Access::Load) {
            let value = match size {
                1 => self.tlb.load::<u8>(va),
                2 => self.tlb.load::<u16>(va),
                4 => self.tlb.load::<u32>(va),
                _ => self.tlb.load::<u64>(va),
            };
            if let Some(value) = value {
                self.note(|counters| counters.refills += 1);
                return Ok(value);
            }
        }
        let first = (PAGE_SIZE - (va & (PAGE_SIZE - 1))).min(size);
        let pa = self.locate(va, first, Access::Load)?;
        if va & (size - 1) == 0 {
            let width = Width::from_bytes(size).unwrap_or(Width::B8);
            let device = !self.bus.ram().contains(pa, size);
            if device {
                self.check_device(pa, size, None)?;
                self.publish_before(c);
            }
            let value = self
                .bus
                .read(pa, width)
                .map_err(|AccessFault| Access::Load.access_fault(va))?;
            if device {
                self.tell_mmio(c, pa, size, value, false);
            }
            return Ok(value);
        }
        let mut bytes = [0; 8];
        self.read_part(va, pa, &mut bytes[..first as usize])?;
        if first < size {
            let next = self.after(va, first);
            let pa = self.locate(next, size - first, Access::Load)?;
            self.read_part(next, pa, &mut bytes[first as usize..size as usize])?;
        }
        Ok(u64::from_le_bytes(bytes))
    }

    fn read_part(&self, va: u64, pa: u64, out: &mut [u8]) -> Result<(), Trap> {
        self.bus
            .ram()
            .read(pa, out)
            .map_err(|AccessFault| Access::Load.access_fault(va))
    }

    fn store_fast(&self, va: u64, size: u64, value: u64) -> bool {
        match size {
            1 => self.tlb.store::<u8>(va, value),
            2 => self.tlb.store::<u16>(va, value),
            4 => self.tlb.store::<u32>(va, value),
            _ => self.tlb.store::<u64>(va, value),
        }
    }

    /// A store that missed the TLB, is misaligned, or writes a device or a
    /// page with decoded code. Nothing is written unless all of it is.
    ///
    /// # Errors
    /// The exception to raise.
    pub(crate) fn store_slow(
        &mut self,
        c: Cursor,
        va: u64,
        size: u64,
        value: u64,
    ) -> Result<(), Trap> {
        self.check_watch(va, size, Access::Store)?;
        self.note(|counters| counters.slow_stores += 1);
        if va & (size - 1) == 0
            && self.tlb.refill(va, Access::Store)
            && self.store_fast(va, size, value)
        {
            self.note(|counters| counters.refills += 1);
            return Ok(());
        }
        let first = (PAGE_SIZE - (va & (PAGE_SIZE - 1))).min(size);
        let pa = self.locate(va, first, Access::Store)?;
        // Where that has opened the page nobody needs to be told.
        if self.store_fast(va, size, value) {
            return Ok(());
        }
        let fault = |AccessFault| Access::Store.access_fault(va);
        if va & (size - 1) == 0 {
            let width = Width::from_bytes(size).unwrap_or(Width::B8);
            if !self.bus.ram().contains(pa, size) {
                self.check_device(pa, size, Some(value & width.mask()))?;
                self.publish_before(c);
                // A device may write the reserved bytes on our behalf.
                self.reservation = None;
                // Before what the device makes of it.
                self.tell_mmio(c, pa, size, value & width.mask(), true);
            }
            return self.bus.write(pa, width, value).map_err(fault);
        }
        let bytes = value.to_le_bytes();
        let ram = self.bus.ram().clone();
        if first == size {
            return ram.write(pa, &bytes[..size as usize]).map_err(fault);
        }
        let next = self.after(va, first);
        let second = self.locate(next, size - first, Access::Store)?;
        if !ram.contains(pa, first) {
            return Err(fault(AccessFault));
        }
        if !ram.contains(second, size - first) {
            return Err(Access::Store.access_fault(next));
        }
        ram.write(pa, &bytes[..first as usize]).map_err(fault)?;
        ram.write(second, &bytes[first as usize..size as usize])
            .map_err(fault)
    }

    /// Finds the RAM behind an atomic access, naturally aligned.
    ///
    /// # Errors
    /// The exception to raise: AMOs on devices are access faults.
    pub(crate) fn atomic_address(
        &mut self,
        va: u64,
        size: u64,
        access: Access,
    ) -> Result<u64, Trap> {
        if va & (size - 1) != 0 {
            let cause = match access {
                Access::Store => Cause::StoreAddressMisaligned,
                _ => Cause::LoadAddressMisaligned,
            };
            return Err(Trap::new(cause, va));
        }
        self.check_watch(va, size, access)?;
        let pa = self.locate(va, size, access)?;
        if self.bus.ram().contains(pa, size) {
            Ok(pa)
        } else {
            Err(access.access_fault(va))
        }
    }

    /// Translates for a cache-block operation on the block at `va`: a load or
    /// a store must be allowed, and faults are store faults ("CMO").
    ///
    /// # Errors
    /// The exception to raise.
    pub(crate) fn cache_block(&mut self, va: u64) -> Result<(), Trap> {
        let as_store = |trap: Trap| match trap.cause {
            Cause::LoadPageFault => Access::Store.page_fault(va),
            _ => Access::Store.access_fault(va),
        };
        match self.locate(va, 1, Access::Load) {
            Ok(_) => Ok(()),
            Err(_) if self.locate(va, 1, Access::Store).is_ok() => Ok(()),
            Err(trap) => Err(as_store(trap)),
        }
    }

    /// Translates the fetch of `len` bytes at `va`, within one page.
    ///
    /// # Errors
    /// The exception to raise.
    pub(crate) fn locate_fetch(&mut self, va: u64, len: u64) -> Result<u64, Trap> {
        self.locate(va, len, Access::Fetch)
    }
}
