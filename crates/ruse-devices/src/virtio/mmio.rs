//! Virtio over MMIO (virtio 1.2, section 4.2), version 2 of the register
//! layout. Registers are 32 bits wide; other widths reach the configuration
//! space at 0x100 only. Left out: shared memory regions (there are none),
//! notification data.

use std::sync::Arc;

use ruse_bus::{
    AccessFault, BadState, Device, DtNode, DtValue, IrqLine, Names, Ram, Register, Width, state,
};
use ruse_event::{Class, Tap, What};
use serde::{Deserialize, Serialize};

use super::queue::QueueState;
use super::{Queue, QueueError, VirtioDevice, feature};

/// Size of the register region, in bytes.
pub const SIZE: u64 = 0x1000;

/// "virt".
const MAGIC: u32 = 0x7472_6976;
const VERSION: u32 = 2;
/// "RUSE".
const VENDOR: u32 = 0x4553_5552;

mod reg {
    //! Offsets (table 4.1 of section 4.2.2).
    pub const MAGIC: u64 = 0x000;
    pub const VERSION: u64 = 0x004;
    pub const DEVICE_ID: u64 = 0x008;
    pub const VENDOR_ID: u64 = 0x00c;
    pub const DEVICE_FEATURES: u64 = 0x010;
    pub const DEVICE_FEATURES_SEL: u64 = 0x014;
    pub const DRIVER_FEATURES: u64 = 0x020;
    pub const DRIVER_FEATURES_SEL: u64 = 0x024;
    pub const QUEUE_SEL: u64 = 0x030;
    pub const QUEUE_NUM_MAX: u64 = 0x034;
    pub const QUEUE_NUM: u64 = 0x038;
    pub const QUEUE_READY: u64 = 0x044;
    pub const QUEUE_NOTIFY: u64 = 0x050;
    pub const INTERRUPT_STATUS: u64 = 0x060;
    pub const INTERRUPT_ACK: u64 = 0x064;
    pub const STATUS: u64 = 0x070;
    pub const QUEUE_DESC_LOW: u64 = 0x080;
    pub const QUEUE_DESC_HIGH: u64 = 0x084;
    pub const QUEUE_DRIVER_LOW: u64 = 0x090;
    pub const QUEUE_DRIVER_HIGH: u64 = 0x094;
    pub const QUEUE_DEVICE_LOW: u64 = 0x0a0;
    pub const QUEUE_DEVICE_HIGH: u64 = 0x0a4;
    pub const SHM_LEN_LOW: u64 = 0x0b0;
    pub const SHM_BASE_HIGH: u64 = 0x0bc;
    pub const QUEUE_RESET: u64 = 0x0c0;
    pub const CONFIG_GENERATION: u64 = 0x0fc;
    pub const CONFIG: u64 = 0x100;
}

mod status {
    //! Bits of the device status (section 2.1).
    pub const DRIVER_OK: u32 = 4;
    pub const FEATURES_OK: u32 = 8;
    pub const NEEDS_RESET: u32 = 64;
    pub const FAILED: u32 = 128;
}

const INTERRUPT_USED: u32 = 1;
const INTERRUPT_CONFIG: u32 = 2;

/// What there is in a snapshot.
#[derive(Serialize, Deserialize)]
struct State {
    device: u32,
    /// Of queues, of the device's features, and of the driver's.
    selected: [u32; 3],
    driver_features: u64,
    status: u32,
    interrupt: u32,
    generation: u32,
    queues: Vec<QueueState>,
    own: Vec<u8>,
}

/// A virtio device on the bus.
pub struct VirtioMmio<D> {
    device: D,
    ram: Arc<Ram>,
    irq: IrqLine,
    queues: Vec<Queue>,
    queue_sel: u32,
    device_features_sel: u32,
    driver_features_sel: u32,
    driver_features: u64,
    status: u32,
    interrupt: u32,
    generation: u32,
    tap: Tap,
}

