//! Random programs on the hart and on QEMU: registers, memory and traps must
//! be the same, and the same in every way of running the hart.
//!
//! `RUSE_DIFF_PROGRAMS` sets how many programs each test runs, and
//! `RUSE_DIFF_SEED` the first seed.

#[path = "../common/mod.rs"]
mod common;

mod generate;
mod guest;
mod peer;
mod space;

use ruse_isa::Xlen;

use common::board::{Board, RAM};
use common::rng::Rng;
use generate::Body;
use guest::{MAX_BODIES, Placement, RAM_SIZE, RESULT_SIZE};
use space::Process;

/// Instructions that an image of [`MAX_BODIES`] bodies cannot need.
const LIMIT: u64 = 400_000_000;
/// Items of a body.
const LENGTH: usize = 420;

/// How the hart runs an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Blocks,
    Steps,
    SmallQuanta,
}

fn bodies(xlen: Xlen, count: usize, seed: u64) -> Vec<Body> {
    let mut rng = Rng::new(seed);
    (0..count)
        .map(|index| {
            let place = Placement::new(xlen, index, &mut rng);
            Body::random(place, LENGTH, &mut rng)
        })
        .collect()
}

/// The records of the bodies, and how many instructions they took.
fn on_ruse(xlen: Xlen, image: &[u8], count: usize, way: Way) -> (Vec<u8>, u64) {
    let mut board = Board::new(xlen, RAM_SIZE);
    board.load(RAM, image);
    board.hart.set_pc(RAM);
    let mut rng = Rng::new(7);
    let retired = board.run(LIMIT, || match way {
        Way::Blocks => LIMIT,
        Way::Steps => 0,
        Way::SmallQuanta => 1 + rng.below(100),
    });
    let mut records = vec![0; count * RESULT_SIZE as usize];
    let at = RAM + guest::result_offset(0) as u64;
    board.ram.read(at, &mut records).expect("inside RAM");
    (records, retired)
}

fn record(records: &[u8], index: usize) -> &[u8] {
    let size = RESULT_SIZE as usize;
    &records[index * size..(index + 1) * size]
}

fn first_difference(a: &[u8], b: &[u8], count: usize) -> Option<usize> {
    (0..count).find(|n| record(a, *n) != record(b, *n))
}

/// What differs between two records.
fn explain(ruse: &[u8], other: &[u8]) -> String {
    let word = |bytes: &[u8], at: usize| {
        let bytes = bytes[at..at + 8].try_into().expect("eight bytes");
        u64::from_le_bytes(bytes)
    };
    let mut text = String::new();
    let mut shown = 0;
    for at in (0..RESULT_SIZE as usize).step_by(8) {
        let (a, b) = (word(ruse, at), word(other, at));
        if a == b || shown == 24 {
            continue;
        }
        shown += 1;
        let name = match at {
            0..0x100 => format!("x{}", at / 8),
            0x100..0x200 => format!("f{}", (at - 0x100) / 8),
            0x200 => "fcsr".into(),
            0x208 => "traps".into(),
            0x210..0x1000 => {
                let field = ["mcause", "mtval", "mepc"][(at - 0x210) / 8 % 3];
                format!("trap {} {field}", (at - 0x210) / 24)
            }
            _ => format!("data+{:#x}", at - 0x1000),
        };
        text += &format!("  {name}: {a:#x}, the other {b:#x}\n");
    }
    text
}

/// The body alone, cut shorter and shorter: the last item that is needed for
/// the difference.
fn culprit(body: &Body, seed: u64, other: &dyn Fn(&[u8]) -> Vec<u8>) -> String {
    let mut place = body.place;
    let index = place.index;
    place.index = 0;
    let compare = |limit: usize| {
        let mut all = vec![body.truncated(0); index];
        all.push(body.truncated(limit));
        let image = guest::image(place.xlen, &all, seed);
        let (mine, _) = on_ruse(place.xlen, &image, all.len(), Way::Blocks);
        let theirs = other(&image);
        let (a, b) = (record(&mine, index), record(&theirs, index));
        (a != b).then(|| explain(a, b))
    };
    let (mut good, mut bad) = (0, body.items());
    let Some(mut why) = compare(bad) else {
        return "  alone, the body does not differ\n".into();
    };
    while bad - good > 1 {
        let middle = good.midpoint(bad);
        match compare(middle) {
            Some(text) => (bad, why) = (middle, text),
            None => good = middle,
        }
    }
    let from = bad.saturating_sub(4);
    let code: String = (from..bad).map(|n| body.describe(n)).collect();
    format!("{why}after item {bad}, in {:?}:\n{code}", body.place)
}

