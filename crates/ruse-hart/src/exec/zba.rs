//! Zba: address generation (unprivileged manual, "B").

use super::{reg_imm, reg_reg};
use crate::base::Base;
use crate::engine::{Cursor, go};
use crate::hart::Hart;

reg_reg! {
    sh1add(a, b) => (a << 1).wrapping_add(b);
    sh2add(a, b) => (a << 2).wrapping_add(b);
    sh3add(a, b) => (a << 3).wrapping_add(b);
    add_uw(a, b) => u64::from(a as u32).wrapping_add(b);
    sh1add_uw(a, b) => (u64::from(a as u32) << 1).wrapping_add(b);
    sh2add_uw(a, b) => (u64::from(a as u32) << 2).wrapping_add(b);
    sh3add_uw(a, b) => (u64::from(a as u32) << 3).wrapping_add(b);
}

reg_imm! {
    slli_uw(a, imm) => u64::from(a as u32) << (imm & 63);
}
