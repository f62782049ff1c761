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
    Add Bltu;
    Add Bne;
    Add Bne.1;
    Add Bnez;
    Add Bnez.1;
    Add Call;
    Add Jalr;
    Add Jalr.1;
    Add Jump;
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
    Add Sub.1;
    Add Sw;
    Add Sw.1;
    Add Sw.2;
    Addi Add;
    Addi Add.1;
    Addi Addi;
    Addi Addi.1;
    Addi Andi;
    Addi Andi.1;
    Addi Beq;
    Addi Beq.1;
    Addi Beqz;
    Addi Beqz.1;
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
    Addi Lhu.1;
    Addi Lw;
    Addi Lw.1;
    Addi Mv;
    Addi Sb.2;
    Addi Sd;
    Addi Sd.1;
    Addi Sd.2;
    Addi Slli;
    Addi Slli.1;
    Addi Subw;
    Addi Sw;
    Addi Sw.1;
    Addi Sw.2;
    Addiw Andi.1;
    Addiw Beqz.1;
    Addiw Bltu;
    Addw Addw;
    Addw Bltu.1;
    Addw Sw.2;
    And And;
    And Xor;
    Andi Add;
    Andi Add.1;
    Andi Addi;
    Andi Addi.1;
    Andi Andi;
    Andi Andi.1;
    Andi Beq;
    Andi Beq.1;
    Andi Beqz;
    Andi Beqz.1;
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
    Andi Li;
    Andi Lw;
    Andi Lw.1;
    Andi Sb.2;
    Andi Sd;
    Andi Sd.1;
    Andi Sd.2;
    Andi Slli;
    Andi Slli.1;
    Andi Slliw.1;
    Andi Srli;
    Andi Sw;
    Andi Sw.1;
    Andi Sw.2;
    Auipc Inc.1;
    Auipc Ld.1;
    FmaddD Bne;
    FmulD FmulD;
    FmvDX Mv;
    FsubD Sd.2;
    Inc Addiw;
    Inc Andi;
    Inc Bne.1;
    Inc Inc;
    Inc Lbu.1;
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
    Lbu Ld;
    Lbu Ld.1;
    Lbu Lw;
    Lbu Lw.1;
    Lbu Sd;
    Lbu Sd.1;
    Lbu Slli;
    Lbu Slli.1;
    Lbu Sw;
    Lbu Sw.1;
    Ld Add;
    Ld Add.1;
    Ld Addi;
    Ld Addi.1;
    Ld Addiw;
    Ld Andi;
    Ld Andi.1;
    Ld Beq;
    Ld Beq.1;
    Ld Beqz;
    Ld Beqz.1;
    Ld Blt.2;
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
    Ld Sd;
    Ld Sd.1;
    Ld Slli;
    Ld Slli.1;
    Ld Sw;
    Ld Sw.1;
    Lh Bne.1;
    Lhu Jump;
    Li Addiw;
    Li Beq;
    Li Beq.1;
    Li Beqz;
    Li Bgeu.1;
    Li Jalr;
    Li Jump;
    Li Lbu;
    Li Sd;
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
    Mul Addi;
    Mulw Sraiw.1;
    Mv Add;
    Mv Bge;
    Mv Blt;
    Mv Bnez;
    Mv Call;
    Mv Jump;
    Mv Mv;
    Sb Bne;
    Sd Add;
    Sd Addi;
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
    Sd Sd;
    Sd Slli;
    Sd Sw;
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
    Slliw Lw;
    Srli Andi.1;
    Srli Beqz.1;
    Srli Bne;
    Srli Bnez;
    Srli Xor.1;
    Srliw Or.1;
    Sub Beqz;
    Sub Mv;
    Sub Srai.1;
    Subw Jalr;
    Sw Sw;
    Xori Or;
    Add Addi Lbu;
    Add Andi.1 Srli;
    Add Inc Bnez;
    Add Ld Ld;
    Add Mv Call;
    Add Sd.2 Jump;
    Add Sub Beqz;
    Addi Addi Addi;
    Addi Addi Bne;
    Addi Addi Jump;
    Addi Addi Sd;
    Addi Auipc Inc.1;
    Addi Sh.1 Sb.1;
    Addi Slli.1 Add.1;
    Addiw Add Bne;
    Addiw Andi.1 Bgeu.2;
    Addiw Inc Bne;
    Addiw Inc Bne.1;
    Addiw Mv Call;
    Addiw Sb.2 Call;
    Addiw Srliw Bnez;
    Addiw Sub.1 Sltiu.1;
    Addiw Sw.2 Beqz.1;
    Addiw Xor Beqz;
    Addw Xor Sh;
    And Sd.2 Jump;
    And Slli.1 And;
    And Slli.1 Bgeu;
    Andi Andi Bnez;
    Andi Auipc Inc.1;
    Andi Ld Ld;
    Andi Slli.1 Ld;
    Andi Slli.1 Mul;
    Andi Slliw.1 Slli;
    Andi Srli Bgeu;
    Andi Sub.2 Beqz;
    Auipc Ld.1 Jump;
    Auipc Ld.1 Mul.1;
    FmaddD Sd.2 Bne;
    FsgnjD FmvDX Mv;
    Inc Add Bltu;
    Inc Addi Bne;
    Inc Andi Beqz;
    Inc Inc Bne;
    Inc Mv Add;
    Inc Mv Bgeu;
    Inc Mv Jump;
    Inc Mv Mv;
    Lbu Addiw Xor;
    Lbu Inc Beqz;
    Lbu Inc Inc;
    Lbu Lbu Call;
    Lbu Li Bgeu.1;
    Lbu Li Jump;
    Ld Add.1 Jump;
    Ld Add.1 Sd.2;
    Ld Addi Sd;
    Ld Addiw Beqz;
    Ld Andi Slli.1;
    Ld Inc Beq;
    Ld Inc Jalr;
    Ld Inc Sd;
    Ld Ld Inc;
    Ld Ld Xor.1;
    Ld Li Beq.1;
    Ld Mv Bge.1;
    Ld Mv.1 Call;
    Lh Lh Blt.1;
    Lhu Ld Ld;
    Lhu Lhu Addw;
    Li Mv Beq;
    Li Mv Bgeu;
    Li Subw Bne;
    Lw Addiw.1 Sw.2;
    Lw And Xor;
    Lw Li Bge.1;
    Lw Lw Lw;
    Mul Srli.1 Sub.2;
    Mul Srli.1 Xor.1;
    Mulw Addw.1 Bne;
    Mv Inc Bnez;
    Mv Inc Sd;
    Mv Ld Bnez.1;
    Mv Ld.1 Sd;
    Mv Mv Beqz;
    Mv Mv Blt.2;
    Mv Mv Li;
    Mv Mv Mv;
    Sb Inc Bne.1;
    Sd Addi Addi;
    Sd Inc Bne.1;
    Sd Mv Bnez;
    Sd Sd Ld;
    Sd Sd Sd;
    Slli Add.1 Bge;
    Slli Add.1 Ld.1;
    Slli Add.1 Lw.1;
    Slli Inc.1 Add.1;
    Slli Mv Add;
    Slli Srli.1 Add.1;
    Slliw Addw Xor;
    Slliw Or.1 Sw.2;
    Slliw Slliw Srliw;
    Slt Add.1 Jump;
    Slt Addw.1 Jump;
    Slti Inc.1 Jalr;
    Sraiw Andi Andi;
    Srl Sd.2 Jump;
    Srl Sll Or.1;
    Srli And.1 Andi;
    Srli Mv Call;
    Srli Sh.2 Beq;
    Srli Xor.1 Mul.1;
    Srli Xor.1 Slli.1;
    Srliw Or Slliw;
    Sub Mv Bltu;
    Sub Sd.2 Jump;
    Sub Sub Bge.2;
    Sw Sw Jalr;
    Xor Andi.1 Srli;
    Xor Srli.1 Xor.1;
    Add Add Ld Ld;
    Add Add Ld.1 Ld;
    Add Ld Inc Jalr;
    Add Ld.1 Inc Bnez;
    Add Sub.1 Sb.1 Bne;
    Addi Auipc Inc.1 Call;
    Addi Ld Addi Jalr;
    Addi Ld.1 Ld Inc;
    Addi Li Addi Beq;
    Addi Li Li Call;
    Addi Lw.1 Li Slli.1;
    Addi Slli.1 Add.1 Sd.1;
    Addi Srli Sub.2 And.1;
    Addiw Addiw Andi Andi;
    Addiw Inc Inc Bne;
    Addiw Slli.1 Srli.1 Add.1;
    Addw Addiw.1 Sw.2 Jalr;
    Addw Addw Addw Addw;
    Addw Xor Addw Addw;
    Addw Xor Addw.1 Sw.2;
    Addw Xor Or Xor;
    And Add.1 And Beq;
    Andi Add Inc.1 Mv;
    Andi Li Li Subw;
    Andi Slli.1 Addi.1 Add.1;
    Andi Slli.1 Inc.1 Add.1;
    Auipc Ld.1 Ld.1 Sd.2;
    Auipc Ld.1 Mul.1 Mv;
    FmvDX Mv Mv Li;
    FsgnjD Addiw Mv Call;
    FsubD Sd.2 FmaddD.1 Bne;
    Inc Add.1 Ld.1 Beqz;
    Inc Add.1 Sd.1 Jump;
    Inc Addw Addw Bne;
    Inc Auipc Inc.1 Sd;
    Inc Inc FmaddD Bne;
    Inc Inc FnmsubD Sd.2;
    Inc Inc Sd Jump;
    Inc Ld Li Bne;
    Inc Mv Inc Beqz;
    Inc Sd.1 Ld Sd;
    Inc Sd.1 Li Sd;
    Inc Subw Sh.2 Bne;
    Lbu Addiw Sw.2 Bnez;
    Lbu Inc Add.1 Sb.1;
    Lbu Inc Inc Beq;
    Lbu Lbu Lbu Lbu;
    Lbu Li Inc Bnez;
    Ld Add Ld Sd;
    Ld Addi Sd Jump;
    Ld And.1 Li Beq.1;
    Ld FmaddD Sd.2 Bne;
    Ld Ld Addi Addi;
    Ld Ld Addi Mv;
    Ld Ld Inc FmulD;
    Ld Ld Inc Inc;
    Ld Ld Ld Ld;
    Ld Ld Li Inc;
    Ld Mv Inc Inc;
    Ld Mv Ld Ld;
    Ld Mv Mv Beqz;
    Ld Mv Mv Bge;
    Ld Mv Sd Beqz;
    Ld Sd Inc Sd.2;
    Ld Sd Ld Sd;
    Ld Slli Ld Add;
    Lh Lh Inc Inc;
    Lh Lh Subw.2 Jalr;
    Li Addi Inc And.1;
    Li Lbu Inc Bnez;
    Li Li Addi Call;
    Li Li Inc Jump;
    Li Mv Mv Bgeu;
    Li Mv Mv Mv;
    Lw Andi Addw.1 Call;
    Lw Ld Lw Addiw;
    Lw Lw Lw Srliw;
    Lw Lw Sd Sd;
    Lw Mv Ld Lbu;
    Lw Mv Mv Mv;
    Lw Subw Slliw.1 Subw.1;
    Mul Srli.1 Xor.1 Beqz;
    Mv Addiw.1 Sub.1 Sltiu.1;
    Mv Mv Mv Bnez;
    Mv Mv Sd Call;
    Mv Mv Sd Sd;
    Sb Inc Andi.1 Bnez.1;
    Sd Inc Inc Beqz;
    Sd Inc Inc Blt;
    Sd Inc Li Li;
    Sd Li Inc Srli;
    Sd Mv Mv Call;
    Sd Sd Sd Sd;
    Sd Sd Sd Sw;
    Sh Sd Inc Addiw;
    Sh Slli Inc Inc;
    Sll Srl Or.1 Addi;
    Sll Srl Or.1 Inc;
    Slli Add.1 Inc Ld;
    Slli Add.1 Ld.1 Beqz.1;
    Slli Addi.1 Add.1 Lw.1;
    Slli Inc.1 Add.1 Bne;
    Slli Slli Inc Inc;
    Slli Srli.1 Add.1 Sb.1;
    Slli Srli.1 Srli Bnez;
    Slliw Slliw Or.1 Or.1;
    Slliw Srliw Or Or;
    Srai Add.1 Slli.1 Slli;
    Srli Slli.1 Add.1 Ld.1;
    Srli Srai Andi.1 Inc.1;
    Srli Sub.2 And.1 Bnez.1;
    Srli Xor.1 Slli.1 Xor.1;
    Srliw Slliw Slliw Srliw;
    Sub Andi.1 Sub.2 Beqz;
    Sw Sw Sd Call;
    Sw Sw Sw Sd;
    Sw Sw Sw Sw;
    Xor Addw Xor Srliw;
    Xor Srliw Or Or;
    Xor Srliw Slliw Srliw;
}
