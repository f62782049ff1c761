//! Qcow2 images when the power fails, and when the host has no room.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use ruse_disk::qcow2::{Access, CreateOptions, Repair};
use ruse_disk::{Disk, MemoryStorage, Qcow2, Storage};

const SIZE: u64 = 1 << 20;
const SECTOR: u64 = 512;

/// A host whose power may fail, or whose room may run out.
#[derive(Default)]
struct Host {
    /// What a power failure leaves for certain.
    durable: Vec<u8>,
    /// What programs see.
    now: Vec<u8>,
    /// What was written since the last sync.
    pending: Vec<(u64, Vec<u8>)>,
    /// Counts writes and syncs.
    steps: u64,
    /// The step that fails, once.
    fails_at: Option<u64>,
}

fn put(to: &mut Vec<u8>, at: u64, bytes: &[u8]) {
    let end = at as usize + bytes.len();
    to.resize(to.len().max(end), 0);
    to[at as usize..end].copy_from_slice(bytes);
}

impl Host {
    fn step(&mut self) -> io::Result<()> {
        self.steps += 1;
        if self.fails_at == Some(self.steps) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

#[derive(Clone, Default)]
struct Sim(Arc<Mutex<Host>>);

impl Storage for Sim {
    fn path(&self) -> &Path {
        Path::new("sim")
    }

    fn len(&mut self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().now.len() as u64)
    }

    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let host = self.0.lock().unwrap();
        let rest = host.now.get(offset as usize..).unwrap_or_default();
        let n = rest.len().min(out.len());
        out[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut host = self.0.lock().unwrap();
        let failed = host.step();
        // A failing write may have stored a part.
        let part = match failed {
            Ok(()) => bytes,
            Err(_) => &bytes[..bytes.len() / 1024 * 512],
        };
        put(&mut host.now, offset, part);
        host.pending.push((offset, part.to_vec()));
        failed
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        let mut host = self.0.lock().unwrap();
        host.step()?;
        host.now.resize(len as usize, 0);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut host = self.0.lock().unwrap();
        host.step()?;
        host.pending.clear();
        host.durable = host.now.clone();
        Ok(())
    }

    fn punch(&mut self, offset: u64, len: u64) -> io::Result<bool> {
        let mut host = self.0.lock().unwrap();
        let zeroes = vec![0; len as usize];
        put(&mut host.now, offset, &zeroes);
        host.pending.push((offset, zeroes));
        Ok(true)
    }
}

#[derive(Clone, Debug)]
enum Op {
    Write(u64, u64, u8),
    Zero(u64, u64, bool),
    Discard(u64, u64),
    Flush,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let range = || (0..SIZE / SECTOR, 1u64..300);
    let op = prop_oneof![
        5 => (range(), 1u8..).prop_map(|((at, len), byte)| Op::Write(at, len, byte)),
        1 => (range(), any::<bool>()).prop_map(|((at, len), unmap)| Op::Zero(at, len, unmap)),
        2 => range().prop_map(|(at, len)| Op::Discard(at, len)),
        2 => Just(Op::Flush),
    ];
    prop::collection::vec(op, 1..25)
}

fn layouts() -> impl Strategy<Value = CreateOptions> {
    prop::sample::select(vec![
        (512, 16, 3, false),
        (512, 64, 3, false),
        (4096, 1, 3, false),
        (65536, 16, 2, false),
        (16384, 16, 3, true),
    ])
    .prop_map(
        |(cluster_size, refcount_bits, version, extended_l2)| CreateOptions {
            cluster_size,
            refcount_bits,
            version,
            extended_l2,
            ..CreateOptions::new(SIZE)
        },
    )
}

/// Of each sector, what it may hold: the first byte of it, which all are.
struct Model(Vec<Vec<u8>>);

impl Model {
    fn new() -> Self {
        Self(vec![vec![0]; (SIZE / SECTOR) as usize])
    }

    fn may_become(&mut self, at: u64, len: u64, byte: u8) {
        for sector in &mut self.0[at as usize..(at + len) as usize] {
            sector.push(byte);
        }
    }

    /// Only what was written last is there from now on.
    fn settle(&mut self) {
        for sector in &mut self.0 {
            *sector = vec![*sector.last().unwrap()];
        }
    }

