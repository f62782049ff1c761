//! What the program prints: lines that begin with `ruse-bench`. `roms/bench/main.c` lists
//! them. A kernel's own messages may be among them, and a guest may print anything.

/// No run prints as many lines of ours.
const MAX_LINES: usize = 2000;

/// What came of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Its name.
    pub id: String,
    /// How many operations were done.
    pub ops: u64,
    /// In how many nanoseconds.
    pub nanos: u64,
    /// The same wherever it is right.
    pub checksum: u64,
    /// Guest instructions in that time; 0, if nobody counted.
    pub instructions: u64,
}

/// All that a run has said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// The program's clock at its first line.
    pub start: Option<u64>,
    /// The program's clock at its last line.
    pub end: Option<u64>,
    /// The kernel under it.
    pub kernel: Option<String>,
    /// The kernel's memory in KiB, by name, when the program began.
    pub meminfo: Vec<(String, u64)>,
    /// The program's memory in KiB, by name, when it began.
    pub status: Vec<(String, u64)>,
    /// What was measured.
    pub measured: Vec<Measured>,
    /// What was not, and why.
    pub skipped: Vec<(String, String)>,
    /// The port of a server.
    pub port: Option<u16>,
    lines: usize,
}

/// A line after which the host looks at its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The first.
    Start,
    /// The last.
    End,
    /// Any other, of ours or not.
    Other,
}

impl Log {
    /// Takes in a line.
    pub fn take(&mut self, line: &str) -> Mark {
        // What firmware printed last may have no end of line.
        let Some((_, line)) = line.split_once("ruse-bench ") else {
            return Mark::Other;
        };
        self.lines += 1;
        if self.lines > MAX_LINES {
            return Mark::Other;
        }
        let line = line.trim_end();
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        self.understand(kind, rest).unwrap_or(Mark::Other)
    }

    fn understand(&mut self, kind: &str, rest: &str) -> Option<Mark> {
        let mut words = rest.split(' ');
        match kind {
            "start" if self.start.is_none() => {
                self.start = Some(rest.parse().ok()?);
                return Some(Mark::Start);
            }
            "end" => {
                self.end = Some(rest.parse().ok()?);
                return Some(Mark::End);
            }
            "port" => self.port = rest.parse().ok(),
            "kernel" => self.kernel = Some(rest.chars().take(64).collect()),
            "meminfo" => note(&mut self.meminfo, words.next()?, words.next()?),
            "status" => note(&mut self.status, words.next()?, words.next()?),
            "skip" => {
                let (id, why) = rest.split_once(' ')?;
                self.skipped.push((id.into(), why.into()));
            }
            "result" => {
                let id = words.next()?.to_owned();
                let mut number = || words.next()?.parse().ok();
                self.measured.push(Measured {
                    id,
                    ops: number()?,
                    nanos: number()?,
                    checksum: number()?,
                    instructions: number()?,
                });
            }
            _ => {}
        }
        None
    }

    /// A figure of the kernel's memory, in bytes.
    pub fn meminfo(&self, name: &str) -> Option<u64> {
        bytes(&self.meminfo, name)
    }

    /// A figure of the program's memory, in bytes.
    pub fn status(&self, name: &str) -> Option<u64> {
        bytes(&self.status, name)
    }
}

/// The first figure of a name stays: later ones are of a machine that has done something.
fn note(list: &mut Vec<(String, u64)>, name: &str, value: &str) {
    if let Ok(value) = value.parse()
        && !list.iter().any(|(known, _)| known == name)
    {
        list.push((name.into(), value));
    }
}

fn bytes(list: &[(String, u64)], name: &str) -> Option<u64> {
    let found = list.iter().find(|(known, _)| known == name);
    found.and_then(|(_, kib)| kib.checked_mul(1024))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_understood() {
        let mut log = Log::default();
        let marks: Vec<_> = "\
Boot HART MEDELEG : 0xb509ruse-bench start 3232827600\r
ruse-bench kernel 6.12.1-riscv64\r
ruse-bench meminfo MemTotal 192292
ruse-bench meminfo MemTotal 7
[    0.1] something else
ruse-bench status VmRSS 24
ruse-bench result integer 2400000 30901100 13458957424318157283 0
ruse-bench result float 1 2 3
ruse-bench skip disk-read no such disk
ruse-bench port 80
ruse-bench end 7711823200"
            .split('\n')
            .map(|line| log.take(line))
            .collect();
        assert_eq!((marks[0], marks[10]), (Mark::Start, Mark::End));
        assert!(marks[1..10].iter().all(|&mark| mark == Mark::Other));
        assert_eq!(log.start, Some(3_232_827_600));
        assert_eq!(log.end, Some(7_711_823_200));
        assert_eq!(log.kernel.as_deref(), Some("6.12.1-riscv64"));
        assert_eq!(log.meminfo("MemTotal"), Some(192_292 * 1024));
        assert_eq!(log.meminfo("MemFree"), None);
        assert_eq!(log.status("VmRSS"), Some(24 * 1024));
        assert_eq!(log.measured.len(), 1, "one is not whole");
        assert_eq!(log.measured[0].checksum, 13_458_957_424_318_157_283);
        assert_eq!(log.skipped, [("disk-read".into(), "no such disk".into())]);
        assert_eq!(log.port, Some(80));
    }

    #[test]
    fn a_talkative_guest_does_not_fill_memory() {
        let mut log = Log::default();
        for i in 0..3 * MAX_LINES {
            log.take(&format!("ruse-bench meminfo x{i} 1"));
        }
        assert_eq!(log.meminfo.len(), MAX_LINES);
    }

    proptest! {
        #[test]
        fn anything_may_come(line in ".*", kind in "(start|end|result|skip|meminfo|port)") {
            let mut log = Log::default();
            log.take(&line);
            log.take(&format!("ruse-bench {kind} {line}"));
        }
    }
}
