//! What is on the board, where, and how it is wired: one table, from which
//! both the bus and the device tree are made.

use std::any::Any;
use std::sync::{Arc, Mutex};

use ruse_bus::{
    Activity, BadState, Bus, Clock, Device, HartPins, IrqLine, MapError, NANOS_PER_TICK, Names,
    Ongoing, Ram, VirtualClock, Wake,
};
use ruse_devices::virtio::{
    self, Blk, Console, Input, Net, P9, Rng, ServerThread, VirtioDevice, VirtioMmio,
};
use ruse_devices::{
    Aclint, ConsoleIn, Entropy, GoldfishRtc, NetCard, Plic, PowerRequest, TestFinisher, Uart,
    aclint, plic,
};
use ruse_event::{Origin, Tap};

use crate::bell::{Bell, HartBell};
use crate::clock::{GuestWall, HostClock, HostWall, SharedWall};
use crate::config::{MachineConfig, Port, Time};
use crate::console::SharedOut;
use crate::error::MachineError;
use crate::gate::Gate;
use crate::layout;
use crate::lock;

/// Interrupt numbers of a hart's pins (privileged manual, "mip").
const MSIP: u32 = 3;
const MTIP: u32 = 7;
const SEIP: u32 = 9;
const MEIP: u32 = 11;
/// In place of an interrupt number: not connected.
const NOT_CONNECTED: u32 = 0xffff_ffff;

/// Where a device's interrupt lines lead.
#[derive(Clone, Copy)]
pub(crate) enum Wires {
    /// It has none.
    None,
    /// To this input of the PLIC.
    Plic(u32),
    /// To these two pins of every hart.
    Harts([u32; 2]),
}

/// A row of the table.
pub(crate) struct Place {
    pub(crate) name: &'static str,
    pub(crate) base: u64,
    pub(crate) size: u64,
    pub(crate) wires: Wires,
    pub(crate) device: Arc<Mutex<dyn Device>>,
}

/// A device on the board, as somebody who looks at the board sees it.
#[derive(Clone)]
pub struct Placed {
    /// Its name, which several may have.
    pub name: &'static str,
    /// Where its registers start.
    pub base: u64,
    /// Bytes of registers.
    pub size: u64,
    /// Its line to the interrupt controller.
    pub source: Option<u32>,
    /// What its registers are called.
    pub names: Names,
    /// The device.
    pub device: Arc<Mutex<dyn Device>>,
}

impl Place {
    pub(crate) fn describe(&self) -> Placed {
        Placed {
            name: self.name,
            base: self.base,
            size: self.size,
            source: match self.wires {
                Wires::Plic(source) => Some(source),
                Wires::None | Wires::Harts(_) => None,
            },
            names: lock(&self.device).names(),
            device: self.device.clone(),
        }
    }
}

/// The board, but for the harts and the boot ROM.
pub(crate) struct Board {
    pub(crate) bus: Bus,
    pub(crate) places: Vec<Place>,
    pub(crate) parts: Parts,
}

/// What the run loop and the SBI need of the board by name.
pub(crate) struct Parts {
    pub(crate) pins: Vec<Arc<HartPins>>,
    /// What the pins of each hart ring.
    pub(crate) bells: Vec<Arc<HartBell>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) wall: SharedWall,
    pub(crate) bell: Arc<Bell>,
    pub(crate) power: Arc<PowerRequest>,
    pub(crate) out: SharedOut,
    pub(crate) entropy: SharedEntropy,
    /// Whom everything tells what happens.
    pub(crate) tap: Tap,
    /// Between cards and networks, if what comes in is recorded.
    pub(crate) gates: Vec<Arc<Gate>>,
    /// Whether it is.
    pub(crate) recorded: bool,
    /// What goes on outside the harts.
    pub(crate) activity: Activity,
    /// Threads that devices work on, for as long as the machine lives.
    pub(crate) threads: Vec<ServerThread>,
    /// First to last.
    pub(crate) disks: Vec<Arc<Mutex<VirtioMmio<Blk>>>>,
    /// Networks at work, from which something may come at any time.
    pub(crate) networks: Vec<(Box<dyn Any + Send + Sync>, Ongoing)>,
    pub(crate) aclint: Option<Arc<Mutex<Aclint>>>,
    pub(crate) rtc: Arc<Mutex<GoldfishRtc>>,
    pub(crate) uart: Arc<Mutex<Uart>>,
    pub(crate) button: Arc<Mutex<VirtioMmio<Input>>>,
    /// The device that input goes to.
    pub(crate) input: Arc<Mutex<dyn ConsoleIn>>,
}

