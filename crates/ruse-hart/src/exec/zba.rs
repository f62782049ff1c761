//! Zba: address generation (unprivileged manual, "B").

use super::{reg_imm, reg_reg};

reg_reg! {
    sh1add<X>(a, b) => (a << 1).wrapping_add(b);
    sh2add<X>(a, b) => (a << 2).wrapping_add(b);
    sh3add<X>(a, b) => (a << 3).wrapping_add(b);
    add_uw<X>(a, b) => u64::from(a as u32).wrapping_add(b);
    sh1add_uw<X>(a, b) => (u64::from(a as u32) << 1).wrapping_add(b);
    sh2add_uw<X>(a, b) => (u64::from(a as u32) << 2).wrapping_add(b);
    sh3add_uw<X>(a, b) => (u64::from(a as u32) << 3).wrapping_add(b);
}

reg_imm! {
    slli_uw<X>(a, imm) => u64::from(a as u32) << (imm & 63);
}
