//! Which operations of a block are executed by one handler together.
//!
//! The handlers are in `exec::fused`. Here a block is cut into the fewest
//! sequences that have one.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::OnceLock;

use ruse_isa::{Opcode, RegClass};

use crate::base::{Base, Rv32, Rv64, User64};
use crate::code::AddressHasher;
use crate::engine::{Handler, Op, Slot};
use crate::exec::fused;
use crate::hart::SINK;

/// The most operations of a sequence.
const LONGEST: usize = 4;

/// What operations can be in a sequence. Those with an immediate go with those
/// without, and moves and constants with additions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Kind {
    Add = 1,
    Addw,
    And,
    Auipc,
    Beq,
    Bge,
    Bgeu,
    Blt,
    Bltu,
    Bne,
    Call,
    FaddD,
    FleD,
    FltD,
    FmaddD,
    FmulD,
    FmvDX,
    FnmsubD,
    FsgnjD,
    FsubD,
    Jalr,
    Jump,
    Lb,
    Lbu,
    Ld,
    Lh,
    Lhu,
    Lw,
    Lwu,
    Mul,
    Mulw,
    Or,
    Sb,
    Sd,
    Sh,
    Sll,
    Sllw,
    Slt,
    Sltu,
    Sra,
    Sraw,
    Srl,
    Srlw,
    Sub,
    Subw,
    Sw,
    Xor,
}

impl Kind {
    /// The kind of an instruction; jumps and branches are told apart by the
    /// caller.
    pub(crate) fn of(op: Opcode) -> Option<Self> {
        Some(match op {
            Opcode::Add | Opcode::Addi | Opcode::Lui => Self::Add,
            Opcode::Addw | Opcode::Addiw => Self::Addw,
            Opcode::And | Opcode::Andi => Self::And,
            Opcode::Or | Opcode::Ori => Self::Or,
            Opcode::Xor | Opcode::Xori => Self::Xor,
            Opcode::Sll | Opcode::Slli => Self::Sll,
            Opcode::Srl | Opcode::Srli => Self::Srl,
            Opcode::Sra | Opcode::Srai => Self::Sra,
            Opcode::Sllw | Opcode::Slliw => Self::Sllw,
            Opcode::Srlw | Opcode::Srliw => Self::Srlw,
            Opcode::Sraw | Opcode::Sraiw => Self::Sraw,
            Opcode::Slt | Opcode::Slti => Self::Slt,
            Opcode::Sltu | Opcode::Sltiu => Self::Sltu,
            Opcode::Sub => Self::Sub,
            Opcode::Subw => Self::Subw,
            Opcode::Mul => Self::Mul,
            Opcode::Mulw => Self::Mulw,
            Opcode::Auipc => Self::Auipc,
            Opcode::Lb => Self::Lb,
            Opcode::Lbu => Self::Lbu,
            Opcode::Lh => Self::Lh,
            Opcode::Lhu => Self::Lhu,
            Opcode::Lw => Self::Lw,
            Opcode::Lwu => Self::Lwu,
            Opcode::Ld | Opcode::Fld => Self::Ld,
            Opcode::Sb => Self::Sb,
            Opcode::Sh => Self::Sh,
            Opcode::Sw => Self::Sw,
            Opcode::Sd | Opcode::Fsd => Self::Sd,
            Opcode::Beq => Self::Beq,
            Opcode::Bne => Self::Bne,
            Opcode::Blt => Self::Blt,
            Opcode::Bge => Self::Bge,
            Opcode::Bltu => Self::Bltu,
            Opcode::Bgeu => Self::Bgeu,
            Opcode::Jal => Self::Call,
            Opcode::Jalr => Self::Jalr,
            Opcode::FaddD => Self::FaddD,
            Opcode::FsubD => Self::FsubD,
            Opcode::FmulD => Self::FmulD,
            Opcode::FmaddD => Self::FmaddD,
            Opcode::FnmsubD => Self::FnmsubD,
            Opcode::FleD => Self::FleD,
            Opcode::FltD => Self::FltD,
            Opcode::FsgnjD => Self::FsgnjD,
            Opcode::FmvDX => Self::FmvDX,
            _ => return None,
        })
    }

    /// Whether the operands can be exchanged, given that there is no immediate.
    fn commutes(op: Opcode) -> bool {
        use Opcode::*;
        matches!(
            op,
            Add | Addw | And | Or | Xor | Mul | Mulw | Beq | Bne | FaddD | FmulD
        )
    }
}

/// A sequence of kinds, each with which of its sources is the result of the
/// member before.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Sequence(u64);

impl Sequence {
    const BITS: u32 = 9;

    pub(crate) fn new(members: &[(Kind, u8)]) -> Self {
        let word = |(kind, source): &(Kind, u8)| u64::from(*kind as u8) << 2 | u64::from(*source);
        Self(
            members
                .iter()
                .fold(0, |all, member| all << Self::BITS | word(member)),
        )
    }

