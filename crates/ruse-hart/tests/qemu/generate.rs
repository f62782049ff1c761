//! Random bodies: straight code, forward branches, bounded loops, memory
//! operands in the data window, traps, self-modification.

use ruse_isa::Opcode::{self, *};
use ruse_isa::{Extension, Inst, RegClass, Xlen, compressed, csr, decode, disasm, encode};

use crate::common::asm::constant;
use crate::common::rng::Rng;
use crate::guest::{CODE_SIZE, Mode, Placement};

/// Registers with a meaning of their own: [`Placement::alias`], the loop
/// counter, [`Placement::fault`], [`Placement::data`], and where to go on
/// after a wild jump.
const ALIAS: u8 = 27;
const COUNTER: u8 = 28;
const FAULT: u8 = 29;
const WINDOW: u8 = 30;
const RESUME: u8 = 31;
/// The registers below are the body's own.
const FREE: u64 = 27;

/// A piece of code whose size is known before its place is.
#[derive(Clone, Debug)]
enum Item {
    /// Halfwords that go anywhere.
    Code(Vec<u16>),
    /// A branch or JAL to an item.
    Branch(Inst, usize),
    /// `c.j`, `c.beqz`, `c.bnez`: without an offset.
    Short(u16, usize),
    /// AUIPC into the first register, JALR from there to an item.
    Indirect(u8, u8, usize),
    /// Overwrites the instruction of an item with a word, and FENCE.I.
    Patch {
        address: u8,
        value: u8,
        word: u32,
        slot: usize,
    },
}

/// A body, its place, and the registers it starts with.
#[derive(Clone)]
pub struct Body {
    pub place: Placement,
    pub x: [u64; 32],
    pub f: [u64; 32],
    items: Vec<Item>,
    /// How many of the items there are in the code.
    limit: usize,
}

fn halves(word: u32) -> [u16; 2] {
    [word as u16, (word >> 16) as u16]
}

fn code(insts: &[Inst]) -> Item {
    Item::Code(insts.iter().flat_map(|i| halves(encode(i))).collect())
}

fn i(op: Opcode, rd: u8, rs1: u8, imm: i32) -> Inst {
    Inst {
        rd,
        rs1,
        imm,
        ..Inst::new(op)
    }
}

fn r(op: Opcode, rd: u8, rs1: u8, rs2: u8) -> Inst {
    Inst {
        rd,
        rs1,
        rs2,
        ..Inst::new(op)
    }
}

/// A value that is likelier than chance to be at the edge of something.
pub fn interesting(rng: &mut Rng) -> u64 {
    const BOX32: u64 = 0xffff_ffff_0000_0000;
    const BOX16: u64 = 0xffff_ffff_ffff_0000;
    let f64s = [
        0.0,
        1.0,
        1.5,
        2.0,
        3.0,
        0.1,
        1e-300,
        1e300,
        2147483648.0,
        4294967295.5,
        9.3e18,
        1.9e19,
        65504.0,
        1e-310,
        5e-324,
        f64::MAX,
        f64::MIN_POSITIVE,
        f64::INFINITY,
        f64::NAN,
    ];
    let f32s = [
        0.0f32,
        1.0,
        1.5,
        2.0,
        3.0,
        0.1,
        1e-38,
        1e38,
        2147483648.0,
        4294967296.0,
        9.3e18,
        65504.0,
        1e-40,
        1e-45,
        f32::MAX,
        f32::INFINITY,
        f32::NAN,
    ];
    let sign = |bits: u32, rng: &mut Rng| (rng.next() & 1) << bits;
    match rng.below(12) {
        0 => rng.next(),
        1 => rng.next() as i32 as u64,
        2 => rng.range(-20, 20) as u64,
        3 => 1 << rng.below(64),
        4 => (1u64 << rng.below(64)).wrapping_sub(1),
        5 => !(1u64 << rng.below(64)),
        6 => rng.pick(&f64s).to_bits() ^ sign(63, rng),
        7 => rng.pick(&f64s).to_bits() ^ sign(63, rng) ^ rng.below(4),
        8 => BOX32 | u64::from(rng.pick(&f32s).to_bits()) ^ sign(31, rng),
        9 => BOX32 | rng.next() & 0xffff_ffff,
        10 => BOX16 | rng.next() & 0xffff,
        _ => {
            let halfs = [0, 0x3c00, 0x7bff, 0x0400, 1, 0x7c00, 0x7e00, 0x7d00, 0x4248];
            BOX16 | rng.pick(&halfs) ^ sign(15, rng)
        }
    }
}

