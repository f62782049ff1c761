//! The `ruse` command as a person meets it: typed to, read from, waited for.
//! Whatever fails shows what was on the screen.
#![allow(dead_code, reason = "each test uses a part of it")]

pub mod debian;
#[cfg(unix)]
pub mod tty;
#[cfg(unix)]
pub mod user;

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a guest may say nothing of what is waited for. Only a hang takes
/// so long.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// How much of the screen a failure shows, in bytes.
const TAIL: usize = 4000;

/// The command, in an environment in which it finds no home folder: what it
/// leaves behind is where the test says.
pub fn ruse(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ruse"));
    command.args(args);
    for name in [
        "HOME",
        "XDG_DATA_HOME",
        "LOCALAPPDATA",
        "RUSE_HOME",
        "RUST_LOG",
    ] {
        command.env_remove(name);
    }
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

/// What came out of a pipe or terminal so far, read by a thread.
#[derive(Default)]
struct Stream {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    ended: bool,
}

impl Stream {
    fn read(mut from: impl Read + Send + 'static) -> Arc<Self> {
        let stream = Arc::new(Self::default());
        let writer = Arc::clone(&stream);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(len @ 1..) = from.read(&mut bytes) {
                writer.lock().bytes.extend_from_slice(&bytes[..len]);
                writer.news.notify_all();
            }
            writer.lock().ended = true;
            writer.news.notify_all();
        });
        stream
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `done`, the end of the stream, or the end of patience.
    fn wait(&self, done: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let more = |state: &mut State| !state.ended && !done(state);
        match self.news.wait_timeout_while(self.lock(), PATIENCE, more) {
            Ok((state, _)) => state,
            Err(poisoned) => poisoned.into_inner().0,
        }
    }
}

/// The last of `bytes` as text.
fn tail(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(TAIL)..]).into_owned()
}

fn find(haystack: &[u8], needle: &str) -> Option<usize> {
    let needle = needle.as_bytes();
    haystack.windows(needle.len()).position(|at| at == needle)
}

/// A run of the command, to talk to.
pub struct Talk {
    child: Child,
    input: Option<Box<dyn Write + Send>>,
    output: Arc<Stream>,
    /// Nothing on a terminal, where it is part of the output.
    errors: Arc<Stream>,
    /// How much of the output was expected already.
    seen: usize,
    /// Whether the output ends with the process.
    piped: bool,
}

/// What a run that has ended had printed.
pub struct Ended {
    pub output: String,
    pub errors: String,
}

impl Talk {
    /// The command with these arguments, over pipes.
    pub fn new(args: &[&str]) -> Self {
        Self::start(ruse(args))
    }

    /// A command over pipes.
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        Self {
            input: child.stdin.take().map(|stdin| Box::new(stdin) as _),
            output: Stream::read(child.stdout.take().unwrap()),
            errors: Stream::read(child.stderr.take().unwrap()),
            child,
            seen: 0,
            piped: true,
        }
    }

    /// Waits until the guest has printed `text`, and forgets all up to there.
    /// Returns what came before it.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        // Where the search goes on when more has come.
        let from = std::cell::Cell::new(self.seen);
        let found = {
            let state = self.output.wait(|state| {
                let rest = &state.bytes[from.get()..];
                let found = find(rest, text).is_some();
                if !found {
                    from.set(from.get() + rest.len().saturating_sub(text.len()));
                }
                found
            });
            find(&state.bytes[self.seen..], text).map(|at| {
                let start = self.seen;
                self.seen += at + text.len();
                String::from_utf8_lossy(&state.bytes[start..start + at]).into_owned()
            })
        };
        match found {
            Some(before) => before,
            None => self.fail(&format!("no {text:?}")),
        }
    }

    /// Waits until `text` has been printed to standard error.
    #[track_caller]
    pub fn warns(&self, text: &str) {
        let says = |state: &State| find(&state.bytes, text).is_some();
        if !says(&self.errors.wait(says)) {
            self.fail(&format!("no {text:?} on standard error"));
        }
    }

    /// Types `text`.
    #[track_caller]
    pub fn send(&mut self, text: &str) {
        let input = self.input.as_mut().expect("the input is open");
        if let Err(error) = input
            .write_all(text.as_bytes())
            .and_then(|()| input.flush())
        {
            self.fail(&format!("cannot type {text:?}: {error}"));
        }
    }

    /// Closes standard input.
    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// Waits for the end of the process, which must have this exit code.
    #[track_caller]
    pub fn ends(mut self, code: i32) -> Ended {
        let status = self.wait();
        if status.code() != Some(code) {
            self.fail(&format!("{status} instead of exit code {code}"));
        }
        let text = |stream: &Stream| {
            let state = match self.piped {
                true => stream.wait(|_| false),
                false => stream.lock(),
            };
            String::from_utf8_lossy(&state.bytes).into_owned()
        };
        Ended {
            output: text(&self.output),
            errors: text(&self.errors),
        }
    }

    #[track_caller]
    fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            if Instant::now() > end {
                self.fail("it does not end");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills the process so that it cannot do anything about it.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// All that it has printed so far.
    pub fn printed(&self) -> Vec<u8> {
        self.output.lock().bytes.clone()
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    #[track_caller]
    fn fail(&self, what: &str) -> ! {
        // What explains it may still be on its way from a process that ended.
        if self.piped && self.output.lock().ended {
            drop(self.errors.wait(|_| false));
        }
        panic!(
            "{what}\n--- the end of its output:\n{}\n--- and of standard error:\n{}\n---",
            tail(&self.output.lock().bytes),
            tail(&self.errors.lock().bytes)
        );
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