impl<D: VirtioDevice> VirtioMmio<D> {
    /// Attaches `device`, whose queues lie in `ram`, and which raises `irq`.
    pub fn new(device: D, ram: Arc<Ram>, irq: IrqLine) -> Self {
        let queues = device.queue_sizes().iter().map(|&max| Queue::new(max));
        Self {
            queues: queues.collect(),
            device,
            ram,
            irq,
            queue_sel: 0,
            device_features_sel: 0,
            driver_features_sel: 0,
            driver_features: 0,
            status: 0,
            interrupt: 0,
            generation: 0,
            tap: Tap::NONE,
        }
    }

    /// From now on tells `tap` what it and its queues do.
    pub fn watch(&mut self, tap: &Tap) {
        self.tap = tap.clone();
        self.device.watch(tap);
        for (index, queue) in (0..).zip(&mut self.queues) {
            queue.watch(tap, index);
        }
    }

    /// The memory its queues lie in.
    pub fn ram(&self) -> &Arc<Ram> {
        &self.ram
    }

    /// The device.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// The device; see [`Self::drive`] for work that involves its queues.
    pub fn device_mut(&mut self) -> &mut D {
        &mut self.device
    }

    /// Lets the device work on its queues for a reason of the host's, if a
    /// driver has set it up.
    pub fn drive(
        &mut self,
        work: impl FnOnce(&mut D, &mut [Queue], &Ram) -> Result<(), QueueError>,
    ) {
        if !self.is_live() {
            return;
        }
        let result = work(&mut self.device, &mut self.queues, &self.ram);
        for queue in &mut self.queues {
            if queue.take_interrupt() {
                self.interrupt |= INTERRUPT_USED;
            }
        }
        if let Err(error) = result {
            self.broken(error);
        }
        self.settle();
    }

    /// The device's configuration changed by itself: tells the driver.
    pub fn config_changed(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        if self.is_live() {
            self.interrupt |= INTERRUPT_CONFIG;
            self.settle();
        }
    }

    /// Whether a driver has set it up.
    pub fn is_live(&self) -> bool {
        const SET: u32 = status::DRIVER_OK | status::FEATURES_OK;
        const CLEAR: u32 = status::NEEDS_RESET | status::FAILED;
        self.status & (SET | CLEAR) == SET
    }

    fn settle(&self) {
        self.irq.set(self.interrupt != 0);
    }

    fn offered(&self) -> u64 {
        self.device.features()
            | feature::VERSION_1
            | feature::INDIRECT_DESC
            | feature::EVENT_IDX
            | feature::RING_RESET
    }

    fn has(&self, feature: u64) -> bool {
        self.status & status::FEATURES_OK != 0 && self.driver_features & feature != 0
    }

    /// The driver broke the rules: stop, and say so (section 2.1.2).
    fn broken(&mut self, error: QueueError) {
        log::warn!(
            "virtio device {} stops until reset: {error}",
            self.device.device_id()
        );
        if self.status & status::DRIVER_OK != 0 {
            self.interrupt |= INTERRUPT_CONFIG;
        }
        self.status |= status::NEEDS_RESET;
    }

    fn notify(&mut self, index: usize) {
        self.drive(|device, queues, ram| match queues.get(index) {
            Some(queue) if queue.is_ready() => device.notify(index, queues, ram),
            _ => Ok(()),
        });
    }

    fn reset_device(&mut self) {
        self.device.stop();
        for queue in &mut self.queues {
            queue.negotiated(0);
            queue.reset();
        }
        self.queue_sel = 0;
        self.device_features_sel = 0;
        self.driver_features_sel = 0;
        self.driver_features = 0;
        self.status = 0;
        self.interrupt = 0;
        self.device.reset();
        self.settle();
    }

