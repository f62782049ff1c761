//! One run of one contender.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::log::{Log, Mark};

/// How often the process is looked at.
const GLANCE: Duration = Duration::from_millis(10);
/// What is kept of a line, and of what is said to standard error.
const MAX_LINE: u64 = 4096;

/// What a run was like, seen from the host.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// What it said.
    pub log: Log,
    /// From its start to its first line.
    pub boot: Option<Duration>,
    /// From its first line to its last.
    pub between: Option<Duration>,
    /// Bytes that the process held when its first line came.
    pub resident: Option<u64>,
    /// Bytes that it held at most.
    pub peak: Option<u64>,
    /// Why it did not get to its end.
    pub failure: Option<String>,
}

/// A process that is gone when this is.
pub struct Running {
    child: Child,
}

impl Running {
    /// Starts it, with its output in a pipe. Ctrl-C is not for it.
    ///
    /// # Errors
    /// What the host said.
    pub fn start(command: &mut Command) -> std::io::Result<Self> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn()?;
        Ok(Self { child })
    }

    /// The process.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line, when it came, and what the process held then.
struct Line {
    text: String,
    at: Instant,
    resident: Option<u64>,
}

/// Runs it to its end, or until `stop`, or no longer than `limit`.
pub fn run(command: &mut Command, stop: &AtomicBool, limit: Duration) -> Run {
    let mut run = Run::default();
    let begin = Instant::now();
    let mut running = match Running::start(command.stdin(Stdio::null())) {
        Ok(running) => running,
        Err(error) => {
            let program = command.get_program().display();
            run.failure = Some(format!("{program}: {error}"));
            return run;
        }
    };
    let child = running.child();
    let pid = child.id();
    let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
        return run;
    };
    let lines = read_lines(output, pid);
    let errors = tail(errors);
    let mut started = None;
    loop {
        match lines.recv_timeout(GLANCE) {
            Ok(line) => match run.log.take(&line.text) {
                Mark::Start => {
                    started = Some(line.at);
                    run.boot = Some(line.at - begin);
                    run.resident = line.resident;
                }
                Mark::End => run.between = started.map(|start| line.at - start),
                Mark::Other => {}
            },
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        run.peak = run.peak.max(memory(pid, "VmHWM:"));
        if stop.load(Ordering::Relaxed) {
            run.failure = Some("stopped".into());
            return run;
        }
        if begin.elapsed() > limit {
            run.failure = Some(format!("not done after {} s", limit.as_secs()));
            return run;
        }
    }
    // Its output has ended; it should have too.
    let status = loop {
        match running.child().try_wait() {
            Ok(None) if begin.elapsed() < limit && !stop.load(Ordering::Relaxed) => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Ok(status) => break status,
            Err(_) => break None,
        }
    };
    if run.log.end.is_none() {
        let said = errors.join().unwrap_or_default();
        let ended = status.map_or_else(|| "never".into(), |status| status.to_string());
        let last = said.lines().last().unwrap_or_default();
        run.failure = Some(format!("ended early ({ended}) {last}").trim_end().into());
    }
    run
}

fn read_lines(output: impl Read + Send + 'static, pid: u32) -> Receiver<Line> {
    let (sender, receiver) = channel();
    let mut output = BufReader::new(output);
    std::thread::spawn(move || {
        loop {
            let mut bytes = Vec::new();
            match output.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes) {
                Ok(1..) => {}
                _ => return,
            }
            let at = Instant::now();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let first = text.contains("ruse-bench start");
            let resident = if first { memory(pid, "VmRSS:") } else { None };
            if sender.send(Line { text, at, resident }).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The last of what is said.
fn tail(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        let mut bytes = [0; 1024];
        while let Ok(len @ 1..) = from.read(&mut bytes) {
            kept.extend_from_slice(&bytes[..len]);
            let surplus = kept.len().saturating_sub(MAX_LINE as usize);
            kept.drain(..surplus);
        }
        String::from_utf8_lossy(&kept).into_owned()
    })
}

/// A figure of a process's memory, in bytes, where the host tells (Linux,
/// Documentation/filesystems/proc.rst).
pub fn memory(pid: u32, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// A server of the native program's, for those who have a way to the host's loopback.
pub struct Server {
    /// Where it listens.
    pub port: u16,
    _running: Running,
}

impl Server {
    /// Starts it.
    ///
    /// # Errors
    /// Why there is none.
    pub fn start(program: &std::path::Path) -> Result<Self, String> {
        let mut command = Command::new(program);
        command.arg("serve").stdin(Stdio::null());
        let mut running = Running::start(&mut command).map_err(|error| error.to_string())?;
        let pid = running.child().id();
        let output = running.child().stdout.take();
        let lines = output.map(|output| read_lines(output, pid));
        let mut log = Log::default();
        if let Some(Ok(line)) = lines.map(|lines| lines.recv_timeout(Duration::from_secs(10))) {
            log.take(&line.text);
        }
        match log.port {
            Some(port) => Ok(Self {
                port,
                _running: running,
            }),
            None => Err("it cannot listen on the loopback".into()),
        }
    }
}

/// A flag that stays down.
pub fn never() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(false))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str, stop: &AtomicBool, limit: u64) -> Run {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run(&mut command, stop, Duration::from_secs(limit))
    }

    #[test]
    fn a_run_is_timed_from_outside_and_inside() {
        let script = "echo ruse-bench start 5; echo ruse-bench end 7; exit 0";
        let run = shell(script, &never(), 60);
        assert_eq!(run.failure, None);
        assert_eq!((run.log.start, run.log.end), (Some(5), Some(7)));
        assert!(run.boot.is_some() && run.between.is_some());
    }

    #[test]
    fn who_ends_early_says_why() {
        let run = shell("echo first >&2; echo it broke >&2; exit 3", &never(), 60);
        let failure = run.failure.unwrap();
        assert!(
            failure.contains('3') && failure.ends_with("it broke"),
            "{failure}"
        );
        let run = super::run(
            &mut Command::new("/nonexistent/program"),
            &never(),
            Duration::from_secs(60),
        );
        assert!(run.failure.unwrap().contains("/nonexistent/program"));
    }

    #[test]
    fn a_run_can_be_stopped_and_has_a_limit() {
        let stop = AtomicBool::new(true);
        let run = shell("echo ruse-bench start 1; exec sleep 1000", &stop, 60);
        assert_eq!(run.failure.as_deref(), Some("stopped"));
        let run = shell("exec sleep 1000", &never(), 0);
        assert_eq!(run.failure.as_deref(), Some("not done after 0 s"));
    }

    #[test]
    fn an_endless_line_is_cut() {
        let run = shell(
            "head -c 100000 /dev/zero; echo; echo ruse-bench end 1",
            &never(),
            60,
        );
        assert_eq!(run.failure, None);
    }
}
