//! The state of a device as bytes, for snapshots.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// Bytes that are no state of this device, and why.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct BadState(pub String);

impl BadState {
    /// For this reason.
    pub fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

/// A state as bytes (postcard).
pub fn pack(state: &impl Serialize) -> Vec<u8> {
    // Only a type that cannot tell its length fails, and none of ours is such.
    postcard::to_allocvec(state).unwrap_or_default()
}

/// What has no state takes none.
///
/// # Errors
/// [`BadState`] if there is one.
pub fn none(state: &[u8]) -> Result<(), BadState> {
    match state {
        [] => Ok(()),
        _ => Err(BadState::new("a state of what has none")),
    }
}

/// What was packed.
///
/// # Errors
/// [`BadState`] if it is something else, or there is more.
pub fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BadState> {
    match postcard::take_from_bytes(bytes) {
        Ok((state, [])) => Ok(state),
        Ok(_) => Err(BadState::new("it goes on where it should end")),
        Err(_) => Err(BadState::new("it makes no sense")),
    }
}
