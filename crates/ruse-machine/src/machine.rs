//! A machine: harts on a board, with something to boot.

use std::sync::Arc;

use ruse_bus::Bus;
use ruse_devices::Entropy;
use ruse_event::Tap;
use ruse_hart::{Hart, HartConfig, Xlen};

use crate::board::{Board, BoardConfig, Parts, Place, Placed};
use crate::buttons::Buttons;
use crate::config::{Boot, MachineConfig, Sample, Time};
use crate::console::{Brake, Handle};
use crate::error::MachineError;
use crate::exact::Turn;
use crate::fdt::{self, Facts};
use crate::journal::{Journal, Position};
use crate::layout;
use crate::load::{self, Plan};
use crate::past::Past;
use crate::rom::{Reset, Rom};
use crate::run::Outcome;
use crate::seat::{Seat, State};

/// A machine. It can be moved to the thread that is to run it.
pub struct Machine {
    pub(crate) harts: Vec<Hart>,
    /// One a hart.
    pub(crate) seats: Vec<Seat>,
    pub(crate) parts: Parts,
    pub(crate) handle: Handle,
    pub(crate) time: Time,
    pub(crate) quantum: u64,
    pub(crate) sample: Option<Arc<dyn Sample>>,
    pub(crate) journal: Option<Journal>,
    /// With a journal: where it is within a round; between two if nowhere.
    pub(crate) turn: Option<Turn>,
    /// With a journal: which epoch it is in ([`crate::exact`]), if one has begun.
    pub(crate) epoch: Option<u64>,
    /// Where it has been, if it is to remember.
    pub(crate) past: Option<Past>,
    pub(crate) bus: Arc<Bus>,
    pub(crate) places: Vec<Place>,
    plan: Plan,
    pub(crate) facts: Description,
    dtb: Vec<u8>,
}

/// What the device tree says that does not change from boot to boot.
pub(crate) struct Description {
    pub(crate) xlen: Xlen,
    svadu: bool,
    harts: usize,
    memory: u64,
    pub(crate) sbi: bool,
    cmdline: String,
}

impl Machine {
    /// Builds a machine and loads what it boots.
    ///
    /// # Errors
    /// [`MachineError`] if the configuration makes no machine, or its images
    /// do not fit in.
    pub fn new(mut config: MachineConfig) -> Result<Self, MachineError> {
        let xlen = match config.cpu.xlen {
            Some(xlen) => xlen,
            None => load::xlen_of(&config.boot)?.unwrap_or(Xlen::Rv64),
        };
        let harts = config.cpu.harts;
        if !(1..=layout::MAX_HARTS).contains(&harts) {
            return Err(MachineError::Harts {
                harts,
                max: layout::MAX_HARTS,
            });
        }
        let reach = (1 << 32) - layout::RAM;
        if xlen == Xlen::Rv32 && config.memory > reach {
            return Err(MachineError::MemoryFor32 {
                size: config.memory,
                max: reach,
            });
        }
        let sbi = matches!(config.boot, Boot::Sbi { .. });
        let board = Board::new(&BoardConfig { harts, sbi }, &mut config)?;
        let Board {
            mut bus,
            places,
            parts,
        } = board;

        let (cmdline, has_initrd) = match &config.boot {
            Boot::Bare { .. } => (String::new(), false),
            Boot::Firmware {
                cmdline, initrd, ..
            }
            | Boot::Sbi {
                cmdline, initrd, ..
            } => (cmdline.clone(), initrd.is_some()),
        };
        let facts = Description {
            xlen,
            svadu: config.cpu.svadu,
            harts,
            memory: config.memory,
            sbi,
            cmdline,
        };
        // Where the initial RAM disk lies does not change the tree's size.
        let draft = fdt::write(&facts.with(has_initrd.then_some(0..0), [0; 32]), &places)?;
        let plan = Plan::new(&config.boot, xlen, bus.ram(), draft.len() as u64)?;
        if !sbi {
            let rom = Rom::new(&Reset {
                xlen,
                entry: plan.entry,
                dtb: plan.dtb,
                next: plan.next,
            });
            let rom = Arc::new(std::sync::Mutex::new(rom));
            bus.map("rom", layout::ROM, layout::ROM_SIZE, rom)?;
        }

        let bus = Arc::new(bus);
        let exact = config.journal.is_some();
        let make_hart = |(hartid, pins): (usize, &Arc<_>)| {
            let mut hart = Hart::new(HartConfig {
                hartid: hartid as u64,
                xlen,
                bus: bus.clone(),
                pins: Arc::clone(pins),
                clock: parts.clock.clone(),
                svadu: config.cpu.svadu,
                sbi,
            });
            hart.watch(&parts.tap);
            if exact {
                hart.set_exact();
            }
            hart
        };
        let seats = parts.pins.iter().zip(&parts.bells);
        let seats = seats.map(|(pins, bell)| Seat::new(pins.clone(), bell.clone()));
        let mut machine = Self {
            harts: parts.pins.iter().enumerate().map(make_hart).collect(),
            seats: seats.collect(),
            handle: Handle::new(parts.bell.clone()),
            time: config.time,
            quantum: config.quantum.max(1),
            sample: config.sample,
            journal: config.journal,
            turn: None,
            epoch: None,
            past: None,
            parts,
            bus,
            places,
            plan,
            facts,
            dtb: Vec::new(),
        };
        machine.start()?;
        machine.plan.spill();
        Ok(machine)
    }

