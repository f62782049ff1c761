//! The entropy device (virtio 1.2, section 5.4): fills what it is given with
//! random bytes.

use ruse_bus::Ram;

use super::{Queue, QueueError, VirtioDevice};
use crate::backend::Entropy;

/// How many bytes one request gets at most; a driver asks again for more.
const MAX_REQUEST: usize = 4096;

/// An entropy device.
pub struct Rng {
    entropy: Box<dyn Entropy>,
}

impl Rng {
    /// A device that hands out bytes of `entropy`.
    pub fn new(entropy: Box<dyn Entropy>) -> Self {
        Self { entropy }
    }
}

impl VirtioDevice for Rng {
    fn device_id(&self) -> u32 {
        4
    }

    fn features(&self) -> u64 {
        0
    }

    fn queue_sizes(&self) -> &[u16] {
        &[64]
    }

    fn read_config(&self, _: u64, _: &mut [u8]) {}

    fn notify(&mut self, index: usize, queues: &mut [Queue], ram: &Ram) -> Result<(), QueueError> {
        let mut bytes = [0; MAX_REQUEST];
        queues[index].serve(ram, |chain| {
            let mut writer = chain.writer(ram);
            let len = writer.remaining().min(MAX_REQUEST);
            self.entropy.fill(&mut bytes[..len]);
            writer.write(&bytes[..len]).map(|written| written as u32)
        })
    }
}
