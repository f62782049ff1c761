//! What events mean: on one side what the guest believes, on the other what the
//! host did.

mod calls;
mod packet;
mod scene;

use std::collections::HashMap;
use std::net::SocketAddr;

use ruse_event::{Access, Class, Event, Flow, Operation, Origin, Part, Step, What};

pub use scene::{Medium, Prop, Scene, Syscall};

use crate::explain;
use crate::symbols::Symbols;

/// One lie, from both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lie {
    /// What the guest believes.
    pub guest: String,
    /// What the host did.
    pub host: String,
}

impl Lie {
    fn new(guest: impl Into<String>, host: impl Into<String>) -> Self {
        Self {
            guest: guest.into(),
            host: host.into(),
        }
    }
}

/// Connections that are remembered.
const FLOWS: usize = 4096;

/// Tells stories about events. It remembers what later ones refer to, so it wants
/// to hear all of them, in their order.
pub struct Teller {
    scene: Scene,
    flows: HashMap<(SocketAddr, SocketAddr), Option<SocketAddr>>,
}

/// The modes by number.
const MODES: [&str; 4] = ["U", "S", "?", "M"];

fn mode(number: u8) -> &'static str {
    MODES[usize::from(number & 3)]
}

/// A size as people say it.
pub(crate) fn bytes(len: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (1 << 40, "TiB"),
        (1 << 30, "GiB"),
        (1 << 20, "MiB"),
        (1 << 10, "KiB"),
    ];
    for (unit, name) in UNITS {
        if len >= unit && len.is_multiple_of(unit) {
            return format!("{} {name}", len / unit);
        }
        if len >= 10 * unit {
            return format!("{:.1} {name}", len as f64 / unit as f64);
        }
    }
    match len {
        1 => "1 byte".into(),
        _ => format!("{len} bytes"),
    }
}

impl Teller {
    /// A teller of what happens on this scene.
    pub fn new(scene: Scene) -> Self {
        Self {
            scene,
            flows: HashMap::new(),
        }
    }

    /// The scene.
    pub fn scene(&self) -> &Scene {
        &self.scene
    }

    /// Where an event happened.
    pub fn place(&self, origin: Origin) -> String {
        match origin {
            Origin::Hart(hart) => format!("hart {hart}"),
            Origin::Thread(tid) => format!("thread {tid}"),
            Origin::Device(base) => self.device(base),
            Origin::Host => "host".into(),
        }
    }

    fn device(&self, base: u64) -> String {
        match self.scene.at(base) {
            Some(prop) => prop.name.clone(),
            None => format!("{base:#x}"),
        }
    }

    /// An address in code, by the name of its function if that is known.
    fn code(&self, at: u64) -> String {
        match self.scene.symbols.find(at) {
            Some((name, 0)) => name.into(),
            Some((name, offset)) => format!("{name}+{offset:#x}"),
            None => format!("{at:#x}"),
        }
    }

