//! The input device (virtio 1.2, section 5.8), as the one key that a machine
//! without a keyboard has: its power button.
//!
//! Linux's `virtio_input` makes an event device of it, which udev takes for a
//! power switch because it has keys; systemd's logind powers off when it is
//! pressed. Left out: LEDs and whatever else a driver may send to a device
//! with outputs.

use std::collections::VecDeque;

use ruse_bus::{BadState, Ram, state};

use super::{Chain, Queue, QueueError, VirtioDevice, VirtioMmio, copy_config};

const EVENTS: usize = 0;
const STATUS: usize = 1;

/// What the driver may select to read (section 5.8.4).
mod select {
    pub const NAME: u8 = 0x01;
    pub const SERIAL: u8 = 0x02;
    pub const IDS: u8 = 0x03;
    pub const EVENT_BITS: u8 = 0x11;
}

/// Where what was selected is found in the configuration.
const CONFIG_VALUE: usize = 8;
/// How much room there is for it.
const VALUE_SIZE: usize = 128;

// Linux's `input-event-codes.h`, which the specification refers to.
const EV_SYN: u16 = 0;
const EV_KEY: u16 = 1;
const SYN_REPORT: u16 = 0;
const KEY_POWER: u16 = 116;

/// The bus type for a device that is on none known (`BUS_VIRTUAL`).
const BUS: u16 = 6;
const NAME: &[u8] = b"Ruse Power Button";
const SERIAL: &[u8] = b"power0";

/// Type, code and value of what happens when the key goes down and up again.
const PRESS: [(u16, u16, u32); 4] = [
    (EV_KEY, KEY_POWER, 1),
    (EV_SYN, SYN_REPORT, 0),
    (EV_KEY, KEY_POWER, 0),
    (EV_SYN, SYN_REPORT, 0),
];

/// A power button.
#[derive(Default)]
pub struct Input {
    selected: [u8; 2],
    /// Events that wait for the driver's buffers.
    waiting: VecDeque<(u16, u16, u32)>,
}

impl Input {
    /// A button that nobody presses.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the driver has selected; empty for what there is not.
    fn value(&self) -> Vec<u8> {
        match self.selected {
            [select::NAME, 0] => NAME.to_vec(),
            [select::SERIAL, 0] => SERIAL.to_vec(),
            // Bus, vendor, product and version.
            [select::IDS, 0] => [BUS, 0, 0, 1]
                .iter()
                .flat_map(|id| id.to_le_bytes())
                .collect(),
            [select::EVENT_BITS, kind] if u16::from(kind) == EV_KEY => {
                let mut bits = vec![0; usize::from(KEY_POWER) / 8 + 1];
                bits[usize::from(KEY_POWER) / 8] = 1 << (KEY_POWER % 8);
                bits
            }
            _ => Vec::new(),
        }
    }

    /// Gives waiting events to the driver as far as it has buffers, one each.
    fn deliver(&mut self, queue: &mut Queue, ram: &Ram) -> Result<(), QueueError> {
        let result = self.deliver_some(queue, ram);
        result.and(queue.publish(ram))
    }

    fn deliver_some(&mut self, queue: &mut Queue, ram: &Ram) -> Result<(), QueueError> {
        let mut chain = Chain::default();
        while let Some(&(kind, code, value)) = self.waiting.front() {
            if !queue.pop(ram, &mut chain)? {
                if queue.arm(ram)? {
                    continue;
                }
                return Ok(());
            }
            let mut event = [0; 8];
            event[0..2].copy_from_slice(&kind.to_le_bytes());
            event[2..4].copy_from_slice(&code.to_le_bytes());
            event[4..8].copy_from_slice(&value.to_le_bytes());
            let written = chain.writer(ram).write(&event)?;
            self.waiting.pop_front();
            queue.push(ram, chain.head(), written as u32)?;
        }
        Ok(())
    }
}

impl VirtioDevice for Input {
    fn device_id(&self) -> u32 {
        18
    }

    fn features(&self) -> u64 {
        0
    }

    fn queue_sizes(&self) -> &[u16] {
        &[64, 64]
    }

    fn read_config(&self, offset: u64, out: &mut [u8]) {
        let mut space = [0; CONFIG_VALUE + VALUE_SIZE];
        let value = self.value();
        space[..2].copy_from_slice(&self.selected);
        space[2] = value.len() as u8;
        space[CONFIG_VALUE..CONFIG_VALUE + value.len()].copy_from_slice(&value);
        copy_config(&space, offset, out);
    }

    fn write_config(&mut self, offset: u64, bytes: &[u8]) {
        for (at, &byte) in (offset..).zip(bytes) {
            if let Some(selected) = usize::try_from(at)
                .ok()
                .and_then(|at| self.selected.get_mut(at))
            {
                *selected = byte;
            }
        }
    }

    fn notify(&mut self, index: usize, queues: &mut [Queue], ram: &Ram) -> Result<(), QueueError> {
        match index {
            EVENTS => self.deliver(&mut queues[EVENTS], ram),
            // There is nothing to light up.
            STATUS => queues[STATUS].serve(ram, |_| Ok(0)),
            _ => Ok(()),
        }
    }

    fn reset(&mut self) {
        self.selected = [0; 2];
        self.waiting.clear();
    }

    fn save(&mut self) -> Vec<u8> {
        state::pack(&(self.selected, &self.waiting))
    }

    fn load(&mut self, state: &[u8]) -> Result<(), BadState> {
        (self.selected, self.waiting) = state::unpack(state)?;
        // One press at a time.
        self.waiting.truncate(PRESS.len());
        Ok(())
    }
}

