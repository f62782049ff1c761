//! The `ruse` command as a person meets it: typed to, read from, waited for.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long a guest may say nothing of what is waited for. Only a hang takes
/// so long.
const PATIENCE: Duration = Duration::from_secs(600);

/// The command, its input and output piped.
pub fn ruse(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ruse"));
    command.args(args).env_remove("RUST_LOG");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// A file under `roms/`.
pub fn rom(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("roms")
        .join(path);
    path.to_str().unwrap().into()
}

/// A file of a Debian package; `None`: it is not installed here.
pub fn package(path: &str) -> Option<String> {
    if Path::new(path).exists() {
        return Some(path.into());
    }
    assert!(std::env::var_os("CI").is_none(), "CI needs {path}");
    eprintln!("skipped: no {path}");
    None
}

/// A guest to talk to.
pub struct Talk {
    pub child: Child,
    incoming: mpsc::Receiver<Vec<u8>>,
    text: String,
}

impl Talk {
    pub fn new(args: &[&str]) -> Self {
        let mut child = ruse(args).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let (sender, incoming) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(len @ 1..) = stdout.read(&mut bytes) {
                if sender.send(bytes[..len].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            incoming,
            text: String::new(),
        }
    }

    /// Waits until the guest has printed `text`, and forgets all up to there.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.text.find(text) {
                self.text.drain(..at + text.len());
                return;
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.incoming.recv_timeout(left) {
                Ok(bytes) => self.text.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("no {text:?} in:\n{}", self.text),
            }
        }
    }

    pub fn send(&mut self, text: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
    }

    pub fn code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
