//! What is often said about virtual machines, next to what was measured.

use serde::Serialize;

use crate::report::Report;
use crate::report::words::{bytes, digits, percent};
use crate::stats::geometric_mean;
use crate::workload::Group;

/// Whether a claim is true of these machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// About so.
    Holds,
    /// Not so.
    Fails,
    /// With some data it is, with others not.
    Depends,
    /// There are no figures.
    Unknown,
}

impl Verdict {
    /// As a heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Holds => "about right here",
            Self::Fails => "not true here",
            Self::Depends => "it depends",
            Self::Unknown => "not measured",
        }
    }
}

/// A claim and its answer.
#[derive(Clone, Debug, Serialize)]
pub struct Claim {
    /// What is said.
    pub claim: &'static str,
    /// Whether it is so.
    pub verdict: Verdict,
    /// What was found, in sentences.
    pub answer: Vec<String>,
    /// How that was found out.
    pub how: String,
}

/// All of them, those that nothing was measured for included.
pub fn answers(report: &Report) -> Vec<Claim> {
    vec![processor(report), storage(report), memory(report)]
}

const MACHINES: &[(&str, &str)] = &[
    ("ruse-boot", "ruse boot"),
    ("qemu-system", "QEMU without KVM"),
];

/// The geometric mean of the processor's ratios.
fn slowdown(report: &Report, contender: &str) -> Option<f64> {
    let rows = report.group(Group::Cpu);
    let ratios: Vec<_> = rows
        .iter()
        .filter_map(|row| Some(row.cell(contender)?.ratio?.median))
        .collect();
    geometric_mean(&ratios)
}

fn processor(report: &Report) -> Claim {
    let mut answer = Vec::new();
    let worst = |contender: &str| {
        let rows = report.group(Group::Cpu);
        let ratios = rows.iter().filter_map(|row| {
            let ratio = row.cell(contender)?.ratio?.median;
            Some((row.title, ratio))
        });
        let mut ratios: Vec<_> = ratios.collect();
        ratios.sort_by(|a, b| a.1.total_cmp(&b.1));
        Some((*ratios.first()?, *ratios.last()?))
    };
    let guests = [
        ("ruse-boot", "A machine of Ruse's"),
        ("ruse", "A Linux program under `ruse PROGRAM`"),
        ("qemu-system", "QEMU without KVM, which translates,"),
    ];
    let mut verdict = Verdict::Unknown;
    for (id, who) in guests {
        let (Some(mean), Some((least, most))) = (slowdown(report, id), worst(id)) else {
            continue;
        };
        answer.push(format!(
            "{who} takes {} times as long as the host itself ({}: {}, {}: {}), geometric mean.",
            digits(mean),
            least.0,
            digits(least.1),
            most.0,
            digits(most.1),
        ));
        if verdict == Verdict::Unknown {
            verdict = match mean {
                x if (1.05..=1.25).contains(&x) => Verdict::Holds,
                _ => Verdict::Fails,
            };
        }
    }
    if verdict == Verdict::Fails {
        answer.push(
            "The claim is about machines whose instructions the host's processor executes itself \
             (KVM and the like). Here software stands in for the processor, which is the price of \
             running without privileges, on any host, another processor's programs. No such machine \
             is among those compared, so the claim itself was not tested."
                .into(),
        );
    }
    if let Some(mean) = slowdown(report, "namespaces") {
        answer.push(format!(
            "In name spaces, as in a container, it takes {} times as long: nothing, within what this host's noise allows to see.",
            digits(mean)
        ));
    }
    Claim {
        claim: "CPU in VMs is 10–20 % slower",
        verdict,
        answer,
        how: "The same source with the same compiler options natively and as riscv64; time by the \
              program's own clock, which was compared with the host's; ratios of runs of the same \
              round, medians, and the geometric mean of those of the processor's and memory's workloads."
            .into(),
    }
}

