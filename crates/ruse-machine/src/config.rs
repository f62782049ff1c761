//! What a machine is built from.

use std::sync::Arc;

use ruse_devices::{ConsoleOut, Entropy, FileServer, Network, WallClock};
use ruse_disk::Disk;
use ruse_event::{Classes, Watch};
use ruse_hart::{Hart, Xlen};

use crate::entropy::SeededEntropy;
use crate::image::Image;
use crate::journal::Journal;

/// What the guest's harts find at first.
#[derive(Clone, Debug)]
pub enum Boot {
    /// One program in M-mode, an ELF file or raw bytes for the start of RAM.
    /// Every hart starts in it with its number in a0 and the device tree in
    /// a1.
    Bare {
        /// The program.
        image: Image,
    },
    /// Firmware in M-mode, an ELF file or raw bytes for the start of RAM,
    /// which starts the kernel: OpenSBI's `fw_dynamic` is told where it is,
    /// `fw_jump` expects it where it is loaded.
    Firmware {
        /// The firmware.
        firmware: Image,
        /// What it starts in S-mode: Linux, U-Boot or the like.
        kernel: Option<Image>,
        /// The kernel's initial RAM disk.
        initrd: Option<Image>,
        /// The kernel's command line.
        cmdline: String,
    },
    /// No firmware: the kernel starts in S-mode, and its SBI calls are
    /// answered by the machine.
    Sbi {
        /// The kernel.
        kernel: Image,
        /// Its initial RAM disk.
        initrd: Option<Image>,
        /// Its command line.
        cmdline: String,
    },
}

/// What kind of hart.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    /// The width of the integer registers; `None`: that of the boot image if
    /// it is an ELF file, else 64 bits.
    pub xlen: Option<Xlen>,
    /// How many harts there are. Several under [`Time::Host`] have a host
    /// thread each while [`crate::Machine::run`] runs, else all take turns.
    pub harts: usize,
    /// Hardware updates the A and D bits of page tables (Svadu) where
    /// `menvcfg.ADUE` allows it.
    pub svadu: bool,
}

/// Where the guest's time comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// From the host: a second is a second.
    Host,
    /// From counting instructions, so that a run is deterministic: same
    /// images, same disks, no input from outside, same run. Waiting takes no
    /// time, unless somebody sits in front of it ([`crate::Handle::pace`]) or it has
    /// a network, whose other end would seem slow to a guest that is done waiting at once.
    Virtual {
        /// Instructions in a tick of 100 ns.
        instructions_per_tick: u64,
        /// Time of day at power-on, in nanoseconds since 1970.
        epoch_nanos: u64,
    },
}

/// Which device what somebody types goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// The serial port.
    Uart,
    /// A virtio console, which the machine then has besides.
    Virtio,
}

/// Somebody who looks at harts now and then.
pub trait Sample: Send + Sync {
    /// A hart has used its quantum up. Called by whoever runs it, for one hart at a
    /// time under the virtual clock, else for several at once.
    fn sample(&self, hart: &Hart);
}

/// A network card.
pub struct Nic {
    /// Its hardware address.
    pub mac: [u8; 6],
    /// What it is connected to.
    pub network: Box<dyn Network>,
}

/// A directory that the guest can mount.
pub struct Share {
    /// By which name: 1 to 32 bytes, unlike those of the others.
    pub tag: String,
    /// What serves it, in 9P2000.L.
    pub server: Box<dyn FileServer>,
}

/// What a machine is built from. [`MachineConfig::new`] gives a default for
/// everything but the boot images.
pub struct MachineConfig {
    /// What it boots.
    pub boot: Boot,
    /// Its harts.
    pub cpu: Cpu,
    /// Bytes of RAM.
    pub memory: u64,
    /// Its disks, first to last.
    pub disks: Vec<Box<dyn Disk>>,
    /// Its network cards, first to last.
    pub nics: Vec<Nic>,
    /// Directories of the host that it can mount.
    pub shares: Vec<Share>,
    /// Where time comes from.
    pub time: Time,
    /// Where the guest prints to.
    pub console: Box<dyn ConsoleOut>,
    /// Which device input goes to.
    pub port: Port,
    /// Where the guest's randomness comes from.
    pub entropy: Box<dyn Entropy>,
    /// The time of day under [`Time::Host`]; `None`: the host's.
    pub wall_clock: Option<Box<dyn WallClock>>,
    /// Instructions a hart runs before the next one's turn, or before it looks
    /// at the time.
    pub quantum: u64,
    /// Who takes samples of what the harts are at.
    pub sample: Option<Arc<dyn Sample>>,
    /// Under the virtual clock: what its inputs are recorded to, or come from.
    pub journal: Option<Journal>,
    /// Who watches, and which events.
    pub watch: Option<(Arc<dyn Watch>, Classes)>,
}

impl MachineConfig {
    /// One hart, 1 GiB of RAM, no disk, host time, output to nowhere, and
    /// randomness that is the same each time.
    pub fn new(boot: Boot) -> Self {
        Self {
            boot,
            cpu: Cpu {
                xlen: None,
                harts: 1,
                svadu: false,
            },
            memory: 1 << 30,
            disks: Vec::new(),
            nics: Vec::new(),
            shares: Vec::new(),
            time: Time::Host,
            console: Box::new(Nowhere),
            port: Port::Uart,
            entropy: Box::new(SeededEntropy::new(0)),
            wall_clock: None,
            quantum: 20_000,
            sample: None,
            journal: None,
            watch: None,
        }
    }
}

/// A console nobody looks at.
struct Nowhere;

impl ConsoleOut for Nowhere {
    fn write(&mut self, _: &[u8]) {}
}
