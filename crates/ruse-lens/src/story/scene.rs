//! Where events happen: what somebody has to know to tell of them.

use std::path::PathBuf;

use ruse_bus::Names;

use crate::symbols::Symbols;

/// What a disk is on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Medium {
    /// The image.
    pub path: PathBuf,
    /// Bytes that the guest sees.
    pub size: u64,
}

/// A device on the scene.
#[derive(Clone)]
pub struct Prop {
    /// What to call it: unlike the others.
    pub name: String,
    /// Where its registers start.
    pub base: u64,
    /// Bytes of registers.
    pub size: u64,
    /// Its line to the interrupt controller.
    pub source: Option<u32>,
    /// What its registers are called.
    pub names: Names,
    /// The source file that stands for the chip.
    pub file: &'static str,
    /// What is behind it, if it is a disk.
    pub medium: Option<Medium>,
}

/// Names the system call with a number, and says how many arguments it has.
pub type Syscall = fn(u64) -> Option<(&'static str, usize)>;

/// A machine, as far as stories about it go.
#[derive(Clone, Default)]
pub struct Scene {
    /// Where RAM starts.
    pub ram: u64,
    /// Bytes of RAM.
    pub memory: u64,
    /// The devices, by ascending address.
    pub props: Vec<Prop>,
    /// The symbols of the guest's code.
    pub symbols: Symbols,
    /// The names of the guest's system calls, and how many arguments they have.
    pub syscall: Option<Syscall>,
}

impl Prop {
    /// What kind of device it is.
    pub fn kind(&self) -> &str {
        self.name.trim_end_matches(char::is_numeric)
    }
}

impl Scene {
    /// A scene without devices.
    pub fn new(ram: u64, memory: u64) -> Self {
        Self {
            ram,
            memory,
            ..Self::default()
        }
    }

    /// Puts a device onto the scene, named like its kind and, if there are several,
    /// by number.
    pub fn place(&mut self, kind: &str, base: u64, size: u64, source: Option<u32>, names: Names) {
        let same = |prop: &&mut Prop| prop.kind() == kind;
        let before = self.props.iter_mut().filter(same).count();
        if before == 1
            && let Some(first) = self.props.iter_mut().find(|prop| prop.name == kind)
        {
            first.name.push('0');
        }
        let name = match before {
            0 => kind.to_owned(),
            n => format!("{kind}{n}"),
        };
        let at = self.props.partition_point(|prop| prop.base < base);
        let prop = Prop {
            name,
            base,
            size,
            source,
            names,
            file: file_of(kind),
            medium: None,
        };
        self.props.insert(at, prop);
    }

    /// The device whose registers start at `base`.
    pub fn at(&self, base: u64) -> Option<&Prop> {
        let found = self.props.binary_search_by_key(&base, |prop| prop.base);
        found.ok().map(|at| &self.props[at])
    }

    /// The device with this name.
    pub fn named(&self, name: &str) -> Option<&Prop> {
        self.props.iter().find(|prop| prop.name == name)
    }

    /// The device with this line to the interrupt controller.
    pub fn source(&self, source: u32) -> Option<&Prop> {
        self.props.iter().find(|prop| prop.source == Some(source))
    }

    /// Says what is behind the disks, first to last.
    pub fn set_media(&mut self, media: impl IntoIterator<Item = Medium>) {
        let disks = self.props.iter_mut().filter(|prop| prop.kind() == "disk");
        for (disk, medium) in disks.zip(media) {
            disk.medium = Some(medium);
        }
    }
}

/// The source file that stands for a chip.
fn file_of(kind: &str) -> &'static str {
    match kind.trim_end_matches(char::is_numeric) {
        "uart" => "uart.rs",
        "plic" => "plic.rs",
        "clint" => "aclint.rs",
        "test" => "test_finisher.rs",
        "rtc" => "goldfish_rtc.rs",
        "rom" => "rom.rs",
        _ => "virtio/mmio.rs",
    }
}
