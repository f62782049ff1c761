//! Seven lessons on how a machine is faked. Each has guest code that one can read
//! ([`LESSONS`]), is assembled ([`asm`]) and run on a real machine ([`run`]), shows what the
//! guest believes next to what the host did, and lets something be changed. The same as
//! pages is in [`pages`].

pub mod asm;
mod lessons;
pub mod pages;
pub mod run;

pub use lessons::{LESSONS, Lesson};
