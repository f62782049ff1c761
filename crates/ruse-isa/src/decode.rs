//! From instruction words to [`Inst`].
//!
//! Decoding is a search through few candidates: the table's rows are sorted, at compile time, into
//! buckets by their major opcode and five more bits; inside a bucket the more specific row comes first.

use crate::format::{ImmKind, Pattern, RM_AT};
use crate::opcode::INFO_TABLE;
use crate::{Inst, Opcode, Xlen, compressed};

/// Decodes the instruction at the beginning of `word`, the one whose lowest byte comes first in
/// memory: the low 16 bits when they are a compressed instruction, else all 32.
///
/// Reserved encodings and instructions that a hart of this width lacks give `None`. Hints give the
/// instruction that they are encoded as. The reserved rounding modes 5 and 6 do decode: whether they
/// trap is not known before `frm` is.
pub fn decode(word: u32, xlen: Xlen) -> Option<Inst> {
    if word & 3 != 3 {
        return compressed::decode(word as u16, xlen);
    }
    let bucket = bucket_of(word);
    let candidates =
        &BUCKETS.list[BUCKETS.start[bucket] as usize..BUCKETS.start[bucket + 1] as usize];
    candidates
        .iter()
        .filter(|c| word & c.mask == c.bits)
        .find_map(|c| decode_as(c.op, word, xlen))
}

fn decode_as(op: Opcode, word: u32, xlen: Xlen) -> Option<Inst> {
    let info = op.info();
    if !info.xlen.includes(xlen) {
        return None;
    }
    let p = &info.pattern;
    let inst = Inst {
        op,
        rd: p.rd.0.get(word),
        rs1: p.rs1.0.get(word),
        rs2: p.rs2.0.get(word),
        rs3: p.rs3.0.get(word),
        rm: if p.uses_rm {
            (word >> RM_AT & 7) as u8
        } else {
            0
        },
        len: 4,
        imm: p.imm.get(word),
    };
    operands_are_legal(p, &inst, xlen).then_some(inst)
}

/// The rules on operands that fixed bits cannot express.
pub(crate) fn operands_are_legal(p: &Pattern, inst: &Inst, xlen: Xlen) -> bool {
    // A shift by 32 or more is reserved on RV32.
    let shift = p.imm.kind != ImmKind::Shamt || xlen == Xlen::Rv64 || inst.imm < 32;
    // Odd numbers of register pairs are reserved (Zacas).
    let pairs = !p.pairs || (inst.rd | inst.rs2) & 1 == 0;
    shift && pairs
}

#[derive(Clone, Copy)]
struct Candidate {
    mask: u32,
    bits: u32,
    op: Opcode,
}

const SELECTORS: usize = 32;
const BUCKET_COUNT: usize = 32 * SELECTORS;

/// Atomics and OP-FP are told apart by their five highest bits, all others by funct3.
const fn selector_shape(major: u32) -> (u32, u32) {
    match major {
        0b01011 | 0b10100 => (27, 31),
        _ => (12, 7),
    }
}

#[inline]
const fn bucket_of(word: u32) -> usize {
    let major = word >> 2 & 31;
    let (shift, mask) = selector_shape(major);
    major as usize * SELECTORS + (word >> shift & mask) as usize
}

struct Buckets<const N: usize> {
    /// The candidates of bucket `b` are `list[start[b]..start[b + 1]]`.
    start: [u16; BUCKET_COUNT + 1],
    list: [Candidate; N],
}

static BUCKETS: Buckets<{ entry_count() }> = build();

/// Whether row `i` may match words of its major opcode's bucket `selector`.
const fn belongs(i: usize, selector: u32) -> bool {
    let info = &INFOS[i];
    let (shift, mask) = selector_shape(info.bits >> 2 & 31);
    selector <= mask && (selector ^ info.bits >> shift) & (info.mask >> shift & mask) == 0
}

const INFOS: &[crate::Info; Opcode::COUNT] = &INFO_TABLE;

const fn entry_count() -> usize {
    let mut n = 0;
    let mut i = 0;
    while i < INFOS.len() {
        let mut selector = 0;
        while selector < SELECTORS as u32 {
            n += belongs(i, selector) as usize;
            selector += 1;
        }
        i += 1;
    }
    n
}

/// The rows' indices, the most specific first.
const fn by_specificity() -> [usize; Opcode::COUNT] {
    let mut order = [0; Opcode::COUNT];
    let mut n = 0;
    let mut fixed = 33;
    while fixed > 0 {
        fixed -= 1;
        let mut i = 0;
        while i < INFOS.len() {
            if INFOS[i].mask.count_ones() == fixed {
                order[n] = i;
                n += 1;
            }
            i += 1;
        }
    }
    order
}

const fn build<const N: usize>() -> Buckets<N> {
    let mut start = [0; BUCKET_COUNT + 1];
    let mut i = 0;
    while i < INFOS.len() {
        let first = (INFOS[i].bits >> 2 & 31) as usize * SELECTORS;
        let mut selector = 0;
        while selector < SELECTORS {
            start[first + selector + 1] += belongs(i, selector as u32) as u16;
            selector += 1;
        }
        i += 1;
    }
    let mut b = 0;
    while b < BUCKET_COUNT {
        start[b + 1] += start[b];
        b += 1;
    }
    let mut next = start;
    let mut list = [Candidate {
        mask: 0,
        bits: 0,
        op: Opcode::ALL[0],
    }; N];
    let order = by_specificity();
    let mut n = 0;
    while n < order.len() {
        let i = order[n];
        let info = &INFOS[i];
        let first = (info.bits >> 2 & 31) as usize * SELECTORS;
        let mut selector = 0;
        while selector < SELECTORS {
            if belongs(i, selector as u32) {
                let place = &mut next[first + selector];
                list[*place as usize] = Candidate {
                    mask: info.mask,
                    bits: info.bits,
                    op: Opcode::ALL[i],
                };
                *place += 1;
            }
            selector += 1;
        }
        n += 1;
    }
    Buckets { start, list }
}
