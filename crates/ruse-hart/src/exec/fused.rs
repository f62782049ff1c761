//! Handlers that execute up to four operations in a row, and the table of the
//! sequences that have one.
//!
//! A taken indirect jump whose target varies costs the host about as much as
//! everything else a simple operation does, so the fewer there are, the better.
//! The operations stay in their slots as they are; only the handler of the
//! first is replaced. When a step cannot be done the fast way, its own slow
//! handler takes over at its own slot, so that traps, counts and positions are
//! exact without further ado.

use std::marker::PhantomData;

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

fn one<X: Base, A: End>(h: &mut Hart, c: Cursor) -> Cursor {
    A::end::<X>(h, c, 0)
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
    ($x:ident $a:ty) => {
        one::<$x, $a>
    };
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
        i::add
    };
    (Addi) => {
        i::addi
    };
    (Addiw) => {
        i::addiw
    };
    (Addw) => {
        i::addw
    };
    (And) => {
        i::and
    };
    (Andi) => {
        i::andi
    };
    (Auipc) => {
        i::auipc
    };
    (Beq) => {
        i::beq
    };
    (Beqz) => {
        general::beqz
    };
    (Bge) => {
        i::bge
    };
    (Bgeu) => {
        i::bgeu
    };
    (Blt) => {
        i::blt
    };
    (Bltu) => {
        i::bltu
    };
    (Bne) => {
        i::bne
    };
    (Bnez) => {
        general::bnez
    };
    (Call) => {
        i::jal
    };
    (FaddD) => {
        d::fadd_d
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
    (FsubD) => {
        d::fsub_d
    };
    (Inc) => {
        general::inc
    };
    (Jalr) => {
        i::jalr
    };
    (Jump) => {
        i::jump
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
    (Li) => {
        general::li
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
    (Mv) => {
        general::mv
    };
    (Or) => {
        i::or
    };
    (Ori) => {
        i::ori
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
        i::sll
    };
    (Slli) => {
        i::slli
    };
    (Slliw) => {
        i::slliw
    };
    (Slt) => {
        i::slt
    };
    (Slti) => {
        i::slti
    };
    (Sltiu) => {
        i::sltiu
    };
    (Sltu) => {
        i::sltu
    };
    (Srai) => {
        i::srai
    };
    (Sraiw) => {
        i::sraiw
    };
    (Srl) => {
        i::srl
    };
    (Srli) => {
        i::srli
    };
    (Srliw) => {
        i::srliw
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
        i::xor
    };
    (Xori) => {
        i::xori
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

// By how often programs execute them (see `examples/sequences.rs`), and common
// pairs: a kind, and which of its source registers is the result before it.
sequences! {
    Beqz;
    Bnez;
    Inc;
    Li;
    Mv;
    Add Add;
    Add Add.1;
    Add Addi;
    Add Addi.1;
    Add Andi;
    Add Andi.1;
    Add Beq;
    Add Beq.1;
    Add Beqz;
    Add Beqz.1;
    Add Bge;
    Add Bltu.1;
    Add Bne;
    Add Bne.1;
    Add Bnez;
    Add Bnez.1;
    Add Call;
    Add Jalr;
    Add Jalr.1;
    Add Jump;
    Add Lbu.1;
    Add Ld;
    Add Ld.1;
    Add Lw;
    Add Lw.1;
    Add Sb.1;
    Add Sb.2;
    Add Sd;
    Add Sd.1;
    Add Sd.2;
    Add Slli;
    Add Slli.1;
    Add Sw;
    Add Sw.1;
    Add Sw.2;
    Addi Add;
    Addi Add.1;
    Addi Addi;
    Addi Addi.1;
    Addi Addiw;
    Addi Andi;
    Addi Andi.1;
    Addi Beq;
    Addi Beq.1;
    Addi Beqz;
    Addi Beqz.1;
    Addi Bge;
    Addi Bne;
    Addi Bne.1;
    Addi Bnez;
    Addi Bnez.1;
    Addi Call;
    Addi Jalr;
    Addi Jalr.1;
    Addi Jump;
    Addi Ld;
    Addi Ld.1;
    Addi Lw;
    Addi Lw.1;
    Addi Sb.2;
    Addi Sd;
    Addi Sd.1;
    Addi Sd.2;
    Addi Slli;
    Addi Slli.1;
    Addi Srli;
    Addi Sub;
    Addi Subw;
    Addi Sw;
    Addi Sw.1;
    Addi Sw.2;
    Addiw Addiw;
    Addiw Beq;
    Addiw Beq.1;
    Addiw Beqz.1;
    Addiw Blt.2;
    Addiw Bltu;
    Addiw Jump;
    Addiw Slli.1;
    Addiw Subw;
    Addiw Sw.2;
    Addw Addw;
    Addw Bltu.1;
    Addw Bnez;
    Addw Sw.2;
    And Add;
    And And;
    And Slli.1;
    And Srli;
    Andi Add;
    Andi Add.1;
    Andi Addi;
    Andi Addi.1;
    Andi Addiw.1;
    Andi Andi;
    Andi Andi.1;
    Andi Beq;
    Andi Beq.1;
    Andi Beqz;
    Andi Beqz.1;
    Andi Bgeu.1;
    Andi Bne;
    Andi Bne.1;
    Andi Bnez;
    Andi Bnez.1;
    Andi Call;
    Andi Inc;
    Andi Jalr;
    Andi Jalr.1;
    Andi Jump;
    Andi Ld;
    Andi Ld.1;
    Andi Lw;
    Andi Lw.1;
    Andi Sb.2;
    Andi Sd;
    Andi Sd.1;
    Andi Sd.2;
    Andi Slli;
    Andi Slli.1;
    Andi Srli;
    Andi Sw;
    Andi Sw.1;
    Andi Sw.2;
    Auipc Inc.1;
    Auipc Ld.1;
    FmaddD Beq;
    FmaddD Bne;
    FmulD FmulD;
    FmvDX Li;
    FsubD FaddD;
    FsubD Sd.2;
    Inc Add;
    Inc Andi;
    Inc Beqz;
    Inc Bne;
    Inc Bne.1;
    Inc Inc;
    Inc Ld;
    Inc Li;
    Inc Sd.1;
    Lbu Add;
    Lbu Add.1;
    Lbu Addi;
    Lbu Addi.1;
    Lbu Andi;
    Lbu Andi.1;
    Lbu Beq;
    Lbu Beq.1;
    Lbu Beqz;
    Lbu Beqz.1;
    Lbu Bne;
    Lbu Bne.1;
    Lbu Bnez;
    Lbu Bnez.1;
    Lbu Call;
    Lbu Jalr;
    Lbu Jalr.1;
    Lbu Jump;
    Lbu Lbu;
    Lbu Ld;
    Lbu Ld.1;
    Lbu Lw;
    Lbu Lw.1;
    Lbu Sd;
    Lbu Sd.1;
    Lbu Slli;
    Lbu Slli.1;
    Lbu Sltu.2;
    Lbu Sw;
    Lbu Sw.1;
    Ld Add;
    Ld Add.1;
    Ld Addi;
    Ld Addi.1;
    Ld Andi;
    Ld Andi.1;
    Ld Beq;
    Ld Beq.1;
    Ld Beqz;
    Ld Beqz.1;
    Ld Blt.2;
    Ld Bltu.1;
    Ld Bne;
    Ld Bne.1;
    Ld Bnez;
    Ld Bnez.1;
    Ld Call;
    Ld Inc;
    Ld Jalr;
    Ld Jalr.1;
    Ld Jump;
    Ld Ld;
    Ld Ld.1;
    Ld Lw;
    Ld Lw.1;
    Ld Mv;
    Ld Sd;
    Ld Sd.1;
    Ld Slli;
    Ld Slli.1;
    Ld Srli.1;
    Ld Sw;
    Ld Sw.1;
    Lh Bne.1;
    Lh Lh;
    Lhu Addiw.1;
    Lhu Jump;
    Li Beq;
    Li Beq.1;
    Li Bgeu.1;
    Li Bne;
    Li Jalr;
    Lw Add;
    Lw Add.1;
    Lw Addi;
    Lw Addi.1;
    Lw Andi;
    Lw Andi.1;
    Lw Beq;
    Lw Beq.1;
    Lw Beqz;
    Lw Beqz.1;
    Lw Bne;
    Lw Bne.1;
    Lw Bnez;
    Lw Bnez.1;
    Lw Call;
    Lw Jalr;
    Lw Jalr.1;
    Lw Jump;
    Lw Ld;
    Lw Ld.1;
    Lw Lw;
    Lw Lw.1;
    Lw Sd;
    Lw Sd.1;
    Lw Slli;
    Lw Slli.1;
    Lw Sw;
    Lw Sw.1;
    Mv Beqz;
    Mv Bge;
    Mv Bltu;
    Mv Bltu.2;
    Mv Bnez;
    Mv Call;
    Mv Mv;
    Mv Srli;
    Or Or;
    Or Slliw;
    Or Sw.2;
    Sb Bne;
    Sb Inc;
    Sd Add;
    Sd Addi;
    Sd Addiw;
    Sd Andi;
    Sd Beq;
    Sd Beqz;
    Sd Bne;
    Sd Bnez;
    Sd Call;
    Sd Jalr;
    Sd Jump;
    Sd Ld;
    Sd Lw;
    Sd Mv;
    Sd Sd;
    Sd Slli;
    Sd Sw;
    Sll Or.1;
    Slli Add;
    Slli Add.1;
    Slli Addi;
    Slli Addi.1;
    Slli Andi;
    Slli Andi.1;
    Slli Beq;
    Slli Beq.1;
    Slli Beqz;
    Slli Beqz.1;
    Slli Bne;
    Slli Bne.1;
    Slli Bnez;
    Slli Bnez.1;
    Slli Call;
    Slli Jalr;
    Slli Jalr.1;
    Slli Jump;
    Slli Ld;
    Slli Ld.1;
    Slli Lw;
    Slli Lw.1;
    Slli Sb.2;
    Slli Sd;
    Slli Sd.1;
    Slli Sd.2;
    Slli Slli;
    Slli Slli.1;
    Slli Srli.1;
    Slli Sw;
    Slli Sw.1;
    Slli Sw.2;
    Slli Xor.1;
    Slliw Lw;
    Slliw Srliw;
    Slt Addw.1;
    Srli Andi.1;
    Srli Bltu;
    Srli Bne;
    Srli Mul;
    Srli Sh.2;
    Srli Xor.1;
    Srliw Bnez;
    Srliw Or.1;
    Sub Beqz;
    Sub Bgeu;
    Sub Jump;
    Sub Sd;
    Sub Srai.1;
    Subw Jalr;
    Sw Addiw;
    Sw Blt;
    Sw Sw;
    Xor Bne;
    Add Add Bgeu;
    Add Addi Lbu;
    Add Addiw Addiw;
    Add Li Bge;
    Add Li Slli;
    Add Mv.1 Jump;
    Add Sd.2 Jump;
    Addi Addi Add;
    Addi Addi Addi;
    Addi Addi Beq;
    Addi Addi Bne;
    Addi Addi Jump;
    Addi Auipc Addi.1;
    Addi Ld Ld;
    Addi Ld.1 Beqz.1;
    Addi Li Jump;
    Addi Sh.1 Sb.1;
    Addi Slli.1 Add.1;
    Addi Srli.1 Xor.1;
    Addiw Add Bne;
    Addiw Add.1 Lbu.1;
    Addiw And.1 Addiw.1;
    Addiw Andi.1 Bgeu.2;
    Addiw Inc Bne;
    Addiw Srliw Bnez;
    Addiw Sw.2 Beqz.1;
    Addiw Xor Beqz;
    Addw Lbu Addw;
    Addw Xor Sh;
    And Add Bltu;
    And Sd.2 Jump;
    And Srli Add;
    Andi Add.1 Andi;
    Andi Add.1 Lbu.1;
    Andi Andi Bnez;
    Andi Auipc Inc.1;
    Andi Inc.1 Srli.1;
    Andi Li Bltu.1;
    Andi Mv Bnez;
    Andi Sub.2 Beqz;
    Auipc Inc.1 Ld.1;
    Auipc Inc.1 Li;
    Auipc Ld.1 Bltu.2;
    Auipc Ld.1 Mul.1;
    FmaddD Sd.2 Bne;
    FmvDX Mv Add;
    FnmsubD Sd.2 Ld;
    Inc Add Bltu;
    Inc Add Bne;
    Inc Andi Beqz;
    Inc Inc Bgeu.1;
    Inc Inc Blt;
    Inc Inc Bne;
    Inc Mv Bgeu;
    Lbu Add Add;
    Lbu Addi Beq;
    Lbu Addiw Xor;
    Lbu Inc Bnez;
    Lbu Inc Inc;
    Lbu Lbu Call;
    Lbu Li Bgeu.1;
    Lbu Li Jump;
    Lbu Mv Bgeu;
    Lbu Slli Add.1;
    Ld Add Sw.1;
    Ld Add.1 Jump;
    Ld Add.1 Sd.2;
    Ld Addi Sd;
    Ld Addiw Beqz;
    Ld Inc Jalr;
    Ld Inc Sd;
    Ld Ld Add;
    Ld Ld Addi;
    Ld Ld Andi;
    Ld Ld Inc;
    Ld Ld Jump;
    Ld Ld Ld;
    Ld Ld Mv;
    Ld Ld Xor.1;
    Ld Li Beq.1;
    Ld Mv Bgeu;
    Ld Mv.1 Call;
    Ld Sd Beqz;
    Ld Sd.2 Li;
    Ld Slli Sub.1;
    Lh Lh Blt.1;
    Lhu Ld Ld;
    Lhu Lhu Addw;
    Li Add.1 Ld.1;
    Li Li Beq;
    Li Mv Call;
    Li Srli.1 Slli;
    Li Subw Bne;
    Lw Addi Bnez;
    Lw Addiw.1 Sw.2;
    Lw Ld Lw;
    Lw Li Bge.1;
    Lw Lw Lw;
    Lw Mv Mv;
    Lwu Lwu Inc;
    Mul Inc Add;
    Mul Srli.1 Sub.2;
    Mul Srli.1 Xor.1;
    Mulw Addw.1 Bne;
    Mv Addiw Bge;
    Mv Inc Bnez;
    Mv Inc Sb.1;
    Mv Inc Sd;
    Mv Lbu Beq.1;
    Mv Ld Ld;
    Mv Ld.1 Sd;
    Mv Mv Call;
    Mv Mv Mv;
    Mv Sd Call;
    Or Mv Call;
    Sd Add Sd.1;
    Sd Addi Addi;
    Sd Addiw Call;
    Sd Auipc Ld.1;
    Sd Inc Inc;
    Sd Inc Mv;
    Sd Li Inc;
    Sd Mv Bnez;
    Sd Sd Sd;
    Sd Sw Sw;
    Slli Add.1 Ld.1;
    Slli Add.1 Lhu.1;
    Slli Add.1 Lw.1;
    Slli Add.1 Sltu.1;
    Slli Addi.1 Add.1;
    Slli Inc.1 Add.1;
    Slli Or.1 Sd.2;
    Slli Sb Inc;
    Slli Srli.1 Add.1;
    Slliw Addw Xor;
    Slliw Slliw Srliw;
    Slliw Xor.1 And.1;
    Slti Inc.1 Jalr;
    Sraiw Andi Andi;
    Srl Andi.1 Bnez.1;
    Srl Sd.2 Jump;
    Srl Sll Or.1;
    Srli Add.1 Ld.1;
    Srli Mv Call;
    Srliw Addiw.1 Slli.1;
    Srliw Or Slliw;
    Sub Add.1 Lbu.1;
    Sub Sd Bltu.1;
    Sub Sd.2 Jump;
    Sub Slli.1 Add.1;
    Subw Mv.1 Blt;
    Sw Sw Sw;
    Xor Andi.1 Srli;
    Xor Sd.2 Sd;
    Xor Srliw Or;
    Xori Or Lw;
    Add Add Add Bgeu;
    Add Add Ld Ld;
    Add Inc.1 Mv Add;
    Add Lbu.1 Sb.2 Bne;
    Add Ld.1 Li Bgeu.1;
    Add Sd.2 Sub Jump;
    Add Sw.2 Srli.1 Bne;
    Addi Add.1 Ld.1 Mv;
    Addi Addi Addi Addi;
    Addi Addi Addi Jump;
    Addi Auipc Inc.1 Call;
    Addi Ld.1 Ld Inc;
    Addi Li Li Bgeu;
    Addi Li Li Call;
    Addi Slli.1 Add.1 Sd.1;
    Addi Srli.1 Auipc Inc.1;
    Addiw Addiw Andi Andi;
    Addiw FaddD FmaddD Beq;
    Addiw Sd Sd Sd;
    Addiw Slli.1 Srli.1 Add.1;
    Addw Addiw.1 Sw.2 Jalr;
    Addw Addw.1 Addw.1 Addw.1;
    Addw Xor Addw.1 Sw.2;
    And Add.1 And Beq;
    And Addiw.1 Or.1 Or;
    And And Addw Xor;
    And Xor And Xor;
    Andi Auipc Inc.1 Beqz;
    Andi Slli Sb Inc;
    Andi Slli.1 Inc.1 Add.1;
    Auipc Lbu.1 Mv Beqz;
    FmulD FaddD.1 FltD.1 Bnez.1;
    FmulD FmulD Inc Inc;
    FmvDX Mv Mv Li;
    FsubD Sd.2 FmaddD.1 Bne;
    Inc Addw Addiw.1 Blt.2;
    Inc Addw Addw Bne;
    Inc Auipc Inc.1 Sd;
    Inc Inc Mulw Sraiw.1;
    Inc Ld Li Bne;
    Inc Sd.1 Ld Sd;
    Inc Sd.1 Sd.1 Sd.1;
    Inc Sub Inc Beq;
    Inc Subw Sh.2 Bne;
    Lbu Add Inc Bnez;
    Lbu Addi Addi Beq;
    Lbu Addw Lbu Lbu;
    Lbu Inc Add Bne;
    Lbu Inc Add.1 Sb.1;
    Lbu Inc Inc Beq;
    Lbu Inc Inc Beqz;
    Lbu Inc Inc Sb.1;
    Lbu Inc Sd.2 Addiw;
    Lbu Lbu Lbu Lbu;
    Lbu Lbu Slliw Xor.1;
    Lbu Li Inc Bnez;
    Lbu Mv Add Sb;
    Ld Addi Sd Jump;
    Ld Addi Srli.1 Xor.1;
    Ld Inc Inc Beqz;
    Ld Inc Sd.1 Auipc;
    Ld Ld Add Ld.1;
    Ld Ld Addi Addi;
    Ld Ld Inc Inc;
    Ld Ld Inc Jalr;
    Ld Ld Inc Lbu.1;
    Ld Ld Ld Beqz;
    Ld Ld Ld Ld;
    Ld Ld Li Bgeu;
    Ld Ld Li Inc;
    Ld Mv Ld Ld;
    Ld Mv Mv Beqz;
    Ld Mv Mv Bge;
    Ld Mv Sd Beqz;
    Ld Sd Ld Sd;
    Ld Sd Ld.1 Sd.2;
    Ld Sd Mv Mv;
    Ld Slli Add.1 Jump;
    Lh Lh Subw.2 Jalr;
    Li Ld Ld Bgeu.2;
    Li Li Inc Jump;
    Li Li Li Li;
    Li Mv Srli And;
    Li Slli Add.1 Ld.1;
    Li Slli.1 Inc.1 Addiw;
    Lw Andi Addw.1 Call;
    Lw Lw Lw Srliw;
    Lw Mv Ld Lbu;
    Lw Srli Add.1 Ld.1;
    Lw Subw Slliw.1 Subw.1;
    Mul Add.1 Add.1 And.1;
    Mul Andi.1 Srli Bgeu;
    Mul Slli Or.1 Bgeu.1;
    Mul Srli.1 And.1 Andi;
    Mul Srli.1 Xor.1 Beqz;
    Mv Auipc Inc.1 Beqz;
    Mv Inc Mv Mv;
    Mv Li Li Mv;
    Mv Li Mv Jump;
    Mv Mv Add Lbu;
    Mv Mv Li Li;
    Mv Mv Mv Bnez;
    Mv Mv Mv Jalr;
    Mv Mv Mv Li;
    Or Or.1 Ori.1 Xori.1;
    Or Or.1 Slliw Or.1;
    Or Xor Addw Xor;
    Sb Inc Inc Beq;
    Sb Inc Inc Inc;
    Sb Sub Add.1 Beqz.1;
    Sd Add Inc Bne;
    Sd Addi Auipc Inc.1;
    Sd Inc Inc Blt;
    Sd Ld Mv Sd;
    Sd Mv Ld Ld;
    Sd Sd Add Andi;
    Sd Sd Ld Beqz.1;
    Sd Sd Sd Jump;
    Sd Sd Sd Sd;
    Sd Sw Sw Jalr;
    Sh Slli Inc Inc;
    Sll Srl Or.1 Addi;
    Slli Add.1 Inc Ld;
    Slli Add.1 Ld.1 Beq.1;
    Slli Add.1 Lhu.1 Beqz.1;
    Slli Add.1 Lhu.1 Bltu.1;
    Slli Inc.1 Add.1 Bne;
    Slli Mul Inc Add.1;
    Slli Slli Inc Inc;
    Slli Srli.1 Add.1 Lw.1;
    Slli Srli.1 Add.1 Sb.1;
    Slli Srli.1 Sh.2 Bgeu.1;
    Slli Srli.1 Srli Bnez;
    Slli Xor.1 Mv Mv;
    Slli Xor.1 Srli.1 Xor.1;
    Slliw Or.1 Or.1 Slliw;
    Slliw Srliw Or Or;
    Srl Andi.1 Addiw Beqz;
    Srli Addiw Xor Sd.2;
    Srli And Mul.1 Mul;
    Srli Mul Add Bgeu;
    Srli Slli.1 Add.1 Ld.1;
    Srli Srai Andi.1 Inc.1;
    Srliw Slliw Slliw Srliw;
    Sub Andi.1 Sub.2 Beqz;
    Sub Sltiu.1 Add.1 Bne.1;
    Sw Addiw Sb.2 Call;
    Xor Srliw Slliw Srliw;
}
