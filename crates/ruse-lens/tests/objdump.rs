//! A whole C library, listed as GNU `objdump` lists it.
//!
//! Needs Debian's library, which `roms/debian/build tree` unpacks, and
//! `riscv64-unknown-elf-objdump`. Without them the test is skipped, but not in
//! continuous integration (environment variable `CI`).

use std::path::Path;
use std::process::Command;

use ruse_lens::listing;

const OBJDUMP: &str = "riscv64-unknown-elf-objdump";
const LIBRARY: &str = "../../roms/debian/out/tree/usr/lib/riscv64-linux-gnu/libc.so.6";

/// Address, bits and text of each instruction, without names of addresses.
fn instructions(listing: &str) -> Vec<(u64, String, String)> {
    let line = |line: &str| {
        let mut columns = line.split('\t');
        let address = columns.next()?.trim().strip_suffix(':')?;
        let address = u64::from_str_radix(address, 16).ok()?;
        let bits = columns.next()?.trim().to_owned();
        let text = columns.collect::<Vec<_>>().join(" ");
        let text = text.split(" #").next()?.split(" <").next()?.trim_end();
        // Where a jump goes it writes without 0x.
        let text = match text.rsplit_once([' ', ',']) {
            Some((start, to)) if is_jump(text) => {
                format!("{start} {}", to.trim_start_matches("0x"))
            }
            // It does not call a hint by its name.
            _ => text.replace("c.nop", "c.addi zero,0"),
        };
        Some((address, bits, text))
    };
    listing.lines().filter_map(line).collect()
}

fn is_jump(text: &str) -> bool {
    let name = text.split(' ').next().unwrap_or_default();
    matches!(
        name,
        "jal" | "beq" | "bne" | "blt" | "bge" | "bltu" | "bgeu" | "c.j" | "c.beqz" | "c.bnez"
    )
}

#[test]
fn all_of_debians_c_library() {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join(LIBRARY);
    let oracle = Command::new(OBJDUMP)
        .args(["-d", "-z", "-M", "no-aliases"])
        .arg(&library)
        .output();
    let oracle = match (oracle, library.exists()) {
        (Ok(oracle), true) => oracle,
        _ => {
            assert!(std::env::var_os("CI").is_none(), "CI needs both");
            println!("skipped: no {OBJDUMP} or no {}", library.display());
            return;
        }
    };
    assert!(oracle.status.success());
    let theirs = instructions(&String::from_utf8_lossy(&oracle.stdout));
    let mut ours = Vec::new();
    listing::write(&std::fs::read(&library).unwrap(), &mut ours).unwrap();
    let ours = instructions(&String::from_utf8(ours).unwrap());
    assert!(ours.len() > 250_000, "only {}", ours.len());
    assert_eq!(ours.len(), theirs.len());
    let different: Vec<_> = ours
        .iter()
        .zip(&theirs)
        // The library does not say that it uses this hint.
        .filter(|(ours, theirs)| ours != theirs && ours.2 != "pause")
        .take(20)
        .collect();
    assert!(different.is_empty(), "{different:#x?}");
}
