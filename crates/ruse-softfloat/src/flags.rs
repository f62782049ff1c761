//! The rounding modes and the accrued exceptions of `fcsr` (F extension, "Floating-Point Control
//! and Status Register").

use core::fmt;
use core::ops::{BitOr, BitOrAssign};

/// A rounding mode, numbered as in `fcsr.frm` and the `rm` field of instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Round {
    /// To nearest, ties to even.
    Rne = 0,
    /// Towards zero.
    Rtz = 1,
    /// Down, towards minus infinity.
    Rdn = 2,
    /// Up, towards plus infinity.
    Rup = 3,
    /// To nearest, ties to the larger magnitude.
    Rmm = 4,
}

impl Round {
    /// All five, in the order of their encoding.
    pub const ALL: [Self; 5] = [Self::Rne, Self::Rtz, Self::Rdn, Self::Rup, Self::Rmm];

    /// Decodes a static rounding mode. `None` for the reserved 5 and 6, for 7 (DYN, which the
    /// caller replaces by `fcsr.frm` first), and for anything wider than three bits.
    #[inline]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::Rne),
            1 => Some(Self::Rtz),
            2 => Some(Self::Rdn),
            3 => Some(Self::Rup),
            4 => Some(Self::Rmm),
            _ => None,
        }
    }

    /// The encoding in `fcsr.frm`.
    #[inline]
    pub const fn bits(self) -> u8 {
        self as u8
    }
}

/// A set of floating-point exceptions, laid out as in `fcsr.fflags`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Flags(pub u8);

impl Flags {
    /// No exception.
    pub const NONE: Self = Self(0);
    /// Inexact.
    pub const NX: Self = Self(1);
    /// Underflow: tiny after rounding, and inexact.
    pub const UF: Self = Self(2);
    /// Overflow.
    pub const OF: Self = Self(4);
    /// Division of a finite nonzero number by zero.
    pub const DZ: Self = Self(8);
    /// Invalid operation.
    pub const NV: Self = Self(16);

    /// The bits, as in `fcsr.fflags`.
    #[inline]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether no exception is in the set.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether every exception of `other` is in the set.
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// This set if `condition` holds, the empty one otherwise; without a branch.
    #[inline]
    pub const fn when(self, condition: bool) -> Self {
        Self(self.0 * condition as u8)
    }
}

impl BitOr for Flags {
    type Output = Self;
    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Flags {
    #[inline]
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flags(")?;
        let names = ["NX", "UF", "OF", "DZ", "NV"];
        let mut first = true;
        for (i, name) in names.iter().enumerate() {
            if self.0 >> i & 1 != 0 {
                if !first {
                    f.write_str("|")?;
                }
                f.write_str(name)?;
                first = false;
            }
        }
        f.write_str(")")
    }
}