    fn set_status(&mut self, value: u32) {
        if value == 0 {
            return self.reset_device();
        }
        // Bits are only ever added; NEEDS_RESET is ours.
        let new = value & 0xff & !status::NEEDS_RESET & !self.status;
        self.status |= new;
        if new & status::FEATURES_OK != 0 {
            let features = self.driver_features;
            // A driver that does not accept VERSION_1 may be refused (6.2), but
            // teaching systems forget to, and there is no other version.
            if features & !self.offered() != 0 {
                log::warn!(
                    "virtio device {}: the driver's features {features:#x} do not fit the {:#x} offered",
                    self.device.device_id(),
                    self.offered()
                );
                self.status &= !status::FEATURES_OK;
            } else {
                for queue in &mut self.queues {
                    queue.negotiated(features);
                }
                self.device.negotiated(features);
            }
        }
        if new & status::DRIVER_OK != 0 {
            // Buffers may have been there before it was allowed to tell.
            for index in 0..self.queues.len() {
                self.notify(index);
            }
        }
    }

    fn set_queue(&mut self, offset: u64, value: u32) {
        let reset_allowed = self.has(feature::RING_RESET);
        let Some(queue) = self.queues.get_mut(self.queue_sel as usize) else {
            return;
        };
        let ends = match offset {
            reg::QUEUE_READY => queue.ready && value & 1 == 0,
            reg::QUEUE_RESET => value & 1 != 0 && reset_allowed,
            _ => false,
        };
        if ends {
            self.device.stop();
        }
        match (offset, queue.ready) {
            (reg::QUEUE_READY, false) if value & 1 != 0 => {
                if let Err(error) = queue.enable(&self.ram) {
                    self.broken(error);
                    self.settle();
                }
            }
            (reg::QUEUE_READY, true) if value & 1 == 0 => queue.ready = false,
            (reg::QUEUE_RESET, _) if value & 1 != 0 && reset_allowed => queue.reset(),
            (reg::QUEUE_NUM, false) => queue.size = u16::try_from(value).unwrap_or(u16::MAX),
            (reg::QUEUE_DESC_LOW, false) => set_low(&mut queue.desc, value),
            (reg::QUEUE_DESC_HIGH, false) => set_high(&mut queue.desc, value),
            (reg::QUEUE_DRIVER_LOW, false) => set_low(&mut queue.avail, value),
            (reg::QUEUE_DRIVER_HIGH, false) => set_high(&mut queue.avail, value),
            (reg::QUEUE_DEVICE_LOW, false) => set_low(&mut queue.used, value),
            (reg::QUEUE_DEVICE_HIGH, false) => set_high(&mut queue.used, value),
            _ => {}
        }
    }

    fn read_register(&self, offset: u64) -> u32 {
        let queue = self.queues.get(self.queue_sel as usize);
        match offset {
            reg::MAGIC => MAGIC,
            reg::VERSION => VERSION,
            reg::DEVICE_ID => self.device.device_id(),
            reg::VENDOR_ID => VENDOR,
            reg::DEVICE_FEATURES => half(self.offered(), self.device_features_sel),
            reg::QUEUE_NUM_MAX => queue.map_or(0, |q| q.max().into()),
            reg::QUEUE_READY => queue.map_or(0, |q| q.ready.into()),
            reg::INTERRUPT_STATUS => self.interrupt,
            reg::STATUS => self.status,
            // A region that does not exist is all ones long.
            reg::SHM_LEN_LOW..=reg::SHM_BASE_HIGH => u32::MAX,
            reg::CONFIG_GENERATION => self.generation,
            // QUEUE_RESET among them: a reset is over at once.
            _ => 0,
        }
    }

