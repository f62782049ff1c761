//! Chapter "IPI Extension": interrupts from hart to hart.

use super::{Answer, Call, Error};

pub(super) const ID: u64 = 0x73_5049;

pub(super) fn call(call: &mut Call<'_>) -> Answer {
    if call.function != 0 {
        return Answer::Error(Error::NotSupported);
    }
    send(call).into()
}

fn send(call: &mut Call<'_>) -> Result<u64, Error> {
    for target in call.targets()? {
        if target == call.me {
            call.hart.set_ssip(true);
        } else {
            call.seats[target].interrupt();
        }
    }
    Ok(0)
}