impl VirtioMmio<Input> {
    /// Somebody presses the button and lets it go. False if the guest has no
    /// driver for it, or has not taken the last time yet.
    pub fn press(&mut self) -> bool {
        if !self.is_live() || !self.device().waiting.is_empty() {
            return false;
        }
        self.device_mut().waiting.extend(PRESS);
        self.drive(|input, queues, ram| input.deliver(&mut queues[EVENTS], ram));
        true
    }
}

#[cfg(test)]
mod tests {
    use ruse_bus::{Device, Width};

    use super::super::testing::{DATA, Driver, MODERN, desc};
    use super::*;

    fn selected(driver: &mut Driver<Input>, select: u8, sub: u8) -> Vec<u8> {
        driver.mmio.write(0x100, Width::B1, select.into()).unwrap();
        driver.mmio.write(0x101, Width::B1, sub.into()).unwrap();
        let size = driver.mmio.read(0x102, Width::B1).unwrap();
        (0..size)
            .map(|at| driver.mmio.read(0x108 + at, Width::B1).unwrap() as u8)
            .collect()
    }

    /// Makes `count` buffers of 8 bytes available.
    fn offer(driver: &mut Driver<Input>, count: u16) {
        for n in 0..count {
            let at = DATA + 8 * u64::from(n);
            driver.set_chain(desc(EVENTS), n, &[(at, 8, true)]);
            driver.make_available(EVENTS, n);
        }
        driver.notify(EVENTS);
    }

    #[test]
    fn it_is_a_power_button_and_nothing_else() {
        let mut driver = Driver::new(Input::new(), MODERN);
        assert_eq!(driver.get(0x8), 18);
        assert_eq!(selected(&mut driver, 1, 0), NAME);
        assert_eq!(selected(&mut driver, 2, 0), SERIAL);
        assert_eq!(selected(&mut driver, 3, 0), [6, 0, 0, 0, 0, 0, 1, 0]);
        let keys = selected(&mut driver, 0x11, 1);
        let set: Vec<usize> = (0..8 * keys.len())
            .filter(|key| keys[key / 8] & 1 << (key % 8) != 0)
            .collect();
        assert_eq!(set, [116]);
        // No properties, no relative or absolute axes, no LEDs, no such thing.
        for (select, sub) in [
            (0, 0),
            (1, 1),
            (0x10, 0),
            (0x11, 0),
            (0x11, 2),
            (0x11, 3),
            (0x11, 0x11),
            (0x12, 0),
            (0xff, 0xff),
        ] {
            assert_eq!(selected(&mut driver, select, sub), [], "{select} {sub}");
        }
        driver.mmio.write(0x108, Width::B8, u64::MAX).unwrap();
        driver.mmio.write(0xff8, Width::B8, u64::MAX).unwrap();
        assert_eq!(driver.mmio.read(0xff8, Width::B8), Ok(0));
    }

    #[test]
    fn a_press_is_down_and_up() {
        let mut driver = Driver::new(Input::new(), MODERN);
        offer(&mut driver, 8);
        driver.interrupted();
        assert!(driver.mmio.press());
        assert_eq!(driver.interrupted(), 1);
        for head in 0..4 {
            assert_eq!(driver.used(EVENTS), Some((head, 8)));
        }
        assert_eq!(driver.used(EVENTS), None);
        let events = driver.bytes(DATA, 40);
        assert_eq!(events[0..8], [1, 0, 116, 0, 1, 0, 0, 0]);
        assert_eq!(events[8..16], [0; 8]);
        assert_eq!(events[16..24], [1, 0, 116, 0, 0, 0, 0, 0]);
        assert_eq!(events[24..40], [0; 16]);
    }

    #[test]
    fn events_wait_for_buffers_and_no_second_press_does() {
        let mut driver = Driver::new(Input::new(), MODERN);
        offer(&mut driver, 1);
        assert!(driver.mmio.press());
        assert_eq!(driver.used(EVENTS), Some((0, 8)));
        assert_eq!(driver.used(EVENTS), None);
        assert!(!driver.mmio.press());
        offer(&mut driver, 8);
        for head in 0..3 {
            assert_eq!(driver.used(EVENTS), Some((head, 8)));
        }
        assert_eq!(driver.used(EVENTS), None);
        assert!(driver.mmio.press());
    }

    #[test]
    fn without_a_driver_nobody_notices() {
        let mut driver = Driver::idle(Input::new());
        assert!(!driver.mmio.press());
        driver.start(MODERN);
        offer(&mut driver, 4);
        assert_eq!(driver.used(EVENTS), None, "what was pressed before is gone");
        assert!(driver.mmio.press());
        driver.mmio.reset();
        assert!(!driver.mmio.press());
    }

    #[test]
    fn what_is_sent_to_it_is_taken_and_ignored() {
        let mut driver = Driver::new(Input::new(), MODERN);
        driver.send(STATUS, &[(DATA, 8, false)]);
        assert_eq!(driver.used(STATUS), Some((0, 0)));
        assert!(!driver.needs_reset());
    }

    #[test]
    fn a_buffer_that_cannot_hold_an_event_breaks_nothing_else() {
        let mut driver = Driver::new(Input::new(), MODERN);
        driver.send(EVENTS, &[(DATA, 3, true)]);
        assert!(driver.mmio.press());
        assert_eq!(driver.used(EVENTS), Some((0, 3)));
        driver.send(EVENTS, &[(u64::MAX - 3, 8, true)]);
        assert!(driver.needs_reset());
    }
}
