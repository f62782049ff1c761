//! A small assembler for the code of the lessons, on the table of instructions.
//!
//! It knows the instructions of `ruse-isa` (not the compressed forms), the usual pseudo
//! instructions (`li la mv nop j call ret beqz bnez bltz bgez csrr csrw csrs csrc`), labels,
//! and the directives `.byte .half .word .dword .zero .align .ascii`.

use std::collections::HashMap;

use ruse_isa::{
    ImmKind, Info, Inst, Opcode, RegClass, Xlen, csr_name, decode, encode, f_name, x_name,
};
use thiserror::Error;

/// The most bytes that a program becomes.
const LARGEST: u64 = 1 << 20;

/// What is wrong with a program.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {what}")]
pub struct AsmError {
    /// The line, from 1 on.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

/// A program in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Where labels are.
    pub labels: Vec<(u64, String)>,
}

/// What a line becomes.
enum Item<'a> {
    Data(Vec<(u8, &'a str)>),
    Text(Vec<u8>),
    Zero(u64),
    Align(u64),
    Code(&'a str, Vec<&'a str>),
}

type Labels = HashMap<String, u64>;

/// Assembles `source` for the address `base`, for RV64.
///
/// # Errors
/// [`AsmError`] with the first line that makes no sense.
pub fn assemble(source: &str, base: u64) -> Result<Program, AsmError> {
    let mut labels = Labels::new();
    let mut named = Vec::new();
    let mut items = Vec::new();
    let mut at = base;
    for (n, line) in source.lines().enumerate() {
        let wrong = |what: String| AsmError { line: n + 1, what };
        let mut text = without_comment(line).trim();
        while let Some((label, rest)) = text.split_once(':')
            && is_name(label.trim())
        {
            let label = label.trim();
            if labels.insert(label.into(), at).is_some() {
                return Err(wrong(format!("the label `{label}` is there twice")));
            }
            named.push((at, label.to_owned()));
            text = rest.trim();
        }
        if text.is_empty() {
            continue;
        }
        let item = item(text).map_err(wrong)?;
        let len = length(&item, at).map_err(wrong)?;
        items.push((n + 1, at, item));
        at += len;
        if at - base > LARGEST {
            return Err(wrong("the program becomes too large".into()));
        }
    }
    let mut bytes = Vec::new();
    for (line, at, item) in items {
        let wrong = |what| AsmError { line, what };
        bytes.resize((at - base) as usize, 0);
        emit(&item, at, &labels, &mut bytes).map_err(wrong)?;
    }
    bytes.resize((at - base) as usize, 0);
    Ok(Program {
        bytes,
        labels: named,
    })
}

fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    for (at, letter) in line.char_indices() {
        match letter {
            '"' | '\'' => quoted = !quoted,
            '#' if !quoted => return &line[..at],
            _ => {}
        }
    }
    line
}

fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    letters
        .next()
        .is_some_and(|letter| letter.is_ascii_alphabetic() || letter == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

fn item(text: &str) -> Result<Item<'_>, String> {
    let (name, rest) = match text.split_once(char::is_whitespace) {
        Some((name, rest)) => (name, rest.trim()),
        None => (text, ""),
    };
    let operands = || -> Vec<&str> {
        match rest.is_empty() {
            true => Vec::new(),
            false => rest.split(',').map(str::trim).collect(),
        }
    };
    let data = |size: u8| Item::Data(operands().into_iter().map(|text| (size, text)).collect());
    Ok(match name {
        ".byte" => data(1),
        ".half" => data(2),
        ".word" => data(4),
        ".dword" => data(8),
        ".zero" => Item::Zero(number(rest)? as u64),
        ".align" => match number(rest)? {
            align @ 1..=4096 if align.count_ones() == 1 => Item::Align(align as u64),
            _ => return Err(format!("`{rest}` is no power of two up to 4096")),
        },
        ".ascii" => Item::Text(quoted(rest)?),
        _ if name.starts_with('.') => return Err(format!("no directive `{name}`")),
        _ => Item::Code(name, operands()),
    })
}

