//! The real-time clock of the Goldfish platform (Android emulator,
//! `GOLDFISH-VIRTUAL-HARDWARE.TXT`, "Goldfish real-time clock").
//!
//! | offset | register |
//! |---|---|
//! | 0x00 | `TIME_LOW`: reading latches `TIME_HIGH` |
//! | 0x04 | `TIME_HIGH` |
//! | 0x08 | `ALARM_LOW`: writing arms the alarm |
//! | 0x0c | `ALARM_HIGH` |
//! | 0x10 | `IRQ_ENABLED` |
//! | 0x14 | `CLEAR_ALARM`: writing disarms it |
//! | 0x18 | `ALARM_STATUS`: 1 while armed |
//! | 0x1c | `CLEAR_INTERRUPT`: writing lowers the interrupt |
//!
//! Times are nanoseconds since 1970. Writing `TIME_HIGH` then `TIME_LOW` sets
//! the guest's clock; the host's stays as it is.

use std::sync::Arc;

use ruse_bus::{
    AccessFault, BadState, Device, DtNode, IrqLine, Names, Register, Wake, Width, state,
};

use crate::backend::WallClock;

const TIME_LOW: u64 = 0x00;
const TIME_HIGH: u64 = 0x04;
const ALARM_LOW: u64 = 0x08;
const ALARM_HIGH: u64 = 0x0c;
const IRQ_ENABLED: u64 = 0x10;
const CLEAR_ALARM: u64 = 0x14;
const ALARM_STATUS: u64 = 0x18;
const CLEAR_INTERRUPT: u64 = 0x1c;

/// A Goldfish real-time clock.
///
/// Time passes without it: whoever runs the machine calls
/// [`GoldfishRtc::poll`] when the deadline that it named has come.
pub struct GoldfishRtc {
    clock: Box<dyn WallClock>,
    irq: IrqLine,
    /// Guest time less the host's.
    offset: u64,
    /// `TIME_HIGH` as of the last read of `TIME_LOW`.
    latched: u32,
    alarm: u64,
    armed: bool,
    pending: bool,
    enabled: bool,
    waker: Option<Arc<dyn Wake>>,
}

impl GoldfishRtc {
    /// A clock that shows the time of `clock`.
    pub fn new(clock: Box<dyn WallClock>, irq: IrqLine) -> Self {
        Self {
            clock,
            irq,
            offset: 0,
            latched: 0,
            alarm: 0,
            armed: false,
            pending: false,
            enabled: false,
            waker: None,
        }
    }

    /// Has `waker` called when the guest arms the alarm, for a run loop that
    /// sleeps until the deadline it knows.
    pub fn set_waker(&mut self, waker: Arc<dyn Wake>) {
        self.waker = Some(waker);
    }

    fn now(&self) -> u64 {
        self.clock.unix_nanos().wrapping_add(self.offset)
    }

    fn set_now(&mut self, time: u64) {
        self.offset = time.wrapping_sub(self.clock.unix_nanos());
    }

    /// Fires the alarm if it is due. Returns the time of the [`WallClock`] at
    /// which to ask again, unless no alarm is armed.
    pub fn poll(&mut self) -> Option<u64> {
        if self.armed && self.now() >= self.alarm {
            self.armed = false;
            self.pending = true;
        }
        self.irq.set(self.pending && self.enabled);
        self.armed.then(|| self.alarm.wrapping_sub(self.offset))
    }
}

/// `old` with its low or high half replaced.
fn with_half(old: u64, high: bool, half: u32) -> u64 {
    if high {
        old & u64::from(u32::MAX) | u64::from(half) << 32
    } else {
        old & !u64::from(u32::MAX) | u64::from(half)
    }
}

impl Device for GoldfishRtc {
    fn read(&mut self, offset: u64, width: Width) -> Result<u64, AccessFault> {
        if width != Width::B4 {
            return Err(AccessFault);
        }
        self.poll();
        let value = match offset {
            TIME_LOW => {
                let now = self.now();
                self.latched = (now >> 32) as u32;
                now as u32
            }
            TIME_HIGH => self.latched,
            ALARM_LOW => self.alarm as u32,
            ALARM_HIGH => (self.alarm >> 32) as u32,
            IRQ_ENABLED => self.enabled.into(),
            ALARM_STATUS => self.armed.into(),
            _ => 0,
        };
        Ok(value.into())
    }

    fn write(&mut self, offset: u64, width: Width, value: u64) -> Result<(), AccessFault> {
        if width != Width::B4 {
            return Err(AccessFault);
        }
        let value = value as u32;
        match offset {
            TIME_LOW => self.set_now(with_half(self.now(), false, value)),
            TIME_HIGH => self.set_now(with_half(self.now(), true, value)),
            ALARM_LOW => {
                self.alarm = with_half(self.alarm, false, value);
                self.armed = true;
            }
            ALARM_HIGH => self.alarm = with_half(self.alarm, true, value),
            IRQ_ENABLED => self.enabled = value & 1 != 0,
            CLEAR_ALARM => self.armed = false,
            CLEAR_INTERRUPT => self.pending = false,
            _ => {}
        }
        self.poll();
        if let Some(waker) = self.waker.as_ref().filter(|_| self.armed) {
            waker.wake();
        }
        Ok(())
    }

