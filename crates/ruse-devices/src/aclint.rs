//! Timer and software interrupts of the harts: the SiFive CLINT, which is the
//! MSWI and the MTIMER of the RISC-V ACLINT specification (1.0-rc4, chapters
//! "Machine-level Timer Device" and "Machine-level Software Interrupt
//! Device") at fixed places.
//!
//! | offset | register |
//! |---|---|
//! | 0x0000 + 4 * hart | `msip`: bit 0 drives the hart's MSIP |
//! | 0x4000 + 8 * hart | `mtimecmp`: MTIP while `mtime` has reached it |
//! | 0xbff8 | `mtime` |
//!
//! Registers are read and written in aligned pieces of 4 or 8 bytes. Left
//! out: SSWI, which the CLINT has no room for.

use std::sync::Arc;

use ruse_bus::{
    AccessFault, BadState, Clock, Device, DtNode, IrqLine, Names, Register, Wake, Width, state,
};

/// Size of the register region, in bytes.
pub const SIZE: u64 = 0x1_0000;
/// The most harts that its layout has room for.
pub const MAX_HARTS: usize = 4095;

const MTIMECMP: u64 = 0x4000;
const MTIME: u64 = 0xbff8;
const END: u64 = 0xc000;

struct Hart {
    msip: bool,
    mtimecmp: u64,
    msip_line: IrqLine,
    mtip_line: IrqLine,
}

/// A CLINT.
///
/// Time passes without it: whoever runs the harts calls [`Aclint::poll`] when
/// the deadline that it named has come.
pub struct Aclint {
    clock: Arc<dyn Clock>,
    harts: Vec<Hart>,
    waker: Option<Arc<dyn Wake>>,
    time_waker: Option<Arc<dyn Wake>>,
    /// What [`Self::poll`] last said; the maximum for none.
    next: u64,
}

impl Aclint {
    /// A CLINT for `msip.len()` harts. `msip[n]` and `mtip[n]` lead to the
    /// pins of hart n; harts beyond [`MAX_HARTS`], or that lack one of the
    /// two, have no registers.
    pub fn new(clock: Arc<dyn Clock>, msip: Vec<IrqLine>, mtip: Vec<IrqLine>) -> Self {
        let harts = msip
            .into_iter()
            .zip(mtip)
            .take(MAX_HARTS)
            .map(|(msip_line, mtip_line)| Hart {
                msip: false,
                // The specification leaves it open; this way no timer fires
                // before somebody sets one.
                mtimecmp: u64::MAX,
                msip_line,
                mtip_line,
            })
            .collect();
        Self {
            clock,
            harts,
            waker: None,
            time_waker: None,
            next: u64::MAX,
        }
    }

    /// Has `waker` called when the guest moves the next deadline forward, for
    /// a run loop that sleeps until the one it knows.
    pub fn set_waker(&mut self, waker: Arc<dyn Wake>) {
        self.waker = Some(waker);
    }

    /// Has `waker` called when `mtime` is set, for those who sleep until the
    /// times of other timers.
    pub fn set_time_waker(&mut self, waker: Arc<dyn Wake>) {
        self.time_waker = Some(waker);
    }

    /// Brings the MTIP lines up to date. Returns the value of `mtime` at
    /// which that must happen next, unless no timer runs.
    pub fn poll(&mut self) -> Option<u64> {
        let now = self.clock.now();
        let mut next = u64::MAX;
        for hart in &self.harts {
            let due = now >= hart.mtimecmp;
            hart.mtip_line.set(due);
            if !due {
                next = next.min(hart.mtimecmp);
            }
        }
        self.next = next;
        (next != u64::MAX).then_some(next)
    }

    /// Polls after a deadline was moved, or time itself (`always`).
    fn deadline_moved(&mut self, always: bool) {
        let known = self.next;
        self.poll();
        if let Some(waker) = &self.waker
            && (always || self.next < known)
        {
            waker.wake();
        }
        if let Some(waker) = self.time_waker.as_ref().filter(|_| always) {
            waker.wake();
        }
    }

    fn read_word(&self, offset: u64) -> u32 {
        let wide = match offset {
            MTIME..END => self.clock.now(),
            END.. => 0,
            MTIMECMP.. => self
                .harts
                .get(((offset - MTIMECMP) / 8) as usize)
                .map_or(0, |hart| hart.mtimecmp),
            _ => {
                return self
                    .harts
                    .get((offset / 4) as usize)
                    .map_or(0, |hart| hart.msip.into());
            }
        };
        (wide >> (8 * (offset & 4))) as u32
    }

