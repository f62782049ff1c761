//! What handlers are generic over: the width of the registers, and how memory
//! is reached.

use std::marker::PhantomData;

use crate::code::Context;
use crate::hart::Hart;
use crate::space::Memory;
use crate::tlb::{Amo, Scalar, Word};

/// A base integer ISA and its view of memory. Register values are kept as
/// `u64`, those of RV32 sign-extended from 32 bits.
pub(crate) trait Base: 'static {
    /// The width of the integer registers, in bits.
    const BITS: u32;
    /// The source operand that the step before has left at hand: 1 for `rs1`,
    /// 2 for `rs2`, 0 for neither.
    const ACC: u8 = 0;
    /// The same with all operands in memory.
    type Plain: Base;

    /// Cuts a result to XLEN bits, in register form.
    fn reg(value: u64) -> u64;
    /// An effective address: the XLEN bits zero-extended.
    fn addr(value: u64) -> u64;
    /// Whether what was found in context `found` holds in context `now`.
    #[inline(always)]
    fn holds(now: Context, found: u64) -> bool {
        now.includes(found)
    }
    /// Loads from `va`, zero-extended, if that can be done at once.
    fn load<T: Scalar>(h: &Hart, va: u64) -> Option<u64>;
    /// Stores to `va` if that can be done at once.
    fn store<T: Scalar>(h: &Hart, va: u64, value: u64) -> bool;
    /// Executes an AMO at `va`, if that can be done at once, and returns the
    /// old value, zero-extended.
    fn amo<T: Word>(h: &Hart, va: u64, op: Amo, operand: u64) -> Option<u64>;
}

/// RV32 behind a TLB.
pub(crate) struct Rv32;
/// RV64 behind a TLB.
pub(crate) struct Rv64;
/// RV64 in a [`ruse_bus::Space`].
pub(crate) struct User64;

impl Base for Rv32 {
    type Plain = Self;
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

    #[inline(always)]
    fn amo<T: Word>(h: &Hart, va: u64, op: Amo, operand: u64) -> Option<u64> {
        h.tlb.amo::<T>(va, op, operand)
    }
}

impl Base for Rv64 {
    type Plain = Self;
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

    #[inline(always)]
    fn amo<T: Word>(h: &Hart, va: u64, op: Amo, operand: u64) -> Option<u64> {
        h.tlb.amo::<T>(va, op, operand)
    }
}

impl Base for User64 {
    type Plain = Self;
    const BITS: u32 = 64;

    #[inline(always)]
    fn reg(value: u64) -> u64 {
        value
    }

    #[inline(always)]
    fn addr(value: u64) -> u64 {
        value
    }

    // There is one context, until code is dropped.
    #[inline(always)]
    fn holds(now: Context, found: u64) -> bool {
        now.local == found
    }

    #[inline(always)]
    fn load<T: Scalar>(h: &Hart, va: u64) -> Option<u64> {
        Memory::load::<T>(&h.memory, va)
    }

    #[inline(always)]
    fn store<T: Scalar>(h: &Hart, va: u64, value: u64) -> bool {
        Memory::store::<T>(&h.memory, va, value)
    }

    #[inline(always)]
    fn amo<T: Word>(h: &Hart, va: u64, op: Amo, operand: u64) -> Option<u64> {
        Memory::amo::<T>(&h.memory, va, op, operand)
    }
}

/// A base whose source operand `N` is at hand.
pub(crate) struct Acc<B, const N: u8>(PhantomData<B>);

impl<B: Base, const N: u8> Base for Acc<B, N> {
    const BITS: u32 = B::BITS;
    const ACC: u8 = N;
    type Plain = B;

    #[inline(always)]
    fn reg(value: u64) -> u64 {
        B::reg(value)
    }

    #[inline(always)]
    fn addr(value: u64) -> u64 {
        B::addr(value)
    }

    #[inline(always)]
    fn holds(now: Context, found: u64) -> bool {
        B::holds(now, found)
    }

    #[inline(always)]
    fn load<T: Scalar>(h: &Hart, va: u64) -> Option<u64> {
        B::load::<T>(h, va)
    }

    #[inline(always)]
    fn store<T: Scalar>(h: &Hart, va: u64, value: u64) -> bool {
        B::store::<T>(h, va, value)
    }

    #[inline(always)]
    fn amo<T: Word>(h: &Hart, va: u64, op: Amo, operand: u64) -> Option<u64> {
        B::amo::<T>(h, va, op, operand)
    }
}
