//! Everything that a guest or a file can send to this process, as fuzz
//! targets: functions of any bytes at all. A target must neither panic nor
//! hang, whatever it is given.
//!
//! `tests/fuzz/run TARGET` has libFuzzer look for such bytes, for as long as one
//! likes; `cargo test -p ruse-fuzz` replays the corpus and tries a bounded
//! number of random changes to it.

mod boot;
mod bytes;
mod chips;
mod image;
mod share;
mod snapshot;
mod virtqueue;

pub use bytes::Bytes;

/// A target.
pub struct Target {
    /// What it is called on the command line, and its folder of the corpus.
    pub name: &'static str,
    /// Tries some bytes.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "chips",
        run: chips::run,
    },
    Target {
        name: "blk",
        run: virtqueue::blk,
    },
    Target {
        name: "rng",
        run: virtqueue::rng,
    },
    Target {
        name: "console",
        run: virtqueue::console,
    },
    Target {
        name: "input",
        run: virtqueue::input,
    },
    Target {
        name: "p9",
        run: share::p9,
    },
    Target {
        name: "share",
        run: share::run,
    },
    Target {
        name: "net",
        run: virtqueue::net,
    },
    Target {
        name: "frames",
        run: ruse_net::testing::feed,
    },
    Target {
        name: "qcow2",
        run: image::run,
    },
    Target {
        name: "code",
        run: boot::code,
    },
    Target {
        name: "sbi",
        run: boot::sbi,
    },
    Target {
        name: "elf",
        run: boot::elf,
    },
    Target {
        name: "image",
        run: boot::image,
    },
    Target {
        name: "snapshot",
        run: snapshot::run,
    },
    Target {
        name: "dtb",
        run: boot::dtb,
    },
];

/// The target of that name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
