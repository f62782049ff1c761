//! Chapter "Hart State Management Extension".

use super::{Answer, Call, Error};
use crate::seat::State;

pub(super) const ID: u64 = 0x48_534d;

/// States as `hart_get_status` tells them. Of the pending ones only one shows:
/// the others are over before another hart can ask.
const STARTED: u64 = 0;
const STOPPED: u64 = 1;
const START_PENDING: u64 = 2;
const SUSPENDED: u64 = 4;

/// Suspend types.
const RETENTIVE: u64 = 0;
const NON_RETENTIVE: u64 = 0x8000_0000;
/// Both have ranges for the platform, which this one has nothing in.
const PLATFORM: [std::ops::RangeInclusive<u64>; 2] =
    [0x1000_0000..=0x7fff_ffff, 0x9000_0000..=0xffff_ffff];

pub(super) fn call(call: &mut Call<'_>) -> Answer {
    match call.function {
        0 => start(call).into(),
        1 => {
            call.seats[call.me].set_state(State::Stopped);
            Answer::Never
        }
        2 => status(call).into(),
        3 => suspend(call),
        _ => Answer::Error(Error::NotSupported),
    }
}

fn start(call: &mut Call<'_>) -> Result<u64, Error> {
    let [id, pc, opaque, ..] = call.args;
    let target = call.hart(id)?;
    call.is_code(pc)?;
    match call.seats[target].start(pc, opaque) {
        true => Ok(0),
        false => Err(Error::AlreadyAvailable),
    }
}

fn status(call: &Call<'_>) -> Result<u64, Error> {
    let target = call.hart(call.args[0])?;
    Ok(match call.seats[target].state() {
        State::Running | State::Waiting => STARTED,
        State::Stopped => STOPPED,
        State::Starting { .. } => START_PENDING,
        State::Suspended { .. } => SUSPENDED,
    })
}

fn suspend(call: &mut Call<'_>) -> Answer {
    let [kind, pc, opaque, ..] = call.args;
    // The type is 32 bits wide.
    let kind = u64::from(kind as u32);
    let resume = match kind {
        RETENTIVE => None,
        NON_RETENTIVE => match call.is_code(pc) {
            Ok(()) => Some((pc, opaque)),
            Err(error) => return Answer::Error(error),
        },
        _ if PLATFORM.iter().any(|range| range.contains(&kind)) => {
            return Answer::Error(Error::NotSupported);
        }
        _ => return Answer::Error(Error::InvalidParam),
    };
    call.seats[call.me].set_state(State::Suspended { resume });
    // What a retentive suspend returns once it is over.
    Answer::Value(0)
}