fn quoted(text: &str) -> Result<Vec<u8>, String> {
    let inner = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let inner = inner.ok_or_else(|| format!("{text} is no text in double quotes"))?;
    let mut bytes = Vec::new();
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('n') => bytes.push(b'\n'),
                Some('r') => bytes.push(b'\r'),
                Some('0') => bytes.push(0),
                Some(other @ ('\\' | '"')) => bytes.push(other as u8),
                _ => return Err("after \\ comes n, r, 0, \\ or \"".into()),
            },
            letter => bytes.extend(letter.to_string().bytes()),
        }
    }
    Ok(bytes)
}

/// A plain number: decimal, hexadecimal, or a letter in quotes.
fn number(text: &str) -> Result<i128, String> {
    let wrong = || format!("`{text}` is no number");
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let value = if let Some(hex) = digits.strip_prefix("0x") {
        u64::from_str_radix(hex, 16).map_err(|_| wrong())?.into()
    } else if let Some(letter) = digits.strip_prefix('\'').and_then(|t| t.strip_suffix('\'')) {
        let mut letters = letter.chars();
        match (letters.next(), letters.next()) {
            (Some(letter), None) => i128::from(u32::from(letter)),
            _ => return Err(wrong()),
        }
    } else {
        digits.parse::<u64>().map_err(|_| wrong())?.into()
    };
    Ok(if negative { -value } else { value })
}

/// A number, or a label with a number added.
fn value(text: &str, labels: &Labels) -> Result<i128, String> {
    let (name, plus) = match text.split_once('+') {
        Some((name, plus)) => (name.trim(), number(plus.trim())?),
        None => (text, 0),
    };
    if is_name(name) {
        let at = labels
            .get(name)
            .ok_or_else(|| format!("no label `{name}`"))?;
        return Ok(i128::from(*at) + plus);
    }
    number(text)
}

fn length(item: &Item<'_>, at: u64) -> Result<u64, String> {
    Ok(match item {
        Item::Data(all) => all.iter().map(|(size, _)| u64::from(*size)).sum(),
        Item::Text(bytes) => bytes.len() as u64,
        Item::Zero(len) => *len.min(&(LARGEST + 1)),
        Item::Align(align) => at.next_multiple_of(*align) - at,
        Item::Code("la", _) => 8,
        Item::Code("li", operands) => match operands.get(1).map(|text| number(text)) {
            Some(Ok(-2048..=2047)) => 4,
            Some(Err(what)) => return Err(what),
            _ => 8,
        },
        Item::Code(..) => 4,
    })
}

fn emit(item: &Item<'_>, at: u64, labels: &Labels, out: &mut Vec<u8>) -> Result<(), String> {
    match item {
        Item::Data(all) => {
            for (size, text) in all {
                let value = value(text, labels)?;
                let bits = 8 * u32::from(*size);
                if value >= 1 << bits || value < -(1 << (bits - 1)) {
                    return Err(format!("`{text}` does not fit into {size} bytes"));
                }
                out.extend(&(value as u64).to_le_bytes()[..usize::from(*size)]);
            }
        }
        Item::Text(bytes) => out.extend(bytes),
        Item::Zero(_) | Item::Align(_) => {}
        Item::Code(name, operands) => {
            for inst in code(name, operands, at, labels)? {
                out.extend(encode(&inst).to_le_bytes());
            }
        }
    }
    Ok(())
}

fn inst(op: Opcode, rd: u8, rs1: u8, rs2: u8, imm: i32) -> Inst {
    Inst {
        rd,
        rs1,
        rs2,
        imm,
        ..Inst::new(op)
    }
}

