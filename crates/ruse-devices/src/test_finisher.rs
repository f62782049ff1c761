//! The SiFive test finisher: one register with which the guest ends or
//! restarts the machine (SiFive FU540 manual lineage, device tree bindings
//! `sifive,test0` and `sifive,test1`, usable as a `syscon`).
//!
//! Writing 0x5555 powers off with success, 0x3333 powers off with the failure
//! code in bits 31:16, 0x7777 resets. Reads give zero.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use ruse_bus::{AccessFault, Device, DtNode, Names, Wake, Width};

/// Written to power off with success.
pub const PASS: u32 = 0x5555;
/// Written in bits 15:0 to power off with the code in bits 31:16.
pub const FAIL: u32 = 0x3333;
/// Written to reset the board.
pub const RESET: u32 = 0x7777;

/// What a guest asks of its power supply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// Switch off; zero means success.
    Off {
        /// The guest's exit code.
        code: u32,
    },
    /// Switch off and on again.
    Reboot,
}

/// Where whoever runs the machine finds the guest's wish. The first one
/// stands until it is taken.
#[derive(Default)]
pub struct PowerRequest {
    pending: AtomicBool,
    power: Mutex<Option<Power>>,
    waker: Option<Arc<dyn Wake>>,
}

impl PowerRequest {
    /// No request yet; `waker` hears of the first one.
    pub fn new(waker: Option<Arc<dyn Wake>>) -> Self {
        Self {
            waker,
            ..Self::default()
        }
    }

    /// Asks for `power`.
    pub fn request(&self, power: Power) {
        self.power
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .get_or_insert(power);
        self.pending.store(true, Ordering::Release);
        if let Some(waker) = &self.waker {
            waker.wake();
        }
    }

    /// Whether there is a request; costs one load.
    #[inline]
    pub fn is_pending(&self) -> bool {
        self.pending.load(Ordering::Acquire)
    }

    /// Takes the request, if there is one.
    pub fn take(&self) -> Option<Power> {
        if !self.is_pending() {
            return None;
        }
        let mut power = self.power.lock().unwrap_or_else(|e| e.into_inner());
        self.pending.store(false, Ordering::Release);
        power.take()
    }
}

/// The test finisher.
pub struct TestFinisher {
    power: Arc<PowerRequest>,
}

impl TestFinisher {
    /// A finisher that reports to `power`.
    pub fn new(power: Arc<PowerRequest>) -> Self {
        Self { power }
    }
}

impl Device for TestFinisher {
    fn read(&mut self, _: u64, _: Width) -> Result<u64, AccessFault> {
        Ok(0)
    }

    fn write(&mut self, offset: u64, _: Width, value: u64) -> Result<(), AccessFault> {
        if offset != 0 {
            return Ok(());
        }
        let value = value as u32;
        let code = value >> 16;
        match value & 0xffff {
            PASS => self.power.request(Power::Off { code: 0 }),
            // A failure is a failure even when the guest forgot to say which.
            FAIL => self.power.request(Power::Off { code: code.max(1) }),
            RESET => self.power.request(Power::Reboot),
            _ => log::debug!("test finisher: {value:#x} means nothing"),
        }
        Ok(())
    }

    fn reset(&mut self) {}

    fn names(&self) -> Names {
        |offset, _| (offset == 0).then(|| "FINISHER".into())
    }

    fn node(&self) -> DtNode {
        DtNode {
            name: "test",
            compatible: &["sifive,test1", "sifive,test0", "syscon"],
            props: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_its_meaning_and_the_first_wish_stands() {
        let power = Arc::new(PowerRequest::default());
        let mut finisher = TestFinisher::new(power.clone());
        for (value, expected) in [
            (0x5555, Some(Power::Off { code: 0 })),
            (0x2a_3333, Some(Power::Off { code: 42 })),
            (0x3333, Some(Power::Off { code: 1 })),
            (0x7777, Some(Power::Reboot)),
            (0x1234, None),
        ] {
            finisher.write(0, Width::B4, value).unwrap();
            assert_eq!(power.is_pending(), expected.is_some());
            assert_eq!(power.take(), expected, "{value:#x}");
        }
        finisher.write(4, Width::B4, 0x5555).unwrap();
        assert_eq!(power.take(), None);
        finisher.write(0, Width::B2, 0x5555).unwrap();
        finisher.write(0, Width::B4, 0x7777).unwrap();
        assert_eq!(power.take(), Some(Power::Off { code: 0 }));
        assert_eq!(power.take(), None);
        assert_eq!(finisher.read(0, Width::B4), Ok(0));
    }
}
