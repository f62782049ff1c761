//! Hosts without Unix sockets have no such cable.

use std::any::Any;
use std::io;
use std::path::Path;
use std::sync::Arc;

use ruse_bus::Wake;
use ruse_devices::backend::{NetCard, Network};

use crate::user::NetError;

/// A cable to another machine: there is none on this host.
pub enum Link {}

impl Link {
    /// The cable of that path.
    ///
    /// # Errors
    /// [`NetError::NoSockets`].
    pub fn new(_: &Path) -> Result<Self, NetError> {
        Err(NetError::NoSockets)
    }
}

impl Network for Link {
    fn offloads(&self) -> bool {
        match *self {}
    }

    fn bell(&self) -> Arc<dyn Wake> {
        match *self {}
    }

    fn start(self: Box<Self>, _: Arc<dyn NetCard>) -> io::Result<Box<dyn Any + Send + Sync>> {
        match *self {}
    }
}
