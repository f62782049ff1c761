//! Chapter "RFENCE Extension": FENCE.I and SFENCE.VMA on other harts.
//!
//! No other hart runs while a call is answered, so that the fences are simply
//! carried out. Left out: the HFENCE functions, for there is no hypervisor
//! extension.

use super::{Answer, Call, Error};

pub(super) const ID: u64 = 0x5246_4e43;

pub(super) fn call(call: &mut Call<'_>) -> Answer {
    match call.function {
        0 => fence_i(call).into(),
        // With or without an address space: dropping more is allowed.
        1 | 2 => sfence_vma(call).into(),
        _ => Answer::Error(Error::NotSupported),
    }
}

fn fence_i(call: &mut Call<'_>) -> Result<u64, Error> {
    for target in call.targets()? {
        call.harts[target].sync_code();
    }
    Ok(0)
}

fn sfence_vma(call: &mut Call<'_>) -> Result<u64, Error> {
    let (start, size) = (call.args[2], call.args[3]);
    let everything = (start == 0 && size == 0) || size == call.all_ones();
    for target in call.targets()? {
        let hart = &mut call.harts[target];
        if everything {
            hart.flush_tlb();
        } else {
            hart.flush_tlb_range(start, size);
        }
    }
    Ok(0)
}
