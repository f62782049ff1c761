//! The console device (virtio 1.2, section 5.3) with its one port: a queue of
//! input, a queue of output, and the size of the window. Left out: several
//! ports and their control queues.

use std::collections::VecDeque;

use ruse_bus::{BadState, Ram, state};

use super::{Chain, Queue, QueueError, VirtioDevice, VirtioMmio, copy_config};
use crate::backend::{ConsoleIn, ConsoleOut};

const F_SIZE: u64 = 1 << 0;
const F_EMERG_WRITE: u64 = 1 << 2;

const CONFIG_EMERG_WRITE: u64 = 8;

const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;

/// How many bytes of input wait for the guest at most.
const BACKLOG: usize = 4096;

/// A console.
pub struct Console {
    out: Box<dyn ConsoleOut>,
    backlog: VecDeque<u8>,
    columns: u16,
    rows: u16,
}

impl Console {
    /// A console of 80 by 25 that prints to `out`.
    pub fn new(out: Box<dyn ConsoleOut>) -> Self {
        Self {
            out,
            backlog: VecDeque::new(),
            columns: 80,
            rows: 25,
        }
    }

    /// Gives waiting input to the driver as far as it has room for it.
    fn deliver(&mut self, queue: &mut Queue, ram: &Ram) -> Result<(), QueueError> {
        let result = self.deliver_some(queue, ram);
        result.and(queue.publish(ram))
    }

    fn deliver_some(&mut self, queue: &mut Queue, ram: &Ram) -> Result<(), QueueError> {
        let mut chain = Chain::default();
        while !self.backlog.is_empty() {
            if !queue.pop(ram, &mut chain)? {
                if queue.arm(ram)? {
                    continue;
                }
                return Ok(());
            }
            let mut writer = chain.writer(ram);
            let (first, second) = self.backlog.as_slices();
            let written = writer.write(first)? + writer.write(second)?;
            self.backlog.drain(..written);
            queue.push(ram, chain.head(), written as u32)?;
        }
        Ok(())
    }

    fn print(&mut self, queue: &mut Queue, ram: &Ram) -> Result<(), QueueError> {
        let mut bytes = [0; 4096];
        queue.serve(ram, |chain| {
            let mut reader = chain.reader(ram);
            loop {
                match reader.read(&mut bytes)? {
                    0 => return Ok(0),
                    len => self.out.write(&bytes[..len]),
                }
            }
        })
    }
}

impl VirtioDevice for Console {
    fn device_id(&self) -> u32 {
        3
    }

    fn features(&self) -> u64 {
        F_SIZE | F_EMERG_WRITE
    }

    fn queue_sizes(&self) -> &[u16] {
        &[128, 128]
    }

    fn read_config(&self, offset: u64, out: &mut [u8]) {
        let mut space = [0; 12];
        space[0..2].copy_from_slice(&self.columns.to_le_bytes());
        space[2..4].copy_from_slice(&self.rows.to_le_bytes());
        space[4..8].copy_from_slice(&1u32.to_le_bytes());
        copy_config(&space, offset, out);
    }

    fn write_config(&mut self, offset: u64, bytes: &[u8]) {
        if offset == CONFIG_EMERG_WRITE {
            self.out.write(&bytes[..1]);
        }
    }

    fn notify(&mut self, index: usize, queues: &mut [Queue], ram: &Ram) -> Result<(), QueueError> {
        match index {
            RECEIVE => self.deliver(&mut queues[RECEIVE], ram),
            TRANSMIT => self.print(&mut queues[TRANSMIT], ram),
            _ => Ok(()),
        }
    }

    fn save(&mut self) -> Vec<u8> {
        state::pack(&(&self.backlog, self.columns, self.rows))
    }

    fn load(&mut self, state: &[u8]) -> Result<(), BadState> {
        (self.backlog, self.columns, self.rows) = state::unpack(state)?;
        self.backlog.truncate(BACKLOG);
        Ok(())
    }
}

impl VirtioMmio<Console> {
    /// The window has another size now.
    pub fn set_size(&mut self, columns: u16, rows: u16) {
        let console = self.device_mut();
        if (console.columns, console.rows) != (columns, rows) {
            (console.columns, console.rows) = (columns, rows);
            self.config_changed();
        }
    }
}

impl ConsoleIn for VirtioMmio<Console> {
    fn receive(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.room());
        self.device_mut().backlog.extend(&bytes[..taken]);
        self.drive(|console, queues, ram| console.deliver(&mut queues[RECEIVE], ram));
        taken
    }

    fn room(&self) -> usize {
        BACKLOG - self.device().backlog.len()
    }
}

#[cfg(test)]
mod tests {
    use ruse_bus::{Device, Width};

    use super::super::testing::{DATA, Driver, MODERN, desc};
    use super::*;
    use crate::backend::fakes::Screen;

    fn driver() -> (Driver<Console>, Screen) {
        let screen = Screen::default();
        let console = Console::new(Box::new(screen.clone()));
        (Driver::new(console, MODERN | F_SIZE), screen)
    }

    #[test]
    fn output_is_printed() {
        let (mut driver, screen) = driver();
        driver.ram.write(DATA, &[b'x'; 9000]).unwrap();
        driver.ram.write(DATA + 8998, b"yz").unwrap();
        driver.send(TRANSMIT, &[(DATA, 8999, false), (DATA + 8999, 1, false)]);
        assert_eq!(driver.used(TRANSMIT), Some((0, 0)));
        let seen = screen.take();
        assert_eq!((seen.len(), &seen[8997..]), (9000, &b"xyz"[..]));
        driver.put(0x108, b'!'.into());
        assert_eq!(screen.take(), b"!");
    }

    #[test]
    fn input_waits_for_buffers_and_buffers_for_input() {
        let (mut driver, _) = driver();
        let input: Vec<u8> = (0..BACKLOG + 10).map(|n| n as u8).collect();
        assert_eq!(driver.mmio.receive(&input), BACKLOG);
        assert_eq!((driver.mmio.room(), driver.mmio.receive(b"x")), (0, 0));
        driver.send(RECEIVE, &[(DATA, 1000, true), (DATA + 1000, 3000, true)]);
        assert_eq!(driver.used(RECEIVE), Some((0, 4000)));
        assert_eq!(driver.interrupted(), 1);
        driver.send(RECEIVE, &[(DATA + 4000, 4000, true)]);
        assert_eq!(driver.used(RECEIVE), Some((0, 96)));
        assert_eq!(driver.bytes(DATA, BACKLOG), input[..BACKLOG]);
        driver.set_chain(desc(RECEIVE), 3, &[(DATA, 8, true)]);
        driver.make_available(RECEIVE, 3);
        driver.notify(RECEIVE);
        driver.interrupted();
        assert_eq!(driver.used(RECEIVE), None);
        assert_eq!(driver.mmio.receive(b"hi"), 2);
        assert_eq!(driver.used(RECEIVE), Some((3, 2)));
        assert_eq!(driver.bytes(DATA, 2), b"hi");
    }

    #[test]
    fn the_window_size_is_news() {
        let (mut driver, _) = driver();
        assert_eq!(driver.get(0x100), 25 << 16 | 80);
        let generation = driver.get(0xfc);
        driver.mmio.set_size(132, 43);
        assert_eq!(driver.interrupted(), 2);
        assert_ne!(driver.get(0xfc), generation);
        assert_eq!(driver.mmio.read(0x102, Width::B2), Ok(43));
        driver.mmio.set_size(132, 43);
        assert_eq!(driver.interrupted(), 0);
    }
}
