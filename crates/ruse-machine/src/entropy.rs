//! Randomness that is the same each time, for deterministic runs.

use ruse_bus::{BadState, state};
use ruse_devices::Entropy;

/// A stream of bytes that looks random and follows from its seed
/// (SplitMix64; Steele, Lea, Flood 2014). No secret may depend on it.
#[derive(Clone, Debug)]
pub struct SeededEntropy {
    state: u64,
}

impl SeededEntropy {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

impl Entropy for SeededEntropy {
    fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }

    fn save(&self) -> Vec<u8> {
        state::pack(&self.state)
    }

    fn load(&mut self, state: &[u8]) -> Result<(), BadState> {
        self.state = state::unpack(state)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_published_one() {
        let mut first = [0; 8];
        SeededEntropy::new(1_234_567).fill(&mut first);
        assert_eq!(u64::from_le_bytes(first), 6_457_827_717_110_365_317);
    }
}
