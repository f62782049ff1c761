//! The numbers and names of the control and status registers.
//!
//! From the tables of CSR addresses in the privileged manual (chapter 2) and from the chapters of the
//! extensions that add to them.

macro_rules! csrs {
    ($( $constant:ident $number:literal $name:literal $doc:literal ; )*) => {
        $(
            #[doc = concat!("`", $name, "`: ", $doc, ".")]
            pub const $constant: u16 = $number;
        )*

        /// The registers that have a name of their own.
        const fn single_name(csr: u16) -> Option<&'static str> {
            match csr {
                $( $constant => Some($name), )*
                _ => None,
            }
        }
    };
}

macro_rules! csr_families {
    ($( $constant:ident $number:literal $prefix:literal $suffix:literal [$( $n:literal )*] $doc:literal ; )*) => {
        $(
            #[doc = concat!("The first of a row of registers: ", $doc, ".")]
            pub const $constant: u16 = $number;
        )*

        /// The registers whose names are numbered: first number and names of each row.
        static FAMILIES: &[(u16, &[&str])] = &[
            $( ($constant, &[$( concat!($prefix, $n, $suffix) ),*]), )*
        ];
    };
}

csrs! {
    // Unprivileged floating point and vector.
    FFLAGS        0x001 "fflags"        "floating-point accrued exceptions";
    FRM           0x002 "frm"           "floating-point rounding mode";
    FCSR          0x003 "fcsr"          "floating-point control and status (frm and fflags)";
    VSTART        0x008 "vstart"        "vector start position";
    VXSAT         0x009 "vxsat"         "fixed-point accrued saturation flag";
    VXRM          0x00a "vxrm"          "fixed-point rounding mode";
    VCSR          0x00f "vcsr"          "vector control and status";
    SSP           0x011 "ssp"           "shadow stack pointer";
    SEED          0x015 "seed"          "entropy source";
    JVT           0x017 "jvt"           "table jump base vector and control";
    VL            0xc20 "vl"            "vector length";
    VTYPE         0xc21 "vtype"         "vector data type";
    VLENB         0xc22 "vlenb"         "vector register length in bytes";

    // Unprivileged counters.
    CYCLE         0xc00 "cycle"         "cycle counter";
    TIME          0xc01 "time"          "timer";
    INSTRET       0xc02 "instret"       "instructions-retired counter";
    CYCLEH        0xc80 "cycleh"        "upper half of cycle (RV32)";
    TIMEH         0xc81 "timeh"         "upper half of time (RV32)";
    INSTRETH      0xc82 "instreth"      "upper half of instret (RV32)";

    // Supervisor.
    SSTATUS       0x100 "sstatus"       "supervisor status";
    SIE           0x104 "sie"           "supervisor interrupt enable";
    STVEC         0x105 "stvec"         "supervisor trap handler base address";
    SCOUNTEREN    0x106 "scounteren"    "supervisor counter enable";
    SENVCFG       0x10a "senvcfg"       "supervisor environment configuration";
    SCOUNTINHIBIT 0x120 "scountinhibit" "supervisor counter inhibit";
    SSCRATCH      0x140 "sscratch"      "scratch register for supervisor trap handlers";
    SEPC          0x141 "sepc"          "supervisor exception program counter";
    SCAUSE        0x142 "scause"        "supervisor trap cause";
    STVAL         0x143 "stval"         "supervisor trap value";
    SIP           0x144 "sip"           "supervisor interrupt pending";
    STIMECMP      0x14d "stimecmp"      "supervisor timer compare";
    SCTRCTL       0x14e "sctrctl"       "supervisor control transfer records control";
    SCTRSTATUS    0x14f "sctrstatus"    "supervisor control transfer records status";
    SISELECT      0x150 "siselect"      "supervisor indirect register select";
    SIREG         0x151 "sireg"         "supervisor indirect register alias";
    SIREG2        0x152 "sireg2"        "supervisor indirect register alias 2";
    SIREG3        0x153 "sireg3"        "supervisor indirect register alias 3";
    SIREG4        0x155 "sireg4"        "supervisor indirect register alias 4";
    SIREG5        0x156 "sireg5"        "supervisor indirect register alias 5";
    SIREG6        0x157 "sireg6"        "supervisor indirect register alias 6";
    STOPEI        0x15c "stopei"        "supervisor top external interrupt";
    STIMECMPH     0x15d "stimecmph"     "upper half of stimecmp (RV32)";
    SIEH          0x114 "sieh"          "upper half of sie (RV32)";
    SIPH          0x154 "siph"          "upper half of sip (RV32)";
    SCTRDEPTH     0x15f "sctrdepth"     "supervisor control transfer records depth";
    SATP          0x180 "satp"          "supervisor address translation and protection";
    SRMCFG        0x181 "srmcfg"        "supervisor resource management configuration";
    SCONTEXT      0x5a8 "scontext"      "supervisor-mode context";
    SCOUNTOVF     0xda0 "scountovf"     "supervisor count overflow";
    STOPI         0xdb0 "stopi"         "supervisor top interrupt";

    // Hypervisor and virtual supervisor.
    HSTATUS       0x600 "hstatus"       "hypervisor status";
    HEDELEG       0x602 "hedeleg"       "hypervisor exception delegation";
    HIDELEG       0x603 "hideleg"       "hypervisor interrupt delegation";
    HIE           0x604 "hie"           "hypervisor interrupt enable";
    HTIMEDELTA    0x605 "htimedelta"    "delta for the timer of VS and VU mode";
    HCOUNTEREN    0x606 "hcounteren"    "hypervisor counter enable";
    HGEIE         0x607 "hgeie"         "hypervisor guest external interrupt enable";
    HVIEN         0x608 "hvien"         "hypervisor virtual interrupt enable";
    HVICTL        0x609 "hvictl"        "hypervisor virtual interrupt control";
    HENVCFG       0x60a "henvcfg"       "hypervisor environment configuration";
    HEDELEGH      0x612 "hedelegh"      "upper half of hedeleg (RV32)";
    HIDELEGH      0x613 "hidelegh"      "upper half of hideleg (RV32)";
    HTIMEDELTAH   0x615 "htimedeltah"   "upper half of htimedelta (RV32)";
    HVIENH        0x618 "hvienh"        "upper half of hvien (RV32)";
    HENVCFGH      0x61a "henvcfgh"      "upper half of henvcfg (RV32)";
    HTVAL         0x643 "htval"         "hypervisor trap value";
    HIP           0x644 "hip"           "hypervisor interrupt pending";
    HVIP          0x645 "hvip"          "hypervisor virtual interrupt pending";
    HVIPRIO1      0x646 "hviprio1"      "hypervisor VS-level interrupt priorities";
    HVIPRIO2      0x647 "hviprio2"      "hypervisor VS-level interrupt priorities";
    HTINST        0x64a "htinst"        "hypervisor trap instruction";
    HVIPH         0x655 "hviph"         "upper half of hvip (RV32)";
    HVIPRIO1H     0x656 "hviprio1h"     "upper half of hviprio1 (RV32)";
    HVIPRIO2H     0x657 "hviprio2h"     "upper half of hviprio2 (RV32)";
    HGATP         0x680 "hgatp"         "hypervisor guest address translation and protection";
    HCONTEXT      0x6a8 "hcontext"      "hypervisor-mode context";
    HGEIP         0xe12 "hgeip"         "hypervisor guest external interrupt pending";
    VSSTATUS      0x200 "vsstatus"      "virtual supervisor status";
    VSIE          0x204 "vsie"          "virtual supervisor interrupt enable";
    VSTVEC        0x205 "vstvec"        "virtual supervisor trap handler base address";
    VSSCRATCH     0x240 "vsscratch"     "virtual supervisor scratch register";
    VSEPC         0x241 "vsepc"         "virtual supervisor exception program counter";
    VSCAUSE       0x242 "vscause"       "virtual supervisor trap cause";
    VSTVAL        0x243 "vstval"        "virtual supervisor trap value";
    VSIP          0x244 "vsip"          "virtual supervisor interrupt pending";
    VSTIMECMP     0x24d "vstimecmp"     "virtual supervisor timer compare";
    VSCTRCTL      0x24e "vsctrctl"      "virtual supervisor control transfer records control";
    VSISELECT     0x250 "vsiselect"     "virtual supervisor indirect register select";
    VSIREG        0x251 "vsireg"        "virtual supervisor indirect register alias";
    VSIREG2       0x252 "vsireg2"       "virtual supervisor indirect register alias 2";
    VSIREG3       0x253 "vsireg3"       "virtual supervisor indirect register alias 3";
    VSIREG4       0x255 "vsireg4"       "virtual supervisor indirect register alias 4";
    VSIREG5       0x256 "vsireg5"       "virtual supervisor indirect register alias 5";
    VSIREG6       0x257 "vsireg6"       "virtual supervisor indirect register alias 6";
    VSTOPEI       0x25c "vstopei"       "virtual supervisor top external interrupt";
    VSTIMECMPH    0x25d "vstimecmph"    "upper half of vstimecmp (RV32)";
    VSIEH         0x214 "vsieh"         "upper half of vsie (RV32)";
    VSIPH         0x254 "vsiph"         "upper half of vsip (RV32)";
    VSATP         0x280 "vsatp"         "virtual supervisor address translation and protection";
    VSTOPI        0xeb0 "vstopi"        "virtual supervisor top interrupt";

    // Machine information.
    MVENDORID     0xf11 "mvendorid"     "vendor";
    MARCHID       0xf12 "marchid"       "architecture";
    MIMPID        0xf13 "mimpid"        "implementation";
    MHARTID       0xf14 "mhartid"       "hardware thread";
    MCONFIGPTR    0xf15 "mconfigptr"    "pointer to the configuration data structure";

    // Machine.
    MSTATUS       0x300 "mstatus"       "machine status";
    MISA          0x301 "misa"          "instruction set and extensions";
    MEDELEG       0x302 "medeleg"       "machine exception delegation";
    MIDELEG       0x303 "mideleg"       "machine interrupt delegation";
    MIE           0x304 "mie"           "machine interrupt enable";
    MTVEC         0x305 "mtvec"         "machine trap handler base address";
    MCOUNTEREN    0x306 "mcounteren"    "machine counter enable";
    MVIEN         0x308 "mvien"         "machine virtual interrupt enable";
    MVIP          0x309 "mvip"          "machine virtual interrupt pending";
    MENVCFG       0x30a "menvcfg"       "machine environment configuration";
    MSTATUSH      0x310 "mstatush"      "upper half of mstatus (RV32)";
    MEDELEGH      0x312 "medelegh"      "upper half of medeleg (RV32)";
    MIDELEGH      0x313 "midelegh"      "upper half of mideleg (RV32)";
    MIEH          0x314 "mieh"          "upper half of mie (RV32)";
    MVIENH        0x318 "mvienh"        "upper half of mvien (RV32)";
    MVIPH         0x319 "mviph"         "upper half of mvip (RV32)";
    MENVCFGH      0x31a "menvcfgh"      "upper half of menvcfg (RV32)";
    MCOUNTINHIBIT 0x320 "mcountinhibit" "machine counter inhibit";
    MCYCLECFG     0x321 "mcyclecfg"     "filter of the cycle counter by privilege mode";
    MINSTRETCFG   0x322 "minstretcfg"   "filter of the instret counter by privilege mode";
    MCYCLECFGH    0x721 "mcyclecfgh"    "upper half of mcyclecfg (RV32)";
    MINSTRETCFGH  0x722 "minstretcfgh"  "upper half of minstretcfg (RV32)";
    MSCRATCH      0x340 "mscratch"      "scratch register for machine trap handlers";
    MEPC          0x341 "mepc"          "machine exception program counter";
    MCAUSE        0x342 "mcause"        "machine trap cause";
    MTVAL         0x343 "mtval"         "machine trap value";
    MIP           0x344 "mip"           "machine interrupt pending";
    MTINST        0x34a "mtinst"        "machine trap instruction";
    MTVAL2        0x34b "mtval2"        "machine second trap value";
    MCTRCTL       0x34e "mctrctl"       "machine control transfer records control";
    MISELECT      0x350 "miselect"      "machine indirect register select";
    MIREG         0x351 "mireg"         "machine indirect register alias";
    MIREG2        0x352 "mireg2"        "machine indirect register alias 2";
    MIREG3        0x353 "mireg3"        "machine indirect register alias 3";
    MIPH          0x354 "miph"          "upper half of mip (RV32)";
    MIREG4        0x355 "mireg4"        "machine indirect register alias 4";
    MIREG5        0x356 "mireg5"        "machine indirect register alias 5";
    MIREG6        0x357 "mireg6"        "machine indirect register alias 6";
    MTOPEI        0x35c "mtopei"        "machine top external interrupt";
    MTOPI         0xfb0 "mtopi"         "machine top interrupt";
    MSECCFG       0x747 "mseccfg"       "machine security configuration";
    MSECCFGH      0x757 "mseccfgh"      "upper half of mseccfg (RV32)";
    MNSCRATCH     0x740 "mnscratch"     "scratch register for resumable non-maskable interrupts";
    MNEPC         0x741 "mnepc"         "resumable non-maskable interrupt program counter";
    MNCAUSE       0x742 "mncause"       "resumable non-maskable interrupt cause";
    MNSTATUS      0x744 "mnstatus"      "resumable non-maskable interrupt status";
    MCYCLE        0xb00 "mcycle"        "machine cycle counter";
    MINSTRET      0xb02 "minstret"      "machine instructions-retired counter";
    MCYCLEH       0xb80 "mcycleh"       "upper half of mcycle (RV32)";
    MINSTRETH     0xb82 "minstreth"     "upper half of minstret (RV32)";

    // Debug and trace.
    TSELECT       0x7a0 "tselect"       "trigger select";
    TDATA1        0x7a1 "tdata1"        "first trigger data";
    TDATA2        0x7a2 "tdata2"        "second trigger data";
    TDATA3        0x7a3 "tdata3"        "third trigger data";
    TINFO         0x7a4 "tinfo"         "trigger info";
    TCONTROL      0x7a5 "tcontrol"      "trigger control";
    MCONTEXT      0x7a8 "mcontext"      "machine-mode context";
    MSCONTEXT     0x7aa "mscontext"     "machine view of scontext";
    DCSR          0x7b0 "dcsr"          "debug control and status";
    DPC           0x7b1 "dpc"           "debug program counter";
    DSCRATCH0     0x7b2 "dscratch0"     "debug scratch register 0";
    DSCRATCH1     0x7b3 "dscratch1"     "debug scratch register 1";
}

