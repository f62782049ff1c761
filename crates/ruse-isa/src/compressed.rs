//! The compressed instructions: Zca, Zcf, Zcd and Zcb (unprivileged manual, chapters 26 and 27).
//!
//! Each row says what the instruction stands for, so nothing above the decoder knows them: the
//! engine sees the full instruction, two bytes long.

use crate::decode::operands_are_legal;
use crate::format::{Pattern, RegField, number};
use crate::{Availability, Inst, Opcode, Xlen};

/// One row of the table of compressed instructions.
#[derive(Clone, Copy, Debug)]
pub struct CompressedInfo {
    /// The instruction's name in assembly, such as `c.addi4spn`.
    pub mnemonic: &'static str,
    /// The encoding's fields, as in [`Info::encoding`](crate::Info::encoding).
    pub encoding: &'static str,
    /// The bits of the encoding that are fixed, and
    pub mask: u16,
    /// their values.
    pub bits: u16,
    /// The instruction it stands for.
    pub expands_to: Opcode,
    /// The base architectures that have it.
    pub xlen: Availability,
    pattern: Pattern,
    rules: Rules,
}

/// Operands that the encoding implies, and those that must not be zero.
#[derive(Clone, Copy, Debug)]
struct Rules {
    rd: u8,
    rs1: u8,
    rs2: u8,
    imm: i32,
    rd_nonzero: bool,
    rs1_nonzero: bool,
    rs2_nonzero: bool,
    imm_nonzero: bool,
}

impl CompressedInfo {
    const fn new(
        mnemonic: &'static str,
        encoding: &'static str,
        expands_to: Opcode,
        rules: &str,
        xlen: Availability,
    ) -> CompressedInfo {
        let pattern = Pattern::parse(encoding, 16);
        CompressedInfo {
            mnemonic,
            encoding,
            mask: pattern.mask as u16,
            bits: pattern.bits as u16,
            expands_to,
            xlen,
            pattern,
            rules: Rules::parse(rules),
        }
    }

    /// The instruction that `half`, which has this row's fixed bits, stands for.
    fn expand(&self, half: u16, xlen: Xlen) -> Option<Inst> {
        let (p, rules, word) = (&self.pattern, &self.rules, u32::from(half));
        let or_implied = |field: RegField, implied| {
            if field.is_present() {
                field.get(word)
            } else {
                implied
            }
        };
        let inst = Inst {
            op: self.expands_to,
            rd: or_implied(p.rd.0, rules.rd),
            rs1: or_implied(p.rs1.0, rules.rs1),
            rs2: or_implied(p.rs2.0, rules.rs2),
            rs3: 0,
            rm: 0,
            len: 2,
            imm: p.imm.get(word) | rules.imm,
        };
        let reserved = rules.rd_nonzero && inst.rd == 0
            || rules.rs1_nonzero && inst.rs1 == 0
            || rules.rs2_nonzero && inst.rs2 == 0
            || rules.imm_nonzero && inst.imm == 0;
        (!reserved && operands_are_legal(p, &inst, xlen)).then_some(inst)
    }
}

impl Rules {
    /// Reads `rs1=2 imm!=0`.
    const fn parse(text: &str) -> Rules {
        let mut rules = Rules {
            rd: 0,
            rs1: 0,
            rs2: 0,
            imm: 0,
            rd_nonzero: false,
            rs1_nonzero: false,
            rs2_nonzero: false,
            imm_nonzero: false,
        };
        let text = text.as_bytes();
        let mut i = 0;
        while i < text.len() {
            if text[i] == b' ' {
                i += 1;
                continue;
            }
            let field = match (text[i], text[i + 1], text[i + 2]) {
                (b'r', b'd', _) => 0,
                (b'r', b's', b'1') => 1,
                (b'r', b's', b'2') => 2,
                (b'i', b'm', b'm') => 3,
                _ => panic!("unknown operand"),
            };
            i += if field == 0 { 2 } else { 3 };
            if text[i] == b'!' {
                assert!(text[i + 1] == b'=' && text[i + 2] == b'0', "expected !=0");
                i += 3;
                match field {
                    0 => rules.rd_nonzero = true,
                    1 => rules.rs1_nonzero = true,
                    2 => rules.rs2_nonzero = true,
                    _ => rules.imm_nonzero = true,
                }
                continue;
            }
            assert!(text[i] == b'=', "expected = or !=");
            let negative = text[i + 1] == b'-';
            let (end, value) = number(text, i + 1 + negative as usize);
            i = end;
            match field {
                0 => rules.rd = value,
                1 => rules.rs1 = value,
                2 => rules.rs2 = value,
                _ => {
                    rules.imm = if negative {
                        -(value as i32)
                    } else {
                        value as i32
                    }
                }
            }
        }
        rules
    }
}