/// What of the configuration the board is made from; the rest is the boot's.
pub(crate) struct BoardConfig {
    pub(crate) harts: usize,
    /// S-mode has the board to itself: what is M-mode's is left out.
    pub(crate) sbi: bool,
}

impl Board {
    /// Builds the board; takes the disks and the effects out of `config`.
    pub(crate) fn new(
        board: &BoardConfig,
        config: &mut MachineConfig,
    ) -> Result<Self, MachineError> {
        let bell = Arc::new(Bell::default());
        let clock: Arc<dyn Clock> = match config.time {
            Time::Host => Arc::new(HostClock::new()),
            Time::Virtual {
                instructions_per_tick,
                ..
            } => Arc::new(VirtualClock::new(instructions_per_tick)),
        };
        let tap = config.watch.take().map_or(Tap::NONE, |(watch, wanted)| {
            let clock = clock.clone();
            let now = move || clock.now().saturating_mul(NANOS_PER_TICK);
            Tap::new(watch, wanted, now)
        });
        let wall = SharedWall::new(match (config.time, config.wall_clock.take()) {
            (Time::Virtual { epoch_nanos, .. }, _) => Box::new(GuestWall {
                clock: clock.clone(),
                epoch_nanos,
            }),
            (Time::Host, Some(wall)) => wall,
            (Time::Host, None) => Box::new(HostWall),
        });
        let console = std::mem::replace(&mut config.console, Box::new(Discard));
        let out = SharedOut::new(console, bell.clone());
        let entropy = std::mem::replace(&mut config.entropy, Box::new(Zeroes));
        let entropy = SharedEntropy(Arc::new(Mutex::new(entropy)));
        let disks = std::mem::take(&mut config.disks);
        let shares = std::mem::take(&mut config.shares);
        let wants_console = config.port == Port::Virtio;
        let nics = std::mem::take(&mut config.nics);
        let wanted = disks.len() + nics.len() + 2 + usize::from(wants_console) + shares.len();
        if wanted > layout::VIRTIO_SLOTS {
            return Err(MachineError::Slots {
                wanted,
                slots: layout::VIRTIO_SLOTS,
            });
        }

        let ram = Arc::new(Ram::new(layout::RAM, config.memory)?);
        let bells: Vec<_> = (0..board.harts)
            .map(|_| Arc::new(HartBell::new(bell.clone())))
            .collect();
        let pins: Vec<_> = bells
            .iter()
            .zip(0..)
            .map(|(bell, hart)| {
                let pins = HartPins::new(Some(bell.clone() as Arc<dyn Wake>));
                Arc::new(pins.watched(tap.from(Origin::Hart(hart))))
            })
            .collect();
        let to_pin = |pin: u32| move |pins: &Arc<HartPins>| IrqLine::new(pins.clone(), pin);
        let everybody = Arc::new(Everybody {
            pins: pins.clone(),
            bell: bell.clone(),
        });
        let power = Arc::new(PowerRequest::new(Some(everybody.clone())));

        let mut table = Table {
            bus: Bus::new(ram.clone()),
            places: Vec::new(),
            tap: tap.clone(),
        };

        // The interrupt controllers.
        let machine_line = |pins| match board.sbi {
            true => IrqLine::disconnected(),
            false => to_pin(MEIP)(pins),
        };
        let contexts = pins
            .iter()
            .flat_map(|pins| [machine_line(pins), to_pin(SEIP)(pins)])
            .collect();
        let plic = Plic::new(layout::PLIC_SOURCES, contexts);
        plic.watch(tap.from(Origin::Device(layout::PLIC)));
        let irq = plic.sink();
        let irq = |source| (Wires::Plic(source), IrqLine::new(irq.clone(), source));
        let wires = Wires::Harts([if board.sbi { NOT_CONNECTED } else { MEIP }, SEIP]);
        table.add("plic", layout::PLIC, plic::SIZE, wires, plic)?;
        let aclint = if board.sbi {
            None
        } else {
            let lines = |pin| pins.iter().map(to_pin(pin)).collect();
            let mut aclint = Aclint::new(clock.clone(), lines(MSIP), lines(MTIP));
            aclint.set_waker(bell.clone());
            aclint.set_time_waker(everybody);
            let wires = Wires::Harts([MSIP, MTIP]);
            Some(table.add("clint", layout::CLINT, aclint::SIZE, wires, aclint)?)
        };

        // The other chips.
        let finisher = TestFinisher::new(power.clone());
        let wires = Wires::None;
        table.add(
            "test",
            layout::FINISHER,
            layout::FINISHER_SIZE,
            wires,
            finisher,
        )?;
        let (wires, line) = irq(layout::RTC_IRQ);
        let mut rtc = GoldfishRtc::new(Box::new(wall.clone()), line);
        rtc.set_waker(bell.clone());
        let rtc = table.add("rtc", layout::RTC, layout::RTC_SIZE, wires, rtc)?;
        let (wires, line) = irq(layout::UART_IRQ);
        let uart = Uart::new(line, Box::new(out.clone()));
        let uart = table.add("uart0", layout::UART, layout::UART_SIZE, wires, uart)?;

        // The virtio devices, from the first slot on.
        let mut slots = (0..).map(|slot: u32| {
            let base = layout::VIRTIO + u64::from(slot) * layout::VIRTIO_STRIDE;
            (base, irq(layout::virtio_irq(slot)))
        });
        let mut slot = || slots.next().expect("an endless iterator");
        let activity = Activity::default();
        let mut threads = Vec::new();
        let mut drives = Vec::new();
        for disk in disks {
            let (base, (wires, line)) = slot();
            let device = VirtioMmio::new(Blk::new(disk), ram.clone(), line);
            let device = table.add_virtio("disk", base, wires, device)?;
            // Deterministic runs have the hart wait for its disks.
            if config.time == Time::Host {
                let thread = virtio::serve_on_thread(&device, "disk", &activity);
                threads.push(thread.map_err(MachineError::Thread)?);
            }
            drives.push(device);
        }
        let mut networks = Vec::new();
        let mut gates = Vec::new();
        for nic in nics {
            let (base, (wires, line)) = slot();
            let mut network = nic.network;
            network.watch(&tap.from(Origin::Device(base)));
            let gate = config.journal.is_some().then(|| {
                let gate = Arc::new(Gate::new(network.bell(), bell.clone()));
                gates.push(gate.clone());
                gate
            });
            let bell: Arc<dyn Wake> = match &gate {
                Some(gate) => gate.doorbell(),
                None => network.bell(),
            };
            let net = Net::new(nic.mac, network.offloads(), network.link(), bell);
            let device = VirtioMmio::new(net, ram.clone(), line);
            let card = table.add_virtio("net", base, wires, device)?;
            let card: Arc<dyn NetCard> = match gate {
                Some(gate) => {
                    gate.attach(card);
                    gate
                }
                None => card,
            };
            let running = network.start(card).map_err(MachineError::Thread)?;
            networks.push((running, activity.begin()));
        }
        let (base, (wires, line)) = slot();
        let rng = Rng::new(Box::new(entropy.clone()));
        let device = VirtioMmio::new(rng, ram.clone(), line);
        table.add_virtio("rng", base, wires, device)?;
        let (base, (wires, line)) = slot();
        let device = VirtioMmio::new(Input::new(), ram.clone(), line);
        let button = table.add_virtio("power button", base, wires, device)?;
        let mut input: Arc<Mutex<dyn ConsoleIn>> = uart.clone();
        if wants_console {
            let (base, (wires, line)) = slot();
            let console = Console::new(Box::new(out.clone()));
            let device = VirtioMmio::new(console, ram.clone(), line);
            input = table.add_virtio("console", base, wires, device)?;
        }
        for share in shares {
            let (base, (wires, line)) = slot();
            let device = VirtioMmio::new(P9::new(&share.tag, share.server), ram.clone(), line);
            let device = table.add_virtio("share", base, wires, device)?;
            if config.time == Time::Host {
                let thread = virtio::serve_on_thread(&device, "share", &activity);
                threads.push(thread.map_err(MachineError::Thread)?);
            }
        }

        let parts = Parts {
            pins,
            bells,
            clock,
            wall,
            bell,
            power,
            out,
            entropy,
            tap,
            gates,
            recorded: config.journal.is_some(),
            activity,
            threads,
            disks: drives,
            networks,
            aclint,
            rtc,
            uart,
            button,
            input,
        };
        Ok(Self {
            bus: table.bus,
            places: table.places,
            parts,
        })
    }
}

