//! Zfa, Zicond, Zacas and Zcb against encodings made by another assembler.

use ruse_isa::compressed::{self, CompressedInfo};
use ruse_isa::{Extension, Inst, Opcode, Xlen, decode, disasm, x_name};

const VECTORS: &str = include_str!("data/newer_extensions.txt");

fn vectors() -> impl Iterator<Item = (Xlen, u32, &'static str)> {
    VECTORS
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut columns = line.splitn(3, ' ');
            let mut next = || columns.next().expect("three columns");
            let xlen = if next() == "32" {
                Xlen::Rv32
            } else {
                Xlen::Rv64
            };
            let word = u32::from_str_radix(next(), 16).expect("a hexadecimal number");
            (xlen, word, next().trim())
        })
}

/// The compressed instruction in its own syntax.
fn compressed_text(row: &CompressedInfo, inst: &Inst) -> String {
    let rd = x_name(inst.rd);
    match row.mnemonic {
        "c.mul" => format!("c.mul {rd},{}", x_name(inst.rs2)),
        name if inst.op.info().memory => {
            let expansion = disasm(inst, None).to_string();
            let (_, operands) = expansion.split_once(' ').expect("operands");
            format!("{name} {operands}")
        }
        name => format!("{name} {rd}"),
    }
}

#[test]
fn encodings_of_newer_extensions_agree_with_llvm() {
    let mut seen = Vec::new();
    for (xlen, word, expected) in vectors() {
        let inst = decode(word, xlen).unwrap_or_else(|| panic!("{expected} is not known"));
        let text = match u16::try_from(word) {
            Ok(half) => {
                let (row, inst) = compressed::expand(half, xlen).expect("decoded above");
                compressed_text(row, &inst)
            }
            Err(_) => disasm(&inst, None).to_string(),
        };
        assert_eq!(text, expected, "{word:#010x}");
        seen.push(inst.op);
    }
    // The list leaves none of them out.
    for op in Opcode::ALL {
        let new = [Extension::Zfa, Extension::Zicond, Extension::Zacas];
        assert!(
            !new.contains(&op.info().extension) || seen.contains(op),
            "{op:?}"
        );
    }
}

#[test]
fn what_zcb_stands_for() {
    let expansion = |half| disasm(&decode(half, Xlen::Rv64).unwrap(), None).to_string();
    assert_eq!(expansion(0x9d61), "andi a0,a0,255");
    assert_eq!(expansion(0x9de5), "sext.b a1,a1");
    assert_eq!(expansion(0x9e69), "zext.h a2,a2");
    assert_eq!(expansion(0x9eed), "sext.h a3,a3");
    assert_eq!(expansion(0x9ff1), "add.uw a5,a5,zero");
    assert_eq!(expansion(0x9f75), "xori a4,a4,-1");
    assert_eq!(expansion(0x9d5d), "mul a0,a0,a5");
    let inst = decode(0x9e69, Xlen::Rv32).unwrap();
    assert_eq!(inst.op, Opcode::ZextHRv32);
}