macro_rules! compressed_table {
    ($( $mnemonic:literal $pattern:literal $base:ident $rules:literal $xlen:ident ; )*) => {
        /// Every compressed instruction.
        pub static COMPRESSED: &[CompressedInfo] = &[
            $( CompressedInfo::new($mnemonic, $pattern, Opcode::$base, $rules, Availability::$xlen), )*
        ];
    };
}

// Among rows of the same quadrant and funct3, the first that matches and whose rules hold wins.
compressed_table! {
    // Quadrant 0.
    "c.addi4spn" "000 uimm[5:4|9:6|2|3] rd' 00"             Addi     "rs1=2 imm!=0" Both;
    "c.fld"      "001 uimm[5:3] rs1' uimm[7:6] rd' 00"      Fld      "" Both;
    "c.lw"       "010 uimm[5:3] rs1' uimm[2|6] rd' 00"      Lw       "" Both;
    "c.flw"      "011 uimm[5:3] rs1' uimm[2|6] rd' 00"      Flw      "" Rv32;
    "c.ld"       "011 uimm[5:3] rs1' uimm[7:6] rd' 00"      Ld       "" Rv64;
    "c.lbu"      "100 000 rs1' uimm[0|1] rd' 00"            Lbu      "" Both;
    "c.lhu"      "100 001 rs1' 0 uimm[1] rd' 00"            Lhu      "" Both;
    "c.lh"       "100 001 rs1' 1 uimm[1] rd' 00"            Lh       "" Both;
    "c.sb"       "100 010 rs1' uimm[0|1] rs2' 00"           Sb       "" Both;
    "c.sh"       "100 011 rs1' 0 uimm[1] rs2' 00"           Sh       "" Both;
    "c.fsd"      "101 uimm[5:3] rs1' uimm[7:6] rs2' 00"     Fsd      "" Both;
    "c.sw"       "110 uimm[5:3] rs1' uimm[2|6] rs2' 00"     Sw       "" Both;
    "c.fsw"      "111 uimm[5:3] rs1' uimm[2|6] rs2' 00"     Fsw      "" Rv32;
    "c.sd"       "111 uimm[5:3] rs1' uimm[7:6] rs2' 00"     Sd       "" Rv64;

    // Quadrant 1.
    "c.nop"      "000 imm[5] 00000 imm[4:0] 01"             Addi     "" Both;
    "c.addi"     "000 imm[5] rd/rs1 imm[4:0] 01"            Addi     "" Both;
    "c.jal"      "001 target[11|4|9:8|10|6|7|3:1|5] 01"     Jal      "rd=1" Rv32;
    "c.addiw"    "001 imm[5] rd/rs1 imm[4:0] 01"            Addiw    "rd!=0" Rv64;
    "c.li"       "010 imm[5] rd imm[4:0] 01"                Addi     "" Both;
    "c.addi16sp" "011 imm[9] 00010 imm[4|6|8:7|5] 01"       Addi     "rd=2 rs1=2 imm!=0" Both;
    "c.lui"      "011 upper[17] rd upper[16:12] 01"         Lui      "imm!=0" Both;
    "c.srli"     "100 shamt[5] 00 rd/rs1' shamt[4:0] 01"    Srli     "" Both;
    "c.srai"     "100 shamt[5] 01 rd/rs1' shamt[4:0] 01"    Srai     "" Both;
    "c.andi"     "100 imm[5] 10 rd/rs1' imm[4:0] 01"        Andi     "" Both;
    "c.sub"      "100 0 11 rd/rs1' 00 rs2' 01"              Sub      "" Both;
    "c.xor"      "100 0 11 rd/rs1' 01 rs2' 01"              Xor      "" Both;
    "c.or"       "100 0 11 rd/rs1' 10 rs2' 01"              Or       "" Both;
    "c.and"      "100 0 11 rd/rs1' 11 rs2' 01"              And      "" Both;
    "c.subw"     "100 1 11 rd/rs1' 00 rs2' 01"              Subw     "" Rv64;
    "c.addw"     "100 1 11 rd/rs1' 01 rs2' 01"              Addw     "" Rv64;
    "c.mul"      "100 1 11 rd/rs1' 10 rs2' 01"              Mul      "" Both;
    "c.zext.b"   "100 1 11 rd/rs1' 11 000 01"               Andi     "imm=255" Both;
    "c.sext.b"   "100 1 11 rd/rs1' 11 001 01"               SextB    "" Both;
    "c.zext.h"   "100 1 11 rd/rs1' 11 010 01"               ZextH    "" Rv64;
    "c.zext.h"   "100 1 11 rd/rs1' 11 010 01"               ZextHRv32 "" Rv32;
    "c.sext.h"   "100 1 11 rd/rs1' 11 011 01"               SextH    "" Both;
    "c.zext.w"   "100 1 11 rd/rs1' 11 100 01"               AddUw    "" Rv64;
    "c.not"      "100 1 11 rd/rs1' 11 101 01"               Xori     "imm=-1" Both;
    "c.j"        "101 target[11|4|9:8|10|6|7|3:1|5] 01"     Jal      "" Both;
    "c.beqz"     "110 target[8|4:3] rs1' target[7:6|2:1|5] 01" Beq   "" Both;
    "c.bnez"     "111 target[8|4:3] rs1' target[7:6|2:1|5] 01" Bne   "" Both;

    // Quadrant 2.
    "c.slli"     "000 shamt[5] rd/rs1 shamt[4:0] 10"        Slli     "" Both;
    "c.fldsp"    "001 uimm[5] rd uimm[4:3|8:6] 10"          Fld      "rs1=2" Both;
    "c.lwsp"     "010 uimm[5] rd uimm[4:2|7:6] 10"          Lw       "rs1=2 rd!=0" Both;
    "c.flwsp"    "011 uimm[5] rd uimm[4:2|7:6] 10"          Flw      "rs1=2" Rv32;
    "c.ldsp"     "011 uimm[5] rd uimm[4:3|8:6] 10"          Ld       "rs1=2 rd!=0" Rv64;
    "c.jr"       "100 0 rs1 00000 10"                       Jalr     "rs1!=0" Both;
    "c.mv"       "100 0 rd rs2 10"                          Add      "rs2!=0" Both;
    "c.ebreak"   "100 1 00000 00000 10"                     Ebreak   "" Both;
    "c.jalr"     "100 1 rs1 00000 10"                       Jalr     "rd=1 rs1!=0" Both;
    "c.add"      "100 1 rd/rs1 rs2 10"                      Add      "rs2!=0" Both;
    "c.fsdsp"    "101 uimm[5:3|8:6] rs2 10"                 Fsd      "rs1=2" Both;
    "c.swsp"     "110 uimm[5:2|7:6] rs2 10"                 Sw       "rs1=2" Both;
    "c.fswsp"    "111 uimm[5:2|7:6] rs2 10"                 Fsw      "rs1=2" Rv32;
    "c.sdsp"     "111 uimm[5:3|8:6] rs2 10"                 Sd       "rs1=2" Rv64;
}

