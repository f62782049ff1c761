//! What it costs to be able to watch: loops of the dispatch bench and register
//! accesses, unwatched, with a watcher that wants nothing, and with one that wants
//! everything and forgets it.

mod guest;

use std::sync::{Arc, Mutex};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use guest::{Code, DEVICE, hart};
use ruse_bus::{AccessFault, Device, DtNode, Width};
use ruse_event::{Classes, Event, Tap, Watch};
use ruse_isa::Opcode;

/// Guest instructions an iteration.
const QUANTUM: u64 = 100_000;

struct Forgets;

impl Watch for Forgets {
    fn event(&self, event: Event) {
        std::hint::black_box(event);
    }
}

struct Nothing;

impl Device for Nothing {
    fn read(&mut self, _: u64, _: Width) -> Result<u64, AccessFault> {
        Ok(0)
    }
    fn write(&mut self, _: u64, _: Width, _: u64) -> Result<(), AccessFault> {
        Ok(())
    }
    fn reset(&mut self) {}
    fn node(&self) -> DtNode {
        DtNode::default()
    }
}

/// Loads from a device, one after the other.
fn registers() -> Code {
    let mut code = Code::default();
    code.op(Opcode::Lui, 5, 0, 0, DEVICE as i32);
    let start = code.here();
    for _ in 0..8 {
        code.op(Opcode::Lw, 6, 5, 0, 0);
    }
    code.back_to(start);
    code
}

fn watching(c: &mut Criterion) {
    let mut codes: Vec<_> = guest::loops().into_iter().take(3).collect();
    codes.push(("registers", registers()));
    for (name, code) in codes {
        let mut group = c.benchmark_group(format!("watch/{name}"));
        group.throughput(Throughput::Elements(QUANTUM));
        let taps = [
            ("off", Tap::NONE),
            (
                "nothing wanted",
                Tap::new(Arc::new(Forgets), Classes::NONE, || 0),
            ),
            (
                "all wanted",
                Tap::new(Arc::new(Forgets), Classes::ALL, || 0),
            ),
        ];
        for (wanted, tap) in taps {
            let mut hart = hart(&code, Some(Arc::new(Mutex::new(Nothing))));
            hart.watch(&tap);
            group.bench_function(wanted, |b| b.iter(|| hart.run(QUANTUM)));
        }
        group.finish();
    }
}

criterion_group!(benches, watching);
criterion_main!(benches);
