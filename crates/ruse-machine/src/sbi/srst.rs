//! Chapter "System Reset Extension".

use ruse_devices::Power;

use super::{Answer, Call, Error};

pub(super) const ID: u64 = 0x5352_5354;

const SHUTDOWN: u32 = 0;
const COLD_REBOOT: u32 = 1;
const WARM_REBOOT: u32 = 2;

const NO_REASON: u32 = 0;
const SYSTEM_FAILURE: u32 = 1;

pub(super) fn call(call: &mut Call<'_>) -> Answer {
    if call.function != 0 {
        return Answer::Error(Error::NotSupported);
    }
    // Both arguments are 32 bits wide.
    let power = match (call.args[0] as u32, call.args[1] as u32) {
        (SHUTDOWN, NO_REASON) => Power::Off { code: 0 },
        (SHUTDOWN, SYSTEM_FAILURE) => Power::Off { code: 1 },
        (COLD_REBOOT | WARM_REBOOT, NO_REASON | SYSTEM_FAILURE) => Power::Reboot,
        _ => return Answer::Error(Error::InvalidParam),
    };
    call.parts.power.request(power);
    Answer::Never
}