    /// Loads memory and puts the harts where they start.
    fn start(&mut self) -> Result<(), MachineError> {
        let mut seed = [0; 32];
        self.parts.entropy.fill(&mut seed);
        let facts = self.facts.with(self.plan.initrd.clone(), seed);
        self.dtb = fdt::write(&facts, &self.places)?;
        self.plan.load(self.bus.ram(), &self.dtb)?;
        for hart in &mut self.harts {
            hart.reset();
            hart.set_pc(layout::ROM);
        }
        for (n, seat) in self.seats.iter().enumerate() {
            let waits = self.facts.sbi && n > 0;
            seat.reset(if waits {
                State::Stopped
            } else {
                State::Running
            });
        }
        if self.facts.sbi {
            self.harts[0].enter_supervisor(self.plan.entry, 0, self.plan.dtb);
        }
        Ok(())
    }

    /// The board's reset button.
    ///
    /// # Errors
    /// [`MachineError`], though not for what [`Machine::new`] accepted.
    pub fn reset(&mut self) -> Result<(), MachineError> {
        log::info!("reset");
        self.bus.reset();
        self.parts.clock.set(0);
        self.parts.power.take();
        self.turn = None;
        self.start()
    }

    pub(crate) fn position(&self) -> Position {
        Position {
            retired: self.retired(),
            ticks: self.parts.clock.now(),
        }
    }

    /// The run is over, and not to be gone on with: ends a recording, or compares with its
    /// end.
    ///
    /// # Errors
    /// [`MachineError`] if the machine ends otherwise than in its recording.
    pub fn end(&mut self, outcome: Outcome) -> Result<(), MachineError> {
        self.come_back()?;
        let at = self.position();
        if let Some(journal) = &mut self.journal {
            journal.end(at, &mut self.harts, self.bus.ram(), outcome)?;
        }
        Ok(())
    }

    /// A handle for other threads, to type and to stop the machine.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// A way to stop the machine from within what it reports.
    pub fn brake(&self) -> Brake {
        Brake {
            handle: self.handle(),
            pins: self.parts.pins.clone(),
        }
    }

    /// What can be pressed to have the guest switch off, from other threads.
    pub fn buttons(&self) -> Buttons {
        Buttons::new(&self.parts)
    }

    /// Whom everything tells what happens. What is wanted can be changed
    /// ([`Tap::want`]) if somebody watches.
    pub fn tap(&self) -> &Tap {
        &self.parts.tap
    }

    /// The device tree that the guest finds.
    pub fn dtb(&self) -> &[u8] {
        &self.dtb
    }

    /// What is on the board, by name.
    pub fn board(&self) -> Vec<Placed> {
        self.places.iter().map(Place::describe).collect()
    }

    /// The harts.
    pub fn harts(&self) -> &[Hart] {
        &self.harts
    }

    /// The harts, to change them from outside.
    pub fn harts_mut(&mut self) -> &mut [Hart] {
        &mut self.harts
    }

    /// The guest-physical address space.
    pub fn bus(&self) -> &Arc<Bus> {
        &self.bus
    }

    /// Instructions retired by all harts.
    pub fn retired(&self) -> u64 {
        self.harts.iter().map(Hart::retired).sum()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.parts.out.flush();
        self.handle.hang_up();
    }
}

impl Description {
    fn with(&self, initrd: Option<std::ops::Range<u64>>, seed: [u8; 32]) -> Facts<'_> {
        Facts {
            xlen: self.xlen,
            svadu: self.svadu,
            harts: self.harts,
            memory: self.memory,
            cmdline: &self.cmdline,
            initrd,
            seed,
        }
    }
}
