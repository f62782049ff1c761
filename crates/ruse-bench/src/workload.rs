//! What is measured.

use serde::Serialize;

/// What belongs together in a report, and has one name for `--only`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// The processor and its memory.
    Cpu,
    /// What a program asks of its kernel.
    Kernel,
    /// Disks.
    Disk,
    /// The network.
    Network,
    /// From nothing to the first program.
    Boot,
    /// Memory that is taken.
    Memory,
    /// Whether the guest's time is the host's.
    Clock,
}

impl Group {
    /// In the order of the report.
    pub const ALL: [Self; 7] = [
        Self::Cpu,
        Self::Kernel,
        Self::Disk,
        Self::Network,
        Self::Boot,
        Self::Memory,
        Self::Clock,
    ];

    /// Its name for `--only`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Kernel => "kernel",
            Self::Disk => "disk",
            Self::Network => "network",
            Self::Boot => "boot",
            Self::Memory => "memory",
            Self::Clock => "clock",
        }
    }

    /// Its heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Cpu => "Processor and memory access",
            Self::Kernel => "Kernel",
            Self::Disk => "Disk",
            Self::Network => "Network",
            Self::Boot => "Start",
            Self::Memory => "Memory taken",
            Self::Clock => "Clock",
        }
    }
}

/// How a figure is shown. Samples are always costs: less is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Nanoseconds an operation.
    Time,
    /// Nanoseconds for so many bytes, shown as bytes a second.
    Rate(u64),
    /// Bytes.
    Bytes,
    /// Millionths by which one clock is faster than another.
    Millionths,
}

/// A line of the report.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Its name, in `--only` and in what the program prints.
    pub id: &'static str,
    /// What it belongs to.
    pub group: Group,
    /// Its name in the report.
    pub title: &'static str,
    /// How its figures are shown.
    pub unit: Unit,
    /// What the program does, or where the figure comes from.
    pub how: &'static str,
    /// Whose figures of the native program it is compared with, if not its own.
    pub baseline: Option<&'static str>,
    /// Who does it.
    pub by: By,
}

/// Who finds a figure out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The program, which is told to.
    Program,
    /// The host, in any run.
    Host,
    /// The host, of what the first program in a machine says.
    Machine,
}

const MIB: u64 = 1 << 20;

macro_rules! workloads {
    ($( $id:literal $group:ident $title:literal $unit:expr, $by:ident $baseline:expr, $how:literal; )*) => {
        &[$( Workload {
            id: $id, group: Group::$group, title: $title, unit: $unit, how: $how,
            baseline: $baseline, by: By::$by,
        } ),*]
    };
}