csr_families! {
    HPMCOUNTER3    0xc03 "hpmcounter" ""
        [3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31]
        "`hpmcounter3` to `hpmcounter31`, performance-monitoring counters";
    HPMCOUNTER3H   0xc83 "hpmcounter" "h"
        [3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31]
        "`hpmcounter3h` to `hpmcounter31h`, their upper halves (RV32)";
    MHPMCOUNTER3   0xb03 "mhpmcounter" ""
        [3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31]
        "`mhpmcounter3` to `mhpmcounter31`, machine performance-monitoring counters";
    MHPMCOUNTER3H  0xb83 "mhpmcounter" "h"
        [3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31]
        "`mhpmcounter3h` to `mhpmcounter31h`, their upper halves (RV32)";
    MHPMEVENT3     0x323 "mhpmevent" ""
        [3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31]
        "`mhpmevent3` to `mhpmevent31`, performance-monitoring event selectors";
    MHPMEVENT3H    0x723 "mhpmevent" "h"
        [3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31]
        "`mhpmevent3h` to `mhpmevent31h`, their upper halves (RV32)";
    PMPCFG0        0x3a0 "pmpcfg" "" [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15]
        "`pmpcfg0` to `pmpcfg15`, physical memory protection configuration (only the even ones on RV64)";
    PMPADDR0       0x3b0 "pmpaddr" ""
        [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
         32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63]
        "`pmpaddr0` to `pmpaddr63`, physical memory protection addresses";
    MSTATEEN0      0x30c "mstateen" "" [0 1 2 3] "`mstateen0` to `mstateen3`, machine state enable";
    MSTATEEN0H     0x31c "mstateen" "h" [0 1 2 3] "`mstateen0h` to `mstateen3h`, their upper halves (RV32)";
    SSTATEEN0      0x10c "sstateen" "" [0 1 2 3] "`sstateen0` to `sstateen3`, supervisor state enable";
    HSTATEEN0      0x60c "hstateen" "" [0 1 2 3] "`hstateen0` to `hstateen3`, hypervisor state enable";
    HSTATEEN0H     0x61c "hstateen" "h" [0 1 2 3] "`hstateen0h` to `hstateen3h`, their upper halves (RV32)";
}

/// The name of a standard CSR.
pub fn csr_name(csr: u16) -> Option<&'static str> {
    single_name(csr).or_else(|| {
        FAMILIES
            .iter()
            .find_map(|(first, names)| names.get(usize::from(csr.checked_sub(*first)?)).copied())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = (0..0x1000).filter_map(csr_name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert_eq!((0x1000..=u16::MAX).find_map(csr_name), None);
    }

    #[test]
    fn rows_of_registers_do_not_run_into_others() {
        for (first, names) in FAMILIES {
            for (i, name) in names.iter().enumerate() {
                assert_eq!(csr_name(first + i as u16), Some(*name));
                assert_eq!(single_name(first + i as u16), None);
            }
        }
        assert_eq!(csr_name(PMPADDR0 + 63), Some("pmpaddr63"));
        assert_eq!(csr_name(MHPMCOUNTER3H + 28), Some("mhpmcounter31h"));
    }
}
