//! Address translation: TLB hits and misses under Sv39, and a device access.

mod guest;

use std::sync::{Arc, Mutex};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use guest::{BASE, Code, DATA, DEVICE, hart};
use ruse_bus::{AccessFault, Device, DtNode, Width};
use ruse_hart::{Hart, Privilege};
use ruse_isa::Opcode::*;
use ruse_isa::csr;

/// Guest instructions an iteration.
const QUANTUM: u64 = 100_000;

/// Maps all of RAM page by page to itself and goes on in S-mode.
fn translate(hart: &mut Hart, mut store: impl FnMut(u64, u64)) {
    // PTE bits: D A X W R V.
    const LEAF: u64 = 0xcf;
    let root = BASE + 0x200_0000;
    let (middle, last) = (root + 0x1000, root + 0x2000);
    store(root + 8 * (BASE >> 30), (middle >> 12) << 10 | 1);
    for megapage in 0..32 {
        let table = last + 0x1000 * megapage;
        store(middle + 8 * megapage, (table >> 12) << 10 | 1);
        for page in 0..512 {
            let pa = BASE + (megapage << 21) + (page << 12);
            store(table + 8 * page, (pa >> 12) << 10 | LEAF);
        }
    }
    hart.set_csr(csr::PMPADDR0, u64::MAX);
    hart.set_csr(csr::PMPCFG0, 0x1f);
    hart.set_csr(csr::SATP, 8 << 60 | root >> 12);
    hart.set_privilege(Privilege::Supervisor);
}

/// Loads from `pages` pages, `stride` pages apart, in turn.
fn walk(c: &mut Criterion, name: &str, pages: i32, stride: i32) {
    let mut code = Code::default();
    // x9: step; x10: how many; x11: address.
    code.op(Lui, 9, 0, 0, stride << 12)
        .op(Addi, 10, 0, 0, pages)
        .op(Addi, 11, 8, 0, 0)
        .op(Ld, 12, 11, 0, 0)
        .op(Add, 11, 11, 9, 0)
        .op(Addi, 10, 10, 0, -1)
        .op(Bne, 0, 10, 0, -12)
        .back_to(4);
    let mut hart = hart(&code, None);
    let ram = hart.bus().ram().clone();
    translate(&mut hart, |at, pte| {
        ram.store(at, Width::B8, pte).expect("tables are in RAM");
    });
    hart.set_x(8, DATA);
    let mut group = c.benchmark_group("mmu");
    group.throughput(Throughput::Elements(QUANTUM));
    group.bench_function(name, |b| b.iter(|| hart.run(QUANTUM)));
    group.finish();
}

fn translated(c: &mut Criterion) {
    walk(c, "hit", 16, 1);
    // As many bytes apart as would share one entry of a plain index.
    walk(c, "aliased", 16, 256);
    walk(c, "miss", 1500, 1);
}

struct Register(u64);

impl Device for Register {
    fn read(&mut self, _: u64, _: Width) -> Result<u64, AccessFault> {
        Ok(self.0)
    }
    fn write(&mut self, _: u64, _: Width, value: u64) -> Result<(), AccessFault> {
        self.0 = value;
        Ok(())
    }
    fn reset(&mut self) {}
    fn node(&self) -> DtNode {
        DtNode::default()
    }
}

fn mmio(c: &mut Criterion) {
    let mut code = Code::default();
    code.op(Lui, 9, 0, 0, DEVICE as i32)
        .op(Lw, 10, 9, 0, 0)
        .op(Sw, 0, 9, 10, 0)
        .back_to(4);
    let device = Arc::new(Mutex::new(Register(0)));
    let mut hart = hart(&code, Some(device));
    let mut group = c.benchmark_group("mmu");
    group.throughput(Throughput::Elements(QUANTUM));
    group.bench_function("mmio", |b| b.iter(|| hart.run(QUANTUM)));
    group.finish();
}

criterion_group!(benches, translated, mmio);
criterion_main!(benches);