    fn set_msip(&mut self, hart: u64, value: u32) {
        if let Some(hart) = self.harts.get_mut(hart as usize) {
            hart.msip = value & 1 != 0;
            hart.msip_line.set(hart.msip);
        }
    }

    /// Writes the bits in `mask` of the 8-byte register at `offset`.
    fn write_wide(&mut self, offset: u64, mask: u64, value: u64) {
        let merge = |old: u64| old & !mask | value & mask;
        if offset == MTIME {
            self.clock.set(merge(self.clock.now()));
        } else {
            let Some(hart) = self.harts.get_mut(((offset - MTIMECMP) / 8) as usize) else {
                return;
            };
            hart.mtimecmp = merge(hart.mtimecmp);
        }
        self.deadline_moved(offset == MTIME);
    }
}

impl Device for Aclint {
    fn read(&mut self, offset: u64, width: Width) -> Result<u64, AccessFault> {
        match width {
            Width::B4 => Ok(self.read_word(offset).into()),
            Width::B8 if offset == MTIME => Ok(self.clock.now()),
            Width::B8 => {
                let (low, high) = (self.read_word(offset), self.read_word(offset + 4));
                Ok(u64::from(high) << 32 | u64::from(low))
            }
            _ => Err(AccessFault),
        }
    }

    fn write(&mut self, offset: u64, width: Width, value: u64) -> Result<(), AccessFault> {
        let wide = match width {
            Width::B4 => false,
            Width::B8 => true,
            _ => return Err(AccessFault),
        };
        if offset < MTIMECMP {
            self.set_msip(offset / 4, value as u32);
            if wide {
                self.set_msip(offset / 4 + 1, (value >> 32) as u32);
            }
        } else if wide {
            self.write_wide(offset, u64::MAX, value);
        } else {
            let shift = 8 * (offset & 4);
            let mask = Width::B4.mask() << shift;
            self.write_wide(offset & !7, mask, value << shift);
        }
        Ok(())
    }

    fn reset(&mut self) {
        for hart in &mut self.harts {
            hart.msip = false;
            hart.mtimecmp = u64::MAX;
            hart.msip_line.set(false);
        }
        self.clock.set(0);
        self.deadline_moved(true);
    }

    fn save(&mut self) -> Vec<u8> {
        let harts = self.harts.iter().map(|hart| (hart.msip, hart.mtimecmp));
        state::pack(&harts.collect::<Vec<_>>())
    }

    /// The time itself is its clock's.
    fn load(&mut self, state: &[u8]) -> Result<(), BadState> {
        let harts: Vec<(bool, u64)> = state::unpack(state)?;
        if harts.len() != self.harts.len() {
            return Err(BadState::new("another number of harts"));
        }
        for (hart, (msip, mtimecmp)) in self.harts.iter_mut().zip(harts) {
            (hart.msip, hart.mtimecmp) = (msip, mtimecmp);
            hart.msip_line.set(msip);
        }
        self.deadline_moved(true);
        Ok(())
    }

    fn names(&self) -> Names {
        |offset, _| match offset {
            ..MTIMECMP => Some(format!("msip[{}]", offset / 4)),
            MTIMECMP..MTIME => {
                let half = if offset % 8 == 4 { " (high)" } else { "" };
                Some(format!("mtimecmp[{}]{half}", (offset - MTIMECMP) / 8))
            }
            MTIME..END => Some(
                if offset == MTIME {
                    "mtime"
                } else {
                    "mtime (high)"
                }
                .into(),
            ),
            _ => None,
        }
    }

    fn registers(&self) -> Vec<Register> {
        let now = self.clock.now();
        let mut all = vec![Register::new("mtime", now)];
        for (n, hart) in self.harts.iter().enumerate() {
            let when = match hart.mtimecmp {
                u64::MAX => "never".into(),
                at if at <= now => "reached".into(),
                at => format!("in {} us", (at - now) / 10),
            };
            all.push(Register::new(format!("mtimecmp[{n}]"), hart.mtimecmp).meaning(when));
            all.push(Register::new(format!("msip[{n}]"), hart.msip));
        }
        all
    }

