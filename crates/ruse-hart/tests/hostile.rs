//! Whatever a guest executes, the hart survives: no panic, and x0 stays zero.

mod common;

use common::board::{Board, RAM};
use proptest::prelude::*;
use ruse_hart::{Exit, Privilege};
use ruse_isa::{Inst, Opcode, RegClass, Xlen, csr, encode};

/// Instructions in the region that the guest starts in.
const WORDS: usize = 512;
/// Bytes of RAM.
const SIZE: u64 = 1 << 20;

/// A legal instruction of any kind, operands at random.
fn instruction() -> impl Strategy<Value = u32> {
    let fields = (0..Opcode::COUNT, any::<[u8; 4]>(), any::<i32>());
    fields.prop_map(|(n, [rd, rs1, rs2, rs3], imm)| {
        let op = Opcode::ALL[n];
        let class = |class, n: u8| if class == RegClass::None { 0 } else { n % 32 };
        let info = op.info();
        encode(&Inst {
            rd: class(info.rd, rd),
            rs1: rs1 % 32,
            rs2: class(info.rs2, rs2),
            rs3: class(info.rs3, rs3),
            rm: if info.uses_rm { rs3 % 8 } else { 0 },
            // Short jumps keep control in the region for a while.
            imm: (imm % 2048) & !1,
            ..Inst::new(op)
        })
    })
}

/// A CSR instruction on a register that exists, or nearly.
fn csr_access() -> impl Strategy<Value = u32> {
    let numbers = prop_oneof![
        0x300u32..0x350,
        0x100u32..0x190,
        0x3a0u32..0x3f0,
        0xb00u32..0xb20,
        0u32..0x1000
    ];
    (numbers, 0u32..8, 0u32..32, 0u32..32)
        .prop_map(|(csr, form, rs1, rd)| csr << 20 | rs1 << 15 | form << 12 | rd << 7 | 0x73)
}

fn code() -> impl Strategy<Value = Vec<u32>> {
    let word = prop_oneof![
        6 => instruction(),
        2 => csr_access(),
        1 => any::<u32>(),
    ];
    prop::collection::vec(word, WORDS)
}

/// An address or a number that may serve as one.
fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => RAM..RAM + SIZE,
        1 => 0x10_0000u64..0x10_1000,
        1 => (0u64..64).prop_map(|n| u64::MAX - n),
        1 => any::<u64>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_guest_breaks_the_hart(
        words in code(),
        values in prop::collection::vec(value(), 32),
        rv32 in any::<bool>(),
        svadu in any::<bool>(),
        mode in 0u8..3,
        turns in prop::collection::vec(0u64..300, 40),
    ) {
        let xlen = if rv32 { Xlen::Rv32 } else { Xlen::Rv64 };
        let mut board = Board::with(xlen, SIZE, svadu, mode == 1);
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        // The same code everywhere: wherever a jump leads, it goes on.
        for copy in 0..SIZE / bytes.len() as u64 {
            board.load(RAM + copy * bytes.len() as u64, &bytes);
        }
        let hart = &mut board.hart;
        for (n, value) in values.iter().enumerate() {
            hart.set_x(n as u8, *value);
            hart.set_f(n as u8, *value);
        }
        hart.set_csr(csr::MSTATUS, 3 << 13);
        for vector in [csr::MTVEC, csr::STVEC] {
            hart.set_csr(vector, RAM + 0x40);
        }
        match mode {
            1 => hart.enter_supervisor(RAM, 0, RAM),
            2 => {
                hart.set_csr(csr::PMPADDR0, u64::MAX);
                hart.set_csr(csr::PMPCFG0, 0x1f);
                hart.set_privilege(Privilege::User);
                hart.set_pc(RAM);
            }
            _ => hart.set_pc(RAM),
        }
        for turn in turns {
            let before = hart.retired();
            let exit = if turn == 0 { hart.step() } else { hart.run(turn) };
            let ran = hart.retired() - before;
            prop_assert!(ran <= turn.max(1) + 64, "a turn of {} ran {}", turn, ran);
            prop_assert_eq!(hart.x(0), 0);
            match exit {
                Exit::SbiCall => {
                    let pc = hart.pc();
                    hart.set_pc(pc.wrapping_add(4));
                }
                Exit::Lockup(_) | Exit::Trap(_) | Exit::Debug(_) => break,
                Exit::Quantum | Exit::Pause | Exit::Wait => {}
            }
        }
    }
}
