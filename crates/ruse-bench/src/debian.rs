//! An installed system, started once: how long it takes to a shell, and what it holds.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::contender::{Kind, Place};
use crate::run::{Running, memory};

/// The RAM that it gets.
const RAM: u64 = 1 << 30;
/// It is given up on after that.
const LIMIT: Duration = Duration::from_secs(600);
/// What is kept of its output.
const KEPT: usize = 64 * 1024;

/// A disk with a system on it that lets `root` in without a password.
#[derive(Clone, Debug)]
pub struct Installed {
    /// The disk.
    pub image: PathBuf,
    /// Its initramfs.
    pub initrd: Option<PathBuf>,
}

/// What it was found to be like.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// In which machine.
    pub contender: String,
    /// The disk's name.
    pub image: String,
    /// Seconds from the start of the process to the question who is there.
    pub login: f64,
    /// Seconds to the first command's answer.
    pub shell: f64,
    /// RAM of the machine.
    pub memory: u64,
    /// MemTotal less MemAvailable, in bytes.
    pub used: u64,
    /// RAM less MemAvailable: what the kernel holds for itself counts too.
    pub inner: u64,
    /// Resident memory of the process on the host.
    pub resident: Option<u64>,
    /// Bytes that the root file system has in use.
    pub stored: u64,
    /// Bytes of the files in it.
    pub files: u64,
    /// Bytes that the image takes on the host.
    pub held: Option<u64>,
}

/// Starts it, asks, and switches it off. What it writes is gone.
///
/// # Errors
/// What went wrong.
pub fn start(
    kind: Kind,
    place: &Place,
    installed: &Installed,
    stop: &AtomicBool,
) -> Result<Found, String> {
    let begin = Instant::now();
    let mut command = command(kind, place, installed)?;
    command.stdin(Stdio::piped());
    let mut running = Running::start(&mut command).map_err(|error| error.to_string())?;
    let pid = running.child().id();
    let mut talk = Talk::new(&mut running, stop, begin)?;
    talk.until("login: ")?;
    let login = begin.elapsed().as_secs_f64();
    talk.say("root\n")?;
    talk.until("# ")?;
    // The echo of a question does not look like its answer.
    let meminfo = talk.ask("cat /proc/meminfo")?;
    let shell = begin.elapsed().as_secs_f64();
    let resident = memory(pid, "VmRSS:");
    let stored = talk.ask("df -B1 --output=used / | tail -n 1")?;
    let files = talk.ask("du -sxB1 --apparent-size / | cut -f 1")?;
    // No shutdown: the image is as it was anyway.
    drop(running);
    let kib = |name: &str| {
        let line = meminfo
            .lines()
            .find_map(|line| line.trim().strip_prefix(name));
        let number = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
        number.map(|kib| kib.saturating_mul(1024))
    };
    let number = |text: &str| text.split_whitespace().find_map(|word| word.parse().ok());
    let (Some(total), Some(left)) = (kib("MemTotal:"), kib("MemAvailable:")) else {
        return Err("its /proc/meminfo makes no sense".into());
    };
    let (Some(stored), Some(files)) = (number(&stored), number(&files)) else {
        return Err("it does not say what its disk holds".into());
    };
    Ok(Found {
        contender: format!("{kind:?}"),
        image: installed
            .image
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into(),
        login,
        shell,
        memory: RAM,
        used: total.saturating_sub(left),
        inner: RAM.saturating_sub(left),
        resident,
        stored,
        files,
        held: held(&installed.image),
    })
}

#[cfg(unix)]
fn held(path: &std::path::Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok()?.blocks().checked_mul(512)
}

#[cfg(not(unix))]
fn held(_: &std::path::Path) -> Option<u64> {
    None
}

