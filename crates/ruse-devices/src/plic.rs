//! The platform-level interrupt controller (RISC-V PLIC specification 1.0.0),
//! in the memory map of "Memory Map" there.
//!
//! | offset | register |
//! |---|---|
//! | 0x00_0000 + 4 * source | priority, 0 (never) to 7 |
//! | 0x00_1000 | pending, one bit a source, read-only |
//! | 0x00_2000 + 0x80 * context | enables, one bit a source |
//! | 0x20_0000 + 0x1000 * context | threshold |
//! | 0x20_0004 + 0x1000 * context | claim (read), complete (write) |
//!
//! All sources are level-triggered. A source's gateway hands on one request
//! and no other before that one is completed; a request handed on stays
//! pending even if the device lowers its line ("Interrupt Gateways").
//! Accesses are 32 bits wide. What lies beyond the last source or context
//! reads as zero.

use std::sync::{Arc, Mutex, MutexGuard};

use ruse_bus::{
    AccessFault, BadState, Device, DtNode, DtValue, IrqLine, IrqSink, Names, Register, Width, state,
};
use ruse_event::{Class, Tap, What};
use serde::{Deserialize, Serialize};

/// Size of the register region, in bytes.
pub const SIZE: u64 = 0x60_0000;
/// The highest source number that the specification has room for.
pub const MAX_SOURCES: u32 = 1023;
/// The most contexts that fit into [`SIZE`].
pub const MAX_CONTEXTS: usize = ((SIZE - CONTEXT) / CONTEXT_STRIDE) as usize;

/// Priorities and thresholds have three bits.
const MAX_PRIORITY: u32 = 7;

const PENDING: u64 = 0x1000;
const ENABLE: u64 = 0x2000;
const ENABLE_STRIDE: u64 = 0x80;
const CONTEXT: u64 = 0x20_0000;
const CONTEXT_STRIDE: u64 = 0x1000;
const CLAIM: u64 = 4;

/// One bit for each source.
type Bits = Box<[u32]>;

/// A hart's privilege mode, as an interrupt target.
struct Context {
    line: IrqLine,
    enabled: Bits,
    threshold: u32,
}

struct State {
    /// By source number; source 0 does not exist and never has a priority.
    priority: Box<[u32]>,
    level: Bits,
    pending: Bits,
    /// Claimed and not completed: the gateway is shut.
    claimed: Bits,
    contexts: Vec<Context>,
    tap: Tap,
}

impl State {
    fn has_source(&self, source: u32) -> bool {
        source != 0 && (source as usize) < self.priority.len()
    }

    /// The most urgent source that is pending and enabled for `context`, and
    /// its priority; of equals the one with the lowest number.
    fn best(&self, context: &Context) -> Option<(u32, u32)> {
        let mut best: Option<(u32, u32)> = None;
        for (at, (pending, enabled)) in self.pending.iter().zip(&context.enabled).enumerate() {
            let mut bits = pending & enabled;
            while bits != 0 {
                let source = 32 * at as u32 + bits.trailing_zeros();
                bits &= bits - 1;
                let priority = self.priority[source as usize];
                if priority > best.map_or(0, |(_, p)| p) {
                    best = Some((source, priority));
                }
            }
        }
        best
    }

    /// Drives the lines to the harts.
    fn settle(&self) {
        for context in &self.contexts {
            let due = self
                .best(context)
                .is_some_and(|(_, priority)| priority > context.threshold);
            context.line.set(due);
        }
    }

    /// Lets a request of `source` through its gateway if there is one.
    fn gate(&mut self, source: u32) {
        let (at, bit) = split(source);
        self.pending[at] |= self.level[at] & !self.claimed[at] & bit;
    }

    fn claim(&mut self, context: usize) -> u32 {
        // The threshold has no say here ("Interrupt Claim Process").
        let Some((source, _)) = self.contexts.get(context).and_then(|c| self.best(c)) else {
            return 0;
        };
        let (at, bit) = split(source);
        self.pending[at] &= !bit;
        self.claimed[at] |= bit;
        self.settle();
        source
    }