    /// What an event means.
    pub fn tell(&mut self, event: &Event) -> Lie {
        match &event.what {
            What::Trap {
                pc,
                cause,
                tval,
                from,
                to,
                handler,
            } => {
                let name = explain::exception(*cause);
                if *to == 0 {
                    return Lie::new(
                        format!("{name} at {}, address {tval:#x}", self.code(*pc)),
                        "the hart's run ends, and ruse-linux answers: with a page, a call, or a signal",
                    );
                }
                let letter = mode(*to).to_ascii_lowercase();
                let with = match *tval {
                    0 => String::new(),
                    tval => format!(", {letter}tval={tval:#x}"),
                };
                Lie::new(
                    format!(
                        "{name} at {}{}: trap to the handler {} in {}-mode",
                        self.code(*pc),
                        match name.ends_with("-mode") {
                            true => String::new(),
                            false => format!(" in {}-mode", mode(*from)),
                        },
                        self.code(*handler),
                        mode(*to)
                    ),
                    format!(
                        "the instruction's function gave up: {letter}cause={cause}, {letter}epc={pc:#x}{with}, pc={handler:#x}"
                    ),
                )
            }
            What::Interrupt {
                number,
                pc,
                from,
                to,
                handler,
            } => {
                let letter = mode(*to).to_ascii_lowercase();
                Lie::new(
                    format!(
                        "{} at {} in {}-mode: to the handler {} in {}-mode",
                        explain::interrupt(*number),
                        self.code(*pc),
                        mode(*from),
                        self.code(*handler),
                        mode(*to)
                    ),
                    format!(
                        "between two blocks {letter}ip & {letter}ie had bit {number}: {letter}epc={pc:#x}, pc={handler:#x}"
                    ),
                )
            }
            What::Return { from, to, pc } => Lie::new(
                format!(
                    "{}ret: back to {} in {}-mode",
                    mode(*from).to_ascii_lowercase(),
                    self.code(*pc),
                    mode(*to)
                ),
                format!(
                    "pc={pc:#x} from {}epc; another set of TLB arrays",
                    mode(*from).to_ascii_lowercase()
                ),
            ),
            What::Syscall {
                number,
                args,
                answer,
            } => {
                let name = self.scene.syscall.and_then(|name| name(*number));
                let (name, used) = match name {
                    Some((name, used)) => (name.to_owned(), used),
                    None => (format!("system call {number}"), args.len()),
                };
                let args: Vec<_> = args[..used].iter().map(|arg| format!("{arg:#x}")).collect();
                let call = format!("the program calls its kernel: {name}({})", args.join(", "));
                match answer {
                    None => Lie::new(call, "nothing: the guest's own kernel answers"),
                    Some(answer) => Lie::new(
                        format!("{call} = {answer}"),
                        "there is no kernel: a function of ruse-linux answered",
                    ),
                }
            }
            What::Sbi {
                extension,
                function,
                args,
                error,
                value,
            } => {
                let (name, used) = calls::sbi(*extension, *function);
                let args: Vec<_> = args[..used].iter().map(|arg| format!("{arg:#x}")).collect();
                let answer = match error {
                    0 if *value == 0 => "success".into(),
                    0 => format!("{value:#x}"),
                    error => format!("error {error}, {}", calls::sbi_error(*error)),
                };
                Lie::new(
                    format!(
                        "calls firmware in M-mode: {name}({}) = {answer}",
                        args.join(", ")
                    ),
                    "there is no M-mode: the run loop answered in Rust and went on after the ecall",
                )
            }
            What::Mmio {
                base,
                offset,
                width,
                value,
                write,
                pc,
            } => self.mmio(*base, *offset, *width, *value, *write, *pc),
            What::Line { source, level } => {
                let who = self.scene.source(*source);
                let who = who.map_or_else(|| format!("source {source}"), |prop| prop.name.clone());
                let (verb, bit) = if *level {
                    ("raises", "set")
                } else {
                    ("lowers", "cleared")
                };
                Lie::new(
                    format!("{who} {verb} its interrupt line, PLIC source {source}"),
                    format!("bit {source} of the PLIC's lines {bit}"),
                )
            }
            What::Pin {
                hart,
                number,
                level,
            } => {
                let (verb, bit) = if *level {
                    ("rises", "set")
                } else {
                    ("falls", "cleared")
                };
                Lie::new(
                    format!(
                        "the {} pin of hart {hart} {verb}",
                        explain::interrupt(*number)
                    ),
                    format!(
                        "bit {number} of hart {hart}'s mip {bit}; looked at before the next block"
                    ),
                )
            }
            What::Walk {
                va,
                access,
                root,
                steps,
                pa,
            } => walk(*va, *access, *root, steps, *pa),
            What::Fill {
                va,
                pa,
                access,
                size,
            } => Lie::new(
                format!(
                    "the TLB learns where {} {:#x} is, in a mapping of {}",
                    accessed(*access),
                    va & !0xfff,
                    bytes(*size)
                ),
                format!(
                    "virtual page {:#x} is at hand for {} as {:#x}: the next access is a compare and a host {access}",
                    va >> 12,
                    accesses(*access),
                    pa & !0xfff,
                    access = if *access == Access::Store {
                        "store"
                    } else {
                        "load"
                    }
                ),
            ),
            What::Notify { queue } => Lie::new(
                format!(
                    "rings the doorbell of queue {queue} of {}",
                    self.place(event.origin)
                ),
                "the device's thread is woken, or the request is answered right here",
            ),
            What::Chain { queue, head, parts } => {
                let (read, write) = sums(parts);
                Lie::new(
                    format!(
                        "{} takes chain {head} from queue {queue}: {} to read, {} to fill",
                        self.place(event.origin),
                        bytes(read),
                        bytes(write)
                    ),
                    format!(
                        "{} descriptors copied from guest memory and checked",
                        parts.len()
                    ),
                )
            }
            What::Used {
                queue,
                head,
                written,
            } => Lie::new(
                format!(
                    "{} gives chain {head} of queue {queue} back, {} in it",
                    self.place(event.origin),
                    bytes((*written).into())
                ),
                "two words stored in the used ring in guest memory",
            ),
            What::Dma { addr, len, write } => {
                let who = self.place(event.origin);
                let at = addr.wrapping_sub(self.scene.ram);
                let (verb, copied) = match write {
                    true => ("writes", "copied into"),
                    false => ("reads", "copied from"),
                };
                Lie::new(
                    format!(
                        "{who} {verb} {} of memory at {addr:#x} by itself",
                        bytes(*len)
                    ),
                    format!(
                        "{} {copied} the host's mapping at offset {at:#x}",
                        bytes(*len)
                    ),
                )
            }
            What::Disk {
                operation,
                sector,
                count,
                failed,
            } => self.disk(event.origin, *operation, *sector, *count, *failed),
            What::Image {
                operation,
                offset,
                len,
                host,
                cluster,
                allocated,
            } => self.image(
                event.origin,
                *operation,
                *offset,
                *len,
                *host,
                *cluster,
                *allocated,
            ),
            What::Frame {
                to_guest,
                len,
                head,
            } => self.frame(event.origin, *to_guest, *len, head),
            What::Flow {
                protocol,
                guest,
                far,
                host,
                flow,
            } => self.flow(protocol, *guest, *far, *host, *flow),
            What::Sleep => Lie::new(
                "wfi: sleeps until an interrupt",
                "the hart's host thread waits; it costs nothing",
            ),
            What::Wake => Lie::new(
                "wakes up",
                "a pin rose, or a timer ran out: the thread goes on",
            ),
        }
    }

