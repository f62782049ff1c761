//! Handlers that execute two to four operations in a row, and the table of the
//! sequences that have one.
//!
//! A taken indirect jump whose target varies costs the host about as much as
//! everything else a simple operation does, so the fewer there are, the better.
//! The operations stay in their slots as they are; only the handler of the
//! first is replaced. When a step cannot be done the fast way, its own slow
//! handler takes over at its own slot, so that traps, counts and positions are
//! exact without further ado.

use std::marker::PhantomData;

use super::i::{beq, bge, bgeu, blt, bltu, bne, jal, jalr, jump};
use super::{Last, Step, d, general, i, m};
use crate::base::{Acc, Base};
use crate::engine::{Cursor, Handler};
use crate::fuse::{Kind, Sequence};
use crate::hart::Hart;

/// A step whose source operand `N` is the result of the step before.
struct At<S, const N: u8>(PhantomData<S>);

/// A member of a sequence but for its last.
trait Member {
    type Step: Step;
    type Base<X: Base>: Base;
}

impl<S: Step, const N: u8> Member for At<S, N> {
    type Step = S;
    type Base<X: Base> = Acc<X, N>;
}

/// The last member of a sequence.
trait End {
    fn end<X: Base>(h: &mut Hart, c: Cursor, acc: u64) -> Cursor;
}

impl<L: Last, const N: u8> End for At<L, N> {
    #[inline(always)]
    fn end<X: Base>(h: &mut Hart, c: Cursor, acc: u64) -> Cursor {
        L::last::<Acc<X, N>>(h, c, acc)
    }
}

/// Executes a member, or leaves the fast way.
macro_rules! member {
    ($member:ident $x:ident $h:ident $c:ident $acc:expr) => {
        match <$member::Step as Step>::step::<$member::Base<$x>>($h, $c, $acc) {
            Some(acc) => acc,
            None => return <$member::Step as Step>::slow::<$x>($h, $c),
        }
    };
}

fn two<X: Base, A: Member, B: End>(h: &mut Hart, c: Cursor) -> Cursor {
    let acc = member!(A X h c 0);
    B::end::<X>(h, c.next(), acc)
}

fn three<X: Base, A: Member, B: Member, C: End>(h: &mut Hart, c: Cursor) -> Cursor {
    let acc = member!(A X h c 0);
    let c = c.next();
    let acc = member!(B X h c acc);
    C::end::<X>(h, c.next(), acc)
}

fn four<X: Base, A: Member, B: Member, C: Member, D: End>(h: &mut Hart, c: Cursor) -> Cursor {
    let acc = member!(A X h c 0);
    let c = c.next();
    let acc = member!(B X h c acc);
    let c = c.next();
    let acc = member!(C X h c acc);
    D::end::<X>(h, c.next(), acc)
}

macro_rules! source {
    () => {
        0
    };
    ($n:literal) => {
        $n
    };
}

macro_rules! handler {
    ($x:ident $a:ty, $b:ty) => {
        two::<$x, $a, $b>
    };
    ($x:ident $a:ty, $b:ty, $c:ty) => {
        three::<$x, $a, $b, $c>
    };
    ($x:ident $a:ty, $b:ty, $c:ty, $d:ty) => {
        four::<$x, $a, $b, $c, $d>
    };
}