    fn check(&self, disk: &mut Qcow2) {
        let mut all = vec![0; SIZE as usize];
        disk.read_at(0, &mut all).unwrap();
        for (number, (sector, may)) in all.chunks(SECTOR as usize).zip(&self.0).enumerate() {
            assert!(sector.iter().all(|byte| *byte == sector[0]), "{number}");
            assert!(
                may.contains(&sector[0]),
                "sector {number}: {} of {may:?}",
                sector[0]
            );
        }
    }
}

/// Does it; what it may have changed is noted before.
fn run(disk: &mut Qcow2, op: &Op, model: &mut Model) -> Result<(), ruse_disk::DiskError> {
    let clip = |at: u64, len: u64| (at, len.min(SIZE / SECTOR - at));
    match *op {
        Op::Write(at, len, byte) => {
            let (at, len) = clip(at, len);
            model.may_become(at, len, byte);
            disk.write_at(at * SECTOR, &vec![byte; (len * SECTOR) as usize])
        }
        Op::Zero(at, len, unmap) => {
            let (at, len) = clip(at, len);
            model.may_become(at, len, 0);
            disk.write_zeroes(at * SECTOR, len * SECTOR, unmap)
        }
        Op::Discard(at, len) => {
            let (at, len) = clip(at, len);
            disk.discard(at * SECTOR, len * SECTOR)?;
            // What it reads as now is what it must go on reading as.
            for sector in at..at + len {
                let mut byte = [0];
                disk.read_at(sector * SECTOR, &mut byte)?;
                model.may_become(sector, 1, byte[0]);
            }
            Ok(())
        }
        Op::Flush => {
            disk.flush()?;
            model.settle();
            Ok(())
        }
    }
}

fn assert_sound(bytes: Vec<u8>, may_leak: bool) {
    let mut image =
        Qcow2::open(Box::new(MemoryStorage::new(bytes, 1 << 30)), Access::Repair).unwrap();
    let found = image.check(Repair::Nothing, &mut |_, _| {}).unwrap();
    assert!(
        found.is_sound() && (may_leak || found.leaks == 0),
        "{found:?}"
    );
    if found.leaks > 0 {
        let fixed = image.check(Repair::Leaks, &mut |_, _| {}).unwrap();
        assert_eq!((fixed.leaks, fixed.corruptions), (0, 0));
    }
}

fn new(options: &CreateOptions) -> (Sim, Qcow2) {
    let sim = Sim::default();
    options.write(Box::new(sim.clone())).unwrap();
    (
        sim.clone(),
        Qcow2::open(Box::new(sim), Access::Write).unwrap(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("RUSE_CASES").map_or(48, |n| n.parse().unwrap()),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Whichever of the writes since the last sync are kept, the image is
    /// sound and has what was flushed.
    #[test]
    fn a_power_failure_costs_only_what_was_not_flushed(
        options in layouts(),
        ops in ops(),
        luck in any::<u64>(),
        dies_at in 0u64..120,
    ) {
        let (sim, mut disk) = new(&options);
        let mut model = Model::new();
        // From this step on nothing reaches the file.
        let start = sim.0.lock().unwrap().steps;
        let mut luck = luck | 1;
        for op in &ops {
            sim.0.lock().unwrap().fails_at = Some(start + dies_at);
            if run(&mut disk, op, &mut model).is_err() {
                break;
            }
        }
        let (mut left, pending) = {
            let host = sim.0.lock().unwrap();
            (host.durable.clone(), host.pending.clone())
        };
        for (at, bytes) in pending {
            for (number, sector) in bytes.chunks(512).enumerate() {
                luck ^= luck << 13;
                luck ^= luck >> 7;
                luck ^= luck << 17;
                if luck & 4 != 0 {
                    put(&mut left, at + number as u64 * 512, sector);
                }
            }
        }
        assert_sound(left.clone(), true);
        let storage = MemoryStorage::new(left, 1 << 30);
        let mut after = Qcow2::open(Box::new(storage), Access::Read).unwrap();
        model.check(&mut after);
    }

    /// A request that fails for want of room can be tried again, and nothing
    /// is lost or leaks.
    #[test]
    fn what_fails_for_want_of_room_can_be_tried_again(
        options in layouts(),
        ops in ops(),
        fails_at in 0u64..120,
    ) {
        let (sim, mut disk) = new(&options);
        let mut model = Model::new();
        {
            let mut host = sim.0.lock().unwrap();
            host.fails_at = Some(host.steps + fails_at);
        }
        for op in &ops {
            if let Err(error) = run(&mut disk, op, &mut model) {
                prop_assert!(error.is_no_room(), "{error}");
                model.check(&mut disk);
                run(&mut disk, op, &mut model).unwrap();
            }
        }
        sim.0.lock().unwrap().fails_at = None;
        disk.flush().unwrap();
        model.settle();
        model.check(&mut disk);
        drop(disk);
        let bytes = sim.0.lock().unwrap().now.clone();
        assert_sound(bytes.clone(), false);
        let storage = MemoryStorage::new(bytes, 1 << 30);
        model.check(&mut Qcow2::open(Box::new(storage), Access::Read).unwrap());
    }

    /// Whatever an image says, reading, writing and checking it ends, without
    /// a panic.
    #[test]
    fn damaged_images_do_no_harm(
        options in layouts(),
        ops in ops(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..12),
    ) {
        let (sim, mut disk) = new(&options);
        for op in &ops {
            run(&mut disk, op, &mut Model::new()).unwrap();
        }
        drop(disk);
        let mut bytes = sim.0.lock().unwrap().now.clone();
        for (at, byte, in_header) in damage {
            let range = if in_header { 120.min(bytes.len()) } else { bytes.len() };
            bytes[at.index(range)] = byte;
        }
        for access in [Access::Read, Access::Write, Access::Repair] {
            let storage = Box::new(MemoryStorage::new(bytes.clone(), 64 << 20));
            let Ok(mut image) = Qcow2::open(storage, access) else {
                continue;
            };
            if access == Access::Repair {
                let _ = image.check(Repair::All, &mut |_, _| {});
                continue;
            }
            let mut out = vec![0; 70_000];
            for offset in (0..SIZE).step_by(65536) {
                let _ = image.read_at(offset, &mut out[..65536]);
                let _ = image.write_at(offset + 1000, &out[..3000]);
                let _ = image.discard(offset, 20_000);
                let _ = image.write_zeroes(offset + 30_000, 20_000, true);
                let _ = image.flush();
            }
        }
    }
}
