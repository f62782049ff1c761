//! The serial port: an NS16550A (National Semiconductor PC16550D data sheet,
//! "Registers", "FIFO Interrupt Mode Operation").
//!
//! | offset | read | write |
//! |---|---|---|
//! | 0 | RBR: received byte (DLL if DLAB) | THR: byte to send (DLL if DLAB) |
//! | 1 | IER: interrupt enables (DLM if DLAB) | same |
//! | 2 | IIR: which interrupt | FCR: FIFO control |
//! | 3 | LCR: line control, DLAB | same |
//! | 4 | MCR: modem control, loopback | same |
//! | 5 | LSR: line status | - |
//! | 6 | MSR: modem status | - |
//! | 7 | SCR: scratch | same |
//!
//! The line is infinitely fast. A byte written to THR has left at once, so
//! that THR is always empty. A received byte that does not reach the FIFO's
//! trigger level gives the character-timeout interrupt at once instead of
//! after four character times.
//!
//! The other end of the line honours flow control: a byte enters the FIFO
//! only when there is room, and waits outside otherwise, so that only
//! loopback can overrun. For the same reason a byte that the guest discards
//! with the FIFO before having read it is sent again.
//!
//! Left out: baud rate, parity and stop bits have no effect; no DMA mode
//! (RXRDY, TXRDY pins); no break on output.

use std::collections::VecDeque;

use ruse_bus::{
    AccessFault, BadState, Device, DtNode, DtValue, IrqLine, Names, Register, Width, state,
};
use serde::{Deserialize, Serialize};

use crate::backend::{ConsoleIn, ConsoleOut};

/// Frequency of the crystal that a baud rate is derived from, in hertz.
pub const CLOCK_HZ: u32 = 3_686_400;
/// Depth of the receive FIFO.
const FIFO_DEPTH: usize = 16;
/// How many bytes wait outside the FIFO at most.
const BACKLOG: usize = 4096;

const IER_RECEIVE: u8 = 1 << 0;
const IER_TRANSMIT: u8 = 1 << 1;
const IER_LINE: u8 = 1 << 2;
const IER_MODEM: u8 = 1 << 3;

const IIR_MODEM: u8 = 0x00;
const IIR_NONE: u8 = 0x01;
const IIR_TRANSMIT: u8 = 0x02;
const IIR_RECEIVE: u8 = 0x04;
const IIR_LINE: u8 = 0x06;
const IIR_TIMEOUT: u8 = 0x0c;
const IIR_FIFOS: u8 = 0xc0;

const FCR_ENABLE: u8 = 1 << 0;
const FCR_CLEAR_RECEIVE: u8 = 1 << 1;

const LCR_DLAB: u8 = 1 << 7;

const MCR_DTR: u8 = 1 << 0;
const MCR_RTS: u8 = 1 << 1;
const MCR_OUT1: u8 = 1 << 2;
const MCR_OUT2: u8 = 1 << 3;
const MCR_LOOP: u8 = 1 << 4;

const LSR_READY: u8 = 1 << 0;
const LSR_OVERRUN: u8 = 1 << 1;
const LSR_BREAK: u8 = 1 << 4;
const LSR_ERRORS: u8 = 0x1e;
const LSR_THR_EMPTY: u8 = 1 << 5;
const LSR_IDLE: u8 = 1 << 6;
const LSR_FIFO_ERROR: u8 = 1 << 7;

const MSR_TERI: u8 = 1 << 2;
const MSR_CTS: u8 = 1 << 4;
const MSR_DSR: u8 = 1 << 5;
const MSR_RI: u8 = 1 << 6;
const MSR_DCD: u8 = 1 << 7;

/// One byte on the line or in the FIFO.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Received {
    byte: u8,
    /// The LSR bits it comes with: 0 or [`LSR_BREAK`].
    errors: u8,
    /// Whether it came through loopback and not over the line.
    looped: bool,
}

