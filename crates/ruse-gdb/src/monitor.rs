//! What `monitor` says of a machine.

use std::fmt::Write;

use ruse_bus::Width;
use ruse_hart::{Hart, Xlen};
use ruse_isa::csr;
use ruse_lens::explain;
use ruse_machine::Machine;

use crate::system::mode;

const HELP: &str = "\
info harts        what every hart is at
csr NAME          a control and status register, taken apart
pte ADDRESS       the page-table walk for a virtual address, each entry taken apart
walk ADDRESS      the same
phys ADDRESS LEN  bytes at a guest-physical address (RAM only)
devices           what is on the bus
irq               interrupt lines and pending interrupts
stop DEVICE ...   stop after accesses to these devices (as in devices); without any, to none
catch CAUSE ...   stop after exceptions with these numbers; without any, after none
reset             press the reset button
quit              end the guest
CSRs, walks and addresses are those of the selected thread (hart).";

/// The most bytes that `phys` shows.
const MOST: u64 = 4096;

/// Does a command for the hart at `index`; `None`: the guest is to end.
pub(crate) fn run(machine: &mut Machine, index: usize, command: &str) -> Option<String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    Some(match words.as_slice() {
        [] | ["help"] => HELP.into(),
        ["quit"] => return None,
        ["info", "harts"] | ["harts"] => harts(machine),
        ["csr", name] => register(machine, index, name),
        ["pte" | "walk", at] => match number(at) {
            Some(at) => walk(&mut machine.harts_mut()[index], at),
            None => format!("`{at}` is not an address"),
        },
        ["phys", at, len] => match (number(at), number(len)) {
            (Some(at), Some(len)) => physical(machine, at, len),
            _ => "phys takes an address and a number of bytes".into(),
        },
        ["devices"] => devices(machine),
        ["irq"] => interrupts(machine),
        ["stop", names @ ..] => match machine.stop_at_devices(names) {
            true if names.is_empty() => "accesses to devices do not stop".into(),
            true => format!("accesses to {} stop", names.join(", ")),
            false => "there is no such device; `monitor devices` says which there are".into(),
        },
        ["catch", causes @ ..] => catch(machine, causes),
        ["reset"] => match machine.reset() {
            Ok(()) => "the machine was reset".into(),
            Err(error) => error.to_string(),
        },
        _ => format!("`{command}`: no such command\n{HELP}"),
    })
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn harts(machine: &Machine) -> String {
    let mut text = String::new();
    for (n, hart) in machine.harts().iter().enumerate() {
        let state = if machine.is_awake(n) { "runs" } else { "waits" };
        let (pc, retired) = (hart.pc(), hart.retired());
        let (mode, id) = (mode(hart.privilege()), hart.hartid());
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "hart {id} (thread {}): {mode}, {state}, pc {pc:#x}, {retired} instructions retired",
            n + 1
        );
    }
    text
}

fn register(machine: &mut Machine, index: usize, name: &str) -> String {
    let number = match explain::csr_number(name) {
        Ok(number) => number,
        Err(error) => return error.to_string(),
    };
    let hart = &mut machine.harts_mut()[index];
    let xlen = hart.xlen();
    let value = match number {
        csr::SEED => None,
        number => hart.csr(number),
    };
    match value {
        None => format!("this hart has no readable {name}"),
        Some(value) => match explain::csr(number, value, xlen) {
            Ok(csr) => csr.to_string(),
            Err(_) => format!("{name} = {value:#x}"),
        },
    }
}

fn walk(hart: &mut Hart, at: u64) -> String {
    let wide = hart.xlen() == Xlen::Rv64;
    let satp = hart.csr(csr::SATP).unwrap_or(0);
    let field = if wide { satp >> 60 } else { satp >> 31 & 1 };
    let mut text = String::new();
    let Some(paging) = explain::Mode::of_satp(field, wide) else {
        return format!("{at:#x}: satp translates nothing; it is a physical address");
    };
    let mut level = paging.levels();
    let found = hart.walk_debug(at, &mut |step| {
        level = level.saturating_sub(1);
        let entry = explain::pte(step.pte, paging, level);
        let _ = writeln!(
            text,
            "level {level}: {:#x} at {:#x}\n{entry}",
            step.pte, step.at
        );
    });
    let _ = match found {
        Some(pa) if text.is_empty() => {
            writeln!(
                text,
                "{at:#x}: M-mode translates nothing; it is a physical address {pa:#x}"
            )
        }
        Some(pa) => writeln!(text, "{at:#x} is guest-physical {pa:#x}"),
        None => writeln!(text, "{at:#x} leads nowhere"),
    };
    text
}

