//! What somebody beside the machine can press, from any thread.

use std::sync::{Arc, Mutex};

use ruse_devices::virtio::{Input, VirtioMmio};
use ruse_devices::{ConsoleIn, Uart};

use crate::board::Parts;
use crate::lock;

/// The ways to ask a guest to switch off.
#[derive(Clone)]
pub struct Buttons {
    power: Arc<Mutex<VirtioMmio<Input>>>,
    uart: Arc<Mutex<Uart>>,
    /// What comes in is recorded, and this would not be.
    recorded: bool,
}

impl Buttons {
    pub(crate) fn new(parts: &Parts) -> Self {
        Self {
            power: parts.button.clone(),
            uart: parts.uart.clone(),
            recorded: parts.recorded,
        }
    }

    /// Presses the power button. False if the guest has no driver for it, or what comes in
    /// is recorded.
    pub fn press_power(&self) -> bool {
        !self.recorded && lock(&self.power).press()
    }

    /// Sends a break and `key` over the serial line, which Linux takes for
    /// SysRq with that key (its `Documentation/admin-guide/sysrq.rst`). False
    /// if there is no room on the line, since the guest does not read.
    pub fn sysrq(&self, key: u8) -> bool {
        let mut uart = lock(&self.uart);
        !self.recorded && uart.room() >= 2 && uart.receive_break() && uart.receive(&[key]) == 1
    }
}