/// An NS16550A with its registers one byte apart.
pub struct Uart {
    irq: IrqLine,
    out: Box<dyn ConsoleOut>,
    /// Bytes still on the line.
    backlog: VecDeque<Received>,
    fifo: VecDeque<Received>,
    fifo_enabled: bool,
    trigger: usize,
    divisor: [u8; 2],
    ier: u8,
    lcr: u8,
    mcr: u8,
    /// Overrun and the errors of bytes that reached the top of the FIFO.
    errors: u8,
    /// The delta half of MSR.
    deltas: u8,
    scratch: u8,
    /// THR became empty, and the guest has not been told yet.
    thr_news: bool,
}

impl Uart {
    /// A serial port after power-on that raises `irq` and sends to `out`.
    pub fn new(irq: IrqLine, out: Box<dyn ConsoleOut>) -> Self {
        Self {
            irq,
            out,
            backlog: VecDeque::new(),
            fifo: VecDeque::with_capacity(FIFO_DEPTH),
            fifo_enabled: false,
            trigger: 1,
            divisor: [0; 2],
            ier: 0,
            lcr: 0,
            mcr: 0,
            errors: 0,
            deltas: 0,
            scratch: 0,
            thr_news: false,
        }
    }

    /// The other end of the line sends a break, which Linux takes for SysRq.
    /// False if there is no room for it.
    pub fn receive_break(&mut self) -> bool {
        if self.room() == 0 {
            return false;
        }
        self.backlog.push_back(Received {
            byte: 0,
            errors: LSR_BREAK,
            looped: false,
        });
        self.settle();
        true
    }

    fn depth(&self) -> usize {
        if self.fifo_enabled { FIFO_DEPTH } else { 1 }
    }

    fn looping(&self) -> bool {
        self.mcr & MCR_LOOP != 0
    }

    /// Lets bytes from the line into the FIFO, then drives the interrupt.
    fn settle(&mut self) {
        while !self.looping() && self.fifo.len() < self.depth() {
            let Some(received) = self.backlog.pop_front() else {
                break;
            };
            self.enqueue(received);
        }
        self.irq.set(self.cause() != IIR_NONE);
    }

    fn enqueue(&mut self, received: Received) {
        if self.fifo.is_empty() {
            self.errors |= received.errors;
        }
        self.fifo.push_back(received);
    }

    /// The interrupt of highest priority, as IIR shows it.
    fn cause(&self) -> u8 {
        if self.ier & IER_LINE != 0 && self.errors != 0 {
            IIR_LINE
        } else if self.ier & IER_RECEIVE != 0 && !self.fifo.is_empty() {
            if self.fifo.len() >= self.trigger {
                IIR_RECEIVE
            } else {
                IIR_TIMEOUT
            }
        } else if self.ier & IER_TRANSMIT != 0 && self.thr_news {
            IIR_TRANSMIT
        } else if self.ier & IER_MODEM != 0 && self.deltas != 0 {
            IIR_MODEM
        } else {
            IIR_NONE
        }
    }

    /// The modem's wires: always ready, or the guest's own in loopback.
    fn modem(&self) -> u8 {
        if !self.looping() {
            return MSR_CTS | MSR_DSR | MSR_DCD;
        }
        [
            (MCR_RTS, MSR_CTS),
            (MCR_DTR, MSR_DSR),
            (MCR_OUT1, MSR_RI),
            (MCR_OUT2, MSR_DCD),
        ]
        .iter()
        .filter(|(from, _)| self.mcr & from != 0)
        .fold(0, |wires, (_, to)| wires | to)
    }

    fn set_mcr(&mut self, value: u8) {
        let before = self.modem();
        self.mcr = value & 0x1f;
        let after = self.modem();
        let changed = (before ^ after) >> 4;
        // The ring indicator is news only when ringing stops.
        let rang = before & !after & MSR_RI != 0;
        self.deltas |= changed & !MSR_TERI | if rang { MSR_TERI } else { 0 };
    }

    fn send(&mut self, byte: u8) {
        if self.looping() {
            self.send_to_self(byte);
        } else {
            self.out.write(&[byte]);
        }
        self.thr_news = true;
    }

