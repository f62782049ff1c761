//! Zawrs: wait on reservation set (unprivileged manual, "Zawrs").
//!
//! Both forms may end the wait at any time; they let the other harts run.

use super::i;
use crate::base::Base;
use crate::csr::status;
use crate::engine::Cursor;
use crate::hart::Hart;
use crate::trap::Privilege;

pub(crate) fn wrs_nto<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    if h.privilege < Privilege::Machine && h.csrs.mstatus & status::TW != 0 {
        return h.illegal(c);
    }
    i::pause::<X>(h, c)
}

pub(crate) fn wrs_sto<X: Base>(h: &mut Hart, c: Cursor) -> Cursor {
    i::pause::<X>(h, c)
}
