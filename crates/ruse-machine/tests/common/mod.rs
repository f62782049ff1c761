//! What several tests look at.

use std::path::Path;
use std::sync::{Arc, Mutex};

use ruse_machine::{ConsoleOut, Image};

/// A console whose output can be read.
#[derive(Clone, Default)]
pub struct Screen(Arc<Mutex<Vec<u8>>>);

impl Screen {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl ConsoleOut for Screen {
    fn write(&mut self, bytes: &[u8]) {
        self.0.lock().unwrap().extend_from_slice(bytes);
    }
}

/// The monitor's program.
pub fn monitor() -> Image {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../roms/monitor/monitor.elf");
    Image::open(&path, 1 << 30).unwrap()
}
