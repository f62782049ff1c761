//! The console device (virtio 1.2, section 5.3) with its one port: a queue of
//! input, a queue of output, and the size of the window. Left out: several
//! ports and their control queues.

use std::collections::VecDeque;

use ruse_bus::Ram;

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
        let mut chain = Chain::default();
        while !self.backlog.is_empty() {
            if !queue.pop(ram, &mut chain)? {
                if queue.arm(ram)? {
                    continue;
                }
                break;
            }
            let mut writer = chain.writer(ram);
            let (first, second) = self.backlog.as_slices();
            let written = writer.write(first)? + writer.write(second)?;
            self.backlog.drain(..written);
            queue.push(ram, chain.head(), written as u32)?;
        }
        queue.publish(ram)
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