fn storage(report: &Report) -> Claim {
    let mut answer = Vec::new();
    for image in &report.images {
        let (Some(held), Some(overhead)) = (image.held, image.overhead()) else {
            continue;
        };
        answer.push(format!(
            "{}: {} of data take {} on the host, {} more.",
            image.title,
            bytes(image.data as f64),
            bytes(held as f64),
            percent(overhead)
        ));
    }
    let mut verdict = match answer.is_empty() {
        true => Verdict::Unknown,
        false => Verdict::Fails,
    };
    if !answer.is_empty() {
        answer.push(
            "So images cost little beyond their data when these come in order; what costs is that \
             each machine has an operating system of its own on its disk."
                .into(),
        );
    }
    if let Some(it) = report.installed.first() {
        let held = it.held.unwrap_or(it.stored) as f64;
        answer.push(format!(
            "{}: its files are {}, its file system uses {}, and its image takes {} on the host.",
            it.image,
            bytes(it.files as f64),
            bytes(it.stored as f64),
            bytes(held)
        ));
        answer.push(format!(
            "For a machine with that system, the claim is right when its own data are between {} \
             and {}; with less data the share is greater, with more it is smaller.",
            bytes(held),
            bytes(held * 2.0)
        ));
        verdict = Verdict::Depends;
    }
    Claim {
        claim: "VMs need 50–100 % more storage",
        verdict,
        answer,
        how: "Images of ruse-disk, filled and flushed, by the blocks that the host's file system \
              gives them. An installed system with --debian: du and df inside, blocks outside."
            .into(),
    }
}

fn memory(report: &Report) -> Claim {
    let mut answer = Vec::new();
    let mut figures = Vec::new();
    for &(id, who) in MACHINES {
        let median = |row: &str| Some(report.cell(row, id)?.summary?.median);
        let Some(kernel) = median("memory-kernel") else {
            continue;
        };
        let reserved = median("memory-reserved").unwrap_or(0.0);
        let mut text = format!(
            "{who}, of {} of RAM: the Linux kernel has taken {} before the first program, {} of it for good",
            bytes(report.settings.memory as f64),
            bytes(kernel),
            bytes(reserved)
        );
        if let Some(host) = median("memory-host") {
            text += &format!("; the process on the host then holds {}", bytes(host));
        }
        answer.push(text + ".");
        figures.push(kernel);
    }
    for it in &report.installed {
        let mut text = format!(
            "{} at a shell ({}, {} of RAM): {} in use, kernel included",
            it.image,
            it.contender,
            bytes(it.memory as f64),
            bytes(it.inner as f64)
        );
        if let Some(resident) = it.resident {
            text += &format!("; the process on the host holds {}", bytes(resident as f64));
        }
        answer.push(text + ".");
    }
    if let Some(host) = report
        .cell("memory-host", "ruse")
        .and_then(|cell| cell.summary)
    {
        answer.push(format!(
            "A Linux program under `ruse PROGRAM` has no inner operating system: the process holds {}.",
            bytes(host.median)
        ));
    }
    // A whole system is what the claim is about; a bare kernel is its lower bound.
    let whole = report.installed.iter().map(|it| it.inner as f64).next();
    let said = 200.0 * 1024.0 * 1024.0;
    let verdict = match whole.or_else(|| figures.first().copied()) {
        None => Verdict::Unknown,
        Some(found) if (0.75 * said..=1.25 * said).contains(&found) => Verdict::Holds,
        Some(found) if whole.is_none() && found < said => Verdict::Depends,
        Some(_) => Verdict::Fails,
    };
    if verdict == Verdict::Depends {
        answer.push(
            "That is the least: an init system and its services come on top (--debian measures an \
             installed one)."
                .into(),
        );
    }
    Claim {
        claim: "About 200 MB of memory go to the inner operating system",
        verdict,
        answer,
        how:
            "RAM that the machine has, less MemAvailable of its /proc/meminfo; resident memory of \
              the machine's process by the host's /proc, when the first program's first line comes."
                .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::example;

    #[test]
    fn claims_are_judged_by_figures() {
        let mut report = example();
        let verdicts = |report: &Report| {
            let answers = answers(report);
            answers.iter().map(|it| it.verdict).collect::<Vec<_>>()
        };
        assert_eq!(
            verdicts(&report),
            [Verdict::Fails, Verdict::Depends, Verdict::Holds]
        );
        // A machine nearly as fast as its host, and systems that are small.
        for row in &mut report.rows {
            let native = row.cell("native").map(|it| it.samples.clone());
            for cell in &mut row.cells {
                if cell.contender == "ruse-boot" && row.group == Group::Cpu {
                    let native = native.clone().unwrap();
                    cell.samples = native.iter().map(|it| it.map(|it| it * 1.15)).collect();
                }
            }
        }
        report.installed[0].inner = 20 << 20;
        report.sum_up();
        assert_eq!(
            verdicts(&report),
            [Verdict::Holds, Verdict::Depends, Verdict::Fails]
        );
        report.rows.clear();
        report.images.clear();
        report.installed.clear();
        assert_eq!(verdicts(&report), [Verdict::Unknown; 3]);
    }
}