/// The type that executes a kind of operation.
macro_rules! step {
    (Add) => {
        general::add
    };
    (Addw) => {
        general::addw
    };
    (And) => {
        general::and
    };
    (Auipc) => {
        i::auipc
    };
    (Beq) => {
        beq
    };
    (Bge) => {
        bge
    };
    (Bgeu) => {
        bgeu
    };
    (Blt) => {
        blt
    };
    (Bltu) => {
        bltu
    };
    (Bne) => {
        bne
    };
    (Call) => {
        jal
    };
    (FaddD) => {
        d::fadd_d
    };
    (FleD) => {
        d::fle_d
    };
    (FltD) => {
        d::flt_d
    };
    (FmaddD) => {
        d::fmadd_d
    };
    (FmulD) => {
        d::fmul_d
    };
    (FmvDX) => {
        d::fmv_d_x
    };
    (FnmsubD) => {
        d::fnmsub_d
    };
    (FsgnjD) => {
        d::fsgnj_d
    };
    (FsubD) => {
        d::fsub_d
    };
    (Jalr) => {
        jalr
    };
    (Jump) => {
        jump
    };
    (Lb) => {
        i::lb
    };
    (Lbu) => {
        i::lbu
    };
    (Ld) => {
        i::ld
    };
    (Lh) => {
        i::lh
    };
    (Lhu) => {
        i::lhu
    };
    (Lw) => {
        i::lw
    };
    (Lwu) => {
        i::lwu
    };
    (Mul) => {
        m::mul
    };
    (Mulw) => {
        m::mulw
    };
    (Or) => {
        general::or
    };
    (Sb) => {
        i::sb
    };
    (Sd) => {
        i::sd
    };
    (Sh) => {
        i::sh
    };
    (Sll) => {
        general::sll
    };
    (Sllw) => {
        general::sllw
    };
    (Slt) => {
        general::slt
    };
    (Sltu) => {
        general::sltu
    };
    (Sra) => {
        general::sra
    };
    (Sraw) => {
        general::sraw
    };
    (Srl) => {
        general::srl
    };
    (Srlw) => {
        general::srlw
    };
    (Sub) => {
        i::sub
    };
    (Subw) => {
        i::subw
    };
    (Sw) => {
        i::sw
    };
    (Xor) => {
        general::xor
    };
}

macro_rules! sequences {
    ($( $($kind:ident $(. $n:literal)?)+ ; )*) => {
        /// Every sequence that has a handler, with it.
        pub(crate) fn sequences<X: Base>() -> Vec<(Sequence, Handler)> {
            vec![$((
                Sequence::new(&[$( (Kind::$kind, source!($($n)?)) ),+]),
                handler!(X $( At<step!($kind), { source!($($n)?) }> ),+),
            )),*]
        }
    };
}