    fn complete(&mut self, context: usize, source: u32) {
        let (at, bit) = split(source);
        // Ignored unless the source is enabled for this context ("Interrupt
        // Completion").
        let enabled = self
            .contexts
            .get(context)
            .is_some_and(|c| c.enabled.get(at).is_some_and(|enabled| enabled & bit != 0));
        if enabled && self.claimed[at] & bit != 0 {
            self.claimed[at] &= !bit;
            self.gate(source);
            self.settle();
        }
    }

    fn read(&mut self, offset: u64) -> u32 {
        match offset {
            CONTEXT.. => {
                let (context, register) = place(offset - CONTEXT, CONTEXT_STRIDE);
                match register {
                    0 => self.contexts.get(context).map_or(0, |c| c.threshold),
                    CLAIM => self.claim(context),
                    _ => 0,
                }
            }
            ENABLE.. => {
                let (context, register) = place(offset - ENABLE, ENABLE_STRIDE);
                self.contexts
                    .get(context)
                    .and_then(|c| c.enabled.get((register / 4) as usize))
                    .map_or(0, |&bits| bits)
            }
            PENDING.. => self
                .pending
                .get(((offset - PENDING) / 4) as usize)
                .map_or(0, |&bits| bits),
            _ => self
                .priority
                .get((offset / 4) as usize)
                .map_or(0, |&priority| priority),
        }
    }

    fn write(&mut self, offset: u64, value: u32) {
        match offset {
            CONTEXT.. => {
                let (context, register) = place(offset - CONTEXT, CONTEXT_STRIDE);
                match (register, self.contexts.get_mut(context)) {
                    (0, Some(context)) => context.threshold = value & MAX_PRIORITY,
                    (CLAIM, Some(_)) => return self.complete(context, value),
                    _ => return,
                }
            }
            ENABLE.. => {
                let (context, register) = place(offset - ENABLE, ENABLE_STRIDE);
                let at = (register / 4) as usize;
                let exist = existing(self.priority.len(), at);
                match self
                    .contexts
                    .get_mut(context)
                    .and_then(|c| c.enabled.get_mut(at))
                {
                    Some(bits) => *bits = value & exist,
                    None => return,
                }
            }
            PENDING.. => return,
            _ => {
                let source = (offset / 4) as u32;
                if !self.has_source(source) {
                    return;
                }
                self.priority[source as usize] = value & MAX_PRIORITY;
            }
        }
        self.settle();
    }
}

/// Word and bit of a source.
fn split(source: u32) -> (usize, u32) {
    ((source / 32) as usize, 1 << (source % 32))
}

/// Which context an offset into an array of strides belongs to, and the
/// offset within its part.
fn place(offset: u64, stride: u64) -> (usize, u64) {
    ((offset / stride) as usize, offset % stride)
}

/// The bits of word `at` that belong to sources, numbered from 1 to below
/// `end`.
fn existing(end: usize, at: usize) -> u32 {
    let below = |n: usize| match n.saturating_sub(32 * at) {
        bits @ 0..32 => (1u32 << bits) - 1,
        _ => u32::MAX,
    };
    below(end) & !below(1)
}

/// The wires' end of a PLIC, apart from its registers so that any thread can
/// drive a line while a hart accesses them.
struct Core(Mutex<State>);

