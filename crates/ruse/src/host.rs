//! Effects that the machine takes from the host.

use ruse_machine::{Entropy, SeededEntropy};

use crate::error::HostError;

/// The host's randomness.
pub struct HostEntropy(());

impl HostEntropy {
    /// The host's randomness, if it has any.
    ///
    /// # Errors
    /// [`HostError`] if it has none.
    pub fn new() -> Result<Self, HostError> {
        getrandom::fill(&mut [0; 1]).map_err(HostError::Randomness)?;
        Ok(Self(()))
    }
}

impl Entropy for HostEntropy {
    fn fill(&mut self, out: &mut [u8]) {
        if let Err(error) = getrandom::fill(out) {
            // It worked before; a guest must not get zeroes for keys unseen.
            log::error!("the host gives no randomness any more: {error}");
            SeededEntropy::new(0).fill(out);
        }
    }
}
