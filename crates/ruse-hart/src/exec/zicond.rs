//! Zicond: integer conditional operations (unprivileged manual, "Zicond").

use super::reg_reg;

reg_reg! {
    czero_eqz<X>(a, b) => if b == 0 { 0 } else { a };
    czero_nez<X>(a, b) => if b != 0 { 0 } else { a };
}
