//! What a machine that stands still for a moment looks like.

use ruse_bus::Register;
use ruse_event::Step;
use ruse_hart::{Hart, Privilege};
use ruse_isa::{Xlen, csr};
use ruse_lens::listing;
use ruse_lens::profile;
use ruse_machine::Machine;

/// The CSRs that are shown, in this order, if the hart has them.
const CSRS: &[u16] = &[
    csr::MSTATUS,
    csr::SSTATUS,
    csr::SATP,
    csr::STVEC,
    csr::SEPC,
    csr::SCAUSE,
    csr::STVAL,
    csr::SSCRATCH,
    csr::SIE,
    csr::SIP,
    csr::STIMECMP,
    csr::MTVEC,
    csr::MEPC,
    csr::MCAUSE,
    csr::MTVAL,
    csr::MSCRATCH,
    csr::MIE,
    csr::MIP,
    csr::MEDELEG,
    csr::MIDELEG,
    csr::MENVCFG,
    csr::FCSR,
    csr::MISA,
];
/// Bytes of code that are listed from the start of a function on.
const FUNCTION: u64 = 4096;
/// Instructions that are shown before and after the one that is next.
const BEFORE: usize = 12;
const AFTER: usize = 48;

/// What somebody wants to see.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wish {
    pub hart: usize,
    /// A virtual address whose translation is to be shown.
    pub walk: Option<u64>,
    /// A virtual address whose memory is to be shown.
    pub dump: Option<u64>,
}

/// A line of code.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub at: u64,
    pub text: String,
    pub next: bool,
}

/// A hart.
#[derive(Clone, Debug)]
pub(crate) struct HartView {
    pub id: u64,
    pub pc: u64,
    pub xlen: Xlen,
    pub privilege: Privilege,
    pub awake: bool,
    pub retired: u64,
    pub x: [u64; 32],
    pub f: [u64; 32],
    pub csrs: Vec<(u16, u64)>,
    pub code: Vec<Line>,
    pub stack: Vec<u64>,
}

/// A translation, step by step.
#[derive(Clone, Debug)]
pub(crate) struct WalkView {
    pub va: u64,
    pub steps: Vec<Step>,
    pub pa: Option<u64>,
    pub satp: u64,
}

/// A machine.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub harts: usize,
    pub retired: u64,
    pub hart: HartView,
    pub walk: Option<WalkView>,
    /// Memory, as far as it is there.
    pub dump: Option<(u64, Vec<u8>)>,
    pub devices: Vec<(u64, Vec<Register>)>,
}

/// The word at `va`, and the instruction's length.
fn word(hart: &Hart, va: u64) -> Option<(u32, u64)> {
    let mut half = [0; 2];
    if !hart.peek(va, &mut half) {
        return None;
    }
    let low = u32::from(u16::from_le_bytes(half));
    if low & 3 != 3 {
        return Some((low, 2));
    }
    let mut all = [0; 4];
    match hart.peek(va, &mut all) {
        true => Some((u32::from_le_bytes(all), 4)),
        false => Some((low, 2)),
    }
}

/// Code around `pc`. Where instructions start is only known from the start of a
/// function on, or from `pc` itself.
fn code(hart: &Hart, start: Option<u64>) -> Vec<Line> {
    let pc = hart.pc();
    let mut at = match start {
        Some(start) if start <= pc && pc - start < FUNCTION => start,
        _ => pc,
    };
    let mut lines = Vec::new();
    let mut after = 0;
    while after < AFTER {
        if at > pc && lines.iter().all(|line: &Line| !line.next) {
            // The start was none.
            lines.clear();
            at = pc;
        }
        let Some((word, len)) = word(hart, at) else {
            break;
        };
        let text = listing::text(word, hart.xlen(), at);
        lines.push(Line {
            at,
            text: text.unwrap_or_else(|| format!(".{len}byte {word:#x}")),
            next: at == pc,
        });
        after += usize::from(at >= pc);
        at = at.wrapping_add(len);
    }
    let next = lines.iter().position(|line| line.next).unwrap_or(0);
    lines.split_off(next.saturating_sub(BEFORE))
}

/// Looks at a machine. `start` says where the function starts that an address is in.
pub(crate) fn look(machine: &mut Machine, wish: Wish, start: impl Fn(u64) -> Option<u64>) -> View {
    let harts = machine.harts().len();
    let index = wish.hart.min(harts - 1);
    let awake = machine.is_awake(index);
    let retired = machine.retired();
    let devices = machine.board();
    let hart = &mut machine.harts_mut()[index];
    let csrs = CSRS
        .iter()
        .filter_map(|number| Some((*number, hart.csr(*number)?)))
        .collect();
    let satp = hart.csr(csr::SATP).unwrap_or(0);
    let hart = &machine.harts()[index];
    let walk = wish.walk.map(|va| {
        let mut steps = Vec::new();
        let pa = hart.walk_debug(va, &mut |step| steps.push(step));
        WalkView {
            va,
            steps,
            pa,
            satp,
        }
    });
    let dump = wish.dump.map(|va| {
        let mut bytes = vec![0; 1024];
        while !bytes.is_empty() && !hart.peek(va, &mut bytes) {
            bytes.truncate(bytes.len() / 2);
        }
        (va, bytes)
    });
    let width = match hart.xlen() {
        Xlen::Rv32 => 4,
        Xlen::Rv64 => 8,
    };
    let read = |at| {
        let mut bytes = [0; 8];
        let there = hart.peek(at, &mut bytes[..width as usize]);
        there.then(|| u64::from_le_bytes(bytes))
    };
    View {
        harts,
        retired,
        walk,
        dump,
        devices: devices
            .into_iter()
            .map(|placed| {
                let device = placed.device.lock();
                let device = device.unwrap_or_else(std::sync::PoisonError::into_inner);
                (placed.base, device.registers())
            })
            .collect(),
        hart: HartView {
            id: hart.hartid(),
            pc: hart.pc(),
            xlen: hart.xlen(),
            privilege: hart.privilege(),
            awake,
            retired: hart.retired(),
            x: std::array::from_fn(|n| hart.x(n as u8)),
            f: std::array::from_fn(|n| hart.f(n as u8)),
            csrs,
            code: code(hart, start(hart.pc())),
            stack: profile::unwind(hart.pc(), hart.x(8), width, read),
        },
    }
}
