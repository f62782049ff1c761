//! Physical memory protection: 16 entries, 4-byte granularity (privileged
//! manual, "Physical Memory Protection").

use crate::mmu::Access;
use crate::trap::Privilege;

/// How many entries there are.
pub(crate) const ENTRIES: usize = 16;

const R: u8 = 1;
const W: u8 = 2;
const X: u8 = 4;
const LOCK: u8 = 0x80;

/// Address-matching modes (field A of a configuration).
const OFF: u8 = 0;
const TOR: u8 = 1;
const NA4: u8 = 2;

/// The PMP registers.
#[derive(Clone)]
pub(crate) struct Pmp {
    config: [u8; ENTRIES],
    addr: [u64; ENTRIES],
    /// The ranges that the registers describe, `None` where off or empty.
    ranges: [Option<(u64, u64)>; ENTRIES],
}

/// What PMP says of a whole range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Every byte may be accessed, or none may.
    Uniform(bool),
    /// It depends on the byte.
    Mixed,
}

impl Pmp {
    pub(crate) fn new() -> Self {
        Self {
            config: [0; ENTRIES],
            addr: [0; ENTRIES],
            ranges: [None; ENTRIES],
        }
    }

    /// The configuration byte of an entry.
    pub(crate) fn config(&self, entry: usize) -> u8 {
        self.config.get(entry).copied().unwrap_or(0)
    }

    /// The address register of an entry.
    pub(crate) fn addr(&self, entry: usize) -> u64 {
        self.addr.get(entry).copied().unwrap_or(0)
    }

    /// Writes a configuration byte; ignored where locked or out of range.
    pub(crate) fn set_config(&mut self, entry: usize, value: u8) {
        if entry >= ENTRIES || self.config[entry] & LOCK != 0 {
            return;
        }
        // W without R is reserved.
        let value = if value & (R | W) == W {
            value & !W
        } else {
            value
        };
        self.config[entry] = value & 0x9f;
        self.refresh();
    }

    /// Writes an address register; ignored where locked or out of range.
    pub(crate) fn set_addr(&mut self, entry: usize, value: u64) {
        if entry >= ENTRIES || self.config[entry] & LOCK != 0 {
            return;
        }
        if let Some(next) = self.config.get(entry + 1)
            && next & LOCK != 0
            && next >> 3 & 3 == TOR
        {
            return;
        }
        self.addr[entry] = value & ((1 << 54) - 1);
        self.refresh();
    }

    fn refresh(&mut self) {
        for entry in 0..ENTRIES {
            let top = self.addr[entry];
            self.ranges[entry] = match self.config[entry] >> 3 & 3 {
                OFF => None,
                TOR => {
                    let from = entry.checked_sub(1).map_or(0, |below| self.addr[below]);
                    (from < top).then_some((from << 2, top << 2))
                }
                NA4 => Some((top << 2, (top << 2) + 4)),
                _ => {
                    let ones = top.trailing_ones();
                    let size = 8u64 << ones;
                    let base = (top & !((1u64 << ones) - 1)) << 2;
                    Some((base, base.saturating_add(size)))
                }
            };
        }
    }

    /// Whether `privilege` may access all of `len` bytes at `pa`. Every byte
    /// must be matched by the same, lowest-numbered matching entry.
    pub(crate) fn check(&self, pa: u64, len: u64, access: Access, privilege: Privilege) -> Verdict {
        // In M-mode a guest may name any address.
        let end = pa.saturating_add(len);
        for entry in 0..ENTRIES {
            let Some((from, to)) = self.ranges[entry] else {
                continue;
            };
            if to <= pa || end <= from {
                continue;
            }
            if pa < from || to < end {
                return Verdict::Mixed;
            }
            let config = self.config[entry];
            if privilege == Privilege::Machine && config & LOCK == 0 {
                return Verdict::Uniform(true);
            }
            let needed = match access {
                Access::Fetch => X,
                Access::Load => R,
                Access::Store => W,
            };
            return Verdict::Uniform(config & needed != 0);
        }
        Verdict::Uniform(privilege == Privilege::Machine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Privilege::{Machine, Supervisor};

    fn napot(base: u64, size: u64) -> u64 {
        (base | (size / 2 - 1)) >> 2
    }

    #[test]
    fn napot_covers_its_range_and_mixes_at_its_edge() {
        let mut pmp = Pmp::new();
        pmp.set_addr(0, napot(0x8000_0000, 0x1000));
        pmp.set_config(0, 0x18 | R);
        let load = |pa, len| pmp.check(pa, len, Access::Load, Supervisor);
        assert_eq!(load(0x8000_0000, 0x1000), Verdict::Uniform(true));
        assert_eq!(load(0x8000_0ffc, 8), Verdict::Mixed);
        assert_eq!(load(0x8000_1000, 8), Verdict::Uniform(false));
        assert_eq!(
            pmp.check(0x8000_0000, 8, Access::Store, Supervisor),
            Verdict::Uniform(false)
        );
        assert_eq!(
            pmp.check(0x8000_0000, 8, Access::Store, Machine),
            Verdict::Uniform(true)
        );
    }

    #[test]
    fn the_lowest_entry_wins_and_locks_bind_machine_mode() {
        let mut pmp = Pmp::new();
        pmp.set_addr(0, 0x8000_1000 >> 2);
        pmp.set_config(0, LOCK | (TOR << 3));
        pmp.set_addr(1, u64::MAX);
        pmp.set_config(1, 0x18 | R | W | X);
        let store = |pa, mode| pmp.check(pa, 8, Access::Store, mode);
        assert_eq!(store(0x8000_0ff8, Machine), Verdict::Uniform(false));
        assert_eq!(store(0x8000_1000, Supervisor), Verdict::Uniform(true));
        pmp.set_addr(0, 0);
        pmp.set_config(0, 0x1f);
        assert_eq!(pmp.addr(0), 0x8000_1000 >> 2);
        assert_eq!(pmp.config(0), LOCK | (TOR << 3));
    }

    #[test]
    fn a_locked_tor_entry_locks_the_address_below() {
        let mut pmp = Pmp::new();
        pmp.set_addr(2, 0x100);
        pmp.set_addr(3, 0x200);
        pmp.set_config(3, LOCK | (TOR << 3) | R);
        pmp.set_addr(2, 0);
        assert_eq!(pmp.addr(2), 0x100);
    }

    #[test]
    fn na4_matches_four_bytes_and_an_empty_tor_none() {
        let mut pmp = Pmp::new();
        pmp.set_addr(0, 0x8000_0004 >> 2);
        pmp.set_config(0, NA4 << 3);
        pmp.set_addr(1, 0);
        pmp.set_config(1, (TOR << 3) | R);
        pmp.set_addr(2, u64::MAX);
        pmp.set_config(2, 0x18 | R);
        let load = |pa, len| pmp.check(pa, len, Access::Load, Supervisor);
        assert_eq!(load(0x8000_0004, 4), Verdict::Uniform(false));
        assert_eq!(load(0x8000_0000, 4), Verdict::Uniform(true));
        assert_eq!(load(0x8000_0000, 8), Verdict::Mixed);
    }

    #[test]
    fn the_end_of_the_address_space_does_not_overflow() {
        let pmp = Pmp::new();
        let last = u64::MAX - 0xfff;
        assert_eq!(
            pmp.check(last, 0x1000, Access::Load, Machine),
            Verdict::Uniform(true)
        );
    }

    #[test]
    fn write_without_read_is_not_kept() {
        let mut pmp = Pmp::new();
        pmp.set_config(0, 0x18 | W | X);
        assert_eq!(pmp.config(0), 0x18 | X);
    }
}