    /// The time itself runs on, as behind a battery.
    fn reset(&mut self) {
        self.latched = 0;
        self.alarm = 0;
        self.armed = false;
        self.pending = false;
        self.enabled = false;
        self.irq.set(false);
    }

    fn save(&mut self) -> Vec<u8> {
        let flags = (self.armed, self.pending, self.enabled);
        state::pack(&(self.offset, self.latched, self.alarm, flags))
    }

    /// The time goes on meanwhile, as behind a battery.
    fn load(&mut self, state: &[u8]) -> Result<(), BadState> {
        let flags;
        (self.offset, self.latched, self.alarm, flags) = state::unpack(state)?;
        (self.armed, self.pending, self.enabled) = flags;
        self.poll();
        if let Some(waker) = self.waker.as_ref().filter(|_| self.armed) {
            waker.wake();
        }
        Ok(())
    }

    fn names(&self) -> Names {
        |offset, _| {
            let name = match offset {
                TIME_LOW => "TIME_LOW",
                TIME_HIGH => "TIME_HIGH",
                ALARM_LOW => "ALARM_LOW",
                ALARM_HIGH => "ALARM_HIGH",
                IRQ_ENABLED => "IRQ_ENABLED",
                CLEAR_ALARM => "CLEAR_ALARM",
                ALARM_STATUS => "ALARM_STATUS",
                CLEAR_INTERRUPT => "CLEAR_INTERRUPT",
                _ => return None,
            };
            Some(name.into())
        }
    }

    fn registers(&self) -> Vec<Register> {
        vec![
            Register::new("TIME", self.now()).meaning("nanoseconds since 1970"),
            Register::new("ALARM", self.alarm).meaning(match self.armed {
                true => "armed",
                false => "not armed",
            }),
            Register::new("IRQ_ENABLED", self.enabled),
            Register::new("pending", self.pending),
        ]
    }

    fn node(&self) -> DtNode {
        DtNode {
            name: "rtc",
            compatible: &["google,goldfish-rtc"],
            props: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::backend::fakes::Lines;

    #[derive(Clone)]
    struct Hands(Arc<AtomicU64>);

    impl WallClock for Hands {
        fn unix_nanos(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn rig(now: u64) -> (GoldfishRtc, Hands, Arc<Lines>) {
        let hands = Hands(Arc::new(AtomicU64::new(now)));
        let lines = Arc::<Lines>::default();
        let rtc = GoldfishRtc::new(Box::new(hands.clone()), lines.line(0));
        (rtc, hands, lines)
    }

    fn get(rtc: &mut GoldfishRtc, at: u64) -> u64 {
        rtc.read(at, Width::B4).unwrap()
    }

    fn put(rtc: &mut GoldfishRtc, at: u64, value: u64) {
        rtc.write(at, Width::B4, value).unwrap();
    }

    #[test]
    fn the_halves_belong_together() {
        let (mut rtc, hands, _) = rig(0x1_ffff_ffff);
        assert_eq!(get(&mut rtc, 0), 0xffff_ffff);
        hands.0.store(0x2_0000_0000, Ordering::Relaxed);
        assert_eq!(get(&mut rtc, 4), 1);
        assert_eq!(get(&mut rtc, 0), 0);
        assert_eq!(get(&mut rtc, 4), 2);
        assert_eq!(rtc.read(0, Width::B8), Err(AccessFault));
    }

    #[test]
    fn the_guest_sets_its_own_time() {
        let (mut rtc, hands, _) = rig(1000);
        put(&mut rtc, 4, 7);
        put(&mut rtc, 0, 5);
        hands.0.fetch_add(10, Ordering::Relaxed);
        assert_eq!((get(&mut rtc, 0), get(&mut rtc, 4)), (15, 7));
        rtc.reset();
        assert_eq!((get(&mut rtc, 0), get(&mut rtc, 4)), (15, 7));
    }

    #[test]
    fn the_alarm_rings_once_and_asks_in_host_time() {
        let (mut rtc, hands, lines) = rig(1000);
        put(&mut rtc, 0, 500); // guest time lags by 500
        put(&mut rtc, 0x10, 1);
        put(&mut rtc, 0x0c, 0);
        put(&mut rtc, 0x08, 600);
        assert_eq!(rtc.poll(), Some(1100));
        assert_eq!(get(&mut rtc, 0x18), 1);
        hands.0.store(1100, Ordering::Relaxed);
        assert_eq!(rtc.poll(), None);
        assert!(lines.high(0));
        assert_eq!(get(&mut rtc, 0x18), 0);
        put(&mut rtc, 0x10, 0);
        assert!(!lines.high(0));
        put(&mut rtc, 0x10, 1);
        assert!(lines.high(0));
        put(&mut rtc, 0x1c, 1);
        assert!(!lines.high(0));
        put(&mut rtc, 0x08, 700);
        put(&mut rtc, 0x14, 1);
        hands.0.store(5000, Ordering::Relaxed);
        assert_eq!(rtc.poll(), None);
        assert!(!lines.high(0), "disarmed");
        put(&mut rtc, 0x08, 1);
        assert!(lines.high(0), "a past alarm rings at once");
    }
}
