//! What the integration tests share: an assembler, a board, random numbers.
#![allow(dead_code, reason = "each test uses a part of it")]

pub mod asm;
pub mod board;
pub mod rng;