    fn node(&self) -> DtNode {
        DtNode {
            name: "clint",
            compatible: &["sifive,clint0", "riscv,clint0"],
            props: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use ruse_bus::VirtualClock;

    use super::*;
    use crate::backend::fakes::Lines;

    fn two_harts() -> (Aclint, Arc<VirtualClock>, Arc<Lines>) {
        let clock = Arc::new(VirtualClock::new(1));
        let lines = Arc::<Lines>::default();
        let aclint = Aclint::new(
            clock.clone(),
            vec![lines.line(0), lines.line(1)],
            vec![lines.line(2), lines.line(3)],
        );
        (aclint, clock, lines)
    }

    #[test]
    fn software_interrupts() {
        let (mut aclint, _, lines) = two_harts();
        aclint.write(4, Width::B4, 0xffff_ffff).unwrap();
        assert_eq!(lines.get(), 0b10);
        assert_eq!(aclint.read(4, Width::B4), Ok(1));
        assert_eq!(aclint.read(0, Width::B8), Ok(1 << 32));
        aclint.write(0, Width::B8, 1).unwrap();
        assert_eq!(lines.get(), 0b01);
        aclint.write(8, Width::B4, 1).unwrap();
        assert_eq!(aclint.read(8, Width::B4), Ok(0), "no third hart");
        assert_eq!(aclint.read(0, Width::B2), Err(AccessFault));
    }

    #[test]
    fn timers_fire_at_their_time_and_fall_when_moved() {
        let (mut aclint, clock, lines) = two_harts();
        assert_eq!(aclint.poll(), None);
        aclint.write(0x4000, Width::B8, 100).unwrap();
        aclint.write(0x4008, Width::B8, 50).unwrap();
        assert_eq!(aclint.poll(), Some(50));
        clock.retire(50);
        assert_eq!(aclint.poll(), Some(100));
        assert_eq!(lines.get(), 0b1000);
        clock.retire(50);
        assert_eq!(aclint.poll(), None);
        assert_eq!(lines.get(), 0b1100);
        aclint.write(0x4008, Width::B8, 200).unwrap();
        assert_eq!(lines.get(), 0b0100);
        aclint.write(0x4000, Width::B8, 0).unwrap();
        assert!(lines.high(2), "a past deadline fires at once");
    }

    #[test]
    fn halves_of_wide_registers() {
        let (mut aclint, clock, lines) = two_harts();
        clock.set(0x1_0000_0005);
        assert_eq!(aclint.read(0xbff8, Width::B4), Ok(5));
        assert_eq!(aclint.read(0xbffc, Width::B4), Ok(1));
        aclint.write(0x400c, Width::B4, 1).unwrap();
        assert_eq!(
            aclint.read(0x4008, Width::B8),
            Ok(0x1_ffff_ffff),
            "the other half stands"
        );
        aclint.write(0x4008, Width::B4, 4).unwrap();
        assert!(lines.high(3));
        aclint.write(0xbffc, Width::B4, 0).unwrap();
        assert_eq!(clock.now(), 5);
        assert!(!lines.high(3), "time turned back");
        assert_eq!(aclint.read(0x4010, Width::B8), Ok(0), "no third hart");
        assert_eq!(aclint.read(0xbff0, Width::B8), Ok(0));
        assert_eq!(aclint.read(0xc000, Width::B8), Ok(0));
    }

    #[test]
    fn an_earlier_deadline_wakes_the_sleeper() {
        #[derive(Default)]
        struct Count(AtomicU32);
        impl Wake for Count {
            fn wake(&self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let (mut aclint, clock, lines) = two_harts();
        let count = Arc::new(Count::default());
        aclint.set_waker(count.clone());
        for (deadline, wakes) in [(9, 1), (12, 1), (11, 2), (u64::MAX, 2)] {
            aclint.write(0x4000, Width::B8, deadline).unwrap();
            assert_eq!(count.0.load(Ordering::Relaxed), wakes, "{deadline}");
        }
        aclint.write(0xbff8, Width::B8, 1).unwrap();
        assert_eq!(count.0.load(Ordering::Relaxed), 3, "all deadlines moved");
        aclint.write(0x4000, Width::B8, 9).unwrap();
        aclint.write(0, Width::B4, 1).unwrap();
        clock.retire(20);
        aclint.poll();
        assert_eq!(lines.get(), 0b101);
        aclint.reset();
        assert_eq!((lines.get(), clock.now()), (0, 0));
    }
}