/// A number in the upper twenty bits and the lower twelve.
fn halves(value: i64) -> (i32, i32) {
    let low = (value << 52 >> 52) as i32;
    (value.wrapping_sub(low.into()) as i32, low)
}

fn code(name: &str, operands: &[&str], at: u64, labels: &Labels) -> Result<Vec<Inst>, String> {
    let expects = |count: usize| match operands.len() == count {
        true => Ok(()),
        false => Err(format!(
            "`{name}` takes {count} operands, not {}",
            operands.len()
        )),
    };
    let x = |n: usize| register(RegClass::X, operands[n]);
    let target = |n: usize| -> Result<i32, String> {
        let to = value(operands[n], labels)?;
        i32::try_from(to - i128::from(at)).map_err(|_| format!("`{}` is too far away", operands[n]))
    };
    let one = |inst: Inst| checked(inst, name).map(|inst| vec![inst]);
    match name {
        "nop" => expects(0).map(|()| vec![inst(Opcode::Addi, 0, 0, 0, 0)]),
        "ret" => expects(0).map(|()| vec![inst(Opcode::Jalr, 0, 1, 0, 0)]),
        "mv" => {
            expects(2)?;
            one(inst(Opcode::Addi, x(0)?, x(1)?, 0, 0))
        }
        "j" => {
            expects(1)?;
            one(inst(Opcode::Jal, 0, 0, 0, target(0)?))
        }
        "call" => {
            expects(1)?;
            one(inst(Opcode::Jal, 1, 0, 0, target(0)?))
        }
        "beqz" | "bnez" | "bltz" | "bgez" => {
            expects(2)?;
            let op = match name {
                "beqz" => Opcode::Beq,
                "bnez" => Opcode::Bne,
                "bltz" => Opcode::Blt,
                _ => Opcode::Bge,
            };
            one(inst(op, 0, x(0)?, 0, target(1)?))
        }
        "li" => {
            expects(2)?;
            let (rd, number) = (x(0)?, number(operands[1])?);
            if !(-(1 << 31)..1 << 31).contains(&number) {
                return Err(format!(
                    "`{}` is more than `li` takes here: 31 bits and a sign",
                    operands[1]
                ));
            }
            let (high, low) = halves(number as i64);
            Ok(match number {
                -2048..=2047 => vec![inst(Opcode::Addi, rd, 0, 0, low)],
                _ => vec![
                    inst(Opcode::Lui, rd, 0, 0, high),
                    inst(Opcode::Addiw, rd, rd, 0, low),
                ],
            })
        }
        "la" => {
            expects(2)?;
            let (rd, offset) = (x(0)?, target(1)?);
            let (high, low) = halves(offset.into());
            Ok(vec![
                inst(Opcode::Auipc, rd, 0, 0, high),
                inst(Opcode::Addi, rd, rd, 0, low),
            ])
        }
        "csrr" => {
            expects(2)?;
            one(inst(Opcode::Csrrs, x(0)?, 0, 0, csr(operands[1])?))
        }
        "csrw" | "csrs" | "csrc" => {
            expects(2)?;
            let op = match name {
                "csrw" => Opcode::Csrrw,
                "csrs" => Opcode::Csrrs,
                _ => Opcode::Csrrc,
            };
            one(inst(op, 0, x(1)?, 0, csr(operands[0])?))
        }
        "fence" if operands.is_empty() => Ok(vec![inst(Opcode::Fence, 0, 0, 0, 0xff)]),
        _ => {
            let op = Opcode::ALL
                .iter()
                .find(|op| op.info().mnemonic == name && op.info().xlen.includes(Xlen::Rv64));
            let op = *op.ok_or_else(|| format!("no instruction `{name}`"))?;
            checked(plain(op, operands, at, labels)?, name).map(|inst| vec![inst])
        }
    }
}

/// The instruction, if its operands fit into it.
fn checked(inst: Inst, name: &str) -> Result<Inst, String> {
    match decode(encode(&inst), Xlen::Rv64) == Some(inst) {
        true => Ok(inst),
        false => Err(format!("an operand of `{name}` does not fit")),
    }
}

