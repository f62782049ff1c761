//! Chapter "Base Extension": who the firmware is, and what it can do.

use super::{Answer, Call, Error, find};

pub(super) const ID: u64 = 0x10;

/// Version 2.0 of the specification: major in bits 30:24, minor below.
const SPEC_VERSION: u64 = 2 << 24;
/// "RUSE"; not among the assigned implementation ids.
const IMPLEMENTATION: u64 = 0x5255_5345;
const IMPLEMENTATION_VERSION: u64 = 1;

const MVENDORID: u16 = 0xf11;
const MARCHID: u16 = 0xf12;
const MIMPID: u16 = 0xf13;

pub(super) fn call(call: &mut Call<'_>) -> Answer {
    let mut csr = |number| call.hart.csr(number).unwrap_or(0);
    let value = match call.function {
        0 => SPEC_VERSION,
        1 => IMPLEMENTATION,
        2 => IMPLEMENTATION_VERSION,
        3 => find(call.args[0]).is_some().into(),
        4 => csr(MVENDORID),
        5 => csr(MARCHID),
        6 => csr(MIMPID),
        _ => return Answer::Error(Error::NotSupported),
    };
    Answer::Value(value)
}
