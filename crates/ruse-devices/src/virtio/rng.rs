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

#[cfg(test)]
mod tests {
    use super::super::testing::{DATA, Driver, MODERN};
    use super::*;

    struct Count(u8);

    impl Entropy for Count {
        fn fill(&mut self, out: &mut [u8]) {
            for byte in out {
                *byte = self.0;
                self.0 = self.0.wrapping_add(1);
            }
        }
    }

    #[test]
    fn requests_are_filled_up_to_a_bound() {
        let mut driver = Driver::new(Rng::new(Box::new(Count(1))), MODERN);
        driver.send(0, &[(DATA, 3, true), (DATA + 10, 2, true)]);
        assert_eq!(driver.used(0), Some((0, 5)));
        assert_eq!(driver.bytes(DATA, 4), [1, 2, 3, 0]);
        assert_eq!(driver.bytes(DATA + 10, 3), [4, 5, 0]);
        driver.send(0, &[(DATA, 100_000, true)]);
        assert_eq!(driver.used(0), Some((0, 4096)));
        driver.send(0, &[(DATA, 10, false)]);
        assert_eq!(driver.used(0), Some((0, 0)));
    }
}