/// Computation without memory, control flow or CSRs.
fn plain_ops(xlen: Xlen) -> Vec<Opcode> {
    Opcode::ALL
        .iter()
        .copied()
        .filter(|op| {
            let info = op.info();
            // QEMU 7.2 counts CTZW's zeros in all 64 bits.
            let left_out = matches!(
                op,
                Ctzw | Jal | Beq | Bne | Blt | Bge | Bltu | Bgeu | Ecall | Ebreak | FenceI | Pause
            );
            info.xlen.includes(xlen) && !info.memory && !left_out && known_to_qemu(info.extension)
        })
        .collect()
}

/// The extensions that QEMU 7.2 has, but for CSRs and system instructions.
fn known_to_qemu(extension: Extension) -> bool {
    use Extension::*;
    matches!(extension, I | M | A | F | D | Zfh | Zba | Zbb | Zbs | Zbc)
}

struct Generator<'a> {
    rng: &'a mut Rng,
    place: Placement,
    plain: Vec<Opcode>,
    integer: Vec<Opcode>,
    float: Vec<Opcode>,
    memory: Vec<Opcode>,
    atomic: Vec<Opcode>,
    /// Only what compilers use most, on few registers: such as the hart
    /// executes together.
    dense: bool,
    items: Vec<Item>,
}

/// What compilers use most, without memory and control flow.
const FREQUENT: [Opcode; 30] = [
    Addi, Addi, Addi, Add, Add, Lui, Auipc, Sub, And, Andi, Or, Ori, Xor, Xori, Sll, Slli, Srl,
    Srli, Sra, Srai, Slt, Slti, Sltu, Sltiu, Mul, FaddD, FsubD, FmulD, FmaddD, FltD,
];
const FREQUENT_64: [Opcode; 10] = [
    Addiw, Addiw, Addw, Subw, Slliw, Srliw, Sraiw, Sllw, Srlw, Mulw,
];

impl Body {
    /// A random body of about `length` items.
    pub fn random(place: Placement, length: usize, rng: &mut Rng) -> Self {
        let mut x = std::array::from_fn(|_| interesting(rng));
        let f = std::array::from_fn(|_| interesting(rng));
        x[ALIAS as usize] = place.alias;
        x[COUNTER as usize] = 1;
        x[FAULT as usize] = place.fault;
        x[WINDOW as usize] = place.data;
        x[RESUME as usize] = 1;
        let all = |keep: &dyn Fn(Opcode) -> bool| -> Vec<Opcode> {
            Opcode::ALL
                .iter()
                .copied()
                .filter(|op| op.info().xlen.includes(place.xlen) && keep(*op))
                .collect()
        };
        let float = |op: Opcode| {
            matches!(
                op.info().extension,
                Extension::F | Extension::D | Extension::Zfh
            )
        };
        let plain = plain_ops(place.xlen);
        let mut generator = Generator {
            integer: plain.iter().copied().filter(|op| !float(*op)).collect(),
            float: plain.iter().copied().filter(|op| float(*op)).collect(),
            plain,
            memory: all(&|op| {
                let info = op.info();
                info.memory && op != Jalr && (info.extension == Extension::I || float(op))
            }),
            atomic: all(&|op| {
                op.info().extension == Extension::A && !matches!(op, LrW | LrD | ScW | ScD)
            }),
            rng,
            place,
            dense: false,
            items: Vec::new(),
        };
        while generator.items.len() < length {
            generator.segment();
        }
        let items = generator.items;
        Self {
            place,
            x,
            f,
            limit: items.len(),
            items,
        }
    }

    /// How many items there are.
    pub fn items(&self) -> usize {
        self.limit
    }

    /// The body cut off after its first `limit` items.
    pub fn truncated(&self, limit: usize) -> Self {
        Self {
            limit: limit.min(self.items.len()),
            ..self.clone()
        }
    }

    fn offsets(&self) -> Vec<i64> {
        let mut offsets = vec![0];
        for item in &self.items[..self.limit] {
            let size = match item {
                Item::Code(halves) => 2 * halves.len() as i64,
                Item::Branch(..) => 4,
                Item::Short(..) => 2,
                Item::Indirect(..) => 8,
                Item::Patch { .. } => 24,
            };
            offsets.push(offsets[offsets.len() - 1] + size);
        }
        offsets
    }