impl Core {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl IrqSink for Core {
    fn set_level(&self, line: u32, level: bool) {
        let mut state = self.lock();
        let (at, bit) = split(line);
        if !state.has_source(line) || (state.level[at] & bit != 0) == level {
            return;
        }
        state.level[at] ^= bit;
        state.tap.tell(Class::Irq, || What::Line {
            source: line,
            level,
        });
        if level {
            state.gate(line);
            state.settle();
        }
    }
}

/// What there is in a snapshot.
#[derive(Serialize, Deserialize)]
struct Saved {
    priority: Box<[u32]>,
    level: Bits,
    pending: Bits,
    claimed: Bits,
    contexts: Vec<(Bits, u32)>,
}

/// A PLIC.
pub struct Plic {
    core: Arc<Core>,
}

impl Plic {
    /// A PLIC with sources 1 to `sources` (at most [`MAX_SOURCES`]) and a
    /// context for each of `contexts` (at most [`MAX_CONTEXTS`], the rest is
    /// dropped): by custom M then S of hart 0, M then S of hart 1, and so on.
    pub fn new(sources: u32, mut contexts: Vec<IrqLine>) -> Self {
        let end = sources.min(MAX_SOURCES) as usize + 1;
        let bits = || vec![0; end.div_ceil(32)].into_boxed_slice();
        contexts.truncate(MAX_CONTEXTS);
        let state = State {
            priority: vec![0; end].into_boxed_slice(),
            level: bits(),
            pending: bits(),
            claimed: bits(),
            contexts: contexts
                .into_iter()
                .map(|line| Context {
                    line,
                    enabled: bits(),
                    threshold: 0,
                })
                .collect(),
            tap: Tap::NONE,
        };
        Self {
            core: Arc::new(Core(Mutex::new(state))),
        }
    }

    /// The wire to interrupt source `source`. It may be driven from any
    /// thread; a source that does not exist is a wire to nowhere.
    pub fn line(&self, source: u32) -> IrqLine {
        IrqLine::new(self.sink(), source)
    }

    /// From now on tells `tap` when an input moves.
    pub fn watch(&self, tap: Tap) {
        self.core.lock().tap = tap;
    }

    /// All the inputs, numbered by source.
    pub fn sink(&self) -> Arc<dyn IrqSink> {
        self.core.clone()
    }
}

impl Device for Plic {
    fn read(&mut self, offset: u64, width: Width) -> Result<u64, AccessFault> {
        match width {
            Width::B4 => Ok(self.core.lock().read(offset).into()),
            _ => Err(AccessFault),
        }
    }

    fn write(&mut self, offset: u64, width: Width, value: u64) -> Result<(), AccessFault> {
        match width {
            Width::B4 => {
                self.core.lock().write(offset, value as u32);
                Ok(())
            }
            _ => Err(AccessFault),
        }
    }

    /// Forgets the level of its inputs too: a board reset puts every device's
    /// line low, and in which order must not matter.
    fn reset(&mut self) {
        let mut state = self.core.lock();
        let state = &mut *state;
        state.priority.fill(0);
        for bits in [&mut state.level, &mut state.pending, &mut state.claimed] {
            bits.fill(0);
        }
        for context in &mut state.contexts {
            context.enabled.fill(0);
            context.threshold = 0;
        }
        state.settle();
    }

    fn save(&mut self) -> Vec<u8> {
        let state = self.core.lock();
        let contexts = state.contexts.iter();
        state::pack(&Saved {
            priority: state.priority.clone(),
            level: state.level.clone(),
            pending: state.pending.clone(),
            claimed: state.claimed.clone(),
            contexts: contexts
                .map(|context| (context.enabled.clone(), context.threshold))
                .collect(),
        })
    }

    /// To be called after the devices drive their lines again.
    fn load(&mut self, state: &[u8]) -> Result<(), BadState> {
        let mut saved: Saved = state::unpack(state)?;
        let mut state = self.core.lock();
        let state = &mut *state;
        let end = state.priority.len();
        let masks: Vec<_> = (0..state.level.len()).map(|at| existing(end, at)).collect();
        let clean = |bits: &mut Bits| {
            let fits = bits.len() == masks.len();
            bits.iter_mut()
                .zip(&masks)
                .for_each(|(word, mask)| *word &= mask);
            fits
        };
        let Saved {
            priority,
            level,
            pending,
            claimed,
            contexts,
        } = &mut saved;
        let fits = clean(level) && clean(pending) && clean(claimed) && priority.len() == end;
        if !fits
            || contexts.len() != state.contexts.len()
            || !contexts.iter_mut().all(|(enabled, _)| clean(enabled))
        {
            return Err(BadState::new("another number of sources or contexts"));
        }
        priority
            .iter_mut()
            .for_each(|priority| *priority &= MAX_PRIORITY);
        // Source 0 does not exist.
        priority[0] = 0;
        for (context, (enabled, threshold)) in state.contexts.iter_mut().zip(saved.contexts) {
            context.enabled = enabled;
            context.threshold = threshold & MAX_PRIORITY;
        }
        state.priority = saved.priority;
        state.level = saved.level;
        state.pending = saved.pending;
        state.claimed = saved.claimed;
        state.settle();
        Ok(())
    }