    fn mmio(&self, base: u64, offset: u64, width: u8, value: u64, write: bool, pc: u64) -> Lie {
        let prop = self.scene.at(base);
        let name = prop.map_or_else(|| format!("{base:#x}"), |prop| prop.name.clone());
        let register = prop
            .and_then(|prop| (prop.names)(offset, write))
            .unwrap_or_else(|| format!("offset {offset:#x}"));
        let letter = match u8::try_from(value) {
            Ok(byte @ 0x21..0x7f) if width == 1 => format!(" {:?}", char::from(byte)),
            _ => String::new(),
        };
        let file = prop.map_or("nobody", |prop| prop.file);
        let at = self.code(pc);
        let note = prop.map_or("", |prop| effect(prop.kind(), &register, write));
        let size = bytes(width.into());
        if write {
            Lie::new(
                format!("the store at {at} writes {value:#x}{letter} to {register} of {name}"),
                format!("{file}: write({offset:#x}, {size}, {value:#x}){note}"),
            )
        } else {
            Lie::new(
                format!("the load at {at} reads {value:#x}{letter} from {register} of {name}"),
                format!("{file}: read({offset:#x}, {size}) returned {value:#x}{note}"),
            )
        }
    }

    fn medium(&self, origin: Origin) -> Option<(&Prop, &Medium)> {
        let Origin::Device(base) = origin else {
            return None;
        };
        let prop = self.scene.at(base)?;
        prop.medium.as_ref().map(|medium| (prop, medium))
    }

