//! The hot dispatch loop: guest instructions a second, by kind of code.
//!
//! Every loop runs in M-mode without translation; what translation costs is
//! in the bench `mmu`, and the same loops in user mode in `user`.

mod guest;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use guest::hart;

/// Guest instructions an iteration.
const QUANTUM: u64 = 100_000;

fn loops(c: &mut Criterion) {
    let mut group = c.benchmark_group("dispatch");
    group.throughput(Throughput::Elements(QUANTUM));
    for (name, code) in guest::loops() {
        let mut hart = hart(&code, None);
        for n in 9..16 {
            hart.set_x(n, u64::from(n) * 0x1234_5677);
            hart.set_f(n, (1.0 + f64::from(n) / 7.0).to_bits());
        }
        group.bench_function(name, |b| b.iter(|| hart.run(QUANTUM)));
    }
    group.finish();
}

criterion_group!(benches, loops);
criterion_main!(benches);