    fn names(&self) -> Names {
        |offset, write| {
            let name = match offset {
                CONTEXT.. => {
                    let (context, register) = place(offset - CONTEXT, CONTEXT_STRIDE);
                    match (register, write) {
                        (0, _) => format!("threshold[{context}]"),
                        (CLAIM, false) => format!("claim[{context}]"),
                        (CLAIM, true) => format!("complete[{context}]"),
                        _ => return None,
                    }
                }
                ENABLE.. => {
                    let (context, register) = place(offset - ENABLE, ENABLE_STRIDE);
                    format!("enable[{context}][{}]", register / 4)
                }
                PENDING.. => format!("pending[{}]", (offset - PENDING) / 4),
                _ => format!("priority[{}]", offset / 4),
            };
            Some(name)
        }
    }

    fn registers(&self) -> Vec<Register> {
        let state = self.core.lock();
        let list = |bits: &Bits| {
            let all = (1..state.priority.len() as u32).filter(|source| {
                let (at, bit) = split(*source);
                bits[at] & bit != 0
            });
            let all: Vec<_> = all.map(|source| source.to_string()).collect();
            match all.is_empty() {
                true => "none".into(),
                false => all.join(" "),
            }
        };
        let word = |bits: &Bits| bits.first().copied().unwrap_or(0);
        let mut all = vec![
            Register::new("lines", word(&state.level)).meaning(list(&state.level)),
            Register::new("pending", word(&state.pending)).meaning(list(&state.pending)),
            Register::new("claimed", word(&state.claimed)).meaning(list(&state.claimed)),
        ];
        for (n, context) in state.contexts.iter().enumerate() {
            let enabled = Register::new(format!("enable[{n}]"), word(&context.enabled));
            all.push(enabled.meaning(list(&context.enabled)));
            all.push(Register::new(format!("threshold[{n}]"), context.threshold));
        }
        all
    }

