//! One RISC-V hart: registers, CSRs, traps, MMU and TLB, and the execution engine
