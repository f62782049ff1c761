//! Every instruction against an independent disassembler: GNU `objdump`.
//!
//! Needs `riscv64-unknown-elf-{as,objcopy,objdump}`. Without them the tests are skipped, except in
//! continuous integration (environment variable `CI`), where that is a failure.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use ruse_isa::compressed;
use ruse_isa::{Extension, ImmKind, Inst, Opcode, Xlen, decode, disasm, disasm_compressed};

const PREFIX: &str = "riscv64-unknown-elf-";

/// What the oracle is told that it looks at: all that this crate and the binutils of 2023 both know.
const EXTENSIONS: &str =
    "imafdc_zicsr_zifencei_zba_zbb_zbc_zbs_zfh_zicbom_zicbop_zicboz_zawrs_svinval_zihintpause";

/// Extensions that the oldest supported binutils, 2.40, does not know.
const UNKNOWN_TO_ORACLE: &[Extension] = &[Extension::Zicond, Extension::Zfa, Extension::Zacas];

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).expect("the scratch directory can be made");
        Scratch(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left behind lies in the build directory and does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn oracle_is_missing() -> bool {
    let found = Command::new(format!("{PREFIX}objdump"))
        .arg("--version")
        .output()
        .is_ok();
    assert!(
        found || env::var_os("CI").is_none(),
        "{PREFIX}objdump is needed in CI"
    );
    if !found {
        println!("skipped: {PREFIX}objdump is not installed");
    }
    !found
}

fn run(tool: &str, args: &[&str]) -> Vec<u8> {
    let output = Command::new(format!("{PREFIX}{tool}"))
        .args(args)
        .output()
        .expect("the tool runs");
    assert!(
        output.status.success(),
        "{tool}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// The oracle's text of each instruction in `code`, by address; `None` where it knows none.
fn objdump(name: &str, xlen: Xlen, code: &[u8]) -> Vec<(u64, Option<String>)> {
    let scratch = Scratch::new(name);
    let (source, binary, object) = (
        scratch.file("t.s"),
        scratch.file("t.bin"),
        scratch.file("t.o"),
    );
    let (arch, abi) = match xlen {
        Xlen::Rv32 => ("rv32", "ilp32d"),
        Xlen::Rv64 => ("rv64", "lp64d"),
    };
    fs::write(&binary, code).expect("the binary can be written");
    let text = format!(".attribute arch, \"{arch}{EXTENSIONS}\"\n.text\n.incbin {binary:?}\n");
    fs::write(&source, text).expect("the source can be written");
    let object = object.to_str().expect("the path is UTF-8");
    let source = source.to_str().expect("the path is UTF-8");
    run(
        "as",
        &[
            &format!("-march={arch}gc"),
            &format!("-mabi={abi}"),
            "-o",
            object,
            source,
        ],
    );
    // Without its mapping symbols the data counts as code.
    run("objcopy", &["--strip-all", object]);
    let listing = run("objdump", &["-d", "-z", "-M", "no-aliases,numeric", object]);
    let listing = String::from_utf8(listing).expect("the listing is UTF-8");
    listing.lines().filter_map(parse_line).collect()
}

/// Reads `  1c:<tab>00c58533          <tab>add<tab>x10,x11,x12 # comment`.
fn parse_line(line: &str) -> Option<(u64, Option<String>)> {
    let mut columns = line.split('\t');
    let address = u64::from_str_radix(columns.next()?.trim().strip_suffix(':')?, 16).ok()?;
    let _bytes = columns.next()?;
    let mut text = columns.next()?.to_string();
    if let Some(operands) = columns.next() {
        let operands = operands.split(" #").next()?.split(" <").next()?.trim_end();
        write!(text, " {operands}").ok()?;
    }
    let unknown = text.starts_with('.') || text == "c.unimp";
    Some((address, (!unknown).then_some(text)))
}

/// What the oracle calls unknown, we write as the numbers that they are.
fn normalize(text: String) -> String {
    if text.starts_with("fence ") {
        return text.replace("unknown", "0");
    }
    // Reserved rounding modes.
    for suffix in [",rm5", ",rm6"] {
        if let Some(rest) = text.strip_suffix(suffix) {
            return format!("{rest},unknown");
        }
    }
    text
}

fn random_words(per_opcode: usize, uniform: usize) -> Vec<u32> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as u32
    };
    let mut words = Vec::new();
    for op in Opcode::ALL {
        let info = op.info();
        for i in 0..per_opcode {
            let word = info.bits | random() & !info.mask;
            // Each fourth with one fixed bit wrong: most become reserved.
            words.push(if i % 4 == 3 {
                word ^ 1 << (random() % 30 + 2)
            } else {
                word
            });
        }
    }
    words.extend((0..uniform).map(|_| random() | 3));
    // Longer than four bytes.
    words.retain(|word| word & 0x1c != 0x1c);
    words
}

/// Known shortcomings of the oracle, each narrow.
fn excused(xlen: Xlen, ours: Option<&Inst>, oracle: Option<&str>) -> bool {
    use Opcode::*;
    match (ours, oracle) {
        (Some(inst), None) => {
            let info = inst.op.info();
            let exact = matches!(inst.op, FcvtDS | FcvtDW | FcvtDWu | FcvtSH | FcvtDH);
            UNKNOWN_TO_ORACLE.contains(&info.extension)
                // Reserved fields of fences must be ignored by a hart.
                || matches!(inst.op, Fence | FenceI)
                // Conversions that cannot round have a rounding mode all the same.
                || exact && inst.rm != 0
        }
        (None, Some(text)) => {
            let name = text.split(' ').next().unwrap_or(text);
            // It allows shifts by 32 and more on RV32; the manual reserves them.
            let long_shift = xlen == Xlen::Rv32
                && Opcode::ALL
                    .iter()
                    .any(|op| op.info().imm == ImmKind::Shamt && op.info().mnemonic == name);
            // Debug mode is not ours, and the others left the manual long ago.
            long_shift || ["dret", "uret", "hret", "sfence.vm"].contains(&name)
        }
        // CSRs that it does not name.
        (Some(inst), Some(text)) => {
            inst.op.info().imm == ImmKind::Csr && text.contains(&format!(",{:#x},", inst.imm))
        }
        (None, None) => true,
    }
}

fn compare_words(xlen: Xlen) {
    if oracle_is_missing() {
        return;
    }
    let words = random_words(600, 150_000);
    let code: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    let listing = objdump(&format!("words-{xlen:?}"), xlen, &code);
    assert_eq!(listing.len(), words.len());
    let mut failures = Vec::new();
    let mut known = 0;
    for (&word, (address, oracle)) in words.iter().zip(listing) {
        let inst = decode(word, xlen);
        let ours = inst.map(|i| normalize(text(&i, address, xlen)));
        let oracle = oracle.map(normalize);
        known += usize::from(ours.is_some() && ours == oracle);
        if ours != oracle && !excused(xlen, inst.as_ref(), oracle.as_deref()) {
            failures.push(format!(
                "{word:#010x}: {ours:?}, the oracle says {oracle:?}"
            ));
        }
    }
    report(&failures);
    assert!(known > 100_000, "only {known} instructions were compared");
}

fn text(inst: &Inst, address: u64, xlen: Xlen) -> String {
    let text = disasm(inst, Some(address)).numeric().to_string();
    // Addresses wrap at XLEN; the library's caller knows them as 64 bits.
    match xlen {
        Xlen::Rv32 => text.replace("0xffffffff", "0x"),
        Xlen::Rv64 => text,
    }
}

fn report(failures: &[String]) {
    let shown = failures[..failures.len().min(40)].join("\n");
    assert!(
        failures.is_empty(),
        "{} differences:\n{shown}",
        failures.len()
    );
}

#[test]
fn words_of_rv64() {
    compare_words(Xlen::Rv64);
}

#[test]
fn words_of_rv32() {
    compare_words(Xlen::Rv32);
}

const ZCB: &[&str] = &[
    "c.lbu", "c.lhu", "c.lh", "c.sb", "c.sh", "c.zext.b", "c.sext.b", "c.zext.h", "c.sext.h",
    "c.zext.w", "c.not", "c.mul",
];

fn compare_compressed(xlen: Xlen) {
    if oracle_is_missing() {
        return;
    }
    let halves: Vec<u16> = (0..=u16::MAX).filter(|half| half & 3 != 3).collect();
    let code: Vec<u8> = halves.iter().flat_map(|h| h.to_le_bytes()).collect();
    let listing = objdump(&format!("compressed-{xlen:?}"), xlen, &code);
    assert_eq!(listing.len(), halves.len());
    let mut failures = Vec::new();
    for (&half, (address, oracle)) in halves.iter().zip(listing) {
        let expansion = compressed::expand(half, xlen);
        let ours = expansion.map(|(row, inst)| {
            let text = disasm_compressed(row, &inst, Some(address));
            let text = text.numeric().to_string();
            // The oracle knows the hint only as what it hints with.
            let text = match text.as_str() {
                "c.nop" => "c.addi x0,0".into(),
                _ => text,
            };
            if xlen == Xlen::Rv32 {
                text.replace("0xffffffff", "0x")
            } else {
                text
            }
        });
        let zcb = expansion.is_some_and(|(row, _)| ZCB.contains(&row.mnemonic));
        // As for the words: Zcb is younger than the oracle, which knows long shifts on RV32.
        let long_shift = xlen == Xlen::Rv32
            && ours.is_none()
            && oracle.as_deref().is_some_and(|text| {
                ["c.slli ", "c.srli ", "c.srai "]
                    .iter()
                    .any(|name| text.starts_with(name))
            });
        let adds_nothing = half == 0x6101; // c.addi16sp by zero is reserved
        if zcb && oracle.is_none() || long_shift || adds_nothing {
            continue;
        }
        if ours != oracle {
            failures.push(format!("{half:#06x}: {ours:?}, the oracle says {oracle:?}"));
        }
    }
    report(&failures);
}

#[test]
fn all_compressed_of_rv64() {
    compare_compressed(Xlen::Rv64);
}

#[test]
fn all_compressed_of_rv32() {
    compare_compressed(Xlen::Rv32);
}
