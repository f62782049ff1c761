//! The boot ROM: the first instructions that a hart executes, and what they
//! tell the firmware.

use ruse_bus::{AccessFault, Device, DtNode, Width};
use ruse_hart::Xlen;

use crate::layout;

/// Where in the ROM the numbers lie that the code loads.
const NUMBERS: usize = 0x20;
/// Where `struct fw_dynamic_info` lies.
const DYNAMIC_INFO: usize = 0x40;

/// `FW_DYNAMIC_INFO_MAGIC_VALUE`: "OSBI".
const DYNAMIC_MAGIC: u64 = 0x4942_534f;
const DYNAMIC_VERSION: u64 = 2;
const NEXT_MODE_S: u64 = 1;

/// A read-only memory.
pub(crate) struct Rom {
    bytes: Vec<u8>,
}

/// What the reset vector passes on.
pub(crate) struct Reset {
    pub(crate) xlen: Xlen,
    /// Where it jumps to.
    pub(crate) entry: u64,
    /// What it puts into a1.
    pub(crate) dtb: u64,
    /// What firmware should start.
    pub(crate) next: u64,
}

impl Rom {
    /// A ROM whose code enters the first stage with the hart's number in a0,
    /// the device tree in a1 and OpenSBI's `struct fw_dynamic_info`
    /// (`fw_dynamic.h`) in a2, as QEMU's does.
    pub(crate) fn new(reset: &Reset) -> Self {
        let wide = reset.xlen == Xlen::Rv64;
        let (load, size) = if wide { (0x3000, 8) } else { (0x2000, 4) };
        let numbers = NUMBERS as u32;
        let code: [u32; 6] = [
            0x0000_0297,                                 // auipc t0, 0
            0x0002_8613 | (DYNAMIC_INFO as u32) << 20,   // addi a2, t0, INFO
            0xf140_2573,                                 // csrr a0, mhartid
            0x0002_8583 | load | (numbers + size) << 20, // l[wd] a1, NUMBERS+SIZE(t0)
            0x0002_8283 | load | numbers << 20,          // l[wd] t0, NUMBERS(t0)
            0x0002_8067,                                 // jr t0
        ];
        let mut bytes = vec![0; layout::ROM_SIZE as usize];
        for (at, word) in code.iter().enumerate() {
            bytes[4 * at..4 * at + 4].copy_from_slice(&word.to_le_bytes());
        }
        let size = size as usize;
        let mut put = |at: usize, values: &[u64]| {
            for (n, value) in values.iter().enumerate() {
                let at = at + n * size;
                bytes[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
            }
        };
        put(NUMBERS, &[reset.entry, reset.dtb]);
        let options = 0;
        let boot_hart = 0;
        put(
            DYNAMIC_INFO,
            &[
                DYNAMIC_MAGIC,
                DYNAMIC_VERSION,
                reset.next,
                NEXT_MODE_S,
                options,
                boot_hart,
            ],
        );
        Self { bytes }
    }
}

impl Device for Rom {
    fn read(&mut self, offset: u64, width: Width) -> Result<u64, AccessFault> {
        let at = usize::try_from(offset).map_err(|_| AccessFault)?;
        let bytes = self
            .bytes
            .get(at..at + width.bytes() as usize)
            .ok_or(AccessFault)?;
        let mut value = [0; 8];
        value[..bytes.len()].copy_from_slice(bytes);
        Ok(u64::from_le_bytes(value))
    }

    fn write(&mut self, _: u64, _: Width, _: u64) -> Result<(), AccessFault> {
        Err(AccessFault)
    }

    fn reset(&mut self) {}

    fn node(&self) -> DtNode {
        DtNode::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firmware_finds_what_it_needs() {
        let mut rom = Rom::new(&Reset {
            xlen: Xlen::Rv64,
            entry: 0x8000_0000,
            dtb: 0x8fe0_0000,
            next: 0x8020_0000,
        });
        let mut at = |offset| rom.read(offset, Width::B8).unwrap();
        assert_eq!([at(0x20), at(0x28)], [0x8000_0000, 0x8fe0_0000]);
        assert_eq!([at(0x40), at(0x48)], [0x4942_534f, 2]);
        assert_eq!([at(0x50), at(0x58)], [0x8020_0000, 1]);
        assert_eq!(rom.write(0, Width::B4, 0), Err(AccessFault));
        assert_eq!(rom.read(0x1000, Width::B1), Err(AccessFault));
    }
}