    fn send_to_self(&mut self, byte: u8) {
        if self.fifo.len() >= self.depth() {
            self.errors |= LSR_OVERRUN;
            // With a FIFO, what the shift register held is lost; without one
            // the new byte takes the old one's place.
            if self.fifo_enabled {
                return;
            }
            let errors = self.errors;
            self.empty_fifo();
            self.errors = errors;
        }
        self.enqueue(Received {
            byte,
            errors: 0,
            looped: true,
        });
    }

    fn take_byte(&mut self) -> u8 {
        let Some(received) = self.fifo.pop_front() else {
            return 0;
        };
        if let Some(next) = self.fifo.front() {
            self.errors |= next.errors;
        }
        received.byte
    }

    fn line_status(&mut self) -> u8 {
        let mut status = LSR_THR_EMPTY | LSR_IDLE | self.errors;
        if !self.fifo.is_empty() {
            status |= LSR_READY;
        }
        if self.fifo_enabled && self.fifo.iter().any(|r| r.errors != 0) {
            status |= LSR_FIFO_ERROR;
        }
        // Reading is what acknowledges an error.
        self.errors &= !LSR_ERRORS;
        if let Some(top) = self.fifo.front_mut() {
            top.errors = 0;
        }
        status
    }

    fn set_fcr(&mut self, value: u8) {
        let enable = value & FCR_ENABLE != 0;
        if enable != self.fifo_enabled || (enable && value & FCR_CLEAR_RECEIVE != 0) {
            self.empty_fifo();
        }
        self.fifo_enabled = enable;
        self.trigger = if enable {
            [1, 4, 8, 14][usize::from(value >> 6)]
        } else {
            1
        };
    }

    /// Empties the FIFO; what came over the line will come again.
    fn empty_fifo(&mut self) {
        while let Some(received) = self.fifo.pop_back() {
            if !received.looped {
                self.backlog.push_front(received);
            }
        }
        self.errors &= LSR_OVERRUN;
    }
}

impl ConsoleIn for Uart {
    fn receive(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.room());
        self.backlog
            .extend(bytes[..taken].iter().map(|&byte| Received {
                byte,
                errors: 0,
                looped: false,
            }));
        self.settle();
        taken
    }

    fn room(&self) -> usize {
        BACKLOG.saturating_sub(self.backlog.len())
    }
}

/// What there is in a snapshot.
#[derive(Serialize, Deserialize)]
struct State {
    backlog: VecDeque<Received>,
    fifo: VecDeque<Received>,
    fifo_enabled: bool,
    trigger: usize,
    divisor: [u8; 2],
    ier: u8,
    lcr: u8,
    mcr: u8,
    errors: u8,
    deltas: u8,
    scratch: u8,
    thr_news: bool,
}

impl Device for Uart {
    fn read(&mut self, offset: u64, _: Width) -> Result<u64, AccessFault> {
        let latch = self.lcr & LCR_DLAB != 0;
        let value = match offset {
            0 if latch => self.divisor[0],
            0 => self.take_byte(),
            1 if latch => self.divisor[1],
            1 => self.ier,
            2 => {
                let cause = self.cause();
                if cause == IIR_TRANSMIT {
                    self.thr_news = false;
                }
                cause | if self.fifo_enabled { IIR_FIFOS } else { 0 }
            }
            3 => self.lcr,
            4 => self.mcr,
            5 => self.line_status(),
            6 => self.modem() | std::mem::take(&mut self.deltas),
            7 => self.scratch,
            _ => 0,
        };
        self.settle();
        Ok(value.into())
    }

    fn write(&mut self, offset: u64, _: Width, value: u64) -> Result<(), AccessFault> {
        let latch = self.lcr & LCR_DLAB != 0;
        let value = value as u8;
        match offset {
            0 if latch => self.divisor[0] = value,
            0 => self.send(value),
            1 if latch => self.divisor[1] = value,
            1 => {
                // THR is empty, which is news each time the guest asks anew.
                self.thr_news |= value & !self.ier & IER_TRANSMIT != 0;
                self.ier = value & 0x0f;
            }
            2 => self.set_fcr(value),
            3 => self.lcr = value,
            4 => self.set_mcr(value),
            7 => self.scratch = value,
            _ => {}
        }
        self.settle();
        Ok(())
    }