// By how often programs execute them (see `examples/sequences.rs`): a kind,
// and which of its source registers is the result before it.
sequences! {
    Add Add;
    Add Addw;
    Add And;
    Add Auipc;
    Add Beq;
    Add Beq.1;
    Add Bge;
    Add Bgeu.1;
    Add Blt;
    Add Bne;
    Add Jump;
    Add Call;
    Add Jalr;
    Add Jalr.1;
    Add Lbu;
    Add Ld;
    Add Sd.1;
    Add Sll.1;
    Add Srl;
    Add Sub.1;
    Add Subw;
    Addw Addw;
    Addw And.1;
    Addw Beq.1;
    Addw Bltu;
    Addw Bltu.1;
    Addw Jump;
    Addw Call;
    Addw Sw.2;
    And Add;
    And And;
    And Beq;
    And Sll.1;
    And Sllw.1;
    And Srl;
    Auipc Ld.1;
    FltD Beq.1;
    FmaddD Bne;
    FmulD FmulD;
    FmvDX Add;
    FnmsubD Sd.2;
    Lbu Beq;
    Lbu Beq.1;
    Lbu Bne;
    Lbu Lbu;
    Ld Add;
    Ld Addw;
    Ld Beq;
    Ld Blt.2;
    Ld Ld;
    Ld Lw;
    Ld Sd;
    Ld Sll;
    Lh Bne.1;
    Lh Lh;
    Lhu Jump;
    Lhu Call;
    Lw Add;
    Mul Srl.1;
    Mulw Lbu;
    Or Add;
    Sb Addw;
    Sb Bne;
    Sd Add;
    Sd Bne;
    Sd Jump;
    Sd Call;
    Sd Jalr;
    Sd Ld;
    Sd Sd;
    Sh Beq;
    Sh Bne;
    Sh Sh;
    Sll Add.1;
    Sll Srl.1;
    Sllw Lw;
    Sllw Sllw;
    Sllw Srlw;
    Srl Bne;
    Srl Xor.1;
    Sub Add;
    Sub Beq;
    Sub Sra.1;
    Sub Sub;
    Subw Jalr;
    Xor Addw;
    Add Add Add;
    Add Add Beq;
    Add Add Bgeu;
    Add Add Blt;
    Add Add Bltu;
    Add Add Bne;
    Add Add Jump;
    Add Add Call;
    Add Add Sd;
    Add Addw Beq;
    Add And Beq;
    Add And.1 Srl;
    Add Auipc Add.1;
    Add Ld Bne.1;
    Add Ld.1 Sd;
    Add Srl And.1;
    Addw Add Bne;
    Addw Add Jump;
    Addw Add Call;
    Addw And.1 Bgeu.2;
    Addw Srlw Bne;
    Addw Sw.2 Beq.1;
    Addw Xor Beq;
    And Add.1 And;
    And Add Bltu;
    And And Addw;
    And And Bne;
    And Auipc Add.1;
    And Sll.1 Add.1;
    And Sll.1 Bgeu;
    And Sll.1 Mul;
    And Sllw.1 Sll;
    And Srl Bgeu;
    Auipc Ld.1 Jump;
    Auipc Ld.1 Call;
    Auipc Ld.1 Mul.1;
    FmaddD Sd.2 Bne;
    FmulD Add Add;
    FmvDX Add Add;
    FnmsubD Sd.2 Bne;
    FsgnjD FmvDX Add;
    Lbu Add Add;
    Lbu Add Beq;
    Lbu Add Bgeu.1;
    Lbu Add Jump;
    Lbu Add Call;
    Lbu Addw Xor;
    Lbu Lbu Jump;
    Lbu Lbu Call;
    Ld Add Add;
    Ld Add Beq;
    Ld Add Beq.1;
    Ld Add Bge;
    Ld Add Blt;
    Ld Add Bne;
    Ld Add.1 Jump;
    Ld Add.1 Call;
    Ld Add Jalr;
    Ld Add Ld;
    Ld Add Sd;
    Ld Addw Beq;
    Ld FltD.1 Beq.1;
    Ld Ld Add;
    Ld Ld And;
    Ld Ld Bge.2;
    Ld Sllw Addw.1;
    Lh Lh Blt.1;
    Lhu Add Subw;
    Lhu Ld Ld;
    Lw Add Ld;
    Lw Addw.1 Sw.2;
    Lw And Xor;
    Lw Lw Lw;
    Lw Subw Sllw.1;
    Mul Add Srl;
    Mulw Addw.1 Bne;
    Sb Add Bne.1;
    Sd Add Addw;
    Sd Add Bne;
    Sd Add Sd;
    Sd Add Sh.1;
    Sd Sd Sd;
    Sd Sw Sw;
    Sll Add Add;
    Sll Add.1 Add;
    Sll Add.1 Ld.1;
    Sll Add.1 Lw.1;
    Sll Srl.1 Add.1;
    Sllw Addw Xor;
    Sllw Sllw Srlw;
    Slt Add.1 Jalr;
    Slt Addw.1 Jump;
    Slt Addw.1 Call;
    Sra Add.1 Sll.1;
    Sraw And And;
    Srl Add Jump;
    Srl Add Call;
    Srl And.1 And;
    Srl Sll Or.1;
    Srl Sra And.1;
    Srl Xor.1 Mul.1;
    Srlw Or.1 Srlw;
    Sub Add Bltu;
    Sub And Sll.1;
    Sub Sd.2 Jump;
    Sub Sd.2 Call;
    Sub Sub Bge.2;
    Sw Sw Jalr;
    Sw Sw Sw;
    Xor Add Bne;
    Xor And.1 Srl;
    Xor Or Xor;
    Add Add Add Add;
    Add Add Add And.1;
    Add Add Add Beq;
    Add Add Add Bgeu;
    Add Add Add Bne;
    Add Add Add Jump;
    Add Add Add Call;
    Add Add FmvDX Add;
    Add Add Lbu Sll;
    Add Add.1 Ld.1 Add;
    Add Add Mulw Sraw.1;
    Add Add Sd Add;
    Add Add Sd Jump;
    Add Add Sd Call;
    Add Addw Addw Bne;
    Add And Sd.2 Jump;
    Add And Sd.2 Call;
    Add Auipc Add.1 Jump;
    Add Auipc Add.1 Call;
    Add Auipc Add.1 Sd;
    Add Lbu Add Bne;
    Add Ld Add Bne;
    Add Ld.1 Ld Add;
    Add Lw.1 Add Sll.1;
    Add Sd.1 Add Sd;
    Add Sd.1 Ld Sd;
    Add Sll.1 Add.1 Sd.1;
    Add Srl Sd.2 Jump;
    Add Srl Sd.2 Call;
    Add Srl Sub.2 And.1;
    Add Sub.1 Sb.1 Bne;
    Add Subw And Beq;
    Addw Add Add Bne;
    Addw Addw Addw Addw;
    Addw Addw And And;
    Addw Addw.1 Sw.2 Jalr;
    Addw Sd Sd Sd;
    Addw Sll.1 Srl.1 Add.1;
    Addw Sw.2 Add Bne.1;
    Addw Xor Addw Addw;
    And Add.1 And Beq;
    And And Sll Sll;
    And Sll.1 Add.1 Add.1;
    And Xor Xor Srlw;
    FnmsubD Add Add Add;
    FsgnjD Addw Add Jump;
    FsgnjD Addw Add Call;
    FsubD Sd.2 FmaddD.1 Bne;
    Lbu Add Add Beq;
    Lbu Add Add Bne;
    Lbu Addw Sw.2 Bne;
    Lbu Lbu Lbu Lbu;
    Lbu Sd Sd Sd;
    Lbu Sll Srl.1 Bne;
    Ld Add Add Beq;
    Ld Add Add Bge;
    Ld Add Ld Ld;
    Ld Add Sd Beq;
    Ld Add Sd Jump;
    Ld Add Sd Call;
    Ld FmaddD Sd.2 Bne;
    Ld Ld Add Add;
    Ld Ld Add Addw;
    Ld Ld Add FmulD;
    Ld Ld Ld Add;
    Ld Ld Ld Ld;
    Ld Sd Add Bne;
    Ld Sd Ld Sd;
    Ld Sll Add.1 Bge;
    Lh Lh Subw.2 Jalr;
    Lhu Addw Addw Xor;
    Lw And Addw.1 Jump;
    Lw And Addw.1 Call;
    Lw Lw Lw Srlw;
    Lw Lw Sd Sd;
    Mul Srl.1 Sub.2 And.1;
    Mul Srl.1 Xor.1 Beq;
    Mul Srl.1 Xor.1 Bne;
    Or Or.1 Sllw Or.1;
    Or Sllw Xor Or;
    Sb Add And.1 Bne.1;
    Sb Sd Sd Sd;
    Sd Add Add Blt;
    Sd Add Addw Srl;
    Sd Add Sd.2 Add;
    Sd Sd Sd Lw;
    Sd Sd Sd Sd;
    Sd Sd Sd Sw;
    Sll Add Add Ld;
    Sll Add.1 Add.1 Ld.1;
    Sll Add.1 Add.1 Lw.1;
    Sll Add.1 Ld.1 Beq.1;
    Sll Srl.1 Add.1 Sb.1;
    Sll Srl Or.1 Add;
    Sll Srl.1 Srl Bne;
    Sll Xor.1 Srl.1 Xor.1;
    Sllw FltD Addw Sll.1;
    Sllw Srlw Or Or;
    Srl Xor.1 Mul.1 Sh;
    Srl Xor.1 Sll.1 Xor.1;
    Srlw Sllw Sllw Srlw;
    Sub Add Add Add;
    Sub And.1 Sub.2 Beq;
    Sub Sltu.1 Add.1 Bne.1;
    Subw Add Subw Bne;
    Sw Add Add Bne;
    Sw Addw Sb.2 Jump;
    Sw Addw Sb.2 Call;
    Sw Sw Sw Sd;
    Xor Srlw Addw Xor;
    Xor Srlw Or Or;
}