    fn write_register(&mut self, offset: u64, value: u32) {
        match offset {
            reg::DEVICE_FEATURES_SEL => self.device_features_sel = value,
            reg::DRIVER_FEATURES_SEL => self.driver_features_sel = value,
            reg::DRIVER_FEATURES if self.status & status::FEATURES_OK == 0 => {
                match self.driver_features_sel {
                    0 => set_low(&mut self.driver_features, value),
                    1 => set_high(&mut self.driver_features, value),
                    _ => {}
                }
            }
            reg::QUEUE_SEL => self.queue_sel = value,
            reg::QUEUE_NOTIFY => {
                self.tap.tell(Class::Queue, || What::Notify {
                    queue: value as u16,
                });
                self.notify(value as usize);
            }
            reg::INTERRUPT_ACK => {
                self.interrupt &= !value;
                self.settle();
            }
            reg::STATUS => self.set_status(value),
            _ => self.set_queue(offset, value),
        }
    }
}

fn half(value: u64, which: u32) -> u32 {
    match which {
        0 => value as u32,
        1 => (value >> 32) as u32,
        _ => 0,
    }
}

fn set_low(register: &mut u64, value: u32) {
    *register = *register & !u64::from(u32::MAX) | u64::from(value);
}

fn set_high(register: &mut u64, value: u32) {
    *register = *register & u64::from(u32::MAX) | u64::from(value) << 32;
}

impl<D: VirtioDevice> Device for VirtioMmio<D> {
    fn read(&mut self, offset: u64, width: Width) -> Result<u64, AccessFault> {
        if let Some(offset) = offset.checked_sub(reg::CONFIG) {
            let mut bytes = [0; 8];
            self.device
                .read_config(offset, &mut bytes[..width.bytes() as usize]);
            return Ok(u64::from_le_bytes(bytes));
        }
        Ok(match width {
            Width::B4 => self.read_register(offset).into(),
            _ => 0,
        })
    }

