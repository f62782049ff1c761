//! Pseudoterminals and signals: the parts of a person's terminal that a pipe
//! does not have.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::io::ioctl_fionread;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};

use super::{PATIENCE, Stream, Talk, ruse};

/// The terminal that a [`Talk`] takes place on.
pub struct Terminal {
    tty: OwnedFd,
    at_first: Termios,
}

impl Terminal {
    /// The command on a new terminal. Everything that it prints, errors too,
    /// is its output.
    pub fn start(args: &[&str]) -> (Self, Talk) {
        Self::with(ruse(args))
    }

    /// The command with a new terminal as the one that controls it: keys such
    /// as Ctrl-C send it signals.
    pub fn controlling(args: &[&str]) -> (Self, Talk) {
        let ruse = ruse(args);
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(ruse.get_program());
        command.args(ruse.get_args());
        for (name, value) in ruse.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Self::with(command)
    }

    /// The command on a new terminal of this size.
    pub fn sized(args: &[&str], columns: u16, rows: u16) -> (Self, Talk) {
        Self::open(ruse(args), Some((columns, rows)))
    }

    fn with(command: Command) -> (Self, Talk) {
        Self::open(command, None)
    }

    fn open(mut command: Command, size: Option<(u16, u16)>) -> (Self, Talk) {
        // Not ours: the test must not get this terminal's signals.
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let tty = rustix::fs::open(&name, flags, Mode::empty()).unwrap();
        if let Some((columns, rows)) = size {
            let size = Winsize {
                ws_col: columns,
                ws_row: rows,
                ws_xpixel: 0,
                ws_ypixel: 0,
            };
            tcsetwinsize(&tty, size).unwrap();
        }
        let at_first = tcgetattr(&tty).unwrap();
        let end = || Stdio::from(tty.try_clone().unwrap());
        let child = command
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let master = File::from(master);
        let talk = Talk {
            child,
            input: Some(Box::new(master.try_clone().unwrap())),
            output: Stream::read(master),
            errors: Arc::default(),
            seen: 0,
            piped: false,
        };
        (Self { tty, at_first }, talk)
    }

    /// Waits until keys go to the command, one by one. It gets a space, as
    /// the proof.
    #[track_caller]
    pub fn wait_until_it_listens(&self, talk: &mut Talk) {
        self.wait(|| !self.now().local_modes.contains(LocalModes::ICANON));
        talk.send(" ");
        self.wait(|| ioctl_fionread(&self.tty).unwrap() == 0);
    }

    #[track_caller]
    fn wait(&self, done: impl Fn() -> bool) {
        let start = Instant::now();
        while !done() {
            assert!(start.elapsed() < PATIENCE, "nobody reads what is typed");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Fails unless the terminal is as it was before the command.
    #[track_caller]
    pub fn assert_restored(&self) {
        let now = self.now();
        assert_eq!(now.local_modes, self.at_first.local_modes);
        assert_eq!(now.input_modes, self.at_first.input_modes);
        assert_eq!(now.output_modes, self.at_first.output_modes);
        assert_eq!(now.control_modes, self.at_first.control_modes);
    }

    fn now(&self) -> Termios {
        tcgetattr(self.tty.as_fd()).unwrap()
    }
}

/// Sends a signal to the command.
pub fn signal(talk: &Talk, signal: Signal) {
    let pid = Pid::from_raw(talk.id().try_into().unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}
