//! RV32I and RV64I, with Zifencei and Zihintpause (unprivileged manual,
//! chapters "RV32I" and "RV64I").

use ruse_isa::Opcode;

use super::{Last, done, memory, order, reg_imm, reg_reg, rs1, rs2, sext32, steps};
use crate::base::Base;
use crate::engine::{Cursor, Handler, follow, follow_indirect, go};
use crate::hart::{Exit, Hart};
use crate::trap::{Cause, Privilege, Trap};

#[inline(always)]
fn shift<X: Base>(amount: u64) -> u32 {
    amount as u32 & (X::BITS - 1)
}

reg_reg! {
    add<X>(a, b) => a.wrapping_add(b);
    sub<X>(a, b) => a.wrapping_sub(b);
    sll<X>(a, b) => a << shift::<X>(b);
    slt<X>(a, b) => u64::from((a as i64) < b as i64);
    sltu<X>(a, b) => u64::from(a < b);
    xor<X>(a, b) => a ^ b;
    srl<X>(a, b) => X::addr(a) >> shift::<X>(b);
    sra<X>(a, b) => (a as i64 >> shift::<X>(b)) as u64;
    or<X>(a, b) => a | b;
    and<X>(a, b) => a & b;
    addw<X>(a, b) => sext32(a.wrapping_add(b) as u32);
    subw<X>(a, b) => sext32(a.wrapping_sub(b) as u32);
    sllw<X>(a, b) => sext32((a as u32) << (b & 31));
    srlw<X>(a, b) => sext32(a as u32 >> (b & 31));
    sraw<X>(a, b) => (a as i32 >> (b & 31)) as i64 as u64;
}

reg_imm! {
    addi<X>(a, imm) => a.wrapping_add(imm);
    slti<X>(a, imm) => u64::from((a as i64) < imm as i64);
    sltiu<X>(a, imm) => u64::from(a < imm);
    xori<X>(a, imm) => a ^ imm;
    ori<X>(a, imm) => a | imm;
    andi<X>(a, imm) => a & imm;
    slli<X>(a, imm) => a << (imm & 63);
    srli<X>(a, imm) => X::addr(a) >> (imm & 63);
    srai<X>(a, imm) => (a as i64 >> (imm & 63)) as u64;
    addiw<X>(a, imm) => sext32(a.wrapping_add(imm) as u32);
    slliw<X>(a, imm) => sext32((a as u32) << (imm & 31));
    srliw<X>(a, imm) => sext32(a as u32 >> (imm & 31));
    sraiw<X>(a, imm) => (a as i32 >> (imm & 31)) as i64 as u64;
}

steps! {
    lui<X>(h, o, _acc) => o.imm as i64 as u64;
    auipc<X>(h, o, _acc) => {
        let pc = h.pc.wrapping_add(u64::from(o.aux) * 2);
        X::reg(pc.wrapping_add(o.imm as i64 as u64))
    };
}

#[inline(always)]
fn link<X: Base>(h: &mut Hart, c: Cursor, half: u8) {
    let back = h.pc.wrapping_add(u64::from(half) * 2);
    h.r[c.op().rd as usize] = X::reg(back);
}

/// Defines jumps as what can end a fused sequence, and their handlers.
macro_rules! jumps {
    ($( $name:ident<$x:ident>($h:ident, $c:ident, $acc:ident) => $jump:expr; )*) => {$(
        #[expect(non_camel_case_types, reason = "the instruction's name")]
        pub(crate) enum $name {}

        impl Last for $name {
            #[inline(always)]
            fn last<$x: Base>($h: &mut Hart, $c: Cursor, $acc: u64) -> Cursor {
                $jump
            }
        }

        pub(crate) fn $name<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
            <$name as Last>::last::<X>(h, c, 0)
        }
    )*};
}
jumps! {
    // JAL without a link register, and the way out at the end of a block.
    jump<X>(h, c, _acc) => follow::<X, false>(h, c);
    jal<X>(h, c, _acc) => {
        link::<X>(h, c, c.op().rs1);
        follow::<X, false>(h, c)
    };
    jalr<X>(h, c, acc) => {
        let o = c.op();
        let target = X::addr(rs1::<X>(h, o, acc).wrapping_add(o.imm as i64 as u64)) & !1;
        link::<X>(h, c, o.rs2);
        follow_indirect::<X>(h, target, o.aux)
    };
}

pub(crate) fn jump_far<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    follow::<X, true>(h, c)
}

fn jal_far<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    link::<X>(h, c, c.op().rs1);
    follow::<X, true>(h, c)
}

/// A conditional branch.
pub(crate) trait Branch {
    /// Whether the branch at `c` is taken.
    fn taken<X: Base>(h: &Hart, c: Cursor, acc: u64) -> bool;
}

/// Executes the branch at `c`.
#[inline(always)]
fn branch<X: Base, B: Branch, const FAR: bool>(h: &mut Hart, c: Cursor, acc: u64) -> Cursor {
    if B::taken::<X>(h, c, acc) {
        follow::<X, FAR>(h, c)
    } else {
        go!(h, c.past_link())
    }
}

macro_rules! branches {
    ($( $near:ident $far:ident $opcode:ident ($a:ident, $b:ident) => $taken:expr; )*) => {
        $(
            #[expect(non_camel_case_types, reason = "the instruction's name")]
            pub(crate) enum $near {}

            impl Branch for $near {
                #[inline(always)]
                fn taken<X: Base>(h: &Hart, c: Cursor, acc: u64) -> bool {
                    let o = c.op();
                    let ($a, $b) = (rs1::<X>(h, o, acc), rs2::<X>(h, o, acc));
                    $taken
                }
            }

            impl Last for $near {
                #[inline(always)]
                fn last<X: Base>(h: &mut Hart, c: Cursor, acc: u64) -> Cursor {
                    branch::<X, $near, false>(h, c, acc)
                }
            }

            pub(crate) fn $near<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
                branch::<X, $near, false>(h, c, 0)
            }

            fn $far<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
                branch::<X, $near, true>(h, c, 0)
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

/// FENCE.
pub(crate) fn fence<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    order::fence_with(c.op().imm as u32);
    go!(h, c.next())
}

/// PAUSE: lets the other harts run.
pub(crate) fn pause<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    done(h, c);
    h.exit = Some(Exit::Pause);
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
