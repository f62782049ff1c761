//! What must hold of the tables whatever rows they have.

use proptest::prelude::*;
use ruse_isa::compressed::{self, COMPRESSED};
use ruse_isa::{Availability, Extension, ImmKind, Inst, Opcode, RegClass, Xlen};
use ruse_isa::{decode, encode};

/// Hints that share the encoding space of another instruction: the first wins.
const HINTS: &[(Opcode, Opcode)] = &[
    (Opcode::Pause, Opcode::Fence),
    (Opcode::PrefetchI, Opcode::Ori),
    (Opcode::PrefetchR, Opcode::Ori),
    (Opcode::PrefetchW, Opcode::Ori),
];

fn xlens(availability: Availability) -> impl Iterator<Item = Xlen> {
    [Xlen::Rv32, Xlen::Rv64]
        .into_iter()
        .filter(move |x| availability.includes(*x))
}

#[test]
fn rows_overlap_only_where_the_manual_says_so() {
    for (i, &a) in Opcode::ALL.iter().enumerate() {
        for &b in &Opcode::ALL[i + 1..] {
            let (x, y) = (a.info(), b.info());
            let overlap = (x.bits ^ y.bits) & x.mask & y.mask == 0;
            let together = xlens(x.xlen).any(|xlen| y.xlen.includes(xlen));
            let hint = HINTS.iter().find(|h| **h == (a, b) || **h == (b, a));
            assert_eq!(overlap && together, hint.is_some(), "{a:?} and {b:?}");
            if let Some((winner, loser)) = hint {
                assert_eq!(winner.info().mask & loser.info().mask, loser.info().mask);
            }
        }
    }
}

#[test]
fn every_row_is_a_four_byte_encoding_and_keeps_its_fixed_bits() {
    for op in Opcode::ALL {
        let info = op.info();
        assert_eq!(info.bits & 3, 3, "{op:?}");
        assert_ne!(
            info.bits & 0x1c,
            0x1c,
            "{op:?} would be longer than four bytes"
        );
        assert_eq!(info.bits & !info.mask, 0, "{op:?}");
    }
}

#[test]
fn only_known_instructions_share_a_mnemonic() {
    let mut shared = Vec::new();
    for (i, a) in Opcode::ALL.iter().enumerate() {
        for b in &Opcode::ALL[i + 1..] {
            if a.info().mnemonic == b.info().mnemonic {
                shared.push(a.info().mnemonic);
                assert!(
                    !xlens(a.info().xlen).any(|x| b.info().xlen.includes(x)),
                    "{a:?} and {b:?}"
                );
            }
        }
    }
    shared.sort_unstable();
    assert_eq!(shared, ["amocas.d", "rev8", "zext.h"]);
}

/// The decoder's buckets against a search through the whole table.
fn decode_slowly(word: u32, xlen: Xlen) -> Option<Opcode> {
    let op = Opcode::ALL
        .iter()
        .copied()
        .filter(|op| word & op.info().mask == op.info().bits && op.info().xlen.includes(xlen))
        .max_by_key(|op| op.info().mask.count_ones())?;
    let info = op.info();
    let shamt = info.imm == ImmKind::Shamt && xlen == Xlen::Rv32 && info.mask >> 25 & 1 == 0;
    let reserved =
        shamt && word >> 25 & 1 == 1 || info.pairs && (word >> 7 & 1 == 1 || word >> 20 & 1 == 1);
    (!reserved).then_some(op)
}

fn check_word(word: u32, xlen: Xlen) {
    let decoded = decode(word, xlen);
    assert_eq!(
        decoded.map(|i| i.op),
        decode_slowly(word, xlen),
        "{word:#010x} {xlen:?}"
    );
    let Some(inst) = decoded else { return };
    assert_eq!(inst.len, 4);
    let again = encode(&inst);
    // A fence whose ignored fields alone tell it from PAUSE orders as little as that.
    let fence_w_0 = inst.op == Opcode::Fence && inst.imm == 0x10;
    assert!(
        fence_w_0 || decode(again, xlen) == Some(inst),
        "{word:#010x} {xlen:?}"
    );
    // Only a fence has bits that do not matter.
    if !matches!(inst.op, Opcode::Fence | Opcode::FenceI) {
        assert_eq!(again, word, "{inst:?}");
    }
}

#[test]
fn every_opcode_survives_decoding_and_encoding() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut seen = vec![0u32; Opcode::COUNT];
    for op in Opcode::ALL {
        let info = op.info();
        for _ in 0..2000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let word = info.bits | random as u32 & !info.mask;
            for xlen in xlens(info.xlen) {
                check_word(word, xlen);
                if decode(word, xlen).is_some_and(|i| i.op == *op) {
                    seen[*op as usize] += 1;
                }
            }
        }
    }
    for (op, seen) in Opcode::ALL.iter().zip(seen) {
        assert!(seen > 100, "{op:?} was decoded {seen} times only");
    }
}