/// All of them, in the order of the report. Those by the program are in `roms/bench` too.
pub const ALL: &[Workload] = workloads! {
    "integer" Cpu "integer" Unit::Time, Program None,
        "a round of xorshift64*: shifts, exclusive or, a multiplication, an addition";
    "float" Cpu "floating point" Unit::Time, Program None,
        "a step of two iterations on doubles: 4 multiplications, 4 additions or subtractions, a division, a square root";
    "branch" Cpu "branches" Unit::Time, Program None,
        "quicksort of 4096 random integers, so that no branch can be foreseen; an operation is an integer sorted";
    "memory-seq" Cpu "memory in order" Unit::Rate(8), Program None,
        "reads and writes back 8 MiB, 8 bytes at a time; the rate counts the bytes once";
    "memory-random" Cpu "memory anywhere" Unit::Time, Program None,
        "a load from 16 MiB whose address is the result of the load before it";
    "syscall" Kernel "system call" Unit::Time, Program None,
        "getppid, which has next to nothing to do";
    "context" Kernel "context switch" Unit::Time, Program None,
        "half a round trip of a byte between two processes on one processor, by two pipes";
    "timer" Kernel "timer interrupt" Unit::Time, Program None,
        "by how much a sleep of 100 µs is too long: a timer set, its interrupt, and waking up";
    "fault" Kernel "page fault" Unit::Time, Program None,
        "the first write to a page of new memory; mapping and unmapping 256 of them is included";
    "process" Kernel "process" Unit::Time, Program None,
        "fork, exit of the child, and wait";
    "disk-write" Disk "write in order" Unit::Rate(MIB), Program None,
        "1 MiB writes with O_DIRECT to a file that has its space, fdatasync every 4; a machine has the file as its raw disk";
    "disk-read" Disk "read in order" Unit::Rate(MIB), Program None,
        "1 MiB reads with O_DIRECT; the host's page cache is around a native program but not around a machine's disk, so that a machine may be faster";
    "disk-latency" Disk "read 4 KiB anywhere" Unit::Time, Program None,
        "one request at a time, with O_DIRECT";
    "disk-sync" Disk "write 4 KiB anywhere, and sync" Unit::Time, Program None,
        "one request at a time, with O_DIRECT, each followed by fdatasync, which reaches the host's disk";
    "qcow2-write" Disk "qcow2: write in order" Unit::Rate(MIB), Program Some("disk-write"),
        "as above, the machine's disk being a qcow2 image; compared with the native program's file";
    "qcow2-read" Disk "qcow2: read in order" Unit::Rate(MIB), Program Some("disk-read"),
        "as above, from a qcow2 image";
    "qcow2-latency" Disk "qcow2: read 4 KiB anywhere" Unit::Time, Program Some("disk-latency"),
        "as above, from a qcow2 image";
    "qcow2-sync" Disk "qcow2: write 4 KiB anywhere, and sync" Unit::Time, Program Some("disk-sync"),
        "as above, to a qcow2 image";
    "net-send" Network "send" Unit::Rate(MIB), Program None,
        "TCP to a server on the host's loopback, 64 KiB a call, acknowledged by it every 2 MiB; in name spaces, to one inside";
    "net-receive" Network "receive" Unit::Rate(MIB), Program None,
        "the same in the other direction, asked for every 2 MiB";
    "net-round" Network "round trip" Unit::Time, Program None,
        "a byte to the server and back";
    "boot" Boot "to the first line" Unit::Time, Host None,
        "from the start of the process on the host to the first line of the program; in a machine it is the kernel's first program";
    "memory-host" Memory "on the host, at the start" Unit::Bytes, Host None,
        "resident memory of the process on the host when the program's first line comes; for native ones, the program's own";
    "memory-peak" Memory "on the host, at most" Unit::Bytes, Host None,
        "the same at its highest, with the workloads' 25 MiB in it if those were run";
    "memory-kernel" Memory "inner operating system" Unit::Bytes, Machine None,
        "RAM that the machine has, less what its kernel says is available (MemAvailable) to its first program";
    "memory-reserved" Memory "of that, never given out" Unit::Bytes, Machine None,
        "RAM that the machine has, less MemTotal: firmware, the kernel's image, its table of pages";
    "clock" Clock "drift" Unit::Millionths, Host None,
        "how much longer than on the host the run took by the clock that the program sees";
};

/// Those that `names` ask for: groups or single ones; all, if there are no names.
///
/// # Errors
/// The name that means nothing.
pub fn chosen(names: &[String]) -> Result<Vec<&'static Workload>, String> {
    let means = |name: &str, it: &Workload| it.id == name || it.group.name() == name;
    for name in names {
        if name != "storage" && !ALL.iter().any(|it| means(name, it)) {
            return Err(name.clone());
        }
    }
    let wanted = |it: &&Workload| names.is_empty() || names.iter().any(|name| means(name, it));
    Ok(ALL.iter().filter(wanted).collect())
}

/// The names that [`chosen`] knows.
pub fn names() -> String {
    let groups: Vec<_> = Group::ALL.iter().map(|group| group.name()).collect();
    let single: Vec<_> = ALL
        .iter()
        .map(|it| it.id)
        .filter(|id| !groups.contains(id))
        .collect();
    format!("{}, storage; or {}", groups.join(", "), single.join(", "))
}

/// The one of this name.
pub fn find(id: &str) -> Option<&'static Workload> {
    ALL.iter().find(|it| it.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_baselines_exist() {
        for (i, it) in ALL.iter().enumerate() {
            assert!(ALL[..i].iter().all(|other| other.id != it.id), "{}", it.id);
            if let Some(baseline) = it.baseline {
                let baseline = find(baseline).unwrap();
                assert_eq!(baseline.unit, it.unit, "{}", it.id);
            }
        }
    }

    #[test]
    fn groups_and_single_ones_are_chosen() {
        let ids = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
            chosen(&names).map(|all| all.iter().map(|it| it.id).collect::<Vec<_>>())
        };
        assert_eq!(ids(&[]).unwrap().len(), ALL.len());
        assert_eq!(
            ids(&["float", "network"]).unwrap(),
            ["float", "net-send", "net-receive", "net-round"]
        );
        assert_eq!(ids(&["storage"]).unwrap(), Vec::<&str>::new());
        assert_eq!(ids(&["cpu", "gpu"]), Err("gpu".to_owned()));
    }

    #[test]
    fn the_program_knows_those_that_it_is_told_to_run() {
        let source = crate::worker::SOURCES
            .iter()
            .map(|(_, text)| *text)
            .collect::<String>();
        for it in ALL.iter().filter(|it| it.by == By::Program) {
            assert!(source.contains(&format!("\"{}\"", it.id)), "{}", it.id);
        }
    }
}