    fn reset(&mut self) {
        self.empty_fifo();
        self.fifo_enabled = false;
        self.trigger = 1;
        self.divisor = [0; 2];
        self.ier = 0;
        self.lcr = 0;
        self.mcr = 0;
        self.errors = 0;
        self.deltas = 0;
        self.scratch = 0;
        self.thr_news = false;
        self.settle();
    }

    fn save(&mut self) -> Vec<u8> {
        state::pack(&State {
            backlog: self.backlog.clone(),
            fifo: self.fifo.clone(),
            fifo_enabled: self.fifo_enabled,
            trigger: self.trigger,
            divisor: self.divisor,
            ier: self.ier,
            lcr: self.lcr,
            mcr: self.mcr,
            errors: self.errors,
            deltas: self.deltas,
            scratch: self.scratch,
            thr_news: self.thr_news,
        })
    }

    fn load(&mut self, state: &[u8]) -> Result<(), BadState> {
        let state: State = state::unpack(state)?;
        self.fifo_enabled = state.fifo_enabled;
        if state.fifo.len() > self.depth() || state.backlog.len() > BACKLOG + FIFO_DEPTH {
            return Err(BadState::new("more bytes than it has room for"));
        }
        self.backlog = state.backlog;
        self.fifo = state.fifo;
        self.trigger = state.trigger.clamp(1, FIFO_DEPTH);
        self.divisor = state.divisor;
        self.ier = state.ier & 0x0f;
        self.lcr = state.lcr;
        self.mcr = state.mcr & 0x1f;
        self.errors = state.errors & LSR_ERRORS;
        self.deltas = state.deltas & 0x0f;
        self.scratch = state.scratch;
        self.thr_news = state.thr_news;
        self.settle();
        Ok(())
    }

    fn names(&self) -> Names {
        |offset, write| {
            let name = match (offset, write) {
                (0, false) => "RBR",
                (0, true) => "THR",
                (1, _) => "IER",
                (2, false) => "IIR",
                (2, true) => "FCR",
                (3, _) => "LCR",
                (4, _) => "MCR",
                (5, _) => "LSR",
                (6, _) => "MSR",
                (7, _) => "SCR",
                _ => return None,
            };
            Some(name.into())
        }
    }

    fn registers(&self) -> Vec<Register> {
        let cause = match self.cause() {
            IIR_LINE => "line status",
            IIR_RECEIVE => "data received",
            IIR_TIMEOUT => "data received, and no more",
            IIR_TRANSMIT => "THR is empty",
            IIR_MODEM => "modem status",
            _ => "nothing to tell",
        };
        let waiting = self.fifo.len();
        vec![
            Register::new("IER", self.ier).bits(&[
                (IER_RECEIVE.into(), "received"),
                (IER_TRANSMIT.into(), "transmitted"),
                (IER_LINE.into(), "line"),
                (IER_MODEM.into(), "modem"),
            ]),
            Register::new("IIR", self.cause()).meaning(cause),
            Register::new("LCR", self.lcr).bits(&[(LCR_DLAB.into(), "DLAB")]),
            Register::new("MCR", self.mcr).bits(&[
                (MCR_DTR.into(), "DTR"),
                (MCR_RTS.into(), "RTS"),
                (MCR_OUT1.into(), "OUT1"),
                (MCR_OUT2.into(), "OUT2"),
                (MCR_LOOP.into(), "loopback"),
            ]),
            Register::new("MSR", self.modem() | self.deltas).bits(&[
                (MSR_CTS.into(), "CTS"),
                (MSR_DSR.into(), "DSR"),
                (MSR_RI.into(), "RI"),
                (MSR_DCD.into(), "DCD"),
            ]),
            Register::new("SCR", self.scratch),
            Register::new("DLL, DLM", u16::from_le_bytes(self.divisor)).meaning("no effect"),
            Register::new("FIFO", waiting as u64).meaning(format!(
                "{waiting} bytes for the guest, {} more on the line",
                self.backlog.len()
            )),
        ]
    }