    fn then(self, kind: Kind, source: u8) -> Self {
        Self(self.0 << Self::BITS | u64::from(kind as u8) << 2 | u64::from(source))
    }

    /// The same, reading more from memory: every way to do so.
    fn weaker(self) -> impl Iterator<Item = Self> {
        let sources: Vec<u32> = (0..LONGEST as u32)
            .map(|n| n * Self::BITS)
            .filter(|at| self.0 >> at & 3 != 0)
            .collect();
        (1..1u32 << sources.len()).map(move |subset| {
            let keep = |n: usize| subset >> n & 1 == 0;
            let mask = sources
                .iter()
                .enumerate()
                .filter(|(n, _)| !keep(*n))
                .fold(0, |mask, (_, at)| mask | 3u64 << at);
            Self(self.0 & !mask)
        })
    }
}

/// The sequences that have a handler, for one [`Base`].
pub(crate) struct Fusion(HashMap<u64, Handler, BuildHasherDefault<AddressHasher>>);

impl Fusion {
    fn new<X: Base>() -> Self {
        Self(
            fused::sequences::<X>()
                .into_iter()
                .map(|(sequence, handler)| (sequence.0, handler))
                .collect(),
        )
    }

    pub(crate) fn rv32() -> &'static Self {
        static FUSION: OnceLock<Fusion> = OnceLock::new();
        FUSION.get_or_init(Self::new::<Rv32>)
    }

    pub(crate) fn rv64() -> &'static Self {
        static FUSION: OnceLock<Fusion> = OnceLock::new();
        FUSION.get_or_init(Self::new::<Rv64>)
    }

    pub(crate) fn user64() -> &'static Self {
        static FUSION: OnceLock<Fusion> = OnceLock::new();
        FUSION.get_or_init(Self::new::<User64>)
    }

    fn find(&self, sequence: Sequence) -> Option<Handler> {
        let exact = self.0.get(&sequence.0);
        exact
            .or_else(|| sequence.weaker().find_map(|weaker| self.0.get(&weaker.0)))
            .copied()
    }

    /// Replaces the handlers of the first operations of sequences, so that the
    /// whole block takes as few handlers as there can be.
    pub(crate) fn fuse(&self, slots: &mut [Slot], notes: &Notes) {
        let notes = &notes.of;
        let len = notes.len();
        // From each slot to the end: how many handlers, and the first's.
        let mut best: Vec<(u16, Option<Handler>, usize)> = vec![(0, None, 0); len + 1];
        for at in (0..len).rev() {
            best[at] = (best[at + 1].0 + 1, None, 1);
            let mut sequence = Sequence(0);
            for (n, note) in notes[at..].iter().take(LONGEST).enumerate() {
                let Some(kind) = note.kind else { break };
                let source = if note.from >= at { note.source } else { 0 };
                sequence = sequence.then(kind, source);
                let end = at + n + 1;
                if n > 0
                    && best[end].0 + 1 < best[at].0
                    && let Some(handler) = self.find(sequence)
                {
                    best[at] = (best[end].0 + 1, Some(handler), n + 1);
                }
            }
        }
        let mut at = 0;
        while at < len {
            let (_, handler, count) = best[at];
            if let Some(handler) = handler {
                slots[at].set_handler(handler);
            }
            at += count;
        }
    }
}

/// What fusing must know of an operation.
struct Note {
    kind: Option<Kind>,
    /// Which source is the last result before, and
    source: u8,
    /// the slot that it is from.
    from: usize,
}

/// What fusing must know of a block's slots.
#[derive(Default)]
pub(crate) struct Notes {
    of: Vec<Note>,
    /// The last result: its slot and register.
    result: Option<(usize, u8)>,
}

impl Notes {
    /// The next slot holds something that cannot be fused.
    pub(crate) fn other(&mut self) {
        self.of.push(Note {
            kind: None,
            source: 0,
            from: 0,
        });
        self.result = None;
    }

    /// The next slot holds `op`, an instruction of this opcode and kind.
    /// Exchanges its operands if that helps.
    pub(crate) fn operation(&mut self, opcode: Opcode, kind: Kind, op: &mut Op) {
        let info = opcode.info();
        let (mut source, mut from) = (0, 0);
        if let Some((slot, register)) = self.result {
            let is = |class: RegClass, n: u8| class != RegClass::None && n == register;
            if !is(info.rs1, op.rs1) && is(info.rs2, op.rs2) && Kind::commutes(opcode) {
                std::mem::swap(&mut op.rs1, &mut op.rs2);
            }
            from = slot;
            source = match () {
                () if is(info.rs1, op.rs1) => 1,
                () if is(info.rs2, op.rs2) => 2,
                () => 0,
            };
        }
        if info.rd != RegClass::None {
            self.result = (op.rd != SINK).then_some((self.of.len(), op.rd));
        }
        self.of.push(Note {
            kind: Some(kind),
            source,
            from,
        });
    }
}
