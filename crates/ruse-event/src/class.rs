//! Which events are wanted.

use std::fmt;
use std::ops::BitOr;
use std::str::FromStr;

use serde::Serialize;
use thiserror::Error;

/// The kinds of events, as one asks for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Class {
    /// Exceptions, interrupts taken, and returns from both.
    Trap,
    /// SBI calls, and system calls of programs.
    Call,
    /// Loads from and stores to device registers.
    Mmio,
    /// Interrupt lines: device to controller, controller to hart.
    Irq,
    /// Page-table walks.
    Walk,
    /// What the TLB learns.
    Tlb,
    /// Virtqueues: doorbells, chains taken, chains given back.
    Queue,
    /// Guest memory that a device reads or writes by itself.
    Dma,
    /// Requests to a disk, and what they do to the image on the host.
    Disk,
    /// Frames, and the host's sockets behind them.
    Net,
    /// Harts that go to sleep and wake.
    Sleep,
}

impl Class {
    /// All of them, in the order of this page.
    pub const ALL: [Self; 11] = [
        Self::Trap,
        Self::Call,
        Self::Mmio,
        Self::Irq,
        Self::Walk,
        Self::Tlb,
        Self::Queue,
        Self::Dma,
        Self::Disk,
        Self::Net,
        Self::Sleep,
    ];

    /// Its name on a command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Call => "call",
            Self::Mmio => "mmio",
            Self::Irq => "irq",
            Self::Walk => "walk",
            Self::Tlb => "tlb",
            Self::Queue => "queue",
            Self::Dma => "dma",
            Self::Disk => "disk",
            Self::Net => "net",
            Self::Sleep => "sleep",
        }
    }

    /// What it shows, in a few words.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Trap => "exceptions, interrupts taken, and returns from both",
            Self::Call => "SBI calls and system calls",
            Self::Mmio => "device registers read and written",
            Self::Irq => "interrupt lines, from the device to the hart",
            Self::Walk => "page-table walks, with every entry",
            Self::Tlb => "what the TLB learns",
            Self::Queue => "virtqueues: doorbells, chains taken and given back",
            Self::Dma => "guest memory that devices read and write",
            Self::Disk => "disk requests, and what they do to the image",
            Self::Net => "frames, and the sockets of the host behind them",
            Self::Sleep => "harts that go to sleep and wake",
        }
    }
}

/// A set of [`Class`]es. Written as names with commas in between; `all` is all.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Classes(u32);

impl Classes {
    /// None.
    pub const NONE: Self = Self(0);
    /// All.
    pub const ALL: Self = Self((1 << Class::ALL.len()) - 1);

    /// Whether `class` is among them.
    #[inline]
    pub const fn has(self, class: Class) -> bool {
        self.0 >> class as u32 & 1 != 0
    }

    /// These, with `class` among them or not.
    #[must_use]
    pub const fn with(self, class: Class, wanted: bool) -> Self {
        let bit = 1 << class as u32;
        Self(if wanted { self.0 | bit } else { self.0 & !bit })
    }

    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// Those that are among them.
    pub fn iter(self) -> impl Iterator<Item = Class> {
        Class::ALL.into_iter().filter(move |class| self.has(*class))
    }
}

impl From<Class> for Classes {
    fn from(class: Class) -> Self {
        Self::NONE.with(class, true)
    }
}

impl FromIterator<Class> for Classes {
    fn from_iter<I: IntoIterator<Item = Class>>(classes: I) -> Self {
        classes
            .into_iter()
            .fold(Self::NONE, |all, class| all.with(class, true))
    }
}

impl BitOr for Classes {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// There is no such class.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there are no events called {0:?}: it is all, or some of {list}", list = Classes::ALL)]
pub struct UnknownClass(String);

impl FromStr for Classes {
    type Err = UnknownClass;

    fn from_str(text: &str) -> Result<Self, UnknownClass> {
        text.split(',')
            .map(str::trim)
            .try_fold(Self::NONE, |classes, name| {
                if name == "all" {
                    return Ok(Self::ALL);
                }
                let found = Class::ALL.into_iter().find(|class| class.name() == name);
                let class = found.ok_or_else(|| UnknownClass(name.into()))?;
                Ok(classes.with(class, true))
            })
    }
}

impl fmt::Display for Classes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, class) in self.iter().enumerate() {
            let comma = if n > 0 { "," } else { "" };
            write!(f, "{comma}{}", class.name())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Classes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_read_as_they_are_written() {
        for class in Class::ALL {
            assert_eq!(class.name().parse(), Ok(Classes::from(class)));
        }
        let some: Classes = "mmio, irq,disk".parse().unwrap();
        assert_eq!(some.to_string(), "mmio,irq,disk");
        assert!(some.has(Class::Irq) && !some.has(Class::Walk));
        assert_eq!("all".parse(), Ok(Classes::ALL));
        assert_eq!(Classes::ALL.iter().count(), Class::ALL.len());
        let error = "mmio,irqs".parse::<Classes>().unwrap_err();
        assert!(error.to_string().contains("\"irqs\""), "{error}");
    }
}