    /// The machine code, at its place.
    pub fn code(&self) -> Vec<u8> {
        let offsets = self.offsets();
        let mut out: Vec<u16> = Vec::new();
        for (n, item) in self.items[..self.limit].iter().enumerate() {
            self.emit(item, offsets[n], &offsets, &mut out);
        }
        let end = [i(Addi, RESUME, 0, 0), Inst::new(Ecall)];
        out.extend(end.iter().flat_map(|i| halves(encode(i))));
        let bytes: Vec<u8> = out.iter().flat_map(|half| half.to_le_bytes()).collect();
        assert!(bytes.len() as u64 <= CODE_SIZE, "body too long");
        bytes
    }

    fn emit(&self, item: &Item, at: i64, offsets: &[i64], out: &mut Vec<u16>) {
        let to = |target: usize| (offsets[target.min(self.limit)] - at) as i32;
        let mut push = |inst: Inst| out.extend(halves(encode(&inst)));
        match item {
            Item::Code(code) => out.extend(code),
            Item::Branch(inst, target) => push(Inst {
                imm: to(*target),
                ..*inst
            }),
            Item::Short(half, target) => out.push(short(*half, to(*target))),
            Item::Indirect(base, rd, target) => {
                let distance = to(*target);
                push(i(Auipc, *base, 0, 0));
                push(if distance < 2048 {
                    i(Jalr, *rd, *base, distance | (distance >> 2 & 1))
                } else {
                    i(Addi, 0, 0, 0)
                });
            }
            Item::Patch {
                address,
                value,
                word,
                slot,
            } => {
                let distance = to(*slot);
                if *slot >= self.limit || !(-2048..2048).contains(&distance) {
                    (0..6).for_each(|_| push(i(Addi, 0, 0, 0)));
                    return;
                }
                push(i(Auipc, *address, 0, 0));
                push(r(Add, *address, *address, ALIAS));
                let low = (*word as i32) << 20 >> 20;
                push(i(Lui, *value, 0, (*word as i32).wrapping_sub(low)));
                push(i(Addi, *value, *value, low));
                push(Inst {
                    rs2: *value,
                    rs1: *address,
                    imm: distance,
                    ..Inst::new(Sw)
                });
                push(Inst::new(FenceI));
            }
        }
    }

    /// One item's disassembly, with its offset from the body's start.
    pub fn describe(&self, item: usize) -> String {
        let offsets = self.offsets();
        let mut out = Vec::new();
        self.emit(&self.items[item], offsets[item], &offsets, &mut out);
        let mut text = String::new();
        let mut n = 0;
        while n < out.len() {
            let mut word = u32::from(out[n]);
            let long = word & 3 == 3;
            if long && n + 1 < out.len() {
                word |= u32::from(out[n + 1]) << 16;
            }
            let shown = decode(word, self.place.xlen)
                .map_or("illegal".into(), |inst| disasm(&inst, None).to_string());
            text += &format!(
                "  +{:#06x}: {word:08x} {shown}\n",
                offsets[item] + 2 * n as i64
            );
            n += if long { 2 } else { 1 };
        }
        text
    }
}

/// Puts an offset into `c.j`, `c.beqz` or `c.bnez`; `c.nop` if it is too far.
fn short(half: u16, offset: i32) -> u16 {
    let bit = |from: i32, to: i32| ((offset >> from & 1) << to) as u16;
    let far = if half >> 13 == 5 { 2048 } else { 256 };
    if !(0..far).contains(&offset) {
        return 1;
    }
    half | if half >> 13 == 5 {
        bit(11, 12)
            | bit(4, 11)
            | bit(9, 10)
            | bit(8, 9)
            | bit(10, 8)
            | bit(6, 7)
            | bit(7, 6)
            | bit(3, 5)
            | bit(2, 4)
            | bit(1, 3)
            | bit(5, 2)
    } else {
        bit(8, 12)
            | bit(4, 11)
            | bit(3, 10)
            | bit(7, 6)
            | bit(6, 5)
            | bit(2, 4)
            | bit(1, 3)
            | bit(5, 2)
    }
}