    fn write(&mut self, offset: u64, width: Width, value: u64) -> Result<(), AccessFault> {
        if let Some(offset) = offset.checked_sub(reg::CONFIG) {
            let bytes = value.to_le_bytes();
            self.device
                .write_config(offset, &bytes[..width.bytes() as usize]);
        } else if width == Width::B4 {
            self.write_register(offset, value as u32);
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.reset_device();
    }

    fn save(&mut self) -> Vec<u8> {
        self.device.put_back(&mut self.queues);
        state::pack(&State {
            device: self.device.device_id(),
            selected: [
                self.queue_sel,
                self.device_features_sel,
                self.driver_features_sel,
            ],
            driver_features: self.driver_features,
            status: self.status,
            interrupt: self.interrupt,
            generation: self.generation,
            queues: self.queues.iter().map(Queue::save).collect(),
            own: self.device.save(),
        })
    }

    fn load(&mut self, state: &[u8]) -> Result<(), BadState> {
        let state: State = state::unpack(state)?;
        if state.device != self.device.device_id() || state.queues.len() != self.queues.len() {
            return Err(BadState::new("of another kind of device"));
        }
        self.reset_device();
        let agreed = state.status & status::FEATURES_OK != 0;
        if agreed {
            let features = state.driver_features;
            let strange = features & !self.offered();
            if strange != 0 {
                return Err(BadState::new(format!(
                    "its driver uses features {strange:#x}, which are not offered"
                )));
            }
            for queue in &mut self.queues {
                queue.negotiated(features);
            }
            self.device.negotiated(features);
        }
        for (queue, state) in self.queues.iter_mut().zip(&state.queues) {
            queue.load(state, &self.ram)?;
        }
        [
            self.queue_sel,
            self.device_features_sel,
            self.driver_features_sel,
        ] = state.selected;
        self.driver_features = state.driver_features;
        self.status = state.status & 0xff;
        self.interrupt = state.interrupt & (INTERRUPT_USED | INTERRUPT_CONFIG);
        self.generation = state.generation;
        self.device.load(&state.own)?;
        self.settle();
        Ok(())
    }

    fn names(&self) -> Names {
        |offset, _| {
            let name = match offset {
                reg::MAGIC => "MagicValue",
                reg::VERSION => "Version",
                reg::DEVICE_ID => "DeviceID",
                reg::VENDOR_ID => "VendorID",
                reg::DEVICE_FEATURES => "DeviceFeatures",
                reg::DEVICE_FEATURES_SEL => "DeviceFeaturesSel",
                reg::DRIVER_FEATURES => "DriverFeatures",
                reg::DRIVER_FEATURES_SEL => "DriverFeaturesSel",
                reg::QUEUE_SEL => "QueueSel",
                reg::QUEUE_NUM_MAX => "QueueNumMax",
                reg::QUEUE_NUM => "QueueNum",
                reg::QUEUE_READY => "QueueReady",
                reg::QUEUE_NOTIFY => "QueueNotify",
                reg::INTERRUPT_STATUS => "InterruptStatus",
                reg::INTERRUPT_ACK => "InterruptACK",
                reg::STATUS => "Status",
                reg::QUEUE_DESC_LOW => "QueueDescLow",
                reg::QUEUE_DESC_HIGH => "QueueDescHigh",
                reg::QUEUE_DRIVER_LOW => "QueueDriverLow",
                reg::QUEUE_DRIVER_HIGH => "QueueDriverHigh",
                reg::QUEUE_DEVICE_LOW => "QueueDeviceLow",
                reg::QUEUE_DEVICE_HIGH => "QueueDeviceHigh",
                reg::QUEUE_RESET => "QueueReset",
                reg::CONFIG_GENERATION => "ConfigGeneration",
                reg::CONFIG.. => return Some(format!("Config+{:#x}", offset - reg::CONFIG)),
                _ => return None,
            };
            Some(name.into())
        }
    }

    fn registers(&self) -> Vec<Register> {
        let mut all = vec![
            Register::new("DeviceID", self.device.device_id()),
            Register::new("Status", self.status).bits(&[
                (1, "ACKNOWLEDGE"),
                (2, "DRIVER"),
                (status::DRIVER_OK.into(), "DRIVER_OK"),
                (status::FEATURES_OK.into(), "FEATURES_OK"),
                (status::NEEDS_RESET.into(), "NEEDS_RESET"),
                (status::FAILED.into(), "FAILED"),
            ]),
            Register::new("DeviceFeatures", self.offered()),
            Register::new("DriverFeatures", self.driver_features),
            Register::new("InterruptStatus", self.interrupt).bits(&[
                (INTERRUPT_USED.into(), "used buffers"),
                (INTERRUPT_CONFIG.into(), "configuration"),
            ]),
        ];
        for (n, queue) in self.queues.iter().enumerate().filter(|(_, q)| q.ready) {
            let size = Register::new(format!("queue {n}"), queue.size);
            all.push(size.meaning(format!(
                "descriptors at {:#x}, available at {:#x}, used at {:#x}",
                queue.desc, queue.avail, queue.used
            )));
        }
        all
    }

    fn node(&self) -> DtNode {
        DtNode {
            name: "virtio_mmio",
            compatible: &["virtio,mmio"],
            props: vec![("dma-coherent", DtValue::Empty)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Rng;
    use super::super::testing::{self, BASE, DATA, Driver, MODERN, VERSION_1};
    use super::*;
    use crate::backend::Entropy;

    struct Sevens;

    impl Entropy for Sevens {
        fn fill(&mut self, out: &mut [u8]) {
            out.fill(7);
        }
    }

    fn rng() -> Rng {
        Rng::new(Box::new(Sevens))
    }

    #[test]
    fn it_introduces_itself() {
        let mut driver = Driver::idle(rng());
        let id: Vec<u32> = (0..4).map(|n| driver.get(4 * n)).collect();
        assert_eq!(id, [0x7472_6976, 2, 4, u32::from_le_bytes(*b"RUSE")]);
        assert_eq!(driver.offered(), MODERN | feature::RING_RESET);
        driver.put(0x14, 2);
        assert_eq!(driver.get(0x10), 0);
        driver.put(0xac, 0);
        for register in [0xb0, 0xb4, 0xb8, 0xbc] {
            assert_eq!(driver.get(register), u32::MAX);
        }
        driver.put(0x30, 0);
        assert_eq!(driver.get(0x34), 64);
        driver.put(0x30, 1);
        assert_eq!((driver.get(0x34), driver.get(0x44)), (0, 0));
        assert_eq!(driver.mmio.read(0x1, Width::B1), Ok(0));
    }

    #[test]
    fn features_must_fit() {
        let mut driver = Driver::idle(rng());
        for (features, fits) in [
            (0, true),
            (VERSION_1 | 1 << 3, false),
            (1 << 33, false),
            (VERSION_1, true),
        ] {
            driver.put(0x70, 0);
            driver.put(0x70, 3);
            driver.accept(features);
            driver.put(0x70, 11);
            assert_eq!(driver.get(0x70), if fits { 11 } else { 3 }, "{features:#x}");
        }
    }

    #[test]
    fn nothing_happens_before_driver_ok_and_then_what_waits_does() {
        let mut driver = Driver::idle(rng());
        driver.put(0x70, 3);
        driver.accept(VERSION_1);
        driver.put(0x70, 11);
        driver.set_up(0);
        driver.send(0, &[(DATA, 10, true)]);
        assert_eq!(driver.used(0), None);
        driver.put(0x70, 15);
        assert_eq!(driver.used(0), Some((0, 10)));
        assert_eq!(driver.bytes(DATA, 11), [7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0]);
        assert_eq!(driver.interrupted(), 1);
    }

    #[test]
    fn a_broken_ring_stops_the_device_until_reset() {
        for (desc, size) in [
            (BASE + 8, 16),
            (BASE + testing::RAM_SIZE - 16, 16),
            (u64::MAX - 15, 16),
            (BASE, 12),
            (BASE, 128),
            (BASE, 0x1_0010),
        ] {
            let mut driver = Driver::new(rng(), VERSION_1);
            driver.put(0x44, 0);
            driver.put(0x38, size);
            driver.put(0x80, desc as u32);
            driver.put(0x84, (desc >> 32) as u32);
            driver.put(0x44, 1);
            assert_eq!(driver.get(0x44), 0);
            assert!(driver.needs_reset(), "{desc:#x} {size}");
            assert_eq!(driver.interrupted(), 2);
            driver.start(VERSION_1);
            driver.send(0, &[(DATA, 1, true)]);
            assert_eq!(driver.used(0), Some((0, 1)));
        }
    }

    #[test]
    fn one_queue_can_be_reset() {
        let mut driver = Driver::new(rng(), MODERN | feature::RING_RESET);
        driver.send(0, &[(DATA, 4, true)]);
        assert_eq!(driver.used(0), Some((0, 4)));
        driver.put(0xc0, 1);
        assert_eq!((driver.get(0xc0), driver.get(0x44)), (0, 0));
        driver.notify(0);
        driver.set_up(0);
        driver.send(0, &[(DATA, 5, true)]);
        assert_eq!(driver.used(0), Some((0, 5)));
        assert!(!driver.needs_reset());
    }

    #[test]
    fn reset_is_complete() {
        let mut driver = Driver::new(rng(), MODERN);
        driver.send(0, &[(DATA, 4, true)]);
        assert!(driver.lines.high(0));
        driver.mmio.reset();
        assert!(!driver.lines.high(0));
        for register in [0x44, 0x60, 0x70] {
            assert_eq!(driver.get(register), 0);
        }
        driver.notify(0);
        driver.notify(usize::MAX);
        assert!(!driver.lines.high(0));
    }

    #[test]
    fn queue_registers_hold_still_while_the_queue_is_ready() {
        let mut driver = Driver::new(rng(), VERSION_1);
        driver.put(0x38, 3);
        driver.put(0x80, 0);
        driver.put(0x94, 0xffff_ffff);
        driver.send(0, &[(DATA, 4, true)]);
        assert_eq!(driver.used(0), Some((0, 4)));
    }
}
