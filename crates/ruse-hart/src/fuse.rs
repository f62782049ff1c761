//! Which operations of a block are executed by one handler together.
//!
//! The handlers are in `exec::fused`. Here a block is cut into the fewest
//! sequences that have one.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::{OnceLock, RwLock};

use ruse_isa::{Opcode, RegClass};

use crate::base::{Base, Rv32, Rv64, User64};
use crate::code::AddressHasher;
use crate::engine::{Handler, Op, Slot};
use crate::exec::fused;
use crate::hart::SINK;

/// The most operations of a sequence.
const LONGEST: usize = 4;

/// What operations can be in a sequence: instructions, and special cases of
/// some.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Kind {
    Add = 1,
    Addi,
    Addiw,
    Addw,
    And,
    Andi,
    Auipc,
    Beq,
    Beqz,
    Bge,
    Bgeu,
    Blt,
    Bltu,
    Bne,
    Bnez,
    Call,
    FaddD,
    FltD,
    FmaddD,
    FmulD,
    FmvDX,
    FnmsubD,
    FsubD,
    Inc,
    Jalr,
    Jump,
    Lbu,
    Ld,
    Lh,
    Lhu,
    Li,
    Lw,
    Lwu,
    Mul,
    Mulw,
    Mv,
    Or,
    Ori,
    Sb,
    Sd,
    Sh,
    Sll,
    Slli,
    Slliw,
    Slt,
    Slti,
    Sltiu,
    Sltu,
    Srai,
    Sraiw,
    Srl,
    Srli,
    Srliw,
    Sub,
    Subw,
    Sw,
    Xor,
    Xori,
}

impl Kind {
    /// The kind of an instruction that is lowered to `op`; a jump or branch is
    /// to code on the same page.
    pub(crate) fn of(opcode: Opcode, op: &Op) -> Option<Self> {
        Some(match opcode {
            Opcode::Lui => Self::Li,
            Opcode::Addi if op.rs1 == 0 => Self::Li,
            Opcode::Addi if op.imm == 0 => Self::Mv,
            Opcode::Addi if op.rs1 == op.rd => Self::Inc,
            Opcode::Beq if op.rs2 == 0 => Self::Beqz,
            Opcode::Bne if op.rs2 == 0 => Self::Bnez,
            Opcode::Jal if op.rd == SINK => Self::Jump,
            Opcode::Jal => Self::Call,
            Opcode::Ld | Opcode::Fld => Self::Ld,
            Opcode::Sd | Opcode::Fsd => Self::Sd,
            Opcode::Add => Self::Add,
            Opcode::Addi => Self::Addi,
            Opcode::Addiw => Self::Addiw,
            Opcode::Addw => Self::Addw,
            Opcode::And => Self::And,
            Opcode::Andi => Self::Andi,
            Opcode::Auipc => Self::Auipc,
            Opcode::Beq => Self::Beq,
            Opcode::Bge => Self::Bge,
            Opcode::Bgeu => Self::Bgeu,
            Opcode::Blt => Self::Blt,
            Opcode::Bltu => Self::Bltu,
            Opcode::Bne => Self::Bne,
            Opcode::FaddD => Self::FaddD,
            Opcode::FltD => Self::FltD,
            Opcode::FmaddD => Self::FmaddD,
            Opcode::FmulD => Self::FmulD,
            Opcode::FmvDX => Self::FmvDX,
            Opcode::FnmsubD => Self::FnmsubD,
            Opcode::FsubD => Self::FsubD,
            Opcode::Jalr => Self::Jalr,
            Opcode::Lbu => Self::Lbu,
            Opcode::Lh => Self::Lh,
            Opcode::Lhu => Self::Lhu,
            Opcode::Lw => Self::Lw,
            Opcode::Lwu => Self::Lwu,
            Opcode::Mul => Self::Mul,
            Opcode::Mulw => Self::Mulw,
            Opcode::Or => Self::Or,
            Opcode::Ori => Self::Ori,
            Opcode::Sb => Self::Sb,
            Opcode::Sh => Self::Sh,
            Opcode::Sll => Self::Sll,
            Opcode::Slli => Self::Slli,
            Opcode::Slliw => Self::Slliw,
            Opcode::Slt => Self::Slt,
            Opcode::Slti => Self::Slti,
            Opcode::Sltiu => Self::Sltiu,
            Opcode::Sltu => Self::Sltu,
            Opcode::Srai => Self::Srai,
            Opcode::Sraiw => Self::Sraiw,
            Opcode::Srl => Self::Srl,
            Opcode::Srli => Self::Srli,
            Opcode::Srliw => Self::Srliw,
            Opcode::Sub => Self::Sub,
            Opcode::Subw => Self::Subw,
            Opcode::Sw => Self::Sw,
            Opcode::Xor => Self::Xor,
            Opcode::Xori => Self::Xori,
            _ => return None,
        })
    }

