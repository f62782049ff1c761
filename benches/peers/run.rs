//! One process, run to its end: what it printed, and what it used.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use thiserror::Error;
use wait4::Wait4;

/// Seconds of one run, and its greatest resident memory.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Usage {
    pub user: f64,
    pub system: f64,
    pub wall: f64,
    pub max_resident_bytes: u64,
}

impl Usage {
    /// CPU time. The kernel's share counts: an engine that hands work to the host's
    /// kernel doesn't become faster by that.
    pub fn cpu(&self) -> f64 {
        self.user + self.system
    }
}

/// A run that ended with exit code 0.
#[derive(Clone, Debug)]
pub struct Run {
    pub usage: Usage,
    /// Standard output; of a long or binary one its length and a hash.
    pub output: String,
    /// Guest instructions, where the engine says `instructions: N`.
    pub instructions: Option<u64>,
    /// Host instructions, where a counting tool ran the engine.
    pub host_instructions: Option<u64>,
}

#[derive(Debug, Error)]
pub enum Failure {
    #[error("cannot be started: {0}")]
    Start(#[source] io::Error),
    #[error("cannot be waited for: {0}")]
    Wait(#[source] io::Error),
    #[error("still running after {0} s")]
    Slow(u64),
    #[error("{status}{}{}", if .message.is_empty() { "" } else { ": " }, .message)]
    Exit { status: ExitStatus, message: String },
}

/// Runs `command` with standard input from `input`.
pub fn run(command: &mut Command, input: Option<&Path>, limit: Duration) -> Result<Run, Failure> {
    let input = match input {
        Some(path) => Stdio::from(File::open(path).map_err(Failure::Start)?),
        None => Stdio::null(),
    };
    command
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let start = Instant::now();
    let mut child = command.spawn().map_err(Failure::Start)?;
    let (closed, both) = mpsc::channel();
    let output = collect(child.stdout.take(), closed.clone());
    let errors = collect(child.stderr.take(), closed);

    // Both pipes close when the process ends: no polling beside a measurement.
    let end = start + limit;
    let in_time = (0..2).all(|_| {
        both.recv_timeout(end.saturating_duration_since(Instant::now()))
            .is_ok()
    });
    let mut used = None;
    while in_time && used.is_none() && Instant::now() < end {
        used = child.try_wait4().map_err(Failure::Wait)?;
        if used.is_none() {
            thread::sleep(Duration::from_millis(1));
        }
    }
    let Some(used) = used else {
        // Not reaped yet, so that this can only meet our own child.
        child.kill().map_err(Failure::Wait)?;
        child.wait4().map_err(Failure::Wait)?;
        return Err(Failure::Slow(limit.as_secs()));
    };
    let wall = start.elapsed().as_secs_f64();
    let output = output.join().unwrap_or_default();
    let errors = String::from_utf8_lossy(&errors.join().unwrap_or_default()).into_owned();
    if !used.status.success() {
        return Err(Failure::Exit {
            status: used.status,
            message: last_line(&errors),
        });
    }
    Ok(Run {
        usage: Usage {
            user: used.rusage.utime.as_secs_f64(),
            system: used.rusage.stime.as_secs_f64(),
            wall,
            max_resident_bytes: used.rusage.maxrss,
        },
        output: digest(&output),
        instructions: guest_instructions(&errors),
        host_instructions: host_instructions(&errors),
    })
}

fn collect(
    pipe: Option<impl Read + Send + 'static>,
    closed: mpsc::Sender<()>,
) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What could be read before an error is all there is to compare.
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = closed.send(());
        bytes
    })
}

fn last_line(text: &str) -> String {
    text.lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// Text of up to 200 bytes as it is; else length and FNV-1a.
fn digest(output: &[u8]) -> String {
    match str::from_utf8(output) {
        Ok(text) if text.len() <= 200 => text.trim_end().to_owned(),
        _ => {
            let hash = output
                .iter()
                .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
                    (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
                });
            format!("{} bytes, {hash:016x}", output.len())
        }
    }
}

/// The N of a line `instructions: N`, digits grouped or not.
fn guest_instructions(errors: &str) -> Option<u64> {
    errors
        .lines()
        .rev()
        .find_map(|line| number(line.trim().strip_prefix("instructions:")?))
}

/// What `perf stat -x,` says of the host's instructions.
fn host_instructions(errors: &str) -> Option<u64> {
    errors.lines().rev().find_map(|line| {
        let mut fields = line.split(',');
        let (count, _unit, event) = (fields.next()?, fields.next()?, fields.next()?);
        event
            .starts_with("instructions")
            .then(|| count.parse().ok())?
    })
}

fn number(text: &str) -> Option<u64> {
    let word = text.split_whitespace().next()?;
    word.replace([',', '_'], "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_counts() {
        assert_eq!(guest_instructions("instructions: 1234\n"), Some(1234));
        assert_eq!(
            guest_instructions("note\n  instructions: 1_234 (57 MIPS)\nend\n"),
            Some(1234)
        );
        assert_eq!(guest_instructions("instructions: many\n"), None);
        assert_eq!(guest_instructions(""), None);
    }

    #[test]
    fn host_counts() {
        assert_eq!(
            host_instructions("1816521,,instructions:u,901,100.00,,\n"),
            Some(1_816_521)
        );
        assert_eq!(
            host_instructions("<not supported>,,instructions,0,100.00,,\n"),
            None
        );
        assert_eq!(host_instructions("instructions: 7\n"), None);
    }

    #[test]
    fn digests() {
        assert_eq!(digest(b"fib 3 77\n"), "fib 3 77");
        assert_eq!(digest(&[0xff, 0xfe]), "2 bytes, 0a99c807b6f645b0");
        assert_ne!(digest(&[0; 300]), digest(&[1; 300]));
    }

    fn shell(script: &str, limit: u64) -> Result<Run, Failure> {
        run(
            Command::new("sh").args(["-c", script]),
            None,
            Duration::from_secs(limit),
        )
    }

    #[test]
    fn output_usage_and_count_of_a_process() {
        let run = shell(
            "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo $i; echo instructions: 5 >&2",
            60,
        );
        let run = run.unwrap();
        assert_eq!(run.output, "20000");
        assert_eq!(run.instructions, Some(5));
        assert!(run.usage.cpu() > 0.0 && run.usage.wall > 0.0 && run.usage.max_resident_bytes > 0);
    }

    #[test]
    fn failures_say_why() {
        let failure = shell("echo first >&2; echo 'no such thing' >&2; exit 3", 60).unwrap_err();
        assert_eq!(failure.to_string(), "exit status: 3: no such thing");
        assert!(matches!(shell("exec sleep 30", 1), Err(Failure::Slow(1))));
        // A process that closes its output and goes on is not waited for either.
        assert!(matches!(
            shell("exec sleep 30 >&- 2>&-", 1),
            Err(Failure::Slow(1))
        ));
        let mut nothing = Command::new("/nonexistent/engine");
        assert!(matches!(
            run(&mut nothing, None, Duration::from_secs(1)),
            Err(Failure::Start(_))
        ));
    }
}