fn register(class: RegClass, text: &str) -> Result<u8, String> {
    let name: fn(u8) -> &'static str = match class {
        RegClass::F => f_name,
        _ => x_name,
    };
    let letter = if class == RegClass::F { 'f' } else { 'x' };
    (0..32)
        .find(|n| name(*n) == text || text.strip_prefix(letter) == Some(&n.to_string()))
        .or((text == "fp" && class == RegClass::X).then_some(8))
        .ok_or_else(|| format!("`{text}` is no register"))
}

fn csr(text: &str) -> Result<i32, String> {
    (0..0x1000u16)
        .find(|number| csr_name(*number) == Some(text))
        .map(i32::from)
        .or_else(|| number(text).ok().and_then(|n| i32::try_from(n).ok()))
        .ok_or_else(|| format!("`{text}` is no CSR"))
}

/// The operands of an instruction, in the order in which the table's disassembler writes
/// them.
fn plain(op: Opcode, operands: &[&str], at: u64, labels: &Labels) -> Result<Inst, String> {
    let info: &Info = op.info();
    let mut inst = Inst::new(op);
    let mut rest = operands.iter().copied();
    let mut next = || {
        rest.next()
            .ok_or_else(|| format!("`{}` wants more operands", info.mnemonic))
    };
    let immediate = |text: &str| -> Result<i32, String> {
        let value = value(text, labels)?;
        i32::try_from(value).map_err(|_| format!("`{text}` does not fit"))
    };
    if info.uses_rm {
        inst.rm = 7;
    }
    if info.rd != RegClass::None {
        inst.rd = register(info.rd, next()?)?;
    }
    if info.imm == ImmKind::Csr {
        inst.imm = csr(next()?)?;
        let text = next()?;
        inst.rs1 = match info.rs1 {
            RegClass::None => {
                u8::try_from(number(text)?).map_err(|_| format!("`{text}` does not fit"))?
            }
            class => register(class, text)?,
        };
    } else if info.memory {
        if info.rs2 != RegClass::None {
            inst.rs2 = register(info.rs2, next()?)?;
        }
        let text = next()?;
        let (offset, base) = text
            .strip_suffix(')')
            .and_then(|text| text.split_once('('))
            .ok_or_else(|| format!("`{text}` is not written as OFFSET(REGISTER)"))?;
        inst.rs1 = register(RegClass::X, base.trim())?;
        if !offset.trim().is_empty() {
            inst.imm = immediate(offset.trim())?;
        }
    } else {
        if info.rs1 != RegClass::None {
            inst.rs1 = register(info.rs1, next()?)?;
        }
        if info.rs2 != RegClass::None {
            inst.rs2 = register(info.rs2, next()?)?;
        }
        if info.rs3 != RegClass::None {
            inst.rs3 = register(info.rs3, next()?)?;
        }
        match info.imm {
            ImmKind::None | ImmKind::Ordering | ImmKind::Csr => {}
            ImmKind::Target => {
                let to = value(next()?, labels)?;
                inst.imm =
                    i32::try_from(to - i128::from(at)).map_err(|_| "too far away".to_owned())?;
            }
            ImmKind::Upper => {
                let upper = number(next()?)?;
                inst.imm = u32::try_from(upper)
                    .ok()
                    .filter(|upper| *upper < 1 << 20)
                    .map(|upper| (upper << 12) as i32)
                    .ok_or("more than 20 bits")?;
            }
            ImmKind::Signed | ImmKind::Unsigned | ImmKind::Shamt | ImmKind::Fence => {
                inst.imm = immediate(next()?)?;
            }
        }
    }
    match rest.next() {
        Some(text) => Err(format!("`{text}` is one operand too many")),
        None => Ok(inst),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ruse_isa::disasm;

    use super::*;

    const BASE: u64 = 0x8000_0000;

    #[test]
    fn a_program_becomes_its_bytes() {
        let source = "\
start:  li   t0, 5          # a comment, with \"quotes\"
loop:   addi t0, t0, -1
        bnez t0, loop
        la   a0, text
        sb   t0, 3(a0)
        csrw mtvec, a0
        csrrsi zero, mstatus, 8
        amoadd.w a1, a2, (a0)
        j    start
        .align 8
text:   .ascii \"a#b\\n\"
        .dword text, -1
";
        let program = assemble(source, BASE).unwrap();
        let words: Vec<u32> = program.bytes[..40]
            .chunks(4)
            .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
            .collect();
        let text = |n: usize| disasm(&decode(words[n], Xlen::Rv64).unwrap(), None).to_string();
        assert_eq!(text(0), "addi t0,zero,5");
        assert_eq!(text(2), "bne t0,zero,.-4");
        assert_eq!(text(5), "sb t0,3(a0)");
        assert_eq!(text(7), "csrrsi zero,mstatus,8");
        assert_eq!(text(8), "amoadd.w a1,a2,(a0)");
        assert_eq!(text(9), "jal zero,.-36");
        assert_eq!(&program.bytes[40..44], b"a#b\n");
        assert_eq!(program.bytes[44..52], (BASE + 40).to_le_bytes());
        assert_eq!(program.labels[2], (BASE + 40, "text".into()));
    }

    #[test]
    fn what_makes_no_sense_is_said_by_line() {
        for (source, line, words) in [
            ("nop\nfrob t0", 2, "no instruction `frob`"),
            ("addi t0, t9, 1", 1, "`t9` is no register"),
            ("addi t0, t0, 5000", 1, "does not fit"),
            ("j nowhere", 1, "no label `nowhere`"),
            ("a: nop\na: nop", 2, "twice"),
            ("lw t0, t1", 1, "OFFSET(REGISTER)"),
            ("add t0, t1", 1, "more operands"),
            ("add t0, t1, t2, t3", 1, "too many"),
            ("li t0, 0x80000000", 1, "more than `li` takes"),
            (".zero 9999999", 1, "too large"),
            (".byte 256", 1, "1 bytes"),
            ("csrw bogus, t0", 1, "`bogus` is no CSR"),
            (".ascii hello", 1, "double quotes"),
        ] {
            let error = assemble(source, BASE).unwrap_err();
            assert_eq!(error.line, line, "{source}");
            assert!(error.what.contains(words), "{source}: {error}");
        }
    }

    proptest! {
        /// What the disassembler writes, the assembler reads.
        #[test]
        fn it_reads_what_the_disassembler_writes(
            at in 0..Opcode::COUNT,
            rd in 0u8..32,
            rs1 in 0u8..32,
            rs2 in 0u8..32,
            imm in any::<i32>(),
        ) {
            let op = Opcode::ALL[at];
            let info = op.info();
            prop_assume!(info.xlen.includes(Xlen::Rv64) && !info.pairs && !info.uses_rm);
            prop_assume!(!matches!(info.imm, ImmKind::Fence | ImmKind::Ordering | ImmKind::Target));
            prop_assume!(info.extension != ruse_isa::Extension::Zicbo && info.extension != ruse_isa::Extension::Zfa);
            let word = encode(&Inst { rd, rs1, rs2, imm, ..Inst::new(op) });
            let Some(inst) = decode(word, Xlen::Rv64) else {
                return Ok(());
            };
            let text = disasm(&inst, None).to_string();
            let program = assemble(&text, BASE).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
            prop_assert_eq!(program.bytes, word.to_le_bytes(), "{}", text);
        }

        #[test]
        fn no_text_harms_it(text in "[a-z0-9 ,.()#:\"'+x\\n-]{0,80}") {
            let _ = assemble(&text, BASE);
        }
    }
}