    fn node(&self) -> DtNode {
        DtNode {
            name: "serial",
            compatible: &["ns16550a"],
            props: vec![("clock-frequency", DtValue::U32(CLOCK_HZ))],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::backend::fakes::{Lines, Screen};

    struct Rig {
        uart: Uart,
        lines: Arc<Lines>,
        screen: Screen,
    }

    impl Rig {
        fn new() -> Self {
            let (lines, screen) = (Arc::<Lines>::default(), Screen::default());
            let uart = Uart::new(lines.line(0), Box::new(screen.clone()));
            Self {
                uart,
                lines,
                screen,
            }
        }
        fn get(&mut self, register: u64) -> u8 {
            self.uart.read(register, Width::B1).unwrap() as u8
        }
        fn put(&mut self, register: u64, value: u8) {
            self.uart.write(register, Width::B1, value.into()).unwrap();
        }
        fn irq(&self) -> bool {
            self.lines.high(0)
        }
    }

    #[test]
    fn sends_and_is_always_ready_to() {
        let mut rig = Rig::new();
        assert_eq!(rig.get(5), 0x60);
        for byte in b"hi" {
            rig.put(0, *byte);
            assert_eq!(rig.get(5), 0x60);
        }
        assert_eq!(rig.screen.take(), b"hi");
        assert!(!rig.irq());
    }

    #[test]
    fn the_divisor_hides_data_and_enables() {
        let mut rig = Rig::new();
        rig.put(3, 0x83);
        rig.put(0, 0x02);
        rig.put(1, 0x01);
        assert_eq!((rig.get(0), rig.get(1)), (2, 1));
        rig.put(3, 0x03);
        assert_eq!((rig.get(0), rig.get(1)), (0, 0));
        assert_eq!(rig.screen.take(), b"");
        assert!(!rig.irq());
    }

    #[test]
    fn transmit_interrupt_comes_per_enable_and_per_byte_and_goes_by_reading_iir() {
        let mut rig = Rig::new();
        // Linux probes exactly this twice ("THRE test").
        for _ in 0..2 {
            rig.put(1, 0x02);
            assert!(rig.irq());
            assert_eq!(rig.get(2), 0x02);
            assert!(!rig.irq());
            assert_eq!(rig.get(2), 0x01);
            rig.put(1, 0x00);
        }
        rig.put(1, 0x02);
        rig.get(2);
        rig.put(1, 0x02);
        assert!(!rig.irq(), "enabling what is enabled is no news");
        rig.put(0, b'x');
        assert!(rig.irq());
        // A more urgent cause hides it without acknowledging it.
        rig.uart.receive(b"y");
        rig.put(1, 0x03);
        assert_eq!(rig.get(2), 0x04);
        rig.get(0);
        assert_eq!(rig.get(2), 0x02);
        assert!(!rig.irq());
    }

    #[test]
    fn receive_follows_trigger_level_and_timeout() {
        let mut rig = Rig::new();
        rig.put(2, 0x81); // FIFO on, trigger at 8
        rig.put(1, 0x01);
        assert_eq!(rig.get(2), 0xc1);
        rig.uart.receive(b"1234567");
        assert!(rig.irq());
        assert_eq!(rig.get(2), 0xcc);
        rig.uart.receive(b"8");
        assert_eq!(rig.get(2), 0xc4);
        assert_eq!(rig.get(5) & 1, 1);
        for expected in b"12345678" {
            assert!(rig.irq());
            assert_eq!(rig.get(0), *expected);
        }
        assert!(!rig.irq());
        assert_eq!(rig.get(5), 0x60);
    }

    #[test]
    fn a_flood_of_input_loses_nothing() {
        let mut rig = Rig::new();
        let input: Vec<u8> = (0..3 * BACKLOG).map(|n| n as u8).collect();
        let (mut sent, mut seen) = (0, Vec::new());
        rig.put(2, 0xc7);
        while seen.len() < input.len() {
            let room = rig.uart.room();
            let taken = rig.uart.receive(&input[sent..]);
            assert_eq!(taken, room.min(input.len() - sent));
            sent += taken;
            // The driver resets its FIFO now and then, as Linux does on open.
            if seen.len() % 100 == 0 {
                rig.put(2, 0xc7);
            }
            assert_eq!(rig.get(5) & 0x03, 1, "data ready, no overrun");
            seen.push(rig.get(0));
        }
        assert_eq!(seen, input);
        assert_eq!(rig.get(5) & 1, 0);
    }

    #[test]
    fn loopback_connects_the_port_to_itself() {
        let mut rig = Rig::new();
        rig.put(4, 0x1a); // Linux's probe: loop, OUT2, RTS
        assert_eq!(rig.get(6) & 0xf0, 0x90);
        rig.uart.receive(b"outside");
        rig.put(2, 0x01);
        for n in 0..17 {
            rig.put(0, n);
        }
        assert_eq!(rig.get(5) & 0x03, 0x03, "the 17th byte overran");
        assert_eq!(rig.get(5) & 0x03, 0x01, "which reading acknowledged");
        for n in 0..16 {
            assert_eq!(rig.get(0), n);
        }
        assert_eq!(rig.screen.take(), b"");
        rig.put(0, 0x55);
        rig.put(2, 0x03);
        assert_eq!(rig.get(5) & 1, 0, "a looped byte does not come again");
        rig.put(4, 0x0b);
        assert_eq!(rig.get(0), b'o');
        assert_eq!(rig.get(6) & 0xf0, 0xb0);
    }

    #[test]
    fn modem_changes_are_news_once() {
        let mut rig = Rig::new();
        rig.put(1, 0x08);
        rig.put(4, 0x14); // loop and OUT1: RI rises, the others fall
        assert!(rig.irq());
        assert_eq!(rig.get(2), 0x00);
        assert_eq!(rig.get(6), 0x4b);
        assert!(!rig.irq());
        rig.put(4, 0x10);
        assert_eq!(rig.get(6), 0x04, "the trailing edge of RI");
        assert_eq!(rig.get(6), 0x00);
    }

    #[test]
    fn a_break_is_an_error_on_its_byte() {
        let mut rig = Rig::new();
        rig.put(2, 0x01);
        rig.put(1, 0x05);
        rig.uart.receive(b"a");
        assert!(rig.uart.receive_break());
        rig.uart.receive(b"b");
        assert_eq!(rig.get(5), 0xe1, "it waits behind the a");
        assert_eq!(rig.get(0), b'a');
        assert_eq!(rig.get(2), 0xc6);
        assert_eq!(rig.get(5), 0xf1);
        assert_eq!(rig.get(5), 0x61);
        assert_eq!((rig.get(0), rig.get(0)), (0, b'b'));
    }

    #[test]
    fn without_fifos_it_holds_one_byte() {
        let mut rig = Rig::new();
        rig.put(1, 0x01);
        rig.uart.receive(b"ab");
        assert_eq!(rig.get(2), 0x04);
        assert_eq!((rig.get(0), rig.get(0)), (b'a', b'b'));
        rig.put(4, 0x10);
        rig.put(0, 1);
        rig.put(0, 2);
        assert_eq!(rig.get(5) & 3, 3);
        assert_eq!(rig.get(0), 2);
        rig.put(4, 0);
        rig.uart.receive(b"cd");
        rig.put(4, 0x10);
        rig.put(0, 3);
        rig.put(4, 0);
        let seen: Vec<u8> = (0..3).map(|_| rig.get(0)).collect();
        assert_eq!(seen, b"\x03cd", "the line's byte comes again");
    }

    #[test]
    fn reset_is_power_on_but_keeps_what_is_on_the_line() {
        let mut rig = Rig::new();
        rig.put(2, 0xc1);
        rig.put(1, 0x0f);
        rig.put(7, 9);
        rig.uart.receive(b"typed early");
        assert!(rig.irq());
        rig.uart.reset();
        assert!(!rig.irq());
        assert_eq!((rig.get(1), rig.get(2), rig.get(7)), (0, 1, 0));
        let line: Vec<u8> = (0..11).map(|_| rig.get(0)).collect();
        assert_eq!(line, b"typed early");
    }
}
