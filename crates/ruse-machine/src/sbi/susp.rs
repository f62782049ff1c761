//! Chapter "System Suspend Extension": the whole machine sleeps until an
//! interrupt that its last hart has enabled.

use super::{Answer, Call, Error};
use crate::seat::State;

pub(super) const ID: u64 = 0x5355_5350;

const SUSPEND_TO_RAM: u32 = 0;
/// From here on sleep types are the platform's, which has none.
const PLATFORM: u32 = 0x8000_0000;

pub(super) fn call(call: &mut Call<'_>) -> Answer {
    match call.function {
        0 => suspend(call),
        _ => Answer::Error(Error::NotSupported),
    }
}

fn suspend(call: &mut Call<'_>) -> Answer {
    let [kind, pc, opaque, ..] = call.args;
    match kind as u32 {
        SUSPEND_TO_RAM => {}
        PLATFORM.. => return Answer::Error(Error::NotSupported),
        _ => return Answer::Error(Error::InvalidParam),
    }
    if let Err(error) = call.is_code(pc) {
        return Answer::Error(error);
    }
    let seats = call.seats.iter().enumerate();
    let mut others = seats.filter(|(n, _)| *n != call.me);
    // When all others are stopped, only this hart could start one.
    if others.any(|(_, seat)| seat.state() != State::Stopped) {
        return Answer::Error(Error::Denied);
    }
    call.seats[call.me].set_state(State::Suspended {
        resume: Some((pc, opaque)),
    });
    Answer::Never
}
