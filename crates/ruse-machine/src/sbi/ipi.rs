//! Chapter "IPI Extension": interrupts from hart to hart.

use super::{Answer, Call, Error};
use crate::machine::State;

pub(super) const ID: u64 = 0x73_5049;

pub(super) fn call(call: &mut Call<'_>) -> Answer {
    if call.function != 0 {
        return Answer::Error(Error::NotSupported);
    }
    send(call).into()
}

fn send(call: &mut Call<'_>) -> Result<u64, Error> {
    for target in call.targets()? {
        if call.states[target] != State::Stopped {
            call.harts[target].set_ssip(true);
        }
    }
    Ok(0)
}