    fn node(&self) -> DtNode {
        let sources = self.core.lock().priority.len() as u32 - 1;
        DtNode {
            name: "plic",
            compatible: &["sifive,plic-1.0.0", "riscv,plic0"],
            props: vec![
                ("interrupt-controller", DtValue::Empty),
                ("#interrupt-cells", DtValue::U32(1)),
                ("#address-cells", DtValue::U32(0)),
                ("riscv,ndev", DtValue::U32(sources)),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::fakes::Lines;

    struct Rig {
        plic: Plic,
        lines: Arc<Lines>,
    }

    impl Rig {
        fn new() -> Self {
            let lines = Arc::<Lines>::default();
            let plic = Plic::new(95, vec![lines.line(0), lines.line(1)]);
            Self { plic, lines }
        }
        fn get(&mut self, offset: u64) -> u64 {
            self.plic.read(offset, Width::B4).unwrap()
        }
        fn put(&mut self, offset: u64, value: u64) {
            self.plic.write(offset, Width::B4, value).unwrap();
        }
        fn claim(&mut self, context: u64) -> u64 {
            self.get(0x20_0004 + 0x1000 * context)
        }
        fn complete(&mut self, context: u64, source: u64) {
            self.put(0x20_0004 + 0x1000 * context, source);
        }
        fn enable(&mut self, context: u64, source: u64, priority: u64) {
            self.put(4 * source, priority);
            let at = 0x2000 + 0x80 * context + source / 32 * 4;
            let bits = self.get(at) | 1 << (source % 32);
            self.put(at, bits);
        }
    }

    #[test]
    fn a_level_is_claimed_once_until_completed() {
        let mut rig = Rig::new();
        let wire = rig.plic.line(10);
        rig.enable(1, 10, 1);
        wire.set(true);
        assert_eq!(rig.lines.get(), 0b10);
        assert_eq!(rig.get(0x1000), 1 << 10);
        assert_eq!(rig.claim(0), 0, "not enabled there");
        assert_eq!(rig.claim(1), 10);
        assert_eq!((rig.lines.get(), rig.get(0x1000)), (0, 0));
        assert_eq!(rig.claim(1), 0);
        wire.set(false);
        wire.set(true);
        assert_eq!(rig.lines.get(), 0, "the gateway is shut");
        rig.complete(0, 10);
        assert_eq!(rig.lines.get(), 0, "context 0 may not complete it");
        rig.complete(1, 10);
        assert_eq!(rig.lines.get(), 0b10, "still high: again");
        assert_eq!(rig.claim(1), 10);
        wire.set(false);
        rig.complete(1, 10);
        assert_eq!(rig.lines.get(), 0);
    }

    #[test]
    fn a_request_outlives_its_level() {
        let mut rig = Rig::new();
        rig.enable(0, 95, 7);
        rig.plic.line(95).set(true);
        rig.plic.line(95).set(false);
        assert_eq!(rig.lines.get(), 1);
        assert_eq!(rig.get(0x1008), 1 << 31);
        assert_eq!(rig.claim(0), 95);
    }

    #[test]
    fn priority_then_number_decide_and_the_threshold_masks_the_line_only() {
        let mut rig = Rig::new();
        for (source, priority) in [(3, 2), (33, 5), (40, 5), (50, 0)] {
            rig.enable(0, source, priority);
            rig.plic.line(source as u32).set(true);
        }
        rig.put(0x20_0000, 5);
        assert_eq!(rig.lines.get(), 0);
        rig.put(0x20_0000, 0xffff_fffc);
        assert_eq!(rig.get(0x20_0000), 4);
        assert_eq!(rig.lines.get(), 1);
        assert_eq!(rig.claim(0), 33);
        assert_eq!(rig.claim(0), 40);
        assert_eq!(rig.lines.get(), 0);
        assert_eq!(rig.claim(0), 3, "though masked");
        assert_eq!(rig.claim(0), 0, "priority 0 never interrupts");
        rig.put(4 * 50, 0xf);
        assert_eq!(rig.get(4 * 50), 7);
        assert_eq!(rig.claim(0), 50);
    }

    #[test]
    fn what_does_not_exist_reads_zero() {
        let mut rig = Rig::new();
        for offset in [0, 4 * 96, 0x200c, 0x2000 + 0x80 * 2, 0x20_2000, 0x20_2004] {
            rig.put(offset, 0xffff_ffff);
            assert_eq!(rig.get(offset), 0, "{offset:#x}");
        }
        rig.put(0x2000, 0xffff_ffff);
        assert_eq!(rig.get(0x2000), 0xffff_fffe, "source 0 has no enable");
        rig.put(0x2008, 0xffff_ffff);
        assert_eq!(rig.get(0x2008), 0xffff_ffff);
        rig.put(0x1000, 0xffff_ffff);
        assert_eq!(rig.get(0x1000), 0, "pending is read-only");
        for source in [0, 96, 1023, u32::MAX] {
            rig.plic.line(source).set(true);
            rig.complete(0, source.into());
        }
        assert_eq!(rig.lines.get(), 0);
        assert_eq!(rig.plic.read(0, Width::B8), Err(AccessFault));
    }

    #[test]
    fn reset_lowers_every_line_and_forgets_claims() {
        let mut rig = Rig::new();
        rig.enable(0, 1, 1);
        rig.enable(0, 2, 1);
        rig.plic.line(1).set(true);
        rig.plic.line(2).set(true);
        assert_eq!(rig.claim(0), 1);
        rig.plic.reset();
        assert_eq!(rig.lines.get(), 0);
        rig.enable(0, 1, 1);
        rig.plic.line(1).set(true);
        assert_eq!(rig.claim(0), 1);
    }
}