/// Any value that `op`'s immediate can take on RV64.
fn immediate(op: Opcode) -> BoxedStrategy<i32> {
    let signed12 = -2048..2048;
    match (op.info().imm, op) {
        (_, Opcode::PrefetchI | Opcode::PrefetchR | Opcode::PrefetchW) => {
            (-64..64).prop_map(|n| n * 32).boxed()
        }
        (ImmKind::None, _) => Just(0).boxed(),
        (ImmKind::Signed, _) => signed12.boxed(),
        (ImmKind::Target, Opcode::Jal) => (-(1 << 19)..1 << 19).prop_map(|n| n * 2).boxed(),
        (ImmKind::Target, _) => signed12.prop_map(|n| n * 2).boxed(),
        (ImmKind::Upper, _) => (-(1 << 19)..1 << 19).prop_map(|n| n << 12).boxed(),
        (ImmKind::Shamt, op) if op.info().mnemonic.ends_with('w') => (0..32).boxed(),
        (ImmKind::Shamt, _) => (0..64).boxed(),
        (ImmKind::Csr | ImmKind::Fence, _) => (0..4096).boxed(),
        (ImmKind::Ordering, _) => (0..4).boxed(),
        (ImmKind::Unsigned, _) => unreachable!("compressed only"),
    }
}

