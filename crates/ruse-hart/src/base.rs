//! What handlers are generic over: the width of the registers, and how memory
//! is reached.

use crate::hart::Hart;
use crate::space::Memory;
use crate::tlb::Scalar;

/// A base integer ISA and its view of memory. Register values are kept as
/// `u64`, those of RV32 sign-extended from 32 bits.
pub(crate) trait Base: 'static {
    /// The width of the integer registers, in bits.
    const BITS: u32;

    /// Cuts a result to XLEN bits, in register form.
    fn reg(value: u64) -> u64;
    /// An effective address: the XLEN bits zero-extended.
    fn addr(value: u64) -> u64;
    /// Loads from `va`, zero-extended, if that can be done at once.
    fn load<T: Scalar>(h: &Hart, va: u64) -> Option<u64>;
    /// Stores to `va` if that can be done at once.
    fn store<T: Scalar>(h: &Hart, va: u64, value: u64) -> bool;
}

/// RV32 behind a TLB.
pub(crate) struct Rv32;
/// RV64 behind a TLB.
pub(crate) struct Rv64;
/// RV64 in a [`ruse_bus::Space`].
pub(crate) struct User64;

impl Base for Rv32 {
    const BITS: u32 = 32;

    #[inline(always)]
    fn reg(value: u64) -> u64 {
        value as i32 as i64 as u64
    }

    #[inline(always)]
    fn addr(value: u64) -> u64 {
        u64::from(value as u32)
    }

    #[inline(always)]
    fn load<T: Scalar>(h: &Hart, va: u64) -> Option<u64> {
        h.tlb.load::<T>(va)
    }

    #[inline(always)]
    fn store<T: Scalar>(h: &Hart, va: u64, value: u64) -> bool {
        h.tlb.store::<T>(va, value)
    }
}

impl Base for Rv64 {
    const BITS: u32 = 64;

    #[inline(always)]
    fn reg(value: u64) -> u64 {
        value
    }

    #[inline(always)]
    fn addr(value: u64) -> u64 {
        value
    }

    #[inline(always)]
    fn load<T: Scalar>(h: &Hart, va: u64) -> Option<u64> {
        h.tlb.load::<T>(va)
    }

    #[inline(always)]
    fn store<T: Scalar>(h: &Hart, va: u64, value: u64) -> bool {
        h.tlb.store::<T>(va, value)
    }
}

impl Base for User64 {
    const BITS: u32 = 64;

    #[inline(always)]
    fn reg(value: u64) -> u64 {
        value
    }

    #[inline(always)]
    fn addr(value: u64) -> u64 {
        value
    }

    #[inline(always)]
    fn load<T: Scalar>(h: &Hart, va: u64) -> Option<u64> {
        Memory::load::<T>(&h.memory, va)
    }

    #[inline(always)]
    fn store<T: Scalar>(h: &Hart, va: u64, value: u64) -> bool {
        Memory::store::<T>(&h.memory, va, value)
    }
}
