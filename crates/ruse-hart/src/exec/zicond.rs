//! Zicond: integer conditional operations (unprivileged manual, "Zicond").

use super::reg_reg;
use crate::base::Base;
use crate::engine::{Cursor, go};
use crate::hart::Hart;

reg_reg! {
    czero_eqz(a, b) => if b == 0 { 0 } else { a };
    czero_nez(a, b) => if b != 0 { 0 } else { a };
}