    /// A kind that does the same with more operands.
    fn weaker(self) -> Option<Self> {
        match self {
            Self::Li | Self::Mv | Self::Inc => Some(Self::Addi),
            Self::Beqz => Some(Self::Beq),
            Self::Bnez => Some(Self::Bne),
            _ => None,
        }
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

    /// The same in weaker forms, the weakest last, each with how many members
    /// are weaker: more operands, or all of them from memory.
    fn weaker(members: &[(Kind, u8)]) -> Vec<(Self, u8)> {
        let mut all = vec![(Self(0), 0)];
        for &(kind, source) in members {
            let mut forms = vec![(kind, source)];
            if let Some(weaker) = kind.weaker() {
                forms.push((weaker, source));
            }
            if source != 0 {
                forms.extend_from_within(..);
                let half = forms.len() / 2;
                for form in &mut forms[half..] {
                    form.1 = 0;
                }
            }
            all = all
                .into_iter()
                .flat_map(|(sequence, weaker)| {
                    forms.iter().map(move |form| {
                        let same = *form == (kind, source);
                        (sequence.then(form.0, form.1), weaker + u8::from(!same))
                    })
                })
                .collect();
        }
        all.sort_by_key(|(_, weaker)| *weaker);
        all
    }
}

/// A handler, and how many members of its sequence it executes in a weaker
/// form than it might.
type Found = Option<(Handler, u8)>;
type Map<T> = HashMap<u64, T, BuildHasherDefault<AddressHasher>>;

/// The sequences that have a handler, for one [`Base`].
pub(crate) struct Fusion {
    handlers: Map<Handler>,
    /// What was found for sequences asked for.
    found: RwLock<Map<Found>>,
}

impl Fusion {
    fn new<X: Base>() -> Self {
        Self {
            handlers: fused::sequences::<X>()
                .into_iter()
                .map(|(sequence, handler)| (sequence.0, handler))
                .collect(),
            found: RwLock::default(),
        }
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

    fn find(&self, members: &[(Kind, u8)]) -> Found {
        let key = Sequence::new(members).0;
        let known = self.found.read().unwrap_or_else(|e| e.into_inner());
        if let Some(found) = known.get(&key) {
            return *found;
        }
        drop(known);
        let found = Sequence::weaker(members)
            .into_iter()
            .find_map(|(sequence, weaker)| Some((*self.handlers.get(&sequence.0)?, weaker)));
        let mut known = self.found.write().unwrap_or_else(|e| e.into_inner());
        known.insert(key, found);
        found
    }

    /// Replaces the handlers of the first operations of sequences, so that the
    /// whole block takes as few handlers as there can be.
    pub(crate) fn fuse(&self, slots: &mut [Slot], notes: &Notes) {
        /// What a handler costs, in weaker members.
        const HANDLER: u16 = 16;
        let notes = &notes.of;
        let len = notes.len();
        // From each slot to the end: the cost, the first handler, and how many
        // slots are its.
        let mut best: Vec<(u16, Option<Handler>, usize)> = vec![(0, None, 0); len + 1];
        for at in (0..len).rev() {
            best[at] = (best[at + 1].0 + HANDLER, None, 1);
            let mut members = [(Kind::Addi, 0); LONGEST];
            for (n, note) in notes[at..].iter().take(LONGEST).enumerate() {
                let Some(kind) = note.kind else { break };
                let source = if note.from >= at { note.source } else { 0 };
                members[n] = (kind, source);
                let rest = best[at + n + 1].0 + HANDLER;
                if rest <= best[at].0
                    && let Some((handler, weaker)) = self.find(&members[..=n])
                    && (rest + u16::from(weaker) < best[at].0 || n == 0)
                {
                    best[at] = (rest + u16::from(weaker), Some(handler), n + 1);
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
