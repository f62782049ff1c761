//! From guest code to blocks: fetches, decodes and lowers.
//!
//! A block starts where control arrives and goes on, past conditional
//! branches that are not taken, until an instruction that always leaves, the
//! end of the page, or [`MAX_INSTRUCTIONS`].

use ruse_bus::{AccessFault, PAGE_SIZE, Width};
use ruse_isa::{Extension, Inst, Opcode, RegClass, Xlen, decode};

use crate::base::{Base, Rv32, Rv64, User64};
use crate::census;
use crate::code::{Block, Key, Mark};
use crate::csr::status;
use crate::debug;
use crate::engine::{Cursor, Handler, Op, Slot, Unlinked};
use crate::exec;
use crate::fuse::{Fusion, Kind, Notes};
use crate::hart::{F0, Hart, SINK};
use crate::trap::{Cause, Trap};

/// The longest block, in instructions: their number fits [`Op::aux`], and
/// half of any offset in the block too.
const MAX_INSTRUCTIONS: u8 = 64;

/// The handlers of one [`Base`].
struct Table {
    xlen: Xlen,
    of: fn(Opcode) -> Handler,
    far: fn(Opcode) -> Handler,
    jump: [Handler; 2],
    fusion: fn() -> &'static Fusion,
}

impl Table {
    const fn new<X: Base>(xlen: Xlen, fusion: fn() -> &'static Fusion) -> Self {
        Self {
            xlen,
            of: exec::handler::<X>,
            far: exec::i::far::<X>,
            jump: [exec::i::jump::<X>, exec::i::jump_far::<X>],
            fusion,
        }
    }
}

static RV32: Table = Table::new::<Rv32>(Xlen::Rv32, Fusion::rv32);
static RV64: Table = Table::new::<Rv64>(Xlen::Rv64, Fusion::rv64);
static USER64: Table = Table::new::<User64>(Xlen::Rv64, Fusion::user64);

struct Builder {
    table: &'static Table,
    /// The block's virtual address, modulo the page size: only page offsets
    /// may enter into a block, which is shared by all mappings of its page.
    start: u64,
    fs_off: bool,
    fp_seen: bool,
    slots: Vec<Slot>,
    marks: Vec<Mark>,
    /// The instructions as they were fetched.
    words: Vec<u32>,
    notes: Notes,
    count: u8,
    offset: u16,
}

impl Hart {
    /// The block at `self.pc`, decoded if it has to be.
    ///
    /// # Errors
    /// The exception that fetching it raises.
    pub(crate) fn block_here(&mut self) -> Result<Cursor, Trap> {
        let pc = self.pc;
        if let Some(cursor) = self.code.jump::<Rv64>(pc, self.ctx) {
            return Ok(cursor);
        }
        self.note(|counters| counters.lookups += 1);
        let Some(pa) = self.code_address(pc)? else {
            self.unlinked = Unlinked::NONE;
            return self.single_here(true);
        };
        self.note_fetch(pc);
        let fs_off = self.csrs.mstatus & status::FS == 0;
        let mut key = Key {
            pa,
            second: 0,
            fs_off,
        };
        let across = pa & (PAGE_SIZE - 1) == PAGE_SIZE - 2 && self.half(pa)? & 3 == 3;
        if across {
            let next = self.after(pc, 2);
            let Some(second) = self.code_address(next)? else {
                self.unlinked = Unlinked::NONE;
                return self.single_here(true);
            };
            self.note_fetch(next);
            key.second = second;
        }
        if let Some(cursor) = self.code.find(key) {
            self.code.remember_jump(pc, self.context_of(pc), cursor);
            return Ok(cursor);
        }
        let mut builder = loop {
            let mut builder = Builder::new(self.table(), pc, fs_off);
            if self.census.is_some() {
                builder.count();
            }
            if self.may_break(pc) {
                builder.push_breakpoint();
            }
            let unchanged = if across {
                let word = self.word_across(pa, key.second)?;
                builder.push_word(word);
                self.guard_code(pa, 2);
                self.guard_code(key.second, 2);
                self.word_across(pa, key.second)? == word
            } else {
                self.decode_run(&mut builder, pa)?;
                self.guard_code(pa, u64::from(builder.offset));
                self.is_unchanged(&builder, pa)?
            };
            // Else another hart stored here before it knew that somebody
            // decodes.
            if unchanged {
                break builder;
            }
        };
        if let Some(census) = &mut self.census {
            census.counters.decoded += 1;
            let site = census.site(pc, &builder.words);
            if let Some(first) = builder.slots.first_mut() {
                first.set_imm(site as i32);
            }
        }
        let block = builder.finish();
        let cursor = self.code.insert(key, block);
        self.code.remember_jump(pc, self.context_of(pc), cursor);
        Ok(cursor)
    }

