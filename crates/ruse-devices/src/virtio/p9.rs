//! The 9P transport (virtio 1.2 names it, device number 9; Linux's
//! `net/9p/trans_virtio.c` is what it is for): a name to mount it by, and a
//! queue of messages, each with room for its answer.

use ruse_bus::{BadState, Ram};

use super::{
    Chain, Patience, Queue, QueueError, Requests, Served, Server, VirtioDevice, copy_config,
};
use crate::backend::FileServer;

const F_MOUNT_TAG: u64 = 1 << 0;
/// Linux puts as many buffers into a message.
const QUEUE_SIZE: u16 = 128;
/// The most of a message that is looked at, and of an answer that is made:
/// longer than any that can be agreed on.
const LONGEST: usize = 512 << 10;
/// The length of an answer that is an error: less room makes no sense.
const ERROR: usize = 11;
/// The longest name.
const MAX_TAG: usize = 255;

/// A device that files come from.
pub struct P9 {
    requests: Requests<Messages>,
    /// The configuration space: the tag, with its length in front.
    config: Vec<u8>,
}

/// What answers its messages.
pub struct Messages {
    server: Box<dyn FileServer>,
    message: Vec<u8>,
    reply: Vec<u8>,
}

impl P9 {
    /// A device that the guest calls `tag`, of which 255 bytes count, in front
    /// of `server`.
    pub fn new(tag: &str, server: Box<dyn FileServer>) -> Self {
        let tag = &tag.as_bytes()[..tag.len().min(MAX_TAG)];
        let len = (tag.len() as u16).to_le_bytes();
        Self {
            requests: Requests::Here(Messages {
                server,
                message: Vec::new(),
                reply: Vec::new(),
            }),
            config: [&len, tag].concat(),
        }
    }
}

/// The first `len` bytes of a buffer, which grows if need be.
fn first(buffer: &mut Vec<u8>, len: usize) -> &mut [u8] {
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
    &mut buffer[..len]
}

impl Server for Messages {
    fn answer(
        &mut self,
        chain: &Chain,
        ram: &Ram,
        _patience: &Patience<'_>,
    ) -> Result<u32, QueueError> {
        let (mut reader, mut writer) = (chain.reader(ram), chain.writer(ram));
        let room = writer.remaining().min(LONGEST);
        if room < ERROR {
            return Err(QueueError::Request);
        }
        let message = first(&mut self.message, reader.remaining().min(LONGEST));
        reader.read(message)?;
        let reply = first(&mut self.reply, room);
        let len = self.server.answer(message, reply);
        match reply.get(..len) {
            Some(reply) if len > 0 => Ok(writer.write(reply)? as u32),
            _ => Err(QueueError::Request),
        }
    }
}

impl VirtioDevice for P9 {
    fn device_id(&self) -> u32 {
        9
    }

    fn features(&self) -> u64 {
        F_MOUNT_TAG
    }

    fn queue_sizes(&self) -> &[u16] {
        &[QUEUE_SIZE]
    }

    fn read_config(&self, offset: u64, out: &mut [u8]) {
        copy_config(&self.config, offset, out);
    }

    fn notify(&mut self, index: usize, queues: &mut [Queue], ram: &Ram) -> Result<(), QueueError> {
        self.requests.notify(&mut queues[index], ram)
    }

    fn stop(&mut self) {
        self.requests.stop();
    }

    fn save(&mut self) -> Vec<u8> {
        let state = self.requests.with(|messages| messages.server.save());
        state.unwrap_or_default()
    }

    fn load(&mut self, state: &[u8]) -> Result<(), BadState> {
        let loaded = self.requests.with(|messages| messages.server.load(state));
        self.requests.look_again();
        loaded.unwrap_or(Ok(()))
    }
}

impl Served for P9 {
    type Server = Messages;

    fn requests(&mut self) -> &mut Requests<Messages> {
        &mut self.requests
    }
}

#[cfg(test)]
mod tests {
    use ruse_bus::{Device, Width};

    use super::super::testing::{DATA, Driver, MODERN};
    use super::*;

    /// Answers with what it is told, backwards, and how much room there was.
    struct Mirror;

    impl FileServer for Mirror {
        fn answer(&mut self, message: &[u8], reply: &mut [u8]) -> usize {
            let room = (reply.len() as u32).to_le_bytes();
            let answer: Vec<u8> = message.iter().rev().copied().chain(room).collect();
            match reply.get_mut(..answer.len()) {
                Some(reply) => {
                    reply.copy_from_slice(&answer);
                    answer.len()
                }
                None => 0,
            }
        }
    }

    fn rig() -> Driver<P9> {
        Driver::new(P9::new("src", Box::new(Mirror)), MODERN | F_MOUNT_TAG)
    }

    #[test]
    fn its_configuration() {
        let mut driver = rig();
        assert_eq!(driver.offered() & 0xffff, F_MOUNT_TAG);
        assert_eq!(driver.mmio.read(0x100, Width::B2), Ok(3));
        let tag = (0..4).map(|n| driver.mmio.read(0x102 + n, Width::B1).unwrap() as u8);
        assert_eq!(tag.collect::<Vec<_>>(), b"src\0");
        let long = P9::new(&"x".repeat(300), Box::new(Mirror));
        assert_eq!(long.config.len(), 257);
    }

    #[test]
    fn messages_and_answers_come_in_pieces() {
        let mut driver = rig();
        driver.ram.write(DATA, b"hello").unwrap();
        driver.send(
            0,
            &[
                (DATA, 2, false),
                (DATA + 2, 3, false),
                (DATA + 0x100, 4, true),
                (DATA + 0x200, 100, true),
            ],
        );
        assert_eq!(driver.used(0), Some((0, 9)));
        assert_eq!(driver.bytes(DATA + 0x100, 4), b"olle");
        assert_eq!(driver.bytes(DATA + 0x200, 6), b"h\x68\0\0\0\0");
    }

    #[test]
    fn no_more_is_read_or_written_than_a_message_can_have() {
        let mut driver = rig();
        let long = 1 << 20;
        driver.send(0, &[(DATA, long, false), (DATA + 0x10_0000, 2 << 20, true)]);
        // The answer is longer than what it may be, and so there is none.
        assert!(driver.needs_reset());
        let mut driver = rig();
        driver.send(0, &[(DATA, 100, false), (DATA + 0x10_0000, 2 << 20, true)]);
        assert_eq!(driver.used(0), Some((0, 104)));
        let room = driver.bytes(DATA + 0x10_0000 + 100, 4);
        assert_eq!(room, (LONGEST as u32).to_le_bytes());
    }

    #[test]
    fn without_room_for_an_answer_the_queue_is_broken() {
        for parts in [
            vec![(DATA, 20, false)],
            vec![(DATA, 20, false), (DATA, 10, true)],
            vec![(DATA, 20, false), (DATA, 20, true)],
        ] {
            let mut driver = rig();
            driver.send(0, &parts);
            assert!(driver.needs_reset());
            assert_eq!(driver.used(0), None);
        }
    }
}
