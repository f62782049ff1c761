//! RV32I and RV64I, with Zifencei and Zihintpause (unprivileged manual,
//! chapters "RV32I" and "RV64I").

use ruse_isa::Opcode;

use super::{done, memory, reg_imm, reg_reg, sext32};
use crate::base::Base;
use crate::engine::{Cursor, Handler, follow, follow_indirect, go};
use crate::hart::{Exit, Hart};
use crate::trap::{Cause, Privilege, Trap};

#[inline(always)]
fn shift<X: Base>(amount: u64) -> u32 {
    amount as u32 & (X::BITS - 1)
}

reg_reg! {
    add(a, b) => a.wrapping_add(b);
    sub(a, b) => a.wrapping_sub(b);
    sll(a, b) => a << shift::<X>(b);
    slt(a, b) => u64::from((a as i64) < b as i64);
    sltu(a, b) => u64::from(a < b);
    xor(a, b) => a ^ b;
    srl(a, b) => X::addr(a) >> shift::<X>(b);
    sra(a, b) => (a as i64 >> shift::<X>(b)) as u64;
    or(a, b) => a | b;
    and(a, b) => a & b;
    addw(a, b) => sext32(a.wrapping_add(b) as u32);
    subw(a, b) => sext32(a.wrapping_sub(b) as u32);
    sllw(a, b) => sext32((a as u32) << (b & 31));
    srlw(a, b) => sext32(a as u32 >> (b & 31));
    sraw(a, b) => (a as i32 >> (b & 31)) as i64 as u64;
}

reg_imm! {
    addi(a, imm) => a.wrapping_add(imm);
    slti(a, imm) => u64::from((a as i64) < imm as i64);
    sltiu(a, imm) => u64::from(a < imm);
    xori(a, imm) => a ^ imm;
    ori(a, imm) => a | imm;
    andi(a, imm) => a & imm;
    slli(a, imm) => a << (imm & 63);
    srli(a, imm) => X::addr(a) >> (imm & 63);
    srai(a, imm) => (a as i64 >> (imm & 63)) as u64;
    addiw(a, imm) => sext32(a.wrapping_add(imm) as u32);
    slliw(a, imm) => sext32((a as u32) << (imm & 31));
    srliw(a, imm) => sext32(a as u32 >> (imm & 31));
    sraiw(a, imm) => (a as i32 >> (imm & 31)) as i64 as u64;
}

pub(crate) fn lui<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    let o = c.op();
    h.r[o.rd as usize] = o.imm as i64 as u64;
    go!(h, c.next())
}

pub(crate) fn auipc<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    let o = c.op();
    let pc = h.pc.wrapping_add(u64::from(o.aux) * 2);
    h.r[o.rd as usize] = X::reg(pc.wrapping_add(o.imm as i64 as u64));
    go!(h, c.next())
}

/// JAL without a link register, and the way out at the end of a block.
pub(crate) fn jump<X: Base, const FAR: bool>(h: &mut Hart, c: Cursor) -> Cursor {
    follow::<X, FAR>(h, c)
}

#[inline(always)]
fn link<X: Base>(h: &mut Hart, c: Cursor, half: u8) {
    let back = h.pc.wrapping_add(u64::from(half) * 2);
    h.r[c.op().rd as usize] = X::reg(back);
}

pub(crate) fn jal<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    link::<X>(h, c, c.op().rs1);
    follow::<X, false>(h, c)
}

fn jal_far<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    link::<X>(h, c, c.op().rs1);
    follow::<X, true>(h, c)
}

pub(crate) fn jalr<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    let o = c.op();
    let target = X::addr(h.r[o.rs1 as usize].wrapping_add(o.imm as i64 as u64)) & !1;
    link::<X>(h, c, o.rs2);
    follow_indirect(h, target, o.aux)
}

macro_rules! branches {
    ($( $near:ident $far:ident $opcode:ident ($a:ident, $b:ident) => $taken:expr; )*) => {
        $(
            pub(crate) fn $near<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
                let o = c.op();
                let ($a, $b) = (h.r[o.rs1 as usize], h.r[o.rs2 as usize]);
                if $taken { follow::<X, false>(h, c) } else { go!(h, c.past_link()) }
            }

            fn $far<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
                let o = c.op();
                let ($a, $b) = (h.r[o.rs1 as usize], h.r[o.rs2 as usize]);
                if $taken { follow::<X, true>(h, c) } else { go!(h, c.past_link()) }
            }
        )*

        /// The variant of a jump or branch that leads to another page.
        pub(crate) fn far<X: Base>(op: Opcode) -> Handler {
            match op {
                $( Opcode::$opcode => $far::<X>, )*
                _ => jal_far::<X>,
            }
        }
    };
}
branches! {
    beq beq_far Beq (a, b) => a == b;
    bne bne_far Bne (a, b) => a != b;
    blt blt_far Blt (a, b) => (a as i64) < b as i64;
    bge bge_far Bge (a, b) => a as i64 >= b as i64;
    bltu bltu_far Bltu (a, b) => a < b;
    bgeu bgeu_far Bgeu (a, b) => a >= b;
}

memory::loads! {
    lb: u8 (raw) => raw as i8 as i64 as u64;
    lh: u16 (raw) => raw as i16 as i64 as u64;
    lw: u32 (raw) => sext32(raw as u32);
    ld: u64 (raw) => raw;
    lbu: u8 (raw) => raw;
    lhu: u16 (raw) => raw;
    lwu: u32 (raw) => raw;
}

memory::stores! {
    sb: u8;
    sh: u16;
    sw: u32;
    sd: u64;
}

/// FENCE: the harts of a machine take turns on one host thread, and devices
/// act at once.
pub(crate) fn fence<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    go!(h, c.next())
}

/// PAUSE: lets the other harts run.
pub(crate) fn pause<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    done(h, c);
    h.end_quantum();
    Cursor::LEAVE
}

pub(crate) fn fence_i<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    done(h, c);
    h.sync_code();
    Cursor::LEAVE
}

pub(crate) fn ecall<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    let o = c.op();
    h.move_to(o.imm as u64, u64::from(o.aux));
    let cause = match h.privilege {
        Privilege::User => Cause::EcallFromUser,
        Privilege::Supervisor if h.sbi => {
            h.exit = Some(Exit::SbiCall);
            return Cursor::LEAVE;
        }
        Privilege::Supervisor => Cause::EcallFromSupervisor,
        Privilege::Machine => Cause::EcallFromMachine,
    };
    h.exception(Trap::new(cause, 0));
    Cursor::LEAVE
}

pub(crate) fn ebreak<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    let o = c.op();
    h.move_to(o.imm as u64, u64::from(o.aux));
    let pc = h.pc;
    h.exception(Trap::new(Cause::Breakpoint, pc));
    Cursor::LEAVE
}