    fn disk(
        &self,
        origin: Origin,
        operation: Operation,
        sector: u64,
        count: u64,
        failed: bool,
    ) -> Lie {
        let (size, path) = match self.medium(origin) {
            Some((_, medium)) => (bytes(medium.size), medium.path.display().to_string()),
            None => ("disk".into(), "the image".into()),
        };
        let range = match count {
            1 => format!("sector {sector}"),
            _ => format!("sectors {sector} to {}", sector + count.saturating_sub(1)),
        };
        let outcome = if failed { ", and failed" } else { "" };
        let (guest, host) = match operation {
            Operation::Read => (
                format!("read {range} of a {size} SSD"),
                format!("{} copied from {path}", bytes(count * 512)),
            ),
            Operation::Write => (
                format!("wrote {range} of a {size} SSD"),
                format!("{} copied to {path}", bytes(count * 512)),
            ),
            Operation::Flush => (
                format!("flushed the cache of a {size} SSD"),
                format!("the host was asked to make {path} last (fdatasync)"),
            ),
            Operation::Discard => (
                format!("trimmed a {size} SSD"),
                format!("holes in {path}: space given back"),
            ),
            Operation::Zero => (
                format!("zeroed a part of a {size} SSD"),
                format!("{path} reads as zeroes there"),
            ),
        };
        Lie::new(guest + outcome, host + outcome)
    }

    #[expect(clippy::too_many_arguments, reason = "the event's fields")]
    fn image(
        &self,
        origin: Origin,
        operation: Operation,
        offset: u64,
        len: u64,
        host: Option<u64>,
        cluster: Option<u64>,
        allocated: bool,
    ) -> Lie {
        let path = match self.medium(origin) {
            Some((_, medium)) => medium.path.display().to_string(),
            None => "the image".into(),
        };
        let verb = match operation {
            Operation::Read => "read from",
            Operation::Write => "written to",
            Operation::Flush => "flushed on",
            Operation::Discard => "dropped from",
            Operation::Zero => "zeroed on",
        };
        let guest = format!("{} {verb} the SSD at byte {offset:#x}", bytes(len));
        let where_ = match (host, cluster) {
            (Some(at), Some(cluster)) if allocated => {
                format!(
                    "{path}: cluster {} allocated at {at:#x} of the file",
                    offset / cluster
                )
            }
            (Some(at), Some(cluster)) => format!(
                "{path}: cluster {}, at {at:#x} of the file",
                offset / cluster
            ),
            (Some(at), None) => format!("{path}, at {at:#x}"),
            (None, Some(cluster)) if operation == Operation::Read => format!(
                "{path}: cluster {} is not in the file: zeroes, or what is beneath",
                offset / cluster
            ),
            (None, _) => format!("{path}: a note in its tables, and space for the host"),
        };
        Lie::new(guest, where_)
    }

    fn frame(&self, origin: Origin, to_guest: bool, len: u32, head: &[u8]) -> Lie {
        let frame = packet::Frame::parse(head);
        let verb = if to_guest { "received" } else { "sent" };
        let summary = frame.summary(to_guest, len);
        let card = self.place(origin);
        let host = match frame.ends(to_guest) {
            Some(ends) => match self.flows.get(&ends) {
                Some(Some(socket)) => format!(
                    "the host's socket {socket} {} it",
                    if to_guest { "got" } else { "carries" }
                ),
                Some(None) => "a socket of the host".into(),
                None => {
                    "answered by the user-mode network itself: no packet leaves this process".into()
                }
            },
            None => "there is no wire: a buffer in guest memory and a thread of Ruse".to_owned(),
        };
        Lie::new(format!("{card} {verb} {summary}"), host)
    }