fn environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs programs in images of at most [`MAX_BODIES`]; returns nothing, panics
/// at the first difference.
fn differential(xlen: Xlen, default: u64) {
    let peer = peer::Peer::find(xlen);
    let total = environment("RUSE_DIFF_PROGRAMS").unwrap_or(default);
    let mut seed = environment("RUSE_DIFF_SEED").unwrap_or(1);
    let mut left = total;
    let mut instructions = 0;
    while left > 0 {
        let count = left.min(MAX_BODIES as u64 / 2) as usize;
        left -= count as u64;
        let bodies = bodies(xlen, count, seed);
        let image = guest::image(xlen, &bodies, seed);
        let (blocks, retired) = on_ruse(xlen, &image, count, Way::Blocks);
        instructions += retired;
        let (steps, stepped) = on_ruse(xlen, &image, count, Way::Steps);
        let fail = |what: &str, other: &[u8], again: &dyn Fn(&[u8]) -> Vec<u8>| {
            if let Some(n) = first_difference(&blocks, other, count) {
                let why = explain(record(&blocks, n), record(other, n));
                panic!(
                    "seed {seed}, {xlen:?}, body {n}: blocks and {what} differ\n{why}{}",
                    culprit(&bodies[n], seed, again)
                );
            }
        };
        fail("steps", &steps, &|image| {
            on_ruse(xlen, image, count, Way::Steps).0
        });
        assert_eq!(retired, stepped, "seed {seed}: instructions retired");
        let (small, _) = on_ruse(xlen, &image, count, Way::SmallQuanta);
        fail("small quanta", &small, &|image| {
            on_ruse(xlen, image, count, Way::SmallQuanta).0
        });
        if let Some(peer) = &peer {
            let theirs = peer.run(&image, count);
            fail("QEMU", &theirs, &|image| peer.run(image, count));
        }
        seed += 1;
    }
    println!("{xlen:?}: {total} programs, {instructions} instructions");
}

#[test]
fn random_rv64_programs_run_as_on_qemu() {
    differential(Xlen::Rv64, 256);
}

#[test]
fn random_rv32_programs_run_as_on_qemu() {
    differential(Xlen::Rv32, 256);
}

#[test]
fn user_mode_runs_programs_as_system_mode_does() {
    let total = environment("RUSE_DIFF_PROGRAMS").unwrap_or(256) as usize;
    let first = environment("RUSE_DIFF_SEED").unwrap_or(1);
    let mut left = total;
    for seed in first.. {
        let count = left.min(MAX_BODIES / 2);
        let mut rng = Rng::new(seed);
        let bodies: Vec<Body> = (0..count)
            .map(|n| Body::random(Placement::process(n), LENGTH, &mut rng))
            .collect();
        let image = guest::image(Xlen::Rv64, &bodies, seed);
        let (system, _) = on_ruse(Xlen::Rv64, &image, count, Way::Blocks);
        let mut retired = Vec::new();
        for way in [Way::Blocks, Way::Steps, Way::SmallQuanta] {
            let mut process = Process::new(&bodies);
            for (n, body) in bodies.iter().enumerate() {
                let mine = process.run(body, &image, way);
                let theirs = record(&system, n);
                assert!(
                    mine == theirs,
                    "seed {seed}, {way:?}, body {n}: a space and a machine differ\n{}",
                    explain(&mine, theirs)
                );
            }
            retired.push(process.hart.retired());
        }
        // In small quanta, loops over LR and SC take more turns.
        assert_eq!(retired[0], retired[1], "seed {seed}: instructions retired");
        left -= count;
        if left == 0 {
            break;
        }
    }
}
