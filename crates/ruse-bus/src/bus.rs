//! The map from guest-physical addresses to RAM and devices.

use std::sync::{Arc, Mutex};

use thiserror::Error;

use crate::device::{AccessFault, Device, Width};
use crate::ram::Ram;

/// Why a device could not be placed.
#[derive(Debug, Error)]
pub enum MapError {
    /// The region is empty or wraps around.
    #[error("device {name}: bad region of {size:#x} bytes at {base:#x}")]
    Shape {
        /// The device.
        name: String,
        /// Guest-physical base.
        base: u64,
        /// Size in bytes.
        size: u64,
    },
    /// The region overlaps another.
    #[error("device {name} at {base:#x} overlaps {other}")]
    Overlap {
        /// The device.
        name: String,
        /// Guest-physical base.
        base: u64,
        /// What was there first.
        other: String,
    },
}

/// One device's place on the bus.
#[derive(Clone)]
pub struct Region {
    /// Name, unique on the board: `uart0`, `plic`.
    pub name: String,
    /// Guest-physical base.
    pub base: u64,
    /// Size in bytes.
    pub size: u64,
    /// The device.
    pub device: Arc<Mutex<dyn Device>>,
}

/// The guest-physical address space.
pub struct Bus {
    ram: Arc<Ram>,
    regions: Vec<Region>,
}

impl Bus {
    /// A bus with RAM and no device.
    pub fn new(ram: Arc<Ram>) -> Self {
        Self {
            ram,
            regions: Vec::new(),
        }
    }

    /// The guest's RAM.
    #[inline]
    pub fn ram(&self) -> &Arc<Ram> {
        &self.ram
    }

    /// The devices, by ascending address.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// Places a device.
    ///
    /// # Errors
    /// [`MapError`] when the region is empty, wraps, or overlaps RAM or
    /// another device.
    pub fn map(
        &mut self,
        name: &str,
        base: u64,
        size: u64,
        device: Arc<Mutex<dyn Device>>,
    ) -> Result<(), MapError> {
        let end = match base.checked_add(size) {
            Some(end) if size > 0 => end,
            _ => {
                return Err(MapError::Shape {
                    name: name.into(),
                    base,
                    size,
                });
            }
        };
        let overlaps = |b: u64, s: u64| base < b + s && b < end;
        let other = if overlaps(self.ram.base(), self.ram.size()) {
            Some("RAM".to_owned())
        } else {
            self.regions
                .iter()
                .find(|r| overlaps(r.base, r.size))
                .map(|r| r.name.clone())
        };
        if let Some(other) = other {
            return Err(MapError::Overlap {
                name: name.into(),
                base,
                other,
            });
        }
        let at = self.regions.partition_point(|r| r.base < base);
        self.regions.insert(
            at,
            Region {
                name: name.into(),
                base,
                size,
                device,
            },
        );
        Ok(())
    }

    /// The device whose region holds all of `width` bytes at `pa`.
    fn find(&self, pa: u64, width: Width) -> Result<(&Region, u64), AccessFault> {
        let after = self.regions.partition_point(|r| r.base <= pa);
        let region = after
            .checked_sub(1)
            .map(|at| &self.regions[at])
            .ok_or(AccessFault)?;
        let offset = pa - region.base;
        if offset >= region.size || region.size - offset < width.bytes() {
            return Err(AccessFault);
        }
        Ok((region, offset))
    }

    /// The device whose registers `pa` is among.
    pub fn region(&self, pa: u64) -> Option<&Region> {
        self.find(pa, Width::B1).ok().map(|(region, _)| region)
    }

    /// Reads `width` bytes at guest-physical `pa`, naturally aligned.
    ///
    /// # Errors
    /// [`AccessFault`] where nothing answers.
    pub fn read(&self, pa: u64, width: Width) -> Result<u64, AccessFault> {
        if self.ram.contains(pa, width.bytes()) {
            return self.ram.load(pa, width);
        }
        let (region, offset) = self.find(pa, width)?;
        let mut device = region.device.lock().unwrap_or_else(|e| e.into_inner());
        Ok(device.read(offset, width)? & width.mask())
    }

    /// Writes `width` bytes at guest-physical `pa`, naturally aligned.
    ///
    /// # Errors
    /// [`AccessFault`] where nothing answers.
    pub fn write(&self, pa: u64, width: Width, value: u64) -> Result<(), AccessFault> {
        if self.ram.contains(pa, width.bytes()) {
            return self.ram.store(pa, width, value);
        }
        let (region, offset) = self.find(pa, width)?;
        let mut device = region.device.lock().unwrap_or_else(|e| e.into_inner());
        device.write(offset, width, value & width.mask())
    }

    /// Resets every device.
    pub fn reset(&self) {
        for region in &self.regions {
            region
                .device
                .lock()
                .unwrap_or_else(|e| e.into_inner())
                .reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::DtNode;

    struct Echo(u64);

    impl Device for Echo {
        fn read(&mut self, offset: u64, _: Width) -> Result<u64, AccessFault> {
            Ok(self.0 + offset)
        }
        fn write(&mut self, _: u64, _: Width, value: u64) -> Result<(), AccessFault> {
            self.0 = value;
            Ok(())
        }
        fn reset(&mut self) {
            self.0 = 0;
        }
        fn node(&self) -> DtNode {
            DtNode::default()
        }
    }

    fn bus() -> Bus {
        let mut bus = Bus::new(Arc::new(Ram::new(0x8000_0000, 0x1000).unwrap()));
        let echo = || Arc::new(Mutex::new(Echo(0)));
        bus.map("b", 0x2000, 0x10, echo()).unwrap();
        bus.map("a", 0x1000, 0x100, echo()).unwrap();
        bus
    }

    #[test]
    fn an_access_reaches_its_device_whole_or_faults() {
        let bus = bus();
        bus.write(0x2000, Width::B4, 0x1_0000_0005).unwrap();
        assert_eq!(bus.read(0x2008, Width::B8), Ok(0xd));
        assert_eq!(bus.read(0x200c, Width::B8), Err(AccessFault));
        assert_eq!(bus.read(0x2010, Width::B1), Err(AccessFault));
        assert_eq!(bus.read(0xfff, Width::B1), Err(AccessFault));
        assert_eq!(bus.read(u64::MAX, Width::B1), Err(AccessFault));
        bus.write(0x8000_0ff8, Width::B8, 9).unwrap();
        assert_eq!(bus.read(0x8000_0ff8, Width::B8), Ok(9));
        bus.reset();
        assert_eq!(bus.read(0x2000, Width::B4), Ok(0));
    }

    #[test]
    fn overlaps_are_refused_by_name() {
        let mut bus = bus();
        let echo = || Arc::new(Mutex::new(Echo(0)));
        for (base, size, with) in [
            (0x10ff, 2, "a"),
            (0x0, 0x1001, "a"),
            (0x7fff_f000, 0x1001, "RAM"),
        ] {
            let error = bus.map("x", base, size, echo()).unwrap_err().to_string();
            assert!(error.ends_with(&format!("overlaps {with}")), "{error}");
        }
        assert!(bus.map("x", u64::MAX, 2, echo()).is_err());
        assert!(bus.map("x", 0, 0, echo()).is_err());
        bus.map("x", 0x1100, 0xf00, echo()).unwrap();
    }
}
