//! What comes out: figures, and how they are shown. As JSON it is what it is
//! (`serde::Serialize`).

pub mod html;
mod svg;
pub mod text;
pub mod words;

use serde::Serialize;

use crate::claims::Claim;
use crate::contender::Contender;
use crate::debian::Found;
use crate::facts::Facts;
use crate::stats::Summary;
use crate::storage::Image;
use crate::workload::{By, Group, Unit, Workload};

/// How it was measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Settings {
    /// Whether it was to be quick.
    pub quick: bool,
    /// Rounds that were to be made.
    pub rounds: usize,
    /// Milliseconds for each workload.
    pub ms: u64,
    /// Bytes of each disk.
    pub disk: u64,
    /// RAM of machines, in bytes.
    pub memory: u64,
}

/// Somebody who was to be compared.
#[derive(Clone, Debug, Serialize)]
pub struct Participant {
    /// Who.
    #[serde(flatten)]
    pub contender: Contender,
    /// The version of the program that runs it.
    pub version: Option<String>,
    /// The kernel under it.
    pub kernel: Option<String>,
    /// Why it could not run.
    pub refused: Option<String>,
}

/// A line.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The workload's name.
    pub id: &'static str,
    /// What it belongs to.
    pub group: Group,
    /// Its name for people.
    pub title: &'static str,
    /// How its figures are shown.
    pub unit: Unit,
    /// What was done.
    pub how: &'static str,
    /// The line with whose native figures it is compared.
    pub baseline: &'static str,
    /// A figure of each participant.
    pub cells: Vec<Cell>,
    #[serde(skip)]
    by: Option<By>,
}

/// What one participant took.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// Who.
    pub contender: &'static str,
    /// By round; less is better. None, where there is no figure.
    pub samples: Vec<Option<f64>>,
    /// What they say together.
    pub summary: Option<Summary>,
    /// How many times the native figure of the same round they are.
    pub ratio: Option<Summary>,
    /// Guest instructions an operation, where they were counted.
    pub instructions: Option<f64>,
    /// Millions of guest instructions a second.
    pub mips: Option<f64>,
    /// Why there are no figures.
    pub skipped: Option<String>,
}

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Counts up when its form changes.
    pub format: u32,
    /// Of Ruse.
    pub version: &'static str,
    /// Seconds since 1970 when it began.
    pub begun: u64,
    /// How long it took.
    pub seconds: f64,
    /// Whether it was broken off.
    pub stopped: bool,
    /// Rounds that were made.
    pub rounds: usize,
    /// How.
    pub settings: Settings,
    /// On what.
    pub facts: Facts,
    /// Who.
    pub participants: Vec<Participant>,
    /// The figures.
    pub rows: Vec<Row>,
    /// What images take.
    pub images: Vec<Image>,
    /// What an installed system takes.
    pub installed: Vec<Found>,
    /// What is often said, and what was found.
    pub claims: Vec<Claim>,
    /// What did not work.
    pub problems: Vec<String>,
    /// Results that differ where they must not.
    pub wrong: Vec<String>,
}

impl Row {
    /// Without figures.
    pub fn new(workload: &Workload) -> Self {
        Self {
            id: workload.id,
            group: workload.group,
            title: workload.title,
            unit: workload.unit,
            how: workload.how,
            baseline: workload.baseline.unwrap_or(workload.id),
            cells: Vec::new(),
            by: Some(workload.by),
        }
    }

    /// A place for a participant's figures.
    pub fn cell_for(&self, participant: &Participant) -> Cell {
        let kind = participant.contender.kind;
        let machines_only = self.by == Some(By::Machine) || self.id.starts_with("qcow2-");
        let skipped = match &participant.refused {
            None if machines_only && !kind.is_machine() => Some("of machines only".into()),
            refused => refused.clone(),
        };
        Cell {
            contender: participant.contender.id,
            samples: Vec::new(),
            summary: None,
            ratio: None,
            instructions: None,
            mips: None,
            skipped,
        }
    }

    /// A participant's cell.
    pub fn cell(&self, contender: &str) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.contender == contender)
    }
}

impl Report {
    /// Without figures.
    pub fn new(settings: Settings, facts: Facts) -> Self {
        Self {
            format: 1,
            version: env!("CARGO_PKG_VERSION"),
            begun: 0,
            seconds: 0.0,
            stopped: false,
            rounds: 0,
            settings,
            facts,
            participants: Vec::new(),
            rows: Vec::new(),
            images: Vec::new(),
            installed: Vec::new(),
            claims: Vec::new(),
            problems: Vec::new(),
            wrong: Vec::new(),
        }
    }

    /// Makes summaries, ratios and rates of the samples.
    pub fn sum_up(&mut self) {
        let native = |row: &Row| row.cell("native").map(|cell| cell.samples.clone());
        let bases: Vec<(&str, Vec<Option<f64>>)> = self
            .rows
            .iter()
            .filter_map(|row| Some((row.id, native(row)?)))
            .collect();
        let guests: Vec<_> = self
            .participants
            .iter()
            .filter(|it| it.contender.kind.is_guest())
            .map(|it| it.contender.id)
            .collect();
        for row in &mut self.rows {
            let base = bases.iter().find(|(id, _)| *id == row.baseline);
            // All guests execute the same instructions, and one counts them. What a kernel
            // of theirs executes besides is in nobody's count.
            let counted = row.cells.iter().find_map(|cell| cell.instructions);
            let counted = counted.filter(|_| row.group == Group::Cpu);
            for cell in &mut row.cells {
                cell.summary = Summary::of_some(&cell.samples);
                if row.unit != Unit::Millionths
                    && let Some((_, base)) = base
                {
                    cell.ratio = Summary::of_ratios(&cell.samples, base);
                }
                if guests.contains(&cell.contender)
                    && let (Some(count), Some(took)) = (counted, cell.summary)
                {
                    cell.mips = Some(count / took.median * 1e3).filter(|it| it.is_finite());
                }
                // A figure in one round is better than a reason from another.
                if cell.summary.is_some() {
                    cell.skipped = None;
                }
            }
        }
    }

