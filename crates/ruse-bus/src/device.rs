//! What a chip offers to the bus.

use thiserror::Error;

use crate::state::BadState;

/// The bus has nothing to say at this address, width or direction.
///
/// The hart turns it into a load, store or instruction access-fault exception
/// (privileged manual, "Machine Cause Register").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("access fault")]
pub struct AccessFault;

/// The width of one MMIO access, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Width {
    /// 8 bits.
    B1 = 1,
    /// 16 bits.
    B2 = 2,
    /// 32 bits.
    B4 = 4,
    /// 64 bits.
    B8 = 8,
}

impl Width {
    /// The width in bytes.
    #[inline]
    pub const fn bytes(self) -> u64 {
        self as u64
    }

    /// The width of `bytes` bytes, if that is a width the bus has.
    #[inline]
    pub const fn from_bytes(bytes: u64) -> Option<Self> {
        match bytes {
            1 => Some(Self::B1),
            2 => Some(Self::B2),
            4 => Some(Self::B4),
            8 => Some(Self::B8),
            _ => None,
        }
    }

    /// A value with the bits of this width set.
    #[inline]
    pub const fn mask(self) -> u64 {
        u64::MAX >> (64 - 8 * self as u32)
    }
}

/// A device on the bus: registers in, registers out.
///
/// Offsets are relative to the device's region and always lie inside it, the
/// last byte of the access included; accesses are naturally aligned. Values
/// travel in the low bits. A device never panics on what a guest sends: what
/// its specification does not define reads as zero and ignores writes, or is
/// an [`AccessFault`].
pub trait Device: Send {
    /// Reads `width` bytes at `offset`.
    ///
    /// # Errors
    /// [`AccessFault`] where the device has no register of that width.
    fn read(&mut self, offset: u64, width: Width) -> Result<u64, AccessFault>;

    /// Writes `width` bytes at `offset`.
    ///
    /// # Errors
    /// [`AccessFault`] where the device has no register of that width.
    fn write(&mut self, offset: u64, width: Width, value: u64) -> Result<(), AccessFault>;

    /// Back to the state after power-on, as a board reset does.
    fn reset(&mut self);

    /// What its registers are called.
    fn names(&self) -> Names {
        |_, _| None
    }

    /// Its registers, looked at without any effect.
    fn registers(&self) -> Vec<Register> {
        Vec::new()
    }

    /// Its state, from which [`Self::load`] makes it what it is now. Nothing of its is
    /// at work meanwhile.
    fn save(&mut self) -> Vec<u8> {
        Vec::new()
    }

    /// Becomes what a device of the same make was when [`Self::save`] was called, and
    /// drives its lines accordingly. Whatever the bytes are, it stays a device.
    ///
    /// # Errors
    /// [`BadState`] if they are no such state; what it is then is undefined.
    fn load(&mut self, state: &[u8]) -> Result<(), BadState> {
        crate::state::none(state)
    }

    /// How the device tree describes this device, without the address and the
    /// interrupt: those belong to the board.
    fn node(&self) -> DtNode;
}

/// What the register at an offset is called, when it is read, or written. No
/// method of the device, so that one can ask while it is at work.
pub type Names = fn(offset: u64, write: bool) -> Option<String>;

/// A register as somebody who looks at the device sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub value: u64,
    /// What that means, if it needs words.
    pub meaning: String,
}

impl Register {
    /// A register whose value says all.
    pub fn new(name: impl Into<String>, value: impl Into<u64>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
            meaning: String::new(),
        }
    }

    /// The same, with what the value means.
    #[must_use]
    pub fn meaning(self, meaning: impl Into<String>) -> Self {
        Self {
            meaning: meaning.into(),
            ..self
        }
    }

    /// The same, with the names of the bits that are set.
    #[must_use]
    pub fn bits(self, names: &[(u64, &str)]) -> Self {
        let set = names.iter().filter(|(bit, _)| self.value & bit != 0);
        let set: Vec<_> = set.map(|(_, name)| *name).collect();
        self.meaning(set.join(" "))
    }
}

/// The part of a device-tree node that the device itself knows.
#[derive(Debug, Clone, Default)]
pub struct DtNode {
    /// The generic name before the `@`, such as `serial` or `virtio_mmio`.
    pub name: &'static str,
    /// The `compatible` strings, most specific first.
    pub compatible: &'static [&'static str],
    /// Further properties.
    pub props: Vec<(&'static str, DtValue)>,
}

/// The value of a device-tree property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DtValue {
    /// Present without a value.
    Empty,
    /// One 32-bit cell.
    U32(u32),
    /// One 64-bit value, two cells.
    U64(u64),
    /// Several 32-bit cells.
    Cells(Vec<u32>),
    /// A string.
    Str(String),
}