impl Generator<'_> {
    /// A register of the body's own, not `x0`.
    fn own(&mut self) -> u8 {
        let free = if self.dense { 5 } else { FREE - 1 };
        1 + self.rng.below(free) as u8
    }

    fn any(&mut self) -> u8 {
        self.rng.below(if self.dense { 6 } else { 32 }) as u8
    }

    /// A straight stretch, or a loop of one. Branches stay inside.
    fn segment(&mut self) {
        self.dense = self.rng.chance(50);
        let length = 4 + self.rng.below(24) as usize;
        let turns = if self.rng.chance(35) {
            self.rng.range(2, 24) as i32
        } else {
            0
        };
        if turns != 0 {
            self.items.push(code(&[i(Addi, COUNTER, 0, turns)]));
        }
        let start = self.items.len();
        for left in (0..length).rev() {
            self.item(left);
        }
        if turns != 0 {
            self.items.push(code(&[i(Addi, COUNTER, COUNTER, -1)]));
            let inst = r(Bne, 0, COUNTER, 0);
            self.items.push(Item::Branch(inst, start));
        }
    }

    /// One item, after which the segment has `left` more.
    fn item(&mut self, left: usize) {
        let choice = if self.dense {
            // Computation, memory, branches.
            self.rng.pick(&[0, 0, 0, 0, 0, 50, 50, 50, 75])
        } else {
            self.rng.below(100)
        };
        let item = match choice {
            0..20 => self.computation(0),
            20..36 => self.computation(1),
            36..48 => self.compressed(),
            48..66 => self.memory(),
            66..70 => self.atomic(),
            70..73 => self.reserved(),
            73..84 => self.branch(left),
            84..89 => self.csr(),
            89..91 => self.illegal(),
            91..92 => code(&[Inst::new(self.rng.pick(&[Ecall, Ebreak]))]),
            92..93 => Item::Code(vec![0x9002]),
            93..95 => self.patch(),
            95..96 => self.wild_jump(),
            96..97 => self.privileged(),
            97..98 => code(&[self.fence()]),
            _ => {
                let rd = self.own();
                let value = interesting(self.rng);
                code(&constant(self.place.xlen, rd, value))
            }
        };
        self.items.push(item);
    }

    fn fence(&mut self) -> Inst {
        match self.rng.below(3) {
            0 => Inst::new(FenceI),
            1 => i(Fence, self.any(), self.any(), 0x0ff),
            _ => i(Fence, 0, 0, 0x833),
        }
    }

    fn operands(&mut self, op: Opcode) -> Inst {
        let info = op.info();
        let rd = match info.rd {
            RegClass::X if self.dense => self.any(),
            RegClass::X => self.rng.below(FREE) as u8,
            _ => self.any(),
        };
        let rm = match self.rng.below(100) {
            0..70 => 7,
            70..98 => self.rng.below(5) as u8,
            _ => 5 + self.rng.below(2) as u8,
        };
        let imm = match op {
            Lui | Auipc => self.rng.next() as i32 & !0xfff,
            _ if self.place.xlen == Xlen::Rv32 && info.imm == ruse_isa::ImmKind::Shamt => {
                self.rng.below(32) as i32
            }
            Addi if self.dense => self.rng.range(-1, 1) as i32,
            _ => self.rng.next() as i32,
        };
        Inst {
            rd,
            rs1: self.any(),
            rs2: self.any(),
            rs3: self.any(),
            rm,
            imm,
            ..Inst::new(op)
        }
    }

    /// `kind`: 0 integer, 1 floating point, else either.
    fn computation(&mut self, kind: u8) -> Item {
        let op = match kind {
            _ if self.dense && self.place.xlen == Xlen::Rv64 && self.rng.chance(25) => {
                self.rng.pick(&FREQUENT_64)
            }
            _ if self.dense => self.rng.pick(&FREQUENT),
            0 => self.rng.pick(&self.integer),
            1 => self.rng.pick(&self.float),
            _ => self.rng.pick(&self.plain),
        };
        if op == Fence {
            return code(&[self.fence()]);
        }
        code(&[self.operands(op)])
    }

    /// Any compressed instruction that goes on to the next.
    fn compressed(&mut self) -> Item {
        loop {
            let half = self.rng.next() as u16;
            let Some((row, inst)) = compressed::expand(half, self.place.xlen) else {
                continue;
            };
            let zcb = matches!(
                row.mnemonic,
                "c.lbu"
                    | "c.lhu"
                    | "c.lh"
                    | "c.sb"
                    | "c.sh"
                    | "c.mul"
                    | "c.zext.b"
                    | "c.sext.b"
                    | "c.zext.h"
                    | "c.sext.h"
                    | "c.zext.w"
                    | "c.not"
            );
            let info = inst.op.info();
            let flow = matches!(inst.op, Jal | Jalr | Beq | Bne | Ebreak);
            if zcb || flow || (info.rd == RegClass::X && inst.rd >= ALIAS) {
                continue;
            }
            let mut out = Vec::new();
            if info.memory {
                // c.mv rs1, x30
                out.push(0x8002 | u16::from(inst.rs1) << 7 | u16::from(WINDOW) << 2);
            }
            out.push(half);
            return Item::Code(out);
        }
    }

    /// An address in the data window, in a register: aligned to `align`, and
    /// how far an offset may go.
    fn address(&mut self, align: i32) -> (Vec<Inst>, u8) {
        if self.rng.chance(40) {
            return (Vec::new(), WINDOW);
        }
        let (base, from) = (self.own(), self.any());
        let mask = 0x7ff & -align;
        (
            vec![i(Andi, base, from, mask), r(Add, base, base, WINDOW)],
            base,
        )
    }

    fn memory(&mut self) -> Item {
        let op = self.rng.pick(&self.memory);
        let mut inst = self.operands(op);
        let size = match op {
            Lb | Lbu | Sb => 1,
            Lh | Lhu | Sh | Flh | Fsh => 2,
            Lw | Lwu | Sw | Flw | Fsw => 4,
            _ => 8,
        };
        let aligned = self.rng.chance(80);
        let align = if aligned { size } else { 1 };
        let mut insts = Vec::new();
        if self.rng.chance(4) {
            inst.rs1 = FAULT;
            // What a misaligned access to a hole reports is the host's choice.
            let align = if self.place.mode == Mode::Machine {
                size
            } else {
                align
            };
            let offset = self.rng.range(-256, 255) as i32 * 8 + self.rng.below(8) as i32;
            inst.imm = offset & -align;
        } else {
            (insts, inst.rs1) = self.address(align);
            // Often next to the border of the pages.
            inst.imm = if self.rng.chance(25) {
                self.rng.range(-8, 7) as i32 & -align
            } else {
                self.rng.range(-2048, 2000) as i32 & -align
            };
        }
        insts.push(inst);
        code(&insts)
    }

    /// Only misaligned ones fault: QEMU 7.2 reports the access and page faults
    /// of AMOs as those of loads.
    fn atomic(&mut self) -> Item {
        let op = self.rng.pick(&self.atomic);
        let (mut insts, base) = self.address(8);
        let mut inst = self.operands(op);
        inst.rs1 = base;
        if self.rng.chance(8) {
            let misaligned = self.own();
            insts.push(i(Addi, misaligned, base, self.rng.range(1, 7) as i32));
            inst.rs1 = misaligned;
        }
        insts.push(inst);
        code(&insts)
    }

    /// LR, something, SC and again if that failed; or one that must fail.
    fn reserved(&mut self) -> Item {
        let (lr, sc) = match self.place.xlen {
            Xlen::Rv32 => (LrW, ScW),
            Xlen::Rv64 => self.rng.pick(&[(LrW, ScW), (LrD, ScD)]),
        };
        let base = 1 + self.rng.below(8) as u8;
        let [loaded, failed] = [9, 17].map(|n| n + self.rng.below(8) as u8);
        let from = self.any();
        let mut insts = vec![
            i(Andi, base, from, 0x7f8),
            r(Add, base, base, WINDOW),
            r(lr, loaded, base, 0),
        ];
        // Not the register that a failed SC changes: it may be tried again.
        let value = self.rng.below(17) as u8;
        if self.rng.chance(25) {
            insts.push(i(Addi, base, base, 8));
            insts.push(r(sc, failed, base, value));
            return code(&insts);
        }
        let between = self.rng.below(3) as i32;
        for _ in 0..between {
            insts.push(r(Add, loaded, loaded, value));
        }
        insts.push(r(sc, failed, base, value));
        insts.push(Inst {
            rs1: failed,
            imm: -4 * (between + 2),
            ..Inst::new(Bne)
        });
        code(&insts)
    }

    fn branch(&mut self, left: usize) -> Item {
        let target = self.items.len() + 1 + self.rng.below(left as u64 + 1) as usize;
        match self.rng.below(8) {
            0 => {
                let rd = self.rng.below(FREE) as u8;
                Item::Branch(i(Jal, rd, 0, 0), target)
            }
            1 => {
                let (base, rd) = (self.own(), self.rng.below(FREE) as u8);
                Item::Indirect(base, rd, target)
            }
            2 => {
                let half = self.rng.pick(&[0xa001, 0xc001, 0xe001]);
                let rs1 = if half == 0xa001 {
                    0
                } else {
                    (self.rng.below(8) as u16) << 7
                };
                Item::Short(half | rs1, target)
            }
            _ => {
                let op = self.rng.pick(&[Beq, Bne, Blt, Bge, Bltu, Bgeu]);
                let (rs1, rs2) = (self.any(), self.any());
                Item::Branch(r(op, 0, rs1, rs2), target)
            }
        }
    }

    fn csr(&mut self) -> Item {
        let op = self
            .rng
            .pick(&[Csrrw, Csrrs, Csrrc, Csrrwi, Csrrsi, Csrrci]);
        let rd = self.rng.below(FREE) as u8;
        let rs1 = self.any();
        let number = match self.rng.below(10) {
            0..5 => {
                // Mostly rounding modes that there are.
                return code(&[i(Csrrwi, rd, self.rng.below(5) as u8, csr::FRM.into())]);
            }
            5..9 => self.rng.pick(&[csr::FFLAGS, csr::FRM, csr::FCSR]),
            _ => self.rng.pick(&[csr::SSCRATCH, csr::SCAUSE, csr::STVAL]),
        };
        code(&[i(op, rd, rs1, number.into())])
    }

    fn illegal(&mut self) -> Item {
        loop {
            let word = self.rng.next() as u32;
            let long = self.rng.chance(60);
            let word = if long { word | 3 } else { word & 0xffff };
            if word & 3 == 3 && !long || word & 0x1f == 0x1f {
                continue;
            }
            if decode(word, self.place.xlen).is_none() {
                let [low, high] = halves(word);
                return Item::Code(if long { vec![low, high] } else { vec![low] });
            }
        }
    }

    /// What the mode must not do.
    fn privileged(&mut self) -> Item {
        let op = match self.place.mode {
            Mode::Machine | Mode::Borrowed => SfenceVma,
            Mode::Supervisor => self.rng.pick(&[Mret, SfenceVma, Csrrw, Csrrs]),
            Mode::User => self
                .rng
                .pick(&[Mret, Sret, Wfi, SfenceVma, Csrrw, Csrrs, Csrrci]),
        };
        let mut inst = self.operands(op);
        if op.info().extension == Extension::Zicsr {
            let machine = [
                csr::MSTATUS,
                csr::MISA,
                csr::MTVEC,
                csr::MEPC,
                csr::PMPADDR0,
                csr::MHARTID,
                csr::CYCLE,
                csr::INSTRET,
                0x7ff,
                0x5ff,
            ];
            let user = [csr::SATP, csr::SSTATUS, csr::STVEC, csr::SIE];
            let number = if self.place.mode == Mode::User && self.rng.chance(50) {
                self.rng.pick(&user)
            } else {
                self.rng.pick(&machine)
            };
            inst.imm = number.into();
        }
        code(&[inst])
    }

    fn patch(&mut self) -> Item {
        // The slot: a long instruction near by, or one to come.
        let here = self.items.len();
        let slot = if self.rng.chance(60) {
            let from = here.saturating_sub(30);
            let near = from + self.rng.below((here - from) as u64 + 1) as usize;
            (near..here).find(|n| self.is_slot(*n))
        } else {
            None
        };
        let Some(slot) = slot.filter(|_| self.place.mode != Mode::Borrowed) else {
            return self.computation(2);
        };
        let op = self
            .rng
            .pick(&[Addi, Add, Xor, Mul, Sltu, Lui, FaddD, FmulS, FsgnjnD]);
        let word = encode(&self.operands(op));
        let address = 1 + self.rng.below(10) as u8;
        let value = 11 + self.rng.below(10) as u8;
        Item::Patch {
            address,
            value,
            word,
            slot,
        }
    }

    fn is_slot(&self, n: usize) -> bool {
        let Item::Code(halves) = &self.items[n] else {
            return false;
        };
        let [low, high] = halves[..] else {
            return false;
        };
        let word = u32::from(low) | u32::from(high) << 16;
        // Not the loop counter's.
        low & 3 == 3
            && decode(word, self.place.xlen)
                .is_some_and(|i| i.op.info().rd != RegClass::X || i.rd < ALIAS)
    }

    /// Not with MPRV: QEMU 7.2 keeps fetches and such loads in one TLB.
    fn wild_jump(&mut self) -> Item {
        if self.place.mode == Mode::Borrowed {
            return self.computation(2);
        }
        let rd = self.rng.below(FREE) as u8;
        code(&[
            i(Auipc, RESUME, 0, 0),
            i(Addi, RESUME, RESUME, 12),
            i(Jalr, rd, FAULT, self.rng.range(-8, 7) as i32),
        ])
    }
}
