//! The same bodies in user mode: a hart on a `Space`, the driver's part played
//! here.

use std::sync::Arc;

use ruse_bus::{PAGE_SIZE, Prot, Shared, Space, VirtualClock};
use ruse_hart::{Cause, Exit, Hart, Registers};
use ruse_isa::csr;

use crate::Way;
use crate::common::rng::Rng;
use crate::generate::Body;
use crate::guest::{self, CODE_SIZE, RESULT_SIZE};

/// Executes bodies placed for U-mode in the lower space.
pub struct Process {
    space: Arc<Space>,
    pub hart: Hart,
    rng: Rng,
}

/// What the traps of a body are cut off at, and how many are kept.
const TRAPS: u64 = 2000;
const LOGGED: u64 = 64;

impl Process {
    /// All bodies' code in place: once to execute and once to write to.
    pub fn new(bodies: &[Body]) -> Self {
        let space = Arc::new(Space::new().expect("a space"));
        let size = bodies.len() as u64 * CODE_SIZE;
        let code = Shared::new(size).expect("shared memory");
        for (n, body) in bodies.iter().enumerate() {
            code.write(n as u64 * CODE_SIZE, &body.code())
                .expect("inside");
        }
        let first = &bodies[0].place;
        let alias = first.entry + first.alias;
        for (at, prot) in [
            (first.entry, Prot::READ | Prot::EXEC),
            (alias, Prot::READ | Prot::WRITE),
        ] {
            space.map_shared(at, &code, 0, size).expect("mapped");
            space.protect(at, size, prot);
        }
        let hart = Hart::user(space.clone(), Arc::new(VirtualClock::new(1)));
        Self {
            space,
            hart,
            rng: Rng::new(7),
        }
    }

    /// Executes a body; its record, as the driver would have kept it.
    pub fn run(&mut self, body: &Body, image: &[u8], way: Way) -> Vec<u8> {
        let place = &body.place;
        // As the driver's page tables have it: two pages in swapped order, and
        // one that can only be read.
        let pages = [place.data, place.data - PAGE_SIZE, place.data + PAGE_SIZE];
        let write = Prot::READ | Prot::WRITE;
        for (n, (va, prot)) in pages
            .into_iter()
            .zip([write, write, Prot::READ])
            .enumerate()
        {
            let from = guest::template_offset() + n * PAGE_SIZE as usize;
            let bytes = &image[from..from + PAGE_SIZE as usize];
            self.space.write(va, bytes).expect("inside");
            self.space.protect(va, PAGE_SIZE, prot);
        }
        self.hart.set_csr(csr::MCOUNTEREN, 0);
        self.hart.set_registers(&Registers {
            x: body.x,
            f: body.f,
            pc: place.entry,
            fcsr: 0,
        });
        let mut log = vec![0u64; 3 * LOGGED as usize];
        let mut traps = 0;
        loop {
            let exit = match way {
                Way::Blocks => self.hart.run(1 << 30),
                Way::Steps => self.hart.step(),
                Way::SmallQuanta => self.hart.run(1 + self.rng.below(100)),
            };
            let trap = match exit {
                Exit::Quantum => continue,
                Exit::Trap(trap) => trap,
                other => panic!("{other:?}"),
            };
            let pc = self.hart.pc();
            let tval = match trap.cause {
                Cause::Breakpoint => 0,
                _ => trap.tval,
            };
            let at = 3 * (traps % LOGGED) as usize;
            log[at..at + 3].copy_from_slice(&[trap.cause as u64, tval, pc]);
            traps += 1;
            let resume = self.hart.x(31);
            let ended = trap.cause == Cause::EcallFromUser && resume == 0;
            if ended || traps >= TRAPS {
                break;
            }
            let fetched = !matches!(
                trap.cause,
                Cause::InstructionAddressMisaligned
                    | Cause::InstructionAccessFault
                    | Cause::InstructionPageFault
            );
            let next = if fetched {
                let mut half = [0; 2];
                self.space.read(pc, &mut half).expect("inside");
                pc + if half[0] & 3 == 3 { 4 } else { 2 }
            } else {
                resume
            };
            self.hart.set_pc(next);
        }
        self.record(body, traps, &log)
    }

    fn record(&self, body: &Body, traps: u64, log: &[u64]) -> Vec<u8> {
        let registers = self.hart.registers();
        let mut words = Vec::new();
        words.extend(registers.x);
        words.extend(registers.f);
        words.push(registers.fcsr.into());
        words.push(traps);
        words.extend(log);
        let mut record: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        record.resize(RESULT_SIZE as usize, 0);
        for (n, va) in [body.place.data, body.place.data - PAGE_SIZE]
            .into_iter()
            .enumerate()
        {
            let to = (n + 1) * PAGE_SIZE as usize;
            let page = &mut record[to..to + PAGE_SIZE as usize];
            self.space.read(va, page).expect("inside");
        }
        record
    }
}
