//! RV32 and RV64 as type parameters of the handlers.

/// A base integer ISA. Register values are kept as `u64`, those of RV32
/// sign-extended from 32 bits.
pub(crate) trait Base: 'static {
    /// The width of the integer registers, in bits.
    const BITS: u32;

    /// Cuts a result to XLEN bits, in register form.
    fn reg(value: u64) -> u64;
    /// An effective address: the XLEN bits zero-extended.
    fn addr(value: u64) -> u64;
}

/// RV32.
pub(crate) struct Rv32;
/// RV64.
pub(crate) struct Rv64;

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
}
