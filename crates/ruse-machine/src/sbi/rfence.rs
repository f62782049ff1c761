//! Chapter "RFENCE Extension": FENCE.I and SFENCE.VMA on other harts.
//!
//! Each target executes the fence itself before its next guest instruction; the
//! call returns when none executes guest code without having done so
//! ([`crate::seat`]). Left out: the HFENCE functions, for there is no
//! hypervisor extension.

use super::{Answer, Call, Error};
use crate::seat::Fence;

pub(super) const ID: u64 = 0x5246_4e43;

pub(super) fn call(call: &mut Call<'_>) -> Answer {
    let fence = match call.function {
        0 => Fence::Code,
        1 => range(call).unwrap_or(Fence::All),
        // A range in one address space: dropping it in all is allowed.
        2 => range(call).unwrap_or(Fence::Asid(call.args[4])),
        _ => return Answer::Error(Error::NotSupported),
    };
    everywhere(call, fence).into()
}

/// The range that the call means, unless it is everything.
fn range(call: &Call<'_>) -> Option<Fence> {
    let (start, size) = (call.args[2], call.args[3]);
    let everything = (start == 0 && size == 0) || size == call.all_ones();
    (!everything).then_some(Fence::Range { start, size })
}

fn everywhere(call: &mut Call<'_>, fence: Fence) -> Result<u64, Error> {
    let mut tickets = Vec::new();
    for target in call.targets()? {
        if target == call.me {
            fence.apply(call.hart);
        } else if let Some(ticket) = call.seats[target].ask(fence) {
            tickets.push((target, ticket));
        }
    }
    if !tickets.is_empty() {
        // Who waits for this hart meanwhile need not.
        call.seats[call.me].leave();
        for (target, ticket) in tickets {
            call.seats[target].granted(&ticket);
        }
    }
    Ok(0)
}
