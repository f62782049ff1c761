//! `ruse stop`: has machines switched off, and says what it took.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::client::{self, Asked};
use super::registry::{Found, Registry};
use super::shutdown::seconds;
use super::wire::{End, Reply, Request, Step};
use crate::error::HostError;
use crate::exit;

/// How long the later steps take at most, and the process to go.
const REST: Duration = Duration::from_secs(60);

/// What to stop, and how.
pub struct Stop {
    /// Machines.
    pub names: Vec<String>,
    /// How many seconds a guest has to react to its power button.
    pub timeout: u64,
    /// Whether to pull the plug at once.
    pub kill: bool,
}

/// How a machine ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// As was asked for.
    Asked,
    /// By force, since the guest did not switch off.
    Forced,
}

/// Stops machines, at the same time if there are several.
///
/// # Errors
/// [`HostError`] if one of them does not run, or the host refuses. The others
/// are stopped all the same.
pub fn stop(stop: &Stop) -> Result<ExitCode, HostError> {
    let registry = Registry::open()?;
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = stop
            .names
            .iter()
            .map(|name| scope.spawn(|| one(&registry, name, stop)))
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined
            .map(|result| result.unwrap_or(Ok(How::Forced)))
            .collect()
    });
    let mut code = ExitCode::SUCCESS;
    for result in results {
        if result? == How::Forced {
            code = exit::STUCK.into();
        }
    }
    Ok(code)
}

fn one(registry: &Registry, name: &str, stop: &Stop) -> Result<How, HostError> {
    let found = client::find(registry, name)?;
    let start = Instant::now();
    let how = match ask(&found, stop) {
        Ok(Some(how)) => how,
        // The connection went with the process, or there is no talking to it.
        result => {
            if let Err(error) = result {
                log::info!("{name}: {error}");
            }
            if registry.find(name)?.is_some() {
                println!(
                    "{name}: does not answer; its process {} is killed",
                    found.pid
                );
                kill(&found)?;
            } else {
                println!("{name}: its process ended without a word");
            }
            match stop.kill {
                true => How::Asked,
                false => How::Forced,
            }
        }
    };
    // Whoever starts it again at once must not find it running.
    while registry.find(name)?.is_some() {
        if start.elapsed() > Duration::from_secs(stop.timeout) + 2 * REST {
            return Err(HostError::Silent {
                name: name.into(),
                pid: found.pid,
                source: std::io::ErrorKind::TimedOut.into(),
            });
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("{name}: ended after {}", seconds(start));
    Ok(how)
}

/// Asks the machine and says how it goes on; `None` if it stops talking.
fn ask(found: &Found, stop: &Stop) -> std::io::Result<Option<How>> {
    let name = &found.name;
    let request = Request::Stop {
        timeout: stop.timeout,
        kill: stop.kill,
    };
    let mut asked = Asked::new(found, &request)?;
    let limit = Duration::from_secs(stop.timeout) + REST;
    let mut first = true;
    while let Some(reply) = asked.answer()? {
        if std::mem::take(&mut first) {
            // It answers, so it deserves patience.
            asked.stream.set_read_timeout(Some(limit))?;
        }
        let forced = match stop.kill {
            true => How::Asked,
            false => How::Forced,
        };
        match reply {
            Reply::Step(step) => println!("{name}: {}", words(step)),
            Reply::Ended(End::Off(0)) => {
                println!("{name}: the guest switched off");
                return Ok(Some(How::Asked));
            }
            Reply::Ended(End::Off(code)) => {
                println!("{name}: the guest switched off, with code {code}");
                return Ok(Some(How::Asked));
            }
            Reply::Ended(End::Stopped) => return Ok(Some(forced)),
            Reply::Ended(End::Failed(why)) => {
                println!("{name}: {why}");
                return Ok(Some(forced));
            }
            _ => return Err(std::io::Error::other("an answer to something else")),
        }
    }
    Ok(None)
}

fn words(step: Step) -> &'static str {
    match step {
        Step::PowerButton => "pressed the power button",
        Step::NoPowerButton => "the guest has no driver for the power button",
        Step::Sysrq => "asks the kernel by SysRq to sync, remount read-only and power off",
        Step::NoSysrq => "no sign of a kernel that knows SysRq",
        Step::Unplug => "pulls the plug",
    }
}

/// Ends the process of a machine that is beyond asking.
#[cfg(unix)]
fn kill(found: &Found) -> Result<(), HostError> {
    use rustix::process::{Pid, Signal, kill_process};
    let pid = i32::try_from(found.pid).ok().and_then(Pid::from_raw);
    let Some(pid) = pid.filter(|pid| pid.as_raw_nonzero().get() > 1) else {
        return Err(HostError::Silent {
            name: found.name.clone(),
            pid: found.pid,
            source: std::io::ErrorKind::NotFound.into(),
        });
    };
    match kill_process(pid, Signal::KILL) {
        // It went by itself.
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(HostError::Silent {
            name: found.name.clone(),
            pid: found.pid,
            source: error.into(),
        }),
    }
}

#[cfg(not(unix))]
fn kill(_: &Found) -> Result<(), HostError> {
    Err(HostError::NoNames)
}