    fn flow(
        &mut self,
        protocol: &str,
        guest: SocketAddr,
        far: SocketAddr,
        host: Option<SocketAddr>,
        flow: Flow,
    ) -> Lie {
        let key = (guest, far);
        match flow {
            Flow::Opened => {
                if self.flows.len() >= FLOWS {
                    self.flows.clear();
                }
                self.flows.insert(key, host);
            }
            Flow::Closed | Flow::Refused => {
                self.flows.remove(&key);
            }
        }
        let socket = host.map_or_else(|| "a socket".into(), |host| format!("socket {host}"));
        match flow {
            Flow::Opened => Lie::new(
                format!("{protocol} between {guest} and {far}"),
                format!("{socket} of this process stands for the guest"),
            ),
            Flow::Closed => Lie::new(
                format!("{protocol} between {guest} and {far} is over"),
                format!("{socket} closed"),
            ),
            Flow::Refused => Lie::new(
                format!("{protocol} from {guest} to {far} is refused"),
                "the host would not connect",
            ),
        }
    }
}

/// What an access to a register does on the host, where that is worth a word.
fn effect(kind: &str, register: &str, write: bool) -> &'static str {
    let register = register.split('[').next().unwrap_or(register);
    match (kind, register, write) {
        ("uart", "THR", true) => "; there is no wire: the byte goes to Ruse's standard output",
        ("uart", "RBR", false) => "; a byte that somebody typed into Ruse's standard input",
        ("clint", "mtimecmp", true) => "; no clock ticks: the run loop compares now and then",
        ("clint", "mtime", false) => "; the host's monotonic clock, or a count of instructions",
        ("plic", "claim", false) => "; the most urgent of the pending bits, now cleared",
        ("plic", "complete", true) => "; the source may be pending again",
        ("test", "FINISHER", true) => "; a request to the run loop to end or start again",
        (_, "QueueNotify", true) => {
            "; no electricity: a function that looks at the queue, or wakes who does"
        }
        (_, "Status", true) if kind != "uart" => {
            "; bits of a variable, which decide what the device does"
        }
        _ => "",
    }
}

fn accessed(access: Access) -> &'static str {
    match access {
        Access::Fetch => "code at",
        Access::Load => "readable",
        Access::Store => "writable",
    }
}

fn accesses(access: Access) -> &'static str {
    match access {
        Access::Fetch => "fetches",
        Access::Load => "loads",
        Access::Store => "stores",
    }
}

fn sums(parts: &[Part]) -> (u64, u64) {
    let sum = |write| {
        let parts = parts.iter().filter(|part| part.write == write);
        parts.map(|part| u64::from(part.len)).sum()
    };
    (sum(false), sum(true))
}

fn walk(va: u64, access: Access, root: u64, steps: &[Step], pa: Option<u64>) -> Lie {
    let entries: Vec<_> = steps
        .iter()
        .map(|step| format!("[{:#x}]={:#x}", step.at, step.pte))
        .collect();
    let led = match pa {
        Some(pa) => format!("physical {pa:#x}"),
        None => "a fault".into(),
    };
    let verb = match access {
        Access::Fetch => "to fetch from",
        Access::Load => "to load from",
        Access::Store => "to store to",
    };
    Lie::new(
        format!("{verb} virtual {va:#x}, the MMU walks from the table at {root:#x} to {led}"),
        format!(
            "{} entries loaded by mmu.rs: {}",
            steps.len(),
            entries.join(" ")
        ),
    )
}

/// Which classes are worth being told live, without being asked for more: not
/// those of which there are hundreds in the time of one of the others.
pub const LIVELY: [Class; 6] = [
    Class::Call,
    Class::Mmio,
    Class::Irq,
    Class::Disk,
    Class::Net,
    Class::Sleep,
];

impl Scene {
    /// The same, with the symbols of the guest's code.
    #[must_use]
    pub fn with_symbols(self, symbols: Symbols) -> Self {
        Self { symbols, ..self }
    }
}

#[cfg(test)]
mod tests;