fn command(kind: Kind, place: &Place, installed: &Installed) -> Result<Command, String> {
    let kernel = place.kernel.clone()?;
    let append = "root=/dev/vda rw console=ttyS0 quiet";
    let image = installed.image.to_str().ok_or("its path is not UTF-8")?;
    let memory = format!("{}M", RAM >> 20);
    let mut command;
    match kind {
        Kind::RuseSystem => {
            command = Command::new(&place.ruse);
            command.args(["boot", "--memory", &memory, "--append", append]);
            command.arg("--kernel").arg(&kernel.image);
            command.args(["--disk", &format!("{image},snapshot")]);
            if let Some(initrd) = &installed.initrd {
                command.arg("--initrd").arg(initrd);
            }
        }
        _ => {
            command = Command::new("qemu-system-riscv64");
            command.args(["-M", "virt", "-nographic", "-m", &memory, "-append", append]);
            command.args(["-bios", "default", "-snapshot", "-kernel"]);
            command.arg(&kernel.image);
            let format = match image.ends_with(".qcow2") {
                true => "qcow2",
                false => "raw",
            };
            let file = image.replace(',', ",,");
            let drive = format!("if=none,id=d,format={format},file={file}");
            command.args(["-drive", &drive, "-device", "virtio-blk-device,drive=d"]);
            command.args([
                "-netdev",
                "user,id=n",
                "-device",
                "virtio-net-device,netdev=n",
            ]);
            if let Some(initrd) = &installed.initrd {
                command.arg("-initrd").arg(initrd);
            }
        }
    }
    Ok(command)
}

/// A serial line with somebody at its other end.
struct Talk<'a> {
    input: std::process::ChildStdin,
    output: Receiver<Vec<u8>>,
    seen: Vec<u8>,
    stop: &'a AtomicBool,
    begin: Instant,
    asked: u32,
}

impl<'a> Talk<'a> {
    fn new(running: &mut Running, stop: &'a AtomicBool, begin: Instant) -> Result<Self, String> {
        let child = running.child();
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(mut output), Some(mut errors)) = pipes else {
            return Err("it has no console".into());
        };
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(len @ 1..) = output.read(&mut bytes) {
                if sender.send(bytes[..len].to_vec()).is_err() {
                    return;
                }
            }
        });
        // Nobody reads it, but it must not fill its pipe.
        std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
        Ok(Self {
            input,
            output: receiver,
            seen: Vec::new(),
            stop,
            begin,
            asked: 0,
        })
    }

    fn say(&mut self, text: &str) -> Result<(), String> {
        let written = self.input.write_all(text.as_bytes());
        written
            .and_then(|()| self.input.flush())
            .map_err(|_| "it has ended".into())
    }

    /// What comes before this text, which is waited for.
    fn until(&mut self, text: &str) -> Result<String, String> {
        loop {
            let found = self
                .seen
                .windows(text.len())
                .position(|part| part == text.as_bytes());
            if let Some(at) = found {
                let before = self
                    .seen
                    .drain(..at + text.len())
                    .take(at)
                    .collect::<Vec<_>>();
                return Ok(String::from_utf8_lossy(&before).into_owned());
            }
            if self.stop.load(Ordering::Relaxed) {
                return Err("stopped".into());
            }
            if self.begin.elapsed() > LIMIT {
                return Err(format!("no {text:?} after {} s", LIMIT.as_secs()));
            }
            match self.output.recv_timeout(Duration::from_millis(20)) {
                Ok(bytes) => {
                    self.seen.extend(bytes);
                    let surplus = self.seen.len().saturating_sub(KEPT);
                    self.seen.drain(..surplus);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(format!("ended before {text:?}"));
                }
            }
        }
    }

    /// What a command prints.
    fn ask(&mut self, command: &str) -> Result<String, String> {
        self.asked += 1;
        let number = self.asked;
        self.say(&format!(
            "echo \"<a{number}\"\">\"; {command}; echo \"<e{number}\"\">\"\n"
        ))?;
        self.until(&format!("<a{number}>"))?;
        self.until(&format!("<e{number}>"))
    }
}
