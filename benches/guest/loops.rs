//! Loops of one kind of code each.

use ruse_isa::Opcode::*;

use super::Code;

/// Every loop, with its name. They use what `x8` points to.
pub fn loops() -> [(&'static str, Code); 6] {
    [
        ("integer", integer()),
        ("memory", memory()),
        ("branch", branch()),
        ("call", call()),
        ("float", float()),
        ("far", far()),
    ]
}

fn integer() -> Code {
    let mut code = Code::default();
    code.op(Add, 10, 10, 11, 0)
        .op(Xor, 12, 12, 10, 0)
        .op(Slli, 13, 12, 0, 7)
        .op(Addi, 14, 14, 0, 1)
        .op(Sub, 15, 13, 14, 0)
        .op(Srli, 11, 15, 0, 3)
        .op(And, 9, 11, 12, 0)
        .op(Sltu, 10, 9, 15, 0)
        .op(Addiw, 12, 12, 0, -5)
        .op(Mul, 13, 13, 14, 0)
        .back_to(0);
    code
}

fn memory() -> Code {
    let mut code = Code::default();
    code.op(Ld, 10, 8, 0, 0)
        .op(Addi, 10, 10, 0, 1)
        .op(Sd, 0, 8, 10, 0)
        .op(Lw, 11, 8, 0, 64)
        .op(Sw, 0, 8, 11, 68)
        .op(Lbu, 12, 8, 0, 128)
        .op(Sb, 0, 8, 12, 129)
        .op(Ld, 13, 8, 0, 256)
        .op(Add, 13, 13, 10, 0)
        .op(Sd, 0, 8, 13, 264)
        .back_to(0);
    code
}

fn branch() -> Code {
    // A linear congruential generator decides: hard to predict for the guest's
    // code, and so for the host.
    let mut code = Code::default();
    code.op(Addi, 9, 0, 0, 1103)
        .op(Mul, 10, 10, 9, 0)
        .op(Addi, 10, 10, 0, 1235)
        .op(Srli, 11, 10, 0, 17)
        .op(Andi, 11, 11, 0, 1)
        .op(Beq, 0, 11, 0, 8)
        .op(Addi, 12, 12, 0, 1)
        .op(Srli, 11, 10, 0, 23)
        .op(Andi, 11, 11, 0, 1)
        .op(Bne, 0, 11, 0, 8)
        .op(Addi, 13, 13, 0, 1)
        .back_to(0);
    code
}

fn call() -> Code {
    let mut code = Code::default();
    code.op(Jal, 1, 0, 0, 12)
        .op(Jal, 1, 0, 0, 16)
        .back_to(0)
        .op(Addi, 10, 10, 0, 1)
        .op(Jalr, 0, 1, 0, 0)
        .op(Addi, 11, 11, 0, 1)
        .op(Jalr, 0, 1, 0, 0);
    code
}

fn float() -> Code {
    let mut code = Code::default();
    code.op(FaddD, 10, 10, 11, 0)
        .op(FmulD, 12, 11, 13, 0)
        .op(FsubD, 10, 10, 12, 0)
        .op(FmulS, 14, 14, 15, 0)
        .op(Fld, 9, 8, 0, 0)
        .op(FaddD, 9, 9, 13, 0)
        .op(Fsd, 0, 8, 9, 0)
        .op(FdivD, 9, 11, 13, 0)
        .back_to(0);
    code
}

fn far() -> Code {
    // Every jump leads to another page.
    let mut code = Code::default();
    for _ in 0..4 {
        code.op(Addi, 10, 10, 0, 1).op(Jal, 0, 0, 0, 4096 - 4);
        while code.here() % 4096 != 0 {
            code.op(Addi, 0, 0, 0, 0);
        }
    }
    code.back_to(0);
    code
}
