//! Direct access to the memory of a [`Space`]: a bounds check, a look at the
//! page's permission byte, and a host load or store.
#![allow(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use ruse_bus::{PAGE_SHIFT, Space};

use crate::tlb::{Amo, Scalar, Word};

/// A hart's hold on its space, if it has one.
pub(crate) struct Memory {
    /// The host address of virtual address 0; the permission bytes end there.
    origin: *mut u8,
    space: Option<Arc<Space>>,
}

// SAFETY: the pointer leads into the space that the structure holds, which
// may be used from any thread.
unsafe impl Send for Memory {}

impl Memory {
    pub(crate) fn new(space: Option<Arc<Space>>) -> Self {
        Self {
            origin: space
                .as_ref()
                .map_or(std::ptr::null_mut(), |space| space.origin()),
            space,
        }
    }

    pub(crate) fn space(&self) -> Option<&Arc<Space>> {
        self.space.as_ref()
    }

    /// The place of `T::SIZE` bytes at `va` if they are aligned and their
    /// page's permission byte has the bit `needed`.
    ///
    /// Rotating the address by the bits that must be zero for alignment makes
    /// a misaligned one too large, so that one compare finds both faults.
    #[inline(always)]
    fn at<T: Scalar>(&self, va: u64, needed: u8) -> Option<*mut u8> {
        let scale = T::SIZE.trailing_zeros();
        let page = va.rotate_right(scale) >> (PAGE_SHIFT - scale);
        if page >= Space::TABLE as u64 {
            return None;
        }
        // SAFETY: the page number is one of the table, which ends at `origin`,
        // and `va` lies inside the space, which begins there. Only a hart in
        // user mode runs the handlers that come here, and that has a space.
        unsafe {
            let entry = self.origin.wrapping_sub(Space::TABLE).add(page as usize);
            let entry = (*entry.cast::<AtomicU8>()).load(Ordering::Relaxed);
            (entry & needed != 0).then(|| self.origin.add(va as usize))
        }
    }

    /// Loads from `va` if that is aligned and allowed.
    #[inline(always)]
    pub(crate) fn load<T: Scalar>(&self, va: u64) -> Option<u64> {
        let at = self.at::<T>(va, Space::LOADABLE)?;
        // SAFETY: inside the space and aligned.
        Some(unsafe { T::load(at) })
    }

    /// Stores to `va` if that is aligned and allowed, and nobody needs to know.
    #[inline(always)]
    pub(crate) fn store<T: Scalar>(&self, va: u64, value: u64) -> bool {
        match self.at::<T>(va, Space::STORABLE) {
            Some(at) => {
                // SAFETY: inside the space and aligned.
                unsafe { T::store(at, value) };
                true
            }
            None => false,
        }
    }

    /// Executes an AMO at `va` under the same conditions; what may be stored
    /// to can be loaded too.
    #[inline(always)]
    pub(crate) fn amo<T: Word>(&self, va: u64, op: Amo, operand: u64) -> Option<u64> {
        let at = self.at::<T>(va, Space::STORABLE)?;
        // SAFETY: inside the space and aligned.
        Some(unsafe { T::amo(at, op, operand) })
    }
}