fn physical(machine: &Machine, at: u64, len: u64) -> String {
    let mut bytes = vec![0; len.min(MOST) as usize];
    if machine.bus().ram().read(at, &mut bytes).is_err() {
        let ram = machine.bus().ram();
        let end = ram.base().saturating_add(ram.size());
        return format!(
            "not all of that is RAM, which is {:#x} to {end:#x}",
            ram.base()
        );
    }
    let mut text = String::new();
    for (n, row) in bytes.chunks(16).enumerate() {
        let _ = write!(text, "{:#x}:", at + 16 * n as u64);
        for byte in row {
            let _ = write!(text, " {byte:02x}");
        }
        text.push('\n');
    }
    text
}

fn devices(machine: &Machine) -> String {
    let board = machine.board();
    let mut text = String::new();
    for region in machine.bus().regions() {
        let source = board.iter().find(|placed| placed.base == region.base);
        let source = source.and_then(|placed| placed.source);
        let last = region.base + (region.size - 1);
        let _ = write!(
            text,
            "{:#012x} to {last:#012x}  {}",
            region.base, region.name
        );
        if let Some(source) = source {
            let _ = write!(text, ", interrupt {source}");
        }
        text.push('\n');
    }
    let ram = machine.bus().ram();
    let last = ram.base() + (ram.size() - 1);
    let _ = writeln!(text, "{:#012x} to {last:#012x}  RAM", ram.base());
    text
}

fn interrupts(machine: &mut Machine) -> String {
    /// Where the controller says what is pending, which has no effect ("PLIC", chapter 4).
    const PENDING: u64 = 0x1000;
    let mut text = String::new();
    let board = machine.board();
    let plic = board.iter().find(|placed| placed.name == "plic");
    let pending = plic.and_then(|plic| {
        let mut plic = plic.device.lock().ok()?;
        let low = plic.read(PENDING, Width::B4).ok()?;
        let high = plic.read(PENDING + 4, Width::B4).ok()?;
        Some(low | high << 32)
    });
    for placed in &board {
        if let Some(source) = placed.source {
            let is = pending.map_or(0, |pending| pending.checked_shr(source).unwrap_or(0) & 1);
            let is = if is == 1 { "pending" } else { "quiet" };
            let _ = writeln!(
                text,
                "source {source:2}  {} at {:#x}: {is}",
                placed.name, placed.base
            );
        }
    }
    for hart in machine.harts_mut() {
        let id = hart.hartid();
        for number in [csr::MIP, csr::MIE] {
            let value = hart.csr(number).unwrap_or(0);
            let name = ruse_isa::csr_name(number).unwrap_or_default();
            let set: Vec<_> = (0..32).filter(|n| value >> n & 1 == 1).collect();
            let names = set.iter().map(|n| explain::interrupt(*n));
            let names = names.collect::<Vec<_>>().join("; ");
            let _ = writeln!(text, "hart {id}  {name} {value:#x} {names}");
        }
    }
    text
}

fn catch(machine: &mut Machine, causes: &[&str]) -> String {
    let mut mask = 0;
    for cause in causes {
        match number(cause).filter(|cause| *cause < 64) {
            Some(cause) => mask |= 1 << cause,
            None => return format!("`{cause}` is not an exception's number"),
        }
    }
    for hart in machine.harts_mut() {
        hart.stop_at_traps(mask);
    }
    if mask == 0 {
        return "exceptions do not stop".into();
    }
    let names = (0..64)
        .filter(|n| mask >> n & 1 == 1)
        .map(explain::exception);
    format!("these stop: {}", names.collect::<Vec<_>>().join("; "))
}
