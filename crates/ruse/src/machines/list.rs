//! `ruse ps`: the user's running machines.

use std::path::Path;
use std::process::ExitCode;

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use super::client;
use super::registry::{Found, Registry};
use super::wire::Status;
use crate::error::HostError;
use crate::size;
use crate::ssd;

/// A row.
#[derive(Serialize)]
struct Row {
    name: String,
    /// `running`, `stopping`, or `silent` if it does not answer.
    state: String,
    pid: u32,
    uptime_seconds: u64,
    harts: usize,
    /// RAM that the guest sees, in bytes.
    memory: u64,
    /// RAM that the process holds, in bytes.
    resident: Option<u64>,
    cpu_milliseconds: Option<u64>,
    disks: Vec<DiskRow>,
    forwards: Vec<String>,
    console_log: Option<std::path::PathBuf>,
}

#[derive(Serialize)]
struct DiskRow {
    path: std::path::PathBuf,
    read_only: bool,
    /// Bytes that the guest sees.
    size: u64,
    /// Bytes that the host holds for it.
    held: Option<u64>,
}

/// Prints the machines, as JSON or as a table.
///
/// # Errors
/// [`HostError`] if the host refuses.
pub fn list(json: bool) -> Result<ExitCode, HostError> {
    let found = Registry::open()?.all()?;
    let rows: Vec<_> = found.iter().map(row).collect();
    let text = match json {
        true => serde_json::to_string_pretty(&rows).unwrap_or_default(),
        false => table(&rows),
    };
    use std::io::Write;
    // A reader that has seen enough is no error.
    let _ = writeln!(std::io::stdout(), "{text}");
    Ok(ExitCode::SUCCESS)
}

fn row(found: &Found) -> Row {
    let status = client::status(found).unwrap_or_else(|error| {
        log::info!("{}: {error}", found.name);
        Status {
            pid: found.pid,
            state: "silent".into(),
            uptime: 0,
            memory: 0,
            harts: 0,
            disks: Vec::new(),
            forwards: Vec::new(),
            log: None,
        }
    });
    let used = used(found.pid);
    Row {
        name: found.name.clone(),
        state: status.state,
        pid: found.pid,
        uptime_seconds: status.uptime,
        harts: status.harts,
        memory: status.memory,
        resident: used.map(|used| used.0),
        cpu_milliseconds: used.map(|used| used.1),
        disks: status
            .disks
            .into_iter()
            .map(|disk| DiskRow {
                held: held(&disk.path),
                path: disk.path,
                read_only: disk.read_only,
                size: disk.size,
            })
            .collect(),
        forwards: status.forwards,
        console_log: status.log,
    }
}

fn held(path: &Path) -> Option<u64> {
    ssd::held(&std::fs::metadata(path).ok()?)
}

/// Resident bytes, and milliseconds of CPU time.
#[cfg(unix)]
fn used(pid: u32) -> Option<(u64, u64)> {
    use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};
    let pid = Pid::from_u32(pid);
    let mut system = System::new();
    let what = ProcessRefreshKind::nothing().with_memory().with_cpu();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, what);
    let process = system.process(pid)?;
    Some((process.memory(), process.accumulated_cpu_time()))
}

#[cfg(not(unix))]
fn used(_: u32) -> Option<(u64, u64)> {
    None
}

fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    // Figures come in pairs: what the host holds, and what the guest sees.
    table.set_header([
        "NAME", "PID", "STATE", "UP", "CPU", "MEMORY", "DISKS", "FORWARDS",
    ]);
    for row in rows {
        let pair = |held: Option<u64>, seen: u64| match held {
            Some(held) => format!("{} of {}", size::short(held), size::short(seen)),
            None => size::short(seen),
        };
        let disks: Vec<_> = row
            .disks
            .iter()
            .map(|disk| pair(disk.held, disk.size))
            .collect();
        let memory = pair(row.resident, row.memory);
        let cpu = row
            .cpu_milliseconds
            .map_or("-".into(), |ms| span(ms / 1000));
        table.add_row([
            row.name.clone(),
            row.pid.to_string(),
            row.state.clone(),
            span(row.uptime_seconds),
            cpu,
            memory,
            or_none(disks.join("\n")),
            or_none(row.forwards.join("\n")),
        ]);
    }
    let last = table.column_count().saturating_sub(1);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index == last { 0 } else { 2 }));
    }
    table.trim_fmt()
}

fn or_none(text: String) -> String {
    if text.is_empty() { "-".into() } else { text }
}

/// A time as in `3d4h`, `2h05`, `7m` or `12s`.
fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m{:02}", seconds % 60),
        3600..86400 => format!("{hours}h{:02}", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(name: &str) -> Row {
        Row {
            name: name.into(),
            state: "running".into(),
            pid: 1_234_567,
            uptime_seconds: 7_500,
            harts: 2,
            memory: 2 << 30,
            resident: Some(812 << 20),
            cpu_milliseconds: Some(65_000),
            disks: vec![
                DiskRow {
                    path: "/d/a.img".into(),
                    read_only: false,
                    size: 4 << 30,
                    held: Some(1_395_864_371),
                },
                DiskRow {
                    path: "/d/b.img".into(),
                    read_only: true,
                    size: 64 << 20,
                    held: None,
                },
            ],
            forwards: vec!["8081:80".into()],
            console_log: None,
        }
    }

    #[test]
    fn the_table_is_aligned_and_fits_a_terminal() {
        let silent = Row {
            state: "silent".into(),
            resident: None,
            cpu_milliseconds: None,
            disks: Vec::new(),
            forwards: Vec::new(),
            ..sample("b")
        };
        let expected = "\
NAME   PID      STATE    UP    CPU   MEMORY      DISKS       FORWARDS
web-a  1234567  running  2h05  1m05  812M of 2G  1.3G of 4G  8081:80
                                                 64M
b      1234567  silent   2h05  -     2G          -           -";
        let table = table(&[sample("web-a"), silent]);
        let lines: Vec<_> = table.lines().map(str::trim_end).collect();
        let wanted: Vec<_> = expected.lines().collect();
        assert_eq!(lines.len(), wanted.len(), "{table}");
        for (line, wanted) in lines.iter().zip(wanted) {
            assert_eq!(*line, wanted);
            assert!(line.len() <= 80);
        }
    }

    #[test]
    fn times_read_well() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m00"),
            (3599, "59m59"),
            (3600, "1h00"),
            (86_399, "23h59"),
            (90_000, "1d01h"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }
}