    /// The instruction at `self.pc` alone, as a block that is used once. `breaks`: after
    /// a breakpoint, if there is one.
    ///
    /// # Errors
    /// The exception that fetching it raises.
    pub(crate) fn single_here(&mut self, breaks: bool) -> Result<Cursor, Trap> {
        let word = self.fetch_word()?;
        let fs_off = self.csrs.mstatus & status::FS == 0;
        let mut builder = Builder::new(self.table(), self.pc, fs_off);
        if breaks && self.may_break(self.pc) {
            builder.push_breakpoint();
        }
        builder.push_word(word);
        let block = builder.finish();
        Ok(self.code.insert_single(block))
    }

    /// The bits of the instruction at `self.pc`: 16 or 32 of them.
    ///
    /// # Errors
    /// The exception that fetching them raises.
    pub(crate) fn fetch_word(&mut self) -> Result<u32, Trap> {
        let pc = self.pc;
        let pa = self.locate_fetch(pc, 2)?;
        let low = u32::from(self.half(pa)?);
        if low & 3 != 3 {
            return Ok(low);
        }
        let next = self.after(pc, 2);
        let pa = self.locate_fetch(next, 2)?;
        Ok(low | u32::from(self.half(pa)?) << 16)
    }

    fn half(&self, pa: u64) -> Result<u16, Trap> {
        match self.bus.read(pa, Width::B2) {
            Ok(half) => Ok(half as u16),
            Err(AccessFault) => Err(Trap::new(Cause::InstructionAccessFault, self.pc)),
        }
    }

    /// The guest-physical address of the code at `va` if it can be kept
    /// decoded: not outside RAM, nor on a page that PMP guards byte by byte.
    fn code_address(&mut self, va: u64) -> Result<Option<u64>, Trap> {
        if self.memory.space().is_some() {
            return self.locate_fetch(va, 2).map(Some);
        }
        if let Some(pa) = self.tlb.fetch(va) {
            return Ok(Some(pa));
        }
        let pa = self.locate_fetch(va, 2)?;
        Ok((self.tlb.fetch(va) == Some(pa)).then_some(pa))
    }

    fn word_across(&self, pa: u64, second: u64) -> Result<u32, Trap> {
        Ok(u32::from(self.half(pa)?) | u32::from(self.half(second)?) << 16)
    }

    /// The bits of the instruction at `pa`, in one piece if it is aligned
    /// ("Ziccif"). `None`: it goes on beyond its page.
    fn word_at(&self, pa: u64) -> Result<Option<u32>, Trap> {
        if pa & 3 == 0 {
            return match self.bus.read(pa, Width::B4) {
                Ok(word) if word & 3 == 3 => Ok(Some(word as u32)),
                Ok(word) => Ok(Some(u32::from(word as u16))),
                Err(AccessFault) => Err(Trap::new(Cause::InstructionAccessFault, self.pc)),
            };
        }
        let low = u32::from(self.half(pa)?);
        if low & 3 != 3 {
            return Ok(Some(low));
        }
        if pa & (PAGE_SIZE - 1) == PAGE_SIZE - 2 {
            return Ok(None);
        }
        Ok(Some(low | u32::from(self.half(pa + 2)?) << 16))
    }

    fn decode_run(&self, builder: &mut Builder, start: u64) -> Result<(), Trap> {
        let end = (start & !(PAGE_SIZE - 1)) + PAGE_SIZE;
        let mut pa = start;
        while pa < end && builder.count < MAX_INSTRUCTIONS {
            let Some(word) = self.word_at(pa)? else {
                break;
            };
            pa += length(word);
            let leaves = builder.push_word(word);
            // A breakpoint begins its block.
            if leaves
                || self.may_break(pa)
                || self.census.is_some() && census::ends_block(word, self.xlen)
            {
                break;
            }
        }
        Ok(())
    }

