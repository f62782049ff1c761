//! Instructions of extensions that QEMU 7.2 lacks, and bit manipulation,
//! executed from their encodings and compared with arithmetic of the host
//! that is written another way than the hart's.

#[path = "common/mod.rs"]
mod common;

use proptest::prelude::*;
use ruse_hart::Privilege;
use ruse_isa::Opcode::{self, *};
use ruse_isa::{Inst, Xlen, csr};

use common::asm::Asm;
use common::board::{Board, RAM};

const DATA: u64 = RAM + 0x1000;

/// A board with one instruction, and every register file usable.
fn machine(xlen: Xlen, inst: Inst) -> Board {
    let mut board = Board::new(xlen, 1 << 20);
    let mut a = Asm::new(xlen, RAM);
    a.inst(inst);
    board.load(RAM, &a.finish());
    board.hart.set_pc(RAM);
    board.hart.set_csr(csr::MSTATUS, 3 << 13);
    board
}

fn step(board: &mut Board, op: Opcode) {
    board.hart.step();
    assert_eq!(board.hart.pc(), RAM + 4, "{op:?} trapped");
    assert_eq!(board.hart.privilege(), Privilege::Machine);
}

fn inst(op: Opcode) -> Inst {
    Inst {
        rd: 12,
        rs1: 10,
        rs2: 11,
        rm: 7,
        ..Inst::new(op)
    }
}

/// `op x12, x10, x11`
fn integer(xlen: Xlen, op: Opcode, a: u64, b: u64) -> u64 {
    let mut board = machine(xlen, inst(op));
    board.hart.set_x(10, a);
    board.hart.set_x(11, b);
    step(&mut board, op);
    board.hart.x(12)
}

/// `op f12, f10, f11` or to `x12`: the result and the flags.
fn float(op: Opcode, rm: u8, a: u64, b: u64) -> (u64, u64) {
    let mut board = machine(Xlen::Rv64, Inst { rm, ..inst(op) });
    let hart = &mut board.hart;
    hart.set_f(10, a);
    hart.set_f(11, b);
    step(&mut board, op);
    let hart = &mut board.hart;
    let result = match op.info().rd {
        ruse_isa::RegClass::X => hart.x(12),
        _ => hart.f(12),
    };
    (result, hart.csr(csr::FFLAGS).expect("fflags"))
}

/// Numbers that are often near an edge.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        (0u32..64).prop_map(|n| 1 << n),
        (0u32..64).prop_map(|n| u64::MAX << n),
        (0u32..64).prop_map(|n| u64::MAX >> n),
        any::<i8>().prop_map(|n| n as u64),
    ]
}

fn double() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        any::<f64>().prop_map(f64::to_bits),
        (-5000i32..5000).prop_map(|n| (f64::from(n) / 4.0).to_bits()),
        (0u32..63, any::<bool>()).prop_map(|(n, odd)| {
            let base = 2f64.powi(n as i32 + 1);
            (if odd { base + 0.5 } else { -base }).to_bits()
        }),
        Just(f64::NAN.to_bits()),
        Just(0x7ff0_0000_0000_0001),
        Just(0x8000_0000_0000_0000),
        Just(f64::INFINITY.to_bits()),
    ]
}

fn is_signaling(bits: u64) -> bool {
    f64::from_bits(bits).is_nan() && bits >> 51 & 1 == 0
}

/// The bits of `value`, the lowest first.
fn bits(value: u64, width: u32) -> Vec<bool> {
    (0..width).map(|n| value >> n & 1 == 1).collect()
}

fn carryless(a: u64, b: u64, width: u32) -> Vec<bool> {
    let mut sum = vec![false; 2 * width as usize];
    for (i, x) in bits(a, width).into_iter().enumerate() {
        for (j, y) in bits(b, width).into_iter().enumerate() {
            sum[i + j] ^= x && y;
        }
    }
    sum
}

fn join(bits: &[bool]) -> u64 {
    bits.iter().rev().fold(0, |n, b| n << 1 | u64::from(*b))
}

