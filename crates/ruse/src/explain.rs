//! `ruse explain` and `ruse disasm`: what bits mean.

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use ruse_lens::explain::{self, Mode};
use ruse_lens::listing::{self, ListingError};
use ruse_machine::Xlen;

use crate::error::HostError;
use crate::exit;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ExplainArgs {
    #[command(subcommand)]
    what: Option<What>,

    /// An instruction's bits, such as 0x00c58533; of a compressed one 4 digits
    #[arg(value_name = "WORD", value_parser = word, required = true)]
    word: Option<u64>,

    /// Its address, so that jumps say where they go
    #[arg(long, value_name = "ADDRESS", value_parser = word)]
    pc: Option<u64>,

    /// As a 32-bit hart sees it
    #[arg(long)]
    rv32: bool,
}

#[derive(Subcommand)]
enum What {
    /// A control and status register: its name or number, and a value; without
    /// anything, which ones there are
    Csr {
        /// Such as `mstatus=0xa00006820`
        #[arg(value_name = "NAME[=VALUE]")]
        csr: Option<String>,
        /// As a 32-bit hart sees it
        #[arg(long)]
        rv32: bool,
    },
    /// A page-table entry
    Pte {
        /// Its bits
        #[arg(value_name = "VALUE", value_parser = word)]
        value: u64,
        /// How addresses are translated
        #[arg(long, value_enum, default_value_t = Paging::Sv39)]
        mode: Paging,
        /// The level it was found at; at level 0 pages have 4 KiB
        #[arg(long, default_value_t = 0)]
        level: u32,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Paging {
    Sv32,
    Sv39,
    Sv48,
    Sv57,
}

impl From<Paging> for Mode {
    fn from(paging: Paging) -> Self {
        match paging {
            Paging::Sv32 => Self::Sv32,
            Paging::Sv39 => Self::Sv39,
            Paging::Sv48 => Self::Sv48,
            Paging::Sv57 => Self::Sv57,
        }
    }
}

#[derive(Args)]
pub struct DisasmArgs {
    /// An ELF file for RISC-V, 32 or 64 bits
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// A number, hexadecimal with `0x` and binary with `0b`; underscores are for
/// the eye.
fn word(text: &str) -> Result<u64, String> {
    let plain = text.replace('_', "");
    let parsed = match (plain.strip_prefix("0x"), plain.strip_prefix("0b")) {
        (Some(digits), _) => u64::from_str_radix(digits, 16),
        (_, Some(digits)) => u64::from_str_radix(digits, 2),
        _ => plain.parse(),
    };
    parsed.map_err(|_| "not a number; try 0x00c58533".into())
}

fn width(rv32: bool) -> Xlen {
    if rv32 { Xlen::Rv32 } else { Xlen::Rv64 }
}

/// Explains on standard output.
pub fn explain(args: ExplainArgs) -> ExitCode {
    match text(args) {
        Ok(text) => {
            // A reader that has seen enough is no error.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("ruse: {message}");
            exit::USAGE.into()
        }
    }
}

fn text(args: ExplainArgs) -> Result<String, String> {
    Ok(match args.what {
        None => {
            let given = args.word.unwrap_or_default();
            let word = u32::try_from(given)
                .map_err(|_| format!("{given:#x}: instructions have 16 or 32 bits"))?;
            explain::instruction(word, width(args.rv32), args.pc).to_string()
        }
        Some(What::Csr { csr: None, .. }) => {
            let mut text = String::from("CSRs with fields:\n");
            for name in explain::known() {
                text.push_str(&format!("  {name}\n"));
            }
            text
        }
        Some(What::Csr {
            csr: Some(csr),
            rv32,
        }) => {
            let (name, value) = match csr.split_once('=') {
                Some((name, value)) => (name, word(value).map_err(|e| format!("{value}: {e}"))?),
                None => (csr.as_str(), 0),
            };
            let number = explain::csr_number(name).map_err(|error| error.to_string())?;
            let csr = explain::csr(number, value, width(rv32));
            csr.map_err(|error| error.to_string())?.to_string()
        }
        Some(What::Pte { value, mode, level }) => {
            let mode = Mode::from(mode);
            if level >= mode.levels() {
                return Err(format!("{mode:?} has levels 0 to {}", mode.levels() - 1));
            }
            explain::pte(value, mode, level).to_string()
        }
    })
}

/// Lists a program on standard output.
///
/// # Errors
/// [`HostError`] if the file cannot be read or is no such program.
pub fn disasm(args: DisasmArgs) -> Result<ExitCode, HostError> {
    let path = args.file;
    let bytes = std::fs::read(&path).map_err(|source| HostError::Read {
        path: path.clone(),
        source,
    })?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let done = listing::write(&bytes, &mut out).and_then(|()| Ok(out.flush()?));
    match done {
        // A reader that has seen enough is no error.
        Err(ListingError::Io(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        Err(source) => return Err(HostError::Listing { path, source }),
        Ok(()) => {}
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(word("0x00c5_8533"), Ok(0xc5_8533));
        assert_eq!(word("0b101"), Ok(5));
        assert_eq!(word("12"), Ok(12));
        for wrong in ["", "0x", "c58533", "-1", "0x1ffffffffffffffff"] {
            assert!(word(wrong).is_err(), "{wrong}");
        }
    }
}