/// The rows of each quadrant and funct3 are neighbours in the table: where they begin and end.
static GROUPS: [(u8, u8); 32] = {
    let mut groups = [(0, 0); 32];
    let mut i = 0;
    while i < COMPRESSED.len() {
        let group = &mut groups[group_of(COMPRESSED[i].bits)];
        if group.1 == 0 {
            group.0 = i as u8;
        } else {
            assert!(
                group.1 == i as u8,
                "rows of one quadrant and funct3 must be neighbours"
            );
        }
        i += 1;
        group.1 = i as u8;
    }
    groups
};

const fn group_of(half: u16) -> usize {
    (half as usize & 3) << 3 | half as usize >> 13
}

/// The row that describes the compressed instruction `half`, and the instruction it stands for.
pub fn expand(half: u16, xlen: Xlen) -> Option<(&'static CompressedInfo, Inst)> {
    let (start, end) = GROUPS[group_of(half)];
    COMPRESSED[usize::from(start)..usize::from(end)]
        .iter()
        .filter(|row| half & row.mask == row.bits && row.xlen.includes(xlen))
        .find_map(|row| Some((row, row.expand(half, xlen)?)))
}

pub(crate) fn decode(half: u16, xlen: Xlen) -> Option<Inst> {
    expand(half, xlen).map(|(_, inst)| inst)
}
