//! What the device tree says of the hart.

use ruse_isa::Xlen;

/// The single- and multi-letter extensions every hart has, in the canonical
/// order of the unprivileged manual, "ISA Extension Naming Conventions".
const EXTENSIONS: &[&str] = &[
    "i",
    "m",
    "a",
    "f",
    "d",
    "c",
    "zicbom",
    "zicbop",
    "zicboz",
    "zicntr",
    "zicond",
    "zicsr",
    "zifencei",
    "zihintpause",
    "zihpm",
    "zawrs",
    "zacas",
    "zfa",
    "zfh",
    "zca",
    "zcb",
    "zba",
    "zbb",
    "zbc",
    "zbs",
];

/// Extensions of the privileged architecture that only matter with 64 bits.
const EXTENSIONS_64: &[&str] = &["svnapot", "svpbmt"];

/// Every extension, as `riscv,isa-extensions` lists them. `svadu` tells
/// whether hardware may update the A and D bits of page tables.
pub fn isa_extensions(xlen: Xlen, svadu: bool) -> Vec<&'static str> {
    let mut all = EXTENSIONS.to_vec();
    all.extend(["sstc", if svadu { "svadu" } else { "svade" }, "svinval"]);
    if xlen == Xlen::Rv64 {
        all.extend(EXTENSIONS_64);
    }
    all
}

/// The string of `riscv,isa`: `rv64imafdc_zicbom_...`.
pub fn isa_string(xlen: Xlen, svadu: bool) -> String {
    let mut isa = String::from(match xlen {
        Xlen::Rv32 => "rv32",
        Xlen::Rv64 => "rv64",
    });
    for extension in isa_extensions(xlen, svadu) {
        if extension.len() > 1 {
            isa.push('_');
        }
        isa.push_str(extension);
    }
    isa
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_isa_string_reads_as_the_manual_says() {
        assert!(isa_string(Xlen::Rv64, false).starts_with("rv64imafdc_zicbom_zicbop"));
        assert!(isa_string(Xlen::Rv64, true).ends_with("_sstc_svadu_svinval_svnapot_svpbmt"));
        assert!(isa_string(Xlen::Rv32, false).ends_with("_sstc_svade_svinval"));
    }
}