    /// Whether the block's instructions are still what is at `start`.
    fn is_unchanged(&self, builder: &Builder, start: u64) -> Result<bool, Trap> {
        // The memory of a space has one hart.
        if self.memory.space().is_some() {
            return Ok(true);
        }
        let mut pa = start;
        for word in &builder.words {
            if self.word_at(pa)? != Some(*word) {
                return Ok(false);
            }
            pa += length(*word);
        }
        Ok(true)
    }

    fn table(&self) -> &'static Table {
        match self.xlen {
            _ if self.memory.space().is_some() => &USER64,
            Xlen::Rv32 => &RV32,
            Xlen::Rv64 => &RV64,
        }
    }
}

/// The length of an instruction in bytes.
fn length(word: u32) -> u64 {
    if word & 3 == 3 { 4 } else { 2 }
}

impl Builder {
    fn new(table: &'static Table, pc: u64, fs_off: bool) -> Self {
        Self {
            table,
            start: pc & (PAGE_SIZE - 1),
            fs_off,
            fp_seen: false,
            slots: Vec::with_capacity(24),
            marks: Vec::with_capacity(24),
            words: Vec::with_capacity(24),
            notes: Notes::default(),
            count: 0,
            offset: 0,
        }
    }

    /// What looks for a breakpoint before the first instruction.
    fn push_breakpoint(&mut self) {
        let op = Op {
            handler: debug::breakpoint,
            imm: 0,
            rd: 0,
            rs1: 0,
            rs2: 0,
            aux: 0,
        };
        self.push(Slot::op(op), 0);
    }

    fn jump(&self, near: bool) -> Handler {
        self.table.jump[usize::from(!near)]
    }

    /// Appends a slot that cannot be fused.
    fn push(&mut self, slot: Slot, len: u8) {
        self.notes.other();
        self.push_noted(slot, len);
    }

    fn push_noted(&mut self, slot: Slot, len: u8) {
        self.slots.push(slot);
        self.marks.push(Mark {
            offset: self.offset,
            before: self.count,
            len,
        });
    }

    /// Whether the code `target` bytes from the block's start is on its page.
    /// What begins at the last halfword may lie across two.
    fn near(&self, target: i32) -> bool {
        let at = self.start as i64 + i64::from(target);
        (0..PAGE_SIZE as i64 - 2).contains(&at)
    }

    /// Lowers one instruction; true if it always leaves the block.
    fn push_word(&mut self, word: u32) -> bool {
        let len = length(word) as u8;
        self.words.push(word);
        let inst = decode(word, self.table.xlen).filter(|inst| self.legal(inst));
        let leaves = match inst {
            Some(inst) => self.push_inst(&inst),
            None => {
                self.push_illegal(word, len);
                true
            }
        };
        self.offset += u16::from(len);
        self.count += 1;
        leaves
    }

    fn legal(&self, inst: &Inst) -> bool {
        let info = inst.op.info();
        let float_off = self.fs_off && is_float(info.extension);
        let reserved_rounding = info.uses_rm && matches!(inst.rm, 5 | 6);
        !float_off && !reserved_rounding
    }

    fn push_illegal(&mut self, word: u32, len: u8) {
        let op = Op {
            handler: exec::illegal,
            imm: word as i32,
            rd: 0,
            rs1: 0,
            rs2: 0,
            aux: 0,
        };
        self.push(Slot::op(op), len);
    }

