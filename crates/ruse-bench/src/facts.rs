//! What the measurement was made on.

use serde::Serialize;

/// The host.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {
    /// Its processor.
    pub processor: String,
    /// How many of it there are for this process.
    pub processors: usize,
    /// Its memory in bytes, where it tells.
    pub memory: Option<u64>,
    /// Its kernel or operating system.
    pub system: String,
    /// How Ruse was built.
    pub build: &'static str,
    /// Processes that were running or waiting for a processor, on the average of the last
    /// minute before the measurement, where it tells.
    pub load: Option<f64>,
}

impl Facts {
    /// Asks the host.
    pub fn new() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).ok();
        let processor = read("/proc/cpuinfo").and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
        let system = read("/proc/sys/kernel/osrelease")
            .map(|release| format!("Linux {}", release.trim()))
            .unwrap_or_else(|| std::env::consts::OS.into());
        let memory = read("/proc/meminfo").and_then(|text| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("MemTotal:"))?;
            let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
            kib.checked_mul(1024)
        });
        let load = read("/proc/loadavg").and_then(|text| text.split(' ').next()?.parse().ok());
        Self {
            processor: processor.unwrap_or_else(|| std::env::consts::ARCH.into()),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            memory,
            system,
            build: match cfg!(debug_assertions) {
                true => "with debug assertions, which cost time",
                false => "release",
            },
            load,
        }
    }
}

impl Default for Facts {
    fn default() -> Self {
        Self::new()
    }
}
