//! What each instruction does, in a line.

use ruse_isa::Opcode;

/// What `op` does, with `{rd}`, `{rs1}`, `{rs2}`, `{rs3}`, `{imm}` and `{csr}` in
/// the place of its operands, and `{to}` in that of where it jumps.
pub(super) fn of(op: Opcode) -> &'static str {
    use Opcode::*;
    match op {
        Lui => "{rd} = {imm}",
        Auipc => "{rd} = pc + {imm}",
        Jal => "{rd} = the address after this; go to {to}",
        Jalr => "{rd} = the address after this; go to {rs1} + {imm}, bit 0 cleared",
        Beq => "if {rs1} == {rs2}, go to {to}",
        Bne => "if {rs1} != {rs2}, go to {to}",
        Blt => "if {rs1} < {rs2}, signed, go to {to}",
        Bge => "if {rs1} >= {rs2}, signed, go to {to}",
        Bltu => "if {rs1} < {rs2}, unsigned, go to {to}",
        Bgeu => "if {rs1} >= {rs2}, unsigned, go to {to}",
        Lb => "{rd} = the byte at {rs1} + {imm}, sign-extended",
        Lh => "{rd} = the 2 bytes at {rs1} + {imm}, sign-extended",
        Lw => "{rd} = the 4 bytes at {rs1} + {imm}, sign-extended",
        Ld => "{rd} = the 8 bytes at {rs1} + {imm}",
        Lbu => "{rd} = the byte at {rs1} + {imm}, zero-extended",
        Lhu => "{rd} = the 2 bytes at {rs1} + {imm}, zero-extended",
        Lwu => "{rd} = the 4 bytes at {rs1} + {imm}, zero-extended",
        Sb => "store the low byte of {rs2} at {rs1} + {imm}",
        Sh => "store the low 2 bytes of {rs2} at {rs1} + {imm}",
        Sw => "store the low 4 bytes of {rs2} at {rs1} + {imm}",
        Sd => "store the 8 bytes of {rs2} at {rs1} + {imm}",
        Addi => "{rd} = {rs1} + {imm}",
        Slti => "{rd} = 1 if {rs1} < {imm}, signed, else 0",
        Sltiu => "{rd} = 1 if {rs1} < {imm}, unsigned, else 0",
        Xori => "{rd} = {rs1} xor {imm}",
        Ori => "{rd} = {rs1} or {imm}",
        Andi => "{rd} = {rs1} and {imm}",
        Slli => "{rd} = {rs1} << {imm}",
        Srli => "{rd} = {rs1} >> {imm}, zeroes moving in",
        Srai => "{rd} = {rs1} >> {imm}, the sign moving in",
        Add => "{rd} = {rs1} + {rs2}",
        Sub => "{rd} = {rs1} - {rs2}",
        Sll => "{rd} = {rs1} << {rs2}",
        Slt => "{rd} = 1 if {rs1} < {rs2}, signed, else 0",
        Sltu => "{rd} = 1 if {rs1} < {rs2}, unsigned, else 0",
        Xor => "{rd} = {rs1} xor {rs2}",
        Srl => "{rd} = {rs1} >> {rs2}, zeroes moving in",
        Sra => "{rd} = {rs1} >> {rs2}, the sign moving in",
        Or => "{rd} = {rs1} or {rs2}",
        And => "{rd} = {rs1} and {rs2}",
        Addiw => "{rd} = the low 32 bits of {rs1} + {imm}, sign-extended",
        Slliw => "{rd} = the low 32 bits of {rs1} << {imm}, sign-extended",
        Srliw => "{rd} = the low 32 bits of {rs1} >> {imm}, zeroes moving in, sign-extended",
        Sraiw => "{rd} = the low 32 bits of {rs1} >> {imm}, the sign moving in",
        Addw => "{rd} = the low 32 bits of {rs1} + {rs2}, sign-extended",
        Subw => "{rd} = the low 32 bits of {rs1} - {rs2}, sign-extended",
        Sllw => "{rd} = the low 32 bits of {rs1} << {rs2}, sign-extended",
        Srlw => "{rd} = the low 32 bits of {rs1} >> {rs2}, zeroes moving in, sign-extended",
        Sraw => "{rd} = the low 32 bits of {rs1} >> {rs2}, the sign moving in",
        Fence => {
            "what came before, of the first kinds, is seen before what comes after, of the second"
        }
        Pause => "a hint that the hart waits in a loop",
        FenceI => "instructions fetched from now on see the stores of before",
        Ecall => "trap: a request to the next higher privilege",
        Ebreak => "trap: a breakpoint",

        Mul => "{rd} = the low half of {rs1} * {rs2}",
        Mulh => "{rd} = the high half of {rs1} * {rs2}, both signed",
        Mulhsu => "{rd} = the high half of {rs1} * {rs2}, the first signed, the second not",
        Mulhu => "{rd} = the high half of {rs1} * {rs2}, both unsigned",
        Div => "{rd} = {rs1} / {rs2}, signed, towards zero; -1 if {rs2} is 0",
        Divu => "{rd} = {rs1} / {rs2}, unsigned; all ones if {rs2} is 0",
        Rem => "{rd} = the rest of {rs1} / {rs2}, signed; {rs1} if {rs2} is 0",
        Remu => "{rd} = the rest of {rs1} / {rs2}, unsigned; {rs1} if {rs2} is 0",
        Mulw => "{rd} = the low 32 bits of {rs1} * {rs2}, sign-extended",
        Divw => "{rd} = the low 32 bits of {rs1} / those of {rs2}, signed",
        Divuw => "{rd} = the low 32 bits of {rs1} / those of {rs2}, unsigned, sign-extended",
        Remw => "{rd} = the rest of the low 32 bits of {rs1} / those of {rs2}, signed",
        Remuw => {
            "{rd} = the rest of the low 32 bits of {rs1} / those of {rs2}, unsigned, sign-extended"
        }

        LrW => "{rd} = the 4 bytes at {rs1}, sign-extended; reserve them",
        LrD => "{rd} = the 8 bytes at {rs1}; reserve them",
        ScW => {
            "if the reservation of {rs1} still holds, store 4 bytes of {rs2} there; {rd} = 0 if so, else 1"
        }
        ScD => "if the reservation of {rs1} still holds, store {rs2} there; {rd} = 0 if so, else 1",
        AmoswapW | AmoswapD => "in one step: {rd} = what is at {rs1}; there goes {rs2}",
        AmoaddW | AmoaddD => "in one step: {rd} = what is at {rs1}; there goes that + {rs2}",
        AmoxorW | AmoxorD => "in one step: {rd} = what is at {rs1}; there goes that xor {rs2}",
        AmoandW | AmoandD => "in one step: {rd} = what is at {rs1}; there goes that and {rs2}",
        AmoorW | AmoorD => "in one step: {rd} = what is at {rs1}; there goes that or {rs2}",
        AmominW | AmominD => {
            "in one step: {rd} = what is at {rs1}; there goes the lesser of that and {rs2}, signed"
        }
        AmomaxW | AmomaxD => {
            "in one step: {rd} = what is at {rs1}; there goes the greater of that and {rs2}, signed"
        }
        AmominuW | AmominuD => {
            "in one step: {rd} = what is at {rs1}; there goes the lesser of that and {rs2}, unsigned"
        }
        AmomaxuW | AmomaxuD => {
            "in one step: {rd} = what is at {rs1}; there goes the greater of that and {rs2}, unsigned"
        }
        AmocasW | AmocasD => {
            "in one step: if {rd} is at {rs1}, there goes {rs2}; {rd} = what was there"
        }
        AmocasDRv32 | AmocasQ => {
            "in one step: if the pair {rd} is at {rs1}, there goes the pair {rs2}; {rd} = what was there"
        }

        Flw | Fld | Flh => "{rd} = the number at {rs1} + {imm}",
        Fsw | Fsd | Fsh => "store the number in {rs2} at {rs1} + {imm}",
        FmaddS | FmaddD | FmaddH => "{rd} = {rs1} * {rs2} + {rs3}, rounded once",
        FmsubS | FmsubD | FmsubH => "{rd} = {rs1} * {rs2} - {rs3}, rounded once",
        FnmsubS | FnmsubD | FnmsubH => "{rd} = -({rs1} * {rs2}) + {rs3}, rounded once",
        FnmaddS | FnmaddD | FnmaddH => "{rd} = -({rs1} * {rs2}) - {rs3}, rounded once",
        FaddS | FaddD | FaddH => "{rd} = {rs1} + {rs2}",
        FsubS | FsubD | FsubH => "{rd} = {rs1} - {rs2}",
        FmulS | FmulD | FmulH => "{rd} = {rs1} * {rs2}",
        FdivS | FdivD | FdivH => "{rd} = {rs1} / {rs2}",
        FsqrtS | FsqrtD | FsqrtH => "{rd} = the square root of {rs1}",
        FsgnjS | FsgnjD | FsgnjH => "{rd} = {rs1} with the sign of {rs2}",
        FsgnjnS | FsgnjnD | FsgnjnH => "{rd} = {rs1} with the opposite of the sign of {rs2}",
        FsgnjxS | FsgnjxD | FsgnjxH => "{rd} = {rs1} with the product of both signs",
        FminS | FminD | FminH => "{rd} = the lesser of {rs1} and {rs2}, or the one that is no NaN",
        FmaxS | FmaxD | FmaxH => "{rd} = the greater of {rs1} and {rs2}, or the one that is no NaN",
        FminmS | FminmD | FminmH => "{rd} = the lesser of {rs1} and {rs2}, or NaN if one is",
        FmaxmS | FmaxmD | FmaxmH => "{rd} = the greater of {rs1} and {rs2}, or NaN if one is",
        FeqS | FeqD | FeqH => "{rd} = 1 if {rs1} == {rs2}, else 0",
        FltS | FltD | FltH => "{rd} = 1 if {rs1} < {rs2}, else 0",
        FleS | FleD | FleH => "{rd} = 1 if {rs1} <= {rs2}, else 0",
        FltqS | FltqD | FltqH => "{rd} = 1 if {rs1} < {rs2}, else 0; a quiet NaN raises nothing",
        FleqS | FleqD | FleqH => "{rd} = 1 if {rs1} <= {rs2}, else 0; a quiet NaN raises nothing",
        FclassS | FclassD | FclassH => "{rd} = a bit that says what kind of number {rs1} is",
        FcvtWS | FcvtWD | FcvtWH => "{rd} = {rs1} as a signed integer of 32 bits",
        FcvtWuS | FcvtWuD | FcvtWuH => {
            "{rd} = {rs1} as an unsigned integer of 32 bits, sign-extended"
        }
        FcvtLS | FcvtLD | FcvtLH => "{rd} = {rs1} as a signed integer of 64 bits",
        FcvtLuS | FcvtLuD | FcvtLuH => "{rd} = {rs1} as an unsigned integer of 64 bits",
        FcvtSW | FcvtDW | FcvtHW => "{rd} = the low 32 bits of {rs1}, signed, as a number",
        FcvtSWu | FcvtDWu | FcvtHWu => "{rd} = the low 32 bits of {rs1}, unsigned, as a number",
        FcvtSL | FcvtDL | FcvtHL => "{rd} = {rs1}, signed, as a number",
        FcvtSLu | FcvtDLu | FcvtHLu => "{rd} = {rs1}, unsigned, as a number",
        FcvtSD | FcvtHD => "{rd} = the double {rs1} in fewer bits",
        FcvtDS | FcvtHS => "{rd} = the single {rs1} in another width",
        FcvtSH | FcvtDH => "{rd} = the half {rs1} in more bits",
        FcvtmodWD => "{rd} = {rs1} as an integer modulo 2^32, towards zero",
        FmvXW | FmvXH => "{rd} = the bits of {rs1}, sign-extended",
        FmvXD => "{rd} = the bits of {rs1}",
        FmvhXD => "{rd} = the high bits of {rs1}",
        FmvWX | FmvDX | FmvHX => "{rd} = the number whose bits are in {rs1}",
        FmvpDX => "{rd} = the number whose low bits are in {rs1} and high bits in {rs2}",
        FliS | FliD | FliH => "{rd} = a constant",
        FroundS | FroundD | FroundH => "{rd} = {rs1} rounded to an integer, as a number",
        FroundnxS | FroundnxD | FroundnxH => {
            "{rd} = {rs1} rounded to an integer, as a number; inexact if it was none"
        }

        Csrrw | Csrrwi => "{rd} = {csr}; {csr} = {rs1}",
        Csrrs | Csrrsi => "{rd} = {csr}; {csr} = {csr} or {rs1}",
        Csrrc | Csrrci => "{rd} = {csr}; {csr} = {csr} and not {rs1}",

        Sret => {
            "return from a trap that S-mode handled: to sepc, with the privilege of sstatus.SPP"
        }
        Mret => {
            "return from a trap that M-mode handled: to mepc, with the privilege of mstatus.MPP"
        }
        Wfi => "wait until an interrupt is pending",
        SfenceVma => {
            "address translations from now on see the page-table stores of before (address {rs1}, address space {rs2}; zero: all)"
        }
        SinvalVma => "forget translations (address {rs1}, address space {rs2}; zero: all)",
        SfenceWInval => "stores of before are seen by the SINVAL.VMA that follow",
        SfenceInvalIr => "the SINVAL.VMA of before are seen by what follows",

        Sh1add => "{rd} = {rs1} * 2 + {rs2}",
        Sh2add => "{rd} = {rs1} * 4 + {rs2}",
        Sh3add => "{rd} = {rs1} * 8 + {rs2}",
        AddUw => "{rd} = the low 32 bits of {rs1}, zero-extended, + {rs2}",
        Sh1addUw => "{rd} = the low 32 bits of {rs1}, zero-extended, * 2 + {rs2}",
        Sh2addUw => "{rd} = the low 32 bits of {rs1}, zero-extended, * 4 + {rs2}",
        Sh3addUw => "{rd} = the low 32 bits of {rs1}, zero-extended, * 8 + {rs2}",
        SlliUw => "{rd} = the low 32 bits of {rs1}, zero-extended, << {imm}",
        Andn => "{rd} = {rs1} and not {rs2}",
        Orn => "{rd} = {rs1} or not {rs2}",
        Xnor => "{rd} = not ({rs1} xor {rs2})",
        Clz => "{rd} = how many zero bits {rs1} begins with",
        Ctz => "{rd} = how many zero bits {rs1} ends with",
        Cpop => "{rd} = how many bits of {rs1} are set",
        Clzw => "{rd} = how many zero bits the low 32 bits of {rs1} begin with",
        Ctzw => "{rd} = how many zero bits the low 32 bits of {rs1} end with",
        Cpopw => "{rd} = how many of the low 32 bits of {rs1} are set",
        Max => "{rd} = the greater of {rs1} and {rs2}, signed",
        Maxu => "{rd} = the greater of {rs1} and {rs2}, unsigned",
        Min => "{rd} = the lesser of {rs1} and {rs2}, signed",
        Minu => "{rd} = the lesser of {rs1} and {rs2}, unsigned",
        SextB => "{rd} = the low byte of {rs1}, sign-extended",
        SextH => "{rd} = the low 2 bytes of {rs1}, sign-extended",
        ZextH | ZextHRv32 => "{rd} = the low 2 bytes of {rs1}, zero-extended",
        Rol => "{rd} = {rs1} rotated left by {rs2}",
        Ror => "{rd} = {rs1} rotated right by {rs2}",
        Rori => "{rd} = {rs1} rotated right by {imm}",
        Rolw => "{rd} = the low 32 bits of {rs1} rotated left by {rs2}, sign-extended",
        Rorw => "{rd} = the low 32 bits of {rs1} rotated right by {rs2}, sign-extended",
        Roriw => "{rd} = the low 32 bits of {rs1} rotated right by {imm}, sign-extended",
        OrcB => "{rd} = {rs1} with every byte that is not 0 replaced by 0xff",
        Rev8 | Rev8Rv32 => "{rd} = the bytes of {rs1} in reverse order",
        Bclr => "{rd} = {rs1} with bit {rs2} cleared",
        Bclri => "{rd} = {rs1} with bit {imm} cleared",
        Bext => "{rd} = bit {rs2} of {rs1}",
        Bexti => "{rd} = bit {imm} of {rs1}",
        Binv => "{rd} = {rs1} with bit {rs2} inverted",
        Binvi => "{rd} = {rs1} with bit {imm} inverted",
        Bset => "{rd} = {rs1} with bit {rs2} set",
        Bseti => "{rd} = {rs1} with bit {imm} set",
        Clmul => "{rd} = the low half of {rs1} * {rs2} without carries",
        Clmulh => "{rd} = the high half of {rs1} * {rs2} without carries",
        Clmulr => "{rd} = {rs1} * {rs2} without carries, reversed",
        CzeroEqz => "{rd} = 0 if {rs2} is 0, else {rs1}",
        CzeroNez => "{rd} = 0 if {rs2} is not 0, else {rs1}",

        CboInval => "drop the cache block of {rs1}",
        CboClean => "write the cache block of {rs1} back",
        CboFlush => "write the cache block of {rs1} back and drop it",
        CboZero => "fill the cache block of {rs1} with zeroes",
        PrefetchI => "a hint that instructions at {rs1} + {imm} will be fetched",
        PrefetchR => "a hint that {rs1} + {imm} will be read",
        PrefetchW => "a hint that {rs1} + {imm} will be written",
        WrsNto => "wait until the reservation is lost",
        WrsSto => "wait until the reservation is lost, for a short time at most",
    }
}