/// The table as it grows.
struct Table {
    bus: Bus,
    places: Vec<Place>,
    tap: Tap,
}

impl Table {
    fn add_virtio<D: VirtioDevice + 'static>(
        &mut self,
        name: &'static str,
        base: u64,
        wires: Wires,
        mut device: VirtioMmio<D>,
    ) -> Result<Arc<Mutex<VirtioMmio<D>>>, MapError> {
        device.watch(&self.tap.from(Origin::Device(base)));
        self.add(name, base, virtio::SIZE, wires, device)
    }

    fn add<D: Device + 'static>(
        &mut self,
        name: &'static str,
        base: u64,
        size: u64,
        wires: Wires,
        device: D,
    ) -> Result<Arc<Mutex<D>>, MapError> {
        let device = Arc::new(Mutex::new(device));
        self.bus.map(name, base, size, device.clone())?;
        self.places.push(Place {
            name,
            base,
            size,
            wires,
            device: device.clone(),
        });
        Ok(device)
    }
}

impl Parts {
    /// Takes a byte out of the serial port the way firmware would.
    pub(crate) fn read_serial(&self) -> Option<u8> {
        use ruse_bus::Width::B1;
        const RBR: u64 = 0;
        const LCR: u64 = 3;
        const LSR: u64 = 5;
        let mut uart = lock(&self.uart);
        let divisor_latched = uart.read(LCR, B1).ok()? & 0x80 != 0;
        if divisor_latched || uart.read(LSR, B1).ok()? & 1 == 0 {
            return None;
        }
        uart.read(RBR, B1).ok().map(|byte| byte as u8)
    }
}

/// One source of randomness for the entropy device and the device tree.
#[derive(Clone)]
pub(crate) struct SharedEntropy(Arc<Mutex<Box<dyn Entropy>>>);

impl Entropy for SharedEntropy {
    fn fill(&mut self, out: &mut [u8]) {
        lock(&self.0).fill(out);
    }

    fn save(&self) -> Vec<u8> {
        lock(&self.0).save()
    }

    fn load(&mut self, state: &[u8]) -> Result<(), BadState> {
        lock(&self.0).load(state)
    }
}

/// Ends every hart's turn or sleep, and the run loop's: none may go on when the
/// power is to go, or sleep on when the time has changed.
struct Everybody {
    pins: Vec<Arc<HartPins>>,
    bell: Arc<Bell>,
}

impl Wake for Everybody {
    fn wake(&self) {
        for pins in &self.pins {
            pins.kick();
        }
        self.bell.wake();
    }
}

/// Stand-ins for what was taken out of a configuration.
struct Discard;
struct Zeroes;

impl ruse_devices::ConsoleOut for Discard {
    fn write(&mut self, _: &[u8]) {}
}

impl Entropy for Zeroes {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(0);
    }
}
