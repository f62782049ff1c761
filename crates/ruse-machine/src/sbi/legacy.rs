//! Chapter "Legacy Extensions": what kernels called before SBI 0.2, without
//! functions, each an extension of its own.

use ruse_devices::{ConsoleOut, Power};

use super::{Answer, Call, time};

pub(super) const SET_TIMER: u64 = 0;
pub(super) const PUTCHAR: u64 = 1;
pub(super) const GETCHAR: u64 = 2;
pub(super) const CLEAR_IPI: u64 = 3;
pub(super) const SHUTDOWN: u64 = 8;

pub(super) fn set_timer(call: &mut Call<'_>) -> Answer {
    time::set_timer(call);
    Answer::Legacy(0)
}

pub(super) fn putchar(call: &mut Call<'_>) -> Answer {
    call.parts.out.clone().write(&[call.args[0] as u8]);
    Answer::Legacy(0)
}

pub(super) fn getchar(call: &mut Call<'_>) -> Answer {
    Answer::Legacy(call.parts.read_serial().map_or(-1, i64::from))
}

pub(super) fn clear_ipi(call: &mut Call<'_>) -> Answer {
    call.hart.set_ssip(false);
    Answer::Legacy(0)
}

pub(super) fn shutdown(call: &mut Call<'_>) -> Answer {
    call.parts.power.request(Power::Off { code: 0 });
    Answer::Never
}