fn instruction() -> impl Strategy<Value = Inst> {
    let op = proptest::sample::select(Opcode::ALL);
    (op, any::<[u8; 5]>()).prop_flat_map(|(op, r)| {
        immediate(op).prop_map(move |imm| {
            let info = op.info();
            let even = if info.pairs { 30 } else { 31 };
            let register = |class, value: u8| {
                if class == RegClass::None {
                    0
                } else {
                    value & even
                }
            };
            let number = info.mnemonic.starts_with("csrr") || info.mnemonic.starts_with("fli.");
            Inst {
                op,
                rd: register(info.rd, r[0]),
                rs1: if number {
                    r[1] & 31
                } else {
                    register(info.rs1, r[1])
                },
                rs2: register(info.rs2, r[2]),
                rs3: register(info.rs3, r[3]),
                rm: if info.uses_rm { r[4] & 7 } else { 0 },
                len: 4,
                imm,
            }
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn encoding_then_decoding_is_the_identity(inst in instruction()) {
        let xlen = xlens(inst.op.info().xlen).last().unwrap();
        let decoded = decode(encode(&inst), xlen);
        // Some operands turn an instruction into a hint of its own name.
        let hint = decoded.is_some_and(|d| HINTS.contains(&(d.op, inst.op)));
        prop_assert!(hint || decoded == Some(inst), "{:?} became {:?}", inst, decoded);
    }

    #[test]
    fn no_word_is_decoded_wrongly(word: u32) {
        for xlen in [Xlen::Rv32, Xlen::Rv64] {
            check_word(word | 3, xlen);
            let half = decode((word & !3) | (word % 3), xlen);
            prop_assert!(half.is_none_or(|i| i.len == 2));
        }
    }
}

#[test]
fn compressed_rows_overlap_only_where_one_is_a_case_of_the_other() {
    let mut overlaps = Vec::new();
    for (i, a) in COMPRESSED.iter().enumerate() {
        for b in &COMPRESSED[i + 1..] {
            let together = xlens(a.xlen).any(|xlen| b.xlen.includes(xlen));
            if together && (a.bits ^ b.bits) & a.mask & b.mask == 0 {
                assert_eq!(
                    a.mask & b.mask,
                    b.mask,
                    "{} must come after {}",
                    a.mnemonic,
                    b.mnemonic
                );
                overlaps.push((a.mnemonic, b.mnemonic));
            }
        }
    }
    assert_eq!(
        overlaps,
        [
            ("c.nop", "c.addi"),
            ("c.addi16sp", "c.lui"),
            ("c.jr", "c.mv"),
            ("c.ebreak", "c.jalr"),
            ("c.ebreak", "c.add"),
            ("c.jalr", "c.add"),
        ]
    );
}

#[test]
fn every_expansion_is_an_instruction_that_exists() {
    for xlen in [Xlen::Rv32, Xlen::Rv64] {
        let mut used = vec![0; COMPRESSED.len()];
        for half in 0..=u16::MAX {
            if half & 3 == 3 {
                continue;
            }
            let expansion = compressed::expand(half, xlen);
            // What follows a compressed instruction does not matter.
            let decoded = decode(u32::from(half) | 0xdead_0000, xlen);
            assert_eq!(decoded, expansion.map(|(_, inst)| inst));
            let Some((row, inst)) = expansion else {
                continue;
            };
            let row = COMPRESSED
                .iter()
                .position(|r| std::ptr::eq(r, row))
                .unwrap();
            used[row] += 1;
            assert_eq!(inst.len, 2);
            assert_eq!(
                decode(encode(&inst), xlen),
                Some(Inst { len: 4, ..inst }),
                "{half:#06x}"
            );
        }
        for (row, used) in COMPRESSED.iter().zip(used) {
            assert_eq!(
                used > 0,
                row.xlen.includes(xlen),
                "{} on {xlen:?}",
                row.mnemonic
            );
        }
    }
}

#[test]
fn reserved_compressed_encodings_are_illegal() {
    let both = [
        (0x0000, "all zeros"),
        (0x0004, "c.addi4spn with a zero immediate"),
        (0x4002, "c.lwsp to x0"),
        (0x6101, "c.addi16sp with a zero immediate"),
        (0x6081, "c.lui with a zero immediate"),
        (0x8002, "c.jr to x0"),
        (0x9c79, "quadrant 1, 100 1 11 rd 11 110"),
        (0x9c7d, "quadrant 1, 100 1 11 rd 11 111"),
        (0x8c40, "quadrant 0, 100 011 with bit 6"),
        (0x9000, "quadrant 0, 100 1"),
    ];
    for (half, what) in both {
        assert_eq!(decode(half, Xlen::Rv64), None, "{what}");
        assert_eq!(decode(half, Xlen::Rv32), None, "{what}");
    }
    assert_eq!(decode(0x2005, Xlen::Rv64), None, "c.addiw to x0");
    assert_eq!(decode(0x6002, Xlen::Rv64), None, "c.ldsp to x0");
    for half in [0x1082, 0x9005, 0x9405] {
        assert_eq!(decode(half, Xlen::Rv32), None, "a shift by 32 and more");
        assert!(decode(half, Xlen::Rv64).is_some());
    }
    assert_eq!(decode(0x9c01, Xlen::Rv32), None, "c.subw");
}

#[test]
fn compressed_hints_do_nothing() {
    for half in [
        0x0001, 0x0005, 0x0081, 0x4005, 0x6005, 0x8006, 0x9006, 0x0006, 0x0082,
    ] {
        let inst = decode(half, Xlen::Rv64).unwrap_or_else(|| panic!("{half:#06x} is a hint"));
        let is_shift_by_zero = inst.op == Opcode::Slli && inst.imm == 0 && inst.rd == inst.rs1;
        let adds_zero = inst.op == Opcode::Addi && inst.imm == 0 && inst.rd == inst.rs1;
        assert!(inst.rd == 0 || is_shift_by_zero || adds_zero, "{half:#06x}");
    }
}

#[test]
fn reserved_fields_of_fences_are_ignored() {
    let fence = |word| decode(word, Xlen::Rv64).map(|i| (i.op, i.rd, i.rs1, i.imm));
    assert_eq!(fence(0x0ff0_000f), Some((Opcode::Fence, 0, 0, 0xff)));
    assert_eq!(fence(0x0ff1_8f8f), Some((Opcode::Fence, 0, 0, 0xff)));
    assert_eq!(fence(0x5ff0_000f), Some((Opcode::Fence, 0, 0, 0x5ff)));
    assert_eq!(fence(0xabcd_9f8f), Some((Opcode::FenceI, 0, 0, 0)));
    // PAUSE is one encoding only.
    assert_eq!(fence(0x0100_000f), Some((Opcode::Pause, 0, 0, 0)));
    assert_eq!(fence(0x0100_008f), Some((Opcode::Fence, 0, 0, 0x10)));
}

#[test]
fn operand_classes_follow_the_pattern() {
    let info = Opcode::FcvtWS.info();
    assert_eq!(
        (info.rd, info.rs1, info.rs2),
        (RegClass::X, RegClass::F, RegClass::None)
    );
    assert!(info.uses_rm && info.extension == Extension::F);
    let info = Opcode::FmaddD.info();
    assert_eq!(
        (info.rd, info.rs1, info.rs2, info.rs3),
        (RegClass::F, RegClass::F, RegClass::F, RegClass::F)
    );
    let info = Opcode::Fsw.info();
    assert_eq!(
        (info.rd, info.rs1, info.rs2),
        (RegClass::None, RegClass::X, RegClass::F)
    );
    assert!(info.memory && !info.uses_rm);
    assert_eq!(Opcode::Csrrwi.info().rs1, RegClass::None);
    // Reserved rounding modes decode: fadd.s fa0,fa1,fa2 with rm = 5.
    assert_eq!(decode(0x00c5_d553, Xlen::Rv64).map(|i| i.rm), Some(5));
}

#[test]
fn register_pairs_are_even() {
    let amocas =
        |rd: u32, rs2: u32, f3: u32| 0x2800_002f | rs2 << 20 | 10 << 15 | f3 << 12 | rd << 7;
    for (rd, rs2) in [(3, 4), (4, 3), (5, 7)] {
        assert_eq!(decode(amocas(rd, rs2, 3), Xlen::Rv32), None);
        assert_eq!(decode(amocas(rd, rs2, 4), Xlen::Rv64), None);
        assert_eq!(
            decode(amocas(rd, rs2, 3), Xlen::Rv64).map(|i| i.op),
            Some(Opcode::AmocasD)
        );
    }
    assert_eq!(
        decode(amocas(4, 6, 3), Xlen::Rv32).map(|i| i.op),
        Some(Opcode::AmocasDRv32)
    );
    assert_eq!(
        decode(amocas(4, 6, 4), Xlen::Rv64).map(|i| i.op),
        Some(Opcode::AmocasQ)
    );
    assert_eq!(decode(amocas(4, 6, 4), Xlen::Rv32), None);
}