    fn push_inst(&mut self, inst: &Inst) -> bool {
        let inst = &simplest(inst);
        let info = inst.op.info();
        let register = |class: RegClass, n: u8| match class {
            RegClass::F => F0 + n,
            RegClass::X | RegClass::None => n,
        };
        let mut op = Op {
            handler: (self.table.of)(inst.op),
            imm: inst.imm,
            rd: match (info.rd, inst.rd) {
                (RegClass::X, 0) => SINK,
                (class, n) => register(class, n),
            },
            rs1: register(info.rs1, inst.rs1),
            rs2: register(info.rs2, inst.rs2),
            aux: 0,
        };
        if is_float(info.extension) && !self.fp_seen {
            self.fp_seen = true;
            let touch = Op {
                handler: exec::float_touch,
                imm: 0,
                rd: 0,
                rs1: 0,
                rs2: 0,
                aux: 0,
            };
            self.push(Slot::op(touch), inst.len);
        }
        if info.uses_rm {
            op.aux = inst.rm;
        }
        if info.rs3 != RegClass::None {
            op.imm = i32::from(register(info.rs3, inst.rs3));
        }
        let half = (self.offset / 2) as u8;
        let after = half + inst.len / 2;
        let own = i32::from(self.offset);
        match inst.op {
            Opcode::Auipc => op.aux = half,
            Opcode::Jal => {
                op.imm += own;
                op.aux = self.count + 1;
                op.rs1 = after;
                let near = self.near(op.imm);
                match (inst.rd, near) {
                    (0, _) => op.handler = self.jump(near),
                    (_, true) => {}
                    (_, false) => op.handler = (self.table.far)(inst.op),
                }
                self.push_linked(op, inst.len, near.then_some(inst.op));
                return true;
            }
            Opcode::Jalr => {
                op.aux = self.count + 1;
                op.rs2 = after;
                self.push_op(op, inst.len, Some(inst.op));
                return true;
            }
            Opcode::Beq | Opcode::Bne | Opcode::Blt | Opcode::Bge | Opcode::Bltu | Opcode::Bgeu => {
                op.imm += own;
                op.aux = self.count + 1;
                let near = self.near(op.imm);
                if !near {
                    op.handler = (self.table.far)(inst.op);
                }
                self.push_linked(op, inst.len, near.then_some(inst.op));
                return false;
            }
            Opcode::Ecall
            | Opcode::Ebreak
            | Opcode::FenceI
            | Opcode::Pause
            | Opcode::Sret
            | Opcode::Mret
            | Opcode::Wfi
            | Opcode::SfenceVma
            | Opcode::SinvalVma
            | Opcode::SfenceWInval
            | Opcode::SfenceInvalIr
            | Opcode::WrsNto
            | Opcode::WrsSto => {
                op.imm = own;
                op.aux = self.count;
                self.push(Slot::op(op), inst.len);
                return true;
            }
            _ if info.extension == Extension::Zicsr => {
                op.aux = self.count;
                // It may make the floating-point state clean again.
                self.fp_seen = false;
            }
            _ => {}
        }
        self.push_op(op, inst.len, Some(inst.op));
        false
    }

    /// Appends an operation; its opcode if it may be fused.
    fn push_op(&mut self, mut op: Op, len: u8, opcode: Option<Opcode>) {
        let kind = opcode.and_then(|opcode| Some((opcode, Kind::of(opcode, &op)?)));
        match kind {
            Some((opcode, kind)) => {
                self.notes.operation(opcode, kind, &mut op);
                self.push_noted(Slot::op(op), len);
            }
            None => self.push(Slot::op(op), len),
        }
    }

    fn push_linked(&mut self, op: Op, len: u8, opcode: Option<Opcode>) {
        self.push_op(op, len, opcode);
        self.push(Slot::link(), len);
    }

    /// Has the block begin with an operation that adds to a counter.
    fn count(&mut self) {
        let op = Op {
            handler: census::count,
            imm: 0,
            rd: 0,
            rs1: 0,
            rs2: 0,
            aux: 0,
        };
        self.push(Slot::op(op), 0);
    }

    /// Ends the block with a way out, for the case that none was there.
    fn finish(mut self) -> Block {
        let target = i32::from(self.offset);
        let op = Op {
            handler: self.jump(self.near(target)),
            imm: target,
            rd: SINK,
            rs1: 0,
            rs2: 0,
            aux: self.count,
        };
        let opcode = self.near(target).then_some(Opcode::Jal);
        self.push_linked(op, 0, opcode);
        (self.table.fusion)().fuse(&mut self.slots, &self.notes);
        Block {
            slots: self.slots.into(),
            marks: self.marks.into(),
        }
    }
}

/// The same instruction in its simplest form: a move is an ADDI of 0.
fn simplest(inst: &Inst) -> Inst {
    match inst.op {
        Opcode::Add if inst.rs1 == 0 || inst.rs2 == 0 => Inst {
            op: Opcode::Addi,
            rs1: inst.rs1 | inst.rs2,
            rs2: 0,
            imm: 0,
            ..*inst
        },
        _ => *inst,
    }
}

fn is_float(extension: Extension) -> bool {
    matches!(
        extension,
        Extension::F | Extension::D | Extension::Zfh | Extension::Zfa
    )
}
