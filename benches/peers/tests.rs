//! Tests of what the bench `peers` computes and how it calls its engines; a bench
//! without the standard harness can't hold them itself.

// The bench's main function, which uses everything, is not among these modules.
#![allow(dead_code)]

mod args;
mod engine;
mod measure;
mod program;
mod report;
mod run;
mod setup;
mod stats;
