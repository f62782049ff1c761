//! The board: memory map, device tree, loaders, built-in SBI and the run loop
