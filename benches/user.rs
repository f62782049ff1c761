//! User mode: the hot loops of `dispatch` on a `Space`, what a process costs
//! to make, and whole programs if `benches/programs/build` has built them.

mod guest;
#[path = "guest/program.rs"]
mod program;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use guest::Code;
use program::Program;
use ruse_bus::{Prot, Space, VirtualClock, Width};
use ruse_hart::Hart;
use ruse_isa::Opcode::*;

/// Guest instructions an iteration.
const QUANTUM: u64 = 100_000;
const CODE: u64 = 0x1_0000;
const DATA: u64 = 0x10_0000;

fn process(code: &Code) -> Hart {
    let space = Arc::new(Space::new().expect("a space"));
    space.write(CODE, &code.bytes()).expect("code fits");
    space.protect(CODE, 0x1_0000, Prot::READ | Prot::EXEC);
    space.protect(DATA, 0x1_0000, Prot::READ | Prot::WRITE);
    let mut hart = Hart::user(space, Arc::new(VirtualClock::new(100)));
    hart.set_csr(ruse_isa::csr::FCSR, 1);
    for n in 9..16 {
        hart.set_x(n, u64::from(n) * 0x1234_5677);
        hart.set_f(n, (1.0 + f64::from(n) / 7.0).to_bits());
    }
    hart.set_x(8, DATA);
    hart.set_pc(CODE);
    hart
}

fn loops(c: &mut Criterion) {
    let mut group = c.benchmark_group("user");
    group.throughput(Throughput::Elements(QUANTUM));
    for (name, code) in guest::loops() {
        let mut hart = process(&code);
        group.bench_function(name, |b| b.iter(|| hart.run(QUANTUM)));
    }
    group.finish();
}

fn life(c: &mut Criterion) {
    let mut code = Code::default();
    code.op(Addi, 10, 10, 0, 1).op(Ecall, 0, 0, 0, 0);
    c.bench_function("user/process", |b| {
        b.iter(|| {
            let mut hart = process(&code);
            hart.run(QUANTUM)
        });
    });
    let mut hart = process(&code);
    let space = hart.space().expect("user mode").clone();
    c.bench_function("user/system call", |b| {
        b.iter(|| {
            hart.set_pc(CODE);
            hart.run(QUANTUM)
        });
    });
    c.bench_function("user/new code", |b| {
        b.iter(|| {
            space.store(CODE, Width::B4, 0x0015_0513).expect("inside");
            hart.set_pc(CODE);
            hart.sync_code();
            hart.run(QUANTUM)
        });
    });
}

/// Iterations of each program: a tenth to half a second.
const PROGRAMS: [(&str, &str); 12] = [
    ("fib", "120"),
    ("dhry", "20"),
    ("core", "4000"),
    ("sha256", "60"),
    ("sieve", "30"),
    ("vm", "6"),
    ("quicksort", "30"),
    ("strings", "15"),
    ("hashmap", "30"),
    ("copy", "1000"),
    ("matrix", "20"),
    ("nbody", "50"),
];

fn programs(c: &mut Criterion) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/programs/out/linux");
    let mut group = c.benchmark_group("user/program");
    group.sample_size(10);
    for (name, iterations) in PROGRAMS {
        let path = folder.join(name);
        let Ok(mut first) = Program::load(&path, &[name, iterations]) else {
            continue;
        };
        first.run().expect("a program that works");
        group.throughput(Throughput::Elements(first.hart.retired()));
        group.bench_function(name, |b| {
            b.iter_custom(|times| {
                let mut spent = Duration::ZERO;
                for _ in 0..times {
                    let mut program =
                        Program::load(&path, &[name, iterations]).expect("loaded before");
                    let start = Instant::now();
                    program.run().expect("a program that works");
                    spent += start.elapsed();
                    assert_eq!(program.output, first.output, "the same every time");
                }
                spent
            });
        });
    }
    group.finish();
}

criterion_group!(benches, loops, life, programs);
criterion_main!(benches);