    /// The line of this workload.
    pub fn row(&self, id: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.id == id)
    }

    /// What somebody took.
    pub fn cell(&self, id: &str, contender: &str) -> Option<&Cell> {
        self.row(id)?.cell(contender)
    }

    /// Whether there is anything in it.
    pub fn is_empty(&self) -> bool {
        let mut cells = self.rows.iter().flat_map(|row| &row.cells);
        self.images.is_empty() && cells.all(|cell| cell.samples.iter().all(Option::is_none))
    }

    /// The lines of a group, if it has any.
    pub fn group(&self, group: Group) -> Vec<&Row> {
        self.rows.iter().filter(|row| row.group == group).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::contender::{self, Kind};
    use crate::workload;

    /// A report with figures that nobody measured.
    pub fn example() -> Report {
        let settings = Settings {
            quick: true,
            rounds: 3,
            ms: 25,
            disk: 8 << 20,
            memory: 256 << 20,
        };
        let facts = Facts {
            processor: "Imagined <CPU> & co".into(),
            processors: 2,
            memory: Some(8 << 30),
            system: "Linux 6.0".into(),
            build: "release",
            load: Some(0.5),
        };
        let mut report = Report::new(settings, facts);
        report.begun = 1_767_225_600;
        report.seconds = 12.5;
        report.rounds = 3;
        for contender in contender::ALL {
            let refused = contender.kind == Kind::Namespaces;
            report.participants.push(Participant {
                contender: *contender,
                version: contender.kind.is_guest().then(|| "version 1".into()),
                kernel: None,
                refused: refused.then(|| "unshare: Operation not permitted".into()),
            });
        }
        report.rows = workload::ALL.iter().map(Row::new).collect();
        for (number, row) in report.rows.iter_mut().enumerate() {
            row.cells = report
                .participants
                .iter()
                .map(|it| row.cell_for(it))
                .collect();
            for (who, cell) in row.cells.iter_mut().enumerate() {
                if cell.skipped.is_some() {
                    continue;
                }
                let scale = if row.unit == Unit::Bytes { 1e6 } else { 10.0 };
                let base = scale * (number + 1) as f64 * (who * who + 1) as f64;
                cell.samples = vec![Some(base), Some(base * 1.5), Some(base * 0.9)];
                let counts = cell.contender == "ruse";
                cell.instructions = counts.then_some(10.0);
            }
        }
        report.images = vec![
            Image {
                title: "raw, written in order".into(),
                data: 8 << 20,
                held: Some(8 << 20),
            },
            Image {
                title: "qcow2, written in order".into(),
                data: 8 << 20,
                held: Some((8 << 20) + 262_144),
            },
        ];
        report.installed = vec![Found {
            contender: "ruse boot".into(),
            image: "debian.img".into(),
            login: 30.0,
            shell: 31.5,
            memory: 1 << 30,
            used: 70 << 20,
            inner: 150 << 20,
            resident: Some(220 << 20),
            stored: 300 << 20,
            files: 280 << 20,
            held: Some(320 << 20),
        }];
        report.problems = vec!["qemu-system: ended early".into()];
        report.sum_up();
        report.claims = crate::claims::answers(&report);
        report
    }

    #[test]
    fn ratios_are_to_the_native_figures_of_the_baseline() {
        let report = example();
        let cell = report.cell("float", "ruse").unwrap();
        let ratio = cell.ratio.unwrap();
        assert_eq!((ratio.median, ratio.min, ratio.max), (5.0, 5.0, 5.0));
        let native = report.cell("disk-read", "native").unwrap();
        let qcow2 = report.cell("qcow2-read", "ruse-boot").unwrap();
        let expected = qcow2.samples[0].unwrap() / native.samples[0].unwrap();
        assert!((qcow2.ratio.unwrap().median - expected).abs() < 1e-9);
        assert!(report.cell("clock", "ruse").unwrap().ratio.is_none());
    }

    #[test]
    fn all_guests_have_the_rate_that_one_counted() {
        let report = example();
        // 10 instructions in 20 ns by the native program's clock, times 5.
        let took = report.cell("float", "ruse").unwrap().summary.unwrap();
        let mips = report.cell("float", "ruse").unwrap().mips.unwrap();
        assert!((mips - 1e4 / took.median).abs() < 1e-9);
        assert!(report.cell("float", "qemu-user").unwrap().mips.is_some());
        assert!(report.cell("float", "native").unwrap().mips.is_none());
        assert!(report.cell("syscall", "ruse").unwrap().mips.is_none());
    }

    #[test]
    fn an_empty_report_is_empty() {
        let mut report = example();
        assert!(!report.is_empty());
        report.images.clear();
        report.rows.clear();
        assert!(report.is_empty());
    }

    #[test]
    fn json_has_what_tables_have() {
        let json = serde_json::to_value(example()).unwrap();
        assert_eq!(json["format"], 1);
        assert_eq!(json["rows"][0]["id"], "integer");
        assert_eq!(json["rows"][3]["unit"]["rate"], 8);
        assert_eq!(json["participants"][0]["id"], "native");
        assert_eq!(json["rows"][1]["cells"][2]["ratio"]["median"], 5.0);
    }
}
