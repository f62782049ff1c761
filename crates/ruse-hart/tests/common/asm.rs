//! A small assembler over `ruse_isa::encode`.

use ruse_isa::{Inst, Opcode, Xlen, encode};

/// A place in a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Label(usize);

/// Code that grows from a base address.
pub struct Asm {
    base: u64,
    xlen: Xlen,
    bytes: Vec<u8>,
    labels: Vec<Option<u64>>,
    /// Where a branch stands, and the label it leads to.
    fixups: Vec<(usize, Inst, Label)>,
}

impl Asm {
    pub fn new(xlen: Xlen, base: u64) -> Self {
        Self {
            base,
            xlen,
            bytes: Vec::new(),
            labels: Vec::new(),
            fixups: Vec::new(),
        }
    }

    /// The address of what comes next.
    pub fn here(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    pub fn bind(&mut self, label: Label) {
        assert!(self.labels[label.0].is_none(), "label bound twice");
        self.labels[label.0] = Some(self.here());
    }

    pub fn bind_new(&mut self) -> Label {
        let label = self.label();
        self.bind(label);
        label
    }

    pub fn half(&mut self, half: u16) -> &mut Self {
        self.bytes.extend(half.to_le_bytes());
        self
    }

    pub fn word(&mut self, word: u32) -> &mut Self {
        self.bytes.extend(word.to_le_bytes());
        self
    }

    pub fn inst(&mut self, inst: Inst) -> &mut Self {
        self.word(encode(&inst))
    }

    /// No operands at all.
    pub fn op(&mut self, op: Opcode) -> &mut Self {
        self.inst(Inst::new(op))
    }

    /// `op rd, rs1, rs2`
    pub fn r(&mut self, op: Opcode, rd: u8, rs1: u8, rs2: u8) -> &mut Self {
        self.inst(Inst {
            rd,
            rs1,
            rs2,
            rm: 7,
            ..Inst::new(op)
        })
    }

    /// `op rd, rs1, imm`: also loads, CSR instructions and JALR.
    pub fn i(&mut self, op: Opcode, rd: u8, rs1: u8, imm: i32) -> &mut Self {
        self.inst(Inst {
            rd,
            rs1,
            imm,
            ..Inst::new(op)
        })
    }

    /// `op rs2, imm(rs1)`
    pub fn s(&mut self, op: Opcode, rs2: u8, rs1: u8, imm: i32) -> &mut Self {
        self.inst(Inst {
            rs1,
            rs2,
            imm,
            ..Inst::new(op)
        })
    }

    /// `op rs1, rs2, label`
    pub fn b(&mut self, op: Opcode, rs1: u8, rs2: u8, to: Label) -> &mut Self {
        self.to(
            Inst {
                rs1,
                rs2,
                ..Inst::new(op)
            },
            to,
        )
    }

    /// `jal rd, label`
    pub fn jal(&mut self, rd: u8, to: Label) -> &mut Self {
        self.to(
            Inst {
                rd,
                ..Inst::new(Opcode::Jal)
            },
            to,
        )
    }

    fn to(&mut self, inst: Inst, to: Label) -> &mut Self {
        self.fixups.push((self.bytes.len(), inst, to));
        self.word(0)
    }

    /// `csrrw rd, csr, rs1` and its kin.
    pub fn csr(&mut self, op: Opcode, rd: u8, csr: u16, rs1: u8) -> &mut Self {
        self.i(op, rd, rs1, i32::from(csr))
    }

    pub fn csrw(&mut self, csr: u16, rs1: u8) -> &mut Self {
        self.csr(Opcode::Csrrw, 0, csr, rs1)
    }

    pub fn csrr(&mut self, rd: u8, csr: u16) -> &mut Self {
        self.csr(Opcode::Csrrs, rd, csr, 0)
    }

    /// Loads a constant.
    pub fn li(&mut self, rd: u8, value: u64) -> &mut Self {
        for inst in constant(self.xlen, rd, value) {
            self.inst(inst);
        }
        self
    }

    pub fn nop(&mut self) -> &mut Self {
        self.i(Opcode::Addi, 0, 0, 0)
    }

    /// The code, its branches resolved.
    pub fn finish(mut self) -> Vec<u8> {
        for (at, mut inst, label) in std::mem::take(&mut self.fixups) {
            let target = self.labels[label.0].expect("label bound");
            inst.imm = target.wrapping_sub(self.base + at as u64) as i32;
            self.bytes[at..at + 4].copy_from_slice(&encode(&inst).to_le_bytes());
        }
        self.bytes
    }
}

/// The instructions that load `value` into `rd`.
pub fn constant(xlen: Xlen, rd: u8, value: u64) -> Vec<Inst> {
    let value = match xlen {
        Xlen::Rv32 => value as i32 as i64,
        Xlen::Rv64 => value as i64,
    };
    let addi = |op, rs1, imm| Inst {
        rd,
        rs1,
        imm,
        ..Inst::new(op)
    };
    if (-2048..2048).contains(&value) {
        return vec![addi(Opcode::Addi, 0, value as i32)];
    }
    let low = (value << 52 >> 52) as i32;
    if value == i64::from(value as i32) {
        let upper = (value as i32).wrapping_sub(low);
        let add = match xlen {
            Xlen::Rv32 => Opcode::Addi,
            Xlen::Rv64 => Opcode::Addiw,
        };
        let lui = Inst {
            rd,
            imm: upper,
            ..Inst::new(Opcode::Lui)
        };
        return vec![lui, addi(add, rd, low)];
    }
    let mut all = constant(xlen, rd, (value.wrapping_sub(low.into()) >> 12) as u64);
    all.push(addi(Opcode::Slli, rd, 12));
    if low != 0 {
        all.push(addi(Opcode::Addi, rd, low));
    }
    all
}