fn register(xlen: Xlen, value: u64) -> u64 {
    match xlen {
        Xlen::Rv32 => value as i32 as u64,
        Xlen::Rv64 => value,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn bits_are_counted_moved_and_multiplied(a in number(), b in number()) {
        for (xlen, width) in [(Xlen::Rv32, 32u32), (Xlen::Rv64, 64)] {
            let all = bits(a, width);
            let run = |op| integer(xlen, op, a, b);
            let zeros = |mut bits: Box<dyn Iterator<Item = &bool> + '_>| {
                bits.position(|b| *b).unwrap_or(width as usize) as u64
            };
            prop_assert_eq!(run(Clz), zeros(Box::new(all.iter().rev())));
            prop_assert_eq!(run(Ctz), zeros(Box::new(all.iter())));
            prop_assert_eq!(run(Cpop), all.iter().filter(|b| **b).count() as u64);
            let by = (b % u64::from(width)) as usize;
            let mut turned = all.clone();
            turned.rotate_right(by);
            prop_assert_eq!(run(Rol), register(xlen, join(&turned)));
            let mut turned = all.clone();
            turned.rotate_left(by);
            prop_assert_eq!(run(Ror), register(xlen, join(&turned)));
            let product = carryless(a, b, width);
            let w = width as usize;
            prop_assert_eq!(run(Clmul), register(xlen, join(&product[..w])));
            prop_assert_eq!(run(Clmulh), register(xlen, join(&product[w..])));
            prop_assert_eq!(run(Clmulr), register(xlen, join(&product[w - 1..2 * w - 1])));
            let orc = all.chunks(8).flat_map(|byte| vec![byte.iter().any(|b| *b); 8]);
            prop_assert_eq!(run(OrcB), register(xlen, join(&orc.collect::<Vec<_>>())));
            let mut flipped = all.clone();
            flipped[by] ^= true;
            prop_assert_eq!(run(Binv), register(xlen, join(&flipped)));
            prop_assert_eq!(run(Bext), u64::from(all[by]));
            let signed = |n: u64| register(xlen, n) as i64;
            prop_assert_eq!(run(Max) as i64, signed(a).max(signed(b)));
            prop_assert_eq!(run(Sh3add), register(xlen, b.wrapping_add(a.wrapping_mul(8))));
        }
        let run = |op| integer(Xlen::Rv64, op, a, b);
        prop_assert_eq!(run(Ctzw), (0..32).find(|n| a >> n & 1 == 1).unwrap_or(32));
        prop_assert_eq!(run(Clzw), (0..32).find(|n| a >> (31 - n) & 1 == 1).unwrap_or(32));
        prop_assert_eq!(run(Cpopw), (0..32).filter(|n| a >> n & 1 == 1).count() as u64);
        prop_assert_eq!(run(AddUw), (a & 0xffff_ffff).wrapping_add(b));
    }

    #[test]
    fn zicond(a in number(), b in number()) {
        for xlen in [Xlen::Rv32, Xlen::Rv64] {
            for condition in [b, 0, 1 << 32] {
                let zero = register(xlen, condition) == 0;
                let (kept, cleared) = (register(xlen, a), 0);
                let expected = if zero { (cleared, kept) } else { (kept, cleared) };
                let found = (
                    integer(xlen, CzeroEqz, a, condition),
                    integer(xlen, CzeroNez, a, condition),
                );
                prop_assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn zcb(a in number(), word in any::<u64>()) {
        // Each with x8 as operand and result.
        let cases: [(u16, u64); 7] = [
            (0x9c61, a & 0xff),
            (0x9c65, a as i8 as u64),
            (0x9c69, a & 0xffff),
            (0x9c6d, a as i16 as u64),
            (0x9c71, a & 0xffff_ffff),
            (0x9c75, !a),
            // c.mul x8, x9
            (0x9c45, a.wrapping_mul(word)),
        ];
        for (half, expected) in cases {
            let mut board = machine(Xlen::Rv64, Inst::new(Addi));
            board.load(RAM, &half.to_le_bytes());
            board.hart.set_x(8, a);
            board.hart.set_x(9, word);
            board.hart.step();
            prop_assert_eq!(board.hart.pc(), RAM + 2);
            prop_assert_eq!(board.hart.x(8), expected, "{:#x}", half);
        }
        // x9 loaded from and stored to the address in x8.
        let bytes = word.to_le_bytes();
        let loads: [(u16, u64); 4] = [
            (0x8044, bytes[1].into()), // c.lbu x9, 1(x8)
            (0x8024, bytes[2].into()), // c.lbu x9, 2(x8)
            (0x8424, u64::from(u16::from_le_bytes([bytes[2], bytes[3]]))), // c.lhu x9, 2(x8)
            (0x8464, i16::from_le_bytes([bytes[2], bytes[3]]) as u64), // c.lh x9, 2(x8)
        ];
        for (half, expected) in loads {
            let mut board = machine(Xlen::Rv64, Inst::new(Addi));
            board.load(RAM, &half.to_le_bytes());
            board.set_u64(DATA, word);
            board.hart.set_x(8, DATA);
            board.hart.step();
            prop_assert_eq!(board.hart.x(9), expected, "{:#x}", half);
        }
        for (half, mask) in [(0x8844u16, 0xff00u64), (0x8c24, 0xffff_0000)] {
            let mut board = machine(Xlen::Rv64, Inst::new(Addi));
            board.load(RAM, &half.to_le_bytes());
            board.set_u64(DATA, word);
            board.hart.set_x(8, DATA);
            board.hart.set_x(9, a);
            board.hart.step();
            let stored = a << mask.trailing_zeros() & mask;
            prop_assert_eq!(board.u64(DATA), word & !mask | stored, "{:#x}", half);
        }
    }

    #[test]
    fn zacas(old in number(), compare in number(), new in number(), equal in any::<bool>()) {
        let compare = if equal { old } else { compare };
        let run = |op, xlen, rd, rs2, wide: u64| {
            let mut board = machine(xlen, Inst { rd, rs2, ..inst(op) });
            board.set_u64(DATA, old);
            board.set_u64(DATA + 8, wide);
            board.hart.set_x(10, DATA);
            board
        };
        let mut board = run(AmocasW, Xlen::Rv64, 12, 11, 0);
        board.hart.set_x(12, compare);
        board.hart.set_x(11, new);
        step(&mut board, AmocasW);
        let hit = old as u32 == compare as u32;
        let low = if hit { new } else { old } & 0xffff_ffff;
        prop_assert_eq!(board.u64(DATA), old >> 32 << 32 | low);
        prop_assert_eq!(board.hart.x(12), old as i32 as u64);

        let mut board = run(AmocasD, Xlen::Rv64, 12, 11, 0);
        board.hart.set_x(12, compare);
        board.hart.set_x(11, new);
        step(&mut board, AmocasD);
        prop_assert_eq!(board.u64(DATA), if old == compare { new } else { old });
        prop_assert_eq!(board.hart.x(12), old);

        let mut board = run(AmocasDRv32, Xlen::Rv32, 12, 14, 0);
        for (n, value) in [(12, compare), (13, compare >> 32), (14, new), (15, new >> 32)] {
            board.hart.set_x(n, value);
        }
        step(&mut board, AmocasDRv32);
        prop_assert_eq!(board.u64(DATA), if old == compare { new } else { old });
        prop_assert_eq!(board.hart.x(12), old as i32 as u64);
        prop_assert_eq!(board.hart.x(13), (old >> 32) as i32 as u64);

        // Sixteen bytes, of which the upper differ or not; then with x0.
        for (wide, expected_wide) in [(5u64, 5u64), (5, 6)] {
            let mut board = run(AmocasQ, Xlen::Rv64, 12, 14, wide);
            for (n, value) in [(12, compare), (13, expected_wide), (14, new), (15, 9)] {
                board.hart.set_x(n, value);
            }
            step(&mut board, AmocasQ);
            let hit = old == compare && wide == expected_wide;
            let found = (board.u64(DATA), board.u64(DATA + 8));
            prop_assert_eq!(found, if hit { (new, 9) } else { (old, wide) });
            prop_assert_eq!((board.hart.x(12), board.hart.x(13)), (old, wide));
        }
        let mut board = run(AmocasQ, Xlen::Rv64, 0, 0, old);
        board.hart.set_x(1, 77);
        step(&mut board, AmocasQ);
        let left = if old == 0 { 0 } else { old };
        prop_assert_eq!((board.u64(DATA), board.u64(DATA + 8)), (left, left));
        prop_assert_eq!((board.hart.x(0), board.hart.x(1)), (0, 77));
    }

    #[test]
    fn zfa_rounds_to_integers(a in double()) {
        let value = f64::from_bits(a);
        let modes: [fn(f64) -> f64; 5] = [
            f64::round_ties_even,
            f64::trunc,
            f64::floor,
            f64::ceil,
            f64::round,
        ];
        for (rm, round) in (0..).zip(modes) {
            let (result, flags) = float(FroundD, rm, a, 0);
            let (exact, inexact) = float(FroundnxD, rm, a, 0);
            let invalid = if is_signaling(a) { 0x10 } else { 0 };
            if value.is_nan() {
                prop_assert_eq!(result, 0x7ff8_0000_0000_0000);
                prop_assert_eq!((flags, inexact), (invalid, invalid));
            } else {
                let expected = round(value);
                prop_assert_eq!(result, expected.to_bits(), "{} in mode {}", value, rm);
                prop_assert_eq!(flags, 0);
                prop_assert_eq!(inexact, u64::from(expected != value));
            }
            prop_assert_eq!(exact, result);
        }
    }

    #[test]
    fn zfa_compares_and_selects(a in double(), b in double()) {
        let (x, y) = (f64::from_bits(a), f64::from_bits(b));
        let invalid = if is_signaling(a) || is_signaling(b) { 0x10 } else { 0 };
        prop_assert_eq!(float(FleqD, 7, a, b), (u64::from(x <= y), invalid));
        prop_assert_eq!(float(FltqD, 7, a, b), (u64::from(x < y), invalid));
        let any_nan = x.is_nan() || y.is_nan();
        let nan = 0x7ff8_0000_0000_0000;
        // Minus zero is less than zero.
        let less = x < y || (x == y && x.is_sign_negative());
        let (min, max) = if less { (a, b) } else { (b, a) };
        let expect = |bits| if any_nan { (nan, invalid) } else { (bits, 0) };
        prop_assert_eq!(float(FminmD, 7, a, b), expect(min));
        prop_assert_eq!(float(FmaxmD, 7, a, b), expect(max));
    }

    #[test]
    fn zfa_converts_modulo(a in double()) {
        let value = f64::from_bits(a);
        let (result, flags) = float(FcvtmodWD, 1, a, 0);
        if !value.is_finite() {
            prop_assert_eq!((result, flags), (0, 0x10));
        } else {
            // Exact: a remainder has no rounding.
            let modulo = value.trunc() % 4294967296.0;
            let expected = modulo as i64 as i32 as u64;
            prop_assert_eq!(result, expected, "{}", value);
            let fits = (-2147483648.0..=2147483647.0).contains(&value.trunc());
            let flag = if !fits { 0x10 } else { u64::from(value.fract() != 0.0) };
            prop_assert_eq!(flags, flag, "{}", value);
        }
    }

    #[test]
    fn zfa_moves_halves_on_rv32(a in any::<u64>(), low in any::<u32>(), high in any::<u32>()) {
        let mut board = machine(Xlen::Rv32, inst(FmvhXD));
        board.hart.set_f(10, a);
        step(&mut board, FmvhXD);
        prop_assert_eq!(board.hart.x(12), (a >> 32) as i32 as u64);
        let mut board = machine(Xlen::Rv32, inst(FmvpDX));
        board.hart.set_x(10, low.into());
        board.hart.set_x(11, high.into());
        step(&mut board, FmvpDX);
        prop_assert_eq!(board.hart.f(12), u64::from(low) | u64::from(high) << 32);
    }
}

#[test]
fn zfa_constants() {
    // The table of FLI, but for its first four rows that are not powers or
    // sums of two powers of two in every format.
    let tail = [
        2f64.powi(-16),
        2f64.powi(-15),
        2f64.powi(-8),
        2f64.powi(-7),
        0.0625,
        0.125,
        0.25,
        0.3125,
        0.375,
        0.4375,
        0.5,
        0.625,
        0.75,
        0.875,
        1.0,
        1.25,
        1.5,
        1.75,
        2.0,
        2.5,
        3.0,
        4.0,
        8.0,
        16.0,
        128.0,
        256.0,
        32768.0,
        65536.0,
        f64::INFINITY,
    ];
    let get = |op: Opcode, index: u8| {
        let mut board = machine(
            Xlen::Rv64,
            Inst {
                rs1: index,
                ..inst(op)
            },
        );
        step(&mut board, op);
        board.hart.f(12)
    };
    assert_eq!(get(FliD, 0), (-1.0f64).to_bits());
    assert_eq!(get(FliD, 1), f64::MIN_POSITIVE.to_bits());
    assert_eq!(get(FliS, 1) as u32, f32::MIN_POSITIVE.to_bits());
    assert_eq!(get(FliD, 31), 0x7ff8_0000_0000_0000);
    assert_eq!(get(FliS, 31), 0xffff_ffff_7fc0_0000);
    assert_eq!(get(FliH, 31), 0xffff_ffff_ffff_7e00);
    for (index, value) in (2..).zip(tail) {
        assert_eq!(get(FliD, index), value.to_bits(), "fli.d {index}");
        let single = 0xffff_ffff_0000_0000 | u64::from((value as f32).to_bits());
        assert_eq!(get(FliS, index), single, "fli.s {index}");
    }
}

#[test]
fn wrs_and_pause_go_on() {
    for op in [WrsNto, WrsSto, Pause] {
        let mut board = machine(Xlen::Rv64, Inst::new(op));
        step(&mut board, op);
    }
}
