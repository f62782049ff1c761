//! The corpus, and a bounded number of random changes to it, on every target.
//! `RUSE_FUZZ_RUNS` says how many each (default 1000).

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use ruse_fuzz::{TARGETS, Target};

/// The longest input that is made.
const LONGEST: usize = 16 << 10;

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 33) as usize % end.max(1)
    }
}

fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target.name);
    let mut files: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// One of `seeds`, changed here and there.
fn mutant(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len());
        match random.below(7) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            1 if !bytes.is_empty() => bytes[at] = random.next() as u8,
            2 => bytes.truncate(at),
            3 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len());
                let len = random.below(64).min(other.len() - from);
                bytes.splice(at..at, other[from..from + len].iter().copied());
            }
            4 => {
                let more = 1 + random.below(16);
                bytes.extend((0..more).map(|_| random.next() as u8));
            }
            5 => {
                let end = (at + random.below(9)).min(bytes.len());
                bytes[at..end].fill([0, 0xff, 0x80, 0x7f][random.below(4)]);
            }
            _ => {
                let len = random.below(32).min(bytes.len() - at);
                bytes.drain(at..at + len);
            }
        }
    }
    bytes.truncate(LONGEST);
    bytes
}

#[test]
fn no_target_panics() {
    let runs = std::env::var("RUSE_FUZZ_RUNS").map_or(1000, |runs| runs.parse().unwrap());
    for target in TARGETS {
        let mut seeds = corpus(target);
        assert!(!seeds.is_empty(), "no corpus for {}", target.name);
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let mut tried = seeds.clone();
        seeds.push((0..256).map(|_| random.next() as u8).collect());
        tried.extend((0..runs).map(|_| mutant(&seeds, &mut random)));
        for bytes in tried {
            let result = catch_unwind(AssertUnwindSafe(|| (target.run)(&bytes)));
            assert!(result.is_ok(), "{} panics at {bytes:02x?}", target.name);
        }
        println!("{}: {} inputs", target.name, seeds.len() + runs);
    }
}
