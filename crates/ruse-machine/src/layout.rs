//! Where things are: the memory map of QEMU's `virt` board (its
//! `hw/riscv/virt.c`), as far as this board has them.
//!
//! ```text
//! 0000_1000  boot ROM       reset vector, fw_dynamic information
//! 0010_0000  test finisher  power off, reboot
//! 0010_1000  RTC            irq 11
//! 0200_0000  CLINT          not over the built-in SBI, whose own it is
//! 0c00_0000  PLIC
//! 1000_0000  UART           irq 10
//! 1000_1000  virtio-mmio    8 slots of 4 KiB, irq 1 to 8; then 16 more that
//!                           QEMU's board has not, irq 40 to 55
//! 8000_0000  RAM
//! ```

/// The boot ROM, where harts start.
pub const ROM: u64 = 0x1000;
/// Its size.
pub const ROM_SIZE: u64 = 0x1000;
/// The test finisher.
pub const FINISHER: u64 = 0x0010_0000;
/// Its size.
pub const FINISHER_SIZE: u64 = 0x1000;
/// The real-time clock.
pub const RTC: u64 = 0x0010_1000;
/// Its size.
pub const RTC_SIZE: u64 = 0x1000;
/// Its interrupt source.
pub const RTC_IRQ: u32 = 11;
/// The CLINT.
pub const CLINT: u64 = 0x0200_0000;
/// The PLIC.
pub const PLIC: u64 = 0x0c00_0000;
/// How many interrupt sources the PLIC has.
pub const PLIC_SOURCES: u32 = 95;
/// The serial port.
pub const UART: u64 = 0x1000_0000;
/// Its size.
pub const UART_SIZE: u64 = 0x100;
/// Its interrupt source.
pub const UART_IRQ: u32 = 10;
/// The first virtio-mmio slot.
pub const VIRTIO: u64 = 0x1000_1000;
/// From one slot to the next.
pub const VIRTIO_STRIDE: u64 = 0x1000;
/// How many slots there are.
pub const VIRTIO_SLOTS: usize = 24;
/// RAM.
pub const RAM: u64 = 0x8000_0000;

/// The most harts: as many as RAM can tell apart when they store
/// (`ruse_bus::Writer`), of the 511 that the PLIC has contexts for.
pub const MAX_HARTS: usize = 64;

/// The interrupt source of a virtio-mmio slot; each has its own. Those after 8
/// belong to other devices of QEMU's board.
pub const fn virtio_irq(slot: u32) -> u32 {
    if slot < 8 { 1 + slot } else { 32 + slot }
}

/// Distance from the start of RAM at which firmware expects the next stage:
/// the size of a huge page of the kernel's, 2 MiB or 4 MiB.
pub const fn next_stage_offset(rv32: bool) -> u64 {
    if rv32 { 0x40_0000 } else { 0x20_0000 }
}
