//! Chapter "Timer Extension".

use super::{Answer, Call, Error};

pub(super) const ID: u64 = 0x5449_4d45;

pub(super) fn call(call: &mut Call<'_>) -> Answer {
    if call.function != 0 {
        return Answer::Error(Error::NotSupported);
    }
    set_timer(call);
    Answer::Value(0)
}

/// Arms the timer, which also takes back an interrupt that is pending.
pub(super) fn set_timer(call: &mut Call<'_>) {
    let ticks = call.wide(0);
    call.hart.set_stimecmp(ticks);
}
