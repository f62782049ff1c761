//! Zbc: carry-less multiplication (unprivileged manual, "B").

use super::reg_reg;

/// The carry-less product of two XLEN-bit numbers.
#[inline(never)]
fn product(a: u64, b: u64) -> u128 {
    let mut sum = 0;
    let mut rest = b;
    while rest != 0 {
        sum ^= u128::from(a) << rest.trailing_zeros();
        rest &= rest - 1;
    }
    sum
}

reg_reg! {
    clmul<X>(a, b) => product(X::addr(a), X::addr(b)) as u64;
    clmulh<X>(a, b) => (product(X::addr(a), X::addr(b)) >> X::BITS) as u64;
    clmulr<X>(a, b) => (product(X::addr(a), X::addr(b)) >> (X::BITS - 1)) as u64;
}
