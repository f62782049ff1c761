//! Any file as a snapshot: its blocks are given without checksums, which would keep
//! everything else from being reached.

use std::io::Cursor;
use std::path::Path;

use ruse_disk::MemoryDisk;
use ruse_machine::{Boot, Image, Machine, MachineConfig, Snapshot, Time, Xlen};

use crate::Bytes;

/// Instructions that the guest may run.
const BOUND: u64 = 20_000;
#[cfg(test)]
/// What a snapshot starts with: a name and a version.
const START: usize = 8;
#[cfg(test)]
/// A length and a checksum.
const HEAD: usize = 8;

/// A machine with one of everything, that does nothing.
fn machine() -> Machine {
    // wfi; j -4
    let words: [u32; 2] = [0x1050_0073, 0xffdf_f06f];
    let image: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    let mut config = MachineConfig::new(Boot::Bare {
        image: Image::new("nothing", image),
    });
    config.memory = 1 << 20;
    config.cpu.harts = 2;
    config.cpu.xlen = Some(Xlen::Rv64);
    config.quantum = 500;
    config.disks = vec![Box::new(MemoryDisk::new(8))];
    config.port = ruse_machine::Port::Virtio;
    config.time = Time::Virtual {
        instructions_per_tick: 1,
        epoch_nanos: 0,
    };
    Machine::new(config).expect("a machine")
}

/// A snapshot of it, without checksums.
#[cfg(test)]
pub(crate) fn seed() -> Vec<u8> {
    let mut machine = machine();
    machine.handle().close_input();
    let _ = machine.run_for(100);
    let mut file = Vec::new();
    machine.save(&mut file, b"").expect("a snapshot");
    let (mut seed, mut rest) = (Vec::new(), &file[START..]);
    while let Some((head, more)) = rest.split_first_chunk::<HEAD>() {
        let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        seed.extend(&head[..4]);
        seed.extend(&more[..len]);
        rest = &more[len..];
    }
    seed
}

/// Loads it, and lets what came of it run.
pub(crate) fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut file = b"RUSESNP\x01".to_vec();
    while !bytes.is_empty() {
        let len = bytes.u16() as usize | usize::from(bytes.u16()) << 16;
        let block = bytes.take(len);
        file.extend((block.len() as u32).to_le_bytes());
        file.extend(crc32fast::hash(block).to_le_bytes());
        file.extend(block);
    }
    let input = Box::new(Cursor::new(file));
    let Ok((snapshot, _)) = Snapshot::new(input, Path::new("snapshot")) else {
        return;
    };
    let mut machine = machine();
    if machine.load(snapshot, false).is_ok() {
        machine.handle().close_input();
        let _ = machine.run_for(BOUND);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With `RUSE_BLESS` set it is written anew.
    #[test]
    fn the_corpus_has_a_snapshot_of_today() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/snapshot/machine");
        if std::env::var_os("RUSE_BLESS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, seed()).unwrap();
        }
        assert!(std::fs::read(path).unwrap() == seed());
    }
}
